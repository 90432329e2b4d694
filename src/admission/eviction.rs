//! Pure. Eviction: decides which connection is closed for another one, by what each connection waits for, and
//! for how long.

use std::cmp::Reverse;
use std::time::Duration;

/// How long a connection is fresh: see `Class`.
pub const FRESH: Duration = Duration::from_secs(1);

/// How long a new connection is not evicted while it waits for its first head. The head of an ordinary client
/// comes right behind the connection, but its process may have to wait for the processor.
pub const JUST_OPENED: Duration = Duration::from_millis(100);

/// Content at this rate or faster, in bytes a second, is not slow. An ordinary event arrives within
/// [`FRESH`].
const FAST: u64 = 64 * 1024;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The connection waits for the client to read a refusal. The request was not read to its end, so no
    /// other request can follow.
    Lingering,
    /// The connection waits for another request, and no byte of it has arrived.
    Idle,
    /// The connection waits for the client to read a response.
    Unread,
    /// The connection waits for the first request, for the rest of a head, or for a PROXY protocol header.
    Head,
    /// The connection waits for the content of a request.
    Content,
    /// The connection waits for the upstream of an observed request, which is not verified.
    Observed,
    /// The connection waits for the upstream of an authentic request.
    Upstream,
}

impl Waits {
    /// All variants, in the order of their numbers.
    const ALL: [Self; 7] = {
        use Waits::{Content, Head, Idle, Lingering, Observed, Unread, Upstream};
        [Lingering, Idle, Unread, Head, Content, Observed, Upstream]
    };

    /// The number of the variant.
    #[must_use]
    pub fn number(self) -> u8 {
        (0..).zip(Self::ALL).find(|(_, waits)| *waits == self).map_or(u8::MAX, |(number, _)| number)
    }

    /// The variant with this number.
    #[must_use]
    pub fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Upstream)
    }

    /// Whether the connection may be evicted.
    #[must_use]
    pub fn is_evictable(self) -> bool {
        match self {
            Self::Upstream => false,
            Self::Lingering | Self::Idle | Self::Unread | Self::Head | Self::Content | Self::Observed => true,
        }
    }
}

/// The facts that decide the rank of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// What the connection waits for.
    pub waits: Waits,
    /// How long the connection has waited for this.
    pub waited: Duration,
    /// How long the connection has been open.
    pub age: Duration,
    /// How many bytes of content have arrived.
    pub received: u64,
    /// Whether the connection has had an authentic request.
    pub has_proved: bool,
    /// The number of places that its client holds.
    pub places: usize,
}

/// The rank of a connection. The connection with the lowest rank is evicted first.
///
/// The class comes first. Within a class, connections of clients that hold more places are evicted first.
/// Then come connections that have never had an authentic request. Then come the slowest connections, and
/// the connections that have waited longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    class: Class,
    places: Reverse<usize>,
    has_proved: bool,
    rate: u64,
    waited: Reverse<Duration>,
}

/// The class of a connection. It does not depend on the client.
///
/// A connection is fresh for one second in two cases: when it was just opened, or when it has had authentic
/// requests and begins another request. All other evictable connections are evicted before fresh connections.
/// Otherwise a new connection would always lose to a connection that once got further and then stopped. If
/// all connections are fresh, one of them is evicted.
///
/// Content that arrives fast is evicted late, but before fresh connections. An ordinary event arrives whole
/// within the first second. If fast content were never evicted, an attacker could send all content except the
/// last byte, and keep the place for a long time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Lingering,
    Idle,
    Unread,
    Head,
    SlowContent,
    Observed,
    FastContent,
    Fresh,
}

impl Standing {
    /// The rank of the connection. `None` if the connection may not be evicted.
    #[must_use]
    pub fn rank(&self) -> Option<Rank> {
        // Without this, a client that sends one refused request after the other would always be fresh.
        let time = if self.has_proved { self.waited } else { self.age };
        let is_fresh = time < FRESH;
        if self.waits == Waits::Head && self.age < JUST_OPENED {
            return None;
        }
        let (class, rate) = match self.waits {
            Waits::Lingering => (Class::Lingering, 0),
            Waits::Idle => (Class::Idle, 0),
            Waits::Unread | Waits::Head | Waits::Content | Waits::Observed if is_fresh => (Class::Fresh, 0),
            Waits::Unread => (Class::Unread, 0),
            Waits::Head => (Class::Head, 0),
            Waits::Content => match self.rate() {
                rate if rate >= FAST => (Class::FastContent, rate),
                rate => (Class::SlowContent, rate),
            },
            Waits::Observed => (Class::Observed, 0),
            Waits::Upstream => return None,
        };
        let Self { has_proved, places, waited, .. } = *self;
        let waited = if class == Class::Fresh { time } else { waited };
        Some(Rank { class, places: Reverse(places), has_proved, rate, waited: Reverse(waited) })
    }

    /// The average rate over the whole wait, in bytes a second.
    fn rate(&self) -> u64 {
        let millis = u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX).max(1);
        self.received.saturating_mul(1000).checked_div(millis).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn standing(waits: Waits, waited: Duration) -> Standing {
        Standing { waits, waited, age: waited, received: 0, has_proved: false, places: 1 }
    }

