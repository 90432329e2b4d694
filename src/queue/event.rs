//! Pure. An event: an authentic request as it is stored, and the proof that it is stored.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::admission::client::ClientAddress;
use crate::message::head::RequestHead;
use crate::queue::id::EventId;
use crate::queue::stored_head;
use crate::queue::time::Time;
use crate::signature::{AuthenticRequest, Verifier};
use crate::upstream::error::{ForwardError, chain};
use crate::upstream::origin::Origin;
use crate::upstream::request::{Channel, ForwardOptions, RequestInfo, compose};

/// The name of a route: its path, and its model if several routes share the path. The name survives a reload.
///
/// A stored event refers to its route by this name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteName {
    /// The path, as configured.
    pub path: Arc<str>,
    /// The `model` of the route, if it names one.
    pub model: Option<Arc<str>>,
}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            Some(model) => write!(f, "{} ({model})", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// The name of a route's upstream in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Upstream {
    /// The route's `upstream`, whatever its address is when the event is sent.
    Main,
    /// One of the route's `copies`, by its address.
    Copy(Arc<str>),
}

impl Upstream {
    /// The name in the store: the address of a copy, or the empty text for the main upstream.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Main => "",
            Self::Copy(address) => address,
        }
    }

    /// Reads the text that [`Self::as_str`] wrote.
    #[must_use]
    pub fn read(text: &str) -> Self {
        if text.is_empty() { Self::Main } else { Self::Copy(text.into()) }
    }
}

/// The SHA-256 digest of an event's content.
pub type ContentDigest = [u8; 32];

/// The facts of an event besides its head and content. They contain no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventInfo {
    /// The event's id.
    pub id: EventId,
    /// When the request's head arrived.
    pub received: Time,
    /// The route.
    pub route: RouteName,
    /// The name of the scheme that verified the request.
    pub scheme: String,
    /// The name of the secret that verified the request.
    pub secret: Arc<str>,
    /// The signed model, if the route's path asks for a model.
    pub model: Option<String>,
    /// The client address, as text.
    pub client: String,
    /// The request's method.
    pub method: String,
    /// The request's target: path and query.
    pub target: Vec<u8>,
    /// The digest of the content.
    pub digest: ContentDigest,
    /// The order key, if the route orders events and this event has the signed value.
    pub order: Option<OrderKey>,
    /// The duplicate key, if the route deduplicates.
    pub duplicate: Option<DuplicateKey>,
}

/// The longest order key that is stored unchanged, in bytes. A longer key is replaced by its digest.
const LONGEST_ORDER_KEY: usize = 128;

/// The signed value that the events of one lane share. Events with the same key are delivered one after the
/// other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderKey(String);

impl OrderKey {
    /// The key of a signed value. The empty value puts all events of a route into one lane.
    #[must_use]
    pub fn new(value: &str) -> Self {
        if value.len() <= LONGEST_ORDER_KEY {
            Self(value.to_owned())
        } else {
            Self(format!("sha256:{}", hex::encode(Sha256::digest(value))))
        }
    }

    /// The key as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The duplicate key: a digest of the signed id, or else of the verified content. Two events of one route
/// with the same key are duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DuplicateKey {
    /// The digest.
    pub digest: [u8; 32],
    /// The time after which the key no longer counts.
    pub until: Time,
}

/// An authentic request that is to be stored. Only [`Event::of`] makes an event.
#[derive(Debug)]
pub struct Event {
    info: EventInfo,
    /// The upstreams that the event is delivered to.
    upstreams: Vec<Upstream>,
    /// The head, as the gateway will forward it.
    head: Vec<u8>,
    content: Bytes,
    /// The checksum of the record. The thread that serves the request computes the checksum, because the
    /// writer's thread has other work.
    checksum: Checksum,
    /// The first attempt, if the request was forwarded directly before it was stored.
    attempted: Option<FirstAttempt>,
}

/// A direct attempt that failed and made the gateway store the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstAttempt {
    /// The attempt.
    pub attempt: Attempt,
    /// When the event is tried again.
    pub due: Time,
}

