//! Pure. The diagnosis of a mismatch: finds the likely cause, and describes it so that an operator can act.
//!
//! The result may never reach the sender. It is for the operator's terminal and log. The work is linear in
//! the content: a small, fixed number of passes for each of the verifier's secrets, and one pass for each
//! secret of other routes. All work is counted. The diagnosis is given up when the work becomes too much
//! ([`Work`]).

pub(crate) mod cause;
mod charset;
mod envelope;
mod form_spelling;
mod json;
mod unpack;
mod words;

use std::sync::Arc;
use std::time::SystemTime;

pub use crate::diagnosis::causes::budget::{GivenUp, Work};
pub use crate::diagnosis::causes::cause::{
    Cause, ContentChange, KeyChange, NotationError, Side, TimeDifference,
};
pub use crate::diagnosis::causes::time_span::Span;
use crate::diagnosis::causes::transforms::{content_change, rewritten};
pub use crate::diagnosis::causes::transforms::{key_changes, misread};
use crate::signature::algorithm::Algorithm;
use crate::signature::scheme::{PRESETS, Scheme, Source};
use crate::signature::secret_trial::{Trial, Tried};
use crate::signature::template::Part;
use crate::signature::window::Unit;
use crate::signature::{ClaimError, Context, Fields, Verifier, claim};

/// The name of the secret that verifies the content, if one does.
#[must_use]
pub fn verified_by<F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: &[u8],
) -> Option<Arc<str>> {
    let mut goes_on = || true;
    let mut work = Work::new(usize::MAX, &mut goes_on);
    verified(verifier, context, content, context.now, &mut work).ok().flatten()
}

/// Finds the secret as [`verified_by`] does. The work is bounded, and only secrets that are valid at `now`
/// are tried.
fn verified<F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: &[u8],
    valid_at: SystemTime,
    work: &mut Work<'_>,
) -> Result<Option<Arc<str>>, GivenUp> {
    work.spend(CLAIM)?;
    // Other content never verifies.
    let could_verify = verifier.scheme().could_sign(content);
    let trial = verifier
        .claim(context)
        .ok()
        .filter(|_| could_verify)
        .and_then(|claim| Trial::of(verifier, claim, valid_at, None));
    let Some(mut trial) = trial else { return Ok(None) };
    loop {
        let step = trial.step(content, PIECE);
        let spent = work.spend(step.work);
        match step.tried {
            Tried::Holds(key) => return Ok(Some(Arc::clone(&key.name))),
            Tried::Fails => return spent.map(|()| None),
            Tried::More => spent?,
        }
    }
}

/// The likely cause of a request that does not verify, if one of the known changes explains it. `content` is
/// `None` if the request was refused before its content was read; then only the fields are examined. `others`
/// are the verifiers of other routes, each with the path of its route.
///
/// # Errors
/// [`GivenUp`] if the diagnosis takes more than `work`.
pub fn likely_cause<'o, F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: Option<&[u8]>,
    others: impl IntoIterator<Item = (&'o str, &'o Verifier)>,
    work: &mut Work<'_>,
) -> Result<Option<Cause>, GivenUp> {
    let scheme = verifier.scheme();
    match (verifier.claim(context), content) {
        (Ok(_), None) => Ok(None),
        (Ok(_), Some(content)) => match time_in_content(verifier, context, content, work)? {
            Some(found) => Ok(found),
            None => of_content(verifier, context, content, others, work),
        },
        (Err(ClaimError::Missing), _) => other_scheme(scheme, context.fields, others, work),
        (Err(ClaimError::Duplicate), content) => doubled(verifier, context, content, work),
        (Err(ClaimError::Expired), content) => signed_time(verifier, context, content, work),
        (Err(ClaimError::Malformed), content) => malformed(verifier, context, content, work),
    }
}

