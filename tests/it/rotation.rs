//! Rotation of secrets while events arrive. No event is refused, and hookgate reports the progress.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::in_time::OutputInTime as _;
use crate::support::process::{Running, address_in};
use crate::support::request::PATH;
use crate::support::upstream::Oracle;
use crate::support::{Client, FIXTURE, PATIENCE, Upstream, signature_with, unsigned};

const OLD: &str = "the secret of last year, long enough";
const NEW: &str = "the secret of this year, long enough";

const LAST_YEAR: &str = "{ name = \"last-year\", file = \"old\" }";
const THIS_YEAR: &str = "{ name = \"this-year\", file = \"new\" }";

struct Setup {
    folder: TempDir,
    upstream: Upstream,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, secret) in [("old", OLD), ("new", NEW)] {
            std::fs::write(folder.path().join(name), secret).unwrap();
        }
        Self { folder, upstream: Upstream::ok_under(Oracle::default().secrets(&[OLD, NEW])) }
    }

    fn configure(&self, secrets: &[&str]) {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [log]\nformat = \"json\"\naccess = \"refused\"\nold_secret_warning = \"1s\"\n\
             [signature]\nscheme = \"propify\"\nsecrets = [{}]\n[[routes]]\npath = \"{PATH}\"\nupstream = \"{}\"\n",
            secrets.join(", "),
            self.upstream.url()
        );
        let beside = self.path().join("gateway.new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, self.path().join("gateway.toml")).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the gateway. Returns the process, its address, and its admin address.
    fn start(&self) -> (Running, SocketAddr, SocketAddr) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.current_dir(self.path()).stdin(Stdio::null());
        let mut running = Running::start(&mut command);
        let address = address_in(&running.wait_for("\"listening\""));
        let admin = address_in(&running.wait_for("the admin listener answers"));
        (running, address, admin)
    }
}

fn event(secret: &str) -> Vec<u8> {
    let line = format!("propify-signature: {}", signature_with(secret, FIXTURE));
    unsigned(FIXTURE).line(line).bytes()
}

/// The output of `hookgate secrets`.
fn secrets(admin: SocketAddr) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let output = command.args(["secrets", "--admin", &format!("http://{admin}")]).output_in_time();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Senders that send without a pause. They can switch to another secret at any moment.
#[derive(Default)]
struct Senders {
    uses_new: AtomicBool,
    sent: [AtomicUsize; 2],
    over: AtomicBool,
}

impl Senders {
    /// Sends events. If `keeps_alive`, all events use one connection.
    fn send(&self, address: SocketAddr, keeps_alive: bool) {
        let mut client = Client::connect(address);
        while !self.over.load(Ordering::SeqCst) {
            if !keeps_alive {
                client = Client::connect(address);
            }
            let new = self.uses_new.load(Ordering::SeqCst);
            let response = client.send(event(if new { NEW } else { OLD })).response();
            assert_eq!(response.status, 200, "a good event was refused: {}", response.text());
            self.sent[usize::from(new)].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits for more events that are signed with this secret.
    fn more(&self, new: bool) {
        let sent = &self.sent[usize::from(new)];
        let (enough, end) = (sent.load(Ordering::SeqCst) + 50, Instant::now() + PATIENCE);
        while sent.load(Ordering::SeqCst) < enough && !self.over.load(Ordering::SeqCst) {
            assert!(Instant::now() < end, "no events come");
            std::thread::yield_now();
        }
    }
}

/// Stops the senders, even if a test fails.
struct End<'s>(&'s Senders);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_secret_is_changed_while_events_come_and_not_one_is_refused() {
    let setup = Setup::new();
    setup.configure(&[LAST_YEAR]);
    let (mut running, address, admin) = setup.start();
    let senders = Senders::default();
    std::thread::scope(|scope| {
        let end = End(&senders);
        let threads = [true, false].map(|keeps_alive| {
            let senders = &senders;
            scope.spawn(move || {
                let _end = End(senders);
                senders.send(address, keeps_alive);
            })
        });
        let mut reload = |secrets: &[&str]| {
            setup.configure(secrets);
            running.signal("-HUP");
            running.wait_for("\"reloaded\"");
        };
        senders.more(false);
        let story = secrets(admin);
        assert!(story.contains("last-year") && !story.contains("this-year"), "{story}");
        assert!(story.contains("keep it: its signature has no other secret that stays"), "{story}");

        reload(&[THIS_YEAR, LAST_YEAR]);
        senders.more(false);
        let story = secrets(admin);
        assert!(story.contains("has verified nothing since the gateway was started"), "{story}");
        assert!(story.contains("in use: keep it"), "{story}");

        senders.uses_new.store(true, Ordering::SeqCst);
        senders.more(true);
        let story = secrets(admin);
        assert_eq!(story.matches("last verified an event").count(), 2, "{story}");

        reload(&[THIS_YEAR]);
        senders.more(true);
        let story = secrets(admin);
        assert!(story.contains("this-year") && !story.contains("last-year"), "{story}");
        drop(end);
        for thread in threads {
            thread.join().unwrap();
        }
    });
    assert_eq!(Client::connect(address).send(event(OLD)).response().status, 401, "its time is over");
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    let log = || running.seen.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let refused = log().filter(|line| line["message"] == "request");
    assert_eq!(refused.count(), 1, "the one that was to be: {}", running.seen);
    let sent: usize = senders.sent.iter().map(|sent| sent.load(Ordering::SeqCst)).sum();
    assert_eq!(setup.upstream.requests().len(), sent);
}

#[test]
fn an_old_secret_that_is_in_use_is_warned_of() {
    let setup = Setup::new();
    let ending = "{ name = \"last-year\", file = \"old\", not_after = 2090-01-01T00:00:00Z }";
    for (secrets, said) in [
        (&[THIS_YEAR, LAST_YEAR][..], "and `this-year`, which stands before it, none"),
        (&[ending], "counts only until 2090-01-01T00:00:00Z"),
    ] {
        setup.configure(secrets);
        let (mut running, address, _) = setup.start();
        for _ in 0..3 {
            Client::connect(address).send(event(OLD)).response().assert_answer("ok");
        }
        let line: Value = serde_json::from_str(&running.wait_for("an old secret is in use")).unwrap();
        assert_eq!((&line["level"], &line["secret"]), (&"WARN".into(), &"last-year".into()), "{line}");
        assert_eq!(line["routes"], PATH);
        assert!((1..=3).contains(&line["events"].as_u64().unwrap()), "{line}");
        assert!(line["detail"].as_str().unwrap().contains(said), "{line}");
        Client::connect(address).send(event(NEW)).response();
        running.signal("-TERM");
        assert_eq!(running.ended(), Some(0));
    }
}
