//! Shell. Sockets that whoever starts us has opened and listens on (`LISTEN_FDS`, sd_listen_fds(3)).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use listenfd::ListenFd;
use socket2::SockRef;

use crate::config::Address;

/// A socket that listens already.
#[derive(Debug)]
pub enum Inherited {
    /// TCP, and its address.
    Tcp(TcpListener, SocketAddr),
    /// A unix socket, and its path.
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

/// Takes over every socket that was passed on; none, if nobody has passed any on to this process. To be called once, before
/// there is another thread: it takes variables out of the environment, so that no child believes they are meant for it.
///
/// # Errors
/// What is passed on is no socket that connections can be accepted from.
pub fn sockets() -> io::Result<Vec<Inherited>> {
    let mut passed = ListenFd::from_env();
    let mut all = Vec::new();
    for index in 0..passed.len() {
        // Each is tried as what it may be: a failed try leaves it where it is.
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

/// A connection looks like a listener until it is accepted from, which would then fail for ever.
fn listens(socket: SockRef<'_>) -> io::Result<()> {
    if socket.is_listener()? {
        return Ok(());
    }
    let what = "one of them does not listen: in a systemd .socket, `Accept=no` passes on the one that does";
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}
