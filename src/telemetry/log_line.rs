//! Pure. Writes the record of a request as a line of JSON.
//!
//! No other log line is written for every request. So this line is written directly, without `tracing`. A
//! test checks that its form is the same as that of `tracing-subscriber`.

use crate::gateway::reason::Reason;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use http::Method;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use crate::telemetry::hidden_characters::{self, Notation, is_hidden};
use crate::telemetry::record::Record;

/// The most bytes that are written of a text, if a client controls the length of the text.
pub const LONGEST_TEXT: usize = 256;

/// Appends the line of a request that ended at `now`, with a line break.
pub fn write(out: &mut Vec<u8>, record: &Record, now: SystemTime) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    timestamp(out, now);
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(record.level().as_str().as_bytes());
    out.extend_from_slice(b"\",\"message\":\"request\",\"request_id\":\"");
    match &record.given_id {
        Some(id) => out.extend_from_slice(id.as_str().as_bytes()),
        None => {
            let _infallible = write!(out, "{}", record.id);
        }
    }
    out.push(b'"');
    text(out, "trace_id", record.trace_id.as_ref().map(|id| id.as_str()));
    for (name, address) in [("client", record.client), ("peer", record.peer)] {
        key(out, name);
        // An address has only digits, letters, dots and colons, so it needs no escapes.
        let _infallible = write!(out, "\"{address}\"");
    }
    text(out, "method", record.method.as_ref().map(Method::as_str));
    path(out, record);
    text(out, "route", record.route_path());
    text(out, "model", record.model.as_deref());
    number(out, "status", u64::from(record.status));
    if let Some(id) = record.stored {
        text(out, "event", Some(&id.to_string()));
    }
    text(out, "reason", record.reason.map(Reason::as_str));
    text(out, "challenge", record.challenge);
    text(out, "would_refuse", record.observed.map(Reason::as_str));
    text(out, "detail", record.detail.as_deref());
    text(out, "secret", record.secret.as_deref());
    text(out, "client_certificate", record.client_certificate.as_deref());
    number(out, "bytes_in", u64::try_from(record.received).unwrap_or(u64::MAX));
    number(out, "bytes_out", record.sent);
    millis(out, "duration_ms", Some(record.took));
    millis(out, "verified_ms", record.verified_after);
    millis(out, "upstream_ms", record.upstream_took);
    out.extend_from_slice(b"}\n");
}

/// Writes a time as RFC 3339, in UTC, with microseconds. A time before 1970 is written as the beginning of
/// 1970.
fn timestamp(out: &mut Vec<u8>, now: SystemTime) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    let now = Timestamp::try_from(now.max(SystemTime::UNIX_EPOCH)).unwrap_or(Timestamp::MAX);
    let _infallible = PRINTER.print_timestamp(&now, out);
}

/// Cuts a text to at most [`LONGEST_TEXT`] bytes.
#[must_use]
pub fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or_default()
}

fn key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    key(out, name);
    out.push(b'"');
    escape(out, beginning(value));
    out.push(b'"');
}

/// Writes the path, whose length is bounded already.
fn path(out: &mut Vec<u8>, record: &Record) {
    let Some(path) = record.path() else { return };
    key(out, "path");
    out.push(b'"');
    escape(out, path);
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    let _infallible = write!(out, "{value}");
}

/// Writes milliseconds with three decimals.
fn millis(out: &mut Vec<u8>, name: &str, value: Option<Duration>) {
    let Some(value) = value else { return };
    let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    key(out, name);
    let _infallible = write!(out, "{}.{:03}", micros / 1000, micros % 1000);
}

