//! Pure. Reads `[log]`.

use std::time::Duration;

use http::HeaderName;

use crate::config::choices::{ACCESS, LEVELS, LOG_FORMATS};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{AccessLog, Log, LogFormat, LogLevel, keys};
use crate::signature::scheme::PRESETS;

/// Reads `[log]`.
pub(crate) fn read(root: &Table<'_>) -> Log {
    let table = root.section("log", "`[log]`", keys::LOG);
    Log {
        format: table.choice("format", &LOG_FORMATS, LogFormat::Auto),
        level: table.choice("level", &LEVELS, LogLevel::INFO),
        access: table.choice("access", &ACCESS, AccessLog::All),
        request_id_field: table.get("request_id_field").and_then(|item| request_id_field(&item)),
        diagnose: table.flag("diagnose", true),
        old_secret_warning: table.duration("old_secret_warning", Duration::from_secs(3600)),
    }
}

/// Reads the name of a field that is logged. Refuses fields with credentials.
fn request_id_field(item: &Item<'_>) -> Option<HeaderName> {
    let example = "\"x-request-id\"";
    let text = item.text(example)?;
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    let fit = name.filter(|name| {
        let signature = PRESETS.iter().any(|scheme| scheme.field == name.as_str());
        !signature && !FIELDS_WITH_CREDENTIALS.contains(&name.as_str())
    });
    if fit.is_none() {
        let message = "not the name of a field that can be logged";
        item.error("bad_field", message).help(format!("for example `{example}`")).report(item.problems);
    }
    fit
}

/// Fields with credentials. They must not be logged.
const FIELDS_WITH_CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
