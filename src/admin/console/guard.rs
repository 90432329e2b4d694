//! Pure. The guard of the console: which connections, hosts and origins may ask, and the fields that every
//! answer has.
//!
//! A page of another site can make a browser send requests to the gateway. Its own name can be made to
//! resolve to this machine (DNS rebinding). So the guard reads `host`, `origin` and the fields with which
//! browsers say where a request comes from (Fetch Metadata).

use std::net::IpAddr;

use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::tls::certificate::Facts;
use crate::tls::host_name::without_port;

/// How a connection came to the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Over loopback, without TLS.
    Loopback,
    /// Over a unix socket.
    Socket,
    /// Over TLS, to this address of the machine.
    Tls(Option<IpAddr>),
    /// Over plain HTTP, to an address that other machines reach. The console is closed to it.
    Open,
}

impl Channel {
    /// The channel of a connection to this address. `None` for a unix socket.
    pub(crate) fn of(local: Option<IpAddr>, is_socket: bool, is_tls: bool) -> Self {
        let local = local.map(|local| local.to_canonical());
        match (is_socket, is_tls) {
            (true, _) => Self::Socket,
            (false, true) => Self::Tls(local),
            (false, false) if local.is_some_and(|local| local.is_loopback()) => Self::Loopback,
            (false, false) => Self::Open,
        }
    }

    /// Whether cookies of this channel must be `Secure`.
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

const fn refused(why: &'static str) -> Refused {
    Refused { status: StatusCode::FORBIDDEN, why }
}

/// Checks the connection and the host of a request. Returns the host with its port.
///
/// # Errors
/// [`Refused`]
pub(crate) fn host<'f>(
    channel: Channel,
    fields: &'f HeaderMap,
    authority: Option<&'f str>,
    certificate: Option<&Facts>,
) -> Result<&'f str, Refused> {
    if channel == Channel::Open {
        return Err(refused("the console needs TLS on an address that other machines reach"));
    }
    let mut hosts = fields.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(refused("the request names no host"));
    };
    let Ok(host) = host.to_str() else { return Err(refused(FOREIGN_HOST)) };
    let is_ours = |host: &str| is_own(channel, host, certificate);
    if is_ours(host) && authority.is_none_or(is_ours) { Ok(host) } else { Err(refused(FOREIGN_HOST)) }
}

const FOREIGN_HOST: &str = "the console is not at this host: open the link that `hookgate console` prints";

/// Whether a host is one of the listener's: `localhost`, a loopback address, the address of the connection,
/// or a name in the certificate. Of addresses, only the usual notation is accepted.
fn is_own(channel: Channel, host: &str, certificate: Option<&Facts>) -> bool {
    let name = without_port(host);
    let port = host.strip_prefix(name).unwrap_or_default();
    let is_number = port.strip_prefix(':').is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_number || (!port.is_empty() && !port.starts_with(':')) {
        return false;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6),
        None => name.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4),
    };
    let own = match channel {
        Channel::Tls(own) => own,
        Channel::Loopback | Channel::Socket | Channel::Open => None,
    };
    let is_here = match address {
        Some(address) => {
            let address = address.to_canonical();
            address.is_loopback() || own == Some(address)
        }
        None => name.eq_ignore_ascii_case("localhost"),
    };
    is_here || (channel.is_tls() && certificate.is_some_and(|facts| facts.covers(name)))
}

/// What a request is for. The stricter the purpose, the fewer origins may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A page, which a person may open from anywhere. Without the session's cookie it shows nothing.
    Page,
    /// A style sheet, a script or an icon.
    Asset,
    /// A change or a stream.
    SameOrigin,
}

/// Checks where a request comes from.
///
/// # Errors
/// [`Refused`]
pub(crate) fn origin(
    purpose: Purpose,
    channel: Channel,
    host: &str,
    fields: &HeaderMap,
) -> Result<(), Refused> {
    let mut sites = fields.get_all(SEC_FETCH_SITE).iter();
    let site = match (sites.next(), sites.next()) {
        (None, _) => None,
        (Some(site), None) => Some(site.as_bytes()),
        (Some(_), Some(_)) => return Err(refused(FOREIGN_ORIGIN)),
    };
    let is_allowed = match (purpose, site) {
        (_, Some(b"same-origin")) => true,
        // Older browsers send only `origin`, and other programs neither.
        (Purpose::SameOrigin, None) => is_same(channel, host, fields),
        (Purpose::SameOrigin, Some(_)) => false,
        (Purpose::Page | Purpose::Asset, None | Some(b"none")) => true,
        // A link on another site. The browser leaves out the cookie.
        (Purpose::Page, Some(_)) => {
            fields.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate")
                && fields.get(SEC_FETCH_DEST).is_some_and(|dest| dest == "document")
        }
        (Purpose::Asset, Some(_)) => false,
    };
    if is_allowed { Ok(()) } else { Err(refused(FOREIGN_ORIGIN)) }
}

