//! Pure. The page *Queue*: what waits for each upstream, and the stored events.

use maud::{Markup, html};

use crate::admin::api::filter::Asked as Filter;
use crate::admin::console::documents::{Counted, Destination, Event, EventList, Overview};
use crate::admin::console::filter_form;
use crate::admin::console::frame::{
    Access, arguments, command, duration, events, failure, may_not, nothing, number, outcome, route, size,
    state, time,
};
use crate::admin::console::place::url;
use crate::admin::console::text;

/// The values of the page.
#[derive(Debug)]
pub(crate) struct Queue<'q> {
    pub(crate) overview: &'q Overview,
    pub(crate) filter: &'q Filter,
    /// The events, and how many match. Or the reason why the filter is not understood.
    pub(crate) list: Result<(&'q EventList, Counted), &'q str>,
    /// Whether the list begins at the latest event.
    pub(crate) is_first: bool,
    pub(crate) access: Access,
}

impl Queue<'_> {
    /// The page.
    pub(crate) fn body(&self) -> Markup {
        let routes: Vec<_> = self.overview.upstreams.iter().map(|upstream| &upstream.route).collect();
        html! {
            (store(self.overview))
            section aria-labelledby="by-route" {
                h2 #by-route { "By route" }
                @if self.overview.upstreams.is_empty() {
                    (nothing("No route stores events.", &html! {
                        "Write " code { "delivery = \"queue\"" } " or " code { "delivery = \"fallback\"" }
                        " into a route, and reload the gateway."
                    }))
                } @else {
                    (destinations(&self.overview.upstreams, self.access))
                    (may_not(self.access, "pause routes, send events again or discard them"))
                }
            }
            section aria-labelledby="events" {
                h2 #events { "Events" }
                (filter_form::form("/queue", self.filter, &routes))
                @match self.list {
                    Err(why) => (failure(why)),
                    Ok((list, counted)) => (self.list(list, counted)),
                }
            }
        }
    }

    fn list(&self, list: &EventList, counted: Counted) -> Markup {
        html! {
            @if list.events.is_empty() && self.is_first && list.next.is_none() {
                (self.empty())
            } @else if list.events.is_empty() && list.next.is_some() {
                p.notice { "None of the events that were looked at so far matches." }
                (pager(self.filter, self.is_first, list.next.as_deref()))
            } @else {
                p.count { strong { (events(counted.count, counted.is_capped)) } @if !self.filter.is_empty() { " match" } }
                (table(&list.events))
                (pager(self.filter, self.is_first, list.next.as_deref()))
                @if counted.count > 0 { (self.actions()) }
            }
        }
    }

    fn empty(&self) -> Markup {
        if self.filter.is_empty() {
            return nothing(
                "No event is stored.",
                &html! {
                    "Events of routes with " code { "delivery = \"queue\"" } " appear here. "
                    code { "hookgate send" } " sends a signed test event."
                },
            );
        }
        nothing("No event matches.", &html! { a href="/queue" { "Show all events" } })
    }

    fn actions(&self) -> Markup {
        let selection = arguments(self.filter);
        let selection = if selection.is_empty() { " --since 30d".to_owned() } else { selection };
        html! {
            @if self.access.may_change() {
                p.actions {
                    a.button href=(url("/replay", self.filter, &[])) { "Send all of them again…" }
                    " "
                    a.button.quiet href=(url("/discard", self.filter, &[])) { "Discard all of them…" }
                }
            }
            (command("list-command", "As a command", &format!("hookgate events list{selection}")))
        }
    }
}

fn store(overview: &Overview) -> Markup {
    html! {
        p #store data-refresh="5" {
            @match overview.store.as_str() {
                "well" => "The store takes events. ",
                "full" => { strong.bad { "The store is full: senders get 503. " } "Discard dead letters, or give it more room (max_bytes, or the disk). " },
                "failing" => { strong.bad { "The store fails: senders get 503. " } "The gateway's log says why. " },
                _ => {}
            }
            "It has " (size(overview.bytes)) " on disk."
        }
    }
}

