//! Shell. The lock that makes one process the owner of a store.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::queue::sqlite::log_damage::Mark;
use crate::queue::store::OpenError;

/// The mode of every file of a store.
pub(super) const MODE: u32 = 0o600;

/// The ownership of a store. It ends when this value is dropped, or with the process.
///
/// The lock is on a file beside the store. SQLite's own locks are on the store itself. The system would
/// release them if this process opened and closed the store's file once more. The lock file also contains the
/// mark of the log.
#[derive(Debug)]
pub struct OwnerLock {
    path: PathBuf,
    file: File,
}

impl OwnerLock {
    /// Becomes the owner of the store at this path.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process owns the store.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        // The lock file is beside the file to which a link leads, like SQLite's own files.
        let path = &fs::canonicalize(path).unwrap_or_else(|_not_there| path.to_owned());
        let failed = |error: io::Error| OpenError::Failed(path.to_owned(), Box::new(error));
        let file = create(&beside(path, ".lock")).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), file }),
            Err(Errno::WOULDBLOCK) => Err(OpenError::InUse(path.to_owned())),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// The mark of the log, if there is one.
    pub(super) fn mark(&self) -> Option<Mark> {
        let mut bytes = [0; Mark::SIZE];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        Mark::of_bytes(&bytes)
    }

    /// Writes the mark of the log.
    pub(super) fn set_mark(&self, mark: Mark) -> io::Result<()> {
        self.file.write_all_at(&mark.to_bytes(), 0)
    }

    /// The path of the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Releases the lock itself. A lock of the system lives as long as the last descriptor of the file, and a
/// child that was just forked has a copy of each descriptor until its program starts.
impl Drop for OwnerLock {
    fn drop(&mut self) {
        // If this fails, the lock ends with the last descriptor.
        let _with_descriptor = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The path of a file in the folder of the store: the store's name with `ending` added.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Opens a file that only its owner may read, and makes it if it does not exist.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(MODE).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_descriptor_in_a_child_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let lock = OwnerLock::take(&path).unwrap();
        assert!(matches!(OwnerLock::take(&path), Err(OpenError::InUse(_))));
        let of_child = lock.file.try_clone().unwrap();
        drop(lock);
        assert!(OwnerLock::take(&path).is_ok());
        drop(of_child);
    }
}
