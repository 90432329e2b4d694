//! Shell. Listeners for the configured addresses: newly bound or inherited.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};
use tokio::runtime::Handle;

use crate::config::{Address, Server, Sharing};
use crate::listen::inherit::Inherited;
use crate::listen::listener::{Listener, Queue, SocketFile};
use crate::runtime::error::StartError;

/// Bytes of responses that the kernel buffers for a connection beyond those in flight.
const UNSENT: u32 = 128 * 1024;

/// Length of the kernel's accept queue of each listener.
const BACKLOG: u32 = 4096;

/// An address that is bound or inherited, before it listens.
#[derive(Debug)]
pub(crate) enum Claim {
    /// One socket for each worker. The kernel distributes connections among them (`SO_REUSEPORT`).
    Tcp(SocketAddr, Vec<TcpSocket>),
    /// One socket for all workers, under a temporary name until it listens.
    Unix { name: PathBuf, found: Found, socket: UnixSocket, temporary: SocketFile, at: PathBuf },
    /// One socket for all workers that already listens.
    Inherited(Inherited),
}

/// What exists at the path of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// A stale socket, or one that `reuse_port` allows to replace.
    Replaceable,
}

/// Binds every address. Inherited sockets replace all addresses of the configuration.
///
/// # Errors
/// [`StartError::Bind`]
pub(crate) fn claim(server: &Server, inherited: Vec<Inherited>) -> Result<Vec<Claim>, StartError> {
    if !inherited.is_empty() {
        return Ok(inherited.into_iter().map(Claim::Inherited).collect());
    }
    let claimed = server.listen.iter().map(|address| {
        match address {
            Address::Tcp(address) => tcp(*address, server.workers.get(), server.sharing),
            Address::Unix(path) => unix(path, server.unix_mode, server.sharing),
        }
        .map_err(|error| StartError::Bind(address.clone(), error))
    });
    claimed.collect()
}

impl Claim {
    /// The address, with the actual port if the configured one is 0.
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Tcp(address, _) => Address::Tcp(*address),
            Self::Unix { name, .. } => Address::Unix(name.clone()),
            Self::Inherited(inherited) => inherited.address(),
        }
    }

    /// Starts listening and returns one listener for each of `runtimes`. Clients can connect from then on, before the workers
    /// run.
    ///
    /// # Errors
    /// [`StartError::Bind`]
    pub(crate) fn listen(self, runtimes: &[Handle]) -> Result<Vec<Listener>, StartError> {
        let address = self.address();
        let listeners = match self {
            Self::Tcp(_, sockets) => listen_tcp(sockets, runtimes),
            Self::Unix { name, found, socket, temporary, at } => {
                listen_unix((&name, found), socket, temporary, &at, runtimes)
            }
            Self::Inherited(Inherited::Tcp(listener, _)) => shared_tcp(&listener, runtimes),
            Self::Inherited(Inherited::Unix(listener, _)) => {
                shared_unix(&listener, &Queue::Inherited, runtimes)
            }
        };
        listeners.map_err(|error| StartError::Bind(address, error))
    }
}

fn listen_tcp(sockets: Vec<TcpSocket>, runtimes: &[Handle]) -> io::Result<Vec<Listener>> {
    let listen = |(socket, runtime): (TcpSocket, &Handle)| {
        let _entered = runtime.enter();
        Ok(Listener::tcp(socket.listen(BACKLOG)?, Queue::Ours(None)))
    };
    sockets.into_iter().zip(runtimes).map(listen).collect()
}

/// Renames the socket to its final path only after it listens, so that no client is refused.
fn listen_unix(
    (name, found): (&Path, Found),
    socket: UnixSocket,
    file: SocketFile,
    at: &Path,
    runtimes: &[Handle],
) -> io::Result<Vec<Listener>> {
    let listener = {
        let _entered = runtimes.first().map(Handle::enter);
        socket.listen(BACKLOG)?.into_std()?
    };
    let named = SocketFile::new(at, name.to_owned())?;
    rename(at, name, found)?;
    drop(file);
    shared_unix(&listener, &Queue::Ours(Some(Arc::new(named))), runtimes)
}

/// Renames the socket at `at` to `name`. If nothing existed at `name`, fails if another process has created it since.
fn rename(at: &Path, name: &Path, found: Found) -> io::Result<()> {
    match found {
        Found::Replaceable => fs::rename(at, name),
        Found::Nothing => match renameat_with(CWD, at, CWD, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(io::ErrorKind::AddrInUse.into()),
            // Some file systems do not support `RENAME_NOREPLACE` (renameat2(2)).
            Err(Errno::INVAL | Errno::NOSYS) => fs::rename(at, name),
            Err(error) => Err(error.into()),
        },
    }
}

