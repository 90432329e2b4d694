//! Pure. Reads the keys of a route about its deliveries: `delivery`, and the keys for stored events.

use std::num::NonZeroUsize;
use std::time::Duration;

use http::StatusCode;

use crate::config::address::Listen;
use crate::config::bounds::{DUPLICATE, MOST_CONCURRENCY, MOST_COPIES, MOST_DISK, MOST_RATE};
use crate::config::choices::DELIVERIES;
use crate::config::sections::retry;
use crate::config::sections::upstream::{self, Settings};
use crate::config::settings::{DEFAULT_CONCURRENCY, DEFAULT_MAX_BYTES};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{DeliveryMode, DeliveryOptions, OrderBy, Queue, Retry, json_pointer, showable};
use crate::upstream::origin::Origin;

/// The delivery settings that the route sets itself.
pub(crate) struct Delivery {
    /// `delivery`
    pub(crate) mode: DeliveryMode,
    /// `max_queued`
    pub(crate) max_queued: u64,
    /// `deduplicate`
    pub(crate) deduplicate: Option<Duration>,
    /// `refresh_signature`
    pub(crate) refresh_signature: bool,
    ack_status: Option<StatusCode>,
    order_by: Option<OrderBy>,
    copies: Vec<Origin>,
    retry: Retry,
    concurrency: NonZeroUsize,
    interval: Option<Duration>,
}

/// Settings outside the route that deliveries depend on.
pub(crate) struct Common<'c> {
    /// `[queue]`
    pub(crate) queue: Option<&'c Queue>,
    /// `[retry]`
    pub(crate) retry: &'c Retry,
}

impl Delivery {
    /// Reads the keys of a route with the upstream `upstream`.
    pub(crate) fn read(
        table: &Table<'_>,
        upstream: &[Origin],
        listen: &[Listen],
        common: &Common<'_>,
    ) -> Self {
        let max_bytes = common.queue.map_or(DEFAULT_MAX_BYTES, |queue| queue.max_bytes);
        let half = max_bytes / 2;
        let concurrency = table.count("concurrency", DEFAULT_CONCURRENCY.get(), 1..=MOST_CONCURRENCY);
        Self {
            mode: table.choice("delivery", &DELIVERIES, DeliveryMode::Direct),
            max_queued: table.size("max_queued", half, 1..=MOST_DISK),
            deduplicate: table
                .get("deduplicate")
                .and_then(|item| item.duration_within(DUPLICATE, THREE_HOURS)),
            refresh_signature: table.flag("refresh_signature", false),
            ack_status: table.get("ack_status").and_then(|item| ack_status(&item)),
            order_by: table.get("order_by").and_then(|item| order_by(&item)),
            copies: copies(table, upstream, listen),
            retry: retry::of_route(table, common.retry),
            concurrency: NonZeroUsize::new(concurrency).unwrap_or(DEFAULT_CONCURRENCY),
            interval: table.get("rate").and_then(|item| interval(&item)),
        }
    }

    /// The origins of the copies.
    pub(crate) fn copies(&self) -> &[Origin] {
        &self.copies
    }

    /// Completes the settings. Copies get the settings of the route's upstream.
    pub(crate) fn finish(self, settings: &Settings) -> DeliveryOptions {
        DeliveryOptions {
            mode: self.mode,
            ack_status: self.ack_status,
            order_by: self.order_by,
            max_queued: self.max_queued,
            deduplicate: self.deduplicate,
            copies: self.copies.into_iter().filter_map(|origin| settings.clone().of(vec![origin])).collect(),
            refresh_signature: self.refresh_signature,
            retry: self.retry,
            concurrency: self.concurrency,
            interval: self.interval,
        }
    }
}

fn ack_status(item: &Item<'_>) -> Option<StatusCode> {
    let number = item.number("200")?;
    let status = ACK_STATUSES.into_iter().find(|status| u64::from(status.as_u16()) == number);
    status.or_else(|| {
        let message = format!("`ack_status` cannot be {number}");
        item.error("bad_value", message).help("one of `200`, `202`, `204`").refuse(item.problems)
    })
}

