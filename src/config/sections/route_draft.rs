//! Pure. A draft of one of `[[routes]]`: every setting that could be read.

use std::ops::Range;
use std::sync::Arc;

use http::Method;

use crate::admission::client::Network;
use crate::config::address::Listen;
use crate::config::bounds::MOST_MEMORY;
use crate::config::choices::{CONSOLE_CONTENTS, MODES};
use crate::config::placeholder::has_variable;
use crate::config::problem::Problem;
use crate::config::sections::client_certificate;
use crate::config::sections::delivery::{self, Delivery};
use crate::config::sections::limits;
use crate::config::sections::networks;
use crate::config::sections::secret::Context;
use crate::config::sections::signature::Signature;
use crate::config::sections::upstream::{self, Settings};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Limits, Mode, Route, Server, Tls, json_pointer, public_url, showable};
use crate::routing::router::{Ambiguity, ModelRule, Pattern, PatternError, PatternFault};
use crate::routing::signed_model::Requirement;
use crate::signature::Verifier;
use crate::signature::public_url::PublicUrls;
use crate::upstream::origin::Origin;

/// Settings outside the route that routes depend on.
pub(crate) struct Common<'c> {
    /// `[limits]`
    pub(crate) limits: &'c Limits,
    /// `[upstream]`
    pub(crate) upstream: Settings,
    /// `[tls]`
    pub(crate) tls: Option<&'c Tls>,
    /// `[server]`
    pub(crate) server: &'c Server,
    /// The gateway's own addresses.
    pub(crate) listen: &'c [Listen],
    /// `[signature]`
    pub(crate) signature: Signs,
    /// Where secrets are read from.
    pub(crate) context: Context<'c>,
    /// Whether `[admin]` keeps recent requests.
    pub(crate) keeps_recent: bool,
    /// `[queue]` and `[retry]`
    pub(crate) deliveries: delivery::Common<'c>,
}

/// The `signature` of a table.
pub(crate) enum Signs {
    /// The table has no `signature`.
    Absent,
    /// The signature has an error.
    Wrong,
    /// The signature is valid.
    Here(Signature),
}

impl Signs {
    /// Reads the `signature` of a table.
    pub(crate) fn read(table: &Table<'_>, context: Context<'_>) -> Self {
        match table.get("signature").map(|item| Signature::read(&item, context)) {
            None => Self::Absent,
            Some(None) => Self::Wrong,
            Some(Some(signature)) => Self::Here(signature),
        }
    }
}

/// A route, with every setting that could be read.
pub(crate) struct Draft<'t> {
    /// The route's table, for positions in the file.
    pub(crate) table: Table<'t>,
    /// `path`
    pub(crate) path: Option<Pattern>,
    /// `model`, or the model that the path binds.
    pub(crate) model: Option<ModelRule>,
    /// `methods`
    pub(crate) methods: Vec<Method>,
    /// `max_body`
    pub(crate) max_body: u64,
    /// `mode`
    pub(crate) mode: Mode,
    /// The route's own `signature`.
    pub(crate) signature: Signs,
    /// `public_url`
    pub(crate) public_url: Option<PublicUrls>,
    /// `require`, and `integration` once the scheme is known.
    pub(crate) requirements: Option<Vec<Requirement>>,
    /// `allow`
    pub(crate) allow: Option<Arc<[Network]>>,
    /// `client_certificate`
    pub(crate) client_names: Option<Arc<[Arc<str>]>>,
    /// `delivery` and the keys that belong to `delivery`.
    pub(crate) delivery: Delivery,
    /// `console_content`
    console_content: bool,
    /// `capture`
    pub(crate) capture: bool,
    origins: Vec<Origin>,
    settings: Settings,
}

