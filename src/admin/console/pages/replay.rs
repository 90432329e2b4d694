//! Pure. The pages that send events again: the choice of the events with their number, the progress of one
//! replay, and the list of replays.

use maud::{Markup, html};

use crate::admin::api::filter::Asked as Filter;
use crate::admin::console::documents::{Counted, Replay, ReplayFilter, Route};
use crate::admin::console::filter_form;
use crate::admin::console::frame::{
    Access, arguments, capped, command, duration, events, failure, hidden_filter, may_not, nothing, number,
    time,
};
use crate::admin::console::place::url;
use crate::admin::console::text;

/// The action for which events are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The events are sent again.
    Replay,
    /// The events are removed.
    Discard,
}

impl Action {
    /// The page of the action, and where its form leads.
    const fn path(self) -> &'static str {
        match self {
            Self::Replay => "/replay",
            Self::Discard => "/discard",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }

    const fn introduction(self) -> &'static str {
        match self {
            Self::Replay => {
                "1. Choose the events. 2. Look at their number. 3. Choose a rate, and start. Events that come later are not sent again."
            }
            Self::Discard => "Discarding removes events permanently, with their content and all other data.",
        }
    }

    const fn of_all(self) -> &'static str {
        match self {
            Self::Replay => "This is every stored event, delivered ones too. Choose a filter first.",
            Self::Discard => "This is every stored event, waiting ones too. Choose a filter first.",
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Replay => "send events again",
            Self::Discard => "discard events",
        }
    }

    /// The fields and the button of the form.
    fn fields(self, counted: Counted) -> Markup {
        let number = events(counted.count, counted.is_capped);
        html! {
            div.fields {
                @match self {
                    Self::Replay => {
                        label { "Rate, in events a second "
                            input type="number" name="rate" value="50" min="1" max="1000" required;
                        }
                        button { "Send " (number) " again" }
                    },
                    Self::Discard => {
                        label { input type="checkbox" name="sure" value="yes" required; " I know that discarded events cannot be restored" }
                        button.danger { "Discard " (number) }
                    },
                }
            }
            @if self == Self::Discard && counted.is_capped { p.detail { "At most 10,000 are discarded at once." } }
        }
    }
}

/// The choice of the events of an action.
#[derive(Debug)]
pub(crate) struct Choice<'c> {
    /// The filter as it was asked for.
    pub(crate) filter: &'c Filter,
    /// The same filter with fixed times, and how many events match. Or the reason why there is no number.
    pub(crate) counted: Result<(&'c Filter, Counted), &'c str>,
    /// The routes of the gateway.
    pub(crate) routes: &'c [&'c Route],
    pub(crate) access: Access,
}

impl Choice<'_> {
    /// The page.
    pub(crate) fn body(&self, action: Action) -> Markup {
        // One event that a page has named is discarded without a filter.
        let has_form = action == Action::Replay || self.filter.ids.is_empty();
        html! {
            p { (action.introduction()) }
            @if has_form { (filter_form::form(action.path(), self.filter, self.routes)) }
            @match self.counted {
                Err(why) => (failure(why)),
                Ok((_, Counted { count: 0, is_capped: false })) => (self.none()),
                Ok((fixed, counted)) => (self.offer(action, fixed, counted)),
            }
        }
    }

    fn offer(&self, action: Action, fixed: &Filter, counted: Counted) -> Markup {
        let as_command = format!("hookgate events {}{}", action.verb(), arguments(fixed));
        html! {
            (self.count(counted))
            @if is_all(self.filter) {
                p.notice.warn { (action.of_all()) }
            } @else {
                @if self.access.may_change() {
                    form method="post" action=(action.path()) {
                        (self.hidden(fixed, counted, action.path()))
                        (action.fields(counted))
                    }
                }
                (may_not(self.access, action.what()))
                (command("action-command", "As a command", &as_command))
            }
        }
    }

    fn count(&self, counted: Counted) -> Markup {
        html! {
            p.count {
                strong { (events(counted.count, counted.is_capped)) } " match. "
                a href=(url("/queue", self.filter, &[])) { "Look at them" }
            }
        }
    }

    fn none(&self) -> Markup {
        nothing(
            "No event matches.",
            &html! { "Change the filter, or go to the " a href="/queue" { "stored events" } "." },
        )
    }

    /// What belongs to the action: the filter with fixed times, and the number that the person has seen. A
    /// reload or an event that comes meanwhile cannot widen it.
    fn hidden(&self, fixed: &Filter, counted: Counted, path: &str) -> Markup {
        html! {
            (hidden_filter(fixed))
            input type="hidden" name="count" value=(counted.count);
            @if counted.is_capped { input type="hidden" name="capped" value="yes"; }
            input type="hidden" name="back" value=(url(path, self.filter, &[]));
        }
    }
}

/// Whether a filter leaves out no event, except by the end of its time.
pub(crate) fn is_all(filter: &Filter) -> bool {
    Filter { until: None, ..filter.clone() }.is_empty()
}

