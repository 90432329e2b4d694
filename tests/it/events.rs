//! Stored events over the admin listener: the API as a program uses it, and `hookgate events`.

mod command;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookgate::queue::event::{AttemptOutcome, Upstream as StoredUpstream};
use hookgate::queue::handle::UnderWay;
use hookgate::queue::memory_store::Memory;
use hookgate::queue::store::{DeadCause, Destination, Filter, Next, Reader as _};
use hookgate::queue::time::Time;
use serde_json::{Value, json};

use crate::support::admin;
use crate::support::event::{event, route};
use crate::support::gateway::{OPERATOR, VIEWER};
use crate::support::shelf::{Shelf, complete, put};
use crate::support::{Gateway, PATIENCE, Upstream, gateway};

const PATH: &str = "/webhook/leases";

/// An answer of the admin listener.
struct Answer {
    status: u16,
    head: String,
    text: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }
}

fn ask(gateway: &Gateway, method: &str, target: &str, lines: &str, content: &str) -> Answer {
    let text = String::from_utf8(admin::ask(gateway.admin(), method, target, lines, content)).unwrap();
    let (head, text) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_ascii_lowercase();
    let text = if head.contains("transfer-encoding: chunked") { dechunked(text) } else { text.to_owned() };
    Answer { status, head, text }
}

fn dechunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.push_str(&rest[..length]);
        text = &rest[length + 2..];
    }
    panic!("the answer broke off");
}

fn get(gateway: &Gateway, target: &str) -> Answer {
    ask(gateway, "GET", &format!("/api/v1/{target}"), "", "")
}

const JSON: &str = "content-type: application/json\r\n";

fn change(gateway: &Gateway, target: &str, document: &Value) -> Answer {
    ask(gateway, "POST", &format!("/api/v1/{target}"), JSON, &document.to_string())
}

/// A gateway with five events. Events 0 and 1 wait, 2 is delivered, 3 is dead, and 4 belongs to a route that
/// no longer exists.
fn five() -> (Gateway, Shelf, Upstream) {
    let memory = Memory::new();
    let refused = Next::Dead(DeadCause::Refused);
    for number in 0..5 {
        let make = make(number);
        let deliveries = put(&memory, &make);
        match number {
            2 => complete(&memory, &make, deliveries[0], AttemptOutcome::Delivered, Next::Delivered),
            3 => complete(&memory, &make, deliveries[0], AttemptOutcome::Refused, refused),
            _ => {}
        }
    }
    before(&memory)
}

fn make(number: u64) -> crate::support::event::Make {
    let path = if number == 4 { "/gone" } else { PATH };
    event(path, 1_000 * (number + 1)).number(number).content(format!("{{\"number\":{number}}}"))
}

fn before(memory: &Memory) -> (Gateway, Shelf, Upstream) {
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    let shelf = Shelf::of(memory);
    gateway.control().set_queue(shelf.queue.clone());
    (gateway, shelf, upstream)
}

fn id(number: u64) -> String {
    make(number).id().to_string()
}

fn ids(page: &Value) -> Vec<String> {
    page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// Waits for the end of a replay.
fn await_end(gateway: &Gateway, replay: &str) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let replay = get(gateway, &format!("replays/{replay}")).ok();
        if replay["state"] != "running" {
            return replay;
        }
        assert!(Instant::now() < end, "{replay}");
    }
}

