//! A strict parser of HTTP/1.1 messages (RFC 9112), written from the grammar and not from hookgate's code.
//!
//! The parser is slow and simple: it splits a message into lines, and a line at its colon. Everything else is
//! an error.

pub mod response;

/// A complete request.
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target, as received.
    pub target: Vec<u8>,
    /// HTTP/1.x
    pub minor: u8,
    /// Names and values of the field lines, without white space around the values.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// The values of all lines of a field.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let lines = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_slice()).collect()
    }

    /// The other names that an app behind CGI could mistake for this name.
    pub fn lookalikes(&self, name: &str) -> Vec<&str> {
        let variable =
            |name: &str| name.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let names = self.fields.iter().map(|(known, _)| known.as_str());
        names.filter(|known| variable(known) == variable(name) && !known.eq_ignore_ascii_case(name)).collect()
    }

    /// The number in `content-length`.
    pub fn content_length(&self) -> Result<Option<u64>, String> {
        match self.all("content-length")[..] {
            [] => Ok(None),
            [digits] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                let text = std::str::from_utf8(digits).expect("digits");
                text.parse().map(Some).map_err(|_too_large| "a content-length beyond all bounds".to_owned())
            }
            _ => Err("content-length is not one number".to_owned()),
        }
    }
}

/// Parses the head of a request. Returns the head and its length in bytes; `None` if the head is not
/// complete.
pub fn head(bytes: &[u8]) -> Result<Option<(Request, usize)>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = &bytes[..end];
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    if lines.iter().any(|line| line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))) {
        return Err("CR, LF or NUL within a line".to_owned());
    }
    let (start, fields) = lines.split_first().expect("split gives at least one");
    let words: Vec<&[u8]> = start.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else { return Err("not three words".to_owned()) };
    if method.is_empty() || !method.iter().all(|byte| is_tchar(*byte)) {
        return Err("the method is no token".to_owned());
    }
    if target.is_empty() || !is_target(target) {
        return Err("a target with a character that it cannot have".to_owned());
    }
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', digit @ b'0'..=b'9'] = version else {
        return Err("a version that is none of HTTP/1".to_owned());
    };
    let minor = digit - b'0';
    let fields = fields.iter().map(|line| field(line)).collect::<Result<_, _>>()?;
    let method = String::from_utf8_lossy(method).into_owned();
    Ok(Some((Request { method, target: target.to_vec(), minor, fields }, end + 4)))
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a line without a colon")?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_tchar(*byte)) {
        return Err(format!("{:?} is no token", name.escape_ascii().to_string()));
    }
    let is_ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_ows(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_ows(byte)).map_or(start, |last| last + 1);
    let value = &value[start..end];
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err("a control character in a value".to_owned());
    }
    Ok((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}

/// Whether a target, which is a path or a URL, has a path by RFC 3986, section 3.3, and a query without
/// control characters, spaces and `#`.
fn is_target(target: &[u8]) -> bool {
    let (before, query) =
        target.split_at(target.iter().position(|byte| *byte == b'?').unwrap_or(target.len()));
    // The part of a URL before the path is not checked here.
    let path = if before.starts_with(b"/") {
        before
    } else {
        before.splitn(4, |byte| *byte == b'/').nth(3).unwrap_or_default()
    };
    let is_divider = |byte: &u8| *byte <= b' ' || matches!(byte, b'#' | 0x7f);
    if query.iter().any(is_divider) || before.iter().any(is_divider) {
        return false;
    }
    path.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => {
            path.get(at + 1).is_some_and(u8::is_ascii_hexdigit)
                && path.get(at + 2).is_some_and(u8::is_ascii_hexdigit)
        }
        other => other.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(other),
    })
}

