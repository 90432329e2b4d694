//! Pure. The schemes that ship with hookgate: a row of data for each sender, and no code.

mod rows;

use std::sync::LazyLock;
use std::time::Duration;

use super::algorithm::Algorithm;
use super::challenge::{Asks, Challenge, Expected, Insert, Reply};
use super::field::{Encoding, Format, Notation, Separator};
use super::scheme::{Scheme, Source};
use super::template::Template;
use super::window::{Place, Timestamp, Unit};
use crate::signature::secret::SecretEncoding;
use rows::ROWS;

/// Every scheme that ships with hookgate.
pub static PRESETS: LazyLock<Vec<Scheme>> = LazyLock::new(|| ROWS.iter().map(Row::scheme).collect());

/// A sender that no scheme can express.
#[derive(Clone, Copy, Debug)]
pub struct Inexpressible {
    /// As people know it.
    pub sender: &'static str,
    /// Where it documents its rule; empty where that is no more.
    pub documentation: &'static str,
    /// Why there is no scheme for it.
    pub reason: &'static str,
}

/// Every sender that was looked at and cannot be had.
pub const INEXPRESSIBLE: &[Inexpressible] = &[
    Inexpressible {
        sender: "PayPal",
        documentation: "https://developer.paypal.com/api/rest/webhooks/rest/",
        reason: "signs a CRC of the body, with a certificate that has to be fetched",
    },
    Inexpressible {
        sender: "Plaid",
        documentation: "https://plaid.com/docs/api/webhooks/webhook-verification/",
        reason: "sends a JWT, whose key has to be fetched with the client's credentials",
    },
    Inexpressible {
        sender: "Amazon SNS",
        documentation: "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
        reason: "signs values out of the JSON body, with a certificate that has to be fetched",
    },
    Inexpressible {
        sender: "HubSpot, versions 1 and 2",
        documentation: "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
        reason: "a bare SHA-256 of secret and content, which is no MAC; version 3 is the scheme hubspot",
    },
    Inexpressible {
        sender: "Paddle Classic",
        documentation: "",
        reason: "RSA over form fields as PHP serialises them; Paddle Billing is the scheme paddle",
    },
];

/// A sender. What most of them do is [`USUAL`]; a row says what is different.
struct Row {
    name: &'static str,
    sender: &'static str,
    field: &'static str,
    other_fields: &'static [&'static str],
    algorithm: Algorithm,
    format: Shape,
    encoding: Encoding,
    secret: SecretEncoding,
    content: &'static str,
    time: Option<Time>,
    id: Option<&'static str>,
    model: &'static [&'static str],
    integration: &'static [&'static str],
    challenge: Option<Ask>,
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

/// What the sender asks before it delivers: in content (what must stand where, and where the value stands), or in the query
/// of an unsigned GET (what must be there, and the parameters with value and token).
enum Ask {
    Content(&'static [(&'static str, Is)], Option<&'static str>, Say),
    Query(&'static [(&'static str, &'static str)], &'static str, Option<&'static str>),
}

/// What stands somewhere in a challenge.
#[derive(Clone, Copy)]
enum Is {
    Text(&'static str),
    Number(u64),
}

/// An answer: nothing, the value as text, or JSON with these members.
enum Say {
    Nothing,
    Value,
    Json(&'static [(&'static str, Insert)]),
}

impl Row {
    fn scheme(&self) -> Scheme {
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
