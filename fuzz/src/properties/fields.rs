//! Field handling: which fields go through, compared with a plain reading of RFC 9110, section 7.6.1.
//!
//! Each line is a field, `name: value`.

use std::net::{IpAddr, Ipv6Addr};

use hookgate::forward::fields::{
    append_forwarded, end_to_end, is_framing_clear, keep_alive_seconds, without_likes_of,
};
use hookgate::peer::Peer;
use http::header::{HeaderMap, HeaderName, HeaderValue};

const SIGNATURE: HeaderName = HeaderName::from_static("propify-signature");
const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
const KEPT: [&str; 4] = ["host", "content-length", "content-type", "propify-signature"];

/// Panics if a hop-by-hop field remains, another one does not, or anything about those that remain has changed.
pub fn holds(data: &[u8]) {
    let mut fields = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(60) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()))
        {
            fields.append(name, value);
        }
    }
    let named: Vec<String> = fields
        .get_all("connection")
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase())
        .filter(|option| option != "close" && option != "keep-alive")
        .collect();
    let goes = |name: &str| {
        HOP_BY_HOP.contains(&name) || (named.iter().any(|other| other == name) && !KEPT.contains(&name))
    };
    let want: Vec<_> = lines(&fields).into_iter().filter(|(name, _)| !goes(name)).collect();
    let rest = end_to_end(fields.clone(), &[SIGNATURE]);
    assert_eq!(lines(&rest), want);
    assert_eq!(lines(&end_to_end(rest.clone(), &[SIGNATURE])), want, "a second time takes out more");

    let forwarded = append_forwarded(rest.clone(), Peer::ip(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    let last = forwarded["x-forwarded-for"].as_bytes().rsplit(|byte| *byte == b',').next();
    assert_eq!(last.map(<[u8]>::trim_ascii), Some(&b"::1"[..]));
    assert_eq!(forwarded.get_all("x-forwarded-for").iter().count(), 1);
    let only_others = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
        .iter()
        .fold(forwarded, |fields, name| without_likes_of(fields, &HeaderName::from_static(name)));
    let others = want.iter().filter(|(name, _)| !name.replace('_', "-").starts_with("x-forwarded-"));
    let others: Vec<_> = others.cloned().collect();
    let left: Vec<_> = lines(&only_others)
        .into_iter()
        .filter(|(name, _)| !name.replace('_', "-").starts_with("x-forwarded-"))
        .collect();
    assert_eq!(left, others, "the order of the others has changed");

    let lengths: Vec<_> = fields.get_all("content-length").iter().map(HeaderValue::as_bytes).collect();
    let codings: Vec<_> = fields.get_all("transfer-encoding").iter().map(HeaderValue::as_bytes).collect();
    let clear = match (&lengths[..], &codings[..]) {
        ([], []) => true,
        ([length], []) => !length.is_empty() && length.iter().all(u8::is_ascii_digit),
        ([], [coding]) => coding.eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    assert_eq!(is_framing_clear(&fields), clear);
    let _any = keep_alive_seconds(&fields);
}

type Line = (String, Vec<u8>);

fn lines(fields: &HeaderMap) -> Vec<Line> {
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}
