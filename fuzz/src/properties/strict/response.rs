//! A simple parser of responses: it finds the answer to a request in all bytes of a connection.

use super::{chunked, field};

/// A response, perhaps incomplete.
#[derive(Debug)]
pub struct Response {
    /// HTTP/1.x
    pub minor: u8,
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: Vec<u8>,
    /// Names and values of the field lines.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The content that has arrived.
    pub content: Vec<u8>,
    /// How the content ends.
    pub end: End,
    /// How many interim responses precede the response.
    pub interim: usize,
    /// Whether the response has a form that a gateway may refuse or accept: a line that ends with LF alone,
    /// or empty lines before the first line.
    pub is_sloppy: bool,
}

/// How the content of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the announced length. This many bytes of the input are left.
    Said(usize),
    /// At the end of the connection.
    Closed,
    /// The content is incomplete.
    Missing,
}

impl Response {
    /// The values of all lines of a field.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let lines = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_slice()).collect()
    }

    /// The options of all `connection` lines, in lower case.
    pub fn options(&self) -> Vec<String> {
        let lines = self.all("connection").into_iter().flat_map(|value| value.split(|byte| *byte == b','));
        lines.map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase()).collect()
    }

    /// Whether another request may follow (RFC 9112, section 9.3).
    pub fn is_persistent(&self) -> bool {
        let options = self.options();
        let has = |option: &str| options.iter().any(|other| other == option);
        matches!(self.end, End::Said(_)) && !has("close") && (self.minor == 1 || has("keep-alive"))
    }
}

/// Parses the answer to a request, after its interim responses. `None` if the head of the answer is
/// incomplete.
pub fn read(bytes: &[u8], is_for_head: bool) -> Result<Option<Response>, String> {
    let (mut rest, mut interim, mut is_sloppy) = (bytes, 0, false);
    loop {
        let Some(head) = head(rest)? else { return Ok(None) };
        rest = &rest[head.len..];
        is_sloppy |= head.is_sloppy;
        if head.status == 101 {
            return Err("it switches protocols".to_owned());
        }
        if !(200..1000).contains(&head.status) {
            if head.status < 100 {
                return Err("a status code that is none".to_owned());
            }
            interim += 1;
            continue;
        }
        let mut response = Response {
            minor: head.minor,
            status: head.status,
            reason: head.reason,
            fields: head.fields,
            content: Vec::new(),
            end: End::Missing,
            interim,
            is_sloppy,
        };
        content(&mut response, rest, is_for_head)?;
        return Ok(Some(response));
    }
}

/// The framing by RFC 9112, section 6.3. Ambiguous framing is an error.
fn content(response: &mut Response, rest: &[u8], is_for_head: bool) -> Result<(), String> {
    let length = match response.all("content-length")[..] {
        [] => None,
        [digits] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let text = std::str::from_utf8(digits).expect("digits");
            Some(text.parse::<u64>().map_err(|_large| "a content-length beyond all bounds".to_owned())?)
        }
        _ => return Err("content-length is not one number".to_owned()),
    };
    let is_chunked = match response.all("transfer-encoding")[..] {
        [] => false,
        [coding] if coding.eq_ignore_ascii_case(b"chunked") && response.minor == 1 => true,
        _ => return Err("another coding than chunked".to_owned()),
    };
    if is_chunked && length.is_some() {
        return Err("two ways to tell where it ends".to_owned());
    }
    if is_for_head || matches!(response.status, 204 | 304) {
        response.end = End::Said(rest.len());
        return Ok(());
    }
    match length {
        _ if is_chunked => {
            // If the content is malformed or incomplete, the content that has arrived is ignored.
            if let Some(chunks) = chunked(rest) {
                response.content = chunks.content;
                response.end = End::Said(rest.len() - chunks.len);
            }
        }
        Some(length) => {
            let n = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
            response.content = rest[..n].to_vec();
            if u64::try_from(n).expect("a length") == length {
                response.end = End::Said(rest.len() - n);
            }
        }
        None => {
            response.content = rest.to_vec();
            response.end = End::Closed;
        }
    }
    Ok(())
}

struct Head {
    minor: u8,
    status: u16,
    reason: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
    len: usize,
    is_sloppy: bool,
}

/// The lines of a head. RFC 9112, section 2.2, permits a recipient to accept LF alone as the end of a line.
fn head(bytes: &[u8]) -> Result<Option<Head>, String> {
    let (mut at, mut is_sloppy) = (0, false);
    let mut next = || -> Result<Option<&[u8]>, String> {
        let Some(len) = bytes[at..].iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let line = &bytes[at..at + len];
        at += len + 1;
        is_sloppy |= !line.ends_with(b"\r");
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.contains(&b'\r') { Err("CR within a line".to_owned()) } else { Ok(Some(line)) }
    };
    let mut lines = Vec::new();
    let mut is_late = false;
    loop {
        match next()? {
            None => return Ok(None),
            Some([]) if lines.is_empty() => is_late = true,
            Some([]) => break,
            Some(line) => lines.push(line),
        }
    }
    let (start, fields) = lines.split_first().expect("it was looked for");
    let minor = match start.get(..9) {
        Some(b"HTTP/1.1 ") => 1,
        Some(b"HTTP/1.0 ") => 0,
        _ => return Err("a version that is none".to_owned()),
    };
    let (status, rest) = start[9..].split_at_checked(3).ok_or("no status code")?;
    if !status.iter().all(u8::is_ascii_digit) {
        return Err("a status code that is none".to_owned());
    }
    let status = std::str::from_utf8(status).expect("digits").parse().expect("three of them");
    let reason = match rest {
        [] => {
            is_sloppy = true;
            rest
        }
        [b' ', reason @ ..] => reason,
        _ => return Err("something else than a space behind the status code".to_owned()),
    };
    if reason.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err("a control character in the reason".to_owned());
    }
    let fields = fields.iter().map(|line| field(line)).collect::<Result<_, _>>()?;
    let is_sloppy = is_sloppy || is_late;
    Ok(Some(Head { minor, status, reason: reason.to_vec(), fields, len: at, is_sloppy }))
}