fn shared_tcp(listener: &std::net::TcpListener, runtimes: &[Handle]) -> io::Result<Vec<Listener>> {
    listener.set_nonblocking(true)?;
    shorten_queue(listener)?;
    let share = |runtime: &Handle| {
        let _entered = runtime.enter();
        Ok(Listener::tcp(TcpListener::from_std(listener.try_clone()?)?, Queue::Inherited))
    };
    runtimes.iter().map(share).collect()
}

fn shared_unix(
    listener: &unix::UnixListener,
    queue: &Queue,
    runtimes: &[Handle],
) -> io::Result<Vec<Listener>> {
    listener.set_nonblocking(true)?;
    let share = |runtime: &Handle| {
        let _entered = runtime.enter();
        Ok(Listener::unix(UnixListener::from_std(listener.try_clone()?)?, queue.clone()))
    };
    runtimes.iter().map(share).collect()
}

fn tcp(address: SocketAddr, workers: usize, sharing: Sharing) -> io::Result<Claim> {
    let mut sockets = Vec::with_capacity(workers);
    let mut actual = address;
    for index in 0..workers {
        let bound = match (sharing, index) {
            (Sharing::Alone, 0) => bind_alone(actual)?,
            (Sharing::Alone | Sharing::WithOthers, _) => bind_shared(actual)?,
        };
        actual = bound.local_addr()?;
        sockets.push(bound);
    }
    Ok(Claim::Tcp(actual, sockets))
}

/// Binds the first socket of an address; fails if any process listens there.
///
/// With `SO_REUSEPORT` alone, a second hookgate of the same user could bind too, and the kernel would distribute connections to
/// both. So the first socket is bound without it, and sets it afterwards for the other workers' sockets.
fn bind_alone(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = new(address)?;
    socket.bind(address)?;
    socket.set_reuseport(true)?;
    Ok(socket)
}

fn bind_shared(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = new(address)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn new(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    shorten_queue(&socket)?;
    Ok(socket)
}

/// Limits the unsent bytes that the kernel buffers for each connection; connections inherit the limit from their listener.
///
/// Without it, the kernel takes megabytes of a response at once, and more only when a third of them is sent. A client that
/// reads steadily but slowly would seem to make no progress for that long and be cut off (`write_timeout`); a client that reads
/// nothing would hold megabytes of kernel memory.
fn shorten_queue<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    socket.into().set_tcp_notsent_lowat(UNSENT)
}

/// A unix socket with its mode, bound under a temporary name; it is renamed to `path` once it listens.
fn unix(path: &Path, mode: u32, sharing: Sharing) -> io::Result<Claim> {
    let found = refuse_if_taken(path, sharing)?;
    remove_stale(path);
    let socket = UnixSocket::new_stream()?;
    let at = bind_beside(path, &socket, std::iter::repeat_with(random_suffix).take(MOST_NAMES))?;
    let temporary = SocketFile::new(&at, at.clone())?;
    fs::set_permissions(&at, fs::Permissions::from_mode(mode))?;
    Ok(Claim::Unix { name: path.to_owned(), found, socket, temporary, at })
}

/// Temporary names that are tried until one is free.
const MOST_NAMES: usize = 16;

