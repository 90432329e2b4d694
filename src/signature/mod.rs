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
pub mod challenge;
pub mod claim;
pub mod field;
pub mod form;
pub mod mac;
pub mod probe;
pub mod scheme;
pub mod sign;
pub mod template;
mod trial;
pub mod window;

pub mod private_key;

mod presets;
mod public_key;

use std::sync::Arc;
use std::time::SystemTime;

use crate::signature::causes::KeyChange;
use crate::signature::secret::{Key, Secret};
use bytes::BufMut;
use bytes::buf::Limit;
pub use claim::{Claim, ClaimError, Context};
use mac::{BadKey, Keyed, Running};
use private_key::PrivateKey;
use scheme::Scheme;
use template::Body;
use trial::{Trial, Tried};

/// Read access to the field lines of a message: all that verification needs to know of a front end.
pub trait Fields {
    /// The value of every field line with this (lower-case) name, in the order received, as opaque bytes without
    /// the white space around them (RFC 9110, section 5.5).
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
}

/// What a scheme can sign of a request besides its content.
pub trait Signable: Fields {
    /// The method.
    fn method(&self) -> &str;
    /// Path and query, as they were received.
    fn target(&self) -> &[u8];
}

/// Checks the signatures of one sender: a scheme, and the secrets of which any may verify.
#[derive(Debug)]
pub struct Verifier {
    scheme: Arc<Scheme>,
    keys: Vec<KeyedSecret>,
    /// The same with what a secret may have been meant to be, for explaining a mismatch. They verify no request.
    key_variants: Vec<(KeyChange, Verifier)>,
    answers: challenge::Answers,
    /// To sign with, where it takes more than what verifies. The gateway has none.
    private: Option<PrivateKey>,
}

#[derive(Debug)]
struct KeyedSecret {
    name: Arc<str>,
    mac: Keyed,
    not_after: Option<SystemTime>,
}

impl Verifier {
    /// Keys the scheme's algorithm with each secret, once. The secrets' bytes are wiped on return.
    ///
    /// # Errors
    /// [`BadKey`] if a secret should be a public key and is none.
    pub fn new(scheme: impl Into<Arc<Scheme>>, secrets: Vec<Secret>) -> Result<Self, BadKey> {
        let scheme = scheme.into();
        let keyed = secrets.into_iter().map(|secret| {
            let mac = Keyed::new(scheme.algorithm, &secret.key)?;
            Ok(KeyedSecret { name: secret.name, mac, not_after: secret.not_after })
        });
        let keys = keyed.collect::<Result<_, _>>()?;
        Ok(Self {
            scheme,
            keys,
            key_variants: Vec::new(),
            answers: challenge::Answers::Nothing,
            private: None,
        })
    }

    /// Somebody who has the private key of a scheme's sender, to try a gateway with.
    ///
    /// # Errors
    /// [`BadKey`] if the scheme takes no such key.
    pub fn of_sender(
        scheme: impl Into<Arc<Scheme>>,
        name: &str,
        private: PrivateKey,
    ) -> Result<Self, BadKey> {
        let secret = Secret { name: name.into(), key: private.public(), not_after: None };
        Ok(Self { private: Some(private), ..Self::new(scheme, vec![secret])? })
    }

    /// Takes along what the secret of this name may have been meant to be, for [`causes`]. Nothing verifies for it. What is
    /// no key of the scheme's is left out; the keys' bytes are wiped on return.
    #[must_use]
    pub fn suspecting(
        mut self,
        name: &Arc<str>,
        key_variants: impl IntoIterator<Item = (KeyChange, Key)>,
    ) -> Self {
        for (change, key) in key_variants {
            let secret = Secret { name: Arc::clone(name), key, not_after: None };
            if let Ok(key_variant) = Self::new(Arc::clone(&self.scheme), vec![secret]) {
                self.key_variants.push((change, key_variant));
            }
        }
        self
    }

