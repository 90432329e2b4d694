//! The measured parts of a request's path, each prepared so that one call is one request's work.
//!
//! Each part is called once before it is measured, so that work of the first call only is not counted.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hookgate::admission::client::ClientAddress;
use hookgate::config::XForwarded;
use hookgate::message::head::{self, Parsed, RequestHead};
use hookgate::routing::router::{ModelRule, Pattern, Router};
use hookgate::routing::signed_model;
use hookgate::signature::scheme::Scheme;
use hookgate::signature::secret::{Key, Secret};
use hookgate::signature::sign::Stamp;
use hookgate::signature::{Context, Fields, Verifier};
use hookgate::telemetry::log_line;
use hookgate::telemetry::metric::{Meters, Tally};
use hookgate::telemetry::recent::Recent;
use hookgate::telemetry::record::{Record, RequestId, RouteLabel};
use hookgate::upstream::origin::Origin;
use hookgate::upstream::request::{Channel, ForwardOptions, RequestInfo, compose};
use http::header::HeaderName;

/// A prepared part, which can be called repeatedly.
pub(crate) type Part = Box<dyn FnMut()>;

/// Prepares a part.
pub(crate) type Make = fn() -> Part;

/// All parts by name.
pub(crate) const PARTS: [(&str, Make); 32] = [
    ("head/typical", head_typical),
    ("head/absolute form", head_absolute),
    ("head/100 lines", head_100_lines),
    ("route/1, exact", || route(1, "/hooks/0")),
    ("route/100, exact", || route(100, "/hooks/99")),
    ("route/10000, exact", || route(10_000, "/hooks/9999")),
    ("route/1, {name}", || route(1, "/named/0/leases")),
    ("route/100, {name}", || route(100, "/named/99/leases")),
    ("route/10000, {name}", || route(10_000, "/named/9999/leases")),
    ("route/1, {*rest}", || route(1, "/under/0/a/b/c")),
    ("route/100, {*rest}", || route(100, "/under/99/a/b/c")),
    ("route/10000, {*rest}", || route(10_000, "/under/9999/a/b/c")),
    ("route/10000, none", || route(10_000, "/nothing/here")),
    ("claim/propify", || claim("propify")),
    ("claim/stripe", || claim("stripe")),
    ("claim/standard-webhooks", || claim("standard-webhooks")),
    ("verify/propify, 0 B", || verify("propify", 0, 1)),
    ("verify/propify, 512 B", || verify("propify", 512, 1)),
    ("verify/propify, 64 KiB", || verify("propify", 64 << 10, 1)),
    ("verify/propify, 1 MiB", || verify("propify", 1 << 20, 1)),
    ("verify/propify, 512 B, last of 5 secrets", || verify("propify", 512, 5)),
    ("verify/stripe, 512 B", || verify("stripe", 512, 1)),
    ("model/propify, 162 B", || model(FIXTURE.to_owned())),
    ("model/propify, 1 MiB", || {
        model(FIXTURE.replace("\"pending\"", &format!("[{}0]", "{\"a\":1},".repeat(131_072))))
    }),
    ("model/keys repeated, 1 MiB", || {
        let keys = |key: &str| format!("\"{key}\":1,").repeat(52_428);
        model(format!("{{{}{}\"a\":1}}", keys("meta"), keys("data")))
    }),
    ("fields/nothing to take out", || composed("", XForwarded::Off)),
    ("fields/named by connection", || composed("Connection: x-private\r\nX-Private: 1\r\n", XForwarded::Off)),
    ("fields/x-forwarded", || composed("", XForwarded::Append)),
    ("telemetry/line", log_line),
    ("telemetry/count", count),
    ("telemetry/recent, kept", || recent(Duration::from_secs(1))),
    ("telemetry/recent, left out", || recent(Duration::ZERO)),
];

const TYPICAL: &str = "POST /webhook/leases?source=propify HTTP/1.1\r\n\
    Host: hooks.example.com\r\n\
    User-Agent: Propify-Webhooks/1.0\r\n\
    Accept: application/json, text/plain, */*\r\n\
    Accept-Encoding: gzip, compress, deflate, br\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 512\r\n\
    Propify-Signature: 9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d\r\n\
    X-Request-Id: d6025a227236d22fd6025a227236d22f\r\n\
    X-Forwarded-For: 192.0.2.17\r\n\
    X-Forwarded-Proto: https\r\n\
    Connection: keep-alive\r\n\r\n";

const FIXTURE: &str = r#"{"meta":{"object":"leases","integration_id":"cuid_1234567890"},"record_id":"cuid_1234567890","diff":{"previous":{"status":"pending"},"new":{"status":"approved"}}}"#;

const MOMENT: SystemTime = SystemTime::UNIX_EPOCH;

/// Calls the part once, so that no first call is measured.
fn warm(mut part: impl FnMut() + 'static) -> Part {
    part();
    Box::new(part)
}

fn head_typical() -> Part {
    judge(TYPICAL.to_owned())
}

fn head_absolute() -> Part {
    judge(TYPICAL.replace("POST /", "POST http://hooks.example.com/"))
}

fn head_100_lines() -> Part {
    let more: String = (0..89).map(|n| format!("X-Field-{n}: of no interest\r\n")).collect();
    judge(TYPICAL.replace("Connection:", &format!("{more}Connection:")))
}

/// Parses and checks a head, and keeps it.
fn judge(text: String) -> Part {
    warm(move || {
        let Parsed::Complete(head) = head::parse(black_box(text.as_bytes()), &mut 0, 32 << 10) else {
            panic!("the head is not served")
        };
        black_box(RequestHead::new(head, text.as_bytes()));
    })
}

