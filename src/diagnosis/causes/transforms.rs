//! Pure. Undoes the usual changes to a signature, a body or a secret.
//!
//! Each function tries a small, fixed number of changes. None of them reads a key or a computed tag. The
//! caller checks, once for each change, whether the content or the key then verifies.

use std::borrow::Cow;

use base64::Engine as _;
use zeroize::Zeroizing;

use crate::diagnosis::causes::budget::{GivenUp, Work};
use crate::diagnosis::causes::cause::{ContentChange, KeyChange, NotationError};
use crate::diagnosis::causes::{charset, envelope, form_spelling, json, unpack};
use crate::signature::algorithm::Algorithm;
use crate::signature::decoration::{self, Decoration};
use crate::signature::field::{self, Encoding, Format};
use crate::signature::mac::Tag;
use crate::signature::scheme::Scheme;
use crate::signature::secret::{BASE64, BASE64_URL, Key, SecretEncoding};

/// The error in a field value that does not parse in the scheme's notation.
#[must_use]
pub fn misread(scheme: &Scheme, value: &[u8]) -> NotationError {
    match &scheme.notation.format {
        Format::Plain { prefix } => misread_tag(scheme, prefix, value),
        Format::Basic => misread_credentials(value),
        Format::Jwt { .. } if unwrapped(value).is_empty() => NotationError::Empty,
        Format::Jwt { prefix, .. } if field::without_prefix(prefix, value).is_none() => {
            NotationError::PrefixMissing(prefix.to_string())
        }
        Format::Jwt { .. } => NotationError::NotEncoded(Encoding::Base64Url),
        Format::List { .. } if unwrapped(value).is_empty() => NotationError::Empty,
        Format::List { .. } => Entries::of(scheme, value)
            .map_or(NotationError::NotList, |list| misread_tag(scheme, "", list.odd)),
    }
}

/// The error in a value that should have Basic credentials.
fn misread_credentials(value: &[u8]) -> NotationError {
    let bare = unwrapped(value);
    let rest = field::without_prefix(field::BASIC, bare);
    let is_scheme_alone = bare.eq_ignore_ascii_case(field::BASIC.trim_end().as_bytes());
    if bare.is_empty() || is_scheme_alone {
        NotationError::Empty
    } else if rest.is_none() && credentials(bare).is_some() {
        NotationError::PrefixMissing(field::BASIC.to_owned())
    } else if bare != value && field::basic_credentials(bare).is_some() {
        NotationError::Wrapped
    } else {
        NotationError::NotEncoded(Encoding::Base64)
    }
}

/// Credentials, which may be encoded in base64.
fn credentials(text: &[u8]) -> Option<Vec<u8>> {
    let decoded = BASE64.decode(text).ok().filter(|decoded| decoded.contains(&b':'));
    decoded.or_else(|| text.contains(&b':').then(|| text.to_vec()))
}

/// The error in a tag. The prefix `wanted` should precede the tag.
fn misread_tag(scheme: &Scheme, wanted: &str, value: &[u8]) -> NotationError {
    let bare = unwrapped(value);
    let (prefix, rest) = split_prefix(wanted, bare);
    let tag = tag(scheme.algorithm, rest);
    let digits = bare.strip_prefix(wanted.as_bytes()).unwrap_or(rest);
    let is_hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    let len = scheme.algorithm.tag_len();
    if bare.is_empty() {
        NotationError::Empty
    } else if field::is_list_after(wanted, value) {
        NotationError::List
    } else if prefix != wanted && tag.is_some() {
        if prefix.is_empty() {
            NotationError::PrefixMissing(wanted.to_owned())
        } else {
            NotationError::OtherPrefix(prefix.to_owned())
        }
    } else if let (Some((_, written)), true) = (&tag, bare == value) {
        match written {
            Encoding::Hex => NotationError::Hexadecimal,
            Encoding::Base64 | Encoding::Base64Url => NotationError::Base64,
        }
    } else if let (Some((_, Encoding::Base64)), Encoding::Hex) = (&tag, scheme.notation.encoding) {
        NotationError::Base64
    } else if tag.is_some() {
        NotationError::Wrapped
    } else {
        match (scheme.notation.encoding, len) {
            (Encoding::Hex, Some(len)) if is_hex(digits) => {
                NotationError::Length(digits.len(), len.saturating_mul(2))
            }
            (Encoding::Base64 | Encoding::Base64Url, Some(len)) => match from_base64(digits) {
                Some(bytes) => NotationError::Bytes(bytes.len(), len),
                None => NotationError::NotEncoded(scheme.notation.encoding),
            },
            (encoding, _) => NotationError::NotEncoded(encoding),
        }
    }
}

