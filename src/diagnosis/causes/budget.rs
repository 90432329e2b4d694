//! Pure. The bound on the work and the time of a diagnosis. Guards against requests that are expensive to
//! diagnose.

/// The work that is still allowed, in bytes that are read, written or hashed.
pub struct Work<'w> {
    left: usize,
    done: usize,
    goes_on: &'w mut dyn FnMut() -> bool,
}

/// The error for a diagnosis that takes more than its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp;

impl<'w> Work<'w> {
    /// Allows at most `most` bytes, and only while `goes_on` returns true. `goes_on` is called often: at
    /// least once for every few hundred KiB of hashing.
    pub fn new(most: usize, goes_on: &'w mut dyn FnMut() -> bool) -> Self {
        Self { left: most, done: 0, goes_on }
    }

    /// Counts work that has been done.
    ///
    /// # Errors
    /// [`GivenUp`] if no more work is allowed.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), GivenUp> {
        self.done = self.done.saturating_add(bytes);
        let left = self.left.checked_sub(bytes).filter(|_| (self.goes_on)());
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(GivenUp)
    }

    /// The work done so far.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }
}
