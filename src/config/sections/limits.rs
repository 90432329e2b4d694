//! Pure. Reads `[limits]`.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::admission::failures::FailureRate;
use crate::config::bounds::{FAILURES_WITHIN, MOST_FAILURES, MOST_MEMORY};
use crate::config::problem::Problem;
use crate::config::size_and_duration::{parse_count_within, write_size};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Limits, keys};

/// Reads `[limits]`.
pub(crate) fn read(root: &Table<'_>) -> Limits {
    let table = root.section("limits", "`[limits]`", keys::LIMITS);
    let max_buffered = table.size("max_buffered", 256 << 20, 1..=MOST_MEMORY);
    let mut limits = Limits {
        max_body: table.size("max_body", 1 << 20, 1..=MOST_MEMORY),
        max_buffered,
        max_header_bytes: usize::try_from(table.size("max_header_bytes", 32 << 10, 1 << 10..=1 << 20))
            .unwrap_or(usize::MAX),
        header_timeout: table.duration("header_timeout", Duration::from_secs(10)),
        body_timeout: table.duration("body_timeout", Duration::from_secs(30)),
        min_body_rate: table.size("min_body_rate", 1 << 10, 0..=MOST_MEMORY),
        idle_timeout: table.duration("idle_timeout", Duration::from_secs(75)),
        write_timeout: table.duration("write_timeout", Duration::from_secs(30)),
        max_failures_per_client: table.get("max_failures_per_client").and_then(|item| failures(&item)),
    };
    let place = table.get("max_body").or_else(|| table.get("max_buffered"));
    if let Some(place) = place
        && limits.max_body > limits.max_buffered
    {
        body_beyond_memory(&place, limits.max_body, &limits).report(root.problems);
        // The error is reported once here, and not again for every route.
        limits.max_body = limits.max_buffered;
    }
    limits
}

/// Reads `max_failures_per_client`.
fn failures(item: &Item<'_>) -> Option<FailureRate> {
    let text = item.text("\"60/1m\"")?;
    let problem = match parse_count_within(text) {
        Ok((count, within)) => match NonZeroU32::new(count) {
            Some(most) if count <= MOST_FAILURES && FAILURES_WITHIN.contains(&within) => {
                return Some(FailureRate { most, within });
            }
            Some(_) | None => {
                let message = format!(
                    "this limit must be from 1 to {MOST_FAILURES} failures, within a second to a day"
                );
                item.error("out_of_range", message)
                    .help("for example `\"60/1m\"`; without this key, there is no limit")
            }
        },
        Err(error) => item.error("bad_rate", error.to_string()).help(error.help()),
    };
    problem.refuse(item.problems)
}

/// The error that a content limit is larger than the memory budget.
pub(crate) fn body_beyond_memory(item: &Item<'_>, max_body: u64, limits: &Limits) -> Problem {
    let (body, buffered) = (write_size(max_body), write_size(limits.max_buffered));
    let message = format!("a body of {body} (`max_body`) can never be held in {buffered} (`max_buffered`)");
    item.error("body_beyond_memory", message)
        .help("`max_buffered` must be at least as large as every `max_body`, and should be many times that")
}
