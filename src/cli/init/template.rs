//! Pure. The text of a gateway.toml for one sender. Every sender gets the same text, with what its scheme
//! needs.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use crate::cli::challenge_keys;
use crate::signature::scheme::{AnswerUse, Scheme, SecretOrigin, Source};

/// The settings of the file.
pub(super) struct NewConfig<'p> {
    /// The sender's scheme.
    pub(super) scheme: &'static Scheme,
    /// The path of the route.
    pub(super) path: &'p str,
    /// The app.
    pub(super) upstream: &'p str,
    /// The names under which senders reach the gateway. The gateway obtains a certificate for each name.
    pub(super) domains: &'p [String],
    /// The address that the certificate authority may write to.
    pub(super) contact: Option<&'p str>,
    /// Whether events are stored.
    pub(super) queue: bool,
    /// The address of the admin listener, if it is on.
    pub(super) admin: Option<SocketAddr>,
    /// Where the secret is.
    pub(super) secret: &'p SecretLocation,
    /// Where the token of challenges is, if the sender's challenges have a token.
    pub(super) token: Option<&'p SecretLocation>,
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretLocation {
    /// In an environment variable with this name.
    Variable(String),
    /// In a file beside gateway.toml with this name.
    File(String),
}

/// The location as a table of gateway.toml.
impl fmt::Display for SecretLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "{{ env = {name:?} }}"),
            Self::File(name) => write!(f, "{{ file = {name:?} }}"),
        }
    }
}

impl NewConfig<'_> {
    /// The text of gateway.toml.
    pub(super) fn text(&self) -> String {
        let mut text = FileText::default();
        self.head(&mut text);
        self.listeners(&mut text);
        self.route(&mut text);
        self.signature(&mut text);
        text.0
    }

    /// The URL that the sender calls, if the plan has a name for it.
    pub(super) fn url(&self) -> Option<String> {
        self.domains.first().map(|domain| format!("https://{domain}{}", self.path))
    }

    fn head(&self, text: &mut FileText) {
        let SenderFacts { sender, note, .. } = SenderFacts::of(self.scheme);
        let name = &self.scheme.name;
        text.comment(&format!(
            "Webhooks of {sender}, verified and passed on to your app. Written by `hookgate init {name}`."
        ));
        text.comment("`hookgate check` shows the routes, or every problem in this file. gateway.toml(5) explains every key.");
        if !note.is_empty() {
            text.comment(&format!("About {sender}: {}.", note.trim_end_matches('.')));
        }
    }

    fn listeners(&self, text: &mut FileText) {
        text.table("[server]");
        text.comment(match self.domains.is_empty() {
            true => {
                "Plain HTTP, for this machine only. Senders call https://: put a proxy in front, or add [tls]."
            }
            false => "Plain HTTP, for this machine only. Senders use the listener of [tls].",
        });
        text.key("listen", "127.0.0.1:8080");
        if !self.domains.is_empty() {
            text.table("[tls]");
            text.comment(
                "The address that senders reach; \"[::]:443\" stands for IPv6 and IPv4. A port under 1024 needs a privilege (CAP_NET_BIND_SERVICE).",
            );
            text.key("listen", "0.0.0.0:443");
            text.table("[tls.acme]");
            text.comment(
                "hookgate obtains and renews certificates for these names, which must lead to this machine.",
            );
            text.list("domains", self.domains);
            if let Some(contact) = self.contact {
                text.comment("The certificate authority may write to this address about problems.");
                text.key("contact", contact);
            }
            text.comment("The folder of the account and the certificates.");
            text.key("storage", "acme");
        }
        if let Some(admin) = self.admin {
            text.table("[admin]");
            text.comment("Health, metrics and events: `hookgate doctor` and `hookgate events` ask here. Never where senders can reach it.");
            text.key("listen", &admin.to_string());
        }
        if self.queue {
            text.table("[queue]");
            text.comment("The store of events. Its folder must exist.");
            text.key("store", "events.db");
        }
    }

    fn route(&self, text: &mut FileText) {
        let scheme = self.scheme;
        text.table("[[routes]]");
        text.comment("The path of the URL that the sender calls.");
        text.key("path", self.path);
        text.comment("Your app: scheme, host and port. It gets each request unchanged, at the same path.");
        text.key("upstream", self.upstream);
        if let Some(largest) = largest_content(&scheme.name) {
            text.comment(
                "The sender's largest events. Larger ones are refused with 413. The default is 1MiB.",
            );
            text.key("max_body", largest);
        }
        if let Some(methods) = challenge_keys::methods(scheme) {
            text.comment("The sender's challenge has another method than its events.");
            text.list("methods", &methods);
        }
        if scheme.signs_url() {
            let origin = self
                .domains
                .first()
                .map_or_else(|| "https://hooks.example.com".to_owned(), |domain| format!("https://{domain}"));
            text.comment("The origin of the URL that the sender calls. The sender signs this URL.");
            text.key("public_url", &origin);
        }
        if self.queue {
            self.delivery(text);
        }
    }

    fn delivery(&self, text: &mut FileText) {
        match self.scheme.answer_use {
            AnswerUse::Never => {
                text.comment(
                    "Each event is stored before it is acknowledged, and delivered when the app is ready.",
                );
                text.key("delivery", "queue");
            }
            AnswerUse::Sometimes | AnswerUse::Always => {
                text.comment("This sender uses the app's answer, so the app answers. An event that the app does not take is stored.");
                text.key("delivery", "fallback");
            }
        }
        match (&self.scheme.timestamp, self.scheme.can_refresh()) {
            (None, _) => {}
            (Some(_), true) => {
                text.comment("The sender signs the time, and the app may refuse an old time: late deliveries get a new signature.");
                text.line("refresh_signature = true");
            }
            (Some(_), false) => {
                text.comment("The sender signs the time. The app must not check the time again: it would refuse late deliveries.");
            }
        }
    }

    fn signature(&self, text: &mut FileText) {
        let SenderFacts { sender, secret, .. } = SenderFacts::of(self.scheme);
        text.table("[routes.signature]");
        text.key("scheme", &self.scheme.name);
        text.comment(&match secret {
            SecretOrigin::Chosen(place) => {
                format!("You choose the secret, and tell it to {sender}: {place}.")
            }
            SecretOrigin::Given(place) => format!("{sender} has the secret: {place}."),
        });
        text.line(&format!("secrets = [{}]", self.secret));
        if let Some(mode) = challenge_keys::mode(self.scheme) {
            text.comment(if mode == "answer" {
                "hookgate answers the sender's challenges. \"forward\": the app answers."
            } else {
                "The app gets the secret from the sender, in an unsigned request. After that, write \"forward\"."
            });
            text.key("challenge", mode);
        }
        if let Some(token) = self.token {
            text.comment("The token in the sender's challenge. You choose it, and enter it beside the URL at the sender.");
            text.line(&format!("verify_token = {token}"));
        }
    }
}

