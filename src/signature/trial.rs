//! Pure. The secrets of a verifier, tried one after the other on content that is all there, in steps of bounded work.
//!
//! Work is counted in bytes that are hashed, and what takes as long as hashing so many counts as much. What is signed of the
//! content is found out once, however many secrets there are.

use std::fmt;
use std::ops::ControlFlow;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::claim::Claim;
use super::form::{Form, Order, Place};
use super::mac::Running;
use super::template::Body;
use super::verifier::{KeyedSecret, Verifier};

/// Secrets that are being tried on a claim.
pub(super) struct Trial<'v> {
    verifier: &'v Verifier,
    claim: Claim,
    now: SystemTime,
    /// The secret that has been tried before, by its number.
    except: Option<usize>,
    /// The number of the next one.
    next: usize,
    signed: Signed,
    under_way: Option<UnderWay<'v>>,
}

/// What is signed of the content.
enum Signed {
    /// All of it.
    Whole,
    /// A form, which has not been read yet.
    Form,
    /// Its pairs, in this order.
    Pairs(Order),
    /// Its digest, which is being computed: so many bytes have been hashed.
    Hashing(Box<Sha256>, usize),
    /// Its digest, and that is right.
    Digest,
}

/// A secret that is being tried.
struct UnderWay<'v> {
    key: &'v KeyedSecret,
    running: Running,
    /// How much of the content has been hashed.
    hashed: usize,
    /// The same of a form.
    place: Place,
}

/// What a step has come to.
pub(super) enum Tried<'v> {
    /// There is more to do.
    More,
    /// The claim holds under this secret.
    Holds(&'v KeyedSecret),
    /// It holds under none.
    Fails,
}

/// A step, and the work that it took.
pub(super) struct Step<'v> {
    pub(super) tried: Tried<'v>,
    pub(super) work: usize,
}

impl<'v> Trial<'v> {
    /// Tries every secret that counts, but the one with this number. `None` if there is none.
    pub(super) fn of(
        verifier: &'v Verifier,
        claim: Claim,
        now: SystemTime,
        except: Option<usize>,
    ) -> Option<Self> {
        let signed = match verifier.scheme.content.content() {
            Body::Whole => Signed::Whole,
            Body::Form => Signed::Form,
            Body::Digest(_) => Signed::Hashing(Box::default(), 0),
        };
        let trial = Self { verifier, claim, now, except, next: 0, signed, under_way: None };
        trial.key_from(0).is_some().then_some(trial)
    }

    /// The first secret to be tried from this number on, and its number.
    fn key_from(&self, number: usize) -> Option<(usize, &'v KeyedSecret)> {
        let mut keys = self.verifier.keys.iter().enumerate().skip(number);
        keys.find(|(index, key)| Some(*index) != self.except && key.counts(self.now))
    }

    /// Goes on for about as much work as `budget` says: it ends within that, or with the step that exceeds it. No such step
    /// takes more than to read a form once, or to begin or to decide with one secret.
    ///
    /// The content must be the same each time.
    pub(super) fn step(&mut self, content: &[u8], budget: usize) -> Step<'v> {
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

    /// The smallest step, and the work that it took.
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
                    // It is not about the content.
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
            Signed::Digest | Signed::Form | Signed::Hashing(..) => 0,
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
                    // The query says it to everybody.
                    let digest: [u8; 32] = std::mem::take(&mut **hash).finalize().into();
                    if self.claim.besides.as_ref().and_then(|besides| besides.digest) != Some(digest) {
                        return (0, fails);
                    }
                    self.signed = Signed::Digest;
                }
                (piece.len(), ControlFlow::Continue(()))
            }
            Signed::Whole | Signed::Pairs(_) | Signed::Digest => {
                let Some((number, key)) = self.key_from(self.next) else { return (0, fails) };
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

/// At most `most` bytes of the content, from this place on.
fn piece(content: &[u8], from: usize, most: usize) -> &[u8] {
    let rest = content.get(from..).unwrap_or_default();
    rest.get(..most).unwrap_or(rest)
}

/// What it takes to begin with a secret, in bytes.
const BEGINNING: usize = 64;

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
