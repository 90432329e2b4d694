//! Pure. The limits of the store: whether an event fits.

use std::fmt;

use crate::config;
use crate::queue::event::RouteName;
use crate::queue::store::{Retention, Statistics};

/// How many times longer the facts of a delivered event are kept than its content.
const INFO_LONGER: u32 = 10;

/// The settings that a reload can change.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The most bytes that the store may take.
    pub max_bytes: u64,
    /// The bytes of the disk that the store leaves free.
    pub min_free: u64,
    /// How long events are kept.
    pub retention: Retention,
}

impl Settings {
    /// The settings in `[queue]`.
    #[must_use]
    pub fn of(queue: &config::Queue) -> Self {
        let retention = Retention {
            delivered: queue.keep_delivered,
            info: queue.keep_delivered.saturating_mul(INFO_LONGER),
            dead: queue.keep_dead,
        };
        Self { max_bytes: queue.max_bytes, min_free: queue.min_free, retention }
    }
}

/// The limits of a store.
pub struct Limits {
    /// The most bytes that the store may take.
    pub max_bytes: u64,
    /// The bytes of the disk that the store leaves free.
    pub min_free: u64,
    /// The most undelivered bytes of a route, in the current configuration.
    pub max_queued: Box<dyn Fn(&RouteName) -> u64 + Send>,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_bytes, min_free, max_queued: _ } = self;
        f.debug_struct("Limits")
            .field("max_bytes", max_bytes)
            .field("min_free", min_free)
            .finish_non_exhaustive()
    }
}

/// The bytes that a stored event takes in addition to its head and content: its columns and index entries.
const BESIDES: u64 = 1024;

/// The size of an ordinary event. A store without room for such an event is full.
pub const ORDINARY: u64 = 64 * 1024;

/// The part of `min_free` that must be free on the disk itself: an eighth. The store's log grows and shrinks
/// in this part.
const LOG_PART: u64 = 8;

/// The remaining room, until the next statistics.
#[derive(Debug, Default)]
pub struct Room {
    used: u64,
    /// The free bytes of the disk, if they are known.
    free: Option<u64>,
    /// The bytes that are free inside the store. The store fills them before it takes more of the disk.
    reusable: u64,
    /// The undelivered bytes of routes, in the order of their names.
    queued: Vec<(RouteName, u64)>,
}

/// Why an event does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// `max_bytes` is reached. Removing delivered events may help.
    Store,
    /// `min_free` is reached. Removing delivered events may help.
    Disk,
    /// The route's `max_queued` is reached.
    Route,
}

impl Lack {
    /// The key of the limit.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Store => "max_bytes",
            Self::Disk => "min_free",
            Self::Route => "max_queued",
        }
    }
}

impl Room {
    /// The room of a store with these statistics, on a disk with `free` free bytes.
    #[must_use]
    pub fn of(statistics: &Statistics, free: Option<u64>) -> Self {
        let mut queued: Vec<(RouteName, u64)> = Vec::new();
        // The counts are sorted by route. An event with copies is on disk only once.
        for (destination, counts) in &statistics.counts {
            match queued.last_mut() {
                Some((route, bytes)) if *route == destination.route => {
                    *bytes = counts.queued_bytes.max(*bytes);
                }
                Some(_) | None => queued.push((destination.route.clone(), counts.queued_bytes)),
            }
        }
        let reusable = statistics.reusable;
        Self { used: statistics.bytes.saturating_sub(reusable), free, reusable, queued }
    }

    /// Takes the room of an event with head and content of `size` bytes.
    ///
    /// # Errors
    /// [`Lack`]. Then no room is taken.
    pub fn take(&mut self, route: &RouteName, size: u64, limits: &Limits) -> Result<(), Lack> {
        let needed = needed(size);
        self.has(needed, limits)?;
        let at = self.queued.binary_search_by(|(known, _)| known.cmp(route));
        let before = at.ok().and_then(|at| self.queued.get(at)).map_or(0, |(_, bytes)| *bytes);
        let queued = before.saturating_add(size);
        if queued > (limits.max_queued)(route) {
            return Err(Lack::Route);
        }
        match at {
            Ok(at) => {
                if let Some((_, bytes)) = self.queued.get_mut(at) {
                    *bytes = queued;
                }
            }
            Err(at) => self.queued.insert(at, (route.clone(), queued)),
        }
        self.used = self.used.saturating_add(needed);
        let more = needed.saturating_sub(self.reusable);
        self.reusable = self.reusable.saturating_sub(needed);
        self.free = self.free.map(|free| free.saturating_sub(more));
        Ok(())
    }

    /// Whether the store or its disk lacks room for `events` events of `sizes` bytes in total.
    #[must_use]
    pub fn lacks(&self, sizes: u64, events: usize, limits: &Limits) -> bool {
        let besides = u64::try_from(events).unwrap_or(u64::MAX).saturating_mul(BESIDES);
        self.has(needed(sizes).saturating_add(besides), limits).is_err()
    }

    /// The limit at which the store refuses an ordinary event. For a small store, a smaller event is the
    /// measure. `None` if the store accepts the event.
    #[must_use]
    pub fn lack(&self, limits: &Limits) -> Option<Lack> {
        let ordinary = ORDINARY.min(limits.max_bytes.checked_div(8).unwrap_or(0));
        self.has(ordinary, limits).err()
    }

    fn has(&self, needed: u64, limits: &Limits) -> Result<(), Lack> {
        if self.used.saturating_add(needed) > limits.max_bytes {
            return Err(Lack::Store);
        }
        let Some(free) = self.free else { return Ok(()) };
        // An event in reused room takes no more of the disk, except in the log for a moment.
        let of_log = limits.min_free.checked_div(LOG_PART).unwrap_or(0);
        if free < of_log || free.saturating_add(self.reusable) < limits.min_free.saturating_add(needed) {
            return Err(Lack::Disk);
        }
        Ok(())
    }
}

