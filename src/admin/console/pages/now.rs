//! Pure. The page *Now*, with the state of the gateway: requests of the last minutes, refusals and their
//! likely causes, the backlog, circuits, secrets and certificates.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::admin::answer::SecretsReport;
use crate::admin::api::filter::written;
use crate::admin::console::advice::{meaning, to_do};
use crate::admin::console::documents::{Destination, Overview};
use crate::admin::console::frame::{duration, nothing, number, route, time};
use crate::admin::console::history::{Ended, SAMPLE};
use crate::admin::console::pages::live::Asked;
use crate::admin::console::text;
use crate::admin::rotation_status::{self, RotationStatus};
use crate::gateway::reason::Reason;
use crate::queue::time::Time;

/// The most routes that a row names.
const MOST_ROUTES: usize = 3;

/// The refusals of one reason since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) count: u64,
    /// The paths of the routes, with their counts.
    pub(crate) routes: BTreeMap<String, u64>,
    /// The likely causes that were found, with their counts.
    pub(crate) causes: BTreeMap<&'static str, u64>,
    /// What to do about the most frequent cause, if it is known.
    pub(crate) advice: Option<String>,
}

impl Refusals {
    /// The most frequent cause.
    pub(crate) fn first_cause(&self) -> Option<&'static str> {
        let found = self.causes.iter().filter(|(_, count)| **count > 0);
        found.max_by_key(|(_, count)| **count).map(|(cause, _)| *cause)
    }
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) name: String,
    /// When it expires, in seconds since 1970.
    pub(crate) end: u64,
    /// Whether it should have been renewed by now.
    pub(crate) is_overdue: bool,
}

/// The values of the page.
#[derive(Debug)]
pub(crate) struct Now<'n> {
    pub(crate) is_ready: bool,
    /// Whether the last reload has failed.
    pub(crate) is_outdated: bool,
    /// What ended in each step of the last minutes.
    pub(crate) steps: &'n [Ended],
    /// What ended in the last minute, and how many steps it has.
    pub(crate) minute: (&'n Ended, usize),
    /// What ended in all steps.
    pub(crate) lately: &'n Ended,
    pub(crate) refusals: &'n BTreeMap<Reason, Refusals>,
    /// `None` without a queue.
    pub(crate) overview: Option<&'n Overview>,
    pub(crate) secrets: &'n SecretsReport,
    pub(crate) certificates: &'n [Certificate],
}

