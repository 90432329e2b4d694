//! Pure. The pages of the console. Each is a function from values to HTML.

pub(crate) mod dead;
pub(crate) mod event;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod now;
pub(crate) mod queue;
pub(crate) mod refused;
pub(crate) mod replay;
pub(crate) mod request;
