//! Shell. What was read of a configuration, and whether it would be read again in the same way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use crate::config::Loaded;
use crate::config::load::{self, LoadError, Read};

/// The files of a configuration: gateway.toml, and its secrets' files.
///
/// Of their content only a digest is kept, with a salt of this process: it says whether two contents are the same, and
/// nothing else to anybody.
#[derive(Debug)]
pub struct Watch {
    salt: [u8; 8],
    files: BTreeMap<PathBuf, Seen>,
}

/// What a file was when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    sight: Sight,
    /// The most bytes that are read of it.
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Content([u8; 32]),
    /// Not there, not to be read, too large, or not a file: a pipe is read once, and never again just to look.
    Nothing,
}

impl Default for Watch {
    fn default() -> Self {
        Self { salt: RandomState::new().hash_one(0u8).to_ne_bytes(), files: BTreeMap::new() }
    }
}

impl Watch {
    /// Loads a configuration, and remembers exactly what was read for it. After a failure, files that an earlier
    /// configuration named are remembered as well: they belong to the one in force.
    ///
    /// # Errors
    /// As [`load::load`].
    pub fn load(&mut self, path: &Path) -> Result<Loaded, LoadError> {
        let read = RefCell::new(BTreeMap::new());
        let loaded = load::load_observed(path, &|file: Read<'_>| {
            let content = file.content.filter(|_| is_regular(file.path));
            let sight = content.map_or(Sight::Nothing, |bytes| Sight::Content(self.digest(bytes)));
            read.borrow_mut().insert(file.path.to_owned(), Seen { sight, limit: file.limit });
        });
        let read = read.into_inner();
        match &loaded {
            Ok(_) => self.files = read,
            Err(_) => self.files.extend(read),
        }
        loaded
    }

    /// Whether any of the files is not any more what it was when it was read.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.files.iter().any(|(path, seen)| self.look(path, seen.limit) != seen.sight)
    }

    fn look(&self, path: &Path, limit: usize) -> Sight {
        if !is_regular(path) {
            return Sight::Nothing;
        }
        self.read(path, limit).unwrap_or(Sight::Nothing)
    }

    /// Reads in pieces, which are wiped: no copy of a secret stays behind.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Sight> {
        let more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let mut file = File::open(path)?.take(more);
        let mut digest = self.begin();
        let mut piece = [0; 4096];
        let read = loop {
            match file.read(&mut piece) {
                Ok(0) => break Ok(()),
                Ok(n) => digest.update(piece.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        piece.zeroize();
        read?;
        Ok(if file.limit() == 0 { Sight::Nothing } else { Sight::Content(digest.finalize().into()) })
    }

    fn digest(&self, bytes: &[u8]) -> [u8; 32] {
        self.begin().chain_update(bytes).finalize().into()
    }

    fn begin(&self) -> Sha256 {
        Sha256::new().chain_update(self.salt)
    }
}

fn is_regular(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

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
    fn what_is_read_again_in_the_same_way_has_not_changed() {
        let (folder, config) = folder();
        let mut watch = Watch::default();
        watch.load(&config).unwrap();
        assert!(!watch.has_changed());
        fs::write(&config, CONFIG).unwrap();
        fs::write(folder.path().join("other"), "").unwrap();
        assert!(!watch.has_changed(), "the same content");
        for (name, content) in [("gateway.toml", "#"), ("mounted/key", "0123456789abcdeg")] {
            watch.load(&config).unwrap();
            let path = folder.path().join(name);
            let before = fs::read(&path).unwrap();
            fs::write(&path, content).unwrap();
            assert!(watch.has_changed(), "{name}");
            fs::remove_file(&path).unwrap();
            assert!(watch.has_changed(), "{name}");
            fs::write(&path, before).unwrap();
            assert!(!watch.has_changed(), "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_swapped_behind_a_link_is_noticed() {
        let (folder, config) = folder();
        let mounted = folder.path().join("mounted");
        fs::create_dir(mounted.join("..1")).unwrap();
        fs::rename(mounted.join("key"), mounted.join("..1/key")).unwrap();
        symlink("..1", mounted.join("..data")).unwrap();
        symlink("..data/key", mounted.join("key")).unwrap();
        let mut watch = Watch::default();
        watch.load(&config).unwrap();
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
        watch.load(&config).unwrap();
        fs::write(&config, CONFIG.replace("mounted/key", "later")).unwrap();
        assert!(watch.load(&config).is_err());
        assert!(!watch.has_changed(), "a bad configuration is not read again before it changes");
        fs::write(folder.path().join("later"), "0123456789abcdef").unwrap();
        assert!(watch.has_changed());
        watch.load(&config).unwrap();
        fs::write(folder.path().join("mounted/key"), "of no concern any more").unwrap();
        assert!(!watch.has_changed());
        fs::remove_file(&config).unwrap();
        assert!(watch.load(&config).is_err());
        assert!(!watch.has_changed());
        fs::write(&config, CONFIG).unwrap();
        assert!(watch.has_changed());
    }

    #[test]
    fn what_is_no_file_is_not_read_to_be_looked_at() {
        let (folder, config) = folder();
        fs::remove_file(folder.path().join("mounted/key")).unwrap();
        fs::create_dir(folder.path().join("mounted/key")).unwrap();
        let mut watch = Watch::default();
        assert!(watch.load(&config).is_err());
        assert!(!watch.has_changed());
    }
}