    /// The scheme it verifies by.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether signatures can be made with what it has.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.private.is_some() || self.scheme.algorithm.is_symmetric()
    }

    /// The names of the secrets, in the order of the configuration.
    pub fn secret_names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.keys.iter().map(|key| &key.name)
    }

    /// When each of the secrets ceases to count, if ever, in the same order.
    pub fn ends(&self) -> impl ExactSizeIterator<Item = Option<SystemTime>> {
        self.keys.iter().map(|key| key.not_after)
    }

    /// The names of the secrets, each with the moment from which it does not count any more, if there is one.
    pub fn secrets(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, Option<SystemTime>)> {
        self.keys.iter().map(|key| (&key.name, key.not_after))
    }

    /// What the fields claim. Decided before any content is read.
    ///
    /// # Errors
    /// [`ClaimError`] where there is no claim that could be checked.
    pub fn claim<F: Fields>(&self, context: &Context<'_, F>) -> Result<Claim, ClaimError> {
        Claim::read(&self.scheme, context)
    }

    /// The moment that a request claims to be signed in, whatever its signature is worth; for explaining a refusal.
    #[must_use]
    pub fn moment(&self, fields: &impl Fields) -> Option<SystemTime> {
        claim::moment(&self.scheme, fields)
    }

    /// Starts to verify a request: reads what its `head` claims, and takes the head along, so that the proof is about the head
    /// that the claim was read from. `origin` is where the sender believes to send it, `now` the moment that it is judged in.
    ///
    /// # Errors
    /// [`ClaimError`] where there is no claim that could be checked, and the head.
    pub fn receive<H: Signable>(
        &self,
        head: H,
        origin: Option<&str>,
        now: SystemTime,
    ) -> Result<Verification<'_, H>, (ClaimError, H)> {
        let context = Context { method: head.method(), target: head.target(), origin, fields: &head, now };
        match self.claim(&context) {
            Ok(claim) => Ok(self.start(Some(claim), head, now)),
            Err(error) => Err((error, head)),
        }
    }

    /// Starts to verify a claim by itself. What comes of it is no proof of a request, as it has no head.
    ///
    /// Content is hashed under the first secret that still counts while it arrives; under the others only where the
    /// first does not verify. So a good event costs one pass whatever the number of secrets.
    #[must_use]
    pub fn begin(&self, claim: Claim, now: SystemTime) -> Verification<'_, ()> {
        self.start(Some(claim), (), now)
    }

    /// Starts to receive content for which there is no claim, so that it can only end as a [`Mismatch`]: for routes that
    /// observe.
    #[must_use]
    pub fn receive_without_claim<H>(&self, head: H, now: SystemTime) -> Verification<'_, H> {
        self.start(None, head, now)
    }

    fn start<H>(&self, claim: Option<Claim>, head: H, now: SystemTime) -> Verification<'_, H> {
        let streamed = claim.as_ref().filter(|_| *self.scheme.content.content() == Body::Whole);
        let first = streamed.and_then(|_| self.keys.iter().position(|key| key.counts(now)));
        let running = first.and_then(|index| self.keys.get(index)).zip(claim.as_ref());
        let running = running.map(|(key, claim)| key.start(claim));
        Verification { verifier: self, head, claim, now, first, running, content: Vec::new(), hashed: 0 }
    }
}

impl KeyedSecret {
    /// Starts on a message, with what is signed before its content.
    fn start(&self, claim: &Claim) -> Running {
        let mut running = self.mac.start(&claim.tags);
        if let Some(besides) = &claim.besides {
            running.update(&besides.before);
        }
        running
    }

    fn counts(&self, now: SystemTime) -> bool {
        self.not_after.is_none_or(|end| now < end)
    }
}

impl Claim {
    /// Whether a message whose content has been hashed is authentic, once what is signed behind it is hashed, too.
    #[inline]
    fn holds(&self, mut running: Running) -> bool {
        if let Some(besides) = &self.besides {
            running.update(&besides.after);
        }
        running.verifies(&self.tags)
    }
}

/// A claim being checked: the content received so far, and the MAC over it.
#[derive(Debug)]
pub struct Verification<'v, H> {
    verifier: &'v Verifier,
    head: H,
    claim: Option<Claim>,
    now: SystemTime,
    first: Option<usize>,
    running: Option<Running>,
    content: Vec<u8>,
    hashed: usize,
}

