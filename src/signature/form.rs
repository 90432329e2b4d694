//! Pure. Parses forms and queries (WHATWG URL, section 5.1) strictly: a text that can be parsed in two ways
//! is not a form.

use std::borrow::Cow;

/// The decoded names and values of a form, in the order in which Twilio signs them: sorted by name and then
/// by value, each pair once.
///
/// Twilio joins names and values without a separator. So its signature does not say where a name ends and its
/// value begins. A forger could use this. To limit the harm, only forms that can be parsed
/// in one way are accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form<'c>(Vec<Pair<'c>>);

/// The name, the value, and the offset of the pair in the content.
type Pair<'c> = (Cow<'c, [u8]>, Cow<'c, [u8]>, usize);

impl<'c> Form<'c> {
    /// Parses content. `None` if the content is not a form, or if it can also be parsed in another way: a
    /// pair without `=` or without a name, a malformed percent-encoding, text that is not UTF-8, characters
    /// that a form never has.
    ///
    /// Empty content is an empty form.
    #[must_use]
    pub fn read(content: &'c [u8]) -> Option<Self> {
        let mut pairs = Vec::new();
        if !content.is_empty() {
            let mut start: usize = 0;
            for piece in content.split(|byte| *byte == b'&') {
                let (name, value) = halves(piece);
                let (name, value) = (decoded(name)?, decoded(value?)?);
                if name.is_empty() || pairs.len() >= MOST_PAIRS {
                    return None;
                }
                pairs.push((name, value, start));
                start = start.saturating_add(piece.len()).saturating_add(1);
            }
        }
        pairs.sort_unstable();
        pairs.dedup_by(|(name, value, _), (other_name, other_value, _)| {
            name == other_name && value == other_value
        });
        Some(Self(pairs))
    }

    /// The offsets of the pairs in the content. They allow reading the pairs again later.
    #[must_use]
    pub fn order(&self) -> Order {
        Order(self.0.iter().map(|(_, _, start)| *start).collect())
    }

    /// The signed text, in pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().flat_map(|(name, value, _)| [&**name, &**value])
    }
}

/// The offsets of a form's pairs in the content, in the order in which they are signed. This value holds none
/// of the content. Its size is bounded, because a form with more pairs is refused.
#[derive(Debug)]
pub struct Order(Vec<usize>);

/// How far a form has been read: a position in its [`Order`].
#[derive(Debug, Default)]
pub struct Place {
    pair: usize,
    /// The number of bytes after the beginning of the pair.
    at: usize,
    in_value: bool,
}

impl Order {
    /// Reads about `most` more bytes of the content that the order was made of. Returns how many bytes were
    /// read, and their signed text. The text is empty at the end.
    pub fn next(&self, content: &[u8], place: &mut Place, most: usize) -> (usize, Vec<u8>) {
        let most = most.clamp(ENCODED, LONGEST_PIECE);
        let mut signed = Vec::with_capacity(most);
        let mut read: usize = 0;
        while let Some(left) = most.checked_sub(read).filter(|left| *left >= ENCODED)
            && let Some(start) = self.0.get(place.pair)
        {
            let rest = content.get(start.saturating_add(place.at)..).unwrap_or_default();
            let rest = rest.get(..left).unwrap_or(rest);
            let special =
                |byte: &u8| matches!(byte, b'&' | b'%' | b'+') || (*byte == b'=' && !place.in_value);
            let plain = rest.iter().position(special).unwrap_or(rest.len());
            let (plain, rest) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
            signed.extend_from_slice(plain);
            let taken = match rest {
                [b'&', ..] => None,
                [b'=', ..] => {
                    place.in_value = true;
                    Some(1)
                }
                [b'+', ..] => {
                    signed.push(b' ');
                    Some(1)
                }
                [b'%', high, low, ..] => {
                    let mut byte = [0];
                    let _it_was_read_before = hex::decode_to_slice([*high, *low], &mut byte);
                    signed.extend_from_slice(&byte);
                    Some(ENCODED)
                }
                // This is the end of the form.
                _ if plain.is_empty() => None,
                // The piece ends within a percent-encoding. The next piece begins with it.
                _ => Some(0),
            };
            read = read.saturating_add(plain.len()).saturating_add(taken.unwrap_or(1));
            match taken {
                Some(taken) => place.at = place.at.saturating_add(plain.len()).saturating_add(taken),
                None => *place = Place { pair: place.pair.saturating_add(1), at: 0, in_value: false },
            }
        }
        (read, signed)
    }
}

/// The length of a percent-encoding.
const ENCODED: usize = 3;

/// The most bytes that one call reads.
const LONGEST_PIECE: usize = 4096;

/// The decoded value of a query parameter. `None` if the parameter is missing, repeated or malformed.
#[must_use]
pub fn parameter<'q>(query: &'q [u8], name: &str) -> Option<Cow<'q, [u8]>> {
    let mut values = parameters(query, name);
    let value = values.next()?;
    if values.next().is_some() { None } else { value }
}

/// The value of each query parameter of this name, decoded. A value that is malformed, or missing, is `None`.
pub(super) fn parameters<'q>(query: &'q [u8], name: &str) -> impl Iterator<Item = Option<Cow<'q, [u8]>>> {
    let pieces = query.split(|byte| *byte == b'&').map(halves);
    let named =
        pieces.filter(move |(other, _)| decoded(other).is_some_and(|other| *other == *name.as_bytes()));
    named.map(|(_, value)| value.and_then(decoded))
}

