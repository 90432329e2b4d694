//! Shell. Handshakes on the admin listener.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, info};

use crate::admission::client::ClientAddress;
use crate::admission::memory::Budget;
use crate::connection::buffer::Buffer;
use crate::listen::stream::Stream;
use crate::runtime::control::Control;
use crate::telemetry::handshakes::Handshakes;
use crate::tls::failure::Outcome;
use crate::tls::handshake::{self, Failed};
use crate::tls::handshake_turns::HandshakeTurns;
use crate::tls::stream::MOST_HANDSHAKE;

/// The state that all handshakes share. The metrics of clients' handshakes do not count these handshakes.
#[derive(Debug)]
pub(super) struct AdminTls {
    /// A budget of its own, so that no client of the gateway takes the memory for these handshakes.
    budget: Arc<Budget>,
    handshakes: Handshakes,
    turns: HandshakeTurns,
}

impl AdminTls {
    /// The state for at most this number of connections.
    pub(super) fn new(connections: usize) -> Self {
        let most = connections.saturating_mul(MOST_HANDSHAKE);
        Self {
            budget: Budget::new(u64::try_from(most).unwrap_or(u64::MAX)),
            handshakes: Handshakes::default(),
            turns: HandshakeTurns::default(),
        }
    }

    /// Shakes hands with a client, under the certificate in force. `None` if the handshake fails. The caller
    /// limits the time.
    pub(super) async fn accept(
        &self,
        control: &Control,
        stream: Stream,
        client: ClientAddress,
    ) -> Option<Stream> {
        let acceptor = control.generation().admin_acceptor.clone()?;
        let reservation = self.budget.reservation(client);
        let shaken = handshake::accept(&acceptor, &self.turns, stream, Buffer::default(), reservation).await;
        match shaken {
            Ok((stream, _outcome)) => Some(Stream::Tls(Box::new(stream))),
            Err(Failed { outcome, error }) => {
                let error = error.as_ref().map(ToString::to_string);
                debug!(%client, outcome = outcome.as_str(), error, "a handshake on the admin listener failed");
                let repeated = self.handshakes.count(outcome, Instant::now().into_std());
                if let (Some(advice), Some(connections)) = (advice(outcome), repeated) {
                    info!(%client, outcome = outcome.as_str(), error, connections, "{advice}");
                }
                None
            }
        }
    }
}

/// The text of the log about a failed handshake, and the advice. `None` if there is no advice.
const fn advice(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::PlainHttp => {
            Some("plain HTTP came to the admin listener, which speaks TLS: the URL must begin with https://")
        }
        Outcome::Incompatible => Some(
            "a client of the admin listener has no TLS version or cipher in common with it: it is older than TLS 1.2, or \
             min_version under [admin] tls excludes it",
        ),
        Outcome::CertificateRefused => Some(
            "a client of the admin listener refused its certificate: the client must trust the `cert` of [admin] tls, and \
             ask for a name in it",
        ),
        Outcome::Full
        | Outcome::Resumed
        | Outcome::NotTls
        | Outcome::ClientCertificate
        | Outcome::TimedOut
        | Outcome::Closed
        | Outcome::Evicted
        | Outcome::AcmeChallenge
        | Outcome::NoCertificate
        | Outcome::Failed => None,
    }
}
