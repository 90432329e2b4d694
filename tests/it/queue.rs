//! The queue: an event is stored, acknowledged, and delivered later, unchanged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hookgate::gateway::resources::Claimed;
use hookgate::queue::circuit::Standing;
use hookgate::queue::duplicates::Duplicates;
use hookgate::queue::event::{DuplicateKey, RouteName};
use hookgate::queue::handle::{self, Held, Refused};
use hookgate::queue::memory_store::Memory;
use hookgate::queue::store::{Change, Store as _};
use hookgate::queue::time::Time;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::event::{event, held};
use crate::support::upstream::{Oracle, Request, refusing};
use crate::support::{
    Client, FIXTURE, Gateway, PATIENCE, Upstream, assert_refused, exchange, gate, gateway, post, unsigned,
};

const PATH: &str = "/webhook/leases";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BROKEN: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\ndown";
const QUEUE: &str = "delivery = \"queue\"";
const FAST: &str = "[retry]\nschedule = [\"50ms\"]";

/// An upstream that fails until the test mends it.
fn mendable() -> (Upstream, Arc<AtomicBool>) {
    let is_up = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_up);
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            connection.send(if seen.load(Ordering::SeqCst) { OK } else { BROKEN });
        }
    });
    (upstream, is_up)
}

/// Sends an event. It must be stored. Returns its id.
fn store(gateway: &Gateway, content: impl AsRef<[u8]>) -> String {
    let response = exchange(gateway, &post(content));
    assert_eq!((response.status, response.value("content-type").as_deref()), (202, Some("application/json")));
    let answer: Value = serde_json::from_str(&response.text()).unwrap();
    assert_eq!(answer["status"], "queued");
    answer["id"].as_str().unwrap().to_owned()
}

/// Waits until `count` deliveries are queued.
fn wait_until_queued(gateway: &Gateway, count: u64) {
    let queue = gateway.control().queue().unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        let queued: u64 = queue.statistics().counts.iter().map(|(_, counts)| counts.queued).sum();
        if queued == count {
            return;
        }
        assert!(Instant::now() < end, "{queued} are queued, not {count}");
        std::thread::yield_now();
    }
}

fn ids(requests: &[Request]) -> Vec<String> {
    let id = |request: &Request| String::from_utf8(request.values("x-event").concat()).unwrap();
    requests.iter().map(id).collect()
}

fn contents(requests: &[Request]) -> Vec<&[u8]> {
    requests.iter().map(|request| request.content.as_slice()).collect()
}

#[test]
fn a_stored_event_is_acknowledged_with_its_id_and_delivered_byte_for_byte() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .queue("")
        .forward("event_id_field = \"x-event\"")
        .route_with(PATH, &upstream.url(), QUEUE)
        .start();
    let content = b"{\"a\":\"\xff\xfe\"}\0";
    let request =
        post(content).line("X-Odd:  a b ").line("x-odd: c").line("connection: x-gone").line("x-gone: 1");
    let response = exchange(&gateway, &request);
    let answer: Value = serde_json::from_str(&response.text()).unwrap();
    let got = upstream.only_request();
    assert_eq!(
        (response.status, answer["id"].as_str().unwrap()),
        (202, ids(std::slice::from_ref(&got))[0].as_str())
    );
    assert_eq!((got.content.as_slice(), got.target.as_str()), (&content[..], PATH));
    assert_eq!(got.values("x-odd"), [b"a b".to_vec(), b"c".to_vec()]);
    assert!(!got.has("x-gone") && got.values("content-length") == [content.len().to_string().into_bytes()]);
    wait_until_queued(&gateway, 0);
}

