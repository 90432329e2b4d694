//! Pure. Challenges: a request with which a sender tests a URL before it delivers events, and the answer, as
//! data.
//!
//! The sender of a challenge chooses text that the answer repeats, so an attacker could use the answer. A
//! signed challenge is answered only if it is authentic. An unsigned challenge is answered only if the
//! operator asks for that. The only text that an answer repeats is a [`Value`].

mod answers;
pub(super) mod value;

use std::borrow::Cow;
use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode};

use super::algorithm::Algorithm;
use super::field::Encoding;
use super::form;
use super::mac::Keyed;
use super::permit::Permit;
use super::template::{Part, Template};
use crate::routing::signed_model::{self, Member, Scalar};
pub use value::Value;
use value::is_of_value;

/// A sender's challenge, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The features that distinguish a challenge from an event, and the place of the value.
    pub asks: Asks,
    /// The status code of the answer.
    pub status: StatusCode,
    /// The content of the answer.
    pub reply: Reply,
}

/// Where a request has its challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// In the content. The content is signed, like the content of an event.
    Content {
        /// The expected values at these JSON pointers. There is at least one.
        when: Vec<(Cow<'static, str>, Expected)>,
        /// The pointer to the value.
        value: Option<Cow<'static, str>>,
    },
    /// In the query of an unsigned GET.
    Query {
        /// The expected values of these parameters.
        when: Vec<(Cow<'static, str>, Cow<'static, str>)>,
        /// The parameter with the value.
        value: Cow<'static, str>,
        /// The parameter with a token that only the sender has.
        token: Option<Cow<'static, str>>,
    },
}

/// The expected value of a member. The conditions of a challenge must not hold for any event of the sender,
/// because the app does not get a challenge that the gateway answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This string.
    Text(Cow<'static, str>),
    /// This number.
    Number(u64),
    /// No value at all, not even `null`.
    Absent,
}

/// The content of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A text. Without an insert, the answer has no content.
    Text(Insert),
    /// A JSON object with these members.
    Json(Vec<(Cow<'static, str>, Insert)>),
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insert {
    /// `{value}`: the value in the challenge.
    Value,
    /// `{hmac}`: the HMAC of the value in hexadecimal. The key is the secret that signed the challenge.
    Proof,
    /// `{hmac:base64}`: the HMAC in another encoding, after a prefix.
    ProofAs {
        /// The text before the HMAC.
        prefix: Cow<'static, str>,
        /// The encoding of the HMAC.
        encoding: Encoding,
    },
    /// This text.
    Text(Cow<'static, str>),
    /// This number.
    Number(u64),
}

/// The most bytes of content that is parsed in search of a challenge or a set-up request. They are small.
/// Larger content is an event.
pub const LARGEST: usize = 8 * 1024;

/// The answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The media type. `None` if there is no content, unless the sender demands a media type.
    pub media_type: Option<&'static str>,
    /// The content.
    pub content: String,
    /// Further fields. Only the answer to a set-up request has any.
    pub fields: Vec<(HeaderName, HeaderValue)>,
}

/// The error for a challenge without the configured token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongToken;

impl WrongToken {
    /// The text for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        "a challenge whose token is not the configured `verify_token`"
    }
}

/// Which challenges and set-up requests a verifier answers.
#[derive(Debug)]
pub(super) enum Answers {
    /// No challenges: the app answers them.
    Nothing,
    /// The challenges of the scheme. If the scheme has a token, only challenges with this token.
    Challenges(Option<Keyed>),
    /// None, but unsigned requests of the scheme are forwarded: the app answers them.
    Unsigned(Permit),
}

/// The features of a challenge, in one line.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.asks {
            Asks::Content { when, .. } => {
                let one = |(pointer, expected): &(Cow<'static, str>, Expected)| match expected {
                    Expected::Text(text) => format!("{pointer} = {text}"),
                    Expected::Number(number) => format!("{pointer} = {number}"),
                    Expected::Absent => format!("no {pointer}"),
                };
                f.write_str(&when.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Asks::Query { value, token: None, .. } => write!(f, "GET ?{value}="),
            Asks::Query { value, token: Some(token), .. } => write!(f, "GET ?{value}=&{token}="),
        }
    }
}

