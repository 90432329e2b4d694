//! The router, compared with a simple implementation of its rules: it tries every route, and takes the most
//! literal match.
//!
//! The lines before the first empty line are routes (`path`, or `path=model`). The lines after it are paths
//! to find.

use hookgate::routing::router::{ModelRule, Pattern, Router};

use super::strict;

/// Panics if the router panics, if an error's place is outside its text, if a path leads to another route
/// than by the rules, or if a match is accepted although an app could read it as another path.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (routes, paths) = text.split_once("\n\n").unwrap_or((text, "/"));
    let mut table = Vec::new();
    for line in routes.lines().take(12) {
        let (path, model) = line.split_once('=').map_or((line, None), |(path, model)| (path, Some(model)));
        match Pattern::parse(path) {
            Ok(pattern) => {
                let rule = match model {
                    Some(model) => ModelRule::Named(model.to_owned()),
                    None if pattern.binds_model() => ModelRule::Segment,
                    None => ModelRule::Any,
                };
                table.push((pattern, rule));
            }
            Err(error) => assert!(path.get(error.at.clone()).is_some(), "{error} at {:?}", error.at),
        }
    }
    let Ok(router) = Router::build(table.iter().map(|(pattern, rule)| (pattern, rule))) else { return };
    for path in paths.lines().take(12) {
        let matched = router.find(path);
        let want = best(&table, path);
        let shape = |index: usize| table[index].0.shape();
        let found = matched.as_ref().map(|matched| shape(matched.candidates().first().0));
        assert_eq!(found, want.map(shape), "{path:?}");
        let (Some(matched), Some(first)) = (matched, want) else { continue };
        let segments: Vec<&str> = path.split('/').collect();
        assert_eq!(matched.check().is_ok(), is_clear(&table, first, path), "{path:?}");
        for model in [None, Some("leases"), Some(""), segments.last().copied()] {
            let selected = matched.candidates().select(path, model).map(|id| id.0);
            assert_eq!(selected, select(&table, shape(first), &segments, model), "{path:?} {model:?}");
        }
    }
}

type Table = Vec<(Pattern, ModelRule)>;

/// Of the matching routes, the route whose path is the most literal, compared from the left.
fn best(table: &Table, path: &str) -> Option<usize> {
    let ranked = table.iter().enumerate().filter_map(|(index, (pattern, _))| {
        let rank = rank(pattern.as_str(), path)?;
        Some((rank, index))
    });
    ranked.min().map(|(_, index)| index)
}

/// Whether each captured segment is unambiguous, and the path still leads to the same route when repeated
/// slashes in the captured part are merged.
fn is_clear(table: &Table, index: usize, path: &str) -> bool {
    let pattern: Vec<&str> = table[index].0.as_str().split('/').collect();
    let segments: Vec<&str> = path.split('/').collect();
    let rest = pattern.iter().position(|segment| segment.starts_with("{*")).unwrap_or(usize::MAX);
    let is_captured = |at: usize| at >= rest || pattern[at].starts_with('{');
    let captured = segments.iter().enumerate().filter(|(at, _)| is_captured(*at));
    if !captured.map(|(_, segment)| segment).all(|segment| strict::is_clear(segment)) {
        return false;
    }
    if rest == usize::MAX {
        return true;
    }
    let mut merged = segments[..rest].join("/") + "/";
    for segment in &segments[rest..] {
        if !segment.is_empty() {
            merged += segment;
            merged += "/";
        }
    }
    if segments.last() != Some(&"") {
        merged.pop();
    }
    let shape = |index: usize| table[index].0.shape();
    best(table, &merged).map(shape) == Some(shape(index))
}

/// How literal each segment of the pattern is. `None` if the pattern does not match.
fn rank(pattern: &str, path: &str) -> Option<Vec<u8>> {
    let mut rank = Vec::new();
    let mut segments = path.strip_prefix('/')?.split('/');
    for wanted in pattern[1..].split('/') {
        let segment = segments.next()?;
        if wanted.starts_with("{*") {
            rank.push(2);
            return Some(rank);
        }
        if wanted.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            rank.push(1);
        } else if wanted == segment {
            rank.push(0);
        } else {
            return None;
        }
    }
    segments.next().is_none().then_some(rank)
}

/// Selects among the routes of one shape: first by the model's name, then by the path's segment, then a route
/// for any model.
fn select(table: &Table, shape: &str, segments: &[&str], model: Option<&str>) -> Option<usize> {
    let same = || table.iter().enumerate().filter(|(_, (pattern, _))| pattern.shape() == shape);
    let named =
        same().find(|(_, (_, rule))| matches!(rule, ModelRule::Named(name) if Some(name.as_str()) == model));
    let by_segment = same().find(|(_, (pattern, rule))| {
        let at = pattern.as_str().split('/').position(|segment| segment == "{model}");
        *rule == ModelRule::Segment && model.is_some() && at.and_then(|at| segments.get(at).copied()) == model
    });
    let any = same().find(|(_, (_, rule))| *rule == ModelRule::Any);
    named.or(by_segment).or(any).map(|(index, _)| index)
}
