//! Pure. `hookgate schemes`: the supported senders, as a table and as JSON, and one of them in detail.

mod explained;

use serde_json::{Value, json};

use super::exit::Failure;
use super::table::aligned;
use crate::admission::networks::{NETWORK_SETS, NetworkSet};
use crate::config::size_and_duration::write_duration;
use crate::config::suggest;
use crate::signature::algorithm::Algorithm;
use crate::signature::field::Format;
use crate::signature::scheme::{INEXPRESSIBLE, Inexpressible, PRESETS, Scheme, Source};
use crate::signature::window::{Place, Timestamp};

/// The lines of the table: a heading, and a line for each sender.
pub(super) fn lines() -> Vec<String> {
    let headings =
        ["SCHEME", "FIELD", "ALGORITHM", "SIGNED", "TOLERANCE", "CHALLENGE", "CONFIRMED", "DOCUMENTATION"];
    let rows: Vec<_> =
        std::iter::once(headings.map(str::to_owned)).chain(PRESETS.iter().filter_map(row)).collect();
    aligned(&rows)
}

/// The senders that are not supported, with the reasons: a heading, and a line for each.
pub(super) fn missing() -> Vec<String> {
    let row = |sender: &Inexpressible| [sender.sender.to_owned(), sender.reason.to_owned()];
    let headings = ["NO SCHEME CAN EXPRESS", "WHY"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(headings).chain(INEXPRESSIBLE.iter().map(row)).collect();
    aligned(&rows)
}

/// The sets of networks that a route's `allow` may name: a heading, and a line for each.
pub(super) fn networks() -> Vec<String> {
    let row = |set: &NetworkSet| {
        let count = set.networks().count().to_string();
        [set.name.to_owned(), count, set.date().to_owned(), set.source().to_owned()]
    };
    let headings = ["SET FOR allow", "NETWORKS", "DATE", "PUBLISHED AT"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(headings).chain(NETWORK_SETS.iter().map(row)).collect();
    aligned(&rows)
}

/// The sets of networks of a sender.
fn sets_of(scheme: &Scheme) -> Vec<Value> {
    let is_of = |set: &&NetworkSet| {
        set.name.strip_prefix(&*scheme.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let document = |set: &NetworkSet| {
        let networks: Vec<_> = set.lines().collect();
        json!({ "name": set.name, "date": set.date(), "source": set.source(), "networks": networks })
    };
    NETWORK_SETS.iter().filter(is_of).map(document).collect()
}

/// The supported senders, with a document for each.
pub(super) fn documents() -> Vec<Value> {
    PRESETS.iter().filter_map(document).collect()
}

/// One supported sender, in detail.
///
/// # Errors
/// A [`Failure`] if there is no scheme with this name. It says why, or which scheme may be meant.
pub(super) fn one(name: &str) -> Result<&'static Scheme, Failure> {
    if let Some(scheme) = Scheme::preset(&name.to_ascii_lowercase()) {
        return Ok(scheme);
    }
    if let Some(sender) = Inexpressible::named(name) {
        return Err(Failure::usage(explained::reason(sender)).hint(sender.advice()));
    }
    let names = PRESETS.iter().map(|scheme| &*scheme.name);
    let meant = Scheme::meant_by(name).or_else(|| suggest::nearest(name, names));
    let meant = meant.or_else(|| explained::mentioned(name));
    let hint = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`hookgate schemes` lists the names; gateway.toml can define a scheme".to_owned(),
    };
    Err(Failure::usage(format!("there is no scheme `{name}`")).hint(hint))
}

/// The lines that explain one supported sender.
pub(super) fn explanation(scheme: &Scheme) -> Vec<String> {
    explained::lines(scheme)
}

fn row(scheme: &Scheme) -> Option<[String; 8]> {
    let Source::Shipped { documentation, confirmed, .. } = scheme.source else { return None };
    Some([
        scheme.name.to_string(),
        scheme.parameter.as_ref().map_or_else(|| scheme.field.to_string(), |name| format!("?{name}=")),
        scheme.algorithm.name().to_owned(),
        signed(scheme).unwrap_or("-").to_owned(),
        tolerance(scheme.timestamp.as_ref()).unwrap_or_else(|| "-".to_owned()),
        requests(scheme),
        if confirmed { "yes" } else { "no" }.to_owned(),
        documentation.to_owned(),
    ])
}

/// The document of one sender.
pub(super) fn document(scheme: &Scheme) -> Option<Value> {
    let Source::Shipped { sender, documentation, confirmed, note, retries, .. } = scheme.source else {
        return None;
    };
    let (prefix, tags) = match &scheme.notation.format {
        Format::Plain { prefix } | Format::Jwt { prefix, .. } => (Some(&**prefix), &[][..]),
        Format::Basic => (Some("Basic "), &[][..]),
        Format::List { tags, .. } => (None, &**tags),
    };
    Some(json!({
        "name": scheme.name,
        "sender": sender,
        "field": Some(&scheme.field).filter(|field| !field.is_empty()),
        "parameter": scheme.parameter,
        "other_fields": scheme.other_fields,
        "algorithm": scheme.algorithm.name(),
        "prefix": prefix,
        "tag": tags.first(),
        "tags": tags,
        "encoding": scheme.notation.encoding.name(),
        "secret_encoding": scheme.secret_encoding.name(),
        "signed": signed(scheme),
        "timestamp": scheme.timestamp.as_ref().map(|timestamp| match &timestamp.place {
            Place::Field(name) => json!({ "field": name }),
            Place::Key(key) => json!({ "key": key }),
            Place::Entry(number) => json!({ "entry": number }),
            Place::Claim(name) => json!({ "claim": name }),
            Place::Pointer(pointer) => json!({ "pointer": pointer }),
        }),
        "tolerance": tolerance(scheme.timestamp.as_ref()),
        "id": scheme.id,
        "needs_public_url": scheme.signs_url(),
        "challenge": scheme.challenge.as_ref().map(|challenge| json!({
            "when": challenge.to_string(),
            "signed": !challenge.is_unsigned(),
            "needs_verify_token": challenge.needs_token(),
        })),
        "network_sets": sets_of(scheme),
        "setup": scheme.setup.iter().map(|setup| json!({
            "when": setup.to_string(),
            "has_answer": setup.reply.is_some(),
        })).collect::<Vec<_>>(),
        "confirmed": confirmed,
        "documentation": documentation,
        "note": note,
        "retries": retries,
    }))
}

/// The sender's challenge and its set-up requests.
fn requests(scheme: &Scheme) -> String {
    let challenge = scheme.challenge.iter().map(ToString::to_string);
    let all: Vec<_> = challenge.chain(scheme.setup.iter().map(ToString::to_string)).collect();
    if all.is_empty() { "-".to_owned() } else { all.join("; ") }
}

/// The signed text. `None` for a shared token, which signs nothing.
fn signed(scheme: &Scheme) -> Option<&str> {
    (scheme.algorithm != Algorithm::Token).then_some(scheme.content.as_str())
}

fn tolerance(timestamp: Option<&Timestamp>) -> Option<String> {
    timestamp.map(|timestamp| write_duration(timestamp.past))
}
