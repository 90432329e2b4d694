//! The tests that every store passes.

use hookgate::queue::event::{AttemptOutcome, FirstAttempt, OrderKey};
use hookgate::queue::store::{
    Batch, Change, Class, Completion, DeadCause, DeliveryId, Filter, Job, Next, State,
};
use hookgate::queue::time::Time;

use super::lists::{
    a_search_ends_at_its_bound_and_says_where_it_goes_on, equal_dead_letters_are_one_group,
    events_are_listed_latest_first_and_by_filter, ids_are_listed_earliest_first_and_by_filter,
};
use super::{Place, again, copy, ids, main, retention};
use crate::support::event::{attempt, event, route};

/// Makes each of these tests a test for each store.
macro_rules! on_every_engine {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(&super::Place::file()); })*
        }
        /// `tests/postgres/run` runs these against a server.
        mod on_postgres {
            $(
                #[test]
                #[ignore = "needs a server: tests/postgres/run"]
                fn $name() {
                    super::$name(&super::Place::postgres());
                }
            )*
        }
        mod in_memory {
            $(#[test] fn $name() { super::$name(&super::Place::memory()); })*
        }
    };
}

on_every_engine! {
    a_stored_event_is_due_and_comes_back_byte_for_byte,
    a_delivery_is_due_at_its_time_and_not_before,
    no_more_are_returned_than_asked_for_but_one_if_any_is_due,
    what_the_caller_has_is_not_returned_again,
    a_failed_delivery_becomes_a_retry_and_a_failed_replay_stays_a_replay,
    an_attempt_that_spends_nothing_does_not_count_as_one,
    a_delivery_that_has_ended_is_not_due_and_does_not_end_again,
    the_first_3_and_the_last_20_attempts_are_kept,
    the_first_2048_bytes_of_an_answer_are_kept,
    of_a_lane_only_the_first_is_due,
    a_lane_goes_on_after_a_dead_letter_and_after_a_discard,
    lanes_of_other_keys_and_other_upstreams_do_not_wait_for_each_other,
    a_request_that_was_forwarded_directly_is_a_retry,
    nothing_of_a_paused_route_is_due,
    a_replay_of_a_delivered_event_is_a_new_delivery_with_a_fresh_budget,
    a_replay_of_dead_letters_is_made_only_where_they_are_dead_letters,
    a_replay_takes_the_place_of_a_dead_letter_and_keeps_its_attempts,
    a_replay_of_a_queued_event_makes_it_due_and_does_not_double_it,
    a_failure_of_an_earlier_budget_neither_ends_nor_delays_a_replay,
    a_first_attempt_of_an_earlier_budget_makes_its_delivery_a_retry,
    a_replay_in_the_millisecond_in_which_a_budget_began_begins_another_one,
    a_delivery_of_an_earlier_budget_is_a_delivery,
    a_discarded_event_is_gone,
    a_damaged_record_is_reported_and_never_due,
    content_goes_after_its_time_and_what_is_known_later,
    dead_letters_go_after_their_time,
    dead_letters_are_found_by_their_end_while_nothing_waits,
    nothing_queued_is_ever_purged,
    a_purge_is_no_larger_than_asked_for,
    a_duplicate_key_counts_until_its_end,
    waiting_events_of_an_order_key_are_found,
    events_are_listed_latest_first_and_by_filter,
    ids_are_listed_earliest_first_and_by_filter,
    a_search_ends_at_its_bound_and_says_where_it_goes_on,
    equal_dead_letters_are_one_group,
    a_job_is_kept_until_it_is_removed,
    a_batch_is_of_one_moment,
    a_commit_says_where_something_has_become_due,
    everything_is_there_after_it_was_opened_again,
}

fn a_stored_event_is_due_and_comes_back_byte_for_byte(place: &Place) {
    let mut opened = place.open();
    let content: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let make =
        event("/a", 1_000).content(content.clone()).model("leases").order("k").duplicate([7; 32], 9_000);
    let stored = make.make();
    let (head, info) = (stored.head().to_vec(), stored.info().clone());
    opened.store(2_000, &[&stored]);
    let mut destination = main("/a");
    destination.route = make.route();
    let due = opened.ask(&destination, Class::New, 2_000, &[], 10, u64::MAX);
    let [delivery] = &due.deliveries[..] else { panic!("{due:?}") };
    assert_eq!(delivery.event.content(), content);
    assert_eq!(delivery.event.head(), head);
    assert_eq!(**delivery.event.info(), info);
    assert_eq!(
        (delivery.attempts, delivery.since, delivery.class),
        (0, Time::from_millis(1_000), Class::New)
    );
    assert!(!due.has_more && due.damaged.is_empty() && due.next.is_none());
    // The other route and the other upstream have no delivery.
    assert!(opened.due("/a", Class::New, 2_000).deliveries.is_empty());
    let other = opened.ask(&copy("/a", "http://b"), Class::New, 2_000, &[], 10, u64::MAX);
    assert!(other.deliveries.is_empty());
    let detail = opened.reader.detail(make.id()).unwrap().unwrap();
    assert_eq!(detail.event.unwrap().content(), content);
    assert_eq!((detail.summary.info, detail.summary.length), (info, 70_000));
    assert!(opened.reader.detail(event("/a", 1).id()).unwrap().is_none());
}

