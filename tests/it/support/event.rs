//! Events for the tests of the queue. Each is made from a request that verifies.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hookgate::admission::client::ClientAddress;
use hookgate::admission::memory::Budget;
use hookgate::config::XForwarded;
use hookgate::message::head::{Parsed, RequestHead, parse};
use hookgate::queue::event::{Attempt, AttemptOutcome, DuplicateKey, Event, Intake, OrderKey, RouteName};
use hookgate::queue::handle::Held;
use hookgate::queue::id::EventId;
use hookgate::queue::time::Time;
use hookgate::signature::Verifier;
use hookgate::signature::scheme::Scheme;
use hookgate::signature::secret::{Key, Secret};
use hookgate::upstream::origin::Origin;
use hookgate::upstream::request::{Channel, ForwardOptions};

use crate::support::{SECRET, SECRET_NAME, signature};

/// The parts from which an event is made.
#[derive(Clone, Debug)]
pub(crate) struct Make {
    pub(crate) path: String,
    pub(crate) model: Option<String>,
    pub(crate) content: Vec<u8>,
    pub(crate) copies: Vec<Arc<str>>,
    pub(crate) order: Option<String>,
    pub(crate) duplicate: Option<DuplicateKey>,
    /// When the event is received, in milliseconds since 1970.
    pub(crate) received: u64,
    /// A number that makes the id unique among the events of the same millisecond.
    pub(crate) number: u64,
}

/// An event of a route that is received at this time.
pub(crate) fn event(path: &str, received: u64) -> Make {
    Make {
        path: path.to_owned(),
        model: None,
        content: crate::support::FIXTURE.to_vec(),
        copies: Vec::new(),
        order: None,
        duplicate: None,
        received,
        number: 0,
    }
}

impl Make {
    pub(crate) fn content(self, content: impl Into<Vec<u8>>) -> Self {
        Self { content: content.into(), ..self }
    }

    pub(crate) fn model(self, model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..self }
    }

    pub(crate) fn copy(mut self, address: &str) -> Self {
        self.copies.push(address.into());
        self
    }

    pub(crate) fn order(self, key: &str) -> Self {
        Self { order: Some(key.to_owned()), ..self }
    }

    pub(crate) fn duplicate(self, digest: [u8; 32], until: u64) -> Self {
        Self { duplicate: Some(DuplicateKey { digest, until: Time::from_millis(until) }), ..self }
    }

    pub(crate) fn number(self, number: u64) -> Self {
        Self { number, ..self }
    }

    pub(crate) fn id(&self) -> EventId {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.number.to_be_bytes());
        EventId::new(self.at(), &random)
    }

    pub(crate) fn route(&self) -> RouteName {
        route(&self.path, self.model.as_deref())
    }

    fn at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.received)
    }

    /// Signs a request, verifies it, and makes an event from the proof.
    pub(crate) fn make(&self) -> Event {
        let verifier = verifier();
        let mut verification = verifier.receive(head(&self.path, &self.content), None, self.at()).unwrap();
        verification.push(&self.content);
        let forward = ForwardOptions {
            x_forwarded: XForwarded::Off,
            verified_field: None,
            via: false,
            client_certificate_field: None,
            event_id_field: Some(http::HeaderName::from_static("x-hookgate-event-id")),
            scheme: "propify".into(),
            other_schemes: Vec::new(),
            kept: Vec::new(),
            assertion: None,
        };
        let intake = Intake {
            id: self.id(),
            received: self.at(),
            route: &self.route(),
            verifier: &verifier,
            model: self.model.clone(),
            client: ClientAddress::ip("192.0.2.1".parse().unwrap()),
            channel: &Channel::default(),
            forward: &forward,
            origin: &Origin::parse("http://127.0.0.1:3000").unwrap(),
            copies: &self.copies,
            order: self.order.as_deref().map(OrderKey::new),
            duplicate: self.duplicate,
        };
        Event::of(verification.finish().unwrap(), intake)
    }
}

fn head(path: &str, content: &[u8]) -> RequestHead {
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: example.com\r\npropify-signature: {}\r\ncontent-length: {}\r\n\r\n",
        signature(content),
        content.len()
    );
    match parse(text.as_bytes(), &mut 0, 1 << 16) {
        Parsed::Complete(head) => RequestHead::new(head, text.as_bytes()),
        other @ (Parsed::Partial | Parsed::Faulty(_)) => panic!("{other:?}"),
    }
}

fn verifier() -> Verifier {
    let key = Key::new(SECRET.as_bytes().to_vec());
    let secret = Secret { name: SECRET_NAME.into(), key, not_after: None };
    Verifier::new(Scheme::preset("propify").unwrap().clone(), vec![secret]).unwrap()
}

/// The name of a route.
pub(crate) fn route(path: &str, model: Option<&str>) -> RouteName {
    RouteName { path: path.into(), model: model.map(Arc::from) }
}

/// An attempt at the time `at`.
pub(crate) fn attempt(at: u64, outcome: AttemptOutcome) -> Attempt {
    let status = match outcome {
        AttemptOutcome::Delivered => Some(200),
        AttemptOutcome::Refused => Some(500),
        AttemptOutcome::Unreachable | AttemptOutcome::Failed | AttemptOutcome::TimedOut => None,
    };
    Attempt {
        at: Time::from_millis(at),
        took: Duration::from_millis(7),
        outcome,
        status,
        response: status.map_or_else(Vec::new, |status| format!("answer {status} at {at}").into_bytes()),
        detail: status.is_none().then(|| format!("no answer at {at}")),
    }
}

/// An empty part of a memory budget, and no claim.
pub(crate) fn held() -> Held {
    Held { memory: Budget::new(1 << 20).reservation(ClientAddress::Unix), claim: None }
}
