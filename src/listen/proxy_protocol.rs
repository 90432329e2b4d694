//! Pure. PROXY protocol, versions 1 and 2: the header in which a proxy announces the client's address.
//!
//! The parser follows <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt> strictly. Any deviation
//! closes the connection. The caller decides which proxies are trusted.
//!
//! The existing crates are not strict enough. `proxy-header` reads `PROXY UNKNOWN`, a line feed and
//! everything up to the first CRLF as one line. `ppp` refuses a line that is cut before its last port, and
//! waits for ever on a line with too few words. Both crates accept ports with a sign, and buffer as many
//! bytes as a version 2 header announces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::admission::client::ClientAddress;

/// The longest accepted header. It has room for TLVs, far beyond the addresses.
pub const LONGEST: usize = 2048;

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The length in bytes. The first request follows.
    pub len: usize,
    /// The client's address. `None` if the proxy connects for itself, or does not know the client.
    pub client: Option<ClientAddress>,
}

/// Why bytes are not a valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnnounced(&'static str);

/// The first bytes of version 1 (section 2.1).
const TEXT: &[u8] = b"PROXY ";

/// The first bytes of version 2 (section 2.2).
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, including its CRLF.
const LONGEST_LINE: usize = 107;

/// Parses the header from the first bytes of a connection. `None` if more bytes are needed.
///
/// # Errors
/// [`NotAnnounced`], at the first byte that makes a valid header impossible.
pub fn read(bytes: &[u8]) -> Result<Option<Announced>, NotAnnounced> {
    let begins = |mark: &[u8]| bytes.iter().zip(mark).all(|(byte, of_mark)| byte == of_mark);
    if begins(TEXT) {
        text(bytes)
    } else if begins(BINARY) {
        binary(bytes)
    } else {
        Err(NotAnnounced("it does not begin with a PROXY announcement"))
    }
}

fn text(bytes: &[u8]) -> Result<Option<Announced>, NotAnnounced> {
    let Some(end) = bytes.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(NotAnnounced("its line is too long")) };
    };
    let len = end.saturating_add(1);
    let line = bytes.get(TEXT.len()..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let line = line.ok_or(NotAnnounced("its line is malformed"))?;
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // The rest of the line is ignored.
        return Ok(Some(Announced { len, client: None }));
    }
    let words: Vec<&str> = words.collect();
    let [source, destination, from, to] = words.as_slice() else {
        return Err(NotAnnounced("its line is malformed"));
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    match (address(source), address(destination)) {
        (Some(source), Some(_)) if is_port(from) && is_port(to) => {
            Ok(Some(Announced { len, client: Some(ClientAddress::ip(source)) }))
        }
        _ => Err(NotAnnounced("its addresses are malformed")),
    }
}

/// Decimal digits without leading zeros.
fn is_port(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0')) && text.parse::<u16>().is_ok()
}

fn binary(bytes: &[u8]) -> Result<Option<Announced>, NotAnnounced> {
    let Some(&[command, family, high, low]) = bytes.get(BINARY.len()..).and_then(|rest| rest.first_chunk())
    else {
        return Ok(None);
    };
    let head = BINARY.len().saturating_add(4);
    let len = head.saturating_add(usize::from(u16::from_be_bytes([high, low])));
    if len > LONGEST {
        return Err(NotAnnounced("it is too long"));
    }
    let proxied = match command {
        0x20 => false,
        0x21 => true,
        _ => return Err(NotAnnounced("its version or its command is unknown")),
    };
    let Some(addresses) = bytes.get(head..len) else { return Ok(None) };
    let short = NotAnnounced("its addresses are cut short");
    let client = match (proxied, family) {
        // LOCAL: the proxy connects for itself, for example for a health check. Addresses in the header are
        // ignored.
        (false, _) | (true, 0x00) => None,
        (true, 0x11) => {
            let addresses: &[u8; 12] = addresses.first_chunk().ok_or(short)?;
            let &[a, b, c, d, ..] = addresses;
            Some(ClientAddress::ip(IpAddr::from([a, b, c, d])))
        }
        (true, 0x21) => {
            let addresses: &[u8; 36] = addresses.first_chunk().ok_or(short)?;
            let source: [u8; 16] = *addresses.first_chunk().ok_or(short)?;
            Some(ClientAddress::ip(IpAddr::from(source)))
        }
        (true, 0x31) if addresses.len() >= 216 => Some(ClientAddress::Unix),
        (true, _) => return Err(NotAnnounced("its family or its transport is not one of a stream")),
    };
    Ok(Some(Announced { len, client }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut bytes = BINARY.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
        bytes.extend(addresses);
        bytes
    }

    fn ip(text: &str) -> Option<ClientAddress> {
        Some(ClientAddress::ip(text.parse().unwrap()))
    }

    fn good() -> Vec<(Vec<u8>, Option<ClientAddress>)> {
        let mut six = vec![0; 36];
        six[15] = 1;
        let mut mapped = vec![0; 36];
        mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
        vec![
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(), ip("192.0.2.1")),
            (b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n".to_vec(), ip("2001:db8::1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (v2(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 3, 4]), ip("192.0.2.1")),
            (v2(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 3, 4, 0x04, 0, 1, 9]), ip("192.0.2.1")),
            (v2(0x21, 0x21, &six), ip("::1")),
            (v2(0x21, 0x21, &mapped), ip("192.0.2.1")),
            (v2(0x21, 0x31, &[0; 216]), Some(ClientAddress::Unix)),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &[0; 12]), None),
            (v2(0x20, 0x11, &[]), None),
            (v2(0x20, 0x99, &[1]), None),
            (v2(0x21, 0x00, &[1, 2, 3]), None),
        ]
    }

    #[test]
    fn announcements_are_read_to_their_last_byte_and_no_further() {
        for (bytes, client) in good() {
            let want = Announced { len: bytes.len(), client };
            assert_eq!(read(&bytes), Ok(Some(want)), "{bytes:?}");
            let mut more = bytes.clone();
            more.extend(b"POST / HTTP/1.1\r\n");
            assert_eq!(read(&more), Ok(Some(want)), "{bytes:?}");
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), Ok(None), "{cut} of {bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_no_announcement_is_refused() {
        let long = format!("PROXY TCP4 {}", "1".repeat(96));
        for bytes in [
            &b"POST / HTTP/1.1\r\n"[..],
            b"G",
            b"PROXY\r\n",
            b"PROXYxTCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY UNKNOWNx\r\n",
            b"PROXY UNKNOWN\nPOST / HTTP/1.1\r\n",
            b"PROXY TCP4 192.0.2.1\r\n",
            b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            b"PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.\xff 1 2\r\n",
            long.as_bytes(),
            b"\r\n\r\n\0\r\nQUIT ",
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 35]),
            &v2(0x21, 0x31, &[0; 215]),
            &v2(0x21, 0x12, &[0; 12]),
            &v2(0x21, 0x32, &[0; 216]),
            &v2(0x21, 0x11, &[0; LONGEST]),
        ] {
            assert!(read(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        /// The reader reads no more bytes than the longest header has. So these bytes must be enough to
        /// decide.
        #[test]
        fn whatever_comes_it_is_decided_within_the_longest(index in 0..14usize, noise in proptest::collection::vec(any::<u8>(), 0..40), cut in 0..60usize) {
            let (mut bytes, _) = good().swap_remove(index);
            bytes.truncate(cut);
            bytes.extend(noise);
            let _either = read(&bytes);
            bytes.resize(LONGEST, b'x');
            prop_assert!(read(&bytes) != Ok(None));
        }
    }
}