/// The token of GitLab is the key itself.
#[test]
fn a_shared_token_reaches_the_app_and_is_in_no_file_of_the_store() {
    const TOKEN: &str = "a-shared-token-for-this-test";
    let folder = Arc::new(TempDir::new().unwrap());
    let failed = AtomicBool::new(false);
    let upstream = Upstream::with_oracle(Oracle::default().observing(), move |connection| {
        while connection.request().is_some() {
            connection.send(if failed.swap(true, Ordering::SeqCst) { OK } else { BROKEN });
        }
    });
    let gateway = gateway()
        .queue_in(&folder, FAST)
        .signature(&format!("scheme = \"gitlab\"\nsecrets = [{{ value = \"{TOKEN}\" }}]"))
        .route_with(PATH, &upstream.url(), QUEUE)
        .start();
    let response = exchange(&gateway, &unsigned(FIXTURE).line(format!("X-Gitlab-Token: {TOKEN}")));
    assert_eq!(response.status, 202);
    // The first delivery is of the event in memory, and the second one of the record.
    upstream.wait_for(2);
    wait_until_queued(&gateway, 0);
    for request in upstream.requests() {
        assert_eq!(request.values("x-gitlab-token"), [TOKEN.as_bytes().to_vec()]);
    }
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()), "{}", path.display());
    }
}

#[test]
fn an_event_is_delivered_when_the_app_is_up_again_with_one_id_in_all_attempts() {
    let (upstream, is_up) = mendable();
    let gateway = gateway()
        .queue(FAST)
        .forward("event_id_field = \"x-event\"")
        .route_with(PATH, &upstream.url(), QUEUE)
        .start();
    let id = store(&gateway, FIXTURE);
    upstream.wait_for(2);
    is_up.store(true, Ordering::SeqCst);
    wait_until_queued(&gateway, 0);
    let requests = upstream.requests();
    assert!(requests.iter().all(|request| request.content == FIXTURE));
    assert!(ids(&requests).iter().all(|other| *other == id), "{:?} {id}", ids(&requests));
}

#[test]
fn a_fallback_passes_the_apps_answer_on_and_stores_what_the_app_cannot_take() {
    let failing = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&failing);
    let upstream = Upstream::scripted(move |connection| {
        while let Some(request) = connection.request() {
            let fails =
                left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            connection.send(if fails {
                BROKEN
            } else if request.content == b"no" {
                "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno"
            } else {
                OK
            });
        }
    });
    let gateway = gateway()
        .queue(FAST)
        .forward("event_id_field = \"x-event\"")
        .route_with(PATH, &upstream.url(), "delivery = \"fallback\"")
        .start();
    exchange(&gateway, &post("a")).assert_answer("ok");
    let response = exchange(&gateway, &post("no"));
    assert_eq!((response.status, response.text().as_str()), (404, "no"));
    wait_until_queued(&gateway, 0);
    failing.store(1, Ordering::SeqCst);
    let id = store(&gateway, "b");
    let requests = upstream.wait_for(4);
    assert_eq!(contents(&requests), [&b"a"[..], b"no", b"b", b"b"]);
    assert_eq!(ids(&requests)[2..], [id.clone(), id], "the direct attempt has the same id");
    wait_until_queued(&gateway, 0);
}

#[test]
fn a_fallback_waits_as_long_as_the_app_asks_and_stores_nothing_that_the_route_gives_up_on() {
    let upstream = Upstream::answering(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 3600\r\ncontent-length: 4\r\n\r\ndown",
    );
    let retry = "[retry]\nschedule = [\"50ms\", \"2h\"]\nmax_age = \"3d\"";
    let fallback = "delivery = \"fallback\"";
    let gateway = gateway().queue(retry).route_with(PATH, &upstream.url(), fallback).start();
    let id = store(&gateway, FIXTURE).parse().unwrap();
    let now = Time::of(SystemTime::now());
    let detail = gateway.control().queue().unwrap().read(|store| store.detail(id)).unwrap().unwrap();
    let delivery = &detail.summary.deliveries[0];
    assert_eq!(delivery.attempts, 1);
    assert!(delivery.due.since(now) > Duration::from_secs(3500), "{delivery:?}");
    drop(gateway);
    let lines = format!("{fallback}\nretry = {{ give_up_on = [503] }}");
    let gateway = crate::support::gateway().queue("").route_with(PATH, &upstream.url(), &lines).start();
    let response = exchange(&gateway, &post(FIXTURE));
    assert_eq!((response.status, response.text().as_str()), (503, "down"));
    wait_until_queued(&gateway, 0);
}

#[test]
fn a_fallback_stores_what_finds_no_app() {
    let upstream = Upstream::ok();
    let setup = |address: &str| gateway().queue(FAST).route_with(PATH, address, "delivery = \"fallback\"");
    let gateway = setup(&refusing()).start();
    store(&gateway, FIXTURE);
    gateway.reload(setup(&upstream.url()));
    assert_eq!(upstream.only_request().content, FIXTURE, "the address in force is the one that is used");
}

