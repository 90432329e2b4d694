//! Pure. Makes the JSON Schema of gateway.toml from the tables of keys.
//!
//! The schema uses draft 7, which the TOML extensions of editors understand. It describes the form of a file.
//! `hookgate check` makes the checks of the whole file, such as routes that conflict or secrets that are
//! missing.

use serde_json::{Map, Value as Json, json};

use crate::config::key_description::{Key, Value};
use crate::config::keys::{ROOT, TABLES};

/// Makes the schema.
#[must_use]
pub fn schema() -> Json {
    let mut schema = table(ROOT);
    schema.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    schema.insert("title".to_owned(), "gateway.toml".into());
    schema.insert("description".to_owned(), "The configuration of hookgate.".into());
    schema.into()
}

/// The description of one table of gateway.toml, for the reference in the manual.
#[derive(Debug)]
pub struct Reference {
    /// The table's title, with backticks around text of the file.
    pub title: &'static str,
    /// The table's keys, in the order of the reference.
    pub keys: Vec<Explained>,
}

/// A key of a [`Reference`].
#[derive(Debug)]
pub struct Explained {
    /// The key's name.
    pub name: &'static str,
    /// The key's purpose.
    pub about: &'static str,
    /// The key's default, as it is written in the file.
    pub default: Option<&'static str>,
    /// Whether the table must have the key.
    pub required: bool,
    /// The possible words, if the key has only certain words as values.
    pub words: Vec<&'static str>,
}

/// Every table but the root, in the order of the reference.
pub fn reference() -> impl Iterator<Item = Reference> {
    TABLES.iter().skip(1).map(|(title, keys)| Reference { title, keys: keys.iter().map(explained).collect() })
}

fn explained(key: &Key) -> Explained {
    let Key { name, value, about, default, required } = key;
    let words = if let Value::Word(words) = value { words() } else { Vec::new() };
    Explained { name, about, default: *default, required: *required, words }
}

fn table(keys: &[Key]) -> Map<String, Json> {
    let properties: Map<String, Json> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut table =
        object(json!({ "type": "object", "additionalProperties": false, "properties": properties }));
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    if !required.is_empty() {
        table.insert("required".to_owned(), required.into());
    }
    table
}

fn property(key: &Key) -> Json {
    let mut property = object(value(&key.value));
    property.insert("description".to_owned(), key.about.into());
    // TOML and JSON write these values in the same way. A test parses all of them.
    if let Some(default) = key.default.and_then(|text| serde_json::from_str(text).ok()) {
        property.insert("default".to_owned(), default);
    }
    property.into()
}

/// The members of a JSON object.
fn object(value: Json) -> Map<String, Json> {
    if let Json::Object(members) = value { members } else { Map::new() }
}

fn value(value: &Value) -> Json {
    match value {
        Value::Flag => json!({ "type": "boolean" }),
        Value::Text("") => json!({ "type": "string" }),
        Value::Text(pattern) => json!({ "type": "string", "pattern": pattern }),
        Value::Word(words) => json!({ "enum": words() }),
        Value::Known(words) => {
            json!({ "anyOf": [{ "enum": words() }, { "type": "string", "minLength": 1 }] })
        }
        Value::Duration => {
            json!({ "type": "string", "pattern": DURATION, "examples": ["500ms", "10s", "1m30s"] })
        }
        Value::Size { least, most } => json!({ "anyOf": [
            { "type": "string", "pattern": SIZE, "examples": ["64KiB", "1MiB"] },
            { "type": "integer", "minimum": least, "maximum": most },
        ] }),
        Value::Count { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Value::Status(codes) => json!({ "enum": codes }),
        Value::Moment => json!({ "type": "string", "format": "date-time" }),
        Value::List { of, empty } => {
            json!({ "type": "array", "items": self::value(of), "minItems": u8::from(!empty) })
        }
        Value::Table(keys) => table(keys).into(),
        Value::TableWithOne { keys, of } => {
            let mut table = table(keys);
            let one: Vec<Json> = of.iter().map(|name| json!({ "required": [name] })).collect();
            table.insert("oneOf".to_owned(), one.into());
            table.into()
        }
        Value::Named { name, value } => json!({
            "type": "object",
            "propertyNames": { "pattern": name },
            "additionalProperties": self::value(value),
        }),
        Value::Either(values) => json!({ "anyOf": values.iter().map(self::value).collect::<Vec<_>>() }),
        Value::FlagOr(word) => json!({ "enum": [true, false, word] }),
    }
}

/// The form that [`crate::config::size_and_duration`] parses, without a duration of zero.
const DURATION: &str = "^(?=.*[1-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
const SIZE: &str = "^[0-9]+(B|KiB|MiB|GiB)$";

#[cfg(test)]
mod tests;
