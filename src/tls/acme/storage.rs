//! Shell. The folder with the account, the certificates and their keys.
//!
//! ```text
//! storage/                                   0700
//!   lock                                     held while a process orders
//!   acme-v02.api.letsencrypt.org-directory/  one folder for each authority, 0700
//!     account.json                           0600
//!     hooks.example.com.pem                  chain and key, replaced together, 0600
//!     hooks.example.com.renewal.json         when the authority wants the renewal, 0600
//!     hooks.example.com.failures.json        the orders that have failed in a row, 0600
//! ```
//!
//! A file is written under another name, synchronised and renamed. So a reader finds the whole old file or
//! the whole new file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::bounded_read::{self, ReadError};
use crate::tls::acme::renewal::Renewal;
use crate::tls::acme::schedule::Failures;
use crate::tls::key_pair::KeyPair;

/// The most bytes of a file. A chain with its key has a few KiB.
const MOST_BYTES: usize = 256 << 10;

/// The bytes that are reserved for a certificate.
const RESERVED: usize = 16 << 10;

/// The mode of a folder, and of a file.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The folder of one authority.
#[derive(Clone, Debug)]
pub struct Storage {
    root: PathBuf,
    folder: PathBuf,
}

/// An account with the authority.
#[derive(Serialize, Deserialize)]
pub(crate) struct Account {
    /// The contacts that the authority knows.
    pub(crate) contact: Vec<String>,
    /// The URL and the key of the account.
    pub(crate) credentials: AccountCredentials,
}

