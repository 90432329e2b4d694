//! Pure. How much a diagnosis may do, and for how long: what is diagnosed is a stranger's.

use std::fmt;

/// Work that may still be done, counted in bytes that are read, written or hashed.
pub struct Work<'w> {
    left: usize,
    done: usize,
    goes_on: &'w mut dyn FnMut() -> bool,
}

/// There is more to try than may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp;

impl<'w> Work<'w> {
    /// At most so many bytes, and as long as `goes_on` says so. That is asked often: in the time that it takes to hash some
    /// hundred KiB.
    pub fn new(most: usize, goes_on: &'w mut dyn FnMut() -> bool) -> Self {
        Self { left: most, done: 0, goes_on }
    }

    /// Takes note of work that has been done.
    ///
    /// # Errors
    /// [`GivenUp`] if no more may follow.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), GivenUp> {
        self.done = self.done.saturating_add(bytes);
        let left = self.left.checked_sub(bytes).filter(|_| (self.goes_on)());
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(GivenUp)
    }

    /// How much has been done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("left", &self.left).field("done", &self.done).finish_non_exhaustive()
    }
}
