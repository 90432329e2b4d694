//! Pure. A scheme: how a sender signs, as data.

mod answer;
mod authentication;
mod definition;

pub use crate::signature::presets::{INEXPRESSIBLE, Inexpressible, PRESETS};
pub use answer::{Acknowledgment, AnswerUse, Redelivery, Refusal, SecretOrigin};
pub use authentication::Authentication;
pub use definition::{Scheme, SchemeFault, Source};
