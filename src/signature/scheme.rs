//! Pure. A scheme: how a sender signs, as data.

mod definition;

pub use crate::signature::presets::{INEXPRESSIBLE, Inexpressible, PRESETS};
pub use definition::{Scheme, SchemeFault, Source};