/// The approximate bytes that an event takes on disk. Pages are not filled to the last byte.
fn needed(size: u64) -> u64 {
    size.saturating_add(size.checked_div(8).unwrap_or(0)).saturating_add(BESIDES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::event::Upstream;
    use crate::queue::store::{Counts, Destination};

    fn route(path: &str) -> RouteName {
        RouteName { path: path.into(), model: None }
    }

    fn limits(max_bytes: u64, min_free: u64, max_queued: u64) -> Limits {
        Limits { max_bytes, min_free, max_queued: Box::new(move |_| max_queued) }
    }

    fn statistics(bytes: u64, reusable: u64, queued: &[(&str, &str, u64)]) -> Statistics {
        let counts = queued.iter().map(|(path, copy, bytes)| {
            let destination = Destination { route: route(path), upstream: Upstream::read(copy) };
            (destination, Counts { queued_bytes: *bytes, ..Counts::default() })
        });
        Statistics { counts: counts.collect(), bytes, reusable, paused: Vec::new() }
    }

    #[test]
    fn an_event_fits_up_to_the_last_byte_of_the_store() {
        let limits = limits(10_000, 0, u64::MAX);
        for (bytes, reusable, want) in [
            (10_000 - needed(800), 0, Ok(())),
            (10_001 - needed(800), 0, Err(Lack::Store)),
            (10_001 - needed(800), 1, Ok(())),
            (20_000, 20_000, Ok(())),
        ] {
            let mut room = Room::of(&statistics(bytes, reusable, &[]), None);
            assert_eq!(room.take(&route("/a"), 800, &limits), want, "{bytes} {reusable}");
        }
    }

    #[test]
    fn an_event_fits_while_the_disk_keeps_its_free_bytes() {
        let limits = limits(u64::MAX, 5_000, u64::MAX);
        for (free, want) in [(4_999, Err(Lack::Disk)), (5_000, Ok(())), (5_001, Ok(()))] {
            let mut room = Room::of(&Statistics::default(), Some(free + needed(100)));
            assert_eq!(room.take(&route("/a"), 100, &limits), want, "{free}");
        }
    }

    #[test]
    fn room_that_is_used_again_takes_nothing_of_the_disk_but_for_the_log() {
        let limits = limits(u64::MAX, 8_000, u64::MAX);
        let reusable = needed(100) * 2;
        let free = 8_000 + needed(100) * 2;
        for (free, reusable, want) in [
            (free - reusable, reusable, [Ok(()), Ok(()), Err(Lack::Disk)]),
            (free - 1 - reusable, reusable, [Ok(()), Err(Lack::Disk), Err(Lack::Disk)]),
            (1_000, 1 << 20, [Ok(()); 3]),
            (999, 1 << 20, [Err(Lack::Disk); 3]),
            (free, 0, [Ok(()), Ok(()), Err(Lack::Disk)]),
        ] {
            let mut room = Room::of(&statistics(1 << 20, reusable, &[]), Some(free));
            let taken = [100; 3].map(|size| room.take(&route("/a"), size, &limits));
            assert_eq!(taken, want, "{free} {reusable}");
        }
    }

    #[test]
    fn events_that_the_disk_lacks_room_for_are_noticed() {
        let limits = limits(u64::MAX, 8_000, u64::MAX);
        let free = 8_000 + needed(1_000) + 2 * BESIDES;
        for (free, reusable, want) in [(free, 0, false), (free - 1, 0, true), (free - 1, 1, false)] {
            let room = Room::of(&statistics(1 << 20, reusable, &[]), Some(free));
            assert_eq!(room.lacks(1_000, 2, &limits), want, "{free} {reusable}");
        }
        assert!(!Room::of(&statistics(1 << 20, 0, &[]), None).lacks(1_000, 2, &limits));
    }

    #[test]
    fn events_of_one_batch_use_up_the_room_together() {
        let mut room = Room::of(&Statistics::default(), Some(needed(100) * 2 + 5_000));
        let limits = limits(needed(100) * 3, 5_000, u64::MAX);
        assert_eq!(room.take(&route("/a"), 100, &limits), Ok(()));
        assert_eq!(room.take(&route("/b"), 100, &limits), Ok(()));
        assert_eq!(room.take(&route("/a"), 100, &limits), Err(Lack::Disk));
        let mut room = Room::default();
        assert_eq!(
            [100, 100, 100, 100].map(|size| room.take(&route("/a"), size, &limits).is_ok()),
            [true, true, true, false]
        );
        // A refused event has taken no room.
        assert_eq!(room.used, needed(100) * 3);
    }

    #[test]
    fn a_routes_limit_counts_what_it_has_queued_and_is_no_other_routes() {
        let limits = limits(u64::MAX, 0, 1_000);
        let counts = [("/a", "", 300), ("/a", "http://c", 500), ("/b", "", 999)];
        let mut room = Room::of(&statistics(0, 0, &counts), None);
        assert_eq!(room.take(&route("/a"), 501, &limits), Err(Lack::Route));
        assert_eq!(room.take(&route("/a"), 500, &limits), Ok(()));
        assert_eq!(room.take(&route("/a"), 1, &limits), Err(Lack::Route));
        assert_eq!(room.take(&route("/b"), 1, &limits), Ok(()));
        assert_eq!(room.take(&route("/b"), 1, &limits), Err(Lack::Route));
        assert_eq!(room.take(&route("/new"), 1_000, &limits), Ok(()));
        assert_eq!(room.take(&route("/new"), 1, &limits), Err(Lack::Route));
    }
}
