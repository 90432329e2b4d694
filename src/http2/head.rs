//! Pure. The head of an HTTP/2 request, as the head that the request would have had in HTTP/1.1.
//!
//! The strict parser of HTTP/1.1 (`message::head`) checks these bytes. So the same rules hold for both
//! versions: a request that could not be written as one strict HTTP/1.1 request is refused.

use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, Method, Uri};

use crate::message::head::{self, HeadError, Parsed, RequestHead};

/// The parts of a request, as hyper hands them over.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'r> {
    /// `:method`
    pub method: &'r Method,
    /// `:authority` and `:path`. hyper has dropped a fragment.
    pub uri: &'r Uri,
    /// The fields. Lines of one name follow each other.
    pub fields: &'r HeaderMap,
    /// Whether content follows.
    pub has_content: bool,
}

/// The fields that belong to the connection in HTTP/1.1. They are malformed in HTTP/2 (RFC 9113, section
/// 8.2.2). h2 resets such streams itself; this check holds without it.
const CONNECTION_FIELDS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// The head of a request that the parser of HTTP/1.1 has accepted.
///
/// # Errors
/// [`HeadError`]: the request could not be written as one strict HTTP/1.1 request, or is larger than
/// `max_bytes`.
pub fn read(parts: &Parts<'_>, max_bytes: usize) -> Result<RequestHead, HeadError> {
    let bytes = written(parts).map_err(HeadError::Malformed)?;
    match head::parse(&bytes, &mut 0, max_bytes) {
        Parsed::Complete(facts) if facts.len == bytes.len() => Ok(RequestHead::owned(facts, bytes)),
        Parsed::Complete(_) => Err(HeadError::Malformed("the head ends early")),
        // A head whose end is missing is longer than the limit.
        Parsed::Partial => Err(HeadError::TooLarge),
        Parsed::Faulty(error) => Err(error),
    }
}

