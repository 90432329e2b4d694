//! Pure. Reads the signed model and the values that a route requires from authentic content.
//!
//! The model is the string at the scheme's JSON pointers (RFC 6901). JSON that two parsers could read differently names no
//! trustworthy model. So a repeated key on a pointer's path, pointers that disagree, a value that is not a string and content
//! that is not JSON (RFC 8259) are refused.
//!
//! Some parsers ignore the case of keys: Go's encoding/json, and ASP.NET Core by default. So two keys that differ only in case
//! count as one key, and a key on a pointer's path that differs in case from the pointer is refused too.
//!
//! The work is linear in the content: each key on a pointer's path is compared once with each pointer, and everything else is
//! skipped without recursion.

use std::fmt;
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The model that authentic content names, or `None` if it names none.
///
/// # Errors
/// [`NoModel`] if the content is ambiguous.
pub fn read(content: &[u8], pointers: &[impl AsRef<str>]) -> Result<Option<String>, NoModel> {
    Questions::new(pointers, &[]).read(content)?.model()
}

/// Everything that the routes of one path read from content, answered in one pass over it.
#[derive(Debug)]
pub struct Questions {
    /// The pointers to the model.
    model: Vec<Vec<String>>,
    /// The requirements of each route.
    required: Vec<Vec<Requirement>>,
}

impl Questions {
    /// Reads the model at these pointers, and the requirements of each route.
    #[must_use]
    pub fn new(model: &[impl AsRef<str>], required: &[&[Requirement]]) -> Self {
        Self {
            model: model.iter().map(|pointer| tokens(pointer.as_ref())).collect(),
            required: required.iter().map(|all| all.to_vec()).collect(),
        }
    }

    /// Whether there are no questions, so that content is not parsed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.model.is_empty() && self.required.iter().all(Vec::is_empty)
    }

    /// Reads authentic content.
    ///
    /// # Errors
    /// [`NoModel::NotJson`]. Ambiguity is reported by [`Facts`], where the value matters.
    pub fn read(&self, content: &[u8]) -> Result<Facts<'_>, NoModel> {
        let required = self.required.iter().flatten().map(|requirement| requirement.paths.as_slice());
        let queries: Vec<_> = std::iter::once(self.model.as_slice()).chain(required).collect();
        let mut found = find(content, &queries)?.into_iter();
        Ok(Facts { questions: self, model: found.next().unwrap_or_default(), required: found })
    }
}

/// The answers of one content to [`Questions`].
#[derive(Debug)]
pub struct Facts<'q> {
    questions: &'q Questions,
    model: Found,
    required: std::vec::IntoIter<Found>,
}

impl Facts<'_> {
    /// The model, if the content names one.
    ///
    /// # Errors
    /// [`NoModel`] if the content is ambiguous.
    pub fn model(&mut self) -> Result<Option<String>, NoModel> {
        std::mem::take(&mut self.model).text()
    }

    /// Whether the content meets the requirements of the route with this number.
    ///
    /// # Errors
    /// [`NoModel`]: why it does not.
    pub fn met_by(mut self, route: usize) -> Result<(), NoModel> {
        for (index, required) in self.questions.required.iter().enumerate() {
            for (requirement, found) in required.iter().zip(self.required.by_ref()) {
                if index == route && found.text()?.as_deref() != Some(&*requirement.text) {
                    return Err(NoModel::NotAsRequired);
                }
            }
        }
        Ok(())
    }
}

/// A string, or a number that is an integer and not negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string, unescaped.
    Text(String),
    /// A number, as written, for example `1`.
    Number(u64),
}

/// The scalar at each of these pointers in authentic content. `None` where there is no value, or it is ambiguous or not a
/// scalar.
///
/// # Errors
/// [`NoModel::NotJson`]
pub fn scalars<'p>(
    content: &[u8],
    pointers: impl IntoIterator<Item = &'p str>,
) -> Result<Vec<Option<Scalar>>, NoModel> {
    let paths: Vec<_> = pointers.into_iter().map(|pointer| vec![tokens(pointer)]).collect();
    let queries: Vec<_> = paths.iter().map(Vec::as_slice).collect();
    let found = find(content, &queries)?.into_iter();
    let undoubted = |found: Found| found.value.filter(|_| found.fault.is_none()).map(Rc::unwrap_or_clone);
    Ok(found.map(undoubted).collect())
}