/// The largest content of a sender's events, if the sender says that it is over the default of `max_body`.
fn largest_content(scheme: &str) -> Option<&'static str> {
    match scheme {
        "github" => Some("25MiB"),
        _ => None,
    }
}

/// The description of a shipped scheme.
pub(super) struct SenderFacts {
    /// The sender's usual name.
    pub(super) sender: &'static str,
    /// A fact that an operator must know. Often empty.
    pub(super) note: &'static str,
    /// Whether the sender or the receiver makes the secret, and where.
    pub(super) secret: SecretOrigin,
}

impl SenderFacts {
    /// The description of this scheme.
    pub(super) fn of(scheme: &'static Scheme) -> Self {
        match scheme.source {
            Source::Shipped { sender, note, secret, documentation: _, confirmed: _, retries: _ } => {
                Self { sender, note, secret }
            }
            // No scheme of a configuration is static.
            Source::Configured => {
                Self { sender: "the sender", note: "", secret: SecretOrigin::Given("see its documentation") }
            }
        }
    }
}

/// The text that was written so far.
#[derive(Default)]
struct FileText(String);

impl FileText {
    fn line(&mut self, line: &str) {
        // Writing to a String does not fail.
        let _infallible = writeln!(self.0, "{line}");
    }

    fn comment(&mut self, comment: &str) {
        self.line(&format!("# {comment}"));
    }

    fn table(&mut self, name: &str) {
        self.line(&format!("\n{name}"));
    }

    /// The values were checked: they have no characters that TOML writes in another way than Rust.
    fn key(&mut self, key: &str, value: &str) {
        self.line(&format!("{key} = {value:?}"));
    }

