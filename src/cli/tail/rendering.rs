//! Pure. Writes the documents of the stream as lines for people.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::Value;

use crate::telemetry::person_line::{self, DELIVERY, Manner, PersonLine, Verdict};

/// The lines of an event of the stream. Empty for an event that is not shown.
pub(super) fn lines(name: &str, data: &Value, manner: &Manner) -> String {
    let mut out = String::new();
    match name {
        "request" => person_line::write(&mut out, &request(data), manner),
        "delivery" => person_line::write(&mut out, &delivery(data), manner),
        "cause" => {
            let request = format!("{} of request {}", text(data, "path"), text(data, "request_id"));
            person_line::beneath(&mut out, &cause(&request, data), manner);
        }
        "missed" => {
            let text = format!("{} are left out: the gateway or this reader is busy", data["missed"]);
            person_line::beneath(&mut out, &text, manner);
        }
        _ => {}
    }
    out
}

fn request(data: &Value) -> PersonLine<'_> {
    let (reason, observed) = (field(data, "reason"), field(data, "would_refuse"));
    let status = status(data);
    let verdict = match text(data, "state") {
        // The reasons for which the gateway or the app is to blame have these codes.
        "refused" if status.is_some_and(|status| status >= 500) => Verdict::Failed,
        "verified" if status.is_some_and(|status| status >= 500) => Verdict::Failed,
        "verified" => Verdict::Good,
        _ => Verdict::Refused,
    };
    let verified = field(data, "scheme").zip(field(data, "secret"));
    let mut beneath: Vec<_> = field(data, "detail").map(Cow::Borrowed).into_iter().collect();
    if data["cause"].is_object() {
        beneath.push(cause("this", data).into());
    }
    PersonLine {
        at: at(data),
        method: field(data, "method").unwrap_or("-"),
        path: field(data, "path").unwrap_or("-"),
        status: status.filter(|status| *status != 0),
        verdict,
        about: person_line::about(reason, observed, field(data, "challenge"), verified),
        took: millis(data, "duration_ms").unwrap_or_default(),
        beneath,
    }
}

fn delivery(data: &Value) -> PersonLine<'_> {
    let outcome = text(data, "outcome");
    let number = data["attempt"].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(1);
    let mut beneath: Vec<_> = field(data, "detail").map(Cow::Borrowed).into_iter().collect();
    beneath.extend(person_line::after(field(data, "dead"), millis(data, "again_ms")));
    PersonLine {
        at: at(data),
        method: DELIVERY,
        path: text(data, "route"),
        status: status(data),
        verdict: if outcome == "delivered" { Verdict::Good } else { Verdict::Failed },
        about: person_line::attempted(outcome, number),
        took: millis(data, "duration_ms").unwrap_or_default(),
        beneath,
    }
}

fn cause(request: &str, data: &Value) -> String {
    let cause = &data["cause"];
    person_line::cause(request, text(cause, "detail"), text(cause, "advice"))
}

fn field<'d>(data: &'d Value, name: &str) -> Option<&'d str> {
    data.get(name).and_then(Value::as_str)
}

fn text<'d>(data: &'d Value, name: &str) -> &'d str {
    field(data, name).unwrap_or("-")
}

fn status(data: &Value) -> Option<u16> {
    data.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok())
}

fn at(data: &Value) -> SystemTime {
    let at = field(data, "at").and_then(|at| at.parse::<Timestamp>().ok());
    let millis = at.and_then(|at| u64::try_from(at.as_millisecond()).ok()).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn millis(data: &Value, name: &str) -> Option<Duration> {
    let millis = data.get(name).and_then(Value::as_f64)?;
    Duration::try_from_secs_f64(millis / 1000.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use serde_json::json;

    fn shown(name: &str, data: &Value) -> String {
        lines(name, data, &Manner { colours: false, zone: TimeZone::UTC })
    }

    #[test]
    fn a_request_is_the_line_that_the_log_has() {
        let data = json!({
            "at": "2025-12-01T14:03:11.000Z", "state": "verified", "method": "POST", "path": "/webhook/leases", "status": 200,
            "scheme": "propify", "secret": "current", "duration_ms": 4.2,
        });
        let want =
            "14:03:11  POST /webhook/leases                      200  propify/current             4 ms\n";
        assert_eq!(shown("request", &data), want);
    }

    #[test]
    fn a_refusal_has_its_cause_beneath_and_nothing_hidden() {
        let cause =
            json!({ "label": "x", "detail": "the secret \u{1b}[2J has white space", "advice": "remove it" });
        let data = json!({
            "at": "2025-12-01T14:03:11.000Z", "state": "refused", "path": "/a\u{202e}", "status": 401,
            "reason": "signature_mismatch", "cause": cause, "request_id": "7",
        });
        let text = shown("request", &data);
        assert!(text.contains("- /a\\u{202e} ") && text.contains("401  signature_mismatch"), "{text}");
        let line = "likely cause of this: the secret \\u{1b}[2J has white space: remove it\n";
        assert!(text.ends_with(line), "{text}");
        let text = shown("cause", &data);
        assert!(text.contains("likely cause of /a\\u{202e} of request 7: the secret"), "{text}");
    }

    #[test]
    fn what_is_no_document_of_a_gateway_is_shown_as_far_as_it_is_understood() {
        for data in [json!(null), json!([1]), json!({ "at": 7, "status": 70_000, "duration_ms": -1 })] {
            for name in ["request", "delivery", "cause", "missed"] {
                assert!(!shown(name, &data).is_empty(), "{name} {data}");
            }
            assert_eq!(shown("start", &data), "");
        }
    }
}
