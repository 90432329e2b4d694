//! Pure. Tries a verifier's further secrets on complete content, in steps of bounded work.
//!
//! Work is counted in hashed bytes. Other work counts as the number of bytes that can be hashed in the same
//! time. The signed form of the content is computed only once, for all secrets.

use std::fmt;
use std::ops::ControlFlow;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::signature::claim::Claim;
use crate::signature::form::{Form, Order, Place};
use crate::signature::mac::Running;
use crate::signature::template::Body;
use crate::signature::verifier::{KeyedSecret, Verifier};

/// A trial of several secrets on one claim.
pub(crate) struct Trial<'v> {
    verifier: &'v Verifier,
    claim: Claim,
    now: SystemTime,
    /// The index of the secret that was tried on this claim while the content arrived.
    except: Option<usize>,
    /// The index of the next secret.
    next: usize,
    signed: Signed,
    under_way: Option<UnderWay<'v>>,
}

/// The form in which the content is signed.
enum Signed {
    /// The content is signed unchanged.
    Whole,
    /// The content is signed as a form. It is not parsed yet.
    Form,
    /// The content is signed as a form. Its pairs have this order.
    Pairs(Order),
    /// The content's digest is signed. This many bytes of the content are hashed so far.
    Hashing(Box<Sha256>, usize),
    /// The content's digest is signed, and it is right.
    Digest,
    /// This text is signed instead of the content: its digest.
    Text(String),
}

/// The secret that is being tried.
struct UnderWay<'v> {
    key: &'v KeyedSecret,
    running: Running,
    /// How many bytes of the content are hashed.
    hashed: usize,
    /// The position that has been reached in a form.
    place: Place,
}

/// The result of a step.
pub(crate) enum Tried<'v> {
    /// There is more work to do.
    More,
    /// The claim is authentic under this secret.
    Holds(&'v KeyedSecret),
    /// The claim is authentic under none of the secrets.
    Fails,
}

/// The result of a step, and the work that it took.
pub(crate) struct Step<'v> {
    pub(crate) tried: Tried<'v>,
    pub(crate) work: usize,
}

impl<'v> Trial<'v> {
    /// Tries every valid secret except the one with the index `except`. Then tries every valid secret on the
    /// claims of further sets. `None` if there is nothing to try.
    pub(crate) fn of(
        verifier: &'v Verifier,
        claim: Claim,
        now: SystemTime,
        except: Option<usize>,
    ) -> Option<Self> {
        let signed = match verifier.scheme.content.content() {
            Body::Whole => Signed::Whole,
            Body::Form => Signed::Form,
            Body::Digest(_) | Body::Sha256(_) | Body::Jwt(_) => Signed::Hashing(Box::default(), 0),
        };
        let mut trial = Self { verifier, claim, now, except, next: 0, signed, under_way: None };
        (trial.key_from(0).is_some() || trial.goes_on()).then_some(trial)
    }

    /// Goes on to the claim of the next set, with all secrets. `false` if there is no other set.
    fn goes_on(&mut self) -> bool {
        let Some(next) = self.claim.take_next() else { return false };
        (self.claim, self.except, self.next) = (next, None, 0);
        true
    }

    /// The next secret to try, with its index. The search begins at the index `number`.
    fn key_from(&self, number: usize) -> Option<(usize, &'v KeyedSecret)> {
        let mut keys = self.verifier.keys.iter().enumerate().skip(number);
        keys.find(|(index, key)| Some(*index) != self.except && key.counts(self.now))
    }

