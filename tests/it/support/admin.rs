//! Requests to an admin listener, one on each connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::support::PATIENCE;

/// Sends a request, with further lines in its head. The host is the address, unless there is one among the
/// lines.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    lines: &str,
    content: impl AsRef<[u8]>,
) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = if lines.contains("host:") { String::new() } else { format!("host: {address}\r\n") };
    let (content, length) = (content.as_ref(), content.as_ref().len());
    let head = format!("{method} {target} HTTP/1.1\r\n{host}{lines}content-length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), content].concat()).unwrap();
    stream
}

/// Sends a request. Returns the bytes of the answer.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    lines: &str,
    content: impl AsRef<[u8]>,
) -> Vec<u8> {
    let mut answer = Vec::new();
    send(address, method, target, lines, content).read_to_end(&mut answer).unwrap();
    answer
}
