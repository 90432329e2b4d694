//! The console over real sockets: who may ask, from where, and what a page never does.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Command;

use hookgate::queue::event::AttemptOutcome;
use hookgate::queue::memory_store::Memory;
use hookgate::queue::store::{DeadCause, Next};
use serde_json::Value;

use crate::support::admin;
use crate::support::event::event;
use crate::support::gateway::{OPERATOR, VIEWER};
use crate::support::shelf::{Shelf, complete, put};
use crate::support::tls::{Authority, TlsClient};
use crate::support::{Client, Gateway, PATIENCE, Upstream, gateway, post};

pub(crate) const PATH: &str = "/webhook/leases";
const JSON: &str = "content-type: application/json\r\n";
pub(crate) const SAME: &str = "sec-fetch-site: same-origin\r\n";
const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

pub(crate) const TOKENS: &str = "tokens = [{ name = \"viewer\", env = \"VIEWER\", role = \"read\" }, \
                      { name = \"ops\", env = \"OPERATOR\", role = \"operate\" }]";

/// An answer of the admin listener.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, text) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), text: text.to_owned() }
    }

    /// A field of the answer. The name is in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let name = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&name))
    }

    /// The cookie that the answer sets, as a field of the next request.
    #[track_caller]
    fn cookie(&self) -> String {
        let cookie = self.field("set-cookie").unwrap_or_else(|| panic!("no cookie in {}", self.head));
        format!("cookie: {}\r\n", cookie.split(';').next().unwrap())
    }
}

pub(crate) fn ask(address: SocketAddr, method: &str, target: &str, lines: &str, content: &str) -> Answer {
    Answer::read(&admin::ask(address, method, target, lines, content))
}

/// A browser with a session.
pub(crate) struct Browser<'g> {
    gateway: &'g Gateway,
    pub(crate) cookie: String,
}

impl Browser<'_> {
    pub(crate) fn get(&self, target: &str) -> Answer {
        ask(self.gateway.admin(), "GET", target, &format!("{}{SAME}", self.cookie), "")
    }

    pub(crate) fn post(&self, target: &str, form: &str) -> Answer {
        ask(self.gateway.admin(), "POST", target, &format!("{}{SAME}{FORM}", self.cookie), form)
    }

    /// Sends a form, and follows the answer to its page.
    #[track_caller]
    pub(crate) fn submit(&self, target: &str, form: &str) -> Answer {
        let answer = self.post(target, form);
        assert_eq!(answer.status, 303, "{}", answer.text);
        let page = self.get(answer.field("location").unwrap());
        assert_eq!(page.status, 200, "{}", page.text);
        page
    }
}

fn link(gateway: &Gateway, lines: &str) -> Answer {
    ask(gateway.admin(), "POST", "/api/v1/console/links", &format!("{JSON}{lines}"), "{}")
}

#[track_caller]
fn path_of(made: &Answer) -> String {
    assert_eq!(made.status, 201, "{}", made.text);
    let made: Value = serde_json::from_str(&made.text).unwrap();
    made["path"].as_str().unwrap().to_owned()
}

/// Opens the console as a browser does after `hookgate console`.
#[track_caller]
pub(crate) fn open<'g>(gateway: &'g Gateway, lines: &str) -> Browser<'g> {
    let path = path_of(&link(gateway, lines));
    let opened = ask(gateway.admin(), "GET", &path, "sec-fetch-site: none\r\n", "");
    assert_eq!((opened.status, opened.field("location")), (303, Some("/")), "{}", opened.text);
    Browser { gateway, cookie: opened.cookie() }
}

/// A gateway with the console, with these further lines, and two waiting events.
pub(crate) fn with(lines: &str) -> (Gateway, Shelf, Upstream) {
    let memory = Memory::new();
    for number in 0..2 {
        put(&memory, &event(PATH, 1_000 * (number + 1)).number(number));
    }
    let upstream = Upstream::ok();
    let gateway = gateway().admin_with(lines).route(PATH, &upstream.url()).start();
    let shelf = Shelf::of(&memory);
    gateway.control().set_queue(shelf.queue.clone());
    (gateway, shelf, upstream)
}

