//! Shell. Inherited sockets: listening sockets that the service manager passes to the process (`LISTEN_FDS`,
//! sd_listen_fds(3)).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use listenfd::ListenFd;
use socket2::SockRef;

use crate::config::Address;

/// A listening socket that was passed to this process.
#[derive(Debug)]
pub enum Inherited {
    /// A TCP listener and its address.
    Tcp(TcpListener, SocketAddr),
    /// A unix socket and its path.
    Unix(UnixListener, PathBuf),
}

impl Inherited {
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Tcp(_, address) => Address::Tcp(*address),
            Self::Unix(_, path) => Address::Unix(path.clone()),
        }
    }
}

/// Takes every inherited socket. Returns an empty list if no socket was passed to this process. Must be
/// called once, before other threads start: it removes the environment variables, so no child process uses
/// the sockets as its own.
///
/// # Errors
/// A descriptor is not a listening socket.
pub fn sockets() -> io::Result<Vec<Inherited>> {
    let mut passed = ListenFd::from_env();
    let mut all = Vec::new();
    for index in 0..passed.len() {
        // The kind of a socket is found by trying. A failed attempt leaves the descriptor in place.
        if let Ok(Some(listener)) = passed.take_unix_listener(index) {
            listens(SockRef::from(&listener))?;
            let address = listener.local_addr()?;
            all.push(Inherited::Unix(listener, address.as_pathname().map(PathBuf::from).unwrap_or_default()));
        } else if let Some(listener) = passed.take_tcp_listener(index)? {
            listens(SockRef::from(&listener))?;
            let address = listener.local_addr()?;
            all.push(Inherited::Tcp(listener, address));
        }
    }
    Ok(all)
}

/// Refuses a connected socket. It looks like a listener, but every accept on it would fail.
fn listens(socket: SockRef<'_>) -> io::Result<()> {
    if socket.is_listener()? {
        return Ok(());
    }
    let what = "one of them does not listen: in a systemd .socket, `Accept=no` passes on the one that does";
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}
