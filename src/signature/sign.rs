//! Pure. Makes signatures as a sender does: for `hookgate sign`, `send` and tests, and for late deliveries of
//! routes with `refresh_signature`. A request's path never uses this file.

use std::borrow::Cow;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::claim::{Context, Signed};
use super::form::{self, Form};
use super::jwt;
use super::public_key;
use super::signable::Fields;
use super::signed_url;
use super::tag::{Tag, Tags};
use super::template::Body;
use super::verifier::{KeyedSecret, Verifier};
use super::window::Place;

/// The signed values besides the body that the caller may choose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp<'s> {
    /// The text of the timestamp. If it is missing, it is made from the context's `now`.
    pub timestamp: Option<&'s str>,
    /// The event's identifier.
    pub id: Option<&'s str>,
}

/// The field lines that a sender adds, and the name of the secret that made them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The lower-case name of the signature field, and its value.
    pub field: (String, String),
    /// The other signed lines: timestamp and identifier.
    pub others: Vec<(String, String)>,
    /// The name of the secret.
    pub secret: Arc<str>,
    /// Whether the signature is a parameter of the query, with the name and the value of `field`, and no
    /// field.
    pub in_query: bool,
}

impl Signature {
    /// All lines. The signature field is the last.
    pub fn lines(&self) -> impl Iterator<Item = &(String, String)> {
        self.others.iter().chain((!self.in_query).then_some(&self.field))
    }

    /// The request target, with the signature if the query carries it.
    #[must_use]
    pub fn target<'t>(&self, target: &'t str) -> Cow<'t, str> {
        let (name, value) = &self.field;
        if self.in_query { form::with_parameter(target, name, value).into() } else { target.into() }
    }
}

/// Why no signature can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// There is no secret with this name, or no secret at all.
    #[error("there is no such secret")]
    NoSecret,
    /// Only the sender's private key can make a signature.
    #[error("this needs the sender's private key")]
    PublicKey,
    /// The scheme signs an identifier, but the message has none.
    #[error("the scheme signs an identifier, and there is none")]
    NoId,
    /// The scheme signs a form. The content is not a form, or can be parsed in two ways.
    #[error("the scheme signs a form (`a=1&b=2`), and the body is none")]
    NotForm,
    /// The scheme signs the content's digest in the target's query, but the query lacks it.
    /// [`Verifier::target`] adds it.
    #[error("the scheme signs the body's SHA-256 in the query of the URL, and it is not there")]
    NoDigest,
    /// A signed value besides the body is missing, or its end is ambiguous.
    #[error("a signed value other than the body is missing, or has characters that it cannot have")]
    NotSignable,
    /// The border between the content and another signed part would not be clear.
    #[error(
        "the border of this body in the signed text is not clear: only JSON, or no body, can be signed so"
    )]
    UnclearBorder,
}

impl Verifier {
    /// Signs content as a sender does, with the secret of this name or else with the first secret.
    ///
    /// # Errors
    /// [`CannotSign`]
    pub fn signature<F: Fields>(
        &self,
        secret: Option<&str>,
        context: &Context<'_, F>,
        stamp: Stamp<'_>,
        content: &[u8],
    ) -> Result<Signature, CannotSign> {
        let mut keys = self.keys.iter();
        let key = match secret {
            Some(name) => keys.find(|key| &*key.name == name),
            None => keys.next(),
        };
        self.signed_by(key.ok_or(CannotSign::NoSecret)?, context, stamp, content)
    }

