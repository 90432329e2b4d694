//! Pure. The character classes of a head's bytes.

/// The byte is permitted in a token.
const TOKEN: u8 = 1;
/// The byte is permitted in a token, but is not a letter, a digit or `-`.
const UNUSUAL: u8 = 2;
/// The byte is permitted in a path (RFC 3986, section 3.3).
const PATH: u8 = 4;
/// The byte is permitted in a host's name: `reg-name` (RFC 3986, section 3.2.2).
const HOST_NAME: u8 = 8;

/// The classes of each byte value. Every byte of every name is looked up here.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    #[expect(clippy::as_conversions, reason = "no other conversion can be called in a constant")]
    while byte < table.len() {
        table[byte] = classes_of(byte as u8);
        byte += 1;
    }
    table
};

const fn classes_of(byte: u8) -> u8 {
    // `tchar` (RFC 9110, section 5.6.2).
    let in_token = match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' => TOKEN,
        b'!' | b'#'..=b'\'' | b'*' | b'+' | b'.' | b'^'..=b'`' | b'|' | b'~' => TOKEN | UNUSUAL,
        _ => 0,
    };
    // `unreserved` and `sub-delims` (RFC 3986, section 2).
    let in_target = match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => PATH | HOST_NAME,
        b'!' | b'$' | b'&'..=b',' | b';' | b'=' => PATH | HOST_NAME,
        b'/' | b':' | b'@' => PATH,
        _ => 0,
    };
    in_token | in_target
}

fn classes(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Whether a byte is permitted in a token.
pub(crate) fn is_token(byte: u8) -> bool {
    classes(byte) & TOKEN != 0
}

/// Whether a byte is permitted in a path. A `%` begins an encoding, and is not permitted elsewhere.
pub(super) fn is_path_byte(byte: u8) -> bool {
    classes(byte) & PATH != 0
}

/// Whether a byte is permitted in a host's name. A `%` begins an encoding, and is not permitted elsewhere.
pub(super) fn is_host_name_byte(byte: u8) -> bool {
    classes(byte) & HOST_NAME != 0
}

/// Whether all these bytes form a token.
pub(crate) fn is_all_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token(*byte))
}

/// The characters of a field name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Letters, digits and `-`.
    Default,
    /// Also other characters, such as `_` and `.`.
    Unusual,
}

impl Name {
    /// The length of the name at the beginning of a line, and its characters. The length is 0 if the line
    /// does not begin with a token.
    pub(crate) fn at_start(line: &[u8]) -> (usize, Self) {
        let mut seen = 0;
        let is_end = |byte: &u8| {
            seen |= classes(*byte);
            !is_token(*byte)
        };
        let len = line.iter().position(is_end).unwrap_or(line.len());
        (len, if seen & UNUSUAL == 0 { Self::Default } else { Self::Unusual })
    }
}

/// Whether all bytes are permitted in a field value (RFC 9110, section 5.5): tab, space, visible characters,
/// and bytes from 0x80 on. Every byte is checked, without an early exit, so the compiler can check many bytes
/// in one instruction.
pub(crate) fn are_field_value(bytes: &[u8]) -> bool {
    let is_control = |byte: u8| ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f);
    !bytes.iter().fold(false, |found, byte| found | is_control(*byte))
}

/// Whether a field name is this known name, ignoring case. Every byte is compared, without an early exit. The
/// function is inlined, so the compiler knows the name and its length, and many bytes are compared in one
/// instruction.
#[inline(always)]
pub(crate) fn is_named<const LEN: usize>(name: &[u8], known: &[u8; LEN]) -> bool {
    let Some(name) = name.as_array::<LEN>() else { return false };
    let differing =
        |bits, (one, other): (&u8, &u8)| bits | (one.to_ascii_lowercase() ^ other.to_ascii_lowercase());
    name.iter().zip(known).fold(0, differing) == 0
}

/// Whether two field names are the same, ignoring case (RFC 9110, section 5.1). The function is not inlined.
/// Names are compared in many places, and each inlined copy would have to be loaded into the processor's
/// cache again.
#[inline(never)]
#[must_use]
pub fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}
