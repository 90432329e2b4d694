//! Pure. The character classes of a head's bytes.

/// The classes as a table, by `tchar` (RFC 9110, section 5.6.2): every byte of every name is looked up in it.
const CLASSES: [u8; 256] = classes();

/// The byte is permitted in a token.
const TOKEN: u8 = 1;

/// The byte is permitted in a token, and is no letter, digit or `-`.
const UNUSUAL: u8 = 2;

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler"
)]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = TOKEN;
        }
        byte += 1;
    }
    let symbols = b"!#$%&'*+.^_`|~";
    let mut index = 0;
    while index < symbols.len() {
        table[symbols[index] as usize] = TOKEN | UNUSUAL;
        index += 1;
    }
    table[b'-' as usize] = TOKEN;
    table
}

fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Whether a byte is permitted in a token.
pub(crate) fn is_token(byte: u8) -> bool {
    class(byte) & TOKEN != 0
}

/// Whether these bytes are a token.
pub(crate) fn is_all_token(bytes: &[u8]) -> bool {
    Name::of(bytes).is_some()
}

/// The characters of a field name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Letters, digits and `-`.
    Default,
    /// Other characters, too, such as `_` and `.`.
    Unusual,
}

impl Name {
    /// `None` if the bytes are no token: at least one byte, and only permitted ones. Checks every byte without an early
    /// exit, which is faster than testing for one.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let each = |(all, any), byte: &u8| (all & class(*byte), any | class(*byte));
        let (all, any) = bytes.iter().fold((TOKEN, 0), each);
        match (all & TOKEN, any & UNUSUAL) {
            _ if bytes.is_empty() => None,
            (0, _) => None,
            (_, 0) => Some(Self::Default),
            _ => Some(Self::Unusual),
        }
    }
}

/// Whether all bytes are permitted in a field value (RFC 9110, section 5.5): tab, space, visible characters, and bytes from
/// 0x80 on. Checks every byte without an early exit, so that the compiler can check many at once.
pub(crate) fn are_field_value(bytes: &[u8]) -> bool {
    let is_control = |byte: u8| ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f);
    !bytes.iter().fold(false, |found, byte| found | is_control(*byte))
}

/// Whether two field names are the same, ignoring case (RFC 9110, section 5.1). Not inlined where names are compared line
/// by line: code that runs for the first time in a while has to be fetched, each copy by itself.
#[inline(never)]
#[must_use]
pub fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}