#[test]
fn events_are_listed_latest_first_in_pages_with_their_states() {
    let (gateway, shelf, _upstream) = five();
    let page = get(&gateway, "events").ok();
    assert_eq!(ids(&page), [4, 3, 2, 1, 0].map(id));
    assert_eq!(page["next"], Value::Null);
    let states: Vec<_> =
        page["events"].as_array().unwrap().iter().map(|event| event["state"].clone()).collect();
    assert_eq!(states, ["queued", "dead", "delivered", "queued", "queued"]);
    assert_eq!(page["events"][0]["held"], "route_removed");
    assert_eq!(page["events"][1]["cause"], "refused");
    assert_eq!(page["events"][1]["deliveries"][0]["last"]["status"], 500);
    assert_eq!(page["events"][3]["held"], Value::Null);
    assert_eq!(page["events"][3]["received"], "1970-01-01T00:00:02.000Z");

    let first = get(&gateway, "events?limit=2").ok();
    assert_eq!((ids(&first), first["next"].as_str()), ([4, 3].map(id).to_vec(), Some(&*id(3))));
    let second = get(&gateway, &format!("events?limit=2&before={}", id(3))).ok();
    assert_eq!(ids(&second), [2, 1].map(id));

    for (filter, want) in [
        ("state=dead", vec![3]),
        ("state=queued", vec![4, 1, 0]),
        ("route=%2Fgone", vec![4]),
        ("since=1970-01-01T00:00:03Z&until=1970-01-01T00:00:04.001Z", vec![3, 2]),
        (&format!("id={}&id={}", id(0), id(2)), vec![2, 0]),
        ("model=leads", vec![]),
        ("state=delivering", vec![]),
    ] {
        let want: Vec<_> = want.into_iter().map(id).collect();
        assert_eq!(ids(&get(&gateway, &format!("events?{filter}")).ok()), want, "{filter}");
        let count = get(&gateway, &format!("events/count?{filter}")).ok();
        assert_eq!(count, json!({ "count": want.len(), "is_capped": false }), "{filter}");
    }
    let destination = Destination { route: route(PATH, None), upstream: StoredUpstream::Main };
    let summary = shelf.memory.clone().detail(make(1).id()).unwrap().unwrap().summary;
    let under_way = UnderWay { event: make(1).id(), destination, began: Time::from_millis(9_000) };
    shelf.queue.attempt_begins(summary.deliveries[0].id, under_way);
    assert_eq!(ids(&get(&gateway, "events?state=delivering").ok()), [id(1)]);
    assert_eq!(ids(&get(&gateway, "events?state=queued").ok()), [4, 0].map(id));
    shelf.queue.attempt_ended(summary.deliveries[0].id);
    assert_eq!(ids(&get(&gateway, "events?state=delivering").ok()), [""; 0]);
}

#[test]
fn a_request_that_is_not_understood_is_refused_with_a_sentence() {
    let (gateway, _shelf, _upstream) = five();
    for (target, status, word) in [
        ("events?state=lost", 400, "no state `lost`"),
        ("events?color=red", 400, "no filter `color`"),
        ("events?limit=0", 400, "from 1 to 1000"),
        ("events?limit=1001", 400, "from 1 to 1000"),
        ("events?since=x", 400, "`since` is no time"),
        ("events?before=x", 400, "no id"),
        ("events/00000000-0000-7000-8000-000000000000", 404, "no such event"),
        ("nonsense", 404, "/api/v1/queue"),
        ("replays/00000000-0000-7000-8000-000000000000", 404, "no such replay"),
        ("events/discard", 405, "POST"),
    ] {
        let answer = get(&gateway, target);
        assert_eq!(answer.status, status, "{target}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(word), "{target}: {error}");
    }
    for (target, document, status) in [
        ("events/discard", json!({}), 400),
        ("events/discard", json!({ "ids": [] }), 400),
        ("events/discard", json!({ "ids": ["x"] }), 400),
        ("events/discard", json!({ "ids": [id(0)], "filter": {} }), 400),
        ("events/discard", json!({ "filter": { "color": "red" } }), 400),
        ("events/replay", json!({ "ids": [id(0)], "rate": 0 }), 400),
        ("events/replay", json!({ "ids": [id(0)], "rate": 1001 }), 400),
        ("events/replay", json!({ "ids": vec![id(0); 1001] }), 400),
        ("events/replay", json!({ "filter": { "route": "/nothing" } }), 404),
        ("routes/pause", json!({ "route": "/nothing" }), 404),
    ] {
        assert_eq!(change(&gateway, target, &document).status, status, "{target} {document}");
    }
    let large = json!({ "ids": vec!["x".repeat(100); 1400] });
    assert_eq!(change(&gateway, "events/discard", &large).status, 413);
    assert_eq!(ask(&gateway, "POST", "/api/v1/events/discard", "", "{}").status, 415);
}

#[test]
fn without_a_queue_the_answer_says_what_to_add() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    let answer = get(&gateway, "events");
    assert_eq!(answer.status, 404);
    assert!(answer.text.contains("add `[queue]`"), "{}", answer.text);
}

