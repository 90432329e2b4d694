//! Pure. The page *Refused*: recent refusals, grouped by reason, likely cause and route, with what to do.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::live::Asked;
use crate::admin::api::filter::written;
use crate::admin::console::advice::{meaning, to_do};
use crate::admin::console::frame::{nothing, number, time};
use crate::admin::console::text;
use crate::gateway::reason::Reason;
use crate::queue::time::Time;
use crate::telemetry::recent::entry::{LikelyCause, Numbered};

/// The most groups on the page, and the most clients that a group names.
const MOST_GROUPS: usize = 100;
const MOST_CLIENTS: usize = 3;

/// The most routes that the page names.
const MOST_ROUTES: usize = 20;

/// Refusals that have the same reason, the same likely cause and the same route.
#[derive(Debug)]
struct Group<'e> {
    count: u64,
    latest: &'e Numbered,
    cause: Option<&'e LikelyCause>,
    clients: BTreeSet<String>,
}

/// The key of a group: reason, label of the cause, route, and whether the requests were forwarded all the
/// same.
type GroupKey<'e> = (Option<Reason>, Option<&'static str>, &'e str, bool);

/// The page. The entries are refused and observed requests, the latest first.
pub(crate) fn body(entries: &[Numbered], kept: usize, left_out: u64, capturing: &BTreeSet<String>) -> Markup {
    let groups = groups(entries);
    if groups.is_empty() {
        let empty = nothing(
            "No refusal is among the requests that are kept.",
            &html! {
                "Forged, malformed and late events would be listed here, with the likely cause and what to do. "
                code { "hookgate send --forge tampered" } " sends such an event."
            },
        );
        return html! { (empty) (self::capturing(capturing)) };
    }
    let mut sorted: Vec<_> = groups.iter().collect();
    sorted.sort_by(|(_, a), (_, b)| b.count.cmp(&a.count).then(b.latest.number.cmp(&a.latest.number)));
    html! {
        p.count {
            strong { (number(u64::try_from(entries.len()).unwrap_or(u64::MAX))) } " refusals are among the last " (kept) " requests and deliveries. "
            @if left_out > 0 { (number(left_out)) " entries of any kind were left out so far, because they came faster than they are kept. " }
            a href="/live?state=refused" { "Show them one by one" }
        }
        div.scroll #refused data-refresh="5" role="group" aria-label="Refusals" tabindex="0" {
            table.stack.rows {
                thead { tr {
                    th scope="col" { "Reason" }
                    th scope="col" { "Route" }
                    th.number scope="col" { "Number" }
                    th scope="col" { "Latest" }
                    th scope="col" { "Clients" }
                    th scope="col" { "Likely cause, and what to do" }
                } }
                tbody { @for (key, group) in sorted.iter().take(MOST_GROUPS) { (row(key, group)) } }
            }
        }
        (self::capturing(capturing))
    }
}

/// The routes whose refused requests are kept.
fn capturing(routes: &BTreeSet<String>) -> Markup {
    html! {
        p.detail {
            @if routes.is_empty() {
                "No route keeps the head and the content of its refused requests. With " code { "capture = true" } ", a route does."
            } @else {
                "Head and content of refused requests are kept on these routes (" code { "capture = true" } "): "
                @for route in routes.iter().take(MOST_ROUTES) { code { (text::beginning(route, 120)) } " " }
                @if routes.len() > MOST_ROUTES { "and others" }
            }
        }
    }
}

fn groups(entries: &[Numbered]) -> BTreeMap<GroupKey<'_>, Group<'_>> {
    let mut groups: BTreeMap<GroupKey<'_>, Group<'_>> = BTreeMap::new();
    for entry in entries {
        let Some(record) = entry.entry.request() else { continue };
        let cause = entry.entry.cause();
        let is_forwarded = !record.refused;
        let reason = record.reason.or(record.observed);
        let key =
            (reason, cause.map(|cause| cause.label), record.route_path().unwrap_or_default(), is_forwarded);
        let group = groups.entry(key).or_insert_with(|| Group {
            count: 0,
            latest: entry,
            cause,
            clients: BTreeSet::new(),
        });
        group.count = group.count.saturating_add(1);
        if group.clients.len() <= MOST_CLIENTS {
            group.clients.insert(record.client.to_string());
        }
    }
    groups
}