/// The cause for a well-formed claim: either the secret or the content is wrong.
fn of_content<'o, F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: &[u8],
    others: impl IntoIterator<Item = (&'o str, &'o Verifier)>,
    work: &mut Work<'_>,
) -> Result<Option<Cause>, GivenUp> {
    // At this time, no secret's `not_after` has passed.
    if verifier.keys.iter().any(|key| !key.counts(context.now))
        && let Some(secret) = verified(verifier, context, content, SystemTime::UNIX_EPOCH, work)?
    {
        return Ok(Some(Cause::Expired(secret)));
    }
    let verifies = |content: &[u8], work: &mut Work<'_>| {
        verified(verifier, context, content, context.now, work).map(|secret| secret.is_some())
    };
    if let Some(change) = content_change(content, work, verifies)? {
        return Ok(Some(Cause::Content(change)));
    }
    for (path, other) in others {
        if let Some(secret) = verified(other, context, content, context.now, work)? {
            return Ok(Some(Cause::OtherRoute { path: path.to_owned(), secret }));
        }
    }
    for (change, key_variant) in &verifier.key_variants {
        if let Some(secret) = verified(key_variant, context, content, context.now, work)? {
            return Ok(Some(Cause::Key { secret, change: *change }));
        }
    }
    let signs_content = verifier.scheme().algorithm != Algorithm::Token;
    let encodings = context.fields.values("content-encoding");
    work.spend(content.len().saturating_mul(2))?;
    // The signed bytes cannot be restored, so these causes are only likely.
    let unchecked = if !signs_content {
        None
    } else if content.is_empty() {
        Some(ContentChange::Emptied)
    } else if unpack::is_unpacked(encodings, content) {
        Some(ContentChange::Decompressed)
    } else {
        charset::has_replacements(content).then_some(ContentChange::CharactersLost)
    };
    Ok(unchecked.map(Cause::Content))
}

/// The cause for a request without one of the scheme's fields: the request may have the signature of another
/// scheme. Schemes with tokens are skipped, because their field can be any field that clients send.
fn other_scheme<'o>(
    scheme: &Scheme,
    fields: &impl Fields,
    others: impl IntoIterator<Item = (&'o str, &'o Verifier)>,
    work: &mut Work<'_>,
) -> Result<Option<Cause>, GivenUp> {
    let is_missing = |name: &&str| scheme.names_of(name).all(|name| fields.values(name).next().is_none());
    let Some(missing) = scheme.fields().find(is_missing) else {
        return Ok(None);
    };
    let is_there = |other: &Scheme| {
        let value = fields.values(&other.field).next();
        let read = |value| other.notation.read(other.algorithm, value, None).is_ok();
        other.field != scheme.field
            && other.algorithm != Algorithm::Token
            && value.is_some_and(read)
            && other.fields().all(|name| fields.values(name).next().is_some())
    };
    for (path, verifier) in others {
        work.spend(CLAIM)?;
        if is_there(verifier.scheme()) {
            return Ok(Some(another(missing, verifier.scheme(), 0, Some(path))));
        }
    }
    let mut shipped: Vec<&Scheme> = Vec::new();
    for other in PRESETS.iter() {
        work.spend(CLAIM)?;
        shipped.extend(is_there(other).then_some(other));
    }
    let is_former =
        |former: &&Former| former.is_in(fields) && shipped.iter().all(|other| other.field == former.field);
    if let Some(former) = FORMER.iter().find(is_former) {
        return Ok(Some(Cause::FormerSignature {
            missing: missing.to_owned(),
            found: former.field,
            senders: former.senders,
            scheme: shipped
                .iter()
                .find(|other| other.field == former.field)
                .map(|other| other.name.to_string()),
        }));
    }
    let shared = SHARED_RULES.iter().find_map(|name| shipped.iter().find(|other| other.name == *name));
    let likely = shared.or_else(|| shipped.first());
    let alike = |likely: &Scheme| shipped.iter().filter(|other| other.field == likely.field).count();
    Ok(Some(match likely {
        Some(likely) => another(missing, likely, alike(likely).saturating_sub(1), None),
        None if scheme.signature_names().any(|name| fields.values(name).next().is_some()) => {
            Cause::Incomplete(missing.to_owned())
        }
        None => Cause::Unsigned {
            missing: missing.to_owned(),
            secret: match scheme.source {
                Source::Shipped { secret, .. } => Some(secret),
                Source::Configured => None,
            },
        },
    }))
}