#[test]
fn without_the_key_there_is_no_console() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    for path in ["/", "/queue", "/login/00"] {
        let answer = ask(gateway.admin(), "GET", path, "", "");
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text.contains("not found"), "{}", answer.text);
    }
    let answer = link(&gateway, "");
    assert_eq!(answer.status, 404);
    assert!(answer.text.contains("console = true"), "{}", answer.text);
}

#[test]
fn a_page_without_a_session_shows_nothing_and_says_how_to_get_one() {
    let (gateway, _shelf, _upstream) = with("console = true");
    for path in ["/", "/queue", "/replays"] {
        let answer = ask(gateway.admin(), "GET", path, "", "");
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.text.contains("hookgate console") && !answer.text.contains(PATH), "{}", answer.text);
    }
    let wrong = format!("cookie: hookgate-{}=00000000000000000000000000000000\r\n", gateway.admin().port());
    assert_eq!(ask(gateway.admin(), "GET", "/queue", &wrong, "").status, 401);
    assert_eq!(ask(gateway.admin(), "GET", "/metrics", "", "").status, 200, "the metrics need no session");
    assert_eq!(ask(gateway.admin(), "GET", "/healthz", "", "").status, 200);
}

#[test]
fn a_link_works_once_and_becomes_a_cookie_that_no_script_reads() {
    let (gateway, _shelf, _upstream) = with("console = true");
    let path = path_of(&link(&gateway, ""));
    let head = ask(gateway.admin(), "HEAD", &path, "", "");
    assert_eq!(head.status, 403, "a look in advance does not use the link up");
    let ahead = ask(gateway.admin(), "GET", &path, "sec-purpose: prefetch\r\n", "");
    assert_eq!(ahead.status, 403);
    let elsewhere = "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
    let elsewhere = ask(gateway.admin(), "GET", &path, elsewhere, "");
    assert_eq!((elsewhere.status, elsewhere.field("set-cookie")), (200, None));
    assert!(elsewhere.text.contains(&format!("href=\"{path}\"")), "{}", elsewhere.text);
    let opened = ask(gateway.admin(), "GET", &path, "sec-fetch-site: none\r\n", "");
    assert_eq!((opened.status, opened.field("location")), (303, Some("/")));
    let cookie = opened.field("set-cookie").unwrap();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict") && cookie.contains("; Path=/;"), "{cookie}");
    let again = ask(gateway.admin(), "GET", &path, "sec-fetch-site: none\r\n", "");
    assert_eq!((again.status, again.field("set-cookie")), (410, None));
    assert!(again.text.contains("was used before"), "{}", again.text);
    let own = ask(gateway.admin(), "GET", &path, &opened.cookie(), "");
    assert_eq!((own.status, own.field("location")), (303, Some("/")), "in the browser with the session");
}

#[test]
fn every_answer_forbids_what_a_page_does_not_need() {
    let (gateway, _shelf, _upstream) = with("console = true");
    let browser = open(&gateway, "");
    let page = browser.get("/queue");
    assert_eq!(page.status, 200, "{}", page.text);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.field(name), Some(value), "{}", page.head);
    }
    let policy = page.field("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("require-trusted-types-for 'script'"));
    let asset =
        page.text.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".js")).unwrap();
    let script = browser.get(asset);
    assert_eq!(script.status, 200);
    assert!(script.field("cache-control").unwrap().ends_with("immutable"));
    assert_eq!(script.field("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(browser.get("/assets/console.js").status, 404);
}

#[test]
fn a_foreign_host_is_refused_even_with_the_cookie() {
    let (gateway, _shelf, _upstream) = with("console = true");
    let cookie = open(&gateway, "").cookie;
    let port = gateway.admin().port();
    for (host, want) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        (format!("evil.example:{port}"), 403),
        (format!("127.0.0.1.evil.example:{port}"), 403),
        (format!("192.0.2.1:{port}"), 403),
    ] {
        let answer = ask(gateway.admin(), "GET", "/queue", &format!("host: {host}\r\n{cookie}"), "");
        assert_eq!(answer.status, want, "{host}");
        assert_eq!(answer.text.contains(PATH), want == 200, "{host}");
    }
    let rebound = link(&gateway, &format!("host: evil.example:{port}\r\n"));
    assert_eq!(rebound.status, 403, "and gets no link");
    let page = link(&gateway, "origin: http://localhost:3000\r\n");
    assert_eq!(page.status, 403, "no page gets a link");
}