impl<'v, H> Verification<'v, H> {
    /// The head of the request.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// How many bytes of content have been received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether no content has been received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// How many bytes of memory the content occupies: never less than its length.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.content.capacity()
    }

    /// Makes the content's memory exactly `capacity` bytes, if it is less.
    pub fn grow_to(&mut self, capacity: usize) {
        if self.content.capacity() == 0 {
            // Most content needs memory once, and to make some is less work than to make it more.
            self.content = Vec::with_capacity(capacity);
        } else {
            self.content.reserve_exact(capacity.saturating_sub(self.content.len()));
        }
    }

    /// Lets `read` append at most `limit` bytes of content, and hashes what it appended while that is still in the cache.
    ///
    /// `read` is given a place to append to, not the bytes before it: what has been hashed cannot be changed.
    pub fn receive<T>(&mut self, limit: usize, read: impl FnOnce(&mut Limit<&mut Vec<u8>>) -> T) -> T {
        let result = read(&mut (&mut self.content).limit(limit));
        self.hash_new();
        result
    }

    /// Appends a piece of content.
    pub fn push(&mut self, piece: &[u8]) {
        self.content.extend_from_slice(piece);
        self.hash_new();
    }

    fn hash_new(&mut self) {
        if let (Some(running), Some(new)) = (&mut self.running, self.content.get(self.hashed..)) {
            running.update(new);
        }
        self.hashed = self.content.len();
    }

    /// All content is there.
    #[must_use]
    pub fn complete(self) -> Check<'v, H> {
        let Self { verifier, head, claim, now, first, running, content, hashed: _ } = self;
        let state = match claim {
            Some(claim) => {
                let holds = running.is_some_and(|running| claim.holds(running));
                match first.and_then(|first| verifier.keys.get(first)) {
                    Some(key) if holds => State::Holds(key),
                    _ => State::trying(verifier, claim, now, first),
                }
            }
            None => State::Fails,
        };
        Check { verifier, head, state, content, now }
    }

    /// Decides at once: [`Self::complete`], and [`Check::finish`].
    ///
    /// # Errors
    /// [`Mismatch`]
    pub fn finish(self) -> Result<AuthenticRequest<'v, H>, Mismatch<H>> {
        self.complete().finish()
    }
}

/// Content that is all there, while it is found out which secret its tag was made with.
///
/// The content was hashed under one secret while it arrived. What further secrets take is done in steps of bounded work, so
/// that whoever has other things to do can do them in between.
#[derive(Debug)]
pub struct Check<'v, H> {
    verifier: &'v Verifier,
    head: H,
    state: State<'v>,
    content: Vec<u8>,
    now: SystemTime,
}

#[derive(Debug)]
enum State<'v> {
    /// The claim holds under this secret.
    Holds(&'v KeyedSecret),
    /// It holds under none.
    Fails,
    /// There are more to be tried.
    Trying(Box<Trial<'v>>),
}

impl<'v> State<'v> {
    /// Apart from the rest, because it is seldom needed.
    #[cold]
    #[inline(never)]
    fn trying(verifier: &'v Verifier, claim: Claim, now: SystemTime, except: Option<usize>) -> Self {
        Trial::of(verifier, claim, now, except).map_or(Self::Fails, |trial| Self::Trying(Box::new(trial)))
    }
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// There is.
    More,
    /// There is not.
    Done,
}

impl<'v, H> Check<'v, H> {
    /// How many bytes of content there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// Goes on for the time that it takes to hash about `budget` bytes.
    #[must_use]
    pub fn step(&mut self, budget: usize) -> Stepped {
        let State::Trying(trial) = &mut self.state else { return Stepped::Done };
        self.state = match trial.step(&self.content, budget).tried {
            Tried::More => return Stepped::More,
            Tried::Holds(key) => State::Holds(key),
            Tried::Fails => State::Fails,
        };
        Stepped::Done
    }

    /// Decides, whatever is left to do for that. On success content, head and proof are one.
    ///
    /// # Errors
    /// [`Mismatch`] if the content's tag is not the claimed one under any secret that counts. It gives everything back.
    pub fn finish(mut self) -> Result<AuthenticRequest<'v, H>, Mismatch<H>> {
        while self.step(usize::MAX) == Stepped::More {}
        let Self { verifier, head, state, content, now } = self;
        match state {
            State::Holds(key) => {
                Ok(AuthenticRequest { verifier, head, content, secret: Arc::clone(&key.name) })
            }
            State::Fails | State::Trying(_) => Err(Mismatch { head, content, now }),
        }
    }
}