fn a_delivery_is_due_at_its_time_and_not_before(place: &Place) {
    let mut opened = place.open();
    let id = opened.store_one(1_000, &event("/a", 1_000));
    assert_eq!(opened.due_ids("/a", Class::New, 999), []);
    assert_eq!(opened.due("/a", Class::New, 999).next, Some(Time::from_millis(1_000)));
    assert_eq!(opened.due_ids("/a", Class::New, 1_000), [id]);
    opened.complete(1_001, id, again(5_000));
    for (now, want) in [(4_999, vec![]), (5_000, vec![id]), (5_001, vec![id])] {
        assert_eq!(opened.due_ids("/a", Class::Retry, now), want, "{now}");
        assert_eq!(opened.due_ids("/a", Class::New, now), []);
    }
    assert_eq!(opened.due("/a", Class::Retry, 4_999).next, Some(Time::from_millis(5_000)));
    assert_eq!(opened.due("/a", Class::New, 4_999).next, None);
}

fn no_more_are_returned_than_asked_for_but_one_if_any_is_due(place: &Place) {
    let mut opened = place.open();
    let make = |number| event("/a", 1_000 + number).number(number);
    let stored: Vec<_> = (0..4).map(|n| opened.store_one(1_000 + n, &make(n))).collect();
    let size = make(0).make().size();
    let mut ask = |most, bytes| {
        let due = opened.ask(&main("/a"), Class::New, 2_000, &[], most, bytes);
        (ids(&due), due.has_more)
    };
    assert_eq!(ask(3, u64::MAX), (stored[..3].to_vec(), true));
    assert_eq!(ask(4, u64::MAX), (stored.clone(), false));
    assert_eq!(ask(5, u64::MAX), (stored.clone(), false));
    assert_eq!(ask(5, size * 2 - 1), (stored[..1].to_vec(), true));
    assert_eq!(ask(5, size * 2), (stored[..2].to_vec(), true));
    assert_eq!(ask(5, 0), (stored[..1].to_vec(), true));
    assert_eq!(ask(0, u64::MAX), (vec![], true));
}

fn what_the_caller_has_is_not_returned_again(place: &Place) {
    let mut opened = place.open();
    let stored: Vec<_> = (0..3).map(|n| opened.store_one(1_000, &event("/a", 1_000).number(n))).collect();
    let due = opened.ask(&main("/a"), Class::New, 1_000, &stored[..2], 1, u64::MAX);
    assert_eq!((ids(&due), due.has_more), (stored[2..].to_vec(), false));
    let later = opened.store_one(9_000, &event("/a", 9_000));
    let due = opened.ask(&main("/a"), Class::New, 1_000, &stored, 1, u64::MAX);
    assert_eq!((ids(&due), due.has_more, due.next), (vec![], false, Some(Time::from_millis(9_000))));
    assert_eq!(opened.due_ids("/a", Class::New, 9_000), [stored, vec![later]].concat());
}

fn a_failed_delivery_becomes_a_retry_and_a_failed_replay_stays_a_replay(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let id = opened.store_one(1_000, &make);
    opened.complete(1_100, id, again(2_000));
    let due = opened.due("/a", Class::Retry, 2_000);
    assert_eq!((ids(&due), due.deliveries[0].attempts), (vec![id], 1));
    opened.complete(2_100, id, again(3_000));
    assert_eq!(opened.due("/a", Class::Retry, 3_000).deliveries[0].attempts, 2);
    opened.complete(3_100, id, Next::Delivered);
    assert_eq!(opened.change(4_000, Change::Replay(make.id())), 1);
    let replay = opened.due("/a", Class::Replay, 4_000).deliveries[0].id;
    opened.complete(4_100, replay, again(5_000));
    assert_eq!(opened.due_ids("/a", Class::Retry, 9_000), []);
    assert_eq!(opened.due_ids("/a", Class::Replay, 5_000), [replay]);
}

fn an_attempt_that_spends_nothing_does_not_count_as_one(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let id = opened.store_one(1_000, &make);
    opened.complete(1_100, id, Next::Again { due: Time::from_millis(2_000), spends: false });
    let due = opened.due("/a", Class::Retry, 2_000);
    assert_eq!((ids(&due), due.deliveries[0].attempts), (vec![id], 0));
    assert_eq!(opened.page(&Filter::default())[0].deliveries[0].attempts, 1);
    assert_eq!(opened.reader.detail(make.id()).unwrap().unwrap().attempts[0].len(), 1);
}

fn a_delivery_that_has_ended_is_not_due_and_does_not_end_again(place: &Place) {
    let mut opened = place.open();
    let makes: Vec<_> = (0..3).map(|n| event("/a", 1_000 + n)).collect();
    let stored: Vec<_> = makes.iter().map(|make| opened.store_one(1_000, make)).collect();
    opened.complete(1_100, stored[0], Next::Delivered);
    opened.complete(1_200, stored[1], Next::Dead(DeadCause::Refused));
    opened.complete(1_300, stored[2], Next::Dead(DeadCause::Undeliverable));
    let counts = opened.counts();
    assert_eq!(counts, "/a: 0 queued (0 bytes, None), 1 delivered, 2 dead\n");
    for id in stored.iter().copied().chain([DeliveryId(999)]) {
        for next in [Next::Delivered, again(1), Next::Dead(DeadCause::Refused)] {
            opened.complete(2_000, id, next);
        }
    }
    assert_eq!(opened.counts(), counts);
    for class in [Class::New, Class::Retry, Class::Replay] {
        assert_eq!(opened.due_ids("/a", class, 9_000), []);
        assert_eq!(opened.due("/a", class, 0).next, None);
    }
    let states = [State::Delivered, State::Dead(DeadCause::Refused), State::Dead(DeadCause::Undeliverable)];
    for (at, (make, state)) in makes.iter().zip(states).enumerate() {
        let delivery = opened.reader.detail(make.id()).unwrap().unwrap().summary.deliveries.remove(0);
        let ended = Time::from_millis(1_100 + 100 * u64::try_from(at).unwrap());
        assert_eq!((delivery.state, delivery.ended, delivery.attempts), (state, Some(ended), 1));
    }
}