/// The facts that make an event, besides the request.
#[derive(Debug)]
pub struct Intake<'i> {
    /// The event's id.
    pub id: EventId,
    /// When the request's head arrived.
    pub received: SystemTime,
    /// The route.
    pub route: &'i RouteName,
    /// The signatures of the route. Their shared tokens are not stored.
    pub verifier: &'i Verifier,
    /// The signed model, if the route's path asks for a model.
    pub model: Option<String>,
    /// The client address.
    pub client: ClientAddress,
    /// How it came.
    pub channel: &'i Channel,
    /// How the route forwards.
    pub forward: &'i ForwardOptions,
    /// The route's upstream, for the `host` of a request that has none.
    pub origin: &'i Origin,
    /// The addresses of the route's copies.
    pub copies: &'i [Arc<str>],
    /// The order key.
    pub order: Option<OrderKey>,
    /// The duplicate key.
    pub duplicate: Option<DuplicateKey>,
}

impl Event {
    /// Makes an event of an authentic request. The head is written as the gateway will forward it.
    #[must_use]
    pub fn of(request: AuthenticRequest<'_, RequestHead>, intake: Intake<'_>) -> Self {
        let secret = Arc::clone(request.secret());
        let Intake {
            id,
            received,
            route,
            verifier,
            model,
            client,
            channel,
            forward,
            origin,
            copies,
            order,
            duplicate,
        } = intake;
        let info = RequestInfo {
            client,
            channel,
            length: request.content().len(),
            secret: Some(&secret),
            origin,
            event: Some(id),
        };
        let head = stored_head::without_tokens(verifier, compose(request.head(), forward, &info));
        let scheme = request.verifier().scheme().name.clone().into_owned();
        let (received_head, content) = request.into_parts();
        let info = EventInfo {
            id,
            received: Time::of(received),
            route: route.clone(),
            scheme,
            secret,
            model,
            client: client.to_string(),
            method: received_head.method().to_owned(),
            target: received_head.target().to_vec(),
            digest: Sha256::digest(&content).into(),
            order,
            duplicate,
        };
        let copies = copies.iter().map(|address| Upstream::Copy(Arc::clone(address)));
        let upstreams = std::iter::once(Upstream::Main).chain(copies).collect();
        let checksum = checksum(&info, &head, &content);
        Self { info, upstreams, head, content, checksum, attempted: None }
    }

    /// Adds the direct attempt that failed.
    #[must_use]
    pub fn after(self, attempt: FirstAttempt) -> Self {
        Self { attempted: Some(attempt), ..self }
    }

    /// The facts of the event.
    #[must_use]
    pub fn info(&self) -> &EventInfo {
        &self.info
    }

    /// The upstreams that the event is delivered to.
    #[must_use]
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// The head, as the gateway will forward it.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The checksum of the event's record.
    #[must_use]
    pub fn checksum(&self) -> &Checksum {
        &self.checksum
    }

    /// The direct attempt that failed, if there was one.
    #[must_use]
    pub fn attempted(&self) -> Option<&FirstAttempt> {
        self.attempted.as_ref()
    }

    /// About how many bytes the event takes in a store.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::try_from(self.head.len().saturating_add(self.content.len())).unwrap_or(u64::MAX)
    }

    /// The stored form of the event, for its first delivery. With it, a committed event need not be read
    /// back.
    pub(super) fn into_stored(self) -> StoredEvent {
        StoredEvent { info: Arc::new(self.info), head: self.head, content: self.content }
    }
}

/// The proof that an event is on disk. Only a commit makes a receipt. The gateway's own 2xx answer for a
/// stored event needs a receipt.
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    id: EventId,
}

impl Receipt {
    /// The receipt of an event whose commit has succeeded.
    pub(super) fn of_commit(id: EventId) -> Self {
        Self { id }
    }

    /// The id of the event.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.id
    }
}

/// A record that a store has read. Its checksum is not compared yet.
#[derive(Debug)]
pub struct Record {
    /// The facts of the event.
    pub info: EventInfo,
    /// The head.
    pub head: Vec<u8>,
    /// The content.
    pub content: Bytes,
    /// The stored checksum.
    pub checksum: Checksum,
}

/// The checksum of a record: SHA-256 over every part that a delivery depends on.
pub type Checksum = [u8; 32];

