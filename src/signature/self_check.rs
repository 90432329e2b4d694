//! Pure. The probe of a verifier. The verifier must accept messages signed with its own keys, and refuse all
//! others.

use std::sync::Arc;
use std::time::SystemTime;

use crate::signature::claim::Context;
use crate::signature::public_url::PublicUrls;
use crate::signature::sign::{CannotSign, Stamp};
use crate::signature::{Fields, Verifier};

/// The content that the probe signs. No sender sends it. It is also a valid form, for schemes that sign
/// forms, and no [`Value`](crate::signature::challenge::Value).
const CONTENT: &[u8] = b"hookgate=readiness%20probe";

/// The content that the probe signs for a scheme that needs a JSON object or array.
const JSON: &[u8] = b"[\"hookgate readiness probe\"]";

/// Why a verifier fails its probe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The verifier refuses content that was signed with the secret of this name.
    #[error("a message signed with `{0}` does not verify")]
    RefusesAuthentic(Arc<str>),
    /// The verifier accepts content that was changed after it was signed with the secret of this name.
    #[error("a forged message verifies under `{0}`")]
    AcceptsForged(Arc<str>),
}

impl Verifier {
    /// Signs a message with each secret that is valid at `now`. Verifies the message as a request is
    /// verified: claim, content, decision. Expired secrets are skipped, because they verify nothing.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub fn probe(&self, now: SystemTime) -> Result<(), Fault> {
        let origin = PublicUrls::from("http://localhost");
        let (usual, usual_forged) =
            if self.scheme.could_sign(CONTENT) { (CONTENT, FORGED) } else { (JSON, FORGED_JSON) };
        for key in self.keys.iter().filter(|key| key.counts(now)) {
            let stamp = Stamp { timestamp: None, id: Some("hookgate-probe") };
            let timed = self.scheme.content_at(now);
            let content = timed.as_deref().unwrap_or(usual);
            let target = self.target("/", content);
            let made =
                self.signature(Some(&key.name), &context(&target, &origin, &Lines(&[]), now), stamp, content);
            let signature = match made {
                Ok(signature) => signature,
                // Either only the sender can sign, or the scheme signs fields that only a real event has.
                Err(CannotSign::PublicKey | CannotSign::NotSignable) => continue,
                Err(
                    CannotSign::NoSecret
                    | CannotSign::NoId
                    | CannotSign::UnclearBorder
                    | CannotSign::NotForm
                    | CannotSign::NoDigest,
                ) => {
                    return Err(Fault::RefusesAuthentic(Arc::clone(&key.name)));
                }
            };
            let lines: Vec<_> = signature.lines().cloned().collect();
            let target = signature.target(&target);
            if !self.takes(&target, &origin, &lines, content, now) {
                return Err(Fault::RefusesAuthentic(Arc::clone(&key.name)));
            }
            let forged = match timed {
                Some(content) => [&*content, b" "].concat(),
                None => usual_forged.to_vec(),
            };
            // A token does not cover the content.
            if key.mac.token().is_none() && self.takes(&target, &origin, &lines, &forged, now) {
                return Err(Fault::AcceptsForged(Arc::clone(&key.name)));
            }
        }
        Ok(())
    }

    fn takes(
        &self,
        target: &str,
        origin: &PublicUrls,
        lines: &[(String, String)],
        content: &[u8],
        now: SystemTime,
    ) -> bool {
        let Ok(claim) = self.claim(&context(target, origin, &Lines(lines), now)) else { return false };
        let mut verification = self.begin(claim, now);
        verification.push(content);
        verification.finish().is_ok_and(|authentic| authentic.content() == content)
    }
}

const FORGED_JSON: &[u8] = b"[\"hookgate readiness prob0\"]";
const FORGED: &[u8] = b"hookgate=readiness+prob0";

fn context<'c>(
    target: &'c str,
    origin: &'c PublicUrls,
    fields: &'c Lines<'c>,
    now: SystemTime,
) -> Context<'c, Lines<'c>> {
    Context { target: target.as_bytes(), origin: Some(origin), ..Context::of(fields, now) }
}

/// The field lines of a message.
struct Lines<'l>(&'l [(String, String)]);

impl Fields for Lines<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::scheme::PRESETS;
    use crate::signature::secret::{Key, Secret};
    use std::time::Duration;

    fn secret(name: &str, key: &str, not_after: Option<SystemTime>) -> Secret {
        Secret { name: name.into(), key: Key::new(key.into()), not_after }
    }

    #[test]
    fn every_scheme_takes_what_is_signed_with_any_of_its_secrets() {
        for scheme in PRESETS.iter() {
            let secrets = vec![secret("current", "key", None), secret("previous", "other key", None)];
            // The scheme needs a public key, and this secret is not one.
            let Ok(verifier) = Verifier::new(scheme.clone(), secrets) else { continue };
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
