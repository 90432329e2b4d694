//! Pure. A row that describes a sender, and the scheme made from it.

use std::time::Duration;

use http::StatusCode;

use crate::signature::algorithm::Algorithm;
use crate::signature::challenge::{Asks, Challenge, Expected, Insert, Reply};
use crate::signature::field::{Encoding, Format, Notation, Separator};
use crate::signature::named_fields::NamedFields;
use crate::signature::scheme::{
    Acknowledgment, AnswerUse, Redelivery, Refusal, Scheme, SecretOrigin, Source,
};
use crate::signature::secret::SecretEncoding;
use crate::signature::setup_request::{Member, SetupReply, SetupRequest};
use crate::signature::template::Template;
use crate::signature::window::{Place, Timestamp, Unit};

/// A sender. A row sets only what differs from the defaults.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) sender: &'static str,
    pub(super) field: &'static str,
    pub(super) parameter: Option<&'static str>,
    pub(super) other_fields: &'static [&'static str],
    pub(super) mark: Option<&'static str>,
    pub(super) named_fields: Option<NamedFields>,
    pub(super) aliases: &'static [(&'static str, &'static str)],
    pub(super) algorithm: Algorithm,
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    pub(super) secret: SecretEncoding,
    pub(super) content: &'static str,
    pub(super) time: Option<Timestamp>,
    pub(super) id: Option<&'static str>,
    pub(super) model: &'static [&'static str],
    pub(super) integration: &'static [&'static str],
    pub(super) challenge: Option<Challenge>,
    pub(super) setup: Vec<SetupRequest>,
    pub(super) answer_use: AnswerUse,
    pub(super) acknowledgment: Acknowledgment,
    pub(super) refusal: Refusal,
    pub(super) redelivery: Redelivery,
    pub(super) documentation: &'static str,
    pub(super) confirmed: bool,
    pub(super) note: &'static str,
    pub(super) origin: SecretOrigin,
    pub(super) retries: &'static str,
}

