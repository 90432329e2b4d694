//! What every store passes of lists.

use hookgate::queue::id::EventId;
use std::collections::BTreeMap;

use hookgate::queue::event::{Attempt, AttemptOutcome};
use hookgate::queue::store::{Batch, Bounds, DeadCause, Filter, Found, Next, Summary, failure_word};
use hookgate::queue::time::Time;

use super::{Opened, Place};
use crate::support::event::{attempt, event};

/// The whole list, by searches with these bounds.
fn walk(opened: &mut Opened, filter: &Filter, bounds: Bounds) -> Vec<Summary> {
    let (mut all, mut before) = (Vec::new(), None);
    for _ in 0..10_000 {
        let Found { found, next } = opened.reader.page(filter, before, bounds).unwrap();
        assert!(found.len() <= bounds.found, "{filter:?} {bounds:?}");
        all.extend(found);
        before = next;
        if before.is_none() {
            return all;
        }
    }
    panic!("the list of {filter:?} with {bounds:?} has no end");
}

/// All ids, by searches with these bounds.
pub(super) fn walk_ids(opened: &mut Opened, filter: &Filter, bounds: Bounds) -> Vec<EventId> {
    let (mut all, mut after) = (Vec::new(), None);
    for _ in 0..10_000 {
        let Found { found, next } = opened.reader.ids(filter, after, bounds).unwrap();
        all.extend(found);
        after = next;
        if after.is_none() {
            return all;
        }
    }
    panic!("the list of {filter:?} with {bounds:?} has no end");
}

pub(super) fn events_are_listed_latest_first_and_by_filter(place: &Place) {
    let mut opened = place.open();
    let makes = [
        event("/a", 1_000),
        event("/b", 3_000).model("leases"),
        event("/a", 2_000),
        event("/a", 4_000).copy("http://c"),
    ];
    let events = makes.clone().map(|make| make.make());
    let stored = opened.store(5_000, &events.iter().collect::<Vec<_>>());
    opened.complete(5_100, stored[0][0], Next::Delivered);
    opened.complete(5_100, stored[2][0], Next::Dead(DeadCause::Refused));
    opened.complete(5_100, stored[3][1], Next::Dead(DeadCause::Undeliverable));
    let id = |at: usize| makes[at].id();
    let mut found = |filter: Filter| {
        let page: Vec<_> = opened.page(&filter).into_iter().map(|summary| summary.info.id).collect();
        let count = usize::try_from(opened.reader.count(&filter, 99).unwrap()).unwrap();
        assert_eq!(count, page.len(), "{filter:?}");
        assert_eq!(opened.reader.count(&filter, 1).unwrap(), u64::from(count > 0), "{filter:?}");
        for bounds in [(1, 1), (1, 2), (2, 1), (9, 3)].map(|(found, looked_at)| Bounds { found, looked_at }) {
            let all: Vec<_> = walk(&mut opened, &filter, bounds).iter().map(|event| event.info.id).collect();
            assert_eq!(all, page, "{filter:?} {bounds:?}");
        }
        page.into_iter().map(|found| (0..4).find(|at| id(*at) == found).unwrap()).collect::<Vec<_>>()
    };
    let all = Filter::default;
    assert_eq!(found(all()), [3, 1, 2, 0]);
    let state = |state: &str| Filter { state: Some(state.to_owned()), ..all() };
    assert_eq!(found(state("queued")), [3, 1]);
    assert_eq!(found(state("delivering")), [3, 1]);
    assert_eq!(found(state("delivered")), [0]);
    assert_eq!(found(state("dead")), [3, 2]);
    assert!(found(state("unknown")).is_empty());
    assert_eq!(found(Filter { route: Some("/a".to_owned()), ..all() }), [3, 2, 0]);
    assert!(found(Filter { route: Some("/c".to_owned()), ..all() }).is_empty());
    assert_eq!(found(Filter { model: Some("leases".to_owned()), ..all() }), [1]);
    assert_eq!(found(Filter { since: Some(2_000), ..all() }), [3, 1, 2]);
    assert_eq!(found(Filter { since: Some(2_001), ..all() }), [3, 1]);
    assert_eq!(found(Filter { until: Some(3_000), ..all() }), [2, 0]);
    assert_eq!(found(Filter { until: Some(3_001), since: Some(2_000), ..all() }), [1, 2]);
    let failure = |failure: &str| Filter { failure: Some(failure.to_owned()), ..all() };
    let dead = |failure: &str| Filter { failure: Some(failure.to_owned()), ..state("dead") };
    let words = ["500", "200", "unreachable", "failed", "timed_out", "damaged", "no failure"];
    let found_by = words.map(|word| (found(failure(word)), found(dead(word))));
    let known: Vec<_> = found_by.iter().flat_map(|(_, dead)| dead.clone()).collect();
    assert_eq!(known.len(), 2, "each dead letter has one failure: {found_by:?}");
    let ids = vec![id(0).to_string(), "no id".to_owned(), id(1).to_string()];
    assert_eq!(found(Filter { ids, ..all() }), [1, 0]);
    assert!(found(Filter { ids: vec!["no id".to_owned()], ..all() }).is_empty());
    let mut page = |before, most| {
        let page = opened.reader.page(&all(), before, Bounds::of(most)).unwrap();
        page.found.into_iter().map(|summary| summary.info.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), [id(3), id(1)]);
    assert_eq!(page(Some(id(1)), 2), [id(2), id(0)]);
    assert_eq!(page(Some(id(0)), 2), []);
}

