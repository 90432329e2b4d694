//! Pure. Reads `[forward]`.

use http::HeaderName;

use crate::config::problem::Problem;
use crate::config::sections::assertion;
use crate::config::sections::connection_fields::OF_THE_CONNECTION;
use crate::config::sections::schemes::Declared;
use crate::config::sections::secret::Context;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Forward, XForwarded, keys};
use crate::message::head::is_lookalike;
use crate::signature::scheme::{PRESETS, Scheme};

/// Reads `[forward]`.
pub(crate) fn read(root: &Table<'_>, declared: &[Declared], context: Context<'_>) -> Forward {
    let table = root.section("forward", "`[forward]`", keys::FORWARD);
    let own = |name, example| table.get(name).and_then(|item| own_field(&item, example, declared));
    let verified_field = own("verified_field", "\"x-hookgate-verified\"");
    let event_id_field = own("event_id_field", "\"x-hookgate-event-id\"");
    let client_certificate_field = own("client_certificate_field", "\"x-client-certificate\"");
    let fields = [
        ("verified_field", &verified_field),
        ("event_id_field", &event_id_field),
        ("client_certificate_field", &client_certificate_field),
    ];
    distinct(&table, &fields);
    Forward {
        x_forwarded: table.get("x_forwarded").and_then(|item| x_forwarded(&item)).unwrap_or_default(),
        verified_field,
        via: table.flag("via", false),
        event_id_field,
        client_certificate_field,
        assertion: table.get("assertion").and_then(|item| assertion::read(&item, context)),
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

/// Reports an error if an app could confuse two of the gateway's fields.
fn distinct(table: &Table<'_>, fields: &[(&'static str, &Option<HeaderName>)]) {
    for (index, (later, name)) in fields.iter().enumerate() {
        let earlier = fields.iter().take(index).find(|(_, earlier)| are_alike(earlier, name));
        let Some((earlier, _)) = earlier else { continue };
        let message = format!("an app cannot tell this field from `{earlier}`");
        Problem::error("bad_field", table.place(later), message)
            .related(table.place(earlier), "here")
            .help("for example `\"x-hookgate-event-id\"`")
            .report(table.problems);
    }
}

/// Whether an app could confuse two fields.
fn are_alike(one: &Option<HeaderName>, other: &Option<HeaderName>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let (one, other) = (one.as_str().as_bytes(), other.as_str().as_bytes());
    one == other || is_lookalike(one, other) || is_lookalike(other, one)
}

/// Fields that must not be removed, because a message would mean something else without them: fields that
/// describe the content or identify the client, and fields that the gateway may append to. The fields of the
/// connection are listed elsewhere.
const FIELDS_THAT_MATTER: [&str; 18] = [
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
    "signature",
    "signature-input",
    "content-digest",
];
