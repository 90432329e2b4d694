//! Shell. Reads files. At most a bounded number of bytes is read, and no read blocks for ever.
//!
//! An ordinary `open` of a named pipe blocks until another process opens the pipe for writing, and a device
//! may have no end. The thread that reloads would be stuck for ever. So every file is opened with
//! `O_NONBLOCK`. Type and content are read from the same descriptor, because another file may get the name in
//! the meantime.
//!
//! The content may be a secret. So the buffer is wiped when it is dropped, and when a larger buffer replaces
//! it.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// How long a pipe may deliver no bytes. Guards against a pipe without a writer. The time is long enough for
/// a program that asks its user a question first.
const PATIENCE: Duration = Duration::from_secs(60);

/// The initial size of the buffer. Most files fit.
const LEAST: usize = 4096;

/// Why a file cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// The path is not a regular file. The text says what it is.
    NotFile(&'static str),
    /// The file has more bytes than this limit.
    TooLarge(usize),
    /// The system's error.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFile(what) => write!(f, "it is {what}, not a file"),
            Self::TooLarge(limit) => write!(f, "it has more than {limit} bytes"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::NotFile(_) | Self::TooLarge(_) => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            ReadError::NotFile(_) | ReadError::TooLarge(_) => Self::other(error),
        }
    }
}

/// The content of a file.
pub struct Content {
    /// The bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The file's metadata.
    pub metadata: Metadata,
}

/// Reads a whole regular file. Such a file can be read again at any time, and a read never waits for another
/// process.
///
/// # Errors
/// [`ReadError`]
pub fn read_regular(path: &Path, limit: usize) -> Result<Content, ReadError> {
    // The path is checked before it is opened: opening a device may have an effect.
    let before = std::fs::metadata(path)?;
    if let Some(what) = special(&before) {
        return Err(ReadError::NotFile(what));
    }
    let (file, metadata) = open(path)?;
    if let Some(what) = special(&metadata) {
        return Err(ReadError::NotFile(what));
    }
    let bytes = read_whole(&file, size(&metadata), limit)?;
    Ok(Content { bytes, metadata })
}

/// Reads a whole file, or a pipe to its end. `-` is standard input. For a file that is read once, on a user's
/// request: a shell may pass the output of a program as a pipe.
///
/// # Errors
/// [`ReadError`]
pub fn read_once(path: &Path, limit: usize) -> Result<Content, ReadError> {
    let (source, metadata) = open_once(path)?;
    let bytes = read_whole(source, size(&metadata), limit)?;
    Ok(Content { bytes, metadata })
}

/// Opens a file, or the reading end of a pipe, with the same rules as [`read_once`].
///
/// # Errors
/// [`ReadError`]
pub fn open_stream(path: &Path) -> Result<impl Read, ReadError> {
    Ok(open_once(path)?.0)
}

fn open_once(path: &Path) -> Result<(Stream, Metadata), ReadError> {
    let (file, metadata) = open(if path == Path::new("-") { Path::new("/dev/stdin") } else { path })?;
    let kind = metadata.file_type();
    if let Some(what) = special(&metadata)
        && !kind.is_fifo()
        && !kind.is_char_device()
    {
        return Err(ReadError::NotFile(what));
    }
    let patience = (!metadata.is_file()).then_some(PATIENCE);
    Ok((Stream { file, patience, begun: false }, metadata))
}

fn open(path: &Path) -> Result<(File, Metadata), ReadError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