/// The proof: a request whose content was made by somebody who has one of the route's secrets.
///
/// Only [`Check::finish`] makes one, and `forward` takes nothing else, so that a forgotten check does not compile.
#[derive(Debug)]
pub struct AuthenticRequest<'v, H> {
    verifier: &'v Verifier,
    head: H,
    content: Vec<u8>,
    secret: Arc<str>,
}

impl<'v, H> AuthenticRequest<'v, H> {
    /// The verifier that it has passed.
    #[must_use]
    pub fn verifier(&self) -> &'v Verifier {
        self.verifier
    }

    /// The head of the request: method, target, fields. Most schemes do not sign it.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// The signed bytes.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The name of the secret that verified.
    #[must_use]
    pub fn secret(&self) -> &Arc<str> {
        &self.secret
    }

    /// Takes it apart, for writing it to an upstream: head and content.
    pub fn into_parts(self) -> (H, Vec<u8>) {
        (self.head, self.content)
    }
}

/// What becomes of a request that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It is forwarded all the same, and reported.
    Observe(Permit),
}

/// The operator's permission to forward what does not verify. A configuration makes one for each route that asks for it, and
/// nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit(());

impl Permit {
    /// The permission that a route's `mode = "observe"` gives.
    #[must_use]
    pub(crate) const fn of_configuration() -> Self {
        Self(())
    }
}

/// A request of a route in observe mode that did not verify, and is to be forwarded all the same.
///
/// Only [`Mismatch::observe`] makes one, and only where the operator's configuration says so.
#[derive(Debug)]
pub struct ObservedRequest<H> {
    head: H,
    content: Vec<u8>,
}

/// What may reach an upstream: nothing else does.
#[derive(Debug)]
pub enum Deliverable<'v, H> {
    /// A request with the proof that it is authentic.
    Authentic(AuthenticRequest<'v, H>),
    /// A request that the operator wants forwarded without one.
    Observed(ObservedRequest<H>),
}

impl<H> Deliverable<'_, H> {
    /// The head.
    pub fn head(&self) -> &H {
        match self {
            Self::Authentic(request) => &request.head,
            Self::Observed(request) => &request.head,
        }
    }

    /// The content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        match self {
            Self::Authentic(request) => &request.content,
            Self::Observed(request) => &request.content,
        }
    }

    /// The name of the secret that verified, if one did.
    #[must_use]
    pub fn secret(&self) -> Option<&Arc<str>> {
        match self {
            Self::Authentic(request) => Some(&request.secret),
            Self::Observed(_) => None,
        }
    }

    /// Whether it is authentic.
    #[must_use]
    pub fn is_authentic(&self) -> bool {
        matches!(self, Self::Authentic(_))
    }

    /// Takes it apart, for writing it to an upstream: head and content.
    pub fn into_parts(self) -> (H, Vec<u8>) {
        match self {
            Self::Authentic(request) => (request.head, request.content),
            Self::Observed(request) => (request.head, request.content),
        }
    }
}

impl<H> Mismatch<H> {
    /// Lets the request pass, as the operator of the route permits.
    #[must_use]
    pub fn observe(self, _permit: Permit) -> ObservedRequest<H> {
        ObservedRequest { head: self.head, content: self.content }
    }
}

/// The content does not verify. What was received comes back, for a diagnosis or to be passed on in observe mode.
#[derive(Debug)]
pub struct Mismatch<H> {
    /// The head, as it was given to [`Check::finish`].
    pub head: H,
    /// The content that does not verify.
    pub content: Vec<u8>,
    /// The moment that it was judged in.
    pub now: SystemTime,
}

pub mod causes;
pub mod secret;
#[cfg(test)]
mod tests;
