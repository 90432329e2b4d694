//! Pure. Checks across several routes, or between a route and the rest of the file.

use std::collections::HashMap;
use std::ops::Range;

use http::Method;

use crate::config::problem::{Problem, Problems};
use crate::config::sections::route_draft::{Draft, Signs};
use crate::config::sections::signature::{self, Signature};
use crate::config::showable;
use crate::config::toml_table::Table;
use crate::routing::router::{ModelRule, Pattern, Router};

/// A route whose path and model have no error.
type Readable<'d> = (&'d Draft<'d>, &'d Pattern, &'d ModelRule);

/// Checks all routes together. `whole` is the file's `[signature]`.
pub(super) fn check(drafts: &[Draft<'_>], whole: &Signs, root: &Table<'_>, problems: &Problems) {
    signatures(drafts, whole, root, problems);
    schemes(drafts, whole, problems);
    shared_keys(drafts, whole, root, problems);
    let routes: Vec<Readable<'_>> = drafts
        .iter()
        .filter_map(|draft| Some((draft, draft.path.as_ref()?, draft.model.as_ref()?)))
        .collect();
    captures(&routes, whole, problems);
    let taken = conflicts(&routes, problems);
    let mut first_of: HashMap<&str, &Draft<'_>> = HashMap::new();
    for (index, (draft, pattern, _)) in routes.iter().enumerate() {
        let first = *first_of.entry(pattern.shape()).or_insert(draft);
        if !taken.contains(&index) && !std::ptr::eq(first, *draft) {
            agree(first, draft, whole, problems);
        }
    }
}

/// Reports routes without a signature, and a signature without routes.
fn signatures(drafts: &[Draft<'_>], whole: &Signs, root: &Table<'_>, problems: &Problems) {
    let mut without = drafts.iter().filter(|draft| matches!(draft.signature, Signs::Absent));
    let Some(first) = without.next() else {
        if !drafts.is_empty() && !matches!(whole, Signs::Absent) {
            Problem::warning("unused_signature", root.place("signature"), "no route uses this signature")
                .label("each has its own")
                .help("remove it")
                .report(problems);
        }
        return;
    };
    if !matches!(whole, Signs::Absent) {
        return;
    }
    let others = without.count();
    let message = match others {
        0 => "this route has no signature, and there is none for every route".to_owned(),
        1 => "this route and another have no signature, and there is none for every route".to_owned(),
        _ => format!("this route and {others} others have no signature, and there is none for every route"),
    };
    Problem::error("missing_signature", first.table.span(), message).help(signature_help()).report(problems);
}

/// Warns of signatures of different routes that have the same key, if a request that is signed for one route
/// could verify on the other with other content. Each signature is compared with the earlier ones.
fn shared_keys(drafts: &[Draft<'_>], whole: &Signs, root: &Table<'_>, problems: &Problems) {
    let own = drafts.iter().filter_map(|draft| match &draft.signature {
        Signs::Here(signature) => Some((signature, draft.table.place("signature"))),
        Signs::Wrong | Signs::Absent => None,
    });
    let is_used = drafts.iter().any(|draft| matches!(draft.signature, Signs::Absent));
    let of_all = match whole {
        Signs::Here(signature) if is_used => Some((signature, root.place("signature"))),
        Signs::Here(_) | Signs::Wrong | Signs::Absent => None,
    };
    let all: Vec<_> = of_all.into_iter().chain(own).collect();
    for (index, (later, place)) in all.iter().enumerate() {
        let earlier = all.iter().take(index);
        let mut taken =
            earlier.filter_map(|(earlier, first)| Some((earlier.taken_elsewhere_for(later)?, first)));
        let Some(((one, other), first)) = taken.next() else { continue };
        let message = format!(
            "the schemes `{one}` and `{other}` have the same secret: a signature for a route of one could pass on a \
             route of the other, over other content"
        );
        Problem::warning("shared_secret", place.clone(), message)
            .related(first.clone(), "here is the other")
            .help("have the sender use another secret for one of them")
            .report(problems);
    }
}

/// Reports routes that lack something that their scheme needs: a model, a `public_url`, the method of a
/// challenge.
fn schemes(drafts: &[Draft<'_>], whole: &Signs, problems: &Problems) {
    for draft in drafts {
        let signatures = effective(draft, whole).into_iter().flat_map(Signature::all);
        for signature in signatures {
            of_signature(draft, signature, problems);
        }
    }
}

/// Reports what one signature of a route lacks.
fn of_signature(draft: &Draft<'_>, signature: &Signature, problems: &Problems) {
    let (table, scheme, name) = (&draft.table, signature.scheme(), &signature.scheme().name);
    let asks_for_model = draft.model.as_ref().is_some_and(|model| *model != ModelRule::Any);
    if asks_for_model && scheme.model_pointers.is_empty() {
        let message = format!("the events of scheme `{name}` name no model");
        Problem::error("no_model", draft.model_place(), message)
            .help("tell these events apart by their path, or forward all of them to one upstream")
            .report(problems);
    }
    if scheme.signs_url() && table.get("public_url").is_none() {
        let message = format!("scheme `{name}` signs the URL, and this route does not say its own");
        Problem::error("missing_key", table.span(), message)
            .help("add the origin that the sender calls: `public_url = \"https://hooks.example.com\"`")
            .report(problems);
    }
    let takes = |method: &str| draft.methods.iter().any(|taken: &Method| taken == method);
    if let Some(method) = signature.unsigned_methods().find(|method| !takes(method)) {
        let message =
            format!("the challenge of scheme `{name}` is a {method}, which this route does not take");
        Problem::error("missing_method", table.place("methods"), message)
            .help(format!("write `methods = [\"POST\", \"{method}\"]`"))
            .report(problems);
    }
    if let Some(requests) = signature.unsaid() {
        let message = format!(
            "the sender of scheme `{name}` sends unsigned requests to set a webhook up, which are refused: \
             {requests}"
        );
        let help = match signature.has_answer() {
            true => {
                "add `challenge = \"answer\"`, or `\"forward-unsigned\"` for the app to answer, to `signature`; \
                     `\"forward\"` if they should be refused"
            }
            false => {
                "add `challenge = \"forward-unsigned\"` to `signature` while you set the webhook up, so that \
                      the app answers; `\"forward\"` if they should be refused"
            }
        };
        let place = table.place("path");
        Problem::note("unanswered_setup", place, message).help(help).report(problems);
    }
}

/// Warns of a route whose parameters match a path that an app may take for the path of another route. If the
/// two routes have different signatures, a sender with the secret of the first could reach the path of the
/// second.
fn captures(routes: &[Readable<'_>], whole: &Signs, problems: &Problems) {
    let signed =
        || routes.iter().filter_map(|(draft, path, _)| Some((draft, path, effective(draft, whole)?)));
    for (draft, path, signature) in signed().filter(|(_, path, _)| !path.is_literal()) {
        let mut passed_for = signed().filter(|(_, other, others)| {
            path.can_pass_for(other) && !std::ptr::eq(signature, *others) && !signature.agrees_with(others)
        });
        let Some((other, other_path, _)) = passed_for.next() else { continue };
        let label = match passed_for.count() {
            0 => "this route has another signature".to_owned(),
            1 => "this route has another signature, and so has one more".to_owned(),
            more => format!("this route has another signature, and so have {more} more"),
        };
        let message = format!(
            "an app that ignores case, a slash at the end or `;` takes paths of this route for `{other_path}`"
        );
        let help = "give both the same `signature`, or one of them a path that is not beside the other's, such as \
                    `/tenants/{name}` beside `/hooks/admin`";
        let problem = Problem::warning("capture_beside_literal", draft.table.place("path"), message);
        problem.related(other.table.place("path"), label).help(help).report(problems);
    }
}

/// Reports routes that take the same requests. Returns the routes that conflict with an earlier route.
fn conflicts(routes: &[Readable<'_>], problems: &Problems) -> Vec<usize> {
    let Err(conflicts) = Router::build(routes.iter().map(|(_, pattern, model)| (*pattern, *model))) else {
        return Vec::new();
    };
    for conflict in &conflicts {
        let (Some((earlier, earlier_path, _)), Some((later, later_path, model))) =
            (routes.get(conflict.earlier.0), routes.get(conflict.later.0))
        else {
            continue;
        };
        let problem = |message: String| {
            Problem::error("conflicting_routes", later.table.place("path"), message)
                .related(earlier.table.place("path"), "this route takes them")
        };
        problems.push(if earlier_path != later_path {
            problem(format!("`{later_path}` and `{earlier_path}` are the same paths"))
                .help("call their parameters the same, and tell the routes apart by `model`")
        } else {
            match model {
                ModelRule::Named(model) => {
                    let model = showable::quote(model);
                    problem(format!("there is a route for `{later_path}` with the model `{model}` already"))
                        .help("remove one of them, or name another model")
                }
                ModelRule::Any | ModelRule::Segment => {
                    problem(format!("there is a route for `{later_path}` already"))
                        .help("remove one of them, or name the `model` that one of them is for")
                }
            }
        });
    }
    conflicts.iter().map(|conflict| conflict.later.0).collect()
}

/// Checks the settings in which all routes of one path must agree. These settings apply before the model is
/// known, and so before the route is known.
fn agree(first: &Draft<'_>, other: &Draft<'_>, whole: &Signs, problems: &Problems) {
    let mut methods = [&first.methods, &other.methods].map(|methods| methods.iter().collect::<Vec<_>>());
    for methods in &mut methods {
        methods.sort_by_key(|method| method.as_str());
    }
    let signatures = match (effective(first, whole), effective(other, whole)) {
        (Some(one), Some(other)) => std::ptr::eq(one, other) || one.agrees_with(other),
        // The error in that signature has been reported already.
        (None, _) | (_, None) => true,
    };
    for (name, agreed) in [
        ("signature", signatures),
        ("max_body", first.max_body == other.max_body),
        ("methods", methods.first() == methods.last()),
        ("mode", first.mode == other.mode),
        ("allow", first.allow == other.allow),
        ("client_certificate", first.client_names == other.client_names),
        ("public_url", first.public_url == other.public_url),
    ] {
        if !agreed {
            let place = |draft: &Draft<'_>| -> Range<usize> {
                draft.table.get(name).map_or_else(|| draft.table.place("path"), |item| item.key)
            };
            let message = format!("routes of one path must have the same `{name}`");
            Problem::error("disagreeing_routes", place(other), message)
                .related(place(first), "here it is another")
                .help("it counts before the model is known, which tells these routes apart")
                .report(problems);
        }
    }
}

/// The signature that applies to a route, if it has no error.
pub(super) fn effective<'s>(draft: &'s Draft<'_>, whole: &'s Signs) -> Option<&'s Signature> {
    match (&draft.signature, whole) {
        (Signs::Here(signature), _) | (Signs::Absent, Signs::Here(signature)) => Some(signature),
        (Signs::Wrong, _) | (Signs::Absent, Signs::Absent | Signs::Wrong) => None,
    }
}

/// The advice for a route without a signature.
fn signature_help() -> String {
    format!("for this route: `{}`\nfor every route: the same under `[signature]`", signature::EXAMPLE)
}