pub(super) fn ids_are_listed_earliest_first_and_by_filter(place: &Place) {
    let mut opened = place.open();
    let make = |number: u64| event(if number < 3 { "/a" } else { "/b" }, 5_000 - number).number(number);
    let deliveries: Vec<_> = (0..6).map(|number| opened.store_one(9_000, &make(number))).collect();
    opened.complete(9_001, deliveries[4], Next::Dead(DeadCause::Refused));
    let mut listed =
        |filter: Filter, after, most| opened.reader.ids(&filter, after, Bounds::of(most)).unwrap().found;
    let id = |number: u64| make(number).id();
    assert_eq!(listed(Filter::default(), None, 4), [5, 4, 3, 2].map(id));
    assert_eq!(listed(Filter::default(), Some(id(2)), 4), [1, 0].map(id));
    let of_route = Filter { route: Some("/b".into()), until: Some(4_997), ..Filter::default() };
    assert_eq!(listed(of_route, None, 9), [5, 4].map(id));
    assert_eq!(listed(Filter { state: Some("dead".into()), ..Filter::default() }, None, 9), [id(4)]);
    let named = Filter { ids: vec![id(0).to_string(), id(3).to_string()], ..Filter::default() };
    assert_eq!(listed(named.clone(), None, 9), [3, 0].map(id));
    assert_eq!(listed(named, Some(id(0)), 9), []);
}

