//! Pure. Verification: the claim in the fields, the check of the content, and the proof.
//!
//! The types fix the order of the steps.
//!
//! 1. [`Verifier::claim`] reads the claim from the fields, before any content is read.
//! 2. [`Verifier::begin`] makes a [`Verification`] of the claim. The verification takes the content piece by
//!    piece and hashes it.
//! 3. [`Verification::complete`] makes a [`Check`] of the complete content. The check tries the other secrets
//!    in steps.
//! 4. [`Check::finish`] makes the proof, an [`AuthenticRequest`], with exactly the bytes that were hashed.
//!
//! Only [`Check::finish`] makes an [`AuthenticRequest`]. Without this proof nothing reaches an upstream,
//! except in observe mode.
//!
//! No file here knows hyper: fields come in through [`Fields`], and content as byte slices.

pub mod algorithm;
pub mod alternatives;
pub mod challenge;
pub mod claim;
pub mod decoration;
pub mod field;
pub mod form;
pub mod mac;
pub mod message_signature;
pub mod named_fields;
pub mod private_key;
pub mod public_url;
pub mod scheme;
pub mod secret;
pub mod setup_request;
pub mod shared_token;
pub mod sign;
pub mod template;
pub mod window;

mod borders;
mod content_time;
mod deliverable;
mod jwt;
mod permit;
mod presets;
mod public_key;
mod signable;
mod signed_url;
mod spelling;
mod tag;
mod verification;
mod verifier;

pub use claim::{Claim, ClaimError, Context};
pub use deliverable::{Deliverable, Mode, ObservedRequest};
pub use permit::Permit;
pub use signable::{Fields, Signable};
pub use verification::{AuthenticRequest, Check, Mismatch, Stepped, Unverified, Verification};
pub use verifier::Verifier;

pub mod secret_trial;
pub mod self_check;
#[cfg(test)]
mod tests;