/// The target with a further parameter in its query.
#[must_use]
pub fn with_parameter(target: &str, name: &str, value: &str) -> String {
    let separator = if target.contains('?') { '&' } else { '?' };
    let mut out = format!("{target}{separator}{name}=");
    for byte in value.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The query of a request target. The target need not be UTF-8.
#[must_use]
pub fn query(target: &[u8]) -> &[u8] {
    target.get(path(target).len().saturating_add(1)..).unwrap_or_default()
}

/// The path of a request target, without the query.
#[must_use]
pub fn path(target: &[u8]) -> &[u8] {
    target.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// The encoded name and value of a pair. Without a `=` there is no value.
fn halves(piece: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut halves = piece.splitn(2, |byte| *byte == b'=');
    (halves.next().unwrap_or_default(), halves.next())
}

/// Decodes a name or a value. The result must be UTF-8. A raw `;` is refused, because some parsers split
/// pairs there.
fn decoded(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b';') {
        return None;
    }
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (byte, tail) = percent_decoded(tail)?;
                rest = tail;
                byte
            }
            other => *other,
        });
    }
    std::str::from_utf8(&bytes).ok()?;
    Some(Cow::Owned(bytes))
}

/// Decodes the two digits after a `%` (RFC 3986, section 2.1). Returns the byte, and the text after the
/// digits.
pub(crate) fn percent_decoded(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_at_checked(2)?;
    let mut byte = [0];
    hex::decode_to_slice(digits, &mut byte).ok()?;
    let [byte] = byte;
    Some((byte, rest))
}

/// The most pairs of a form. No event has so many. Guards against forms whose parsing takes more memory than
/// their content.
const MOST_PAIRS: usize = 1000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signed(content: &str) -> Option<String> {
        let form = Form::read(content.as_bytes())?;
        Some(String::from_utf8(form.pieces().collect::<Vec<_>>().concat()).unwrap())
    }

    #[test]
    fn pairs_are_decoded_sorted_and_joined() {
        for (content, want) in [
            ("", ""),
            ("a=", "a"),
            ("b=2&a=1", "a1b2"),
            ("B=1&a=2&A=3", "A3B1a2"),
            ("Digits=5678&Digits=1234&Digits=1234", "Digits1234Digits5678"),
            ("From=%2B14158675309&Body=a+b%20c%3D%26", "Bodya b c=&From+14158675309"),
            ("a==", "a="),
            ("n=M%C3%BCller", "nMüller"),
        ] {
            assert_eq!(signed(content).as_deref(), Some(want), "{content}");
        }
    }

    #[test]
    fn text_that_can_be_parsed_in_two_ways_is_no_form() {
        for content in [
            "a",
            "&",
            "a=1&",
            "&a=1",
            "a=1&&b=2",
            "=1",
            "a=1;b=2",
            "a=%",
            "a=%2",
            "a=%2g",
            "a=%zz",
            "a=b c",
            "a=\u{e9}",
            "a=%ff",
            "a=1\r\n",
            "a=1\0",
            "{\"a\":1}",
        ] {
            assert_eq!(signed(content), None, "{content:?}");
        }
        let many = |count: usize| vec!["a=1"; count].join("&");
        assert!(signed(&many(MOST_PAIRS)).is_some());
        assert!(signed(&many(MOST_PAIRS + 1)).is_none());
    }

    #[test]
    fn a_repeated_parameter_is_refused_even_if_its_name_is_encoded() {
        let value = |query: &str| {
            parameter(query.as_bytes(), "a_b").map(|value| String::from_utf8(value.to_vec()).unwrap())
        };
        for (query, want) in [
            ("a_b=1", Some("1")),
            ("x=2&a_b=%31&y", Some("1")),
            ("a%5fb=1", Some("1")),
            ("a_b=1&a_b=1", None),
            ("a_b=1&a%5Fb=2", None),
            ("a_b=1&a_b", None),
            ("a_b", None),
            ("a_b=%", None),
            ("A_B=1", None),
            ("", None),
        ] {
            assert_eq!(value(query).as_deref(), want, "{query}");
        }
    }

    proptest! {
        /// Reading restores every name and value that a sender of such forms encodes (WHATWG URL, section
        /// 5.2).
        #[test]
        fn what_is_written_reads_back(pairs in proptest::collection::vec(("[^\0]{1,9}", ".{0,9}"), 0..9)) {
            let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let pieces: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
            let mut sorted: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            sorted.sort_unstable();
            sorted.dedup();
            let want: Vec<_> = sorted.into_iter().flat_map(|(name, value)| [name, value]).collect();
            let content = pieces.join("&");
            let form = Form::read(content.as_bytes()).unwrap();
            prop_assert_eq!(form.pieces().collect::<Vec<_>>(), want.clone());
            for most in [0, 1, 4, 7, 1000] {
                let (order, mut place, mut signed) = (form.order(), Place::default(), Vec::new());
                loop {
                    let (read, piece) = order.next(content.as_bytes(), &mut place, most);
                    signed.extend(piece);
                    prop_assert!(read <= most.max(ENCODED));
                    if read == 0 {
                        break;
                    }
                }
                prop_assert_eq!(&signed, &want.concat());
            }
        }

        #[test]
        fn no_content_panics(content: Vec<u8>, query in "[a=&%+;0-9]{0,20}") {
            let _any = Form::read(&content);
            if let Some(form) = Form::read(query.as_bytes()) {
                // This content differs from the content that the order was made of.
                let (order, mut place) = (form.order(), Place::default());
                while order.next(&content, &mut place, 5).0 > 0 {}
            }
            let _any = Form::read(query.as_bytes());
            let _any = parameter(query.as_bytes(), "a");
        }
    }
}
