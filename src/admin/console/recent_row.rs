//! Pure. A recent request or delivery as a row of a table: for the page, and, as JSON, for the script that
//! follows the stream. Both are made of the same cells, so that they say the same.

use std::time::Duration;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::frame::{duration, time};
use super::text;
use crate::admin::api::filter::{millis, written};
use crate::gateway::reason::Reason;
use crate::queue::event::AttemptOutcome;
use crate::queue::time::Time;
use crate::telemetry::recent::entry::{DeliveryAttempt, Entry, Kind, Numbered, Subject};
use crate::telemetry::record::Record;

/// The most characters of a text in a cell.
const MOST_IN_CELL: usize = 240;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The number of the entry.
    pub(crate) number: u64,
    at: String,
    cells: Vec<Cell>,
}

/// The columns, after the time.
pub(crate) const COLUMNS: [&str; 5] = ["Request", "Client", "Route", "Result", "Took"];

/// A cell is made of parts.
type Cell = Vec<Part>;

/// A part of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    text: String,
    /// The class in the style sheet, or nothing.
    class: &'static str,
    /// Where the text leads to, or nothing.
    link: String,
    /// Whether the gateway wrote the text, with names between backticks.
    is_sentence: bool,
}

fn part(text: impl Into<String>, class: &'static str) -> Part {
    Part { text: text.into(), class, link: String::new(), is_sentence: false }
}

fn sentence(text: &str) -> Part {
    Part { is_sentence: true, ..part(text, "detail") }
}

impl Row {
    /// The row of an entry. A likely cause is shown with its request.
    pub(crate) fn of(numbered: &Numbered) -> Self {
        let entry = match &numbered.entry.subject {
            Subject::Cause(request) => request,
            Subject::Request(_) | Subject::Delivery(_) => numbered,
        };
        let at = written(Time::of(entry.entry.at));
        let cells = match &entry.entry.subject {
            Subject::Delivery(attempt) => delivery(attempt),
            Subject::Request(record) => request(entry.number, record, &entry.entry),
            // A cause is never of another cause.
            Subject::Cause(_) => Vec::new(),
        };
        Self { number: entry.number, at, cells }
    }

    /// The row of a table.
    pub(crate) fn shown(&self) -> Markup {
        html! {
            tr data-number=(self.number) {
                td data-label="Ended" { (time(&self.at)) }
                @for (index, (column, cell)) in COLUMNS.iter().zip(&self.cells).enumerate() {
                    @if index == 0 {
                        th scope="row" data-label=(column) { (shown(cell)) }
                    } @else {
                        td data-label=(column) { (shown(cell)) }
                    }
                }
            }
        }
    }

    /// The row for the script.
    pub(crate) fn document(&self) -> Value {
        let cells = self.cells.iter().map(|cell| {
            let parts = cell.iter().map(|part| {
                let pieces = match part.is_sentence {
                    true => text::sentence_pieces(&part.text, MOST_IN_CELL),
                    false => text::pieces(&part.text, MOST_IN_CELL),
                };
                json!({ "pieces": pieces, "class": part.class, "link": part.link })
            });
            parts.collect::<Vec<_>>()
        });
        json!({ "number": self.number, "at": self.at, "cells": cells.collect::<Vec<_>>() })
    }
}

fn shown(cell: &[Part]) -> Markup {
    html! {
        @for (index, part) in cell.iter().enumerate() {
            @if index > 0 { " " }
            @let text = if part.is_sentence { text::sentence(&part.text, MOST_IN_CELL) } else { text::beginning(&part.text, MOST_IN_CELL) };
            @if !part.link.is_empty() { a href=(part.link) class=[class(part)] { (text) } }
            @else { span class=[class(part)] { (text) } }
        }
    }
}

fn class(part: &Part) -> Option<&'static str> {
    (!part.class.is_empty()).then_some(part.class)
}

fn request(number: u64, record: &Record, entry: &Entry) -> Vec<Cell> {
    let method = record.method.as_ref().map_or("", http::Method::as_str);
    let path = record.path().or(record.route_path()).unwrap_or("(no request line)");
    let link =
        Part { link: format!("/requests/{number}"), ..part(format!("{method} {path}").trim_start(), "id") };
    let event = record.stored.map(|id| Part { link: format!("/events/{id}"), ..part("event", "") });
    let route = record.route_path().map(|path| part(path, "id"));
    let model = record.model.as_deref().map(|model| part(model, "badge"));
    vec![
        [Some(link), event].into_iter().flatten().collect(),
        vec![part(record.client.to_string(), "nowrap")],
        route.into_iter().chain(model).collect(),
        result(record, entry),
        vec![part(took(record.took), "nowrap")],
    ]
}

