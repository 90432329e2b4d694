//! Pure. A scheme with the secrets of one sender, of which any may verify.

use std::sync::Arc;
use std::time::SystemTime;

use super::causes::KeyChange;
use super::challenge::Answers;
use super::claim::{self, Claim, ClaimError, Context};
use super::fields::Fields;
use super::mac::{BadKey, Keyed, Running};
use super::private_key::PrivateKey;
use super::scheme::Scheme;
use super::secret::{Key, Secret};

/// Checks the signatures of one sender: a scheme, and the secrets of which any may verify.
#[derive(Debug)]
pub struct Verifier {
    pub(super) scheme: Arc<Scheme>,
    pub(super) keys: Vec<KeyedSecret>,
    /// The same with what a secret may have been meant to be, for explaining a mismatch. They verify no request.
    pub(super) key_variants: Vec<(KeyChange, Verifier)>,
    pub(super) answers: Answers,
    /// To sign with, where it takes more than what verifies. The gateway has none.
    pub(super) private: Option<PrivateKey>,
}

#[derive(Debug)]
pub(super) struct KeyedSecret {
    pub(super) name: Arc<str>,
    pub(super) mac: Keyed,
    pub(super) not_after: Option<SystemTime>,
}

impl Verifier {
    /// Keys the scheme's algorithm with each secret, once. The secrets' bytes are wiped on return.
    ///
    /// # Errors
    /// [`BadKey`] if a secret should be a public key and is none.
    pub fn new(scheme: impl Into<Arc<Scheme>>, secrets: Vec<Secret>) -> Result<Self, BadKey> {
        let scheme = scheme.into();
        let keyed = secrets.into_iter().map(|secret| {
            let mac = Keyed::new(scheme.algorithm, &secret.key)?;
            Ok(KeyedSecret { name: secret.name, mac, not_after: secret.not_after })
        });
        let keys = keyed.collect::<Result<_, _>>()?;
        Ok(Self { scheme, keys, key_variants: Vec::new(), answers: Answers::Nothing, private: None })
    }

    /// Somebody who has the private key of a scheme's sender, to try a gateway with.
    ///
    /// # Errors
    /// [`BadKey`] if the scheme takes no such key.
    pub fn of_sender(
        scheme: impl Into<Arc<Scheme>>,
        name: &str,
        private: PrivateKey,
    ) -> Result<Self, BadKey> {
        let secret = Secret { name: name.into(), key: private.public(), not_after: None };
        Ok(Self { private: Some(private), ..Self::new(scheme, vec![secret])? })
    }

    /// Takes along what the secret of this name may have been meant to be, for [`causes`](super::causes). Nothing verifies for it. What is
    /// no key of the scheme's is left out; the keys' bytes are wiped on return.
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

    /// The scheme it verifies by.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether signatures can be made with what it has.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.private.is_some() || self.scheme.algorithm.is_symmetric()
    }

    /// The names of the secrets, in the order of the configuration.
    pub fn secret_names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.keys.iter().map(|key| &key.name)
    }

    /// When each of the secrets ceases to count, if ever, in the same order.
    pub fn ends(&self) -> impl ExactSizeIterator<Item = Option<SystemTime>> {
        self.keys.iter().map(|key| key.not_after)
    }

    /// The names of the secrets, each with the moment from which it does not count any more, if there is one.
    pub fn secrets(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, Option<SystemTime>)> {
        self.keys.iter().map(|key| (&key.name, key.not_after))
    }

    /// What the fields claim. Decided before any content is read.
    ///
    /// # Errors
    /// [`ClaimError`] where there is no claim that could be checked.
    pub fn claim<F: Fields>(&self, context: &Context<'_, F>) -> Result<Claim, ClaimError> {
        Claim::read(&self.scheme, context)
    }

    /// The moment that a request claims to be signed in, whatever its signature is worth; for explaining a refusal.
    #[must_use]
    pub fn moment(&self, fields: &impl Fields) -> Option<SystemTime> {
        claim::moment(&self.scheme, fields)
    }
}

impl KeyedSecret {
    /// Starts on a message, with what is signed before its content.
    pub(super) fn start(&self, claim: &Claim) -> Running {
        let mut running = self.mac.start(&claim.tags);
        if let Some(besides) = &claim.besides {
            running.update(&besides.before);
        }
        running
    }

    pub(super) fn counts(&self, now: SystemTime) -> bool {
        self.not_after.is_none_or(|end| now < end)
    }
}