/// The right to order. The right ends when the value is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Storage {
    /// The folder `root` for certificates of this authority. This function makes no folder.
    #[must_use]
    pub fn new(root: &Path, directory: &str) -> Self {
        Self { root: root.to_owned(), folder: root.join(folder_name(directory)) }
    }

    /// The certificate for a name with its key. `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is not such a certificate.
    pub fn certificate(&self, domain: &str) -> io::Result<Option<KeyPair>> {
        let Some(bytes) = read(&self.certificate_path(domain))? else { return Ok(None) };
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let pair = KeyPair::read(&bytes, &bytes).map_err(|error| wrong(error.to_string()))?;
        if pair.facts.covers(domain) {
            Ok(Some(pair))
        } else {
            Err(wrong(format!("its certificate is for {}", pair.label)))
        }
    }

    /// Makes sure that a certificate can be kept: writes a file of its size, under the name that
    /// [`Storage::keep_certificate`] writes first. An order whose certificate cannot be kept counts towards
    /// the authority's limits, and gives nothing.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn reserve(&self, domain: &str) -> io::Result<()> {
        self.write_beside(&self.certificate_path(domain), &[0; RESERVED]).map(drop)
    }

    /// Keeps a chain and its key, in PEM.
    ///
    /// # Errors
    /// The system's error. The old file is then still there.
    pub(crate) fn keep_certificate(&self, domain: &str, chain: &str, key: &str) -> io::Result<()> {
        let whole = Zeroizing::new(format!("{}\n{key}", chain.trim_end()).into_bytes());
        self.replace(&self.certificate_path(domain), &whole)
    }

    /// The account. `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn account(&self) -> io::Result<Option<Account>> {
        let Some(bytes) = read(&self.account_path())? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let why = format!("{} is damaged: {error}", self.account_path().display());
            io::Error::new(io::ErrorKind::InvalidData, why)
        })
    }

    /// Keeps an account.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn keep_account(&self, account: &Account) -> io::Result<()> {
        let bytes = Zeroizing::new(serde_json::to_vec(account)?);
        self.replace(&self.account_path(), &bytes)
    }

    /// Forgets the account.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn forget_account(&self) -> io::Result<()> {
        remove(&self.account_path())
    }

    /// The orders of a name that have failed in a row. `None` if the last order did not fail.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn failures(&self, domain: &str) -> io::Result<Option<Failures>> {
        let Some(bytes) = read(&self.failures_path(domain))? else { return Ok(None) };
        Ok(serde_json::from_slice(&bytes).map(Some)?)
    }

    /// Keeps the orders of a name that have failed in a row.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn keep_failures(&self, domain: &str, failures: Failures) -> io::Result<()> {
        self.replace(&self.failures_path(domain), &serde_json::to_vec(&failures)?)
    }

    /// Forgets the orders of a name that have failed.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn forget_failures(&self, domain: &str) -> io::Result<()> {
        remove(&self.failures_path(domain))
    }

    /// What the authority has said about the renewal of a name's certificate. `None` if nothing is kept.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn renewal(&self, domain: &str) -> io::Result<Option<Renewal>> {
        let Some(bytes) = read(&self.renewal_path(domain))? else { return Ok(None) };
        Ok(serde_json::from_slice(&bytes).map(Some)?)
    }

    /// Keeps what the authority has said about the renewal of a name's certificate.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn keep_renewal(&self, domain: &str, renewal: &Renewal) -> io::Result<()> {
        self.replace(&self.renewal_path(domain), &serde_json::to_vec(renewal)?)
    }

    /// Takes the right to order. `None` if another process has it.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub(crate) fn lock(&self) -> io::Result<Option<Lock>> {
        make_folder(&self.root)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = options.open(self.root.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn certificate_path(&self, domain: &str) -> PathBuf {
        self.folder.join(format!("{domain}.pem"))
    }

    fn failures_path(&self, domain: &str) -> PathBuf {
        self.folder.join(format!("{domain}.failures.json"))
    }

    fn renewal_path(&self, domain: &str) -> PathBuf {
        self.folder.join(format!("{domain}.renewal.json"))
    }

    fn account_path(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let other = self.write_beside(path, bytes)?;
        fs::rename(&other, path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Writes a file that is to replace this one. Returns the path of the new file.
    fn write_beside(&self, path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
        make_folder(&self.root)?;
        make_folder(&self.folder)?;
        let other = path.with_added_extension("new");
        // A file that an interrupted process has left may have another mode.
        drop(fs::remove_file(&other));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&other)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        // A partial file would take the room of other files.
        written.inspect_err(|_error| drop(fs::remove_file(&other)))?;
        Ok(other)
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match bounded_read::read_regular(path, MOST_BYTES) {
        Ok(content) => Ok(Some(content.bytes)),
        Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The name of an authority's folder: its URL without the scheme, with `-` in the place of characters that
/// have a meaning in paths.
fn folder_name(directory: &str) -> String {
    let name = directory.strip_prefix("https://").unwrap_or(directory);
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tls::acme::settings::LETS_ENCRYPT;
    use crate::tls::sample::self_signed;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_can_read_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("acme");
        let storage = Storage::new(&root, LETS_ENCRYPT);
        assert!(storage.certificate("a.example").unwrap().is_none());
        assert!(!root.exists(), "reading makes nothing");
        let sample = self_signed(&["a.example"]);
        let _lock = storage.lock().unwrap().unwrap();
        let of_authority = root.join("acme-v02.api.letsencrypt.org-directory");
        for _ in 0..2 {
            storage.keep_certificate("a.example", &sample.cert, &sample.key).unwrap();
            assert!(storage.certificate("a.example").unwrap().unwrap().facts.covers("a.example"));
            assert_eq!((mode(&root), mode(&of_authority)), (0o700, 0o700));
            assert_eq!((mode(&root.join("lock")), mode(&of_authority.join("a.example.pem"))), (0o600, 0o600));
            assert_eq!(fs::read_dir(&of_authority).unwrap().count(), 1, "nothing is left");
            // A file that an interrupted process has left.
            fs::write(of_authority.join("a.example.pem.new"), "").unwrap();
        }
    }

    #[test]
    fn a_file_for_another_name_or_without_a_certificate_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(folder.path(), "https://ca.example/dir");
        let sample = self_signed(&["a.example"]);
        storage.keep_certificate("b.example", &sample.cert, &sample.key).unwrap();
        storage.keep_certificate("c.example", "", "").unwrap();
        assert!(storage.certificate("b.example").is_err() && storage.certificate("c.example").is_err());
    }

    #[test]
    fn a_file_that_was_reserved_is_no_certificate_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(folder.path(), LETS_ENCRYPT);
        storage.reserve("a.example").unwrap();
        assert!(storage.certificate("a.example").unwrap().is_none());
        let sample = self_signed(&["a.example"]);
        storage.keep_certificate("a.example", &sample.cert, &sample.key).unwrap();
        assert!(storage.certificate("a.example").unwrap().is_some());
        let of_authority = folder.path().join("acme-v02.api.letsencrypt.org-directory");
        assert_eq!(fs::read_dir(of_authority).unwrap().count(), 1, "nothing is left");
    }

    #[test]
    fn one_process_at_a_time_orders() {
        let folder = tempfile::tempdir().unwrap();
        let of = |directory| Storage::new(folder.path(), directory);
        let lock = of("https://a.example").lock().unwrap();
        assert!(lock.is_some());
        assert!(of("https://b.example").lock().unwrap().is_none());
        drop(lock);
        assert!(of("https://b.example").lock().unwrap().is_some());
    }
}
