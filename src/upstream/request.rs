//! Pure. The head of a request to an upstream: the sender's head without the fields of the sender's
//! connection.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::HeaderName;

use crate::admission::client::ClientAddress;
use crate::admission::trusted_proxies::{ClientField, LastHop};
use crate::config::{self, XForwarded};
use crate::message::fields::HopByHop;
use crate::message::forwarded::{Protocol, ReceivedIn};
use crate::message::head::{RequestHead, Special, Version, is_same_name};
use crate::queue::id::EventId;
use crate::signature::Fields as _;
use crate::signature::Verifier;
use crate::signature::scheme::Scheme;
use crate::upstream::assertion::{self, Assertion};
use crate::upstream::origin::Origin;

/// A route's settings for forwarding, computed once.
#[derive(Clone, Debug)]
pub struct ForwardOptions {
    /// How `x-forwarded-for`, `-proto` and `-host` are set.
    pub x_forwarded: XForwarded,
    /// The field that says how the request was verified.
    pub verified_field: Option<HeaderName>,
    /// Whether a `via` line is added.
    pub via: bool,
    /// The field for the event's id.
    pub event_id_field: Option<HeaderName>,
    /// The field for the name in the client's certificate.
    pub client_certificate_field: Option<HeaderName>,
    /// The scheme's name, for the verified field.
    pub scheme: Cow<'static, str>,
    /// The secrets of the route's further signatures, each with its scheme's name. Nearly always empty.
    pub other_schemes: Vec<(Arc<str>, Cow<'static, str>)>,
    /// The fields that a `connection` line cannot remove: the fields of the signature, and everything else
    /// that is signed.
    pub kept: Vec<HeaderName>,
    /// The assertion that is added to verified requests.
    pub assertion: Option<Assertion>,
}

impl ForwardOptions {
    /// The settings of a route with this scheme.
    #[must_use]
    pub fn new(forward: &config::Forward, scheme: &Scheme) -> Self {
        Self {
            x_forwarded: forward.x_forwarded,
            verified_field: forward.verified_field.clone(),
            via: forward.via,
            event_id_field: forward.event_id_field.clone(),
            client_certificate_field: forward.client_certificate_field.clone(),
            scheme: scheme.name.clone(),
            other_schemes: Vec::new(),
            kept: scheme.names().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect(),
            assertion: Assertion::new(forward, scheme),
        }
    }

    /// The settings of a route with these signatures.
    #[must_use]
    pub fn of_route(forward: &config::Forward, verifier: &Verifier) -> Self {
        let mut options = Self::new(forward, verifier.scheme());
        for other in verifier.all().skip(1) {
            let scheme = other.scheme();
            let secrets = other.secret_names().map(|name| (Arc::clone(name), scheme.name.clone()));
            options.other_schemes.extend(secrets);
            options.kept.extend(Self::new(forward, scheme).kept);
            options.assertion = options.assertion.map(|assertion| assertion.beside(scheme));
        }
        options
    }

    /// The name of the scheme with the secret that verified a request.
    fn scheme_of(&self, secret: &str) -> &str {
        let other = self.other_schemes.iter().find(|(name, _)| **name == *secret);
        other.map_or(&self.scheme, |(_, scheme)| scheme)
    }
}

impl ForwardOptions {
    /// Whether hookgate itself sets a field of this name in each request.
    fn sets(&self, name: &[u8]) -> bool {
        let own = self.verified_field.iter().chain(&self.event_id_field);
        let mut own = own.chain(&self.client_certificate_field);
        own.any(|field| is_same_name(name, field.as_str().as_bytes()))
    }
}

/// The names of the fields that hookgate sets in this configuration. A lookalike of these names must not
/// reach an app.
pub fn set_fields(forward: &config::Forward) -> impl Iterator<Item = &str> {
    let forwarded: &[&str] = match forward.x_forwarded {
        XForwarded::Off => &[],
        XForwarded::Append | XForwarded::Overwrite => &NAMES,
    };
    let asserted: &[&str] = if forward.assertion.is_some() { &assertion::FIELDS } else { &[] };
    let own = forward.verified_field.iter().chain(&forward.event_id_field);
    let own = own.chain(&forward.client_certificate_field).map(HeaderName::as_str);
    forwarded.iter().chain(asserted).copied().chain(own)
}

/// How a request came to the gateway.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// The protocol that the client used.
    pub protocol: Protocol,
    /// The version of HTTP that the client used.
    pub received_in: ReceivedIn,
    /// The name in the client's certificate, if the client sent a valid certificate.
    pub client_certificate: Option<Arc<str>>,
    /// The program at the other end of the connection.
    pub last_hop: LastHop,
}