/// Text that authentic content must have at a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    paths: Vec<Vec<String>>,
    text: String,
}

impl Requirement {
    /// The `text` must stand at one of the pointers at least, and no other value at any of them.
    pub fn new<'p>(pointers: impl IntoIterator<Item = &'p str>, text: &str) -> Self {
        Self { paths: pointers.into_iter().map(tokens).collect(), text: text.to_owned() }
    }
}

/// The values at each query's paths, found in one pass over the content.
fn find(content: &[u8], queries: &[&[Vec<String>]]) -> Result<Vec<Found>, NoModel> {
    let mut findings = Findings::of(queries.len());
    walk(content, queries, &mut findings)?;
    Ok(findings.found)
}

fn walk(content: &[u8], queries: &[&[Vec<String>]], findings: &mut Findings) -> Result<(), NoModel> {
    let paths =
        queries.iter().enumerate().flat_map(|(query, paths)| paths.iter().map(move |path| (query, path)));
    let wanted = paths.map(|(query, path)| Wanted::new(query, path)).collect();
    // Skipped values are not decoded, so UTF-8 is checked here: invalid UTF-8 can be read in several ways (RFC 8259, section
    // 8.1).
    let text = std::str::from_utf8(content).map_err(|_where| NoModel::NotJson)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let walk = Walk { wanted, findings };
    walk.deserialize(&mut json).and_then(|()| json.end()).map_err(|_where| NoModel::NotJson)
}

/// Why content does not name its model unambiguously.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoModel {
    /// The content is not JSON.
    NotJson,
    /// A key on the path to the model is repeated, in any case.
    RepeatedKey,
    /// A key on the path to the model differs in case from the pointer.
    OtherCase,
    /// Two pointers lead to different models.
    Disagreement,
    /// The value at the model's pointer is not a string.
    NotText,
    /// A value that the route requires is missing or different.
    NotAsRequired,
}

impl NoModel {
    /// The value of the log field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "the content is not JSON",
            Self::RepeatedKey => "a key on the way to the model is repeated",
            Self::OtherCase => "a key on the way to the model is written in another case",
            Self::Disagreement => "two places name different models",
            Self::NotText => "the model is not a string",
            Self::NotAsRequired => "the content is not about what the route requires",
        }
    }
}

impl fmt::Display for NoModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for NoModel {}

/// The reference tokens of a JSON pointer (RFC 6901, section 4).
fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

/// Whether a reference token is this number as RFC 6901 writes it: digits without a leading zero.
fn is_number(token: &str, number: usize) -> bool {
    let canonical = token == "0" || !token.starts_with('0');
    canonical && token.bytes().all(|byte| byte.is_ascii_digit()) && token.parse() == Ok(number)
}

/// Whether two keys are the same to a parser that ignores case.
fn is_same_key(one: &str, other: &str) -> bool {
    if let (Some(first), Some(other)) = (one.bytes().next(), other.bytes().next())
        && first.is_ascii()
        && other.is_ascii()
        && !first.eq_ignore_ascii_case(&other)
    {
        // Fast path: most keys already differ here.
        return false;
    }
    one == other || one.chars().map(folded).eq(other.chars().map(folded))
}

/// Maps characters that differ only in case to one (Unicode, simple case folding): `K` and the Kelvin sign to `k`, the long s
/// to `s`. It also maps a few characters that Unicode keeps apart, such as the dotless i to `i`, because some parsers do; no
/// known sender's event is refused for it.
fn folded(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let upper = only(c.to_uppercase()).unwrap_or(c);
    only(upper.to_lowercase()).unwrap_or(upper)
}

fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

