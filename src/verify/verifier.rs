//! Pure. A scheme with the secrets of one sender, for an app.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::public_url;
#[cfg(feature = "tower")]
use crate::message::head::Guarded;
use crate::signature::alternatives::MOST_SIGNATURES;
use crate::signature::public_url::{MOST_URLS, PublicUrls};
#[cfg(feature = "tower")]
use crate::signature::scheme::{Authentication, Refusal};
use crate::signature::secret::{self, Key, NotOfItsEncoding};
use crate::signature::{self, AuthenticRequest, Fields, Signable, Verification};
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
    /// The names of the schemes, as proofs have them.
    schemes: Vec<Arc<str>>,
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

    /// A verifier that also knows the origins that the sender sends to, such as `https://hooks.example.com`.
    /// A scheme that signs the URL needs them, because a request does not say reliably under which origin the
    /// sender knows the app. Path and query are taken from each request.
    ///
    /// # Errors
    /// [`VerifierError`]
    pub fn at<U: AsRef<str>>(
        scheme: &Scheme,
        secrets: impl IntoIterator<Item = Secret>,
        origins: impl IntoIterator<Item = U>,
    ) -> Result<Self, VerifierError> {
        Self::several([(scheme, secrets)], origins)
    }

    /// A verifier for a sender that changes its signature, and so sends requests of two kinds for a while: up
    /// to 4 schemes, each with its secrets. `origins` are those of [`Verifier::at`].
    ///
    /// Only one scheme judges a request: the first scheme whose signature field the request has. So list the
    /// stronger scheme first. A client that knows a secret of the weaker scheme can leave out the field of
    /// the stronger scheme: remove the weaker scheme when the sender no longer needs it.
    ///
    /// ```
    /// use hookgate::verify::{Scheme, Secret, Verifier};
    ///
    /// let (signed, token) = (Scheme::named("gitlab-signed")?, Scheme::named("gitlab")?);
    /// let signatures = [
    ///     (&signed, [Secret::new("signing", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]),
    ///     (&token, [Secret::new("token", "the token of the webhook")]),
    /// ];
    /// let verifier = Verifier::several(signatures, std::iter::empty::<&str>())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`VerifierError`]
    pub fn several<'s, U: AsRef<str>, S: IntoIterator<Item = Secret>>(
        signatures: impl IntoIterator<Item = (&'s Scheme, S)>,
        origins: impl IntoIterator<Item = U>,
    ) -> Result<Self, VerifierError> {
        let mut urls: Vec<String> = Vec::new();
        for origin in origins {
            urls.push(public_url::origin_of(origin.as_ref()).ok_or(VerifierError::NotOrigin)?.to_owned());
        }
        if urls.len() > MOST_URLS {
            return Err(VerifierError::ManyOrigins);
        }
        let keyed = keyed(signatures, urls.is_empty());
        secret::wipe_stack();
        let verifier = keyed?;
        Ok(Self(Arc::new(Inner {
            schemes: verifier.all().map(|one| (*one.scheme().name).into()).collect(),
            #[cfg(feature = "tower")]
            guarded: Guarded::new(verifier.all().flat_map(|one| one.scheme().names())),
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
        let begun = self.begin(request.head(), request.now);
        let mut verification = begun.map_err(|(refused, _head)| refused)?;
        verification.push(request.content);
        match verification.finish() {
            Ok(authentic) => Ok(self.proof(authentic).0),
            Err(mismatch) => Err(Refused::of_content(mismatch.why)),
        }
    }

    /// Reads the claim of a head. The content follows. An error returns the head.
    pub(crate) fn begin<H: Signable>(
        &self,
        head: H,
        now: SystemTime,
    ) -> Result<Verification<'_, H>, (Refused, H)> {
        let received = self.0.verifier.receive(head, self.0.urls.as_ref(), now);
        received.map_err(|(error, head)| (Refused::of_claim(error), head))
    }

    /// The proof of an authentic request, and the request's head.
    pub(crate) fn proof<H>(&self, request: AuthenticRequest<'_, H>) -> (Proof, H) {
        let name = &request.verifier().scheme().name;
        let known = self.0.schemes.iter().find(|scheme| ***scheme == **name);
        let scheme = known.map_or_else(|| (**name).into(), Arc::clone);
        Proof::of(request, scheme)
    }

    /// The verifier of the program, for challenges.
    #[cfg(feature = "tower")]
    pub(crate) fn inner(&self) -> &signature::Verifier {
        &self.0.verifier
    }

    /// How the scheme's senders authenticate, and the form of a refusal that they demand.
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

/// The verifier of all signatures: the verifier of the first signature, which has the verifiers of the
/// others.
fn keyed<'s, S: IntoIterator<Item = Secret>>(
    signatures: impl IntoIterator<Item = (&'s Scheme, S)>,
    is_without_url: bool,
) -> Result<signature::Verifier, VerifierError> {
    let mut all: Vec<(&Scheme, Vec<secret::Secret>)> = Vec::new();
    for (scheme, secrets) in signatures {
        if is_without_url && scheme.signs_url() {
            return Err(VerifierError::NeedsUrl);
        }
        let keys = keys(scheme, secrets)?;
        for (earlier, others) in &all {
            let names = || (earlier.name().to_owned(), scheme.name().to_owned());
            if scheme.0.conflict(&earlier.0).is_some() {
                let (earlier, later) = names();
                return Err(VerifierError::Indistinct(earlier, later));
            }
            let shares = keys.iter().any(|one| others.iter().any(|other| one.key.is_same(&other.key)));
            if shares && scheme.0.could_be_taken_for(&earlier.0) {
                let (earlier, later) = names();
                return Err(VerifierError::SameSecret(earlier, later));
            }
        }
        all.push((scheme, keys));
        if all.len() > MOST_SIGNATURES {
            return Err(VerifierError::ManySignatures);
        }
    }
    let made = all.into_iter().map(|(scheme, keys)| signature::Verifier::new(Arc::clone(&scheme.0), keys));
    let mut made = made.map(|one| one.map_err(|_undisclosed| VerifierError::NotKey));
    let first = made.next().unwrap_or(Err(VerifierError::NoSecret))?;
    let others: Vec<_> = made.map(|one| one.map(Arc::new)).collect::<Result<_, _>>()?;
    Ok(first.before(others))
}

/// The keys of one signature.
fn keys(
    scheme: &Scheme,
    secrets: impl IntoIterator<Item = Secret>,
) -> Result<Vec<secret::Secret>, VerifierError> {
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
    if keys.is_empty() { Err(VerifierError::NoSecret) } else { Ok(keys) }
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
    /// A secret must be a public key of the scheme's algorithm, and is not one.
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
    /// There are more signatures than 4.
    #[error("there are more than 4 signatures")]
    ManySignatures,
    /// Two signatures cannot be told apart: both have the same scheme or the same signature field, or both
    /// are shared tokens. The second name is that of the later signature.
    #[error("after the scheme {0:?}, the scheme {1:?} judges no request")]
    Indistinct(String, String),
    /// Two signatures have the same secret, and a signature of one could pass as a signature of the other,
    /// over other content.
    #[error(
        "the schemes {0:?} and {1:?} have the same secret, so a signature of one could pass as a signature of the other"
    )]
    SameSecret(String, String),
}
