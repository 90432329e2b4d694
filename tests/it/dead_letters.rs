//! Dead letters that are removed soon: the warning in the log, and the metric.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use hookgate::queue::event::AttemptOutcome;
use hookgate::queue::sqlite::SqliteEngine;
use hookgate::queue::store::{Batch, Check, Completion, DeadCause, Engine as _, Next};
use hookgate::queue::time::Time;

use crate::support::event::{attempt, event};
use crate::support::process::{Running, address_in};
use crate::support::request::PATH;
use crate::support::{Client, SECRET};

const DAY: Duration = Duration::from_hours(24);

/// Puts events into a store whose deliveries were given up this long ago. Returns their ids.
fn store(path: &Path, ages: &[Duration]) -> Vec<String> {
    let mut store = SqliteEngine::own(path).unwrap().open(Check::No).unwrap();
    let put = |age: &Duration| {
        let then = Time::of(SystemTime::now() - *age);
        let event = event(PATH, then.millis()).make();
        let committed = store.commit(&Batch { events: vec![&event], now: then, ..Batch::default() }).unwrap();
        let completions = vec![Completion {
            id: committed.deliveries[0][0],
            since: event.info().received,
            attempt: attempt(then.millis(), AttemptOutcome::Refused),
            next: Next::Dead(DeadCause::Refused),
        }];
        store.commit(&Batch { completions, now: then, ..Batch::default() }).unwrap();
        event.info().id.to_string()
    };
    ages.iter().map(put).collect()
}

#[test]
fn dead_letters_in_their_last_day_are_told_once_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let ids = store(&path, &[DAY * 59 / 2, DAY * 28, DAY * 119 / 4]);
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n\
         [queue]\nstore = \"{}\"\nmin_free = 1\n\
         [signature]\nscheme = \"propify\"\nsecrets = [{{ value = \"{SECRET}\" }}]\n\
         [[routes]]\npath = \"{PATH}\"\nupstream = \"http://127.0.0.1:9\"\ndelivery = \"queue\"\n",
        path.display(),
    );
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.arg("run").current_dir(folder.path()).stdin(Stdio::null());
    let mut running = Running::start(&mut command);
    // The warning's thread and the listener do not wait for each other. So either line can come first.
    let mut said = |text: &str| {
        let seen = running.seen.lines().find(|line| line.contains(text)).map(str::to_owned);
        seen.unwrap_or_else(|| running.wait_for(text))
    };
    let admin = said("the admin listener answers");
    let said = said("dead letters are removed soon");
    for want in [
        "\"WARN\"".to_owned(),
        "\"count\":2".to_owned(),
        format!("\"routes\":\"{PATH}: 2\""),
        format!("\"oldest\":\"{}\"", ids[2]),
        "hookgate events list --state dead".to_owned(),
    ] {
        assert!(said.to_uppercase().contains(&want.to_uppercase()), "{want} in {said}");
    }
    let metrics = Client::connect(address_in(&admin))
        .send(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .response()
        .text();
    let line = format!("hookgate_dead_letters_removed_soon{{route=\"{PATH}\"}} 2");
    assert!(metrics.lines().any(|known| known == line), "{metrics}");
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    assert_eq!(running.seen.matches("dead letters are removed soon").count(), 1, "{}", running.seen);
}
