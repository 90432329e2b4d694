//! Shell. Listeners for the configured addresses: newly bound or inherited.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::config::{Address, Server, Sharing, Tls};
use crate::listen::inherit::Inherited;
use crate::listen::listener::{Identity, Listening, Queue, SocketFile, Speaks, identity, identity_of};
use crate::runtime::error::StartError;

/// How many bytes of a response the kernel buffers for a connection, besides the bytes in flight.
const UNSENT: u32 = 128 * 1024;

/// The length of each listener's accept queue in the kernel.
const BACKLOG: i32 = 4096;

/// An address that was bound or inherited, and does not listen yet.
#[derive(Debug)]
pub(crate) enum Claim {
    /// One socket for each worker. The kernel spreads connections over them (`SO_REUSEPORT`).
    Tcp(SocketAddr, Vec<Socket>, Sharing),
    /// One socket for all workers. It has a temporary name until it listens.
    Unix { name: PathBuf, found: Found, socket: Socket, temporary: SocketFile, at: PathBuf },
    /// One socket for all workers, which listens already.
    Inherited(Inherited),
}

/// What exists at the path of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing exists there.
    Nothing,
    /// A socket without a listener.
    Stale(Identity),
    /// Anything that `reuse_port` allows hookgate to replace.
    Shared,
}

/// Binds every configured address, and returns with each whether clients speak TLS there. If there are
/// inherited sockets, they replace all these addresses.
///
/// # Errors
/// [`StartError::Bind`]; [`StartError::NoTlsSocket`] if `[tls]` is configured, and no inherited socket is one
/// of its addresses.
pub(crate) fn claim(
    server: &Server,
    tls: Option<&Tls>,
    inherited: Vec<Inherited>,
) -> Result<Vec<(Claim, Speaks)>, StartError> {
    let over_tls = tls.map(|tls| tls.listen.as_slice()).unwrap_or_default();
    if !inherited.is_empty() {
        let speaks = |inherited: &Inherited| inherited_speaks(&inherited.address(), &server.listen, over_tls);
        let all: Vec<_> = inherited.into_iter().map(|one| (speaks(&one), Claim::Inherited(one))).collect();
        if !over_tls.is_empty() && all.iter().all(|(speaks, _)| *speaks == Speaks::Plain) {
            return Err(StartError::NoTlsSocket);
        }
        return Ok(all.into_iter().map(|(speaks, claim)| (claim, speaks)).collect());
    }
    let plain = server.listen.iter().map(|address| (address, Speaks::Plain));
    let claimed =
        plain.chain(over_tls.iter().map(|address| (address, Speaks::Tls))).map(|(address, speaks)| {
            let claim = claim_one(address, server.workers.get(), server.unix_mode, server.sharing)?;
            Ok((claim, speaks))
        });
    claimed.collect()
}

/// Binds an address for this number of threads. A unix socket's file gets this mode.
///
/// # Errors
/// [`StartError::Bind`]
pub(crate) fn claim_one(
    address: &Address,
    threads: usize,
    unix_mode: u32,
    sharing: Sharing,
) -> Result<Claim, StartError> {
    match address {
        Address::Tcp(address) => tcp(*address, threads, sharing),
        Address::Unix(path) => unix(path, unix_mode, sharing),
    }
    .map_err(|error| StartError::Bind(address.clone(), error))
}

/// What clients speak on an inherited socket: TLS if its address is one of `[tls]`. An address of another
/// interface counts if the port is one of `[tls]` and not one of `[server]`: a service manager often listens
/// on all interfaces.
pub(crate) fn inherited_speaks(address: &Address, plain: &[Address], over_tls: &[Address]) -> Speaks {
    let has_port = |all: &[Address]| {
        let port = address.tcp().map(|address| address.port());
        port.is_some() && all.iter().any(|other| other.tcp().map(|other| other.port()) == port)
    };
    let is_tls =
        over_tls.contains(address) || (!plain.contains(address) && has_port(over_tls) && !has_port(plain));
    if is_tls { Speaks::Tls } else { Speaks::Plain }
}

impl Claim {
    /// The address. If the configured port is 0, with the port that the system chose.
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Tcp(address, ..) => Address::Tcp(*address),
            Self::Unix { name, .. } => Address::Unix(name.clone()),
            Self::Inherited(inherited) => inherited.address(),
        }
    }

    /// Starts listening, and gives each worker a socket. From now on clients can connect, before the workers
    /// run.
    ///
    /// # Errors
    /// [`StartError::Bind`]
    pub(crate) fn listen(self, workers: usize) -> Result<Vec<Listening>, StartError> {
        let address = self.address();
        let listeners = match self {
            Self::Tcp(_, sockets, sharing) => listen_tcp(sockets, sharing),
            Self::Unix { name, found, socket, temporary, at } => {
                listen_unix((&name, found), socket, temporary, &at, workers)
            }
            Self::Inherited(Inherited::Tcp(listener, _)) => shared_tcp(&listener, workers),
            Self::Inherited(Inherited::Unix(listener, _)) => {
                shared_unix(&listener, &Queue::Inherited, workers)
            }
        };
        listeners.map_err(|error| StartError::Bind(address, error))
    }
}

