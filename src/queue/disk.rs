//! Shell. The disk of the store: its free bytes, and the ballast.
//!
//! The ballast is a file that only takes room. SQLite needs free room even to delete rows. On a full disk the
//! ballast is removed, and its room is used to record deliveries and to remove delivered events.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, StatVfs, fallocate, statvfs};
use rustix::io::Errno;

use crate::queue::sqlite::{beside, create};

/// The most bytes of the ballast.
const MOST_BALLAST: u64 = 32 << 20;

/// The ballast takes at most this fraction of the store's maximum size, and of its disk: a sixteenth.
const PART: u64 = 16;

/// The least useful size of the ballast. A smaller file would not make enough room.
const LEAST_BALLAST: u64 = 64 << 10;

/// How long a measurement of the free bytes is used.
const FRESH: Duration = Duration::from_millis(200);

/// How many bytes may be stored before the free bytes are measured again.
const STORED: u64 = 16 << 20;

/// Returns the free bytes on the disk of a folder. `None` if the number is not known.
pub type Measure = Box<dyn Fn(&Path) -> Option<u64> + Send>;

/// The disk of a store.
pub struct Disk {
    folder: PathBuf,
    measure: Measure,
    ballast: PathBuf,
    /// The size of the ballast. Zero if there is none.
    size: u64,
    has_ballast: bool,
    /// The free bytes, when they were measured, and how many bytes were stored since then.
    measured: Option<(u64, Instant, u64)>,
}

impl Disk {
    /// The disk of the store at `store`, which may grow to `max_bytes`. Makes the ballast if there is room.
    #[must_use]
    pub fn of(store: &Path, max_bytes: u64) -> Self {
        Self::measured_by(
            store,
            max_bytes,
            Box::new(|folder| statvfs(folder).ok().map(|disk| free_bytes(&disk))),
        )
    }

    /// Like [`Self::of`], with another way to measure the free bytes.
    #[must_use]
    pub fn measured_by(store: &Path, max_bytes: u64, measure: Measure) -> Self {
        let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let total = statvfs(&folder).map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let size = max_bytes.min(total).checked_div(PART).unwrap_or(0).min(MOST_BALLAST);
        let size = if size < LEAST_BALLAST { 0 } else { size };
        let ballast = beside(store, ".ballast");
        let mut disk = Self { folder, measure, ballast, size, has_ballast: false, measured: None };
        disk.restore_ballast(0);
        disk
    }

    /// The free bytes of the disk, measured a short time ago. `None` if the system does not report them.
    pub fn free(&mut self) -> Option<u64> {
        let now = Instant::now();
        let known = self
            .measured
            .filter(|(_, at, stored)| now.saturating_duration_since(*at) < FRESH && *stored < STORED);
        if let Some((free, _, stored)) = known {
            return Some(free.saturating_sub(stored));
        }
        let free = (self.measure)(&self.folder);
        self.measured = free.map(|free| (free, now, 0));
        free
    }

    /// Makes the next query measure the free bytes again.
    pub fn measure_again(&mut self) {
        self.measured = None;
    }

    /// Notes that this many bytes were stored.
    pub fn note_stored(&mut self, bytes: u64) {
        if let Some((_, _, stored)) = &mut self.measured {
            *stored = stored.saturating_add(bytes);
        }
    }

    /// Removes the ballast. Returns whether the removal has made room.
    pub fn free_ballast(&mut self) -> bool {
        self.measured = None;
        std::mem::take(&mut self.has_ballast) && fs::remove_file(&self.ballast).is_ok()
    }

    /// Makes the ballast again, if `min_free` bytes and as many bytes as the ballast stay free. Returns
    /// whether the ballast exists.
    pub fn restore_ballast(&mut self, min_free: u64) -> bool {
        if self.has_ballast || self.size == 0 {
            return true;
        }
        let has_room =
            self.free().is_none_or(|free| free > min_free.saturating_add(self.size.saturating_mul(2)));
        if !has_room {
            return false;
        }
        self.measured = None;
        self.has_ballast = make(&self.ballast, self.size).is_ok();
        if !self.has_ballast {
            // A partly written ballast would only take room.
            let _gone = fs::remove_file(&self.ballast);
        }
        self.has_ballast
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("folder", &self.folder).field("size", &self.size).finish_non_exhaustive()
    }
}

fn free_bytes(disk: &StatVfs) -> u64 {
    disk.f_bavail.saturating_mul(disk.f_frsize)
}

/// Makes a file that takes its full size on disk.
fn make(path: &Path, size: u64) -> io::Result<()> {
    let mut file = create(path)?;
    // An earlier run may have left a ballast of another size.
    file.set_len(0)?;
    match fallocate(&file, FallocateFlags::empty(), 0, size) {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP) => fill(&mut file, size)?,
        Err(error) => return Err(error.into()),
    }
    file.sync_all()
}

fn fill(file: &mut File, size: u64) -> io::Result<()> {
    let block = [0x5a; 64 << 10];
    let mut left = size;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(block.get(..piece).unwrap_or(&block))?;
        left = left.saturating_sub(u64::try_from(piece).unwrap_or(left));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_ballast_takes_blocks_of_the_disk_and_gives_them_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::of(&folder.path().join("events.db"), 16 << 20);
        let ballast = folder.path().join("events.db.ballast");
        let taken = fs::metadata(&ballast).unwrap();
        assert_eq!(taken.len(), 1 << 20);
        assert!(taken.blocks() * 512 >= 1 << 20, "{}", taken.blocks());
        assert_eq!(taken.mode() & 0o777, 0o600);
        assert!(disk.free_ballast() && !ballast.exists());
        assert!(!disk.free_ballast());
        assert!(!disk.restore_ballast(u64::MAX) && !ballast.exists());
        assert!(disk.restore_ballast(0) && ballast.exists());
        // A ballast that an earlier run has left is used again.
        let mut disk = Disk::of(&folder.path().join("events.db"), 32 << 20);
        assert_eq!(fs::metadata(&ballast).unwrap().len(), 2 << 20);
        assert!(disk.free_ballast() && !ballast.exists());
    }

    #[test]
    fn a_small_store_has_no_ballast() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::of(&folder.path().join("events.db"), (1 << 20) - 1);
        assert!(!folder.path().join("events.db.ballast").exists());
        assert!(!disk.free_ballast() && disk.restore_ballast(u64::MAX));
    }

    #[test]
    fn what_was_stored_since_a_measurement_is_no_longer_free() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::of(&folder.path().join("events.db"), 0);
        disk.measured = Some((1_000_000, Instant::now(), 0));
        disk.note_stored(1_000);
        let free = disk.free().unwrap();
        // On a slow machine the measurement may be too old by now. Then the disk was measured again.
        assert!(free == 999_000 || disk.measured.unwrap().2 == 0, "{free}");
    }
}
