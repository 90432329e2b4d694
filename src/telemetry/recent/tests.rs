use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use super::capture::{Captured, MOST_BYTES, MOST_CONTENT, MOST_OF_ROUTE, Parts};
use super::entry::{LONGEST_DETAIL, LONGEST_MODEL, Subject};
use super::filter::{FilterError, State};
use super::*;
use crate::admission::client::ClientAddress;
use crate::gateway::reason::Reason;
use crate::queue::event::RouteName;
use crate::queue::id::EventId;
use crate::telemetry::record::{RouteLabel, SentPath};
use crate::telemetry::route_slot::Slot;

/// A moment for each number, so far apart that the load leaves nothing out.
fn at(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + number * 60)
}

fn record(id: u64) -> Record {
    let mut record = Record::new(RequestId(id), ClientAddress::ip(Ipv4Addr::LOCALHOST.into()));
    record.set_method("POST");
    record.route =
        Some(RouteLabel { path: "/hooks/{name}".into(), slot: Slot::NO_ROUTE, scheme: "propify".into() });
    record.sent_path = Some(SentPath::new("/hooks/a"));
    record.status = 200;
    record
}

fn refused(id: u64, reason: Reason) -> Record {
    Record { refused: true, reason: Some(reason), status: 401, ..record(id) }
}

fn attempt(outcome: AttemptOutcome) -> DeliveryAttempt {
    DeliveryAttempt {
        event: EventId::from_bytes([7; 16]),
        route: RouteName { path: "/q".into(), model: None },
        upstream: "http://127.0.0.1:1".into(),
        number: 1,
        is_probe: false,
        outcome,
        status: Some(200),
        detail: None,
        took: Duration::ZERO,
        again_in: None,
        dead: None,
    }
}

fn ids(entries: &[Numbered]) -> Vec<u64> {
    entries.iter().filter_map(|numbered| numbered.entry.request()).map(|record| record.id.0).collect()
}

fn numbers(entries: &[Numbered]) -> Vec<u64> {
    entries.iter().map(|numbered| numbered.number).collect()
}

fn all() -> Filter {
    Filter::default()
}

#[test]
fn the_latest_entries_come_first_and_pages_join_without_a_gap() {
    let recent = Recent::new(100);
    (1..=5).for_each(|id| recent.request(&mut record(id), at(id)));
    let first = recent.page(&all(), None, 2);
    assert_eq!((ids(&first.entries), first.next), (vec![5, 4], Some(4)));
    // A later entry moves nothing.
    recent.request(&mut record(6), at(6));
    let second = recent.page(&all(), first.next, 2);
    assert_eq!((ids(&second.entries), second.next), (vec![3, 2], Some(2)));
    let third = recent.page(&all(), second.next, 2);
    assert_eq!((ids(&third.entries), third.next), (vec![1], None));
    assert_eq!(recent.get(3).map(|numbered| numbered.number), Some(3));
    assert!(recent.get(7).is_none() && recent.get(0).is_none());
}

#[test]
fn the_record_is_taken_only_if_it_is_kept() {
    let (off, on) = (Recent::new(0), Recent::new(1));
    let mut kept = record(1);
    off.request(&mut kept, at(1));
    assert_eq!((kept.status, off.left_out(), off.page(&all(), None, 9).entries.len()), (200, 0, 0));
    on.request(&mut kept, at(1));
    assert_eq!((kept.status, kept.id), (0, RequestId(1)));
}

#[test]
fn a_flood_of_one_kind_leaves_the_last_entries_of_the_others() {
    let recent = Recent::new(100);
    (0..100).for_each(|id| recent.request(&mut record(id), at(id)));
    (0..3).for_each(|id| recent.request(&mut refused(id, Reason::TimestampExpired), at(id)));
    (0..5000).for_each(|id| recent.request(&mut refused(id, Reason::SignatureMismatch), at(id)));
    let found = |state, reason: Option<Reason>| {
        let filter = Filter { state, reason: reason.map(|reason| reason.as_str().to_owned()), ..all() };
        recent.page(&filter, None, 1000).entries.len()
    };
    assert_eq!(found(None, None), 100);
    assert_eq!(found(None, Some(Reason::TimestampExpired)), 3);
    let good = found(Some(State::Verified), None);
    assert!((48..=49).contains(&good), "{good}: half of the rest");
    assert_eq!(ids(&recent.page(&Filter { state: Some(State::Verified), ..all() }, None, 1).entries), [99]);
}