    /// The request target that a sender uses for this content. If the scheme signs the content's digest in
    /// the query, the target has it.
    #[must_use]
    pub fn target<'t>(&self, target: &'t str, content: &[u8]) -> Cow<'t, str> {
        match self.scheme.content.content() {
            Body::Digest(name) if form::parameter(form::query(target.as_bytes()), name).is_none() => {
                Cow::Owned(form::with_parameter(target, name, &digest_of(content)))
            }
            Body::Whole | Body::Form | Body::Digest(_) | Body::Sha256(_) | Body::Jwt(_) => {
                Cow::Borrowed(target)
            }
        }
    }

    /// The field line that a sender adds to this content, made with the first secret. `None` if the scheme
    /// also signs other parts.
    #[must_use]
    pub fn sign(&self, content: &[u8]) -> Option<(&str, String)> {
        if !self.scheme.content.is_body() {
            return None;
        }
        let context = Context::of(&NoFields, std::time::SystemTime::UNIX_EPOCH);
        let signature = self.signature(None, &context, Stamp::default(), content).ok()?;
        Some((&self.scheme.field, signature.field.1))
    }

    fn signed_by<F: Fields>(
        &self,
        key: &KeyedSecret,
        context: &Context<'_, F>,
        stamp: Stamp<'_>,
        content: &[u8],
    ) -> Result<Signature, CannotSign> {
        let scheme = &*self.scheme;
        if !scheme.could_sign(content) {
            return Err(CannotSign::UnclearBorder);
        }
        let id = match &scheme.id {
            Some(name) => Some((name, stamp.id.ok_or(CannotSign::NoId)?)),
            None => None,
        };
        let time = scheme.timestamp.as_ref().map(|timestamp| {
            let text = stamp.timestamp.map_or_else(|| timestamp.unit.write(context.now), str::to_owned);
            (&timestamp.place, text)
        });
        let text = time.as_ref().map(|(_, text)| text.as_bytes());
        let urls = signed_url::texts(&scheme.content, context.origin, context.target);
        let (id_text, url) = (id.map(|(_, id)| id.as_bytes()), urls.first());
        let named = scheme.named_fields.iter().flat_map(|named| &named.fields).map(|name| &**name);
        let is_there = |name: &&str| context.fields.values(name).next().is_some();
        let names = named.filter(is_there).collect::<Vec<_>>().join(" ");
        let list = scheme.named_fields.is_some().then_some(&*names);
        let signed = Signed { scheme, context, timestamp: text, id: id_text, url, names: list };
        let (mut before, after) = scheme.content.splice(&signed).ok_or(CannotSign::NotSignable)?;
        let form = match scheme.content.content() {
            Body::Whole | Body::Sha256(_) => None,
            Body::Form => Some(Form::read(content).ok_or(CannotSign::NotForm)?),
            Body::Digest(name) => {
                let digest = form::parameter(form::query(context.target), name);
                let right = digest.is_some_and(|digest| *digest == *digest_of(content).as_bytes());
                if !right {
                    return Err(CannotSign::NoDigest);
                }
                Some(Form::default())
            }
            Body::Jwt(digest) => {
                let time = time.as_ref().map(|(_, text)| text.as_str());
                before = jwt::made(scheme, digest, time, context.now, content).into_bytes();
                Some(Form::default())
            }
        };
        let digest = match scheme.content.content() {
            Body::Sha256(encoding) => Some(encoding.write(&Sha256::digest(content))),
            Body::Whole | Body::Form | Body::Digest(_) | Body::Jwt(_) => None,
        };
        // What is signed instead of the content: its digest.
        let content = digest.as_ref().map_or(content, |digest| digest.as_bytes());
        let mut inside = None;
        let mut others: Vec<_> = id.iter().map(|(name, id)| (name.to_string(), (*id).to_owned())).collect();
        match &time {
            Some((Place::Field(name), text)) => others.push((name.to_string(), text.clone())),
            Some((place @ (Place::Key(_) | Place::Entry(_)), text)) => inside = Some((*place, text.as_str())),
            Some((Place::Claim(_) | Place::Pointer(_), _)) | None => {}
        }
        let is_jwt = matches!(scheme.content.content(), Body::Jwt(_));
        let jws_input = is_jwt.then(|| String::from_utf8_lossy(&before).into_owned());
        let framed = |tag: String| match &jws_input {
            Some(input) => scheme.notation.frame(&format!("{input}.{tag}"), inside),
            None => scheme.notation.frame(&tag, inside),
        };
        let value = match (&self.private, key.mac.token()) {
            (Some(private), _) => {
                let signed = match &form {
                    Some(form) => form.pieces().collect::<Vec<_>>().concat(),
                    None => content.to_vec(),
                };
                let message = [before, signed, after].concat();
                let made = private.sign(&message);
                let raw = public_key::tag_of_der(&made).filter(|_| is_jwt);
                let tag = raw.as_ref().map_or(&*made, Tag::as_bytes);
                framed(scheme.notation.encoding.write(tag))
            }
            (None, Some(token)) => scheme.notation.frame(&String::from_utf8_lossy(token.expose()), inside),
            (None, None) => {
                let mut mac = key.mac.start(&Tags::default());
                mac.update(&before);
                match &form {
                    Some(form) => form.pieces().for_each(|piece| mac.update(piece)),
                    None => mac.update(content),
                }
                mac.update(&after);
                framed(scheme.notation.encoding.write(mac.tag().ok_or(CannotSign::PublicKey)?.as_bytes()))
            }
        };
        let value = match &scheme.named_fields {
            Some(named) => named.with_list(&scheme.notation.format, &value, &names),
            None => value,
        };
        let carrier = scheme.parameter.as_ref().unwrap_or(&scheme.field);
        Ok(Signature {
            field: (carrier.to_string(), value),
            others,
            secret: Arc::clone(&key.name),
            in_query: scheme.parameter.is_some(),
        })
    }
}

fn digest_of(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

struct NoFields;

impl Fields for NoFields {
    fn values<'a>(&'a self, _name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        std::iter::empty()
    }
}