fn order_by(item: &Item<'_>) -> Option<OrderBy> {
    let text = item.text("\"/record_id\"")?;
    if text == "route" {
        return Some(OrderBy::Route);
    }
    if !text.starts_with('/') {
        // `$.a.b` and `.a.b` are paths of other languages.
        let path = text.trim_start_matches('$').trim_start_matches('.').replace('.', "/");
        let pointer = if path.is_empty() { "record_id".into() } else { showable::quote(&path) };
        let message = "`order_by` is a JSON pointer, which begins with `/`, or `\"route\"`";
        let help = format!("write `order_by = \"/{pointer}\"`, or `\"route\"` for all events of the route");
        return item.error("bad_pointer", message).help(help).refuse(item.problems);
    }
    json_pointer::is_pointer(text, item.span.clone(), item.problems)
        .then(|| OrderBy::Pointer(text.to_owned()))
}

/// Reads `copies`: origins that differ from the route's upstream and from each other.
fn copies(table: &Table<'_>, upstream: &[Origin], listen: &[Listen]) -> Vec<Origin> {
    let Some(item) = table.get("copies") else { return Vec::new() };
    let Some(array) = item.array(&item.write("[\"http://127.0.0.1:4000\"]")) else { return Vec::new() };
    if array.len() > MOST_COPIES {
        let message = format!("`copies` has {} upstreams, and can have {MOST_COPIES} at most", array.len());
        item.error("out_of_range", message).help("name fewer").report(item.problems);
    }
    let mut all = Vec::new();
    for element in item.elements(array).take(MOST_COPIES) {
        let Some(origin) = upstream::origin(&element, listen) else { continue };
        let twin = all.iter().find(|(other, _)| *other == origin).map(|(_, span): &(Origin, _)| span);
        let (message, first) = if upstream.contains(&origin) {
            ("the route's own upstream gets these events anyway", table.place("upstream"))
        } else if let Some(first) = twin.cloned() {
            ("the list names this upstream twice", first)
        } else {
            all.push((origin, element.span));
            continue;
        };
        element
            .error("duplicate_upstream", message)
            .related(first, "here it gets them already")
            .help("remove it")
            .report(item.problems);
    }
    all.into_iter().map(|(origin, _)| origin).collect()
}

/// Reads `rate` as the time between two attempts.
fn interval(item: &Item<'_>) -> Option<Duration> {
    let text = item.text("\"50/s\"")?;
    let (number, unit) = text.split_once('/').unwrap_or((text, ""));
    let unit = UNITS.iter().find(|(names, _)| names.first() == Some(&unit)).map(|(_, seconds)| *seconds);
    let is_number = !number.starts_with('0') && number.bytes().all(|digit| digit.is_ascii_digit());
    let problem = match (number.parse::<u32>(), unit) {
        (Ok(number), Some(seconds)) if is_number && number <= MOST_RATE => {
            return Duration::from_secs(seconds).checked_div(number);
        }
        (Ok(0), _) => item
            .error("bad_rate", "at a rate of zero, nothing is delivered")
            .help("`hookgate events pause` pauses a route; without `rate` there is no limit"),
        (number, Some(_)) if is_number && number != Ok(0) && !text.starts_with('/') => item
            .error("out_of_range", format!("a rate has {MOST_RATE} attempts at most"))
            .help("remove it: without `rate` there is no limit"),
        (_, _) => item.error("bad_rate", "not a rate").help(meant(text)),
    };
    problem.refuse(item.problems)
}

/// The rate that an invalid text probably means.
fn meant(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let unit = rest.trim().trim_start_matches(['/', 'p']).trim_start_matches("er ").trim();
    let known = UNITS.iter().find(|(names, _)| unit.is_empty() || names.contains(&unit));
    match known.and_then(|(names, _)| names.first()) {
        Some(unit) if number.parse::<u32>().is_ok_and(|number| (1..=MOST_RATE).contains(&number)) => {
            format!("write `\"{}/{unit}\"`", number.trim_start_matches('0'))
        }
        Some(_) | None => {
            "write a number and a unit of time: `\"50/s\"`, `\"600/m\"`, `\"1000/h\"`".to_owned()
        }
    }
}