/// Waits until the circuit of the route is this.
fn wait_for_circuit(gateway: &Gateway, wanted: Standing) {
    let route = RouteName { path: PATH.into(), model: None };
    let end = Instant::now() + PATIENCE;
    while gateway.control().queue().unwrap().circuit(&route) != wanted {
        assert!(Instant::now() < end, "the circuit is not {wanted:?}");
        std::thread::yield_now();
    }
}

#[test]
fn five_direct_attempts_of_a_fallback_that_fail_in_a_row_open_its_circuit() {
    let (upstream, is_up) = mendable();
    // Nothing is tried again in this test.
    let retry = "[retry]\nschedule = [\"1h\"]";
    let gateway = gateway().queue(retry).route_with(PATH, &upstream.url(), "delivery = \"fallback\"").start();
    // Failures are counted in the background. Of this one it is known when it is counted.
    store(&gateway, "the first");
    wait_for_circuit(&gateway, Standing::Counting);
    // A success in between: the row begins anew.
    is_up.store(true, Ordering::SeqCst);
    exchange(&gateway, &post("good")).assert_answer("ok");
    wait_for_circuit(&gateway, Standing::Calm);
    is_up.store(false, Ordering::SeqCst);
    (0..5).for_each(|n| drop(store(&gateway, format!("{n}"))));
    wait_for_circuit(&gateway, Standing::Open);
    let sent = upstream.requests().len();
    is_up.store(true, Ordering::SeqCst);
    store(&gateway, "stored at once");
    wait_until_queued(&gateway, 7);
    assert_eq!((sent, upstream.requests().len()), (7, 7));
}

#[test]
fn what_a_fallback_passes_on_is_no_failure_of_its_app() {
    let upstream = Upstream::answering("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno");
    let gateway = gateway().queue(FAST).route_with(PATH, &upstream.url(), "delivery = \"fallback\"").start();
    for _ in 0..6 {
        assert_eq!(exchange(&gateway, &post(FIXTURE)).status, 404);
    }
    wait_for_circuit(&gateway, Standing::Calm);
}

#[test]
fn the_beginning_of_a_streamed_answer_is_kept_with_the_first_attempt_and_not_waited_for() {
    let (release, gate) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            connection
                .send("HTTP/1.1 503 Service Unavailable\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndown\r\n");
            // Its end does not come.
            gate.pass();
        }
    });
    let gateway = gateway().queue("").route_with(PATH, &upstream.url(), "delivery = \"fallback\"").start();
    let id = store(&gateway, FIXTURE).parse().unwrap();
    let detail = gateway.control().queue().unwrap().read(|store| store.detail(id)).unwrap().unwrap();
    let attempt = &detail.attempts[0][0];
    assert_eq!((attempt.status, attempt.response.as_slice()), (Some(503), &b"down"[..]));
    drop(release);
}

#[test]
fn a_streamed_answer_to_an_event_that_is_not_stored_is_passed_on_whole() {
    let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 300000\r\n\r\n".to_vec();
    answer.extend(&content);
    let upstream = Upstream::answering(answer);
    let lines = "delivery = \"fallback\"\nmax_queued = 1";
    let gateway = gateway().queue("").route_with(PATH, &upstream.url(), lines).start();
    let response = exchange(&gateway, &post(FIXTURE));
    assert_eq!((response.status, response.body == content), (500, true));
}

#[test]
fn a_paused_fallback_delivers_nothing_stored_and_still_forwards_what_is_new() {
    let (upstream, is_up) = mendable();
    let gateway = gateway().queue(FAST).route_with(PATH, &upstream.url(), "delivery = \"fallback\"").start();
    let queue = gateway.control().queue().unwrap().clone();
    let change = |change: fn(RouteName) -> Change| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let route = RouteName { path: PATH.into(), model: None };
        assert_eq!(runtime.block_on(queue.change(change(route))), Ok(1));
    };
    change(Change::Pause);
    store(&gateway, "stored");
    is_up.store(true, Ordering::SeqCst);
    exchange(&gateway, &post("new")).assert_answer("ok");
    assert_eq!(contents(&upstream.requests()), [&b"stored"[..], b"new"]);
    wait_until_queued(&gateway, 1);
    change(Change::Resume);
    wait_until_queued(&gateway, 0);
    assert_eq!(contents(&upstream.requests())[2..], [&b"stored"[..]]);
}