/// The bytes of the head in HTTP/1.1.
fn written(parts: &Parts<'_>) -> Result<Vec<u8>, &'static str> {
    let Parts { method, uri, fields, has_content } = *parts;
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let target = match uri.path_and_query() {
        None if *method == Method::CONNECT => authority.unwrap_or_default(),
        Some(_) if *method == Method::CONNECT => return Err("CONNECT has a path"),
        Some(target) => target.as_str(),
        None => return Err("there is no path"),
    };
    let mut bytes = Vec::with_capacity(size(method, target, authority, fields));
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    if let Some(authority) = authority {
        line(&mut bytes, HOST.as_str(), authority.as_bytes());
    }
    let is_said = |host: &[u8]| authority.is_some_and(|said| host.eq_ignore_ascii_case(said.as_bytes()));
    let (mut hosts, mut has_cookie) = (0usize, false);
    for (name, value) in fields {
        let value = value.as_bytes();
        if CONNECTION_FIELDS.contains(&name.as_str()) || (name == "te" && value != b"trailers") {
            return Err("a field of the connection is in an HTTP/2 request");
        }
        if value.trim_ascii().len() != value.len() {
            return Err("a field value begins or ends with white space");
        }
        if name == HOST {
            hosts = hosts.saturating_add(1);
            if authority.is_some() && !is_said(value) {
                return Err("the host field is not :authority");
            }
            if authority.is_some() && hosts == 1 {
                continue;
            }
        }
        if name == COOKIE {
            // All cookie lines are written in the place of the first.
            if !has_cookie {
                cookies(&mut bytes, fields);
            }
            has_cookie = true;
            continue;
        }
        line(&mut bytes, name.as_str(), value);
    }
    if has_content && !fields.contains_key(CONTENT_LENGTH) {
        // The end of the stream is the end of the content, as the last chunk is in HTTP/1.1.
        line(&mut bytes, "transfer-encoding", b"chunked");
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(bytes)
}

/// Joins the cookie lines (RFC 9113, section 8.2.3).
fn cookies(bytes: &mut Vec<u8>, fields: &HeaderMap) {
    let mut values = fields.get_all(COOKIE).iter();
    let Some(first) = values.next() else { return };
    bytes.extend_from_slice(COOKIE.as_str().as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(first.as_bytes());
    for value in values {
        bytes.extend_from_slice(b"; ");
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
}

/// The size of the head in bytes, so that its buffer is allocated once and has no spare bytes.
fn size(method: &Method, target: &str, authority: Option<&str>, fields: &HeaderMap) -> usize {
    let line = |name: usize, value: usize| name.saturating_add(value).saturating_add(4);
    let own = [
        method.as_str().len(),
        target.len(),
        authority.map_or(0, |authority| line(HOST.as_str().len(), authority.len())),
        " HTTP/1.1\r\n\r\n transfer-encoding: chunked\r\n".len(),
    ];
    let lines = fields.iter().map(|(name, value)| line(name.as_str().len(), value.len()));
    own.into_iter().chain(lines).fold(0, usize::saturating_add)
}

fn line(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::message::head::{Expect, Framing};

    const MAX: usize = 32 * 1024;

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            fields.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        fields
    }

    fn of(
        method: &str,
        uri: &str,
        lines: &[(&str, &str)],
        has_content: bool,
    ) -> Result<RequestHead, HeadError> {
        let (method, uri) = (Method::from_bytes(method.as_bytes()).unwrap(), uri.parse().unwrap());
        let fields = fields(lines);
        read(&Parts { method: &method, uri: &uri, fields: &fields, has_content }, MAX)
    }

    fn lines(head: &RequestHead) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        head.lines().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[track_caller]
    fn assert_lines(head: &RequestHead, want: &[(&str, &str)]) {
        let lines = lines(head);
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(lines, want);
    }

    #[track_caller]
    fn assert_malformed(method: &str, uri: &str, lines: &[(&str, &str)]) {
        let read = of(method, uri, lines, true);
        assert!(matches!(read, Err(HeadError::Malformed(_))), "{method} {uri} {lines:?}: {read:?}");
    }

    #[test]
    fn a_request_is_the_one_that_it_would_have_been_in_http_1_1() {
        let given = [("propify-signature", "ab"), ("x", "1"), ("x", "2"), ("content-length", "3")];
        let head = of("POST", "https://a.example:8443/w?q=%20", &given, true).unwrap();
        assert_eq!((head.method(), head.target()), ("POST", &b"/w?q=%20"[..]));
        assert_eq!(head.facts().framing, Framing::Length(3));
        let host = [("host", "a.example:8443")];
        assert_lines(&head, &[&host[..], &given].concat());
    }

    #[test]
    fn content_without_a_length_is_chunked_and_no_content_is_none() {
        let head = of("POST", "http://a/w", &[], true).unwrap();
        assert_eq!(head.facts().framing, Framing::Chunked);
        assert_lines(&head, &[("host", "a"), ("transfer-encoding", "chunked")]);
        assert_eq!(of("POST", "http://a/w", &[], false).unwrap().facts().framing, Framing::None);
        let head = of("POST", "http://a/w", &[("content-length", "0")], false).unwrap();
        assert_eq!(head.facts().framing, Framing::Length(0));
    }

    #[test]
    fn authority_and_host_agree_or_there_is_only_one_of_them() {
        let host = |uri: &str, given: &[&str]| {
            let given: Vec<_> = given.iter().map(|host| ("host", *host)).collect();
            of("POST", uri, &given, false).map(|head| lines(&head))
        };
        let one = |name: &str| Ok(vec![("host".to_owned(), name.to_owned())]);
        assert_eq!(host("http://a.example/w", &[]), one("a.example"));
        assert_eq!(host("/w", &["a.example"]), one("a.example"));
        assert_eq!(host("http://a.example/w", &["A.example"]), one("a.example"));
        for (uri, given) in [
            ("/w", &[][..]),
            ("/w", &["a", "a"]),
            ("http://a/w", &["b"]),
            ("http://a/w", &["a", "a"]),
            ("http://a/w", &["a", "b"]),
            ("http://a/w", &["a:80"]),
            ("http://a/w", &[""]),
        ] {
            assert!(matches!(host(uri, given), Err(HeadError::Malformed(_))), "{uri} {given:?}");
        }
        assert_malformed("POST", "http://u@a/w", &[]);
    }

    #[test]
    fn cookie_lines_are_joined_where_the_first_is() {
        let given = [("a", "1"), ("cookie", "x=1"), ("b", "2"), ("cookie", "y=2"), ("cookie", "z=3")];
        let head = of("GET", "http://h/", &given, false).unwrap();
        assert_lines(&head, &[("host", "h"), ("a", "1"), ("cookie", "x=1; y=2; z=3"), ("b", "2")]);
    }

    #[test]
    fn fields_of_the_connection_are_malformed_and_te_may_only_be_trailers() {
        for name in CONNECTION_FIELDS {
            assert_malformed("POST", "http://a/w", &[(name, "x")]);
        }
        assert_malformed("POST", "http://a/w", &[("transfer-encoding", "chunked")]);
        assert_malformed("POST", "http://a/w", &[("te", "gzip")]);
        assert_malformed("POST", "http://a/w", &[("te", "trailers"), ("te", "gzip")]);
        assert!(of("POST", "http://a/w", &[("te", "trailers")], false).is_ok());
    }

    #[test]
    fn what_is_refused_in_http_1_1_is_refused() {
        for given in [
            &[("content-length", "1"), ("content-length", "1")][..],
            &[("content-length", "+1")],
            &[("content-length", "1, 1")],
            &[("content_length", "1")],
            &[("transfer_encoding", "chunked")],
            &[("x", " 1")],
            &[("x", "1\t")],
        ] {
            assert_malformed("POST", "http://a/w", given);
        }
        for uri in ["http://a/%zz", "http://a/w[1]", "http://a/w|"] {
            assert_malformed("POST", uri, &[]);
        }
        assert_eq!(of("OPTIONS", "*", &[("host", "a")], false).unwrap_err(), HeadError::Asterisk);
        assert_eq!(of("CONNECT", "a:80", &[], false).unwrap_err(), HeadError::Tunnel);
        assert_malformed("CONNECT", "a", &[]);
        assert_malformed("CONNECT", "http://a:80/w", &[]);
        let expect = |value| of("POST", "http://a/w", &[("expect", value)], true).unwrap().facts().expect;
        assert_eq!((expect("100-continue"), expect("x")), (Expect::Continue, Expect::Unknown));
    }

    /// The crate `http` drops a fragment, so nothing of it is forwarded.
    #[test]
    fn of_a_fragment_nothing_is_left() {
        assert_eq!(of("POST", "http://a/w?q#f", &[], false).unwrap().target(), b"/w?q");
    }

    #[test]
    fn sizes_are_bounded_as_in_http_1_1() {
        let frame = "POST /w HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n".len();
        for (size, is_fine) in [(MAX, true), (MAX + 1, false)] {
            let read = of("POST", "http://a/w", &[("x", &"y".repeat(size - frame))], false);
            assert_eq!(read.as_ref().err(), (!is_fine).then_some(&HeadError::TooLarge), "{size}");
            assert!(read.is_err() || read.unwrap().size() == MAX);
        }
        let long = format!("http://a/{}", "y".repeat(17 * 1024));
        assert_eq!(of("POST", &long, &[], false).unwrap_err(), HeadError::LineTooLong);
        let many: Vec<_> = (0..head::MAX_FIELD_LINES).map(|_| ("x", "y")).collect();
        assert!(of("POST", "http://a/w", &many[1..], false).is_ok());
        assert_eq!(of("POST", "http://a/w", &many, false).unwrap_err(), HeadError::TooLarge);
    }

    proptest! {
        /// No byte of a field or of the target becomes part of another one, in any request that hyper can
        /// hand over.
        #[test]
        fn what_passes_has_the_lines_that_were_given(
            target in "/[ -~é]{0,12}",
            given in proptest::collection::vec(("[!-~]{1,8}", proptest::collection::vec(any::<u8>(), 0..8)), 0..6),
        ) {
            let Ok(uri) = format!("http://a{target}").parse::<Uri>() else { return Ok(()) };
            let mut fields = HeaderMap::new();
            for (name, value) in &given {
                if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                    fields.append(name, value);
                }
            }
            let parts = Parts { method: &Method::POST, uri: &uri, fields: &fields, has_content: false };
            if let Ok(head) = read(&parts, MAX) {
                prop_assert_eq!(head.target(), uri.path_and_query().unwrap().as_str().as_bytes());
                prop_assert_eq!(head.facts().framing != Framing::Chunked, true);
                let mut lines: Vec<_> = head.lines().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
                prop_assert_eq!(lines.remove(0), (b"host".to_vec(), b"a".to_vec()));
                let is_line = |name: &HeaderName| name != HOST && name != COOKIE;
                let want: Vec<_> = fields.iter().filter(|(name, _)| is_line(name))
                    .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
                lines.retain(|(name, _)| name != b"cookie");
                prop_assert_eq!(lines, want);
            }
        }
    }
}