/// The checksum of a record with these parts.
#[must_use]
pub fn checksum(info: &EventInfo, head: &[u8], content: &[u8]) -> Checksum {
    let mut hash = Sha256::new();
    let mut put = |part: &[u8]| {
        // Each part is hashed after its length, so no two different records give the same hash input.
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    };
    put(info.id.as_bytes());
    put(&info.received.millis().to_be_bytes());
    put(info.route.path.as_bytes());
    put(info.route.model.as_deref().map_or(&[][..], str::as_bytes));
    put(info.scheme.as_bytes());
    put(info.secret.as_bytes());
    put(info.model.as_deref().map_or(&[][..], str::as_bytes));
    put(info.client.as_bytes());
    put(info.method.as_bytes());
    put(&info.target);
    put(&info.digest);
    put(info.order.as_ref().map_or(&[][..], |key| key.as_str().as_bytes()));
    put(head);
    // The content is hashed once: the checksum covers the content's digest, and the digest is compared as
    // well.
    put(&content.len().to_be_bytes());
    hash.finalize().into()
}

/// An intact event from a store. Only this module makes one: from a committed event, or from a record with a
/// matching checksum.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    info: Arc<EventInfo>,
    head: Vec<u8>,
    content: Bytes,
}

/// The error for a record that differs from what was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the record is damaged: its checksum does not match")
    }
}

impl std::error::Error for Damaged {}

impl Record {
    /// The event, if the checksum matches.
    ///
    /// # Errors
    /// [`Damaged`]
    pub fn check(self) -> Result<StoredEvent, Damaged> {
        let Self { info, head, content, checksum: known } = self;
        let digest: ContentDigest = Sha256::digest(&content).into();
        if digest != info.digest || checksum(&info, &head, &content) != known {
            return Err(Damaged);
        }
        Ok(StoredEvent { info: Arc::new(info), head, content })
    }
}

impl StoredEvent {
    /// The facts of the event.
    #[must_use]
    pub fn info(&self) -> &Arc<EventInfo> {
        &self.info
    }

    /// The head, as the gateway forwards it.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Splits the event into head and content, which are written to an upstream.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Bytes) {
        (self.head, self.content)
    }
}

/// One attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When the attempt began.
    pub at: Time,
    /// How long the attempt took.
    pub took: Duration,
    /// How the attempt ended.
    pub outcome: AttemptOutcome,
    /// The status code of the upstream's answer, if there was one.
    pub status: Option<u16>,
    /// The first bytes of the answer's content, at most [`MOST_KEPT_OF_RESPONSE`].
    pub response: Vec<u8>,
    /// Why the attempt failed, as a text for people.
    pub detail: Option<String>,
}

/// The most bytes that are kept of the reason of a failure.
const MOST_DETAIL: usize = 512;

impl Attempt {
    /// Why an attempt without an answer failed, for people.
    #[must_use]
    pub fn detail_of(error: &ForwardError) -> String {
        let mut text = chain(error);
        text.truncate(text.floor_char_boundary(MOST_DETAIL));
        text
    }
}

/// The most bytes that are kept of the content of an upstream's answer.
pub const MOST_KEPT_OF_RESPONSE: usize = 2048;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptOutcome {
    /// The upstream answered 2xx.
    Delivered,
    /// The upstream answered a status code other than 2xx.
    Refused,
    /// No connection could be established.
    Unreachable,
    /// The upstream broke off the exchange.
    Failed,
    /// The upstream did not answer in time.
    TimedOut,
}

impl AttemptOutcome {
    /// The outcome as a word in the store, the log, the API and the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }

    /// The outcome of an attempt that got no answer.
    #[must_use]
    pub const fn of(error: &ForwardError) -> Self {
        match error {
            ForwardError::Unreachable(_) => Self::Unreachable,
            ForwardError::Broken(_) => Self::Failed,
            ForwardError::TimedOut => Self::TimedOut,
        }
    }

    /// All outcomes.
    pub const ALL: [Self; 5] =
        [Self::Delivered, Self::Refused, Self::Unreachable, Self::Failed, Self::TimedOut];

    /// Reads the word that [`Self::as_str`] wrote.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn of_a_long_reason_the_beginning_is_kept() {
        let error = ForwardError::Unreachable(io::Error::other("é".repeat(600)));
        let detail = Attempt::detail_of(&error);
        assert!((MOST_DETAIL - 1..=MOST_DETAIL).contains(&detail.len()), "{}", detail.len());
        assert!(chain(&error).starts_with(&detail));
    }
}
