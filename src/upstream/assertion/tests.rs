//! Tests of the assertion on a forwarded request.

use std::time::Duration;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::signature::Verifier;
use crate::signature::message_signature::{MessageKey, signature_base};
use crate::signature::scheme::PRESETS;
use crate::signature::secret::Key;
use crate::signature::secret::Secret;
use crate::upstream::request::ForwardOptions;

const CONTENT: &[u8] = b"{\"id\":1}";

fn scheme(name: &str) -> &'static Scheme {
    PRESETS.iter().find(|preset| preset.name == name).unwrap()
}

fn assertion_of(scheme_name: &str, event_id_field: Option<&str>) -> Assertion {
    let key = MessageKey::hmac(&Key::new(vec![7; 32])).unwrap();
    let signer = Signer { key, key_id: "k1".to_owned(), valid_for: Duration::from_secs(300) };
    let forward = config::Forward {
        assertion: Some(Arc::new(signer)),
        event_id_field: event_id_field.map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap()),
        ..config::Forward::default()
    };
    Assertion::new(&forward, scheme(scheme_name)).unwrap()
}

fn assertion() -> Assertion {
    assertion_of("propify", None)
}

fn facts() -> Asserted {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Asserted { digest: Sha256::digest(CONTENT).into(), at }
}

fn digest() -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(CONTENT)))
}

fn head(target: &str, lines: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a\r\n{lines}content-length: 8\r\n\r\n")
}

fn signed(assertion: &Assertion, head: &str) -> String {
    String::from_utf8(assertion.signed(head.as_bytes(), &facts(), None, 0)).unwrap()
}

/// The lines of these fields.
fn lines<'h>(head: &'h str, names: &[&str]) -> Vec<&'h str> {
    let is = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted))
    };
    head.split("\r\n").skip(1).filter(is).collect()
}

const PARAMETERS: &str = ";created=1700000000;expires=1700000300;keyid=\"k1\";tag=\"hookgate\"";

/// The members of an assertion over these components and their values.
fn expected(components: &[(&str, &str)]) -> [String; 2] {
    let signer = assertion().signer;
    let names: Vec<_> = components.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let input = format!("({}){PARAMETERS}", names.join(" "));
    let components: Vec<_> =
        components.iter().map(|(name, value)| Component { name, value: value.as_bytes() }).collect();
    let signature = STANDARD.encode(signer.key.sign(&signature_base(&components, &input)));
    [format!("signature-input: hookgate={input}"), format!("signature: hookgate=:{signature}:")]
}

fn usual(target: &str) -> [String; 2] {
    let (path, query) =
        target.split_once('?').map_or((target, String::new()), |(path, query)| (path, query.to_owned()));
    let (query, digest) = (format!("?{query}"), digest());
    expected(&[("@method", "POST"), ("@path", path), ("@query", &query), ("content-digest", &digest)])
}

#[test]
fn a_verified_request_is_signed_over_method_path_query_and_digest() {
    for target in ["/hook", "/hook?", "/hook?a=b&c=%2F?d", "/", "/a%20b/:c;d"] {
        let out = signed(&assertion(), &head(target, "X-Other:  b \r\n"));
        let [input, signature] = usual(target);
        let digest = digest();
        let want = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nX-Other:  b \r\ncontent-length: 8\r\ncontent-digest: {digest}\r\n\
             {input}\r\n{signature}\r\n\r\n"
        );
        assert_eq!(out, want);
    }
}

#[test]
fn another_method_path_query_digest_time_or_key_has_another_signature() {
    let sign = |method: &str, target: &str, asserted: &Asserted| {
        let head = format!("{method} {target} HTTP/1.1\r\n\r\n");
        let out = assertion().signed(head.as_bytes(), asserted, None, 0);
        lines(std::str::from_utf8(&out).unwrap(), &["signature"])[0].to_owned()
    };
    let later = Asserted { at: facts().at + Duration::from_secs(1), ..facts() };
    let other = Asserted { digest: [0; 32], ..facts() };
    let mut all = vec![
        sign("POST", "/a?b", &facts()),
        sign("PUT", "/a?b", &facts()),
        sign("POST", "/b?b", &facts()),
        sign("POST", "/a?c", &facts()),
        sign("POST", "/a?b", &later),
        sign("POST", "/a?b", &other),
    ];
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 6);
}

#[test]
fn the_id_of_the_event_is_signed_if_the_gateway_has_written_it() {
    let event = EventId::from_bytes([1; 16]);
    let with = |field: Option<&str>, lines: &str| {
        let head = head("/hook", lines);
        String::from_utf8(assertion_of("propify", field).signed(head.as_bytes(), &facts(), Some(event), 0))
            .unwrap()
    };
    let (id, digest) = (event.to_string(), digest());
    let line = format!("X-Event: {id}\r\n");
    let out = with(Some("x-event"), &line);
    let want = expected(&[
        ("@method", "POST"),
        ("@path", "/hook"),
        ("@query", "?"),
        ("content-digest", &digest),
        ("x-event", &id),
    ]);
    assert_eq!(lines(&out, &FIELDS[..2]), want);
    // The head was stored under another configuration, and the field is the client's.
    for (field, line) in [
        (None, line.as_str()),
        (Some("x-other"), &line),
        (Some("x-event"), "x-event: invented\r\n"),
        (Some("x-event"), &format!("{line}{line}")),
    ] {
        assert_eq!(lines(&with(field, line), &FIELDS[..2]), usual("/hook"), "{field:?} {line}");
    }
}