fn the_first_3_and_the_last_20_attempts_are_kept(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let id = opened.store_one(1_000, &make);
    let mut kept = |until: u64, from: &mut u64| {
        for n in *from..=until {
            opened.complete(n * 10_000, id, again(n * 10_000 + 1));
        }
        *from = until + 1;
        let detail = opened.reader.detail(make.id()).unwrap().unwrap();
        assert_eq!(u64::from(detail.summary.deliveries[0].attempts), until);
        assert_eq!(detail.summary.deliveries[0].last, detail.attempts[0].last().cloned());
        let at = detail.attempts[0].iter().map(|attempt| attempt.at.millis() / 10_000);
        at.collect::<Vec<_>>()
    };
    let mut from = 1;
    for until in [2, 22, 23] {
        assert_eq!(kept(until, &mut from), (1..=until).collect::<Vec<_>>());
    }
    for until in [24_u64, 25, 60] {
        let want: Vec<_> = (1..=3).chain(until - 19..=until).collect();
        assert_eq!(kept(until, &mut from), want);
    }
}

fn the_first_2048_bytes_of_an_answer_are_kept(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let id = opened.store_one(1_000, &make);
    for (length, want) in [(2_047, 2_047), (2_048, 2_048), (2_049, 2_048)] {
        let mut attempt = attempt(1_000, AttemptOutcome::Refused);
        attempt.response = vec![b'x'; length];
        let since = Time::from_millis(1_000);
        let completions = vec![Completion { id, since, attempt, next: again(1) }];
        opened.commit(Batch { completions, ..Batch::default() });
        let last = opened.page(&Filter::default())[0].deliveries[0].last.clone().unwrap();
        assert_eq!(last.response.len(), want);
    }
}

fn of_a_lane_only_the_first_is_due(place: &Place) {
    let mut opened = place.open();
    let stored: Vec<_> =
        (0..3).map(|n| opened.store_one(1_000, &event("/a", 1_000 - n).number(n).order("k"))).collect();
    let free = opened.store_one(1_000, &event("/a", 5));
    assert_eq!(opened.due_ids("/a", Class::New, 1_000), [stored[0], free]);
    // A delivery that is under way is still the first of its lane.
    let due = opened.ask(&main("/a"), Class::New, 1_000, &[stored[0]], 9, u64::MAX);
    assert_eq!(ids(&due), [free]);
    // A delivery that waits for its retry is also still the first.
    opened.complete(1_100, stored[0], again(5_000));
    assert_eq!(opened.due_ids("/a", Class::New, 4_000), [free]);
    assert_eq!(opened.due_ids("/a", Class::Retry, 5_000), [stored[0]]);
    opened.complete(5_100, stored[0], Next::Delivered);
    assert_eq!(opened.due_ids("/a", Class::New, 5_100), [stored[1], free]);
    // A replay comes after the deliveries that wait.
    assert_eq!(opened.change(6_000, Change::Replay(event("/a", 1_000).id())), 1);
    assert_eq!(opened.due_ids("/a", Class::Replay, 6_000), []);
    opened.complete(6_100, stored[1], Next::Delivered);
    opened.complete(6_200, stored[2], Next::Delivered);
    assert_eq!(opened.due_ids("/a", Class::Replay, 6_200).len(), 1);
}

fn a_lane_goes_on_after_a_dead_letter_and_after_a_discard(place: &Place) {
    let mut opened = place.open();
    let makes: Vec<_> = (0..5).map(|n| event("/a", 1_000 + n).order("k")).collect();
    let stored: Vec<_> = makes.iter().map(|make| opened.store_one(1_000, make)).collect();
    opened.complete(1_100, stored[0], Next::Dead(DeadCause::Refused));
    assert_eq!(opened.due_ids("/a", Class::New, 1_100), [stored[1]]);
    assert_eq!(opened.change(1_200, Change::Discard(makes[2].id())), 1);
    assert_eq!(opened.due_ids("/a", Class::New, 1_200), [stored[1]]);
    assert_eq!(opened.change(1_300, Change::Discard(makes[1].id())), 1);
    assert_eq!(opened.due_ids("/a", Class::New, 1_300), [stored[3]]);
    opened.commit(Batch { damaged: vec![stored[3]], ..Batch::default() });
    assert_eq!(opened.due_ids("/a", Class::New, 1_400), [stored[4]]);
}