impl Row {
    pub(super) fn scheme(self) -> Scheme {
        let pointers = |all: &[&'static str]| all.iter().map(|pointer| (*pointer).into()).collect();
        Scheme {
            name: self.name.into(),
            field: self.field.into(),
            parameter: self.parameter.map(Into::into),
            other_fields: pointers(self.other_fields),
            mark: self.mark.map(Into::into),
            named_fields: self.named_fields,
            aliases: self.aliases.iter().map(|(field, other)| ((*field).into(), (*other).into())).collect(),
            algorithm: self.algorithm,
            notation: Notation { format: self.format, encoding: self.encoding },
            content: template(self.content),
            timestamp: self.time,
            id: self.id.map(Into::into),
            secret_encoding: self.secret,
            model_pointers: pointers(self.model),
            integration_pointers: pointers(self.integration),
            challenge: self.challenge,
            setup: self.setup,
            answer_use: self.answer_use,
            acknowledgment: self.acknowledgment,
            refusal: self.refusal,
            redelivery: self.redelivery,
            source: Source::Shipped {
                sender: self.sender,
                documentation: self.documentation,
                confirmed: self.confirmed,
                note: self.note,
                secret: self.origin,
                retries: self.retries,
            },
        }
    }
}

#[expect(clippy::expect_used, reason = "the rows are constants, and a test reads every one of them")]
fn template(text: &str) -> Template {
    Template::parse(text).expect("the template of a preset is one")
}

/// The defaults of a row: HMAC-SHA256 of the body, in hexadecimal, keyed with the secret's text.
pub(super) fn usual() -> Row {
    Row {
        name: "",
        sender: "",
        field: "",
        parameter: None,
        other_fields: &[],
        mark: None,
        named_fields: None,
        aliases: &[],
        algorithm: Algorithm::HmacSha256,
        format: plain(""),
        encoding: Encoding::Hex,
        secret: SecretEncoding::Utf8,
        content: "{body}",
        time: None,
        id: None,
        model: &[],
        integration: &[],
        challenge: None,
        setup: Vec::new(),
        answer_use: AnswerUse::Never,
        acknowledgment: Acknowledgment::Accepted,
        refusal: Refusal::Problem,
        redelivery: Redelivery::Some,
        documentation: "",
        confirmed: true,
        note: "",
        origin: SecretOrigin::Given(""),
        retries: "",
    }
}

/// A field with one tag after this prefix.
pub(super) fn plain(prefix: &'static str) -> Format {
    Format::Plain { prefix: prefix.into() }
}

/// A field with a JWT after this prefix.
pub(super) fn jwt(prefix: &'static str) -> Format {
    Format::Jwt { prefix: prefix.into(), lifetime: None }
}

/// A field with a JWT that must say when it expires. The sender's JWTs expire after these seconds.
pub(super) fn expiring_jwt(seconds: u64) -> Format {
    Format::Jwt { prefix: "".into(), lifetime: Some(Duration::from_secs(seconds)) }
}

/// A field with a list: its separator, the character between name and value, and the name of the tags.
pub(super) fn list(separator: Separator, equals: char, tag: &'static str) -> Format {
    Format::list_of(separator, equals, tag)
}

/// A signed time in a field of its own. It may be `tolerance` seconds in the past or in the future.
pub(super) fn field_time(name: &'static str, unit: Unit, tolerance: u64) -> Option<Timestamp> {
    let tolerance = Duration::from_secs(tolerance);
    Some(Timestamp { place: Place::Field(name.into()), unit, past: tolerance, future: tolerance })
}

/// Like [`field_time`], but the time is in the signature field, under this name.
pub(super) fn key_time(key: &'static str, unit: Unit, tolerance: u64) -> Option<Timestamp> {
    let time = field_time(key, unit, tolerance)?;
    Some(Timestamp { place: Place::Key(key.into()), ..time })
}

/// Like [`field_time`], but the time is in the signature field, as the entry with this number.
pub(super) fn entry_time(number: usize, unit: Unit, tolerance: u64) -> Option<Timestamp> {
    let time = field_time("", unit, tolerance)?;
    Some(Timestamp { place: Place::Entry(number), ..time })
}

/// Like [`field_time`], but the time is in the content, at this JSON pointer.
pub(super) fn content_time(pointer: &'static str, unit: Unit, tolerance: u64) -> Option<Timestamp> {
    let time = field_time("", unit, tolerance)?;
    Some(Timestamp { place: Place::Pointer(pointer.into()), ..time })
}

/// Like [`field_time`], but the time is in the JWT, under this name.
pub(super) fn claim_time(name: &'static str, unit: Unit, tolerance: u64) -> Option<Timestamp> {
    let time = field_time("", unit, tolerance)?;
    Some(Timestamp { place: Place::Claim(name.into()), ..time })
}

/// A challenge in content: the expected members, the pointer to the value, and the answer.
pub(super) fn content_challenge<const N: usize>(
    when: [(&'static str, Expected); N],
    value: Option<&'static str>,
    reply: Reply,
) -> Option<Challenge> {
    let when = when.into_iter().map(|(pointer, expected)| (pointer.into(), expected)).collect();
    let asks = Asks::Content { when, value: value.map(Into::into) };
    Some(Challenge { asks, status: StatusCode::OK, reply })
}

/// A challenge in the query of an unsigned GET: the expected parameter, the parameter with the value, and the
/// parameter with the token.
pub(super) fn query_challenge(
    when: Option<(&'static str, &'static str)>,
    value: &'static str,
    token: Option<&'static str>,
) -> Option<Challenge> {
    let when = when.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
    let asks = Asks::Query { when, value: value.into(), token: token.map(Into::into) };
    Some(Challenge { asks, status: StatusCode::OK, reply: Reply::Text(Insert::Value) })
}

/// Like [`query_challenge`], answered in JSON: one member with the HMAC of the value, after a prefix.
pub(super) fn query_proof(
    value: &'static str,
    member: &'static str,
    prefix: &'static str,
    encoding: Encoding,
) -> Option<Challenge> {
    let reply = json([(member, Insert::ProofAs { prefix: prefix.into(), encoding })]);
    Some(Challenge { reply, ..query_challenge(None, value, None)? })
}

/// An answer in JSON with these members.
pub(super) fn json<const N: usize>(members: [(&'static str, Insert); N]) -> Reply {
    Reply::Json(members.into_iter().map(|(name, insert)| (name.into(), insert)).collect())
}

/// The challenge, answered with 204 and a media type, but without content.
pub(super) fn answered_with_204(challenge: Option<Challenge>) -> Option<Challenge> {
    Some(Challenge { status: StatusCode::NO_CONTENT, ..challenge? })
}

/// A HEAD, answered with 200.
pub(super) fn head_setup() -> SetupRequest {
    SetupRequest { method: "HEAD".into(), field: None, members: Vec::new(), reply: with_200() }
}

/// A POST of a form, answered with 200: its members, each with its text if the text is known.
pub(super) fn form_setup<const N: usize>(members: [(&'static str, Option<&'static str>); N]) -> SetupRequest {
    let member = |(name, text): (&'static str, Option<&'static str>)| Member {
        name: name.into(),
        text: text.map(Into::into),
    };
    let members = members.into_iter().map(member).collect();
    SetupRequest { method: "POST".into(), field: None, members, reply: with_200() }
}

fn with_200() -> Option<SetupReply> {
    Some(SetupReply { status: StatusCode::OK, fields: Vec::new() })
}
