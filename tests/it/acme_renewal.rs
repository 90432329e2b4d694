//! Renewal information (RFC 9773): the authority says when a certificate is renewed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::acme::{
    HOUR, LONG, NAME, certificate, obtained, orders, record_path, recorded, setup, start, wait,
};
use crate::support::acme_authority::{AcmeAuthority, Conduct, EXPLANATION, RenewalInfo};
use crate::support::in_time::output_of;
use crate::support::process::Running;
use crate::support::tls::until;
use crate::support::{Gateway, Upstream};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Keeps a certificate that was issued so long ago, and is valid for 90 days. Returns its identifier.
fn keep(authority: &AcmeAuthority, storage: &Path, age: Duration) -> String {
    let old = authority.issuer.issue_with(&[NAME], |params| {
        params.not_before = (SystemTime::now() - age).into();
        params.not_after = (SystemTime::now() - age + DAY * 90).into();
        params.use_authority_key_identifier_extension = true;
        // The sign of a number with this first byte needs a byte of its own.
        params.serial_number = Some(vec![0x87, 0x65, 0x43, 0x21].into());
    });
    let folder = storage.join(authority.folder());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{NAME}.pem")), format!("{}{}", old.cert, old.key)).unwrap();
    authority.knows(&old.cert)
}

/// A window from so far in the future on, for an hour.
fn window(from: Duration) -> RenewalInfo {
    let start = SystemTime::now() + from;
    RenewalInfo::Window { start, end: start + HOUR, retry_after: Some("21600") }
}

fn past() -> RenewalInfo {
    let end = SystemTime::now() - HOUR;
    RenewalInfo::Window { start: end - HOUR, end, retry_after: Some("21600") }
}

/// How long the gateway waits before it asks again.
fn wait_to_ask(record: &Value) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    record["ask"].as_u64().unwrap().saturating_sub(now)
}

/// Waits until the renewal is due in this range of time.
fn due_within(gateway: &Gateway, range: std::ops::Range<Duration>) {
    until("the renewal is planned", || range.contains(&wait(&orders(gateway, NAME))));
}

#[test]
fn a_window_in_the_past_renews_the_certificate_now_and_the_order_says_what_it_replaces() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let old = keep(&authority, folder.path(), DAY * 10);
    authority.says(past());
    let gateway = start(&authority, folder.path(), &upstream);
    let before = certificate(&gateway, NAME);
    obtained(&gateway, NAME, 1);
    assert_eq!(authority.replaced(), [Some(old.clone())]);
    assert_ne!(certificate(&gateway, NAME), before);
    // The authority says the same about the new certificate. That does not lead to one order after the other.
    due_within(&gateway, HOUR * 11..HOUR * 12 + Duration::from_secs(1));
    let asked = authority.asked();
    assert!(asked.len() == 2 && asked[0] == old && asked[1] != old, "{asked:?}");
    assert_eq!((authority.ordered().len(), orders(&gateway, NAME).failed), (1, 0));
    // Nor does a restart.
    drop(gateway);
    let gateway = start(&authority, folder.path(), &upstream);
    due_within(&gateway, HOUR * 11..HOUR * 12 + Duration::from_secs(1));
    assert_eq!((authority.ordered().len(), authority.asked().len()), (1, 2));
}

#[test]
fn a_time_in_the_window_is_chosen_and_a_restart_keeps_it_without_a_question() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    keep(&authority, folder.path(), DAY * 10);
    authority.says(window(DAY * 60));
    let first = start(&authority, folder.path(), &upstream);
    due_within(&first, DAY * 60 - HOUR..DAY * 60 + HOUR);
    let record = recorded(&authority, folder.path());
    assert!((21_500..=21_600).contains(&wait_to_ask(&record)), "{record}");
    let chosen = orders(&first, NAME);
    assert!(!chosen.is_early);
    // Another process with the same folder asks nothing, and chooses no other time.
    let second = setup(&authority, folder.path(), &[NAME], &upstream).start();
    assert_eq!(orders(&second, NAME), chosen);
    drop((first, second));
    let requests = authority.requests();
    let again = start(&authority, folder.path(), &upstream);
    assert_eq!(orders(&again, NAME), chosen);
    assert_eq!((authority.requests(), authority.asked().len()), (requests, 1));
}

