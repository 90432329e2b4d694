//! Shell. Requests that commands make to the admin listener of a running gateway.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::uri::PathAndQuery;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use super::configuration::{self, ConfigFile};
use super::exit::Failure;
use super::terminal::Terminal;
use crate::cli::http_exchange::{self, Answer, NoAnswer, Outgoing, Patience};
use crate::config::load::{self, LoadError};
use crate::config::{Address, Admin};
use crate::tls::{handshake, trust};
use crate::upstream::origin::Origin;

/// An admin listener, and the certificate that it must show.
#[derive(Clone)]
pub(super) struct AdminClient {
    origin: Origin,
    /// `None` for a listener whose certificate must be of an authority that the system trusts.
    tls: Option<Arc<ClientConfig>>,
}

/// Why no admin listener is known.
pub(super) enum NoListener {
    /// The configuration does not say where it is.
    Unread(LoadError),
    /// The configuration has no admin listener, or it cannot be reached from here.
    Off(Failure),
}

impl AdminClient {
    /// The admin listener `named`, or else the first address of `[admin]` in the configuration. Only
    /// `[admin]` is read, so missing secrets and errors in other tables do not matter. A listener that speaks
    /// TLS must show the certificate that `[admin]` names.
    ///
    /// # Errors
    /// A [`Failure`] with exit code 78, if the configuration has no admin listener.
    pub(super) fn of(
        terminal: &mut Terminal,
        file: &ConfigFile,
        named: Option<&Origin>,
    ) -> Result<Self, Failure> {
        Self::find(file, named).map_err(|why| match why {
            NoListener::Unread(error) => configuration::failure(terminal, file, &error),
            NoListener::Off(failure) => failure,
        })
    }

    /// Finds the admin listener as [`AdminClient::of`] does, and prints nothing.
    ///
    /// # Errors
    /// [`NoListener`]
    pub(super) fn find(file: &ConfigFile, named: Option<&Origin>) -> Result<Self, NoListener> {
        let origin = match named {
            Some(origin @ (Origin::Tcp(_) | Origin::Unix(_))) => {
                return Ok(Self { origin: origin.clone(), tls: None });
            }
            Some(origin @ Origin::Tls(_)) => Some(origin.clone()),
            None => None,
        };
        let admin = match load::load_admin(file.path()) {
            Ok(admin) => admin,
            // The gateway is on another machine, and this machine has no configuration.
            Err(error) if error.is_missing(file.path()) && origin.is_some() => None,
            Err(error) => return Err(NoListener::Unread(error)),
        };
        let certificate = admin.as_ref().and_then(|admin| admin.certificate.clone());
        let listen = admin.as_ref().map(|admin| admin.listen.as_slice());
        let origin = origin.or_else(|| first(listen?, certificate.is_some()));
        match origin {
            Some(origin) => Self::showing(origin, certificate).map_err(NoListener::Off),
            None => {
                let what = match admin {
                    None => format!("{file} has no `[admin]`: the gateway cannot be asked how it is"),
                    Some(_) => format!("{file} leaves the admin listener's port to the system"),
                };
                Err(NoListener::Off(Failure::config(what).hint(HOW_TO_TURN_IT_ON)))
            }
        }
    }

    /// The admin listener at the address `named`, if there is one, or else at the first address of the
    /// configuration. The certificate is the configured one.
    pub(super) fn of_config(admin: Option<&Admin>, named: Option<&Origin>) -> Option<Self> {
        let pair = admin.and_then(|admin| admin.tls.as_ref()?.certificates.first());
        let certificate = pair.and_then(|pair| pair.chain().first().cloned());
        let origin = match named {
            Some(origin) => origin.clone(),
            None => first(&admin?.listen, certificate.is_some())?,
        };
        Self::showing(origin, certificate).ok()
    }

    fn showing(origin: Origin, certificate: Option<CertificateDer<'static>>) -> Result<Self, Failure> {
        let tls = certificate.map(|certificate| trust::known(vec![certificate])).transpose();
        let tls = tls.map_err(|error| Failure::failed("TLS cannot be used").because(error))?;
        Ok(Self { origin, tls })
    }

    /// The listener's address.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The trusted certificate, if the listener speaks TLS. `None` if the authorities that the system trusts
    /// are trusted.
    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// Whether others on the network can read what is sent: plain HTTP to another machine.
    pub(super) fn is_open_to_readers(&self) -> bool {
        match &self.origin {
            Origin::Tcp(host) => match host.address() {
                Some(address) => !address.ip().is_loopback(),
                None => host.name() != "localhost",
            },
            Origin::Tls(_) | Origin::Unix(_) => false,
        }
    }

    /// A GET of this target.
    pub(super) fn get(&self, target: PathAndQuery, limit: Duration) -> Outgoing<'_> {
        Outgoing { tls: self.tls.clone(), ..Outgoing::get(&self.origin, target, Patience::of(limit)) }
    }

    /// Requests a page.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub(super) fn page(&self, path: &'static str, limit: Duration) -> Result<Answer, NoAnswer> {
        http_exchange::now(self.get(PathAndQuery::from_static(path), limit))
    }

    /// The fault of a server whose answer is not the answer of an admin listener.
    pub(super) fn stranger(&self, content: &[u8]) -> String {
        let other = || format!("the server at {self} is no admin listener of hookgate");
        self.wants_https(content).unwrap_or_else(other)
    }

    /// The fault if plain HTTP was sent to a listener that speaks TLS. `None` if the answer says something
    /// else.
    pub(super) fn wants_https(&self, content: &[u8]) -> Option<String> {
        let wants = content == handshake::SPEAKS_TLS;
        wants.then(|| format!("the server at {self} speaks TLS: name it with https://"))
    }
}

impl fmt::Display for AdminClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

/// What to do when there is no admin listener.
pub(super) const HOW_TO_TURN_IT_ON: &str = "add `[admin]` with `listen = \"127.0.0.1:9901\"` and restart the gateway, or name it with --admin http://HOST:PORT or --admin unix:/PATH";

/// The first of these addresses, as a client reaches it.
fn first(listen: &[Address], over_tls: bool) -> Option<Origin> {
    let scheme = if over_tls { "https" } else { "http" };
    match listen.first()? {
        Address::Unix(path) => Some(Origin::Unix(path.clone())),
        Address::Tcp(address) if address.port() == 0 => None,
        Address::Tcp(address) => {
            Origin::parse(&format!("{scheme}://{}", configuration::reachable(*address))).ok()
        }
    }
}

/// The reason for a refusal in the gateway's words. `None` if the answer is not a refusal.
pub(super) fn refusal(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        status: String,
    }
    let refusal = || serde_json::from_slice(&answer.content).ok().map(|Refusal { status }| status);
    (answer.status == StatusCode::FORBIDDEN).then(refusal).flatten()
}
