//! Pure. Reads `[retry]` and a route's `retry`: when a failed delivery is tried again, and when it is given
//! up.

use std::num::NonZeroU32;
use std::time::Duration;

use http::StatusCode;

use crate::config::bounds::{AGE, MOST_ATTEMPTS, MOST_WAITS, WAIT};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Retry, keys, size_and_duration};

/// Reads `[retry]`, for the routes that do not override it.
pub(crate) fn common(root: &Table<'_>) -> Retry {
    let table = root.section("retry", "`[retry]`", keys::RETRY);
    overridden(&Retry::default(), &table)
}

/// Reads a route's `retry`. Missing keys have the values of `[retry]`.
pub(crate) fn of_route(route: &Table<'_>, common: &Retry) -> Retry {
    let table = route.get("retry").and_then(|item| {
        let help = item.write("{ max_age = \"1d\" }");
        Table::of(&item, "`retry`", &help, keys::ROUTE_RETRY)
    });
    table.map_or_else(|| common.clone(), |table| overridden(common, &table))
}

fn overridden(usual: &Retry, table: &Table<'_>) -> Retry {
    let item = table.get("schedule");
    let schedule = item.as_ref().and_then(schedule);
    let max_age = table.get("max_age").and_then(|item| item.duration_within(AGE, usual.max_age));
    let max_age = max_age.unwrap_or(usual.max_age);
    if let (Some(item), Some(schedule)) = (&item, &schedule) {
        unreached(item, schedule, max_age);
    }
    let give_up_on = table.get("give_up_on").and_then(|item| statuses(&item));
    let max_attempts = table.get("max_attempts").and_then(|item| attempts(&item));
    Retry {
        schedule: schedule.unwrap_or_else(|| usual.schedule.clone()),
        max_age,
        max_attempts: max_attempts.or(usual.max_attempts),
        give_up_on: give_up_on.unwrap_or_else(|| usual.give_up_on.clone()),
    }
}

/// Reads the waits. `None` if there are none, or if one has an error.
fn schedule(item: &Item<'_>) -> Option<Vec<Duration>> {
    let array = item.array(&item.write(SCHEDULE))?;
    let many = array.len();
    if many == 0 || many > MOST_WAITS {
        let message = format!("a schedule has 1 to {MOST_WAITS} waits, and this one has {many}");
        let help =
            if many == 0 { item.write(SCHEDULE) } else { "write fewer: the last one repeats".to_owned() };
        return item.error("out_of_range", message).help(help).refuse(item.problems);
    }
    let waits: Vec<_> = item
        .elements(array)
        .filter_map(|element| element.duration_within(WAIT, Duration::from_secs(30)))
        .collect();
    (waits.len() == many).then_some(waits)
}

/// Warns of waits that a schedule never reaches.
fn unreached(item: &Item<'_>, schedule: &[Duration], max_age: Duration) {
    let all: Duration = schedule.iter().fold(Duration::ZERO, |sum, wait| sum.saturating_add(*wait));
    if all > max_age {
        let (all, age) = (size_and_duration::write_duration(all), size_and_duration::write_duration(max_age));
        let message =
            format!("these waits take {all} together, and a delivery is given up after {age} (`max_age`)");
        item.warning("unreached_waits", message)
            .help("remove the last ones, or write a longer `max_age`")
            .report(item.problems);
    }
}

fn attempts(item: &Item<'_>) -> Option<NonZeroU32> {
    let number = item.number("50")?;
    let fits = |number: &u64| usize::try_from(*number).is_ok_and(|number| number <= MOST_ATTEMPTS);
    let attempts = Some(number).filter(fits).and_then(|number| u32::try_from(number).ok());
    attempts.and_then(NonZeroU32::new).or_else(|| {
        item.error("out_of_range", format!("`max_attempts` must be from 1 to {MOST_ATTEMPTS}"))
            .help("remove it if `max_age` alone is to end a delivery")
            .refuse(item.problems)
    })
}

/// Reads the status codes that end a delivery. `None` if one has an error.
fn statuses(item: &Item<'_>) -> Option<Vec<StatusCode>> {
    let array = item.array(&item.write("[410]"))?;
    let many = array.len();
    let statuses: Vec<_> = item.elements(array).filter_map(|element| status(&element)).collect();
    (statuses.len() == many).then_some(statuses)
}

fn status(item: &Item<'_>) -> Option<StatusCode> {
    let number = item.number("[410]")?;
    let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
    let Some(status) = status.filter(|status| (300..600).contains(&status.as_u16())) else {
        let message = match number {
            200..300 => "an app that answers 2xx has taken the event",
            _ => "a failed delivery has a status code from 300 to 599",
        };
        return item.error("out_of_range", message).help(item.write("[410]")).refuse(item.problems);
    };
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let message = format!("an app that answers {} asks to be tried again later", status.as_u16());
        item.warning("gives_up_early", message)
            .help("remove it, or a short failure of the app makes its events dead letters")
            .report(item.problems);
    }
    Some(status)
}

const SCHEDULE: &str = "[\"5s\", \"30s\", \"2m\", \"10m\", \"30m\", \"1h\", \"2h\"]";
