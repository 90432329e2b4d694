//! Pure. The keys of the queue: `[queue]`, `[retry]`, and the keys of a route about deliveries.

use crate::config::bounds::{MOST_ATTEMPTS, MOST_CONCURRENCY, MOST_DISK, SMALLEST_STORE};
use crate::config::choices::DELIVERIES;
use crate::config::key_description::{Key, Value};
use crate::config::keys::forms::{ORIGIN, words};

/// `[queue]`
pub(crate) const QUEUE: &[Key] = &[
    Key::new("store", Value::Text(".")).required().about(
        "The file in which events are kept. A relative path begins at gateway.toml's folder. Or the URL of a \
         PostgreSQL server that several gateways share: postgres://user@host/database. A change needs a restart.",
    ),
    Key::new("max_bytes", Value::Size { least: SMALLEST_STORE, most: MOST_DISK })
        .or("\"10GiB\"")
        .about("The most bytes of the store, with delivered events. 503, queue_full."),
    Key::new("min_free", Value::Size { least: 0, most: MOST_DISK })
        .or("\"256MiB\"")
        .about("The bytes of the disk that the store leaves free. 503, queue_full."),
    Key::new("keep_delivered", Value::Duration).or("\"24h\"").about(
        "How long the content of a delivered event is kept. Its other data are kept ten times as \
         long.",
    ),
    Key::new("keep_dead", Value::Duration).or("\"30d\"").about("How long a dead letter is kept."),
    Key::new("lease", Value::Duration).or("\"30s\"").about(
        "The longest time after which the others deliver what a lost gateway had in memory. Only for a store on PostgreSQL.",
    ),
];

const SCHEDULE: Key = Key::new("schedule", Value::List { of: &Value::Duration, empty: false })
    .about("The waits after failed attempts. The last wait repeats. Each wait is varied by up to a fifth.");
const MAX_AGE: Key = Key::new("max_age", Value::Duration)
    .about("The age of an event from which a failed delivery becomes a dead letter.");
const MAX_ATTEMPTS: Key = Key::new("max_attempts", Value::Count { least: 1, most: MOST_ATTEMPTS }).about(
    "The number of attempts after which a failed delivery becomes a dead letter, even before max_age. \
         Default: no limit.",
);
const GIVE_UP_ON: Key =
    Key::new("give_up_on", Value::List { of: &Value::Count { least: 300, most: 599 }, empty: true })
        .about("The status codes of the app that make a delivery a dead letter immediately.");

/// `[retry]`
pub(crate) const RETRY: &[Key] = &[
    SCHEDULE.or("[\"5s\", \"30s\", \"2m\", \"10m\", \"30m\", \"1h\", \"2h\"]"),
    MAX_AGE.or("\"3d\""),
    MAX_ATTEMPTS,
    GIVE_UP_ON.or("[410]"),
];

/// A route's `retry`.
pub(crate) const ROUTE_RETRY: &[Key] = &[SCHEDULE, MAX_AGE, MAX_ATTEMPTS, GIVE_UP_ON];

// The keys of a route.

pub(crate) const DELIVERY: Key = Key::new("delivery", Value::Word(|| words(&DELIVERIES))).about(
    "direct: the app answers the sender. queue: the event is stored, answered with 202, and delivered \
         in the background. fallback: as direct, but the event is stored if the app fails.",
);
pub(crate) const ACK_STATUS: Key = Key::new("ack_status", Value::Status(&[200, 202, 204]))
    .about("The status code of the answer to a stored event. Default: 202, or the status code that the scheme's sender demands.");
pub(crate) const ORDER_BY: Key = Key::new("order_by", Value::Text("^(/|route$)")).about(
    "Events with the same value at this JSON pointer (RFC 6901) are delivered one after the other. \
         route: all events of the route are delivered one after the other.",
);
pub(crate) const MAX_QUEUED: Key = Key::new("max_queued", Value::Size { least: 1, most: MOST_DISK }).about(
    "The most bytes of undelivered events that the route may have in the store. 503, queue_full. \
         Default: half of max_bytes.",
);
pub(crate) const DEDUPLICATE: Key = Key::new("deduplicate", Value::Duration).about(
    "How long an event that was delivered or stored makes equal events duplicates. hookgate answers a \
         duplicate and does not forward it. Default: off.",
);
pub(crate) const COPIES: Key = Key::new("copies", Value::List { of: &ORIGIN, empty: true })
    .about("Further apps. Each gets its own delivery of every event. Only with delivery = \"queue\".");
pub(crate) const REFRESH_SIGNATURE: Key = Key::new("refresh_signature", Value::Flag).about(
    "Whether late deliveries get a new signature with the current time. For apps that verify the time \
         themselves.",
);
pub(crate) const CONCURRENCY: Key =
    Key::new("concurrency", Value::Count { least: 1, most: MOST_CONCURRENCY })
        .about("The most concurrent deliveries to one app.");
pub(crate) const RATE: Key = Key::new("rate", Value::Text("^[1-9][0-9]*/[smh]$"))
    .about("The most attempts in a period, evenly spaced: 50/s, 600/m, 1000/h. Default: no limit.");
pub(crate) const OWN_RETRY: Key =
    Key::new("retry", Value::Table(ROUTE_RETRY)).about("Replaces keys of [retry] for this route.");
