//! Pure. The claim that a request's fields make: its tags, the signed parts besides the content, and the
//! signed time.
//!
//! The whole claim is read before any content.

use std::time::SystemTime;

use super::borders;
use super::field::{MOST_TAGS, MisreadField, Reading};
use super::form;
use super::jwt::{self, Unfit};
use super::mac::Running;
use super::public_url::PublicUrls;
use super::scheme::Scheme;
use super::signable::Fields;
use super::signed_url::{self, SignedUrl};
use super::spelling;
use super::tag::Tags;
use super::template::{Body, Part, Values};
use super::window::{Place, Timestamp};

/// The parts of a request that schemes may sign besides the content.
#[derive(Debug)]
pub struct Context<'c, F> {
    /// The request's method.
    pub method: &'c str,
    /// The path and the query, as they were received.
    pub target: &'c [u8],
    /// The origins of the URLs that the sender may send to. Only schemes that sign the URL need them.
    pub origin: Option<&'c PublicUrls>,
    /// The request's field lines.
    pub fields: &'c F,
    /// The time at which the request is verified.
    pub now: SystemTime,
}

impl<'c, F: Fields> Context<'c, F> {
    /// The context for a scheme that signs nothing of the request line.
    pub fn of(fields: &'c F, now: SystemTime) -> Self {
        Self { method: "POST", target: b"/", origin: None, fields, now }
    }
}

/// A well-formed claim that a message is authentic. The claim is not verified yet.
#[derive(Debug)]
pub struct Claim {
    pub(super) tags: Tags,
    /// The signed parts besides the content.
    pub(super) besides: Option<Box<Besides>>,
}

/// The signed parts besides the content.
#[derive(Debug)]
pub(super) struct Besides {
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
    /// The digest that the content must have, if the scheme signs the digest instead of the content.
    pub(super) digest: Option<[u8; 32]>,
    /// The claims of the signature field's other sets, whose times differ, and of other texts of the URL.
    /// Nearly always empty.
    pub(super) others: Vec<Claim>,
}

/// Why the fields hold no well-formed claim. Every variant is the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The signature field, or another signed field, is missing.
    #[error("there is no signature field")]
    Missing,
    /// There are several lines of the signature field, or a list where the scheme allows only one signature.
    #[error("there is more than one signature")]
    Duplicate,
    /// The value of a field does not have the scheme's form.
    #[error("the signature is not of the scheme's form")]
    Malformed,
    /// The signed time is too long ago, or too far ahead.
    #[error("the signed time is outside its window")]
    Expired,
}

