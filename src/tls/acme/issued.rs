//! Pure. The certificates that were obtained so far, the challenges under way, and the results of the orders.
//! All threads share them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use rustls::sign::CertifiedKey;

use crate::tls::certificate::Facts;
use crate::tls::key_pair::KeyPair;

/// The certificates and challenges, by name. Handshakes read them. Only the thread that orders changes them.
#[derive(Default)]
pub struct Issued {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    certificates: BTreeMap<Arc<str>, KeyPair>,
    challenges: BTreeMap<Arc<str>, Arc<CertifiedKey>>,
    orders: BTreeMap<Arc<str>, Orders>,
}

/// The results of the orders for a name since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// How many orders gave a certificate.
    pub succeeded: u64,
    /// How many orders failed.
    pub failed: u64,
    /// Why the last order failed, if it failed.
    pub failure: Option<String>,
    /// When the next order begins.
    pub next: Option<SystemTime>,
    /// Whether the authority asks for an early renewal of the certificate.
    pub is_early: bool,
}

impl Issued {
    /// The certificate for a name, if there is one.
    #[must_use]
    pub fn certificate(&self, domain: &str) -> Option<KeyPair> {
        self.read().certificates.get(domain).cloned()
    }

    /// The answer to the challenge for a name, if a challenge is under way.
    #[must_use]
    pub fn challenge(&self, domain: &str) -> Option<Arc<CertifiedKey>> {
        self.read().challenges.get(domain).cloned()
    }

    /// Names with their orders and their certificates.
    #[must_use]
    pub fn orders(&self) -> Vec<(Arc<str>, Orders, Option<Arc<Facts>>)> {
        let inner = self.read();
        let facts = |domain| inner.certificates.get(domain).map(|pair| Arc::clone(&pair.facts));
        inner
            .orders
            .iter()
            .map(|(domain, orders)| (Arc::clone(domain), orders.clone(), facts(domain)))
            .collect()
    }

    /// Shows this certificate to clients that ask for the name, from now on.
    pub fn show(&self, domain: &Arc<str>, pair: KeyPair) {
        self.write().certificates.insert(Arc::clone(domain), pair);
    }

    /// Forgets everything about other names.
    pub fn keep_only(&self, domains: &[Arc<str>]) {
        let mut inner = self.write();
        let Inner { certificates, challenges, orders } = &mut *inner;
        certificates.retain(|domain, _| domains.contains(domain));
        challenges.clear();
        orders.retain(|domain, _| domains.contains(domain));
        for domain in domains {
            orders.entry(Arc::clone(domain)).or_default();
        }
    }

    /// Answers the challenge for a name, until the result is dropped.
    #[must_use]
    pub fn answer(self: &Arc<Self>, domain: &Arc<str>, answer: Arc<CertifiedKey>) -> Answering {
        self.write().challenges.insert(Arc::clone(domain), answer);
        Answering { issued: Arc::clone(self), domain: Arc::clone(domain) }
    }

    /// Changes the record of the orders for a name.
    pub fn change(&self, domain: &Arc<str>, change: impl FnOnce(&mut Orders)) {
        change(self.write().orders.entry(Arc::clone(domain)).or_default());
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Never prints a key.
impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("orders", &self.read().orders).finish_non_exhaustive()
    }
}

/// A challenge that is being answered.
#[derive(Debug)]
pub struct Answering {
    issued: Arc<Issued>,
    domain: Arc<str>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.issued.write().challenges.remove(&self.domain);
    }
}
