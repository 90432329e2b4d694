//! Pure. A route's `client_certificate`: the names of which a client's certificate must have one.

use std::sync::Arc;

use crate::config::choices::CLIENT_SETS;
use crate::config::keys;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;

/// Reads the names: a list, or the word for the names of a known sender.
pub(crate) fn read(item: &Item<'_>) -> Option<Arc<[Arc<str>]>> {
    if item.value.is_str() {
        return item.choice(&CLIENT_SETS).map(|names| names.iter().map(|name| Arc::from(*name)).collect());
    }
    let help = item.write("{ names = [\"client.example.com\"] }");
    let table = Table::of(item, "`client_certificate`", &help, keys::CLIENT_NAMES)?;
    let names = table.required("names", "[\"client.example.com\"]")?;
    let array = names.array(&names.write("[\"client.example.com\"]"))?;
    if array.is_empty() {
        return names
            .error("out_of_range", "no client has a certificate without a name")
            .help(names.write("[\"client.example.com\"]"))
            .refuse(item.problems);
    }
    names.elements(array).map(|element| name(&element)).collect()
}

fn name(item: &Item<'_>) -> Option<Arc<str>> {
    let text = item.text("[\"client.example.com\"]")?;
    let is_visible =
        !text.is_empty() && text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !is_visible {
        let problem =
            item.error("bad_name", "a name in a certificate is compared as visible ASCII characters");
        return problem.help("for example `\"client.webhooks.fbclientcerts.com\"`").refuse(item.problems);
    }
    Some(text.into())
}
