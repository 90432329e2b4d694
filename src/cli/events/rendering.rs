//! Pure. Writes events for people: a list as a table, and one event as text.

use serde_json::Value;

use crate::cli::table::aligned;
use crate::cli::terminal::printable;

/// The most bytes of content or of an answer that are shown.
const MOST_SHOWN: usize = 4096;

/// The lines of a list: a heading, and a line for each event.
pub(super) fn list(page: &Value) -> Vec<String> {
    let headings =
        ["ID", "RECEIVED", "STATE", "ATTEMPTS", "LAST", "BYTES", "MODEL", "ROUTE"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(headings).chain(entries(page, "events").iter().map(row)).collect();
    aligned(&rows)
}

fn row(event: &Value) -> [String; 8] {
    let deliveries = entries(event, "deliveries");
    let attempts = deliveries.iter().filter_map(|delivery| at(delivery, ["attempts"]).as_u64());
    // The state of the event is that of one delivery: the last attempt is the attempt of that delivery.
    let of_state = |delivery: &&Value| at(delivery, ["state"]) == at(event, ["state"]);
    let (same, other): (Vec<_>, Vec<_>) = deliveries.iter().partition(of_state);
    let mut in_order = same.into_iter().chain(other);
    let last = in_order.find_map(|delivery| Some(at(delivery, ["last"])).filter(|last| !last.is_null()));
    [
        text(event, "id"),
        text(event, "received"),
        state(event),
        attempts.fold(0, u64::saturating_add).to_string(),
        last.map_or_else(dash, outcome),
        at(event, ["length"]).to_string(),
        at(event, ["model"]).as_str().map_or_else(dash, one_line),
        route(at(event, ["route"])),
    ]
}

/// The state. In parentheses, what holds the event or why it was given up.
fn state(of: &Value) -> String {
    let why = at(of, ["held"]).as_str().or(at(of, ["cause"]).as_str());
    let state = text(of, "state");
    why.map_or(state.clone(), |why| format!("{state} ({})", one_line(why)))
}

/// The status code of an attempt. Without a status code, the outcome as a word.
fn outcome(attempt: &Value) -> String {
    at(attempt, ["status"]).as_u64().map_or_else(|| text(attempt, "outcome"), |status| status.to_string())
}

/// The name of a route, with its model.
pub(super) fn route(route: &Value) -> String {
    let path = text(route, "path");
    match at(route, ["model"]).as_str() {
        Some(model) => format!("{path} ({})", one_line(model)),
        None => path,
    }
}

/// One event as text.
pub(super) fn event(event: &Value) -> Vec<String> {
    let mut lines = vec![
        format!("event {}: {}", text(event, "id"), state(event)),
        format!("  received  {} from {}", text(event, "received"), text(event, "client")),
        format!("  route     {}", route(at(event, ["route"]))),
        format!("  verified  {}, secret `{}`", text(event, "scheme"), text(event, "secret")),
        format!("  content   {} bytes, sha256 {}", at(event, ["length"]), text(event, "sha256")),
    ];
    for (name, label) in [("model", "model   "), ("order", "order by")] {
        if let Some(value) = at(event, [name]).as_str() {
            lines.push(format!("  {label}  {}", one_line(value)));
        }
    }
    lines.push(String::new());
    lines.push(format!("{} {}", text(event, "method"), text(event, "target")));
    for field in entries(event, "fields") {
        let value = match at(field, ["value"]).as_str() {
            Some(value) => one_line(value),
            None => format!("(base64) {}", text(field, "base64")),
        };
        lines.push(format!("{}: {value}", text(field, "name")));
    }
    if !at(event, ["content_kept"]).as_bool().unwrap_or(false) {
        lines.push("(its head and content are no longer kept, or the record is damaged)".to_owned());
    }
    for delivery in entries(event, "deliveries") {
        lines.push(String::new());
        let due = at(delivery, ["due"]).as_str().filter(|_| at(delivery, ["held"]).is_null());
        let due = due.map_or_else(String::new, |due| format!(", due {}", one_line(due)));
        let attempts = at(delivery, ["attempts"]).as_u64().unwrap_or(0);
        let attempts = format!("{attempts} attempt{}", if attempts == 1 { "" } else { "s" });
        let upstream = text(delivery, "upstream");
        lines.push(format!("delivery to {upstream}: {}, {attempts}{due}", state(delivery)));
        for attempt in entries(delivery, "kept_attempts") {
            lines.extend(self::attempt(attempt));
        }
    }
    let content = at(event, ["content"]);
    if let Some(content) = at(content, ["text"]).as_str() {
        lines.push(String::new());
        lines.extend(shown(content));
    } else if content.is_object() {
        lines.extend([String::new(), "(the content is no text: --content writes it)".to_owned()]);
    }
    lines
}

fn attempt(attempt: &Value) -> Vec<String> {
    let detail =
        at(attempt, ["detail"]).as_str().map_or_else(String::new, |detail| format!(": {}", one_line(detail)));
    let (began, took) = (text(attempt, "at"), at(attempt, ["took_ms"]));
    let mut lines = vec![format!("  {began}  {took} ms  {}{detail}", outcome(attempt))];
    match at(attempt, ["response", "text"]).as_str() {
        Some(response) => lines.extend(shown(response).iter().map(|line| format!("    {line}"))),
        None if at(attempt, ["response"]).is_object() => {
            lines.push("    (an answer that is no text)".to_owned());
        }
        None => {}
    }
    lines
}

/// The lines of a text from the network. The text is escaped and shortened.
fn shown(text: &str) -> Vec<String> {
    let cut = text.floor_char_boundary(MOST_SHOWN);
    let beginning = printable(text.get(..cut).unwrap_or_default().as_bytes());
    let rest = text.len().saturating_sub(cut);
    let rest = (rest > 0).then(|| format!("({rest} more bytes)"));
    beginning.lines().map(str::to_owned).chain(rest).collect()
}

/// The lines of a list of replays.
pub(super) fn replays(replays: &Value) -> Vec<String> {
    let headings = ["ID", "STARTED", "STATE", "REPLAYED", "RATE", "BY"].map(str::to_owned);
    let row = |replay: &Value| {
        [
            text(replay, "id"),
            text(replay, "started"),
            at(replay, ["waits"])
                .as_str()
                .map_or_else(|| text(replay, "state"), |why| format!("waits: {}", one_line(why))),
            progress(replay),
            format!("{}/s", at(replay, ["rate"])),
            text(replay, "by"),
        ]
    };
    let rows: Vec<_> = std::iter::once(headings).chain(entries(replays, "replays").iter().map(row)).collect();
    aligned(&rows)
}

/// The progress of a replay, as a text.
pub(super) fn progress(replay: &Value) -> String {
    format!(
        "{} of {}",
        at(replay, ["replayed"]),
        count(at(replay, ["total"]), at(replay, ["total_is_capped"]))
    )
}

/// A number of events, with its noun.
pub(super) fn counted(number: &Value, is_capped: &Value) -> String {
    format!("{} event{}", count(number, is_capped), if *number == 1 { "" } else { "s" })
}

/// A number of events. A number that is capped ends with `+`.
fn count(count: &Value, is_capped: &Value) -> String {
    format!("{count}{}", if is_capped.as_bool().unwrap_or(false) { "+" } else { "" })
}

/// A member of a document, at this path of names. Null if there is no such member.
pub(super) fn at<'v, const N: usize>(document: &'v Value, names: [&str; N]) -> &'v Value {
    static NOTHING: Value = Value::Null;
    names.iter().try_fold(document, |document, name| document.get(name)).unwrap_or(&NOTHING)
}