#[test]
fn only_what_verifies_is_stored() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let gateway = gateway()
        .queue("")
        .route_with("/enforced", &upstream.url(), QUEUE)
        .route_with("/observed", &upstream.url(), "delivery = \"queue\"\nmode = \"observe\"")
        .start();
    let forged = post("x").forged("y").target("/enforced");
    assert_refused(&exchange(&gateway, &forged), 401, Some("signature_mismatch"));
    exchange(&gateway, &unsigned("z").target("/observed")).assert_answer("ok");
    assert_eq!(exchange(&gateway, &post("w").target("/observed")).status, 202);
    wait_until_queued(&gateway, 0);
    let stored: u64 = gateway
        .control()
        .queue()
        .unwrap()
        .statistics()
        .counts
        .iter()
        .map(|(_, counts)| counts.delivered)
        .sum();
    assert_eq!((stored, contents(&upstream.wait_for(2))), (1, vec![&b"z"[..], b"w"]));
}

#[test]
fn what_was_acknowledged_survives_the_process() {
    let (upstream, is_up) = mendable();
    let folder = Arc::new(TempDir::new().unwrap());
    let setup = || gateway().queue_in(&folder, FAST).route_with(PATH, &upstream.url(), QUEUE);
    let first = setup().start();
    let ids: Vec<_> = ["a", "b", "c"].into_iter().map(|content| store(&first, content)).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    drop(first);
    let second = setup().start();
    wait_until_queued(&second, 3);
    let already = upstream.requests().len();
    is_up.store(true, Ordering::SeqCst);
    wait_until_queued(&second, 0);
    let requests = upstream.requests();
    let mut late: Vec<_> = contents(&requests[already..]);
    late.sort_unstable();
    late.dedup();
    assert_eq!(late, [b"a", b"b", b"c"]);
}

#[test]
fn one_process_owns_a_store() {
    let upstream = Upstream::ok();
    let folder = Arc::new(TempDir::new().unwrap());
    let setup = || gateway().queue_in(&folder, "").route_with(PATH, &upstream.url(), QUEUE);
    let first = setup().start();
    let error = setup().try_start(1).map(drop).unwrap_err();
    assert!(hookgate::upstream::error::chain(&error).contains("another hookgate"), "{error:?}");
    drop(first);
    drop(setup().start());
}

#[test]
fn a_duplicate_is_answered_and_not_delivered() {
    let upstream = Upstream::ok();
    for (lines, first, again) in [
        ("delivery = \"queue\"\ndeduplicate = \"1h\"", 202, 200),
        ("deduplicate = \"1h\"", 200, 200),
        ("delivery = \"queue\"\ndeduplicate = \"1h\"\nack_status = 204", 204, 204),
    ] {
        let before = upstream.requests().len();
        let gateway = gateway().queue("").route_with(PATH, &upstream.url(), lines).start();
        assert_eq!(exchange(&gateway, &post("same")).status, first, "{lines}");
        assert_eq!(exchange(&gateway, &post("same")).status, again, "{lines}");
        assert_eq!(exchange(&gateway, &post("other")).status, first, "{lines}");
        wait_until_queued(&gateway, 0);
        assert_eq!(upstream.requests().len() - before, 2, "{lines}");
    }
}

