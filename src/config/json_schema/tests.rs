//! Shell. Tests that the schema and the reader agree, for every key and for every file in `tests/config`.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::SystemTime;

use jsonschema::Validator;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::config::environment::Fixed;
use crate::config::problem::{Report, Style};
use crate::config::{Loaded, read};
use crate::tls::sample::{Sample, self_signed};

/// The schema, compiled once, because compiling takes longer than any check.
fn validator() -> &'static Validator {
    static VALIDATOR: LazyLock<Validator> =
        LazyLock::new(|| jsonschema::draft7::new(&schema()).expect("the schema is one"));
    &VALIDATOR
}

/// A configuration that has every table.
fn base() -> Json {
    json!({
        "server": {
            "listen": ["127.0.0.1:1", "unix:/a"],
            "proxy_protocol": { "trusted": ["unix"] },
            "client_address": { "trusted": ["unix"] },
        },
        "tls": {
            "listen": "127.0.0.1:2",
            "certificates": [{ "cert": "/tls.pem", "key": "/tls.key" }],
            "client_ca": "/tls.pem",
            "acme": {
                "domains": ["a.example"], "storage": "/acme", "directory_ca": "/tls.pem",
                "external_account": { "key_id": "a", "key": { "env": "A" } },
            },
        },
        "limits": {},
        "upstream": {},
        "admin": { "tokens": [{ "name": "ops", "env": "T" }], "tls": { "cert": "/tls.pem", "key": "/tls.key" } },
        "log": {},
        "forward": { "assertion": { "key": { "env": "T" } } },
        "queue": { "store": "/a" },
        "retry": {},
        "schemes": { "acme": {
            "header": "x-acme", "content": "{timestamp}.{body}",
            "timestamp": { "header": "x-time" }, "tolerance": {},
            "challenge": { "when": { "/type": "ping" }, "value": "/challenge", "answer": "{value}" },
            "setup": [{ "method": "OPTIONS", "header": "x-origin", "status": 200 }],
        }, "names": {
            "header": "x-names", "format": "pairs", "tag": "v1", "content": "{names}.{values}.{body}",
            "named_fields": { "key": "h", "fields": ["x-type"] },
        } },
        "signature": { "scheme": "propify", "secrets": [{ "env": "A" }] },
        "routes": [
            { "path": "/a", "upstream": "http://127.0.0.1:3000", "delivery": "queue" },
            { "path": "/b", "upstream": "http://127.0.0.1:3000", "methods": ["GET", "POST"], "signature": {
                "scheme": "meta", "secrets": [{ "env": "A" }],
                "challenge": "answer", "verify_token": { "env": "A" },
            } },
            { "path": "/c", "upstream": "http://127.0.0.1:3000", "delivery": "queue", "retry": {},
              "client_certificate": { "names": ["a"] } },
        ],
    })
}

/// The JSON pointer to each table in [`base`].
fn place(title: &str) -> &'static str {
    match title {
        "the top level" => "",
        "`[server]`" => "/server",
        "`proxy_protocol`" => "/server/proxy_protocol",
        "`client_address`" => "/server/client_address",
        "`[tls]`" => "/tls",
        "`[tls.acme]`" => "/tls/acme",
        "`external_account`" => "/tls/acme/external_account",
        "`key` of `external_account`" => "/tls/acme/external_account/key",
        "an element of `certificates`" => "/tls/certificates/0",
        "a route's `client_certificate`" => "/routes/2/client_certificate",
        "`[limits]`" => "/limits",
        "`[upstream]`" => "/upstream",
        "`[admin]`" => "/admin",
        "`[log]`" => "/log",
        "`[forward]`" => "/forward",
        "`assertion` of `[forward]`" => "/forward/assertion",
        "`key` of `assertion`" => "/forward/assertion/key",
        "`[schemes.NAME]`" => "/schemes/acme",
        "a scheme's `named_fields`" => "/schemes/names/named_fields",
        "a scheme's `timestamp`" => "/schemes/acme/timestamp",
        "a scheme's `tolerance`" => "/schemes/acme/tolerance",
        "`[queue]`" => "/queue",
        "`[retry]`" => "/retry",
        "an element of `tokens`" => "/admin/tokens/0",
        "`tls` of `[admin]`" => "/admin/tls",
        "`[[routes]]`" => "/routes/0",
        "a route's `retry`" => "/routes/2/retry",
        "`[signature]`" => "/signature",
        "an element of `secrets`" => "/signature/secrets/0",
        "a scheme's `challenge`" => "/schemes/acme/challenge",
        "an element of a scheme's `setup`" => "/schemes/acme/setup/0",
        "`verify_token`" => "/routes/1/signature/verify_token",
        other => panic!("{other} is a new table: say where it stands"),
    }
}