#[test]
fn changes_are_made_only_by_pages_of_the_console() {
    let (gateway, shelf, _upstream) = with("console = true");
    let browser = open(&gateway, "");
    let (cookie, form) = (&browser.cookie, format!("route={PATH}"));
    let paused = || shelf.queue.statistics().paused.len();
    for lines in [
        "",
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
        "sec-fetch-site: none\r\n",
        "origin: http://evil.example\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\norigin: http://localhost\r\n",
    ] {
        let answer = ask(gateway.admin(), "POST", "/pause", &format!("{cookie}{FORM}{lines}"), &form);
        assert_eq!((answer.status, paused()), (403, 0), "{lines}");
    }
    let without = ask(gateway.admin(), "POST", "/pause", &format!("{SAME}{FORM}"), &form);
    assert_eq!((without.status, paused()), (401, 0), "without a session");
    assert_eq!(browser.get("/pause").status, 405);
    assert_eq!(ask(gateway.admin(), "PUT", "/queue", &format!("{cookie}{SAME}"), "").status, 405);
    assert_eq!(browser.post("/pause", &format!("{form}&back=/queue")).status, 303);
    let refresh = format!("{cookie}{SAME}sec-fetch-mode: cors\r\n");
    let refreshed = ask(gateway.admin(), "GET", "/queue", &refresh, "");
    assert!(!refreshed.text.contains("are paused"), "a refresh takes no notice from the session");
    let page = browser.get("/queue");
    assert_eq!(paused(), 1);
    assert!(page.text.contains("are paused") && page.text.contains("action=\"/resume\""), "{}", page.text);
    assert!(!browser.get("/queue").text.contains("are paused"), "it is told once");
    let own = format!("{cookie}{FORM}origin: http://{}\r\n", gateway.admin());
    assert_eq!(ask(gateway.admin(), "POST", "/resume", &own, &form).status, 303, "of an older browser");
    assert_eq!(paused(), 0);
}

#[test]
fn an_error_appears_in_the_page_where_it_was_made() {
    let (gateway, shelf, _upstream) = with("console = true");
    let browser = open(&gateway, "");
    let page = browser.submit("/pause", "route=/nothing&back=/queue%3Fstate%3Dqueued");
    assert!(page.text.contains("role=\"alert\"") && page.text.contains("no such route"), "{}", page.text);
    assert!(page.text.contains("<option value=\"queued\" selected>"), "the page has its filter");
    shelf.fail();
    let page = browser.submit("/pause", &format!("route={PATH}&back=/queue"));
    assert!(page.text.contains("Not done"), "{}", page.text);
    let wrong = browser.get("/queue?since=yesterday");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("is no time") && wrong.text.contains("By route"), "{}", wrong.text);
    let answer = browser.post("/pause", &format!("route={PATH}&back=//evil.example/"));
    assert_eq!(answer.field("location"), Some("/"), "a form leads nowhere else");
}