#[test]
fn signatures_of_a_sender_stay_and_members_under_the_label_of_the_gateway_go() {
    let [input, signature] = usual("/hook");
    for (sent, kept) in [
        ("signature: hookgate=:YQ==:\r\n", vec![]),
        ("signature: hookgate\r\nsignature-input: hookgate=1\r\n", vec![]),
        ("x-signature: hookgate=:YQ==:\r\n", vec![]),
        (
            "Signature-Input: sig1=(\"date\");created=1\r\nSignature:  sig1=:YQ==: \r\n",
            vec!["Signature-Input: sig1=(\"date\");created=1", "Signature:  sig1=:YQ==: "],
        ),
        (
            "Signature: a=:YQ==:, hookgate=:YQ==:,b=:Yg:;c\r\nsignature-input: a=(), b=()\r\n",
            vec!["Signature: a=:YQ==:, b=:Yg==:;c", "signature-input: a=(), b=()"],
        ),
        (
            "signature: a=:YQ==:\r\nSIGNATURE: hookgate=:YQ==:\r\nsignature: b=:Yg==:\r\nsignature-input: b=()\r\n\
             signature-input: hookgate=(\"@method\");tag=\"hookgate\", a=(\"x\"  \"y\");created=1\r\n",
            vec![
                "signature: a=:YQ==:",
                "signature: b=:Yg==:",
                "signature-input: b=()",
                "signature-input: a=(\"x\" \"y\");created=1",
            ],
        ),
        (
            "signature: hookgates=:YQ==:, a_hookgate=:YQ==:\r\nsignature-input: a_hookgate=(), hookgates=()\r\n",
            vec![
                "signature: hookgates=:YQ==:, a_hookgate=:YQ==:",
                "signature-input: a_hookgate=(), hookgates=()",
            ],
        ),
    ] {
        let out = signed(&assertion(), &head("/hook", sent));
        let mut want = kept.clone();
        want.extend([input.as_str(), &signature]);
        let got = lines(&out, &FIELDS[..2]);
        assert_eq!(got, want, "{sent}");
        let removed = String::from_utf8(assertion().removed(head("/hook", sent).as_bytes(), 0)).unwrap();
        assert_eq!(lines(&removed, &FIELDS[..2]), kept, "{sent}");
    }
}

/// A strict library reads no signature of a request that has anything else in these fields.
#[test]
fn members_that_are_no_message_signatures_go_from_a_verified_request() {
    for sent in [
        "signature: sig1=:YQ==:\r\n",
        "signature-input: sig1=()\r\n",
        "signature: a=:YQ==:\r\nsignature-input: b=()\r\n",
        "signature: a=:YQ==:, b=:YQ==:\r\nsignature-input: b=()\r\n",
        "signature: a=1\r\nsignature-input: a=()\r\n",
        "signature: a=(:YQ==:)\r\nsignature-input: a=()\r\n",
        "signature: a=:YQ==:\r\nsignature-input: a=1\r\n",
        "signature: a=:YQ==:\r\nsignature-input: a=(), b=\"x, hookgate=()\"\r\n",
    ] {
        let out = signed(&assertion(), &head("/hook", sent));
        assert_eq!(lines(&out, &FIELDS[..2]), usual("/hook"), "{sent}");
        let unverified = head("/hook", sent);
        assert_eq!(assertion().removed(unverified.as_bytes(), 0), unverified.as_bytes());
    }
}

#[test]
fn a_field_that_is_no_dictionary_goes_because_nothing_can_be_removed_from_it() {
    for sent in [
        "signature: 9ea2daab\r\n",
        "signature: Hookgate=:YQ==:\r\n",
        "signature: hookgate=:YQ==:,\r\n",
        "signature: a=\"x\r\nsignature: hookgate=:z:\", b=1\r\n",
        "signature: a=1\r\nsignature: \x7f\r\n",
        "signature: \r\n",
    ] {
        let out = signed(&assertion(), &head("/hook", sent));
        assert_eq!(lines(&out, &FIELDS[..2]), usual("/hook"), "{sent}");
        let removed = String::from_utf8(assertion().removed(head("/hook", sent).as_bytes(), 0)).unwrap();
        assert_eq!(removed, head("/hook", ""), "{sent}");
    }
}

#[test]
fn a_scheme_that_signs_in_the_field_of_the_assertion_gives_way_to_it() {
    let taken: Vec<_> = PRESETS.iter().filter(|scheme| takes_field_of(scheme)).collect();
    assert!(!taken.is_empty());
    for scheme in taken {
        let assertion = assertion_of(&scheme.name, None);
        // The field may look like a dictionary by chance. So it is always removed.
        for sent in ["signature: 9ea2daab\r\n", "signature: a=1\r\n", "signature-input: a=1\r\n"] {
            let out = signed(&assertion, &head("/hook", sent));
            assert_eq!(lines(&out, &FIELDS[..2]), usual("/hook"), "{sent}");
            let unverified = head("/hook", sent);
            assert_eq!(assertion.removed(unverified.as_bytes(), 0), unverified.as_bytes());
        }
    }
}

