//! Verification: every authentic event is forwarded with any bytes. No other request is forwarded.

use crate::support::upstream::Oracle;
use crate::support::{
    Client, FIXTURE, Gateway, SECRET, Upstream, assert_refused, digest, exchange, gateway, nothing_reached,
    post, signature, signature_with, unsigned,
};

const PATH: &str = "/webhook/leases";

#[test]
fn the_fixture_of_the_contract_verifies() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let tag = "9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d";
    let request = unsigned(FIXTURE).line(format!("propify-signature: {tag}"));
    exchange(&gateway, &request).assert_answer("ok");
    let got = upstream.only_request();
    assert_eq!((got.method.as_str(), got.target.as_str()), ("POST", PATH));
    assert_eq!(got.content, FIXTURE);
    assert_eq!(got.values("propify-signature"), [tag.as_bytes()]);
}

#[test]
fn the_empty_body_verifies_however_it_is_framed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let tag = "3b6f911f5873cd7e2a4ed25f1db12b93a8141a99a9ec0eecbb88f5218d03c53d";
    let request = unsigned("").line(format!("propify-signature: {tag}"));
    exchange(&gateway, &request).assert_answer("ok");
    exchange(&gateway, &request.clone().chunked(&[])).assert_answer("ok");
    exchange(&gateway, &request.raw("")).assert_answer("ok");
    for got in upstream.wait_for(3) {
        assert_eq!(got.content, b"");
        assert_eq!(got.values("content-length"), [b"0"]);
    }
}

#[test]
fn digits_in_upper_case_verify_and_stay_upper_case() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let tag = signature(FIXTURE).to_uppercase();
    let request = unsigned(FIXTURE).line(format!("propify-signature: {tag}"));
    exchange(&gateway, &request).assert_answer("ok");
    assert_eq!(upstream.only_request().values("propify-signature"), [tag.as_bytes()]);
}

#[test]
fn white_space_around_the_signature_is_not_part_of_it() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let request = unsigned(FIXTURE).line(format!("propify-signature:\t  {} \t", signature(FIXTURE)));
    exchange(&gateway, &request).assert_answer("ok");
}

/// Bytes that a step on the path might wrongly change.
const DELICATE: [(&str, &[u8]); 7] = [
    ("invalid UTF-8", b"{\"a\":\"\xff\xfe\xc3\x28\"}"),
    ("NUL", b"\0{\"a\":\"\0\"}\0"),
    ("line ends", b"{\r\n\"a\":\r1}\n\r\n\r\n"),
    ("byte order mark", b"\xef\xbb\xbf{\"a\":1}"),
    (
        "gzip",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x4a\x54\xb2\x32\xac\x05\x00\x9f\x5d\x24\x8a\x07",
    ),
    ("trailing comma", b"{\"meta\":{\"object\":\"leases\",},}"),
    ("chunks", b"5\r\nhello\r\n0\r\n\r\nPOST / HTTP/1.1\r\n\r\n"),
];

fn repeated(pattern: &[u8], size: usize) -> Vec<u8> {
    pattern.iter().copied().cycle().take(size).collect()
}

#[test]
fn bodies_of_any_bytes_arrive_identical_at_every_size() {
    const MAX: usize = 64 * 1024;
    let upstream = Upstream::ok();
    let gateway = gateway().limits("max_body = \"64KiB\"").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    let mut sent = Vec::new();
    for (what, pattern) in DELICATE {
        for size in [0, 1, 4 * 1024, MAX - 1, MAX] {
            let content = repeated(pattern, size);
            for request in [post(&content), post(&content).chunked(&[1, 1000, 1])] {
                assert_eq!(client.send(request.bytes()).response().text(), "ok", "{what}, {size} bytes");
                sent.push(digest(&content));
            }
        }
    }
    let got: Vec<_> = upstream.requests().iter().map(|request| digest(&request.content)).collect();
    assert_eq!(got, sent);
}

#[test]
fn a_body_of_the_default_limit_passes_and_a_byte_more_does_not() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let content = repeated(b"\0\xff{}\r\n", 1024 * 1024);
    exchange(&gateway, &post(&content)).assert_answer("ok");
    let more = [content.as_slice(), b"x"].concat();
    let mut client = Client::to(&gateway);
    client.send(post(&more).head());
    assert_refused(&client.response(), 413, Some("body_too_large"));
    assert_eq!(digest(&upstream.only_request().content), digest(&content));
}