    fn goes_before(first: Standing, second: Standing) -> bool {
        first.rank().unwrap() < second.rank().unwrap()
    }

    #[test]
    fn a_number_stands_for_what_is_waited_for() {
        for waits in Waits::ALL {
            assert_eq!(Waits::of(waits.number()), waits);
        }
    }

    #[test]
    fn the_cheapest_to_lose_are_evicted_first_and_those_at_the_upstream_never() {
        use Waits::{Content, Head, Idle, Lingering, Observed, Unread, Upstream};
        let long = Duration::from_secs(5);
        let fast = Standing { received: FAST * 5, ..standing(Content, long) };
        let order = [
            standing(Lingering, Duration::ZERO),
            standing(Idle, Duration::ZERO),
            standing(Unread, long),
            standing(Head, long),
            standing(Content, long),
            standing(Observed, long),
            fast,
            standing(Head, JUST_OPENED),
        ];
        for pair in order.windows(2) {
            assert!(goes_before(pair[0], pair[1]), "{pair:?}");
        }
        assert_eq!(standing(Upstream, long).rank(), None);
        for waits in Waits::ALL {
            assert_eq!(standing(waits, long).rank().is_some(), waits.is_evictable(), "{waits:?}");
        }
    }

    #[test]
    fn a_new_connection_is_fresh_for_a_second() {
        for waits in [Waits::Unread, Waits::Head, Waits::Content, Waits::Observed] {
            let (over, at, under) =
                (standing(waits, FRESH + MILLI), standing(waits, FRESH), standing(waits, FRESH - MILLI));
            assert!(goes_before(over, at) && goes_before(at, under), "{waits:?}");
            for other in [Waits::Unread, Waits::Head, Waits::Content, Waits::Observed] {
                assert!(goes_before(standing(other, FRESH), under), "{other:?} {waits:?}");
            }
        }
        let (older, younger) =
            (standing(Waits::Content, JUST_OPENED + MILLI), standing(Waits::Head, JUST_OPENED));
        assert!(goes_before(older, younger), "of those who have just come, the first");
    }

    #[test]
    fn a_connection_that_has_just_been_opened_is_not_evicted_before_its_head_could_come() {
        assert_eq!(standing(Waits::Head, JUST_OPENED - MILLI).rank(), None);
        assert!(standing(Waits::Head, JUST_OPENED).rank().is_some());
        assert!(standing(Waits::Content, Duration::ZERO).rank().is_some());
        let next_head =
            Standing { age: JUST_OPENED, has_proved: true, ..standing(Waits::Head, Duration::ZERO) };
        assert!(next_head.rank().is_some(), "of the first head only");
    }

    #[test]
    fn another_request_is_fresh_only_after_an_authentic_one() {
        let again = Standing { age: FRESH, ..standing(Waits::Content, MILLI) };
        let newcomer = standing(Waits::Head, FRESH - MILLI);
        assert!(goes_before(again, newcomer));
        assert!(goes_before(newcomer, Standing { has_proved: true, ..again }));
        let (older, younger) = (
            Standing { age: JUST_OPENED + MILLI, ..standing(Waits::Content, MILLI) },
            standing(Waits::Head, JUST_OPENED),
        );
        assert!(
            goes_before(older, younger),
            "of those who have just come, the first, whatever it does since"
        );
    }

    #[test]
    fn within_a_class_most_places_go_first_then_unproven_then_slow_then_old() {
        let slow = standing(Waits::Content, FRESH * 4);
        let received = |bytes| Standing { received: bytes, ..slow };
        assert!(goes_before(Standing { places: 2, received: 900, ..slow }, slow));
        assert!(goes_before(slow, Standing { has_proved: true, ..slow }));
        assert!(goes_before(Standing { places: 2, has_proved: true, ..slow }, slow));
        assert!(goes_before(received(900), received(1000)));
        assert!(goes_before(slow, Standing { waited: slow.waited - MILLI, ..slow }));
        // The rate is an average over the whole time of the content. It does not depend on when a byte
        // arrived.
        assert!(goes_before(Standing { waited: FRESH * 60, ..received(2000) }, received(1000)));
    }

    #[test]
    fn content_is_fast_from_an_ordinary_event_a_second_on() {
        let at = |received| Standing { received, ..standing(Waits::Content, FRESH * 2) };
        let observed = standing(Waits::Observed, FRESH * 2);
        assert!(goes_before(at(FAST * 2 - 2), observed));
        assert!(goes_before(observed, at(FAST * 2)) && goes_before(observed, at(FAST * 2 + 2)));
    }

    /// Otherwise content without its last byte would hold a place longer than new connections do.
    #[test]
    fn fast_content_is_evicted_before_new_connections() {
        let all_at_once = Standing { received: 1 << 20, ..standing(Waits::Content, FRESH) };
        assert!(goes_before(all_at_once, standing(Waits::Content, FRESH - MILLI)));
    }
}
