//! Pure. The id and the trace id that a request carries.
//!
//! Both come from unverified clients. A value is accepted only if it is short and every byte is harmless. A
//! value is never shortened or changed: a changed id would match no other log.

use std::fmt;

/// The most bytes that an id may have.
pub const LONGEST_ID: usize = 128;

/// The id of a request, from a field. It has at most [`LONGEST_ID`] characters, which are letters, digits and
/// `-_.:/+=@,`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenId(Box<str>);

impl GivenId {
    /// Parses the id from the lines of its field. There must be exactly one line.
    #[must_use]
    pub fn read<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<Self> {
        let text = std::str::from_utf8(only(values)?).ok()?;
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@,".contains(&byte);
        let sound = !text.is_empty() && text.len() <= LONGEST_ID && text.bytes().all(harmless);
        sound.then(|| Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The trace id of a `traceparent` field (W3C Trace Context, section 3.2): 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// Parses the trace id from the lines of `traceparent`. There must be exactly one line. It must have the
    /// form of this version of the standard, or of a later version.
    #[must_use]
    pub fn read<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<Self> {
        let mut parts = std::str::from_utf8(only(values)?).ok()?.splitn(5, '-');
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let mut hex = |len| parts.next().filter(|part| part.len() == len && part.bytes().all(is_hex));
        let (version, trace, parent, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let is_form_known = version != "ff" && (version != "00" || parts.next().is_none());
        let is_zero = |digits: &str| digits.bytes().all(|byte| byte == b'0');
        let sound = is_form_known && !is_zero(trace) && !is_zero(parent);
        trace.as_bytes().try_into().ok().filter(|_| sound).map(Self)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn only<T>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(lines: &[&[u8]]) -> Option<String> {
        GivenId::read(lines.iter().copied()).map(|id| id.as_str().to_owned())
    }

    fn trace(text: &str) -> Option<String> {
        TraceId::read(std::iter::once(text.as_bytes())).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn an_id_is_taken_whole_or_not_at_all() {
        for good in ["a", "7f3c-0001", "evt_1:2/3+4=@x,y.z", &"x".repeat(LONGEST_ID)] {
            assert_eq!(id(&[good.as_bytes()]).as_deref(), Some(good));
        }
        for bad in [
            "",
            "a b",
            "a\"b",
            "a\\b",
            "a\nb",
            "a\u{1b}[31mb",
            "é",
            "{}",
            &"x".repeat(LONGEST_ID.wrapping_add(1)),
        ] {
            assert_eq!(id(&[bad.as_bytes()]), None, "{bad:?}");
        }
        assert_eq!(id(&[b"\xff"]), None);
        assert_eq!(id(&[]), None);
        assert_eq!(id(&[b"a", b"a"]), None, "which of them?");
    }

    #[test]
    fn a_trace_id_is_that_of_a_sound_traceparent() {
        let want = "0af7651916cd43dd8448eb211c80319c";
        for good in [
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-what-the-future-brings",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
        ] {
            assert_eq!(trace(good).as_deref(), Some(want), "{good}");
        }
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-0af7651916cd43dd8448eb211c8031\"}-b7ad6b7169203331-01",
        ] {
            assert_eq!(trace(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(line: Vec<u8>) {
            let (id, trace) = (id(&[&line]), TraceId::read(std::iter::once(line.as_slice())));
            prop_assert!(id.is_none_or(|id| id.len() <= LONGEST_ID) && trace.is_none_or(|id| id.as_str().len() == 32));
        }
    }
}
