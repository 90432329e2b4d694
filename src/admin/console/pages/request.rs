//! Pure. The page *Request*: one recent request, with the verdict and its likely cause.

use maud::{Markup, html};

use crate::admin::api::filter::written;
use crate::admin::console::advice::{meaning, to_do};
use crate::admin::console::frame::{number, size, time};
use crate::admin::console::recent_row::{Row, took};
use crate::admin::console::text;
use crate::queue::time::Time;
use crate::telemetry::recent::entry::{Numbered, Subject};
use crate::telemetry::record::Record;
use crate::telemetry::request_id::{GivenId, TraceId};

/// The page.
pub(crate) fn body(entry: &Numbered) -> Markup {
    match &entry.entry.subject {
        Subject::Request(record) => request(entry, record),
        Subject::Delivery(_) | Subject::Cause(_) => html! {
            table.stack { tbody { (Row::of(entry).shown()) } }
        },
    }
}

fn request(entry: &Numbered, record: &Record) -> Markup {
    let reason = record.reason.or(record.observed);
    html! {
        p { "Ended " (time(&written(Time::of(entry.entry.at)))) }
        section aria-labelledby="verdict" {
            h2 #verdict { "Verdict" }
            (verdict(record))
            @if let Some(cause) = entry.entry.cause() {
                p.notice.warn {
                    strong { "Likely cause: " } (text::sentence(&cause.detail, 2000)) ". " (text::sentence(&cause.advice, 2000))
                }
            }
            @if let Some(detail) = &record.detail { p.detail { (text::sentence(detail, 2000)) } }
            @if let Some(reason) = reason { p { strong { "What to do: " } (text::sentence(to_do(reason), 600)) } }
            @if let Some(event) = record.stored { p { a href={ "/events/" (event) } { "The stored event and its deliveries" } } }
        }
        section aria-labelledby="facts" {
            h2 #facts { "Facts" }
            (facts(record))
        }
        p.detail { "The content of a request that is not stored is not kept." }
    }
}

fn verdict(record: &Record) -> Markup {
    html! {
        @match (record.refused, record.reason, record.observed) {
            (true, Some(reason), _) => p {
                strong.bad { span aria-hidden="true" { "✗ " } "refused: " (reason.as_str()) } " " (meaning(reason))
            },
            (true, None, _) => p { strong.bad { span aria-hidden="true" { "✗ " } "refused: the request was not valid HTTP" } },
            (false, _, Some(reason)) => p {
                strong.waits { span aria-hidden="true" { "! " } "forwarded, because the route observes. It would have been refused: " (reason.as_str()) } " " (meaning(reason))
            },
            (false, Some(reason), None) => p { strong.waits { (reason.as_str()) } " " (meaning(reason)) },
            (false, None, None) => p {
                strong.good { span aria-hidden="true" { "✓ " } "verified" }
                @if let Some(secret) = &record.secret { " under the secret " code { (text::line(secret)) } }
                @if let Some(challenge) = record.challenge { ", a challenge: " (challenge) }
            },
        }
    }
}

fn facts(record: &Record) -> Markup {
    let id =
        record.given_id.as_ref().map(GivenId::as_str).map_or_else(|| record.id.to_string(), str::to_owned);
    html! {
        dl.facts {
            dt { "Request id" } dd { code { (text::line(&id)) } }
            @if let Some(trace) = record.trace_id.as_ref().map(TraceId::as_str) { dt { "Trace id" } dd { code { (text::line(trace)) } } }
            dt { "Request" } dd {
                @if let Some(method) = &record.method { code { (text::line(method.as_str())) } " " }
                @if let Some(path) = record.path() { code { (text::line(path)) } } @else { "no request line" }
            }
            dt { "Route" } dd { @if let Some(route) = record.route_path() { code { (text::line(route)) } } @else { "none" } }
            @if let Some(model) = &record.model { dt { "Model" } dd { (text::line(model)) } }
            dt { "Client" } dd { (text::line(&record.client.to_string())) }
            @if record.peer != record.client { dt { "Connection from" } dd { (text::line(&record.peer.to_string())) } }
            @if let Some(name) = &record.client_certificate { dt { "Client certificate" } dd { (text::line(name)) } }
            dt { "Status" } dd { @if record.status == 0 { "no answer" } @else { (record.status) } }
            dt { "Content" } dd { (size(u64::try_from(record.received).unwrap_or(u64::MAX))) " received, " (number(record.sent)) " bytes sent" }
            @if let Some(after) = record.verified_after { dt { "Verified after" } dd { (took(after)) } }
            @if let Some(upstream) = record.upstream_took { dt { "The app took" } dd { (took(upstream)) } }
            dt { "In all" } dd { (took(record.took)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::console::sample::{cause, recent, record};
    use crate::telemetry::recent::filter::Filter;
    use crate::telemetry::record::RequestId;

    #[test]
    fn a_refused_request_has_its_cause_and_what_to_do() {
        let recent = recent([record(1, "/a/<i>")]);
        recent.explain(RequestId(1), cause());
        let entry = recent.page(&Filter::default(), None, 1).entries.remove(0);
        let page = body(&entry).into_string();
        for want in [
            "refused: signature_mismatch",
            "Likely cause",
            "&lt;b&gt;re-encoded",
            "What to do",
            "/a/&lt;i&gt;",
            "192.0.2.1",
        ] {
            assert!(page.contains(want), "{want} in {page}");
        }
        assert!(!page.contains("<i>"), "{page}");
    }
}
