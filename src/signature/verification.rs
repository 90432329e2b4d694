//! Pure. The verification of a request: its content is hashed as it comes, then it is decided.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::BufMut;
use bytes::buf::Limit;

use super::claim::{Claim, ClaimError, Context};
use super::fields::Signable;
use super::mac::Running;
use super::template::Body;
use super::trial::{Trial, Tried};
use super::verifier::{KeyedSecret, Verifier};

impl Verifier {
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
