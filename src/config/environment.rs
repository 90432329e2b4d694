//! Pure. The interface to the values outside a configuration's file: environment variables, secret files, the
//! number of cores.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

/// The environment in which a configuration is read.
///
/// `load::Machine` reads the environment of the process. [`Fixed`] holds given values.
pub trait Environment {
    /// The value of an environment variable. `None` if the variable is not set.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// The content of a secret's file.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read.
    fn file(&self, path: &Path) -> Result<SecretFile, FileError>;

    /// Whether this process may make and write a store of events at this path.
    ///
    /// # Errors
    /// [`StoreFault`] if it may not.
    fn store(&self, path: &Path) -> Result<(), StoreFault>;

    /// The content of a file with certificates, which may be larger than a secret's.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be read.
    fn certificates(&self, path: &Path) -> Result<SecretFile, FileError>;

    /// The root certificates that the system trusts.
    fn system_roots(&self) -> Vec<CertificateDer<'static>>;

    /// How many threads can run at once.
    fn cores(&self) -> NonZeroUsize;
}

/// Why a process cannot make or write a store of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The store's folder does not exist.
    NoFolder,
    /// The path of the store's folder leads to a file.
    NotFolder,
    /// This user may not write to the store's folder.
    FolderDenied,
    /// The store's disk is mounted without permission to write.
    ReadOnly,
    /// This user may not read and write the existing store.
    Denied,
}

/// Whether a text can be the name of an environment variable (POSIX, section 8.1; lower case is allowed too).
pub(super) fn is_variable_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The content of a secret's file.
#[derive(Clone)]
pub struct SecretFile {
    /// The bytes. They are wiped on drop.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether every user of the machine can read the file.
    pub readable_by_everyone: bool,
}

/// Does not print the bytes, because they are a key.
impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile")
            .field("readable_by_everyone", &self.readable_by_everyone)
            .finish_non_exhaustive()
    }
}

/// Why a secret's file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// There is no such file.
    Missing,
    /// The user of this process may not read the file.
    Denied,
    /// The path is not a regular file. The text says what it is: a directory, a pipe, a device.
    NotFile(&'static str),
    /// The file has more bytes than this limit. No secret is so long.
    TooLarge(usize),
    /// Another error. The text is the system's.
    Other(String),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::Denied => f.write_str("permission denied"),
            Self::NotFile(what) => write!(f, "it is {what}, not a file"),
            Self::TooLarge(limit) => write!(f, "it has more than {limit} bytes"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for FileError {}

/// An environment with given values. For tests, and for configurations that must not depend on the machine.
pub struct Fixed {
    variables: BTreeMap<String, OsString>,
    files: BTreeMap<PathBuf, Result<SecretFile, FileError>>,
    stores: BTreeMap<PathBuf, StoreFault>,
    roots: Vec<CertificateDer<'static>>,
    cores: NonZeroUsize,
}

impl Fixed {
    /// An environment with `cores` cores, without variables and files.
    #[must_use]
    pub fn new(cores: NonZeroUsize) -> Self {
        Self {
            variables: BTreeMap::new(),
            files: BTreeMap::new(),
            stores: BTreeMap::new(),
            roots: Vec::new(),
            cores,
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a file that only its owner can read.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(
            path.into(),
            Ok(SecretFile { bytes: Zeroizing::new(bytes.into()), readable_by_everyone: false }),
        );
        self
    }

    /// Adds a root certificate of the system.
    #[must_use]
    pub fn with_system_root(mut self, certificate: CertificateDer<'static>) -> Self {
        self.roots.push(certificate);
        self
    }

    /// Adds a file that everyone can read.
    #[must_use]
    pub fn with_open_file(mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(
            path.into(),
            Ok(SecretFile { bytes: Zeroizing::new(bytes.into()), readable_by_everyone: true }),
        );
        self
    }

    /// Adds a file that cannot be read.
    #[must_use]
    pub fn with_bad_file(mut self, path: impl Into<PathBuf>, error: FileError) -> Self {
        self.files.insert(path.into(), Err(error));
        self
    }

    /// Adds a path at which a store cannot be made. A store can be made at every other path.
    #[must_use]
    pub fn with_bad_store(mut self, path: impl Into<PathBuf>, fault: StoreFault) -> Self {
        self.stores.insert(path.into(), fault);
        self
    }
}

/// Prints only names, because the values are secrets.
impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixed")
            .field("variables", &self.variables.keys())
            .field("files", &self.files.keys())
            .field("stores", &self.stores)
            .field("cores", &self.cores)
            .finish()
    }
}

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &Path) -> Result<SecretFile, FileError> {
        self.files.get(path).cloned().unwrap_or(Err(FileError::Missing))
    }

    fn store(&self, path: &Path) -> Result<(), StoreFault> {
        self.stores.get(path).map_or(Ok(()), |fault| Err(*fault))
    }

    fn certificates(&self, path: &Path) -> Result<SecretFile, FileError> {
        self.file(path)
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        self.roots.clone()
    }

    fn cores(&self) -> NonZeroUsize {
        self.cores
    }
}