fn lanes_of_other_keys_and_other_upstreams_do_not_wait_for_each_other(place: &Place) {
    let mut opened = place.open();
    let make = |n: u64, key: &str| event("/a", 1_000 + n).copy("http://c").order(key).make();
    let long = "x".repeat(200);
    let events: Vec<_> = [(0, "k"), (1, "k"), (2, "l"), (3, ""), (4, ""), (5, &*long), (6, &*long)]
        .map(|(n, key)| make(n, key))
        .into_iter()
        .collect();
    let stored = opened.store(1_000, &events.iter().collect::<Vec<_>>());
    let main = |events: &[usize]| events.iter().map(|at| stored[*at][0]).collect::<Vec<_>>();
    let copies = |events: &[usize]| events.iter().map(|at| stored[*at][1]).collect::<Vec<_>>();
    assert_eq!(opened.due_ids("/a", Class::New, 1_000), main(&[0, 2, 3, 5]));
    opened.complete(1_100, stored[0][0], Next::Delivered);
    assert_eq!(opened.due_ids("/a", Class::New, 1_100), main(&[1, 2, 3, 5]));
    let due = opened.ask(&copy("/a", "http://c"), Class::New, 1_100, &[], 9, u64::MAX);
    assert_eq!(ids(&due), copies(&[0, 2, 3, 5]));
}

fn a_request_that_was_forwarded_directly_is_a_retry(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000).copy("http://c");
    let first = attempt(1_000, AttemptOutcome::Unreachable);
    let attempted = FirstAttempt { attempt: first.clone(), due: Time::from_millis(6_000) };
    let stored = opened.store(1_100, &[&make.make().after(attempted)]);
    assert_eq!(opened.due_ids("/a", Class::New, 9_000), []);
    assert_eq!(opened.due_ids("/a", Class::Retry, 5_999), []);
    let due = opened.due("/a", Class::Retry, 6_000);
    assert_eq!((ids(&due), due.deliveries[0].attempts), (vec![stored[0][0]], 1));
    let copy = opened.ask(&copy("/a", "http://c"), Class::New, 1_100, &[], 9, u64::MAX);
    assert_eq!((ids(&copy), copy.deliveries[0].attempts), (vec![stored[0][1]], 0));
    let detail = opened.reader.detail(make.id()).unwrap().unwrap();
    assert_eq!(detail.attempts, [vec![first], vec![]]);
}

fn nothing_of_a_paused_route_is_due(place: &Place) {
    let mut opened = place.open();
    let of_a = opened.store_one(1_000, &event("/a", 1_000));
    let of_b = opened.store_one(1_000, &event("/b", 1_001));
    assert_eq!(opened.change(1_100, Change::Pause(route("/a", None))), 1);
    assert_eq!(opened.change(1_100, Change::Pause(route("/a", None))), 0, "it is paused already");
    assert_eq!(opened.change(1_100, Change::Pause(route("/never used", Some("leases")))), 1);
    let due = opened.due("/a", Class::New, 1_100);
    assert!(due.deliveries.is_empty() && due.next.is_none() && !due.has_more);
    assert_eq!(opened.due_ids("/b", Class::New, 1_100), [of_b]);
    let paused = opened.store.statistics().unwrap().paused;
    assert_eq!(paused, [route("/a", None), route("/never used", Some("leases"))]);
    assert_eq!(opened.change(1_200, Change::Resume(route("/a", None))), 1);
    assert_eq!(opened.change(1_200, Change::Resume(route("/a", None))), 0);
    assert_eq!(opened.change(1_200, Change::Resume(route("/unknown", None))), 0);
    assert_eq!(opened.due_ids("/a", Class::New, 1_200), [of_a]);
}

fn a_replay_of_a_delivered_event_is_a_new_delivery_with_a_fresh_budget(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000).copy("http://c");
    let stored = opened.store(1_000, &[&make.make()]).remove(0);
    opened.complete(1_100, stored[0], again(2_000));
    for id in &stored {
        opened.complete(2_100, *id, Next::Delivered);
    }
    assert_eq!(opened.change(3_000, Change::Replay(make.id())), 1);
    let due = opened.due("/a", Class::Replay, 3_000);
    let [replay] = &due.deliveries[..] else { panic!("{due:?}") };
    assert!(!stored.contains(&replay.id));
    assert_eq!((replay.attempts, replay.since.millis()), (0, 3_000));
    let copies = opened.ask(&copy("/a", "http://c"), Class::Replay, 3_000, &[], 9, u64::MAX);
    assert_eq!(copies.deliveries.len(), 1);
    assert_eq!(opened.page(&Filter::default())[0].deliveries.len(), 4);
    // When the content is gone, nothing is left to send.
    opened.complete(3_100, replay.id, Next::Delivered);
    opened.complete(3_100, copies.deliveries[0].id, Next::Delivered);
    assert_eq!(opened.store.purge(Time::from_millis(3_100), retention(0, 100, 100), 9).unwrap(), 1);
    assert_eq!(opened.change(4_000, Change::Replay(make.id())), 0);
    assert_eq!(opened.change(4_000, Change::Replay(event("/a", 7).id())), 0);
    assert!(opened.reader.detail(make.id()).unwrap().unwrap().event.is_none());
}

