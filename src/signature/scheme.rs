//! Pure. How a sender signs, as data: which field, which algorithm, which notation, what is signed, and where it names the
//! model.

mod definition;

pub use crate::signature::presets::{INEXPRESSIBLE, Inexpressible, PRESETS};
pub use definition::{Scheme, SchemeFault, Source};