impl<'t> Draft<'t> {
    /// Reads a route from its table.
    pub(crate) fn read(table: Table<'t>, common: &Common<'_>) -> Self {
        let path = table.required("path", "\"/webhook\"").and_then(|item| path(&item));
        let model = model(&table, path.as_ref());
        let upstream = table.required("upstream", "\"http://127.0.0.1:3000\"");
        let origins =
            upstream.as_ref().map(|item| upstream::origins(item, common.listen)).unwrap_or_default();
        let settings = common.upstream.overridden(&table, common.context);
        if let Some(item) = &upstream {
            origins.iter().for_each(|origin| settings.check(origin, item, common.context));
        }
        let limits = common.limits;
        let max_body = table.size("max_body", limits.max_body, 1..=MOST_MEMORY);
        if let Some(item) = table.get("max_body")
            && max_body > limits.max_buffered
        {
            limits::body_beyond_memory(&item, max_body, limits).report(table.problems);
        }
        let mode = table.choice("mode", &MODES, Mode::Enforce);
        if matches!(mode, Mode::Observe(_)) {
            let message = "this route forwards requests that do not verify, too";
            Problem::warning("observing", table.place("mode"), message)
                .help("when its log shows no more wrong refusals, write `mode = \"enforce\"`")
                .report(table.problems);
        }
        let delivery = Delivery::read(&table, &origins, common.listen, &common.deliveries);
        if let Some(item) = table.get("copies") {
            delivery.copies().iter().for_each(|origin| settings.check(origin, &item, common.context));
        }
        let methods = table.get("methods").and_then(|item| methods(&item));
        Self {
            path,
            model,
            methods: methods.unwrap_or_else(|| vec![Method::POST]),
            max_body,
            mode,
            signature: Signs::read(&table, common.context),
            public_url: table.get("public_url").and_then(|item| public_url::read(&item)),
            requirements: json_pointer::required(&table),
            delivery,
            capture: table.flag("capture", false),
            console_content: table.choice("console_content", &CONSOLE_CONTENTS, true),
            origins,
            allow: table.get("allow").and_then(|item| networks::allowed(&item)),
            client_names: table.get("client_certificate").and_then(|item| client_certificate::read(&item)),
            settings,
            table,
        }
    }

    /// The place in the file where the route names its model.
    pub(crate) fn model_place(&self) -> Range<usize> {
        self.table.get("model").map_or_else(|| self.table.place("path"), |item| item.span)
    }

    /// Completes the route with its own signature, or else with the file's `[signature]`. `None` if the
    /// signature has an error.
    pub(crate) fn finish(self, whole: Option<&Arc<Verifier>>) -> Option<Route> {
        let verifier = match self.signature {
            Signs::Absent => Arc::clone(whole?),
            Signs::Wrong => return None,
            Signs::Here(signature) => signature.into_verifier()?,
        };
        let delivery = self.delivery.finish(&self.settings);
        Some(Route {
            path: self.path?,
            model: self.model?,
            requirements: self.requirements?,
            public_url: self.public_url,
            upstream: self.settings.of(self.origins)?,
            verifier,
            methods: self.methods,
            max_body: self.max_body,
            mode: self.mode,
            allow: self.allow,
            client_names: self.client_names,
            delivery,
            console_content: self.console_content,
            capture: self.capture,
        })
    }
}

fn path(item: &Item<'_>) -> Option<Pattern> {
    let text = item.text("\"/webhook\"")?;
    let pattern = match Pattern::parse(text) {
        Ok(pattern) => pattern,
        Err(error) => {
            let problem = Problem::error("bad_path", item.part(text, error.at.clone()), error.to_string());
            return problem.help(path_help(text, &error)).refuse(item.problems);
        }
    };
    if let Some((at, ambiguity)) = pattern.ambiguity() {
        let message = "an app that decodes or normalises paths would read another path here";
        let label = match ambiguity {
            Ambiguity::Dots => "this segment is resolved",
            Ambiguity::EncodedSlash | Ambiguity::Backslash => "this becomes two segments",
            Ambiguity::EncodedUnreserved => "this needs no encoding, and is decoded",
            Ambiguity::EncodedControl | Ambiguity::BarePercent | Ambiguity::Overlong => "this is decoded",
            Ambiguity::Slashes => "these slashes are merged",
        };
        let help = "configure the sender to send the plain path, and write this path: hookgate compares paths as they are received";
        let problem = Problem::warning("ambiguous_path", item.part(text, at), message);
        problem.label(label).help(help).report(item.problems);
    }
    Some(pattern)
}

