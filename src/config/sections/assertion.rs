//! Pure. Reads `assertion` of `[forward]`: the key with which the gateway signs the requests that it
//! forwards.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::bounds::Durations;
use crate::config::problem::Problem;
use crate::config::sections::secret::{self, Context};
use crate::config::sections::secret_purpose::Purpose;
use crate::config::size_and_duration::write_duration;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Route, keys};
use crate::signature::message_signature::{LONGEST_KEY_ID, MessageAlgorithm, MessageKey, Signer, is_key_id};
use crate::signature::secret::SecretEncoding;
use crate::upstream::assertion::takes_field_of;

/// The name of the key, if `key_id` sets none.
const DEFAULT_KEY_ID: &str = "hookgate";

/// How long a signature is valid, if `expires` does not say it.
const DEFAULT_EXPIRES: Duration = Duration::from_secs(5 * 60);

/// The bounds of `expires`. A longer time would let a captured request be sent again for long.
const EXPIRES: Durations = Durations {
    most: Duration::from_secs(24 * 3600),
    not_zero: "no signature would be valid",
    hint: "the default is",
};

/// The shortest key for HMAC without a warning (RFC 2104, section 3: the length of the hash).
const SHORTEST_GOOD_KEY: usize = 32;

/// Reads the table. `None` if it has an error.
pub(crate) fn read(item: &Item<'_>, context: Context<'_>) -> Option<Arc<Signer>> {
    let table = Table::of(item, "`assertion`", &item.write(EXAMPLE), keys::ASSERTION)?;
    let algorithm = table
        .get("algorithm")
        .map_or(Some(MessageAlgorithm::HmacSha256), |item| item.choice(&MessageAlgorithm::ALL));
    let key_id = table.get("key_id").map_or(Some(DEFAULT_KEY_ID.to_owned()), |item| key_id(&item));
    let valid_for = table.get("expires").map_or(Some(DEFAULT_EXPIRES), |item| expires(&item));
    let key = table.required("key", "{ file = \"/run/secrets/hookgate-assertion\" }");
    let key = key.and_then(|item| key_of(&item, algorithm?, context));
    Some(Arc::new(Signer { key: key?, key_id: key_id?, valid_for: valid_for? }))
}

fn key_id(item: &Item<'_>) -> Option<String> {
    let text = item.text("\"2026-11\"")?;
    if is_key_id(text) {
        return Some(text.to_owned());
    }
    let message = format!(
        "a key's name has 1 to {LONGEST_KEY_ID} visible ASCII characters, and no quotation mark and no backslash"
    );
    item.error("bad_name", message).help("for example `key_id = \"2026-11\"`").refuse(item.problems)
}

/// Reads a time in whole seconds: RFC 9421 has no others.
fn expires(item: &Item<'_>) -> Option<Duration> {
    let duration = item.duration_within(EXPIRES, DEFAULT_EXPIRES)?;
    if duration.subsec_nanos() == 0 {
        return Some(duration);
    }
    item.error("bad_duration", "`expires` has whole seconds")
        .help(format!("the default is `\"{}\"`", write_duration(DEFAULT_EXPIRES)))
        .refuse(item.problems)
}

fn key_of(item: &Item<'_>, algorithm: MessageAlgorithm, context: Context<'_>) -> Option<MessageKey> {
    let table = Table::of(item, "`key` of `assertion`", &item.write(KEY_EXAMPLE), keys::ASSERTION_KEY)?;
    let (place, text) = secret::text_of(&table, Purpose::Assertion, context)?;
    if text.trim_ascii().is_empty() {
        return place.error("secret_empty", "this key is empty").help(make(algorithm)).refuse(place.problems);
    }
    match algorithm {
        MessageAlgorithm::HmacSha256 => hmac(&table, &place, &text),
        MessageAlgorithm::Ed25519 => ed25519(&table, &place, &text),
    }
}

