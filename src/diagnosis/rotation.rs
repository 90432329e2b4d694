//! Pure. Finds old secrets that are still in use, from the number of events that each secret has verified
//! since the last check.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::signature::window::Unit;
use crate::telemetry::labels::{Labels, SecretName};
use crate::telemetry::metric::Sum;

/// The counts of verified events at the last check.
#[derive(Debug, Default)]
pub struct Rotation {
    /// By the route's path and the secret's name.
    seen: BTreeMap<(Arc<str>, Arc<str>), u64>,
}

/// An old secret that has verified events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldSecret {
    /// The `secret` label in the metrics.
    pub label: String,
    /// The routes where the secret verified events.
    pub routes: Vec<Arc<str>>,
    /// The number of events since the last check.
    pub events: u64,
    /// Why the secret is old.
    pub age: Age,
}

/// Why a secret is old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Age {
    /// The secret is listed after the secret with this name. That secret has verified events too.
    Beside(Arc<str>),
    /// The secret is listed after the secret with this name. That secret has verified no event.
    Instead(Arc<str>),
    /// The secret is valid until this time (`not_after`).
    Ending(SystemTime),
    /// The secret was valid until this time.
    Ended(SystemTime),
}

impl Rotation {
    /// The old secrets that have verified events since the last check. A secret is old if it is listed after
    /// the first valid secret, or if it has a `not_after`.
    pub fn look(&mut self, labels: &Labels, sum: &Sum, now: SystemTime) -> Vec<OldSecret> {
        let mut fresh: BTreeMap<(Arc<str>, Arc<str>), u64> = BTreeMap::new();
        for (path, route) in &sum.routes {
            for (name, seen) in &route.verified {
                let key = (Arc::clone(path), Arc::clone(name));
                let before = self.seen.insert(key.clone(), seen.count).unwrap_or(0);
                fresh.insert(key, seen.count.saturating_sub(before));
            }
        }
        let on = |secret: &SecretName, path: &Arc<str>| {
            fresh.get(&(Arc::clone(path), Arc::clone(&secret.name))).copied().unwrap_or(0)
        };
        let events = |secret: &SecretName| {
            secret.routes.iter().map(|path| on(secret, path)).fold(0, u64::saturating_add)
        };
        let counts = |secret: &SecretName| secret.not_after.is_none_or(|end| now < end);
        let mut old = Vec::new();
        for secret in &labels.secrets {
            let first =
                labels.secrets.iter().find(|other| other.signature == secret.signature && counts(other));
            let age = match (secret.not_after, first) {
                (Some(end), _) if counts(secret) => Age::Ending(end),
                (Some(end), _) => Age::Ended(end),
                (None, Some(first)) if first.name == secret.name => continue,
                (None, Some(first)) if events(first) > 0 => Age::Beside(Arc::clone(&first.name)),
                (None, Some(first)) => Age::Instead(Arc::clone(&first.name)),
                (None, None) => continue,
            };
            if events(secret) > 0 {
                old.push(OldSecret {
                    label: secret.label.clone(),
                    routes: secret.routes.iter().filter(|path| on(secret, path) > 0).cloned().collect(),
                    events: events(secret),
                    age,
                });
            }
        }
        old
    }
}

impl OldSecret {
    /// What the operator should do about the old secret.
    #[must_use]
    pub fn advice(&self) -> String {
        let label = &self.label;
        match &self.age {
            Age::Beside(first) => format!(
                "let every sender use `{first}`; remove `{label}` when `hookgate secrets` says that it is safe"
            ),
            Age::Instead(first) => format!(
                "if `{label}` is the new one, put it first, and remove `{first}` when `hookgate secrets` says that \
                 it is safe; if not, let the sender use `{first}`"
            ),
            Age::Ending(_) | Age::Ended(_) => {
                "let the sender use the new secret, or move this one's `not_after`".to_owned()
            }
        }
    }
}

