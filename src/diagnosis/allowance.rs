//! Pure. Allowance: a number of tokens that limits how often something is done. The owner gives a used token back after some
//! time.

use std::sync::atomic::{AtomicU32, Ordering};

/// The tokens that are left.
#[derive(Debug)]
pub struct Allowance(AtomicU32);

impl Allowance {
    /// An allowance of this many tokens.
    #[must_use]
    pub fn of(tokens: u32) -> Self {
        Self(AtomicU32::new(tokens))
    }

    /// Whether no token is left. Costs one comparison.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Takes a token; `false` if none is left.
    #[must_use]
    pub fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        !self.is_spent() && self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Gives back a token that was taken.
    pub fn give_back(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_taken_than_there_are_whoever_takes_them() {
        let allowance = Allowance::of(5);
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..100).filter(|_| allowance.take()).count())).collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, 5);
        assert!(allowance.is_spent() && !allowance.take());
        allowance.give_back();
        assert!(!allowance.is_spent() && allowance.take() && allowance.is_spent());
    }
}