#[test]
fn a_byte_over_the_limit_is_refused_declared_or_counted() {
    let upstream = Upstream::ok();
    let gateway = gateway().limits("max_body = 1000").route(PATH, &upstream.url()).start();
    let content = repeated(b"x", 1001);
    for request in [post(&content), post(&content).chunked(&[]), post(&content).chunked(&[1000]), {
        post(&content).chunked(&[1; 1000])
    }] {
        let mut client = Client::to(&gateway);
        client.offer(request.bytes());
        assert_refused(&client.response(), 413, Some("body_too_large"));
        client.assert_closed();
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn chunked_content_is_refused_when_it_passes_the_limit_and_not_when_it_ends() {
    let upstream = Upstream::ok();
    let gateway = gateway().limits("max_body = 1000").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post("").chunked(&[]).head());
    client.offer(["3e9\r\n".as_bytes(), &[b'x'; 1001]].concat());
    assert_refused(&client.response(), 413, Some("body_too_large"));
    client.assert_closed();
    nothing_reached(gateway, upstream);
}

/// The test has a captured event, and the ways of changing it into another event.
#[test]
fn no_change_of_a_signed_body_is_ever_forwarded() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let captured = post(FIXTURE);
    let mut changes: Vec<(&str, Vec<u8>)> = vec![
        ("a space appended", [FIXTURE, b" "].concat()),
        ("a newline appended", [FIXTURE, b"\n"].concat()),
        ("CRLF appended", [FIXTURE, b"\r\n"].concat()),
        ("NUL appended", [FIXTURE, b"\0"].concat()),
        ("an object appended", [FIXTURE, br#"{"meta":{"object":"leads"}}"#].concat()),
        ("SHA-256's own padding appended", [FIXTURE, b"\x80\0\0\0\0\0\0\0"].concat()),
        ("itself appended", [FIXTURE, FIXTURE].concat()),
        ("a space prepended", [b" ", FIXTURE].concat()),
        ("a byte order mark prepended", [b"\xef\xbb\xbf", FIXTURE].concat()),
        ("the last byte missing", FIXTURE[..FIXTURE.len() - 1].to_vec()),
        ("the first byte missing", FIXTURE[1..].to_vec()),
        ("all bytes missing", Vec::new()),
        ("two bytes swapped", {
            let mut content = FIXTURE.to_vec();
            content.swap(10, 11);
            content
        }),
    ];
    for at in [0, FIXTURE.len() / 2, FIXTURE.len() - 1] {
        let mut content = FIXTURE.to_vec();
        content[at] ^= 1;
        changes.push(("a bit changed", content));
    }
    for (what, content) in &changes {
        let forged = captured.clone().forged(content);
        let padded = ["x-pad: ", &"a".repeat(4000)].concat();
        for request in [
            forged.clone(),
            forged.clone().line(&padded).line("x-pad:"),
            forged.clone().chunked(&[]),
            forged.clone().chunked(&[1; 200]),
            forged.clone().chunked(&[FIXTURE.len()]),
            forged.clone().chunked_with_trailers(&[FIXTURE.len()], "x-pad: x\r\n"),
            forged
                .clone()
                .chunked_with_trailers(&[7, 11], &format!("propify-signature: {}\r\n", signature(content))),
        ] {
            let response = exchange(&gateway, &request);
            assert_eq!(response.status, 401, "{what}: {response:?}");
            assert_refused(&response, 401, Some("signature_mismatch"));
        }
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_signed_body_cut_short_by_a_false_length_is_not_forwarded() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for length in [0, 1, FIXTURE.len() - 1] {
        let response = exchange(&gateway, &post(FIXTURE).claiming(length));
        assert_refused(&response, 401, Some("signature_mismatch"));
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_signed_body_that_ends_before_its_length_is_not_forwarded() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for length in [FIXTURE.len() + 1, FIXTURE.len() * 2] {
        let mut client = Client::to(&gateway);
        client.send(post(FIXTURE).claiming(length).bytes()).half_close().assert_gone();
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn what_follows_a_signed_body_is_no_part_of_it() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    // The content is appended but the length is unchanged. So the added bytes are the next request, which is
    // malformed.
    let mut client = Client::to(&gateway);
    client.send([post(FIXTURE).bytes(), br#"{"meta":{}}"#.to_vec(), b"\r\n\r\n".to_vec()].concat());
    client.response().assert_answer("ok");
    assert_refused(&client.response(), 400, None);
    client.assert_closed();
    // A whole request is appended. It is verified on its own.
    let mut client = Client::to(&gateway);
    client.send([post(FIXTURE).bytes(), post(FIXTURE).forged("{}").bytes()].concat());
    client.response().assert_answer("ok");
    assert_refused(&client.response(), 401, Some("signature_mismatch"));
    drop(gateway);
    let contents: Vec<_> = upstream.requests().into_iter().map(|request| request.content).collect();
    assert_eq!(contents, [FIXTURE, FIXTURE]);
}

#[test]
fn a_signature_made_with_another_key_or_another_hash_does_not_verify() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let plain_digest = digest(FIXTURE);
    let digest_of_both = digest(&[SECRET.as_bytes(), FIXTURE].concat());
    for tag in [
        signature_with("", FIXTURE),
        signature_with("propify_test_secret\n", FIXTURE),
        signature_with("PROPIFY_TEST_SECRET", FIXTURE),
        signature_with("another", FIXTURE),
        plain_digest,
        digest_of_both,
        "0".repeat(64),
        "f".repeat(64),
    ] {
        let request = unsigned(FIXTURE).line(format!("propify-signature: {tag}"));
        assert_refused(&exchange(&gateway, &request), 401, Some("signature_mismatch"));
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn any_of_several_secrets_verifies_and_no_other() {
    let secrets = ["the first of the secrets", "the second of the secrets", "the third of the secrets"];
    let upstream = Upstream::ok_under(Oracle::default().secrets(&secrets));
    let list = secrets.map(|secret| format!("{{ name = \"{}\", value = \"{secret}\" }}", &secret[4..8]));
    let gateway = gateway()
        .signature(&format!("scheme = \"propify\"\nsecrets = [{}]", list.join(", ")))
        .route(PATH, &upstream.url())
        .start();
    for secret in secrets {
        let tag = signature_with(secret, FIXTURE);
        let request = unsigned(FIXTURE).line(format!("propify-signature: {tag}"));
        exchange(&gateway, &request).assert_answer("ok");
    }
    assert_refused(&exchange(&gateway, &post(FIXTURE)), 401, Some("signature_mismatch"));
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn a_route_may_have_a_sender_of_its_own() {
    let github = Upstream::ok_under(Oracle::default().scheme("x-hub-signature-256", "sha256="));
    let propexo = Upstream::ok_under(Oracle::default().scheme("propexo-signature", ""));
    let propify = Upstream::ok();
    let signature_of = |scheme: &str| {
        format!("signature = {{ scheme = \"{scheme}\", secrets = [{{ value = \"{SECRET}\" }}] }}")
    };
    let gateway = gateway()
        .route(PATH, &propify.url())
        .route_with("/github", &github.url(), &signature_of("github"))
        .route_with("/propexo", &propexo.url(), &signature_of("propexo"))
        .start();
    let tag = signature(FIXTURE);
    let to = |path: &str, line: String| exchange(&gateway, &unsigned(FIXTURE).target(path).line(line));
    to(PATH, format!("propify-signature: {tag}")).assert_answer("ok");
    to("/github", format!("X-Hub-Signature-256: sha256={tag}")).assert_answer("ok");
    to("/propexo", format!("propexo-signature: {tag}")).assert_answer("ok");
    // GitHub's digits may be in upper or lower case, but its prefix has only one form.
    to("/github", format!("x-hub-signature-256: sha256={}", tag.to_uppercase())).assert_answer("ok");
    for line in [
        format!("x-hub-signature-256: {tag}"),
        format!("x-hub-signature-256: sha1={tag}"),
        format!("x-hub-signature-256: sha256={}", &tag[1..]),
    ] {
        assert_refused(&to("/github", line), 401, Some("signature_malformed"));
    }
    for (path, line) in [
        ("/github", format!("propify-signature: {tag}")),
        ("/github", format!("x-hub-signature: sha256={tag}")),
        ("/propexo", format!("propify-signature: {tag}")),
        (PATH, format!("propexo-signature: {tag}")),
    ] {
        assert_refused(&to(path, line), 401, Some("signature_missing"));
    }
    drop(gateway);
    assert_eq!(
        [propify.requests().len(), github.requests().len(), propexo.requests().len()],
        [1, 2, 1],
        "nothing that one sender signed went to another's app"
    );
}

/// Signature fields that form no claim, with the reason of each refusal.
fn no_claims() -> Vec<(Vec<String>, &'static str)> {
    let tag = signature(FIXTURE);
    let field = |value: &str| format!("propify-signature: {value}");
    vec![
        (vec![], "signature_missing"),
        (vec![format!("propify-signatur: {tag}")], "signature_missing"),
        (vec![format!("x-propify-signature: {tag}")], "signature_missing"),
        (vec![field(&tag), field(&tag)], "signature_duplicate"),
        (vec![field(&tag), format!("Propify-Signature: {tag}")], "signature_duplicate"),
        (vec![field(&tag), field("")], "signature_duplicate"),
        (vec![field(&"0".repeat(64)), field(&tag)], "signature_duplicate"),
        (vec![field(&format!("{tag}, {tag}"))], "signature_duplicate"),
        (vec![field(&format!("{tag},{}", "0".repeat(64)))], "signature_duplicate"),
        (vec![field("")], "signature_malformed"),
        (vec![field(&tag[1..])], "signature_malformed"),
        (vec![field(&format!("{tag}0"))], "signature_malformed"),
        (vec![field(&format!("{}g", &tag[1..]))], "signature_malformed"),
        (vec![field(&format!("sha256={tag}"))], "signature_malformed"),
        (vec![field(&format!("0x{}", &tag[2..]))], "signature_malformed"),
        (vec![field(&format!("\"{tag}\""))], "signature_malformed"),
        (vec![field(&format!("{} {}", &tag[..32], &tag[32..]))], "signature_malformed"),
        (vec![field("nqLaq4j7hIVPjNeN2W+N6Yc4LcMT/yId8im09HSQIi0=")], "signature_malformed"),
    ]
}

#[test]
fn without_a_claim_the_answer_comes_before_any_of_the_body() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for (lines, reason) in no_claims() {
        for more in [None, Some("expect: 100-continue"), Some("transfer-encoding: chunked")] {
            let mut request = unsigned(FIXTURE);
            for line in lines.iter().map(String::as_str).chain(more) {
                request = request.line(line);
            }
            if more == Some("transfer-encoding: chunked") {
                request = request.raw("");
            }
            let mut client = Client::to(&gateway);
            client.send(request.head());
            assert_refused(&client.response(), 401, Some(reason));
            client.assert_closed();
        }
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_signature_of_bytes_beyond_ascii_is_malformed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let line = [b"propify-signature: ".as_slice(), &[0xe9; 64]].concat();
    assert_refused(&exchange(&gateway, &unsigned(FIXTURE).line(line)), 401, Some("signature_malformed"));
    nothing_reached(gateway, upstream);
}

#[test]
fn a_signature_in_a_trailer_counts_for_nothing() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let trailer = format!("propify-signature: {}\r\n", signature(FIXTURE));
    let mut client = Client::to(&gateway);
    client.offer(unsigned(FIXTURE).chunked_with_trailers(&[], &trailer).bytes());
    assert_refused(&client.response(), 401, Some("signature_missing"));
    nothing_reached(gateway, upstream);
}

#[test]
fn a_secret_past_its_end_verifies_nothing_any_more() {
    let upstream = Upstream::ok_under(Oracle::default().secrets(&["the secret that is current"]));
    let gateway = gateway()
        .signature(&format!(
            "scheme = \"propify\"\nsecrets = [{{ name = \"old\", value = \"{SECRET}\", not_after = \
             2020-01-01T00:00:00Z }}, {{ name = \"new\", value = \"the secret that is current\" }}]"
        ))
        .route(PATH, &upstream.url())
        .start();
    assert_refused(&exchange(&gateway, &post(FIXTURE)), 401, Some("signature_mismatch"));
    let tag = signature_with("the secret that is current", FIXTURE);
    let request = unsigned(FIXTURE).line(format!("propify-signature: {tag}"));
    exchange(&gateway, &request).assert_answer("ok");
}

#[test]
fn a_body_may_arrive_in_any_pieces() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for request in [post(FIXTURE), post(FIXTURE).chunked(&[1, 2, 3])] {
        for size in [1, 2, 7, 100] {
            Client::to(&gateway).send_in_pieces(&request.bytes(), size).response().assert_answer("ok");
        }
    }
    assert!(upstream.wait_for(8).iter().all(|request| request.content == FIXTURE));
}
