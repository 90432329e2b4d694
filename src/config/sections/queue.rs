//! Pure. Reads `[queue]`: the store of events.

use std::path::Path;
use std::time::Duration;

use crate::config::bounds::{KEPT, LEASE, LITTLE_FREE, MOST_DISK, SHORTEST_LEASE, SMALLEST_STORE};
use crate::config::environment::StoreFault;
use crate::config::placeholder;
use crate::config::problem::Problem;
use crate::config::sections::postgres_url;
use crate::config::sections::secret::Context;
use crate::config::settings::DEFAULT_MAX_BYTES;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Queue, StoreAddress, keys, size_and_duration};

/// Reads `[queue]`; `None` if the table is missing, or has no `store`. A relative path starts at the
/// context's folder.
pub(crate) fn read(root: &Table<'_>, context: Context<'_>) -> Option<Queue> {
    let table = root.section("queue", "`[queue]`", keys::QUEUE);
    if !table.is_present() {
        return None;
    }
    let store = table.required("store", EXAMPLE).and_then(|item| store(&item, context));
    let kept =
        |name, usual| table.get(name).and_then(|item| item.duration_within(KEPT, usual)).unwrap_or(usual);
    let max_bytes = table.size("max_bytes", DEFAULT_MAX_BYTES, SMALLEST_STORE..=MOST_DISK);
    let min_free = table.size("min_free", MIN_FREE, 0..=MOST_DISK);
    if min_free < LITTLE_FREE {
        let message = format!(
            "with less than {} free, other programs run out of disk space before the store stops",
            size_and_duration::write_size(LITTLE_FREE)
        );
        Problem::warning("little_free", table.place("min_free"), message)
            .help(format!("the default is `\"{}\"`", size_and_duration::write_size(MIN_FREE)))
            .report(table.problems);
    }
    let keep_delivered = kept("keep_delivered", DAY);
    let keep_dead = kept("keep_dead", DAY.saturating_mul(30));
    let lease_item = table.get("lease");
    let lease =
        lease_item.as_ref().and_then(|item| item.duration_within(LEASE, USUAL_LEASE)).unwrap_or(USUAL_LEASE);
    if let Some(item) = &lease_item
        && lease < SHORTEST_LEASE
    {
        let message = format!("`lease` is {} at least", size_and_duration::write_duration(SHORTEST_LEASE));
        item.error("out_of_range", message).help("the default is `\"30s\"`").report(table.problems);
    }
    Some(Queue { store: store?, max_bytes, min_free, keep_delivered, keep_dead, lease })
}

fn store(item: &Item<'_>, context: Context<'_>) -> Option<StoreAddress> {
    let text = item.text(EXAMPLE)?;
    let begins = |start: &str| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    if postgres_url::is_url(text) {
        return match postgres_url::read(text) {
            Ok(address) => Some(StoreAddress::Postgres(Box::new(address))),
            Err(fault) => item.error("bad_store", fault).help(item.write(URL)).refuse(item.problems),
        };
    }
    if !text.contains("://") && postgres_url::names_server(text) {
        let message = "this is neither the path of a file nor the URL of a PostgreSQL server";
        return item.error("bad_store", message).help(item.write(URL)).refuse(item.problems);
    }
    let fault = if text.contains("://") || begins("sqlite:") || begins("file:") {
        "a store is the path of a file, or the URL of a PostgreSQL server"
    } else if begins(":memory:") {
        "events in memory would be lost when the process ends"
    } else if text.is_empty() || text.ends_with(['/', '.']) || text.contains(char::is_control) {
        "not the path of a file"
    } else {
        let path = context.folder.join(text);
        if let Some(help) = placeholder::unexpanded(text) {
            let message = "the path of a store has neither `~` nor variables";
            return item.error("bad_store", message).help(help).refuse(item.problems);
        }
        if let Err(fault) = context.environment.store(&path) {
            warn_of(item, &path, fault);
        }
        return Some(StoreAddress::File(path));
    };
    item.error("bad_store", fault).help(item.write(EXAMPLE)).refuse(item.problems)
}

