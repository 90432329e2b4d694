//! Shell. What hookgate says about itself: one event a request, and what happens to the process.

pub mod record;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{info, warn};
use tracing_subscriber::fmt;

use crate::config::{AccessLog, Log, LogFormat, LogLevel};
use record::Record;

/// Begins to write events to standard output, as the configuration says. A second call changes nothing.
pub fn init(log: &Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let terminal = io::stdout().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let lines = fmt().with_max_level(level).with_target(false).with_writer(io::stdout);
    let installed = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        lines.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none()).try_init()
    };
    if installed.is_err() {
        warn!("logging was set up before");
    }
}

/// Writes a request's one event, at its end.
///
/// What a stranger can cause is at most `info`; an upstream that fails is for an operator to look at.
pub fn emit(record: &Record, access: AccessLog) {
    if !record.is_wanted(access) {
        return;
    }
    macro_rules! event {
        ($level:ident) => {
            $level!(
                request_id = %record.id,
                peer = %record.peer,
                route = record.route.as_deref(),
                model = record.model.as_deref(),
                status = record.status,
                reason = record.reason,
                would_refuse = record.observed,
                detail = record.detail.as_deref(),
                secret = record.secret.as_deref(),
                bytes_in = record.received,
                bytes_out = record.sent,
                duration_ms = millis(record.took),
                verified_ms = record.verified_after.map(millis),
                upstream_ms = record.upstream_took.map(millis),
                "request"
            )
        };
    }
    match record.reason {
        Some("upstream_unreachable" | "upstream_failed" | "upstream_timeout") => event!(warn),
        _ => event!(info),
    }
}

/// Milliseconds with three decimals, as log readers expect them.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
