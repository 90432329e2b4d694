//! Pure. The page *Dead*: dead letters, grouped by route and failure, so that ten thousand equal failures are one row.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::admin::api::filter::{Asked as Filter, written};
use crate::admin::console::documents::Route;
use crate::admin::console::frame::{
    Access, arguments, capped, command, events, nothing, number, route, time,
};
use crate::admin::console::place::url;
use crate::admin::console::text;
use crate::queue::event::Attempt;
use crate::queue::id::EventId;
use crate::queue::store::{DeadCause, DeliverySummary, State, Summary};
use crate::queue::time::Time;

/// The most groups on a page. An app that answers with many status codes makes many groups.
const MOST_GROUPS: usize = 200;

/// Equal failures of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    count: u64,
    first: Time,
    last: Time,
    /// The event that was received last.
    example: EventId,
    /// Why its last attempt failed, for people.
    detail: Option<String>,
}

/// The groups of dead letters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<(Route, String), Group>,
    events: u64,
    /// Whether there are further dead letters that were not read.
    pub(crate) is_capped: bool,
}

impl Groups {
    /// Adds an event, the latest first. Each failure of the event is counted once.
    pub(crate) fn add(&mut self, event: &Summary) {
        let mut counted: Vec<String> = Vec::new();
        for delivery in &event.deliveries {
            let Some(failure) = failure(delivery) else { continue };
            if counted.contains(&failure) {
                continue;
            }
            counted.push(failure.clone());
            let name = &event.info.route;
            let route =
                Route { path: name.path.to_string(), model: name.model.as_deref().map(str::to_owned) };
            let received = event.info.received;
            let group = self.groups.entry((route, failure)).or_insert_with(|| Group {
                count: 0,
                first: received,
                last: received,
                example: event.info.id,
                detail: delivery.last.as_ref().and_then(|last| last.detail.clone()),
            });
            group.count = group.count.saturating_add(1);
            group.first = group.first.min(received);
            group.last = group.last.max(received);
        }
        self.events = self.events.saturating_add(u64::from(!counted.is_empty()));
    }

    /// The page.
    pub(crate) fn body(&self, access: Access) -> Markup {
        if self.groups.is_empty() {
            return nothing(
                "There are no dead letters.",
                &html! {
                    "A dead letter is an event that the gateway has given up: the app answered no, or could not be reached for "
                    code { "max_age" } ". It would appear here, and could be sent again."
                },
            );
        }
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by(|(_, a), (_, b)| b.count.cmp(&a.count).then(b.last.cmp(&a.last)));
        let all = Filter { state: Some("dead".to_owned()), ..Filter::default() };
        html! {
            p.count {
                strong { (events(self.events, self.is_capped)) } " in " (number(u64::try_from(groups.len()).unwrap_or(u64::MAX)))
                @if groups.len() == 1 { " group" } @else { " groups" } " of equal failures. " a href=(url("/queue", &all, &[])) { "Show them one by one" }
            }
            @if self.is_capped { p.detail { "The groups count the latest " (number(self.events)) " dead letters." } }
            div.scroll role="region" aria-label="Dead letters" tabindex="0" {
                table.stack.rows {
                    thead { tr {
                        th scope="col" { "Failure" }
                        th scope="col" { "Route" }
                        th.number scope="col" { "Events" }
                        th scope="col" { "Received" }
                        th scope="col" { "Latest" }
                        @if access.may_change() { th scope="col" { "Change" } }
                    } }
                    tbody {
                        @for ((route, failure), group) in groups.iter().take(MOST_GROUPS) { (row(route, failure, group, self.is_capped, access)) }
                    }
                }
            }
            @if groups.len() > MOST_GROUPS { p.detail { "The largest " (number(200)) " groups are shown." } }
            @if access.may_change() {
                p.actions {
                    a.button href=(url("/replay", &all, &[])) { "Send all dead letters again…" }
                    " "
                    a.button.quiet href=(url("/discard", &all, &[])) { "Discard all dead letters…" }
                }
            }
            (command("dead-command", "As a command", &format!("hookgate events list{}", arguments(&all))))
        }
    }
}

fn row(of: &Route, failure: &str, group: &Group, is_capped: bool, access: Access) -> Markup {
    let filter = Filter {
        state: Some("dead".to_owned()),
        route: Some(of.path.clone()),
        model: of.model.clone(),
        failure: Some(failure.to_owned()),
        ..Filter::default()
    };
    let example = group.example.to_string();
    html! {
        tr {
            th scope="row" data-label="Failure" {
                a href=(url("/queue", &filter, &[])) { (words(failure)) }
                @if let Some(detail) = &group.detail { div.detail { (text::beginning(detail, 160)) } }
            }
            td data-label="Route" { (route(of)) }
            td.number data-label="Events" { (capped(group.count, is_capped)) }
            td data-label="Received" {
                (time(&written(group.first)))
                @if group.first != group.last { " to " (time(&written(group.last))) }
            }
            td data-label="Latest" { a.id href={ "/events/" (example) } { (example) } }
            @if access.may_change() {
                td data-label="Change" {
                    a href=(url("/replay", &filter, &[])) { "Send again…" }
                    " "
                    a href=(url("/discard", &filter, &[])) { "Discard…" }
                }
            }
        }
    }
}