/// Whether a segment of a path stays the same single segment if an app decodes it once and then resolves dot
/// segments.
pub fn is_clear(segment: &str) -> bool {
    let pieces: Vec<&str> = segment.split('%').collect();
    let mut decoded = pieces[0].as_bytes().to_vec();
    for piece in &pieces[1..] {
        let Some(digits) =
            piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        else {
            return false;
        };
        let byte = u8::from_str_radix(digits, 16).expect("two digits");
        let needs_none = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if needs_none || byte.is_ascii_control() || b"/\\".contains(&byte) {
            return false;
        }
        decoded.push(byte);
        decoded.extend_from_slice(&piece.as_bytes()[2..]);
    }
    // An ASCII character that is encoded in two, three or four bytes.
    let encoded = segment.to_ascii_lowercase();
    let is_overlong = |at: usize, lead: &str, last: u8| {
        let next = encoded.get(at + lead.len()..at + lead.len() + 3).and_then(|next| next.strip_prefix('%'));
        let next = next.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        next.is_some_and(|next| (0x80..=last).contains(&next))
    };
    let leads = [("%c0", 0xbf), ("%c1", 0xbf), ("%e0", 0x9f), ("%f0", 0x8f)];
    if leads
        .iter()
        .any(|(lead, last)| encoded.match_indices(lead).any(|(at, _)| is_overlong(at, lead, *last)))
    {
        return false;
    }
    let plain = decoded.split(|byte| *byte == b';').next().unwrap_or_default();
    plain != b"." && plain != b".." && !decoded.contains(&b'\\')
}

fn is_tchar(byte: u8) -> bool {
    b"!#$%&'*+-.^_`|~".contains(&byte) || byte.is_ascii_alphanumeric()
}

/// Decodes the chunked coding (RFC 9112, section 7.1). `None` if it is incomplete or malformed.
pub fn chunked(bytes: &[u8]) -> Option<Chunks> {
    let mut chunks = Chunks::default();
    loop {
        let line = line(&bytes[chunks.len..])?;
        chunks.len += line.len() + 2;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = &line[digits..];
        if !(1..=16).contains(&digits) || !are_extensions(extension) {
            return None;
        }
        chunks.extension_bytes += extension.len();
        let size = u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok()?;
        let end = chunks.len.checked_add(size)?;
        chunks.content.extend_from_slice(bytes.get(chunks.len..end)?);
        if bytes.get(end..end.checked_add(2)?)? != b"\r\n" {
            return None;
        }
        chunks.len = end + 2;
    }
    loop {
        let line = line(&bytes[chunks.len..])?;
        chunks.len += line.len() + 2;
        chunks.trailer_bytes += line.len() + 2;
        if line.is_empty() {
            return Some(chunks);
        }
        field(line).ok()?;
    }
}

/// `chunk-ext` (RFC 9112, section 7.1.1): `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
fn are_extensions(text: &[u8]) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let Some(name) = without_blank(rest).strip_prefix(b";").map(without_blank) else { return false };
        let len = name.iter().take_while(|byte| is_tchar(**byte)).count();
        rest = &name[len..];
        if len == 0 {
            return false;
        }
        let Some(value) = without_blank(rest).strip_prefix(b"=").map(without_blank) else { continue };
        let len = match value.first() {
            Some(b'"') => quoted_string(value),
            _ => value.iter().take_while(|byte| is_tchar(**byte)).count(),
        };
        rest = &value[len..];
        if len == 0 {
            return false;
        }
    }
    true
}

fn without_blank(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()..]
}

/// The length of the `quoted-string` (RFC 9110, section 5.6.4) at the beginning of the text; 0 if there is
/// none.
fn quoted_string(text: &[u8]) -> usize {
    let is_text = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    let mut at = 1;
    loop {
        at += match text.get(at..) {
            Some([b'"', ..]) => return at + 1,
            Some([b'\\', escaped, ..]) if is_text(*escaped) => 2,
            Some([plain, ..]) if *plain != b'\\' && is_text(*plain) => 1,
            _ => return 0,
        };
    }
}

/// The result of [`chunked`].
#[derive(Default)]
pub struct Chunks {
    pub content: Vec<u8>,
    pub extension_bytes: usize,
    pub trailer_bytes: usize,
    pub len: usize,
}

/// The bytes before the next CRLF. They contain neither CR nor LF.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = bytes[..end].strip_suffix(b"\r")?;
    (!line.contains(&b'\r')).then_some(line)
}
