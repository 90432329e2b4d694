//! Pure. Judges the answer to an event: whether the event was delivered or refused, and whether that is
//! expected.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;

use crate::cli::sample_event::Forgery;
use crate::tls::handshake::SPEAKS_TLS;

/// The result of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether the result is the expected result.
    pub(super) as_it_should: bool,
    /// The gateway's reason, if the gateway refused the event.
    pub(super) reason: Option<String>,
    /// The result as a sentence.
    pub(super) words: String,
}

/// Whether a gateway has verified the event. A successful answer alone does not say so, because an app could
/// have given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verified {
    /// The gateway's count of verified events has grown.
    Yes,
    /// The gateway with this admin listener has verified no event meanwhile.
    No(String),
    /// It is not known, for this reason.
    Unknown(String),
}

/// Judges an answer.
pub(super) fn judge(
    forgery: Option<Forgery>,
    verified: &Verified,
    status: StatusCode,
    fields: &HeaderMap,
    content: &[u8],
) -> Verdict {
    let reason = reason(fields, content);
    let (as_it_should, words) = match (forgery, &reason) {
        (None, _) if status.is_success() => taken(verified, status, content),
        (None, Some(reason)) => {
            (false, format!("refused by the gateway, {reason}: {}", explain(reason).unwrap_or("see its log")))
        }
        (None, None) if is_empty_refusal(status, fields, content) => {
            (false, "refused by the gateway, without content as the scheme demands: see its log".to_owned())
        }
        (Some(forgery), None) if is_empty_refusal(status, fields, content) => {
            let sent = forgery.describe();
            (true, format!("stopped, as it must be: the event came {sent} ({status}, without content)"))
        }
        (None, None) if content == SPEAKS_TLS => {
            (false, "not delivered: this port speaks TLS: name it with --url https://HOST:PORT".to_owned())
        }
        (None, None)
            if let Some(title) = own_title(fields, content).filter(|_| *verified != Verified::Yes) =>
        {
            (
                false,
                format!(
                    "refused by the gateway before any check of the signature: {title} ({status}); its log says why"
                ),
            )
        }
        (None, None) => {
            let from = match verified {
                Verified::Yes => "from the app; it verified",
                Verified::No(_) | Verified::Unknown(_) => {
                    "from the app, or from something before the gateway"
                }
            };
            (false, format!("not delivered: the answer is {status}, {from}"))
        }
        (Some(forgery), Some(reason)) => {
            let (sent, expected) = (forgery.describe(), forgery.expected_reason());
            if status == StatusCode::UNAUTHORIZED && reason == expected {
                (true, format!("stopped, as it must be: the event came {sent} ({reason})"))
            } else {
                (
                    false,
                    format!("refused, but as {reason} ({status}), not as {expected}: the event came {sent}"),
                )
            }
        }
        (Some(forgery), None) => {
            let sent = forgery.describe();
            let through =
                "it got through to the app, unless something else answered; is the route in `observe` mode?";
            (false, format!("not stopped, though the event came {sent}: {through}"))
        }
    };
    Verdict { as_it_should, reason, words }
}

/// The result of an event that was answered with success.
fn taken(verified: &Verified, status: StatusCode, content: &[u8]) -> (bool, String) {
    #[derive(Deserialize)]
    struct Acknowledgement {
        status: String,
    }
    let acknowledgement = serde_json::from_slice::<Acknowledgement>(content).ok();
    match verified {
        Verified::Yes => {
            let words = match acknowledgement.as_ref().map(|acknowledgement| acknowledgement.status.as_str())
            {
                Some("queued") => {
                    "stored: it verified, and the gateway delivers it to the app (`hookgate events list`)"
                }
                Some("duplicate") => {
                    "not delivered again: it verified, and is a duplicate of an earlier event"
                }
                Some(_) | None => "delivered: it verified, and was answered with success",
            };
            (true, words.to_owned())
        }
        Verified::No(admin) => {
            let words = format!(
                "answered with {status}, but the gateway whose admin listener is {admin} has verified nothing meanwhile: \
                 something else has answered, or another gateway"
            );
            (false, words)
        }
        Verified::Unknown(why) => {
            (true, format!("answered with {status}; whether a gateway verified it is not known: {why}"))
        }
    }
}