/// A list in which no value with the tags' name is a tag.
struct Entries<'v> {
    /// The first value that should be a tag.
    odd: &'v [u8],
    /// The text before this value, and the text after it.
    around: [&'v [u8]; 2],
}

impl<'v> Entries<'v> {
    /// `None` if the value is not a list of the scheme's form, or if the list has a tag. Then something else
    /// is wrong.
    fn of(scheme: &Scheme, value: &'v [u8]) -> Option<Self> {
        let list = scheme.notation.format.list()?;
        let time = scheme.timestamp.as_ref().map(|timestamp| &timestamp.place);
        let mut first: Option<(usize, usize)> = None;
        let mut at: usize = 0;
        let mut number: usize = 0;
        for entry in value.split(|byte| list.ends_entry(*byte)) {
            let end = at.saturating_add(entry.len());
            let bare = entry.trim_ascii();
            if scheme.notation.read(scheme.algorithm, bare, None).is_ok() {
                return None;
            }
            number = number.saturating_add(usize::from(!bare.is_empty()));
            if let (Some(text), None) = (list.written_tag(number, entry.trim_ascii_start(), time), first) {
                first = Some((end.saturating_sub(text.len()), end));
            }
            at = end.saturating_add(1);
        }
        let (begin, end) = first?;
        Some(Self { odd: value.get(begin..end)?, around: [value.get(..begin)?, value.get(end..)?] })
    }
}

/// The value in the scheme's notation, if it has a tag in any notation. With it, the caller can check whether
/// the tag of a malformed signature is right.
pub(crate) fn rewritten(scheme: &Scheme, value: &[u8]) -> Option<String> {
    let wanted = match &scheme.notation.format {
        Format::Plain { prefix } => prefix,
        Format::Basic | Format::Jwt { .. } | Format::List { .. } => "",
    };
    let tag_of = |text| {
        let (_, rest) = split_prefix(wanted, unwrapped(text));
        tag(scheme.algorithm, rest).map(|(tag, _)| tag)
    };
    match &scheme.notation.format {
        Format::Plain { .. } => Some(scheme.notation.write(&tag_of(value)?, None)),
        Format::Jwt { .. } => None,
        Format::Basic => {
            let bare = unwrapped(value);
            let rest = field::without_prefix(field::BASIC, bare).unwrap_or(bare);
            Some(scheme.notation.frame(std::str::from_utf8(&credentials(rest)?).ok()?, None))
        }
        Format::List { .. } => {
            let Entries { odd, around: [before, behind] } = Entries::of(scheme, value)?;
            let written = scheme.notation.encoding.write(tag_of(odd)?.as_bytes());
            String::from_utf8([before, written.as_bytes(), behind].concat()).ok()
        }
    }
}