/// The advice for an invalid path.
fn path_help(text: &str, error: &PatternError) -> String {
    match error.fault {
        PatternFault::NoLeadingSlash => match path_within(text) {
            Some(path) => format!("write `path = \"{}\"`", showable::quote(&path)),
            None => {
                "write the path of the URL that the sender calls, from its first `/`: `path = \"/webhook\"`"
                    .to_owned()
            }
        },
        PatternFault::NotPath if has_variable(text) => NO_VARIABLES.to_owned(),
        PatternFault::NotWholeSegment if has_variable(text) => NO_VARIABLES.to_owned(),
        PatternFault::NotPath => character_help(text, &error.at),
        PatternFault::BarePercent => {
            "write `%25` for the percent sign itself, if that is what the sender sends".to_owned()
        }
        PatternFault::OtherRouters | PatternFault::BadName => {
            let parameter = parameter_like(text, &error.at);
            format!("write `{parameter}`: {PARAMETERS}")
        }
        PatternFault::NotWholeSegment => {
            "write `{name}` for any one segment, `{*rest}` for all that are left".to_owned()
        }
        PatternFault::RepeatedName => "give each its own name".to_owned(),
        PatternFault::RestNotLast => "write `{name}` for a single segment".to_owned(),
        PatternFault::ModelIsOneSegment => "write `{model}`".to_owned(),
    }
}

/// The advice for a character that no path has.
fn character_help(text: &str, at: &Range<usize>) -> String {
    let character = text.get(at.clone()).unwrap_or_default();
    let before = text.get(..at.start).unwrap_or_default();
    let start = before.rfind('/').map_or(0, |slash| slash.saturating_add(1));
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.find('/').map_or(text.len(), |length| start.saturating_add(length));
    let segment = text.get(start..end).unwrap_or_default();
    match character {
        " " if text.trim_end().len() <= at.start => "remove the white space at the end".to_owned(),
        // Regular expressions have groups such as `(?P<id>...)`.
        "\\" | "^" | "[" | "]" | "|" => no_expression(character),
        "?" if segment.contains("(?") => no_expression(character),
        "?" if segment.starts_with(['{', ':', '<', '[', '$']) => {
            "a path has no optional segments: write one route for each path, or `{*rest}` at the end"
                .to_owned()
        }
        " " | "<" | "#" if segment.trim_start_matches('#').starts_with(['{', '<']) => {
            format!("write `{}`: {PARAMETERS}", parameter_like(text, &(start..end)))
        }
        "?" | "#" => {
            let path = showable::quote(before);
            let part = if character == "?" { "query" } else { "fragment" };
            format!("a path has no {part}: write `path = \"{path}\"`")
        }
        other => format!(
            "paths are compared as they are received: write `{}` if that is what the sender sends",
            encoded(other)
        ),
    }
}

fn no_expression(character: &str) -> String {
    format!(
        "a path is no regular expression: {PARAMETERS}; for the character itself write `{}`, if that is what the sender sends",
        encoded(character)
    )
}

