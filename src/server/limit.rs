//! Pure. The budget for content held in memory, all connections and workers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes of content may be held at once, and how many are.
#[derive(Debug)]
pub struct Budget {
    max: u64,
    held: AtomicU64,
}

impl Budget {
    /// A budget of `max` bytes, of which none is taken.
    #[must_use]
    pub fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { max, held: AtomicU64::new(0) })
    }

    /// How many bytes are held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// A share of the budget that is empty so far.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }
}

/// The bytes that one request holds of a [`Budget`]. They are given back when the share is dropped, so it has to live as
/// long as the memory it stands for.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Share {
    /// Makes the share `bytes` large, if it is smaller.
    ///
    /// # Errors
    /// [`Exhausted`] if the budget does not have what is missing. The share stays as it is.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else { return Ok(()) };
        let held = self.budget.held.fetch_add(more, Ordering::Relaxed).checked_add(more);
        if held.is_none_or(|held| held > self.budget.max) {
            self.budget.held.fetch_sub(more, Ordering::Relaxed);
            return Err(Exhausted);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// All buffer memory is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_to_its_last_byte_and_given_back_on_drop() {
        let budget = Budget::new(100);
        let (mut a, mut b) = (budget.share(), budget.share());
        assert_eq!(a.grow_to(60), Ok(()));
        assert_eq!(b.grow_to(41), Err(Exhausted));
        assert_eq!(budget.held(), 60);
        assert_eq!(b.grow_to(40), Ok(()));
        assert_eq!(a.grow_to(50), Ok(()), "a share never shrinks");
        assert_eq!(budget.held(), 100);
        assert_eq!(a.grow_to(61), Err(Exhausted));
        drop(a);
        assert_eq!(budget.held(), 40);
        assert_eq!(b.grow_to(100), Ok(()));
        drop(b);
        assert_eq!(budget.held(), 0);
    }
}