/// The change to the content, if the content verifies after the change is undone.
///
/// `verifies` is called at most about forty times. Its content is at most a few times as long as `content`.
///
/// # Errors
/// [`GivenUp`]
pub(crate) fn content_change(
    content: &[u8],
    work: &mut Work<'_>,
    mut verifies: impl FnMut(&[u8], &mut Work<'_>) -> Result<bool, GivenUp>,
) -> Result<Option<ContentChange>, GivenUp> {
    use ContentChange::{
        Base64, ByteOrderMark, ByteOrderMarkLost, Compressed, CrlfForLf, FormRewritten, LfForCrlf,
        NewlineAdded, NewlineLost, ReadAsLatin1, Reserialized, Unwrapped, WhiteSpaceAdded, WhiteSpaceLost,
        Wrapped, WrittenAsLatin1,
    };
    type Undo = fn(&[u8]) -> Option<Cow<'_, [u8]>>;
    let undo: [(ContentChange, Undo); 13] = [
        (NewlineAdded, |content| content.strip_suffix(b"\r\n").map(Cow::from)),
        (NewlineAdded, |content| content.strip_suffix(b"\n").map(Cow::from)),
        (NewlineLost, |content| Some([content, b"\n"].concat().into())),
        (NewlineLost, |content| Some([content, b"\r\n"].concat().into())),
        (CrlfForLf, |content| with_line_ends(content, b"\n").map(Cow::from)),
        (LfForCrlf, |content| with_line_ends(content, b"\r\n").map(Cow::from)),
        (ByteOrderMark, |content| content.strip_prefix(BYTE_ORDER_MARK).map(Cow::from)),
        (ByteOrderMarkLost, |content| Some([BYTE_ORDER_MARK, content].concat().into())),
        (WhiteSpaceAdded, |content| Some(content.trim_ascii().into())),
        (WhiteSpaceLost, |content| Some([content, b" "].concat().into())),
        (ReadAsLatin1, |content| charset::read_as_latin1(content).map(Cow::from)),
        (WrittenAsLatin1, |content| charset::written_as_latin1(content).map(Cow::from)),
        (Base64, |content| from_base64(unwrapped(content)).map(Cow::from)),
    ];
    let undone = undo.into_iter().map(|(change, undo)| (change, undo(content), content.len()));
    let unpacked = std::iter::once_with(|| {
        let (text, len) = unpack::unpacked(content);
        (Compressed, text.map(Cow::from), content.len().saturating_add(len))
    });
    let spelled = json::spellings(content)
        .map(|spelling| (Reserialized, spelling.text.map(Cow::from), spelling.visited));
    let read_once = |change| move |text: Vec<u8>| (change, Some(Cow::from(text)), content.len());
    let others = form_spelling::spellings(content)
        .map(read_once(FormRewritten))
        .chain(envelope::inside(content).map(read_once(Wrapped)))
        .chain(envelope::around(content).map(read_once(Unwrapped)));
    for (change, signed, visited) in undone.chain(unpacked).chain(spelled).chain(others) {
        let written = signed.as_ref().map_or(0, |signed| signed.len());
        work.spend(visited.saturating_add(written))?;
        if let Some(signed) = signed
            && *signed != *content
            && verifies(&signed, work)?
        {
            return Ok(Some(change));
        }
    }
    Ok(None)
}

/// Other keys that the `text` of a secret may mean, besides the key that `configured` decodes. A text without
/// decorations has at most four.
pub fn key_changes(text: &[u8], configured: SecretEncoding) -> impl Iterator<Item = (KeyChange, Key)> {
    let trimmed = decoration::trimmed(text);
    let with_newline = Zeroizing::new([text, b"\n"].concat());
    let decoded = |text: &[u8]| configured.decode(text).ok();
    let mut meant = vec![(KeyChange::Untrimmed, (trimmed != text).then(|| decoded(trimmed)).flatten())];
    meant.extend(decoration::bare(text).iter().map(|bare| {
        let is_quoted = bare.decoration == Decoration::Quotes;
        let change = if is_quoted { KeyChange::Quoted } else { KeyChange::Decorated(bare.decoration) };
        (change, decoded(&bare.text))
    }));
    meant.push((KeyChange::NewlineLost, decoded(&with_newline)));
    let others =
        SecretEncoding::ALL.into_iter().map(|(_, other)| other).filter(move |other| *other != configured);
    meant.extend(others.map(|other| (KeyChange::Encoding(other), other.decode(trimmed).ok())));
    meant.into_iter().filter_map(|(change, key)| Some((change, key.filter(|key| !key.is_empty())?)))
}

/// The value without the white space around it, and without one pair of quotation marks.
fn unwrapped(value: &[u8]) -> &[u8] {
    let trimmed = value.trim_ascii();
    trimmed.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(trimmed)
}

/// Splits off the prefix `wanted` in any case, or else a prefix such as `sha256=`. Base64 can also end with
/// `=`. So another prefix must be short, and text must follow it.
fn split_prefix<'v>(wanted: &str, value: &'v [u8]) -> (&'v str, &'v [u8]) {
    let split_at = |at| {
        let (prefix, rest) = value.split_at_checked(at)?;
        Some((std::str::from_utf8(prefix).ok()?, rest))
    };
    if let Some((prefix, rest)) =
        split_at(wanted.len()).filter(|(prefix, _)| prefix.eq_ignore_ascii_case(wanted))
        && !wanted.is_empty()
    {
        return (prefix, rest);
    }
    let end = value.iter().take(LONGEST_PREFIX).position(|byte| *byte == b'=');
    let word = |prefix: &str| prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'=');
    let split = end.and_then(|end| split_at(end.saturating_add(1)));
    split.filter(|(prefix, _)| word(prefix)).unwrap_or(("", value))
}

