//! Pure. From a path, and where asked from signed content, to a route.

pub mod model;
pub mod router;
