//! Pure. The schemes that ship with hookgate: a row of data for each sender, and no code.

mod rows;

use std::sync::LazyLock;
use std::time::Duration;

use super::algorithm::Algorithm;
use super::field::{Encoding, Format, Notation, Separator};
use super::scheme::{Scheme, Source};
use super::template::Template;
use super::window::{Place, Timestamp, Unit};
use crate::secret::SecretEncoding;
use rows::ROWS;

/// Every scheme that ships with hookgate.
pub static PRESETS: LazyLock<Vec<Scheme>> = LazyLock::new(|| ROWS.iter().map(Row::scheme).collect());

/// A sender. What most of them do is [`USUAL`]; a row says what is different.
struct Row {
    name: &'static str,
    sender: &'static str,
    field: &'static str,
    algorithm: Algorithm,
    format: Shape,
    encoding: Encoding,
    secret: SecretEncoding,
    content: &'static str,
    time: Option<Time>,
    id: Option<&'static str>,
    model: &'static [&'static str],
    integration: &'static [&'static str],
    documentation: &'static str,
    confirmed: bool,
    note: &'static str,
}

/// How tags stand in the field.
enum Shape {
    /// Behind this prefix.
    Plain(&'static str),
    /// In a list, with this separator, this sign between name and value, and the tags under this name.
    List(Separator, char, &'static str),
}

/// Where the signed time stands, how it is written, and how many seconds it may be old or ahead.
enum Time {
    Field(&'static str, Unit, u64),
    Key(&'static str, Unit, u64),
}

impl Row {
    fn scheme(&self) -> Scheme {
        let pointers = |all: &[&'static str]| all.iter().map(|pointer| (*pointer).into()).collect();
        Scheme {
            name: self.name.into(),
            field: self.field.into(),
            algorithm: self.algorithm,
            notation: Notation { format: self.format.format(), encoding: self.encoding },
            content: self.template(),
            timestamp: self.time.as_ref().map(Time::timestamp),
            id: self.id.map(Into::into),
            secret_encoding: self.secret,
            model_pointers: pointers(self.model),
            integration_pointers: pointers(self.integration),
            source: Source::Shipped {
                sender: self.sender,
                documentation: self.documentation,
                confirmed: self.confirmed,
                note: self.note,
            },
        }
    }

    #[expect(clippy::expect_used, reason = "the rows are constants, and a test reads every one of them")]
    fn template(&self) -> Template {
        Template::parse(self.content).expect("the template of a preset is one")
    }
}

impl Shape {
    fn format(&self) -> Format {
        match *self {
            Self::Plain(prefix) => Format::Plain { prefix: prefix.into() },
            Self::List(separator, equals, tag) => Format::List { separator, equals, tag: tag.into() },
        }
    }
}

impl Time {
    fn timestamp(&self) -> Timestamp {
        let (place, unit, tolerance) = match *self {
            Self::Field(name, unit, tolerance) => (Place::Field(name.into()), unit, tolerance),
            Self::Key(name, unit, tolerance) => (Place::Key(name.into()), unit, tolerance),
        };
        let tolerance = Duration::from_secs(tolerance);
        Timestamp { place, unit, past: tolerance, future: tolerance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_goes_together_and_has_a_name_of_its_own() {
        for (index, scheme) in PRESETS.iter().enumerate() {
            assert_eq!(scheme.fault(), None, "{}", scheme.name);
            let first = PRESETS.iter().position(|other| other.name == scheme.name);
            assert_eq!(first, Some(index), "{} is there twice", scheme.name);
            for field in scheme.fields() {
                assert_eq!(http::HeaderName::try_from(field).unwrap().as_str(), field, "{}", scheme.name);
            }
            for pointer in scheme.model_pointers.iter().chain(&scheme.integration_pointers) {
                assert!(pointer.starts_with('/'), "{pointer}");
            }
        }
    }
}