/// Binds a socket to the first free name of the form `path.suffix`, and returns that name.
fn bind_beside(
    path: &Path,
    socket: &UnixSocket,
    suffixes: impl Iterator<Item = String>,
) -> io::Result<PathBuf> {
    for suffix in suffixes {
        let mut at = path.as_os_str().to_owned();
        at.push(".");
        at.push(suffix);
        match socket.bind(&at) {
            Ok(()) => return Ok(at.into()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Eight random hexadecimal digits. Not the process id: in a container it is 1 at every start, and the name left by one process
/// would block the next.
fn random_suffix() -> String {
    let [a, b, c, d, ..] = RandomState::new().hash_one(std::process::id()).to_ne_bytes();
    format!("{:08x}", u32::from_ne_bytes([a, b, c, d]))
}

/// Removes sockets beside `path` that processes left when they were killed before they listened: nobody listens on them, and
/// they are too old to be about to listen. Errors are ignored: a leftover socket does no harm.
fn remove_stale(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.take(MOST_ENTRIES).flatten() {
        if is_temporary(entry.file_name().as_bytes(), name.as_bytes()) && is_stale(&entry.path()) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// Directory entries that are inspected. Guards the start against a folder with very many files.
const MOST_ENTRIES: usize = 10_000;

/// Whether a file's name is `name`, a full stop and a temporary suffix.
fn is_temporary(file: &[u8], name: &[u8]) -> bool {
    let suffix = file.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"."));
    suffix.is_some_and(|suffix| {
        (1..=8).contains(&suffix.len()) && suffix.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_stale(path: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let age = metadata.modified().ok().and_then(|bound| bound.elapsed().ok());
    metadata.file_type().is_socket()
        && age.is_some_and(|age| age > STARTING)
        && unix::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Age at which a socket that does not listen is stale. Binding and listening take far less.
const STARTING: Duration = Duration::from_secs(60);

/// Refuses a path with a socket that another process listens on, unless it is shared (`reuse_port`), or with a file that is not
/// a socket. A socket that nobody listens on is stale and is replaced.
fn refuse_if_taken(path: &Path, sharing: Sharing) -> io::Result<Found> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let what = "there is a file of that name, and it is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    match (sharing, unix::UnixStream::connect(path)) {
        (Sharing::WithOthers, _) => Ok(Found::Replaceable),
        (Sharing::Alone, Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(Found::Replaceable)
        }
        (Sharing::Alone, _) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{AtFlags, Timespec, Timestamps, utimensat};

    use super::*;

    fn set_age(path: &Path, seconds: i64) {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let moment = Timespec { tv_sec: i64::try_from(now).unwrap() - seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: moment, last_modification: moment };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }

    #[tokio::test]
    async fn a_taken_temporary_name_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.sock");
        drop(unix::UnixListener::bind(folder.path().join("gate.sock.1")).unwrap());
        let socket = UnixSocket::new_stream().unwrap();
        let suffixes =
            |all: &[&str]| all.iter().map(|suffix| (*suffix).to_owned()).collect::<Vec<_>>().into_iter();
        let error = bind_beside(&path, &socket, suffixes(&["1", "1"])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let at = bind_beside(&path, &socket, suffixes(&["1", "2"])).unwrap();
        assert_eq!(at, folder.path().join("gate.sock.2"));
        let (one, other) = (random_suffix(), random_suffix());
        assert_ne!(one, other);
        assert!(is_temporary(format!("a.{one}").as_bytes(), b"a"), "{one}");
    }

    #[test]
    fn a_path_that_another_process_took_since_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (at, name) = (folder.path().join("a.1"), folder.path().join("a"));
        for (found, taken) in [(Found::Nothing, true), (Found::Replaceable, false)] {
            fs::write(&at, "ours").unwrap();
            fs::write(&name, "theirs").unwrap();
            let renamed = rename(&at, &name, found).map_err(|error| error.kind());
            assert_eq!(renamed == Err(io::ErrorKind::AddrInUse), taken, "{renamed:?}");
            assert_eq!(fs::read(&name).unwrap() == b"theirs", taken);
        }
        fs::write(&at, "ours").unwrap();
        fs::remove_file(&name).unwrap();
        rename(&at, &name, Found::Nothing).unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"ours");
    }

    #[test]
    fn only_stale_temporary_sockets_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let left = |name: &str| {
            drop(unix::UnixListener::bind(at(name)).unwrap());
            set_age(&at(name), 61);
        };
        left("gate.sock.1");
        left("gate.sock.0123abcd");
        let goes = ["gate.sock.1", "gate.sock.0123abcd"];
        left("gate.sock");
        left("gate.sock.");
        left("gate.sock.old");
        left("gate.sock.0123abcde");
        left("other.sock.1");
        left("gate.sock.2");
        set_age(&at("gate.sock.2"), 50);
        let _listens = unix::UnixListener::bind(at("gate.sock.3")).unwrap();
        set_age(&at("gate.sock.3"), 61);
        let _datagrams = unix::UnixDatagram::bind(at("gate.sock.4")).unwrap();
        set_age(&at("gate.sock.4"), 61);
        fs::write(at("gate.sock.5"), "").unwrap();
        set_age(&at("gate.sock.5"), 61);
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        let mut want = names();
        want.retain(|name| !goes.contains(&name.as_str()));
        remove_stale(&at("gate.sock"));
        let mut stays = names();
        want.sort();
        stays.sort();
        assert_eq!(stays, want);
    }
}