#[test]
fn the_claim_of_an_event_that_failed_makes_no_duplicate_of_the_next() {
    let (upstream, is_up) = mendable();
    let gateway = gateway().queue("").route_with(PATH, &upstream.url(), "deduplicate = \"1h\"").start();
    assert_eq!(exchange(&gateway, &post("same")).status, 503);
    is_up.store(true, Ordering::SeqCst);
    exchange(&gateway, &post("same")).assert_answer("ok");
    let again = exchange(&gateway, &post("same"));
    assert_eq!((again.status, again.text().as_str()), (200, "{\"status\":\"duplicate\"}\n"));
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_store_that_does_not_answer_is_waited_for_no_longer_than_asked_and_its_event_stays_claimed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (queue, mut writer, _deliveries) = handle::channel();
    let mut commands = writer.take_commands();
    let reader = || Memory::new().reader().unwrap();
    writer.set_readers(Some([reader(), reader()]));
    let (claims, route) = (Duplicates::default(), RouteName { path: PATH.into(), model: None });
    let (now, short) = (Time::from_millis(1_000), Duration::from_millis(20));
    let key = DuplicateKey { digest: [7; 32], until: Time::from_millis(9_000) };
    let claim = async |patience| claims.claim(&queue, &route, key, now, patience).await;
    runtime.block_on(async {
        let Ok(Claimed::First(first)) = claim(PATIENCE).await else { panic!("it is the first") };
        let held = Held { claim: Some(Box::new(first)), ..held() };
        let stored = queue.store(event(PATH, 1_000).make(), held, short).await;
        assert_eq!(stored, Err(Refused::Unavailable));
        // It may be committed yet: one like it waits.
        assert!(matches!(claim(short).await, Ok(Claimed::UnderWay)));
        drop(commands.recv().await.unwrap());
        assert!(matches!(claim(PATIENCE).await, Ok(Claimed::First(_))));
    });
}

#[test]
fn of_concurrent_twins_one_is_delivered() {
    let upstream = Upstream::ok();
    let gateway = gateway().queue("").route_with(PATH, &upstream.url(), "deduplicate = \"1h\"").start_on(2);
    let mut clients: Vec<_> = (0..16).map(|_| Client::to(&gateway)).collect();
    let request = post("twin").bytes();
    for client in &mut clients {
        client.send(&request);
    }
    let answers: Vec<_> = clients.iter_mut().map(|client| client.response().text()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "ok").count(), 1, "{answers:?}");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn events_of_one_lane_are_delivered_one_after_the_other() {
    let underway = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, peak) = (Arc::clone(&underway), Arc::clone(&most));
    let failing = Arc::new(AtomicUsize::new(3));
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let fails =
                failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            now.fetch_sub(1, Ordering::SeqCst);
            connection.send(if fails { BROKEN } else { OK });
        }
    });
    let lines = "delivery = \"queue\"\norder_by = \"/record_id\"";
    let gateway = gateway().queue(FAST).route_with(PATH, &upstream.url(), lines).start();
    let events: Vec<_> = (0..20).map(|n| format!("{{\"record_id\":\"one\",\"n\":{n}}}")).collect();
    events.iter().for_each(|event| drop(store(&gateway, event)));
    wait_until_queued(&gateway, 0);
    let requests = upstream.requests();
    let mut arrived: Vec<_> = contents(&requests);
    arrived.dedup();
    assert_eq!(arrived, events.iter().map(String::as_bytes).collect::<Vec<_>>());
    assert_eq!((requests.len(), most.load(Ordering::SeqCst)), (23, 1));
}

#[test]
fn a_full_queue_refuses_and_takes_events_again_when_there_is_room() {
    let (upstream, is_up) = mendable();
    let lines = "delivery = \"queue\"\nmax_queued = 3000";
    let gateway = gateway().queue(FAST).route_with(PATH, &upstream.url(), lines).start();
    let event = |n: usize| format!("{n}{}", "x".repeat(800));
    store(&gateway, event(1));
    store(&gateway, event(2));
    let response = exchange(&gateway, &post("y".repeat(2000)));
    assert_refused(&response, 503, Some("queue_full"));
    assert!(response.value("retry-after").is_some());
    is_up.store(true, Ordering::SeqCst);
    wait_until_queued(&gateway, 0);
    store(&gateway, event(3));
}

#[test]
fn an_event_that_was_discarded_is_not_delivered_though_it_was_ready() {
    let (release, gate) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            gate.pass();
            connection.send(OK);
        }
    });
    let lines = format!("{QUEUE}\nconcurrency = 1");
    let gateway = gateway().queue("").route_with(PATH, &upstream.url(), &lines).start();
    store(&gateway, "first");
    upstream.wait_for(1);
    let gone = store(&gateway, "gone").parse().unwrap();
    store(&gateway, "last");
    let queue = gateway.control().queue().unwrap().clone();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(queue.change(Change::Discard(gone))), Ok(1));
    drop(release);
    wait_until_queued(&gateway, 0);
    assert_eq!(contents(&upstream.requests()), [&b"first"[..], b"last"]);
}