fn a_replay_of_dead_letters_is_made_only_where_they_are_dead_letters(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000).copy("http://c");
    let stored = opened.store(1_000, &[&make.make()]).remove(0);
    opened.complete(1_100, stored[0], Next::Delivered);
    assert_eq!(opened.change(1_200, Change::ReplayDead(make.id())), 0, "it is no dead letter yet");
    opened.complete(1_300, stored[1], Next::Dead(DeadCause::Refused));
    assert_eq!(opened.change(2_000, Change::ReplayDead(make.id())), 1);
    assert_eq!(opened.due_ids("/a", Class::Replay, 2_000), []);
    let copies = opened.ask(&copy("/a", "http://c"), Class::Replay, 2_000, &[], 9, u64::MAX);
    opened.complete(2_100, copies.deliveries[0].id, Next::Delivered);
    assert_eq!(opened.page(&Filter::default())[0].deliveries.len(), 2);
    // What is delivered is not sent again, and is removed in time.
    assert_eq!(opened.change(2_200, Change::ReplayDead(make.id())), 0);
    assert_eq!(opened.store.purge(Time::from_millis(2_200), retention(0, 100, 100), 9).unwrap(), 1);
    assert_eq!(opened.change(2_300, Change::ReplayDead(make.id())), 0);
    assert_eq!(opened.change(2_300, Change::ReplayDead(event("/a", 7).id())), 0);
}

fn a_replay_takes_the_place_of_a_dead_letter_and_keeps_its_attempts(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let id = opened.store_one(1_000, &make);
    opened.complete(1_100, id, Next::Dead(DeadCause::Refused));
    assert_eq!(opened.change(2_000, Change::Replay(make.id())), 1);
    assert!(opened.counts().ends_with("0 delivered, 0 dead\n"), "{}", opened.counts());
    let replay = opened.due_ids("/a", Class::Replay, 2_000)[0];
    assert_ne!(replay, id);
    opened.complete(2_100, replay, Next::Delivered);
    let detail = opened.reader.detail(make.id()).unwrap().unwrap();
    assert_eq!(detail.summary.deliveries.len(), 1);
    assert_eq!((detail.summary.deliveries[0].attempts, detail.attempts[0].len()), (2, 2));
    // A late completion finds no dead letter any more, and changes nothing.
    opened.complete(2_200, id, again(1));
    assert!(opened.counts().ends_with("1 delivered, 0 dead\n"), "{}", opened.counts());
}

fn a_replay_of_a_queued_event_makes_it_due_and_does_not_double_it(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let id = opened.store_one(1_000, &make);
    opened.complete(1_100, id, again(1_000_000));
    assert_eq!(opened.change(2_000, Change::Replay(make.id())), 1);
    let due = opened.due("/a", Class::Retry, 2_000);
    assert_eq!((ids(&due), due.deliveries[0].attempts), (vec![id], 0));
    assert_eq!(due.deliveries[0].since.millis(), 2_000);
    assert_eq!(opened.page(&Filter::default())[0].deliveries.len(), 1);
}

fn a_failure_of_an_earlier_budget_neither_ends_nor_delays_a_replay(place: &Place) {
    for next in [Next::Dead(DeadCause::Refused), again(1_000_000)] {
        let mut opened = place.open();
        let make = event("/a", 1_000).content(format!("{next:?}"));
        let id = opened.store_one(1_000, &make);
        opened.complete(1_100, id, again(1_200));
        assert_eq!(opened.due_ids("/a", Class::Retry, 1_200), [id]);
        // The attempt is under way.
        assert_eq!(opened.change(2_000, Change::Replay(make.id())), 1);
        let committed = opened.complete(2_100, id, next);
        assert_eq!(committed.superseded, [id]);
        let due = opened.due("/a", Class::Retry, 2_100);
        assert_eq!((ids(&due), due.deliveries[0].attempts), (vec![id], 0));
        assert_eq!(due.deliveries[0].since.millis(), 2_000);
        let detail = opened.reader.detail(make.id()).unwrap().unwrap();
        assert_eq!((detail.summary.deliveries[0].attempts, detail.attempts[0].len()), (2, 2));
        // An attempt of the new budget ends it.
        let committed = opened.complete(2_200, id, Next::Dead(DeadCause::Refused));
        assert_eq!(committed.superseded, []);
        assert_eq!(opened.due_ids("/a", Class::Retry, u64::MAX), []);
        opened.change(3_000, Change::Discard(make.id()));
    }
}

fn a_first_attempt_of_an_earlier_budget_makes_its_delivery_a_retry(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let id = opened.store_one(1_000, &make);
    opened.change(1_500, Change::Replay(make.id()));
    assert_eq!(opened.complete(2_000, id, Next::Dead(DeadCause::Undeliverable)).superseded, [id]);
    assert_eq!(opened.due_ids("/a", Class::New, 2_000), []);
    assert_eq!(opened.due_ids("/a", Class::Retry, 2_000), [id]);
}

fn a_replay_in_the_millisecond_in_which_a_budget_began_begins_another_one(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let id = opened.store_one(1_000, &make);
    opened.change(1_000, Change::Replay(make.id()));
    assert_eq!(opened.complete(1_000, id, Next::Dead(DeadCause::Refused)).superseded, [id]);
    assert_eq!(opened.due("/a", Class::Retry, 1_000).deliveries[0].since.millis(), 1_001);
}

fn a_delivery_of_an_earlier_budget_is_a_delivery(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let id = opened.store_one(1_000, &make);
    opened.change(2_000, Change::Replay(make.id()));
    assert_eq!(opened.complete(2_100, id, Next::Delivered).superseded, []);
    assert_eq!(opened.due_ids("/a", Class::New, u64::MAX), []);
    assert!(opened.counts().ends_with("1 delivered, 0 dead\n"), "{}", opened.counts());
}

