//! Shell. The place of a store's files: whether their paths still lead to the files that are open.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The paths of open files, and the device and number of each file.
#[derive(Debug)]
pub(super) struct Place(Vec<(PathBuf, (u64, u64))>);

impl Place {
    /// The place of the files that these paths lead to. A path that leads to no file is left out.
    pub(super) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let known = |path: PathBuf| file(&path).map(|file| (path, file));
        Self(paths.into_iter().filter_map(known).collect())
    }

    /// Whether each path leads to the same file as before.
    pub(super) fn is_unchanged(&self) -> bool {
        self.0.iter().all(|(path, known)| file(path).as_ref() == Some(known))
    }
}

fn file(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
