//! Pure. What a byte of a head may be part of.

/// What a byte may be part of. A table, because every byte of every head is looked up in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// `tchar` (RFC 9110, section 5.6.2).
    Token,
    /// What else may stand in a field value (section 5.5): tab, space, visible characters, opaque bytes from 0x80 on.
    Text,
    /// Control characters.
    Control,
}

const CLASSES: [Class; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler"
)]
const fn classes() -> [Class; 256] {
    let mut classes = [Class::Text; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte < 0x20 || byte == 0x7f {
            classes[byte] = Class::Control;
        }
        if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] = Class::Token;
        }
        byte += 1;
    }
    classes[b'\t' as usize] = Class::Text;
    let symbols = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < symbols.len() {
        classes[symbols[index] as usize] = Class::Token;
        index += 1;
    }
    classes
}

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Control)
}

pub(super) fn is_token(byte: u8) -> bool {
    class(byte) == Class::Token
}

pub(super) fn is_field(byte: u8) -> bool {
    class(byte) != Class::Control
}