fn a_discarded_event_is_gone(place: &Place) {
    let mut opened = place.open();
    let makes = [event("/a", 1_000).copy("http://c"), event("/a", 1_001)];
    let stored = opened.store(1_000, &[&makes[0].make(), &makes[1].make()]);
    assert_eq!(opened.change(1_100, Change::Discard(makes[0].id())), 1);
    assert_eq!(opened.change(1_100, Change::Discard(makes[0].id())), 0);
    assert!(opened.reader.detail(makes[0].id()).unwrap().is_none());
    assert_eq!(opened.page(&Filter::default()).len(), 1);
    assert_eq!(opened.due_ids("/a", Class::New, 1_100), [stored[1][0]]);
    // The numbers of removed deliveries are not used again. So a late completion changes nothing.
    assert_eq!(opened.change(1_200, Change::Discard(makes[1].id())), 1);
    drop(opened);
    let mut opened = place.open();
    let later = opened.store_one(1_300, &event("/a", 1_300));
    assert!(!stored.concat().contains(&later));
    opened.complete(1_400, stored[1][0], Next::Delivered);
    assert_eq!(opened.due_ids("/a", Class::New, 1_400), [later]);
}

fn a_damaged_record_is_reported_and_never_due(place: &Place) {
    let mut opened = place.open();
    let makes: Vec<_> = (0..3).map(|n| event("/a", 1_000 + n)).collect();
    let stored: Vec<_> = makes.iter().map(|make| opened.store_one(1_000, make)).collect();
    match place {
        Place::Memory(memory) => memory.damage(makes[1].id()),
        Place::Postgres(database) => database.execute(
            "update hookgate.content set head = set_byte(head, 0, get_byte(head, 0) # 1) where seq = 2",
        ),
        Place::File(folder) => {
            let other = rusqlite::Connection::open(folder.path().join("events.db")).unwrap();
            let sql = "update content set content = content || x'00' where seq = 2";
            assert_eq!(other.execute(sql, []).unwrap(), 1);
        }
    }
    for _ in 0..2 {
        let due = opened.due("/a", Class::New, 1_000);
        assert_eq!(ids(&due), [stored[0], stored[2]]);
        assert_eq!(due.damaged.len(), 1);
        assert_eq!((due.damaged[0].id, due.damaged[0].event), (stored[1], Some(makes[1].id())));
    }
    assert!(opened.reader.detail(makes[1].id()).unwrap().unwrap().event.is_none());
    opened.commit(Batch { damaged: vec![stored[1], stored[1], DeliveryId(99)], ..Batch::default() });
    let due = opened.due("/a", Class::New, 1_000);
    assert!(due.damaged.is_empty());
    assert!(opened.counts().ends_with("0 delivered, 1 dead\n"), "{}", opened.counts());
    let summary = opened.reader.detail(makes[1].id()).unwrap().unwrap().summary;
    assert_eq!(summary.deliveries[0].state, State::Dead(DeadCause::Damaged));
}

fn content_goes_after_its_time_and_what_is_known_later(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000).copy("http://c");
    let stored = opened.store(1_000, &[&make.make()]).remove(0);
    let purge = |opened: &mut super::Opened, now| {
        opened.store.purge(Time::from_millis(now), retention(100, 1_000, 50), 9).unwrap()
    };
    opened.complete(1_000, stored[0], Next::Delivered);
    // The other delivery still needs the content.
    assert_eq!(purge(&mut opened, 9_000), 0);
    opened.complete(9_000, stored[1], Next::Delivered);
    let mut has = |now| {
        let removed = purge(&mut opened, now);
        let detail = opened.reader.detail(make.id()).unwrap();
        (removed, detail.map(|detail| detail.event.is_some()))
    };
    assert_eq!(has(9_099), (0, Some(true)));
    assert_eq!(has(9_100), (1, Some(false)));
    assert_eq!(has(9_101), (0, Some(false)));
    assert_eq!(has(9_999), (0, Some(false)));
    assert_eq!(has(10_000), (1, None));
    let counts = opened.counts();
    assert_eq!(
        counts.lines().count(),
        counts.matches("0 queued (0 bytes, None), 0 delivered, 0 dead").count()
    );
}

fn dead_letters_go_after_their_time(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000).copy("http://c");
    let stored = opened.store(1_000, &[&make.make()]).remove(0);
    opened.complete(1_000, stored[0], Next::Dead(DeadCause::Refused));
    opened.complete(2_000, stored[1], Next::Delivered);
    let mut has = |now| {
        opened.store.purge(Time::from_millis(now), retention(10, 20, 100), 9).unwrap();
        opened.reader.detail(make.id()).unwrap().map(|detail| detail.event.is_some())
    };
    assert_eq!(has(2_099), Some(true));
    assert_eq!(has(2_100), None);
}

