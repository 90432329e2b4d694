//! Pure. The words that some keys of gateway.toml choose from, with their meanings.

use crate::config::{AccessLog, LogFormat, LogLevel, Mode};
use crate::signature::Permit;

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
}

/// `format` of a scheme
pub(super) const FORMATS: [(&str, Kind); 3] =
    [("plain", Kind::Plain), ("pairs", Kind::Pairs), ("tagged", Kind::Tagged)];

/// `mode` of a route
pub(super) const MODES: [(&str, Mode); 2] =
    [("enforce", Mode::Enforce), ("observe", Mode::Observe(Permit::of_configuration()))];
