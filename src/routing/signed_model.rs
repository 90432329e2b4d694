//! Pure. Reads authentic content: the signed model, and the values that a route requires.
//!
//! The model is the string at the scheme's JSON pointers (RFC 6901). If two parsers could read JSON
//! differently, no model in it can be trusted. So content is refused if it is not JSON (RFC 8259), if a key
//! on a pointer's path is repeated, if the pointers disagree, or if a value is not a string.
//!
//! Some parsers ignore the case of keys: Go's encoding/json, and ASP.NET Core by default. So two keys that
//! differ only in case count as one key. A key on a pointer's path is also refused if it differs from the
//! pointer in case.
//!
//! The work is linear in the content. Each key on a pointer's path is compared once with each pointer. The
//! other values are skipped without recursion.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The model that authentic content names. `None` if it names no model.
///
/// # Errors
/// [`NoModel`] if the content is ambiguous.
pub fn read(content: &[u8], pointers: &[impl AsRef<str>]) -> Result<Option<String>, NoModel> {
    Questions::new(pointers, &[]).read(content)?.model()
}

/// The values that the routes of one path need from the content. One pass over the content reads all of them.
#[derive(Debug)]
pub struct Questions {
    /// The pointers to the model.
    model: Vec<Vec<String>>,
    /// The values that each route requires.
    required: Vec<Vec<Requirement>>,
}

impl Questions {
    /// Creates the questions for the model at the pointers `model`, and for the requirements of each route.
    #[must_use]
    pub fn new(model: &[impl AsRef<str>], required: &[&[Requirement]]) -> Self {
        Self {
            model: model.iter().map(|pointer| tokens(pointer.as_ref())).collect(),
            required: required.iter().map(|all| all.to_vec()).collect(),
        }
    }

    /// Whether there are no questions. If so, the content need not be parsed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.model.is_empty() && self.required.iter().all(Vec::is_empty)
    }

    /// Reads authentic content.
    ///
    /// # Errors
    /// [`NoModel::NotJson`]. An ambiguous value is reported later by [`Facts`], if the value is used.
    pub fn read(&self, content: &[u8]) -> Result<Facts<'_>, NoModel> {
        let required = self.required.iter().flatten().map(|requirement| requirement.paths.as_slice());
        let queries: Vec<_> = std::iter::once(self.model.as_slice()).chain(required).collect();
        let mut found = find(content, &queries)?.into_iter();
        Ok(Facts { questions: self, model: found.next().unwrap_or_default(), required: found })
    }
}

/// The answers that a content gives to [`Questions`].
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
    /// [`NoModel`]. It says why the content does not meet the requirements.
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

/// A string, or an integer that is not negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string, with its escapes decoded.
    Text(String),
    /// A number, for example `1`.
    Number(u64),
}

/// The content's value at a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// There is no value, and no key that a parser could take for the pointer's key.
    Absent,
    /// A scalar.
    Scalar(Scalar),
    /// Another value, or an ambiguous value.
    Other,
}

/// The value at each of these pointers in authentic content.
///
/// # Errors
/// [`NoModel::NotJson`]
pub fn members<'p>(
    content: &[u8],
    pointers: impl IntoIterator<Item = &'p str>,
) -> Result<Vec<Member>, NoModel> {
    let paths: Vec<_> = pointers.into_iter().map(|pointer| vec![tokens(pointer)]).collect();
    let queries: Vec<_> = paths.iter().map(Vec::as_slice).collect();
    let member = |found: Found| match (found.fault, found.value) {
        (None, None) => Member::Absent,
        (None, Some(value)) => Member::Scalar(Rc::unwrap_or_clone(value)),
        (Some(_), _) => Member::Other,
    };
    Ok(find(content, &queries)?.into_iter().map(member).collect())
}

/// The scalar at each of these pointers in authentic content. `None` if the value is missing, ambiguous, or
/// not a scalar.
///
/// # Errors
/// [`NoModel::NotJson`]
pub fn scalars<'p>(
    content: &[u8],
    pointers: impl IntoIterator<Item = &'p str>,
) -> Result<Vec<Option<Scalar>>, NoModel> {
    let undoubted = |member| match member {
        Member::Scalar(scalar) => Some(scalar),
        Member::Absent | Member::Other => None,
    };
    Ok(members(content, pointers)?.into_iter().map(undoubted).collect())
}

/// A text that authentic content must have at one of several pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    paths: Vec<Vec<String>>,
    text: String,
}

impl Requirement {
    /// The content must have `text` at one or more of the pointers, and no other value at any of them.
    pub fn new<'p>(pointers: impl IntoIterator<Item = &'p str>, text: &str) -> Self {
        Self { paths: pointers.into_iter().map(tokens).collect(), text: text.to_owned() }
    }
}

