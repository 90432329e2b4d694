//! Pure. A scheme with the secrets of one sender, for an app.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::public_url;
#[cfg(feature = "tower")]
use crate::message::head::Guarded;
use crate::signature::public_url::{MOST_URLS, PublicUrls};
#[cfg(feature = "tower")]
use crate::signature::scheme::{Authentication, Refusal};
use crate::signature::secret::{self, Key, NotOfItsEncoding};
use crate::signature::{self, Fields, Signable, Verification};
use crate::verify::proof::{Proof, Refused};
use crate::verify::request::Request;
use crate::verify::scheme::Scheme;
use crate::verify::secret::{Form, Secret};

/// Checks the requests of one sender. Any of its secrets may verify a request.
///
/// A clone shares the keys.
///
/// ```
/// use hookgate::verify::{Scheme, Secret, Verifier, VerifierError};
///
/// // Square signs the URL that it sends to, so the app says which URL that is.
/// let square = Scheme::named("square")?;
/// let secrets = || [Secret::new("current", "a secret of the sender")];
/// assert_eq!(Verifier::new(&square, secrets()).unwrap_err(), VerifierError::NeedsUrl);
/// let verifier = Verifier::at(&square, secrets(), ["https://hooks.example.com"])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    verifier: signature::Verifier,
    scheme: Arc<str>,
    urls: Option<PublicUrls>,
    #[cfg(feature = "tower")]
    guarded: Guarded,
}

impl Verifier {
    /// A verifier for a scheme with at least one secret.
    ///
    /// # Errors
    /// [`VerifierError`]
    pub fn new(scheme: &Scheme, secrets: impl IntoIterator<Item = Secret>) -> Result<Self, VerifierError> {
        Self::at(scheme, secrets, std::iter::empty::<&str>())
    }

    /// A verifier that also knows the origins that the sender sends to, such as `https://hooks.example.com`. A
    /// scheme that signs the URL needs them, because a request does not say reliably under which origin the
    /// sender knows the app. Path and query are taken from each request.
    ///
    /// # Errors
    /// [`VerifierError`]
    pub fn at<U: AsRef<str>>(
        scheme: &Scheme,
        secrets: impl IntoIterator<Item = Secret>,
        origins: impl IntoIterator<Item = U>,
    ) -> Result<Self, VerifierError> {
        let mut urls: Vec<String> = Vec::new();
        for origin in origins {
            urls.push(public_url::origin_of(origin.as_ref()).ok_or(VerifierError::NotOrigin)?.to_owned());
        }
        if urls.len() > MOST_URLS {
            return Err(VerifierError::ManyOrigins);
        }
        if urls.is_empty() && scheme.signs_url() {
            return Err(VerifierError::NeedsUrl);
        }
        let keyed = keyed(scheme, secrets);
        secret::wipe_stack();
        let verifier = keyed?;
        Ok(Self(Arc::new(Inner {
            scheme: scheme.name().into(),
            #[cfg(feature = "tower")]
            guarded: Guarded::new(scheme.fields()),
            urls: PublicUrls::new(urls),
            verifier,
        })))
    }

    /// Checks a request.
    ///
    /// The work is linear in the length of the content: one pass for each secret that does not verify it. The
    /// caller limits the length.
    ///
    /// # Errors
    /// [`Refused`] if the request is not authentic.
    pub fn verify<F: Fields + ?Sized>(&self, request: &Request<'_, F>) -> Result<Proof, Refused> {
        let mut verification = self.begin(request.head(), request.now)?;
        verification.push(request.content);
        match verification.finish() {
            Ok(authentic) => Ok(Proof::of(authentic, &self.0.scheme).0),
            Err(mismatch) => Err(Refused::of_content(mismatch.why)),
        }
    }

    /// Reads the claim of a head. The content follows.
    pub(crate) fn begin<H: Signable>(
        &self,
        head: H,
        now: SystemTime,
    ) -> Result<Verification<'_, H>, Refused> {
        let received = self.0.verifier.receive(head, self.0.urls.as_ref(), now);
        received.map_err(|(error, _head)| Refused::of_claim(error))
    }

    /// The name of the scheme, as proofs have it.
    #[cfg(feature = "tower")]
    pub(crate) fn scheme_name(&self) -> &Arc<str> {
        &self.0.scheme
    }

    /// How the scheme's senders authenticate, and what they take as a refusal.
    #[cfg(feature = "tower")]
    pub(crate) fn manners(&self) -> (Authentication, Refusal) {
        let scheme = self.0.verifier.scheme();
        (scheme.authentication(), scheme.refusal)
    }

    /// The fields that the check reads.
    #[cfg(feature = "tower")]
    pub(crate) fn guarded(&self) -> &Guarded {
        &self.0.guarded
    }
}

fn keyed(
    scheme: &Scheme,
    secrets: impl IntoIterator<Item = Secret>,
) -> Result<signature::Verifier, VerifierError> {
    let mut names = HashSet::new();
    let mut keys = Vec::new();
    for Secret { name, text, form, not_after } in secrets {
        if text.trim_ascii().is_empty() {
            return Err(VerifierError::Empty(name));
        }
        let key = match form {
            Form::Text => match scheme.0.secret_encoding.decode(&text) {
                Ok(key) => key,
                Err(NotOfItsEncoding(encoding)) => {
                    return Err(VerifierError::NotDecoded(name, encoding.name()));
                }
            },
            Form::Key => Key::new(text.to_vec()),
        };
        if key.is_empty() {
            return Err(VerifierError::Empty(name));
        }
        if !names.insert(name.clone()) {
            return Err(VerifierError::NamedTwice(name));
        }
        keys.push(secret::Secret { name: name.into(), key, not_after });
    }
    if keys.is_empty() {
        return Err(VerifierError::NoSecret);
    }
    signature::Verifier::new(Arc::clone(&scheme.0), keys).map_err(|_undisclosed| VerifierError::NotKey)
}

/// Why there is no verifier. No message shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// There is no secret.
    #[error("there is no secret")]
    NoSecret,
    /// The secret of this name is empty. Anybody could sign with it.
    #[error("the secret {0:?} is empty")]
    Empty(String),
    /// Two secrets have this name.
    #[error("two secrets are called {0:?}")]
    NamedTwice(String),
    /// The secret of this name is not in the encoding of the scheme's secrets, which is the second text.
    #[error("the secret {0:?} is not valid {1}")]
    NotDecoded(String, &'static str),
    /// A secret must be a public key of the scheme's algorithm, and is none.
    #[error("a secret is not a public key of the scheme's algorithm")]
    NotKey,
    /// The scheme signs the URL, and no origin is given.
    #[error("the sender signs the URL that it sends to: give its origin")]
    NeedsUrl,
    /// A text is not the origin of a URL.
    #[error("an origin is written like `https://hooks.example.com`, without a path")]
    NotOrigin,
    /// There are more origins than a sender needs. Each costs a pass over forged content.
    #[error("there are too many origins")]
    ManyOrigins,
}