#[test]
fn what_the_load_leaves_out_is_counted_for_each_reader() {
    let recent = Recent::new(1000);
    let before = recent.end();
    (0..10_000).for_each(|id| recent.request(&mut refused(id, Reason::SignatureMismatch), at(0)));
    recent.request(&mut record(1), at(0));
    let news = recent.since(before, &all(), 1000);
    assert_eq!((news.entries.len(), news.missed, recent.left_out()), (251, 9750, 9750));
    assert_eq!(
        news.entries.last().and_then(|last| last.entry.request()).map(|record| record.status),
        Some(200)
    );
    let nothing = recent.since(news.cursor, &all(), 1000);
    assert_eq!((nothing.entries.len(), nothing.missed, nothing.cursor), (0, 0, news.cursor));
}

#[test]
fn a_slow_reader_gets_the_latest_and_the_count_of_the_rest() {
    let recent = Recent::new(10);
    let start = recent.end();
    (1..=25).for_each(|id| recent.request(&mut record(id), at(id)));
    let news = recent.since(start, &all(), 4);
    assert_eq!((ids(&news.entries), news.missed), (vec![22, 23, 24, 25], 21));
    recent.request(&mut refused(26, Reason::NoRoute), at(26));
    recent.request(&mut record(27), at(27));
    let filter = Filter { state: Some(State::Refused), ..all() };
    let news = recent.since(news.cursor, &filter, 4);
    assert_eq!((ids(&news.entries), news.missed), (vec![26], 0), "what a filter hides is not missed");
    assert_eq!(numbers(&recent.since(recent.behind(25), &all(), 9).entries), [26, 27]);
    let of_another_process = recent.behind(1000);
    assert_eq!(numbers(&recent.since(of_another_process, &all(), 1).entries), [27]);
}

#[test]
fn fewer_places_keep_the_latest_and_none_forget_all() {
    let recent = Recent::new(10);
    (1..=10).for_each(|id| recent.request(&mut record(id), at(id)));
    recent.set_places(3);
    assert_eq!(ids(&recent.page(&all(), None, 100).entries), [10, 9, 8]);
    recent.set_places(0);
    recent.request(&mut record(11), at(11));
    assert_eq!(recent.page(&all(), None, 100).entries.len(), 0);
    recent.set_places(5);
    recent.request(&mut record(12), at(12));
    assert_eq!(numbers(&recent.page(&all(), None, 100).entries), [11], "the numbers go on");
}

fn cause() -> LikelyCause {
    LikelyCause {
        label: "secret_white_space",
        detail: "there is white space".into(),
        advice: "remove it".into(),
    }
}

#[test]
fn a_likely_cause_joins_its_request_whichever_comes_first() {
    let recent = Recent::new(10);
    recent.request(&mut refused(1, Reason::SignatureMismatch), at(1));
    let start = recent.end();
    recent.explain(RequestId(1), cause());
    recent.explain(RequestId(2), cause());
    recent.request(&mut refused(2, Reason::SignatureMismatch), at(2));
    recent.request(&mut refused(3, Reason::SignatureMismatch), at(3));
    let page = recent.page(&all(), None, 10);
    assert_eq!(ids(&page.entries), [3, 2, 1], "a cause is no entry of a page");
    let causes: Vec<_> = page.entries.iter().map(|numbered| numbered.entry.cause().is_some()).collect();
    assert_eq!(causes, [false, true, true]);
    // A reader that knew the request already gets the cause as news, under the request's filter.
    let filter = Filter { reason: Some("signature_mismatch".into()), ..all() };
    let news = recent.since(start, &filter, 10);
    assert_eq!(ids(&news.entries), [1, 2, 3]);
    assert!(matches!(&news.entries[0].entry.subject, Subject::Cause(request) if request.number == 1));
    assert_eq!(news.entries[0].entry.cause(), Some(&cause()));
    // A reader that does not know the request yet gets the cause with the request, and not a second time.
    let whole = recent.since(recent.behind(0), &filter, 10);
    let kinds: Vec<_> = whole.entries.iter().map(|numbered| numbered.entry.kind()).collect();
    assert!(kinds.iter().all(|kind| *kind != Kind::Cause), "{kinds:?}");
    assert_eq!(whole.entries.len(), 3);
    let hidden = Filter { state: Some(State::Verified), ..all() };
    assert_eq!(recent.since(start, &hidden, 10).entries.len(), 0);
}