pub(super) fn a_search_ends_at_its_bound_and_says_where_it_goes_on(place: &Place) {
    let mut opened = place.open();
    let make = |number: u64| {
        let make = event("/a", 1_000 + number).number(number);
        if number == 0 { make.model("leases") } else { make }
    };
    for number in 0..9 {
        opened.store_one(9_000, &make(number));
    }
    let mut ids: Vec<_> = (0..9).map(|number| make(number).id()).collect();
    ids.sort_unstable();
    let filter = Filter { model: Some("leases".to_owned()), ..Filter::default() };
    let bounds = Bounds { found: 5, looked_at: 3 };
    let met = make(0).id();
    let place = ids.iter().position(|id| *id == met).unwrap();
    let all: Vec<_> = ids.iter().rev().copied().collect();
    for (part, last) in [(0, Some(all[2])), (1, Some(all[5]))] {
        let before = (part > 0).then(|| all[part * 3 - 1]);
        let Found { found, next } = opened.reader.page(&filter, before, bounds).unwrap();
        let is_there = (8 - place) / 3 == part;
        assert_eq!((found.len(), next), (usize::from(is_there), last), "part {part}");
    }
    for bounds in [bounds, Bounds { found: 1, looked_at: 1 }, Bounds { found: 1, looked_at: 9 }] {
        assert_eq!(walk_ids(&mut opened, &filter, bounds), [met]);
        assert_eq!(walk_ids(&mut opened, &Filter::default(), bounds), ids);
    }
    // The event at which a search goes on may be gone.
    let Found { next, .. } = opened.reader.ids(&filter, None, bounds).unwrap();
    opened.change(9_100, hookgate::queue::store::Change::Discard(next.unwrap()));
    let rest = opened.reader.ids(&Filter::default(), next, Bounds::of(99)).unwrap();
    assert_eq!((rest.found, rest.next), (ids[3..].to_vec(), None));
}

pub(super) fn equal_dead_letters_are_one_group(place: &Place) {
    let mut opened = place.open();
    let make = |number: u64| {
        event(["/a", "/b"][usize::from(number == 5)], 1_000 + number).number(number).copy("http://c")
    };
    let stored: Vec<_> =
        (0..6).map(|number| opened.store(2_000, &[&make(number).make()]).remove(0)).collect();
    let empty = opened.reader.dead_part(None, 9).unwrap();
    assert!(empty.groups.is_empty() && empty.events == 0 && empty.next.is_none());
    let answered = |status| (AttemptOutcome::Refused, Some(status));
    let died = [
        (stored[0][0], answered(500)),
        (stored[0][1], answered(500)),
        (stored[2][0], answered(500)),
        (stored[2][1], answered(410)),
        (stored[3][0], (AttemptOutcome::Unreachable, None)),
        (stored[4][0], (AttemptOutcome::TimedOut, None)),
        (stored[5][0], answered(500)),
    ];
    for (delivery, (outcome, status)) in died {
        let last = Attempt { status, ..attempt(3_000, outcome) };
        opened.end(3_000, delivery, Next::Dead(DeadCause::Undeliverable), last);
    }
    opened.complete(3_000, stored[1][0], Next::Delivered);
    let now = Time::from_millis(3_000);
    opened.commit(Batch { damaged: vec![stored[5][1]], now, ..Batch::default() });
    for most in [1, 2, 3, 99] {
        let (mut groups, mut events, mut before) = (BTreeMap::new(), 0, None);
        for _ in 0..99 {
            let part = opened.reader.dead_part(before, most).unwrap();
            events += part.events;
            for group in part.groups {
                let key = (group.route.path.to_string(), failure_word(group.cause, group.last.as_ref()));
                let (count, examples, first, latest) =
                    groups.entry(key).or_insert((0, Vec::new(), u64::MAX, 0));
                *count += group.events;
                examples.push(group.example);
                *first = group.first.millis().min(*first);
                *latest = group.latest.millis().max(*latest);
            }
            before = part.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(
            (events, before),
            (5, None),
            "an event is counted once, and the parts have an end: {most}"
        );
        let found: Vec<_> = groups
            .iter()
            .map(|((route, failure), (count, examples, first, latest))| {
                (route.as_str(), failure.as_str(), *count, examples[0], *first - 1_000, *latest - 1_000)
            })
            .collect();
        let id = |number: u64| make(number).id();
        let want = [
            ("/a", "410", 1, id(2), 2, 2),
            ("/a", "500", 2, id(2), 0, 2),
            ("/a", "timed_out", 1, id(4), 4, 4),
            ("/a", "unreachable", 1, id(3), 3, 3),
            ("/b", "500", 1, id(5), 5, 5),
            ("/b", "damaged", 1, id(5), 5, 5),
        ];
        assert_eq!(found, want, "{most}");
    }
}