const FOREIGN_ORIGIN: &str = "the request comes from a page that is not the console";

fn is_same(channel: Channel, host: &str, fields: &HeaderMap) -> bool {
    let mut origins = fields.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
    let scheme = if channel.is_tls() { "https://" } else { "http://" };
    let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix(scheme));
    own.is_some_and(|own| own.eq_ignore_ascii_case(host))
}

/// Whether a browser asks in advance, before the person does. A link that works once must not be used up by
/// this.
pub(crate) fn is_in_advance(fields: &HeaderMap) -> bool {
    [SEC_PURPOSE, PURPOSE].iter().any(|name| fields.contains_key(name))
}

/// Whether a page of another origin has caused this request. The browser then sends no session cookie with
/// this request, nor with the request that follows a redirection.
pub(crate) fn is_from_elsewhere(fields: &HeaderMap) -> bool {
    fields.get_all(SEC_FETCH_SITE).iter().any(|site| site == "cross-site" || site == "same-site")
}

/// Whether a person goes to the page, and not the script, which refreshes parts of it.
pub(crate) fn is_navigation(fields: &HeaderMap) -> bool {
    fields.get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate")
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");

/// The name of the session's cookie. Cookies ignore ports, so the name has the port: two gateways on one
/// machine have two sessions.
pub(crate) fn cookie_name(channel: Channel, host: &str) -> String {
    let port = host.strip_prefix(without_port(host)).and_then(|port| port.strip_prefix(':'));
    let prefix = if channel.is_tls() { "__Host-hookgate" } else { "hookgate" };
    match port.filter(|port| !port.is_empty()) {
        Some(port) => format!("{prefix}-{port}"),
        None => prefix.to_owned(),
    }
}

/// The value of the session's cookie. `None` if there is none, or more than one: another page of the same
/// host may have added it.
pub(crate) fn cookie<'f>(fields: &'f HeaderMap, name: &str) -> Option<&'f str> {
    let lines = fields.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(other, _)| *other == name).map(|(_, value)| value);
    let (value, None) = (values.next()?, values.next()) else { return None };
    Some(value)
}

