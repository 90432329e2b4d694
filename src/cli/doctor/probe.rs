//! Shell. The probes of `hookgate doctor`: they connect, send requests and read answers. `checks` and
//! `bypass` judge the results.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::admin::{Compared, Examination, State};
use crate::admission::client::ClientAddress;
use crate::cli::admin::{self, AdminClient};
use crate::cli::bypass_probe::BypassProbe;
use crate::cli::doctor::bypass::Behind;
use crate::cli::doctor::checks::Heard;
use crate::cli::exit::Failure;
use crate::cli::http_exchange::{self, Answer, NoAnswer, Outgoing, Patience};
use crate::cli::{configuration, signals, verdict};
use crate::config::digest::{self, Part};
use crate::config::{Address, Config};
use crate::listen::bind::inherited_speaks;
use crate::listen::listener::Speaks;
use crate::signature::sign::Signature;
use crate::tls::trust;
use crate::upstream::dial::{dial, secure};
use crate::upstream::origin::Origin;

/// Connects to an origin, and closes the connection without a request. Shakes hands before closing if `tls`
/// is given and the origin is reached over TLS.
pub(super) fn reach(origin: &Origin, tls: Option<&Arc<ClientConfig>>, limit: Duration) -> io::Result<()> {
    signals::runtime().and_then(|runtime| {
        runtime.block_on(async {
            let connecting = async {
                let stream = dial(origin, limit).await?;
                if tls.is_some() { secure(stream, origin, tls).await } else { Ok(stream) }
            };
            match timeout(limit, connecting).await {
                Ok(connected) => connected.map(drop),
                Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    })
}

/// The state of the gateway, and how its configuration differs from this one.
///
/// # Errors
/// The text says which server answers instead, or why there is no answer.
pub(super) fn state(admin: &AdminClient, config: &Config, limit: Duration) -> Result<State, String> {
    state_compared(admin, digest::parts(config), limit)
}

/// The state of the gateway, compared with nothing. The differences in it mean nothing.
///
/// # Errors
/// The errors of [`state`].
pub(super) fn state_alone(admin: &AdminClient, limit: Duration) -> Result<State, String> {
    state_compared(admin, Vec::new(), limit)
}

fn state_compared(admin: &AdminClient, parts: Vec<Part>, limit: Duration) -> Result<State, String> {
    let asked = Compared { version: env!("CARGO_PKG_VERSION").to_owned(), parts };
    let content = serde_json::to_vec(&asked).map_err(|error| error.to_string())?;
    let page = admin.get(PathAndQuery::from_static("/doctor"), limit);
    let answer = http_exchange::now(Outgoing { method: Method::POST, content, ..page }).map_err(no_answer)?;
    let other_server = || {
        admin.wants_https(&answer.content).unwrap_or_else(|| {
            format!("the server ({}) is not this hookgate's admin listener", answer.status.as_u16())
        })
    };
    if let Some(why) = admin::refusal(&answer) {
        return Err(format!("it lets us not look closer: {why}"));
    }
    if answer.status != StatusCode::OK {
        return Err(other_server());
    }
    serde_json::from_slice(&answer.content).map_err(|_other| other_server())
}

/// The gateway's examination of an event.
///
/// # Errors
/// The text says which server answers instead, or why there is no answer.
pub(super) fn examination(
    admin: &AdminClient,
    method: &Method,
    target: &str,
    signature: &Signature,
    content: &[u8],
    limit: Duration,
) -> Result<Examination, String> {
    let unsendable = || "the event cannot be sent".to_owned();
    let line = |(name, value): &(String, String)| -> Option<(HeaderName, HeaderValue)> {
        Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?))
    };
    let fields = signature.lines().map(line).collect::<Option<Vec<_>>>().ok_or_else(unsendable)?;
    let target = format!("/verify{}", signature.target(target)).parse().map_err(|_why| unsendable())?;
    let page = admin.get(target, limit);
    let event = Outgoing { method: method.clone(), fields, content: content.to_vec(), ..page };
    let answer = http_exchange::now(event).map_err(no_answer)?;
    serde_json::from_slice(&answer.content).map_err(|_other| format!("it answers {}", answer.status.as_u16()))
}

/// A method that no route accepts. The request is refused as soon as its route is found. So it reaches no
/// app, whatever the route's settings are.
const METHOD: &[u8] = b"HOOKGATE-DOCTOR";

/// Probes a listener of the gateway.
pub(super) fn listener(config: &Config, listen: &Address, target: &str, limit: Duration) -> Heard {
    let own =
        config.tls.as_ref().filter(|_| speaks_tls(config, listen)).map(|tls| &tls.settings.certificates);
    let Some((gateway, client)) = way_to(listen, own.is_some()) else {
        return Heard::NoAnswer("the system has chosen its port".to_owned());
    };
    let (Ok(method), Ok(target)) = (Method::from_bytes(METHOD), target.parse()) else {
        return Heard::NoAnswer("the request cannot be sent".to_owned());
    };
    let is_announced = config.server.proxy_protocol.as_ref().is_some_and(|protocol| {
        let all = config.listen().eq(&protocol.listen);
        (all || protocol.listen.contains(listen))
            && protocol.trusted.iter().any(|trusted| trusted.contains(client))
    });
    let preface: &[u8] = if is_announced { b"PROXY UNKNOWN\r\n" } else { &[] };
    // A listener that speaks TLS shows a certificate of the file, and takes requests for its names only.
    // Certificates of [tls.acme] may be readable for the gateway alone.
    let acme = config.tls.as_ref().and_then(|tls| tls.acme.as_ref());
    let chains = own.into_iter().flatten().filter_map(|pair| pair.chain().first().cloned());
    let tls =
        own.and_then(|_| if acme.is_some() { trust::any() } else { trust::known(chains.collect()) }.ok());
    let first = own.and_then(|pairs| Some(&pairs.first()?.label));
    let host = first.or_else(|| acme.filter(|_| own.is_some())?.domains.first());
    let host = host.and_then(|host| HeaderValue::try_from(&**host).ok());
    let fields = host.map(|host| (HOST, host)).into_iter().collect();
    match ask(&gateway, Asked { method, target, preface, tls, fields }, limit) {
        Err(error) => Heard::NoAnswer(no_answer(error)),
        Ok(answer) => match reason(&answer) {
            Some(reason)
                if matches!(
                    reason.as_str(),
                    "method_not_allowed" | "client_certificate" | "client_not_allowed"
                ) =>
            {
                Heard::Refused
            }
            Some(reason) => Heard::RefusedAs(reason),
            None => Heard::OtherServer(answer.status.as_u16()),
        },
    }
}

/// Parses an address in the gateway's notation.
pub(super) fn address(text: &str) -> Option<Address> {
    match text.strip_prefix("unix:") {
        Some(path) => Some(Address::Unix(path.into())),
        None => text.parse().ok().map(Address::Tcp),
    }
}

/// Whether clients of a listener speak TLS.
fn speaks_tls(config: &Config, listen: &Address) -> bool {
    let over_tls = config.tls.as_ref().map(|tls| tls.listen.as_slice()).unwrap_or_default();
    inherited_speaks(listen, &config.server.listen, over_tls) == Speaks::Tls
}

/// The origin of a listener, seen from this machine. Also the client address of a connection to it.
fn way_to(listen: &Address, is_tls: bool) -> Option<(Origin, ClientAddress)> {
    let scheme = if is_tls { "https" } else { "http" };
    match listen {
        // No command speaks TLS over a unix socket.
        Address::Unix(_) if is_tls => None,
        Address::Unix(path) => Some((Origin::Unix(path.clone()), ClientAddress::Unix)),
        Address::Tcp(address) if address.port() == 0 => None,
        Address::Tcp(address) => {
            let address = configuration::reachable(*address);
            let origin = Origin::parse(&format!("{scheme}://{address}")).ok()?;
            Some((origin, ClientAddress::ip(address.ip())))
        }
    }
}

/// Sends an unsigned event to a URL, to find out which server answers.
pub(super) fn behind(url: &BypassProbe, limit: Duration) -> Behind {
    if let Err(error) = reach(&url.origin, None, limit) {
        return Behind::NoConnection(error);
    }
    // Any certificate is accepted: the answer is not trusted, and the event has no signature.
    let asked = Asked { tls: trust::any().ok(), ..Asked::plain(Method::POST, url.target.clone()) };
    match ask(&url.origin, asked, limit) {
        Err(_no_answer) => Behind::Silent,
        Ok(answer) => match reason(&answer) {
            Some(reason) => Behind::Hookgate(reason),
            None => Behind::Other(answer.status),
        },
    }
}

/// A request without content.
struct Asked {
    method: Method,
    target: PathAndQuery,
    preface: &'static [u8],
    tls: Option<Arc<ClientConfig>>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Asked {
    fn plain(method: Method, target: PathAndQuery) -> Self {
        Self { method, target, preface: &[], tls: None, fields: Vec::new() }
    }
}

fn ask(gateway: &Origin, asked: Asked, limit: Duration) -> Result<Answer, NoAnswer> {
    let Asked { method, target, preface, tls, fields } = asked;
    let page = Outgoing::get(gateway, target, Patience::of(limit));
    http_exchange::now(Outgoing { method, preface, tls, fields, ..page })
}

/// The reason for a refusal, if the server is a hookgate.
fn reason(answer: &Answer) -> Option<String> {
    verdict::reason(&answer.fields, &answer.content).or_else(|| {
        // The probe has no signature.
        let is_refusal = verdict::is_empty_refusal(answer.status, &answer.fields, &answer.content);
        is_refusal.then(|| "signature_missing".to_owned())
    })
}

fn no_answer(error: NoAnswer) -> String {
    Failure::failed("no answer").because(error).to_string()
}
