//! `hookgate events` with a gateway that has stored events.

use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;

use super::{PATH, five, id, ids};
use crate::support::in_time::OutputInTime as _;
use crate::support::{FIXTURE, Gateway, PATIENCE, Upstream, exchange, gateway, post};

fn events(gateway: &Gateway, arguments: &[&str]) -> Output {
    let admin = format!("http://{}", gateway.admin());
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.arg("events").args(arguments).args(["--admin", &admin]).output_in_time()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}{}", out(output), err(output));
    out(output)
}

#[track_caller]
fn json(output: &Output) -> Value {
    let text = done(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_list_is_a_table_for_people_and_a_document_for_programs() {
    let (gateway, _shelf, _upstream) = five();
    let table = done(&events(&gateway, &["list"]));
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 6);
    assert!(lines[0].starts_with("ID ") && lines[2].contains("dead (refused)"), "{table}");
    assert_eq!(ids(&json(&events(&gateway, &["list", "--state", "queued", "--json"]))), [4, 1, 0].map(id));
    assert_eq!(ids(&json(&events(&gateway, &["list", &id(1), "--id", &id(0), "--json"]))), [1, 0].map(id));
    let first = events(&gateway, &["list", "--limit", "2"]);
    assert!(err(&first).contains(&format!("--before {}", id(3))), "{}", err(&first));
    assert_eq!(ids(&json(&events(&gateway, &["list", "--since", "1h", "--json"]))), [""; 0]);
    assert!(err(&events(&gateway, &["list", "--since", "1h"])).contains("no event"));
}

#[test]
fn an_event_is_shown_and_its_content_comes_byte_for_byte() {
    let (gateway, _shelf, _upstream) = five();
    let text = done(&events(&gateway, &["show", &id(3)]));
    for want in ["dead (refused)", "host: example.com", "answer 500 at 2000", "{\"number\":3}"] {
        assert!(text.contains(want), "{want} in {text}");
    }
    assert_eq!(done(&events(&gateway, &["show", &id(3), "--content"])), "{\"number\":3}");
    assert_eq!(json(&events(&gateway, &["show", &id(3), "--json"]))["cause"], "refused");
    let missing = events(&gateway, &["show", "00000000-0000-7000-8000-000000000000"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(err(&missing).contains("no such event"));
}

/// An event with two copies: the app gives the event up, one copy takes it, and the other waits for its next
/// attempt.
#[test]
fn each_delivery_of_an_event_with_copies_is_shown() {
    let app = Upstream::answering("HTTP/1.1 410 Gone\r\ncontent-length: 4\r\n\r\ngone");
    let (copy, down) = (
        Upstream::ok(),
        Upstream::answering("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\ndown"),
    );
    let lines = format!("delivery = \"queue\"\ncopies = [\"{}\", \"{}\"]", copy.url(), down.url());
    let gateway =
        gateway().admin().queue("[retry]\nschedule = [\"1h\"]").route_with(PATH, &app.url(), &lines).start();
    let answer: Value = serde_json::from_str(&exchange(&gateway, &post(FIXTURE)).text()).unwrap();
    let id = answer["id"].as_str().unwrap();
    let end = Instant::now() + PATIENCE;
    let event = loop {
        let event = json(&events(&gateway, &["show", id, "--json"]));
        let all = event["deliveries"].as_array().unwrap();
        if all.iter().all(|delivery| delivery["attempts"] == 1) {
            break event;
        }
        assert!(Instant::now() < end, "{event}");
    };
    let of = |delivery: &Value| {
        [&delivery["upstream"], &delivery["state"], &delivery["last"]["status"]].map(Value::to_string)
    };
    let deliveries = event["deliveries"].as_array().unwrap();
    let want = [("main", "dead", 410), (&*copy.url(), "delivered", 200), (&*down.url(), "queued", 503)];
    let quoted = |text: &str| format!("\"{text}\"");
    assert_eq!(
        deliveries.iter().map(of).collect::<Vec<_>>(),
        want.map(|(upstream, state, status)| [quoted(upstream), quoted(state), status.to_string()])
    );
    let text = done(&events(&gateway, &["show", id]));
    for want in [
        "delivery to main: dead (refused), 1 attempt\n".to_owned(),
        format!("delivery to {}: delivered, 1 attempt\n", copy.url()),
        format!("delivery to {}: queued, 1 attempt, due ", down.url()),
        "  410\n    gone\n".to_owned(),
        "  503\n    down\n".to_owned(),
    ] {
        assert!(text.contains(&want), "{want} in {text}");
    }
    // The event is in the list of each of its states, once, with the same deliveries.
    for state in ["dead", "delivered", "queued"] {
        let page = json(&events(&gateway, &["list", "--state", state, "--json"]));
        assert_eq!(ids(&page), [id], "{state}");
        let listed = page["events"][0]["deliveries"].as_array().unwrap();
        assert_eq!(listed.iter().map(of).collect::<Vec<_>>(), deliveries.iter().map(of).collect::<Vec<_>>());
    }
    let table = done(&events(&gateway, &["list"]));
    assert_eq!(table.lines().count(), 2, "{table}");
}

#[test]
fn an_export_has_one_document_a_line() {
    let (gateway, _shelf, _upstream) = five();
    let text = done(&events(&gateway, &["export", "--route", PATH]));
    let of_line =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(text.lines().map(of_line).collect::<Vec<_>>(), [0, 1, 2, 3].map(id));
    assert_eq!(done(&events(&gateway, &["export", "--route", PATH, "--json"])), text);
    let none = events(&gateway, &["export", "--route", "/no-such-route"]);
    assert_eq!((done(&none).as_str(), err(&none).trim_end()), ("", "note: no event meets this"));
}

#[test]
fn a_replay_counts_first_and_asks_only_for_a_filter() {
    let (gateway, shelf, _upstream) = five();
    let dry = events(&gateway, &["replay", "--state", "dead", "--dry-run"]);
    assert_eq!(done(&dry), "1 event would be sent again\n");
    let unasked = events(&gateway, &["replay", "--state", "dead"]);
    assert_eq!(unasked.status.code(), Some(2));
    assert!(err(&unasked).contains("no terminal") && err(&unasked).contains("--yes"), "{}", err(&unasked));
    assert_eq!(events(&gateway, &["replay", "--yes"]).status.code(), Some(2), "not everything by mistake");
    let queued = || shelf.queue.statistics().counts.iter().map(|(_, counts)| counts.queued).sum::<u64>();
    assert_eq!(queued(), 3);
    assert_eq!(done(&events(&gateway, &["replay", "--state", "dead", "--yes"])), "1 of 1 sent again\n");
    assert_eq!(queued(), 4);
    let replayed = json(&events(&gateway, &["replay", &id(2), "--json"]));
    assert_eq!((&replayed["replay"]["state"], &replayed["replay"]["replayed"]), (&"done".into(), &1.into()));
    assert_eq!(queued(), 5);
    assert!(done(&events(&gateway, &["replays"])).contains("1 of 1"));
    let missing = events(&gateway, &["replay", "00000000-0000-7000-8000-000000000000"]);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(done(&events(&gateway, &["replay", "--route", "/nothing", "--yes"])), "");
}

#[test]
fn a_replay_can_be_left_and_cancelled() {
    let (gateway, _shelf, _upstream) = five();
    let started =
        json(&events(&gateway, &["replay", "--route", PATH, "--yes", "--rate", "1", "--detach", "--json"]));
    assert_eq!(started["replay"]["state"], "running");
    let replay = started["replay"]["id"].as_str().unwrap();
    let cancelled = done(&events(&gateway, &["replays", "--cancel", replay]));
    assert!(cancelled.starts_with("cancelled: "), "{cancelled}");
}

#[test]
fn nothing_is_discarded_unless_somebody_says_yes() {
    let (gateway, _shelf, _upstream) = five();
    assert_eq!(events(&gateway, &["discard", &id(0)]).status.code(), Some(2));
    assert_eq!(
        done(&events(&gateway, &["discard", "--state", "queued", "--dry-run"])),
        "3 events would be removed\n"
    );
    assert_eq!(done(&events(&gateway, &["discard", &id(0), "--yes"])), "1 event removed\n");
    assert_eq!(done(&events(&gateway, &["discard", "--state", "queued", "--yes"])), "2 events removed\n");
    assert_eq!(ids(&json(&events(&gateway, &["list", "--json"]))), [3, 2].map(id));
    assert_eq!(events(&gateway, &["discard", &id(0), "--yes"]).status.code(), Some(1));
}

#[test]
fn a_route_is_paused_and_resumed() {
    let (gateway, shelf, _upstream) = five();
    assert_eq!(done(&events(&gateway, &["pause", PATH])), format!("paused: {PATH}\n"));
    assert_eq!(shelf.queue.statistics().paused.len(), 1);
    assert_eq!(done(&events(&gateway, &["resume", "--route", PATH])), format!("resumed: {PATH}\n"));
    assert_eq!(shelf.queue.statistics().paused.len(), 0);
    assert_eq!(events(&gateway, &["pause", "/nothing"]).status.code(), Some(1));
}

#[test]
fn one_line_says_what_is_missing() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    let without_queue = events(&gateway, &["list"]);
    assert_eq!(without_queue.status.code(), Some(78));
    assert!(err(&without_queue).contains("add `[queue]`"), "{}", err(&without_queue));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let without_admin = command.args(["events", "list", "--config"]).arg(&file).output_in_time();
    assert_eq!(without_admin.status.code(), Some(78));
    assert!(err(&without_admin).contains("add `[admin]`"), "{}", err(&without_admin));
}