/// Starts listening on the sockets of an address. Fails if another process listens there.
///
/// If all sockets had `SO_REUSEPORT`, a second hookgate of the same user could listen too, and the kernel
/// would spread connections over both. So the first socket begins to listen without it. The option is set
/// afterwards, so the sockets of the other workers can listen. Two processes can bind an address that nobody
/// listens on yet, so binding alone does not tell.
fn listen_tcp(sockets: Vec<Socket>, sharing: Sharing) -> io::Result<Vec<Listening>> {
    let listen = |(index, socket): (usize, Socket)| {
        socket.listen(BACKLOG)?;
        if index == 0 && sharing == Sharing::Alone {
            socket.set_reuse_port(true)?;
        }
        Ok(Listening::tcp(socket.into(), Queue::Ours(None)))
    };
    sockets.into_iter().enumerate().map(listen).collect()
}

/// Starts listening, and renames the socket to its final path only then. So the final path never refuses a
/// client.
fn listen_unix(
    (name, found): (&Path, Found),
    socket: Socket,
    file: SocketFile,
    at: &Path,
    workers: usize,
) -> io::Result<Vec<Listening>> {
    socket.listen(BACKLOG)?;
    let named = SocketFile::new(at, name.to_owned())?;
    rename(at, name, found)?;
    drop(file);
    shared_unix(&socket.into(), &Queue::Ours(Some(Arc::new(named))), workers)
}

/// Renames the socket at `at` to `name`. Fails if another process has changed what was found at `name`.
fn rename(at: &Path, name: &Path, found: Found) -> io::Result<()> {
    let taken = || io::Error::from(io::ErrorKind::AddrInUse);
    let (flags, stale) = match found {
        Found::Shared => return fs::rename(at, name),
        Found::Nothing => (RenameFlags::NOREPLACE, None),
        Found::Stale(stale) => (RenameFlags::EXCHANGE, Some(stale)),
    };
    match renameat_with(CWD, at, CWD, name, flags) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(taken()),
        // The stale socket was removed.
        Err(Errno::NOENT) if stale.is_some() => return rename(at, name, Found::Nothing),
        // Some file systems do not support these flags (renameat2(2)).
        Err(Errno::INVAL | Errno::NOSYS) => return fs::rename(at, name),
        Err(error) => return Err(error.into()),
    }
    let Some(stale) = stale else { return Ok(()) };
    if identity(at)? != stale {
        renameat_with(CWD, at, CWD, name, RenameFlags::EXCHANGE)?;
        return Err(taken());
    }
    fs::remove_file(at)
}

fn shared_tcp(listener: &std::net::TcpListener, workers: usize) -> io::Result<Vec<Listening>> {
    listener.set_nonblocking(true)?;
    shorten_queue(listener)?;
    (0..workers).map(|_| Ok(Listening::tcp(listener.try_clone()?, Queue::Inherited))).collect()
}

fn shared_unix(listener: &unix::UnixListener, queue: &Queue, workers: usize) -> io::Result<Vec<Listening>> {
    listener.set_nonblocking(true)?;
    (0..workers).map(|_| Ok(Listening::unix(listener.try_clone()?, queue.clone()))).collect()
}

fn tcp(address: SocketAddr, workers: usize, sharing: Sharing) -> io::Result<Claim> {
    let mut sockets = Vec::with_capacity(workers);
    let mut actual = address;
    for index in 0..workers {
        let bound = match (sharing, index) {
            (Sharing::Alone, 0) => bind_alone(actual)?,
            (Sharing::Alone | Sharing::WithOthers, _) => bind_shared(actual)?,
        };
        actual = bound.local_addr()?.as_socket().unwrap_or(actual);
        sockets.push(bound);
    }
    Ok(Claim::Tcp(actual, sockets, sharing))
}

