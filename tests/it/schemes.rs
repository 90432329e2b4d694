//! Schemes that sign more than the body, through a gateway. Also routes that require more than a signature.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use hookgate::signature::scheme::{INEXPRESSIBLE, Inexpressible, PRESETS, Scheme, Source};
use hookgate::signature::secret::{Key, Secret};
use hookgate::signature::sign::Stamp;
use hookgate::signature::{Context, Fields, Verifier};

use crate::support::upstream::Oracle;
use crate::support::{
    Client, Post, Setup, Upstream, assert_refused, exchange, gateway, nothing_reached, post, unsigned,
};

const KEY: &str = "a secret that is long enough";
const CONTENT: &[u8] = b"{\"id\":\"evt_1\",\"\xff\":1}";

struct NoFields;

impl Fields for NoFields {
    fn values<'a>(&'a self, _name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        std::iter::empty()
    }
}

/// An event to `target`. The preset's sender has signed it at `moment`.
fn signed(scheme: &str, target: &str, moment: SystemTime) -> Post {
    let secret = Secret { name: "current".into(), key: Key::new(KEY.into()), not_after: None };
    let verifier = Verifier::new(Scheme::preset(scheme).unwrap().clone(), vec![secret]).unwrap();
    let origin = "https://hooks.example.com".into();
    let context = Context {
        method: "POST",
        target: target.as_bytes(),
        origin: Some(&origin),
        fields: &NoFields,
        now: moment,
    };
    let stamp = Stamp { id: Some("msg_1"), timestamp: None };
    let signature = verifier.signature(None, &context, stamp, CONTENT).unwrap();
    signature
        .lines()
        .fold(unsigned(CONTENT).target(target), |post, (name, value)| post.line(format!("{name}: {value}")))
}

/// An upstream that accepts signatures of any scheme.
fn upstream() -> Upstream {
    Upstream::ok_under(Oracle::default().observing())
}

fn before(upstream: &Upstream, scheme: &str, lines: &str) -> Setup {
    let signature = format!("scheme = \"{scheme}\"\nsecrets = [{{ value = \"{KEY}\" }}]");
    gateway().signature(&signature).route_with("/hook", &upstream.url(), lines)
}

#[test]
fn an_event_that_was_signed_too_long_ago_is_refused_before_its_body() {
    let upstream = upstream();
    let gateway = before(&upstream, "stripe", "").start();
    for moment in [SystemTime::now() - Duration::from_secs(400), SystemTime::now() + Duration::from_secs(400)]
    {
        let event = signed("stripe", "/hook", moment);
        // The client never sends the body.
        let response = Client::to(&gateway).send(event.head()).response();
        assert_refused(&response, 401, Some("timestamp_expired"));
        assert_eq!(response.value("www-authenticate").as_deref(), Some("Signature"));
    }
    nothing_reached(gateway, upstream);
}

/// Basic credentials (RFC 7617) arrive with their scheme in any case. A request without credentials is asked
/// for them (RFC 9110, section 11.6.1).
#[test]
fn basic_credentials_verify_in_any_case_and_are_asked_for_when_they_are_missing() {
    let upstream = upstream();
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("hooks:{KEY}"));
    let scheme = |name: &str, keys: &str| {
        format!("[schemes.{name}]\nalgorithm = \"token\"\nheader = \"authorization\"\n{keys}\n")
    };
    let signature = |scheme: &str, secret: &str| {
        format!("signature = {{ scheme = \"{scheme}\", secrets = [{{ value = \"{secret}\" }}] }}")
    };
    let schemes = [
        scheme("basic", "format = \"basic\""),
        scheme("prefixed", "prefix = \"Basic \""),
        scheme("bearer", "prefix = \"Bearer \""),
    ];
    let of_basic = signature("basic", &format!("hooks:{KEY}"));
    let gateway = gateway()
        .route_with("/basic", &upstream.url(), &format!("{of_basic}\n{}", schemes.concat()))
        .route_with("/prefixed", &upstream.url(), &signature("prefixed", &credentials))
        .route_with("/bearer", &upstream.url(), &signature("bearer", KEY))
        .start();
    let send = |target: &str, value: &str| {
        let post = unsigned(CONTENT).target(target);
        let post = if value.is_empty() { post } else { post.line(format!("authorization: {value}")) };
        exchange(&gateway, &post)
    };
    for target in ["/basic", "/prefixed"] {
        for scheme in ["Basic", "basic", "BASIC"] {
            send(target, &format!("{scheme} {credentials}")).assert_answer("ok");
        }
    }
    send("/bearer", &format!("bearer {KEY}")).assert_answer("ok");
    let wrong = base64::engine::general_purpose::STANDARD.encode("hooks:another password");
    for (target, value, reason, asked) in [
        ("/basic", String::new(), "signature_missing", "Basic realm=\"webhooks\""),
        ("/basic", format!("Basic {wrong}"), "signature_mismatch", "Basic realm=\"webhooks\""),
        ("/basic", format!("Bearer {credentials}"), "signature_malformed", "Basic realm=\"webhooks\""),
        ("/prefixed", String::new(), "signature_missing", "Basic realm=\"webhooks\""),
        ("/bearer", String::new(), "signature_missing", "Bearer realm=\"webhooks\""),
    ] {
        let response = send(target, &value);
        assert_refused(&response, 401, Some(reason));
        let asked = asked.as_bytes().escape_ascii().to_string();
        assert_eq!(response.value("www-authenticate"), Some(asked), "{target} {value}");
    }
}