#[test]
fn the_session_has_the_role_of_its_token() {
    let (gateway, shelf, _upstream) = with(&format!("console = true\n{TOKENS}"));
    assert_eq!(link(&gateway, "").status, 401, "on the machine too");
    assert_eq!(link(&gateway, "authorization: Bearer wrong\r\n").status, 401);
    let reader = open(&gateway, &format!("authorization: Bearer {VIEWER}\r\n"));
    let page = reader.get("/queue");
    assert!(page.text.contains("may only read") && !page.text.contains("action=\"/pause\""), "{}", page.text);
    assert_eq!(reader.post("/pause", &format!("route={PATH}")).status, 403);
    assert_eq!(shelf.queue.statistics().paused.len(), 0);
    let operator = open(&gateway, &format!("authorization: Bearer {OPERATOR}\r\n"));
    assert!(operator.get("/queue").text.contains("<strong>ops</strong>"));
    assert_eq!(operator.post("/pause", &format!("route={PATH}")).status, 303);
    assert_eq!(shelf.queue.statistics().paused.len(), 1);
}

#[test]
fn a_read_only_console_changes_nothing_and_offers_no_form() {
    let (gateway, shelf, _upstream) = with("console = \"read-only\"");
    let browser = open(&gateway, "");
    let page = browser.get("/queue");
    assert_eq!(page.status, 200);
    assert_eq!(page.text.matches("method=\"post\"").count(), 1, "only to log out: {}", page.text);
    assert_eq!(browser.post("/pause", &format!("route={PATH}")).status, 403);
    assert_eq!(shelf.queue.statistics().paused.len(), 0);
}

#[test]
fn a_session_ends_by_logging_out_and_with_its_token() {
    let (gateway, _shelf, upstream) = with(&format!("console = true\n{TOKENS}"));
    let authorization = format!("authorization: Bearer {OPERATOR}\r\n");
    let (one, two) = (open(&gateway, &authorization), open(&gateway, &authorization));
    let out = one.post("/logout", "");
    assert_eq!(out.status, 303);
    assert!(out.field("set-cookie").unwrap().contains("Max-Age=0"), "{}", out.head);
    assert_eq!((one.get("/queue").status, two.get("/queue").status), (401, 200));
    let reload = |lines: &str| {
        let setup = crate::support::gateway().admin_with(lines).route(PATH, &upstream.url());
        gateway.reload(setup);
    };
    reload("console = true");
    assert_eq!(two.get("/queue").status, 401, "the token is gone");
    reload(&format!("console = true\n{TOKENS}"));
    assert_eq!(two.get("/queue").status, 401, "and the session does not come back");
    reload("");
    assert_eq!(two.get("/queue").status, 404);
}

#[test]
fn the_command_prints_a_link_that_opens_the_console() {
    let (gateway, _shelf, _upstream) = with("console = true");
    let admin = format!("http://{}", gateway.admin());
    let hookgate = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.arg("console").args(["--admin", &admin]).args(arguments).output().unwrap()
    };
    let output = hookgate(&[]);
    assert_eq!(output.status.code(), Some(0));
    let url = String::from_utf8(output.stdout).unwrap();
    let path = url.trim_end().strip_prefix(&admin).unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("works once, within 5 minutes"));
    assert_eq!(ask(gateway.admin(), "GET", path, "", "").status, 303);
    let document: Value = serde_json::from_slice(&hookgate(&["--json"]).stdout).unwrap();
    assert!(document["url"].as_str().unwrap().starts_with(&format!("{admin}/login/")), "{document}");
    let wrong = hookgate(&["--token-env", "PATH"]);
    assert_eq!(wrong.status.code(), Some(1), "a wrong token gets no link");
}

const HOSTILE: &str = "<script>alert('stored')</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J";

