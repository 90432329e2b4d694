//! Pure. Undoes wrong character sets: UTF-8 that was read or written as Latin-1 or as Windows-1252.

/// The content before it was read as Latin-1 or Windows-1252, and written in UTF-8. `None` if the content has
/// only ASCII, or has a character that those character sets do not have.
pub(super) fn read_as_latin1(content: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(content).ok().filter(|text| !text.is_ascii())?;
    let mut out = Vec::with_capacity(content.len());
    for c in text.chars() {
        out.push(u8::try_from(c).ok().or_else(|| windows_1252(c))?);
    }
    Some(out)
}

/// The content in UTF-8, if it seems to be in Latin-1.
pub(super) fn written_as_latin1(content: &[u8]) -> Option<Vec<u8>> {
    if std::str::from_utf8(content).is_ok() {
        return None;
    }
    let mut out = Vec::with_capacity(content.len().saturating_mul(2));
    for byte in content {
        out.extend_from_slice(char::from(*byte).encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(out)
}

/// Whether characters of the content are replaced: by U+FFFD, or by `?` between letters. The signed
/// characters cannot be restored.
pub(super) fn has_replacements(content: &[u8]) -> bool {
    if content.windows(3).any(|bytes| bytes == b"\xef\xbf\xbd") {
        return true;
    }
    // A word of letters and `?` alone. An address with a query has other characters, too.
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'"' | b'\t' | b'\r' | b'\n' | b'>' | b'<');
    content.is_ascii() && content.split(is_blank).any(is_mangled)
}

/// Whether a word is made of letters and `?`, and has `?` between letters.
fn is_mangled(word: &[u8]) -> bool {
    let marks = |byte: &u8| *byte == b'?';
    let has_inner = || {
        let mut begun = word.iter().skip_while(|byte| marks(byte)).skip_while(|byte| !marks(byte));
        begun.any(|byte| !marks(byte))
    };
    word.iter().all(|byte| byte.is_ascii_alphabetic() || marks(byte)) && has_inner()
}

/// The byte of a character that Windows-1252 has where Latin-1 has control characters.
fn windows_1252(c: char) -> Option<u8> {
    let index = WINDOWS_1252.iter().position(|other| *other == c)?;
    u8::try_from(index).ok()?.checked_add(0x80)
}

/// The characters of the bytes 80 to 9F in Windows-1252. Five bytes have none.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_restored_from_what_other_character_sets_made_of_it() {
        for signed in ["é", "{\"city\":\"Zürich\"}", "€ 5", "“quoted” – 🦀"] {
            let latin1: String = signed.bytes().map(char::from).collect();
            assert_eq!(read_as_latin1(latin1.as_bytes()).as_deref(), Some(signed.as_bytes()), "{signed}");
            let windows: String = signed
                .bytes()
                .map(|byte| match byte {
                    0x80..=0x9f => WINDOWS_1252[usize::from(byte) - 0x80],
                    other => char::from(other),
                })
                .collect();
            assert_eq!(read_as_latin1(windows.as_bytes()).as_deref(), Some(signed.as_bytes()), "{signed}");
        }
        assert_eq!(read_as_latin1("Zürich 北".as_bytes()), None);
        assert_eq!(read_as_latin1(b"Bern"), None);
        assert_eq!(written_as_latin1(b"Z\xfcrich").as_deref(), Some("Zürich".as_bytes()));
        assert_eq!(written_as_latin1("Zürich".as_bytes()), None);
    }

    #[test]
    fn replaced_characters_are_told_from_questions_and_addresses() {
        for content in ["{\"city\":\"Z?rich\"}", "M??nchen", "Z\u{fffd}rich", "?a?b?"] {
            assert!(has_replacements(content.as_bytes()), "{content}");
        }
        for content in ["", "Zürich?é", "why? what?", "?", "??", "\"https://a/b?c\"", "a?b=c", "{\"a\":1}"]
        {
            assert!(!has_replacements(content.as_bytes()), "{content}");
        }
    }
}