#[test]
fn a_filter_shows_what_has_all_that_it_names() {
    let recent = Recent::new(100);
    recent.request(&mut record(1), at(1));
    recent.request(&mut Record { status: 503, ..record(2) }, at(2));
    recent.request(&mut refused(3, Reason::SignatureMissing), at(3));
    recent.request(&mut Record { observed: Some(Reason::SignatureMissing), ..record(4) }, at(4));
    let without_route =
        Record { route: None, sent_path: Some(SentPath::new("/wp-admin")), ..refused(5, Reason::NoRoute) };
    recent.request(&mut { without_route }, at(5));
    recent.delivery(at(6), AttemptOutcome::TimedOut, || attempt(AttemptOutcome::TimedOut));
    for (query, want) in [
        (&[][..], vec![6, 5, 4, 3, 2, 1]),
        (&[("state", "verified")], vec![2, 1]),
        (&[("state", "refused")], vec![5, 3]),
        (&[("state", "observed")], vec![4]),
        (&[("state", "delivery")], vec![6]),
        (&[("reason", "signature_missing")], vec![4, 3]),
        (&[("reason", "timed_out")], vec![6]),
        (&[("status", "4xx")], vec![5, 3]),
        (&[("status", "503")], vec![2]),
        (&[("route", "/hooks/{name}")], vec![4, 3, 2, 1]),
        (&[("route", "/q")], vec![6]),
        (&[("path", "admin")], vec![5]),
        (&[("path", ""), ("state", "refused"), ("status", "401"), ("path", "hooks")], vec![3]),
    ] {
        let mut filter = Filter::default();
        for (name, value) in query {
            assert_eq!(filter.take(name, value), Ok(true), "{name}");
        }
        assert_eq!(numbers(&recent.page(&filter, None, 100).entries), want, "{query:?}");
    }
}

#[test]
fn a_filter_that_means_nothing_is_refused() {
    let mut filter = Filter::default();
    assert_eq!(filter.take("state", "lost"), Err(FilterError::State("lost".into())));
    for status in ["6xx", "0xx", "x", "4x", "1000", "-1", "+4xx "] {
        assert_eq!(filter.take("status", status), Err(FilterError::Status(status.into())), "{status}");
    }
    assert_eq!(filter.take("path", &"a".repeat(1025)), Err(FilterError::TooLong("path")));
    assert_eq!(filter.take("path", "a"), Ok(true));
    assert_eq!(filter.take("path", "b"), Err(FilterError::Twice("path")));
    assert_eq!(filter.take("color", "red"), Ok(false));
}

#[test]
fn long_texts_of_a_client_are_cut() {
    let recent = Recent::new(10);
    let long = || Some("é".repeat(1 << 20));
    recent.request(&mut Record { model: long(), detail: long(), ..record(1) }, at(1));
    let entry = recent.get(1).unwrap().entry;
    let record = entry.request().unwrap();
    let (model, detail) = (record.model.as_ref().unwrap(), record.detail.as_ref().unwrap());
    assert_eq!((model.len(), detail.len()), (LONGEST_MODEL, LONGEST_DETAIL));
    assert!(model.capacity() <= LONGEST_MODEL && detail.capacity() <= LONGEST_DETAIL);
    assert!(
        size_of::<Entry>() + LONGEST_DETAIL + LONGEST_MODEL + 1024 < LARGEST_ENTRY,
        "{}",
        size_of::<Entry>()
    );
}