/// A gateway with the console and four events: two wait, one is dead, one is delivered. Their content is
/// hostile.
pub(crate) fn four(lines: &str) -> (Gateway, Shelf, Upstream) {
    let memory = Memory::new();
    for number in 0..4 {
        let make = make(number);
        let deliveries = put(&memory, &make);
        match number {
            2 => complete(
                &memory,
                &make,
                deliveries[0],
                AttemptOutcome::Refused,
                Next::Dead(DeadCause::Refused),
            ),
            3 => complete(&memory, &make, deliveries[0], AttemptOutcome::Delivered, Next::Delivered),
            _ => {}
        }
    }
    let upstream = Upstream::ok();
    let gateway = gateway().admin_with("console = true").route_with(PATH, &upstream.url(), lines).start();
    let shelf = Shelf::of(&memory);
    gateway.control().set_queue(shelf.queue.clone());
    (gateway, shelf, upstream)
}

pub(crate) fn make(number: u64) -> crate::support::event::Make {
    event(PATH, 1_000 * (number + 1))
        .number(number)
        .content(format!("{{\"number\":{number},\"x\":\"{HOSTILE}\"}}"))
}

pub(crate) fn id(number: u64) -> String {
    make(number).id().to_string()
}

fn queued(shelf: &Shelf) -> u64 {
    shelf.queue.statistics().counts.iter().map(|(_, counts)| counts.queued).sum()
}

