//! Pure. The spellings of a form (`application/x-www-form-urlencoded`): the same pairs in the same order,
//! with other percent-encodings.

use crate::signature::form::percent_decoded;

/// The content as common libraries write forms. Empty unless the content may be a form. Each spelling is made
/// when the caller asks for it, reads the content once, and is at most three times as long.
pub(super) fn spellings(content: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let styles = STYLES.iter().filter(move |_| is_form(content));
    styles.map(move |style| {
        let mut out = Vec::with_capacity(content.len());
        let mut rest = content;
        while let Some((byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'&' | b'=' => out.push(*byte),
                b'+' => style.write(b' ', &mut out),
                b'%' => match percent_decoded(tail) {
                    Some((byte, tail)) => {
                        rest = tail;
                        style.write(byte, &mut out);
                    }
                    None => out.push(b'%'),
                },
                byte => style.write(*byte, &mut out),
            }
        }
        out
    })
}

/// A form with one field, of this name and this content, as common libraries write it.
pub(super) fn with_field(name: &[u8], content: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    STYLES.iter().take(WRAPPING_STYLES).map(move |style| {
        let mut out = [name, b"="].concat();
        content.iter().for_each(|byte| style.write(*byte, &mut out));
        out
    })
}

/// The decoded value of a form's first field.
pub(super) fn first_value(content: &[u8]) -> Option<Vec<u8>> {
    if !is_form(content) {
        return None;
    }
    let pair = content.split(|byte| *byte == b'&').next()?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let mut rest = pair.get(equals.saturating_add(1)..)?;
    let mut out = Vec::with_capacity(rest.len());
    while let Some((byte, tail)) = rest.split_first() {
        let plain = if *byte == b'+' { b' ' } else { *byte };
        let decoded = (*byte == b'%').then(|| percent_decoded(tail)).flatten();
        let (byte, tail) = decoded.unwrap_or((plain, tail));
        out.push(byte);
        rest = tail;
    }
    Some(out)
}

/// Whether content may be a form: it has a field, and only characters that a form can have.
fn is_form(content: &[u8]) -> bool {
    let first = content.iter().position(|byte| matches!(byte, b'=' | b'&' | b'{' | b'[' | b'<'));
    let begins = first.and_then(|first| content.get(first)) == Some(&b'=') && first != Some(0);
    begins && content.iter().all(u8::is_ascii_graphic)
}

/// How a library writes forms.
struct Style {
    /// How a space is written.
    space: &'static [u8],
    /// The characters that are not percent-encoded, besides letters and digits.
    plain: &'static [u8],
    /// The digits of percent-encodings.
    digits: &'static [u8; 16],
}

impl Style {
    fn write(&self, byte: u8, out: &mut Vec<u8>) {
        if byte == b' ' {
            out.extend_from_slice(self.space);
        } else if byte.is_ascii_alphanumeric() || self.plain.contains(&byte) {
            out.push(byte);
        } else {
            let digit = |half: u8| self.digits.get(usize::from(half)).copied().unwrap_or(b'0');
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

/// The styles in use. Senders use the first [`WRAPPING_STYLES`] of them.
const STYLES: [Style; 7] = [
    // JavaScript's URLSearchParams, Java, Ruby, and browsers.
    Style { space: b"+", plain: b"*-._", digits: UPPER },
    // Python, Go.
    Style { space: b"+", plain: b"-._~", digits: UPPER },
    // PHP.
    Style { space: b"+", plain: b"-._", digits: UPPER },
    // RFC 3986.
    Style { space: b"%20", plain: b"-._~", digits: UPPER },
    // JavaScript's encodeURIComponent.
    Style { space: b"%20", plain: b"-_.!~*'()", digits: UPPER },
    // .NET.
    Style { space: b"+", plain: b"-_.!*()", digits: LOWER },
    // Programs that join the pairs themselves encode only the characters that a form needs encoded.
    Style { space: b"+", plain: b"-._~!*'():/?@,;$[]{}\"|\\^`<>", digits: UPPER },
];

const WRAPPING_STYLES: usize = 3;

/// The number of spellings.
#[cfg(test)]
pub(super) const MOST: usize = STYLES.len();

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn has(content: &str, spelling: &str) -> bool {
        spellings(content.as_bytes()).any(|other| other == spelling.as_bytes())
    }

    #[test]
    fn a_form_is_spelled_as_the_usual_libraries_spell_it() {
        let browser = "From=%2B49+30+1&Body=It%27s+*new*%21+%7E%C3%A9&Empty=";
        let python = "From=%2B49+30+1&Body=It%27s+%2Anew%2A%21+~%C3%A9&Empty=";
        let uri = "From=%2B49%2030%201&Body=It%27s%20%2Anew%2A%21%20~%C3%A9&Empty=";
        let component = "From=%2B49%2030%201&Body=It's%20*new*!%20~%C3%A9&Empty=";
        let dotnet = "From=%2b49+30+1&Body=It%27s+*new*!+%7e%c3%a9&Empty=";
        let all = [browser, python, uri, component, dotnet];
        for received in all {
            for signed in all {
                assert!(has(received, signed), "{received} as {signed}");
            }
        }
        assert!(has("u=https%3A%2F%2Fa%2Fb", "u=https://a/b"));
    }

    #[test]
    fn what_is_no_form_has_no_spellings() {
        for content in ["", "=", "a", "{\"a\":\"b=c\"}", "a b=c", "a=\u{e9}", "<a b='c'>", "a&b=c"] {
            assert_eq!(spellings(content.as_bytes()).count(), 0, "{content}");
        }
        assert_eq!(spellings(b"a=b").count(), MOST);
    }

    #[test]
    fn the_first_field_of_a_form_is_read() {
        assert_eq!(first_value(b"payload=%7B%22a%22%3A+1%7D&b=c"), Some(br#"{"a": 1}"#.to_vec()));
        assert_eq!(first_value(b"payload"), None);
        assert!(with_field(b"payload", br#"{"a": 1}"#).any(|form| form == b"payload=%7B%22a%22%3A+1%7D"));
    }

    proptest! {
        #[test]
        fn a_spelling_is_at_most_three_times_as_long(content in "a=[a-z%+&=0-9~*]{0,60}") {
            for spelling in spellings(content.as_bytes()) {
                prop_assert!(spelling.len() <= 3 * content.len());
            }
        }

        #[test]
        fn no_content_panics(content: Vec<u8>) {
            let _any = spellings(&[b"a=", content.as_slice()].concat()).count();
            let _any = first_value(&[b"a=", content.as_slice()].concat());
        }
    }
}
