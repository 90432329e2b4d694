//! Shell. A tower layer: each request of a service is checked, and only authentic requests reach the service.
//!
//! The layer reads the whole content, within a limit of bytes and a limit of time, and checks it as
//! [`verify`](crate::verify) does. An authentic request goes on with the same bytes, and with a
//! [`Proof`](crate::verify::Proof) among its extensions. Any other request gets the same answer as from the
//! gateway, and does not reach the service. [`VerifyLayer::answer_challenges`] also answers the sender's
//! challenges.
//!
//! ```
//! use axum::Router;
//! use axum::extract::Extension;
//! use axum::routing::post;
//! use hookgate::layer::VerifyLayer;
//! use hookgate::verify::{Proof, Scheme, Secret, Verifier};
//!
//! async fn event(Extension(proof): Extension<Proof>) -> String {
//!     format!("{} bytes, signed with `{}`", proof.content().len(), proof.secret())
//! }
//!
//! let secrets = [Secret::new("current", "It's a Secret to Everybody")];
//! let verifier = Verifier::new(&Scheme::named("github")?, secrets)?;
//! let app: Router = Router::new().route("/hooks/github", post(event)).layer(VerifyLayer::new(verifier));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/embedded` is such an app. The layer needs tokio's timer, as servers on hyper have it.

mod challenges;
mod limits;
mod receive;
mod refusal;
mod service;
mod settings;

use std::time::Duration;

use tower_layer::Layer;

use crate::verify::Verifier;
use challenges::Challenges;
use settings::Settings;

pub use refusal::Refusal;
pub use service::Verify;

/// The layer that checks each request.
///
/// ```
/// use std::time::Duration;
///
/// use hookgate::layer::VerifyLayer;
/// # use hookgate::verify::{Scheme, Secret, Verifier};
/// # let secrets = [Secret::new("current", "It's a Secret to Everybody")];
/// # let verifier = Verifier::new(&Scheme::named("github")?, secrets)?;
///
/// let layer = VerifyLayer::new(verifier).body_limit(5 << 20).time_limit(Duration::from_secs(10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct VerifyLayer {
    verifier: Verifier,
    settings: Settings,
}

impl VerifyLayer {
    /// A layer that checks each request with this verifier. Content has at most 1 MiB, and arrives within 30
    /// seconds: these are the gateway's defaults.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier, settings: Settings::default() }
    }

    /// The most bytes of content. Longer content is refused with 413. A request holds up to twice as many
    /// bytes while it is received.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.settings.limits.body = bytes;
        self
    }

    /// The longest time in which the content arrives. Later content is refused with 408.
    #[must_use]
    pub fn time_limit(mut self, time: Duration) -> Self {
        self.settings.limits.time = time;
        self
    }

    /// Lets the layer answer the sender's challenges, as the gateway does with `challenge = "answer"`
    /// (`docs/schemes.md`). The service does not get the challenges. Without this method, signed challenges
    /// reach the service like events, and unsigned challenges are refused.
    ///
    /// Any client gets the answer to an unsigned challenge. The answer repeats a short value that the client
    /// has sent.
    #[must_use]
    pub fn answer_challenges(mut self) -> Self {
        self.settings.challenges = Challenges::all();
        self
    }

    /// Like [`answer_challenges`](Self::answer_challenges), for a sender whose challenge has a token: the
    /// text that you have entered at Meta. A challenge with another token is refused, and so is every such
    /// challenge if `token` is empty.
    ///
    /// ```
    /// use hookgate::layer::VerifyLayer;
    /// # use hookgate::verify::{Scheme, Secret, Verifier};
    /// # let secret = Secret::new("current", "the secret of the app");
    /// # let verifier = Verifier::new(&Scheme::named("meta")?, [secret])?;
    ///
    /// let token = "the token that you have entered at Meta";
    /// let layer = VerifyLayer::new(verifier).answer_challenges_with(token);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn answer_challenges_with(mut self, token: impl Into<Vec<u8>>) -> Self {
        self.settings.challenges = Challenges::with(token.into());
        self
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify::new(inner, self.verifier.clone(), self.settings.clone())
    }
}