fn encoded(character: &str) -> String {
    character.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

const PARAMETERS: &str = "`{name}` is any one segment, `{*rest}` at the end all that are left";

const NO_VARIABLES: &str =
    "gateway.toml has no variables: write `{name}` for any one segment, `{*rest}` for all that are left";

/// The path that a text without a leading slash contains: of a URL, after a method, behind a host.
fn path_within(text: &str) -> Option<String> {
    let text = text.trim();
    // The text before an `@` may be a credential, and its end cannot be found.
    if text.contains('@') {
        return None;
    }
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let path = match (bare.len() < text.len(), bare.find('/')) {
        (true, None) => "/",
        (true, Some(at)) => bare.get(at..)?,
        (false, _) if bare.starts_with('/') => bare,
        (false, _) => match bare.split_once([' ', '/']) {
            // `POST /webhook`, or `hooks.example.com/webhook`
            Some((before, rest))
                if before.contains('.') || before.chars().all(|c| c.is_ascii_uppercase()) =>
            {
                return path_within(&format!("/{}", rest.trim_start_matches('/')));
            }
            Some(_) | None => return path_within(&format!("/{bare}")),
        },
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Pattern::parse(path).is_ok().then(|| path.to_owned())
}

/// The parameter that the notation of another router means. The parameter keeps its name if the name is valid
/// here.
fn parameter_like(text: &str, at: &Range<usize>) -> String {
    let segment = text.get(at.clone()).unwrap_or_default();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // `/hooks*` matches every path with that prefix. The nearest valid pattern is one level deeper.
    if let Some(prefix) = segment.strip_suffix(".*").or_else(|| segment.strip_suffix('*'))
        && !prefix.is_empty()
        && prefix.chars().all(is_of_name)
    {
        return format!("{prefix}/{{*rest}}");
    }
    // `{a}{b}` has two parameters, and a parameter takes a whole segment.
    if segment.starts_with('{') && segment.contains("}{") && !segment.starts_with("{{") {
        return segment.replace("}{", "}/{");
    }
    // A `$` at the end is the end of a regular expression.
    if let Some(literal) = segment.strip_suffix('$')
        && !literal.is_empty()
        && literal.chars().all(is_of_name)
    {
        return literal.to_owned();
    }
    // A type before the name is not part of the name, as in `<int:id>`.
    let name = match segment.starts_with('{') {
        true => segment.split(':').next().unwrap_or_default(),
        false => segment.rsplit(':').next().unwrap_or_default(),
    };
    let name =
        name.trim_start_matches(|c| !is_of_name(c)).split(|c| !is_of_name(c)).next().unwrap_or_default();
    let takes_all = ["*", "...", "+}"].iter().any(|sign| segment.contains(sign)) && !segment.contains("[");
    let takes_all = takes_all || segment.starts_with("<path:") || segment.starts_with("[...");
    match (takes_all && at.end == text.len(), name) {
        (true, "") => "{*rest}".to_owned(),
        (true, name) => format!("{{*{name}}}"),
        (false, "") => "{name}".to_owned(),
        (false, name) => format!("{{{name}}}"),
    }
}

/// Reads the model. `None` if it has an error.
fn model(table: &Table<'_>, path: Option<&Pattern>) -> Option<ModelRule> {
    let bound = path.is_some_and(Pattern::binds_model);
    let Some(item) = table.get("model") else {
        return Some(if bound { ModelRule::Segment } else { ModelRule::Any });
    };
    let text = item.text("\"leases\"")?;
    if text.is_empty() || text.contains(char::is_control) {
        return item
            .error("bad_model", "no event names such a model")
            .help("a model is called as the sender calls it: `model = \"leases\"`")
            .refuse(table.problems);
    }
    if text.trim_matches(['*', '.', '?', '^', '$', '(', ')']).is_empty() {
        return item
            .error("bad_model", "a model is compared as it is: this is no pattern")
            .help("remove `model`: a route without it takes every event")
            .refuse(table.problems);
    }
    if bound {
        return item
            .error("model_twice", "this route's model is its path's `{model}` already")
            .related(table.place("path"), "here")
            .help(format!(
                "remove `model`, or write the path without `{{model}}`: `path = \"/webhook/{}\"`",
                showable::quote(text)
            ))
            .refuse(table.problems);
    }
    Some(ModelRule::Named(text.to_owned()))
}

/// Reads the methods: at least one (RFC 9110, section 9), and none twice.
fn methods(item: &Item<'_>) -> Option<Vec<Method>> {
    let array = item.array(&item.write("[\"POST\"]"))?;
    if array.is_empty() {
        return item
            .error("out_of_range", "a route without methods takes no request")
            .help(item.write("[\"POST\"]"))
            .refuse(item.problems);
    }
    let mut all: Vec<(Method, Range<usize>)> = Vec::new();
    for element in item.elements(array) {
        let Some(method) = method(&element) else { continue };
        match all.iter().find(|(other, _)| *other == method) {
            Some((_, first)) => item.problems.push(
                element
                    .error("duplicate_method", format!("{method} is there twice"))
                    .related(first.clone(), "the first time"),
            ),
            None => all.push((method, element.span)),
        }
    }
    Some(all.into_iter().map(|(method, _)| method).collect())
}

/// Reads a method: a token in upper case, because methods are case-sensitive. `CONNECT` is refused: no
/// gateway serves it.
fn method(item: &Item<'_>) -> Option<Method> {
    let text = item.text("[\"POST\"]")?;
    let upper = text.trim().to_ascii_uppercase();
    let problem = |message: &str| item.error("bad_method", message);
    item.problems.push(match Method::from_bytes(text.as_bytes()) {
        Ok(_) if matches!(upper.as_str(), "*" | "ANY" | "ALL") => {
            problem("a route names each of its methods")
                .help("write `methods = [\"POST\"]`, or all that the sender uses")
        }
        Ok(Method::CONNECT) => problem("CONNECT asks for a tunnel, and a gateway makes none"),
        Ok(method) if method.as_str() == upper => return Some(method),
        _ if Method::from_bytes(upper.as_bytes()).is_ok() => {
            problem("methods are upper case").help(format!("write `\"{upper}\"`"))
        }
        Ok(_) | Err(_) => problem("not a method").help("for example `\"POST\"`"),
    });
    None
}