/// The failure of a dead delivery, as the filter `failure` has it. `None` if the delivery is not dead.
fn failure(delivery: &DeliverySummary) -> Option<String> {
    let State::Dead(cause) = delivery.state else { return None };
    Some(match (cause, &delivery.last) {
        (DeadCause::Damaged, _) | (DeadCause::Refused | DeadCause::Undeliverable, None) => {
            cause.as_str().to_owned()
        }
        (DeadCause::Refused | DeadCause::Undeliverable, Some(Attempt { status: Some(status), .. })) => {
            status.to_string()
        }
        (DeadCause::Refused | DeadCause::Undeliverable, Some(Attempt { outcome, .. })) => {
            outcome.as_str().to_owned()
        }
    })
}

/// A failure in words.
fn words(failure: &str) -> String {
    match failure {
        "unreachable" => "no connection to the app".to_owned(),
        "failed" => "the app broke off the exchange".to_owned(),
        "timed_out" => "the app did not answer in time".to_owned(),
        "damaged" => "the stored record is damaged".to_owned(),
        status if status.bytes().all(|byte| byte.is_ascii_digit()) => format!("the app answered {status}"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::queue::event::{AttemptOutcome, EventInfo, RouteName, Upstream};
    use crate::queue::store::{Class, DeliveryId};

    fn delivery(cause: DeadCause, last: Option<(AttemptOutcome, Option<u16>)>) -> DeliverySummary {
        let attempt = |(outcome, status)| Attempt {
            at: Time::from_millis(5),
            took: Duration::ZERO,
            outcome,
            status,
            response: Vec::new(),
            detail: Some("why <b>".to_owned()),
        };
        DeliverySummary {
            id: DeliveryId(1),
            upstream: Upstream::Main,
            state: State::Dead(cause),
            class: Class::New,
            due: Time::default(),
            attempts: 1,
            order: None,
            ended: None,
            last: last.map(attempt),
        }
    }

    fn event(number: u8, path: &str, deliveries: Vec<DeliverySummary>) -> Summary {
        let info = EventInfo {
            id: EventId::from_bytes([number; 16]),
            received: Time::from_millis(u64::from(number) * 1000),
            route: RouteName { path: path.into(), model: None },
            scheme: "propify".to_owned(),
            secret: "current".into(),
            model: None,
            client: "192.0.2.1".to_owned(),
            method: "POST".to_owned(),
            target: Vec::new(),
            digest: [0; 32],
            order: None,
            duplicate: None,
        };
        Summary { info, length: 0, deliveries }
    }

    #[test]
    fn equal_failures_are_one_row() {
        let mut groups = Groups::default();
        let answer = |status| delivery(DeadCause::Refused, Some((AttemptOutcome::Refused, Some(status))));
        for number in (0..250).rev() {
            groups.add(&event(number, "/a", vec![answer(500)]));
        }
        groups.add(&event(1, "/a", vec![answer(410)]));
        groups.add(&event(2, "/b", vec![answer(500), answer(500)]));
        let unreachable = delivery(DeadCause::Undeliverable, Some((AttemptOutcome::Unreachable, None)));
        groups.add(&event(3, "/a", vec![unreachable, delivery(DeadCause::Damaged, None)]));
        groups.add(&event(4, "/a", vec![DeliverySummary { state: State::Queued, ..answer(500) }]));
        let page = groups.body(Access::Operate).into_string();
        for want in [
            "253 events</strong> in 5 groups",
            "the app answered 500",
            "the app answered 410",
            "no connection to the app",
            "the stored record is damaged",
            "why &lt;b&gt;",
            "href=\"/replay?state=dead&amp;failure=500&amp;route=%2Fa\"",
            "href=\"/discard?state=dead&amp;failure=unreachable&amp;route=%2Fa\"",
            "1970-01-01T00:04:09.000Z",
        ] {
            assert!(page.contains(want), "{want} in {page}");
        }
        assert_eq!(page.matches("<tr>").count(), 6, "a head and five rows");
        assert!(page.find(">250<").unwrap() < page.find("answered 410").unwrap(), "the largest first");
        assert!(!groups.body(Access::ReadRole).into_string().contains("/replay?"));
    }

    #[test]
    fn counts_of_a_part_say_so_and_an_empty_page_says_what_would_appear() {
        let mut groups = Groups::default();
        assert!(groups.body(Access::Operate).into_string().contains("There are no dead letters."));
        groups.add(&event(1, "/a", vec![delivery(DeadCause::Damaged, None)]));
        groups.is_capped = true;
        let page = groups.body(Access::Operate).into_string();
        assert!(page.contains("1+ events") && page.contains("latest 1 dead letters"), "{page}");
    }
}