/// The facts of a request that are not in its head.
#[derive(Clone, Copy, Debug)]
pub struct RequestInfo<'c> {
    /// The client address.
    pub client: ClientAddress,
    /// How it came.
    pub channel: &'c Channel,
    /// The length of the content in bytes.
    pub length: usize,
    /// The name of the secret that verified the request, if one did.
    pub secret: Option<&'c Arc<str>>,
    /// The upstream, for the `host` field of a request without one.
    pub origin: &'c Origin,
    /// The id of the event, on a route that stores events.
    pub event: Option<EventId>,
}

/// Content up to this length in bytes is appended to the head.
pub const SMALL: usize = 2 * 1024;

/// The bytes that the head can gain in every configuration: a `content-length` line.
const SLACK: usize = 48;

/// Writes the head. Method, target and field lines keep their order and spelling. Hop-by-hop fields and
/// `expect` are removed. If the sender framed content, one `content-length` replaces that framing (RFC 9112,
/// section 6.2).
#[must_use]
pub fn compose(head: &RequestHead, forward: &ForwardOptions, info: &RequestInfo<'_>) -> Vec<u8> {
    let room = if info.length <= SMALL { info.length } else { 0 };
    let mut out = Vec::with_capacity(head.size().saturating_add(SLACK).saturating_add(room));
    push(&mut out, &[head.method().as_bytes(), b" ", head.target(), b" HTTP/1.1\r\n"]);
    let gone = if head.facts().has_connection_options {
        HopByHop::of(head.lines(), &forward.kept)
    } else {
        HopByHop::usual()
    };
    let mut forwarded = Forwarded::new(head, forward.x_forwarded, info, &gone);
    let mut has_length = false;
    let mut has_host = false;
    for (name, value) in head.lines() {
        match Special::of(name) {
            Some(Special::Expect) => {}
            Some(Special::ContentLength | Special::TransferEncoding) if has_length => {}
            Some(Special::ContentLength | Special::TransferEncoding) => {
                let name = if name.len() == CONTENT_LENGTH.len() { name } else { CONTENT_LENGTH };
                push_length(&mut out, name, info.length);
                has_length = true;
            }
            Some(Special::Host) => {
                has_host = true;
                push_line(&mut out, name, value);
            }
            Some(Special::Connection) => {}
            None if gone.has(name) => {}
            None if forward.sets(name) => {}
            None => forwarded.push_line(&mut out, name, value),
        }
    }
    if !has_length && (info.length > 0 || anticipates_content(head.method())) {
        push_length(&mut out, CONTENT_LENGTH, info.length);
    }
    if !has_host {
        // Only an HTTP/1.0 request can lack `host`: HTTP/1.1 requires the field (RFC 9112, section 3.2).
        push_line(&mut out, b"host", info.origin.authority().as_bytes());
    }
    forwarded.push_rest(&mut out);
    if forward.via {
        // A separate line continues the list in the earlier lines (RFC 9110, section 5.3).
        let received = match (info.channel.received_in, head.facts().version) {
            (ReceivedIn::Http1, Version::Http10) => b"1.0 hookgate",
            (ReceivedIn::Http1, Version::Http11) => b"1.1 hookgate",
            (ReceivedIn::Http2, Version::Http10 | Version::Http11) => b"2.0 hookgate",
        };
        push_line(&mut out, b"via", received);
    }
    if let Some(field) = &forward.verified_field
        && let Some(secret) =
            info.secret.filter(|name| name.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
    {
        // A structured dictionary (RFC 9651). Left out if the request is not verified.
        let name = field.as_str().as_bytes();
        push(
            &mut out,
            &[
                name,
                b": scheme=",
                forward.scheme_of(secret).as_bytes(),
                b", secret=",
                secret.as_bytes(),
                b"\r\n",
            ],
        );
    }
    if let (Some(field), Some(name)) = (&forward.client_certificate_field, &info.channel.client_certificate) {
        push_line(&mut out, field.as_str().as_bytes(), name.as_bytes());
    }
    if let (Some(field), Some(id)) = (&forward.event_id_field, info.event) {
        push_line(&mut out, field.as_str().as_bytes(), id.to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

const CONTENT_LENGTH: &[u8] = b"content-length";

/// Whether this method usually has content. If such a request has no content, a length of 0 says so (RFC
/// 9110, section 8.6).
fn anticipates_content(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "DELETE" | "OPTIONS" | "TRACE")
}

/// Appends the origin of a request to the values of earlier proxies: `x-forwarded-for`, `-proto` and `-host`.
///
/// If no proxies are trusted, hookgate sets only the last entry of each field. The client may have written
/// the other entries. If proxies are trusted, only the entries that a trusted proxy has passed on are kept.
struct Forwarded {
    /// The gateway's values that are not written yet. Writing a value removes it here.
    ours: [Option<Vec<u8>>; 3],
    is_asked_for: bool,
}

const NAMES: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

impl Forwarded {
    fn new(head: &RequestHead, wanted: XForwarded, info: &RequestInfo<'_>, gone: &HopByHop<'_>) -> Self {
        let appends = match wanted {
            XForwarded::Off => return Self { ours: [const { None }; 3], is_asked_for: false },
            XForwarded::Append => true,
            XForwarded::Overwrite => false,
        };
        let host = head.values("host").next().map(<[u8]>::to_vec);
        let host = host.unwrap_or_else(|| info.origin.authority().into_bytes());
        let client = written(info.client).into_bytes();
        let proto = info.channel.protocol.name().as_bytes().to_vec();
        // The earlier entries of a field, and then the gateway's own.
        let appended = |name: &str, own: Option<Vec<u8>>| {
            let earlier = head.values(name).filter(|_| !gone.has(name.as_bytes()));
            earlier.chain(own.as_deref()).collect::<Vec<_>>().join(&b", "[..])
        };
        let [name, proto_name, host_name] = NAMES;
        let ours = match info.channel.last_hop {
            LastHop::Unknown if appends => [
                appended(name, Some(client)),
                appended(proto_name, Some(proto)),
                appended(host_name, Some(host)),
            ],
            LastHop::Proxy(peer, field) if appends => {
                [chain(head, client, peer, field), proto, appended(host_name, Some(host))]
            }
            LastHop::Unknown | LastHop::Client | LastHop::Proxy(..) => [client, proto, host],
        };
        Self { ours: ours.map(Some), is_asked_for: true }
    }

    /// Writes a field line. The first line of a forwarded field is replaced by the gateway's value. Further
    /// lines of that field are left out.
    fn push_line(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        if !self.is_asked_for {
            return push_line(out, name, value);
        }
        match NAMES.iter().position(|ours| is_same_name(name, ours.as_bytes())) {
            Some(place) => {
                if let Some(ours) = self.ours.get_mut(place).and_then(Option::take) {
                    push_line(out, name, &ours);
                }
            }
            None => push_line(out, name, value),
        }
    }

    fn push_rest(&mut self, out: &mut Vec<u8>) {
        for (name, ours) in NAMES.iter().zip(&mut self.ours) {
            if let Some(ours) = ours.take() {
                push_line(out, name.as_bytes(), &ours);
            }
        }
    }
}

/// The value of `x-forwarded-for` for a request from a trusted proxy: the addresses from the client to this
/// proxy.
fn chain(head: &RequestHead, client: Vec<u8>, proxy: ClientAddress, field: ClientField) -> Vec<u8> {
    let own = match proxy {
        ClientAddress::Ip(address) => Some(address.to_string().into_bytes()),
        // A proxy without an address is left out: the last entry is the proxy's own report.
        ClientAddress::Unix => None,
    };
    let mut entries: Vec<&[u8]> = match field {
        ClientField::XForwardedFor => head.values(field.name()).filter(|value| !value.is_empty()).collect(),
        // The proxy reports the client elsewhere. It may have passed on the client's own `x-forwarded-for`.
        ClientField::Forwarded => Vec::new(),
    };
    if entries.is_empty() {
        entries.push(&client);
    }
    entries.extend(own.as_deref().filter(|own| *own != client));
    entries.join(&b", "[..])
}

/// The entry for a client. A client without an address is written as `unknown` (RFC 7239, section 6.2,
/// defines the word). If nothing were written, the last entry would be one that the client has written.
fn written(client: ClientAddress) -> String {
    match client {
        ClientAddress::Ip(address) => address.to_string(),
        ClientAddress::Unix => "unknown".to_owned(),
    }
}

fn push(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
}

fn push_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    push(out, &[name, b": ", value, b"\r\n"]);
}

fn push_length(out: &mut Vec<u8>, name: &[u8], length: usize) {
    push_line(out, name, itoa::Buffer::new().format(length).as_bytes());
}

#[cfg(test)]
mod tests;
