//! Shell. Telemetry: one log line for each request, log lines about the process, and metrics.

pub mod acme_metrics;
pub mod attempt;
pub mod closed_connections;
pub mod exposition;
mod family;
pub mod handshakes;
pub mod hidden_characters;
pub mod histogram;
pub mod labels;
pub mod log_line;
pub mod metric;
pub mod person_line;
pub mod process_metrics;
pub mod queue_metrics;
pub mod recent;
pub mod record;
pub mod repeated_log_line;
pub mod request_id;
pub mod route_slot;
pub mod sink;

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use http::Method;
use jiff::tz::TimeZone;
use tracing::{Level, Metadata, info, warn};
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{AccessLog, Log, LogFormat};
use crate::gateway::reason::Reason;
use attempt::AttemptRecord;
use hidden_characters::{Notation, without_hidden};
use person_line::{Manner, PersonLine};
use record::Record;
use sink::Sink;

/// How long the last log lines may take when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The log output of the process. [`init`] sets it.
static OUTPUT: OnceLock<Output> = OnceLock::new();

struct Output {
    sink: Sink,
    form: Form,
    level: Level,
    /// Whether standard output is the journal of systemd.
    is_journal: bool,
}

impl Output {
    /// Writes lines that belong together. The journal gets each line with its priority (sd-daemon(3)).
    fn push(&self, level: Level, lines: &[u8]) {
        if !self.is_journal {
            return self.sink.push(lines);
        }
        self.sink.push(&with_priority(level, lines));
    }
}

/// Lines for the journal, each with its priority.
pub(crate) fn with_priority(level: Level, lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len().saturating_add(8));
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(priority(level).as_bytes());
        out.extend_from_slice(line);
    }
    out
}

/// The priority of a level, as the journal reads it at the beginning of a line.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Whether a stream is the journal. systemd names its device and its inode in `JOURNAL_STREAM`
/// (systemd.exec(5)), so a program whose output was redirected since then can tell.
pub(crate) fn is_journal(stream: impl AsFd) -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(stream).is_ok_and(|stat| named == *format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The form of the log.
enum Form {
    Json,
    /// For people.
    Pretty(Manner),
}

/// Starts writing log lines to standard output, in the configured form. A second call has no effect.
pub fn init(log: &Log) {
    if OUTPUT.get().is_some() {
        warn!("logging was set up before");
        return;
    }
    let terminal = io::stdout().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    // If the system has no thread for the log, it has none for the workers either. That error is reported.
    let Ok(sink) = Sink::start(io::stdout()) else { return };
    let colours = terminal && wants_colours();
    let form = if json { Form::Json } else { Form::Pretty(Manner { colours, zone: TimeZone::system() }) };
    let output =
        OUTPUT.get_or_init(|| Output { sink, form, level: log.level, is_journal: is_journal(io::stdout()) });
    let lines = fmt().with_max_level(log.level).with_target(false).with_writer(Writers(output));
    let installed = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        lines.with_ansi(colours).try_init()
    };
    if installed.is_err() {
        warn!("logging was set up before");
    }
}

/// The interface for `tracing-subscriber`: makes a writer for each log line.
struct Writers(&'static Output);

impl MakeWriter<'_> for Writers {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        Lines(self.0, Level::INFO)
    }

    fn make_writer_for(&self, line: &Metadata<'_>) -> Lines {
        Lines(self.0, *line.level())
    }
}

