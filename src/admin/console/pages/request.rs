//! Pure. The page *Request*: one recent request, with the verdict and its likely cause.

use std::cmp::Ordering;

use maud::{Markup, html};

use super::event::{self, Form, Shown};
use crate::admin::api::filter::written;
use crate::admin::console::advice::{meaning, to_do};
use crate::admin::console::frame::{command, failure, number, size, time};
use crate::admin::console::recent_row::{Row, took};
use crate::admin::console::text::{self, Lines, shell_word};
use crate::gateway::reason::Reason;
use crate::queue::time::Time;
use crate::signature::scheme::Scheme;
use crate::signature::template::Part;
use crate::telemetry::recent::capture::Captured;
use crate::telemetry::recent::entry::{Numbered, Subject};
use crate::telemetry::record::Record;
use crate::telemetry::request_id::{GivenId, TraceId};

/// The page.
pub(crate) fn body(entry: &Numbered, captured: Option<&Captured>, shown: Shown<'_>) -> Markup {
    match &entry.entry.subject {
        Subject::Request(record) => request(entry, record, captured, shown),
        Subject::Delivery(_) | Subject::Cause(_) => html! {
            table.stack { tbody { (Row::of(entry).shown()) } }
        },
    }
}

fn request(entry: &Numbered, record: &Record, captured: Option<&Captured>, shown: Shown<'_>) -> Markup {
    let reason = record.reason.or(record.observed);
    html! {
        p { "Ended " (time(&written(Time::of(entry.entry.at)))) }
        section aria-labelledby="verdict" {
            h2 #verdict { "Verdict" }
            (verdict(record))
            (steps(record))
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
        @match captured {
            Some(captured) => (self::captured(entry.number, record, captured, shown)),
            None if reason.is_some() || record.refused => p.detail {
                "Head and content of this request are not kept. With " code { "capture = true" } ", its route keeps those of refused requests."
            },
            None => p.detail { "The content of a request that is not stored is not kept." },
        }
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

/// What a request passes, in the order of the checks.
const STEPS: [&str; 6] = [
    "The path is of a route, and the client and the method are allowed.",
    "A signature is there, and has its form and its time.",
    "The content has arrived.",
    "The signature verifies.",
    "The content has the values that the route requires.",
    "The app has answered, or the event is stored.",
];

/// The number of the step that fails for a reason.
const fn failed_step(reason: Reason) -> usize {
    match reason {
        Reason::NoRoute
        | Reason::ClientNotAllowed
        | Reason::TooManyFailures
        | Reason::ClientCertificate
        | Reason::MethodNotAllowed => 0,
        Reason::SignatureMissing
        | Reason::SignatureDuplicate
        | Reason::SignatureMalformed
        | Reason::TimestampExpired => 1,
        Reason::BodyTooLarge | Reason::BodyTimeout | Reason::BodyIncomplete | Reason::Overloaded => 2,
        Reason::SignatureMismatch => 3,
        Reason::ModelMismatch => 4,
        Reason::UpstreamUnreachable
        | Reason::UpstreamFailed
        | Reason::UpstreamTimeout
        | Reason::Duplicate
        | Reason::QueueFull
        | Reason::QueueUnavailable => 5,
    }
}

/// The steps of a request that was refused, or only observed: those before the failure have passed.
fn steps(record: &Record) -> Markup {
    let failed = record.observed.or(record.reason).map(failed_step);
    html! {
        @if let Some(failed) = failed {
            ol.steps {
                @for (number, step) in STEPS.iter().enumerate() {
                    li {
                        @match number.cmp(&failed) {
                            Ordering::Less => { span.good aria-hidden="true" { "✓ " } (step) },
                            Ordering::Equal => { span.bad aria-hidden="true" { "✗ " } strong { "Not passed: " } (step) },
                            Ordering::Greater => { span.detail { "– " (step) " Not looked at." } },
                        }
                    }
                }
            }
        }
    }
}

/// The head, the content when a person asks for it, and the command that tries the content.
fn captured(number: u64, record: &Record, captured: &Captured, shown: Shown<'_>) -> Markup {
    let (method, target) = captured.request_line();
    html! {
        section aria-labelledby="content" {
            h2 #content { "Content" }
            (content(number, captured, shown))
        }
        section aria-labelledby="head" {
            h2 #head { "Head" }
            p { code { (text::bytes(method, Lines::One)) " " (text::bytes(target, Lines::One)) } }
            div.scroll role="group" aria-labelledby="head" tabindex="0" {
                table {
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Value" } } }
                    tbody {
                        @for (name, value) in captured.fields() {
                            tr {
                                th scope="row" { code { (text::bytes(name, Lines::One)) } }
                                td.id { (text::bytes(value, Lines::One)) }
                            }
                        }
                    }
                }
            }
            @if captured.is_head_cut() { p.notice.warn { "Further fields are not kept." } }
            p.detail { "Credentials are never kept: only their size is." }
        }
        @if !matches!(shown, Shown::Never) && !captured.is_content_cut() && captured.received() > 0 {
            section aria-labelledby="commands" {
                h2 #commands { "As a command" }
                p.detail {
                    "Download the content, and try it with the configuration's secrets. A time that is too old by now is refused: "
                    "the command says so. A hidden credential must be filled in."
                }
                (command("verify", "Try the content", &verify(number, record, captured)))
            }
        }
    }
}

fn content(number: u64, captured: &Captured, content: Shown<'_>) -> Markup {
    let received = size(u64::try_from(captured.received()).unwrap_or(u64::MAX));
    let kept = size(u64::try_from(captured.content().len()).unwrap_or(u64::MAX));
    let current = match content {
        Shown::Never => {
            return html! { p { "The route hides its content: " code { "console_content = \"never\"" } "." } };
        }
        Shown::Content(form, _) => Some(form),
        Shown::NotAsked | Shown::Failed(_) => None,
    };
    html! {
        @if captured.received() == 0 {
            p { "No content had been read when the request was refused." }
        } @else {
            p.detail { (received) " had been read when the request was refused. " (kept) " of it are kept." }
            nav.tabs aria-label="Forms of the content" {
                @for form in Form::ALL {
                    a href={ "/requests/" (number) "?content=" (form.name()) "#content" }
                        aria-current=[(current == Some(form)).then_some("true")] { "Show as " (form.name()) }
                }
                a href={ "/requests/" (number) "/download" } download={ "request-" (number) ".bin" } { "Download (" (kept) ")" }
            }
            @match content {
                Shown::NotAsked | Shown::Never => p.detail { "The content is shown when you ask for it. The log then says who has asked." },
                Shown::Failed(why) => (failure(why)),
                Shown::Content(form, content) => (event::shown(form, content)),
            }
        }
    }
}

/// The fields that no signature covers, and that the command leaves out.
const OF_CONNECTION: [&str; 8] =
    ["content-length", "transfer-encoding", "connection", "host", "expect", "accept", "user-agent", "cookie"];

/// The command that tries the captured content with the secrets of the route.
fn verify(number: u64, record: &Record, captured: &Captured) -> String {
    let (method, target) = captured.request_line();
    let is_left_out = |name: &[u8]| OF_CONNECTION.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
    let fields = captured.fields().filter(|(name, _)| !is_left_out(name));
    let fields =
        fields.map(|(name, value)| format!(" --field {}", shell_word(&[name, b": ", value].concat())));
    let route = shell_word(record.route_path().unwrap_or_default().as_bytes());
    let scheme = record.route.as_ref().and_then(|route| Scheme::preset(&route.scheme));
    let besides = if scheme.is_none_or(signs_more) {
        // The origin is that of `public_url`, which a scheme that signs URLs needs.
        format!(" --method {} --url {}", shell_word(method), shell_word(target))
    } else {
        String::new()
    };
    format!("hookgate verify --route {route}{besides}{} request-{number}.bin", fields.collect::<String>())
}

/// Whether a scheme signs the method or the URL.
fn signs_more(scheme: &Scheme) -> bool {
    scheme.parameter.is_some()
        || scheme.content.parts().any(|part| {
            matches!(
                part,
                Part::Method | Part::Path | Part::Query | Part::Url | Part::UrlDecoded | Part::UrlVariants
            )
        })
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
    use std::sync::Arc;

    use super::*;
    use crate::admin::console::sample::{cause, recent, record};
    use crate::telemetry::recent::capture;
    use crate::telemetry::recent::filter::Filter;
    use crate::telemetry::record::RequestId;

    #[test]
    fn a_refused_request_has_its_cause_and_what_to_do() {
        let recent = recent([record(1, "/a/<i>")]);
        recent.explain(RequestId(1), cause());
        let entry = recent.page(&Filter::default(), None, 1).entries.remove(0);
        let page = body(&entry, None, Shown::NotAsked).into_string();
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

    #[test]
    fn the_command_for_captured_content_takes_the_origin_from_the_route() {
        let (room, mut record) = (Arc::default(), record(1, "/a"));
        let parts = capture::Parts { method: "POST", target: b"/a?x=1&y=2", head: 64, content: b"{}" };
        let lines: [(&[u8], &[u8]); 2] = [(b"Host", b"evil.example"), (b"X-A", b"1")];
        let captured = Captured::copy(&room, parts, lines.into_iter(), |_name| false).unwrap();
        assert_eq!(
            verify(7, &record, &captured),
            "hookgate verify --route /a --field 'X-A: 1' request-7.bin"
        );
        record.route.as_mut().unwrap().scheme = "twilio".into();
        assert_eq!(
            verify(7, &record, &captured),
            "hookgate verify --route /a --method POST --url '/a?x=1&y=2' --field 'X-A: 1' request-7.bin"
        );
    }

    #[test]
    fn the_steps_before_the_failure_have_passed_and_the_later_ones_were_not_looked_at() {
        let entry = recent([record(1, "/a")]).page(&Filter::default(), None, 1).entries.remove(0);
        let page = body(&entry, None, Shown::NotAsked).into_string();
        assert_eq!(page.matches("✓ ").count(), 3, "{page}");
        assert_eq!((page.matches("Not passed").count(), page.matches("Not looked at").count()), (1, 2));
        assert!(page.contains("capture = true"), "{page}");
    }
}
