//! Pure. The transfer codings of a request (RFC 9112, section 7). Decides whether they are exactly one
//! `chunked`.

use crate::message::head::lines::trim_start;
use crate::message::head::token::is_token;

/// The codings in all `transfer-encoding` lines so far (RFC 9110, section 5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Codings {
    /// There is no `transfer-encoding` line.
    #[default]
    None,
    /// Only `chunked`, without parameters.
    Chunked,
    /// Other codings. `chunked` is the last of them, or is missing.
    Others { then_chunked: bool },
}

impl Codings {
    /// Adds the codings of one more line.
    ///
    /// # Errors
    /// The line is not a list of codings, or `chunked` is not the last coding. Then the end of the content is
    /// unknown (RFC 9112, section 6.3).
    pub(crate) fn and(self, value: &[u8]) -> Result<Self, &'static str> {
        let mut codings = self;
        let mut rest = value;
        loop {
            let (is_chunked, after) = coding(rest).ok_or("the transfer-encoding is no list of codings")?;
            codings = match codings {
                Self::None if is_chunked => Self::Chunked,
                Self::None | Self::Others { then_chunked: false } => {
                    Self::Others { then_chunked: is_chunked }
                }
                Self::Chunked | Self::Others { then_chunked: true } => {
                    return Err("the transfer-encoding goes on behind chunked");
                }
            };
            match after {
                Some(next) => rest = next,
                None => return Ok(codings),
            }
        }
    }
}

/// Parses `transfer-coding = token *( OWS ";" OWS transfer-parameter )`. Returns whether the coding is
/// `chunked` without parameters, and the text after the next comma, if there is one.
fn coding(text: &[u8]) -> Option<(bool, Option<&[u8]>)> {
    let (name, mut rest) = token(trim_start(text))?;
    let mut is_plain = true;
    loop {
        match trim_start(rest) {
            [] => return Some((is_plain && name.eq_ignore_ascii_case(b"chunked"), None)),
            [b',', next @ ..] => {
                return Some((is_plain && name.eq_ignore_ascii_case(b"chunked"), Some(next)));
            }
            [b';', next @ ..] => {
                is_plain = false;
                rest = parameter(trim_start(next))?;
            }
            _ => return None,
        }
    }
}

/// Parses `transfer-parameter = token BWS "=" BWS ( token / quoted-string )`. Returns the text after the
/// parameter.
fn parameter(text: &[u8]) -> Option<&[u8]> {
    let (_, rest) = token(text)?;
    let value = trim_start(trim_start(rest).strip_prefix(b"=")?);
    match value.strip_prefix(b"\"") {
        Some(quoted) => quoted_string(quoted),
        None => token(value).map(|(_, rest)| rest),
    }
}

/// The token at the beginning of a text, and the text after the token.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| !is_token(*byte)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(token, _)| !token.is_empty())
}

/// The text after a quoted string. The first quote is already consumed. A field value has no control
/// characters except tabs.
fn quoted_string(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] => rest,
            [b'\\'] | [] => return None,
            [_, rest @ ..] => rest,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Option<Codings> {
        lines.iter().try_fold(Codings::None, |codings, line| codings.and(line.as_bytes())).ok()
    }

    #[test]
    fn only_one_chunked_is_chunked() {
        for line in ["chunked", "CHUNKED", "Chunked"] {
            assert_eq!(of(&[line]), Some(Codings::Chunked), "{line}");
        }
        assert_eq!(of(&[]), Some(Codings::None));
    }

    #[test]
    fn any_other_list_of_codings_is_one_of_others() {
        for (lines, then_chunked) in [
            (&["gzip"][..], false),
            (&["identity"], false),
            (&["gzip, chunked"], true),
            (&["gzip", "chunked"], true),
            (&["gzip\t,\tdeflate , CHUNKED"], true),
            (&["gzip", "deflate"], false),
            (&["chunked;q=1"], false),
            (&["chunked ; q = \"a, b\\\";\" ; r=s, gzip"], false),
            (&["chunked;q=1, chunked"], true),
            (&["xchunked"], false),
        ] {
            assert_eq!(of(lines), Some(Codings::Others { then_chunked }), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_codings_is_malformed() {
        for lines in [
            &[""][..],
            &[","],
            &["chunked,"],
            &[",chunked"],
            &["gzip,,chunked"],
            &["chunked", ""],
            &["chunked, chunked"],
            &["chunked", "gzip", "chunked"],
            &["chunked, gzip"],
            &["chunked", "gzip"],
            &["gzip, chunked", "gzip"],
            &["\"chunked\""],
            &["gzip chunked"],
            &["chunked;"],
            &["chunked;q"],
            &["chunked;q="],
            &["chunked;=1"],
            &["chunked;q=\"1"],
            &["chunked;q=\"1\\\""],
            &["chunked;q=\"1\"x"],
            &["chunked;q=1 r=2"],
            &["gzip/chunked"],
            &["chunk\u{e9}d"],
        ] {
            assert_eq!(of(lines), None, "{lines:?}");
        }
    }
}
