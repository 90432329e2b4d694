//! Pure. The router: finds the route for a path and, if configured, for the signed model.
//!
//! Paths are compared as received, byte for byte: no decoding, no merging of slashes, no removal of dot
//! segments. The client chooses the text that a parameter matches. So a match is refused if an app could
//! decode or normalise it to another path ([`Matched::check`]). A literal segment takes precedence over
//! `{name}`, and `{name}` takes precedence over `{*rest}`.

mod segment;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use foldhash::fast::FixedState;
use memchr::memchr;

pub use crate::routing::router::segment::Ambiguity;

/// A route's path as configured. It has literal segments, `{name}` for one segment, and may end with
/// `{*rest}`, which matches all remaining segments, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    shape: String,
    binds_model: bool,
}

/// The parameter whose segment must be the signed model.
const MODEL_PARAMETER: &str = "{model}";

impl Pattern {
    /// Parses a path from the configuration.
    ///
    /// # Errors
    /// [`PatternError`], with the place of the error in the text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let error = |at, fault| Err(PatternError { at, fault });
        if !text.starts_with('/') {
            return error(0..text.len(), PatternFault::NoLeadingSlash);
        }
        if let Some((at, found)) =
            text.char_indices().find(|(_, c)| matches!(c, '?' | '#') || *c <= ' ' || *c == '\x7f')
        {
            return error(at..at.saturating_add(found.len_utf8()), PatternFault::NotPath);
        }
        let mut names: Vec<&str> = Vec::new();
        let mut shape = String::with_capacity(text.len());
        let mut rest = text.get(1..).unwrap_or_default();
        let mut start: usize = 1;
        loop {
            let (segment, tail) = match rest.split_once('/') {
                Some((segment, tail)) => (segment, Some(tail)),
                None => (rest, None),
            };
            let at = start..start.saturating_add(segment.len());
            shape.push('/');
            if let Some(inner) = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
                let catch_all = inner.starts_with('*');
                let name = inner.strip_prefix('*').unwrap_or(inner);
                let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if name.is_empty() || !letters {
                    return error(at, PatternFault::BadName);
                }
                if names.contains(&name) {
                    return error(at, PatternFault::RepeatedName);
                }
                if catch_all && tail.is_some() {
                    return error(at, PatternFault::RestNotLast);
                }
                if catch_all && segment == "{*model}" {
                    return error(at, PatternFault::ModelIsOneSegment);
                }
                names.push(name);
                shape.push_str(if catch_all { "{*}" } else { "{}" });
            } else if segment.contains(['{', '}']) {
                return error(at, PatternFault::NotWholeSegment);
            } else {
                if is_other_routers(segment) {
                    return error(at, PatternFault::OtherRouters);
                }
                if let Some((offset, found)) = segment.char_indices().find(|(_, c)| !is_path_char(*c)) {
                    let start = start.saturating_add(offset);
                    return error(start..start.saturating_add(found.len_utf8()), PatternFault::NotPath);
                }
                if let Some(offset) = segment::bare_percent(segment) {
                    let start = start.saturating_add(offset);
                    return error(start..start.saturating_add(1), PatternFault::BarePercent);
                }
                shape.push_str(segment);
            }
            let Some(tail) = tail else { break };
            start = at.end.saturating_add(1);
            rest = tail;
        }
        let binds_model = text.split('/').any(|segment| segment == MODEL_PARAMETER);
        Ok(Self { text: text.to_owned(), shape, binds_model })
    }

    /// The path as configured. It may be printed and used as a label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path without the names of its parameters. Patterns of the same shape match the same paths.
    #[must_use]
    pub fn shape(&self) -> &str {
        &self.shape
    }

    /// Whether a segment of the path must be the signed model (`{model}`).
    #[must_use]
    pub fn binds_model(&self) -> bool {
        self.binds_model
    }

    /// Whether the path has no parameters.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.shape.contains('{')
    }

    /// The first literal segment that an app could decode or normalise to another segment, or else the first
    /// slashes that an app could merge: the byte range in the text, and the reason.
    #[must_use]
    pub fn ambiguity(&self) -> Option<(Range<usize>, Ambiguity)> {
        let mut start: usize = 1;
        let found = self.segments().find_map(|segment| {
            let at = start..start.saturating_add(segment.len());
            start = at.end.saturating_add(1);
            segment::ambiguity(segment).map(|why| (at, why))
        });
        let slashes = || self.text.find("//").map(|at| (at..at.saturating_add(2), Ambiguity::Slashes));
        found.or_else(slashes)
    }

    /// Whether an app may take a path of this pattern for a path of `other`. This is possible if this pattern
    /// has a parameter where `other` has a literal segment or ends, and the rest is the same. Some apps
    /// ignore case, a slash at the end, or everything after a `;`.
    #[must_use]
    pub fn can_pass_for(&self, other: &Self) -> bool {
        let (mut own, mut others) = (self.shape.split('/').skip(1), other.shape.split('/').skip(1));
        let mut differs = false;
        loop {
            match (own.next(), others.next()) {
                (None, None) => return differs,
                (Some("{*}"), other) => return differs || other != Some("{*}"),
                (Some("{}"), Some(segment)) if !segment.is_empty() && segment != "{*}" => {
                    differs |= segment != "{}";
                }
                (Some(segment), Some(other)) if segment.eq_ignore_ascii_case(other) => {}
                (Some(_), _) | (None, Some(_)) => return false,
            }
        }
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').skip(1)
    }
}

