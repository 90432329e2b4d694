//! Pure. Set-up requests: unsigned requests with which a sender sets a webhook up or tests its URL, as data.
//!
//! Any client can send such a request. So the gateway handles set-up requests only if the operator asks for
//! that, and the content must have exactly the members that the scheme lists. So no unsigned event passes as
//! a set-up request.

pub mod handling;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode};

use super::challenge::{Answer, LARGEST, Value};
use super::form;
use super::signable::Fields;

/// An unsigned request with which a sender sets a webhook up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupRequest {
    /// The request's method.
    pub method: Cow<'static, str>,
    /// A field that the request has, in lower case.
    pub field: Option<Cow<'static, str>>,
    /// The members of the content. If there are none, the content is empty or `{}`.
    pub members: Vec<Member>,
    /// The gateway's answer. `None` if only the app can answer, because the request has a secret that the app
    /// or the operator needs.
    pub reply: Option<SetupReply>,
}

/// A member of the content: of a JSON object if its name begins with `/`, else of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name.
    pub name: Cow<'static, str>,
    /// The text of the member. `None` if any text will do.
    pub text: Option<Cow<'static, str>>,
}

/// The answer to a set-up request. It has no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupReply {
    /// The status code.
    pub status: StatusCode,
    /// The fields. `None` in place of a value: the value of [`SetupRequest::field`].
    pub fields: Vec<(HeaderName, Option<HeaderValue>)>,
}

/// The most fields of an answer to a set-up request.
pub const MOST_FIELDS: usize = 2;

/// A set-up request in one line.
impl fmt::Display for SetupRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.method)?;
        if let Some(field) = &self.field {
            write!(f, " with {field}")?;
        }
        for member in &self.members {
            match &member.text {
                Some(text) => write!(f, " {}={text}", member.name)?,
                None => write!(f, " {}=", member.name)?,
            }
        }
        Ok(())
    }
}

impl SetupRequest {
    /// Whether a head is that of this set-up request. The content may still be another.
    pub(super) fn has_head(&self, method: &str, fields: &impl Fields) -> bool {
        let has = |name: &str| fields.values(name).next().is_some();
        method == self.method && self.field.as_deref().is_none_or(has)
    }

    /// Whether the content has exactly the members of this set-up request. The content was not verified.
    pub(super) fn has_content(&self, content: &[u8]) -> bool {
        if content.len() > LARGEST {
            return false;
        }
        match self.members.first() {
            None => content.is_empty() || content == b"{}",
            Some(first) if first.name.starts_with('/') => self.is_object(content),
            Some(_) => self.is_form(content),
        }
    }

    fn is_object(&self, content: &[u8]) -> bool {
        let Ok(found) = serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(content) else {
            return false;
        };
        let has = |member: &Member| {
            let name = member.name.strip_prefix('/').unwrap_or_default();
            let found = found.get(name).and_then(serde_json::Value::as_str);
            found.is_some_and(|found| member.text.as_ref().is_none_or(|text| *text == found))
        };
        found.len() == self.members.len() && self.members.iter().all(has)
    }

    fn is_form(&self, content: &[u8]) -> bool {
        let has = |member: &Member| {
            let found = form::parameter(content, &member.name);
            found.is_some_and(|found| member.text.as_ref().is_none_or(|text| *text.as_bytes() == *found))
        };
        content.split(|byte| *byte == b'&').count() == self.members.len() && self.members.iter().all(has)
    }

    /// The answer. `None` if the gateway does not answer, or if the answer would repeat a text that is no
    /// [`Value`].
    pub(super) fn answer(&self, fields: &impl Fields) -> Option<Answer> {
        let reply = self.reply.as_ref()?;
        let repeated = || {
            let mut values = fields.values(self.field.as_deref()?);
            let value = Value::read(String::from_utf8(values.next()?.to_vec()).ok()?)?;
            if values.next().is_some() { None } else { HeaderValue::from_str(value.as_str()).ok() }
        };
        let field = |(name, value): &(HeaderName, Option<HeaderValue>)| {
            Some((name.clone(), value.clone().or_else(repeated)?))
        };
        let fields = reply.fields.iter().map(field).collect::<Option<Vec<_>>>()?;
        Some(Answer { status: reply.status, media_type: None, content: String::new(), fields })
    }
}

#[cfg(test)]
mod tests;
