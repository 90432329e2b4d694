//! The bounds of the console over real sockets: how long sessions and streams last, and what one person can
//! make the gateway hold or do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use hookgate::queue::event::AttemptOutcome;
use hookgate::queue::store::{DeadCause, Next};

use crate::console::{PATH, SAME, TOKENS, ask, four, hidden, id, make, open, with};
use crate::support::gateway::OPERATOR;
use crate::support::shelf::{complete, put};
use crate::support::{Gateway, PATIENCE, Upstream};

/// Sends a request, and reads the first part of its answer until this text.
fn begin(address: SocketAddr, target: &str, lines: &str, until: &str) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let (mut read, mut byte) = (String::new(), [0]);
    while !read.contains(until) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{read}");
        read.push(char::from(byte[0]));
    }
    stream
}

/// Reads a stream to its end. Fails if the end does not come: a stream that goes on has a comment every 15
/// seconds.
#[track_caller]
fn await_end(mut stream: TcpStream) {
    let (began, mut piece) = (Instant::now(), [0; 4096]);
    while stream.read(&mut piece).unwrap() > 0 {
        assert!(began.elapsed() < PATIENCE, "the stream goes on");
    }
}

fn reload(gateway: &Gateway, upstream: &Upstream, lines: &str) {
    gateway.reload(crate::support::gateway().admin_with(lines).route(PATH, &upstream.url()));
}

#[test]
fn a_session_without_a_token_ends_when_there_are_tokens() {
    let (gateway, _shelf, upstream) = with("console = true");
    let browser = open(&gateway, "");
    assert_eq!(browser.get("/queue").status, 200);
    reload(&gateway, &upstream, &format!("console = true\n{TOKENS}"));
    assert_eq!(browser.get("/queue").status, 401);
    assert_eq!(browser.post("/pause", &format!("route={PATH}")).status, 401);
    reload(&gateway, &upstream, "console = true");
    assert_eq!(browser.get("/queue").status, 401, "and it does not come back");
}

#[test]
fn a_link_is_not_opened_after_its_token_is_gone() {
    let (gateway, _shelf, upstream) = with(&format!("console = true\n{TOKENS}"));
    let lines = format!("content-type: application/json\r\nauthorization: Bearer {OPERATOR}\r\n");
    let made = ask(gateway.admin(), "POST", "/api/v1/console/links", &lines, "{}");
    let made: serde_json::Value = serde_json::from_str(&made.text).unwrap();
    reload(&gateway, &upstream, "console = true");
    let opened = ask(gateway.admin(), "GET", made["path"].as_str().unwrap(), "", "");
    assert_eq!((opened.status, opened.field("set-cookie")), (410, None), "{}", opened.head);
}

#[test]
fn a_stream_ends_with_its_session_with_its_token_and_with_the_console() {
    let tokens = format!("console = true\n{TOKENS}");
    let (gateway, _shelf, upstream) = with(&tokens);
    let authorization = format!("authorization: Bearer {OPERATOR}\r\n");
    let stream =
        |cookie: &str| begin(gateway.admin(), "/live/stream", &format!("{cookie}{SAME}"), "event: start");

    let browser = open(&gateway, &authorization);
    let of_session = stream(&browser.cookie);
    assert_eq!(browser.post("/logout", "").status, 303);
    await_end(of_session);

    let of_token = stream(&open(&gateway, &authorization).cookie);
    let of_api = begin(gateway.admin(), "/api/v1/requests/stream", &authorization, "event: start");
    reload(&gateway, &upstream, "console = true");
    await_end(of_token);
    await_end(of_api);

    let of_console = stream(&open(&gateway, "").cookie);
    reload(&gateway, &upstream, "");
    await_end(of_console);
}

