//! Pure. A sender as a row of constants, and the scheme made of it.

use std::time::Duration;

use crate::signature::algorithm::Algorithm;
use crate::signature::challenge::{Asks, Challenge, Expected, Insert, Reply};
use crate::signature::field::{Encoding, Format, Notation, Separator};
use crate::signature::scheme::{Scheme, Source};
use crate::signature::secret::SecretEncoding;
use crate::signature::template::Template;
use crate::signature::window::{Place, Timestamp, Unit};

/// A sender. A row only has what differs from [`USUAL`].
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) sender: &'static str,
    pub(super) field: &'static str,
    pub(super) other_fields: &'static [&'static str],
    pub(super) algorithm: Algorithm,
    pub(super) format: Shape,
    pub(super) encoding: Encoding,
    pub(super) secret: SecretEncoding,
    pub(super) content: &'static str,
    pub(super) time: Option<Time>,
    pub(super) id: Option<&'static str>,
    pub(super) model: &'static [&'static str],
    pub(super) integration: &'static [&'static str],
    pub(super) challenge: Option<Ask>,
    pub(super) documentation: &'static str,
    pub(super) confirmed: bool,
    pub(super) note: &'static str,
}

/// The format of the signature field.
pub(super) enum Shape {
    /// One tag, behind this prefix.
    Plain(&'static str),
    /// A list: its separator, the character between name and value, and the tags' name.
    List(Separator, char, &'static str),
}

/// The signed time: its place, its unit, and how many seconds it may be past or ahead.
pub(super) enum Time {
    Field(&'static str, Unit, u64),
    Key(&'static str, Unit, u64),
}

/// A challenge: in content (the expected members, and the pointer to the value), or in the query of an unsigned GET (the
/// expected parameters, and the parameters with value and token).
pub(super) enum Ask {
    Content(&'static [(&'static str, Is)], Option<&'static str>, Say),
    Query(&'static [(&'static str, &'static str)], &'static str, Option<&'static str>),
}

/// The expected value of a member.
#[derive(Clone, Copy)]
pub(super) enum Is {
    Text(&'static str),
    Number(u64),
}

/// The answer: nothing, the value as text, or JSON with these members.
pub(super) enum Say {
    Nothing,
    Value,
    Json(&'static [(&'static str, Insert)]),
}

impl Row {
    pub(super) fn scheme(&self) -> Scheme {
        let pointers = |all: &[&'static str]| all.iter().map(|pointer| (*pointer).into()).collect();
        Scheme {
            name: self.name.into(),
            field: self.field.into(),
            other_fields: pointers(self.other_fields),
            algorithm: self.algorithm,
            notation: Notation { format: self.format.format(), encoding: self.encoding },
            content: self.template(),
            timestamp: self.time.as_ref().map(Time::timestamp),
            id: self.id.map(Into::into),
            secret_encoding: self.secret,
            model_pointers: pointers(self.model),
            integration_pointers: pointers(self.integration),
            challenge: self.challenge.as_ref().map(Ask::challenge),
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

impl Ask {
    fn challenge(&self) -> Challenge {
        match *self {
            Self::Content(when, value, ref say) => {
                let when = when.iter().map(|(pointer, is)| ((*pointer).into(), is.expected())).collect();
                let reply = match say {
                    Say::Nothing => Reply::Text(Insert::Text("".into())),
                    Say::Value => Reply::Text(Insert::Value),
                    Say::Json(members) => {
                        let member =
                            |(name, insert): &(&'static str, Insert)| ((*name).into(), insert.clone());
                        Reply::Json(members.iter().map(member).collect())
                    }
                };
                Challenge { asks: Asks::Content { when, value: value.map(Into::into) }, reply }
            }
            Self::Query(when, value, token) => {
                let when = when.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
                let asks = Asks::Query { when, value: value.into(), token: token.map(Into::into) };
                Challenge { asks, reply: Reply::Text(Insert::Value) }
            }
        }
    }
}

impl Is {
    fn expected(self) -> Expected {
        match self {
            Self::Text(text) => Expected::Text(text.into()),
            Self::Number(number) => Expected::Number(number),
        }
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