fn hmac(table: &Table<'_>, place: &Item<'_>, text: &Zeroizing<Vec<u8>>) -> Option<MessageKey> {
    if text.trim_ascii().starts_with(b"-----BEGIN") {
        return place
            .error("bad_key", "this is a key in PEM, and HMAC has none of this form")
            .help("write `algorithm = \"ed25519\"`")
            .refuse(place.problems);
    }
    let encoding = table.choice("encoding", &SecretEncoding::ALL, SecretEncoding::Utf8);
    let key = match encoding.decode(text) {
        Ok(key) => key,
        Err(error) => {
            let help = format!("correct the key, or its `encoding`; {}", make(MessageAlgorithm::HmacSha256));
            return place.error("secret_encoding", error.to_string()).help(help).refuse(place.problems);
        }
    };
    if key.len() < SHORTEST_GOOD_KEY {
        let message = format!("this key has only {} bytes", key.len());
        let help =
            format!("{SHORTEST_GOOD_KEY} random bytes are the least: {}", make(MessageAlgorithm::HmacSha256));
        place.warning("secret_short", message).help(help).report(place.problems);
    }
    MessageKey::hmac(&key).ok()
}

fn ed25519(table: &Table<'_>, place: &Item<'_>, text: &[u8]) -> Option<MessageKey> {
    if let Some(encoding) = table.get("encoding") {
        return encoding
            .error("bad_value", "`encoding` is for HMAC: a private key is read in each of its forms")
            .help("remove `encoding`")
            .refuse(encoding.problems);
    }
    match MessageKey::ed25519(text) {
        Ok(key) => Some(key),
        Err(_undisclosed) => place
            .error("bad_key", "this is no private key for Ed25519")
            .help(make(MessageAlgorithm::Ed25519))
            .refuse(place.problems),
    }
}

/// How a key is made.
fn make(algorithm: MessageAlgorithm) -> &'static str {
    match algorithm {
        MessageAlgorithm::HmacSha256 => "make one: openssl rand -hex 32",
        MessageAlgorithm::Ed25519 => "make one: openssl genpkey -algorithm ed25519",
    }
}

/// Compares the assertion with the routes. Reports an error if a sender has the same key. Warns of senders
/// that sign in a field that the assertion needs: their apps do not get the sender's signature.
pub(crate) fn compare(root: &Table<'_>, signer: Option<&Signer>, routes: &[Route]) {
    let Some(item) = root.get("forward").and_then(|item| {
        let table = item.value.as_table()?;
        let (key, value) = table.get_key_value("assertion")?;
        Some(Item { name: "assertion", key: key.span(), value: value.get_ref(), span: value.span(), ..item })
    }) else {
        return;
    };
    let same =
        |route: &Route| route.verifier.all().find_map(|one| Some(Arc::clone(signer?.key.secret_in(one)?)));
    let same = routes.iter().find_map(|route| Some((route, same(route)?)));
    if let Some((route, name)) = same {
        let message = format!("the secret `{name}` of {} is the same key", route.path.as_str());
        item.error("duplicate_secret", message)
            .label("an app with this key could forge the sender's events")
            .help(make(MessageAlgorithm::HmacSha256))
            .report(root.problems);
    }
    let mut told: Vec<&str> = Vec::new();
    let all = routes.iter().flat_map(|route| route.verifier.all().map(move |one| (route, one.scheme())));
    for (route, scheme) in all {
        if !takes_field_of(scheme) || told.contains(&&*scheme.name) {
            continue;
        }
        told.push(&scheme.name);
        let (name, path) = (&scheme.name, route.path.as_str());
        let message = format!(
            "scheme `{name}` of {path} has its own signature in the field that the assertion needs: \
             the app gets the assertion instead"
        );
        Problem::warning("assertion_field", item.key.clone(), message)
            .help("let the app verify the assertion (docs/assertion.md), and not the sender's signature")
            .report(root.problems);
    }
}

