//! Pure. Fields that the signature itself names, and fields whose values may have the character that ends
//! them.
//!
//! The signed text has the names of the fields, and then their values, joined. A value that has the joining
//! character would allow a forger to move the border between two values. So at most one field, which the
//! scheme names, may have this character. The content behind it must be a JSON object or array, whose first
//! byte no such value has. Then the signed text can be divided in one way only: at the first `{` or `[`, and
//! from both ends.

use std::borrow::Cow;

use super::field::Format;

/// The fields that a signature names: `h=content-type x-event-id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFields {
    /// The name of the list in the signature field, for example `h`.
    pub key: Cow<'static, str>,
    /// The fields that the list may name, in lower case.
    pub fields: Vec<Cow<'static, str>>,
    /// The field whose value may have the character that joins the values.
    pub any: Option<Cow<'static, str>>,
}

impl NamedFields {
    /// The names in a list that a request's signature field has. `None` if a name is unknown or repeated.
    /// The list may be empty.
    fn names<'t>(&self, list: &'t str) -> Option<Vec<&'t str>> {
        let mut all: Vec<&str> = Vec::new();
        for name in list.split(' ').filter(|_| !list.is_empty()) {
            if all.contains(&name) || !self.fields.iter().any(|field| field == name) {
                return None;
            }
            all.push(name);
        }
        Some(all)
    }

    /// The list of names in the value of a signature field. `None` if the value has none or several.
    pub(super) fn list_in<'v>(&self, format: &Format, value: &'v [u8]) -> Option<&'v str> {
        let list = format.list()?;
        let mut found = list.values_under(&self.key, value);
        let names = std::str::from_utf8(found.next()?).ok()?;
        found.next().is_none().then_some(names)
    }

    /// The value of a signature field, with the list of names before the tag.
    pub(super) fn with_list(&self, format: &Format, value: &str, names: &str) -> String {
        let Some(list) = format.list() else { return value.to_owned() };
        let entry = list.entry_of(&self.key, names);
        match value.rsplit_once(list.separator()) {
            Some((before, tag)) => [before, &entry, tag].join(list.separator()),
            None => [&*entry, value].join(list.separator()),
        }
    }

    /// Appends the values of the fields that `list` names, joined by the byte `end`, which also follows the
    /// last value. `None` if a value is missing, or if its end is ambiguous.
    pub(super) fn append_values<'v>(
        &self,
        list: &str,
        end: u8,
        value: impl Fn(&str) -> Option<&'v [u8]>,
        to: &mut Vec<u8>,
    ) -> Option<()> {
        for (index, name) in self.names(list)?.into_iter().enumerate() {
            let value = value(name)?;
            let is_any = self.any.as_deref() == Some(name);
            let is_clear = if is_any { is_before_json(value) } else { !value.contains(&end) };
            if !is_clear || (self.any.is_some() && !is_before_json(value)) {
                return None;
            }
            if index > 0 {
                to.push(end);
            }
            to.extend_from_slice(value);
        }
        Some(())
    }
}

/// Whether a value has none of the bytes with which a JSON object or array begins. So its end is clear before
/// such content.
pub(super) fn is_before_json(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'{' | b'['))
}

/// Whether content begins as a JSON object or array does.
pub(super) fn begins_as_json(content: &[u8]) -> bool {
    matches!(content.first(), Some(b'{' | b'['))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: NamedFields =
        NamedFields { key: Cow::Borrowed("h"), fields: Vec::new(), any: Some(Cow::Borrowed("x-type")) };

    fn values(list: &str, values: &[(&str, &'static str)]) -> Option<String> {
        let fields = ["content-type", "x-id", "x-type"].map(Cow::Borrowed).to_vec();
        let named = NamedFields { fields, ..NAMED };
        let value = |name: &str| Some(values.iter().find(|(of, _)| *of == name)?.1.as_bytes());
        let mut text = Vec::new();
        named.append_values(list, b'.', value, &mut text)?;
        Some(String::from_utf8(text).unwrap())
    }

    #[test]
    fn one_value_may_have_the_character_that_joins_them_and_no_value_may_look_like_content() {
        let all = |id, kind| [("content-type", "a/json"), ("x-id", id), ("x-type", kind)];
        let of = |list, id, kind| values(list, &all(id, kind));
        assert_eq!(of("content-type x-id x-type", "e1", "a.b.c").as_deref(), Some("a/json.e1.a.b.c"));
        assert_eq!(of("x-type x-id", "e1", "a.b").as_deref(), Some("a.b.e1"));
        assert_eq!(of("", "e1", "a").as_deref(), Some(""));
        assert_eq!(of("x-id x-type", "e1.a", "b.c"), None);
        assert_eq!(of("x-id x-type", "e1", "a.{"), None);
        assert_eq!(of("x-id x-type", "e1[", "a"), None);
        for list in ["x-id x-id", "x-other", "X-Id", "x-id  x-type", " x-id", "x-id ", "x-id,x-type"] {
            assert_eq!(of(list, "e1", "a"), None, "{list:?}");
        }
        assert_eq!(values("x-id x-type", &[("x-id", "e1")]), None);
    }
}
