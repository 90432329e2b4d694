//! Pure. Reads `[forward]`.

use http::HeaderName;

use crate::config::problem::Problem;
use crate::config::sections::schemes::{Declared, OF_THE_CONNECTION};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Forward, XForwarded, keys};
use crate::message::head::is_lookalike;
use crate::signature::scheme::{PRESETS, Scheme};

/// Reads `[forward]`.
pub(crate) fn read(root: &Table<'_>, declared: &[Declared]) -> Forward {
    let table = root.section("forward", "`[forward]`", keys::FORWARD);
    let own = |name, example| table.get(name).and_then(|item| own_field(&item, example, declared));
    let verified_field = own("verified_field", "\"x-hookgate-verified\"");
    let event_id_field = own("event_id_field", "\"x-hookgate-event-id\"");
    distinct(&table, verified_field.as_ref(), event_id_field.as_ref());
    Forward {
        x_forwarded: table.get("x_forwarded").and_then(|item| x_forwarded(&item)).unwrap_or_default(),
        verified_field,
        via: table.flag("via", false),
        event_id_field,
    }
}

/// Reads `true`, `false` or `"overwrite"`.
fn x_forwarded(item: &Item<'_>) -> Option<XForwarded> {
    let message = "`x_forwarded` must be `true`, `false` or `\"overwrite\"`";
    let help = "`true` appends to what the client claims, `\"overwrite\"` puts what is known in its place";
    match (item.value.as_bool(), item.value.as_str()) {
        (Some(true), _) => Some(XForwarded::Append),
        (Some(false), _) => Some(XForwarded::Off),
        (None, Some("overwrite")) => Some(XForwarded::Overwrite),
        (None, _) => item.error("bad_value", message).help(help).refuse(item.problems),
    }
}

/// Reads the name of a field that the gateway sets itself. A client's field of this name is removed from
/// requests, and a request with a lookalike of the name is refused. So a field that a message or an app may
/// need cannot be chosen, and neither can a lookalike of such a field.
fn own_field(item: &Item<'_>, example: &str, declared: &[Declared]) -> Option<HeaderName> {
    let text = item.text(example)?;
    let problem = |message| item.error("bad_field", message).help(format!("for example `{example}`"));
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        return problem("not the name of a field").refuse(item.problems);
    };
    let own = declared.iter().filter_map(|(_, scheme)| scheme.as_deref());
    let signed = PRESETS.iter().chain(own).flat_map(Scheme::fields);
    let is_taken =
        |field: &str| field == name.as_str() || is_lookalike(name.as_str().as_bytes(), field.as_bytes());
    if signed.chain(OF_THE_CONNECTION).chain(FIELDS_THAT_MATTER).any(is_taken) {
        return problem("this field has a meaning of its own, and would be removed from what clients send")
            .refuse(item.problems);
    }
    Some(name)
}

/// Reports an error if an app could confuse the gateway's two fields.
fn distinct(table: &Table<'_>, verified: Option<&HeaderName>, event_id: Option<&HeaderName>) {
    let (Some(verified), Some(event_id)) = (verified, event_id) else { return };
    let (one, other) = (verified.as_str(), event_id.as_str());
    let alike =
        is_lookalike(one.as_bytes(), other.as_bytes()) || is_lookalike(other.as_bytes(), one.as_bytes());
    if one == other || alike {
        let message = "an app cannot tell this field from `verified_field`";
        Problem::error("bad_field", table.place("event_id_field"), message)
            .related(table.place("verified_field"), "here")
            .help("for example `\"x-hookgate-event-id\"`")
            .report(table.problems);
    }
}

/// Fields that must not be removed, because a message would mean something else without them: fields that
/// describe the content or identify the client, and fields that the gateway may append to. The fields of the
/// connection are listed elsewhere.
const FIELDS_THAT_MATTER: [&str; 15] = [
    "content-type",
    "content-encoding",
    "content-language",
    "content-range",
    "date",
    "authorization",
    "proxy-authorization",
    "proxy-authenticate",
    "cookie",
    "user-agent",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];
