//! Pure. Reads `[queue]`: the store of events.

use std::path::Path;
use std::time::Duration;

use crate::config::bounds::{KEPT, LITTLE_FREE, MOST_DISK, SMALLEST_STORE};
use crate::config::problem::Problem;
use crate::config::settings::DEFAULT_MAX_BYTES;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Queue, StoreAddress, keys, unit};

/// Reads `[queue]`. `None` if the table or its `store` is missing. A relative path starts at `folder`.
pub(crate) fn read(root: &Table<'_>, folder: &Path) -> Option<Queue> {
    let table = root.section("queue", "`[queue]`", keys::QUEUE);
    if !table.is_present() {
        return None;
    }
    let store = table.required("store", EXAMPLE).and_then(|item| store(&item, folder));
    let kept =
        |name, usual| table.get(name).and_then(|item| item.duration_within(KEPT, usual)).unwrap_or(usual);
    let max_bytes = table.size("max_bytes", DEFAULT_MAX_BYTES, SMALLEST_STORE..=MOST_DISK);
    let min_free = table.size("min_free", MIN_FREE, 0..=MOST_DISK);
    if min_free < LITTLE_FREE {
        let message = format!(
            "with less than {} free, other programs fail for want of disk before the store stops",
            unit::write_size(LITTLE_FREE)
        );
        Problem::warning("little_free", table.place("min_free"), message)
            .help(format!("the default is `\"{}\"`", unit::write_size(MIN_FREE)))
            .report(table.problems);
    }
    let keep_delivered = kept("keep_delivered", DAY);
    let keep_dead = kept("keep_dead", DAY.saturating_mul(30));
    Some(Queue { store: store?, max_bytes, min_free, keep_delivered, keep_dead })
}

fn store(item: &Item<'_>, folder: &Path) -> Option<StoreAddress> {
    let text = item.text(EXAMPLE)?;
    let begins = |start: &str| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    let fault = if begins("postgres://") || begins("postgresql://") {
        "this version keeps events in a file, and not in PostgreSQL"
    } else if text.contains("://") || begins("sqlite:") || begins("file:") {
        "a store is the path of a file, not a URL"
    } else if begins(":memory:") {
        "events in memory would be lost when the process ends"
    } else if text.is_empty() || text.ends_with(['/', '.']) || text.contains(char::is_control) {
        "not the path of a file"
    } else {
        return Some(StoreAddress::File(folder.join(text)));
    };
    item.error("bad_store", fault).help(item.write(EXAMPLE)).refuse(item.problems)
}

const EXAMPLE: &str = "\"/var/lib/hookgate/events.db\"";
const MIN_FREE: u64 = 256 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The advice for a file without `[queue]`.
pub(crate) const HOW_TO_ADD: &str = "add\n[queue]\nstore = \"/var/lib/hookgate/events.db\"";