/// An operator whose queue is full raises the limit. Senders are then served without a restart.
#[test]
fn a_larger_store_is_in_force_after_a_reload() {
    let (upstream, _) = mendable();
    let folder = Arc::new(TempDir::new().unwrap());
    let setup = |max_bytes: &str| {
        let lines = format!("max_bytes = \"{max_bytes}\"\n{FAST}");
        let route = format!("{QUEUE}\nmax_queued = \"1GiB\"");
        gateway().queue_in(&folder, &lines).route_with(PATH, &upstream.url(), &route)
    };
    let gateway = setup("1MiB").start();
    let mut sent = 0;
    let full = loop {
        let response = exchange(&gateway, &post(format!("{sent}{}", "x".repeat(50_000))));
        if response.status != 202 {
            break response;
        }
        sent += 1;
        assert!(sent < 40, "1 MiB has no room for {sent} events of 50 kB");
    };
    assert_refused(&full, 503, Some("queue_full"));
    assert_eq!(gateway.reload(setup("64MiB")), [""; 0]);
    store(&gateway, "y".repeat(50_000));
}

#[test]
fn each_upstream_of_an_event_has_its_own_deliveries() {
    let (main, is_up) = mendable();
    let copy = Upstream::ok();
    let lines = format!("delivery = \"queue\"\ncopies = [\"{}\"]", copy.url());
    let gateway = gateway().queue(FAST).route_with(PATH, &main.url(), &lines).start();
    store(&gateway, FIXTURE);
    assert_eq!(copy.only_request().content, FIXTURE);
    wait_until_queued(&gateway, 1);
    is_up.store(true, Ordering::SeqCst);
    wait_until_queued(&gateway, 0);
    assert_eq!(copy.requests().len(), 1);
}

#[test]
fn an_event_that_the_app_gives_up_on_is_a_dead_letter_and_a_route_that_is_gone_holds_its_events() {
    let upstream = Upstream::answering("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n");
    let setup = |path: &str| gateway().queue(FAST).route_with(path, &upstream.url(), QUEUE);
    let gateway = setup(PATH).start();
    store(&gateway, FIXTURE);
    wait_until_queued(&gateway, 0);
    let queue = gateway.control().queue().unwrap();
    assert_eq!(queue.statistics().counts.iter().map(|(_, counts)| counts.dead).sum::<u64>(), 1);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn an_answer_that_a_sender_demands_is_what_it_gets() {
    let upstream = Upstream::ok();
    for (lines, want) in [("ack_status = 200", 200), ("ack_status = 204", 204)] {
        let lines = format!("{QUEUE}\n{lines}");
        let gateway = gateway().queue("").route_with(PATH, &upstream.url(), &lines).start();
        let response = exchange(&gateway, &post(FIXTURE));
        assert_eq!((response.status, response.text().is_empty()), (want, want == 204));
        wait_until_queued(&gateway, 0);
    }
}

#[test]
fn an_event_is_delivered_though_its_sender_has_gone_while_it_was_stored() {
    let upstream = Upstream::ok();
    let gateway = gateway().queue("").route_with(PATH, &upstream.url(), QUEUE).start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes());
    client.reset();
    assert_eq!(upstream.only_request().content, FIXTURE);
}

/// A request that waits for the store is like any other request: a drain does not cut it off.
#[test]
fn a_drain_delivers_nothing_more_and_loses_nothing() {
    let (upstream, is_up) = mendable();
    let folder = Arc::new(TempDir::new().unwrap());
    let setup = || gateway().queue_in(&folder, FAST).route_with(PATH, &upstream.url(), QUEUE);
    let gateway = setup().start();
    (0..10).for_each(|n| drop(store(&gateway, n.to_string())));
    gateway.drain();
    let ended = gateway.wait();
    assert_eq!(ended, hookgate::runtime::Ended::Drained);
    is_up.store(true, Ordering::SeqCst);
    let already = upstream.requests().len();
    let gateway = setup().start();
    wait_until_queued(&gateway, 0);
    assert!(upstream.requests().len() - already >= 10_usize.saturating_sub(already));
}