#[test]
fn a_window_that_the_authority_moves_forward_is_followed() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    keep(&authority, folder.path(), DAY * 50);
    authority.says(window(DAY * 15));
    let first = start(&authority, folder.path(), &upstream);
    due_within(&first, DAY * 15 - HOUR..DAY * 15 + HOUR);
    let mut record = recorded(&authority, folder.path());
    drop(first);
    // The next question is due.
    record["ask"] = 1.into();
    fs::write(record_path(&authority, folder.path()), record.to_string()).unwrap();
    authority.says(window(HOUR));
    let second = start(&authority, folder.path(), &upstream);
    due_within(&second, HOUR - Duration::from_secs(60)..HOUR * 2);
    assert!(orders(&second, NAME).is_early);
    assert_eq!(authority.asked().len(), 2);
}

#[test]
fn the_log_says_why_a_renewal_is_early_and_check_says_when_it_is() {
    let (authority, folder) = (AcmeAuthority::start(LONG), TempDir::new().unwrap());
    let storage = folder.path().join("acme");
    keep(&authority, &storage, DAY * 10);
    authority.says(window(DAY * 2));
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n[tls]\nlisten = \"127.0.0.1:0\"\n\
         [tls.acme]\ndomains = [\"{NAME}\"]\nstorage = \"acme\"\n{}\n\
         [signature]\nscheme = \"propify\"\nsecrets = [{{ value = \"0123456789abcdef0123456789abcdef\" }}]\n\
         [[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n",
        authority.lines()
    );
    fs::write(folder.path().join("gateway.toml"), text).unwrap();
    fs::write(folder.path().join("directory.pem"), &authority.of_directory.pem).unwrap();
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.current_dir(folder.path()).stdin(Stdio::null());
        command
    };
    let mut running = Running::start(&mut command());
    let line = running.wait_for("the authority asks for an early renewal");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["level"], &line["name"]), (&"WARN".into(), &NAME.into()), "{line}");
    assert_eq!(line["explanation"], EXPLANATION, "{line}");
    let renewal = line["renewal"].as_str().unwrap();
    assert!(line["start"].as_str().unwrap() <= renewal && renewal < line["end"].as_str().unwrap(), "{line}");
    let _record = recorded(&authority, &storage);
    let output = command().arg("check").stdout(Stdio::piped()).spawn().unwrap();
    let output = String::from_utf8(output_of(output).stdout).unwrap();
    let want = format!("renewed from {} on", renewal.split_once('T').unwrap().0);
    assert!(output.contains(&want), "{want}: {output}");
}

#[test]
fn the_time_of_the_next_question_is_bounded_whatever_the_authority_says() {
    for (retry_after, want) in [
        (Some("0"), 60),
        (Some("3600"), 3600),
        (Some("18446744073709551615"), 86_400),
        (Some("soon"), 21_600),
        (None, 21_600),
    ] {
        let (authority, folder) = (AcmeAuthority::start(LONG), TempDir::new().unwrap());
        keep(&authority, folder.path(), DAY * 10);
        let start_of = SystemTime::now() + DAY * 20;
        authority.says(RenewalInfo::Window { start: start_of, end: start_of + HOUR, retry_after });
        let upstream = Upstream::ok();
        let gateway = start(&authority, folder.path(), &upstream);
        due_within(&gateway, DAY * 20 - HOUR..DAY * 20 + HOUR);
        let wait = wait_to_ask(&recorded(&authority, folder.path()));
        assert!((want - 50..=want).contains(&wait), "{retry_after:?}: {wait} s");
    }
}

