//! Pure. Writes a request or a delivery that has ended as a line for people: aligned, in local time, and
//! coloured on a terminal. The log on a terminal and `hookgate tail` write the same lines.
//!
//! ```text
//! 14:03:11  POST /webhook/leases                      200  propify/current              4 ms
//! 14:03:12  POST /webhook/leases                      401  signature_mismatch         0.3 ms
//!           the secret `current` has white space around it: write the secret exactly as the sender has it
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::gateway::reason::Reason;
use crate::queue::event::AttemptOutcome;
use crate::telemetry::attempt::AttemptRecord;
use crate::telemetry::hidden_characters::visible;
use crate::telemetry::log_line::beginning;
use crate::telemetry::record::Record;

/// A line, and the texts beneath it.
#[derive(Clone, Debug)]
pub struct PersonLine<'l> {
    /// When the request or the attempt ended.
    pub at: SystemTime,
    /// The method; `delivery` for an attempt.
    pub method: &'l str,
    /// The path as it was sent; the route of an attempt.
    pub path: &'l str,
    /// The status code, if there was an answer.
    pub status: Option<u16>,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason of a refusal, or the scheme and the secret that verified the request.
    pub about: Cow<'l, str>,
    /// How long it took.
    pub took: Duration,
    /// Texts for the lines beneath.
    pub beneath: Vec<Cow<'l, str>>,
}

/// What became of a request or an attempt. It decides the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request has verified, or the event was delivered.
    Good,
    /// The request was refused, or would be refused outside observe mode.
    Refused,
    /// The app or the gateway failed: an operator should look.
    Failed,
}

/// How lines are written: with colours or without, and in which time zone.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Whether lines have colours.
    pub colours: bool,
    /// The time zone.
    pub zone: TimeZone,
}

/// The codes of colours and styles (ECMA-48).
const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";
const FAINT: &str = "2";

/// The width of method and path together. A longer path moves the rest of its line.
const SUBJECT: usize = 40;

/// The width of the reason.
const ABOUT: usize = 24;

/// The width of the time, and of the space before what stands beneath.
const TIME: usize = "14:03:11  ".len();

impl<'l> PersonLine<'l> {
    /// The line of a request that ended at `at`.
    #[must_use]
    pub fn of_request(record: &'l Record, at: SystemTime) -> Self {
        let reason = record.reason.or(record.observed);
        let verdict = match (record.refused, reason) {
            (_, Some(reason)) if reason.is_ours() => Verdict::Failed,
            (true, _) | (false, Some(_)) => Verdict::Refused,
            (false, None) if record.status >= 500 => Verdict::Failed,
            (false, None) => Verdict::Good,
        };
        let scheme = record.route.as_ref().map(|route| &*route.scheme);
        Self {
            at,
            method: record.method.as_ref().map_or("-", http::Method::as_str),
            path: record.path().unwrap_or("-"),
            status: (record.status != 0).then_some(record.status),
            verdict,
            about: about(
                record.reason.map(Reason::as_str),
                record.observed.map(Reason::as_str),
                record.challenge,
                scheme.zip(record.secret.as_deref()),
            ),
            took: record.took,
            beneath: beneath_request(record, reason),
        }
    }

    /// The line of an attempt to deliver an event that ended at `at`.
    #[must_use]
    pub fn of_attempt(record: &'l AttemptRecord<'_>, at: SystemTime) -> Self {
        let mut beneath: Vec<_> = record.detail.map(Cow::Borrowed).into_iter().collect();
        let dead = record.dead.map(|cause| cause.as_str());
        beneath.extend(after(dead, record.again_in));
        Self {
            at,
            method: DELIVERY,
            path: &record.route.path,
            status: record.status,
            verdict: if record.outcome == AttemptOutcome::Delivered {
                Verdict::Good
            } else {
                Verdict::Failed
            },
            about: attempted(record.outcome.as_str(), record.number),
            took: record.took,
            beneath,
        }
    }
}

/// The text beneath the line of a request: the detail, and the model that no route takes.
fn beneath_request(record: &Record, reason: Option<Reason>) -> Vec<Cow<'_, str>> {
    let model = record.model.as_deref().filter(|_| reason == Some(Reason::ModelMismatch));
    let model = model.map(|model| Cow::Owned(format!("the signed model is `{}`", beginning(model))));
    record.detail.as_deref().map(Cow::Borrowed).into_iter().chain(model).collect()
}

/// What stands in the place of the method on the line of a delivery.
pub const DELIVERY: &str = "delivery";

