//! Pure. A scheme: how a sender signs, as data.

mod answer;
mod definition;

pub use crate::signature::presets::{INEXPRESSIBLE, Inexpressible, PRESETS};
pub use answer::{Acknowledgment, AnswerUse, Redelivery, Refusal, SecretOrigin};
pub use definition::{Scheme, SchemeFault, Source};
