//! Pure. Which fields go through a gateway, in both directions, and which belong to one connection only.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::peer::Peer;

/// Whether a field is about a connection and not about the message (RFC 9110, section 7.6.1), or is `trailer`, which
/// announces what is not forwarded.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

/// Fields that a `connection` line cannot take away: with them the message would be another one.
fn is_needed(name: &HeaderName) -> bool {
    matches!(name.as_str(), "host" | "content-length" | "content-type")
}

/// Takes out every hop-by-hop field: the known ones, and all that any of the `connection` lines names but those in
/// `kept`. The order of the other lines stays as it is.
#[must_use]
pub fn end_to_end(fields: HeaderMap, kept: &[HeaderName]) -> HeaderMap {
    let named = connection_options(&fields, kept);
    let goes = |name: &HeaderName| is_hop_by_hop(name) || named.contains(name);
    without(fields, goes)
}

/// Takes out every line of the fields that `go`. The order of the other lines stays as it is.
fn without(mut fields: HeaderMap, goes: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    if !fields.keys().any(&goes) {
        return fields;
    }
    let mut rest = HeaderMap::with_capacity(fields.capacity());
    let mut current = None;
    for (name, value) in fields.drain() {
        if let Some(name) = name {
            current = if goes(&name) { None } else { Some(name) };
        }
        if let Some(name) = &current {
            rest.append(name, value);
        }
    }
    rest
}

/// Takes out every field that an application could take for `name`: many read `-` and `_` as the same.
#[must_use]
pub fn without_likes_of(fields: HeaderMap, name: &HeaderName) -> HeaderMap {
    without(fields, |other| is_like(other, name))
}

fn is_like(other: &HeaderName, name: &HeaderName) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    other.as_str().len() == name.as_str().len()
        && other.as_str().bytes().map(plain).eq(name.as_str().bytes().map(plain))
}

/// The field names in all `connection` lines (RFC 9110, section 7.6.1: a message may have several, and all count).
fn connection_options(fields: &HeaderMap, kept: &[HeaderName]) -> Vec<HeaderName> {
    let lines = fields.get_all(header::CONNECTION).iter();
    let options = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    options
        .map(<[u8]>::trim_ascii)
        .filter(|option| {
            !option.eq_ignore_ascii_case(b"close") && !option.eq_ignore_ascii_case(b"keep-alive")
        })
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .filter(|name| !is_needed(name) && !kept.contains(name))
        .collect()
}

/// Says where a request came from, behind what earlier proxies said: `x-forwarded-for`, `-proto` and `-host`.
///
/// Only the last entry of each is ours; the others are what the client claims.
#[must_use]
pub fn append_forwarded(fields: HeaderMap, peer: Peer) -> HeaderMap {
    let ours = [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST];
    // What is spelled in another way would be read as ours, but is not appended to.
    let mut fields = without(fields, |name| ours.iter().any(|our| name != our && is_like(name, our)));
    let host = fields.get(header::HOST).cloned();
    append_to_list(&mut fields, X_FORWARDED_FOR, &forwarded_for(peer));
    append_to_list(&mut fields, X_FORWARDED_PROTO, &Some(HeaderValue::from_static("http")));
    append_to_list(&mut fields, X_FORWARDED_HOST, &host);
    fields
}

/// As [`append_forwarded`], and takes out what the client claims.
#[must_use]
pub fn overwrite_forwarded(fields: HeaderMap, peer: Peer) -> HeaderMap {
    let ours = [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST];
    append_forwarded(without(fields, |name| ours.iter().any(|our| is_like(name, our))), peer)
}

