//! Pure. The JSON Schema of gateway.toml, made from the tables of keys.
//!
//! It uses draft 7, which the TOML extensions of editors read. It describes the form of a file; checks of the whole file
//! (routes that conflict, secrets that are missing) are left to `hookgate check`.

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

/// A table of gateway.toml, for writing a reference.
#[derive(Debug)]
pub struct Reference {
    /// Its title, with backticks around text of the file.
    pub title: &'static str,
    /// Its keys, in the order of the reference.
    pub keys: Vec<Explained>,
}

/// A key of a [`Reference`].
#[derive(Debug)]
pub struct Explained {
    /// Its name.
    pub name: &'static str,
    /// Its purpose.
    pub about: &'static str,
    /// Its default, as written in the file.
    pub default: Option<&'static str>,
    /// Whether its table must have it.
    pub required: bool,
    /// The words to choose from, if it has them.
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
    // TOML and JSON write these values the same; a test parses them all.
    if let Some(default) = key.default.and_then(|text| serde_json::from_str(text).ok()) {
        property.insert("default".to_owned(), default);
    }
    property.into()
}

/// The members of what is an object.
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

/// The form that [`crate::config::unit`] parses, except zero.
const DURATION: &str = "^(?=.*[1-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
const SIZE: &str = "^[0-9]+(B|KiB|MiB|GiB)$";

#[cfg(test)]
mod tests;
