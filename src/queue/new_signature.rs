//! Pure. A new signature for a late delivery: with the same secret and the current time, in the scheme's own
//! fields.
//!
//! An app that verifies requests itself refuses a signature that is older than its tolerance. If the route
//! asks for it, a late delivery gets a head with a new signature and a new signed time. The rest of the head,
//! the content, and the stored original are unchanged. This works only for schemes that sign a time with a
//! key that the gateway has.

use std::time::SystemTime;

use memchr::memchr;

use crate::message::head::is_same_name;
use crate::queue::event::StoredEvent;
use crate::queue::stored_head;
use crate::signature::public_url::PublicUrls;
use crate::signature::scheme::Scheme;
use crate::signature::sign::{Signature, Stamp};
use crate::signature::{Context, Fields, Verifier};
use crate::upstream::assertion::{Asserted, Assertion};
use crate::upstream::request::SMALL;

/// The head of a stored event with a new signature, with its shared token, or with the gateway's assertion.
/// Only [`refreshed`], [`restored`] and [`asserted`] make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshedHead(Vec<u8>);

impl RefreshedHead {
    /// The bytes of the head.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Whether a delivery is late: the event was tried before, or its signed time is outside the scheme's window.
#[must_use]
pub fn is_late(verifier: &Verifier, event: &StoredEvent, was_tried: bool, now: SystemTime) -> bool {
    let window = verifier.scheme().timestamp.as_ref();
    let moment = verifier.moment(&StoredFields(event.head()));
    was_tried || window.zip(moment).is_some_and(|(window, moment)| !window.admits(moment, now))
}

/// The head of an event with a new signature. `None` if the scheme signs no time, the gateway cannot sign, or
/// the secret is no longer configured. The caller then sends the original head.
#[must_use]
pub fn refreshed(
    verifier: &Verifier,
    origin: Option<&PublicUrls>,
    event: &StoredEvent,
    now: SystemTime,
) -> Option<RefreshedHead> {
    let scheme = verifier.scheme();
    scheme.timestamp.as_ref()?;
    if !scheme.can_refresh() {
        return None;
    }
    let (info, fields) = (event.info(), StoredFields(event.head()));
    let id = match &scheme.id {
        None => None,
        Some(name) => {
            let value = scheme.names_of(name).find_map(|name| fields.values(name).next())?;
            Some(std::str::from_utf8(value).ok()?.to_owned())
        }
    };
    let context = Context { method: &info.method, target: &info.target, origin, fields: &fields, now };
    let stamp = Stamp { timestamp: None, id: id.as_deref() };
    let signature = verifier.signature(Some(&info.secret), &context, stamp, event.content()).ok()?;
    replace(event.head(), scheme, &signature)
}

/// The head of an event with the gateway's assertion, made at the time `now`. `head` is the head to send
/// instead of the stored head, if there is one.
#[must_use]
pub fn asserted(
    assertion: &Assertion,
    event: &StoredEvent,
    head: Option<RefreshedHead>,
    now: SystemTime,
) -> RefreshedHead {
    let head = head.as_ref().map_or(event.head(), |RefreshedHead(head)| head);
    let (info, length) = (event.info(), event.content().len());
    let facts = Asserted { digest: info.digest, at: now };
    RefreshedHead(assertion.signed(head, &facts, Some(info.id), if length <= SMALL { length } else { 0 }))
}

/// The head of an event with the shared token that its sender has sent. `None` if the stored head is the
/// forwarded head.
#[must_use]
pub fn restored(verifier: &Verifier, event: &StoredEvent) -> Option<RefreshedHead> {
    stored_head::with_tokens(verifier, event.head()).map(RefreshedHead)
}

/// The head with its signature lines replaced by those of the new signature.
fn replace(head: &[u8], scheme: &Scheme, signature: &Signature) -> Option<RefreshedHead> {
    let mut out = Vec::with_capacity(head.len().saturating_add(64));
    let mut signed = false;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let name = memchr(b':', line).and_then(|colon| line.get(..colon)).unwrap_or_default();
        let is = |other: &str| !name.is_empty() && is_same_name(name, other.as_bytes());
        let value = if scheme.signature_names().any(is) {
            signed = true;
            Some(&signature.field.1)
        } else {
            let other = signature.others.iter().find(|(other, _)| scheme.names_of(other).any(is));
            other.map(|(_, value)| value)
        };
        match value {
            Some(value) => out.extend_from_slice(&[name, b": ", value.as_bytes(), b"\r\n"].concat()),
            None => out.extend_from_slice(line),
        }
    }
    signed.then_some(RefreshedHead(out))
}