impl Challenge {
    /// Whether the challenge is an unsigned GET.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        matches!(self.asks, Asks::Query { .. })
    }

    /// Whether the challenge has a token. The token must then be configured.
    #[must_use]
    pub fn needs_token(&self) -> bool {
        matches!(self.asks, Asks::Query { token: Some(_), .. })
    }

    /// Whether an answer can never be the signature of an event. This is certain if every signed text has a
    /// character that a [`Value`] cannot have. It is also certain if the content is signed alone, because
    /// then content that is a [`Value`] never verifies ([`Self::could_prove`]). So an answer is safe even if
    /// any client can ask for it.
    pub(super) fn is_safe(&self, algorithm: Algorithm, signed: &Template) -> bool {
        let foreign = |part: &Part| matches!(part, Part::Literal(text) if !text.chars().all(is_of_value));
        let has_hmac = algorithm.is_symmetric() && algorithm != Algorithm::Token;
        !self.proves() || (has_hmac && (signed.is_body() || signed.parts().any(foreign)))
    }

    /// Whether the answer has an HMAC.
    pub(super) fn proves(&self) -> bool {
        let is_proof = |insert: &Insert| match insert {
            Insert::Proof | Insert::ProofAs { .. } => true,
            Insert::Value | Insert::Text(_) | Insert::Number(_) => false,
        };
        match &self.reply {
            Reply::Text(insert) => is_proof(insert),
            Reply::Json(members) => members.iter().any(|(_, insert)| is_proof(insert)),
        }
    }

    /// Whether the answer to a challenge could be the HMAC of this content, which is signed alone.
    pub(super) fn could_prove(&self, content: &[u8]) -> bool {
        self.proves() && value::is_value(content)
    }

    /// The value in authentic content, if the content is a challenge.
    fn in_content(&self, content: &[u8]) -> Option<Option<Value>> {
        let Asks::Content { when, value } = &self.asks else { return None };
        if content.len() > LARGEST {
            return None;
        }
        let pointers = when.iter().map(|(pointer, _)| pointer).chain(value);
        let mut found = signed_model::members(content, pointers.map(|pointer| &**pointer)).ok()?.into_iter();
        let is_one = when.iter().all(|(_, expected)| match (expected, found.next()) {
            (Expected::Text(text), Some(Member::Scalar(Scalar::Text(found)))) => *text == found,
            (Expected::Number(number), Some(Member::Scalar(Scalar::Number(found)))) => *number == found,
            (Expected::Absent, Some(Member::Absent)) => true,
            (Expected::Text(_) | Expected::Number(_) | Expected::Absent, _) => false,
        });
        match (is_one, value, found.next()) {
            (false, _, _) => None,
            (true, None, _) => Some(None),
            (true, Some(_), Some(Member::Scalar(Scalar::Text(text)))) => Value::read(text).map(Some),
            (true, Some(_), _) => None,
        }
    }

    /// The value and the token in a query, if the query is a challenge.
    pub(super) fn in_query<'q>(&self, query: &'q [u8]) -> Option<(Value, Cow<'q, [u8]>)> {
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
                Insert::Proof => key?.proof(value?, Encoding::Hex)?,
                Insert::ProofAs { prefix, encoding } => format!("{prefix}{}", key?.proof(value?, *encoding)?),
                Insert::Text(text) => text.to_string(),
                Insert::Number(number) => number.to_string(),
            })
        };
        let (media_type, content) = match &self.reply {
            Reply::Text(insert) => {
                let content = text(insert)?;
                ((!content.is_empty()).then_some("text/plain"), content)
            }
            Reply::Json(members) => {
                let member = |(name, insert): &(Cow<'static, str>, Insert)| {
                    let value = match insert {
                        Insert::Number(number) => (*number).into(),
                        Insert::Value | Insert::Proof | Insert::ProofAs { .. } | Insert::Text(_) => {
                            text(insert)?.into()
                        }
                    };
                    Some((name.to_string(), value))
                };
                let object: Option<_> = members.iter().map(member).collect();
                (Some("application/json"), serde_json::Value::Object(object?).to_string())
            }
        };
        // A 204 has no content (RFC 9110, section 15.3.5). Discord demands a media type all the same.
        let has_content = self.status != StatusCode::NO_CONTENT;
        let content = if has_content { content } else { String::new() };
        Some(Answer { status: self.status, media_type, content, fields: Vec::new() })
    }
}

#[cfg(test)]
mod tests;