/// The list of replays.
pub(crate) fn list(replays: &[Replay], access: Access) -> Markup {
    html! {
        @if access.may_change() { p.actions { a.button href="/replay?state=dead" { "Send dead letters again…" } } }
        (may_not(access, "send events again"))
        @if replays.is_empty() {
            (nothing("No replay was started.", &html! {
                "A replay sends stored events again. It is started from the " a href="/queue" { "stored events" } ", or with "
                code { "hookgate events replay" } "."
            }))
        } @else {
            div.scroll #replays data-refresh="5" role="group" aria-label="Replays" tabindex="0" {
                table.stack.rows {
                    thead { tr {
                        th scope="col" { "Started" }
                        th scope="col" { "Replay" }
                        th scope="col" { "Events" }
                        th scope="col" { "State" }
                        th.number scope="col" { "Sent again" }
                        th scope="col" { "By" }
                    } }
                    tbody {
                        @for replay in replays {
                            tr {
                                td data-label="Started" { (time(&replay.started)) }
                                th scope="row" data-label="Replay" { a.id href={ "/replays/" (replay.id) } { (replay.id) } }
                                td data-label="Events" { (filter(&replay.filter)) }
                                td data-label="State" { (progress_state(replay)) }
                                td.number data-label="Sent again" {
                                    (number(replay.replayed)) " of " (capped(replay.total, replay.total_is_capped))
                                }
                                td data-label="By" { (text::line(&replay.by)) }
                            }
                        }
                    }
                }
            }
            p.detail { "The store keeps the last 100 replays." }
        }
    }
}

/// One replay.
pub(crate) fn one(replay: &Replay, access: Access) -> Markup {
    let is_running = replay.state == "running";
    let left = replay.total.saturating_sub(replay.replayed.saturating_add(replay.gone));
    let refresh = is_running.then_some("2");
    html! {
        div #progress data-refresh=[refresh] {
            p { (progress_state(replay)) " · " (filter(&replay.filter)) }
            @if !replay.total_is_capped && replay.total > 0 {
                progress max=(replay.total) value=(replay.replayed.saturating_add(replay.gone)) aria-label="Progress" {}
            }
            dl.facts {
                dt { "Sent again" } dd { (number(replay.replayed)) " of " (capped(replay.total, replay.total_is_capped)) }
                @if replay.gone > 0 { dt { "Gone before their turn" } dd { (number(replay.gone)) } }
                dt { "Rate" } dd { (events(replay.rate.into(), false)) " a second" }
                @if is_running && !replay.total_is_capped {
                    dt { "Done in about" } dd { (duration(left.checked_div(replay.rate.into()).unwrap_or(0))) }
                }
                dt { "Started" } dd { (time(&replay.started)) " by " (text::line(&replay.by)) }
                @if let Some(ended) = &replay.ended { dt { "Ended" } dd { (time(ended)) } }
            }
            @if let Some(waits) = &replay.waits { p.notice.warn { "It does not get on: " (text::line(waits)) } }
            @if is_running && access.may_change() {
                form method="post" action={ "/replays/" (replay.id) "/cancel" } {
                    input type="hidden" name="back" value={ "/replays/" (replay.id) };
                    button.danger { "Cancel the replay" }
                }
            }
            @if is_running { (may_not(access, "cancel the replay")) }
            @if is_running { (command("cancel", "Cancel, as a command", &format!("hookgate events replays --cancel {}", replay.id))) }
        }
        p.detail { "Sent again means that a new delivery was made. The " a href=(of_replay(replay)) { "events" } " say how their deliveries end." }
    }
}

fn progress_state(replay: &Replay) -> Markup {
    let (mark, class) = match replay.state.as_str() {
        "running" => ("◐", "state waits"),
        "done" => ("✓", "state good"),
        _ => ("■", "state"),
    };
    html! { span class=(class) { span aria-hidden="true" { (mark) " " } (text::line(&replay.state)) } }
}

fn of_replay(replay: &Replay) -> String {
    let ReplayFilter { state: _, failure: _, route, model, since, until, ids, number_of_ids: _ } =
        &replay.filter;
    let filter = Filter {
        state: None,
        failure: None,
        route: route.clone(),
        since: since.clone(),
        until: until.clone(),
        model: model.clone(),
        ids: ids.clone().unwrap_or_default(),
    };
    url("/queue", &filter, &[])
}