/// The field that sets the cookie of a session, for this many seconds. Zero seconds remove it.
pub(crate) fn set_cookie(channel: Channel, name: &str, value: &str, seconds: u64) -> String {
    let secure = if channel.is_tls() { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// What a page of the console may load and do: its own style, script and stream, and forms to itself. Nothing
/// is inline, and no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// The fields that every answer of the console has.
pub(crate) fn protect(fields: &mut HeaderMap) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        fields.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_str(value).unwrap());
        }
        fields
    }

    #[test]
    fn only_hosts_of_the_listener_are_served() {
        let sample = crate::tls::sample::self_signed(&["console.example", "*.int.example"]);
        let der = CertificateDer::from_pem_slice(sample.cert.as_bytes()).unwrap();
        let facts = Facts::read(&der).unwrap();
        let own: IpAddr = "192.0.2.1".parse().unwrap();
        let tls = Channel::Tls(Some(own));
        for (channel, host_text, want) in [
            (Channel::Loopback, "127.0.0.1:9901", true),
            (Channel::Loopback, "localhost:9901", true),
            (Channel::Loopback, "LOCALHOST", true),
            (Channel::Loopback, "[::1]:9901", true),
            (Channel::Socket, "localhost:8000", true),
            (Channel::Socket, "hookgate", false),
            (Channel::Socket, "", false),
            (Channel::Loopback, "192.0.2.1:9901", false),
            (Channel::Loopback, "evil.example:9901", false),
            (Channel::Loopback, "127.0.0.1.evil.example", false),
            (Channel::Loopback, "localhost.evil.example", false),
            (Channel::Loopback, "localhost:x", false),
            (Channel::Loopback, "127.1:9901", false),
            (Channel::Loopback, "console.example", false),
            (tls, "console.example:9901", true),
            (tls, "a.int.example", true),
            (tls, "192.0.2.1:9901", true),
            (tls, "localhost", true),
            (tls, "192.0.2.2", false),
            (tls, "other.example", false),
            (Channel::Open, "192.0.2.1:9901", false),
            (Channel::Open, "127.0.0.1:9901", false),
        ] {
            let lines = fields(&[("host", host_text)]);
            assert_eq!(host(channel, &lines, None, Some(&facts)).is_ok(), want, "{channel:?} {host_text}");
        }
        let two = fields(&[("host", "localhost"), ("host", "localhost")]);
        assert!(host(Channel::Loopback, &two, None, None).is_err());
        assert!(host(Channel::Loopback, &HeaderMap::new(), None, None).is_err());
        let one = fields(&[("host", "localhost")]);
        assert!(host(Channel::Loopback, &one, Some("evil.example"), None).is_err(), "an absolute target");
    }

    #[test]
    fn a_plain_connection_that_other_machines_can_make_is_open() {
        let ip = |text: &str| Some(text.parse().unwrap());
        assert_eq!(Channel::of(ip("127.0.0.1"), false, false), Channel::Loopback);
        assert_eq!(Channel::of(ip("::ffff:127.0.0.1"), false, false), Channel::Loopback);
        assert_eq!(Channel::of(ip("192.0.2.1"), false, false), Channel::Open);
        assert_eq!(Channel::of(None, false, false), Channel::Open);
        assert_eq!(Channel::of(None, true, false), Channel::Socket);
        assert!(Channel::of(ip("192.0.2.1"), false, true).is_tls());
    }

    #[test]
    fn changes_and_streams_come_only_from_the_same_origin() {
        let (site, mode, dest) = ("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest");
        let navigation = [(mode, "navigate"), (dest, "document")];
        for (lines, page, asset, change) in [
            (vec![(site, "same-origin")], true, true, true),
            (vec![(site, "none")], true, true, false),
            (vec![], true, true, false),
            (vec![(site, "cross-site")], false, false, false),
            (vec![(site, "same-site")], false, false, false),
            (vec![(site, "cross-site"), navigation[0], navigation[1]], true, false, false),
            (vec![(site, "cross-site"), (mode, "navigate"), (dest, "iframe")], false, false, false),
            (vec![("origin", "http://localhost:9901")], true, true, true),
            (vec![("origin", "https://localhost:9901")], true, true, false),
            (vec![("origin", "http://localhost:3000")], true, true, false),
            (vec![("origin", "null")], true, true, false),
            (vec![(site, "cross-site"), ("origin", "http://localhost:9901")], false, false, false),
            (vec![(site, "same-origin"), (site, "same-origin")], false, false, false),
        ] {
            let found = fields(&lines);
            let allows = |purpose| origin(purpose, Channel::Loopback, "localhost:9901", &found).is_ok();
            assert_eq!(
                (allows(Purpose::Page), allows(Purpose::Asset), allows(Purpose::SameOrigin)),
                (page, asset, change),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn the_cookie_has_the_port_and_over_tls_the_prefix() {
        let name = cookie_name(Channel::Loopback, "127.0.0.1:9901");
        assert_eq!(name, "hookgate-9901");
        assert_eq!(cookie_name(Channel::Tls(None), "[::1]:1"), "__Host-hookgate-1");
        assert_eq!(cookie_name(Channel::Tls(None), "console.example"), "__Host-hookgate");
        for (line, want) in [
            ("hookgate-9901=a", Some("a")),
            ("x=1; hookgate-9901=a; y=2", Some("a")),
            ("hookgate-9901=a; hookgate-9901=b", None),
            ("hookgate-99=a", None),
            ("xhookgate-9901=a", None),
        ] {
            assert_eq!(cookie(&fields(&[("cookie", line)]), &name), want, "{line}");
        }
        let plain = set_cookie(Channel::Loopback, &name, "a", 60);
        assert_eq!(plain, "hookgate-9901=a; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        assert!(set_cookie(Channel::Tls(None), "n", "a", 60).ends_with("; Secure"));
    }

    #[test]
    fn the_policy_allows_nothing_inline_and_no_other_host() {
        let mut fields = HeaderMap::new();
        protect(&mut fields);
        let policy = fields["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';"));
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    }
}