impl fmt::Display for OldSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = &self.label;
        match &self.age {
            Age::Beside(first) => {
                write!(f, "`{label}` verifies events, beside `{first}`, which stands before it")
            }
            Age::Instead(first) => {
                write!(f, "`{label}` verifies events, and `{first}`, which stands before it, none")
            }
            Age::Ending(end) => write!(
                f,
                "`{label}` verifies events, and counts only until {}: from then on they are refused",
                Unit::Rfc3339.write(*end)
            ),
            Age::Ended(end) => write!(
                f,
                "`{label}` verified events until its time was over, {}: now they are refused",
                Unit::Rfc3339.write(*end)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::metric::Seen;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn secret(signature: usize, name: &str, routes: &[&str], not_after: Option<u64>) -> SecretName {
        SecretName {
            label: name.to_owned(),
            name: name.into(),
            scheme: "propify".to_owned(),
            signature,
            not_after: not_after.map(at),
            routes: routes.iter().map(|path| (*path).into()).collect(),
        }
    }

    fn labels(secrets: &[SecretName]) -> Labels {
        Labels { secrets: secrets.to_vec(), ..Labels::default() }
    }

    fn sum(counts: &[(&str, &str, u64)]) -> Sum {
        let mut sum = Sum::default();
        for (path, name, count) in counts {
            let route = sum.routes.entry((*path).into()).or_default();
            route.verified.insert((*name).into(), Seen { count: *count, last: 1 });
        }
        sum
    }

    fn warned(old: &[OldSecret]) -> Vec<(&str, u64, Age)> {
        old.iter().map(|old| (old.label.as_str(), old.events, old.age.clone())).collect()
    }

    #[test]
    fn an_old_secret_is_warned_of_while_it_verifies_and_no_longer() {
        let mut rotation = Rotation::default();
        let labels = labels(&[secret(0, "new", &["/a", "/b"], None), secret(0, "old", &["/a", "/b"], None)]);
        let mut look = |counts: &[(&str, &str, u64)]| rotation.look(&labels, &sum(counts), at(9));
        assert_eq!(look(&[]), []);
        assert_eq!(look(&[("/a", "new", 5)]), []);
        let old = look(&[("/a", "new", 5), ("/a", "old", 3), ("/b", "old", 1)]);
        assert_eq!(warned(&old), [("old", 4, Age::Instead("new".into()))]);
        assert_eq!(old[0].routes, ["/a".into(), "/b".into()]);
        let old = look(&[("/a", "new", 6), ("/a", "old", 3), ("/b", "old", 2)]);
        assert_eq!(warned(&old), [("old", 1, Age::Beside("new".into()))]);
        assert_eq!(old[0].routes, ["/b".into()]);
        assert_eq!(
            look(&[("/a", "new", 9), ("/a", "old", 3), ("/b", "old", 2)]),
            [],
            "it has verified nothing"
        );
    }

    #[test]
    fn a_secret_with_an_end_is_warned_of_wherever_it_stands() {
        let mut rotation = Rotation::default();
        let labels = labels(&[secret(0, "first", &["/a"], Some(10)), secret(0, "next", &["/a"], None)]);
        let old = rotation.look(&labels, &sum(&[("/a", "first", 1)]), at(9));
        assert_eq!(warned(&old), [("first", 1, Age::Ending(at(10)))]);
        let old = rotation.look(&labels, &sum(&[("/a", "first", 2), ("/a", "next", 1)]), at(10));
        assert_eq!(
            warned(&old),
            [("first", 1, Age::Ended(at(10)))],
            "and `next` is now the first that counts"
        );
        assert_eq!(rotation.look(&labels, &sum(&[("/a", "first", 2), ("/a", "next", 2)]), at(11)), []);
    }

    #[test]
    fn the_only_secret_of_its_signature_is_not_an_old_one() {
        let mut rotation = Rotation::default();
        let labels = labels(&[secret(0, "current", &["/a"], None), secret(1, "theirs", &["/b"], None)]);
        assert_eq!(rotation.look(&labels, &sum(&[("/a", "current", 1), ("/b", "theirs", 1)]), at(9)), []);
    }

    #[test]
    fn each_warning_says_which_secret_and_what_to_do() {
        for age in [Age::Beside("a".into()), Age::Instead("a".into()), Age::Ending(at(0)), Age::Ended(at(0))]
        {
            let old = OldSecret { label: "previous".into(), routes: Vec::new(), events: 1, age };
            assert!(old.to_string().contains("`previous`") && !old.advice().is_empty(), "{old}");
            assert!(old.to_string().len().max(old.advice().len()) < 200);
        }
    }
}