    fn list(&mut self, key: &str, values: &[String]) {
        self.line(&format!("{key} = {values:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    use super::*;
    use crate::config::environment::Fixed;
    use crate::config::{DeliveryMode, read};
    use crate::signature::algorithm::Algorithm;
    use crate::signature::challenge::Challenge;
    use crate::signature::scheme::PRESETS;
    use crate::signature::secret::SecretEncoding;

    /// A key of each kind that a scheme may need: Ed25519, P-256, RSA, and a text that is valid in every
    /// encoding.
    fn key(scheme: &Scheme) -> &'static str {
        match (scheme.algorithm, scheme.secret_encoding) {
            (Algorithm::Ed25519, SecretEncoding::Hex) => {
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
            }
            (Algorithm::Ed25519, _) => "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            (Algorithm::EcdsaP256, _) => {
                "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q=="
            }
            (Algorithm::RsaSha256, _) => {
                "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAq/+l1WnlRrGSolDMA+A86rAhMbQGmQ2SapVcGM3zq8ANXjnhDWocMqfWcTd95btDydITa10kDvHzw9WQOqp2MZI7ZyrfzJuz5nhTPCiJwTwnEtWft7nV14BYRDHvlfqPUaZ+1KR4OCaO/wWIk/rQL/TjY0M70gse8rlBkbo2a8rKhu69RQTRsoaf4DVhDPEeSeI5jVrRDGAMGL3cGuyY6CLKGdjVEM78g3JfYOvDU/RvfqD7L89TZ3iN94jrmWdGz34JNlEI5hqK8dd7C5EFBEbZ5jgB8s8ReQV8H+MkuffjdAj3ajDDX3DOJMIut1lBrUVD1AaSrGCKHooWoL2etwIDAQAB"
            }
            _ => "0123456789abcdef0123456789abcdef",
        }
    }

    fn plan<'p>(
        scheme: &'static Scheme,
        queue: bool,
        secret: &'p SecretLocation,
        token: &'p SecretLocation,
    ) -> NewConfig<'p> {
        let needs_token = scheme.challenge.as_ref().is_some_and(Challenge::needs_token);
        NewConfig {
            scheme,
            path: "/hooks/sender",
            upstream: "http://127.0.0.1:3000",
            domains: &[],
            contact: None,
            queue,
            admin: Some(([127, 0, 0, 1], 9901).into()),
            secret,
            token: needs_token.then_some(token),
        }
    }

    #[test]
    fn the_file_of_every_sender_is_valid_and_has_no_warning_that_it_could_avoid() {
        let (secret, token) =
            (SecretLocation::Variable("SECRET".to_owned()), SecretLocation::File("token".to_owned()));
        for scheme in PRESETS.iter() {
            for queue in [false, true] {
                let text = plan(scheme, queue, &secret, &token).text();
                let environment = Fixed::new(NonZeroUsize::MIN)
                    .with_variable("SECRET", key(scheme))
                    .with_file("token", "fedcba9876543210fedcba9876543210");
                let loaded = read("gateway.toml", &text, &environment, SystemTime::UNIX_EPOCH);
                let loaded = loaded.unwrap_or_else(|report| panic!("{text}\n{report:?}"));
                let codes: Vec<_> = loaded.report.problems.iter().map(|problem| problem.code).collect();
                // Only the app can leave the time to the gateway.
                let is_late = queue && scheme.timestamp.is_some() && !scheme.can_refresh();
                assert_eq!(codes, if is_late { vec!["signed_time"] } else { vec![] }, "{text}");
                let route = loaded.config.routes.first().unwrap();
                assert_eq!(route.delivery.mode != DeliveryMode::Direct, queue, "{}", scheme.name);
                assert!(text.lines().all(|line| line.chars().count() <= 240), "{text}");
            }
        }
    }

    #[test]
    fn a_domain_gets_a_listener_with_certificates_of_an_authority() {
        let scheme = Scheme::preset("square").unwrap();
        let secret = SecretLocation::Variable("SQUARE_WEBHOOK_SECRET".to_owned());
        let domains = ["hooks.example.com".to_owned(), "www.example.com".to_owned()];
        let plan = NewConfig {
            domains: &domains,
            contact: Some("ops@example.com"),
            ..plan(scheme, false, &secret, &secret)
        };
        let text = plan.text();
        for line in [
            "[tls]",
            "listen = \"0.0.0.0:443\"",
            "[tls.acme]",
            "domains = [\"hooks.example.com\", \"www.example.com\"]",
            "contact = \"ops@example.com\"",
            "storage = \"acme\"",
            "public_url = \"https://hooks.example.com\"",
            "secrets = [{ env = \"SQUARE_WEBHOOK_SECRET\" }]",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert_eq!(plan.url().unwrap(), "https://hooks.example.com/hooks/sender");
    }
}
