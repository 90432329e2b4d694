//! Pure. A scheme with the secrets of one sender. Any of the secrets may verify a request.

use std::sync::Arc;
use std::time::SystemTime;

use super::challenge::Answers;
use super::claim::{self, Claim, ClaimError, Context};
use super::mac::{BadKey, Fingerprint, Keyed, Running};
use super::private_key::PrivateKey;
use super::scheme::Scheme;
use super::secret::{Key, Secret};
use super::signable::Fields;
use crate::diagnosis::causes::cause::KeyChange;

/// Verifies the signatures of one sender: a scheme with secrets, any of which may verify a request.
#[derive(Debug)]
pub struct Verifier {
    pub(super) scheme: Arc<Scheme>,
    pub(crate) keys: Vec<KeyedSecret>,
    /// Verifiers with misread variants of a secret. The diagnosis uses them to explain a mismatch. They
    /// verify no request.
    pub(crate) key_variants: Vec<(KeyChange, Verifier)>,
    pub(super) answers: Answers,
    /// The private key that makes signatures, if the algorithm needs one. In the gateway, `None`.
    pub(super) private: Option<PrivateKey>,
    /// Further signatures of the same route. Nearly always empty.
    pub(super) others: Vec<Arc<Self>>,
}

#[derive(Debug)]
pub(crate) struct KeyedSecret {
    pub(crate) name: Arc<str>,
    pub(super) mac: Keyed,
    /// Tells whether another key has the same bytes.
    pub(super) fingerprint: Fingerprint,
    pub(super) not_after: Option<SystemTime>,
}

impl Verifier {
    /// Prepares the scheme's algorithm with each secret, once. The secrets' bytes are wiped when this
    /// returns.
    ///
    /// # Errors
    /// [`BadKey`] if a secret must be a public key and is not.
    pub fn new(scheme: impl Into<Arc<Scheme>>, secrets: Vec<Secret>) -> Result<Self, BadKey> {
        let scheme = scheme.into();
        let keyed = secrets.into_iter().map(|secret| {
            let mac = Keyed::new(scheme.algorithm, &secret.key)?;
            let fingerprint = Fingerprint::of(&secret.key);
            Ok(KeyedSecret { name: secret.name, mac, fingerprint, not_after: secret.not_after })
        });
        let keys = keyed.collect::<Result<_, _>>()?;
        Ok(Self {
            scheme,
            keys,
            key_variants: Vec::new(),
            answers: Answers::Nothing,
            private: None,
            others: Vec::new(),
        })
    }

    /// A sender with its private key, for a scheme with public keys. Used to test a gateway.
    ///
    /// # Errors
    /// [`BadKey`] if the scheme has no such key.
    pub fn of_sender(
        scheme: impl Into<Arc<Scheme>>,
        name: &str,
        private: PrivateKey,
    ) -> Result<Self, BadKey> {
        let secret = Secret { name: name.into(), key: private.public(), not_after: None };
        Ok(Self { private: Some(private), ..Self::new(scheme, vec![secret])? })
    }

    /// Adds variants of the key with this name, for [`causes`](crate::diagnosis::causes). They verify no
    /// request. A variant that is not a key of the scheme is skipped. The variants' bytes are wiped when this
    /// returns.
    #[must_use]
    pub fn suspecting(
        mut self,
        name: &Arc<str>,
        key_variants: impl IntoIterator<Item = (KeyChange, Key)>,
    ) -> Self {
        for (change, key) in key_variants {
            let secret = Secret { name: Arc::clone(name), key, not_after: None };
            if let Ok(key_variant) = Self::new(Arc::clone(&self.scheme), vec![secret]) {
                self.key_variants.push((change, key_variant));
            }
        }
        self
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether the verifier can make signatures.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.private.is_some() || self.scheme.algorithm.is_symmetric()
    }

    /// The names of the secrets, in the order of the configuration.
    pub fn secret_names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.keys.iter().map(|key| &key.name)
    }

    /// The time of expiry of each secret, if it has one, in the order of the configuration.
    pub fn ends(&self) -> impl ExactSizeIterator<Item = Option<SystemTime>> {
        self.keys.iter().map(|key| key.not_after)
    }

    /// The name of each secret, and its time of expiry if it has one.
    pub fn secrets(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, Option<SystemTime>)> {
        self.keys.iter().map(|key| (&key.name, key.not_after))
    }

    /// Reads the claim from the fields, before any content is read.
    ///
    /// # Errors
    /// [`ClaimError`] if there is no well-formed claim.
    pub fn claim<F: Fields>(&self, context: &Context<'_, F>) -> Result<Claim, ClaimError> {
        Claim::read(&self.scheme, context)
    }

    /// The time at which a request claims to be signed, even if its signature is wrong. Used to explain a
    /// refusal.
    #[must_use]
    pub fn moment(&self, fields: &impl Fields) -> Option<SystemTime> {
        claim::moment(&self.scheme, fields)
    }
}

impl KeyedSecret {
    /// Begins with a message, and hashes the signed parts before its content.
    pub(super) fn start(&self, claim: &Claim) -> Running {
        let mut running = self.mac.start(&claim.tags);
        if let Some(besides) = &claim.besides {
            running.update(&besides.before);
        }
        running
    }

    pub(crate) fn counts(&self, now: SystemTime) -> bool {
        self.not_after.is_none_or(|end| now < end)
    }
}