/// Whether other routers read a segment as a parameter that is literal text here: `*`, `:id`, `$id`, `<id>`,
/// `[id]`, `(id)`, `+`, `...rest`. A `$` at the end is a sign of regular expressions.
fn is_other_routers(segment: &str) -> bool {
    let is_within = |start, end| segment.starts_with(start) && segment.ends_with(end);
    let is_named = segment.strip_prefix([':', '$']).is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && !(segment.starts_with(':') && name.starts_with(|c: char| c.is_ascii_digit()))
    });
    segment.contains('*')
        || is_named
        || segment == "+"
        || segment.starts_with("...")
        || segment.ends_with("...")
        || segment.ends_with('$')
        || is_within('<', '>')
        || is_within('[', ']')
        || is_within('(', ')')
}

/// Whether a character can be part of a request's path (RFC 3986, section 3.3). A `%` is allowed only at the
/// beginning of an encoding.
fn is_path_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%".contains(c)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The error for an invalid path in the configuration, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct PatternError {
    /// The place in the text, as a range of bytes.
    pub at: Range<usize>,
    /// The kind of the error.
    pub fault: PatternFault,
}

/// The kinds of errors in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// The path does not begin with `/`.
    #[error("a path begins with `/`")]
    NoLeadingSlash,
    /// The path has a character that no path can have (RFC 3986, section 3.3).
    #[error("this character cannot be part of a path")]
    NotPath,
    /// The two hexadecimal digits after a `%` are missing.
    #[error("this `%` begins no encoding")]
    BarePercent,
    /// The path has a parameter in the notation of other routers: `*`, `:id`, `$id`, `<id>`, `[id]`.
    #[error("this is a parameter to other routers, and plain text here")]
    OtherRouters,
    /// A segment has `{` or `}`, but is not entirely `{name}`.
    #[error("a parameter takes a whole segment")]
    NotWholeSegment,
    /// A parameter's name is empty or has characters other than letters, digits and `_`.
    #[error("a parameter's name is made of letters, digits and `_`")]
    BadName,
    /// Two parameters have the same name.
    #[error("two parameters have the same name")]
    RepeatedName,
    /// `{*rest}` is not the last segment.
    #[error("a `{{*rest}}` parameter stands at the end")]
    RestNotLast,
    /// The path has `{*model}`, but a model is one segment.
    #[error("a model is one segment")]
    ModelIsOneSegment,
}

/// The signed models that a route accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelRule {
    /// Any model, no model, or content that is not JSON. If this route is the only one of its path, the
    /// content is not parsed.
    Any,
    /// This model only.
    Named(String),
    /// The model in the `{model}` segment of the path.
    Segment,
}

/// The number of a route in the configuration, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub usize);

