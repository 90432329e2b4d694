//! Shell. The configuration file, the machine it is read on, and the moment.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::Admin;
use super::environment::{Environment, FileError, SecretFile};
use super::file::{Loaded, read, read_admin};
use super::problem::{Report, Style};

/// Reads a configuration file and the secrets it names.
///
/// # Errors
/// [`LoadError`] if the file cannot be read, or if there is an error in it.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    load_observed(path, &|_nobody_asks| {})
}

/// As [`load`], and shows every file that is read to `observer`, also where that fails: first the configuration file, then
/// its secrets'.
///
/// # Errors
/// As [`load`].
pub fn load_observed(path: &Path, observer: &dyn Fn(Read<'_>)) -> Result<Loaded, LoadError> {
    let bytes = File::open(path).and_then(|file| read_whole(file, LARGEST_CONFIG));
    let content = bytes.as_ref().ok().map(|bytes| bytes.as_slice());
    observer(Read { path, content, limit: LARGEST_CONFIG });
    let bytes = bytes.map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
    let text = text(path, &bytes)?;
    let machine = Observed { observer };
    read(&path.to_string_lossy(), text, &machine, SystemTime::now()).map_err(LoadError::Wrong)
}

/// Reads `[admin]` of a configuration file and nothing else of it, and no secret.
///
/// # Errors
/// [`LoadError`] if the file cannot be read, or is wrong there.
pub fn load_admin(path: &Path) -> Result<Option<Admin>, LoadError> {
    let bytes = File::open(path).and_then(|file| read_whole(file, LARGEST_CONFIG));
    let bytes = bytes.map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
    read_admin(&path.to_string_lossy(), text(path, &bytes)?).map_err(LoadError::Wrong)
}

fn text<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str, LoadError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let source = io::Error::new(io::ErrorKind::InvalidData, error);
        LoadError::Unreadable { path: path.to_owned(), source }
    })
}

/// A file that was read.
#[derive(Clone, Copy)]
pub struct Read<'r> {
    /// The file.
    pub path: &'r Path,
    /// What was in it, if it could be read.
    pub content: Option<&'r [u8]>,
    /// The most bytes that it may have.
    pub limit: usize,
}

/// The machine, and somebody who looks on.
struct Observed<'o> {
    observer: &'o dyn Fn(Read<'_>),
}

impl Environment for Observed<'_> {
    fn variable(&self, name: &str) -> Option<OsString> {
        Machine.variable(name)
    }

    fn file(&self, path: &Path) -> Result<SecretFile, FileError> {
        let file = Machine.file(path);
        let content = file.as_ref().ok().map(|file| file.bytes.as_slice());
        (self.observer)(Read { path, content, limit: LARGEST_SECRET });
        file
    }

    fn cores(&self) -> NonZeroUsize {
        Machine.cores()
    }
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There are errors in it.
    Wrong(Report),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } if source.kind() == io::ErrorKind::NotFound => {
                write!(f, "there is no {}\n\n{HOW_TO_START}", path.display())
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

/// What to do where there is no configuration yet.
const HOW_TO_START: &str = "\
to see hookgate at work without one: hookgate demo
to name another file: hookgate --config FILE
to start one, put this into gateway.toml and set PROPIFY_WEBHOOK_SECRET:

    [signature]
    scheme = \"propify\"
    secrets = [{ env = \"PROPIFY_WEBHOOK_SECRET\" }]

    [[routes]]
    path = \"/webhook\"
    upstream = \"http://127.0.0.1:3000\"

every key is explained in the gateway.toml that comes with hookgate";

/// The machine this process runs on.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Environment for Machine {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn file(&self, path: &Path) -> Result<SecretFile, FileError> {
        // What is asked of the opened file is true of what is read: a path may be swapped in between.
        let file = File::open(path).map_err(file_error)?;
        let metadata = file.metadata().map_err(file_error)?;
        if metadata.is_dir() {
            return Err(FileError::Folder);
        }
        let bytes = read_whole(file, LARGEST_SECRET).map_err(file_error)?;
        Ok(SecretFile { bytes, readable_by_everyone: readable_by_everyone(&metadata) })
    }

    fn cores(&self) -> NonZeroUsize {
        std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }
}

/// Reads a file of at most `limit` bytes. What it is read into never moves and is wiped when dropped, so that no copy of a
/// secret stays behind.
fn read_whole(file: File, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // As much memory as the file says it has: it is read again at each reload. A file that says less than it has (a pipe,
    // /proc, one that is being written) is given all that it may have.
    let says = file.metadata().ok().and_then(|metadata| usize::try_from(metadata.len()).ok());
    let says = says.unwrap_or(limit).min(limit);
    let mut bytes = Zeroizing::new(Vec::with_capacity(says.saturating_add(2)));
    let mut file = file.take(one_more_than(says));
    file.read_to_end(&mut bytes)?;
    if bytes.len() > says && says < limit {
        let mut whole = Zeroizing::new(Vec::with_capacity(limit.saturating_add(2)));
        whole.extend_from_slice(&bytes);
        file.set_limit(one_more_than(limit.saturating_sub(bytes.len())));
        file.read_to_end(&mut whole)?;
        bytes = whole;
    }
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

fn one_more_than(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(1)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most kinds of I/O errors are no mistake of the configuration"
)]
fn file_error(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing,
        io::ErrorKind::PermissionDenied => FileError::Denied,
        io::ErrorKind::IsADirectory => FileError::Folder,
        io::ErrorKind::FileTooLarge => FileError::TooLarge(LARGEST_SECRET),
        _ => FileError::Other(error.to_string()),
    }
}

