//! Pure. Hidden characters: a terminal or a page interprets them, or shows nothing for them. A client may
//! send such characters, so every log line has them escaped.

use std::borrow::Cow;
use std::io::Write as _;

/// Whether a character is a control character, a separator of lines, a format character (general category
/// `Cf`), or ignorable by default (Unicode 16, `Default_Ignorable_Code_Point`). Characters that change the
/// direction of text are among them.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// How an escaped character is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// `\u061c`, and a pair of these outside the basic plane (RFC 8259, section 7).
    Json,
    /// `\u{61c}`
    Braces,
}

/// Writes the escape of a character.
pub fn escape(out: &mut Vec<u8>, c: char, notation: Notation) {
    // Writing to a vector does not fail.
    match notation {
        Notation::Json => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _infallible = write!(out, "\\u{unit:04x}");
            }
        }
        Notation::Braces => {
            let _infallible = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

/// A whole log line, with its hidden characters escaped. The line was made by a library that colours a line
/// for a terminal, and that escapes ESC in values. So ESC stays, and the line break at the end. A line break
/// before the end would begin a forged line.
#[must_use]
pub fn without_hidden(whole: &[u8], notation: Notation) -> Cow<'_, [u8]> {
    let (line, end) = match whole.strip_suffix(b"\n") {
        Some(rest) => (rest, &b"\n"[..]),
        None => (whole, &b""[..]),
    };
    let stays = |byte: u8| matches!(byte, b' '..=b'~' | 0x1b);
    if line.iter().copied().all(stays) {
        return Cow::Borrowed(whole);
    }
    let mut out = Vec::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\u{1b}' || !is_hidden(c) {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                escape(&mut out, c, notation);
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.extend_from_slice(end);
    Cow::Owned(out)
}

/// A text for a terminal, with its hidden characters escaped.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            escape(&mut out, c, Notation::Braces);
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn format_characters_and_ignorable_ones_are_hidden_and_letters_are_not() {
        for hidden in "\u{0}\u{7f}\u{9b}\u{ad}\u{61c}\u{180e}\u{200b}\u{200d}\u{2028}\u{202e}\u{2066}\u{3164}\u{fe0f}\u{feff}\u{e0001}\u{e0041}".chars() {
            assert!(is_hidden(hidden), "{:x}", u32::from(hidden));
        }
        for seen in " ~éÄж中🎉…\u{627}".chars() {
            assert!(!is_hidden(seen), "{seen}");
        }
    }

    #[test]
    fn a_character_outside_the_basic_plane_is_a_pair_in_json() {
        let written = |notation| {
            let mut out = Vec::new();
            escape(&mut out, '\u{e0001}', notation);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Notation::Json), "\\udb40\\udc01");
        assert_eq!(written(Notation::Braces), "\\u{e0001}");
        let string = format!("\"{}\"", written(Notation::Json));
        assert_eq!(serde_json::from_str::<String>(&string).unwrap(), "\u{e0001}");
    }

    #[test]
    fn no_value_begins_a_second_line() {
        let line = "WARN message value=a\nforged\r\u{8}\tb\u{1b}[0m\n".as_bytes();
        let shown = without_hidden(line, Notation::Braces);
        let want = "WARN message value=a\\u{a}forged\\u{d}\\u{8}\\u{9}b\u{1b}[0m\n";
        assert_eq!(std::str::from_utf8(&shown).unwrap(), want);
        assert_eq!(&*without_hidden(b"plain\n", Notation::Json), b"plain\n");
    }

    proptest! {
        #[test]
        fn a_line_of_json_means_the_same_without_hidden_characters(text: String) {
            let line = serde_json::to_vec(&text).unwrap();
            let shown = without_hidden(&line, Notation::Json);
            prop_assert!(std::str::from_utf8(&shown).unwrap().chars().all(|c| c.is_ascii() || !is_hidden(c)));
            prop_assert_eq!(serde_json::from_slice::<String>(&shown).unwrap(), text);
        }

        #[test]
        fn a_text_for_a_terminal_has_nothing_hidden(text: String, bytes: Vec<u8>) {
            prop_assert!(!visible(&text).chars().any(is_hidden));
            let line = without_hidden(&bytes, Notation::Braces).into_owned();
            let line = String::from_utf8(line).unwrap();
            let inner = line.strip_suffix('\n').unwrap_or(&line);
            let plain = |c: char| c == char::from(0x1b) || !is_hidden(c);
            prop_assert!(inner.chars().all(plain));
        }
    }
}