/// Escapes the inside of a JSON string. Also escapes characters that are hidden, although JSON allows them.
fn escape(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            c if is_hidden(c) => hidden_characters::escape(out, c, Notation::Json),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::client::ClientAddress;
    use crate::telemetry::record::{LONGEST_PATH, RequestId, RouteLabel, SentPath};
    use crate::telemetry::request_id::{GivenId, TraceId};
    use crate::telemetry::route_slot::Slot;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn record() -> Record {
        Record::new(RequestId(0xabc), ClientAddress::ip(std::net::Ipv6Addr::LOCALHOST.into()))
    }

    fn line(record: &Record) -> String {
        let mut out = Vec::new();
        write(&mut out, record, SystemTime::UNIX_EPOCH + Duration::from_micros(1_767_605_400_308_011));
        String::from_utf8(out).unwrap()
    }

    fn value(record: &Record) -> Value {
        serde_json::from_str(&line(record)).unwrap()
    }

    #[test]
    fn a_record_with_everything() {
        let mut record = record();
        record.client = ClientAddress::ip([192, 0, 2, 1].into());
        record.trace_id =
            TraceId::read(std::iter::once(&b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"[..]));
        record.set_method("POST");
        record.sent_path = Some(SentPath::new("/w/leases"));
        record.route =
            Some(RouteLabel { path: "/w/{model}".into(), slot: Slot::NO_ROUTE, scheme: "propify".into() });
        record.model = Some("leases".to_owned());
        record.status = 502;
        record.reason = Some(Reason::UpstreamFailed);
        record.challenge = Some("answered");
        record.observed = Some(Reason::SignatureMissing);
        record.detail = Some("it \"broke\"".to_owned());
        record.secret = Some("current".into());
        record.received = 162;
        record.sent = 96;
        record.took = Duration::from_micros(12_055);
        record.verified_after = Some(Duration::from_micros(7));
        record.upstream_took = Some(Duration::from_secs(3600));
        let want = json!({
            "timestamp": "2026-01-05T09:30:00.308011Z", "level": "WARN", "message": "request",
            "request_id": "0000000000000abc", "trace_id": "0af7651916cd43dd8448eb211c80319c", "client": "192.0.2.1", "peer": "::1",
            "method": "POST", "path": "/w/leases", "route": "/w/{model}", "model": "leases", "status": 502, "reason": "upstream_failed",
            "challenge": "answered", "would_refuse": "signature_missing", "detail": "it \"broke\"", "secret": "current", "bytes_in": 162,
            "bytes_out": 96, "duration_ms": 12.055, "verified_ms": 0.007, "upstream_ms": 3_600_000.0,
        });
        assert_eq!(value(&record), want);
    }

    #[test]
    fn unknown_values_are_left_out() {
        let mut record = record();
        record.status = 404;
        record.given_id = GivenId::read(std::iter::once(&b"evt_1"[..]));
        let want = "{\"timestamp\":\"2026-01-05T09:30:00.308011Z\",\"level\":\"INFO\",\"message\":\"request\",\
                    \"request_id\":\"evt_1\",\"client\":\"::1\",\"peer\":\"::1\",\"status\":404,\"bytes_in\":0,\"bytes_out\":0,\
                    \"duration_ms\":0.000}\n";
        assert_eq!(line(&record), want);
    }

    #[test]
    fn text_from_a_sender_is_escaped_for_a_terminal() {
        let mut record = record();
        record.model = Some(
            "\u{1b}]0;x\u{7}\n\u{9b}31m\u{7f}\u{202e}\u{2028}\u{61c}\u{180e}\u{200b}\u{feff}\u{e0001}\"\\é"
                .to_owned(),
        );
        let line = line(&record);
        assert!(line.trim_end().chars().all(|c| !is_hidden(c)), "{line}");
        assert_eq!(value(&record)["model"], record.model.unwrap());
    }

    #[test]
    fn leap_days_and_the_ends_of_years() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_799, "2000-02-29T23:59:59.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), want);
        }
        assert_eq!(time(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(time(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_999)), "1970-01-01T00:00:00.000001Z");
    }

    fn time(now: SystemTime) -> String {
        let mut out = Vec::new();
        timestamp(&mut out, now);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        /// Checks the calendar against `httpdate`, an independent implementation.
        #[test]
        fn times_agree_with_another_calendar(seconds in 0_u64..200_000_000_000) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let other = httpdate::HttpDate::from(now).to_string();
            let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let month = months.find(&other[8..11]).unwrap() / 3 + 1;
            let want = format!("{}-{month:02}-{}T{}.000000Z", &other[12..16], &other[5..7], &other[17..25]);
            prop_assert_eq!(time(now), want);
        }

        /// Parses the line as a program would. It must be one object on one line, with every text unchanged.
        #[test]
        fn every_line_is_one_json_object(model: String, detail in "\\PC*|.*", micros: u64) {
            let mut record = record();
            record.model = Some(model.clone());
            record.detail = Some(detail.clone());
            record.took = Duration::from_micros(micros);
            let line = line(&record);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let value: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(value["model"].as_str(), Some(beginning(&model)));
            prop_assert_eq!(value["detail"].as_str(), Some(beginning(&detail)));
            prop_assert!(value["duration_ms"].is_number());
        }

        #[test]
        fn a_line_has_a_bounded_length(length in 0_usize..5000) {
            let mut record = record();
            record.model = Some("\u{1b}".repeat(length));
            record.detail = record.model.clone();
            record.set_method(&"M".repeat(length));
            record.sent_path = Some(SentPath::new(&"\"".repeat(length)));
            prop_assert!(line(&record).len() < 4000 + 2 * LONGEST_PATH);
        }
    }
}
