//! The notations of signature fields, as gateway.toml writes them: the right signature verifies wherever it
//! stands.

use base64::Engine as _;

use crate::support::upstream::Oracle;
use crate::support::{Gateway, Upstream, assert_refused, exchange, gateway, signature_with, unsigned};

const KEY: &str = "the secret of every sender here";
const CONTENT: &str = "{\"parcel\":\"Q-77\",\"at\":\"depot\"}";

/// Each scheme, and a route for it.
const SCHEMES: [(&str, &str); 8] = [
    ("comma", "prefix = \"V3-HMAC, Tag: \""),
    (
        "names",
        "format = \"pairs\"\ntag = [\"new\", \"old\"]\ntimestamp = { key = \"at\" }\ncontent = \"{timestamp}.{body}\"",
    ),
    ("numbers", "format = \"pairs\"\ntag = \"k*\""),
    ("bare", "format = \"list\"\nencoding = \"base64\""),
    (
        "timed",
        "format = \"list\"\ntimestamp = { entry = 1, unit = \"ms\" }\ncontent = \"{timestamp}:{body}\"",
    ),
    ("slashes", "format = \"pairs\"\ntag = [\"1/SHA256\", \"2/SHA256\"]\nafter_name = \"/\""),
    (
        "sets",
        "format = \"pairs\"\ntag = \"v1\"\nset_separator = \" \"\ntimestamp = { key = \"t\" }\ncontent = \"{timestamp}.{body}\"",
    ),
    ("tagged", "format = \"tagged\"\ntag = \"v1\""),
];

fn of_all(app: &Upstream) -> Gateway {
    let tables: String = SCHEMES
        .iter()
        .map(|(name, lines)| format!("[schemes.{name}]\nheader = \"x-tag\"\n{lines}\n"))
        .collect();
    SCHEMES
        .iter()
        .fold(gateway().forward(&tables), |setup, (name, _)| {
            let signature =
                format!("signature = {{ scheme = \"{name}\", secrets = [{{ value = \"{KEY}\" }}] }}");
            setup.route_with(&format!("/{name}"), &app.url(), &signature)
        })
        .start()
}

fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Replaces words by signatures and times. `TIME` is a time, and `NEXT` is a second later. `GOOD` is the
/// right signature at `TIME`, `LATE` the right signature at `NEXT`, and `BAD` another signature.
fn written(scheme: &str, value: &str) -> String {
    let (time, next) = match (scheme, seconds()) {
        ("timed", now) => (format!("{now}000"), format!("{now}001")),
        (_, now) => (now.to_string(), (now + 1).to_string()),
    };
    let tag = |time: &str| {
        let text = match scheme {
            "names" | "sets" => format!("{time}.{CONTENT}"),
            "timed" => format!("{time}:{CONTENT}"),
            _ => CONTENT.to_owned(),
        };
        let hex = signature_with(KEY, text.as_bytes());
        let base64 = || base64::engine::general_purpose::STANDARD.encode(hex::decode(&hex).unwrap());
        if scheme == "bare" { base64() } else { hex.clone() }
    };
    let bad = if scheme == "bare" { "A".repeat(43) + "=" } else { "0b".repeat(32) };
    let value = value.replace("GOOD", &tag(&time)).replace("LATE", &tag(&next)).replace("BAD", &bad);
    value.replace("TIME", &time).replace("NEXT", &next)
}

#[test]
fn the_right_signature_verifies_wherever_its_notation_allows_it() {
    let app = Upstream::ok_under(Oracle::default().observing());
    let gateway = of_all(&app);
    for (scheme, value) in [
        ("comma", "V3-HMAC, Tag: GOOD"),
        ("names", "at=TIME,new=GOOD,old=BAD"),
        ("names", "at=TIME,new=BAD,old=GOOD"),
        ("names", "old=GOOD,at=TIME"),
        ("numbers", "k0=BAD,k1=GOOD"),
        ("numbers", "k12=GOOD"),
        ("bare", "GOOD,BAD"),
        ("bare", "BAD,GOOD"),
        ("timed", "TIME,GOOD,BAD"),
        ("timed", "TIME,BAD,GOOD"),
        ("slashes", "1/SHA256/GOOD,2/SHA256/BAD"),
        ("slashes", "1/SHA256/BAD,2/SHA256/GOOD"),
        ("sets", "t=TIME,v1=GOOD t=TIME,v1=BAD"),
        ("sets", "t=TIME,v1=BAD t=TIME,v1=GOOD"),
        ("sets", "t=TIME,v1=BAD t=NEXT,v1=LATE"),
        ("tagged", "v1 v1,GOOD"),
        ("tagged", "v1,BAD  v1,GOOD"),
        ("tagged", " v1,GOOD v1,"),
        ("tagged", "v1,GOOD,"),
    ] {
        let value = written(scheme, value);
        let post = unsigned(CONTENT).target(&format!("/{scheme}")).line(format!("x-tag: {value}"));
        let response = exchange(&gateway, &post);
        assert_eq!(response.status, 200, "{scheme}: {value}: {}", response.text());
        let other = post.clone().forged(CONTENT.replace("depot", "house"));
        assert_refused(&exchange(&gateway, &other), 401, Some("signature_mismatch"));
    }
}

#[test]
fn the_right_signature_does_not_count_where_its_notation_has_none() {
    let app = Upstream::ok_under(Oracle::default().observing());
    let gateway = of_all(&app);
    for (scheme, value, reason) in [
        ("comma", "V3-HMAC, Tag: GOOD,BAD", "signature_duplicate"),
        ("comma", "GOOD", "signature_malformed"),
        ("names", "at=TIME,older=GOOD", "signature_malformed"),
        ("names", "new=GOOD", "signature_malformed"),
        ("numbers", "k=GOOD", "signature_malformed"),
        ("bare", "BAD", "signature_mismatch"),
        ("timed", "GOOD,TIME", "signature_malformed"),
        ("slashes", "3/SHA256/GOOD,1/SHA256/BAD", "signature_mismatch"),
        ("sets", "t=NEXT,v1=GOOD t=TIME,v1=BAD", "signature_mismatch"),
        ("sets", "v1=GOOD t=TIME,v1=BAD", "signature_mismatch"),
        ("tagged", "v1 v1", "signature_malformed"),
        ("tagged", "v2,GOOD v1,BAD", "signature_mismatch"),
    ] {
        let value = written(scheme, value);
        let post = unsigned(CONTENT).target(&format!("/{scheme}")).line(format!("x-tag: {value}"));
        let response = exchange(&gateway, &post);
        assert!(response.text().contains(reason), "{scheme}: {value}: {}", response.text());
        assert_refused(&response, 401, Some(reason));
    }
    assert!(app.requests().is_empty());
}