/// The values found for each query.
#[derive(Debug)]
struct Findings {
    found: Vec<Found>,
    /// How often a key was compared with a token.
    #[cfg(test)]
    compared: usize,
}

impl Findings {
    fn of(queries: usize) -> Self {
        let found = (0..queries).map(|_| Found::default()).collect();
        Self {
            found,
            #[cfg(test)]
            compared: 0,
        }
    }

    fn fail(&mut self, query: usize, fault: NoModel) {
        if let Some(found) = self.found.get_mut(query) {
            found.fault.get_or_insert(fault);
        }
    }

    fn is_same_key(&mut self, token: &str, key: &str) -> bool {
        #[cfg(test)]
        {
            self.compared += 1;
        }
        is_same_key(token, key)
    }
}

#[derive(Debug, Default)]
struct Found {
    value: Option<Rc<Scalar>>,
    fault: Option<NoModel>,
}

impl Found {
    fn is(&mut self, value: &Rc<Scalar>) {
        match &self.value {
            Some(other) if other != value => {
                self.fault.get_or_insert(NoModel::Disagreement);
            }
            Some(_) => {}
            None => self.value = Some(Rc::clone(value)),
        }
    }

    /// The string at the paths, if there is one.
    fn text(self) -> Result<Option<String>, NoModel> {
        match (self.fault, self.value.map(Rc::unwrap_or_clone)) {
            (Some(fault), _) => Err(fault),
            (None, Some(Scalar::Number(_))) => Err(NoModel::NotText),
            (None, Some(Scalar::Text(text))) => Ok(Some(text)),
            (None, None) => Ok(None),
        }
    }
}

/// The rest of a path through a value, and the query that it belongs to.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    query: usize,
    rest: &'w [String],
    /// Whether the path's next key has already occurred in this object.
    seen: bool,
}

impl<'w> Wanted<'w> {
    fn new(query: usize, rest: &'w [String]) -> Self {
        Self { query, rest, seen: false }
    }
}

/// One value of the document, and the rest of every path through it.
struct Walk<'w, 'f> {
    wanted: Vec<Wanted<'w>>,
    findings: &'f mut Findings,
}

impl Walk<'_, '_> {
    /// Whether a path ends at this value.
    fn is_wanted(&self) -> bool {
        self.wanted.iter().any(|wanted| wanted.rest.is_empty())
    }

    /// Records a scalar. However many queries read it, it is stored once.
    fn is(self, value: impl FnOnce() -> Scalar) {
        if !self.is_wanted() {
            return;
        }
        let value = Rc::new(value());
        for wanted in self.wanted.iter().filter(|wanted| wanted.rest.is_empty()) {
            if let Some(found) = self.findings.found.get_mut(wanted.query) {
                found.is(&value);
            }
        }
    }

    /// Records a value that is not a scalar.
    fn is_no_text(&mut self) {
        for wanted in self.wanted.iter().filter(|wanted| wanted.rest.is_empty()) {
            self.findings.fail(wanted.query, NoModel::NotText);
        }
    }

    fn not_text<E>(mut self) -> Result<(), E> {
        self.is_no_text();
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.wanted.is_empty() {
            deserializer.deserialize_ignored_any(IgnoredAny).map(|IgnoredAny| ())
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.is_no_text();
        let Self { mut wanted, findings } = self;
        loop {
            let key = KeyOf { wanted: &mut wanted, findings: &mut *findings };
            let Some(leads) = map.next_key_seed(key)? else { return Ok(()) };
            map.next_value_seed(Walk { wanted: leads, findings: &mut *findings })?;
        }
    }

    /// Array elements are addressed by their index (RFC 6901, section 4).
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.is_no_text();
        for number in 0_usize.. {
            let leads = self.wanted.iter().filter_map(|wanted| {
                let (first, rest) = wanted.rest.split_first()?;
                is_number(first, number).then_some(Wanted::new(wanted.query, rest))
            });
            let wanted = leads.collect();
            if seq.next_element_seed(Walk { wanted, findings: self.findings })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.is(|| Scalar::Text(text.to_owned()));
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.not_text()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.not_text()
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.is(|| Scalar::Number(number));
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.not_text()
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.not_text()
    }
}

/// An object's key, unescaped: selects the paths through its value.
struct KeyOf<'k, 'w> {
    wanted: &'k mut [Wanted<'w>],
    findings: &'k mut Findings,
}