/// Why a request was refused or would be, or by which scheme and secret it verified.
#[must_use]
pub fn about<'l>(
    reason: Option<&'l str>,
    observed: Option<&'l str>,
    challenge: Option<&'l str>,
    verified: Option<(&str, &str)>,
) -> Cow<'l, str> {
    match (reason, observed, challenge, verified) {
        (Some(reason), _, _, _) => Cow::Borrowed(reason),
        (None, Some(observed), _, _) => Cow::Owned(format!("observed: {observed}")),
        (None, None, Some(challenge), _) => Cow::Owned(format!("challenge {challenge}")),
        (None, None, None, Some((scheme, secret))) => Cow::Owned(format!("{scheme}/{secret}")),
        (None, None, None, None) => Cow::Borrowed(""),
    }
}

/// The outcome of an attempt, with its number if it is not the first.
#[must_use]
pub fn attempted(outcome: &str, number: u32) -> Cow<'_, str> {
    if number <= 1 { Cow::Borrowed(outcome) } else { Cow::Owned(format!("{outcome}, attempt {number}")) }
}

/// What follows a failed attempt.
#[must_use]
pub fn after(dead: Option<&str>, again_in: Option<Duration>) -> Option<Cow<'static, str>> {
    match (dead, again_in) {
        (Some(cause), _) => Some(format!("now a dead letter: {cause}").into()),
        (None, Some(again_in)) => Some(format!("again in {}", short(again_in)).into()),
        (None, None) => None,
    }
}

/// The likely cause of a refusal, for a line of its own.
#[must_use]
pub fn cause(request: &str, detail: &str, advice: &str) -> String {
    format!("likely cause of {request}: {detail}: {advice}")
}

/// Appends a line and what stands beneath it, each with a line break. Everything hidden is escaped.
pub fn write(out: &mut String, line: &PersonLine<'_>, manner: &Manner) {
    let colour = match line.verdict {
        Verdict::Good => GREEN,
        Verdict::Refused => YELLOW,
        Verdict::Failed => RED,
    };
    time(out, line.at, manner);
    // Writing to a string does not fail.
    let (method, path) = (visible(line.method), visible(line.path));
    let pad = SUBJECT.saturating_sub(method.len().saturating_add(1)).max(path.chars().count());
    let _infallible = write!(out, "{method} {path:<pad$}  ");
    let status = line.status.map_or(Cow::Borrowed("-"), |status| status.to_string().into());
    paint(out, colour, &format!("{status:>3}"), manner);
    out.push_str("  ");
    let about = visible(&line.about);
    let padding = ABOUT.saturating_sub(about.chars().count());
    let about_colour = if line.verdict == Verdict::Good { FAINT } else { colour };
    paint(out, about_colour, &about, manner);
    let _infallible = writeln!(out, "{:padding$}{:>8}", "", short(line.took));
    line.beneath.iter().for_each(|text| beneath(out, text, manner));
}

/// Appends a text that stands beneath an earlier line.
pub fn beneath(out: &mut String, text: &str, manner: &Manner) {
    let _infallible = write!(out, "{:TIME$}", "");
    paint(out, FAINT, &visible(text), manner);
    out.push('\n');
}

fn time(out: &mut String, at: SystemTime, manner: &Manner) {
    let at = manner.zone.to_datetime(Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH));
    let text = format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second());
    paint(out, FAINT, &text, manner);
    out.push_str("  ");
}

fn paint(out: &mut String, colour: &str, text: &str, manner: &Manner) {
    let _infallible = if manner.colours && !text.is_empty() {
        write!(out, "\x1b[{colour}m{text}\x1b[0m")
    } else {
        write!(out, "{text}")
    };
}