/// Warns of a path at which this process could not use its store. The warning is no error, because the path
/// may be right for the user or the container of the running gateway. A reload must not fail for this reason.
fn warn_of(item: &Item<'_>, path: &Path, fault: StoreFault) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (folder, path) = (folder.display(), path.display());
    let (message, help) = match fault {
        StoreFault::NoFolder => (
            format!("the folder of the store does not exist: {folder}"),
            format!(
                "make it for the user that hookgate runs as: `install -d -m 0700 -o USER {folder}`; the systemd unit makes \
                 /var/lib/hookgate"
            ),
        ),
        StoreFault::NotFolder => {
            (format!("the folder of the store is a file: {folder}"), item.write(EXAMPLE))
        }
        StoreFault::FolderDenied => (
            format!("this user may not write to the folder of the store: {folder}"),
            format!(
                "hookgate makes files beside the store: `chown USER {folder}`, or run this command as the user that hookgate \
                 runs as"
            ),
        ),
        StoreFault::ReadOnly => (
            format!("the disk of the store is read-only here: {folder}"),
            "mount a volume there, or name a path on a disk that hookgate may write to".to_owned(),
        ),
        StoreFault::Denied => (
            format!("this user may not read and write the store: {path}"),
            format!(
                "`chown USER {path}*`, with the user that hookgate runs as, or run this command as that user"
            ),
        ),
    };
    item.warning("store_unusable", message).help(help).report(item.problems);
}

const EXAMPLE: &str = "\"/var/lib/hookgate/events.db\"";
const URL: &str = "\"postgres://hookgate@db.example.org/hookgate?sslmode=verify-full\"";
const MIN_FREE: u64 = 256 << 20;
const USUAL_LEASE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The advice for a file without `[queue]`.
pub(crate) const HOW_TO_ADD: &str = "add\n[queue]\nstore = \"/var/lib/hookgate/events.db\"";

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    use super::*;
    use crate::config::environment::Fixed;
    use crate::config::problem::Style;

    #[test]
    fn a_password_of_a_store_is_in_no_message_whatever_is_wrong_with_its_url() {
        for store in [
            "postgres://me:a@hunter2@db/events",
            "postgres:me:hunter2@db/events",
            "me:hunter2@db/events",
            "host=db user=me password=hunter2",
        ] {
            let text = format!("[queue]\nstore = \"{store}\"\n");
            let machine = Fixed::new(NonZeroUsize::MIN).with_bad_store(store, StoreFault::NoFolder);
            let report =
                crate::config::read("gateway.toml", &text, &machine, SystemTime::UNIX_EPOCH).unwrap_err();
            assert!(report.problems.iter().any(|problem| problem.code == "bad_store"), "{store}: {report:?}");
            let shown = report.render(Style::Plain);
            assert!(!shown.contains("hunter2"), "{store}: {shown}");
        }
    }

    #[test]
    fn a_store_that_cannot_be_written_is_warned_about_with_what_to_do() {
        let text = "[queue]\nstore = \"/data/hg/events.db\"\n\
             [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\ndelivery = \"queue\"\n\
             signature = { scheme = \"propify\", secrets = [{ env = \"KEY\" }] }\n";
        let machine = || Fixed::new(NonZeroUsize::MIN).with_variable("KEY", "0123456789abcdef");
        let read =
            |machine| crate::config::read("gateway.toml", text, &machine, SystemTime::UNIX_EPOCH).unwrap();
        assert!(read(machine()).report.problems.is_empty());
        for (fault, message, help) in [
            (StoreFault::NoFolder, "does not exist: /data/hg", "`install -d -m 0700 -o USER /data/hg`"),
            (StoreFault::NotFolder, "is a file: /data/hg", "write `store = "),
            (
                StoreFault::FolderDenied,
                "may not write to the folder of the store: /data/hg",
                "`chown USER /data/hg`",
            ),
            (StoreFault::ReadOnly, "read-only here: /data/hg", "mount a volume"),
            (StoreFault::Denied, "the store: /data/hg/events.db", "`chown USER /data/hg/events.db*`"),
        ] {
            let loaded = read(machine().with_bad_store("/data/hg/events.db", fault));
            let [problem] = &loaded.report.problems[..] else { panic!("{fault:?}: {:?}", loaded.report) };
            assert_eq!((problem.code, loaded.report.has_errors()), ("store_unusable", false));
            assert!(problem.message.ends_with(message), "{}", problem.message);
            assert!(problem.help.as_deref().is_some_and(|text| text.contains(help)), "{:?}", problem.help);
        }
    }
}