/// The value of a form's hidden field, for the next request.
#[track_caller]
pub(crate) fn hidden(page: &str, name: &str) -> String {
    let start = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
    let rest = page.split_once(&start).unwrap_or_else(|| panic!("no {name} in {page}")).1;
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn the_queue_lists_the_events_of_a_filter_in_pages() {
    let (gateway, _shelf, _upstream) = four("");
    let browser = open(&gateway, "");
    let page = browser.get("/queue").text;
    assert!(page.contains("4 events") && (0..4).all(|number| page.contains(&id(number))), "{page}");
    let dead = browser.get("/queue?state=dead&route=&since=").text;
    assert!(
        dead.contains("1 event</strong> match") && dead.contains(&id(2)) && !dead.contains(&id(1)),
        "{dead}"
    );
    let earlier = browser.get(&format!("/queue?before={}", id(2))).text;
    assert!(earlier.contains(&id(1)) && !earlier.contains(&id(3)) && earlier.contains("Latest"), "{earlier}");
}

#[test]
fn a_stored_script_is_only_text_in_every_form_of_the_content() {
    let (gateway, _shelf, _upstream) = four("");
    let browser = open(&gateway, "");
    let plain = browser.get(&format!("/events/{}", id(2)));
    assert_eq!(plain.status, 200, "{}", plain.text);
    assert!(!plain.text.contains("stored"), "content is shown only if it is asked for");
    for form in ["text", "hex", "tree"] {
        let page = browser.get(&format!("/events/{}?content={form}", id(2)));
        assert_eq!(page.status, 200);
        assert!(!page.text.contains("<script>") && !page.text.contains("<img"), "{}", page.text);
        assert!(!page.text.contains('\u{202e}') && !page.text.contains('\u{1b}'), "{form}");
    }
    let file = browser.get(&format!("/events/{}/download", id(2)));
    assert_eq!(file.field("content-type"), Some("application/octet-stream"));
    assert_eq!(
        file.field("content-disposition"),
        Some(&*format!("attachment; filename=\"event-{}.bin\"", id(2)))
    );
    assert_eq!(file.field("x-content-type-options"), Some("nosniff"));
    assert!(file.text.contains(HOSTILE), "byte for byte");
    assert_eq!(browser.get("/events/00000000-0000-7000-8000-000000000000").status, 404);
}

#[test]
fn a_route_can_hide_its_content() {
    let (gateway, _shelf, _upstream) = four("console_content = \"never\"");
    let browser = open(&gateway, "");
    let page = browser.get(&format!("/events/{}?content=text", id(2))).text;
    assert!(page.contains("console_content") && !page.contains("alert("), "{page}");
    let file = browser.get(&format!("/events/{}/download", id(2)));
    assert_eq!(file.status, 403);
    assert!(!file.text.contains("alert("), "{}", file.text);
}

#[test]
fn a_captured_request_is_shown_when_it_is_asked_for_and_only_as_text() {
    for (lines, is_hidden) in [("", false), ("console_content = \"never\"", true)] {
        let upstream = Upstream::ok();
        let lines = format!("capture = true\n{lines}");
        let gateway =
            gateway().admin_with("console = true").route_with(PATH, &upstream.url(), &lines).start();
        let forged = post("{}").forged(HOSTILE).line("cookie: a=guess").line("x-note: it's <b>");
        Client::to(&gateway).send(forged.bytes()).response();
        let browser = open(&gateway, "");
        let end = std::time::Instant::now() + PATIENCE;
        while browser.get("/requests/1").status != 200 {
            assert!(std::time::Instant::now() < end);
        }
        let page = browser.get("/requests/1").text;
        assert!(!page.contains("alert(") && !page.contains("guess") && !page.contains("<b>"), "{page}");
        assert!(page.contains("(hidden, 7 bytes)") && page.contains("it's &lt;b&gt;"), "{page}");
        assert!(page.contains("Not passed: </strong>The signature verifies."), "{page}");
        assert_eq!(
            page.contains("hookgate verify --route /webhook/leases --field 'content-type"),
            !is_hidden,
            "{page}"
        );
        for form in ["text", "hex", "tree"] {
            let page = browser.get(&format!("/requests/1?content={form}")).text;
            assert!(!page.contains("<script>") && !page.contains('\u{202e}'), "{page}");
            assert_eq!(page.contains("console_content"), is_hidden, "{page}");
            assert_eq!(page.contains("alert("), !is_hidden, "{form} {page}");
        }
        let file = browser.get("/requests/1/download");
        assert_eq!(file.status, if is_hidden { 403 } else { 200 });
        assert_eq!(file.text.contains(HOSTILE), !is_hidden);
        if !is_hidden {
            assert_eq!(file.field("content-type"), Some("application/octet-stream"));
        }
        assert!(
            browser
                .get("/refused")
                .text
                .contains("Head and content of refused requests are kept on these routes")
        );
        assert_eq!(browser.get("/requests/2/download").status, 404);
        assert_eq!(ask(gateway.admin(), "GET", "/requests/1/download", SAME, "").status, 401);
    }
}

#[test]
fn one_event_is_sent_again_from_its_page() {
    let (gateway, shelf, _upstream) = four("");
    let browser = open(&gateway, "");
    let page = browser.submit("/replay", &format!("id={0}&back=/events/{0}", id(2)));
    assert!(page.text.contains("the event is sent again") && page.text.contains(&id(2)), "{}", page.text);
    let end = std::time::Instant::now() + PATIENCE;
    while queued(&shelf) != 3 {
        assert!(std::time::Instant::now() < end, "{}", queued(&shelf));
    }
}

#[test]
fn a_replay_is_about_the_events_that_the_page_has_counted() {
    let (gateway, shelf, _upstream) = four("");
    let browser = open(&gateway, "");
    let page = browser.get("/replay?state=queued").text;
    assert!(page.contains("2 events</strong> match"), "{page}");
    let until = hidden(&page, "until");
    let form = format!("state=queued&until={until}&count=2&rate=1000&back=/replay%3Fstate%3Dqueued");
    let fewer = form.replace("count=2", "count=1");
    let page = browser.submit("/replay", &fewer).text;
    assert!(page.contains("2 events match now") && page.contains("Not done"), "{page}");
    for form in ["rate=50&count=4", "until=2030-01-01T00:00:00Z&count=4", "state=queued"] {
        let page = browser.submit("/replay", &format!("{form}&back=/replay")).text;
        assert!(page.contains("Not done"), "{form}: {page}");
    }
    // An event that comes meanwhile does not belong to it.
    put(&shelf.memory, &event(PATH, 4_000_000_000_000).number(9));
    let started = browser.post("/replay", &form);
    let progress = started.field("location").unwrap().to_owned();
    assert!(progress.starts_with("/replays/"), "{progress}");
    let end = std::time::Instant::now() + PATIENCE;
    let mut page = browser.get(&progress).text;
    assert!(page.contains("2 events are sent again"), "{page}");
    while !page.contains("2 of 2") {
        assert!(std::time::Instant::now() < end, "{page}");
        page = browser.get(&progress).text;
    }
    assert!(browser.get("/replays").text.contains("2 of 2"));
}

#[test]
fn events_are_discarded_only_with_the_confirmation() {
    let (gateway, _shelf, _upstream) = four("");
    let browser = open(&gateway, "");
    let page = browser.get(&format!("/discard?id={}", id(3))).text;
    let until = hidden(&page, "until");
    let form = format!("id={}&until={until}&count=1&back=/queue", id(3));
    let page = browser.submit("/discard", &form).text;
    assert!(page.contains("confirmation is missing") && page.contains(&id(3)), "{page}");
    let page = browser.submit("/discard", &format!("{form}&sure=yes")).text;
    assert!(page.contains("1 event discarded") && !page.contains(&id(3)), "{page}");
}

#[test]
fn without_a_queue_the_page_says_what_to_write() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin_with("console = true").route(PATH, &upstream.url()).start();
    let browser = open(&gateway, "");
    let page = browser.get("/queue");
    for want in ["add <code>[queue]</code>", "<h1>Queue</h1>", "href=\"/queue\" aria-current=\"page\""] {
        assert!(page.text.contains(want), "{want} in {}", page.text);
    }
    assert!(!page.text.contains("role=\"alert\""), "a gateway without a queue is no fault: {}", page.text);
}