const ACK_STATUSES: [StatusCode; 3] = [StatusCode::OK, StatusCode::ACCEPTED, StatusCode::NO_CONTENT];

/// The units of time: how gateway.toml writes them, other ways to write them, and their seconds.
const UNITS: [(&[&str], u64); 3] = [
    (&["s", "sec", "secs", "second", "seconds"], 1),
    (&["m", "min", "mins", "minute", "minutes"], 60),
    (&["h", "hr", "hour", "hours"], 3600),
];

/// Many senders repeat an event within this time.
const THREE_HOURS: Duration = Duration::from_secs(3 * 3600);

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    use super::*;
    use crate::config::environment::Fixed;
    use crate::config::{Config, read};
    use crate::signature::scheme::Acknowledgment;

    /// A configuration with `[queue]` and one route. The route has the given scheme and the given lines.
    fn config(scheme: &str, lines: &str) -> Result<Config, Vec<&'static str>> {
        config_with("", scheme, lines)
    }

    /// A file with these tables as well.
    fn config_with(tables: &str, scheme: &str, lines: &str) -> Result<Config, Vec<&'static str>> {
        let text = format!(
            "{tables}\n[queue]\nstore = \"events.db\"\nmax_bytes = \"1GiB\"\n[retry]\nmax_attempts = 7\n\
             [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:3000\"\npublic_url = \"https://a\"\n\
             signature = {{ scheme = \"{scheme}\", secrets = [{{ env = \"KEY\" }}] }}\n{lines}\n"
        );
        let environment = Fixed::new(NonZeroUsize::MIN).with_variable("KEY", "MDEyMzQ1Njc4OWFiY2RlZg==");
        let loaded = read("/etc/hookgate/gateway.toml", &text, &environment, SystemTime::UNIX_EPOCH);
        loaded
            .map(|loaded| loaded.config)
            .map_err(|report| report.errors().map(|problem| problem.code).collect())
    }

    fn options(scheme: &str, lines: &str) -> DeliveryOptions {
        config(scheme, lines).unwrap().routes.pop().unwrap().delivery
    }

    fn rate(text: &str) -> Result<Option<Duration>, Vec<&'static str>> {
        let lines = format!("delivery = \"queue\"\nrate = \"{text}\"");
        Ok(config("propify", &lines)?.routes.pop().unwrap().delivery.interval)
    }

    #[test]
    fn a_route_without_keys_of_its_own_delivers_directly() {
        let options = options("propify", "");
        let retry = Retry { max_attempts: options.retry.max_attempts, ..Retry::default() };
        assert_eq!(options, DeliveryOptions { max_queued: 512 << 20, retry, ..DeliveryOptions::direct() });
    }

    #[test]
    fn a_route_may_say_how_its_events_are_acknowledged() {
        for (lines, want) in [("", None), ("ack_status = 200", Some(StatusCode::OK))] {
            let options = options("xero", &format!("delivery = \"queue\"\n{lines}"));
            assert_eq!(options.ack_status, want, "{lines}");
        }
    }

    #[test]
    fn an_own_scheme_says_how_its_events_are_acknowledged_and_whether_the_answer_is_used() {
        use Acknowledgment::{Accepted, EmptyOk, NoContent, Ok as Fine};
        let of = |key: &str, delivery: &str| {
            let scheme = format!("[schemes.own]\nheader = \"x-sign\"\n{key}");
            config_with(&scheme, "own", &format!("delivery = \"{delivery}\""))
        };
        for (key, want) in [
            ("", Accepted),
            ("acknowledgment = 202", Accepted),
            ("acknowledgment = 200", Fine),
            ("acknowledgment = \"200-empty\"", EmptyOk),
            ("acknowledgment = 204", NoContent),
        ] {
            let route = of(key, "queue").unwrap().routes.pop().unwrap();
            assert_eq!(route.verifier.scheme().acknowledgment, want, "{key}");
        }
        for key in ["acknowledgment = 201", "acknowledgment = \"200\"", "answer_use = \"often\""] {
            assert_eq!(of(key, "queue").unwrap_err(), ["bad_value"], "{key}");
        }
        for (answer_use, delivery, want) in [
            ("never", "queue", &[][..]),
            ("sometimes", "queue", &[]),
            ("always", "queue", &["needs_answer"]),
            ("always", "fallback", &[]),
            ("always", "direct", &[]),
        ] {
            let errors = of(&format!("answer_use = \"{answer_use}\""), delivery).err().unwrap_or_default();
            assert_eq!(errors, want, "{answer_use} {delivery}");
        }
    }

    #[test]
    fn a_rate_is_the_time_between_two_attempts() {
        for (text, want) in [
            ("50/s", Duration::from_millis(20)),
            ("1/s", Duration::from_secs(1)),
            ("600/m", Duration::from_millis(100)),
            ("1/h", Duration::from_secs(3600)),
            ("100000/s", Duration::from_micros(10)),
        ] {
            assert_eq!(rate(text), Ok(Some(want)), "{text}");
        }
        for text in ["", "/s", "50", "050/s", "+5/s", "50/S", "50/d", "50 /s", "1.5/s", "50/s/s", "0/s"] {
            assert_eq!(rate(text), Err(vec!["bad_rate"]), "{text}");
        }
        for text in ["100001/s", "4294967296/h"] {
            assert_eq!(rate(text), Err(vec!["out_of_range"]), "{text}");
        }
    }

    #[test]
    fn a_misspelled_rate_gets_the_right_one_as_a_suggestion() {
        for (text, want) in [
            ("50", "50/s"),
            ("50 / sec", "50/s"),
            ("50/S", "50/s"),
            ("600/minute", "600/m"),
            ("50 per hour", "50/h"),
            ("050/s", "50/s"),
            ("50ps", "50/s"),
        ] {
            assert_eq!(meant(text), format!("write `\"{want}\"`"), "{text}");
        }
        for text in ["", "/s", "0", "50/d", "fast", "é/s", "999999999/s"] {
            assert!(meant(text).contains("a number and a unit of time"), "{text}: {}", meant(text));
        }
    }

    #[test]
    fn a_routes_retry_has_its_other_keys_from_the_common_one() {
        let options =
            options("propify", "delivery = \"queue\"\nretry = { schedule = [\"7d\"], max_age = \"30d\" }");
        assert_eq!(options.retry.schedule, [Duration::from_secs(7 * 24 * 3600)]);
        assert_eq!(options.retry.max_attempts.map(u32::from), Some(7));
        assert_eq!(options.retry.give_up_on, [StatusCode::GONE]);
    }

    #[test]
    fn a_relative_store_is_beside_the_file() {
        let queue = config("propify", "delivery = \"queue\"").unwrap().queue.unwrap();
        assert_eq!(queue.store, crate::config::StoreAddress::File("/etc/hookgate/events.db".into()));
        assert_eq!((queue.max_bytes, queue.min_free), (1 << 30, 256 << 20));
    }

    #[test]
    fn an_order_key_is_a_pointer_or_the_route() {
        for (text, want) in [
            ("route", Ok(OrderBy::Route)),
            ("/a/b~1c", Ok(OrderBy::Pointer("/a/b~1c".into()))),
            ("", Err(vec!["bad_pointer"])),
            ("Route", Err(vec!["bad_pointer"])),
            ("record_id", Err(vec!["bad_pointer"])),
            ("/a~", Err(vec!["bad_pointer"])),
        ] {
            let lines = format!("delivery = \"queue\"\norder_by = \"{text}\"");
            let got =
                config("propify", &lines).map(|mut config| config.routes.pop().unwrap().delivery.order_by);
            assert_eq!(got, want.map(Some), "{text}");
        }
    }

    #[test]
    fn no_copy_goes_where_the_event_goes_anyway() {
        for (copies, want) in [
            ("[]", Ok(0)),
            ("[\"http://127.0.0.1:4000\", \"http://127.0.0.1:4001\"]", Ok(2)),
            ("[\"http://127.0.0.1:3000/\"]", Err(vec!["duplicate_upstream"])),
            ("[\"http://a:4000\", \"HTTP://a:4000/\"]", Err(vec!["duplicate_upstream"])),
            ("[\"http://127.0.0.1:8080\"]", Err(vec!["upstream_is_self"])),
        ] {
            let lines = format!("delivery = \"queue\"\nresponse_timeout = \"9s\"\ncopies = {copies}");
            let got = config("propify", &lines).map(|mut config| {
                let copies = config.routes.pop().unwrap().delivery.copies;
                assert!(copies.iter().all(|copy| copy.response_timeout == Duration::from_secs(9)));
                copies.len()
            });
            assert_eq!(got, want, "{copies}");
        }
        let copies =
            |many: u16| -> Vec<String> { (1..=many).map(|port| format!("http://a:{port}")).collect() };
        for (many, want) in [(16, None), (17, Some(vec!["out_of_range"]))] {
            let lines = format!("delivery = \"queue\"\ncopies = {:?}", copies(many));
            assert_eq!(config("propify", &lines).err(), want, "{many}");
        }
    }

    #[test]
    fn a_key_about_stored_events_is_refused_on_a_direct_route() {
        for line in [
            "ack_status = 202",
            "order_by = \"route\"",
            "max_queued = 1",
            "copies = []",
            "refresh_signature = false",
            "concurrency = 1",
            "rate = \"1/s\"",
            "retry = {}",
        ] {
            assert_eq!(config("propify", line).err(), Some(vec!["direct_delivery"]), "{line}");
        }
        assert!(config("propify", "ack_status = 202\ndeduplicate = \"3h\"").is_ok());
    }

    #[test]
    fn only_a_scheme_with_a_shared_key_and_a_time_is_refreshed() {
        for (scheme, want) in [
            ("stripe", None),
            ("standard-webhooks", None),
            ("propify", Some(vec!["cannot_refresh"])),
            ("gitlab", Some(vec!["cannot_refresh"])),
        ] {
            let lines = "delivery = \"fallback\"\nrefresh_signature = true";
            assert_eq!(config(scheme, lines).err(), want, "{scheme}");
        }
    }

    #[test]
    fn a_sender_that_needs_the_apps_answer_is_not_queued() {
        for (delivery, want) in [("queue", Some(vec!["needs_answer"])), ("fallback", None), ("direct", None)]
        {
            for scheme in ["microsoft-teams", "twilio"] {
                let got = config(scheme, &format!("delivery = \"{delivery}\"")).err();
                assert_eq!(got, want, "{scheme} {delivery}");
            }
        }
    }

    #[test]
    fn durations_of_the_queue_may_be_longer_than_a_day() {
        for (lines, want) in [
            ("retry = { max_age = \"365d\" }", None),
            ("retry = { max_age = \"366d\" }", Some(vec!["out_of_range"])),
            ("retry = { max_age = \"7d\", schedule = [\"7d\"] }", None),
            ("retry = { schedule = [\"7d1ms\"] }", Some(vec!["out_of_range"])),
            ("deduplicate = \"30d\"", None),
            ("deduplicate = \"30d1ms\"", Some(vec!["out_of_range"])),
        ] {
            assert_eq!(config("propify", &format!("delivery = \"queue\"\n{lines}")).err(), want, "{lines}");
        }
    }

    #[test]
    fn a_schedule_has_a_hundred_waits_at_most() {
        for (many, want) in [(1, None), (100, None), (101, Some(vec!["out_of_range"]))] {
            let waits = vec!["1s"; many];
            let lines = format!("delivery = \"queue\"\nretry = {{ schedule = {waits:?} }}");
            assert_eq!(config("propify", &lines).err(), want, "{many}");
        }
    }
}