/// The tag and its encoding, hexadecimal or base64.
fn tag(algorithm: Algorithm, digits: &[u8]) -> Option<(Tag, Encoding)> {
    let len = algorithm.tag_len()?;
    let right = |bytes: Vec<u8>| Tag::of(&bytes).filter(|_| bytes.len() == len);
    if let Some(tag) = hex::decode(digits).ok().and_then(right) {
        return Some((tag, Encoding::Hex));
    }
    let tag = from_base64(digits).and_then(right);
    tag.map(|tag| (tag, Encoding::Base64))
}

/// Decodes base64, in either alphabet, with or without padding.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).ok()
}

/// The content with every line end replaced by `end`. `None` if it has no line ends.
fn with_line_ends(content: &[u8], end: &[u8]) -> Option<Vec<u8>> {
    let lines: Vec<_> =
        content.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    (lines.len() > 1).then(|| lines.join(end))
}

/// A byte order mark, in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The most changes of content that are undone, in about as many passes.
#[cfg(test)]
const MOST_CHANGES: usize =
    14 + json::MOST + form_spelling::MOST + envelope::MOST_INSIDE + envelope::MOST_AROUND;

/// The longest prefix, in bytes. No prefix in use is longer.
const LONGEST_PREFIX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::field::Notation;

    #[test]
    fn a_malformed_value_gets_its_notation_error() {
        let tag = "9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d";
        let base64 = BASE64.encode(hex::decode(tag).unwrap());
        const PLAIN: &str = "propify";
        const GITHUB: &str = "github";
        let cases = [
            (PLAIN, String::new(), NotationError::Empty, false),
            (PLAIN, "  ".into(), NotationError::Empty, false),
            (PLAIN, format!("{tag},{tag}"), NotationError::List, false),
            (PLAIN, format!(" {tag}\n"), NotationError::Wrapped, true),
            (PLAIN, format!("\"{tag}\""), NotationError::Wrapped, true),
            (PLAIN, format!("sha256={tag}"), NotationError::OtherPrefix("sha256=".into()), true),
            (GITHUB, tag.into(), NotationError::PrefixMissing("sha256=".into()), true),
            (GITHUB, format!("v1={tag}"), NotationError::OtherPrefix("v1=".into()), true),
            (PLAIN, base64.clone(), NotationError::Base64, true),
            (PLAIN, base64.trim_end_matches('=').into(), NotationError::Base64, true),
            (GITHUB, format!("sha256={base64}"), NotationError::Base64, true),
            (PLAIN, tag[1..].into(), NotationError::Length(63, 64), false),
            (PLAIN, tag[..40].into(), NotationError::Length(40, 64), false),
            (GITHUB, format!("sha1={}", &tag[..40]), NotationError::Length(40, 64), false),
            (GITHUB, format!("sha256={tag}0"), NotationError::Length(65, 64), false),
            (PLAIN, "not-a-signature".into(), NotationError::NotEncoded(Encoding::Hex), false),
            (PLAIN, "\u{fffd}=".into(), NotationError::NotEncoded(Encoding::Hex), false),
            ("shopify", BASE64.encode(&tag[..20]), NotationError::Bytes(20, 32), false),
            ("shopify", "no base64".into(), NotationError::NotEncoded(Encoding::Base64), false),
            ("stripe", tag.into(), NotationError::NotList, false),
            ("stripe", String::new(), NotationError::Empty, false),
        ];
        for (scheme, value, want, holds_tag) in cases {
            let scheme = Scheme::preset(scheme).unwrap();
            assert_eq!(misread(scheme, value.as_bytes()), want, "{value:?}");
            let right = holds_tag.then(|| scheme.notation.frame(tag, None));
            assert_eq!(rewritten(scheme, value.as_bytes()), right, "{value:?}");
        }
    }

    #[test]
    fn a_comma_in_a_prefix_makes_no_list() {
        let tag = "9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d";
        let base64 = BASE64.encode(hex::decode(tag).unwrap());
        let prefix = "V2, Signature: ";
        let scheme = Scheme::preset("propify").unwrap().clone();
        let format = Format::Plain { prefix: prefix.into() };
        let scheme = Scheme { notation: Notation { format, ..scheme.notation }, ..scheme };
        let right = Some(format!("{prefix}{tag}"));
        for (value, want, holds_tag) in [
            (format!("{prefix}{base64}"), NotationError::Base64, true),
            (format!("{prefix}{tag} "), NotationError::Wrapped, true),
            (tag.to_owned(), NotationError::PrefixMissing(prefix.into()), true),
            (format!("v2, signature: {tag}"), NotationError::OtherPrefix("v2, signature: ".into()), true),
            (format!("{prefix}{}", &tag[1..]), NotationError::Length(63, 64), false),
            (format!("{prefix}{tag},{tag}"), NotationError::List, false),
        ] {
            assert_eq!(misread(&scheme, value.as_bytes()), want, "{value}");
            let right = right.clone().filter(|_| holds_tag);
            assert_eq!(rewritten(&scheme, value.as_bytes()), right, "{value}");
        }
    }

    #[test]
    fn basic_credentials_get_their_notation_error() {
        let scheme = Scheme::preset("gitlab").unwrap().clone();
        let notation = Notation { format: Format::Basic, ..scheme.notation };
        let scheme = Scheme { notation, ..scheme };
        for (value, want, holds_credentials) in [
            ("", NotationError::Empty, false),
            ("Basic ", NotationError::Empty, false),
            ("dXNlcjpwdw==", NotationError::PrefixMissing("Basic ".into()), true),
            ("user:pw", NotationError::PrefixMissing("Basic ".into()), true),
            ("basic user:pw", NotationError::NotEncoded(Encoding::Base64), true),
            ("\"Basic dXNlcjpwdw==\"", NotationError::Wrapped, true),
            ("Bearer dXNlcjpwdw==", NotationError::NotEncoded(Encoding::Base64), false),
        ] {
            assert_eq!(misread(&scheme, value.as_bytes()), want, "{value}");
            let right = holds_credentials.then(|| "Basic dXNlcjpwdw==".to_owned());
            assert_eq!(rewritten(&scheme, value.as_bytes()), right, "{value}");
        }
    }

    #[test]
    fn a_list_without_a_tag_gets_the_error_of_its_tag() {
        let tag = "9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d";
        let base64 = BASE64.encode(hex::decode(tag).unwrap());
        let right = format!("t=17, v1={tag},v0=x");
        for (value, want, holds_tag) in [
            (format!("t=17, v1={base64},v0=x"), NotationError::Base64, true),
            (format!("t=17, v1=sha256={tag},v0=x"), NotationError::OtherPrefix("sha256=".into()), true),
            (format!("t=17, v1=\"{tag}\",v0=x"), NotationError::Wrapped, true),
            (format!("t=17, v1={},v0=x", &tag[1..]), NotationError::Length(63, 64), false),
            ("t=17,v1=".into(), NotationError::Empty, false),
            ("t=17,v1=zz".into(), NotationError::NotEncoded(Encoding::Hex), false),
            ("t=17,v0=ab".into(), NotationError::NotList, false),
            ("v1".into(), NotationError::NotList, false),
            (format!("t=17,t=17,v1=zz,v1={tag}"), NotationError::NotList, false),
        ] {
            let stripe = Scheme::preset("stripe").unwrap();
            assert_eq!(misread(stripe, value.as_bytes()), want, "{value}");
            assert_eq!(rewritten(stripe, value.as_bytes()), holds_tag.then(|| right.clone()), "{value}");
        }
        let stripe = Scheme::preset("stripe").unwrap();
        let value = format!("v1,,t=17,v1={base64},");
        assert_eq!(misread(stripe, value.as_bytes()), NotationError::Base64);
        assert_eq!(rewritten(stripe, value.as_bytes()), Some(format!("v1,,t=17,v1={tag},")));
        let svix = Scheme::preset("svix").unwrap();
        assert_eq!(misread(svix, format!("v1,{tag}").as_bytes()), NotationError::Hexadecimal);
        assert_eq!(rewritten(svix, format!("v1,{tag}").as_bytes()), Some(format!("v1,{base64}")));
    }

    #[test]
    fn lists_of_every_form_get_the_error_of_their_tag() {
        use crate::signature::field::Separator;
        use crate::signature::window::Place;
        let tag = "9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d";
        let base64 = BASE64.encode(hex::decode(tag).unwrap());
        let stripe = Scheme::preset("stripe").unwrap();
        let scheme = |tags: &[&'static str], equals, sets, place: Option<Place>| {
            let mut scheme = stripe.clone();
            let tags = tags.iter().map(|name| (*name).into()).collect();
            scheme.notation.format = Format::List { separator: Separator::Comma, equals, tags, sets };
            if let (Some(place), Some(timestamp)) = (place, &mut scheme.timestamp) {
                timestamp.place = place;
            }
            scheme
        };
        let first = Some(Place::Entry(1));
        for (scheme, value) in [
            (scheme(&["v1", "v2"], '=', None, None), "t=17,v2=TAG"),
            (scheme(&["*/SHA256"], '/', None, None), "1/SHA256/TAG"),
            (scheme(&["v1"], '=', Some(Separator::Space), None), "t=17 t=18,v1=TAG t=17"),
            (scheme(&[], '=', None, first), "17,TAG"),
        ] {
            let wrong = value.replace("TAG", &base64);
            assert_eq!(misread(&scheme, wrong.as_bytes()), NotationError::Base64, "{wrong}");
            assert_eq!(rewritten(&scheme, wrong.as_bytes()), Some(value.replace("TAG", tag)), "{wrong}");
        }
    }

    #[test]
    fn a_change_of_the_content_is_found_by_undoing_it() {
        use ContentChange::*;
        let cases: [(&[u8], &[u8], Option<ContentChange>); 31] = [
            (b"{}", b"{}\n", Some(NewlineAdded)),
            (b"{}", b"{}\r\n", Some(NewlineAdded)),
            (b"", b"\n", Some(NewlineAdded)),
            (b"{}\n", b"{}", Some(NewlineLost)),
            (b"a\nb\n", b"a\r\nb\r\n", Some(CrlfForLf)),
            (b"a\r\nb\r\n", b"a\nb\n", Some(LfForCrlf)),
            (b"{}", b"\xef\xbb\xbf{}", Some(ByteOrderMark)),
            (
                br#"{"a":[1,2],"b":" , : \" "}"#,
                b"{\n \"a\": [1, 2],\n \"b\": \" , : \\\" \"\n}",
                Some(Reserialized),
            ),
            (br#"{"a": [1, 2], "b": ","}"#, br#"{"a":[1,2],"b":","}"#, Some(Reserialized)),
            (br#"{"a\\": "b"}"#, br#"{"a\\":"b"}"#, Some(Reserialized)),
            ("{\"a\":\"é/\"}".as_bytes(), br#"{"a": "\u00e9\/"}"#, Some(Reserialized)),
            (b"\xef\xbb\xbf{}", b"{}", Some(ByteOrderMarkLost)),
            (b"{}\r\n", b"{}", Some(NewlineLost)),
            (b"{}", b"\t{} ", Some(WhiteSpaceAdded)),
            (b"{} ", b"{}", Some(WhiteSpaceLost)),
            ("Z\u{fc}rich".as_bytes(), "Z\u{c3}\u{bc}rich".as_bytes(), Some(ReadAsLatin1)),
            ("5 \u{20ac}".as_bytes(), "5 \u{e2}\u{201a}\u{ac}".as_bytes(), Some(ReadAsLatin1)),
            ("Z\u{fc}rich".as_bytes(), b"Z\xfcrich", Some(WrittenAsLatin1)),
            (br#"{"a":1}"#, b"eyJhIjoxfQ==", Some(Base64)),
            (br#"{"a":1}"#, b"\"eyJhIjoxfQ\"", Some(Base64)),
            (b"a=x+y%2Fz~&b=", b"a=x%20y%2fz%7E&b=", Some(FormRewritten)),
            (br#"{"a":1}"#, br#"{"payload":{"a":1}}"#, Some(Wrapped)),
            (br#"{"a":1}"#, br#"{"x":0,"body":"{\"a\":1}"}"#, Some(Wrapped)),
            (br#"{"a":1}"#, b"payload=%7B%22a%22%3A1%7D", Some(Wrapped)),
            (br#"{"payload":{"a":1}}"#, br#"{"a":1}"#, Some(Unwrapped)),
            (b"payload=%7B%22a%22%3A1%7D", br#"{"a":1}"#, Some(Unwrapped)),
            (b"a=1&b=2", b"a=1&b=3", None),
            (b"{}", b"{}", None),
            (b"{}", b"[]", None),
            (b"a b", b"ab", None),
            (br#"{"a":1}"#, br#"{"a":2}"#, None),
        ];
        for (signed, received, want) in cases {
            let (mut asked, mut goes_on) = (0, || true);
            let found = content_change(received, &mut Work::new(10_000, &mut goes_on), |content, _| {
                asked += 1;
                Ok(content == signed && signed != received)
            });
            assert_eq!(found, Ok(want), "{:?}", String::from_utf8_lossy(received));
            assert!(asked <= MOST_CHANGES);
        }
    }

    #[test]
    fn a_mistake_in_the_secret_is_found_by_correcting_it() {
        use SecretEncoding::{Base64, Hex, Utf8};
        type Case<'a> = (&'a [u8], SecretEncoding, &'a [u8], Option<KeyChange>);
        let cases: [Case<'_>; 19] = [
            (b"key\n", Utf8, b"key", Some(KeyChange::Untrimmed)),
            (b" 6869 ", Hex, b"hi", Some(KeyChange::Untrimmed)),
            (b"\"key\"", Utf8, b"key", Some(KeyChange::Quoted)),
            (b"key", Utf8, b"key\n", Some(KeyChange::NewlineLost)),
            (b"6869", Utf8, b"hi", Some(KeyChange::Encoding(Hex))),
            (b"aGk=", Utf8, b"hi", Some(KeyChange::Encoding(Base64))),
            (b"6869", Hex, b"6869", Some(KeyChange::Encoding(Utf8))),
            (b"KEY=value", Utf8, b"value", Some(KeyChange::Decorated(Decoration::Assignment))),
            (b"export KEY=\"value\"", Utf8, b"value", Some(KeyChange::Decorated(Decoration::Assignment))),
            (b"Bearer value", Utf8, b"value", Some(KeyChange::Decorated(Decoration::Word))),
            (b"one|two", Utf8, b"two", Some(KeyChange::Decorated(Decoration::List))),
            (b"one, two", Utf8, b"one", Some(KeyChange::Decorated(Decoration::List))),
            (b"one\ntwo", Utf8, b"onetwo", Some(KeyChange::Decorated(Decoration::Lines))),
            (b"whsec_one", Utf8, b"one", Some(KeyChange::Decorated(Decoration::Prefix))),
            (b"v1,whsec_aGk=", Utf8, b"hi", Some(KeyChange::Encoding(Base64))),
            (b"v1,whsec_aGk=", Utf8, b"whsec_aGk=", Some(KeyChange::Decorated(Decoration::Version))),
            ("key\u{a0}".as_bytes(), Utf8, b"key", Some(KeyChange::Untrimmed)),
            (b"key", Utf8, b"other", None),
            (b"", Utf8, b"other", None),
        ];
        for (text, configured, right, want) in cases {
            let meant: Vec<_> = key_changes(text, configured).collect();
            let found = meant.iter().find(|(_, key)| key.expose() == right).map(|(change, _)| *change);
            assert_eq!(found, want, "{:?}", String::from_utf8_lossy(text));
            assert!(meant.len() <= 8);
        }
    }
}