const EXAMPLE: &str = "{ key = { file = \"/run/secrets/hookgate-assertion\" }, algorithm = \"ed25519\" }";
const KEY_EXAMPLE: &str = "{ file = \"/run/secrets/hookgate-assertion\" }";

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    use super::*;
    use crate::config::environment::Fixed;
    use crate::config::problem::Report;
    use crate::config::problem::Style;
    use crate::config::{Loaded, read};

    /// The key in RFC 9421, appendix B.1.4.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
                       MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n\
                       -----END PRIVATE KEY-----\n";

    fn loaded(assertion: &str, scheme: &str) -> Result<Loaded, Report> {
        let text = format!(
            "[forward]\nassertion = {assertion}\n[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:3000\"\n\
             signature = {{ scheme = \"{scheme}\", secrets = [{{ env = \"SENDER\" }}] }}\n"
        );
        let environment = Fixed::new(NonZeroUsize::MIN)
            .with_variable("SENDER", "an own secret of the sender: 0001")
            .with_variable("KEY", "0123456789abcdef0123456789abcdef")
            .with_variable("SHORT", "0123456789abcdef0123456789abcde")
            .with_variable("BLANK", " \n")
            .with_variable("HEX", "00".repeat(32))
            .with_variable("PEM_IN_VARIABLE", PEM)
            .with_file("hmac", "0123456789abcdef0123456789abcdef\n")
            .with_file("pem", PEM);
        read("gateway.toml", &text, &environment, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_signer_is_what_the_file_says() {
        for (assertion, algorithm, key_id, seconds) in [
            ("{ key = { env = \"KEY\" } }", MessageAlgorithm::HmacSha256, "hookgate", 300),
            (
                "{ key = { file = \"hmac\" }, algorithm = \"hmac-sha256\", expires = \"1s\" }",
                MessageAlgorithm::HmacSha256,
                "hookgate",
                1,
            ),
            (
                "{ key = { env = \"HEX\", encoding = \"hex\" }, key_id = \"a/b#1\" }",
                MessageAlgorithm::HmacSha256,
                "a/b#1",
                300,
            ),
            (
                "{ key = { file = \"pem\" }, algorithm = \"ed25519\", key_id = \"2\", expires = \"1d\" }",
                MessageAlgorithm::Ed25519,
                "2",
                86_400,
            ),
            (
                "{ key = { env = \"PEM_IN_VARIABLE\" }, algorithm = \"ed25519\" }",
                MessageAlgorithm::Ed25519,
                "hookgate",
                300,
            ),
            (
                "{ key = { env = \"HEX\" }, algorithm = \"ed25519\" }",
                MessageAlgorithm::Ed25519,
                "hookgate",
                300,
            ),
        ] {
            let loaded = loaded(assertion, "propify").unwrap();
            let signer = loaded.config.forward.assertion.unwrap();
            let got = (signer.key.algorithm(), &*signer.key_id, signer.valid_for.as_secs());
            assert_eq!(got, (algorithm, key_id, seconds), "{assertion}");
            assert_eq!(loaded.report.warnings().count(), 0, "{assertion}");
        }
    }

    #[test]
    fn the_key_is_compared_with_every_signature_of_a_route() {
        let text = "[forward]\nassertion = { key = { env = \"SENDER\" } }\n[[routes]]\npath = \"/\"\n\
             upstream = \"http://127.0.0.1:3000\"\nsignature = [{ scheme = \"gitlab\", secrets = [{ env = \"KEY\" }] }, \
             { scheme = \"github\", secrets = [{ env = \"SENDER\" }] }]\n";
        let environment = Fixed::new(NonZeroUsize::MIN)
            .with_variable("SENDER", "an own secret of the sender: 0001")
            .with_variable("KEY", "0123456789abcdef0123456789abcdef");
        let report = read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH).unwrap_err();
        assert!(report.render(Style::Plain).contains("duplicate_secret"));
    }

    #[test]
    fn each_mistake_is_an_error() {
        for (assertion, code) in [
            ("{}", "missing_key"),
            ("{ key = {} }", "missing_key"),
            ("\"hunter2\"", "wrong_type"),
            ("{ key = \"hunter2\" }", "wrong_type"),
            ("{ key = { env = \"UNSET\" } }", "secret_unset"),
            ("{ key = { env = \"SENDER\" } }", "duplicate_secret"),
            ("{ key = { env = \"BLANK\" } }", "secret_empty"),
            ("{ key = { file = \"none\" } }", "secret_unreadable"),
            ("{ key = { env = \"KEY\", encoding = \"base64\" } }", ""),
            ("{ key = { env = \"KEY\", encoding = \"hex\" } }", ""),
            ("{ key = { env = \"PEM_IN_VARIABLE\", encoding = \"hex\" } }", "bad_key"),
            ("{ key = { file = \"pem\" } }", "bad_key"),
            ("{ key = { env = \"KEY\" }, algorithm = \"ed25519\" }", "bad_key"),
            ("{ key = { env = \"HEX\", encoding = \"hex\" }, algorithm = \"ed25519\" }", "bad_value"),
            ("{ key = { env = \"KEY\" }, algorithm = \"rsa-pss-sha512\" }", "bad_value"),
            ("{ key = { env = \"KEY\" }, key_id = \"a b\" }", "bad_name"),
            ("{ key = { env = \"KEY\" }, key_id = \"\" }", "bad_name"),
            ("{ key = { env = \"KEY\" }, expires = \"0s\" }", "out_of_range"),
            ("{ key = { env = \"KEY\" }, expires = \"2d\" }", "out_of_range"),
            ("{ key = { env = \"KEY\" }, expires = \"1500ms\" }", "bad_duration"),
            ("{ key = { env = \"KEY\" }, expires = 300 }", "wrong_type"),
            ("{ key = { env = \"KEY\" }, label = \"a\" }", "unknown_key"),
        ] {
            let codes = match loaded(assertion, "propify") {
                Ok(_) => Vec::new(),
                Err(report) => {
                    let shown = report.render(Style::Plain);
                    assert!(!shown.contains("hunter2"), "{shown}");
                    report.errors().map(|problem| problem.code).collect()
                }
            };
            let want: Vec<_> = Some(code).filter(|code| !code.is_empty()).into_iter().collect();
            assert_eq!(codes, want, "{assertion}");
        }
    }

    #[test]
    fn a_key_that_is_a_senders_secret_is_refused_whatever_the_sender_signs_with() {
        for scheme in ["propify", "vercel", "terraform", "gitlab"] {
            let text = format!(
                "[forward]\nassertion = {{ key = {{ env = \"KEY\" }} }}\n[[routes]]\npath = \"/\"\n\
                 upstream = \"http://127.0.0.1:3000\"\n\
                 signature = {{ scheme = \"{scheme}\", secrets = [{{ env = \"OTHER\" }}, {{ env = \"SAME\" }}] }}\n"
            );
            let environment = Fixed::new(NonZeroUsize::MIN)
                .with_variable("OTHER", "an own secret of the sender: 0001")
                .with_variable("SAME", "0123456789abcdef0123456789abcdef")
                .with_variable("KEY", "0123456789abcdef0123456789abcdef");
            let read = read("gateway.toml", &text, &environment, SystemTime::UNIX_EPOCH);
            let codes: Vec<_> = read.err().iter().flat_map(Report::errors).map(|one| one.code).collect();
            assert_eq!(codes, ["duplicate_secret"], "{scheme}");
        }
    }

    #[test]
    fn a_weak_key_and_a_sender_that_gives_way_are_warned_about() {
        let warnings = |assertion: &str, scheme: &str| {
            let report = loaded(assertion, scheme).unwrap().report;
            report.warnings().map(|problem| problem.code).collect::<Vec<_>>()
        };
        assert_eq!(warnings("{ key = { env = \"SHORT\" } }", "propify"), ["secret_short"]);
        assert_eq!(warnings("{ key = { env = \"HEX\", encoding = \"hex\" } }", "propify"), [""; 0]);
        let scheme = crate::signature::scheme::PRESETS.iter().find(|scheme| takes_field_of(scheme)).unwrap();
        assert_eq!(warnings("{ key = { env = \"KEY\" } }", &scheme.name), ["assertion_field"]);
    }

    #[test]
    fn a_key_in_the_file_is_in_no_rendering() {
        for (before, after) in [("", ""), ("listen = 1\n", ""), ("", "\n[[routes]\n"), ("", "\n= 1")] {
            for key in
                ["{ value = \"hunter2hunter2\" }", "{ vlaue = \"hunter2hunter2\" }", "\"hunter2hunter2\""]
            {
                let text =
                    format!("{before}[forward]\nassertion = {{ key = {key}, algorithm = \"x\" }}\n{after}");
                let environment = Fixed::new(NonZeroUsize::MIN);
                let report = read("gateway.toml", &text, &environment, SystemTime::UNIX_EPOCH).unwrap_err();
                let shown = format!("{}{}{report:?}", report.render(Style::Plain), report.to_json());
                assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
    }
}
