//! Field handling: which fields are forwarded, compared with a simple implementation of RFC 9110, section
//! 7.6.1.
//!
//! Each line is a field, `name: value`.

use std::net::{IpAddr, Ipv6Addr};

use hookgate::admission::client::ClientAddress;
use hookgate::config::XForwarded;
use hookgate::message::fields::HopByHop;
use hookgate::message::head::{Parsed, RequestHead, parse};
use hookgate::upstream::origin::Origin;
use hookgate::upstream::request::{Channel, ForwardOptions, RequestInfo, compose};
use hookgate::upstream::response::{self, RequestKind};
use http::header::HeaderName;

use super::strict;

const SIGNATURE: HeaderName = HeaderName::from_static("propify-signature");
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const KEPT: [&str; 4] = ["host", "content-length", "content-type", "propify-signature"];

const SET: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

/// Panics if a hop-by-hop field remains, if another field is removed, or if a remaining field has changed.
pub fn holds(data: &[u8]) {
    let lines: Vec<Line> = data.split(|byte| *byte == b'\n').take(60).filter_map(line).collect();
    let named: Vec<String> = lines
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase())
        .filter(|option| option != "close" && option != "keep-alive")
        .collect();
    let goes = |name: &str| {
        let name = &name.to_ascii_lowercase()[..];
        HOP_BY_HOP.contains(&name) || (named.iter().any(|other| other == name) && !KEPT.contains(&name))
    };
    let gone = HopByHop::of(lines.iter().map(|(name, value)| (name.as_bytes(), &value[..])), &[SIGNATURE]);
    for (name, _) in &lines {
        assert_eq!(gone.has(name.as_bytes()), goes(name), "{name}");
    }
    request(&lines, &goes);
    answer(&lines, &goes);
}

/// Checks the fields of a request.
fn request(lines: &[Line], goes: &impl Fn(&str) -> bool) {
    let raw = message(b"POST /w HTTP/1.1\r\n", lines);
    let Parsed::Complete(head) = parse(&raw, &mut 0, usize::MAX) else { return };
    let head = RequestHead::new(head, &raw);
    let origin = Origin::parse("http://app:3000").expect("it is an origin");
    let peer = ClientAddress::ip(IpAddr::V6(Ipv6Addr::LOCALHOST));
    let info = RequestInfo {
        client: peer,
        channel: &Channel::default(),
        length: 7,
        secret: None,
        origin: &origin,
        event: None,
    };
    for x_forwarded in [XForwarded::Off, XForwarded::Append, XForwarded::Overwrite] {
        let options = ForwardOptions {
            x_forwarded,
            verified_field: None,
            via: false,
            event_id_field: None,
            client_certificate_field: None,
            scheme: "propify".into(),
            other_schemes: Vec::new(),
            kept: vec![SIGNATURE],
            assertion: None,
        };
        let out = compose(&head, &options, &info);
        let (sent, len) =
            strict::head(&out).expect("what is sent is strict HTTP").expect("what is sent is complete");
        assert_eq!(len, out.len());
        assert_eq!(sent.all("content-length"), [b"7"]);
        let is_ours = |name: &str| {
            x_forwarded != XForwarded::Off && SET.iter().any(|set| name.eq_ignore_ascii_case(set))
        };
        let has_host = lines.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let made = ["content-length", "expect", if has_host { "" } else { "host" }];
        let is_theirs =
            |name: &str| !is_ours(name) && !made.iter().any(|made| name.eq_ignore_ascii_case(made));
        let want = lines.iter().filter(|(name, _)| !goes(name) && is_theirs(name));
        let got = sent.fields.iter().filter(|(name, _)| is_theirs(name));
        assert!(got.eq(want), "other fields");
        if x_forwarded != XForwarded::Off {
            let forwarded = sent.all("x-forwarded-for");
            assert_eq!(forwarded.len(), 1);
            let last = forwarded[0].rsplit(|byte| *byte == b',').next();
            assert_eq!(last.map(<[u8]>::trim_ascii), Some(&b"::1"[..]));
        }
    }
}

/// Checks the fields of a response.
fn answer(lines: &[Line], goes: &impl Fn(&str) -> bool) {
    let raw = message(b"HTTP/1.1 200 OK\r\n", lines);
    let Ok(response::Parsed::Complete(_, head)) =
        response::parse(&raw, RequestKind::ForContent, &[SIGNATURE])
    else {
        return;
    };
    let of = |wanted: &str| {
        let lines = lines.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        lines.map(|(_, value)| &value[..]).collect::<Vec<_>>()
    };
    let clear = match (&of("content-length")[..], &of("transfer-encoding")[..]) {
        ([], []) => true,
        ([length], []) => !length.is_empty() && length.iter().all(u8::is_ascii_digit),
        ([], [coding]) => coding.eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    assert!(clear, "a response passes that could end in two places");
    let mut want = b"200 OK\r\n".to_vec();
    for (name, value) in lines.iter().filter(|(name, _)| !goes(name)) {
        want.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    assert_eq!(head.text.escape_ascii().to_string(), want.escape_ascii().to_string());
}

type Line = (String, Vec<u8>);

/// A valid field line.
fn line(line: &[u8]) -> Option<Line> {
    let mut parts = line.splitn(2, |byte| *byte == b':');
    let (name, value) = (parts.next()?, parts.next()?.trim_ascii());
    HeaderName::from_bytes(name).ok()?;
    http::HeaderValue::from_bytes(value).ok()?;
    Some((String::from_utf8(name.to_vec()).ok()?, value.to_vec()))
}

fn message(start: &[u8], lines: &[Line]) -> Vec<u8> {
    let mut out = start.to_vec();
    for (name, value) in lines {
        out.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    if start.starts_with(b"POST") && !lines.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        out.extend_from_slice(b"host: a\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}