#[test]
fn a_signature_may_have_a_tolerance_of_its_own() {
    let upstream = upstream();
    let signature = format!("scheme = \"paddle\"\ntolerance = \"10m\"\nsecrets = [{{ value = \"{KEY}\" }}]");
    let gateway = gateway().signature(&signature).route("/hook", &upstream.url()).start();
    let old = SystemTime::now() - Duration::from_secs(400);
    exchange(&gateway, &signed("paddle", "/hook", old)).assert_answer("ok");
    let older = SystemTime::now() - Duration::from_secs(700);
    assert_refused(&exchange(&gateway, &signed("paddle", "/hook", older)), 401, Some("timestamp_expired"));
}

#[test]
fn a_route_that_observes_forwards_also_what_was_signed_too_long_ago() {
    let upstream = upstream();
    let gateway = before(&upstream, "slack", "mode = \"observe\"").start();
    let old = SystemTime::now() - Duration::from_secs(4000);
    exchange(&gateway, &signed("slack", "/hook", old)).assert_answer("ok");
}

#[test]
fn one_integrations_secret_does_not_speak_for_another() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .route_with("/one", &upstream.url(), "integration = \"cuid_1\"")
        .route_with("/two", &upstream.url(), "model = \"leases\"\nintegration = \"cuid_1\"")
        .route_with("/three", &upstream.url(), "require = { \"/record_id\" = \"y\", \"/diff/a~1b\" = \"z\" }")
        .route("/any", &upstream.url())
        .route_with("/first", &upstream.url(), "require = { \"/events/0/type\" = \"x\" }")
        .start();
    let event = |integration: &str| {
        format!(
            r#"{{"meta":{{"object":"leases","integration_id":"{integration}"}},"record_id":"y","diff":{{"a/b":"z"}}}}"#
        )
    };
    for target in ["/one", "/two", "/three", "/any"] {
        exchange(&gateway, &post(event("cuid_1")).target(target)).assert_answer("ok");
    }
    for content in [
        event("cuid_2"),
        r#"{"meta":{"object":"leases"}}"#.to_owned(),
        r#"{"meta":{"object":"leases","integration_id":"cuid_1","integration_id":"cuid_1"}}"#.to_owned(),
        r#"{"meta":{"object":"leases","integration_id":"cuid_1"},"data":{"integration_id":"cuid_2"}}"#
            .to_owned(),
        "not json".to_owned(),
    ] {
        for target in ["/one", "/two"] {
            let response = exchange(&gateway, &post(&content).target(target));
            assert_refused(&response, 403, Some("model_mismatch"));
        }
        exchange(&gateway, &post(&content).target("/any")).assert_answer("ok");
    }
    for (kinds, status) in [(["x", "y"], 200), (["y", "x"], 403)] {
        let [first, second] = kinds;
        let listed = format!(r#"{{"events":[{{"type":"{first}"}},{{"type":"{second}"}}]}}"#);
        assert_eq!(exchange(&gateway, &post(listed).target("/first")).status, status, "{kinds:?}");
    }
    let wrong = r#"{"record_id":"y","diff":{"a/b":"x"}}"#;
    assert_refused(&exchange(&gateway, &post(wrong).target("/three")), 403, Some("model_mismatch"));
    let unsigned_one = exchange(&gateway, &unsigned(event("cuid_2")).target("/one"));
    assert_refused(&unsigned_one, 401, Some("signature_missing"));
}

