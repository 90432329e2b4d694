//! Pure. The ambiguity of a path segment: how an app that decodes or normalises paths could read the segment.

use std::fmt;

use crate::signature::form::percent_decoded;

/// Why an app could read a segment as another segment, or as several segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// The segment is `.` or `..`. Parameters (`;x`) may follow: Tomcat and Jetty remove them first.
    Dots,
    /// The segment has `%2F` or `%5C`.
    EncodedSlash,
    /// The segment has `\`, which some apps treat as `/`.
    Backslash,
    /// The segment encodes a letter, a digit, `-`, `.`, `_` or `~`. These need no encoding (RFC 3986, section
    /// 2.3).
    EncodedUnreserved,
    /// The segment encodes a control character.
    EncodedControl,
    /// The two hexadecimal digits after a `%` are missing.
    BarePercent,
    /// The segment encodes an ASCII character in more than one byte (RFC 3629, section 3), such as `%C0%AE`
    /// for `.`.
    Overlong,
    /// The path has consecutive slashes. nginx merges them, and the merged path belongs to another route.
    Slashes,
}

impl Ambiguity {
    /// The public text of the rejection.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dots => "a captured part of the path has a dot segment",
            Self::EncodedSlash => "a captured part of the path has an encoded slash",
            Self::Backslash => "a captured part of the path has a backslash",
            Self::EncodedUnreserved => {
                "a captured part of the path has an encoding of a character that needs none"
            }
            Self::EncodedControl => "a captured part of the path has an encoded control character",
            Self::BarePercent => "a captured part of the path has a % that begins no encoding",
            Self::Overlong => "a captured part of the path has an overlong encoding",
            Self::Slashes => "the path is another route's with its slashes merged",
        }
    }
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an app could read this segment as another segment. `None` if no app could. The segment is decoded
/// once: the result of `%25` is not decoded again.
pub(crate) fn ambiguity(segment: &str) -> Option<Ambiguity> {
    let bytes = segment.as_bytes();
    if is_dots(bytes) {
        return Some(Ambiguity::Dots);
    }
    let mut rest = bytes;
    // The encoded byte before this byte, if there is one.
    let mut before = None;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        let found = match byte {
            b'\\' => Some(Ambiguity::Backslash),
            b'%' => {
                let Some((decoded, tail)) = percent_decoded(tail) else {
                    return Some(Ambiguity::BarePercent);
                };
                rest = tail;
                let found = of_encoded(decoded, before);
                before = Some(decoded);
                found
            }
            _ => {
                before = None;
                None
            }
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The position of the first `%` that does not begin an encoding.
pub(crate) fn bare_percent(text: &str) -> Option<usize> {
    let mut percents = text.match_indices('%');
    let is_bare = |at: usize| {
        text.as_bytes().get(at.saturating_add(1)..).is_none_or(|tail| percent_decoded(tail).is_none())
    };
    percents.find(|(at, _)| is_bare(*at)).map(|(at, _)| at)
}

/// Whether a segment is one or two dots. Parameters may follow them.
fn is_dots(segment: &[u8]) -> bool {
    let rest = segment.strip_prefix(b"..").or_else(|| segment.strip_prefix(b"."));
    rest.is_some_and(|rest| match rest {
        [] | [b';', ..] => true,
        [b'%', b'3', digit, ..] => digit.eq_ignore_ascii_case(&b'b'),
        _ => false,
    })
}

fn of_encoded(byte: u8, before: Option<u8>) -> Option<Ambiguity> {
    match byte {
        0x00..=0x1f | 0x7f => Some(Ambiguity::EncodedControl),
        b'/' | b'\\' => Some(Ambiguity::EncodedSlash),
        b'-' | b'.' | b'_' | b'~' => Some(Ambiguity::EncodedUnreserved),
        other if other.is_ascii_alphanumeric() => Some(Ambiguity::EncodedUnreserved),
        // Only the second byte shows the error: 0xC0 and 0xC1 begin no valid character.
        0x80..=0xbf if matches!(before, Some(0xc0 | 0xc1)) => Some(Ambiguity::Overlong),
        0x80..=0x9f if before == Some(0xe0) => Some(Ambiguity::Overlong),
        0x80..=0x8f if before == Some(0xf0) => Some(Ambiguity::Overlong),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_segment_that_an_app_could_read_as_another_is_ambiguous() {
        for (segment, want) in [
            (".", Ambiguity::Dots),
            ("..", Ambiguity::Dots),
            (".;a", Ambiguity::Dots),
            ("..;", Ambiguity::Dots),
            ("..%3b", Ambiguity::Dots),
            (".%3Ba", Ambiguity::Dots),
            ("%2e", Ambiguity::EncodedUnreserved),
            (".%2E", Ambiguity::EncodedUnreserved),
            ("%2E.", Ambiguity::EncodedUnreserved),
            ("..%2f", Ambiguity::EncodedSlash),
            ("a%2Fb", Ambiguity::EncodedSlash),
            ("a%5cb", Ambiguity::EncodedSlash),
            ("a%5Cb", Ambiguity::EncodedSlash),
            ("a\\b", Ambiguity::Backslash),
            ("%", Ambiguity::BarePercent),
            ("a%2", Ambiguity::BarePercent),
            ("%2g", Ambiguity::BarePercent),
            ("%%25", Ambiguity::BarePercent),
            ("%u002f", Ambiguity::BarePercent),
            ("%é", Ambiguity::BarePercent),
            ("%c0%af", Ambiguity::Overlong),
            ("%C1%81", Ambiguity::Overlong),
            ("%e0%80%ae", Ambiguity::Overlong),
            ("%f0%80%80%ae", Ambiguity::Overlong),
        ] {
            assert_eq!(ambiguity(segment), Some(want), "{segment}");
        }
    }

    #[test]
    fn a_segment_that_every_app_reads_alike_is_clear() {
        for segment in [
            "",
            "...",
            "..a",
            ".a",
            "a.",
            "..:",
            "..%3a",
            "%25",
            "%2525",
            "%252e",
            "%252e%252e%252f",
            "a;b",
            "a+b",
            "%C3%A9",
            "%c3%af",
            "%E0%A4%85",
            "%F0%9F%A6%80",
            "%C0",
            "%C0x",
            "é",
            "!$&'()*+,;=:@",
        ] {
            assert_eq!(ambiguity(segment), None, "{segment}");
        }
    }

    /// The documented rule, checked for every byte.
    #[test]
    fn each_encoded_byte_is_clear_or_not_as_the_contract_says() {
        for byte in 0..=u8::MAX {
            let want = match byte {
                0..=0x1f | 0x7f => Some(Ambiguity::EncodedControl),
                b'/' | b'\\' => Some(Ambiguity::EncodedSlash),
                b'-' | b'.' | b'_' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                    Some(Ambiguity::EncodedUnreserved)
                }
                _ => None,
            };
            for text in [format!("%{byte:02x}"), format!("a%{byte:02X}b"), format!("%25%{byte:02X}")] {
                assert_eq!(ambiguity(&text), want, "{text}");
            }
        }
    }

    #[test]
    fn a_percent_sign_is_bare_without_two_digits_behind_it() {
        for (text, want) in [
            ("a%20b%", Some(5)),
            ("%2%20", Some(0)),
            ("%20%zz%", Some(3)),
            ("%é", Some(0)),
            ("%25", None),
            ("", None),
        ] {
            assert_eq!(bare_percent(text), want, "{text}");
        }
    }

    proptest! {
        /// This holds for apps that remove parameters before or after decoding, and for apps that do or do
        /// not resolve dots afterwards.
        #[test]
        fn what_is_clear_decodes_to_one_segment_that_is_no_dots(segment in "([%.;a\\\\2eEfF5cC3bB0]|%2e|%2F|%25|%3b|\\.\\.){0,5}") {
            if ambiguity(&segment).is_none() {
                let mut once = Vec::new();
                let mut rest = segment.as_bytes();
                while let Some((byte, tail)) = rest.split_first() {
                    let (byte, tail) = if *byte == b'%' { percent_decoded(tail).unwrap() } else { (*byte, tail) };
                    once.push(byte);
                    rest = tail;
                }
                let before_parameters = once.split(|byte| *byte == b';').next().unwrap_or_default();
                prop_assert!(!once.iter().any(|byte| matches!(byte, b'/' | b'\\')));
                prop_assert!(before_parameters != b"." && before_parameters != b"..");
            }
        }

        #[test]
        fn no_segment_panics(segment in "\\PC*") {
            let _any = ambiguity(&segment);
            let _any = bare_percent(&segment);
        }
    }
}