/// Whether the answer is the gateway's refusal of a signature under a scheme with `refusal = "empty"`. Such a
/// refusal has no reason.
pub(super) fn is_empty_refusal(status: StatusCode, fields: &HeaderMap, content: &[u8]) -> bool {
    let asks = fields.get(WWW_AUTHENTICATE).is_some_and(|value| value == "Signature");
    status == StatusCode::UNAUTHORIZED && asks && content.is_empty()
}

/// The `reason` in the gateway's problem details (RFC 9457).
pub(super) fn reason(fields: &HeaderMap, content: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        reason: Option<String>,
    }
    let media_type = fields.get(CONTENT_TYPE);
    let is_problem =
        media_type.is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"));
    let problem: Problem = serde_json::from_slice(content).ok().filter(|_| is_problem)?;
    // The reason is printed within the command's own text, so its characters are checked.
    problem.reason.filter(|reason| reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

/// The title of a refusal without a reason, if it has the gateway's form: the request itself could not be
/// read, or could be read in two ways.
fn own_title(fields: &HeaderMap, content: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Own {
        title: String,
        #[serde(rename = "status")]
        _status: u16,
    }
    let is_problem = fields.get(CONTENT_TYPE).is_some_and(|value| value == "application/problem+json");
    let own: Own = serde_json::from_slice(content).ok().filter(|_| is_problem)?;
    let is_plain = own.title.len() <= 80 && own.title.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    is_plain.then_some(own.title)
}

/// The likely cause if an authentic event was refused.
fn explain(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "no_route" => "the gateway has no route for this path; does it run with this configuration?",
        "client_not_allowed" => "the route's `allow` has no network with this machine's address",
        "too_many_failures" => "this machine has more refusals than `max_failures_per_client` allows; wait",
        "client_certificate" => "the route requires a client certificate, and `send` has none",
        "queue_full" => "the event verified, but the queue is full (`max_bytes`, `max_queued`, `min_free`)",
        "queue_unavailable" => "the event verified, but the store cannot be used; the gateway's log says why",
        "method_not_allowed" => "the route does not take this method; --method names another",
        "signature_missing" => {
            "the gateway looks for the signature in another field; does it run with this configuration?"
        }
        "signature_malformed" => {
            "the gateway expects the signature of another scheme; does it run with this configuration?"
        }
        "signature_duplicate" => "there is more than one signature",
        "signature_mismatch" => "the gateway has another secret; was it started with this one?",
        "timestamp_expired" => "the signed time is outside its window; do both clocks agree?",
        "body_too_large" => "the body is over the route's limit",
        "body_timeout" => "the body did not arrive in time",
        "body_incomplete" => "the body did not arrive whole",
        "overloaded" => "all buffer memory of the gateway is in use; try again",
        "model_mismatch" => "the event verified, but its model is not the route's",
        "upstream_unreachable" => "the event verified, but the app cannot be reached; is the app running?",
        "upstream_failed" => "the event verified, but the app broke off the exchange",
        "upstream_timeout" => "the event verified, but the app did not answer in time",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEM: Option<&[u8]> = Some(b"application/problem+json");

    fn judged(forgery: Option<Forgery>, status: u16, media_type: Option<&[u8]>, content: &str) -> Verdict {
        let value = media_type.map(|value| http::HeaderValue::from_bytes(value).unwrap());
        let fields = value.map(|value| (CONTENT_TYPE, value)).into_iter().collect();
        judge(forgery, &Verified::Yes, StatusCode::from_u16(status).unwrap(), &fields, content.as_bytes())
    }

    #[test]
    fn a_refusal_without_content_is_recognised_by_its_field() {
        let fields =
            |value| HeaderMap::from_iter([(WWW_AUTHENTICATE, http::HeaderValue::from_static(value))]);
        let judged = |forgery, value, content: &str| {
            judge(forgery, &Verified::Yes, StatusCode::UNAUTHORIZED, &fields(value), content.as_bytes())
                .as_it_should
        };
        assert!(judged(Some(Forgery::Tampered), "Signature", ""));
        assert!(!judged(None, "Signature", ""));
        assert!(!judged(Some(Forgery::Tampered), "Bearer", ""), "the app's own 401");
        assert!(!judged(Some(Forgery::Tampered), "Signature", "{}"), "the app's own 401");
    }

    #[test]
    fn a_good_event_must_be_delivered() {
        for (status, ok) in [(200, true), (204, true), (299, true), (302, false), (401, false), (500, false)]
        {
            assert_eq!(judged(None, status, None, "").as_it_should, ok, "{status}");
        }
        let refused = judged(None, 401, PROBLEM, r#"{"reason":"signature_mismatch"}"#);
        assert_eq!(refused.reason.as_deref(), Some("signature_mismatch"));
        assert!(!refused.as_it_should && refused.words.contains("another secret"), "{}", refused.words);
    }

    #[test]
    fn a_success_is_called_verified_only_if_that_is_known() {
        let taken = |verified: &Verified, content: &str| {
            judge(None, verified, StatusCode::OK, &HeaderMap::new(), content.as_bytes())
        };
        let known = taken(&Verified::Yes, "ok");
        assert!(known.as_it_should && known.words.contains("it verified"), "{}", known.words);
        assert!(taken(&Verified::Yes, r#"{"id":"1","status":"queued"}"#).words.starts_with("stored"));
        assert!(taken(&Verified::Yes, r#"{"status":"duplicate"}"#).words.contains("duplicate"));
        let other = taken(&Verified::No("http://127.0.0.1:9901".to_owned()), "ok");
        assert!(!other.as_it_should && !other.words.contains("it verified"), "{}", other.words);
        let unknown = taken(&Verified::Unknown("there is no [admin]".to_owned()), r#"{"status":"queued"}"#);
        assert!(unknown.as_it_should && !unknown.words.contains("it verified"), "{}", unknown.words);
    }

    #[test]
    fn a_forged_event_must_be_refused_for_its_own_reason() {
        let tampered = Some(Forgery::Tampered);
        let mismatch = r#"{"reason":"signature_mismatch"}"#;
        assert!(judged(tampered, 401, PROBLEM, mismatch).as_it_should);
        assert!(!judged(tampered, 401, PROBLEM, r#"{"reason":"signature_missing"}"#).as_it_should);
        assert!(!judged(tampered, 404, PROBLEM, r#"{"reason":"no_route"}"#).as_it_should);
        assert!(
            !judged(tampered, 401, Some(b"application/json"), mismatch).as_it_should,
            "the app's own 401"
        );
        assert!(!judged(tampered, 401, None, "").as_it_should);
        assert!(!judged(tampered, 200, None, "{}").as_it_should);
    }

    #[test]
    fn each_reason_for_which_an_event_is_refused_is_explained() {
        for reason in "no_route client_not_allowed too_many_failures client_certificate method_not_allowed signature_missing \
                       signature_duplicate signature_malformed timestamp_expired body_too_large body_timeout body_incomplete \
                       overloaded signature_mismatch model_mismatch upstream_unreachable upstream_failed upstream_timeout \
                       queue_full queue_unavailable"
            .split_whitespace()
        {
            assert!(explain(reason).is_some(), "{reason}");
        }
    }

    #[test]
    fn a_refusal_of_the_request_itself_is_the_gateways() {
        let title = r#"{"title":"The request could be read in two ways","status":400}"#;
        let judge = |verified: &Verified, content: &[u8]| {
            let fields = HeaderMap::from_iter([(
                CONTENT_TYPE,
                http::HeaderValue::from_static("application/problem+json"),
            )]);
            judge(None, verified, StatusCode::BAD_REQUEST, &fields, content).words
        };
        let unknown = Verified::Unknown(String::new());
        let words = judge(&unknown, title.as_bytes());
        assert!(words.contains("by the gateway") && words.contains("in two ways"), "{words}");
        let words = judge(&Verified::Yes, title.as_bytes());
        assert!(words.contains("from the app; it verified"), "{words}");
        let words = judge(&unknown, br#"{"title":"Bad","status":400,"detail":"of the app"}"#);
        assert!(words.contains("from the app, or"), "{words}");
        let words = judge(&unknown, SPEAKS_TLS);
        assert!(words.contains("--url https://"), "{words}");
    }

    #[test]
    fn only_a_reason_in_the_gateways_form_is_repeated() {
        let odd = judged(None, 500, PROBLEM, r#"{"reason":"\u001b[2J"}"#);
        assert_eq!(odd.reason, None);
    }
}