impl Claim {
    /// Reads a request's claim as the scheme defines it.
    pub(super) fn read<F: Fields>(scheme: &Scheme, context: &Context<'_, F>) -> Result<Self, ClaimError> {
        let Reading { tags, named, others } = match &scheme.parameter {
            None => signature(scheme, context.fields)?,
            Some(name) => in_query(scheme, context.target, name)?,
        };
        if scheme.content.is_body() {
            return Ok(Self { tags, besides: None });
        }
        let first = Self::of_set(scheme, context, tags, named);
        if others.is_empty() {
            return first;
        }
        // A set does not count if its time is malformed or outside its window, and another set counts.
        let others = others.into_iter().map(|set| Self::of_set(scheme, context, set.tags, set.named));
        let mut sets: Vec<Self> = Vec::new();
        let mut refused = None;
        for set in std::iter::once(first).chain(others) {
            match set {
                Ok(mut set) => {
                    let others = set.besides.as_mut().map(|besides| std::mem::take(&mut besides.others));
                    sets.push(set);
                    sets.extend(others.into_iter().flatten());
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let mut sets = sets.into_iter();
        match sets.next() {
            Some(first) => Ok(first.beside(sets.collect())),
            None => Err(refused.unwrap_or(ClaimError::Malformed)),
        }
    }

    /// The claim of one set of the signature field: its tags, and its time if the field has the time. The
    /// claims of other texts of the URL are beside it.
    fn of_set<F: Fields>(
        scheme: &Scheme,
        context: &Context<'_, F>,
        tags: Tags,
        named: Option<&[u8]>,
    ) -> Result<Self, ClaimError> {
        if let Body::Jwt(digest) = scheme.content.content() {
            let value = one(scheme, context.fields, &scheme.field)?;
            let jwt = jwt::read(scheme, digest, value, context.now).map_err(|unfit| match unfit {
                Unfit::Malformed => ClaimError::Malformed,
                Unfit::Expired => ClaimError::Expired,
            })?;
            let (before, digest) = (jwt.input.to_vec(), Some(jwt.digest));
            let besides = Besides { before, after: Vec::new(), digest, others: Vec::new() };
            return Ok(Self { tags, besides: Some(Box::new(besides)) });
        }
        let timestamp = match &scheme.timestamp {
            None => None,
            // The content is verified first.
            Some(Timestamp { place: Place::Pointer(_), .. }) => None,
            Some(timestamp) => {
                let (text, moment) = time(scheme, timestamp, context.fields, named)?;
                if !timestamp.admits(moment, context.now) {
                    return Err(ClaimError::Expired);
                }
                Some(text)
            }
        };
        let id = match &scheme.id {
            None => None,
            Some(name) => Some(one(scheme, context.fields, name)?),
        };
        let digest = match scheme.content.content() {
            Body::Whole | Body::Form | Body::Sha256(_) | Body::Jwt(_) => None,
            Body::Digest(name) => Some(digest(context.target, name).ok_or(ClaimError::Malformed)?),
        };
        let names = match &scheme.named_fields {
            None => None,
            Some(named) => {
                let value = one(scheme, context.fields, &scheme.field)?;
                Some(named.list_in(&scheme.notation.format, value).ok_or(ClaimError::Malformed)?)
            }
        };
        let of_url = |tags, url| {
            let signed = Signed { scheme, context, timestamp, id, url, names };
            let (before, after) = scheme.content.splice(&signed)?;
            let besides = Besides { before, after, digest, others: Vec::new() };
            Some(Self { tags, besides: Some(Box::new(besides)) })
        };
        if !scheme.signs_url() {
            return of_url(tags, None).ok_or(ClaimError::Malformed);
        }
        let urls = signed_url::texts(&scheme.content, context.origin, context.target);
        let mut claims = urls.iter().filter_map(|url| of_url(tags.clone(), Some(url)));
        let first = claims.next().ok_or(ClaimError::Malformed)?;
        Ok(first.beside(claims.collect()))
    }

    /// The claim with the claims of other sets. Any of them may be authentic.
    fn beside(mut self, others: Vec<Self>) -> Self {
        if let Some(besides) = &mut self.besides {
            besides.others = others;
        }
        self
    }

    /// Takes the claim of the next set. `None` if there is no other set.
    pub(super) fn take_next(&mut self) -> Option<Self> {
        let others = &mut self.besides.as_mut()?.others;
        let next = others.pop()?;
        Some(next.beside(std::mem::take(others)))
    }

    /// Whether a message is authentic. Its content was hashed before. The signed parts after the content are
    /// hashed here.
    #[inline]
    pub(super) fn holds(&self, mut running: Running) -> bool {
        if let Some(besides) = &self.besides {
            running.update(&besides.after);
        }
        running.verifies(&self.tags)
    }
}

/// The SHA-256 digest that the target's query has under this name.
fn digest(target: &[u8], name: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(form::parameter(form::query(target), name)?, &mut digest).ok()?;
    Some(digest)
}

/// The time at which a request claims to be signed. The signature may be wrong.
pub(super) fn moment(scheme: &Scheme, fields: &impl Fields) -> Option<SystemTime> {
    if let Body::Jwt(_) = scheme.content.content() {
        return jwt::moment(scheme, one(scheme, fields, &scheme.field).ok()?);
    }
    let named = match scheme.parameter {
        None => signature(scheme, fields).ok()?.named,
        Some(_) => None,
    };
    Some(time(scheme, scheme.timestamp.as_ref()?, fields, named).ok()?.1)
}

/// The text of the signed time. It may be malformed.
pub(crate) fn time_text<'f>(scheme: &'f Scheme, fields: &'f impl Fields) -> Option<&'f [u8]> {
    match &scheme.timestamp.as_ref()?.place {
        Place::Field(name) => one(scheme, fields, name).ok(),
        Place::Key(_) | Place::Entry(_) => read(scheme, one(scheme, fields, &scheme.field).ok()?).ok()?.named,
        Place::Claim(_) | Place::Pointer(_) => None,
    }
}

/// Reads the signature field. If several fields may carry a signature, reads all of them.
fn signature<'f>(scheme: &'f Scheme, fields: &'f impl Fields) -> Result<Reading<'f>, ClaimError> {
    if scheme.other_fields.is_empty() {
        return read(scheme, one(scheme, fields, &scheme.field)?);
    }
    let mut all = Reading::default();
    for name in scheme.signature_fields() {
        match one(scheme, fields, name) {
            Ok(value) => read(scheme, value)?.tags.iter().for_each(|tag| all.tags.push(tag.clone())),
            Err(ClaimError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    match all.tags.len() {
        0 => Err(ClaimError::Missing),
        1..=MOST_TAGS => Ok(all),
        _ => Err(ClaimError::Malformed),
    }
}

/// Reads the signature in the query.
fn in_query(scheme: &Scheme, target: &[u8], name: &str) -> Result<Reading<'static>, ClaimError> {
    let mut values = form::parameters(form::query(target), name);
    let value = values.next().ok_or(ClaimError::Missing)?;
    if values.next().is_some() {
        return Err(ClaimError::Duplicate);
    }
    let tags = read(scheme, &value.ok_or(ClaimError::Malformed)?)?.tags;
    Ok(Reading { tags, ..Reading::default() })
}

fn read<'v>(scheme: &Scheme, value: &'v [u8]) -> Result<Reading<'v>, ClaimError> {
    let time = scheme.timestamp.as_ref().map(|timestamp| &timestamp.place);
    scheme.notation.read(scheme.algorithm, value, time).map_err(|misread| match misread {
        MisreadField::List => ClaimError::Duplicate,
        MisreadField::Malformed => ClaimError::Malformed,
    })
}

/// The signed time: its text, and the time that the text means.
fn time<'f>(
    scheme: &'f Scheme,
    timestamp: &'f Timestamp,
    fields: &'f impl Fields,
    named: Option<&'f [u8]>,
) -> Result<(&'f [u8], SystemTime), ClaimError> {
    let text = match &timestamp.place {
        Place::Field(name) => one(scheme, fields, name)?,
        Place::Key(_) | Place::Entry(_) | Place::Claim(_) | Place::Pointer(_) => {
            named.ok_or(ClaimError::Malformed)?
        }
    };
    let moment = timestamp.unit.read(text).ok_or(ClaimError::Malformed)?;
    Ok((text, moment))
}

/// The value of a field that must have exactly one line, under one of its names.
fn one<'f>(scheme: &'f Scheme, fields: &'f impl Fields, name: &'f str) -> Result<&'f [u8], ClaimError> {
    let mut values = fields.values(name);
    let value = values.next();
    if values.next().is_some() {
        return Err(ClaimError::Duplicate);
    }
    if scheme.aliases.is_empty() {
        return value.ok_or(ClaimError::Missing);
    }
    let others = scheme.names_of(name).skip(1).flat_map(|name| fields.values(name));
    let mut values = value.into_iter().chain(others);
    let value = values.next().ok_or(ClaimError::Missing)?;
    if values.next().is_some() { Err(ClaimError::Duplicate) } else { Ok(value) }
}

