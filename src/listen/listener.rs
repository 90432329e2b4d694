//! Shell. A listener of one worker, over TCP or on a unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::SockFilter;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::admission::client::{ClientAddress, Network};
use crate::listen::stream::Stream;

/// Where connections come from, and what is to become of those that nobody has accepted yet when it closes.
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

/// The connections that wait to be accepted.
#[derive(Clone, Debug)]
pub(crate) enum Queue {
    /// They are ours, and would be reset: they are accepted to the last. Where there is a file that led here, it is
    /// removed first.
    Ours(Option<Arc<SocketFile>>),
    /// Whoever gave us the socket still has it open, and so the queue: what is left in it is the successor's.
    Inherited,
}

impl Listener {
    /// A TCP listener.
    pub(crate) fn tcp(listener: TcpListener, queue: Queue) -> Self {
        Self { socket: Socket::Tcp(listener), queue, proxies: Vec::new() }
    }

    /// One on a unix socket.
    pub(crate) fn unix(listener: UnixListener, queue: Queue) -> Self {
        Self { socket: Socket::Unix(listener), queue, proxies: Vec::new() }
    }

    /// With proxies that announce the client at the beginning of each connection.
    pub(crate) fn behind(mut self, proxies: &[Network]) -> Self {
        self.proxies = proxies.to_vec();
        self
    }

    /// The proxies that do so.
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

    /// Has the kernel drop what would begin another handshake, and says whether handshakes may be under way that are worth
    /// waiting for.
    ///
    /// Otherwise a connection could come about between the last look at the queue and the end of the listener, and would be
    /// reset, as would each whose client is still to send the last packet of its handshake. Who is held off asks again
    /// after a second (RFC 6298, section 2.1), and finds a successor, another listener of the address, or nobody.
    pub(crate) fn hold_off(&self) -> bool {
        match (&self.socket, &self.queue) {
            (Socket::Tcp(listener), Queue::Ours(_)) => {
                socket2::SockRef::from(listener).attach_filter(&no_first_packet()).is_ok()
            }
            (Socket::Tcp(_) | Socket::Unix(_), Queue::Ours(_) | Queue::Inherited) => false,
        }
    }

    /// Closes the listener, and gives back what the kernel has already shaken hands with.
    ///
    /// The kernel itself is asked until it has no more, or `most` have come: that the runtime has not heard of a connection yet does not mean
    /// that there is none.
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
        match self.socket {
            Socket::Tcp(listener) => {
                let Ok(listener) = listener.into_std() else { return queued };
                while queued.len() < most
                    && let Ok((stream, address)) = listener.accept()
                {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    queued
                        .extend(stream.map(|stream| (Stream::Tcp(stream), ClientAddress::ip(address.ip()))));
                }
            }
            Socket::Unix(listener) => {
                let Ok(listener) = listener.into_std() else { return queued };
                while queued.len() < most
                    && let Ok((stream, _unnamed)) = listener.accept()
                {
                    let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
                    queued.extend(stream.map(|stream| (Stream::Unix(stream), ClientAddress::Unix)));
                }
            }
        }
        queued
    }
}

/// A program for the kernel's packet filter (bpf(4)) that drops segments with SYN and without ACK (RFC 9293, section 3.1:
/// both are in byte 13 of the TCP header), and lets all others through.
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

/// The file of a unix socket that is ours.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode: what tells a file from another that has taken its name.
type Identity = (u64, u64);

impl SocketFile {
    /// The file at `path`, which is called `name` from some moment on.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(path: &Path, name: PathBuf) -> io::Result<Self> {
        Ok(Self { identity: identity(path)?, path: name })
    }

    /// Removes it, unless a successor has put another in its place.
    fn remove(&self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Where it fails a file stays that nobody listens on, which the next start replaces.
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
