//! Pure. Decides which fields are forwarded, in both directions, and which belong to only one connection.

use http::header::HeaderName;

use crate::message::head::is_named;

/// A field line: name and value, as received.
pub type Line<'h> = (&'h [u8], &'h [u8]);

/// Whether a field belongs to the connection and not to the message (RFC 9110, section 7.6.1; for
/// `http2-settings`, RFC 7540, section 3.2.1). This holds for `trailer` too, because trailers are not
/// forwarded.
fn is_hop_by_hop(name: &[u8]) -> bool {
    match name.len() {
        2 => is_named(name, b"te"),
        7 => is_named(name, b"trailer") || is_named(name, b"upgrade"),
        10 => is_named(name, b"connection") || is_named(name, b"keep-alive"),
        14 => is_named(name, b"http2-settings"),
        16 => is_named(name, b"proxy-connection"),
        17 => is_named(name, b"transfer-encoding"),
        _ => false,
    }
}

/// Whether the message would have another meaning without this field. A `connection` line cannot remove such
/// a field.
fn is_needed(name: &[u8]) -> bool {
    [&b"host"[..], b"content-length", b"content-type"].iter().any(|needed| name.eq_ignore_ascii_case(needed))
}

/// The fields of a message that are not forwarded: the known ones, and every field that a `connection` line
/// names.
#[derive(Debug)]
pub struct HopByHop<'h> {
    named: Vec<&'h [u8]>,
}

impl<'h> HopByHop<'h> {
    /// The fields that are not forwarded if no `connection` line names a field.
    #[must_use]
    pub fn usual() -> Self {
        Self { named: Vec::new() }
    }

    /// Parses all `connection` lines (RFC 9110, section 7.6.1: there may be several, and all count). The
    /// lines cannot remove the fields in `kept`.
    pub fn of(lines: impl Iterator<Item = Line<'h>>, kept: &[HeaderName]) -> Self {
        let mut named = Vec::new();
        for (name, value) in lines {
            if !is_named(name, b"connection") {
                continue;
            }
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                let is = |other: &[u8]| option.eq_ignore_ascii_case(other);
                let is_kept = || kept.iter().any(|kept| is(kept.as_str().as_bytes()));
                if !is(b"close") && !is(b"keep-alive") && !is_needed(option) && !is_kept() {
                    named.push(option);
                }
            }
        }
        Self { named }
    }

    /// Whether a field is not forwarded.
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        is_hop_by_hop(name) || self.named.iter().any(|named| named.eq_ignore_ascii_case(name))
    }
}

/// How many seconds the other side keeps an idle connection: the `timeout` of its `keep-alive` field (RFC
/// 2068, section 19.7.1.1).
#[must_use]
pub fn keep_alive_seconds(value: &[u8]) -> Option<u64> {
    value.split(|byte| *byte == b',').find_map(|parameter| {
        let text = std::str::from_utf8(parameter.trim_ascii()).ok()?;
        text.strip_prefix("timeout=")?.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIGNATURE: HeaderName = HeaderName::from_static("propify-signature");

    fn through<'h>(lines: &[(&'h str, &'h str)]) -> Vec<(&'h str, &'h str)> {
        let bytes = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let gone = HopByHop::of(bytes, &[SIGNATURE]);
        lines.iter().copied().filter(|(name, _)| !gone.has(name.as_bytes())).collect()
    }

    #[test]
    fn hop_by_hop_fields_go_and_the_order_of_the_others_stays() {
        let fields = [
            ("a", "1"),
            ("Connection", "keep-alive, x-one"),
            ("b", "2"),
            ("x-one", "!"),
            ("Keep-Alive", "timeout=5"),
            ("c", "3"),
            ("a", "4"),
            ("connection", "X-Two ,close,, b-b"),
            ("X-two", "!"),
            ("x-two", "!!"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
            ("transfer-encoding", "chunked"),
            ("Proxy-Connection", "x"),
            ("d", "5"),
        ];
        assert_eq!(through(&fields), [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4"), ("d", "5")]);
    }

    #[test]
    fn a_connection_line_cannot_remove_needed_fields() {
        let fields = [
            ("connection", "host, Content-Length, content-type, Propify-Signature, close"),
            ("host", "a"),
            ("content-length", "1"),
            ("content-type", "t"),
            ("Propify-signature", "s"),
            ("close", "stays"),
        ];
        assert_eq!(through(&fields), fields[1..]);
    }

    #[test]
    fn the_keep_alive_time_is_read() {
        for (value, want) in [
            ("timeout=5, max=100", Some(5)),
            ("max=1,timeout=72", Some(72)),
            ("timeout=x", None),
            ("max=1", None),
        ] {
            assert_eq!(keep_alive_seconds(value.as_bytes()), want, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_hop_by_hop_field_ever_remains(names in proptest::collection::vec("(connection|te|x-[ab]|host)", 0..8), values in proptest::collection::vec("(x-[ab]|te|host|,| )*", 8)) {
            let pairs: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
            let options: Vec<&str> = pairs.iter().filter(|(name, _)| *name == "connection").flat_map(|(_, value)| value.split(',')).map(str::trim).collect();
            let goes = |name: &str| name == "te" || name == "connection" || (name != "host" && options.contains(&name));
            let want: Vec<_> = pairs.iter().copied().filter(|(name, _)| !goes(name)).collect();
            prop_assert_eq!(through(&pairs), want);
        }
    }
}
