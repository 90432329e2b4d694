//! Pure. Labels: the names of a configuration's routes, and a unique label for each of its secrets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::{Config, Mode};
use crate::signature::Verifier;
use crate::tls::certificate::Facts;

/// The labels of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The paths of the routes, each once, in the order of the configuration.
    pub routes: Vec<RouteName>,
    /// The secrets, in the order of their signatures in the configuration.
    pub secrets: Vec<SecretName>,
    /// The certificates of `[tls]` and `[admin]`, by name. If a name has several certificates: the
    /// certificate that expires first.
    pub certificates: BTreeMap<Arc<str>, Validity>,
}

/// The validity of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Validity {
    /// When it expires.
    pub end: SystemTime,
    /// The time from the beginning of its validity to the end.
    pub life: Duration,
}

impl Validity {
    /// The validity of this certificate.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        Self { end: facts.not_after, life: facts.life() }
    }
}

/// The path of a route, and its mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteName {
    /// The path, as configured.
    pub path: Arc<str>,
    /// Whether the route enforces or observes.
    pub mode: Mode,
    /// The names of which a client's certificate must have one.
    pub clients: Vec<Arc<str>>,
}

/// The names of a secret in the metrics and in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName {
    /// The `secret` label in the metrics: the secret's name. If an earlier signature of the file has a secret
    /// with the same name, the label is `name@path`, with the path of the secret's first route. No name has
    /// an `@`. So a new signature at the end of the file changes no label.
    pub label: String,
    /// The secret's name. It is unique within its signature.
    pub name: Arc<str>,
    /// The scheme of the signature.
    pub scheme: String,
    /// The number of the signature, counted from 0.
    pub signature: usize,
    /// The time from which the secret verifies nothing.
    pub not_after: Option<SystemTime>,
    /// The paths of the routes whose events the secret verifies.
    pub routes: Vec<Arc<str>>,
}

impl Labels {
    /// Collects the labels of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut routes: Vec<RouteName> = Vec::new();
        let mut signatures: Vec<(&Arc<Verifier>, Vec<Arc<str>>)> = Vec::new();
        for route in &config.routes {
            if routes.iter().any(|other| *other.path == *route.path.as_str()) {
                // Routes with the same path have the same signature and the same mode.
                continue;
            }
            let path: Arc<str> = route.path.as_str().into();
            let clients = route.client_names.as_deref().unwrap_or_default().to_vec();
            routes.push(RouteName { path: Arc::clone(&path), mode: route.mode, clients });
            match signatures.iter_mut().find(|(verifier, _)| Arc::ptr_eq(verifier, &route.verifier)) {
                Some((_, paths)) => paths.push(path),
                None => signatures.push((&route.verifier, vec![path])),
            }
        }
        let mut secrets: Vec<SecretName> = Vec::new();
        for (signature, (verifier, paths)) in signatures.into_iter().enumerate() {
            let all = verifier.all().flat_map(|one| one.secrets().map(move |secret| (one.scheme(), secret)));
            for (scheme, (name, not_after)) in all {
                let taken = secrets.iter().any(|other| other.name == *name);
                let first = paths.first().map(|path| &**path).unwrap_or_default();
                secrets.push(SecretName {
                    label: if taken { format!("{name}@{first}") } else { (**name).to_owned() },
                    name: Arc::clone(name),
                    scheme: scheme.name.to_string(),
                    signature,
                    not_after,
                    routes: paths.clone(),
                });
            }
        }
        let mut labels = Self { routes, secrets, certificates: BTreeMap::new() };
        let clients = config.tls.iter().map(|tls| &tls.settings);
        let operators = config.admin.iter().filter_map(|admin| admin.tls.as_ref());
        for pair in clients.chain(operators).flat_map(|settings| &settings.certificates) {
            labels.add_certificate(&pair.label, Validity::of(&pair.facts));
        }
        labels
    }

    /// Adds a certificate with this name.
    pub fn add_certificate(&mut self, name: &Arc<str>, validity: Validity) {
        let known = self.certificates.entry(Arc::clone(name)).or_insert(validity);
        *known = validity.min(*known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Fixed;
    use crate::signature::Permit;
    use std::num::NonZeroUsize;

    #[test]
    fn secrets_with_the_same_name_get_distinct_labels() {
        let text = r#"
            [signature]
            scheme = "propify"
            secrets = [{ env = "A" }, { name = "previous", env = "B" }]
            [[routes]]
            path = "/own"
            upstream = "http://127.0.0.1:1"
            signature = { scheme = "github", secrets = [{ env = "C" }] }
            [[routes]]
            path = "/w"
            model = "leads"
            upstream = "http://127.0.0.1:1"
            [[routes]]
            path = "/w"
            upstream = "http://127.0.0.1:1"
            mode = "enforce"
            [[routes]]
            path = "/x"
            upstream = "http://127.0.0.1:1"
            mode = "observe"
        "#;
        let environment = Fixed::new(NonZeroUsize::MIN)
            .with_variable("A", "0123456789abcdef0123456789abcdef")
            .with_variable("B", "1123456789abcdef0123456789abcdef")
            .with_variable("C", "2123456789abcdef0123456789abcdef");
        let loaded = crate::config::read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH).unwrap();
        let labels = Labels::of(&loaded.config);
        let paths: Vec<_> = labels.routes.iter().map(|route| (&*route.path, route.mode)).collect();
        assert_eq!(
            paths,
            [
                ("/own", Mode::Enforce),
                ("/w", Mode::Enforce),
                ("/x", Mode::Observe(Permit::of_configuration()))
            ]
        );
        let secrets: Vec<_> = labels
            .secrets
            .iter()
            .map(|secret| {
                (
                    secret.label.as_str(),
                    secret.scheme.as_str(),
                    secret.routes.iter().map(|path| &**path).collect(),
                )
            })
            .collect();
        let want: Vec<(&str, &str, Vec<&str>)> = vec![
            ("current", "github", vec!["/own"]),
            ("current@/w", "propify", vec!["/w", "/x"]),
            ("previous", "propify", vec!["/w", "/x"]),
        ];
        assert_eq!(secrets, want);
    }
}