/// The base, with the value of one key of one table replaced or removed.
fn with(title: &str, key: &str, value: Option<Json>) -> Json {
    let mut all = base();
    let table = all.pointer_mut(place(title)).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => table.insert(key.to_owned(), value),
        None => table.remove(key),
    };
    all
}

/// Writes a value as TOML in one line. The only difference from JSON is the `=`.
fn toml(value: &Json) -> String {
    let pair = |(key, value): (&String, &Json)| format!("{} = {}", Json::from(key.as_str()), toml(value));
    match value {
        Json::Object(entries) => format!("{{ {} }}", entries.iter().map(pair).collect::<Vec<_>>().join(", ")),
        Json::Array(all) => format!("[{}]", all.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn environment() -> Fixed {
    // Made once, so that all configurations have the same.
    static CERTIFICATE: LazyLock<Sample> = LazyLock::new(|| self_signed(&["localhost"]));
    let root = CertificateDer::from_pem_slice(CERTIFICATE.cert.as_bytes()).unwrap();
    Fixed::new(NonZeroUsize::MIN)
        .with_variable("A", "0123456789abcdef0123456789abcdef")
        .with_variable("T", "00112233445566778899aabbccddeeff")
        .with_file("/tls.pem", CERTIFICATE.cert.as_str())
        .with_file("/tls.key", CERTIFICATE.key.as_str())
        .with_system_root(root)
        .with_file("/b", "fedcba9876543210fedcba9876543210")
}

fn loaded(all: &Json) -> Result<Loaded, Report> {
    let lines = all.as_object().unwrap().iter().map(|(key, value)| format!("{key} = {}\n", toml(value)));
    read("gateway.toml", &lines.collect::<String>(), &environment(), SystemTime::UNIX_EPOCH)
}

/// The codes of the problems that the reader finds.
fn codes(all: &Json) -> Vec<String> {
    let report = loaded(all).map(|loaded| loaded.report).unwrap_or_else(|report| report);
    let codes =
        report.problems.iter().filter(|problem| problem.severity == crate::config::problem::Severity::Error);
    codes.map(|problem| problem.code.to_owned()).collect()
}

fn both_take(all: &Json) {
    if let Err(report) = loaded(all) {
        panic!("the reader: {all}\n{}", report.render(Style::Plain));
    }
    let errors: Vec<String> = validator().iter_errors(all).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "the schema: {all}\n{errors:?}");
}

fn both_refuse(all: &Json, code: &str) {
    assert!(codes(all).iter().any(|found| found == code), "the reader takes {all}, or says {:?}", codes(all));
    assert!(!validator().is_valid(all), "the schema takes {all}");
}

/// Every key, with its table.
fn keys() -> impl Iterator<Item = (&'static str, &'static Key)> {
    TABLES.iter().flat_map(|(title, keys)| keys.iter().map(move |key| (*title, key)))
}

#[test]
fn both_take_the_base_and_refuse_unknown_keys() {
    both_take(&base());
    for (title, _) in TABLES {
        both_refuse(&with(title, "nonesuch", Some(json!(1))), "unknown_key");
    }
}

#[test]
fn a_default_means_what_leaving_the_key_out_means() {
    let mut defaults = 0;
    for (title, key) in keys() {
        let Some(default) = key.default else { continue };
        let default = serde_json::from_str(default).unwrap_or_else(|error| panic!("{}: {error}", key.name));
        let (said, left_out) = (with(title, key.name, Some(default)), with(title, key.name, None));
        // `{body}` without a time conflicts with the timestamp in the base.
        if key.name == "content" {
            continue;
        }
        both_take(&said);
        let config = |all| format!("{:?}", loaded(all).unwrap().config);
        assert_eq!(config(&said), config(&left_out), "{title}: {}", key.name);
        defaults += 1;
    }
    assert!(defaults > 20, "only {defaults} defaults were looked at");
}

#[test]
fn both_refuse_a_missing_required_key() {
    let required = keys().filter(|(_, key)| key.required);
    let mut many = 0;
    for (title, key) in required {
        let code = if key.name == "routes" { "missing_routes" } else { "missing_key" };
        both_refuse(&with(title, key.name, None), code);
        many += 1;
    }
    assert!(many >= 6, "only {many} keys are required");
    for (title, key) in keys().filter(|(_, key)| !key.required) {
        let missed = codes(&with(title, key.name, None)).iter().any(|code| code == "missing_key");
        let one_of_some = matches!(
            (title, key.name),
            (_, "env") | ("a scheme's `timestamp`" | "`[schemes.NAME]`", "header")
        );
        assert_eq!(missed, one_of_some, "{title}: {}", key.name);
    }
}

#[test]
fn both_require_exactly_one_of_some_keys() {
    both_refuse(
        &with("`[signature]`", "secrets", Some(json!([{ "env": "A", "file": "/b" }]))),
        "secret_places",
    );
    both_refuse(&with("`[schemes.NAME]`", "parameter", Some(json!("signature"))), "bad_scheme");
    both_take(&with("`[signature]`", "secrets", Some(json!([{ "file": "/b" }]))));
    both_refuse(
        &with("`[schemes.NAME]`", "timestamp", Some(json!({ "header": "x-time", "key": "t" }))),
        "bad_scheme",
    );
}

#[test]
fn both_know_the_same_words() {
    for (title, key) in keys() {
        let Value::Word(words) = key.value else { continue };
        let mut all = with(title, key.name, Some(json!("nonesuch")));
        if matches!(key.name, "separator" | "after_name" | "set_separator") {
            // A list of signatures needs a tag. The base has the plain format, which has no tag.
            all["schemes"]["acme"]["format"] = json!("pairs");
            all["schemes"]["acme"]["tag"] = json!("v1");
        }
        both_refuse(&all, "bad_value");
        let report = loaded(&all).unwrap_err();
        let list = crate::config::suggest::list(words());
        let text = report.render(Style::Plain);
        assert!(text.contains(&format!("one of {list}")), "{}: {list}\n{text}", key.name);
    }
}

#[test]
fn both_have_the_same_bounds() {
    for (title, key) in keys() {
        let (least, most) = match key.value {
            Value::Size { least, most } => (least, most),
            Value::Count { least, most } => (least.try_into().unwrap(), most.try_into().unwrap()),
            _ => continue,
        };
        let takes = |number: u64| {
            let mut all = with(title, key.name, Some(json!(number)));
            // Raises the memory budget, so that content of this size is allowed.
            if key.name == "max_body" {
                all["limits"]["max_buffered"] = json!(most);
            }
            // A timestamp has one place.
            if key.name == "entry" {
                all["schemes"]["acme"]["timestamp"] = json!({ "entry": number });
            }
            let refused = codes(&all).iter().any(|code| code == "out_of_range");
            assert_eq!(refused, !validator().is_valid(&all), "{title}: {} = {number}", key.name);
            !refused
        };
        assert!(takes(least) && takes(most) && !takes(most + 1), "{title}: {}", key.name);
        assert!(least == 0 || !takes(least - 1), "{title}: {}", key.name);
    }
}

#[test]
fn both_refuse_a_value_of_another_type() {
    for (title, key) in keys() {
        let wrong = with(title, key.name, Some(json!(1.5)));
        assert!(!validator().is_valid(&wrong), "the schema takes {title}: {} = 1.5", key.name);
        assert!(loaded(&wrong).is_err(), "the reader takes {title}: {} = 1.5", key.name);
    }
}

#[test]
fn durations_are_written_alike() {
    for (text, want) in [
        ("1ms", true),
        ("010s", true),
        ("5m", true),
        ("1d", true),
        ("1m30s", true),
        ("1h0m5ms", true),
        ("0s", false),
        ("0m0s", false),
        ("30s1m", false),
        ("1m1m", false),
        ("1m 30s", false),
        ("1m30", false),
        ("", false),
        ("5", false),
        ("1.5s", false),
        ("1 s", false),
    ] {
        let all = with("`[limits]`", "idle_timeout", Some(json!(text)));
        assert_eq!((loaded(&all).is_ok(), validator().is_valid(&all)), (want, want), "{text}");
    }
}

#[test]
fn addresses_and_origins_are_written_alike() {
    for (text, want) in [
        ("127.0.0.1:80", true),
        ("[::1]:80", true),
        ("unix:/run/a.sock", true),
        (":80", false),
        ("localhost:80", false),
        ("unix:a.sock", false),
        ("unix:/run/", false),
        ("http://127.0.0.1:80", false),
    ] {
        let all = with("`[server]`", "listen", Some(json!(text)));
        assert_eq!((loaded(&all).is_ok(), validator().is_valid(&all)), (want, want), "{text}");
    }
    for (text, want) in [
        ("http://app:3000", true),
        ("http://app", true),
        ("unix:/run/a.sock", true),
        ("https://app", true),
        ("ftp://app", false),
        ("http://app/path", false),
        ("app:3000", false),
        ("unix:/run/", false),
    ] {
        let all = with("`[[routes]]`", "upstream", Some(json!(text)));
        assert_eq!((loaded(&all).is_ok(), validator().is_valid(&all)), (want, want), "{text}");
    }
}

/// A file of `tests/config` as JSON. `None` if the file is not TOML.
fn document(path: &PathBuf) -> Option<Json> {
    let mut document = toml::from_str(&fs::read_to_string(path).unwrap()).ok()?;
    with_dates_as_text(&mut document);
    Some(document)
}

/// Converts dates to text. The TOML crate serialises a date as a table with one key.
fn with_dates_as_text(value: &mut Json) {
    if let Some(date) = value.get("$__toml_private_datetime") {
        *value = date.clone();
    }
    match value {
        Json::Object(entries) => entries.values_mut().for_each(with_dates_as_text),
        Json::Array(all) => all.iter_mut().for_each(with_dates_as_text),
        _ => {}
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.sort();
    assert!(files.len() > 5, "{folder}");
    files
}

#[test]
fn every_valid_file_fits_the_schema() {
    let validator = validator();
    for path in files("tests/config/valid").into_iter().chain([PathBuf::from("gateway.toml")]) {
        let document = document(&path).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

/// Problems that a schema cannot detect: missing secrets, values that conflict.
const ONLY_THE_READER_SEES: [&str; 18] = [
    "aliases",
    "conflicts",
    "default-address-twice",
    "disagreement",
    "event-id-field-signature",
    "event-id-field",
    "named-fields",
    "no-signature",
    "queue-direct",
    "queue-missing",
    "queue-schemes",
    "request-id-field",
    "secret-decorations",
    "secrets-twice",
    "shared-secrets",
    "store",
    "verified-field-signature",
    "verified-field",
];

#[test]
fn every_file_of_a_wrong_shape_does_not_fit_the_schema() {
    let validator = validator();
    let mut takes = Vec::new();
    for path in files("tests/config/invalid") {
        if document(&path).is_some_and(|document| validator.is_valid(&document)) {
            takes.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(takes, ONLY_THE_READER_SEES);
}

/// `BLESS=1` writes the file instead of comparing it.
#[test]
fn the_schema_in_the_repository_is_the_one_that_is_printed() {
    let path = "deploy/gateway.schema.json";
    let text = format!("{:#}\n", schema());
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), text, "{path}: BLESS=1 writes it");
}