/// The filter of a replay, in words.
fn filter(filter: &ReplayFilter) -> Markup {
    html! {
        @if filter.number_of_ids > 0 { (events(u64::try_from(filter.number_of_ids).unwrap_or(u64::MAX), false)) " " }
        @if let Some(state) = &filter.state { (text::line(state)) " " }
        @if let Some(failure) = &filter.failure { "(" (text::line(failure)) ") " }
        @if let Some(route) = &filter.route { code { (text::beginning(route, 200)) } " " }
        @if let Some(model) = &filter.model { span.badge { (text::beginning(model, 80)) } " " }
        @if let Some(since) = &filter.since { "since " (time(since)) " " }
        @if let Some(until) = &filter.until { "before " (time(until)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admin::console::documents::read;

    fn dead() -> Filter {
        Filter { state: Some("dead".to_owned()), since: Some("2h".to_owned()), ..Filter::default() }
    }

    fn fixed() -> Filter {
        Filter {
            since: Some("2026-11-30T10:00:00.000Z".to_owned()),
            until: Some("2026-11-30T12:00:00.001Z".to_owned()),
            ..dead()
        }
    }

    fn choice<'c>(
        filter: &'c Filter,
        counted: Result<(&'c Filter, Counted), &'c str>,
        access: Access,
    ) -> Choice<'c> {
        Choice { filter, counted, routes: &[], access }
    }

    #[test]
    fn the_action_has_the_filter_with_fixed_times_and_the_number_that_was_seen() {
        let (filter, fixed) = (dead(), fixed());
        let counted = Counted { count: 12, is_capped: false };
        for (page, action) in [
            (choice(&filter, Ok((&fixed, counted)), Access::Operate).body(Action::Replay), "/replay"),
            (choice(&filter, Ok((&fixed, counted)), Access::Operate).body(Action::Discard), "/discard"),
        ] {
            let page = page.into_string();
            let form = page.split_once(&format!("<form method=\"post\" action=\"{action}\">")).unwrap().1;
            for want in [
                "name=\"state\" value=\"dead\"",
                "name=\"since\" value=\"2026-11-30T10:00:00.000Z\"",
                "name=\"until\" value=\"2026-11-30T12:00:00.001Z\"",
                "name=\"count\" value=\"12\"",
                "12 events",
            ] {
                assert!(form.contains(want), "{want} in {form}");
            }
            assert!(
                form.contains(&format!("name=\"back\" value=\"{action}?state=dead&amp;since=2h\"")),
                "{form}"
            );
        }
    }

    #[test]
    fn every_event_at_once_is_neither_sent_again_nor_removed() {
        let all = Filter::default();
        let fixed = Filter { until: Some("2026-11-30T12:00:00.001Z".to_owned()), ..Filter::default() };
        let counted = Counted { count: 12, is_capped: false };
        let choice = choice(&all, Ok((&fixed, counted)), Access::Operate);
        for page in [choice.body(Action::Replay), choice.body(Action::Discard)] {
            let page = page.into_string();
            assert!(!page.contains("method=\"post\"") && page.contains("Choose a filter first"), "{page}");
        }
        assert!(is_all(&fixed) && !is_all(&dead()));
    }

    #[test]
    fn only_who_may_change_is_offered_it_and_an_error_leaves_the_form() {
        let (filter, fixed) = (dead(), fixed());
        let counted = Counted { count: 12, is_capped: true };
        let page =
            choice(&filter, Ok((&fixed, counted)), Access::ReadRole).body(Action::Replay).into_string();
        assert!(page.contains("12+ events") && !page.contains("method=\"post\""), "{page}");
        assert!(page.contains("has the role <code>read</code>"), "{page}");
        let wrong = choice(&filter, Err("<no>"), Access::Operate).body(Action::Discard).into_string();
        assert!(wrong.contains("&lt;no&gt;") && wrong.contains("role=\"search\""), "{wrong}");
        let none = choice(&filter, Ok((&fixed, Counted::default())), Access::Operate)
            .body(Action::Replay)
            .into_string();
        assert!(none.contains("No event matches.") && !none.contains("method=\"post\""), "{none}");
    }

    fn replay(state: &str) -> Value {
        json!({
            "id": "019ac7f2-5c00-7000-8000-000000000001", "state": state, "replayed": 40, "gone": 2, "total": 142,
            "total_is_capped": false, "rate": 50, "by": "ops", "started": "2026-11-30T12:00:00.000Z",
            "ended": null, "waits": null,
            "filter": { "state": "dead", "route": "/a", "model": null, "since": null, "until": null, "ids": [], "number_of_ids": 0 },
        })
    }

    #[test]
    fn a_running_replay_shows_its_progress_and_can_be_cancelled() {
        let running: Replay = read(replay("running")).unwrap();
        let page = one(&running, Access::Operate).into_string();
        for want in
            ["max=\"142\" value=\"42\"", "Done in about</dt><dd>2 s", "/cancel\"", "data-refresh=\"2\""]
        {
            assert!(page.contains(want), "{want} in {page}");
        }
        assert!(!one(&running, Access::ReadOnly).into_string().contains("method=\"post\""));
        let done: Replay = read(replay("done")).unwrap();
        let page = one(&done, Access::Operate).into_string();
        assert!(!page.contains("method=\"post\"") && !page.contains("data-refresh"), "{page}");
    }

    #[test]
    fn the_list_says_who_has_started_what() {
        let page = list(&[read(replay("running")).unwrap()], Access::Operate).into_string();
        assert!(
            page.contains("40 of 142") && page.contains("ops") && page.contains("<code>/a</code>"),
            "{page}"
        );
        assert!(list(&[], Access::ReadOnly).into_string().contains("hookgate events replay"));
    }
}
