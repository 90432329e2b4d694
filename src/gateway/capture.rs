//! Pure. Captures the refused requests of a route with `capture = true`, without their credentials.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use crate::message::head::RequestHead;
use crate::signature::Verifier;
use crate::signature::algorithm::Algorithm;
use crate::telemetry::recent::capture::{Captured, Parts, Room, hidden};
use crate::telemetry::recent::gate::{Gate, Rate};
use crate::telemetry::record::Record;

/// The number of captured requests by which the rate is set: a burst of 64, and then 13 a second.
const RATE: usize = 256;

/// The fields and parameters that are always hidden.
const CREDENTIALS: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "key", "code"];

/// Words in the names of fields and parameters that are hidden, unless they carry a signature.
const WORDS: [&str; 12] = [
    "auth",
    "token",
    "secret",
    "passw",
    "session",
    "jwt",
    "credential",
    "api-key",
    "api_key",
    "apikey",
    "access-key",
    "access_key",
];

/// What a route captures.
#[derive(Debug)]
pub(super) struct Capture {
    gate: Gate,
    rate: Rate,
    /// The fields and parameters that carry a shared token, in lower case.
    tokens: Vec<Box<str>>,
    /// The fields and parameters that carry a signature, in lower case. A signature is no credential.
    signatures: Vec<Box<str>>,
}

impl Capture {
    /// What a route with these signatures captures.
    pub(super) fn of(verifier: &Verifier) -> Self {
        let names = |of_token: bool| {
            let schemes = verifier.all().map(Verifier::scheme);
            let schemes = schemes.filter(move |scheme| (scheme.algorithm == Algorithm::Token) == of_token);
            let names =
                schemes.flat_map(|scheme| scheme.signature_names().chain(scheme.parameter.as_deref()));
            names.map(|name| name.to_ascii_lowercase().into()).collect()
        };
        Self { gate: Gate::default(), rate: Rate::of(RATE), tokens: names(true), signatures: names(false) }
    }

    /// Copies a refused request into its record, at a bounded rate.
    #[cold]
    #[inline(never)]
    fn keep(
        &self,
        room: &Arc<Room>,
        head: &RequestHead,
        content: &[u8],
        now: SystemTime,
        record: &mut Record,
    ) {
        if record.captured.is_some() || !self.gate.passes(now, self.rate) {
            return;
        }
        let target = self.target(head.target());
        let parts = Parts { method: head.method(), target: &target, head: head.size(), content };
        let copied = Captured::copy(room, parts, head.lines(), |name| self.hides(name));
        record.captured = copied.map(Box::new);
    }

    /// Whether the value of a field or parameter is hidden.
    fn hides(&self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let is_in = |names: &[Box<str>]| names.iter().any(|one| **one == *name);
        CREDENTIALS.contains(&&*name)
            || is_in(&self.tokens)
            || (WORDS.iter().any(|word| name.contains(word)) && !is_in(&self.signatures))
    }

    /// The target without the values of parameters that are hidden.
    fn target<'t>(&self, target: &'t [u8]) -> Cow<'t, [u8]> {
        let Some(at) = memchr::memchr(b'?', target) else { return Cow::Borrowed(target) };
        let (path, query) = target.split_at(at.saturating_add(1));
        let pairs = query.split(|byte| *byte == b'&').map(|pair| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            let value = pair.get(name.len().saturating_add(1)..).unwrap_or_default();
            // An app decodes the name.
            let decoded = form_urlencoded::parse(name).next().map(|(name, _)| name);
            if value.is_empty() || !self.hides(decoded.unwrap_or_default().as_bytes()) {
                Cow::Borrowed(pair)
            } else {
                Cow::Owned([name, b"=", hidden(value.len()).as_bytes()].concat())
            }
        });
        let pairs: Vec<_> = pairs.collect();
        if pairs.iter().all(|pair| matches!(pair, Cow::Borrowed(_))) {
            return Cow::Borrowed(target);
        }
        Cow::Owned([path, &pairs.join(&b'&')].concat())
    }
}

/// Captures the refused requests of a route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Captor<'c> {
    /// What the route captures.
    pub(super) capture: &'c Capture,
    /// The room for all captured requests.
    pub(super) room: &'c Arc<Room>,
    /// The time at which the request began.
    pub(super) now: SystemTime,
}

/// Captures a refused request, if its route captures: its head, and the content as far as it has arrived.
#[inline]
pub(super) fn keep(captor: Option<Captor<'_>>, head: &RequestHead, content: &[u8], record: &mut Record) {
    if let Some(Captor { capture, room, now }) = captor {
        capture.keep(room, head, content, now, record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::scheme::Scheme;

    fn capture(preset: &str) -> Capture {
        Capture::of(&Verifier::new(Scheme::preset(preset).unwrap().clone(), vec![]).unwrap())
    }

    #[test]
    fn credentials_are_hidden_and_signatures_are_not() {
        let (gitlab, propify) = (capture("gitlab"), capture("propify"));
        for name in [
            "Authorization",
            "cookie",
            "Proxy-Authorization",
            "X-Auth-Key",
            "x-session-id",
            "code",
            "X-Api-Key",
            "my-secret",
            "X-GitLab-Token",
        ] {
            assert!(gitlab.hides(name.as_bytes()) && propify.hides(name.as_bytes()), "{name}");
        }
        for name in ["propify-signature", "content-type", "x-event-key"] {
            assert!(!propify.hides(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn parameters_with_credentials_are_hidden_in_every_spelling() {
        let capture = capture("propify");
        for (target, want) in [
            ("/a?x=1&y", "/a?x=1&y"),
            ("/a?token=abc&x=1", "/a?token=(hidden, 3 bytes)&x=1"),
            ("/a?x=1&tok%65n=a=b", "/a?x=1&tok%65n=(hidden, 3 bytes)"),
            ("/token?TOKEN=&a", "/token?TOKEN=&a"),
        ] {
            assert_eq!(String::from_utf8_lossy(&capture.target(target.as_bytes())), want);
        }
    }
}