#[test]
fn without_an_answer_the_certificate_is_renewed_at_two_thirds_of_its_life_and_nothing_fails() {
    let backwards = SystemTime::now() + DAY * 20;
    for info in [
        RenewalInfo::Fails,
        RenewalInfo::Window { start: backwards, end: backwards - HOUR, retry_after: Some("21600") },
    ] {
        let (authority, folder) = (AcmeAuthority::start(LONG), TempDir::new().unwrap());
        keep(&authority, folder.path(), DAY * 10);
        authority.says(info);
        let upstream = Upstream::ok();
        let gateway = start(&authority, folder.path(), &upstream);
        let record = recorded(&authority, folder.path());
        assert_eq!((&record["failures"], &record["window"]), (&1.into(), &Value::Null));
        assert!((30..=60).contains(&wait_to_ask(&record)), "{record}");
        due_within(&gateway, DAY * 48..DAY * 50);
        assert_eq!(orders(&gateway, NAME).failed, 0);
        assert_eq!(authority.ordered(), [""; 0]);
    }
}

#[test]
fn an_order_that_may_not_say_what_it_replaces_is_made_without_it() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let old = keep(&authority, folder.path(), DAY * 10);
    authority.says(past());
    authority.refuses_replaces();
    let gateway = start(&authority, folder.path(), &upstream);
    obtained(&gateway, NAME, 1);
    assert_eq!(authority.replaced(), [Some(old), None]);
}

#[test]
fn an_authority_without_renewal_information_is_not_told_what_an_order_replaces() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    keep(&authority, folder.path(), DAY * 70);
    let gateway = start(&authority, folder.path(), &upstream);
    obtained(&gateway, NAME, 1);
    let record = recorded(&authority, folder.path());
    assert!((86_300..=86_400).contains(&wait_to_ask(&record)), "{record}");
    assert_eq!((authority.replaced(), authority.asked().len()), (vec![None], 0));
    due_within(&gateway, DAY * 58..DAY * 60);
}

#[test]
fn a_window_makes_no_order_before_the_wait_that_another_run_has_kept() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    keep(&authority, folder.path(), DAY * 10);
    // At the start, the certificate is not due: the failures count only when the authority has answered.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let failures = json!({ "count": 2, "failed_at": now, "next": now, "not_before": now + 100_000 });
    let path = folder.path().join(authority.folder()).join(format!("{NAME}.failures.json"));
    fs::write(path, failures.to_string()).unwrap();
    authority.says(past());
    let gateway = start(&authority, folder.path(), &upstream);
    due_within(&gateway, Duration::from_secs(99_000)..Duration::from_secs(100_001));
    assert_eq!((authority.asked().len(), authority.ordered()), (1, Vec::new()));
}

#[test]
fn a_window_makes_no_order_before_the_wait_after_a_failure_has_passed() {
    let authority = AcmeAuthority::start(Conduct::RateLimited(100_000));
    let (upstream, folder) = (Upstream::ok(), TempDir::new().unwrap());
    keep(&authority, folder.path(), DAY * 10);
    authority.says(past());
    let first = start(&authority, folder.path(), &upstream);
    until("the order fails", || orders(&first, NAME).failed == 1);
    drop(first);
    authority.set(LONG);
    let mut record = recorded(&authority, folder.path());
    record["ask"] = 1.into();
    fs::write(record_path(&authority, folder.path()), record.to_string()).unwrap();
    let second = start(&authority, folder.path(), &upstream);
    until("the authority is asked again", || authority.asked().len() == 2);
    until("the answer is recorded", || wait_to_ask(&recorded(&authority, folder.path())) > 0);
    let planned = wait(&orders(&second, NAME));
    assert!(planned > Duration::from_secs(99_000), "{planned:?}");
    assert_eq!(authority.ordered(), [""; 0]);
}