fn another(missing: &str, scheme: &Scheme, others: usize, path: Option<&str>) -> Cause {
    Cause::OtherScheme {
        missing: missing.to_owned(),
        found: scheme.field.to_string(),
        scheme: scheme.name.to_string(),
        others,
        is_sha1: scheme.algorithm == Algorithm::HmacSha1,
        path: path.map(str::to_owned),
    }
}

/// Schemes with a rule that many senders share. Such a scheme is more likely than that of one of these
/// senders.
const SHARED_RULES: [&str; 1] = ["standard-webhooks"];

/// A signature that senders made before they used SHA-256, and still make beside it.
struct Former {
    field: &'static str,
    prefix: &'static [u8],
    /// The number of hexadecimal digits.
    digits: usize,
    senders: &'static str,
}

/// The older signatures that requests still have.
const FORMER: [Former; 1] =
    [Former { field: "x-hub-signature", prefix: b"sha1=", digits: 40, senders: "GitHub and Meta" }];

impl Former {
    fn is_in(&self, fields: &impl Fields) -> bool {
        let tag = fields.values(self.field).next().and_then(|value| value.strip_prefix(self.prefix));
        tag.is_some_and(|tag| tag.len() == self.digits && tag.iter().all(u8::is_ascii_hexdigit))
    }
}

/// The cause for a signature, time or identifier that occurs several times: a field line may have been
/// doubled in transit. If there is content, the request must verify with one of the equal values.
fn doubled<F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: Option<&[u8]>,
    work: &mut Work<'_>,
) -> Result<Option<Cause>, GivenUp> {
    let same = verifier.scheme().fields().find_map(|name| {
        let lines = context.fields.values(name);
        let mut values = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        let first = values.next()?;
        let mut others = values.take(MOST_VALUES).peekable();
        (others.peek().is_some() && others.all(|other| other == first)).then_some((name, first))
    });
    let Some((name, value)) = same else { return Ok(None) };
    let fields = Replaced { others: context.fields, name, value };
    let is_right = right(verifier, &with(context, &fields), content, work)?;
    Ok(is_right.then(|| Cause::Doubled(name.to_owned())))
}

/// Whether the content verifies. Missing content counts as content that verifies.
fn right<F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: Option<&[u8]>,
    work: &mut Work<'_>,
) -> Result<bool, GivenUp> {
    match content {
        Some(content) => Ok(verified(verifier, context, content, context.now, work)?.is_some()),
        None => Ok(true),
    }
}

/// The cause for a signed time outside its window: the distance of the time, or its unit. If there is
/// content, the signature must be right apart from the time, because the time of a forged event explains
/// nothing.
fn signed_time<F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: Option<&[u8]>,
    work: &mut Work<'_>,
) -> Result<Option<Cause>, GivenUp> {
    if let Some(unit) = time_unit(verifier.scheme(), context) {
        return Ok(Some(Cause::TimeUnit(unit)));
    }
    let window = verifier.scheme().timestamp.as_ref();
    let Some((window, moment)) = window.zip(verifier.moment(context.fields)) else { return Ok(None) };
    let then = Context { now: moment, ..with(context, context.fields) };
    if !right(verifier, &then, content, work)? {
        return Ok(None);
    }
    Ok(TimeDifference::of(window, moment, context.now).map(Cause::SignedTime))
}

/// The cause for content that verifies, if only the time in it is wrong. `None` if the content does not
/// verify, or has no time that counts.
fn time_in_content<F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: &[u8],
    work: &mut Work<'_>,
) -> Result<Option<Option<Cause>>, GivenUp> {
    let Some((window, _)) = verifier.scheme().time_in_content() else { return Ok(None) };
    if verified(verifier, context, content, context.now, work)?.is_none() {
        return Ok(None);
    }
    work.spend(content.len())?;
    let moment = verifier.content_moment(content);
    let difference = moment.and_then(|moment| TimeDifference::of(window, moment, context.now));
    Ok(Some(difference.map(Cause::SignedTime)))
}