#[test]
fn one_event_is_shown_with_its_fields_and_attempts_and_content_only_when_asked_for() {
    let (gateway, _shelf, _upstream) = five();
    let shown = get(&gateway, &format!("events/{}", id(3))).ok();
    assert_eq!(shown["state"], "dead");
    assert_eq!(shown["fields"][0], json!({ "name": "host", "value": "example.com" }));
    assert_eq!(
        shown["deliveries"][0]["kept_attempts"][0]["response"],
        json!({ "text": "answer 500 at 2000" })
    );
    assert_eq!(shown["content"], Value::Null);
    assert_eq!(shown["content_kept"], true);
    let content = "{\"number\":3}";
    let shown = get(&gateway, &format!("events/{}?content=true", id(3))).ok();
    assert_eq!(shown["content"], json!({ "text": content, "base64": STANDARD.encode(content) }));
}

#[test]
fn an_export_is_a_line_for_each_event_with_its_bytes() {
    let (gateway, _shelf, _upstream) = five();
    let answer = get(&gateway, "events/export?state=queued");
    assert!(answer.head.contains("content-type: application/x-ndjson"), "{}", answer.head);
    let lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["id"].as_str().unwrap()).collect::<Vec<_>>(), [0, 1, 4].map(id));
    assert_eq!(lines[0]["content_base64"], STANDARD.encode("{\"number\":0}"));
    let head = STANDARD.decode(lines[0]["head_base64"].as_str().unwrap()).unwrap();
    assert!(head.starts_with(b"POST /webhook/leases HTTP/1.1\r\n"));
    let rest = get(&gateway, &format!("events/export?after={}", id(3)));
    assert_eq!(rest.text.lines().count(), 1);
}

#[test]
fn a_replay_sends_each_event_again_once_and_says_how_far_it_is() {
    let (gateway, shelf, _upstream) = five();
    let dry = json!({ "filter": { "state": "dead" }, "dry_run": true });
    assert_eq!(change(&gateway, "events/replay", &dry).ok(), json!({ "count": 1, "is_capped": false }));
    assert_eq!(shelf.queue.statistics().counts.iter().map(|(_, counts)| counts.queued).sum::<u64>(), 3);

    let started = change(&gateway, "events/replay", &json!({ "filter": { "route": PATH }, "rate": 1000 }));
    assert_eq!(started.status, 202, "{}", started.text);
    let started = started.json();
    assert_eq!(started["count"], 4);
    let replay = await_end(&gateway, started["replay"]["id"].as_str().unwrap());
    assert_eq!(
        (&replay["state"], &replay["replayed"], &replay["total"]),
        (&json!("done"), &json!(4), &json!(4))
    );
    assert_eq!(replay["by"], "local");
    let queued = Filter { state: Some("queued".into()), ..Filter::default() };
    assert_eq!(shelf.memory.clone().count(&queued, 10).unwrap(), 5);
    assert_eq!(get(&gateway, "replays").ok()["replays"][0]["id"], started["replay"]["id"]);

    let started = change(&gateway, "events/replay", &json!({ "ids": [id(0)] })).json();
    let replay = await_end(&gateway, started["replay"]["id"].as_str().unwrap());
    assert_eq!(replay["replayed"], 1);
}