fn dead_letters_are_found_by_their_end_while_nothing_waits(place: &Place) {
    let mut opened = place.open();
    let makes: Vec<_> =
        (0..4).map(|n| event(["/a", "/b"][n % 2], 1_000 + n as u64).model("leases")).collect();
    let ids: Vec<_> = makes.iter().map(|make| opened.store_one(1_000, make)).collect();
    let copied = event("/c", 1_009).copy("http://c");
    let both = opened.store(1_000, &[&copied.make()]).remove(0);
    // Ended in another order than received; the third is delivered, and something waits of the copied one.
    opened.complete(3_000, ids[0], Next::Dead(DeadCause::Refused));
    opened.complete(2_000, ids[1], Next::Dead(DeadCause::Undeliverable));
    opened.complete(2_500, ids[2], Next::Delivered);
    opened.complete(4_000, ids[3], Next::Dead(DeadCause::Refused));
    opened.complete(2_000, both[0], Next::Dead(DeadCause::Refused));
    let mut found = |after, until, most| {
        let letters =
            opened.store.dead_letters(Time::from_millis(after), Time::from_millis(until), most).unwrap();
        letters
            .into_iter()
            .map(|letter| (letter.event, letter.route, letter.ended.millis()))
            .collect::<Vec<_>>()
    };
    let letter = |n: usize, ended| (makes[n].id(), makes[n].route(), ended);
    assert_eq!(found(0, 4_000, 9), [letter(1, 2_000), letter(0, 3_000), letter(3, 4_000)]);
    assert_eq!(found(2_000, 3_999, 9), [letter(0, 3_000)]);
    assert_eq!(found(0, 4_000, 2), [letter(1, 2_000), letter(0, 3_000)]);
    assert_eq!(found(4_000, u64::MAX, 9), []);
    opened.complete(5_000, both[1], Next::Delivered);
    assert_eq!(opened.change(6_000, Change::Replay(makes[3].id())), 1);
    let letters = opened.store.dead_letters(Time::from_millis(3_000), Time::from_millis(9_000), 9).unwrap();
    let letters: Vec<_> = letters.into_iter().map(|letter| (letter.event, letter.ended.millis())).collect();
    assert_eq!(letters, [(copied.id(), 5_000)], "a replay takes a dead letter out");
}

fn nothing_queued_is_ever_purged(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000).copy("http://c");
    let stored = opened.store(1_000, &[&make.make()]).remove(0);
    opened.complete(1_000, stored[0], Next::Dead(DeadCause::Refused));
    assert_eq!(opened.store.purge(Time::from_millis(u64::MAX), retention(0, 0, 0), 9).unwrap(), 0);
    opened.complete(1_000, stored[1], Next::Delivered);
    assert_eq!(opened.change(1_000, Change::Replay(make.id())), 1);
    assert_eq!(opened.store.purge(Time::from_millis(u64::MAX), retention(0, 0, 0), 9).unwrap(), 0);
    assert_eq!(opened.due_ids("/a", Class::Replay, 1_000).len(), 1);
}

fn a_purge_is_no_larger_than_asked_for(place: &Place) {
    let mut opened = place.open();
    for n in 0..5 {
        let id = opened.store_one(1_000, &event("/a", 1_000 + n));
        opened.complete(1_000, id, if n < 3 { Next::Delivered } else { Next::Dead(DeadCause::Refused) });
    }
    let mut purge = |most| opened.store.purge(Time::from_millis(1_000), retention(0, 1, 0), most).unwrap();
    assert_eq!([purge(0), purge(2), purge(2), purge(2), purge(2)], [0, 2, 2, 1, 0]);
}

fn a_duplicate_key_counts_until_its_end(place: &Place) {
    let mut opened = place.open();
    opened.store_one(1_000, &event("/a", 1_000).duplicate([1; 32], 5_000));
    let direct = event("/b", 1).duplicate([2; 32], 6_000).duplicate.unwrap();
    opened.commit(Batch { seen: vec![(route("/b", None), direct)], ..Batch::default() });
    let mut is_seen = |path, key: u8, now| {
        opened.reader.is_seen(&route(path, None), &[key; 32], Time::from_millis(now)).unwrap()
    };
    assert!(is_seen("/a", 1, 4_999) && !is_seen("/a", 1, 5_000));
    assert!(is_seen("/b", 2, 5_999) && !is_seen("/b", 2, 6_000));
    assert!(!is_seen("/b", 1, 1_000) && !is_seen("/a", 2, 1_000) && !is_seen("/c", 1, 1_000));
    // Of two ends, the later one counts.
    opened.store_one(1_000, &event("/a", 1_001).duplicate([1; 32], 8_000));
    opened.store_one(1_000, &event("/a", 1_002).duplicate([1; 32], 2_000));
    assert!(opened.reader.is_seen(&route("/a", None), &[1; 32], Time::from_millis(7_999)).unwrap());
    let mut purge = |now| opened.store.purge(Time::from_millis(now), retention(1, 1, 1), 9).unwrap();
    assert_eq!([purge(5_999), purge(6_000), purge(7_999), purge(8_000)], [0, 1, 0, 1]);
}

fn waiting_events_of_an_order_key_are_found(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000).copy("http://c").order("k");
    let stored = opened.store(1_000, &[&make.make()]).remove(0);
    let is_waiting = |opened: &mut super::Opened, path, key: &str| {
        opened.reader.is_waiting(&route(path, None), &OrderKey::new(key)).unwrap()
    };
    assert!(is_waiting(&mut opened, "/a", "k"));
    assert!(!is_waiting(&mut opened, "/a", "l") && !is_waiting(&mut opened, "/b", "k"));
    opened.complete(1_100, stored[0], Next::Delivered);
    assert!(is_waiting(&mut opened, "/a", "k"));
    opened.complete(1_200, stored[1], Next::Dead(DeadCause::Refused));
    assert!(!is_waiting(&mut opened, "/a", "k"));
}

