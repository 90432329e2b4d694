//! Tests of the head that an upstream receives.

use super::*;
use crate::message::head::{Parsed, parse};

fn head(text: &str) -> RequestHead {
    match parse(text.as_bytes(), &mut 0, 1 << 16) {
        Parsed::Complete(head) => RequestHead::new(head, text.as_bytes()),
        other => panic!("{text:?}: {other:?}"),
    }
}

fn options(x_forwarded: XForwarded) -> ForwardOptions {
    ForwardOptions {
        x_forwarded,
        verified_field: Some(HeaderName::from_static("x-hookgate-verified")),
        via: false,
        event_id_field: None,
        client_certificate_field: None,
        scheme: "propify".into(),
        other_schemes: Vec::new(),
        kept: vec![HeaderName::from_static("propify-signature")],
        assertion: None,
    }
}

fn composed(text: &str, x_forwarded: XForwarded, client: ClientAddress, length: usize) -> String {
    composed_over(&Channel::default(), text, x_forwarded, client, length)
}

fn composed_over(
    channel: &Channel,
    text: &str,
    x_forwarded: XForwarded,
    client: ClientAddress,
    length: usize,
) -> String {
    let origin = Origin::parse("http://app:3000").unwrap();
    let secret: Arc<str> = "current".into();
    let info = RequestInfo { client, channel, length, secret: Some(&secret), origin: &origin, event: None };
    String::from_utf8(compose(&head(text), &options(x_forwarded), &info)).unwrap()
}

const VERIFIED: &str = "x-hookgate-verified: scheme=propify, secret=current\r\n";

fn plain(text: &str, length: usize) -> String {
    let text = composed(text, XForwarded::Off, ClientAddress::Unix, length);
    text.strip_suffix("\r\n").and_then(|text| text.strip_suffix(VERIFIED)).unwrap().to_owned()
}

#[test]
fn what_is_not_about_the_connection_goes_through_as_it_is() {
    let text = "\r\nPOST /w?a=%2F HTTP/1.0\r\nX-B:  1 \r\nHost: a\r\nCONTENT-Length: 5\r\nx-b: 2\r\nTE: x\r\nConnection: X-Gone\r\nx-gone: 1\r\nExpect: 100-continue\r\nPropify-Signature: s\r\n\r\n";
    let want = "POST /w?a=%2F HTTP/1.1\r\nX-B: 1\r\nHost: a\r\nCONTENT-Length: 5\r\nx-b: 2\r\nPropify-Signature: s\r\n";
    assert_eq!(plain(text, 5), want);
}