/// The routing table: a tree with one node for each segment. Literal segments are found by their hash.
#[derive(Debug)]
pub struct Router {
    nodes: Vec<Node>,
    entries: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Node {
    literal: HashMap<Box<str>, usize, FixedState>,
    name: Option<usize>,
    rest: Option<usize>,
    entry: Option<usize>,
}

#[derive(Debug)]
struct Entry {
    named: Vec<(String, RouteId)>,
    segment: Option<RouteId>,
    any: Option<RouteId>,
    first: RouteId,
    model_segment: Option<usize>,
    /// The indices of the `{name}` segments.
    names: Vec<usize>,
    /// The index of the `{*rest}` segment.
    rest: Option<usize>,
}

/// Two routes that match the same requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The route that is listed first. This route stays valid.
    pub earlier: RouteId,
    /// The later route. No request would ever reach this route.
    pub later: RouteId,
}

impl Router {
    /// Builds the table from the pattern and the model rule of each route, in the order of the configuration.
    ///
    /// # Errors
    /// Every [`Conflict`]: two routes with the same path shape and model rule, or two routes with one shape
    /// and different parameter names.
    pub fn build<'r>(
        routes: impl IntoIterator<Item = (&'r Pattern, &'r ModelRule)>,
    ) -> Result<Self, Vec<Conflict>> {
        let mut router = Self { nodes: vec![Node::default()], entries: Vec::new() };
        let mut by_shape: HashMap<&str, (usize, &Pattern)> = HashMap::new();
        let mut conflicts = Vec::new();
        for (index, (pattern, rule)) in routes.into_iter().enumerate() {
            let id = RouteId(index);
            let (at, renamed) = match by_shape.get(pattern.shape()) {
                Some((at, other)) => (*at, other.as_str() != pattern.as_str()),
                None => {
                    let at = router.insert(pattern, id);
                    by_shape.insert(pattern.shape(), (at, pattern));
                    (at, false)
                }
            };
            let Some(entry) = router.entries.get_mut(at) else { continue };
            let taken = match rule {
                _ if renamed => Some(entry.first),
                ModelRule::Any => entry.any.replace(id),
                ModelRule::Segment => entry.segment.replace(id),
                ModelRule::Named(model) => {
                    let taken = entry.named.iter().find(|(other, _)| other == model).map(|(_, id)| *id);
                    entry.named.push((model.clone(), id));
                    taken
                }
            };
            if let Some(earlier) = taken {
                conflicts.push(Conflict { earlier, later: id });
            }
        }
        if conflicts.is_empty() { Ok(router) } else { Err(conflicts) }
    }

    fn insert(&mut self, pattern: &Pattern, first: RouteId) -> usize {
        let entry = self.entries.len();
        let segments = || pattern.segments();
        let numbered = || segments().enumerate();
        self.entries.push(Entry {
            named: Vec::new(),
            segment: None,
            any: None,
            first,
            model_segment: segments().position(|segment| segment == MODEL_PARAMETER),
            names: numbered().filter(|(_, segment)| is_name(segment)).map(|(index, _)| index).collect(),
            rest: segments().position(is_rest),
        });
        let mut at = 0;
        for segment in segments() {
            let fresh = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { break };
            if is_rest(segment) {
                node.rest = Some(entry);
                return entry;
            }
            at = if is_name(segment) {
                *node.name.get_or_insert(fresh)
            } else {
                *node.literal.entry(segment.into()).or_insert(fresh)
            };
            if at == fresh {
                self.nodes.push(Node::default());
            }
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.entry = Some(entry);
        }
        entry
    }

    /// The routes of a path. `path` is the path exactly as received, without the query.
    #[must_use]
    pub fn find<'r, 'p>(&'r self, path: &'p str) -> Option<Matched<'r, 'p>> {
        let path = path.strip_prefix('/')?;
        let number = self.descend(0, Some(path))?;
        let entry = self.entries.get(number)?;
        Some(Matched { router: self, number, entry, path })
    }

    /// The entry for the rest of a path, from the node `at`. A search visits each node at most once. Its
    /// recursion is at most as deep as the longest route.
    fn descend(&self, at: usize, rest: Option<&str>) -> Option<usize> {
        let node = self.nodes.get(at)?;
        let Some(rest) = rest else { return node.entry };
        let end = memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
        let (segment, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let tail = tail.get(1..);
        let literal = node.literal.get(segment).and_then(|next| self.descend(*next, tail));
        let name = || node.name.filter(|_| !segment.is_empty()).and_then(|next| self.descend(next, tail));
        literal.or_else(name).or(node.rest)
    }
}