impl Now<'_> {
    /// The page.
    pub(crate) fn body(&self) -> Markup {
        html! {
            div #now data-refresh="5" {
                (self.standing())
                (self.cards())
                @if let Some(overview) = self.overview && is_stopped(overview) { (backlog(overview)) }
                section aria-labelledby="requests" {
                    h2 #requests { "Requests" }
                    (chart(self.steps))
                }
                section aria-labelledby="refused" {
                    h2 #refused { "Refused and failed" }
                    (self.refused())
                }
                @if let Some(overview) = self.overview && !is_stopped(overview) { (backlog(overview)) }
                section aria-labelledby="secrets" {
                    h2 #secrets { "Secrets" }
                    (secrets(self.secrets))
                }
                @if !self.certificates.is_empty() {
                    section aria-labelledby="certificates" {
                        h2 #certificates { "Certificates" }
                        (certificates(self.certificates, self.secrets.now))
                    }
                }
            }
        }
    }

    fn standing(&self) -> Markup {
        html! {
            p {
                @if self.is_ready { span.state.good { span aria-hidden="true" { "✓ " } "ready" } }
                @else { span.state.bad { span aria-hidden="true" { "✗ " } "not ready" } " (/readyz says why)" }
                " · started " (at(self.secrets.started))
            }
            @if self.is_outdated {
                p.notice.bad { "The last reload failed, and the configuration before it is in force. The log, and " code { "hookgate check" } ", say why." }
            }
        }
    }

    fn cards(&self) -> Markup {
        let (minute, steps) = self.minute;
        let seconds = SAMPLE.as_secs().saturating_mul(u64::try_from(steps).unwrap_or(0));
        html! {
            div.cards {
                div.card { span.figure { (rate(minute.all(), seconds)) } "requests a second, in the last minute" }
                div.card { (figure(self.lately.refused, false)) a href="/refused" { "refused" } " in the last 10 minutes" }
                div.card { (figure(self.lately.failed, true)) "failed in the last 10 minutes" }
                @if let Some(overview) = self.overview {
                    @let waiting = overview.upstreams.iter().fold(0_u64, |sum, one| sum.saturating_add(one.queued));
                    @let dead = overview.upstreams.iter().fold(0_u64, |sum, one| sum.saturating_add(one.dead));
                    @let oldest = overview.upstreams.iter().map(|one| one.oldest_seconds).max().unwrap_or(0);
                    div.card {
                        (figure(waiting, false))
                        a href="/queue?state=queued" { "waiting" }
                        @if waiting > 0 { ", the oldest for " (duration(oldest)) }
                    }
                    div.card { (figure(dead, true)) a href="/dead" { "dead letters" } }
                }
            }
        }
    }

    fn refused(&self) -> Markup {
        if self.refusals.is_empty() {
            return nothing(
                "Nothing was refused, and nothing failed.",
                &html! {
                    "Forged, malformed and late events would be listed here, with the likely cause."
                },
            );
        }
        let mut all: Vec<_> = self.refusals.iter().collect();
        let lately = |reason: &Reason| self.lately.reasons.get(reason).copied().unwrap_or_default();
        all.sort_by_key(|(reason, refusals)| std::cmp::Reverse((lately(reason), refusals.count)));
        html! {
            div.scroll role="group" aria-labelledby="refused" tabindex="0" {
                table.stack {
                    thead { tr {
                        th scope="col" { "Reason" }
                        th.number scope="col" { "Last 10 minutes" }
                        th.number scope="col" { "Since the start" }
                        th scope="col" { "Routes" }
                        th scope="col" { "Likely cause" }
                        th scope="col" { "What to do" }
                    } }
                    tbody {
                        @for (reason, refusals) in all {
                            tr {
                                th scope="row" data-label="Reason" {
                                    a href=(Asked { reason: reason.as_str().to_owned(), ..Asked::default() }.url("/live", &[])) { code { (reason.as_str()) } }
                                    div.detail { (meaning(*reason)) }
                                }
                                td.number data-label="Last 10 minutes" { (number(lately(reason))) }
                                td.number data-label="Since the start" { (number(refusals.count)) }
                                td data-label="Routes" { (routes(&refusals.routes)) }
                                td data-label="Likely cause" { (causes(&refusals.causes)) }
                                td data-label="What to do" {
                                    (text::sentence(refusals.advice.as_deref().unwrap_or_else(|| to_do(*reason)), 600))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A number on a card. If `is_bad`, every number but 0 has the colour of a problem.
fn figure(count: u64, is_bad: bool) -> Markup {
    html! { span.figure.bad[is_bad && count > 0] { (number(count)) } }
}

/// A time, from seconds since 1970.
fn at(seconds: u64) -> Markup {
    time(&written(Time::from_millis(seconds.saturating_mul(1000))))
}

/// A number of requests a second, with one decimal place.
fn rate(count: u64, seconds: u64) -> String {
    match count.saturating_mul(10).checked_div(seconds) {
        None => "–".to_owned(),
        Some(tenths) => format!("{}.{}", number(tenths / 10), tenths % 10),
    }
}

fn routes(all: &BTreeMap<String, u64>) -> Markup {
    let mut routes: Vec<_> = all.iter().filter(|(path, _)| !path.is_empty()).collect();
    routes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let more = routes.len().saturating_sub(MOST_ROUTES);
    html! {
        @if routes.is_empty() { "–" }
        @for (path, _) in routes.iter().take(MOST_ROUTES) { code { (text::beginning(path, 80)) } " " }
        @if more > 0 { "and " (more) " more" }
    }
}

fn causes(all: &BTreeMap<&'static str, u64>) -> Markup {
    let mut causes: Vec<_> = all.iter().filter(|(_, count)| **count > 0).collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    html! {
        @if causes.is_empty() { "–" }
        @for (cause, count) in causes.iter().take(MOST_ROUTES) {
            div { (cause.replace('_', " ")) span.detail { " (" (number(**count)) " examined)" } }
        }
    }
}

/// The width of a bar with its gap, and the height of the chart, in units of the drawing.
const BAR: u64 = 5;
const HEIGHT: u64 = 100;

/// The most bars.
const MOST_BARS: u64 = 120;

/// A bar for each step. The text beside the chart says the same.
fn chart(steps: &[Ended]) -> Markup {
    let highest = steps.iter().map(Ended::all).max().unwrap_or(0);
    if highest == 0 {
        return nothing(
            "No request has ended in the last 10 minutes.",
            &html! {
                code { "hookgate send" } " sends a signed test event through the gateway."
            },
        );
    }
    let sum = |of: fn(&Ended) -> u64| steps.iter().fold(0_u64, |sum, step| sum.saturating_add(of(step)));
    let (answered, refused, failed) =
        (sum(|step| step.answered), sum(|step| step.refused), sum(|step| step.failed));
    let label = format!(
        "Requests in the last 10 minutes, in steps of 5 seconds: {} answered, {} refused, {} failed, at most {} in a step",
        number(answered),
        number(refused),
        number(failed),
        number(highest)
    );
    let missing = MOST_BARS.saturating_sub(u64::try_from(steps.len()).unwrap_or(u64::MAX));
    html! {
        svg.chart viewBox={ "0 0 " (BAR * MOST_BARS) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            line.axis x1="0" y1=(HEIGHT) x2=(BAR * MOST_BARS) y2=(HEIGHT) {}
            @for (index, step) in steps.iter().enumerate() { (bar(missing.saturating_add(u64::try_from(index).unwrap_or(0)), step, highest)) }
        }
        p.ends { span { "10 minutes ago" } span { "now" } }
        ul.legend {
            li { (swatch("ok")) (number(answered)) " answered" }
            li { (swatch("refused")) (number(refused)) " refused" }
            li { (swatch("other")) (number(failed)) " failed" }
            li { "at most " (number(highest)) " in 5 seconds" }
        }
    }
}

fn swatch(class: &str) -> Markup {
    html! { svg viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) width="10" height="10" {} } }
}

/// One bar: answered requests below, refused requests above them, failed requests on top. A count that is not
/// 0 has a height of at least 1.
fn bar(place: u64, step: &Ended, highest: u64) -> Markup {
    let mut top = HEIGHT;
    let mut parts = Vec::new();
    for (class, count) in [("ok", step.answered), ("refused", step.refused), ("other", step.failed)] {
        let height = count.saturating_mul(HEIGHT).checked_div(highest).unwrap_or(0).max(u64::from(count > 0));
        top = top.saturating_sub(height);
        if height > 0 {
            parts.push((class, top, height));
        }
    }
    html! {
        @for (class, top, height) in parts {
            rect class=(class) x=(place.saturating_mul(BAR)) y=(top) width=(BAR - 1) height=(height) {}
        }
    }
}

/// Whether the store or a delivery is stopped. If so, the page begins with this.
fn is_stopped(overview: &Overview) -> bool {
    overview.store != "well" || stopped(overview).next().is_some()
}

fn stopped(overview: &Overview) -> impl Iterator<Item = &Destination> {
    overview
        .upstreams
        .iter()
        .filter(|one| one.circuit == "open" || one.paused || (one.held.is_some() && one.queued > 0))
}

/// The circuits that are open, and the routes that are held.
fn backlog(overview: &Overview) -> Markup {
    let stopped: Vec<_> = stopped(overview).collect();
    html! {
        section aria-labelledby="stopped" {
            h2 #stopped { "Deliveries that are stopped" }
            @if overview.store != "well" {
                p.notice.bad { "The store is " (overview.store) ": senders of routes that store events get 503." }
            }
            @if stopped.is_empty() {
                p { span.good aria-hidden="true" { "✓ " } "No circuit is open, and no route is paused. " a href="/queue" { "See the queue" } }
            } @else {
                ul {
                    @for one in stopped {
                        li {
                            (route(&one.route)) " "
                            @if one.upstream != "main" { code { (text::line(&one.upstream)) } " " }
                            @if one.circuit == "open" { strong.bad { "circuit open" } }
                            @else if one.held.as_deref() == Some("route_removed") { strong.bad { "route removed" } }
                            @else { strong.waits { "paused" } }
                            ": " (number(one.queued)) " waiting"
                            @if one.queued > 0 { ", the oldest for " (duration(one.oldest_seconds)) }
                            @if let Some(failure) = &one.last_failure { div.detail { (text::beginning(failure, 300)) } }
                        }
                    }
                }
                p { a href="/queue" { "See the queue" } }
            }
        }
    }
}

fn secrets(report: &SecretsReport) -> Markup {
    html! {
        div.scroll role="group" aria-labelledby="secrets" tabindex="0" {
            table.stack {
                thead { tr {
                    th scope="col" { "Secret" }
                    th scope="col" { "Scheme" }
                    th scope="col" { "Routes" }
                    th.number scope="col" { "Verified" }
                    th scope="col" { "Last" }
                    th scope="col" { "Verdict" }
                } }
                tbody {
                    @for secret in &report.secrets {
                        @let status = RotationStatus::of(secret, report);
                        @let paths: BTreeMap<String, u64> = secret.routes.iter().map(|path| (path.clone(), 0)).collect();
                        tr {
                            th scope="row" data-label="Secret" { code { (text::line(&secret.label)) } }
                            td data-label="Scheme" { (text::line(&secret.scheme)) }
                            td data-label="Routes" { (routes(&paths)) }
                            td.number data-label="Verified" { (number(secret.verified)) }
                            td data-label="Last" {
                                @if let Some(last) = secret.last_seen { (at(last)) }
                                @else { span.nowrap title=(rotation_status::seen(secret, report)) { "not since the start" } }
                            }
                            td data-label="Verdict" {
                                @if status.is_safe_to_remove() { strong.good { span aria-hidden="true" { "✓ " } (status.words()) } }
                                @else { (status.words()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn certificates(all: &[Certificate], now: u64) -> Markup {
    html! {
        div.scroll role="group" aria-labelledby="certificates" tabindex="0" {
            table.stack {
                thead { tr { th scope="col" { "Certificate" } th scope="col" { "Expires" } th scope="col" { "Left" } } }
                tbody {
                    @for certificate in all {
                        tr {
                            th scope="row" data-label="Certificate" { (text::line(&certificate.name)) }
                            td data-label="Expires" { (at(certificate.end)) }
                            td data-label="Left" {
                                @if certificate.end <= now { strong.bad { "expired" } }
                                @else {
                                    (duration(certificate.end.saturating_sub(now)))
                                    @if certificate.is_overdue { " " strong.bad { "renew it" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admin::answer::SecretReport;
    use crate::admin::console::documents::read;

    fn ended(answered: u64, refused: u64) -> Ended {
        Ended { answered, refused, failed: 0, reasons: [(Reason::SignatureMismatch, refused)].into() }
    }

    fn report() -> SecretsReport {
        let secret = |name: &str, last| SecretReport {
            label: name.to_owned(),
            name: name.to_owned(),
            scheme: "propify".to_owned(),
            routes: vec!["/a".to_owned()],
            verified: 12,
            last_seen: last,
            not_after: None,
        };
        let now = 2_000_000;
        SecretsReport {
            now,
            started: 1_000_000,
            secrets: vec![secret("new", Some(now - 5)), secret("old", Some(1_500_000))],
        }
    }

    fn page(steps: &[Ended], refusals: &BTreeMap<Reason, Refusals>, certificates: &[Certificate]) -> String {
        let all = steps.first().cloned().unwrap_or_default();
        let overview: Overview = read(json!({ "store": "full", "bytes": 1, "upstreams": [{
            "route": { "path": "/a", "model": null }, "upstream": "main", "queued": 7, "delivering": 0, "dead": 3,
            "oldest": null, "oldest_seconds": 90, "held": null, "paused": false, "circuit": "open", "seconds_to_empty": null,
        }] })).unwrap();
        let secrets = report();
        let now = Now {
            is_ready: true,
            is_outdated: true,
            steps,
            minute: (&all, 12),
            lately: &all,
            refusals,
            overview: Some(&overview),
            secrets: &secrets,
            certificates,
        };
        now.body().into_string()
    }

    #[test]
    fn the_page_says_what_an_operator_would_ask_first() {
        let refusals = Refusals {
            count: 9,
            routes: [("/a".to_owned(), 9)].into(),
            causes: [("body_reencoded", 2), ("unexplained", 1)].into(),
            advice: Some("pass `it` on".to_owned()),
        };
        assert_eq!(refusals.first_cause(), Some("body_reencoded"));
        let certificates = [
            Certificate { name: "a.example".to_owned(), end: 2_000_000 + 86_400, is_overdue: true },
            Certificate { name: "b.example".to_owned(), end: 1_999_999, is_overdue: true },
        ];
        let page = page(&[ended(119, 1)], &[(Reason::SignatureMismatch, refusals)].into(), &certificates);
        for want in [
            "ready",
            "The last reload failed",
            ">2.0<",
            "signature_mismatch",
            "body reencoded",
            "pass <code>it</code> on",
            "circuit open",
            "7 waiting, the oldest for 1 min 30 s",
            "<span class=\"figure bad\">3</span>",
            "The store is full",
            "safe to remove: others verify the events",
            "in use: keep it",
            "renew it",
            "expired",
        ] {
            assert!(page.contains(want), "{want} in {page}");
        }
    }

    #[test]
    fn the_chart_has_a_text_and_a_bar_for_what_is_there_at_all() {
        let page = chart(&[ended(1000, 1), ended(0, 0)]).into_string();
        assert!(page.contains("role=\"img\" aria-label=\"Requests in the last 10 minutes"), "{page}");
        assert!(page.contains("1,000 answered") && page.contains("1 refused"), "{page}");
        assert_eq!(page.matches("class=\"refused\" x=").count(), 1, "one in a thousand is seen: {page}");
        assert!(!page.contains("style="), "{page}");
        assert!(chart(&[ended(0, 0)]).into_string().contains("hookgate send"));
    }

    #[test]
    fn a_quiet_gateway_says_what_would_be_here() {
        let page = page(&[], &BTreeMap::new(), &[]);
        assert!(page.contains("Nothing was refused") && page.contains("No request has ended"), "{page}");
        assert_eq!(
            (rate(0, 0), rate(7, 60), rate(120_000, 60)),
            ("–".into(), "0.1".into(), "2,000.0".into())
        );
    }
}