/// Binds the first socket of an address. Fails if another process listens there.
fn bind_alone(address: SocketAddr) -> io::Result<Socket> {
    let socket = new(address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_shared(address: SocketAddr) -> io::Result<Socket> {
    let socket = new(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn new(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    shorten_queue(&socket)?;
    Ok(socket)
}

/// Limits the unsent bytes that the kernel buffers for each connection. A connection inherits the limit from
/// its listener.
///
/// Without the limit, the kernel takes megabytes of a response in one write, and more only when a third of
/// them is sent. A client that reads steadily but slowly would seem to make no progress for that long, and
/// `write_timeout` would cut it off. A client that reads nothing would hold megabytes of kernel memory.
fn shorten_queue<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    socket.into().set_tcp_notsent_lowat(UNSENT)
}

/// A unix socket with its mode, bound under a temporary name. It is renamed to `path` when it listens.
fn unix(path: &Path, mode: u32, sharing: Sharing) -> io::Result<Claim> {
    let found = refuse_if_taken(path, sharing)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let mut at = path.as_os_str().to_owned();
    at.push(format!(".{}", random_suffix()));
    let at = PathBuf::from(at);
    socket.bind(&SockAddr::unix(&at)?)?;
    let temporary = SocketFile::new(&at, at.clone())?;
    fs::set_permissions(&at, fs::Permissions::from_mode(mode))?;
    Ok(Claim::Unix { name: path.to_owned(), found, socket, temporary, at })
}

/// Eight random hexadecimal digits. The process id is not used: in a container, the process id is 1 at every
/// start. So the name that one process leaves would block the next process.
fn random_suffix() -> String {
    let [a, b, c, d, ..] = RandomState::new().hash_one(std::process::id()).to_ne_bytes();
    format!("{:08x}", u32::from_ne_bytes([a, b, c, d]))
}

/// Refuses a path if another process listens on its socket, unless the socket is shared (`reuse_port`).
/// Refuses a file that is not a socket. A socket without a listener is stale, and is replaced.
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
    if sharing == Sharing::WithOthers {
        return Ok(Found::Shared);
    }
    match unix::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(Found::Stale(identity_of(&found)))
        }
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inherited_socket_speaks_tls_if_its_address_or_its_port_alone_is_one_of_tls() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        let unix = |path: &str| Address::Unix(path.into());
        let plain = [tcp("127.0.0.1:8080"), tcp("127.0.0.1:443"), unix("/run/a")];
        let over_tls = [tcp("0.0.0.0:8443"), tcp("0.0.0.0:443"), unix("/run/b")];
        for (address, want) in [
            (tcp("0.0.0.0:8443"), Speaks::Tls),
            (tcp("[::]:8443"), Speaks::Tls),
            (tcp("0.0.0.0:443"), Speaks::Tls),
            (tcp("127.0.0.1:443"), Speaks::Plain),
            (tcp("[::]:443"), Speaks::Plain),
            (tcp("[::]:8080"), Speaks::Plain),
            (tcp("[::]:1"), Speaks::Plain),
            (unix("/run/a"), Speaks::Plain),
            (unix("/run/b"), Speaks::Tls),
        ] {
            assert_eq!(inherited_speaks(&address, &plain, &over_tls), want, "{address}");
        }
    }

    #[test]
    fn only_one_of_two_that_have_bound_an_address_listens_there() {
        let alone = |address: &Address, threads| claim_one(address, threads, 0o600, Sharing::Alone).unwrap();
        for threads in [1, 3] {
            let first = alone(&Address::Tcp("127.0.0.1:0".parse().unwrap()), threads);
            let second = alone(&first.address(), threads);
            let listening = first.listen(threads).unwrap();
            assert_eq!(listening.len(), threads);
            let Err(StartError::Bind(_, error)) = second.listen(threads) else { panic!("{threads}: both") };
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            drop(listening);
        }
    }

    #[test]
    fn only_one_of_two_that_have_found_a_stale_socket_listens_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(unix::UnixListener::bind(&path).unwrap());
        let alone = || claim_one(&Address::Unix(path.clone()), 1, 0o600, Sharing::Alone).unwrap();
        let (first, second) = (alone(), alone());
        let listening = first.listen(1).unwrap();
        assert!(matches!(second.listen(1), Err(StartError::Bind(..))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        unix::UnixStream::connect(&path).unwrap();
        drop(listening);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_path_that_another_process_took_since_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (at, name) = (folder.path().join("a.1"), folder.path().join("a"));
        let another = Found::Stale((0, 0));
        for (found, taken) in [(Found::Nothing, true), (another, true), (Found::Shared, false)] {
            fs::write(&at, "ours").unwrap();
            fs::write(&name, "theirs").unwrap();
            let renamed = rename(&at, &name, found).map_err(|error| error.kind());
            assert_eq!(renamed == Err(io::ErrorKind::AddrInUse), taken, "{renamed:?}");
            assert_eq!(fs::read(&name).unwrap() == b"theirs", taken);
        }
        for found in [Found::Nothing, another] {
            fs::write(&at, "ours").unwrap();
            fs::remove_file(&name).unwrap();
            rename(&at, &name, found).unwrap();
            assert_eq!(fs::read(&name).unwrap(), b"ours");
        }
    }
}