fn entries<'v>(document: &'v Value, name: &str) -> &'v [Value] {
    at(document, [name]).as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(document: &Value, name: &str) -> String {
    at(document, [name]).as_str().map_or_else(dash, one_line)
}

/// A text from the network, in a form that is safe for one line of a terminal.
fn one_line(text: &str) -> String {
    printable(text.as_bytes()).replace('\n', "\\n").replace('\t', "\\t")
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({
            "id": "019ac7f2-5c00-7000-8000-000000000001", "received": "2026-11-30T12:00:00.000Z", "state": "dead",
            "cause": "refused", "held": null, "length": 162, "model": "lea\u{1b}[2Jses", "client": "192.0.2.1",
            "route": { "path": "/a", "model": null }, "scheme": "propify", "secret": "current", "sha256": "ab",
            "method": "POST", "target": "/a\n", "order": null, "content_kept": true,
            "fields": [{ "name": "host", "value": "h" }, { "name": "x", "base64": "/w==" }],
            "deliveries": [{
                "upstream": "main", "state": "dead", "cause": "refused", "held": null, "attempts": 1, "due": null,
                "last": { "status": 500, "outcome": "refused" },
                "kept_attempts": [{ "at": "T", "took_ms": 7, "status": 500, "outcome": "refused", "detail": null,
                    "response": { "text": "no\u{7}\nway" } }],
            }],
            "content": { "text": "x".repeat(5000), "base64": "" },
        })
    }

    #[test]
    fn nothing_that_came_from_the_network_reaches_the_terminal_as_it_is() {
        let all = [list(&json!({ "events": [sample()] })), event(&sample())].concat().join("\n");
        assert!(!all.contains(['\u{1b}', '\u{7}']), "{all}");
        assert!(all.contains("lea\\u{1b}[2Jses") && all.contains("POST /a\\n\n"), "{all}");
    }

    #[test]
    fn a_list_says_what_each_event_needs() {
        let lines = list(&json!({ "events": [sample()] }));
        assert!(lines[1].contains("dead (refused)  1         500   162"), "{}", lines[1]);
    }

    #[test]
    fn an_event_is_shown_with_its_attempts_and_the_beginning_of_its_content() {
        let lines = event(&sample());
        for want in [
            "host: h",
            "x: (base64) /w==",
            "delivery to main: dead (refused), 1 attempt",
            "  T  7 ms  500",
            "    way",
            "(904 more bytes)",
        ] {
            assert!(lines.iter().any(|line| line == want), "{want} in {lines:#?}");
        }
    }

    #[test]
    fn a_capped_count_says_so() {
        assert_eq!(count(&json!(10_000), &json!(true)), "10000+");
        assert_eq!(counted(&json!(7), &json!(false)), "7 events");
        assert_eq!(counted(&json!(1), &json!(false)), "1 event");
    }
}
