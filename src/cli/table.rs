//! Pure. The routes of a configuration, as an aligned table and as JSON.

use serde_json::{Value, json};

use crate::config::size_and_duration::write_size;
use crate::config::{DeliveryMode, Mode, Route};
use crate::routing::router::ModelRule;
use crate::signature::Verifier;

/// The lines of the table: a heading, and a line for each route.
pub(super) fn lines(routes: &[Route]) -> Vec<String> {
    let headings = ["PATH", "MODEL", "SCHEME", "SECRETS", "METHODS", "MAX BODY", "UPSTREAM", "MODE"];
    let rows: Vec<_> = std::iter::once(headings.map(str::to_owned)).chain(routes.iter().map(row)).collect();
    aligned(&rows)
}

/// The routes, with a document for each.
pub(super) fn documents(routes: &[Route]) -> Vec<Value> {
    routes.iter().map(document).collect()
}

fn row(route: &Route) -> [String; 8] {
    let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
    [
        route.path.to_string(),
        match &route.model {
            ModelRule::Any => "any".to_owned(),
            ModelRule::Named(model) => model.clone(),
            ModelRule::Segment => "{model}".to_owned(),
        },
        schemes(route).join(", "),
        secrets(route).join(", "),
        methods.join(", "),
        write_size(route.max_body),
        origins(route).join(", "),
        match route.delivery.mode {
            DeliveryMode::Direct => mode(route.mode).to_owned(),
            DeliveryMode::Fallback | DeliveryMode::Queue => {
                format!("{}, {}", mode(route.mode), delivery(route))
            }
        },
    ]
}

fn document(route: &Route) -> Value {
    let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
    json!({
        "path": route.path.as_str(),
        "model": match &route.model {
            ModelRule::Any => Value::Null,
            ModelRule::Named(model) => json!(model),
            ModelRule::Segment => json!("{model}"),
        },
        "scheme": route.verifier.scheme().name,
        "schemes": schemes(route),
        "secrets": secrets(route),
        "methods": methods,
        "max_body": route.max_body,
        "upstream": match origins(route) {
            one if one.len() == 1 => json!(one.concat()),
            several => json!(several),
        },
        "mode": mode(route.mode),
        "delivery": delivery(route),
    })
}

fn origins(route: &Route) -> Vec<String> {
    route.upstream.origins().map(ToString::to_string).collect()
}

fn secrets(route: &Route) -> Vec<&str> {
    route.verifier.all().flat_map(Verifier::secret_names).map(|name| &**name).collect()
}

/// The schemes of the route's signatures, in the order of the configuration.
fn schemes(route: &Route) -> Vec<&str> {
    route.verifier.all().map(|one| &*one.scheme().name).collect()
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe(_) => "observe",
    }
}

fn delivery(route: &Route) -> &'static str {
    match route.delivery.mode {
        DeliveryMode::Direct => "direct",
        DeliveryMode::Fallback => "fallback",
        DeliveryMode::Queue => "queue",
    }
}

/// Pads each cell to the width of its column, except in the last column.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "b"], ["ccc", ""], ["é", "d"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), ["a    b", "ccc", "é    d"]);
    }
}
