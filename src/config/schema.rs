//! Pure. The JSON Schema of gateway.toml, made from the tables that the reader knows its keys by.
//!
//! It is of draft 7, which is what the editors' TOML extensions read. It says what shape a file has; what only the whole
//! of it can tell (routes that shadow one another, secrets that are not there) is for `hookgate check`.

use serde_json::{Map, Value as Json, json};

use super::key::{Key, Value};
use super::keys::{ROOT, TABLES};

/// The schema.
#[must_use]
pub fn schema() -> Json {
    let mut schema = table(ROOT);
    if let Json::Object(entries) = &mut schema {
        entries.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
        entries.insert("title".to_owned(), "gateway.toml".into());
        entries.insert("description".to_owned(), "The configuration of hookgate.".into());
    }
    schema
}

/// A table of gateway.toml, for a reference to be written from.
#[derive(Debug)]
pub struct Reference {
    /// What people call it, with backticks around what stands in the file.
    pub title: &'static str,
    /// Its keys, in the order in which they are explained.
    pub keys: Vec<Explained>,
}

/// A key of a [`Reference`].
#[derive(Debug)]
pub struct Explained {
    /// What it is called.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its default, as it stands in the file.
    pub default: Option<&'static str>,
    /// Whether its table is wrong without it.
    pub required: bool,
    /// What may stand there, if it is one of some words.
    pub words: Vec<&'static str>,
}

/// Every table but the topmost, in the order in which they are explained.
pub fn reference() -> impl Iterator<Item = Reference> {
    TABLES.iter().skip(1).map(|(title, keys)| Reference { title, keys: keys.iter().map(explained).collect() })
}

fn explained(key: &Key) -> Explained {
    let Key { name, value, about, default, required } = key;
    let words = if let Value::Word(words) = value { words() } else { Vec::new() };
    Explained { name, about, default: *default, required: *required, words }
}

fn table(keys: &[Key]) -> Json {
    let properties: Map<String, Json> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut table = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    if let Json::Object(entries) = &mut table
        && !required.is_empty()
    {
        entries.insert("required".to_owned(), required.into());
    }
    table
}

fn property(key: &Key) -> Json {
    let mut property = value(&key.value);
    if let Json::Object(entries) = &mut property {
        entries.insert("description".to_owned(), key.about.into());
        // TOML and JSON write these the same; a test reads them all.
        if let Some(default) = key.default.and_then(|text| serde_json::from_str(text).ok()) {
            entries.insert("default".to_owned(), default);
        }
    }
    property
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
        Value::Moment => json!({ "type": "string", "format": "date-time" }),
        Value::List { of, empty } => {
            json!({ "type": "array", "items": self::value(of), "minItems": u8::from(!empty) })
        }
        Value::Table(keys) => table(keys),
        Value::TableWithOne { keys, of } => {
            let mut table = table(keys);
            let one: Vec<Json> = of.iter().map(|name| json!({ "required": [name] })).collect();
            if let Json::Object(entries) = &mut table {
                entries.insert("oneOf".to_owned(), one.into());
            }
            table
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

/// What [`super::unit`] reads, and not zero.
const DURATION: &str = "^(?=.*[1-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
const SIZE: &str = "^[0-9]+(B|KiB|MiB|GiB)$";

#[cfg(test)]
mod tests;
