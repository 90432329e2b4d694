//! Pure. A JWT (RFC 7519) with the content's digest: a JWS in compact serialisation (RFC 7515, section 7.1).
//!
//! The scheme sets the algorithm. The header of a JWT must name this algorithm, and never chooses another
//! (RFC 8725, section 3.1). The claims are read before the signature is verified, like the fields of other
//! schemes.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::field::{Encoding, Format, jws_parts, without_prefix};
use super::scheme::Scheme;
use super::template::DigestClaim;
use super::window::{Place, Timestamp, Unit};
use crate::routing::signed_model::{self, Member, Scalar};
use crate::signature::secret::{BASE64, BASE64_URL};

/// What a JWT says about the request, if its signature is right.
pub(super) struct Jwt<'v> {
    /// The signed bytes: header, dot, claims.
    pub(super) input: &'v [u8],
    /// The SHA-256 that the content must have.
    pub(super) digest: [u8; 32],
}

/// Why a JWT makes no claim that could be verified.
pub(super) enum Unfit {
    /// A part is missing, ambiguous or of another algorithm.
    Malformed,
    /// The JWT is not valid now.
    Expired,
}

/// Reads the JWT in a field's value. `digest` names the claim with the content's digest.
///
/// # Errors
/// [`Unfit`]. A JWT that is not valid at `now` is expired.
pub(super) fn read<'v>(
    scheme: &Scheme,
    digest: &DigestClaim,
    value: &'v [u8],
    now: SystemTime,
) -> Result<Jwt<'v>, Unfit> {
    let input = input(scheme, value).ok_or(Unfit::Malformed)?;
    let (header, claims) = parts(input).ok_or(Unfit::Malformed)?;
    let named = members(&header, ["/alg".into(), "/crit".into()]).ok_or(Unfit::Malformed)?;
    let own = scheme.algorithm.jws_name().map(|name| Member::Scalar(Scalar::Text(name.to_owned())));
    // An extension that must be understood (RFC 7515, section 4.1.11) is not understood here.
    if named.first() != own.as_ref() || named.get(1) != Some(&Member::Absent) {
        return Err(Unfit::Malformed);
    }
    let pointers = [pointer(&digest.name), "/exp".into(), "/nbf".into()];
    let mut found = members(&claims, pointers).ok_or(Unfit::Malformed)?.into_iter();
    let Some(Member::Scalar(Scalar::Text(text))) = found.next() else { return Err(Unfit::Malformed) };
    let digest = decoded(digest.encoding, &text).ok_or(Unfit::Malformed)?;
    let mut dates = found.map(date);
    let end = dates.next().unwrap_or(Ok(None))?;
    let beginning = dates.next().unwrap_or(Ok(None))?;
    if end.is_none() && lifetime(scheme).is_some() {
        return Err(Unfit::Malformed);
    }
    let is_over = end.is_some_and(|end| now.duration_since(end).is_ok_and(|late| late >= LEEWAY));
    let is_early =
        beginning.is_some_and(|beginning| beginning.duration_since(now).is_ok_and(|by| by > LEEWAY));
    if let Some(timestamp) = &scheme.timestamp
        && matches!(timestamp.place, Place::Claim(_))
    {
        let moment = time(timestamp, &claims).ok_or(Unfit::Malformed)?;
        if !timestamp.admits(moment, now) {
            return Err(Unfit::Expired);
        }
    }
    if is_over || is_early { Err(Unfit::Expired) } else { Ok(Jwt { input, digest }) }
}

/// The time in the claims of a JWT. The signature may be wrong.
pub(super) fn moment(scheme: &Scheme, value: &[u8]) -> Option<SystemTime> {
    let (_, claims) = parts(input(scheme, value)?)?;
    time(scheme.timestamp.as_ref()?, &claims)
}

/// The signed bytes of a JWT that a sender makes for this content: header, dot, claims.
pub(super) fn made(
    scheme: &Scheme,
    digest: &DigestClaim,
    time: Option<&str>,
    now: SystemTime,
    content: &[u8],
) -> String {
    let hash = Sha256::digest(content);
    let mut claims = serde_json::Map::new();
    if let (Some(Timestamp { place: Place::Claim(name), unit, .. }), Some(time)) = (&scheme.timestamp, time) {
        let number = match unit {
            Unit::Seconds | Unit::Milliseconds | Unit::Microseconds => time.parse::<u64>().ok(),
            Unit::Rfc3339 | Unit::HttpDate => None,
        };
        claims.insert(name.to_string(), number.map_or_else(|| time.into(), Into::into));
    }
    let end = lifetime(scheme).and_then(|lifetime| now.checked_add(lifetime));
    if let Some(end) = end.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok()) {
        claims.insert("exp".to_owned(), end.as_secs().into());
    }
    claims.insert(digest.name.clone(), digest.encoding.write(&hash).into());
    let header = json!({ "alg": scheme.algorithm.jws_name(), "typ": "JWT" });
    let written = |value: String| BASE64_URL.encode(value);
    format!("{}.{}", written(header.to_string()), written(serde_json::Value::from(claims).to_string()))
}

/// How long the sender lets a JWT be valid, if a JWT must say when it expires.
fn lifetime(scheme: &Scheme) -> Option<Duration> {
    match scheme.notation.format {
        Format::Jwt { lifetime, .. } => lifetime,
        Format::Plain { .. } | Format::Basic | Format::List { .. } => None,
    }
}

fn input<'v>(scheme: &Scheme, value: &'v [u8]) -> Option<&'v [u8]> {
    let Format::Jwt { prefix, .. } = &scheme.notation.format else { return None };
    Some(jws_parts(without_prefix(prefix, value)?)?.0)
}

/// The header and the claims, as JSON.
fn parts(input: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut parts = input.split(|byte| *byte == b'.').map(|part| BASE64_URL.decode(part).ok());
    let (header, claims) = (parts.next()??, parts.next()??);
    parts.next().is_none().then_some((header, claims))
}

fn time(timestamp: &Timestamp, claims: &[u8]) -> Option<SystemTime> {
    let Place::Claim(name) = &timestamp.place else { return None };
    let text = match members(claims, [pointer(name)])?.pop()? {
        Member::Scalar(Scalar::Number(number)) => number.to_string(),
        Member::Scalar(Scalar::Text(text)) => text,
        Member::Absent | Member::Other => return None,
    };
    timestamp.unit.read(text.as_bytes())
}

/// A date (RFC 7519, section 2). `None` if there is none.
fn date(member: Member) -> Result<Option<SystemTime>, Unfit> {
    match member {
        Member::Absent => Ok(None),
        Member::Scalar(Scalar::Number(seconds)) => {
            let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            moment.map(Some).ok_or(Unfit::Malformed)
        }
        Member::Scalar(Scalar::Text(_)) | Member::Other => Err(Unfit::Malformed),
    }
}

fn members<const N: usize>(json: &[u8], pointers: [String; N]) -> Option<Vec<Member>> {
    signed_model::members(json, pointers.iter().map(String::as_str)).ok()
}

fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn decoded(encoding: Encoding, text: &str) -> Option<[u8; 32]> {
    let bytes = match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => BASE64.decode(text).ok(),
        Encoding::Base64Url => BASE64_URL.decode(text).ok(),
    };
    bytes?.try_into().ok()
}

/// How far the clocks may differ where a JWT says when it is valid (RFC 7519, section 4.1.4).
const LEEWAY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
