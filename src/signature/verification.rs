//! Pure. The verification of a request. The content is hashed as it arrives, and then the tag decides.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::buf::Limit;
use bytes::{BufMut, Bytes};

use super::claim::{Claim, ClaimError, Context};
use super::mac::Running;
use super::public_url::PublicUrls;
use super::signable::Signable;
use super::template::Body;
use super::verifier::{KeyedSecret, Verifier};
use crate::signature::secret_trial::{Trial, Tried};

impl Verifier {
    /// Begins to verify a request by the signature that judges it ([`Self::judge`]): reads the claim of its
    /// `head`. The head is kept, so the proof later
    /// concerns the same head. `origin` are the origins that the sender may send to. `now` is the time at
    /// which the request is verified.
    ///
    /// # Errors
    /// [`ClaimError`] with the head, if there is no well-formed claim.
    pub fn receive<H: Signable>(
        &self,
        head: H,
        origin: Option<&PublicUrls>,
        now: SystemTime,
    ) -> Result<Verification<'_, H>, (ClaimError, H)> {
        let context = Context { method: head.method(), target: head.target(), origin, fields: &head, now };
        let judge = self.judge(&head);
        match judge.claim(&context) {
            Ok(claim) => Ok(judge.start(Some(claim), head, now)),
            Err(error) => Err((error, head)),
        }
    }

    /// Begins to verify a claim alone. The result is no proof of a request, because it has no head.
    ///
    /// Content is hashed under the first valid secret while it arrives. The other secrets are tried only if
    /// the first does not verify the content. So an authentic event usually costs one pass, however many
    /// secrets there are.
    #[must_use]
    pub fn begin(&self, claim: Claim, now: SystemTime) -> Verification<'_, ()> {
        self.start(Some(claim), (), now)
    }

    /// Begins to receive content without a claim, on a route in observe mode. The only possible end is a
    /// [`Mismatch`].
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

/// A claim that is being verified: the content received so far, and the MAC over it.
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

    /// The number of content bytes received so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// The content received so far. Nothing of it is verified.
    #[must_use]
    pub fn unverified_content(&self) -> &[u8] {
        &self.content
    }

    /// Whether no content has been received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// The memory that the content takes, in bytes. At least the length of the content.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.content.capacity()
    }

    /// Grows the content's memory to exactly `capacity` bytes. Never shrinks it.
    pub fn grow_to(&mut self, capacity: usize) {
        if self.content.capacity() == 0 {
            // Most content needs memory only once, and an allocation costs less than a reallocation.
            self.content = Vec::with_capacity(capacity);
        } else {
            self.content.reserve_exact(capacity.saturating_sub(self.content.len()));
        }
    }

    /// Lets `read` append at most `limit` bytes of content. Hashes these bytes while they are in the
    /// processor's cache.
    ///
    /// `read` can only append: it cannot change the bytes that are already hashed.
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

    /// Ends the content, and begins the check.
    #[must_use]
    pub fn complete(self) -> Check<'v, H> {
        let Self { verifier, head, claim, now, first, running, content, hashed: _ } = self;
        let state = match claim {
            // The gateway gives the tag of such content to clients.
            Some(_) if verifier.could_prove(&content) => State::Fails,
            // The border between such content and another signed part is unclear.
            Some(_) if !verifier.scheme.could_sign(&content) => State::Fails,
            Some(claim) => {
                let holds = running.is_some_and(|running| claim.holds(running));
                match first.and_then(|first| verifier.keys.get(first)) {
                    Some(key) if holds => State::Holds(key),
                    _ => match Trial::of(verifier, claim, now, first) {
                        Some(trial) => State::Trying(Box::new(trial)),
                        None => State::Fails,
                    },
                }
            }
            None => State::Unclaimed,
        };
        Check { verifier, head, state, content, now }
    }

    /// Decides immediately: [`Self::complete`], then [`Check::finish`].
    ///
    /// # Errors
    /// [`Mismatch`]
    pub fn finish(self) -> Result<AuthenticRequest<'v, H>, Mismatch<H>> {
        self.complete().finish()
    }
}

/// The check of complete content: it finds the secret that made the tag.
///
/// The content was hashed under one secret while it arrived. Further secrets are tried in steps of bounded
/// work. Between two steps, the caller can do other work.
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
    /// The claim is authentic under this secret.
    Holds(&'v KeyedSecret),
    /// The claim is authentic under no secret.
    Fails,
    /// There is no claim.
    Unclaimed,
    /// There are more secrets to try.
    Trying(Box<Trial<'v>>),
}

/// Whether there is more work to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// There is more work to do.
    More,
    /// The check is done.
    Done,
}

impl<'v, H> Check<'v, H> {
    /// The length of the content in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether the content is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// Works for about the time that hashing `budget` bytes takes.
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

    /// Does the remaining work, and decides. On success, the proof holds the head and the content.
    ///
    /// # Errors
    /// [`Mismatch`] if no valid secret makes the claimed tag from the content, or if the time in the content
    /// is outside its window. It returns the head and the content.
    pub fn finish(mut self) -> Result<AuthenticRequest<'v, H>, Mismatch<H>> {
        while self.step(usize::MAX) == Stepped::More {}
        let Self { verifier, head, state, content, now } = self;
        match state {
            State::Holds(key) => match verifier.check_time_in(&content, now) {
                Ok(()) => Ok(AuthenticRequest {
                    verifier,
                    head,
                    content: content.into(),
                    secret: Arc::clone(&key.name),
                }),
                Err(error) => Err(Mismatch { head, content, now, why: Unverified::Time(error) }),
            },
            State::Fails | State::Trying(_) => Err(Mismatch { head, content, now, why: Unverified::Tag }),
            State::Unclaimed => Err(Mismatch { head, content, now, why: Unverified::Unclaimed }),
        }
    }
}

/// The proof of authenticity: the content was signed with one of the route's secrets.
///
/// Only [`Check::finish`] makes this proof, and forwarding requires it. So code that forgets the check does
/// not compile.
#[derive(Debug)]
pub struct AuthenticRequest<'v, H> {
    verifier: &'v Verifier,
    head: H,
    content: Bytes,
    secret: Arc<str>,
}

impl<'v, H> AuthenticRequest<'v, H> {
    /// The verifier that made the proof.
    #[must_use]
    pub fn verifier(&self) -> &'v Verifier {
        self.verifier
    }

    /// The head of the request: method, target, fields. Most schemes do not sign it.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// The content, which is exactly the signed bytes.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The name of the secret that verified the content.
    #[must_use]
    pub fn secret(&self) -> &Arc<str> {
        &self.secret
    }

    /// The content as shared bytes, without a copy.
    #[must_use]
    pub fn share_content(&self) -> Bytes {
        self.content.clone()
    }

    /// Splits the request into head and content.
    pub fn into_parts(self) -> (H, Bytes) {
        (self.head, self.content)
    }
}

/// The error for content that does not verify. It returns the content, for the diagnosis and for observe
/// mode.
#[derive(Debug)]
pub struct Mismatch<H> {
    /// The head.
    pub head: H,
    /// The content that does not verify.
    pub content: Vec<u8>,
    /// The time at which the request was verified.
    pub now: SystemTime,
    /// Why the content does not verify.
    pub why: Unverified,
}

/// Why content does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// No valid secret makes the claimed tag from the content.
    Tag,
    /// The request was received without a claim.
    Unclaimed,
    /// The tag is right, but the time in the content is malformed or outside its window.
    Time(ClaimError),
}
