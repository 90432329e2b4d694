//! Shell. From the addresses of a configuration to listeners: bound anew, or inherited.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};
use tokio::runtime::Handle;

use super::StartError;
use super::inherit::Inherited;
use super::listener::{Listener, Queue, SocketFile};
use crate::config::{Address, Server, Sharing};

/// Bytes of answers that the kernel keeps for a connection beyond those that are on their way.
const UNSENT: u32 = 128 * 1024;

/// Connections that may wait in the kernel's queue of each listener.
const BACKLOG: u32 = 4096;

/// An address that nobody else can take any more.
#[derive(Debug)]
pub(super) enum Claim {
    /// A socket for each worker. The kernel shares connections out among them (`SO_REUSEPORT`).
    Tcp(SocketAddr, Vec<TcpSocket>),
    /// One socket for all workers, under a name that it has only until it listens.
    Unix { name: PathBuf, socket: UnixSocket, temporary: SocketFile, at: PathBuf },
    /// One socket for all workers, that listens already.
    Inherited(Inherited),
}

/// Claims every address; those that are inherited take the place of all that the configuration names.
///
/// # Errors
/// [`StartError::Bind`]
pub(super) fn claim(server: &Server, inherited: Vec<Inherited>) -> Result<Vec<Claim>, StartError> {
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
    /// The address, with the port that the system chose where 0 was asked for.
    pub(super) fn address(&self) -> Address {
        match self {
            Self::Tcp(address, _) => Address::Tcp(*address),
            Self::Unix { name, .. } => Address::Unix(name.clone()),
            Self::Inherited(inherited) => inherited.address(),
        }
    }

    /// Begins to listen, with the event queue of each worker: whoever starts a server can connect to it as soon as it is
    /// started. Gives back a listener for each of `runtimes`.
    ///
    /// # Errors
    /// [`StartError::Bind`]
    pub(super) fn listen(self, runtimes: &[Handle]) -> Result<Vec<Listener>, StartError> {
        let address = self.address();
        let listeners = match self {
            Self::Tcp(_, sockets) => listen_tcp(sockets, runtimes),
            Self::Unix { name, socket, temporary, at } => {
                listen_unix(&name, socket, temporary, &at, runtimes)
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

/// The name leads to the socket only when it listens, so that nobody is refused who finds it.
fn listen_unix(
    name: &Path,
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
    fs::rename(at, name)?;
    drop(file);
    shared_unix(&listener, &Queue::Ours(Some(Arc::new(named))), runtimes)
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

/// The first socket of an address, which fails where anybody listens.
///
/// `SO_REUSEPORT` alone would let a second hookgate of the same user in, and the kernel would deal connections out to
/// both. So this one is bound without it, and is opened to the other workers' after.
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

/// Has the connections of a listener take little more from us than the client does: they inherit this from it.
///
/// Otherwise the kernel takes megabytes of an answer at once, and asks for more when a third of them is gone. A client that
/// reads steadily, but slowly, would seem to take nothing for that long, and be cut off (`write_timeout`); one that reads
/// nothing would hold those megabytes of the kernel's memory.
fn shorten_queue<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    socket.into().set_tcp_notsent_lowat(UNSENT)
}

/// A unix socket with its mode, which is to be called `path` as soon as it listens.
fn unix(path: &Path, mode: u32, sharing: Sharing) -> io::Result<Claim> {
    refuse_if_taken(path, sharing)?;
    let mut at = path.as_os_str().to_owned();
    at.push(format!(".{}", std::process::id()));
    let at = PathBuf::from(at);
    let socket = UnixSocket::new_stream()?;
    socket.bind(&at)?;
    let temporary = SocketFile::new(&at, at.clone())?;
    fs::set_permissions(&at, fs::Permissions::from_mode(mode))?;
    Ok(Claim::Unix { name: path.to_owned(), socket, temporary, at })
}

/// A socket that somebody listens on is theirs, unless they share it, and a file that is no socket is not ours to replace.
/// A socket that nobody listens on was left behind.
fn refuse_if_taken(path: &Path, sharing: Sharing) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let what = "there is a file of that name, and it is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    match (sharing, unix::UnixStream::connect(path)) {
        (Sharing::WithOthers, _) => Ok(()),
        (Sharing::Alone, Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        (Sharing::Alone, _) => Err(io::ErrorKind::AddrInUse.into()),
    }
}