#[test]
fn a_replay_goes_on_in_the_next_process_and_can_be_cancelled() {
    let memory = Memory::new();
    for number in 0..1000 {
        let make = event(PATH, 1_000 + number).number(number);
        let delivered = put(&memory, &make);
        complete(&memory, &make, delivered[0], AttemptOutcome::Delivered, Next::Delivered);
    }
    let (first, shelf, _upstream) = before(&memory);
    let started = change(&first, "events/replay", &json!({ "filter": {}, "rate": 5 })).json();
    let replay = started["replay"]["id"].as_str().unwrap().to_owned();
    let progress =
        |gateway: &Gateway| get(gateway, &format!("replays/{replay}")).ok()["replayed"].as_u64().unwrap();
    let end = Instant::now() + PATIENCE;
    while progress(&first) == 0 {
        assert!(Instant::now() < end, "it does not begin");
    }
    drop((first, shelf));

    let (second, shelf, _upstream) = before(&memory);
    let known = progress(&second);
    assert!(known >= 1, "what was sent again is known");
    while progress(&second) == known {
        assert!(Instant::now() < end, "it does not go on");
    }
    let cancelled = change(&second, &format!("replays/{replay}/cancel"), &json!({})).ok();
    assert_eq!(cancelled["state"], "cancelled");
    let sent: u64 = cancelled["replayed"].as_u64().unwrap();
    let queued = Filter { state: Some("queued".into()), ..Filter::default() };
    assert_eq!(memory.clone().count(&queued, 10_000).unwrap(), sent);
    drop((second, shelf));

    let (third, _shelf, _upstream) = before(&memory);
    assert_eq!(get(&third, &format!("replays/{replay}")).ok()["state"], "cancelled");
    assert_eq!(progress(&third), sent);
}

#[test]
fn only_what_a_filter_meets_is_discarded() {
    let (gateway, _shelf, _upstream) = five();
    let dry =
        change(&gateway, "events/discard", &json!({ "filter": { "state": "queued" }, "dry_run": true })).ok();
    assert_eq!(dry["count"], 3);
    assert_eq!(ids(&get(&gateway, "events").ok()).len(), 5);
    let done = change(&gateway, "events/discard", &json!({ "filter": { "route": "/gone" } })).ok();
    assert_eq!(done, json!({ "discarded": 1, "has_more": false }));
    let done = change(&gateway, "events/discard", &json!({ "ids": [id(0), id(4)] })).ok();
    assert_eq!(done["discarded"], 1, "one of them was gone");
    assert_eq!(ids(&get(&gateway, "events").ok()), [3, 2, 1].map(id));
}

#[test]
fn events_of_a_paused_route_are_held() {
    let (gateway, _shelf, _upstream) = five();
    let paused = change(&gateway, "routes/pause", &json!({ "route": PATH })).ok();
    assert_eq!(paused, json!({ "routes": [{ "path": PATH, "model": null }], "changed": 1 }));
    let held = |number: u64| get(&gateway, &format!("events/{}", id(number))).ok()["held"].clone();
    assert_eq!((held(0), held(2)), (json!("paused"), Value::Null));
    let queue = get(&gateway, "queue").ok();
    assert_eq!(queue["store"], "well");
    let of = |path: &str| {
        let upstreams = queue["upstreams"].as_array().unwrap();
        upstreams.iter().find(|upstream| upstream["route"]["path"] == path).unwrap().clone()
    };
    let leases = of(PATH);
    let count = |name: &str| leases[name].as_u64().unwrap();
    assert_eq!((count("queued"), count("delivered"), count("dead")), (2, 1, 1));
    assert_eq!(
        (&leases["paused"], &leases["circuit"], &leases["held"]),
        (&json!(true), &json!("closed"), &json!("paused"))
    );
    assert_eq!(of("/gone")["held"], "route_removed");
    assert_eq!(change(&gateway, "routes/resume", &json!({ "route": PATH })).ok()["changed"], 1);
    assert_eq!(held(0), Value::Null);
    assert_eq!(change(&gateway, "routes/resume", &json!({ "route": PATH })).ok()["changed"], 0);
}

#[test]
fn no_page_in_a_browser_and_no_other_host_may_ask() {
    let (gateway, _shelf, _upstream) = five();
    for (line, status) in [
        ("origin: http://127.0.0.1\r\n", 403),
        ("sec-fetch-site: same-origin\r\n", 403),
        ("host: evil.example\r\n", 403),
        ("x-forwarded-for: 192.0.2.1\r\n", 401),
        ("authorization: Bearer guess\r\n", 401),
        ("sec-fetch-site: none\r\n", 200),
    ] {
        assert_eq!(ask(&gateway, "GET", "/api/v1/events", line, "").status, status, "{line}");
        let post =
            ask(&gateway, "POST", "/api/v1/events/discard", &format!("{line}{JSON}"), "{\"filter\":{}}");
        assert_eq!(post.status, status, "{line}");
        if status == 401 {
            assert!(post.head.contains("www-authenticate: bearer"), "{}", post.head);
        }
        if status != 200 {
            assert_eq!(ids(&get(&gateway, "events").ok()).len(), 5, "{line}");
        }
    }
}

