//! Shell. Loads a configuration file with the environment of this process and the current time.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::Address;
use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::environment::{Environment, FileError, SecretFile, StoreFault};
use super::problem::{Report, Style};
use crate::config::bounded_read::{self, Content, ReadError};
use crate::config::other_format::not_utf8;
use crate::config::reader::{Loaded, read, read_admin};

/// Reads a configuration file and the secrets that it names. The file may be a pipe. `-` is standard input.
///
/// # Errors
/// [`LoadError`] if the file cannot be read, or if it has an error.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    load_observed(path, Source::FileOrPipe, &|_read| {})
}

/// Loads as [`load`] does, and shows every file that it reads to `observer`: first the configuration file,
/// then the files of its secrets. The observer sees the files even if loading fails.
///
/// # Errors
/// The errors of [`load`].
pub fn load_observed(path: &Path, source: Source, observer: &dyn Fn(Read<'_>)) -> Result<Loaded, LoadError> {
    let content = match source {
        Source::FileOrPipe => bounded_read::read_once(path, LARGEST_CONFIG),
        Source::File => bounded_read::read_regular(path, LARGEST_CONFIG),
    };
    observer(Read { path, seen: Seen::of(&content), limit: LARGEST_CONFIG });
    let content = content.map_err(|error| unreadable(path, error))?;
    let machine = Machine { observer };
    let text = text(path, &content.bytes)?;
    read(&path.to_string_lossy(), text, &machine, SystemTime::now()).map_err(LoadError::Wrong)
}

/// How a running gateway's admin listener is reached.
#[derive(Debug)]
pub struct AdminListener {
    /// The addresses of the listener.
    pub listen: Vec<Address>,
    /// The certificate that the listener shows. `None` if the listener speaks plain HTTP.
    pub certificate: Option<CertificateDer<'static>>,
}

/// Reads only `[admin]` of a configuration file, and none of its secrets. `None` if the admin listener is
/// off.
///
/// # Errors
/// [`LoadError`] if the file or the certificate cannot be read, or `[admin]` has an error.
pub fn load_admin(path: &Path) -> Result<Option<AdminListener>, LoadError> {
    let content = bounded_read::read_once(path, LARGEST_CONFIG).map_err(|error| unreadable(path, error))?;
    let text = text(path, &content.bytes)?;
    let Some(admin) = read_admin(&path.to_string_lossy(), text).map_err(LoadError::Wrong)? else {
        return Ok(None);
    };
    let certificate = admin.certificate.as_deref().map(certificate).transpose()?;
    Ok(Some(AdminListener { listen: admin.listen, certificate }))
}

/// The first certificate of a file.
fn certificate(path: &Path) -> Result<CertificateDer<'static>, LoadError> {
    let content =
        bounded_read::read_regular(path, MOST_CERTIFICATES).map_err(|error| unreadable(path, error))?;
    CertificateDer::from_pem_slice(&content.bytes).map_err(|_what| {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it has no certificate in PEM");
        LoadError::Unreadable { path: path.to_owned(), source }
    })
}

fn text<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str, LoadError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let why = not_utf8(bytes, error.valid_up_to());
        let source = io::Error::new(io::ErrorKind::InvalidData, why);
        LoadError::Unreadable { path: path.to_owned(), source }
    })
}

fn unreadable(path: &Path, error: ReadError) -> LoadError {
    LoadError::Unreadable { path: path.to_owned(), source: error.into() }
}

/// The kinds of configuration file that a caller allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A regular file or a pipe. A pipe can be read only once, so this is for reading on a user's request.
    FileOrPipe,
    /// Only a regular file, which can be read again. This is for a reload.
    File,
}

/// A file that the process has read, or has tried to read.
#[derive(Clone, Copy)]
pub struct Read<'r> {
    /// The file.
    pub path: &'r Path,
    /// What the process found at the path.
    pub seen: Seen<'r>,
    /// The most bytes that the file may have.
    pub limit: usize,
}