#[test]
fn there_is_one_digest_and_it_is_right() {
    let right = digest();
    let wrong = format!("sha-256=:{}:", STANDARD.encode([1; 32]));
    for (sent, kept) in [
        (format!("Content-Digest: {right}\r\n"), true),
        (format!("content-digest:  {right} \r\n"), true),
        (format!("content-digest: {wrong}\r\n"), false),
        (format!("content-digest: {right}, sha-512=:YQ==:\r\n"), false),
        (format!("content-digest: {right}\r\ncontent-digest: {wrong}\r\n"), false),
        (format!("content-digest: {wrong}, {right}\r\n"), false),
        ("content-digest: sha-512=:YQ==:\r\n".to_owned(), false),
        ("content-digest: sha-256=\"YQ==\"\r\n".to_owned(), false),
        ("content-digest: SHA-256=YQ==\r\n".to_owned(), false),
        ("content-digest: \r\n".to_owned(), false),
    ] {
        let out = signed(&assertion(), &head("/hook", &sent));
        let got = lines(&out, &["content-digest"]);
        if kept {
            assert_eq!(got, [sent.trim_end_matches("\r\n")]);
            let value = got[0].split_once(':').unwrap().1.trim();
            let want = expected(&[
                ("@method", "POST"),
                ("@path", "/hook"),
                ("@query", "?"),
                ("content-digest", value),
            ]);
            assert_eq!(lines(&out, &FIELDS[..2]), want);
        } else {
            assert_eq!(got, [format!("content-digest: {right}")], "{sent}");
            assert_eq!(lines(&out, &FIELDS[..2]), usual("/hook"), "{sent}");
        }
        // The gateway asserts nothing about an unverified request.
        let unverified = head("/hook", &sent);
        assert_eq!(assertion().removed(unverified.as_bytes(), 0), unverified.as_bytes());
    }
}

proptest! {
    #[test]
    fn exactly_one_assertion_remains_whatever_a_client_sends(
        sent in proptest::collection::vec(
            ("(signature|Signature-Input|content-digest|x-a)", "(hookgate|a|=|:YQ==:|\\(\"@method\"\\)|;| |,|\"|9){0,9}"), 0..6,
        ),
    ) {
        let text: String = sent.iter().map(|(name, value)| format!("{name}: {}\r\n", value.trim())).collect();
        let out = signed(&assertion(), &head("/hook", &text));
        let joined = |field: &str| {
            let values: Vec<_> = lines(&out, &[field]).into_iter().map(|line| line.split_once(':').unwrap().1.trim()).collect();
            values.join(", ")
        };
        for (field, ours) in FIELDS.iter().zip(usual("/hook").iter().rev()) {
            let members = parse(joined(field).as_bytes()).unwrap();
            let ours = parse(ours.split_once(": ").unwrap().1.as_bytes()).unwrap();
            prop_assert_eq!(members.get(LABEL), ours.get(LABEL), "{}", field);
            prop_assert_eq!(joined(field).matches("hookgate=").count(), 1);
        }
        prop_assert_eq!(joined("content-digest"), digest());
        let others = |head: &str| lines(head, &["x-a", "host", "content-length"]).join("\n");
        prop_assert_eq!(others(&out), others(&head("/hook", &text)));
    }
}

#[test]
fn a_further_scheme_of_the_route_that_signs_in_the_field_of_the_assertion_gives_way_to_it() {
    let taking = PRESETS.iter().find(|scheme| takes_field_of(scheme)).unwrap();
    let secret = |text: &str| Secret { name: text.into(), key: Key::new(text.into()), not_after: None };
    let other = Verifier::new(taking.clone(), vec![secret("b")]).unwrap();
    let verifier = Verifier::new(scheme("propify").clone(), vec![secret("a")]).unwrap();
    let verifier = verifier.before(vec![Arc::new(other)]);
    let key = MessageKey::hmac(&Key::new(vec![7; 32])).unwrap();
    let signer = Signer { key, key_id: "k1".to_owned(), valid_for: Duration::from_secs(300) };
    let forward = config::Forward { assertion: Some(Arc::new(signer)), ..config::Forward::default() };
    let assertion = ForwardOptions::of_route(&forward, &verifier).assertion.unwrap();
    // Fields that look like another message signature. A route without such a scheme keeps them.
    let sent = head("/hook", "signature-input: a=(\"@method\")\r\nsignature: a=:AA==:\r\n");
    assert_eq!(lines(&signed(&assertion, &sent), &FIELDS[..2]), usual("/hook"));
    let alone = ForwardOptions::new(&forward, scheme("propify")).assertion.unwrap();
    assert_ne!(lines(&signed(&alone, &sent), &FIELDS[..2]), usual("/hook"));
}