fn a_job_is_kept_until_it_is_removed(place: &Place) {
    let mut opened = place.open();
    let job = |number: u64, text: &str| Job { id: event("/", 1).number(number).id(), document: text.into() };
    let change = |opened: &mut super::Opened, change| {
        opened.commit(Batch { changes: vec![change], ..Batch::default() }).changed
    };
    for (number, text) in [(2, "later"), (1, "first"), (1, "first, further")] {
        assert_eq!(change(&mut opened, Change::SaveJob(job(number, text))), [1]);
    }
    drop(opened);
    let mut opened = place.open();
    assert_eq!(opened.reader.jobs().unwrap(), [job(1, "first, further"), job(2, "later")]);
    for met in [1, 0] {
        assert_eq!(change(&mut opened, Change::RemoveJob(job(1, "").id)), [met]);
    }
    assert_eq!(opened.reader.jobs().unwrap(), [job(2, "later")]);
}

fn a_batch_is_of_one_moment(place: &Place) {
    let mut opened = place.open();
    let make = event("/a", 1_000);
    let first = opened.store_one(1_000, &make);
    let other = event("/a", 1_001);
    let stored = other.make();
    let committed = opened.commit(Batch {
        events: vec![&stored],
        completions: vec![Completion {
            id: first,
            since: Time::from_millis(1_000),
            attempt: attempt(1_100, AttemptOutcome::Delivered),
            next: Next::Delivered,
        }],
        changes: vec![Change::Replay(make.id()), Change::Discard(other.id()), Change::Discard(other.id())],
        now: Time::from_millis(1_200),
        ..Batch::default()
    });
    assert_eq!((committed.deliveries.len(), committed.changed), (1, vec![1, 1, 0]));
    assert_eq!(opened.due_ids("/a", Class::New, 1_200), []);
    assert_eq!(opened.due_ids("/a", Class::Replay, 1_200).len(), 1);
    opened.commit(Batch::default());
}

fn a_commit_says_where_something_has_become_due(place: &Place) {
    let mut opened = place.open();
    let makes: Vec<_> = (0..4).map(|n| event("/a", 1_000 + n).order("k")).collect();
    let stored: Vec<_> = makes.iter().map(|make| opened.store_one(1_000, make)).collect();
    let free = event("/b", 2_000);
    let of_b = opened.store_one(1_000, &free);
    let since = opened.since.clone();
    let mut ready = |batch| opened.commit(batch).ready;
    let completed = |id, next| {
        let attempt = attempt(1_100, AttemptOutcome::Refused);
        let completion = Completion { id, since: since[&id], attempt, next };
        Batch { completions: vec![completion], ..Batch::default() }
    };
    let changed = |change| Batch { changes: vec![change], ..Batch::default() };
    let (a, b) = (vec![main("/a")], vec![main("/b")]);
    assert_eq!(ready(completed(stored[0], again(1))), []);
    assert_eq!(ready(completed(stored[0], Next::Delivered)), a);
    assert_eq!(ready(completed(of_b, Next::Delivered)), []);
    assert_eq!(ready(Batch { damaged: vec![stored[1]], ..Batch::default() }), a);
    assert_eq!(ready(changed(Change::Discard(makes[2].id()))), a);
    // This delivery was the last of its lane.
    assert_eq!(ready(completed(stored[3], Next::Delivered)), []);
    assert_eq!(ready(changed(Change::Replay(free.id()))), b);
    assert_eq!(ready(changed(Change::Pause(route("/b", None)))), []);
    assert_eq!(ready(changed(Change::Resume(route("/b", None)))), b);
}

fn everything_is_there_after_it_was_opened_again(place: &Place) {
    let mut opened = place.open();
    let makes: Vec<_> = (0..4).map(|n| event("/a", 1_000 + n).order("k").copy("http://c")).collect();
    let events: Vec<_> = makes.iter().map(|make| make.make()).collect();
    let stored = opened.store(1_000, &events.iter().collect::<Vec<_>>());
    opened.complete(1_100, stored[0][0], Next::Delivered);
    opened.complete(1_200, stored[1][0], again(4_000));
    assert_eq!(opened.change(1_300, Change::Pause(route("/b", None))), 1);
    let (counts, paused) = (opened.counts(), opened.store.statistics().unwrap().paused);
    opened.store.idle().unwrap();
    opened.complete(1_400, stored[0][1], Next::Dead(DeadCause::Refused));
    drop(opened);
    let mut opened = place.open();
    assert_eq!(opened.store.statistics().unwrap().paused, paused);
    assert_ne!(opened.counts(), counts);
    assert_eq!(opened.counts().lines().count(), 2);
    assert_eq!(opened.due_ids("/a", Class::New, 9_000), []);
    let due = opened.due("/a", Class::Retry, 4_000);
    assert_eq!((ids(&due), due.deliveries[0].event.content()), (vec![stored[1][0]], &*makes[1].content));
    let due = opened.ask(&copy("/a", "http://c"), Class::New, 9_000, &[], 9, u64::MAX);
    assert_eq!(ids(&due), [stored[1][1]]);
}
