//! Pure. The library: checks whether a webhook is authentic, inside an app.
//!
//! [`Verifier::verify`] takes a request as values: method, target, fields, the exact bytes of the content,
//! and the time. It opens no socket and no file, reads no clock, and needs no runtime. Its result is a
//! [`Proof`], or the reason of the refusal. The rules are those of the gateway: the same schemes, the same
//! windows of time, and the same comparison in constant time.
//!
//! ```
//! use std::time::SystemTime;
//!
//! use hookgate::verify::{Refused, Request, Scheme, Secret, Verifier};
//!
//! let secrets = [Secret::new("current", "It's a Secret to Everybody")];
//! let verifier = Verifier::new(&Scheme::named("github")?, secrets)?;
//!
//! let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
//! let mut request = Request {
//!     method: "POST",
//!     target: "/hooks/github",
//!     fields: &[("X-Hub-Signature-256", signature)],
//!     content: b"Hello, World!",
//!     now: SystemTime::now(),
//! };
//! let proof = verifier.verify(&request)?;
//! assert_eq!((proof.secret(), proof.scheme()), ("current", "github"));
//! assert_eq!(proof.content(), "Hello, World!");
//!
//! request.content = b"Hello, World?";
//! assert_eq!(verifier.verify(&request).unwrap_err(), Refused::Mismatch);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `tower`, `hookgate::layer` is a tower layer that checks each request of a service.
//! `docs/embedding.md` lists the tasks of the gateway that an app without the gateway must do itself.

mod proof;
mod request;
mod scheme;
mod secret;
mod verifier;

pub use crate::signature::Fields;
pub use proof::{Proof, Refused};
pub use request::Request;
pub use scheme::{Scheme, SchemeError};
pub use secret::Secret;
pub use verifier::{Verifier, VerifierError};