/// The unit in which the signed time makes sense, if it is not the scheme's unit.
fn time_unit<F: Fields>(scheme: &Scheme, context: &Context<'_, F>) -> Option<Unit> {
    let window = scheme.timestamp.as_ref()?;
    let text = claim::time_text(scheme, context.fields)?;
    let others = Unit::ALL.into_iter().map(|(_, unit)| unit).filter(|unit| *unit != window.unit);
    others.into_iter().find(|unit| unit.read(text).is_some_and(|moment| window.admits(moment, context.now)))
}

/// The cause for a signed field whose value has the character that ends it in the signed text.
fn holds_its_end<F: Fields>(scheme: &Scheme, context: &Context<'_, F>) -> Option<Cause> {
    let parts: Vec<_> = scheme.content.parts().collect();
    parts.windows(2).find_map(|pair| {
        let [Part::Field(name), Part::Literal(text)] = pair else { return None };
        let end = text.chars().next().filter(char::is_ascii_punctuation)?;
        let mut values = scheme.names_of(name).flat_map(|name| context.fields.values(name));
        let holds = values.any(|value| value.iter().any(|byte| char::from(*byte) == end));
        holds.then(|| Cause::HoldsItsEnd { field: name.clone(), end })
    })
}

/// The cause for a signature without the scheme's form: the form that it has. If there is content, the tag
/// must be right.
fn malformed<F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: Option<&[u8]>,
    work: &mut Work<'_>,
) -> Result<Option<Cause>, GivenUp> {
    let scheme = verifier.scheme();
    let Some(value) = context.fields.values(&scheme.field).next() else { return Ok(None) };
    if scheme.notation.read(scheme.algorithm, value, None).is_ok() {
        let unit = time_unit(scheme, context).map(Cause::TimeUnit);
        return Ok(unit.or_else(|| holds_its_end(scheme, context)));
    }
    let rewritten = rewritten(scheme, value);
    let Some(content) = content else {
        let misread = misread(scheme, value);
        // A value that is no tag in any notation is noise or a guess.
        let telling = rewritten.is_some()
            || matches!(
                misread,
                NotationError::Length(40 | 64 | 96 | 128, _) | NotationError::Bytes(20 | 32 | 48 | 64, _)
            );
        return Ok(telling.then_some(Cause::Form(misread)));
    };
    let Some(rewritten) = rewritten else { return Ok(None) };
    let fields = Replaced { others: context.fields, name: &scheme.field, value: rewritten.as_bytes() };
    let is_right = verified(verifier, &with(context, &fields), content, context.now, work)?.is_some();
    Ok(is_right.then(|| Cause::Notation(misread(scheme, value))))
}

/// The same context with other fields.
fn with<'c, F, G>(context: &Context<'c, F>, fields: &'c G) -> Context<'c, G> {
    let Context { method, target, origin, now, .. } = *context;
    Context { method, target, origin, fields, now }
}

/// The fields of a request, with one value replaced.
struct Replaced<'a, F> {
    others: &'a F,
    name: &'a str,
    value: &'a [u8],
}

impl<F: Fields> Fields for Replaced<'_, F> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let replaced = self.name == name;
        let others = self.others.values(name).filter(move |_| !replaced);
        replaced.then_some(self.value).into_iter().chain(others)
    }
}

/// The most values of a field that are compared. Guards against fields that have only commas.
const MOST_VALUES: usize = 64;

/// How many bytes are hashed between two checks of whether to go on.
const PIECE: usize = 64 * 1024;

/// The work of reading a claim, in bytes.
const CLAIM: usize = 1024;

pub mod budget;
#[cfg(test)]
mod tests;
pub mod time_span;
pub mod transforms;
