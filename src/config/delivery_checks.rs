//! Pure. Checks the delivery settings against the rest of the file: the store, the scheme, the mode.

use crate::config::problem::Problem;
use crate::config::sections::queue;
use crate::config::sections::route_draft::{Common, Draft};
use crate::config::sections::signature::Signature;
use crate::config::toml_table::Table;
use crate::config::{DeliveryMode, Mode, cross_checks, size_and_duration};
use crate::signature::algorithm::Algorithm;
use crate::signature::scheme::{AnswerUse, Redelivery, Scheme};

/// Checks the deliveries of all routes.
pub(super) fn check(drafts: &[Draft<'_>], common: &Common<'_>, root: &Table<'_>) {
    for draft in drafts {
        store(draft, root);
        keys_that_do_nothing(draft);
        sizes(draft, common);
        let signatures = cross_checks::effective(draft, &common.signature).into_iter();
        for signature in signatures.flat_map(Signature::all) {
            sender(draft, signature.scheme(), root);
        }
        captured(draft, common, root);
        if delivers_late(draft) && matches!(draft.mode, Mode::Observe(_)) {
            let message =
                "on a route that observes, what does not verify is forwarded directly and never stored";
            Problem::warning("observed_queue", draft.table.place("delivery"), message)
                .related(draft.table.place("mode"), "here")
                .report(root.problems);
        }
    }
    unused(drafts, root);
}

/// Warns of what `capture` keeps, or that it keeps nothing.
fn captured(draft: &Draft<'_>, common: &Common<'_>, root: &Table<'_>) {
    if !draft.capture {
        return;
    }
    let problem = if common.keeps_recent {
        let message = "what strangers send to this route is kept in memory when it is refused, and is shown to everybody who may see \
                       the console or read the API";
        Problem::warning("captures_strangers", draft.table.place("capture"), message)
            .help("remove `capture` when the cause of the refusals is found")
    } else {
        let message = "nothing is captured: the gateway keeps no recent requests";
        Problem::warning("capture_unused", draft.table.place("capture"), message)
            .help("add `[admin]`, whose `recent` must not be 0")
    };
    problem.report(root.problems);
}

fn delivers_late(draft: &Draft<'_>) -> bool {
    match draft.delivery.mode {
        DeliveryMode::Direct => false,
        DeliveryMode::Fallback | DeliveryMode::Queue => true,
    }
}

/// Reports a route that needs the store, if the file has no store.
fn store(draft: &Draft<'_>, root: &Table<'_>) {
    if root.get("queue").is_some() {
        return;
    }
    let (name, message) = if delivers_late(draft) {
        ("delivery", "this route stores events, and there is no `[queue]`")
    } else if draft.delivery.deduplicate.is_some() {
        ("deduplicate", "the store knows which events were delivered, and there is no `[queue]`")
    } else {
        return;
    };
    Problem::error("missing_queue", draft.table.place(name), message)
        .help(queue::HOW_TO_ADD)
        .report(root.problems);
}

/// Reports keys for stored events if no event is stored, and copies if not every event is stored.
fn keys_that_do_nothing(draft: &Draft<'_>) {
    let table = &draft.table;
    match draft.delivery.mode {
        DeliveryMode::Queue => {}
        DeliveryMode::Fallback => {
            if let Some(item) = table.get("copies") {
                let message =
                    "copies are made of stored events, and this route stores only what its app has not taken";
                Problem::error("partial_copies", item.key, message)
                    .related(table.place("delivery"), "here")
                    .help("write `delivery = \"queue\"`, or remove `copies`")
                    .report(table.problems);
            }
        }
        // `delivery` has a wrong value, and that error has been reported.
        DeliveryMode::Direct
            if table.get("delivery").is_some_and(|item| item.value.as_str() != Some("direct")) => {}
        DeliveryMode::Direct => {
            for item in OF_STORED_EVENTS.iter().filter_map(|name| table.get(name)) {
                // A duplicate is answered with `ack_status`, too.
                if item.name == "ack_status" && table.get("deduplicate").is_some() {
                    continue;
                }
                let message =
                    format!("`{}` is about stored events, and this route delivers directly", item.name);
                Problem::error("direct_delivery", item.key, message)
                    .help("write `delivery = \"queue\"` or `delivery = \"fallback\"`, or remove it")
                    .report(table.problems);
            }
        }
    }
}

/// Reports sizes that contradict each other.
fn sizes(draft: &Draft<'_>, common: &Common<'_>) {
    let Some(queue) = common.deliveries.queue.filter(|_| delivers_late(draft)) else { return };
    let max_queued = draft.delivery.max_queued;
    let (queued, all) =
        (size_and_duration::write_size(max_queued), size_and_duration::write_size(queue.max_bytes));
    if max_queued > queue.max_bytes {
        let message = format!("the store takes {all} (`max_bytes`), so that {queued} are never reached");
        Problem::warning("queued_beyond_store", draft.table.place("max_queued"), message)
            .help("leave it out for half of `max_bytes`")
            .report(draft.table.problems);
    } else if draft.max_body > max_queued {
        let body = size_and_duration::write_size(draft.max_body);
        let message =
            format!("an event of {body} (`max_body`) can never be stored in {queued} (`max_queued`)");
        let name = if draft.table.get("max_queued").is_some() { "max_queued" } else { "delivery" };
        Problem::warning("body_beyond_queue", draft.table.place(name), message)
            .help("`max_queued` should be many times `max_body`")
            .report(draft.table.problems);
    }
}

/// Checks how the sender treats the answer, and whether it signs a time.
fn sender(draft: &Draft<'_>, scheme: &Scheme, root: &Table<'_>) {
    let name = &scheme.name;
    let place = || draft.table.place("delivery");
    match (draft.delivery.mode, scheme.answer_use) {
        (DeliveryMode::Queue, AnswerUse::Always) => {
            let message = format!("the sender of scheme `{name}` needs the app's own answer");
            let help =
                "write `delivery = \"direct\"`, or `\"fallback\"`: what the app does not answer is stored";
            Problem::error("needs_answer", place(), message)
                .label("a stored event has none")
                .help(help)
                .report(root.problems);
            return;
        }
        (DeliveryMode::Queue, AnswerUse::Sometimes) => {
            let message =
                format!("the sender of scheme `{name}` needs the app's own answer to some of its events");
            Problem::warning("needs_answer", place(), message)
                .label("a stored event has none")
                .help("have it send those to a path of their own, with `delivery = \"direct\"`")
                .report(root.problems);
        }
        (DeliveryMode::Queue, AnswerUse::Never) | (DeliveryMode::Direct | DeliveryMode::Fallback, _) => {}
    }
    if delivers_late(draft) && scheme.algorithm == Algorithm::Token && scheme.parameter.is_some() {
        let message = format!("scheme `{name}` has its token in the query, which is stored with the event");
        Problem::error("token_stored", place(), message)
            .label("no key is ever stored")
            .help("write `delivery = \"direct\"`, or have the sender write the token into a field")
            .report(root.problems);
        return;
    }
    if delivers_late(draft) {
        signed_time(draft, scheme);
    } else if scheme.redelivery == Redelivery::Never && root.get("queue").is_some() {
        let message = format!("the sender of scheme `{name}` sends nothing again by itself");
        Problem::note("not_durable", draft.table.place("path"), message)
            .label("what the app does not take is lost")
            .help("write `delivery = \"queue\"`")
            .report(root.problems);
    }
}

/// Reports late deliveries of a scheme that signs a time, and `refresh_signature` where a new signature
/// cannot be made.
fn signed_time(draft: &Draft<'_>, scheme: &Scheme) {
    let name = &scheme.name;
    let (signs_time, can_sign) = (scheme.timestamp.is_some(), scheme.can_refresh());
    if draft.delivery.refresh_signature {
        let message = match (signs_time, can_sign) {
            (true, true) => return,
            (false, _) => format!("scheme `{name}` signs no time, so that there is nothing to refresh"),
            (true, false) if scheme.algorithm.is_symmetric() => {
                format!("the content has the time that scheme `{name}` signs, so that it cannot be refreshed")
            }
            (true, false) => format!("only the sender has the key that scheme `{name}` signs with"),
        };
        let help = if signs_time { "remove it, and have the app not verify the time" } else { "remove it" };
        let place = draft.table.place("refresh_signature");
        Problem::error("cannot_refresh", place, message).help(help).report(draft.table.problems);
    } else if signs_time {
        let message =
            format!("scheme `{name}` signs the time, and an app that verifies it refuses late deliveries");
        let instead = "have the app leave the time to the gateway, which has verified it";
        let help = if can_sign {
            format!("write `refresh_signature = true`, or {instead}")
        } else {
            instead.to_owned()
        };
        Problem::warning("signed_time", draft.table.place("delivery"), message)
            .help(help)
            .report(draft.table.problems);
    }
}

/// Reports `[queue]` and `[retry]` if no route uses them.
fn unused(drafts: &[Draft<'_>], root: &Table<'_>) {
    if drafts.is_empty() || drafts.iter().any(delivers_late) {
        return;
    }
    let deduplicates = drafts.iter().any(|draft| draft.delivery.deduplicate.is_some());
    let help = "write `delivery = \"queue\"` on a route, or remove this";
    if root.get("queue").is_some() && !deduplicates {
        let message = "no route stores events";
        Problem::warning("unused_queue", root.place("queue"), message).help(help).report(root.problems);
    }
    if root.get("retry").is_some() {
        let message = "no route delivers stored events, so that nothing is tried again";
        Problem::warning("unused_retry", root.place("retry"), message).help(help).report(root.problems);
    }
}

/// The keys of a route that concern only stored events.
const OF_STORED_EVENTS: [&str; 8] =
    ["ack_status", "order_by", "max_queued", "copies", "refresh_signature", "concurrency", "rate", "retry"];