#[test]
fn dead_letters_are_grouped_and_a_group_is_sent_again() {
    let (gateway, shelf, _upstream) = four("");
    let browser = open(&gateway, "");
    let page = browser.get("/dead").text;
    assert!(page.contains("1 event</strong> in 1 group") && page.contains("the app answered 500"), "{page}");
    let link = page.split('"').find(|part| part.starts_with("/replay?state=dead&amp;failure=500")).unwrap();
    let page = browser.get(&link.replace("&amp;", "&")).text;
    assert!(page.contains("1 event</strong> match"), "{page}");
    let until = hidden(&page, "until");
    let form = format!("state=dead&failure=500&route={PATH}&until={until}&count=1&rate=50");
    browser.submit("/replay", &form);
    let end = std::time::Instant::now() + PATIENCE;
    while queued(&shelf) != 3 {
        assert!(std::time::Instant::now() < end, "{}", queued(&shelf));
    }
    assert!(browser.get("/queue?state=dead&failure=404").text.contains("No event matches."));
}

/// Waits for a page with this text.
#[track_caller]
fn await_text(browser: &Browser<'_>, target: &str, want: &str) -> String {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let page = browser.get(target).text;
        if page.contains(want) {
            return page;
        }
        assert!(std::time::Instant::now() < end, "no {want} in {page}");
    }
}