#[cfg(unix)]
fn readable_by_everyone(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn readable_by_everyone(_metadata: &std::fs::Metadata) -> bool {
    false
}

/// No configuration written by a person is larger; what is larger is another file.
const LARGEST_CONFIG: usize = 4 << 20;

/// No secret is larger: the wrong file, or one that never ends, such as /dev/zero.
const LARGEST_SECRET: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_says_how_to_start() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(&folder.path().join("gateway.toml")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("gateway.toml") && text.contains("hookgate demo"), "{text}");
    }

    #[test]
    fn the_file_that_a_missing_one_is_answered_with_is_a_good_one() {
        let example: Vec<&str> = HOW_TO_START.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        let environment = super::super::environment::Fixed::new(NonZeroUsize::MIN)
            .with_variable("PROPIFY_WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef");
        let loaded = read("gateway.toml", &example.join("\n"), &environment, SystemTime::UNIX_EPOCH).unwrap();
        assert!(loaded.report.problems.is_empty());
        assert_eq!(loaded.config.routes.len(), 1);
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
    fn what_is_no_secret_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large");
        std::fs::write(&large, vec![b'x'; LARGEST_SECRET + 1]).unwrap();
        assert_eq!(Machine.file(&large).unwrap_err(), FileError::TooLarge(LARGEST_SECRET));
        std::fs::write(&large, vec![b'x'; LARGEST_SECRET]).unwrap();
        assert_eq!(Machine.file(&large).unwrap().bytes.len(), LARGEST_SECRET);
        assert_eq!(Machine.file(folder.path()).unwrap_err(), FileError::Folder);
        assert_eq!(Machine.file(&folder.path().join("none")).unwrap_err(), FileError::Missing);
    }

    #[test]
    fn a_file_that_says_less_than_it_has_is_read_whole() {
        let says = std::fs::metadata("/proc/self/status").unwrap().len();
        let bytes = Machine.file(Path::new("/proc/self/status")).unwrap().bytes;
        assert!(says == 0 && bytes.starts_with(b"Name:") && bytes.ends_with(b"\n"), "{says}");
        assert_eq!(Machine.file(Path::new("/dev/zero")).unwrap_err(), FileError::TooLarge(LARGEST_SECRET));
        assert!(Machine.file(Path::new("/dev/null")).unwrap().bytes.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_everyone_can_read_is_known_as_such() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        for (mode, want) in [(0o600, false), (0o640, false), (0o644, true), (0o444, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Machine.file(&path).unwrap().readable_by_everyone, want, "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_is_not_text_is_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, b"\xff\xfe").unwrap();
        let text = load(&path).unwrap_err().to_string();
        assert!(text.contains("utf-8"), "{text}");
    }
}
