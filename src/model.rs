//! Pure. The signed model, and what else a route requires, out of authentic content.
//!
//! The model is what the scheme's JSON pointers (RFC 6901) lead to. JSON that two readers could read differently names no
//! model that could be trusted: a key repeated on the way, two pointers that disagree and a value that is no string are
//! all refused, as is content that is no JSON (RFC 8259) at all. What is off the way is skipped without recursion.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The model that authentic content names, or `None` if it names none.
///
/// # Errors
/// [`NoModel`] if the content does not say unambiguously.
pub fn read(content: &[u8], pointers: &[impl AsRef<str>]) -> Result<Option<String>, NoModel> {
    Questions::new(pointers, &[]).read(content)?.model()
}

/// All that the routes of one path ask of content, put in one walk over it.
#[derive(Debug)]
pub struct Questions {
    /// Where the model may stand.
    model: Vec<Vec<String>>,
    /// What each of the routes requires.
    required: Vec<Vec<Requirement>>,
}

impl Questions {
    /// Asks for the model at these pointers, and for what each of the routes requires.
    #[must_use]
    pub fn new(model: &[impl AsRef<str>], required: &[&[Requirement]]) -> Self {
        Self {
            model: model.iter().map(|pointer| tokens(pointer.as_ref())).collect(),
            required: required.iter().map(|all| all.to_vec()).collect(),
        }
    }

    /// Whether nothing is asked, so that content need not be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.model.is_empty() && self.required.iter().all(Vec::is_empty)
    }

    /// Walks over authentic content.
    ///
    /// # Errors
    /// [`NoModel::NotJson`]. What is in doubt counts only where it matters, in [`Facts`].
    pub fn read(&self, content: &[u8]) -> Result<Facts<'_>, NoModel> {
        let required = self.required.iter().flatten().map(|requirement| requirement.paths.as_slice());
        let queries: Vec<_> = std::iter::once(self.model.as_slice()).chain(required).collect();
        let mut found = find(content, &queries)?.into_iter();
        Ok(Facts { questions: self, model: found.next().unwrap_or_default(), required: found })
    }
}

/// What content says to [`Questions`].
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
    /// [`NoModel`] if the content does not say unambiguously.
    pub fn model(&mut self) -> Result<Option<String>, NoModel> {
        std::mem::take(&mut self.model).text()
    }

    /// Whether the content has what the route of this number requires.
    ///
    /// # Errors
    /// [`NoModel`], which says why not.
    pub fn met_by(mut self, route: usize) -> Result<(), NoModel> {
        for (index, required) in self.questions.required.iter().enumerate() {
            for (requirement, found) in required.iter().zip(self.required.by_ref()) {
                if index == route && found.text()?.as_ref() != Some(&requirement.text) {
                    return Err(NoModel::NotAsRequired);
                }
            }
        }
        Ok(())
    }
}

/// A string, or a number that is none of a fraction or less than nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// With its escapes undone.
    Text(String),
    /// As it is written, for example `1`.
    Number(u64),
}

/// What stands where each of these pointers leads in authentic content; nothing where nothing does, and nothing either
/// where that is in doubt or something else than a scalar stands there.
///
/// # Errors
/// [`NoModel::NotJson`]
pub fn scalars<'p>(
    content: &[u8],
    pointers: impl IntoIterator<Item = &'p str>,
) -> Result<Vec<Option<Scalar>>, NoModel> {
    let paths: Vec<_> = pointers.into_iter().map(|pointer| vec![tokens(pointer)]).collect();
    let queries: Vec<_> = paths.iter().map(Vec::as_slice).collect();
    let found = find(content, &queries)?;
    Ok(found.into_iter().map(|found| found.value.filter(|_| found.fault.is_none())).collect())
}

/// Text that must stand in authentic content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    paths: Vec<Vec<String>>,
    text: String,
}

impl Requirement {
    /// The `text` must stand where at least one of the pointers leads, and nothing else where any other does.
    pub fn new<'p>(pointers: impl IntoIterator<Item = &'p str>, text: &str) -> Self {
        Self { paths: pointers.into_iter().map(tokens).collect(), text: text.to_owned() }
    }
}

/// What stands where each query's paths lead, in one walk over the content.
fn find(content: &[u8], queries: &[&[Vec<String>]]) -> Result<Vec<Found>, NoModel> {
    let mut found: Vec<Found> = queries.iter().map(|_| Found::default()).collect();
    let paths =
        queries.iter().enumerate().flat_map(|(query, paths)| paths.iter().map(move |path| (query, path)));
    let wanted = paths.map(|(query, path)| Wanted { query, rest: path }).collect();
    // What is skipped is not decoded, and text that is no UTF-8 could be read in several ways (RFC 8259, section 8.1).
    let text = std::str::from_utf8(content).map_err(|_where| NoModel::NotJson)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let walk = Walk { wanted, found: &mut found };
    walk.deserialize(&mut json).and_then(|()| json.end()).map_err(|_where| NoModel::NotJson)?;
    Ok(found)
}

/// Why content that should name its model does not do so unambiguously.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoModel {
    /// The content is no JSON.
    NotJson,
    /// A key on the way to the model is there twice.
    RepeatedKey,
    /// Two places name different models.
    Disagreement,
    /// Where the model's name should be is something else than a string.
    NotText,
    /// What the route requires is not there, or something else is.
    NotAsRequired,
}