/// What the process found at a file's path.
#[derive(Clone, Copy)]
pub enum Seen<'r> {
    /// The content of a regular file.
    Content(&'r [u8]),
    /// No file, a file that is not regular, or a file that is too large.
    Nothing,
    /// Unknown: the process has no free descriptor, or no permission.
    Unknown,
}

impl<'r> Seen<'r> {
    /// Converts the result of reading a file.
    #[must_use]
    pub fn of(read: &'r Result<Content, ReadError>) -> Self {
        match read {
            Ok(content) if content.metadata.is_file() => Self::Content(&content.bytes),
            // A pipe is read only once, so it is never read again for a comparison.
            Ok(_) | Err(ReadError::NotFile(_) | ReadError::TooLarge(_)) => Self::Nothing,
            Err(ReadError::Io(error)) if is_absence(error) => Self::Nothing,
            Err(ReadError::Io(_)) => Self::Unknown,
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The environment of this process, with an observer of every file that is read.
struct Machine<'o> {
    observer: &'o dyn Fn(Read<'_>),
}

impl Environment for Machine<'_> {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn file(&self, path: &Path) -> Result<SecretFile, FileError> {
        let content = bounded_read::read_regular(path, LARGEST_SECRET);
        (self.observer)(Read { path, seen: Seen::of(&content), limit: LARGEST_SECRET });
        secret_file(content)
    }

    fn store(&self, path: &Path) -> Result<(), StoreFault> {
        // SQLite makes further files beside the store, so the folder must be writable even if the store is
        // there.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match std::fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_file) => return Err(StoreFault::NotFolder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreFault::NoFolder),
            Err(error) if is_absence(&error) => return Err(StoreFault::NotFolder),
            Err(_denied) => return Err(StoreFault::FolderDenied),
        }
        match access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => {}
            Err(Errno::ROFS) => return Err(StoreFault::ReadOnly),
            Err(_denied) => return Err(StoreFault::FolderDenied),
        }
        match access(path, Access::READ_OK | Access::WRITE_OK) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(_denied) => Err(StoreFault::Denied),
        }
    }

    fn certificates(&self, path: &Path) -> Result<SecretFile, FileError> {
        let content = bounded_read::read_regular(path, MOST_CERTIFICATES);
        (self.observer)(Read { path, seen: Seen::of(&content), limit: MOST_CERTIFICATES });
        secret_file(content)
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        rustls_native_certs::load_native_certs().certs
    }

    fn cores(&self) -> NonZeroUsize {
        std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }
}

/// Why no configuration was loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Unreadable {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file has errors.
    Wrong(Report),
}

impl LoadError {
    /// Whether the error is that this file does not exist.
    #[must_use]
    pub fn is_missing(&self, file: &Path) -> bool {
        match self {
            Self::Unreadable { path, source } => path == file && source.kind() == io::ErrorKind::NotFound,
            Self::Wrong(_) => false,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } if source.kind() == io::ErrorKind::NotFound => {
                write!(f, "there is no {}", path.display())
            }
            Self::Unreadable { path, source } => write!(f, "{} cannot be read: {source}", path.display()),
            Self::Wrong(report) => f.write_str(report.render(Style::Plain).trim_end()),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Wrong(_) => None,
        }
    }
}

fn secret_file(read: Result<Content, ReadError>) -> Result<SecretFile, FileError> {
    let Content { bytes, metadata } = read.map_err(file_error)?;
    Ok(SecretFile { bytes, readable_by_everyone: readable_by_everyone(&metadata) })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most kinds of I/O errors are no mistake of the configuration"
)]
fn file_error(error: ReadError) -> FileError {
    match error {
        ReadError::NotFile(what) => FileError::NotFile(what),
        ReadError::TooLarge(limit) => FileError::TooLarge(limit),
        ReadError::Io(error) => match error.kind() {
            io::ErrorKind::NotFound => FileError::Missing,
            io::ErrorKind::PermissionDenied => FileError::Denied,
            _ => FileError::Other(error.to_string()),
        },
    }
}

