//! Shell. Digests of the files that a configuration was read from. They detect changes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::config::Loaded;
use crate::config::bounded_read::{self, ReadError};
use crate::config::load::{self, LoadError, Read, Seen, Source};
use crate::signature::secret::wipe_stack;

/// The files of a configuration: gateway.toml and the files of its secrets.
///
/// Only a digest of each content is kept. The digests have a salt that only this process has. A digest shows
/// whether two contents are the same, and nothing else.
#[derive(Debug)]
pub struct Watch {
    salt: [u8; 8],
    files: BTreeMap<PathBuf, Known>,
}

/// The state of a file when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    sight: Sight,
    /// The most bytes of the file that are read.
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Content([u8; 32]),
    /// There is no file, or it is too large or not a regular file.
    Nothing,
    /// The file could not be read.
    Unknown,
}

/// The result of comparing the files with their remembered state.
#[derive(Debug)]
pub enum Look {
    /// No file has changed.
    Same,
    /// This file has changed.
    Changed(PathBuf),
    /// No readable file has changed, but this file cannot be read.
    Unreadable(PathBuf, ReadError),
}

impl Default for Watch {
    fn default() -> Self {
        Self { salt: RandomState::new().hash_one(0u8).to_ne_bytes(), files: BTreeMap::new() }
    }
}