/// The status, what became of the request, and why.
fn result(record: &Record, entry: &Entry) -> Cell {
    let status = match record.status {
        0 => part("no answer", "state"),
        status => part(status.to_string(), "state"),
    };
    let word = match Kind::of(record) {
        Kind::Refused(reason) => {
            part(format!("✗ {}", reason.map_or("malformed", Reason::as_str)), "state bad")
        }
        Kind::Observed => {
            let reason = record.observed.map_or("", Reason::as_str);
            part(format!("! forwarded, would refuse: {reason}"), "state waits")
        }
        Kind::AnsweredError => part("! verified, the app's answer", "state waits"),
        Kind::Verified | Kind::Delivered | Kind::Undelivered | Kind::Cause => {
            let what = if record.stored.is_some() { "✓ verified, stored" } else { "✓ verified" };
            part(
                record.challenge.map_or_else(|| what.to_owned(), |what| format!("✓ challenge {what}")),
                "state good",
            )
        }
    };
    let secret = record.secret.as_deref().map(|secret| part(secret, "badge"));
    let cause = entry.cause().map(|cause| sentence(&cause.detail));
    let detail = record.detail.as_deref().map(sentence);
    [Some(status), Some(word), secret, cause, detail].into_iter().flatten().collect()
}

fn delivery(attempt: &DeliveryAttempt) -> Vec<Cell> {
    let event = attempt.event.to_string();
    let link =
        Part { link: format!("/events/{event}"), ..part(format!("delivery of {}", end(&event)), "id") };
    let number = part(format!("attempt {}", attempt.number), "badge");
    let probe = attempt.is_probe.then(|| part("probe of the open circuit", "badge"));
    let word = match (attempt.outcome, attempt.status) {
        (AttemptOutcome::Delivered, _) => part("✓ delivered", "state good"),
        (AttemptOutcome::Refused, Some(status)) => part(format!("✗ answer {status}"), "state bad"),
        (AttemptOutcome::Refused, None) => part("✗ refused", "state bad"),
        (AttemptOutcome::Unreachable, _) => part("✗ no connection", "state bad"),
        (AttemptOutcome::Failed, _) => part("✗ the exchange broke off", "state bad"),
        (AttemptOutcome::TimedOut, _) => part("✗ no answer in time", "state bad"),
    };
    let dead = attempt.dead.map(|_cause| part("given up", "badge"));
    let again = attempt.again_in.map(|wait| part(format!("again in {}", wait_of(wait)), "detail"));
    let detail = attempt.detail.as_deref().map(|detail| part(detail, "detail"));
    let model = attempt.route.model.as_deref().map(|model| part(model, "badge"));
    vec![
        [Some(link), Some(number), probe].into_iter().flatten().collect(),
        vec![part(format!("to {}", attempt.upstream), "detail")],
        std::iter::once(part(&*attempt.route.path, "id")).chain(model).collect(),
        [Some(word), dead, again, detail].into_iter().flatten().collect(),
        vec![part(took(attempt.took), "nowrap")],
    ]
}

/// The end of an event's id, which differs from event to event. The beginning is the time.
fn end(event: &str) -> String {
    event.rsplit_once('-').map_or_else(|| event.to_owned(), |(_, end)| format!("…{end}"))
}

fn wait_of(wait: Duration) -> String {
    if wait < Duration::from_secs(1) { took(wait) } else { duration(wait.as_secs()) }
}

/// A duration in milliseconds, in more detail if it is short.
pub(crate) fn took(took: Duration) -> String {
    match millis(took) {
        0 if took < Duration::from_micros(100) => "< 0.1 ms".to_owned(),
        0 => format!("0.{} ms", took.subsec_micros() / 100),
        millis => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::console::sample::{cause, recent, record};
    use crate::telemetry::recent::filter::Filter;
    use crate::telemetry::record::RequestId;

    #[test]
    fn the_page_and_the_script_get_the_same_cells() {
        let recent = recent([record(1, "/a/<script>\u{202e}"), record(2, "/a")]);
        recent.explain(RequestId(1), cause());
        let page = recent.page(&Filter::default(), None, 9);
        let rows: Vec<_> = page.entries.iter().map(Row::of).collect();
        let [good, bad] = rows.as_slice() else { panic!("{rows:?}") };
        let text = bad.shown().into_string();
        for want in [
            "href=\"/requests/1\"",
            "POST /a/&lt;script&gt;<span class=\"code\">U+202E</span>",
            "192.0.2.1",
            "✗ signature_mismatch",
            "the content was &lt;b&gt;re-encoded",
            "1 ms",
        ] {
            assert!(text.contains(want), "{want} in {text}");
        }
        assert!(good.shown().into_string().contains("✓ verified"));
        let document = bad.document();
        assert_eq!(document["number"], 1);
        assert_eq!(document["at"], "1970-01-01T00:00:00.000Z");
        assert_eq!(document["cells"].as_array().unwrap().len(), COLUMNS.len());
        assert_eq!(
            document["cells"][0][0]["pieces"],
            json!([{ "text": "POST /a/<script>" }, { "hidden": "U+202E" }]),
            "the script makes text of it"
        );
        assert_eq!(document["cells"][0][0]["link"], "/requests/1");
        let news = recent.since(recent.behind(2), &Filter::default(), 9).entries;
        assert_eq!(Row::of(news.last().unwrap()), *bad, "a cause is shown with its request");
    }

    #[test]
    fn short_times_are_not_zero() {
        assert_eq!(
            [99, 100, 450, 1500, 2_000_000].map(|us| took(Duration::from_micros(us))),
            ["< 0.1 ms", "0.1 ms", "0.4 ms", "1 ms", "2000 ms"]
        );
    }
}