/// The deliveries to each upstream, with the forms that pause and resume.
fn destinations(upstreams: &[Destination], access: Access) -> Markup {
    html! {
        div.scroll #destinations data-refresh="5" role="group" aria-labelledby="by-route" tabindex="0" {
            table.stack {
                thead { tr {
                    th scope="col" { "Route" }
                    th scope="col" { "Upstream" }
                    th.number scope="col" { "Waiting" }
                    th.number scope="col" { "Under way" }
                    th scope="col" { "Oldest waits for" }
                    th.number scope="col" { "Dead" }
                    th scope="col" { "Deliveries" }
                    @if access.may_change() { th scope="col" { "Change" } }
                } }
                tbody { @for upstream in upstreams { (destination(upstream, access)) } }
            }
        }
    }
}

fn destination(to: &Destination, access: Access) -> Markup {
    let of = |state: &str| {
        let filter = Filter {
            state: Some(state.to_owned()),
            route: Some(to.route.path.clone()),
            model: to.route.model.clone(),
            ..Filter::default()
        };
        url("/queue", &filter, &[])
    };
    html! {
        tr {
            th scope="row" data-label="Route" { (route(&to.route)) }
            td data-label="Upstream" { (text::beginning(&to.upstream, 120)) }
            td.number data-label="Waiting" {
                @if to.queued > 0 { a href=(of("queued")) { (number(to.queued)) } } @else { "0" }
            }
            td.number data-label="Under way" { (number(to.delivering)) }
            td data-label="Oldest waits for" {
                @if let Some(oldest) = &to.oldest {
                    span title=(oldest) { (duration(to.oldest_seconds)) }
                    @if let Some(seconds) = to.seconds_to_empty {
                        span.detail { " empty in about " (duration(seconds)) }
                    }
                } @else { "–" }
            }
            td.number data-label="Dead" {
                @if to.dead > 0 { a.bad href=(of("dead")) { (number(to.dead)) } } @else { "0" }
            }
            td data-label="Deliveries" { (flow(to)) }
            @if access.may_change() { td data-label="Change" { (switch(to)) } }
        }
    }
}

/// Whether deliveries run, and what stops them.
fn flow(to: &Destination) -> Markup {
    html! {
        @if to.held.as_deref() == Some("route_removed") {
            span.state.bad { "route removed" }
            span.detail { " the events wait until the configuration has the route again" }
        } @else if to.paused {
            span.state.waits { "paused" }
        } @else if to.circuit == "open" {
            span.state.bad { "circuit open" }
            span.detail { " five different events failed in a row: one is tried at a time" }
            @if let Some(failure) = &to.last_failure { div.detail { (text::beginning(failure, 300)) } }
        } @else {
            span.state.good { "running" }
        }
    }
}

fn switch(to: &Destination) -> Markup {
    let (action, verb) = if to.paused { ("/resume", "Resume") } else { ("/pause", "Pause") };
    html! {
        @if to.upstream == "main" && to.held.as_deref() != Some("route_removed") {
            form method="post" action=(action) {
                input type="hidden" name="route" value=(to.route.path);
                @if let Some(model) = &to.route.model { input type="hidden" name="model" value=(model); }
                input type="hidden" name="back" value="/queue";
                button { (verb) span.hidden { " " (text::line(&to.route.path)) } }
            }
        }
    }
}

/// A table of events, the latest first.
pub(crate) fn table(list: &[Event]) -> Markup {
    html! {
        div.scroll role="group" aria-labelledby="events" tabindex="0" {
            table.stack.rows {
                thead { tr {
                    th scope="col" { "Received" }
                    th scope="col" { "Event" }
                    th scope="col" { "Route" }
                    th scope="col" { "State" }
                    th.number scope="col" { "Attempts" }
                    th scope="col" { "Last result" }
                    th.number scope="col" { "Size" }
                } }
                tbody { @for event in list { (row(event)) } }
            }
        }
    }
}

