//! Pure. Every way a request is refused: its status, its public text, and whether the connection stays open.
//!
//! The sender and the log get two different texts. The sender's text holds nothing that helps a forger: no
//! computed tag, no name of a secret, no address of an upstream.

use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

use crate::gateway::reason::Reason;
use crate::queue::store::Refused;
use crate::routing::signed_model::NoModel;
use crate::signature::scheme::Authentication;
use crate::signature::{ClaimError, Unverified};
use crate::upstream::error::ForwardError;

/// A refusal. The gateway itself answers. The upstream gets nothing of the request, or no more of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The request is not strict HTTP/1.x. The text says what is wrong, for the log.
    Malformed(&'static str),
    /// The request line is over its limit.
    TargetTooLong,
    /// An app could parse the request as a different one. The text says which part, for the log.
    Ambiguous(&'static str),
    /// The report of a trusted proxy has no address of the client. The text names the faulty field, for the
    /// log.
    ClientAddress(&'static str),
    /// The request line and the fields together are over their limit.
    HeadTooLarge,
    /// The request line and the fields did not arrive in time.
    HeadTimeout,
    /// A transfer coding that is not supported.
    UnknownCoding,
    /// A version of HTTP that is not supported.
    UnknownVersion,
    /// An expectation that cannot be met.
    ExpectationFailed,
    /// No route has this path.
    NoRoute,
    /// The route does not take this client.
    ClientNotAllowed,
    /// The client has had too many failures. The client may try again after this time.
    TooManyFailures(Duration),
    /// The route requires a client certificate, and this connection has none of the required names.
    ClientCertificate,
    /// No certificate of the TLS connection covers the request's host.
    Misdirected,
    /// The route does not allow this method. The text lists the allowed methods, for `allow`.
    MethodNotAllowed(String),
    /// The fields have no well-formed claim of authenticity.
    Unsigned(ClaimError),
    /// The content is over its limit.
    BodyTooLarge {
        /// The declared length, in bytes. `None` if the request has declared no length.
        declared: Option<u64>,
        /// The limit, in bytes.
        most: u64,
    },
    /// The content did not arrive in time, or not fast enough.
    BodyTimeout,
    /// The memory budget is exhausted.
    Overloaded,
    /// The connection ended before the content did. No client is left to answer.
    BodyIncomplete,
    /// The chunked coding is malformed. The text says what is wrong, for the log.
    MalformedContent(&'static str),
    /// The content does not verify.
    SignatureMismatch,
    /// The route does not take the signed model. Or, for this reason, no model could be read.
    ModelMismatch(Option<NoModel>),
    /// The upstream cannot be reached.
    UpstreamUnreachable,
    /// The upstream broke off the exchange.
    UpstreamFailed,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The store has no room for the event.
    QueueFull,
    /// The store fails.
    QueueUnavailable,
    /// On a route that deduplicates, the first delivery of an equal event takes longer than
    /// `response_timeout`.
    EqualUnderWay,
}

/// The part of a refusal that the sender gets.
struct Public {
    title: &'static str,
    status: u16,
    reason: Option<Reason>,
    problem: &'static str,
}

/// Builds a [`Public`] at compile time.
macro_rules! public {
    ($title:literal, $status:literal) => {
        &Public {
            title: $title,
            status: $status,
            reason: None,
            problem: concat!("{\"title\":\"", $title, "\",\"status\":", $status, "}\n"),
        }
    };
    ($title:literal, $status:literal, $reason:ident, $word:literal) => {
        &Public {
            title: $title,
            status: $status,
            reason: Some(Reason::$reason),
            problem: concat!(
                "{\"title\":\"",
                $title,
                "\",\"status\":",
                $status,
                ",\"reason\":\"",
                $word,
                "\"}\n"
            ),
        }
    };
}

impl Rejection {
    /// The rejections of a request that has no route yet, one for each pair of status code and reason.
    pub const WITHOUT_ROUTE: [Self; 10] = [
        Self::Malformed(""),
        Self::TargetTooLong,
        Self::HeadTooLarge,
        Self::HeadTimeout,
        Self::Overloaded,
        Self::UnknownCoding,
        Self::UnknownVersion,
        Self::ExpectationFailed,
        Self::NoRoute,
        Self::MethodNotAllowed(String::new()),
    ];

    /// The rejections that a route in observe mode does not apply.
    pub const OBSERVED: [Self; 6] = [
        Self::Unsigned(ClaimError::Missing),
        Self::Unsigned(ClaimError::Duplicate),
        Self::Unsigned(ClaimError::Malformed),
        Self::Unsigned(ClaimError::Expired),
        Self::SignatureMismatch,
        Self::ModelMismatch(None),
    ];

    /// The rejections of a request that has a route, one for each pair of status code and reason.
    pub const OF_ROUTES: [Self; 22] = [
        Self::ClientNotAllowed,
        Self::TooManyFailures(Duration::ZERO),
        Self::ClientCertificate,
        Self::Misdirected,
        Self::ExpectationFailed,
        Self::MethodNotAllowed(String::new()),
        Self::Unsigned(ClaimError::Missing),
        Self::Unsigned(ClaimError::Duplicate),
        Self::Unsigned(ClaimError::Malformed),
        Self::Unsigned(ClaimError::Expired),
        Self::BodyTooLarge { declared: None, most: 0 },
        Self::BodyTimeout,
        Self::Overloaded,
        Self::BodyIncomplete,
        Self::MalformedContent(""),
        Self::SignatureMismatch,
        Self::ModelMismatch(None),
        Self::UpstreamUnreachable,
        Self::UpstreamFailed,
        Self::UpstreamTimeout,
        Self::QueueFull,
        Self::QueueUnavailable,
    ];

    /// The status code of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.public().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The reason, in the answer, the log and the metrics. A request that does not parse as HTTP has none.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.public().reason
    }

    /// The public text.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.public().title
    }

    /// The content of the answer: problem details (RFC 9457).
    #[must_use]
    pub fn problem(&self) -> &'static str {
        self.public().problem
    }

    fn public(&self) -> &'static Public {
        match self {
            Self::Malformed(_) | Self::MalformedContent(_) => {
                public!("The request is not valid HTTP/1.1", 400)
            }
            Self::TargetTooLong => public!("The request line is too long", 414),
            Self::Ambiguous(_) => public!("The request could be read in two ways", 400),
            Self::ClientAddress(_) => public!("The client's address cannot be read", 400),
            Self::HeadTooLarge => public!("The request's header fields are too large", 431),
            Self::HeadTimeout => public!("The request's header fields did not arrive in time", 408),
            Self::UnknownCoding => public!("The transfer coding is not implemented", 501),
            Self::UnknownVersion => public!("The version of HTTP is not supported", 505),
            Self::ExpectationFailed => public!("The expectation cannot be met", 417),
            Self::NoRoute => public!("Nothing is served at this path", 404, NoRoute, "no_route"),
            Self::ClientNotAllowed => {
                public!("This client is not served at this path", 403, ClientNotAllowed, "client_not_allowed")
            }
            Self::TooManyFailures(_) => {
                public!(
                    "Too many requests of this client failed; try again later",
                    429,
                    TooManyFailures,
                    "too_many_failures"
                )
            }
            Self::ClientCertificate => {
                public!(
                    "A client certificate is required at this path",
                    403,
                    ClientCertificate,
                    "client_certificate"
                )
            }
            Self::Misdirected => public!("This host is not served over this connection", 421),
            Self::MethodNotAllowed(_) => {
                public!("This method is not served at this path", 405, MethodNotAllowed, "method_not_allowed")
            }
            Self::Unsigned(ClaimError::Missing) => {
                public!("The request is not signed", 401, SignatureMissing, "signature_missing")
            }
            Self::Unsigned(ClaimError::Duplicate) => {
                public!(
                    "The request has more than one signature",
                    401,
                    SignatureDuplicate,
                    "signature_duplicate"
                )
            }
            Self::Unsigned(ClaimError::Malformed) => {
                public!("The signature is malformed", 401, SignatureMalformed, "signature_malformed")
            }
            Self::Unsigned(ClaimError::Expired) => {
                public!("The signed time is outside its window", 401, TimestampExpired, "timestamp_expired")
            }
            Self::BodyTooLarge { .. } => {
                public!("The content is too large", 413, BodyTooLarge, "body_too_large")
            }
            Self::BodyTimeout => {
                public!("The content did not arrive in time", 408, BodyTimeout, "body_timeout")
            }
            Self::BodyIncomplete => {
                public!("The content is not complete", 400, BodyIncomplete, "body_incomplete")
            }
            Self::Overloaded => {
                public!("Too much content is being received; try again", 503, Overloaded, "overloaded")
            }
            Self::SignatureMismatch => {
                public!(
                    "The signature does not match the content",
                    401,
                    SignatureMismatch,
                    "signature_mismatch"
                )
            }
            Self::ModelMismatch(_) => {
                public!("The signed content is not for this path", 403, ModelMismatch, "model_mismatch")
            }
            Self::UpstreamUnreachable => {
                public!("The application cannot be reached", 502, UpstreamUnreachable, "upstream_unreachable")
            }
            Self::UpstreamFailed => {
                public!("The application broke off", 502, UpstreamFailed, "upstream_failed")
            }
            Self::UpstreamTimeout => {
                public!("The application did not answer in time", 504, UpstreamTimeout, "upstream_timeout")
            }
            Self::QueueFull => public!("The queue is full; try again", 503, QueueFull, "queue_full"),
            Self::QueueUnavailable => {
                public!(
                    "The event cannot be stored now; try again",
                    503,
                    QueueUnavailable,
                    "queue_unavailable"
                )
            }
            Self::EqualUnderWay => {
                public!(
                    "An equal event is being delivered; try again",
                    503,
                    QueueUnavailable,
                    "queue_unavailable"
                )
            }
        }
    }

    /// Whether the connection must close, even if all of this request has been read.
    #[must_use]
    pub fn ends_connection(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::Ambiguous(_)
            | Self::MalformedContent(_)
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::HeadTimeout
            | Self::UnknownCoding
            | Self::UnknownVersion => true,
            // The connection of a trusted proxy also carries requests of other clients.
            Self::ClientAddress(_)
            | Self::ExpectationFailed
            | Self::NoRoute
            | Self::ClientNotAllowed
            | Self::TooManyFailures(_)
            | Self::ClientCertificate
            | Self::Misdirected
            | Self::MethodNotAllowed(_)
            | Self::Unsigned(_)
            | Self::BodyTooLarge { .. }
            | Self::BodyTimeout
            | Self::BodyIncomplete
            | Self::Overloaded
            | Self::SignatureMismatch
            | Self::ModelMismatch(_)
            | Self::UpstreamUnreachable
            | Self::UpstreamFailed
            | Self::UpstreamTimeout
            | Self::QueueFull
            | Self::QueueUnavailable
            | Self::EqualUnderWay => false,
        }
    }

    /// Whether the refusal counts as a failure of the client (`max_failures_per_client`). A refusal counts if
    /// the client sent a faulty request, or a request that did not verify. Failures of the gateway, of the
    /// upstream and of the network do not count. Requests that have verified do not count either.
    #[must_use]
    pub fn is_failure_of_client(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::MalformedContent(_)
            | Self::Ambiguous(_)
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::UnknownCoding
            | Self::UnknownVersion
            | Self::ExpectationFailed
            | Self::NoRoute
            | Self::ClientNotAllowed
            | Self::ClientCertificate
            | Self::Misdirected
            | Self::MethodNotAllowed(_)
            | Self::Unsigned(_)
            | Self::BodyTooLarge { .. }
            | Self::SignatureMismatch => true,
            // A trusted proxy has reported no address, so the client is not known.
            Self::ClientAddress(_) => false,
            // A slow or broken network can cause these refusals.
            Self::HeadTimeout | Self::BodyTimeout | Self::BodyIncomplete => false,
            // The event is authentic.
            Self::ModelMismatch(_) | Self::EqualUnderWay => false,
            // If this refusal counted, a client that tries again too early would wait longer and longer.
            Self::TooManyFailures(_) => false,
            Self::Overloaded
            | Self::UpstreamUnreachable
            | Self::UpstreamFailed
            | Self::UpstreamTimeout
            | Self::QueueFull
            | Self::QueueUnavailable => false,
        }
    }

    /// Whether all rejections with this content have the same fields as well.
    #[must_use]
    pub fn is_uniform(&self) -> bool {
        !matches!(self, Self::MethodNotAllowed(_) | Self::TooManyFailures(_))
    }

    /// The field that the status code requires: `allow` (RFC 9110, section 10.2.1), `www-authenticate`
    /// (section 11.6.1), or `retry-after` (section 10.2.3). `authentication` is that of the route's scheme.
    #[must_use]
    pub fn field(&self, authentication: Authentication) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::MethodNotAllowed(allow) => {
                HeaderValue::from_str(allow).ok().map(|allow| (header::ALLOW, allow))
            }
            Self::Unsigned(_) | Self::SignatureMismatch => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(authentication.as_str())))
            }
            Self::Overloaded => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            Self::TooManyFailures(wait) => {
                let part = u64::from(wait.subsec_nanos() > 0);
                let seconds = wait.as_secs().saturating_add(part).max(1);
                Some((header::RETRY_AFTER, seconds.into()))
            }
            Self::QueueFull | Self::QueueUnavailable | Self::EqualUnderWay => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("10")))
            }
            Self::Malformed(_)
            | Self::Ambiguous(_)
            | Self::ClientAddress(_)
            | Self::MalformedContent(_)
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::HeadTimeout
            | Self::UnknownCoding
            | Self::UnknownVersion
            | Self::ExpectationFailed
            | Self::NoRoute
            | Self::ClientNotAllowed
            | Self::ClientCertificate
            | Self::Misdirected
            | Self::BodyTooLarge { .. }
            | Self::BodyTimeout
            | Self::BodyIncomplete
            | Self::ModelMismatch(_)
            | Self::UpstreamUnreachable
            | Self::UpstreamFailed
            | Self::UpstreamTimeout => None,
        }
    }
}

