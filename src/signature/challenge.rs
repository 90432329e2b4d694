//! Pure. What a sender asks before it delivers, and the answer that it wants, as data.
//!
//! A challenge is a way to make a gateway say what a stranger wants it to say. So a signed one is answered only with the
//! proof that it is authentic, an unsigned one only where the operator has asked for it, and of either nothing is
//! repeated but a [`Value`].

mod answers;
mod value;

use std::borrow::Cow;
use std::fmt;

use super::algorithm::Algorithm;
use super::form;
use super::mac::Keyed;
use super::template::{Part, Template};
use crate::routing::model::{self, Scalar};
pub use value::Value;
use value::is_of_value;

/// What a sender asks before it delivers, and what it wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// How a challenge is told from an event, and where its value is.
    pub asks: Asks,
    /// The answer.
    pub reply: Reply,
}

/// Where a challenge stands in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// In content, signed as any event is.
    Content {
        /// What must stand where these JSON pointers lead; at least one.
        when: Vec<(Cow<'static, str>, Expected)>,
        /// Where the value stands.
        value: Option<Cow<'static, str>>,
    },
    /// In the query of a GET that nobody has signed.
    Query {
        /// What these parameters must be.
        when: Vec<(Cow<'static, str>, Cow<'static, str>)>,
        /// The parameter with the value.
        value: Cow<'static, str>,
        /// The parameter with a token that only the sender has been told.
        token: Option<Cow<'static, str>>,
    },
}

/// What a challenge has in a certain place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This string.
    Text(Cow<'static, str>),
    /// This number.
    Number(u64),
}

/// The content of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// As text; without any, an answer without content.
    Text(Insert),
    /// As a JSON object with these members.
    Json(Vec<(Cow<'static, str>, Insert)>),
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insert {
    /// `{value}`: the challenge's own value.
    Value,
    /// `{hmac}`: the HMAC of it under the secret that the challenge is signed with, in hexadecimal.
    Proof,
    /// This text.
    Text(Cow<'static, str>),
    /// This number.
    Number(u64),
}

/// Bytes of content that is looked at. Challenges are small, and events need not be parsed for one.
const LARGEST: usize = 8 * 1024;

/// What a gateway answers to a challenge, with status 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The media type; none where there is no content.
    pub media_type: Option<&'static str>,
    /// The content.
    pub content: String,
}

/// A challenge that lacks the token that the sender was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongToken;

impl WrongToken {
    /// In words, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        "a challenge whose token is not the configured `verify_token`"
    }
}

/// Which challenges a verifier answers.
#[derive(Debug)]
pub(super) enum Answers {
    /// None: the app does.
    Nothing,
    /// Those of its scheme; the ones with a token, if it is this one.
    Challenges(Option<Keyed>),
}

/// How one is told from an event, in one line.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.asks {
            Asks::Content { when, .. } => {
                let one = |(pointer, expected): &(Cow<'static, str>, Expected)| match expected {
                    Expected::Text(text) => format!("{pointer} = {text}"),
                    Expected::Number(number) => format!("{pointer} = {number}"),
                };
                f.write_str(&when.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Asks::Query { value, token: None, .. } => write!(f, "GET ?{value}="),
            Asks::Query { value, token: Some(token), .. } => write!(f, "GET ?{value}=&{token}="),
        }
    }
}

impl Challenge {
    /// Whether it comes without a signature, as a GET.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        matches!(self.asks, Asks::Query { .. })
    }

    /// Whether a token must be configured to tell it from a stranger's.
    #[must_use]
    pub fn needs_token(&self) -> bool {
        matches!(self.asks, Asks::Query { token: Some(_), .. })
    }

    /// Whether no answer to it can be the signature of an event. That holds where something stands in all that is signed
    /// that no value has.
    pub(super) fn is_safe(&self, algorithm: Algorithm, signed: &Template) -> bool {
        let proves = match &self.reply {
            Reply::Text(insert) => *insert == Insert::Proof,
            Reply::Json(members) => members.iter().any(|(_, insert)| *insert == Insert::Proof),
        };
        let foreign = |part: &Part| matches!(part, Part::Literal(text) if !text.chars().all(is_of_value));
        !proves || (self.asks_for_hmac_of(algorithm) && signed.parts().any(foreign))
    }

    /// A proof of whoever asks without a signature would be everybody's.
    fn asks_for_hmac_of(&self, algorithm: Algorithm) -> bool {
        !self.is_unsigned() && algorithm.is_symmetric() && algorithm != Algorithm::Token
    }

    /// The value in authentic content, if that is a challenge.
    fn in_content(&self, content: &[u8]) -> Option<Option<Value>> {
        let Asks::Content { when, value } = &self.asks else { return None };
        if content.len() > LARGEST {
            return None;
        }
        let pointers = when.iter().map(|(pointer, _)| pointer).chain(value);
        let mut found = model::scalars(content, pointers.map(|pointer| &**pointer)).ok()?.into_iter();
        let is_one = when.iter().all(|(_, expected)| match (expected, found.next().flatten()) {
            (Expected::Text(text), Some(Scalar::Text(found))) => *text == found,
            (Expected::Number(number), Some(Scalar::Number(found))) => *number == found,
            (Expected::Text(_) | Expected::Number(_), _) => false,
        });
        match (is_one, value, found.next().flatten()) {
            (false, _, _) => None,
            (true, None, _) => Some(None),
            (true, Some(_), Some(Scalar::Text(text))) => Value::read(text).map(Some),
            (true, Some(_), Some(Scalar::Number(_)) | None) => None,
        }
    }

    /// The value in a query, if that is a challenge, and the token that comes with it.
    fn in_query<'q>(&self, query: &'q [u8]) -> Option<(Value, Cow<'q, [u8]>)> {
        let Asks::Query { when, value, token } = &self.asks else { return None };
        let is = |(name, text): &(Cow<'static, str>, Cow<'static, str>)| {
            form::parameter(query, name).is_some_and(|found| *found == *text.as_bytes())
        };
        if !when.iter().all(is) {
            return None;
        }
        let value = String::from_utf8(form::parameter(query, value)?.into_owned()).ok()?;
        let token = match token {
            Some(name) => form::parameter(query, name)?,
            None => Cow::Borrowed(&b""[..]),
        };
        Some((Value::read(value)?, token))
    }

    fn answer(&self, value: Option<&Value>, key: Option<&Keyed>) -> Option<Answer> {
        let text = |insert: &Insert| -> Option<String> {
            Some(match insert {
                Insert::Value => value?.as_str().to_owned(),
                Insert::Proof => key?.proof(value?)?,
                Insert::Text(text) => text.to_string(),
                Insert::Number(number) => number.to_string(),
            })
        };
        Some(match &self.reply {
            Reply::Text(insert) => {
                let content = text(insert)?;
                Answer { media_type: (!content.is_empty()).then_some("text/plain"), content }
            }
            Reply::Json(members) => {
                let member = |(name, insert): &(Cow<'static, str>, Insert)| {
                    let value = match insert {
                        Insert::Number(number) => (*number).into(),
                        Insert::Value | Insert::Proof | Insert::Text(_) => text(insert)?.into(),
                    };
                    Some((name.to_string(), value))
                };
                let object: Option<_> = members.iter().map(member).collect();
                Answer {
                    media_type: Some("application/json"),
                    content: serde_json::Value::Object(object?).to_string(),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