/// The table in docs/schemes.md between its two marks. With `BLESS=1`, the test writes the table.
#[test]
fn the_documented_table_of_senders_is_what_ships() {
    const FILE: &str = "docs/schemes.md";
    let (begin, end) =
        ("<!-- senders: made by `BLESS=1 cargo test senders` -->\n", "<!-- end of senders -->");
    let text = std::fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let want = format!("{before}{begin}{}{end}{after}", table());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(FILE, &want).unwrap();
    }
    let got = std::fs::read_to_string(FILE).unwrap();
    assert!(got == want, "{FILE} is not what ships; BLESS=1 writes it");
}

fn table() -> String {
    let mut table = String::from(
        "\n| scheme | sender | field | algorithm | what is signed | tolerance | challenge | confirmed |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut notes = String::new();
    let mut repeated = String::new();
    for scheme in PRESETS.iter() {
        let Source::Shipped { sender, documentation, confirmed, note, retries, .. } = scheme.source else {
            panic!()
        };
        let name = &scheme.name;
        let sender = match documentation.starts_with("https://") {
            true => format!("[{sender}]({documentation})"),
            false => sender.to_owned(),
        };
        let signed = match scheme.algorithm.name() {
            "shared token" => "nothing".to_owned(),
            _ => format!("`{}`", scheme.content.as_str()),
        };
        let tolerance = scheme.timestamp.as_ref().map(|timestamp| format!("{} s", timestamp.past.as_secs()));
        let encoding = match scheme.algorithm.name() {
            "shared token" => String::new(),
            _ => format!(", {}", scheme.notation.encoding.name()),
        };
        let challenge = scheme.challenge.iter().map(|challenge| format!("`{challenge}`"));
        let setup = scheme.setup.iter().map(|setup| format!("`{setup}`"));
        let requests: Vec<_> = challenge.chain(setup).collect();
        let others = match scheme.other_fields.last() {
            Some(last) => format!(" to `{last}`"),
            None => String::new(),
        };
        table += &format!(
            "| `{name}` | {sender} | `{}`{others} | {}{encoding} | {signed} | {} | {} | {} |\n",
            scheme.parameter.as_ref().map_or_else(|| scheme.field.to_string(), |name| format!("?{name}=")),
            scheme.algorithm.name(),
            tolerance.unwrap_or_else(|| "-".to_owned()),
            if requests.is_empty() { "-".to_owned() } else { requests.join("; ") },
            if confirmed { "yes" } else { "**no**" },
        );
        if !note.is_empty() {
            notes += &format!("- `{name}`: {note}\n");
        }
        if !retries.is_empty() {
            repeated += &format!("- `{name}`: {retries}\n");
        }
    }
    let mut missing = String::from("| sender | why |\n|---|---|\n");
    for Inexpressible { sender, documentation, reason, .. } in INEXPRESSIBLE {
        let sender = match documentation.is_empty() {
            true => (*sender).to_owned(),
            false => format!("[{sender}]({documentation})"),
        };
        missing += &format!("| {sender} | {reason} |\n");
    }
    format!(
        "{table}\nNotes on some of these schemes:\n\n{notes}\n\
         How some senders repeat an event that was not accepted:\n\n{repeated}\n\
         hookgate has no scheme for these senders, because no scheme can express how they sign:\n\n{missing}\n"
    )
}

/// The query is forwarded unchanged. But a signed URL must have neither invalid text nor a character that
/// could begin a body.
#[test]
fn a_query_that_no_uri_has_is_refused_where_the_url_is_signed() {
    let upstream = upstream();
    let gateway = before(&upstream, "square", "public_url = \"https://hooks.example.com\"").start();
    exchange(&gateway, &signed("square", "/hook?a=b", SystemTime::now())).assert_answer("ok");
    for query in [&b"a=\"b\""[..], b"a={b}", b"a=b|", b"a=\xff", "a=\u{e9}".as_bytes()] {
        let event = signed("square", "/hook?a=b", SystemTime::now()).bytes();
        let rest = event.strip_prefix(b"POST /hook?a=b").unwrap();
        let mut client = Client::to(&gateway);
        client.offer([b"POST /hook?", query, rest].concat());
        assert_refused(&client.response(), 401, Some("signature_malformed"));
    }
    assert_eq!(upstream.requests().len(), 1);
}