impl NoModel {
    /// What it is called in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "the content is not JSON",
            Self::RepeatedKey => "a key on the way to the model is repeated",
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

/// Whether a reference token is this number as RFC 6901 writes it: digits, and no leading zero.
fn is_number(token: &str, number: usize) -> bool {
    let canonical = token == "0" || !token.starts_with('0');
    canonical && token.bytes().all(|byte| byte.is_ascii_digit()) && token.parse() == Ok(number)
}

#[derive(Debug, Default)]
struct Found {
    value: Option<Scalar>,
    fault: Option<NoModel>,
}

impl Found {
    fn is(&mut self, value: Scalar) {
        match &self.value {
            Some(other) if *other != value => self.fail(NoModel::Disagreement),
            Some(_) => {}
            None => self.value = Some(value),
        }
    }

    /// The string that stands there, if anything does.
    fn text(self) -> Result<Option<String>, NoModel> {
        match (self.fault, self.value) {
            (Some(fault), _) => Err(fault),
            (None, Some(Scalar::Number(_))) => Err(NoModel::NotText),
            (None, Some(Scalar::Text(text))) => Ok(Some(text)),
            (None, None) => Ok(None),
        }
    }

    fn fail(&mut self, fault: NoModel) {
        self.fault.get_or_insert(fault);
    }
}

/// The rest of a path that leads through a value, and the query that it belongs to.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    query: usize,
    rest: &'w [String],
}

/// One value of the document, and the rest of every pointer that leads through it.
struct Walk<'w> {
    wanted: Vec<Wanted<'w>>,
    found: &'w mut [Found],
}

impl Walk<'_> {
    /// Tells the queries that this value, or a key of it, is for.
    fn tell(&mut self, concerned: impl Fn(&[String]) -> bool, mut what: impl FnMut(&mut Found)) {
        for wanted in self.wanted.iter().filter(|wanted| concerned(wanted.rest)) {
            if let Some(found) = self.found.get_mut(wanted.query) {
                what(found);
            }
        }
    }

    fn not_text<E>(mut self) -> Result<(), E> {
        self.tell(<[String]>::is_empty, |found| found.fail(NoModel::NotText));
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.wanted.is_empty() {
            deserializer.deserialize_ignored_any(IgnoredAny).map(|IgnoredAny| ())
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.tell(<[String]>::is_empty, |found| found.fail(NoModel::NotText));
        let mut seen: Vec<&String> = Vec::new();
        while let Some(Key { token }) = map.next_key_seed(KeyOf { wanted: &self.wanted })? {
            if let Some(token) = token {
                if seen.contains(&token) {
                    self.tell(|rest| rest.first() == Some(token), |found| found.fail(NoModel::RepeatedKey));
                }
                seen.push(token);
            }
            let leads = self.wanted.iter().filter_map(|wanted| {
                let (first, rest) = wanted.rest.split_first()?;
                (Some(first) == token).then_some(Wanted { rest, ..*wanted })
            });
            let wanted = leads.collect();
            map.next_value_seed(Walk { wanted, found: self.found })?;
        }
        Ok(())
    }

    /// Elements are led to by their number (RFC 6901, section 4).
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.tell(<[String]>::is_empty, |found| found.fail(NoModel::NotText));
        for number in 0_usize.. {
            let leads = self.wanted.iter().filter_map(|wanted| {
                let (first, rest) = wanted.rest.split_first()?;
                is_number(first, number).then_some(Wanted { rest, ..*wanted })
            });
            let wanted = leads.collect();
            if seq.next_element_seed(Walk { wanted, found: self.found })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.tell(<[String]>::is_empty, |found| found.is(Scalar::Text(text.to_owned())));
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.not_text()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.not_text()
    }

    fn visit_u64<E>(mut self, number: u64) -> Result<(), E> {
        self.tell(<[String]>::is_empty, |found| found.is(Scalar::Number(number)));
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.not_text()
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.not_text()
    }
}

/// A key of an object: which wanted token it is, if any. Keys are compared after their escapes are undone.
struct KeyOf<'k, 'w> {
    wanted: &'k [Wanted<'w>],
}

struct Key<'w> {
    token: Option<&'w String>,
}

impl<'de, 'w> DeserializeSeed<'de> for KeyOf<'_, 'w> {
    type Value = Key<'w>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key<'w>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, 'w> Visitor<'de> for KeyOf<'_, 'w> {
    type Value = Key<'w>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key<'w>, E> {
        let token = self.wanted.iter().filter_map(|wanted| wanted.rest.first()).find(|token| *token == key);
        Ok(Key { token })
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
    fn content_that_names_no_model_says_so() {
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

    #[test]
    fn an_element_of_an_array_is_led_to_by_its_number() {
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
    fn repeated_keys_off_the_way_do_not_matter() {
        assert_eq!(
            model(r#"{"x":1,"x":2,"meta":{"y":1,"y":2,"object":"a"},"diff":{"object":"b","object":"c"}}"#),
            named("a")
        );
    }

    /// What is off the way is skipped without recursion, so no depth of nesting can exhaust the stack.
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

    /// RFC 8259, section 6: the grammar bounds no number. One that nobody asks for need not fit into anything.
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
    fn what_a_route_requires_must_stand_there_and_without_doubt() {
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
    fn of_what_several_routes_require_only_that_of_the_one_counts() {
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
    fn a_scalar_is_a_string_or_a_number_of_which_there_is_no_doubt() {
        let found = |content: &str| scalars(content.as_bytes(), ["/type", "/a/b"]);
        let text = |text: &str| Some(Scalar::Text(text.to_owned()));
        assert_eq!(found(r#"{"type":1,"a":{"b":"x"}}"#), Ok(vec![Some(Scalar::Number(1)), text("x")]));
        assert_eq!(found(r#"{"type":"1"}"#), Ok(vec![text("1"), None]));
        for doubtful in ["-1", "1.0", "1e0", "true", "null", "[1]", "{}", "1,\"type\":1"] {
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