/// The field lines of a stored head. The gateway has written the head.
struct StoredFields<'h>(&'h [u8]);

impl Fields for StoredFields<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        // The first line is the request line. It cannot look like a field: a field name has no space, but the
        // text before the first colon of the request line has one.
        self.0.split(|byte| *byte == b'\n').skip(1).filter_map(move |line| {
            let (field, value) = line.split_at_checked(memchr(b':', line)?)?;
            is_same_name(field, name.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sha2::Digest as _;

    use super::*;
    use crate::queue::event::{EventInfo, Record, RouteName, checksum};
    use crate::queue::id::EventId;
    use crate::queue::time::Time;
    use crate::signature::scheme::PRESETS;
    use crate::signature::secret::{Key, Secret};

    const CONTENT: &[u8] = b"{\"id\":1}";

    fn verifier(scheme: &str, names: &[&str]) -> Verifier {
        let scheme = PRESETS.iter().find(|preset| preset.name == scheme).unwrap().clone();
        let secret = |name: &&str| Secret {
            name: (*name).into(),
            key: Key::new(format!("a key that is long enough, of {name}").into_bytes()),
            not_after: None,
        };
        Verifier::new(scheme, names.iter().map(secret).collect()).unwrap()
    }

    /// An event that was signed with the secret `current` at the time `at`.
    fn event(verifier: &Verifier, at: SystemTime) -> StoredEvent {
        let none = StoredFields(b"");
        let target = verifier.target("/hook", CONTENT).into_owned();
        let context =
            Context { method: "POST", target: target.as_bytes(), origin: None, fields: &none, now: at };
        let stamp = Stamp { timestamp: None, id: verifier.scheme().id.as_ref().map(|_| "evt_1") };
        let signature = verifier.signature(Some("current"), &context, stamp, CONTENT).unwrap();
        let mut head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nX-Other:  b \r\n");
        for (name, value) in signature.lines() {
            head += &format!("{}: {value}\r\n", name.to_uppercase());
        }
        head += "content-length: 8\r\n\r\n";
        let info = EventInfo {
            id: EventId::from_bytes([1; 16]),
            received: Time::of(at),
            route: RouteName { path: "/hook".into(), model: None },
            scheme: verifier.scheme().name.clone().into_owned(),
            secret: "current".into(),
            model: None,
            client: String::new(),
            method: "POST".to_owned(),
            target: target.into_bytes(),
            digest: sha2::Sha256::digest(CONTENT).into(),
            order: None,
            duplicate: None,
        };
        let (head, content) = (head.into_bytes(), bytes::Bytes::from_static(CONTENT));
        let checksum = checksum(&info, &head, &content);
        Record { info, head, content, checksum }.check().unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Whether an app that verifies requests itself accepts this head at the time `now`.
    fn is_accepted(verifier: &Verifier, event: &StoredEvent, head: &[u8], now: SystemTime) -> bool {
        let fields = StoredFields(head);
        let info = event.info();
        let context =
            Context { method: &info.method, target: &info.target, origin: None, fields: &fields, now };
        let Ok(claim) = verifier.claim(&context) else { return false };
        let mut verification = verifier.begin(claim, now);
        verification.push(event.content());
        verification.finish().is_ok()
    }

    /// The presets that sign a time but no URL, with a key that the gateway has.
    fn timed() -> Vec<&'static str> {
        let timed = PRESETS
            .iter()
            .filter(|preset| preset.timestamp.is_some() && preset.can_refresh() && !preset.signs_url());
        timed.map(|preset| &*preset.name).collect()
    }

    #[test]
    fn a_late_delivery_of_every_scheme_that_signs_a_time_is_accepted_again() {
        assert!(timed().len() >= 3, "{:?}", timed());
        for scheme in timed() {
            let verifier = verifier(scheme, &["other", "current"]);
            let event = event(&verifier, at(1_700_000_000));
            let late = at(1_700_100_000);
            assert!(is_accepted(&verifier, &event, event.head(), at(1_700_000_001)), "{scheme}");
            assert!(!is_accepted(&verifier, &event, event.head(), late), "{scheme}");
            let head = refreshed(&verifier, None, &event, late).unwrap().into_bytes();
            assert!(is_accepted(&verifier, &event, &head, late), "{scheme}: {}", head.escape_ascii());
        }
    }

    #[test]
    fn a_field_under_its_other_name_gets_the_new_value() {
        let verifier = verifier("svix", &["current"]);
        let event = event(&verifier, at(1_700_000_000));
        let head = String::from_utf8(event.head().to_vec()).unwrap().replace("SVIX-", "webhook-");
        let signature = Signature {
            field: ("svix-signature".to_owned(), "v1,new".to_owned()),
            others: vec![("svix-timestamp".to_owned(), "1700100000".to_owned())],
            in_query: false,
            secret: "current".into(),
        };
        let head = replace(head.as_bytes(), verifier.scheme(), &signature).unwrap().into_bytes();
        let head = String::from_utf8(head).unwrap().to_lowercase();
        for line in
            ["webhook-signature: v1,new\r\n", "webhook-timestamp: 1700100000\r\n", "webhook-id: evt_1\r\n"]
        {
            assert!(head.contains(line), "{head}");
        }
    }

    #[test]
    fn everything_else_of_the_head_stays_byte_for_byte() {
        for scheme in timed() {
            let verifier = verifier(scheme, &["current"]);
            let event = event(&verifier, at(1_700_000_000));
            let head = refreshed(&verifier, None, &event, at(1_700_100_000)).unwrap().into_bytes();
            let lines = |head: &[u8]| -> Vec<Vec<u8>> {
                head.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
            };
            let (before, after) = (lines(event.head()), lines(&head));
            assert_eq!(before.len(), after.len());
            let named = |line: &[u8]| line.split(|byte| *byte == b':').next().unwrap().to_vec();
            for (one, other) in before.iter().zip(&after) {
                assert_eq!(named(one), named(other), "{scheme}");
                let fields: Vec<_> = verifier.scheme().fields().collect();
                let is_signed = fields.iter().any(|field| is_same_name(&named(one), field.as_bytes()));
                assert!(is_signed || one == other, "{scheme}");
            }
        }
    }

    #[test]
    fn without_the_secret_or_a_signed_time_the_original_is_sent() {
        let scheme = *timed().first().unwrap();
        let event_of = event(&verifier(scheme, &["current"]), at(1_700_000_000));
        assert_eq!(refreshed(&verifier(scheme, &["other"]), None, &event_of, at(1_700_100_000)), None);
        let propify = verifier("propify", &["current"]);
        let plain = event(&propify, at(1_700_000_000));
        assert_eq!(refreshed(&propify, None, &plain, at(1_700_100_000)), None);
    }

    #[test]
    fn a_delivery_is_late_after_its_first_attempt_or_outside_the_window() {
        let verifier = verifier(timed().first().unwrap(), &["current"]);
        let event = event(&verifier, at(1_700_000_000));
        let past = verifier.scheme().timestamp.as_ref().unwrap().past.as_secs();
        assert!(!is_late(&verifier, &event, false, at(1_700_000_000 + past)));
        assert!(is_late(&verifier, &event, false, at(1_700_000_001 + past)));
        assert!(is_late(&verifier, &event, true, at(1_700_000_000)));
    }
}