/// A peer without an address is `unknown` (RFC 7239, section 6.2, has that word for it): were nothing appended, what the
/// client itself claims would be the last entry.
fn forwarded_for(peer: Peer) -> Option<HeaderValue> {
    match peer {
        Peer::Ip(address) => HeaderValue::from_str(&address.to_string()).ok(),
        Peer::Unix => Some(HeaderValue::from_static("unknown")),
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

fn append_to_list(fields: &mut HeaderMap, name: HeaderName, value: &Option<HeaderValue>) {
    let Some(value) = value else { return };
    let mut list: Vec<u8> = Vec::new();
    for known in fields.get_all(&name).iter().chain(Some(value)) {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(known.as_bytes());
    }
    if let Ok(list) = HeaderValue::from_bytes(&list) {
        fields.insert(name, list);
    }
}

/// How long the peer says it keeps an idle connection, in seconds: the `timeout` of its `keep-alive` field (RFC 2068,
/// section 19.7.1.1).
#[must_use]
pub fn keep_alive_seconds(fields: &HeaderMap) -> Option<u64> {
    let lines = fields.get_all(HeaderName::from_static("keep-alive")).iter();
    let mut parameters = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    parameters.find_map(|parameter| {
        let text = std::str::from_utf8(parameter.trim_ascii()).ok()?;
        text.strip_prefix("timeout=")?.trim().parse().ok()
    })
}

/// Whether the framing of a response leaves no doubt about where it ends (RFC 9112, section 6.3): `chunked` alone, or one
/// `content-length`, or neither.
#[must_use]
pub fn is_framing_clear(fields: &HeaderMap) -> bool {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (None, None) => true,
        (Some(coding), None) => {
            coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none()
        }
        (None, Some(length)) => {
            let digits = length.as_bytes();
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && lengths.next().is_none()
        }
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        fields
    }

    fn lines(fields: &HeaderMap) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn hop_by_hop_fields_go_and_the_order_of_the_others_stays() {
        let fields = map(&[
            ("a", "1"),
            ("Connection", "keep-alive, x-one"),
            ("b", "2"),
            ("x-one", "!"),
            ("Keep-Alive", "timeout=5"),
            ("c", "3"),
            ("a", "4"),
            ("connection", "X-Two ,close,, b-b"),
            ("x-two", "!"),
            ("x-two", "!!"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("proxy-connection", "close"),
            ("d", "5"),
        ]);
        let want = map(&[("a", "1"), ("b", "2"), ("c", "3"), ("a", "4"), ("d", "5")]);
        assert_eq!(lines(&end_to_end(fields, &[])), lines(&want));
    }

    #[test]
    fn a_connection_line_cannot_take_away_what_the_message_needs() {
        let message = [("host", "a"), ("content-length", "1"), ("content-type", "b"), ("x-signature", "c")];
        let mut all = message.to_vec();
        all.push(("connection", "host, Content-Length, content-type, X-Signature"));
        let kept = [HeaderName::from_static("x-signature")];
        assert_eq!(lines(&end_to_end(map(&all), &kept)), lines(&map(&message)));
    }

    #[test]
    fn forwarded_fields_are_appended_to() {
        let fields = map(&[
            ("host", "a:1"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
            ("x", "y"),
            ("x-forwarded-for", "3.3.3.3"),
            ("X_Forwarded-For", "6.6.6.6"),
        ]);
        let fields = append_forwarded(fields, Peer::ip("::1".parse().unwrap()));
        let want = map(&[
            ("host", "a:1"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 3.3.3.3, ::1"),
            ("x", "y"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a:1"),
        ]);
        assert_eq!(lines(&fields), lines(&want));
    }

    #[test]
    fn forwarded_fields_are_overwritten_with_what_we_know() {
        let fields =
            map(&[("x-forwarded-for", "1.1.1.1"), ("x", "y"), ("x-forwarded-for", "2.2.2.2"), ("host", "a")]);
        let want = map(&[
            ("x", "y"),
            ("host", "a"),
            ("x-forwarded-for", "unknown"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a"),
        ]);
        let mut got = lines(&overwrite_forwarded(fields, Peer::Unix));
        let mut want = lines(&want);
        got.sort();
        want.sort();
        assert_eq!(got, want);
    }

    #[test]
    fn the_keep_alive_time_is_read() {
        for (value, want) in [
            ("timeout=5, max=100", Some(5)),
            ("max=1,timeout=72", Some(72)),
            ("timeout=x", None),
            ("max=1", None),
        ] {
            assert_eq!(keep_alive_seconds(&map(&[("keep-alive", value)])), want, "{value}");
        }
    }

    #[test]
    fn framing_that_two_readers_could_read_differently_is_not_clear() {
        let (te, cl) = ("transfer-encoding", "content-length");
        for (fields, clear) in [
            (&[][..], true),
            (&[(te, "Chunked")], true),
            (&[(cl, "12")], true),
            (&[(te, "gzip, chunked")], false),
            (&[(te, "gzip")], false),
            (&[(te, "chunked"), (te, "chunked")], false),
            (&[(te, "chunked"), (cl, "1")], false),
            (&[(cl, "1"), (cl, "1")], false),
            (&[(cl, "1, 1")], false),
            (&[(cl, "+1")], false),
            (&[(cl, "")], false),
        ] {
            assert_eq!(is_framing_clear(&map(fields)), clear, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn no_hop_by_hop_field_ever_remains(names in proptest::collection::vec("(connection|te|x-[ab]|host)", 0..8), values in proptest::collection::vec("(x-[ab]|te|host|,| )*", 8)) {
            let pairs: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
            let fields = map(&pairs);
            let named = connection_options(&fields, &[]);
            let hosts = fields.get_all("host").iter().count();
            let rest = end_to_end(fields, &[]);
            prop_assert!(rest.keys().all(|name| !named.contains(name) && !is_hop_by_hop(name)));
            prop_assert_eq!(rest.get_all("host").iter().count(), hosts);
        }
    }
}