/// The values of a template's parts in one request.
pub(super) struct Signed<'s, 'c, F> {
    pub(super) scheme: &'s Scheme,
    pub(super) context: &'s Context<'c, F>,
    /// The text of the signed time, as it was received.
    pub(super) timestamp: Option<&'s [u8]>,
    pub(super) id: Option<&'s [u8]>,
    /// The list of field names in the signature field.
    pub(super) names: Option<&'s str>,
    /// The text of the URL.
    pub(super) url: Option<&'s SignedUrl<'s>>,
}

impl<F: Fields> Values for Signed<'_, '_, F> {
    fn append(&self, part: &Part, next: Option<&Part>, to: &mut Vec<u8>) -> Option<()> {
        let target = self.context.target;
        let (path, query) = (form::path(target), form::query(target));
        match part {
            Part::Literal(text) => to.extend_from_slice(text.as_bytes()),
            Part::Timestamp => to.extend_from_slice(self.timestamp?),
            Part::Id => to.extend_from_slice(self.id.filter(|id| is_id(id))?),
            Part::Method => to.extend_from_slice(self.context.method.as_bytes()),
            Part::Path => to.extend_from_slice(uri(path)?),
            Part::Query => to.extend_from_slice(uri(query)?),
            Part::Url => {
                to.extend_from_slice(self.url?.origin.as_bytes());
                to.extend_from_slice(uri(target)?);
            }
            Part::UrlDecoded => {
                to.extend_from_slice(self.url?.origin.as_bytes());
                spelling::append_decoded(uri(target)?, to)?;
            }
            Part::UrlVariants => {
                let url = self.url?;
                to.extend_from_slice(url.origin.as_bytes());
                to.extend_from_slice(uri(&url.target)?);
            }
            Part::Names => to.extend_from_slice(self.names?.as_bytes()),
            Part::Values => {
                let Some(Part::Literal(text)) = next else { return None };
                let value = |name: &str| {
                    let known =
                        self.scheme.named_fields.as_ref()?.fields.iter().find(|field| *field == name)?;
                    one(self.scheme, self.context.fields, known).ok()
                };
                let named = self.scheme.named_fields.as_ref()?;
                named.append_values(self.names?, *text.as_bytes().first()?, value, to)?;
            }
            Part::Field(name) | Part::AnyField(name) => {
                to.extend_from_slice(one(self.scheme, self.context.fields, name).ok()?);
            }
        }
        Some(())
    }
}

/// Whether a text can be an event's identifier. An identifier has no white space, quotes or brackets. So it
/// cannot be confused with content, even with content that begins with an identifier.
fn is_id(id: &[u8]) -> bool {
    let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/~@".contains(byte);
    !id.is_empty() && id.len() <= LONGEST_ID && id.iter().all(fine)
}

/// The text, if it has only characters of a URI (RFC 3986, section 2). So it cannot be confused with content
/// either.
fn uri(text: &[u8]) -> Option<&[u8]> {
    text.iter().all(|byte| borders::is_uri_byte(*byte)).then_some(text)
}

/// The longest identifier, in bytes. No sender uses longer ones.
const LONGEST_ID: usize = 256;