impl From<Unverified> for Rejection {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::Tag | Unverified::Unclaimed => Self::SignatureMismatch,
            Unverified::Time(error) => Self::Unsigned(error),
        }
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::QueueFull,
            Refused::Unavailable => Self::QueueUnavailable,
        }
    }
}

impl From<&ForwardError> for Rejection {
    fn from(error: &ForwardError) -> Self {
        match error {
            ForwardError::Unreachable(_) => Self::UpstreamUnreachable,
            ForwardError::Broken(_) => Self::UpstreamFailed,
            ForwardError::TimedOut => Self::UpstreamTimeout,
        }
    }
}

/// The media type of [`Rejection::problem`].
pub const PROBLEM_TYPE: &str = "application/problem+json";

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Rejection> {
        vec![
            Rejection::Malformed("x"),
            Rejection::TargetTooLong,
            Rejection::Ambiguous("x"),
            Rejection::ClientAddress("x"),
            Rejection::HeadTooLarge,
            Rejection::HeadTimeout,
            Rejection::UnknownCoding,
            Rejection::UnknownVersion,
            Rejection::ExpectationFailed,
            Rejection::NoRoute,
            Rejection::ClientNotAllowed,
            Rejection::TooManyFailures(Duration::from_millis(1001)),
            Rejection::ClientCertificate,
            Rejection::Misdirected,
            Rejection::MethodNotAllowed("POST".to_owned()),
            Rejection::Unsigned(ClaimError::Missing),
            Rejection::Unsigned(ClaimError::Duplicate),
            Rejection::Unsigned(ClaimError::Malformed),
            Rejection::Unsigned(ClaimError::Expired),
            Rejection::BodyTooLarge { declared: None, most: 1 },
            Rejection::BodyTimeout,
            Rejection::BodyIncomplete,
            Rejection::Overloaded,
            Rejection::MalformedContent("x"),
            Rejection::SignatureMismatch,
            Rejection::ModelMismatch(None),
            Rejection::UpstreamUnreachable,
            Rejection::UpstreamFailed,
            Rejection::UpstreamTimeout,
            Rejection::QueueFull,
            Rejection::QueueUnavailable,
            Rejection::EqualUnderWay,
        ]
    }

    /// The table of statuses and reasons, row by row.
    #[test]
    fn status_and_reason_are_the_contracts() {
        let rows: Vec<_> =
            all().iter().map(|r| (r.status().as_u16(), r.reason().map_or("-", Reason::as_str))).collect();
        let want = [
            (400, "-"),
            (414, "-"),
            (400, "-"),
            // The client's address.
            (400, "-"),
            (431, "-"),
            (408, "-"),
            (501, "-"),
            (505, "-"),
            (417, "-"),
            (404, "no_route"),
            (403, "client_not_allowed"),
            (429, "too_many_failures"),
            (403, "client_certificate"),
            (421, "-"),
            (405, "method_not_allowed"),
            (401, "signature_missing"),
            (401, "signature_duplicate"),
            (401, "signature_malformed"),
            (401, "timestamp_expired"),
            (413, "body_too_large"),
            (408, "body_timeout"),
            (400, "body_incomplete"),
            (503, "overloaded"),
            (400, "-"),
            (401, "signature_mismatch"),
            (403, "model_mismatch"),
            (502, "upstream_unreachable"),
            (502, "upstream_failed"),
            (504, "upstream_timeout"),
            (503, "queue_full"),
            (503, "queue_unavailable"),
            // An equal event is under way.
            (503, "queue_unavailable"),
        ];
        assert_eq!(rows, want);
    }

    #[test]
    fn the_lists_have_every_pair_of_status_and_reason() {
        let listed: Vec<_> = Rejection::WITHOUT_ROUTE.into_iter().chain(Rejection::OF_ROUTES).collect();
        let pair = |rejection: &Rejection| (rejection.status(), rejection.reason());
        for rejection in all() {
            assert!(listed.iter().any(|other| pair(other) == pair(&rejection)), "{rejection:?}");
        }
    }

    #[test]
    fn the_problem_is_json_that_agrees_with_the_status() {
        for rejection in all() {
            let problem: serde_json::Value = serde_json::from_str(rejection.problem()).unwrap();
            assert_eq!(problem["status"], rejection.status().as_u16());
            assert_eq!(problem["title"], rejection.title());
            assert_eq!(
                problem.get("reason").and_then(|reason| reason.as_str()),
                rejection.reason().map(Reason::as_str)
            );
        }
    }

    #[test]
    fn details_for_the_log_do_not_reach_the_sender() {
        for rejection in [
            Rejection::Malformed("private"),
            Rejection::Ambiguous("private"),
            Rejection::ClientAddress("private"),
            Rejection::ModelMismatch(Some(NoModel::Disagreement)),
        ] {
            assert!(rejection.detail().is_some());
            assert!(!rejection.problem().contains(&*rejection.detail().unwrap()));
        }
    }

    #[test]
    fn every_401_405_429_and_503_has_its_field() {
        for rejection in all() {
            let name = rejection.field(Authentication::default()).map(|(name, _)| name);
            let want = match rejection.status().as_u16() {
                401 => Some(header::WWW_AUTHENTICATE),
                405 => Some(header::ALLOW),
                429 | 503 => Some(header::RETRY_AFTER),
                _ => None,
            };
            assert_eq!(name, want, "{rejection:?}");
        }
    }

    #[test]
    fn the_wait_is_in_whole_seconds_and_never_too_short() {
        for (millis, want) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (86_400_000, "86400")] {
            let (_, wait) = Rejection::TooManyFailures(Duration::from_millis(millis))
                .field(Authentication::Signature)
                .unwrap();
            assert_eq!(wait, want, "{millis}");
        }
    }

    /// A refusal with 4xx counts as a failure, except for the few that a client without fault can get.
    #[test]
    fn refusals_that_the_client_causes_are_its_failures() {
        let spared = all().into_iter().filter(|rejection| !rejection.is_failure_of_client());
        let mut spared: Vec<_> = spared.map(|rejection| rejection.status().as_u16()).collect();
        spared.sort_unstable();
        // `body_incomplete` and a proxy's report without an address; `model_mismatch`; the two timeouts;
        // `too_many_failures`; then 502 to 504.
        assert_eq!(spared, [400, 400, 403, 408, 408, 429, 502, 502, 503, 503, 503, 503, 504]);
    }
}