/// The values at the paths of each query. One pass over the content finds all of them.
fn find(content: &[u8], queries: &[&[Vec<String>]]) -> Result<Vec<Found>, NoModel> {
    let mut findings = Findings::of(queries.len());
    walk(content, queries, &mut findings)?;
    Ok(findings.found)
}

fn walk(content: &[u8], queries: &[&[Vec<String>]], findings: &mut Findings) -> Result<(), NoModel> {
    let paths =
        queries.iter().enumerate().flat_map(|(query, paths)| paths.iter().map(move |path| (query, path)));
    let wanted = paths.map(|(query, path)| Wanted::new(query, path)).collect();
    // Skipped values are not decoded, so UTF-8 is checked here. Parsers read invalid UTF-8 in different ways
    // (RFC 8259, section 8.1).
    let text = std::str::from_utf8(content).map_err(|_where| NoModel::NotJson)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let walk = Walk { wanted, findings };
    walk.deserialize(&mut json).and_then(|()| json.end()).map_err(|_where| NoModel::NotJson)
}

/// Why content does not name its model clearly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum NoModel {
    /// The content is not JSON.
    NotJson,
    /// A key on the path to the model is repeated, perhaps in another case.
    RepeatedKey,
    /// A key on the path to the model differs from the pointer in case.
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

/// The reference tokens of a JSON pointer (RFC 6901, section 4).
fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

/// Whether a reference token is this number in the form of RFC 6901: digits without a leading zero.
fn is_number(token: &str, number: usize) -> bool {
    let canonical = token == "0" || !token.starts_with('0');
    canonical && token.bytes().all(|byte| byte.is_ascii_digit()) && token.parse() == Ok(number)
}

/// Whether two keys are the same key for a parser that ignores case.
fn is_same_key(one: &str, other: &str) -> bool {
    if let (Some(first), Some(other)) = (one.bytes().next(), other.bytes().next())
        && first.is_ascii()
        && other.is_ascii()
        && !first.eq_ignore_ascii_case(&other)
    {
        // The fast path: most keys differ in their first byte.
        return false;
    }
    one == other || one.chars().map(folded).eq(other.chars().map(folded))
}

/// Maps characters that differ only in case to one character (Unicode, simple case folding): `K` and the
/// Kelvin sign to `k`, the long s to `s`. It also maps a few characters that Unicode keeps apart, such as the
/// dotless i to `i`, because some parsers do. No event of a known sender is refused for this reason.
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

    /// The string at the paths. `None` if there is no value.
    fn text(self) -> Result<Option<String>, NoModel> {
        match (self.fault, self.value.map(Rc::unwrap_or_clone)) {
            (Some(fault), _) => Err(fault),
            (None, Some(Scalar::Number(_))) => Err(NoModel::NotText),
            (None, Some(Scalar::Text(text))) => Ok(Some(text)),
            (None, None) => Ok(None),
        }
    }
}

/// The rest of a path through a value, and the query to which the path belongs.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    query: usize,
    rest: &'w [String],
    /// Whether the next key of the path has already occurred in this object.
    seen: bool,
}

impl<'w> Wanted<'w> {
    fn new(query: usize, rest: &'w [String]) -> Self {
        Self { query, rest, seen: false }
    }
}

/// A value of the document, and the rest of every path through the value.
struct Walk<'w, 'f> {
    wanted: Vec<Wanted<'w>>,
    findings: &'f mut Findings,
}

impl Walk<'_, '_> {
    /// Whether a path ends at this value.
    fn is_wanted(&self) -> bool {
        self.wanted.iter().any(|wanted| wanted.rest.is_empty())
    }

    /// Records a scalar. It is stored once, even if several queries read it.
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
        while let Some(Key(key)) = map.next_key()? {
            let wanted = leads(&mut wanted, findings, &key);
            map.next_value_seed(Walk { wanted, findings: &mut *findings })?;
        }
        Ok(())
    }

    /// The index of an array element is its name in a pointer (RFC 6901, section 4).
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

/// A key of an object, with its escapes decoded.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'k>(#[serde(borrow)] Cow<'k, str>);

/// The rest of every path through the value of this key.
fn leads<'w>(wanted: &mut [Wanted<'w>], findings: &mut Findings, key: &str) -> Vec<Wanted<'w>> {
    let mut leads = Vec::new();
    for wanted in wanted {
        let Some((token, rest)) = wanted.rest.split_first() else { continue };
        if !findings.is_same_key(token, key) {
            continue;
        }
        if std::mem::replace(&mut wanted.seen, true) {
            findings.fail(wanted.query, NoModel::RepeatedKey);
        }
        if token == key {
            leads.push(Wanted::new(wanted.query, rest));
        } else {
            findings.fail(wanted.query, NoModel::OtherCase);
        }
    }
    leads
}

#[cfg(test)]
mod tests;
