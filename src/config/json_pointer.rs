//! Pure. JSON pointers (RFC 6901), and the values that a route requires at them.

use std::ops::Range;

use crate::config::problem::{Problem, Problems};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::routing::signed_model::Requirement;
use crate::signature::scheme::Scheme;

/// Reads an array of pointers.
pub(super) fn list(item: &Item<'_>) -> Vec<String> {
    let Some(array) = item.array(&item.write("[\"/meta/object\"]")) else { return Vec::new() };
    let mut all = Vec::new();
    for element in item.elements(array) {
        let Some(text) = element.text("[\"/meta/object\"]") else { continue };
        if is_pointer(text, element.span, item.problems) {
            all.push(text.to_owned());
        }
    }
    bounded(item, all.len());
    all
}

/// Reads one pointer.
pub(super) fn one(item: &Item<'_>, example: &str) -> Option<String> {
    let text = item.text(example)?;
    is_pointer(text, item.span.clone(), item.problems).then(|| text.to_owned())
}

/// Reads `require`: pointers, each with the text that the content must have there. `None` if it has an error.
pub(super) fn required(table: &Table<'_>) -> Option<Vec<Requirement>> {
    let Some(item) = table.get("require") else { return Some(Vec::new()) };
    let before = table.problems.len();
    let entries = item.table(&item.write("{ \"/account\" = \"acct_1\" }"))?;
    let mut all = Vec::new();
    for (pointer, value) in item.entries(entries) {
        let fine = is_pointer(pointer, value.key.clone(), table.problems);
        let text = value.text("{ \"/account\" = \"acct_1\" }");
        all.extend(text.filter(|_| fine).map(|text| Requirement::new([pointer], text)));
    }
    bounded(&item, all.len());
    (table.problems.len() == before).then_some(all)
}

/// Reads `integration`: the identifier that the content must have at the place that the scheme defines.
pub(super) fn integration(item: &Item<'_>, scheme: &Scheme) -> Option<Requirement> {
    let text = item.text("\"cuid_...\"")?;
    if scheme.integration_pointers.is_empty() {
        let message = format!("the events of scheme `{}` name no integration", scheme.name);
        return item
            .error("no_integration", message)
            .help("name the place yourself: `require = { \"/account\" = \"...\" }`")
            .refuse(item.problems);
    }
    Some(Requirement::new(scheme.integration_pointers.iter().map(|pointer| &**pointer), text))
}

/// Whether a text is a JSON pointer. An error in the text is reported.
pub(super) fn is_pointer(text: &str, span: Range<usize>, problems: &Problems) -> bool {
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    let depth = text.split('/').skip(1).count();
    let message = if !text.starts_with('/') {
        "a JSON pointer begins with `/`"
    } else if !escaped {
        "in a JSON pointer, `~` is written `~0`, and `/` in a key is written `~1`"
    } else if depth > DEEPEST {
        "no event is nested so deeply"
    } else {
        return true;
    };
    Problem::error("bad_pointer", span, message).help("for example `\"/meta/object\"`").report(problems);
    false
}

/// Reports a list with too many entries.
pub(super) fn bounded(item: &Item<'_>, many: usize) {
    if many > MOST {
        let message = format!("`{}` has {many} entries, and can have {MOST} at most", item.name);
        item.error("out_of_range", message).help("name fewer").report(item.problems);
    }
}

/// Limits the comparisons for each event. No configuration in use needs more.
const DEEPEST: usize = 16;
const MOST: usize = 16;
