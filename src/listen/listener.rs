//! Shell. A listener of one worker, on TCP or a unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::SockFilter;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::admission::client::{ClientAddress, Network};
use crate::listen::stream::Stream;

/// A listening socket, the handling of its queue on close, and the trusted proxies.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    queue: Queue,
    proxies: Vec<Network>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The owner of the connections in the kernel's accept queue.
#[derive(Clone, Debug)]
pub(crate) enum Queue {
    /// This process. Closing the socket would reset them, so all are accepted first. The socket file, if there is one, is
    /// removed before.
    Ours(Option<Arc<SocketFile>>),
    /// The process that passed us the socket keeps it open, and its successor accepts the queued connections.
    Inherited,
}

/// A socket that listens, before it belongs to the runtime of a worker. Clients can connect already.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: StdSocket,
    queue: Queue,
    proxies: Vec<Network>,
}

#[derive(Debug)]
enum StdSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Listening {
    /// A TCP listener, which does not block.
    pub(crate) fn tcp(listener: std::net::TcpListener, queue: Queue) -> Self {
        Self { socket: StdSocket::Tcp(listener), queue, proxies: Vec::new() }
    }

    /// A listener on a unix socket, which does not block.
    pub(crate) fn unix(listener: std::os::unix::net::UnixListener, queue: Queue) -> Self {
        Self { socket: StdSocket::Unix(listener), queue, proxies: Vec::new() }
    }

    /// Sets the trusted proxies, which announce the client at the start of each connection.
    pub(crate) fn behind(mut self, proxies: &[Network]) -> Self {
        self.proxies = proxies.to_vec();
        self
    }

    /// The listener of the runtime that is entered.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn into_listener(self) -> io::Result<Listener> {
        let socket = match self.socket {
            StdSocket::Tcp(listener) => Socket::Tcp(TcpListener::from_std(listener)?),
            StdSocket::Unix(listener) => Socket::Unix(UnixListener::from_std(listener)?),
        };
        Ok(Listener { socket, queue: self.queue, proxies: self.proxies })
    }
}

impl Listener {
    /// The trusted proxies.
    pub(crate) fn proxies(&self) -> &[Network] {
        &self.proxies
    }

    /// The next connection.
    ///
    /// # Errors
    /// As accept(2).
    pub async fn accept(&self) -> io::Result<(Stream, ClientAddress)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Stream::Tcp(stream), ClientAddress::ip(address.ip())))
            }
            Socket::Unix(listener) => {
                let (stream, _unnamed) = listener.accept().await?;
                Ok((Stream::Unix(stream), ClientAddress::Unix))
            }
        }
    }

    /// Makes the kernel drop first packets of new handshakes. Returns whether handshakes may be under way that are worth
    /// waiting for.
    ///
    /// Without it, a connection that completes between the last accept and the close would be reset, as would each handshake
    /// whose last packet is outstanding. A client whose packet is dropped sends it again after a second (RFC 6298, section
    /// 2.1), to a successor or to another listener of the address, if there is one.
    pub(crate) fn hold_off(&self) -> bool {
        match (&self.socket, &self.queue) {
            (Socket::Tcp(listener), Queue::Ours(_)) => {
                socket2::SockRef::from(listener).attach_filter(&no_first_packet()).is_ok()
            }
            (Socket::Tcp(_) | Socket::Unix(_), Queue::Ours(_) | Queue::Inherited) => false,
        }
    }

    /// Closes the listener and returns the connections from the kernel's queue.
    ///
    /// Accepts directly from the kernel until its queue is empty or `most` have come: the runtime may not know of every queued
    /// connection.
    #[must_use]
    pub fn close(self, most: usize) -> Vec<(Stream, ClientAddress)> {
        let mut queued = Vec::new();
        match self.queue {
            Queue::Inherited => return queued,
            Queue::Ours(file) => {
                if let Some(file) = file {
                    file.remove();
                }
            }
        }
        let socket = match self.socket {
            Socket::Tcp(listener) => listener.into_std().map(StdSocket::Tcp),
            Socket::Unix(listener) => listener.into_std().map(StdSocket::Unix),
        };
        let Ok(socket) = socket else { return queued };
        while queued.len() < most
            && let Ok(accepted) = socket.accept()
        {
            queued.push(accepted);
        }
        queued
    }
}

impl StdSocket {
    /// A connection from the kernel's queue.
    fn accept(&self) -> io::Result<(Stream, ClientAddress)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((Stream::Tcp(TcpStream::from_std(stream)?), ClientAddress::ip(address.ip())))
            }
            Self::Unix(listener) => {
                let (stream, _unnamed) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((Stream::Unix(UnixStream::from_std(stream)?), ClientAddress::Unix))
            }
        }
    }
}

/// A program for the kernel's packet filter (bpf(4)) that drops segments with SYN and without ACK (RFC 9293, section 3.1: both
/// are in byte 13 of the TCP header) and accepts all others.
fn no_first_packet() -> [SockFilter; 5] {
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const SYN_AND_ACK: u32 = 0x12;
    [
        // ldb [13]; and #0x12; jeq #0x02, next, the one after; ret #0; ret #-1
        SockFilter::new(0x30, 0, 0, FLAGS),
        SockFilter::new(0x54, 0, 0, SYN_AND_ACK),
        SockFilter::new(0x15, 0, 1, SYN),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ]
}

/// The file of a unix socket that this process created.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode: they differ if another file has taken the path.
type Identity = (u64, u64);

impl SocketFile {
    /// Identifies the file at `path`, which is or will be renamed to `name`.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(path: &Path, name: PathBuf) -> io::Result<Self> {
        Ok(Self { identity: identity(path)?, path: name })
    }

    /// Removes the file, unless a successor has replaced it.
    fn remove(&self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // If this fails, a stale file remains, which the next start replaces.
            drop(fs::remove_file(&self.path));
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
