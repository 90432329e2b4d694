//! Pure. `[[routes]]`: reads all routes.

use std::ops::Range;

use crate::config::problem::Problem;
use crate::config::sections::route_draft::{Common, Draft, Signs};
use crate::config::sections::signature::Signature;
use crate::config::toml_table::Table;
use crate::config::{Route, client_checks, cross_checks, delivery_checks, json_pointer, keys, tls_checks};

/// Reads every route. The list is incomplete if there are errors.
pub(crate) fn read(root: &Table<'_>, end: usize, common: Common<'_>) -> Vec<Route> {
    let mut drafts = drafts(root, end, &common);
    cross_checks::check(&drafts, &common.signature, root, root.problems);
    delivery_checks::check(&drafts, &common, root);
    tls_checks::check(&drafts, common.tls);
    client_checks::check(&drafts, common.server, common.listen);
    integrations(&mut drafts, &common.signature);
    let whole = match common.signature {
        Signs::Here(signature) => signature.into_verifier(),
        Signs::Absent | Signs::Wrong => None,
    };
    drafts.into_iter().filter_map(|draft| draft.finish(whole.as_ref())).collect()
}

fn drafts<'t>(root: &Table<'t>, end: usize, common: &Common<'_>) -> Vec<Draft<'t>> {
    let Some(item) = root.get("routes") else {
        no_routes(end..end).report(root.problems);
        return Vec::new();
    };
    let Some(array) = item.array("write `[[routes]]` over each route") else { return Vec::new() };
    if array.is_empty() {
        no_routes(item.span.clone()).report(root.problems);
    }
    item.elements(array)
        .filter_map(|element| {
            let help = "write `[[routes]]` over each route";
            let table = Table::of(&element, "this route", help, keys::ROUTE)?;
            Some(Draft::read(table, common))
        })
        .collect()
}

fn no_routes(span: Range<usize>) -> Problem {
    Problem::error("missing_routes", span, "there are no routes: every request would be refused")
        .help("add\n[[routes]]\npath = \"/webhook\"\nupstream = \"http://127.0.0.1:3000\"")
}

/// Adds the requirement that each route's `integration` makes. The requirement depends on the route's scheme.
fn integrations(drafts: &mut [Draft<'_>], whole: &Signs) {
    for draft in drafts {
        let Some(item) = draft.table.get("integration") else { continue };
        let Some(scheme) = cross_checks::effective(draft, whole).map(Signature::scheme) else { continue };
        match json_pointer::integration(&item, scheme) {
            Some(requirement) => draft.requirements.iter_mut().for_each(|all| all.push(requirement.clone())),
            None => draft.requirements = None,
        }
    }
}
