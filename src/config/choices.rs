//! Pure. The words that are the possible values of some keys of gateway.toml, with their meanings.

use crate::config::{AccessLog, DeliveryMode, LogFormat, LogLevel, Mode, Role};
use crate::signature::Permit;
use crate::signature::scheme::{Acknowledgment, AnswerUse, Refusal};
use crate::tls::server_config::MinVersion;

/// `format` of `[log]`
pub(super) const LOG_FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];

/// `level` of `[log]`
pub(super) const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::ERROR),
    ("warn", LogLevel::WARN),
    ("info", LogLevel::INFO),
    ("debug", LogLevel::DEBUG),
    ("trace", LogLevel::TRACE),
];

/// `access` of `[log]`
pub(super) const ACCESS: [(&str, AccessLog); 3] =
    [("all", AccessLog::All), ("refused", AccessLog::Refused), ("off", AccessLog::Off)];

/// The format of a signature field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Pairs,
    Tagged,
    List,
    Basic,
    Jwt,
}

/// `format` of a scheme
pub(super) const FORMATS: [(&str, Kind); 6] = [
    ("plain", Kind::Plain),
    ("pairs", Kind::Pairs),
    ("tagged", Kind::Tagged),
    ("list", Kind::List),
    ("basic", Kind::Basic),
    ("jwt", Kind::Jwt),
];

/// `after_name` of a scheme
pub(super) const AFTER_NAME: [(&str, char); 4] = [("=", '='), (",", ','), (":", ':'), ("/", '/')];

/// `acknowledgment` of a scheme, as a status code
pub(super) const ACKNOWLEDGMENTS: [(u16, Acknowledgment); 3] =
    [(200, Acknowledgment::Ok), (202, Acknowledgment::Accepted), (204, Acknowledgment::NoContent)];

/// `acknowledgment` of a scheme, as a word
pub(super) const EMPTY_ACKNOWLEDGMENTS: [(&str, Acknowledgment); 1] =
    [("200-empty", Acknowledgment::EmptyOk)];

/// `method` of a set-up request
pub(super) const SETUP_METHODS: [(&str, &str); 4] =
    [("GET", "GET"), ("HEAD", "HEAD"), ("OPTIONS", "OPTIONS"), ("POST", "POST")];

/// `status` of a challenge or of a set-up request
pub(super) const CHALLENGE_STATUSES: [u16; 3] = [200, 202, 204];

/// `answer_use` of a scheme
pub(super) const ANSWER_USES: [(&str, AnswerUse); 3] =
    [("never", AnswerUse::Never), ("sometimes", AnswerUse::Sometimes), ("always", AnswerUse::Always)];

/// `refusal` of a scheme
pub(super) const REFUSALS: [(&str, Refusal); 2] = [("problem", Refusal::Problem), ("empty", Refusal::Empty)];

/// Which side answers a sender's challenges and set-up requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ChallengeMode {
    /// The app answers signed challenges. Unsigned requests are refused.
    Forward,
    /// The gateway answers.
    Answer,
    /// The app answers, also unsigned requests. The operator permits that.
    ForwardUnsigned(Permit),
}

/// `challenge` of a signature
pub(super) const CHALLENGES: [(&str, ChallengeMode); 3] = [
    ("forward", ChallengeMode::Forward),
    ("answer", ChallengeMode::Answer),
    ("forward-unsigned", ChallengeMode::ForwardUnsigned(Permit::of_configuration())),
];

/// `mode` of a route
pub(super) const MODES: [(&str, Mode); 2] =
    [("enforce", Mode::Enforce), ("observe", Mode::Observe(Permit::of_configuration()))];

/// `delivery` of a route
pub(super) const DELIVERIES: [(&str, DeliveryMode); 3] =
    [("direct", DeliveryMode::Direct), ("fallback", DeliveryMode::Fallback), ("queue", DeliveryMode::Queue)];

/// `console_content` of a route: whether the console shows the content of its events
pub(super) const CONSOLE_CONTENTS: [(&str, bool); 2] = [("asked", true), ("never", false)];

/// `role` of a token
pub(super) const ROLES: [(&str, Role); 2] = [("read", Role::Read), ("operate", Role::Operate)];

/// `min_version` of `[tls]`
pub(super) const TLS_VERSIONS: [(&str, MinVersion); 2] =
    [("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];

/// `client_certificate` of a route: names of known senders. Meta's is from
/// <https://developers.facebook.com/docs/graph-api/webhooks/getting-started#mtls-for-webhooks>.
pub(super) const CLIENT_SETS: [(&str, &[&str]); 1] = [("meta", &["client.webhooks.fbclientcerts.com"])];