fn row(key: &GroupKey<'_>, group: &Group<'_>) -> Markup {
    let (reason, _, route, is_forwarded) = *key;
    let word = reason.map_or("malformed", Reason::as_str);
    let asked = Asked {
        state: if is_forwarded { "observed" } else { "refused" }.to_owned(),
        route: route.to_owned(),
        reason: reason.map(Reason::as_str).unwrap_or_default().to_owned(),
        ..Asked::default()
    };
    html! {
        tr {
            th scope="row" data-label="Reason" {
                a href=(asked.url("/live", &[])) { code { (word) } }
                @if is_forwarded { " " span.badge { "forwarded: the route observes" } }
                div.detail { (reason.map_or("The request was not valid HTTP.", meaning)) }
            }
            td data-label="Route" { @if route.is_empty() { "–" } @else { code { (text::beginning(route, 120)) } } }
            td.number data-label="Number" { (number(group.count)) }
            td data-label="Latest" {
                a href={ "/requests/" (group.latest.number) } { (time(&written(Time::of(group.latest.entry.at)))) }
            }
            td data-label="Clients" {
                @for client in group.clients.iter().take(MOST_CLIENTS) { (text::line(client)) " " }
                @if group.clients.len() > MOST_CLIENTS { "and others" }
            }
            td data-label="Likely cause, and what to do" { (explained(reason, group)) }
        }
    }
}

fn explained(reason: Option<Reason>, group: &Group<'_>) -> Markup {
    let detail = group.latest.entry.request().and_then(|record| record.detail.as_deref());
    html! {
        @if let Some(cause) = group.cause {
            strong { (text::sentence(&cause.detail, 600)) }
            div { (text::sentence(&cause.advice, 600)) }
        } @else {
            @if let Some(detail) = detail { div.detail { (text::sentence(detail, 600)) } }
            div { (text::sentence(reason.map_or("Compare what the client sends with RFC 9112. Scanners send such requests, too.", to_do), 600)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::console::sample::{cause, recent, record};
    use crate::telemetry::recent::filter::{Filter, State};
    use crate::telemetry::record::RequestId;

    #[test]
    fn equal_refusals_are_one_row_with_the_cause_and_what_to_do() {
        let mut records: Vec<_> = (0..10).map(|number| record(number, "/a")).collect();
        let mut missing = record(11, "/a");
        missing.reason = Some(Reason::NoRoute);
        missing.route = None;
        records.push(missing);
        let recent = recent(records);
        recent.explain(RequestId(9), cause());
        let filter = Filter { state: Some(State::Refused), ..Filter::default() };
        let entries = recent.page(&filter, None, 99).entries;
        let page = body(&entries, 1000, 0, &BTreeSet::from(["/a/<b>".to_owned()])).into_string();
        for want in [
            "<strong>6</strong> refusals",
            "the content was &lt;b&gt;re-encoded",
            "turn it off",
            "<code>/a/&lt;b&gt;</code>",
            "Compare the secret",
            "No route has the path.",
            "href=\"/live?state=refused&amp;route=%2Fa&amp;reason=signature_mismatch\"",
            "href=\"/requests/10\"",
        ] {
            assert!(page.contains(want), "{want} in {page}");
        }
        assert_eq!(page.matches("<tr>").count(), 4, "a head, and three groups: {page}");
    }

    #[test]
    fn an_empty_page_says_what_would_be_here() {
        assert!(body(&[], 1000, 0, &BTreeSet::new()).into_string().contains("hookgate send --forge"));
    }
}