#[test]
fn content_takes_its_place_until_the_last_byte_is_sent() {
    let (gateway, shelf, _upstream) = with("console = true");
    let large = event_of(32 << 20);
    put(&shelf.memory, &large);
    let browser = open(&gateway, "");
    let api = format!("/api/v1/events/{}?content=true", large.id());
    let download = format!("/events/{}/download", large.id());
    // Neither socket has room for the whole answer, so the gateway holds the rest.
    let slow: Vec<_> = (0..4)
        .map(|number| {
            let target = if number % 2 == 0 { &download } else { &api };
            let lines = if number % 2 == 0 { &*browser.cookie } else { "" };
            begin(gateway.admin(), target, lines, "HTTP/1.1 200 OK")
        })
        .collect();
    for answer in [browser.get(&download), ask(gateway.admin(), "GET", &api, "", "")] {
        assert_eq!(answer.status, 503, "{}", answer.head);
        assert!(answer.text.contains("are being shown with their content"), "{}", answer.text);
    }
    assert_eq!(browser.get(&format!("/events/{}", large.id())).status, 200, "without content");
    drop(slow);
    let end = Instant::now() + PATIENCE;
    while browser.get(&format!("/events/{}?content=text", large.id())).text.contains("are being shown") {
        assert!(Instant::now() < end);
    }
}

fn event_of(bytes: usize) -> crate::support::event::Make {
    crate::support::event::event(PATH, 77_000).number(77).content(vec![b'7'; bytes])
}

#[test]
fn json_of_any_depth_is_shown() {
    let (gateway, shelf, _upstream) = with("console = true");
    let deep = event_of(0).content(format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)));
    put(&shelf.memory, &deep);
    let page = open(&gateway, "").get(&format!("/events/{}?content=tree", deep.id()));
    assert_eq!(page.status, 200);
    assert!(page.text.contains("deeper than a tree shows"), "{}", page.text);
}

#[test]
fn the_same_form_starts_one_replay() {
    let (gateway, _shelf, _upstream) = four("");
    let browser = open(&gateway, "");
    let until = hidden(&browser.get("/replay?state=delivered").text, "until");
    let form = format!("state=delivered&until={until}&count=1&rate=1000&back=/replay");
    assert!(browser.post("/replay", &form).field("location").unwrap().starts_with("/replays/"));
    let again = browser.post("/replay", &form);
    assert_eq!(again.field("location"), Some("/replay"), "a button that is pressed twice, or the way back");
    assert!(browser.get("/replay").text.contains("has already started a replay"));
    let replays = browser.get("/replays").text;
    assert_eq!(replays.matches("href=\"/replays/").count(), 1, "{replays}");
}

#[test]
fn a_replay_takes_no_event_that_becomes_a_dead_letter_later() {
    let (gateway, shelf, _upstream) = four("");
    let browser = open(&gateway, "");
    let until = hidden(&browser.get("/replay?state=dead").text, "until");
    let later = make(7);
    let delivery = put(&shelf.memory, &later)[0];
    // After its first event, the replay waits for a second. Then it looks for further events.
    let started = browser.post("/replay", &format!("state=dead&until={until}&count=1&rate=1"));
    complete(&shelf.memory, &later, delivery, AttemptOutcome::Refused, Next::Dead(DeadCause::Refused));
    let progress = started.field("location").unwrap().to_owned();
    let end = Instant::now() + PATIENCE;
    let page = loop {
        let page = browser.get(&progress).text;
        if page.contains("</span>done") {
            break page;
        }
        assert!(Instant::now() < end, "{page}");
    };
    assert!(page.contains("<dd>1 of 1</dd>"), "{page}");
    assert!(browser.get("/queue?state=dead").text.contains(&id(7)));
    let page = browser.submit(&format!("{progress}/cancel"), "back=/replays").text;
    assert!(
        page.contains("the replay had already ended, with 1 event") && !page.contains("Done: "),
        "{page}"
    );
}

#[test]
fn no_answer_of_the_listener_is_taken_for_something_else() {
    let (gateway, _shelf, _upstream) = with("console = true");
    for target in
        ["/metrics", "/healthz", "/secrets", "/nothing", "/api/v1/events", "/api/v1/nothing", "/queue"]
    {
        let answer = ask(gateway.admin(), "GET", target, "", "");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{target}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{target}");
    }
}