#[test]
fn the_length_is_said_once_and_where_it_was() {
    for (fields, length, want) in [
        ("Transfer-Encoding: chunked\r\nx: y\r\n", 7, "content-length: 7\r\nx: y\r\n"),
        ("x: y\r\n", 0, "x: y\r\ncontent-length: 0\r\n"),
        ("Content-Length: 3\r\nx: y\r\n", 3, "Content-Length: 3\r\nx: y\r\n"),
    ] {
        let text = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        assert_eq!(plain(&text, length), format!("POST / HTTP/1.1\r\nhost: a\r\n{want}"));
    }
    assert_eq!(plain("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 0), "GET / HTTP/1.1\r\nhost: a\r\n");
}

#[test]
fn a_request_without_a_host_is_for_the_upstream() {
    assert_eq!(
        plain("POST / HTTP/1.0\r\ncontent-length: 0\r\n\r\n", 0),
        "POST / HTTP/1.1\r\ncontent-length: 0\r\nhost: app:3000\r\n"
    );
}

#[test]
fn what_a_client_says_of_its_verification_is_taken_out() {
    let text = "POST / HTTP/1.1\r\nX-Hookgate-Verified: yes\r\nhost: a\r\nx-hookgate-verified: yes\r\n\r\n";
    assert_eq!(plain(text, 0), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n");
}

#[test]
fn the_fields_that_are_set_are_those_that_are_asked_for() {
    let verified_field = HeaderName::from_static("x-verified");
    for (x_forwarded, verified_field, want) in [
        (XForwarded::Off, None, &[][..]),
        (XForwarded::Off, Some(verified_field.clone()), &["x-verified"]),
        (XForwarded::Append, None, &["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]),
        (
            XForwarded::Overwrite,
            Some(verified_field),
            &["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-verified"],
        ),
    ] {
        let forward = config::Forward {
            x_forwarded,
            verified_field,
            via: true,
            event_id_field: None,
            client_certificate_field: None,
            assertion: None,
        };
        assert!(set_fields(&forward).eq(want.iter().copied()), "{x_forwarded:?}");
    }
}

#[test]
fn forwarded_fields_are_appended_to() {
    let text = "GET / HTTP/1.1\r\nhost: a:1\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nx: y\r\nx-forwarded-for: 3.3.3.3\r\n\r\n";
    let want = format!(
        "GET / HTTP/1.1\r\nhost: a:1\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, ::1\r\nx: y\r\nx-forwarded-proto: http\r\nx-forwarded-host: a:1\r\n{VERIFIED}\r\n"
    );
    assert_eq!(composed(text, XForwarded::Append, ClientAddress::ip("::1".parse().unwrap()), 0), want);
}

#[test]
fn forwarded_fields_are_overwritten_with_what_we_know() {
    let text = "GET / HTTP/1.1\r\nx-forwarded-for: 1.1.1.1\r\nx: y\r\nx-forwarded-for: 2.2.2.2\r\nhost: a\r\nconnection: x-forwarded-proto\r\nx-forwarded-proto: https\r\n\r\n";
    let want = format!(
        "GET / HTTP/1.1\r\nx-forwarded-for: unknown\r\nx: y\r\nhost: a\r\nx-forwarded-proto: http\r\nx-forwarded-host: a\r\n{VERIFIED}\r\n"
    );
    assert_eq!(composed(text, XForwarded::Overwrite, ClientAddress::Unix, 0), want);
}

#[test]
fn a_connection_line_takes_what_a_client_says_of_where_it_comes_from() {
    let text = "GET / HTTP/1.1\r\nhost: a\r\nconnection: x-forwarded-for\r\nx-forwarded-for: 1.1.1.1\r\n\r\n";
    let got = composed(text, XForwarded::Append, ClientAddress::ip("::1".parse().unwrap()), 0);
    assert!(got.contains("\r\nx-forwarded-for: ::1\r\n"), "{got}");
}

#[test]
fn a_name_that_no_field_value_can_have_is_not_said() {
    let origin = Origin::parse("http://app:3000").unwrap();
    for name in ["a\r\nx: y", "a\0", "\u{e9}"] {
        let secret: Arc<str> = name.into();
        let info = RequestInfo {
            client: ClientAddress::Unix,
            channel: &Channel::default(),
            length: 0,
            secret: Some(&secret),
            origin: &origin,
            event: None,
        };
        let head = head("POST / HTTP/1.1\r\nhost: a\r\n\r\n");
        let text = compose(&head, &options(XForwarded::Off), &info);
        assert_eq!(text, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", "{name:?}");
    }
}

#[test]
fn via_is_added_behind_what_earlier_gateways_said() {
    let origin = Origin::parse("http://app:3000").unwrap();
    let info = RequestInfo {
        client: ClientAddress::Unix,
        channel: &Channel::default(),
        length: 0,
        secret: None,
        origin: &origin,
        event: None,
    };
    let options = ForwardOptions { via: true, ..options(XForwarded::Off) };
    for (text, want) in [
        (
            "GET / HTTP/1.1\r\nhost: a\r\nVia: 1.1 edge\r\nx: y\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nVia: 1.1 edge\r\nx: y\r\nvia: 1.1 hookgate\r\n\r\n",
        ),
        ("GET / HTTP/1.0\r\nhost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nvia: 1.0 hookgate\r\n\r\n"),
    ] {
        assert_eq!(String::from_utf8(compose(&head(text), &options, &info)).unwrap(), want);
    }
}

#[test]
fn via_says_the_version_in_which_the_request_came() {
    let options = ForwardOptions { via: true, ..options(XForwarded::Off) };
    for (version, received_in, want) in [
        ("1.0", ReceivedIn::Http1, "via: 1.0 hookgate\r\n"),
        ("1.1", ReceivedIn::Http1, "via: 1.1 hookgate\r\n"),
        ("1.1", ReceivedIn::Http2, "via: 2.0 hookgate\r\n"),
    ] {
        let channel = Channel { received_in, ..Channel::default() };
        let origin = Origin::parse("http://app:3000").unwrap();
        let info = RequestInfo {
            client: ClientAddress::Unix,
            channel: &channel,
            length: 0,
            secret: None,
            origin: &origin,
            event: None,
        };
        let text = format!("GET / HTTP/{version}\r\nhost: a\r\n\r\n");
        let composed = String::from_utf8(compose(&head(&text), &options, &info)).unwrap();
        assert!(composed.contains(want), "{version}, {received_in:?}: {composed}");
    }
}

/// The forwarded fields of a request that came over this last hop, from the client 192.0.2.1, which used
/// HTTPS.
fn forwarded(last_hop: LastHop, x_forwarded: XForwarded, fields: &str) -> Vec<String> {
    let channel = Channel { protocol: Protocol::Https, last_hop, ..Channel::default() };
    let text = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    let client = ClientAddress::ip([192, 0, 2, 1].into());
    let text = composed_over(&channel, &text, x_forwarded, client, 0);
    text.lines().filter(|line| line.starts_with("x-forwarded-")).map(str::to_owned).collect()
}

#[test]
fn a_forged_chain_is_dropped_where_proxies_are_trusted_and_this_is_none() {
    let forged = "x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: gopher\r\nx-forwarded-host: b\r\nx-forwarded-for: x\r\n";
    let own = ["x-forwarded-for: 192.0.2.1", "x-forwarded-proto: https", "x-forwarded-host: a"];
    for x_forwarded in [XForwarded::Append, XForwarded::Overwrite] {
        for fields in ["", forged] {
            assert_eq!(forwarded(LastHop::Client, x_forwarded, fields), own, "{x_forwarded:?} {fields:?}");
        }
    }
    let kept = [
        "x-forwarded-for: 203.0.113.9",
        "x-forwarded-proto: gopher",
        "x-forwarded-host: b",
        "x-forwarded-for: x",
    ];
    assert_eq!(forwarded(LastHop::Client, XForwarded::Off, forged), kept);
}

#[test]
fn a_trusted_proxys_chain_is_kept_and_the_proxy_is_appended() {
    let proxy = |field| LastHop::Proxy(ClientAddress::ip([10, 0, 0, 1].into()), field);
    let unix = LastHop::Proxy(ClientAddress::Unix, ClientField::XForwardedFor);
    let chain = "x-forwarded-for: 203.0.113.9\r\nx-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: https\r\n";
    for (last_hop, x_forwarded, fields, want) in [
        (proxy(ClientField::XForwardedFor), XForwarded::Append, chain, "203.0.113.9, 192.0.2.1, 10.0.0.1"),
        (proxy(ClientField::XForwardedFor), XForwarded::Overwrite, chain, "192.0.2.1"),
        // A proxy over a unix socket has no address. The last entry is its own.
        (unix, XForwarded::Append, chain, "203.0.113.9, 192.0.2.1"),
        (unix, XForwarded::Append, "", "192.0.2.1"),
        // This proxy reports the client in `forwarded`, so `x-forwarded-for` may be the client's own.
        (proxy(ClientField::Forwarded), XForwarded::Append, chain, "192.0.2.1, 10.0.0.1"),
        // A client cannot have the chain removed by `connection`.
        (
            proxy(ClientField::XForwardedFor),
            XForwarded::Append,
            "connection: x-forwarded-for\r\nx-forwarded-for: 192.0.2.1\r\n",
            "192.0.2.1, 10.0.0.1",
        ),
    ] {
        let got = forwarded(last_hop, x_forwarded, fields);
        assert!(got.contains(&format!("x-forwarded-for: {want}")), "{last_hop:?} {x_forwarded:?} {got:?}");
        assert!(got.contains(&"x-forwarded-proto: https".to_owned()), "{got:?}");
        assert_eq!(got.len(), 3, "{got:?}");
    }
}
