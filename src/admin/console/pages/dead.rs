//! Pure. The page *Dead*: dead letters, grouped by route and failure, so that ten thousand equal failures are
//! one row.

use maud::{Markup, html};

use crate::admin::api::filter::{Asked as Filter, written};
use crate::admin::console::dead_groups::{Counted, Group, Progress};
use crate::admin::console::documents::Route;
use crate::admin::console::frame::{
    Access, arguments, command, events, may_not, nothing, number, route, time,
};
use crate::admin::console::place::url;
use crate::admin::console::text::{self, Lines};
use crate::queue::time::Time;

/// The most groups on a page. An app that answers with many status codes makes many groups.
const MOST_GROUPS: usize = 200;

/// The values of the page.
#[derive(Debug)]
pub(crate) struct Dead<'d> {
    pub(crate) counted: &'d Counted,
    /// The number of dead deliveries, from the counters of the store.
    pub(crate) all: u64,
    pub(crate) access: Access,
}

impl Dead<'_> {
    /// The page.
    pub(crate) fn body(&self) -> Markup {
        // Each load of the page continues a long count. A complete count of few dead letters is quick.
        let refresh = match self.counted.progress {
            Progress::Part => "1",
            Progress::Whole | Progress::Kept => "10",
        };
        html! { div #dead data-refresh=(refresh) { (self.groups()) } }
    }

    fn groups(&self) -> Markup {
        let counted = &self.counted.groups;
        if counted.is_empty() && self.counted.progress != Progress::Part {
            return nothing(
                "There are no dead letters.",
                &html! {
                    "A dead letter is an event that the gateway has given up: the app answered no, or could not be reached for "
                    code { "max_age" } ". It would appear here, and could be sent again."
                },
            );
        }
        let groups = counted.largest();
        let of_groups = if groups.len() == 1 { "group" } else { "groups" };
        let all = Filter { state: Some("dead".to_owned()), ..Filter::default() };
        html! {
            p.count {
                strong { (events(counted.events(), false)) } " in " (number(count_of(groups.len()))) " " (of_groups) " of equal failures"
                (self.progress())
                a href=(url("/queue", &all, &[])) { "Show them one by one" }
            }
            div.scroll role="group" aria-label="Dead letters" tabindex="0" {
                table.stack.rows {
                    thead { tr {
                        th scope="col" { "Failure" }
                        th scope="col" { "Route" }
                        th.number scope="col" { "Events" }
                        th scope="col" { "Received" }
                        th scope="col" { "Latest" }
                        @if self.access.may_change() { th scope="col" { "Change" } }
                    } }
                    tbody {
                        @for (route, failure, group) in groups.iter().take(MOST_GROUPS) { (row(route, failure, group, self.access)) }
                    }
                }
            }
            @if groups.len() > MOST_GROUPS { p.detail { "The largest " (MOST_GROUPS) " groups are shown." } }
            @if counted.in_further_groups() > 0 {
                p.detail { (events(counted.in_further_groups(), false)) " are in further groups, which are not counted separately." }
            }
            @if self.access.may_change() {
                p.actions {
                    a.button href=(url("/replay", &all, &[])) { "Send all dead letters again…" }
                    " "
                    a.button.quiet href=(url("/discard", &all, &[])) { "Discard all dead letters…" }
                }
            }
            (may_not(self.access, "send events again or discard them"))
            (command("dead-command", "As a command", &format!("hookgate events list{}", arguments(&all))))
        }
    }

    /// How far the count is, unless it has just ended.
    fn progress(&self) -> Markup {
        match self.counted.progress {
            Progress::Whole => html! { ". " },
            Progress::Kept => html! { ", counted at " (time(&written(self.counted.at))) ". " },
            Progress::Part => html! {
                " so far, the latest first, of about " (number(self.all)) ". The count goes on when this page is loaded again. "
            },
        }
    }
}

fn count_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn row(of: &Route, failure: &str, group: &Group, access: Access) -> Markup {
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
                @if !group.answer.is_empty() { div.detail.answer { (text::bytes(&group.answer, Lines::One)) } }
            }
            td data-label="Route" { (route(of)) }
            td.number data-label="Events" { (number(group.count)) }
            td data-label="Received" { (received(group.first, group.latest)) }
            td data-label="Latest" { a.id href={ "/events/" (example) } { (example) } }
            @if access.may_change() {
                td data-label="Change" {
                    // Text for screen readers distinguishes links with the same visible text.
                    @let group = html! { span.hidden { " " (words(failure)) ", " (text::line(&of.path)) } };
                    a.nowrap href=(url("/replay", &filter, &[])) { "Send again…" (group) }
                    " "
                    a.nowrap href=(url("/discard", &filter, &[])) { "Discard…" (group) }
                }
            }
        }
    }
}