/// The type of a file that is not regular. `None` for a regular file.
fn special(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_fifo() {
        Some("a named pipe (FIFO)")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

fn size(metadata: &Metadata) -> usize {
    usize::try_from(metadata.len()).unwrap_or(usize::MAX)
}

/// Reads to the end. `says` is the size in the metadata. A file of /proc, a pipe, or a growing file has more
/// bytes than it says.
fn read_whole(mut from: impl Read, says: usize, limit: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    // One byte above the limit shows that the file is too large.
    let most = limit.saturating_add(1);
    let mut bytes = Zeroizing::new(vec![0; says.saturating_add(1).max(LEAST).min(most)]);
    let mut len: usize = 0;
    loop {
        if len == bytes.len() {
            if len > limit {
                return Err(ReadError::TooLarge(limit));
            }
            let mut larger = Zeroizing::new(vec![0; len.saturating_mul(8).min(most)]);
            if let Some((beginning, _)) = larger.split_at_mut_checked(len) {
                beginning.copy_from_slice(&bytes);
            }
            bytes = larger;
        }
        match from.read(bytes.get_mut(len..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => len = len.saturating_add(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    if len > limit {
        return Err(ReadError::TooLarge(limit));
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// A file, or a pipe that is read with a time limit.
struct Stream {
    file: File,
    /// How long a pipe may deliver no bytes. `None` for a regular file, which never blocks.
    patience: Option<Duration>,
    /// Whether the first bytes or the end have been read.
    begun: bool,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(buffer);
            let Some(patience) = self.patience else { return read };
            match read {
                // A pipe without any bytes so far reads as if it had ended.
                Ok(0) if !self.begun && !buffer.is_empty() => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => {
                    self.begun = true;
                    return read;
                }
            }
            self.wait(patience)?;
            self.begun = true;
        }
    }
}

impl Stream {
    /// Waits until the pipe has bytes, or its last writer closes it.
    fn wait(&self, patience: Duration) -> io::Result<()> {
        let limit = Timespec::try_from(patience).map_err(|_too_long| io::ErrorKind::InvalidInput)?;
        loop {
            let mut polled = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut polled, Some(&limit)) {
                Ok(0) => {
                    let silent = "it is a pipe, and nothing has come from it for";
                    let message = format!("{silent} {} s", patience.as_secs_f64());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    fn fifo(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        path
    }

    fn regular(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
        read_regular(path, limit).map(|content| content.bytes.to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_special_file_is_named_and_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = fifo(&folder);
        let link = folder.path().join("link");
        symlink(&fifo, &link).unwrap();
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (&*fifo, "a named pipe (FIFO)"),
            (&*link, "a named pipe (FIFO)"),
            (folder.path(), "a folder"),
            (&*socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
            (Path::new("/dev/null"), "a device"),
        ] {
            assert_eq!(regular(path, 10), Err(format!("it is {what}, not a file")), "{}", path.display());
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for limit in [0, 1, 10, LEAST - 1, LEAST, LEAST * 9] {
            for length in [0, 1, limit.saturating_sub(1), limit, limit + 1, limit * 3] {
                let content: Vec<u8> = (0..length).map(|at| b'a' + (at % 26) as u8).collect();
                std::fs::write(&path, &content).unwrap();
                let want =
                    if length > limit { Err(ReadError::TooLarge(limit).to_string()) } else { Ok(content) };
                assert_eq!(regular(&path, limit), want, "{length} of {limit}");
                let once = read_once(&path, limit).map(|content| content.bytes.to_vec());
                assert_eq!(once.map_err(|error| error.to_string()), want, "{length} of {limit}");
            }
        }
    }

    #[test]
    fn a_file_larger_than_its_metadata_says_is_read_whole() {
        let path = Path::new("/proc/self/smaps");
        let read = read_regular(path, 1 << 24).unwrap();
        assert_eq!(read.metadata.len(), 0);
        assert!(read.bytes.len() > LEAST && read.bytes.ends_with(b"\n"), "{}", read.bytes.len());
    }

    #[test]
    fn a_pipe_is_read_to_its_end_when_it_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder);
        let writes = path.clone();
        let writer = std::thread::spawn(move || {
            let mut pipe = File::options().write(true).open(writes).unwrap();
            for _ in 0..3 {
                pipe.write_all(&[b'x'; 30_000]).unwrap();
            }
        });
        assert_eq!(read_once(&path, 90_000).unwrap().bytes.len(), 90_000);
        writer.join().unwrap();
        // A shell passes the output of a program like this. The program has ended.
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"all of it").unwrap();
        drop(writer);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        assert_eq!(read_once(Path::new(&path), 100).unwrap().bytes.as_slice(), b"all of it");
    }

    #[test]
    fn waiting_for_a_pipe_without_a_writer_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder);
        let (file, _) = open(&path).unwrap();
        let patience = Duration::from_millis(1);
        let read = read_whole(Stream { file, patience: Some(patience), begun: false }, 0, 10);
        let is_silent =
            |error: &ReadError| error.to_string().ends_with("nothing has come from it for 0.001 s");
        assert!(read.as_ref().is_err_and(is_silent), "{read:?}");
        let _silent = File::options().read(true).write(true).open(&path).unwrap();
        let (file, _) = open(&path).unwrap();
        let read = read_whole(Stream { file, patience: Some(patience), begun: false }, 0, 10);
        assert!(read.as_ref().is_err_and(is_silent), "{read:?}");
    }

    #[test]
    fn a_device_without_an_end_is_read_no_further_than_the_limit() {
        assert!(matches!(read_once(Path::new("/dev/zero"), 100_000), Err(ReadError::TooLarge(100_000))));
        assert!(read_once(Path::new("/dev/null"), 10).unwrap().bytes.is_empty());
    }
}
