//! Pure. Verification: what the fields claim, what the content proves, and the proof.
//!
//! The order of things is fixed by types. [`Verifier::claim`] reads the signature out of the fields, before any
//! content is read. [`Verifier::begin`] turns the claim into a [`Verification`], which takes in the content
//! piece by piece and hashes it as it comes. With all of it there, [`Verification::complete`] makes a [`Check`] of it, in which
//! the secrets are tried that the content was not hashed under, in steps. [`Check::finish`] is the only maker of an
//! [`AuthenticRequest`], and hands over exactly the bytes that were hashed. Nothing reaches an upstream without one.
//!
//! Nothing here knows hyper: fields come in through [`Fields`], content as slices of bytes.

pub mod algorithm;
pub mod causes;
pub mod challenge;
pub mod claim;
pub mod field;
pub mod form;
pub mod mac;
pub mod private_key;
pub mod probe;
pub mod scheme;
pub mod secret;
pub mod sign;
pub mod template;
pub mod window;

mod deliverable;
mod fields;
mod presets;
mod public_key;
mod tag;
mod trial;
mod verification;
mod verifier;

pub use claim::{Claim, ClaimError, Context};
pub use deliverable::{Deliverable, Mode, ObservedRequest, Permit};
pub use fields::{Fields, Signable};
pub use verification::{AuthenticRequest, Check, Mismatch, Stepped, Verification};
pub use verifier::Verifier;

#[cfg(test)]
mod tests;
