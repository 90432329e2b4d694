//! Pure. `hookgate schemes`: the supported senders, as a table and as JSON.

use serde_json::{Value, json};

use super::table::aligned;
use crate::config::unit::write_duration;
use crate::signature::algorithm::Algorithm;
use crate::signature::field::Format;
use crate::signature::scheme::{INEXPRESSIBLE, Inexpressible, PRESETS, Scheme, Source};
use crate::signature::window::{Place, Timestamp};

/// The table: a heading, then a line for each sender.
pub(super) fn lines() -> Vec<String> {
    let headings =
        ["SCHEME", "FIELD", "ALGORITHM", "SIGNED", "TOLERANCE", "CHALLENGE", "CONFIRMED", "DOCUMENTATION"];
    let rows: Vec<_> = std::iter::once(headings.map(str::to_owned)).chain(PRESETS.iter().map(row)).collect();
    aligned(&rows)
}

/// The unsupported senders, with reasons: a heading, then a line for each.
pub(super) fn missing() -> Vec<String> {
    let row = |sender: &Inexpressible| [sender.sender.to_owned(), sender.reason.to_owned()];
    let headings = ["NO SCHEME CAN EXPRESS", "WHY"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(headings).chain(INEXPRESSIBLE.iter().map(row)).collect();
    aligned(&rows)
}

/// The senders, one document for each.
pub(super) fn documents() -> Vec<Value> {
    PRESETS.iter().map(document).collect()
}

fn row(scheme: &Scheme) -> [String; 8] {
    let about = About::of(scheme);
    [
        scheme.name.to_string(),
        scheme.field.to_string(),
        scheme.algorithm.name().to_owned(),
        signed(scheme).unwrap_or("-").to_owned(),
        tolerance(scheme.timestamp.as_ref()).unwrap_or_else(|| "-".to_owned()),
        scheme.challenge.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        if about.confirmed { "yes" } else { "no" }.to_owned(),
        about.documentation.to_owned(),
    ]
}

fn document(scheme: &Scheme) -> Value {
    let about = About::of(scheme);
    let (prefix, tag) = match &scheme.notation.format {
        Format::Plain { prefix } => (Some(prefix), None),
        Format::List { tag, .. } => (None, Some(tag)),
    };
    json!({
        "name": scheme.name,
        "sender": about.sender,
        "field": scheme.field,
        "other_fields": scheme.other_fields,
        "algorithm": scheme.algorithm.name(),
        "prefix": prefix,
        "tag": tag,
        "encoding": scheme.notation.encoding.name(),
        "secret_encoding": scheme.secret_encoding.name(),
        "signed": signed(scheme),
        "timestamp": scheme.timestamp.as_ref().map(|timestamp| match &timestamp.place {
            Place::Field(name) => json!({ "field": name }),
            Place::Key(key) => json!({ "key": key }),
        }),
        "tolerance": tolerance(scheme.timestamp.as_ref()),
        "id": scheme.id,
        "needs_public_url": scheme.signs_url(),
        "challenge": scheme.challenge.as_ref().map(|challenge| json!({
            "when": challenge.to_string(),
            "signed": !challenge.is_unsigned(),
            "needs_verify_token": challenge.needs_token(),
        })),
        "confirmed": about.confirmed,
        "documentation": about.documentation,
        "note": about.note,
    })
}

/// A shared token signs nothing.
fn signed(scheme: &Scheme) -> Option<&str> {
    (scheme.algorithm != Algorithm::Token).then_some(scheme.content.as_str())
}

fn tolerance(timestamp: Option<&Timestamp>) -> Option<String> {
    timestamp.map(|timestamp| write_duration(timestamp.past))
}

struct About {
    sender: &'static str,
    documentation: &'static str,
    confirmed: bool,
    note: &'static str,
}

impl About {
    fn of(scheme: &Scheme) -> Self {
        match scheme.source {
            Source::Shipped { sender, documentation, confirmed, note } => {
                Self { sender, documentation, confirmed, note }
            }
            Source::Configured => Self { sender: "", documentation: "", confirmed: false, note: "" },
        }
    }
}