/// A duration, as exact as people read it.
fn short(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 1.0 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else if time.as_secs() < 120 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min", time.as_secs() / 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::client::ClientAddress;
    use crate::queue::event::RouteName;
    use crate::queue::id::EventId;
    use crate::queue::store::DeadCause;
    use crate::telemetry::record::{RequestId, RouteLabel, SentPath};
    use crate::telemetry::route_slot::Slot;

    /// 14:03:11 in the zone of the tests.
    const AT: u64 = 1_764_594_191;

    fn manner(colours: bool) -> Manner {
        Manner { colours, zone: TimeZone::fixed(jiff::tz::offset(1)) }
    }

    fn written(line: &PersonLine<'_>, colours: bool) -> String {
        let mut out = String::new();
        write(&mut out, line, &manner(colours));
        out
    }

    fn at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(AT)
    }

    fn record() -> Record {
        let mut record = Record::new(RequestId(1), ClientAddress::ip(std::net::Ipv4Addr::LOCALHOST.into()));
        record.set_method("POST");
        record.route = Some(RouteLabel {
            path: "/webhook/leases".into(),
            slot: Slot::NO_ROUTE,
            scheme: "propify".into(),
        });
        record.status = 200;
        record.secret = Some("current".into());
        record.took = Duration::from_micros(4_200);
        record
    }

    #[test]
    fn a_verified_request_is_one_line_with_its_scheme_and_secret() {
        let line = written(&PersonLine::of_request(&record(), at()), false);
        let want =
            "14:03:11  POST /webhook/leases                      200  propify/current             4 ms\n";
        assert_eq!(line, want);
    }

    #[test]
    fn refusals_are_aligned_and_have_their_detail_beneath() {
        let good = written(&PersonLine::of_request(&record(), at()), false);
        let mut refused = record();
        (refused.status, refused.refused, refused.secret) = (401, true, None);
        refused.reason = Some(Reason::TimestampExpired);
        refused.detail = Some("too\u{202e} old\u{1b}[2J".into());
        refused.took = Duration::from_micros(300);
        let text = written(&PersonLine::of_request(&refused, at()), false);
        let (line, beneath) = text.split_once('\n').unwrap();
        assert_eq!(line.len(), good.len() - 1);
        assert_eq!(line.find("401"), good.find("200"));
        assert!(line.contains("timestamp_expired") && line.ends_with("0.3 ms"), "{line}");
        assert_eq!(beneath, "          too\\u{202e} old\\u{1b}[2J\n");
    }

    #[test]
    fn a_mismatch_says_beneath_which_model_came() {
        let mut refused = record();
        (refused.status, refused.refused) = (403, true);
        refused.reason = Some(Reason::ModelMismatch);
        refused.model = Some("jobs\u{202e}".into());
        let text = written(&PersonLine::of_request(&refused, at()), false);
        assert!(text.ends_with("\n          the signed model is `jobs\\u{202e}`\n"), "{text}");
        refused.reason = None;
        assert_eq!(written(&PersonLine::of_request(&refused, at()), false).lines().count(), 1);
    }

    #[test]
    fn a_refusal_has_another_colour_than_a_success_and_a_failure_of_the_app_a_third() {
        let colour = |record: &Record| {
            let line = written(&PersonLine::of_request(record, at()), true);
            let status = line.find(&record.status.to_string()).unwrap();
            line[..status].rsplit_once('[').unwrap().1.to_owned()
        };
        let (mut refused, mut failed, mut observed) = (record(), record(), record());
        (refused.status, refused.refused, refused.reason) = (404, true, Some(Reason::NoRoute));
        (failed.status, failed.refused, failed.reason) = (502, true, Some(Reason::UpstreamFailed));
        observed.observed = Some(Reason::SignatureMissing);
        let colours = [record(), refused, failed, observed].map(|record| colour(&record));
        assert_eq!(colours, ["32m", "33m", "31m", "33m"]);
        assert!(!written(&PersonLine::of_request(&record(), at()), false).contains('\x1b'));
    }

    #[test]
    fn what_is_not_known_is_a_hyphen_and_a_long_path_is_whole() {
        let mut malformed = Record::new(RequestId(1), ClientAddress::Unix);
        malformed.refused = true;
        let line = written(&PersonLine::of_request(&malformed, at()), false);
        assert!(line.starts_with("14:03:11  - -   "), "{line}");
        let path = format!("/{}", "a".repeat(100));
        malformed.sent_path = Some(SentPath::new(&path));
        assert!(written(&PersonLine::of_request(&malformed, at()), false).contains(&path));
    }

    #[test]
    fn an_attempt_says_what_follows() {
        let route = RouteName { path: "/q".into(), model: None };
        let mut attempt = AttemptRecord {
            event: EventId::from_bytes([0; 16]),
            route: &route,
            upstream: "http://a",
            number: 1,
            is_probe: false,
            outcome: AttemptOutcome::Delivered,
            status: Some(200),
            detail: None,
            took: Duration::from_millis(1500),
            again_in: None,
            dead: None,
        };
        let line = written(&PersonLine::of_attempt(&attempt, at()), false);
        assert!(
            line.starts_with("14:03:11  delivery /q ")
                && line.ends_with("delivered                  1.5 s\n"),
            "{line}"
        );
        (attempt.outcome, attempt.status, attempt.number) = (AttemptOutcome::TimedOut, None, 3);
        attempt.again_in = Some(Duration::from_secs(600));
        let line = written(&PersonLine::of_attempt(&attempt, at()), false);
        assert!(
            line.contains(" -  timed_out, attempt 3 ") && line.ends_with("          again in 10 min\n"),
            "{line}"
        );
        (attempt.again_in, attempt.dead) = (None, Some(DeadCause::Undeliverable));
        let line = written(&PersonLine::of_attempt(&attempt, at()), false);
        assert!(line.ends_with("          now a dead letter: undeliverable\n"), "{line}");
    }
}