    /// Does about `budget` of work. Stops when the trial is done, or after the first small step that exceeds
    /// the budget. A small step does no more than parse a form once, or begin or decide with one secret.
    ///
    /// The content must be the same in every call.
    pub(crate) fn step(&mut self, content: &[u8], budget: usize) -> Step<'v> {
        let mut work: usize = 0;
        loop {
            let left = budget.max(1).saturating_sub(work);
            if left == 0 {
                return Step { tried: Tried::More, work };
            }
            let (done, outcome) = self.advance(content, left);
            work = work.saturating_add(done);
            if let ControlFlow::Break(tried) = outcome {
                return Step { tried, work };
            }
        }
    }

    /// Does one small step. Returns its work.
    fn advance(&mut self, content: &[u8], most: usize) -> (usize, ControlFlow<Tried<'v>>) {
        let go_on = ControlFlow::Continue(());
        let Some(UnderWay { key, running, hashed, place }) = &mut self.under_way else {
            return self.begin(content, most);
        };
        let key = *key;
        let work = match &self.signed {
            Signed::Whole => {
                let passes = running.passes();
                let piece = match most.checked_div(passes) {
                    Some(most) => piece(content, *hashed, most.max(1)),
                    // A token does not depend on the content.
                    None => &[],
                };
                running.update(piece);
                *hashed = hashed.saturating_add(piece.len());
                piece.len().saturating_mul(passes)
            }
            Signed::Pairs(order) => {
                let (read, decoded) = order.next(content, place, most);
                running.update(&decoded);
                read.saturating_mul(running.passes().max(1))
            }
            Signed::Text(text) if *hashed == 0 => {
                running.update(text.as_bytes());
                *hashed = text.len();
                text.len().saturating_mul(running.passes().max(1))
            }
            Signed::Digest | Signed::Text(_) | Signed::Form | Signed::Hashing(..) => 0,
        };
        if work > 0 {
            return (work, go_on);
        }
        let Some(UnderWay { running, .. }) = self.under_way.take() else { return (0, go_on) };
        let behind = self.claim.besides.as_ref().map_or(0, |besides| besides.after.len());
        let work = behind.saturating_add(running.weight(&self.claim.tags));
        if self.claim.holds(running) { (work, ControlFlow::Break(Tried::Holds(key))) } else { (work, go_on) }
    }

    /// Begins with the content, or with the next secret.
    fn begin(&mut self, content: &[u8], most: usize) -> (usize, ControlFlow<Tried<'v>>) {
        let fails = ControlFlow::Break(Tried::Fails);
        match &mut self.signed {
            Signed::Form => {
                let Some(form) = Form::read(content) else { return (content.len(), fails) };
                self.signed = Signed::Pairs(form.order());
                (content.len().max(1), ControlFlow::Continue(()))
            }
            Signed::Hashing(hash, hashed) => {
                let piece = piece(content, *hashed, most);
                hash.update(piece);
                *hashed = hashed.saturating_add(piece.len());
                if piece.is_empty() {
                    // The digest is not secret, because the query contains it.
                    let digest: [u8; 32] = std::mem::take(&mut **hash).finalize().into();
                    self.signed = match self.verifier.scheme.content.content() {
                        Body::Sha256(encoding) => Signed::Text(encoding.write(&digest)),
                        Body::Whole | Body::Form | Body::Digest(_) | Body::Jwt(_) => {
                            if self.claim.besides.as_ref().and_then(|besides| besides.digest) != Some(digest)
                            {
                                return (0, fails);
                            }
                            Signed::Digest
                        }
                    };
                }
                (piece.len(), ControlFlow::Continue(()))
            }
            Signed::Whole | Signed::Pairs(_) | Signed::Digest | Signed::Text(_) => {
                let Some((number, key)) = self.key_from(self.next) else {
                    return if self.goes_on() { (BEGINNING, ControlFlow::Continue(())) } else { (0, fails) };
                };
                self.next = number.saturating_add(1);
                let before = self.claim.besides.as_ref().map_or(0, |besides| besides.before.len());
                let running = key.start(&self.claim);
                let work = before.saturating_mul(running.passes()).saturating_add(BEGINNING);
                self.under_way = Some(UnderWay { key, running, hashed: 0, place: Place::default() });
                (work, ControlFlow::Continue(()))
            }
        }
    }
}

/// At most `most` bytes of the content, from the offset `from`.
fn piece(content: &[u8], from: usize, most: usize) -> &[u8] {
    let rest = content.get(from..).unwrap_or_default();
    rest.get(..most).unwrap_or(rest)
}

/// The work of beginning with a secret, in bytes.
const BEGINNING: usize = 64;

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
