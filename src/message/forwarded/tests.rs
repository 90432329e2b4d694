//! Tests of the fields in which proxies report the client.

use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_entry_of_x_forwarded_for_is_an_address_with_or_without_a_port() {
    for (entry, want) in [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:0", "192.0.2.1"),
        ("192.0.2.1:65535", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:DB8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("[::ffff:192.0.2.1]:1", "::ffff:192.0.2.1"),
        ("::", "::"),
        ("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        assert_eq!(address_of_entry(entry.as_bytes()), Some(ip(want)), "{entry}");
    }
}

#[test]
fn what_is_no_address_is_none() {
    for entry in [
        "",
        "unknown",
        "_hidden",
        "localhost",
        "unix:",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "0xc0.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:+80",
        "192.0.2.1:-1",
        "192.0.2.1:000080",
        "192.0.2.1:80:80",
        "192.0.2.1:_x",
        "192.0.2.1/24",
        "[192.0.2.1]",
        "[192.0.2.1]:80",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]80",
        "[2001:db8::1]:65536",
        "[[2001:db8::1]]",
        "2001:db8::1::2",
        "fe80::1%eth0",
        "\"192.0.2.1\"",
        "192.0.2.1 192.0.2.2",
        "192.0.2.1\u{a0}",
    ] {
        assert_eq!(address_of_entry(entry.as_bytes()), None, "{entry}");
    }
    assert_eq!(address_of_entry(b"\xff"), None);
    assert_eq!(address_of_entry(&b"1".repeat(1 << 20)), None);
}

#[test]
fn entries_come_from_right_to_left_without_the_empty_ones() {
    let entries = |line: &'static [u8]| entries_from_right(line).collect::<Vec<_>>();
    assert_eq!(entries(b" a ,b,,\t , c"), [b"c", b"b", b"a"]);
    assert_eq!(entries(b", ,"), [[0_u8; 0]; 0]);
}

fn read(line: &str) -> Option<Vec<(Option<IpAddr>, Option<Protocol>)>> {
    let mut read = Vec::new();
    elements(line.as_bytes(), |element| read.push((element.address(), element.protocol)))?;
    Some(read)
}

#[test]
fn the_elements_of_forwarded_have_addresses_in_the_forms_of_the_rfc() {
    for (line, want) in [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("For=192.0.2.60", "192.0.2.60"),
        ("FOR=\"192.0.2.60\"", "192.0.2.60"),
        ("for=\"192.0.2.60:47011\"", "192.0.2.60"),
        ("for=\"192.0.2.60:_Port.1-x\"", "192.0.2.60"),
        ("for=\"192\\.0.2\\.60\"", "192.0.2.60"),
        ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"),
        ("by=_x;for=192.0.2.60; host=\"a;b,c=\\\"d\" ;x=y;", "192.0.2.60"),
        (";;for=192.0.2.60;;", "192.0.2.60"),
        (" , for=192.0.2.60 ,\t,", "192.0.2.60"),
    ] {
        let read = read(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(read.iter().map(|(address, _)| *address).collect::<Vec<_>>(), [Some(ip(want))], "{line}");
    }
}

#[test]
fn an_element_without_an_address_is_an_element() {
    for line in [
        "for=unknown",
        "for=_hidden",
        "for=\"_SEVKISEK\"",
        "by=192.0.2.1",
        "proto=https",
        "for=\"2001:db8::1\"",
        "for=\"[192.0.2.1]\"",
        "for=\"192.0.2.1:65536\"",
        "for=\"192.0.2.1:_\"",
        "for=\" 192.0.2.1\"",
        "for=\"\"",
    ] {
        let read = read(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(read.iter().map(|(address, _)| *address).collect::<Vec<_>>(), [None], "{line}");
    }
}

#[test]
fn a_line_that_breaks_the_grammar_is_refused_as_a_whole() {
    for line in [
        "192.0.2.1",
        "for",
        "for=",
        "=192.0.2.1",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "for=192.0.2.1:80",
        "for=[::1]",
        "for=192.0.2.1;for=192.0.2.2",
        "for=192.0.2.1 for=192.0.2.2",
        "for=192.0.2.1;by",
        "for=\"192.0.2.1",
        "for=\"192.0.2.1\\",
        "for=\"192.0.2.1\\\"",
        "for=\"192.0.2.1\"x",
        "fo r=192.0.2.1",
        // A client's quotation mark that hides the proxy's element.
        "for=203.0.113.9;x=\", for=192.0.2.1",
        "for=203.0.113.9;x=\", for=\"[2001:db8::1]\"",
        "for=203.0.113.9;x=\", for=192.0.2.1;host=\"a\"",
    ] {
        assert_eq!(read(line), None, "{line}");
    }
    assert_eq!(read("").map(|read| read.len()), Some(0));
}

#[test]
fn a_line_may_have_a_hundred_elements() {
    let line = |count: usize| vec!["for=192.0.2.1"; count].join(",");
    assert_eq!(read(&line(MOST_ELEMENTS)).map(|read| read.len()), Some(MOST_ELEMENTS));
    assert_eq!(read(&line(MOST_ELEMENTS + 1)), None);
}

#[test]
fn the_protocol_is_http_or_https() {
    for (line, want) in [
        ("https", Some(Protocol::Https)),
        ("HTTP", Some(Protocol::Http)),
        ("http, https ", Some(Protocol::Https)),
        ("https,", None),
        ("", None),
        ("wss", None),
    ] {
        assert_eq!(last_protocol(line.as_bytes()), want, "{line}");
    }
    for (line, want) in [
        ("for=192.0.2.1;proto=https", Some(Protocol::Https)),
        ("proto=\"http\";for=192.0.2.1", Some(Protocol::Http)),
        ("for=192.0.2.1;proto=gopher", None),
        ("for=192.0.2.1", None),
    ] {
        assert_eq!(read(line).unwrap()[0].1, want, "{line}");
    }
}

proptest! {
    /// A proxy that quotes correctly is understood, whatever the other parameters are.
    #[test]
    fn a_quoted_value_hides_what_is_in_it(other in "[ -~]*", last in any::<[u8; 4]>()) {
        let quoted: String = other.chars().flat_map(|c| ['\\', c]).collect();
        let address = IpAddr::from(last);
        let line = format!("for=203.0.113.9;host=\"{quoted}\", for=\"{address}:80\"");
        let addresses: Vec<_> = read(&line).unwrap().into_iter().map(|(address, _)| address).collect();
        prop_assert_eq!(addresses, [Some(ip("203.0.113.9")), Some(address)]);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(line in any::<Vec<u8>>()) {
        let _elements = elements(&line, |element| { let _address = element.address(); });
        let _entries = entries_from_right(&line).filter_map(address_of_entry).count();
        let _protocol = last_protocol(&line);
    }
}
