//! Pure. Whether a verifier does its work: it must take what its own keys have signed, and nothing else.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::algorithm::Algorithm;
use super::sign::{Signature, Stamp};
use super::{Context, Fields, Verifier};

/// What is signed. No sender would send it.
const CONTENT: &[u8] = b"hookgate readiness probe";

/// Something is wrong with a verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It refuses what was signed with the secret of this name.
    RefusesAuthentic(Arc<str>),
    /// It takes content that was changed after it was signed with the secret of this name.
    AcceptsForged(Arc<str>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefusesAuthentic(secret) => write!(f, "what is signed with `{secret}` does not verify"),
            Self::AcceptsForged(secret) => write!(f, "what is forged verifies under `{secret}`"),
        }
    }
}

impl std::error::Error for Fault {}

impl Verifier {
    /// Signs a probe with each secret that counts at `now`, and verifies it in the way that every request goes: claim, content,
    /// decision. A secret that has expired is left out: that it verifies nothing is what the operator asked for. So are
    /// public keys, with which nobody here can sign.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub fn probe(&self, now: SystemTime) -> Result<(), Fault> {
        let stamp = Stamp { id: Some("hookgate"), timestamp: None };
        let covers_content = self.scheme.algorithm != Algorithm::Token;
        for key in self.keys.iter().filter(|key| key.counts(now)) {
            let context =
                |fields| Context { origin: Some("https://hookgate.invalid"), ..Context::of(fields, now) };
            let unsigned = Lines(&[]);
            let signed = self.signed_by(key, &context(&unsigned), stamp, CONTENT);
            let Ok(Signature { field, mut others, .. }) = signed else { continue };
            others.push(field);
            let lines = Lines(&others);
            if !self.takes(&context(&lines), CONTENT) {
                return Err(Fault::RefusesAuthentic(Arc::clone(&key.name)));
            }
            if covers_content && self.takes(&context(&lines), FORGED) {
                return Err(Fault::AcceptsForged(Arc::clone(&key.name)));
            }
        }
        Ok(())
    }

    fn takes(&self, context: &Context<'_, Lines<'_>>, content: &[u8]) -> bool {
        let Ok(claim) = self.claim(context) else { return false };
        let mut verification = self.begin(claim, context.now);
        verification.push(content);
        verification.finish(()).is_ok_and(|authentic| authentic.content() == content)
    }
}

const FORGED: &[u8] = b"hookgate readiness prob\0";

/// A message with these field lines, and with one of each other name: some schemes sign a field of the sender's.
struct Lines<'l>(&'l [(String, String)]);

impl Fields for Lines<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let given = self.0.iter().find(|(given, _)| given == name);
        std::iter::once(given.map_or(&b"0"[..], |(_, value)| value.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Key, Secret};
    use crate::signature::scheme::PRESETS;
    use std::time::Duration;

    fn secret(name: &str, key: &str, not_after: Option<SystemTime>) -> Secret {
        Secret { name: name.into(), key: Key::new(key.into()), not_after }
    }

    #[test]
    fn every_scheme_takes_what_is_signed_with_any_of_its_secrets() {
        for scheme in PRESETS.iter().filter(|scheme| scheme.algorithm.is_symmetric()) {
            let secrets = vec![secret("current", "key", None), secret("previous", "other key", None)];
            let verifier = Verifier::new(scheme.clone(), secrets).unwrap();
            assert_eq!(verifier.probe(SystemTime::UNIX_EPOCH), Ok(()), "{}", scheme.name);
        }
    }

    #[test]
    fn an_expired_secret_is_no_fault() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let verifier = Verifier::new(PRESETS[0].clone(), vec![secret("old", "key", Some(end))]).unwrap();
        assert_eq!(verifier.probe(end), Ok(()));
    }
}