#[test]
fn requests_appear_live_and_refusals_with_what_to_do() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin_with("console = true").route(PATH, &upstream.url()).start();
    let browser = open(&gateway, "");
    assert!(browser.get("/live").text.contains("hookgate send"));
    Client::to(&gateway).send(post("{}").bytes()).response().assert_answer("ok");
    Client::to(&gateway).send(post("{}").forged("[]").bytes()).response();
    Client::to(&gateway).send("POST /<script>alert(1)</script> HTTP/1.1\r\nhost: a\r\n\r\n").response();
    Client::to(&gateway)
        .send("POST /no/route'&quot; HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        .response();
    let page = await_text(&browser, "/live", "no_route");
    for want in ["✓ verified", "signature_mismatch", "malformed", "POST /no/route&#39;"] {
        assert!(page.replace('\'', "&#39;").contains(want), "{want} in {page}");
    }
    assert!(!page.contains("<script>alert"), "{page}");
    let refused = browser.get("/live?state=refused&status=4xx&path=").text;
    assert!(refused.contains("no_route") && !refused.contains("✓ verified"), "{refused}");
    let wrong = browser.get("/live?status=many");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("no status code") && wrong.text.contains("value=\"many\""), "{}", wrong.text);
    let grouped = browser.get("/refused").text;
    assert!(
        grouped.contains("Compare the secret") && grouped.contains("No route has the path."),
        "{grouped}"
    );
    let link = page.split('"').find(|part| part.starts_with("/requests/")).unwrap();
    assert!(browser.get(link).text.contains("Verdict"));
    assert_eq!(browser.get("/requests/999999").status, 404);
    let now = browser.get("/").text;
    assert!(now.contains("signature_mismatch") && now.contains("Secrets"), "{now}");
}

#[test]
fn the_stream_is_only_for_pages_of_the_console() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin_with("console = true").route(PATH, &upstream.url()).start();
    let cookie = open(&gateway, "").cookie;
    for (lines, want) in [
        (cookie.clone(), 403),
        (format!("{cookie}sec-fetch-site: same-site\r\n"), 403),
        (format!("{cookie}sec-fetch-site: cross-site\r\n"), 403),
        (format!("{cookie}origin: http://evil.example\r\n"), 403),
        (SAME.to_owned(), 401),
        (format!("{cookie}{SAME}host: evil.example\r\n"), 403),
    ] {
        assert_eq!(ask(gateway.admin(), "GET", "/live/stream", &lines, "").status, want, "{lines}");
    }
    let mut stream = admin::send(gateway.admin(), "GET", "/live/stream", &format!("{cookie}{SAME}"), "");
    let mut read = String::new();
    let mut read_until = |want: &str| {
        let mut piece = [0; 4096];
        while !read.contains(want) {
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "{read}");
            read.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        read.clone()
    };
    let begun = read_until("event: start");
    assert!(begun.contains("text/event-stream") && begun.contains("no-store"), "{begun}");
    Client::to(&gateway).send(post("{}").bytes()).response().assert_answer("ok");
    let row = read_until("event: row");
    assert!(read_until("✓ verified").contains("/requests/"), "{row}");
}

#[test]
fn over_tls_the_cookie_is_secure_and_the_certificate_names_the_hosts() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let certificate = authority.issue(&["console.example", "localhost"]);
    let gateway = gateway()
        .route(PATH, &upstream.url())
        .file("admin.crt", certificate.cert.clone())
        .file("admin.key", certificate.key.clone())
        .admin_with(&format!(
            "console = true\ntls = {{ cert = \"admin.crt\", key = \"admin.key\" }}\n{TOKENS}"
        ))
        .start();
    let config = authority.client().config();
    let ask = |method: &str, target: &str, host: &str, lines: &str, content: &str| {
        let mut client = TlsClient::connect(gateway.admin(), "localhost", &config).unwrap();
        let length = content.len();
        let head =
            format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n{lines}content-length: {length}\r\n\r\n");
        client.stream.write_all(format!("{head}{content}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        client.stream.read_to_end(&mut answer).unwrap();
        Answer::read(&answer)
    };
    let authorization = format!("{JSON}authorization: Bearer {OPERATOR}\r\n");
    let made = ask("POST", "/api/v1/console/links", "console.example", &authorization, "{}");
    let opened = ask("GET", &path_of(&made), "console.example", "", "");
    assert_eq!(opened.status, 303, "{}", opened.text);
    let cookie = opened.field("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with("__Host-hookgate=") && cookie.ends_with("; Secure"), "{cookie}");
    let cookie = opened.cookie();
    assert_eq!(ask("GET", "/live", "console.example", &cookie, "").status, 200);
    assert_eq!(ask("GET", "/live", "evil.example", &cookie, "").status, 403);
}