#[test]
fn a_token_is_needed_through_a_proxy_and_its_role_decides() {
    let memory = Memory::new();
    put(&memory, &make(0));
    let upstream = Upstream::ok();
    let tokens = "tokens = [{ name = \"viewer\", env = \"VIEWER\", role = \"read\" }, \
                  { name = \"ops\", env = \"OPERATOR\", role = \"operate\" }]";
    let gateway = gateway().admin_with(tokens).route(PATH, &upstream.url()).start();
    let shelf = Shelf::of(&memory);
    gateway.control().set_queue(shelf.queue.clone());
    let with = |token: &str| format!("x-forwarded-for: 192.0.2.1\r\nauthorization: Bearer {token}\r\n{JSON}");
    let pause = format!("{{\"route\":\"{PATH}\"}}");
    for (token, read, operate) in [(VIEWER, 200, 403), (OPERATOR, 200, 200), ("0123456789abcdef", 401, 401)] {
        assert_eq!(ask(&gateway, "GET", "/api/v1/events", &with(token), "").status, read);
        assert_eq!(ask(&gateway, "POST", "/api/v1/routes/pause", &with(token), &pause).status, operate);
    }
    let started = ask(
        &gateway,
        "POST",
        "/api/v1/events/replay",
        &with(OPERATOR),
        &json!({ "ids": [id(0)] }).to_string(),
    );
    assert_eq!(started.json()["replay"]["by"], "ops", "{}", started.text);
}

#[test]
fn a_gateway_whose_store_fails_is_not_ready_and_says_so() {
    let (gateway, shelf, _upstream) = five();
    let ready = || ask(&gateway, "GET", "/readyz", "", "");
    assert_eq!(ready().status, 200);
    shelf.fail();
    assert_eq!(change(&gateway, "routes/pause", &json!({ "route": PATH })).status, 503);
    assert_eq!(ready().status, 503);
    assert!(ready().text.contains("store fails"), "{}", ready().text);
}

#[test]
fn ten_thousand_events_are_counted_and_no_further() {
    let memory = Memory::new();
    let shelf = Shelf::of(&memory);
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    gateway.control().set_queue(shelf.queue.clone());
    use hookgate::queue::store::{Batch, Store as _};
    let store = |numbers: std::ops::Range<u64>| {
        let made: Vec<_> = numbers.map(|number| event(PATH, 1_000).number(number).make()).collect();
        memory.clone().commit(&Batch { events: made.iter().collect(), ..Batch::default() }).unwrap();
    };
    store(0..10_000);
    let count = || get(&gateway, "events/count").ok();
    assert_eq!(count(), json!({ "count": 10_000, "is_capped": false }));
    store(10_000..10_001);
    assert_eq!(count(), json!({ "count": 10_000, "is_capped": true }));
}

#[test]
fn exports_are_few_at_a_time() {
    let memory = Memory::new();
    for number in 0..40 {
        put(&memory, &event(PATH, 1_000).number(number).content(vec![b'x'; 1 << 20]));
    }
    let (gateway, _shelf, _upstream) = before(&memory);
    // These clients do not read.
    let held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = admin::send(gateway.admin(), "GET", "/api/v1/events/export", "", "");
            let mut first = [0; 1];
            stream.read_exact(&mut first).unwrap();
            stream
        })
        .collect();
    let refused = get(&gateway, "events/export");
    assert_eq!(refused.status, 503, "{}", refused.head);
    drop(held);
    let end = Instant::now() + PATIENCE;
    while get(&gateway, "events/export?state=dead").status != 200 {
        assert!(Instant::now() < end, "a client that has gone keeps its place");
    }
}

#[test]
fn ids_of_a_page_are_each_there_once() {
    let (gateway, _shelf, _upstream) = five();
    let mut seen = BTreeSet::new();
    let mut before = String::new();
    loop {
        let page = get(&gateway, &format!("events?limit=1{before}")).ok();
        ids(&page).into_iter().for_each(|id| assert!(seen.insert(id)));
        let Some(next) = page["next"].as_str() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(seen.len(), 5);
}