impl Watch {
    /// Loads a configuration, and remembers the files that were read for it. If that fails, the files of the
    /// current configuration stay remembered as well.
    ///
    /// # Errors
    /// The errors of [`load::load`].
    pub fn load(&mut self, path: &Path, source: Source) -> Result<Loaded, LoadError> {
        let read = RefCell::new(BTreeMap::new());
        let loaded = load::load_observed(path, source, &|file: Read<'_>| {
            let sight = self.sight(file.seen);
            read.borrow_mut().insert(file.path.to_owned(), Known { sight, limit: file.limit });
        });
        wipe_stack();
        let read = read.into_inner();
        match &loaded {
            Ok(_) => self.files = read,
            Err(_) => self.files.extend(read),
        }
        loaded
    }

    /// Compares every file with its remembered state. A file that cannot be read now does not count as
    /// changed: the process may lack a descriptor, for example.
    #[must_use]
    pub fn look(&self) -> Look {
        let look = self.look_at_all();
        wipe_stack();
        look
    }

    fn look_at_all(&self) -> Look {
        let mut unreadable = None;
        for (path, known) in &self.files {
            let read = bounded_read::read_regular(path, known.limit);
            let sight = self.sight(Seen::of(&read));
            match read {
                Err(error) if sight == Sight::Unknown => {
                    unreadable = Some(Look::Unreadable(path.clone(), error));
                }
                Ok(_) | Err(_) if sight != known.sight => return Look::Changed(path.clone()),
                Ok(_) | Err(_) => {}
            }
        }
        unreadable.unwrap_or(Look::Same)
    }

    fn sight(&self, seen: Seen<'_>) -> Sight {
        match seen {
            Seen::Content(bytes) => Sight::Content(self.digest(bytes)),
            Seen::Nothing => Sight::Nothing,
            Seen::Unknown => Sight::Unknown,
        }
    }

    /// Computes the digest of bytes. The hash is not moved after it has read a secret. It holds up to a block
    /// of the secret, and a move would leave a copy behind. It is wiped on drop.
    fn digest(&self, bytes: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        hash.update(bytes);
        hash.finalize_reset().into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    impl Watch {
        fn has_changed(&self) -> bool {
            matches!(self.look(), Look::Changed(_))
        }
    }

    const CONFIG: &str = "signature = { scheme = \"propify\", secrets = [{ file = \"mounted/key\" }] }\n\
                          routes = [{ path = \"/\", upstream = \"http://127.0.0.1:3000\" }]\n";

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("mounted")).unwrap();
        fs::write(folder.path().join("mounted/key"), "0123456789abcdef").unwrap();
        let config = folder.path().join("gateway.toml");
        fs::write(&config, CONFIG).unwrap();
        (folder, config)
    }

    #[test]
    fn a_file_with_the_same_content_has_not_changed() {
        let (folder, config) = folder();
        let mut watch = Watch::default();
        watch.load(&config, Source::File).unwrap();
        assert!(!watch.has_changed());
        fs::write(&config, CONFIG).unwrap();
        fs::write(folder.path().join("other"), "").unwrap();
        assert!(!watch.has_changed(), "the same content");
        for (name, content) in [("gateway.toml", "#"), ("mounted/key", "0123456789abcdeg")] {
            watch.load(&config, Source::File).unwrap();
            let path = folder.path().join(name);
            let before = fs::read(&path).unwrap();
            fs::write(&path, content).unwrap();
            assert!(matches!(watch.look(), Look::Changed(changed) if changed == path), "{name}");
            fs::remove_file(&path).unwrap();
            assert!(watch.has_changed(), "{name}");
            fs::write(&path, before).unwrap();
            assert!(!watch.has_changed(), "{name}");
        }
    }

    #[test]
    fn a_directory_swapped_behind_a_symbolic_link_is_noticed() {
        let (folder, config) = folder();
        let mounted = folder.path().join("mounted");
        fs::create_dir(mounted.join("..1")).unwrap();
        fs::rename(mounted.join("key"), mounted.join("..1/key")).unwrap();
        symlink("..1", mounted.join("..data")).unwrap();
        symlink("..data/key", mounted.join("key")).unwrap();
        let mut watch = Watch::default();
        watch.load(&config, Source::File).unwrap();
        assert!(!watch.has_changed());
        fs::create_dir(mounted.join("..2")).unwrap();
        fs::write(mounted.join("..2/key"), "fedcba9876543210").unwrap();
        symlink("..2", mounted.join("..data_tmp")).unwrap();
        fs::rename(mounted.join("..data_tmp"), mounted.join("..data")).unwrap();
        assert!(watch.has_changed());
    }

    #[test]
    fn a_file_that_was_missing_is_noticed_when_it_comes() {
        let (folder, config) = folder();
        let mut watch = Watch::default();
        watch.load(&config, Source::File).unwrap();
        fs::write(&config, CONFIG.replace("mounted/key", "later")).unwrap();
        assert!(watch.load(&config, Source::File).is_err());
        assert!(!watch.has_changed(), "a bad configuration is not read again before it changes");
        fs::write(folder.path().join("later"), "0123456789abcdef").unwrap();
        assert!(watch.has_changed());
        watch.load(&config, Source::File).unwrap();
        fs::write(folder.path().join("mounted/key"), "of no concern any more").unwrap();
        assert!(!watch.has_changed());
        fs::remove_file(&config).unwrap();
        assert!(watch.load(&config, Source::File).is_err());
        assert!(!watch.has_changed());
        fs::write(&config, CONFIG).unwrap();
        assert!(watch.has_changed());
    }

    #[test]
    fn a_path_that_is_not_a_regular_file_is_not_read() {
        let (folder, config) = folder();
        fs::remove_file(folder.path().join("mounted/key")).unwrap();
        fs::create_dir(folder.path().join("mounted/key")).unwrap();
        let mut watch = Watch::default();
        assert!(watch.load(&config, Source::File).is_err());
        assert!(!watch.has_changed());
    }

    #[test]
    fn a_file_that_cannot_be_read_has_not_changed_for_that() {
        let (folder, config) = folder();
        let mut watch = Watch::default();
        watch.load(&config, Source::File).unwrap();
        let key = folder.path().join("mounted/key");
        fs::remove_file(&key).unwrap();
        symlink("key", &key).unwrap();
        let look = watch.look();
        assert!(matches!(&look, Look::Unreadable(path, _) if *path == key), "{look:?}");
        assert!(watch.load(&config, Source::File).is_err());
        assert!(matches!(watch.look(), Look::Unreadable(..)), "it is not loaded again and again");
        fs::remove_file(&key).unwrap();
        fs::write(&key, "0123456789abcdef").unwrap();
        assert!(watch.has_changed(), "the last load has not seen it");
        watch.load(&config, Source::File).unwrap();
        assert!(matches!(watch.look(), Look::Same));
    }
}