#[test]
fn a_request_that_ends_while_a_reader_reads_does_not_wait_and_is_not_lost() {
    let recent = Recent::new(1000);
    let reading = recent.lock();
    // The lock is taken, so a request that waited would wait for ever.
    (0..u64::try_from(MOST_WAITING).unwrap() + 3).for_each(|id| recent.request(&mut record(id), at(id)));
    drop(reading);
    assert_eq!(recent.page(&all(), None, 1000).entries.len(), MOST_WAITING);
    assert_eq!(recent.left_out(), 3);
}

#[test]
fn entries_of_many_threads_get_a_number_each() {
    let recent = Recent::new(10_000);
    thread::scope(|scope| {
        for thread in 0..4 {
            let recent = &recent;
            scope.spawn(move || {
                (0..500).for_each(|id| recent.request(&mut record(id), at(thread * 500 + id)));
            });
        }
        for _ in 0..1000 {
            assert!(recent.page(&all(), None, 10_000).entries.len() <= 2000);
        }
    });
    let entries = recent.since(Cursor::default(), &all(), 10_000).entries;
    let found = u64::try_from(entries.len()).unwrap();
    assert_eq!(found + recent.left_out(), 2000);
    assert_eq!(numbers(&entries), (1..=found).collect::<Vec<_>>());
}

/// A refused request of a route, which is captured if there is room.
fn with_capture(recent: &Recent, id: u64, route: &str) -> Record {
    let content = vec![0; MOST_CONTENT];
    let parts = Parts { method: "POST", target: b"/a", head: 0, content: &content };
    let captured = Captured::copy(recent.capture_room().unwrap(), parts, std::iter::empty(), |_| false);
    let label = RouteLabel { path: route.into(), slot: Slot::NO_ROUTE, scheme: "propify".into() };
    Record { captured: captured.map(Box::new), route: Some(label), ..refused(id, Reason::SignatureMismatch) }
}

fn captured_numbers(recent: &Recent) -> Vec<u64> {
    let entries = recent.page(&all(), None, 10_000).entries;
    entries.iter().filter(|one| one.entry.captured().is_some()).map(|one| one.number).collect()
}

#[test]
fn the_oldest_captured_requests_of_a_route_go_first_and_their_entries_stay() {
    let recent = Recent::new(1000);
    let most = u64::try_from(MOST_OF_ROUTE).unwrap();
    recent.request(&mut with_capture(&recent, 1, "/other"), at(1));
    (2..=most + 5).for_each(|id| recent.request(&mut with_capture(&recent, id, "/a"), at(id)));
    let kept = captured_numbers(&recent);
    assert_eq!(kept.len(), MOST_OF_ROUTE + 1);
    assert_eq!((kept[0], kept[MOST_OF_ROUTE - 1], kept[MOST_OF_ROUTE]), (most + 5, 6, 1));
    assert_eq!(recent.page(&all(), None, 1000).entries.len(), MOST_OF_ROUTE + 5);
}

#[test]
fn captured_requests_of_many_routes_stay_within_the_bound_and_go_with_their_entries() {
    let recent = Recent::new(1000);
    for id in 0..500 {
        recent.request(&mut with_capture(&recent, id, &format!("/{}", id % 50)), at(id));
        assert!(recent.capture_room().unwrap().taken() <= MOST_BYTES);
    }
    let kept = captured_numbers(&recent);
    assert!(kept.len() > 80 && kept[0] == 500, "{} {kept:?}", kept.len());
    let room = Arc::clone(recent.capture_room().unwrap());
    recent.set_places(3);
    assert!(
        captured_numbers(&recent).len() == 3 && room.taken() < 4 * (MOST_CONTENT + 2048),
        "{}",
        room.taken()
    );
    recent.set_places(0);
    assert_eq!((room.taken(), recent.capture_room().is_none()), (0, true));
}