fn received(first: Time, latest: Time) -> Markup {
    html! { (time(&written(first))) @if first != latest { " to " (time(&written(latest))) } }
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
    use crate::admin::console::dead_groups::DeadGroups;
    use crate::queue::event::{Attempt, AttemptOutcome, RouteName};
    use crate::queue::id::EventId;
    use crate::queue::store::{DeadCause, DeadGroup, DeadPart};

    fn group(
        path: &str,
        events: u64,
        cause: DeadCause,
        last: Option<(AttemptOutcome, Option<u16>)>,
    ) -> DeadGroup {
        let attempt = |(outcome, status)| Attempt {
            at: Time::from_millis(5),
            took: Duration::ZERO,
            outcome,
            status,
            response: b"the <database> is locked".to_vec(),
            detail: Some("why <b>".to_owned()),
        };
        DeadGroup {
            route: RouteName { path: path.into(), model: None },
            cause,
            last: last.map(attempt),
            example: EventId::from_bytes([7; 16]),
            events,
            first: Time::from_millis(1000),
            latest: Time::from_millis(249_000),
        }
    }

    fn part(groups: Vec<DeadGroup>, next: Option<i64>) -> DeadPart {
        let events = groups.iter().map(|group| group.events).sum();
        DeadPart { groups, events, next }
    }

    fn counted(parts: Vec<DeadPart>) -> Counted {
        let mut groups = DeadGroups::default();
        let mut next = None;
        for part in parts {
            next = part.next;
            groups.add(part, |path| path == "/hidden");
        }
        let progress = if next.is_some() { Progress::Part } else { Progress::Whole };
        Counted { groups: groups.into(), at: Time::default(), progress }
    }

    fn page(counted: &Counted, access: Access) -> String {
        Dead { counted, all: 1_000_000, access }.body().into_string()
    }

    const ANSWER: fn(u16) -> Option<(AttemptOutcome, Option<u16>)> =
        |status| Some((AttemptOutcome::Refused, Some(status)));

    #[test]
    fn equal_failures_are_one_row() {
        let first = part(
            vec![
                group("/a", 1, DeadCause::Undeliverable, Some((AttemptOutcome::Unreachable, None))),
                group("/a", 10_000, DeadCause::Refused, ANSWER(500)),
                group("/a", 1, DeadCause::Damaged, None),
            ],
            Some(5),
        );
        let second = part(
            vec![
                group("/a", 250, DeadCause::Refused, ANSWER(500)),
                group("/hidden", 2, DeadCause::Refused, ANSWER(500)),
            ],
            None,
        );
        let counted = counted(vec![first, second]);
        let text = page(&counted, Access::Operate);
        for want in [
            "10,254 events</strong> in 4 groups of equal failures. <a",
            "the app answered 500",
            "no connection to the app",
            "the stored record is damaged",
            "why &lt;b&gt;",
            "the &lt;database&gt; is locked",
            ">10,250<",
            "href=\"/replay?state=dead&amp;failure=500&amp;route=%2Fa\"",
            "href=\"/discard?state=dead&amp;failure=unreachable&amp;route=%2Fa\"",
            "1970-01-01T00:04:09.000Z",
        ] {
            assert!(text.contains(want), "{want} in {text}");
        }
        assert_eq!(text.matches("<tr>").count(), 5, "a head and four rows");
        assert_eq!(text.matches("is locked").count(), 2, "the answer for a hidden route is not shown");
        assert!(text.find(">10,250<").unwrap() < text.find("answered 500</a></th>").unwrap_or(usize::MAX));
        let read = page(&counted, Access::ReadRole);
        assert!(!read.contains("/replay?") && read.contains("has the role"), "{read}");
    }

    #[test]
    fn a_count_that_goes_on_says_so_and_an_empty_page_says_what_would_appear() {
        let none = counted(Vec::new());
        assert!(page(&none, Access::Operate).contains("There are no dead letters."));
        let mut some = counted(vec![part(vec![group("/a", 5_000, DeadCause::Damaged, None)], Some(9))]);
        let text = page(&some, Access::Operate);
        assert!(text.contains("5,000 events") && text.contains("of about 1,000,000"), "{text}");
        assert!(text.contains("data-refresh=\"1\""), "{text}");
        some.progress = Progress::Kept;
        let text = page(&some, Access::Operate);
        assert!(text.contains("counted at") && text.contains("data-refresh=\"10\""), "{text}");
    }
}