/// The writer of a log line with this level. Each write is one line with its parts.
struct Lines(&'static Output, Level);

impl io::Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let notation = match self.0.form {
            Form::Json => Notation::Json,
            Form::Pretty(_) => Notation::Braces,
        };
        self.0.push(self.1, &without_hidden(lines, notation));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Registers a callback. It is called if the thread that writes the log ends unexpectedly.
pub fn at_end(call: impl FnOnce() + Send + 'static) {
    if let Some(output) = OUTPUT.get() {
        output.sink.at_end(call);
    }
}

/// Waits for a bounded time until all log lines are written. Used when the process ends.
pub fn flush() {
    if let Some(output) = OUTPUT.get() {
        // Lines that are lost here cannot be reported anywhere.
        let _whole = output.sink.flush(LAST_WORDS);
    }
}

/// The number of log lines dropped so far.
#[must_use]
pub fn dropped() -> u64 {
    OUTPUT.get().map_or(0, |output| output.sink.dropped())
}

/// Whether a terminal gets colours: unless `NO_COLOR` is set (<https://no-color.org>), or the terminal has
/// none.
fn wants_colours() -> bool {
    let is = |name: &str, unwanted: fn(&OsStr) -> bool| {
        std::env::var_os(name).is_some_and(|value| unwanted(&value))
    };
    !is("NO_COLOR", |value| !value.is_empty()) && !is("TERM", |value| value == "dumb")
}

/// Writes the log line of a request that ended at `now`. `buffer` is scratch memory.
///
/// The line is written directly and not through `tracing`, because the cost arises for every request.
pub fn emit(record: &Record, access: AccessLog, now: SystemTime, buffer: &mut Vec<u8>) {
    if !record.is_wanted(access) {
        return;
    }
    let Some(output) = OUTPUT.get() else { return event(record) };
    if record.level() > output.level {
        return;
    }
    match &output.form {
        Form::Json => {
            buffer.clear();
            log_line::write(buffer, record, now);
            output.push(record.level(), buffer);
        }
        Form::Pretty(manner) => {
            let mut text = String::new();
            person_line::write(&mut text, &PersonLine::of_request(record, now), manner);
            output.push(record.level(), text.as_bytes());
        }
    }
}

/// Writes the line of an attempt that ended at `now`, if the log is for people and has such lines. Returns
/// whether it is.
pub fn emit_attempt(record: &AttemptRecord<'_>, now: SystemTime) -> bool {
    match OUTPUT.get() {
        Some(output @ Output { form: Form::Pretty(manner), level, .. }) if Level::INFO <= *level => {
            let mut text = String::new();
            person_line::write(&mut text, &PersonLine::of_attempt(record, now), manner);
            output.push(Level::INFO, text.as_bytes());
            true
        }
        Some(_) | None => false,
    }
}

/// Writes the likely cause of a request, if the log is for people and has such lines. Returns whether it is.
pub fn emit_cause(request: &str, detail: &str, advice: &str) -> bool {
    match OUTPUT.get() {
        Some(output @ Output { form: Form::Pretty(manner), level, .. }) if Level::INFO <= *level => {
            let mut text = String::new();
            person_line::beneath(&mut text, &person_line::cause(request, detail, advice), manner);
            output.push(Level::INFO, text.as_bytes());
            true
        }
        Some(_) | None => false,
    }
}

fn event(record: &Record) {
    macro_rules! event {
        ($level:ident) => {
            match &record.given_id {
                Some(id) => event!($level, request_id = id.as_str()),
                None => event!($level, request_id = %record.id),
            }
        };
        ($level:ident, $($id:tt)*) => {
            $level!(
                $($id)*,
                trace_id = record.trace_id.as_ref().map(|id| id.as_str()),
                client = %record.client,
                peer = %record.peer,
                method = record.method.as_ref().map(Method::as_str),
                path = record.path(),
                route = record.route_path(),
                model = record.model.as_deref().map(log_line::beginning),
                status = record.status,
                reason = record.reason.map(Reason::as_str),
                challenge = record.challenge,
                would_refuse = record.observed.map(Reason::as_str),
                detail = record.detail.as_deref().map(log_line::beginning),
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
    if record.level() == Level::WARN {
        event!(warn);
    } else {
        event!(info);
    }
}

/// A duration in milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{Duration, Record, SystemTime, event, fmt, io, log_line};
    use crate::admission::client::ClientAddress;
    use crate::gateway::reason::Reason;
    use crate::telemetry::record::{RequestId, RouteLabel, SentPath};
    use crate::telemetry::request_id::{GivenId, TraceId};
    use crate::telemetry::route_slot::Slot;
    use serde_json::Value;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Sink(Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The line that `tracing-subscriber` writes for the same record.
    fn through_tracing(record: &Record) -> Value {
        let sink = Sink::default();
        let writer = sink.clone();
        let lines = fmt().with_target(false).with_writer(move || writer.clone());
        let json = lines.json().flatten_event(true).with_current_span(false).with_span_list(false).finish();
        tracing::subscriber::with_default(json, || event(record));
        serde_json::from_slice(&sink.0.lock().unwrap()).unwrap()
    }

    #[test]
    fn the_line_that_is_written_directly_is_the_one_that_tracing_would_write() {
        let mut record = Record::new(RequestId(7), ClientAddress::ip(std::net::Ipv4Addr::LOCALHOST.into()));
        let mut buffer = Vec::new();
        for step in 0..3 {
            match step {
                0 => record.status = 404,
                1 => {
                    record.set_method("POST");
                    record.route = Some(RouteLabel {
                        path: "/a\"b".into(),
                        slot: Slot::NO_ROUTE,
                        scheme: "propify".into(),
                    });
                    record.given_id = GivenId::read(std::iter::once(&b"evt_1"[..]));
                    record.trace_id = TraceId::read(std::iter::once(
                        &b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"[..],
                    ));
                    record.challenge = Some("answered");
                    record.observed = Some(Reason::SignatureMissing);
                    record.model = Some("m\u{1b}\u{9b}\n".repeat(100));
                    record.secret = Some("current".into());
                }
                _ => {
                    record.reason = Some(Reason::UpstreamFailed);
                    record.detail = Some("\\".to_owned());
                    record.sent_path = Some(SentPath::new(&"/a\"c\u{feff}\u{e0001}".repeat(100)));
                    record.took = Duration::from_micros(1_234_567);
                    record.verified_after = Some(Duration::from_micros(20));
                    record.upstream_took = Some(Duration::from_micros(1_000_000));
                }
            }
            buffer.clear();
            log_line::write(&mut buffer, &record, SystemTime::now());
            let mut direct: Value = serde_json::from_slice(&buffer).unwrap();
            let mut other = through_tracing(&record);
            for value in [&mut direct, &mut other] {
                let timestamp = value.as_object_mut().unwrap().remove("timestamp").unwrap();
                assert_eq!(timestamp.as_str().unwrap().len(), 27);
            }
            assert_eq!(direct, other);
        }
    }
}