impl<'de, 'w> DeserializeSeed<'de> for KeyOf<'_, 'w> {
    type Value = Vec<Wanted<'w>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, 'w> Visitor<'de> for KeyOf<'_, 'w> {
    type Value = Vec<Wanted<'w>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let mut leads = Vec::new();
        for wanted in self.wanted {
            let Some((token, rest)) = wanted.rest.split_first() else { continue };
            if !self.findings.is_same_key(token, key) {
                continue;
            }
            if std::mem::replace(&mut wanted.seen, true) {
                self.findings.fail(wanted.query, NoModel::RepeatedKey);
            }
            if token == key {
                leads.push(Wanted::new(wanted.query, rest));
            } else {
                self.findings.fail(wanted.query, NoModel::OtherCase);
            }
        }
        Ok(leads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_MODEL: &[&str] = &[];

    fn model(content: &str) -> Result<Option<String>, NoModel> {
        read(content.as_bytes(), &["/meta/object", "/data/object"])
    }

    fn named(name: &str) -> Result<Option<String>, NoModel> {
        Ok(Some(name.to_owned()))
    }

    #[test]
    fn the_model_is_read_from_either_place() {
        assert_eq!(
            model(r#"{"meta":{"object":"leases","x":[{}]},"diff":{"meta":{"object":"no"}}}"#),
            named("leases")
        );
        assert_eq!(model(r#" {"data": {"event":"x", "object": "leads"}} "#), named("leads"));
        assert_eq!(model(r#"{"data":{"object":"jobs"},"meta":{"object":"jobs"}}"#), named("jobs"));
        assert_eq!(model(r#"{"meta":{"object":"leases"}}"#), named("leases"));
        assert_eq!(model(r#"{"meta":{"ob\u006aect":"\u006ceases"}}"#), named("leases"));
    }

    #[test]
    fn content_without_a_model_is_reported_as_such() {
        for content in [
            "{}",
            "[]",
            "1",
            "null",
            "\"leases\"",
            r#"{"meta":{}}"#,
            r#"{"meta":[{"object":"x"}]}"#,
            r#"{"meta":"object"}"#,
            r#"{"object":"x"}"#,
            r#"{"x":{"meta":{"object":"x"}}}"#,
        ] {
            assert_eq!(model(content), Ok(None), "{content}");
        }
    }

    #[test]
    fn json_that_can_be_read_in_two_ways_is_refused() {
        for (content, fault) in [
            (r#"{"meta":{"object":"a"},"meta":{"object":"a"}}"#, NoModel::RepeatedKey),
            (r#"{"meta":{"object":"a","object":"a"}}"#, NoModel::RepeatedKey),
            (r#"{"meta":{"object":"a","\u006fbject":"a"}}"#, NoModel::RepeatedKey),
            (r#"{"meta":1,"meta":{"object":"a"}}"#, NoModel::RepeatedKey),
            (r#"{"meta":{"object":"a"},"Meta":{"object":"b"}}"#, NoModel::RepeatedKey),
            (r#"{"meta":{"object":"a","\u004fBJECT":"a"}}"#, NoModel::RepeatedKey),
            (r#"{"META":{"object":"a"},"meta":{"object":"a"}}"#, NoModel::OtherCase),
            (r#"{"Meta":{"object":"a"}}"#, NoModel::OtherCase),
            (r#"{"meta":{"object":"a"},"DATA":null}"#, NoModel::OtherCase),
            (r#"{"meta":{"object":"a"},"data":{"object":"b"}}"#, NoModel::Disagreement),
            (r#"{"meta":{"object":null}}"#, NoModel::NotText),
            (r#"{"meta":{"object":1}}"#, NoModel::NotText),
            (r#"{"meta":{"object":["a"]}}"#, NoModel::NotText),
            (r#"{"meta":{"object":{"object":"a"}}}"#, NoModel::NotText),
            (r#"{"meta":{"object":"a"},"data":{"object":false}}"#, NoModel::NotText),
            (r#"{"meta":{"object":"a",}}"#, NoModel::NotJson),
            (r#"{"meta":{"object":"a"}} x"#, NoModel::NotJson),
            (r#"{"meta":{"object":"a"}}{}"#, NoModel::NotJson),
            (r#"{"meta":{"object":"\ud800"}}"#, NoModel::NotJson),
            ("", NoModel::NotJson),
            ("\u{feff}{}", NoModel::NotJson),
        ] {
            assert_eq!(model(content), Err(fault), "{content}");
        }
    }

    /// Case folding as in Go (encoding/json, `foldName`), and slightly more.
    #[test]
    fn a_key_in_another_case_is_the_same_key_to_some_readers() {
        for (token, key) in [
            ("kind", "KIND"),
            ("kind", "\u{212a}ind"),
            ("\u{212a}ind", "kind"),
            ("status", "\u{17f}tatu\u{17f}"),
            ("STATUS", "\u{17f}tatus"),
            ("größe", "GRÖ\u{1e9e}E"),
            ("σ", "ς"),
            ("\u{1c6}", "\u{1c5}"),
            ("i", "\u{131}"),
        ] {
            let pointer = format!("/{token}");
            let read = |content: &str| read(content.as_bytes(), &[&pointer]);
            assert_eq!(read(&format!(r#"{{"{key}":"x"}}"#)), Err(NoModel::OtherCase), "{token}, {key}");
            let both = format!(r#"{{"{token}":"x","{key}":"x"}}"#);
            assert_eq!(read(&both), Err(NoModel::RepeatedKey), "{token}, {key}");
        }
        for (token, key) in [("kind", "kinds"), ("kind", "kin"), ("ss", "ß"), ("a_b", "aB"), ("k", "x")] {
            let content = format!(r#"{{"{token}":"x","{key}":"y"}}"#);
            assert_eq!(read(content.as_bytes(), &[format!("/{token}")]), named("x"), "{token}, {key}");
        }
        let off_the_way =
            r#"{"x":{"Meta":1,"meta":2},"diff":{"OBJECT":1},"meta":{"object":"a","x":{"Object":1}}}"#;
        assert_eq!(model(off_the_way), named("a"));
    }

    /// Each key on a path is compared once with each pointer, however often it is repeated.
    #[test]
    fn the_work_is_linear_in_the_content_whatever_it_holds() {
        let pointers = ["/meta/object", "/data/object"].map(tokens);
        let work = |content: &str| {
            let mut findings = Findings::of(1);
            let _verdict = walk(content.as_bytes(), &[&pointers], &mut findings);
            findings.compared
        };
        let object = |pair: &str, many: usize| format!("{{{}}}", vec![pair; many].join(","));
        for pair in [
            r#""meta":1"#,
            r#""Meta":{}"#,
            r#""meta":{"object":"a"}"#,
            r#""data":{"object":"a","object":"b"}"#,
            r#""\u006deta":[]"#,
            r#""x":{"meta":1}"#,
        ] {
            let (once, many) = (work(&object(pair, 1)), work(&object(pair, 1000)));
            assert_eq!(many, once * 1000, "{pair}");
        }
        // Quadratic comparison of keys takes seconds for a megabyte.
        let both =
            |many: usize| object(r#""meta":1"#, many).replace('}', ",") + &object(r#""data":1"#, many)[1..];
        assert_eq!(work(&both(1000)), work(&both(1)) * 1000);
        let deep = format!("{}1{}", r#"{"meta":"#.repeat(100_000), "}".repeat(100_000));
        assert_eq!(work(&deep), 2 + 1, "what is off the way is not looked at");
        let long = format!(r#"{{"{}":1}}"#, "meta".repeat(100_000));
        assert_eq!(work(&long), 2);
    }

    #[test]
    fn an_array_element_is_addressed_by_its_index() {
        for (content, pointer, want) in [
            (r#"[{"a":"x"},{"a":"y"}]"#, "/1/a", Some("y")),
            (r#"{"a":["x",["y","z"]]}"#, "/a/1/0", Some("y")),
            (r#"{"a":["x"]}"#, "/a/0", Some("x")),
            (r#"{"a":{"0":"x"}}"#, "/a/0", Some("x")),
            (r#"{"a":["x"]}"#, "/a/1", None),
            (r#"{"a":["x"]}"#, "/a/00", None),
            (r#"{"a":["x"]}"#, "/a/+0", None),
            (r#"{"a":["x"]}"#, "/a/", None),
            (r#"{"a":["x"]}"#, "/a/-", None),
            (r#"{"a":[]}"#, "/a/0", None),
        ] {
            let got = read(content.as_bytes(), &[pointer]).unwrap();
            assert_eq!(got.as_deref(), want, "{pointer} in {content}");
        }
        assert_eq!(read(br#"{"a":["x"],"a":["x"]}"#, &["/a/0"]), Err(NoModel::RepeatedKey));
        assert_eq!(read(br#"{"a":[["x"]]}"#, &["/a/0"]), Err(NoModel::NotText));
        assert_eq!(read(br#"{"a":["x","y"]}"#, &["/a/0", "/a/1"]), Err(NoModel::Disagreement));
    }

    #[test]
    fn repeated_keys_outside_the_paths_are_accepted() {
        assert_eq!(
            model(r#"{"x":1,"x":2,"meta":{"y":1,"y":2,"object":"a"},"diff":{"object":"b","object":"c"}}"#),
            named("a")
        );
    }

    /// Other values are skipped without recursion, so deep nesting cannot exhaust the stack.
    #[test]
    fn nesting_costs_no_stack() {
        for depth in [100, 100_000] {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            assert_eq!(model(&format!(r#"{{"x":{open}{close},"meta":{{"object":"a"}}}}"#)), named("a"));
            assert_eq!(model(&format!(r#"{{"meta":{open}{close}}}"#)), Ok(None));
            assert_eq!(model(&format!(r#"{{"meta":{{"object":{open}{close}}}}}"#)), Err(NoModel::NotText));
            assert_eq!(model(&format!(r#"{{"x":{open}}}"#)), Err(NoModel::NotJson));
        }
    }

    /// RFC 8259, section 6, sets no limit on numbers. A number that no query reads need not fit any type.
    #[test]
    fn a_number_off_the_way_may_have_any_size() {
        let long = "9".repeat(400);
        for number in ["614E44444444444441", "-1e-99999", &long, &format!("0.{long}")] {
            let text = |number: &str| format!(r#"{{"x":[{number}],"meta":{{"object":"a"}}}}"#);
            assert_eq!(model(&text(number)), named("a"), "{number}");
            assert_eq!(model(&text(&format!("{number}e"))), Err(NoModel::NotJson), "{number}");
        }
        assert!(model(r#"{"meta":{"object":1e999}}"#).is_err());
    }

    #[test]
    fn content_that_is_not_utf_8_is_no_json() {
        assert_eq!(read(b"{\"meta\":{\"object\":\"\xff\"}}", &["/meta/object"]), Err(NoModel::NotJson));
        let skipped = b"{\"meta\":{\"object\":\"a\"},\"x\":\"\xff\"}";
        assert_eq!(read(skipped, &["/meta/object"]), Err(NoModel::NotJson));
    }

    #[test]
    fn a_required_value_must_be_present_and_unambiguous() {
        let requirements = [
            Requirement::new(["/meta/integration_id", "/data/integration_id"], "cuid_1"),
            Requirement::new(["/type"], "x"),
        ];
        let questions = Questions::new(NO_MODEL, &[&requirements]);
        let met = |content: &str| {
            let mut facts = questions.read(content.as_bytes())?;
            assert_eq!(facts.model(), Ok(None));
            facts.met_by(0)
        };
        assert_eq!(met(r#"{"type":"x","meta":{"integration_id":"cuid_1"}}"#), Ok(()));
        assert_eq!(met(r#"{"data":{"integration_id":"cuid_1"},"type":"x","z":1,"z":2}"#), Ok(()));
        for (content, why) in [
            (r#"{"type":"x"}"#, NoModel::NotAsRequired),
            (r#"{"type":"x","meta":{"integration_id":"cuid_2"}}"#, NoModel::NotAsRequired),
            (r#"{"meta":{"integration_id":"cuid_1"}}"#, NoModel::NotAsRequired),
            (r#"{"type":"x","type":"x","meta":{"integration_id":"cuid_1"}}"#, NoModel::RepeatedKey),
            (r#"{"type":"x","meta":{"integration_id":"cuid_1"},"meta":1}"#, NoModel::RepeatedKey),
            (r#"{"type":"x","Type":"y","meta":{"integration_id":"cuid_1"}}"#, NoModel::RepeatedKey),
            (r#"{"Type":"x","meta":{"integration_id":"cuid_1"}}"#, NoModel::OtherCase),
            (
                r#"{"type":"x","meta":{"integration_id":"cuid_1"},"data":{"integration_id":"cuid_2"}}"#,
                NoModel::Disagreement,
            ),
            (r#"{"type":1,"meta":{"integration_id":"cuid_1"}}"#, NoModel::NotText),
            ("", NoModel::NotJson),
        ] {
            assert_eq!(met(content), Err(why), "{content}");
        }
        assert!(Questions::new(NO_MODEL, &[&[]]).is_empty() && !questions.is_empty());
    }

    #[test]
    fn only_the_requirements_of_the_selected_route_count() {
        let (one, other) =
            ([Requirement::new(["/a"], "1"), Requirement::new(["/b"], "2")], [Requirement::new(["/b"], "3")]);
        let questions = Questions::new(&["/model"], &[&one, &[], &other]);
        let asked = |content: &str, route| {
            let mut facts = questions.read(content.as_bytes()).unwrap();
            (facts.model(), facts.met_by(route))
        };
        let content = r#"{"b":"3","model":"x","a":["1"]}"#;
        assert_eq!(asked(content, 0), (named("x"), Err(NoModel::NotText)));
        assert_eq!(asked(content, 1), (named("x"), Ok(())));
        assert_eq!(asked(content, 2), (named("x"), Ok(())));
        assert_eq!(asked(r#"{"a":"1","b":"2"}"#, 0), (Ok(None), Ok(())));
        assert_eq!(asked(r#"{"a":"1","b":"2"}"#, 2), (Ok(None), Err(NoModel::NotAsRequired)));
    }

    #[test]
    fn a_scalar_is_an_unambiguous_string_or_number() {
        let found = |content: &str| scalars(content.as_bytes(), ["/type", "/a/b"]);
        let text = |text: &str| Some(Scalar::Text(text.to_owned()));
        assert_eq!(found(r#"{"type":1,"a":{"b":"x"}}"#), Ok(vec![Some(Scalar::Number(1)), text("x")]));
        assert_eq!(found(r#"{"type":"1"}"#), Ok(vec![text("1"), None]));
        for doubtful in
            ["-1", "1.0", "1e0", "true", "null", "[1]", "{}", "1,\"type\":1", "1,\"Type\":1", "1,\"TYPE\":2"]
        {
            let content = format!("{{\"type\":{doubtful},\"a\":{{\"b\":\"x\"}}}}");
            assert_eq!(found(&content), Ok(vec![None, text("x")]), "{content}");
        }
        assert_eq!(found("{"), Err(NoModel::NotJson));
    }

    #[test]
    fn tokens_are_unescaped_in_the_order_that_rfc_6901_asks_for() {
        assert_eq!(tokens("/a~1b/~01/"), ["a/b", "~1", ""]);
        assert_eq!(read(br#"{"a/b":{"~1":{"":"x"}}}"#, &["/a~1b/~01/"]), named("x"));
    }
}
