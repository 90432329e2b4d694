//! Pure. The entries in a bounded number of places, by their kind.
//!
//! If all places are taken, the kind with the most entries loses its oldest entry. So a kind with few entries
//! keeps them, while a flood of another kind goes on: each of `n` kinds can have an `n`th of the places.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::capture::{MOST_IN_ALL, MOST_OF_ROUTE, Room};
use super::entry::{Entry, Kind, LikelyCause, Numbered, Subject};
use crate::telemetry::record::RequestId;

/// The most likely causes that wait for their request to end. The diagnosis may be faster than the end of the
/// answer.
const MOST_WAITING: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Ring {
    places: usize,
    taken: usize,
    last: u64,
    kinds: BTreeMap<Kind, VecDeque<Numbered>>,
    waiting: VecDeque<(RequestId, LikelyCause)>,
    /// The numbers and routes of the entries with a captured request, the oldest first. Some entries may be
    /// gone.
    captured: VecDeque<(u64, Arc<str>)>,
    room: Arc<Room>,
}

impl Ring {
    /// A ring without places, whose captured requests are in this room.
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { room, ..Self::default() }
    }

    /// Changes the number of places. Entries that have no place any more are dropped.
    pub(super) fn set_places(&mut self, places: usize) {
        self.places = places;
        self.make_room();
    }

    /// The number of the last entry.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Takes a further entry.
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        if self.places == 0 {
            return;
        }
        let waiting = match &entry.subject {
            Subject::Request(record) if !self.waiting.is_empty() => {
                let at = self.waiting.iter().position(|(id, _)| *id == record.id);
                at.and_then(|at| self.waiting.remove(at))
            }
            Subject::Request(_) | Subject::Delivery(_) | Subject::Cause(_) => None,
        };
        if let Some((_, cause)) = waiting {
            entry.explain(cause);
        }
        self.last = self.last.saturating_add(1);
        let number = self.last;
        self.keep_captured(number, &entry);
        self.kinds.entry(entry.kind()).or_default().push_back(Numbered { number, entry });
        self.taken = self.taken.saturating_add(1);
        self.make_room();
    }

    /// Keeps the captured request of an entry. If there are too many captured requests, some are given up:
    /// first requests of the same route, then the oldest requests of all routes.
    fn keep_captured(&mut self, number: u64, entry: &Entry) {
        let (Some(captured), Some(route)) =
            (entry.captured(), entry.request().and_then(|record| record.route.as_ref()))
        else {
            return;
        };
        captured.ended();
        drop(captured);
        let of_route = |(_, path): &(u64, Arc<str>)| *path == route.path;
        if self.captured.iter().filter(|one| of_route(one)).count() >= MOST_OF_ROUTE
            && let Some(oldest) = self.captured.iter().position(of_route)
        {
            self.give_up(oldest);
        }
        self.captured.push_back((number, Arc::clone(&route.path)));
        while self.captured.len() > MOST_IN_ALL || (self.room.is_over() && self.captured.len() > 1) {
            self.give_up(0);
        }
    }

    fn give_up(&mut self, index: usize) {
        if let Some((number, _)) = self.captured.remove(index)
            && let Some(numbered) = self.between(number.saturating_sub(1), number.saturating_add(1)).first()
        {
            numbered.entry.forget();
        }
    }

    fn make_room(&mut self) {
        while self.taken > self.places {
            let Some((_, most)) = self.kinds.iter_mut().max_by_key(|(_, entries)| entries.len()) else {
                return;
            };
            if most.pop_front().is_none() {
                return;
            }
            self.taken = self.taken.saturating_sub(1);
        }
    }

    /// The likely cause of a request is known. If the request has not ended yet, the cause waits for its end.
    pub(super) fn explain(&mut self, id: RequestId, cause: LikelyCause) {
        let is_this = |numbered: &&Numbered| match &numbered.entry.subject {
            Subject::Request(record) => record.id == id,
            Subject::Delivery(_) | Subject::Cause(_) => false,
        };
        let found = self.kinds.values().find_map(|entries| entries.iter().rev().find(is_this));
        match found.cloned() {
            Some(request) => {
                request.entry.explain(cause);
                let at = request.entry.at;
                self.push(Arc::new(Entry::new(Subject::Cause(request), at)));
            }
            None => {
                if self.waiting.len() >= MOST_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back((id, cause));
            }
        }
    }

    /// The entries with a number in this range, in no order.
    pub(super) fn between(&self, after: u64, before: u64) -> Vec<Numbered> {
        let of_kind = |entries: &VecDeque<Numbered>| {
            let start = entries.partition_point(|numbered| numbered.number <= after);
            let end = entries.partition_point(|numbered| numbered.number < before).max(start);
            entries.range(start..end).cloned().collect::<Vec<_>>()
        };
        self.kinds.values().flat_map(of_kind).collect()
    }
}