fn row(event: &Event) -> Markup {
    let attempts = event.deliveries.iter().fold(0_u64, |sum, delivery| sum.saturating_add(delivery.attempts));
    let lasts = event.deliveries.iter().filter_map(|delivery| delivery.last.as_ref());
    let last = lasts.max_by(|a, b| a.at.cmp(&b.at));
    html! {
        tr {
            td data-label="Received" { (time(&event.received)) }
            th scope="row" data-label="Event" {
                a.id href={ "/events/" (event.id) } { (event.id) }
                @if let Some(model) = event.model.as_ref().filter(|model| event.route.model.as_ref() != Some(*model)) { " " span.badge { (text::beginning(model, 60)) } }
            }
            td data-label="Route" { (route(&event.route)) }
            td data-label="State" { (state(&event.state, event.held.as_deref(), event.cause.as_deref())) }
            td.number data-label="Attempts" { (number(attempts)) }
            td data-label="Last result" {
                @if let Some(last) = last { (text::beginning(&outcome(last), 60)) } @else { "–" }
            }
            td.number data-label="Size" { (size(event.length)) }
        }
    }
}

/// The links to the first and the next page.
fn pager(filter: &Filter, is_first: bool, next: Option<&str>) -> Markup {
    html! {
        @if !is_first || next.is_some() {
            nav.pager aria-label="Pages of the list" {
                @if !is_first { a href=(url("/queue", filter, &[])) { "Latest" } }
                @if let Some(next) = next {
                    a rel="next" href=(url("/queue", filter, &[("before", next)])) { "Earlier" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admin::console::documents::read;

    fn overview() -> Overview {
        let upstream = |path: &str, paused: bool, held: Option<&str>, circuit: &str| {
            json!({
                "route": { "path": path, "model": null }, "upstream": "main", "queued": 12_345, "delivering": 1,
                "delivered": 0, "dead": 2, "bytes": 0, "oldest": "2026-11-30T12:00:00.000Z", "oldest_seconds": 3661,
                "held": held, "paused": paused, "circuit": circuit, "seconds_to_empty": 90,
            })
        };
        let upstreams = json!([
            upstream("/a", false, None, "closed"),
            upstream("/paused", true, Some("paused"), "closed"),
            upstream("/gone", false, Some("route_removed"), "closed"),
            upstream("/down", false, None, "open"),
        ]);
        read(json!({ "now": "", "store": "well", "bytes": 4096, "paused": [], "upstreams": upstreams }))
            .unwrap()
    }

    fn event(id: &str, route: &str) -> serde_json::Value {
        json!({
            "id": id, "received": "2026-11-30T12:00:00.000Z", "route": { "path": route, "model": null },
            "state": "dead", "held": null, "cause": "refused", "model": "leads", "scheme": "propify",
            "secret": "current", "client": "192.0.2.1", "method": "POST", "target": "/a", "length": 162,
            "sha256": "00", "order": null,
            "deliveries": [{
                "id": 1, "upstream": "main", "state": "dead", "held": null, "cause": "refused", "kind": "new",
                "due": null, "attempts": 3, "ended": null,
                "last": { "at": "2026-11-30T12:00:01.000Z", "took_ms": 3, "outcome": "refused", "status": 500, "detail": null },
            }],
        })
    }

    fn page(filter: &Filter, list: Result<(&EventList, Counted), &str>, access: Access) -> String {
        let overview = overview();
        Queue { overview: &overview, filter, list, is_first: true, access }.body().into_string()
    }

    fn one() -> EventList {
        read(json!({ "events": [event("019ac7f2-5c00-7000-8000-000000000001", "/a")], "next": "x" })).unwrap()
    }

    #[test]
    fn each_route_says_what_waits_and_what_stops_it() {
        let list = one();
        let page = page(&Filter::default(), Ok((&list, Counted::default())), Access::Operate);
        for want in [
            "12,345",
            "1 h 1 min",
            "empty in about 1 min 30 s",
            "running",
            "paused",
            "route removed",
            "circuit open",
            "href=\"/queue?state=dead&amp;route=%2Fdown\"",
            "action=\"/pause\"",
            "action=\"/resume\"",
            "answer 500",
            "/events/019ac7f2-5c00-7000-8000-000000000001",
        ] {
            assert!(page.contains(want), "{want} in {page}");
        }
        assert_eq!(page.matches("action=\"/resume\"").count(), 1);
        assert_eq!(page.matches("action=\"/pause\"").count(), 2, "a removed route cannot be paused");
    }

    #[test]
    fn nobody_who_may_only_read_is_offered_a_change() {
        let list = one();
        let counted = Counted { count: 1, is_capped: false };
        for access in [Access::ReadRole, Access::ReadOnly] {
            let page = page(&Filter::default(), Ok((&list, counted)), access);
            assert!(
                !page.contains("method=\"post\"") && !page.contains("/replay") && !page.contains("/discard"),
                "{page}"
            );
        }
    }

    #[test]
    fn the_filter_goes_into_the_pages_and_into_the_actions() {
        let filter =
            Filter { state: Some("dead".to_owned()), route: Some("/a b".to_owned()), ..Filter::default() };
        let list = one();
        let page = page(&filter, Ok((&list, Counted { count: 10_000, is_capped: true })), Access::Operate);
        for want in [
            "10,000+ events",
            "href=\"/queue?state=dead&amp;route=%2Fa+b&amp;before=x\"",
            "href=\"/replay?state=dead&amp;route=%2Fa+b\"",
            "href=\"/discard?state=dead&amp;route=%2Fa+b\"",
            "hookgate events list --state dead --route &#39;/a b&#39;",
        ] {
            assert!(page.replace("'", "&#39;").contains(want), "{want} in {page}");
        }
    }

    #[test]
    fn a_search_that_has_not_found_anything_yet_can_go_on() {
        let list: EventList = read(json!({ "events": [], "next": "x" })).unwrap();
        let filter = Filter { model: Some("leads".to_owned()), ..Filter::default() };
        let page = page(&filter, Ok((&list, Counted { count: 0, is_capped: true })), Access::Operate);
        assert!(page.contains("looked at so far") && page.contains("model=leads&amp;before=x"), "{page}");
        assert!(!page.contains("No event matches") && !page.contains("0+"), "{page}");
    }

    #[test]
    fn an_empty_list_says_what_to_do_and_an_error_leaves_the_page() {
        let none = EventList::default();
        let all = page(&Filter::default(), Ok((&none, Counted::default())), Access::Operate);
        assert!(all.contains("No event is stored.") && all.contains("hookgate send"), "{all}");
        let filter = Filter { state: Some("dead".to_owned()), ..Filter::default() };
        assert!(
            page(&filter, Ok((&none, Counted::default())), Access::Operate).contains("No event matches.")
        );
        let wrong = page(&filter, Err("`since` is no time: `<x>`"), Access::Operate);
        assert!(wrong.contains("role=\"alert\"") && wrong.contains("&lt;x&gt;"), "{wrong}");
        assert!(wrong.contains("By route") && wrong.contains("role=\"search\""));
    }

    #[test]
    fn names_that_others_have_chosen_are_only_text() {
        let list: EventList =
            read(json!({ "events": [event("019ac7f2-5c00-7000-8000-000000000001", "/<script>\u{202e}")], "next": null })).unwrap();
        let page = page(&Filter::default(), Ok((&list, Counted::default())), Access::Operate);
        assert!(!page.contains("<script>") && page.contains("U+202E"), "{page}");
    }
}
