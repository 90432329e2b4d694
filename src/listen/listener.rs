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

/// A listening socket with its trusted proxies. It also knows what happens to queued connections when it is
/// closed.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    queue: Queue,
    proxies: Vec<Network>,
    speaks: Speaks,
}

/// What clients of a listener speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP.
    Plain,
    /// HTTP over TLS.
    Tls,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Which process accepts the connections in the kernel's accept queue.
#[derive(Clone, Debug)]
pub(crate) enum Queue {
    /// This process. Closing the socket would reset these connections, so all of them are accepted first.
    /// The socket's file, if there is one, is removed before that.
    Ours(Option<Arc<SocketFile>>),
    /// The process that passed this socket keeps it open. Its successor accepts the queued connections.
    Inherited,
}

/// A socket that listens, but does not belong to a worker's runtime yet. Clients can already connect.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: StdSocket,
    queue: Queue,
    proxies: Vec<Network>,
    speaks: Speaks,
}

#[derive(Debug)]
enum StdSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Listening {
    /// A TCP listener. Its calls do not block.
    pub(crate) fn tcp(listener: std::net::TcpListener, queue: Queue) -> Self {
        Self { socket: StdSocket::Tcp(listener), queue, proxies: Vec::new(), speaks: Speaks::Plain }
    }

    /// A listener on a unix socket. Its calls do not block.
    pub(crate) fn unix(listener: std::os::unix::net::UnixListener, queue: Queue) -> Self {
        Self { socket: StdSocket::Unix(listener), queue, proxies: Vec::new(), speaks: Speaks::Plain }
    }

    /// The file of the socket, if this process has made it.
    pub(crate) fn file(&self) -> Option<Arc<SocketFile>> {
        match &self.queue {
            Queue::Ours(file) => file.clone(),
            Queue::Inherited => None,
        }
    }

    /// Sets the trusted proxies. A trusted proxy announces the client at the start of each connection.
    pub(crate) fn behind(mut self, proxies: &[Network]) -> Self {
        self.proxies = proxies.to_vec();
        self
    }

    /// Sets what clients speak.
    pub(crate) fn speaking(mut self, speaks: Speaks) -> Self {
        self.speaks = speaks;
        self
    }

    /// Turns this socket into a listener of the current runtime.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn into_listener(self) -> io::Result<Listener> {
        let socket = match self.socket {
            StdSocket::Tcp(listener) => Socket::Tcp(TcpListener::from_std(listener)?),
            StdSocket::Unix(listener) => Socket::Unix(UnixListener::from_std(listener)?),
        };
        Ok(Listener { socket, queue: self.queue, proxies: self.proxies, speaks: self.speaks })
    }
}

impl Listener {
    /// The trusted proxies.
    pub(crate) fn proxies(&self) -> &[Network] {
        &self.proxies
    }

    /// What clients speak.
    pub(crate) fn speaks(&self) -> Speaks {
        self.speaks
    }

    /// The next connection.
    ///
    /// # Errors
    /// The errors of accept(2).
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

    /// Makes the kernel drop the first packet of every new handshake. Returns whether unfinished handshakes
    /// may be worth a wait.
    ///
    /// Without this, a connection would be reset if its handshake ends between the last accept and the close.
    /// An unfinished handshake would be reset, too. A client whose packet is dropped sends it again after a
    /// second (RFC 6298, section 2.1). A successor, or another listener of the address, then answers it.
    pub(crate) fn hold_off(&self) -> bool {
        match (&self.socket, &self.queue) {
            (Socket::Tcp(listener), Queue::Ours(_)) => {
                socket2::SockRef::from(listener).attach_filter(&no_first_packet()).is_ok()
            }
            (Socket::Tcp(_) | Socket::Unix(_), Queue::Ours(_) | Queue::Inherited) => false,
        }
    }

    /// Closes the listener, and returns the connections from the kernel's queue.
    ///
    /// Accepts directly from the kernel until the queue is empty, or `most` connections have been taken. The
    /// runtime may not know of every queued connection.
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
    /// Takes a connection from the kernel's queue.
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

/// A program for the kernel's packet filter (bpf(4)). It drops segments with SYN and without ACK, and accepts
/// all others. Both flags are in byte 13 of the TCP header (RFC 9293, section 3.1).
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

/// The device and the inode of a file. They differ if another file has taken the path.
pub(crate) type Identity = (u64, u64);

impl SocketFile {
    /// Identifies the file at `path`. The file is renamed to `name` later, or has that name already.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn new(path: &Path, name: PathBuf) -> io::Result<Self> {
        Ok(Self { identity: identity(path)?, path: name })
    }

    /// Removes the file, unless a successor's file has replaced it.
    pub(crate) fn remove(&self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // If this fails, a stale file remains. The next start replaces it.
            drop(fs::remove_file(&self.path));
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Identifies the file at `path`.
///
/// # Errors
/// The system's error.
pub(crate) fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|metadata| identity_of(&metadata))
}

/// The identity of the file that has this metadata.
pub(crate) fn identity_of(metadata: &fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}
