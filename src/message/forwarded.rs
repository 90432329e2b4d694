//! Pure. The fields in which proxies report the client: `x-forwarded-for`, `forwarded` (RFC 7239), and
//! `x-forwarded-proto`.
//!
//! The functions read one entry or one line, and keep no state. Their work is linear in the length of the
//! text.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr;

use crate::message::head::is_token;
use crate::message::head::trim;

/// The most elements of a `forwarded` line. A chain of proxies is never that long.
const MOST_ELEMENTS: usize = 100;

/// The longest text of an address with its port: `[`, 45 bytes, `]:65535`.
const LONGEST_NODE: usize = 53;

/// The protocol that a client uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// `http`
    #[default]
    Http,
    /// `https`
    Https,
}

impl Protocol {
    /// The protocol's name, as in a URL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn of(text: &[u8]) -> Option<Self> {
        if text.eq_ignore_ascii_case(b"https") {
            Some(Self::Https)
        } else if text.eq_ignore_ascii_case(b"http") {
            Some(Self::Http)
        } else {
            None
        }
    }
}

/// The version of HTTP in which a request came. Its head does not say this: all heads are written as
/// HTTP/1.x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceivedIn {
    /// HTTP/1.x. The head says which.
    #[default]
    Http1,
    /// HTTP/2
    Http2,
}

/// The protocol in the last entry of an `x-forwarded-proto` line, which the nearest proxy has written.
#[must_use]
pub fn last_protocol(line: &[u8]) -> Option<Protocol> {
    line.rsplit(|byte| *byte == b',').next().map(trim).and_then(Protocol::of)
}

/// The entries of an `x-forwarded-for` line, from right to left. Empty entries are left out (RFC 9110,
/// section 5.6.1.2).
pub fn entries_from_right(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.rsplit(|byte| *byte == b',').map(trim).filter(|entry| !entry.is_empty())
}

/// The address in an entry of `x-forwarded-for`: an IPv4 address, or an IPv6 address with or without
/// brackets. A port may follow an IPv4 address, and an IPv6 address in brackets.
#[must_use]
pub fn address_of_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = node_text(entry)?;
    text.parse::<Ipv6Addr>().map(IpAddr::V6).ok().or_else(|| address_with_port(text, is_port))
}

/// One element of a `forwarded` line: the report of one proxy about the program that has connected to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element<'l> {
    /// The value of `for`.
    node: Option<Cow<'l, [u8]>>,
    /// The value of `proto`, if it is `http` or `https`.
    pub protocol: Option<Protocol>,
}

impl Element<'_> {
    /// The address in `for`. `None` if the element has no `for`, or if `for` is no address (`unknown`, an
    /// obfuscated name).
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let text = node_text(self.node.as_deref()?)?;
        // The port may be obfuscated although the address is not (RFC 7239, section 6).
        address_with_port(text, |port| is_port(port) || is_obfuscated(port))
    }
}

/// Reads a `forwarded` line. Calls `each` with every element, from left to right. Empty elements are left
/// out.
///
/// Returns `None` if the line does not have the form of RFC 7239, section 4, or has too many elements. Then a
/// quotation mark may be in the wrong place, so no element of the line can be believed.
pub fn elements<'l>(line: &'l [u8], mut each: impl FnMut(Element<'l>)) -> Option<()> {
    let mut rest = line;
    let mut count: usize = 0;
    loop {
        let mut element = Element::default();
        let mut is_empty = true;
        loop {
            rest = trim(rest);
            if !matches!(rest.first(), None | Some(b';' | b',')) {
                rest = pair(rest, &mut element)?;
                is_empty = false;
            }
            rest = trim(rest);
            let Some(more) = rest.strip_prefix(b";") else { break };
            rest = more;
        }
        if !is_empty {
            count = count.saturating_add(1);
            if count > MOST_ELEMENTS {
                return None;
            }
            each(element);
        }
        match rest.split_first() {
            None => return Some(()),
            Some((b',', more)) => rest = more,
            Some(_) => return None,
        }
    }
}

/// Reads `name=value`, and returns the text after it.
fn pair<'l>(text: &'l [u8], element: &mut Element<'l>) -> Option<&'l [u8]> {
    let (name, rest) = text.split_at_checked(memchr(b'=', text)?)?;
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return None;
    }
    let (value, rest) = value(rest.get(1..)?)?;
    if name.eq_ignore_ascii_case(b"for") {
        // A parameter may occur once (RFC 7239, section 4).
        if element.node.replace(value).is_some() {
            return None;
        }
    } else if name.eq_ignore_ascii_case(b"proto") {
        element.protocol = Protocol::of(&value);
    }
    Some(rest)
}

/// Reads a token or a quoted string (RFC 9110, section 5.6). Returns the value and the text after the value.
fn value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| !is_token(*byte)).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        return (!token.is_empty()).then_some((Cow::Borrowed(token), rest));
    };
    let mut escaped = false;
    let mut has_escapes = false;
    let end = quoted.iter().position(|byte| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        escaped = *byte == b'\\';
        has_escapes |= escaped;
        *byte == b'"'
    })?;
    let (inside, rest) = quoted.split_at_checked(end)?;
    let value = if has_escapes { Cow::Owned(unescaped(inside)) } else { Cow::Borrowed(inside) };
    Some((value, rest.get(1..)?))
}

/// The text of a quoted string without its backslashes. A text that is longer than an address is cut.
fn unescaped(inside: &[u8]) -> Vec<u8> {
    let mut escaped = false;
    let kept = inside.iter().filter(|byte| {
        escaped = !escaped && **byte == b'\\';
        !escaped
    });
    kept.take(LONGEST_NODE.saturating_add(1)).copied().collect()
}

/// The text of an address. `None` if the text is too long for an address.
fn node_text(node: &[u8]) -> Option<&str> {
    std::str::from_utf8(node).ok().filter(|text| text.len() <= LONGEST_NODE)
}

/// Parses an IPv4 address, or an IPv6 address in brackets. `:` and a port may follow the address.
fn address_with_port(text: &str, is_port: impl Fn(&str) -> bool) -> Option<IpAddr> {
    let (address, after) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), after)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (address, after) = text.split_at_checked(end)?;
            (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), after)
        }
    };
    let is_whole = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
    is_whole.then_some(address)
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether a text is an obfuscated name (RFC 7239, section 6.3).
fn is_obfuscated(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_part))
}

#[cfg(test)]
mod tests;
