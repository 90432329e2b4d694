//! Signed fields that the signature names, and signed values with the character that ends them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::support::upstream::Oracle;
use crate::support::{Gateway, Post, Upstream, assert_refused, exchange, gateway, unsigned};

const KEY: &str = "the secret of a subscription";
const CONTENT: &str = "{\"id\":\"e-9\",\"amount\":\"0.5\"}";

#[expect(clippy::disallowed_methods, reason = "a sender signs")]
fn tag(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn before(upstream: &Upstream, route: &str) -> Gateway {
    gateway().route_with("/hook", &upstream.url(), route).start()
}

/// An event with the signature of `text`, which names these fields, and with these field lines.
fn event(time: u64, names: &str, text: &str, lines: &[&str], content: &str) -> Post {
    let signed = tag(&format!("{time}.{text}"));
    let signature = format!("x-hook0-signature: t={time},v0=00,h={names},v1={signed}");
    let post = unsigned(content.as_bytes()).target("/hook").line(signature);
    lines.iter().fold(post, |post, line| post.line(*line))
}

/// Coinbase signs the names of fields and their values. The type of an event has dots.
#[test]
fn fields_that_the_signature_names_are_signed_and_no_border_between_them_can_move() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let signature = format!("signature = {{ scheme = \"coinbase\", secrets = [{{ value = \"{KEY}\" }}] }}");
    let gateway = before(&upstream, &signature);
    let time = now();
    let names = "content-type x-event-id x-event-type";
    let text = format!("{names}.application/json.evt-31.wallet.transfer.completed.{CONTENT}");
    let of = |names: &str, lines: &[&str], content: &str| {
        exchange(&gateway, &event(time, names, &text, lines, content))
    };
    // Every request has `content-type: application/json` already.
    let (json, id, kind) = ("x-more: 1", "x-event-id: evt-31", "x-event-type: wallet.transfer.completed");
    of(names, &[json, id, kind], CONTENT).assert_answer("ok");
    of(names, &[kind, id, json, "x-other: 1"], CONTENT).assert_answer("ok");
    let moved = format!("completed.{CONTENT}");
    for (names, lines, content, reason) in [
        // Another value, or a border in another place.
        (names, [json, "x-event-id: evt-32", kind], CONTENT, "signature_mismatch"),
        (names, [json, id, "x-event-type: wallet.transfer.failed"], CONTENT, "signature_mismatch"),
        (
            names,
            [json, "x-event-id: evt-31.wallet", "x-event-type: transfer.completed"],
            CONTENT,
            "signature_malformed",
        ),
        (
            names,
            ["x-more: 1", "x-event-id: evt-31.wallet.transfer", "x-event-type: completed"],
            CONTENT,
            "signature_malformed",
        ),
        (names, [json, id, "x-event-type: wallet.transfer"], &moved, "signature_mismatch"),
        (names, [json, id, "x-event-type: wallet.transfer.completed.{"], "\"id\":1}", "signature_malformed"),
        // Other names.
        ("content-type x-event-type x-event-id", [json, id, kind], CONTENT, "signature_mismatch"),
        ("content-type x-event-id", [json, id, kind], CONTENT, "signature_mismatch"),
        ("content-type x-event-id host", [json, id, kind], CONTENT, "signature_malformed"),
        (names, [json, id, "x-other: 1"], CONTENT, "signature_malformed"),
        (names, [json, id, id], CONTENT, "signature_malformed"),
    ] {
        let response = of(names, &lines, content);
        assert_refused(&response, 401, Some(reason));
    }
    // No client can remove a signed field, or imitate it.
    assert_refused(&of(names, &[json, id, kind, "x_event_type: a"], CONTENT), 400, None);
    of(names, &[json, id, kind, "connection: x-event-type"], CONTENT).assert_answer("ok");
    assert!(upstream.requests().last().unwrap().has("x-event-type"));
}

/// Without names, a scheme says which value may have the character that ends it.
#[test]
fn a_value_with_the_character_that_ends_it_verifies_where_its_end_is_clear() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let signature = format!(
        "signature = {{ scheme = \"dotted\", secrets = [{{ value = \"{KEY}\" }}] }}\n[schemes.dotted]\n\
         header = \"x-tag\"\ncontent = \"{{header:x-id}}.{{header:x-type:any}}.{{body}}\""
    );
    let gateway = before(&upstream, &signature);
    let signed = tag(&format!("e9.onchain.activity.seen.{CONTENT}"));
    let of = |id: &str, kind: &str, content: &str| {
        let post = unsigned(content.as_bytes()).target("/hook").line(format!("x-tag: {signed}"));
        exchange(&gateway, &post.line(format!("x-id: {id}")).line(format!("x-type: {kind}")))
    };
    of("e9", "onchain.activity.seen", CONTENT).assert_answer("ok");
    let moved = format!("seen.{CONTENT}");
    for (id, kind, content, reason) in [
        ("e9", "onchain.activity", &*moved, "signature_mismatch"),
        ("e9.onchain", "activity.seen", CONTENT, "signature_malformed"),
        ("e9", "onchain.activity.seen.{\"id\":\"e-9\",", "\"amount\":\"0.5\"}", "signature_malformed"),
        ("e9", "onchain.activity.lost", CONTENT, "signature_mismatch"),
    ] {
        let response = of(id, kind, content);
        assert_refused(&response, 401, Some(reason));
    }
}