fn readable_by_everyone(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

/// The most bytes of a configuration file. A larger file is the wrong file.
const LARGEST_CONFIG: usize = 4 << 20;

/// The most bytes of a secret's file. A larger file is the wrong file.
const LARGEST_SECRET: usize = 64 << 10;

/// The most bytes of a file with certificates: all roots of a system are a few hundred KiB.
const MOST_CERTIFICATES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine<'_> = Machine { observer: &|_read| {} };

    #[test]
    fn a_missing_file_is_told_from_a_file_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        let error = load(&path).unwrap_err();
        assert!(error.is_missing(&path) && !error.is_missing(folder.path()));
        assert_eq!(error.to_string(), format!("there is no {}", path.display()));
        assert!(!load(folder.path()).unwrap_err().is_missing(folder.path()));
    }

    #[test]
    fn a_secret_is_read_from_a_file_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gateway.toml");
        std::fs::write(folder.path().join("propify"), "0123456789abcdef0123456789abcdef\n").unwrap();
        std::fs::write(
            &config,
            "signature = { scheme = \"propify\", secrets = [{ file = \"propify\" }] }\n\
             routes = [{ path = \"/\", upstream = \"http://127.0.0.1:3000\" }]\n",
        )
        .unwrap();
        let loaded = load(&config).unwrap();
        assert!(loaded.report.problems.iter().any(|problem| problem.code == "secret_newline"));
    }

    #[test]
    fn a_path_that_is_not_a_secrets_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large");
        std::fs::write(&large, vec![b'x'; LARGEST_SECRET + 1]).unwrap();
        assert_eq!(MACHINE.file(&large).unwrap_err(), FileError::TooLarge(LARGEST_SECRET));
        std::fs::write(&large, vec![b'x'; LARGEST_SECRET]).unwrap();
        assert_eq!(MACHINE.file(&large).unwrap().bytes.len(), LARGEST_SECRET);
        assert_eq!(MACHINE.file(folder.path()).unwrap_err(), FileError::NotFile("a folder"));
        assert_eq!(MACHINE.file(&folder.path().join("none")).unwrap_err(), FileError::Missing);
    }

    #[test]
    fn a_store_needs_a_folder_that_this_process_may_write_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| MACHINE.store(&folder.path().join(name));
        assert_eq!(at("events.db"), Ok(()));
        assert_eq!(at("none/events.db"), Err(StoreFault::NoFolder));
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(at("file/events.db"), Err(StoreFault::NotFolder));
        assert_eq!(at("file"), Ok(()), "a store that is there");
        assert_eq!(MACHINE.store(Path::new("events.db")), Ok(()), "the folder of this process");
    }

    #[test]
    fn a_configuration_that_is_not_a_file_is_reported_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let text = load(folder.path()).unwrap_err().to_string();
        assert!(text.ends_with(" cannot be read: it is a folder, not a file"), "{text}");
        let error = load_observed(Path::new("/dev/null"), Source::File, &|_| {}).unwrap_err();
        assert_eq!(error.to_string(), "/dev/null cannot be read: it is a device, not a file");
    }

    #[test]
    fn a_file_that_everyone_can_read_is_known_as_such() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        for (mode, want) in [(0o600, false), (0o640, false), (0o644, true), (0o444, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(MACHINE.file(&path).unwrap().readable_by_everyone, want, "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_is_not_text_is_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, b"\xff\xfe").unwrap();
        let text = load(&path).unwrap_err().to_string();
        assert!(text.contains("UTF-16"), "{text}");
        std::fs::write(&path, b"# a\n# M\xfcller\n").unwrap();
        let text = load(&path).unwrap_err().to_string();
        assert!(text.contains("line 2") && text.contains("Latin-1"), "{text}");
    }
}