/// Whether a segment of a pattern is `{name}`.
fn is_name(segment: &str) -> bool {
    segment.starts_with('{') && !is_rest(segment)
}

/// Whether a segment of a pattern is `{*rest}`.
fn is_rest(segment: &str) -> bool {
    segment.starts_with("{*")
}

/// The routes that match a request's path.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'r, 'p> {
    router: &'r Router,
    entry: &'r Entry,
    number: usize,
    /// The request's path without its leading slash.
    path: &'p str,
}

impl<'r> Matched<'r, '_> {
    /// Checks that no app can decode or normalise the matched parameters to another path.
    ///
    /// # Errors
    /// [`Ambiguity`]: the request must be refused.
    pub fn check(&self) -> Result<(), Ambiguity> {
        if !self.has_parameters() {
            return Ok(());
        }
        let Entry { names, rest, .. } = self.entry;
        let is_captured = |index| names.contains(&index) || rest.is_some_and(|rest| index >= rest);
        let mut captured = self.path.split('/').enumerate().filter(|(index, _)| is_captured(*index));
        if let Some(ambiguity) = captured.find_map(|(_, segment)| segment::ambiguity(segment)) {
            return Err(ambiguity);
        }
        match rest.and_then(|rest| self.with_slashes_merged(rest)) {
            Some(merged) if self.router.descend(0, Some(&merged)) != Some(self.number) => {
                Err(Ambiguity::Slashes)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the path of the routes has parameters. Without parameters, it is the path of the request.
    #[must_use]
    pub fn has_parameters(&self) -> bool {
        !self.entry.names.is_empty() || self.entry.rest.is_some()
    }

    /// The path with consecutive slashes merged, from segment `rest` on. A slash at the end stays. `None` if
    /// there are no consecutive slashes.
    fn with_slashes_merged(&self, rest: usize) -> Option<String> {
        if !self.path.starts_with('/') && !self.path.contains("//") {
            return None;
        }
        let last = self.path.split('/').count().saturating_sub(1);
        let is_kept = |index: usize, segment: &str| index < rest || index == last || !segment.is_empty();
        let kept = self.path.split('/').enumerate().filter(|(index, segment)| is_kept(*index, segment));
        Some(kept.map(|(_, segment)| segment).collect::<Vec<_>>().join("/"))
    }

    /// The routes of the path.
    #[must_use]
    pub fn candidates(&self) -> Candidates<'r> {
        Candidates { entry: self.entry }
    }
}

/// The routes of one path. The signed model selects one of them.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'r> {
    entry: &'r Entry,
}

impl Candidates<'_> {
    /// The first of the routes. Some settings must be the same for all of them (signature, body limit,
    /// methods, mode). These settings are read from the first.
    #[must_use]
    pub fn first(&self) -> RouteId {
        self.entry.first
    }

    /// Whether the routes depend on the signed model. The model then selects a route, or the request is
    /// refused.
    #[must_use]
    pub fn asks_for_model(&self) -> bool {
        !self.entry.named.is_empty() || self.entry.segment.is_some()
    }

    /// The route for content that was sent to `path`. `model` is the model that the content names, if it
    /// names one. `None` is a model mismatch.
    #[must_use]
    pub fn select(&self, path: &str, model: Option<&str>) -> Option<RouteId> {
        let named = self.entry.named.iter().find(|(name, _)| Some(name.as_str()) == model).map(|(_, id)| *id);
        let segment = || self.entry.model_segment.and_then(|index| path.split('/').skip(1).nth(index));
        let by_segment = self.entry.segment.filter(|_| model.is_some() && model == segment());
        named.or(by_segment).or(self.entry.any)
    }
}

#[cfg(test)]
mod tests;