/// Finds the route of a path among `many` of each kind.
fn route(many: usize, path: &'static str) -> Part {
    let kinds = ["/hooks/N", "/named/N/{model}", "/under/N/{*rest}"];
    let texts = kinds.iter().flat_map(|kind| (0..many).map(|n| kind.replace('N', &n.to_string())));
    let patterns: Vec<Pattern> = texts.map(|text| Pattern::parse(&text).unwrap()).collect();
    let router = Router::build(patterns.iter().map(|pattern| (pattern, &ModelRule::Any))).unwrap();
    assert_eq!(router.find(path).is_some(), !path.starts_with("/nothing"));
    warm(move || {
        black_box(
            router.find(black_box(path)).map(|matched| (matched.candidates().first(), matched.check())),
        );
    })
}

struct Lines(Vec<(String, String)>);

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_bytes())
    }
}

/// A verifier with several secrets, of which the last one signed, and the fields of a message.
fn signed(scheme: &str, content: &[u8], secrets: usize) -> (Verifier, Lines) {
    let verifier = |numbers: std::ops::Range<usize>| {
        let secret = |n: usize| Secret {
            name: format!("secret-{n}").into(),
            key: Key::new(format!("0123456789abcdef0123456789abcd{n:02}").into_bytes()),
            not_after: None,
        };
        Verifier::new(Scheme::preset(scheme).unwrap().clone(), numbers.map(secret).collect()).unwrap()
    };
    let stamp = Stamp { id: Some("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"), ..Stamp::default() };
    let nothing = Lines(vec![]);
    let last = verifier(secrets - 1..secrets);
    let signature = last.signature(None, &Context::of(&nothing, MOMENT), stamp, content).unwrap();
    (verifier(0..secrets), Lines(signature.lines().cloned().collect()))
}

/// Reads the claim from the fields, before any content.
fn claim(scheme: &str) -> Part {
    let (verifier, lines) = signed(scheme, b"{}", 1);
    warm(move || {
        black_box(verifier.claim(&Context::of(black_box(&lines), MOMENT)).unwrap());
    })
}

/// Verifies a message, from its fields to the proof.
fn verify(scheme: &str, size: usize, secrets: usize) -> Part {
    let content = vec![b'x'; size];
    let (verifier, lines) = signed(scheme, &content, secrets);
    warm(move || {
        let claim = verifier.claim(&Context::of(black_box(&lines), MOMENT)).unwrap();
        let mut verification = verifier.begin(claim, MOMENT);
        verification.grow_to(content.len());
        verification.push(black_box(&content));
        black_box(verification.finish().unwrap());
    })
}

/// Reads the model from authentic content.
fn model(content: String) -> Part {
    warm(move || {
        let read = signed_model::read(black_box(content.as_bytes()), &["/meta/object", "/data/object"]);
        drop(black_box(read));
    })
}

/// Composes the head of a request to its upstream.
fn composed(more: &str, x_forwarded: XForwarded) -> Part {
    let text = TYPICAL.replace("Connection:", &format!("{more}Connection:"));
    let Parsed::Complete(head) = head::parse(text.as_bytes(), &mut 0, 32 << 10) else {
        panic!("the head is not served")
    };
    let head = RequestHead::new(head, text.as_bytes());
    let kept = vec![HeaderName::from_static("propify-signature")];
    let options = ForwardOptions {
        x_forwarded,
        verified_field: None,
        via: false,
        event_id_field: None,
        client_certificate_field: None,
        scheme: "propify".into(),
        other_schemes: Vec::new(),
        kept,
        assertion: None,
    };
    let origin = Origin::parse("http://127.0.0.1:3000").unwrap();
    warm(move || {
        let info = RequestInfo {
            client: peer(),
            channel: &Channel::default(),
            length: 512,
            secret: None,
            origin: &origin,
            event: None,
        };
        black_box(compose(black_box(&head), &options, &info));
    })
}

fn peer() -> ClientAddress {
    ClientAddress::ip(Ipv4Addr::new(192, 0, 2, 17).into())
}

/// The record of a forwarded and answered request.
fn record(meters: &Meters) -> Record {
    let mut record = Record::new(RequestId(0xd602_5a22_7236_d22f), peer());
    let path = "/webhook/leases";
    record.route = Some(RouteLabel { path: path.into(), slot: meters.slot(path), scheme: "propify".into() });
    record.status = 200;
    record.secret = Some(Arc::from("current"));
    record.received = 512;
    record.sent = 11;
    record.took = Duration::from_micros(412);
    record.verified_after = Some(Duration::from_micros(31));
    record.upstream_took = Some(Duration::from_micros(340));
    record
}

/// Writes a line of the access log.
fn log_line() -> Part {
    let record = record(&Meters::default());
    let mut out = Vec::with_capacity(1024);
    warm(move || {
        out.clear();
        log_line::write(&mut out, black_box(&record), MOMENT);
        black_box(&out);
    })
}

/// Counts a request in the metrics.
fn count() -> Part {
    let meters = Meters::default();
    let (tally, record): (Tally, Record) = (meters.tally(), record(&meters));
    warm(move || tally.count(black_box(&record), MOMENT))
}

/// Ends a request with the recent requests on, this long after the one before. More places are taken than
/// there are.
fn recent(between: Duration) -> Part {
    let recent = Recent::new(1000);
    let Record { route, secret, .. } = record(&Meters::default());
    let mut now = MOMENT;
    let mut end = move || {
        now += between;
        let (route, secret) = (route.clone(), secret.clone());
        let mut record = Record { route, secret, status: 200, ..Record::new(RequestId(1), peer()) };
        recent.request(black_box(&mut record), now);
    };
    (0..1100).for_each(|_| end());
    warm(end)
}
