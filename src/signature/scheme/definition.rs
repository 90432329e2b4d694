//! Pure. A scheme: how a sender signs, as data. It says which field, algorithm and notation the sender uses,
//! which text it signs, and where the content names the model.

use std::borrow::Cow;

use super::answer::{Acknowledgment, AnswerUse, Redelivery, Refusal, SecretOrigin};
use super::authentication::Authentication;
use crate::signature::algorithm::Algorithm;
use crate::signature::challenge::Challenge;
use crate::signature::field::{Format, Notation};
use crate::signature::named_fields::{self, NamedFields};
use crate::signature::secret::SecretEncoding;
use crate::signature::setup_request::SetupRequest;
use crate::signature::template::{Body, Part, Template};
use crate::signature::window::{Place, Timestamp};

/// How a sender signs. A preset is a scheme, and a `[schemes.NAME]` of gateway.toml is one too. No sender has
/// code of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// The name in gateway.toml, for example `propify`.
    pub name: Cow<'static, str>,
    /// The field that carries the signature, in lower case. Empty if a parameter carries it.
    pub field: Cow<'static, str>,
    /// The parameter of the query that carries the signature, if no field does.
    pub parameter: Option<Cow<'static, str>>,
    /// Further fields that may carry a signature, in lower case. Nearly always empty.
    pub other_fields: Vec<Cow<'static, str>>,
    /// A field that the scheme's requests have, in lower case, if they share their signature field with
    /// another scheme. It decides only which of several signatures of a route judges a request.
    pub mark: Option<Cow<'static, str>>,
    /// Other names of fields, in lower case: the field and its other name. A request has either of them.
    pub aliases: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The fields that the signature names, if it names fields.
    pub named_fields: Option<NamedFields>,
    /// The algorithm that makes the tags.
    pub algorithm: Algorithm,
    /// The notation of the tags in their field.
    pub notation: Notation,
    /// The template of the signed text.
    pub content: Template,
    /// The signed time, if the scheme signs a time.
    pub timestamp: Option<Timestamp>,
    /// The field with the event's identifier, in lower case, if the identifier is signed.
    pub id: Option<Cow<'static, str>>,
    /// The encoding of the sender's secrets, unless gateway.toml says otherwise.
    pub secret_encoding: SecretEncoding,
    /// JSON pointers (RFC 6901) to the model's name in the content, the preferred pointer first. Empty if the
    /// sender has no models.
    pub model_pointers: Vec<Cow<'static, str>>,
    /// JSON pointers to the integration's identifier in the content, the preferred pointer first.
    pub integration_pointers: Vec<Cow<'static, str>>,
    /// The sender's challenge, if it sends challenges.
    pub challenge: Option<Challenge>,
    /// The unsigned requests with which the sender sets a webhook up.
    pub setup: Vec<SetupRequest>,
    /// Whether the sender uses more of the app's answer than the status code.
    pub answer_use: AnswerUse,
    /// The answer that the sender accepts for a stored event.
    pub acknowledgment: Acknowledgment,
    /// What the answer to a refused signature contains.
    pub refusal: Refusal,
    /// Whether the sender repeats an event that was not accepted.
    pub redelivery: Redelivery,
    /// Where the scheme is defined.
    pub source: Source,
}

/// Where a scheme is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In gateway.toml.
    Configured,
    /// In hookgate.
    Shipped {
        /// The sender's usual name.
        sender: &'static str,
        /// The URL at which the sender documents its rule.
        documentation: &'static str,
        /// Whether the rule is taken from the sender's own documentation or code.
        confirmed: bool,
        /// What an operator must know to use the scheme. Often empty.
        note: &'static str,
        /// Who makes the secret, and where.
        secret: SecretOrigin,
        /// How the sender repeats an event that was not accepted, in one sentence. Empty if it is not known.
        retries: &'static str,
    },
}

impl Scheme {
    /// Every field that verification needs, in lower case. The signature field comes first.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let timestamp = self.timestamp.iter().filter_map(|timestamp| match &timestamp.place {
            Place::Field(name) => Some(&**name),
            Place::Key(_) | Place::Entry(_) | Place::Claim(_) | Place::Pointer(_) => None,
        });
        let signed = self.content.parts().filter_map(|part| match part {
            Part::Field(name) | Part::AnyField(name) => Some(name.as_str()),
            Part::Literal(_)
            | Part::Names
            | Part::Values
            | Part::Timestamp
            | Part::Id
            | Part::Method
            | Part::Path
            | Part::Query
            | Part::Url
            | Part::UrlDecoded
            | Part::UrlVariants => None,
        });
        self.signature_fields().chain(timestamp).chain(self.id.as_deref()).chain(signed)
    }

    /// The field, and its other names.
    pub fn names_of<'s>(&'s self, field: &'s str) -> impl Iterator<Item = &'s str> {
        let others = self.aliases.iter().filter(move |(of, _)| *of == field);
        std::iter::once(field).chain(others.map(|(_, other)| &**other))
    }

    /// Every name of a field that verification reads. A client must not be able to remove such a field, or to
    /// imitate it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let named = self.named_fields.iter().flat_map(|named| &named.fields).map(|name| &**name);
        self.fields().flat_map(|field| self.names_of(field)).chain(self.mark.as_deref()).chain(named)
    }

    /// Every name of a field that may carry a signature.
    pub fn signature_names(&self) -> impl Iterator<Item = &str> {
        self.signature_fields().flat_map(|field| self.names_of(field))
    }

    /// Every field that may carry a signature.
    pub fn signature_fields(&self) -> impl Iterator<Item = &str> {
        let first = Some(&*self.field).filter(|name| !name.is_empty());
        first.into_iter().chain(self.other_fields.iter().map(|name| &**name))
    }

    /// How the scheme's senders authenticate, for the answer to a request that is not authentic.
    #[must_use]
    pub fn authentication(&self) -> Authentication {
        match &self.notation.format {
            Format::Basic => Authentication::Basic,
            Format::Plain { prefix } if self.algorithm == Algorithm::Token => {
                Authentication::of_prefix(prefix)
            }
            Format::Jwt { prefix, .. } => Authentication::of_prefix(prefix),
            Format::Plain { .. } | Format::List { .. } => Authentication::Signature,
        }
    }

    /// Whether the scheme signs the URL that the sender sends to. A route with such a scheme must know this
    /// URL.
    #[must_use]
    pub fn signs_url(&self) -> bool {
        self.content.signs_url()
    }

    /// Whether a late delivery can get a new signature with the current time: the gateway has the key, and
    /// the time is not in the content. A JWT has further claims, which only the sender knows.
    #[must_use]
    pub fn can_refresh(&self) -> bool {
        let is_in = |place: &Place| matches!(place, Place::Pointer(_) | Place::Claim(_));
        let in_content = self.timestamp.iter().any(|timestamp| is_in(&timestamp.place));
        self.algorithm.is_symmetric() && self.algorithm != Algorithm::Token && !in_content
    }

    /// Whether the scheme could sign this content: its borders with the other signed parts are clear. Other
    /// content never verifies.
    pub(crate) fn could_sign(&self, content: &[u8]) -> bool {
        let any = self.named_fields.as_ref().is_some_and(|named| named.any.is_some());
        let needs_json = any || self.content.needs_json();
        (!needs_json || named_fields::begins_as_json(content)) && self.content.meets_url().is_clear(content)
    }

    /// The first fault of the scheme as a whole: parts that are valid alone but not together.
    #[must_use]
    pub fn fault(&self) -> Option<SchemeFault> {
        let is_at =
            |matches: fn(&Place) -> bool| self.timestamp.iter().any(|timestamp| matches(&timestamp.place));
        let by_key = is_at(|place| matches!(place, Place::Key(_)));
        let by_entry = is_at(|place| matches!(place, Place::Entry(_)));
        let in_content = is_at(|place| matches!(place, Place::Pointer(_)));
        let in_claims = is_at(|place| matches!(place, Place::Claim(_)));
        let is_jwt = matches!(self.notation.format, Format::Jwt { .. });
        let signs_jwt = matches!(self.content.content(), Body::Jwt(_));
        let signs_json = self.algorithm != Algorithm::Token && *self.content.content() != Body::Form;
        let key = by_key || by_entry;
        let has_names = self.notation.format.has_names();
        let signs_basic = self.notation.format == Format::Basic && self.algorithm != Algorithm::Token;
        let is_basic = self.notation.format == Format::Basic;
        let signs_query = self.signs_url() || self.content.has(&Part::Query);
        let key_is_tag =
            self.timestamp.iter().any(|timestamp| self.notation.format.has_tags_under(&timestamp.place));
        let is_unsafe = |challenge: &Challenge| !challenge.is_safe(self.algorithm, &self.content);
        let signs_time = self.content.has(&Part::Timestamp);
        let signs_id = self.content.has(&Part::Id);
        let signs_names = self.content.has(&Part::Names) && self.content.has(&Part::Values);
        let signs_some = self.content.has(&Part::Names) || self.content.has(&Part::Values);
        let names_nothing = self.named_fields.is_some() != signs_some || signs_some != signs_names;
        let signs_more = self.content != Template::body();
        let is_taken = |named: &NamedFields| {
            let place = Place::Key(named.key.clone());
            let is_time = self.timestamp.iter().any(|timestamp| timestamp.place == place);
            is_time || self.notation.format.has_tags_under(&place)
        };
        let faults = [
            (key && !self.other_fields.is_empty(), SchemeFault::KeyInSeveral),
            (self.parameter.is_some() && (key || is_jwt || is_basic), SchemeFault::ListInParameter),
            (self.parameter.is_some() && signs_query, SchemeFault::ParameterSigned),
            (self.challenge.as_ref().is_some_and(is_unsafe), SchemeFault::ProofIsSignature),
            (key && has_names.is_none(), SchemeFault::KeyInPlain),
            (by_key && has_names == Some(false), SchemeFault::KeyWithoutNames),
            (by_entry && has_names == Some(true), SchemeFault::EntryWithNames),
            (signs_basic, SchemeFault::BasicSigns),
            (key_is_tag, SchemeFault::KeyIsTag),
            (is_jwt != signs_jwt, SchemeFault::JwtUnsigned),
            (in_claims && !is_jwt, SchemeFault::ClaimWithoutJwt),
            (is_jwt && self.algorithm.jws_name().is_none(), SchemeFault::JwtAlgorithm),
            (is_jwt && !self.other_fields.is_empty(), SchemeFault::KeyInSeveral),
            (
                self.timestamp.is_some() && !in_content && !in_claims && !signs_time,
                SchemeFault::TimestampUnsigned,
            ),
            (in_content && !signs_json, SchemeFault::PointerUnsigned),
            (in_content && signs_time, SchemeFault::PointerAndPart),
            (self.timestamp.is_none() && signs_time, SchemeFault::NoTimestamp),
            (self.id.is_some() && !signs_id, SchemeFault::IdUnsigned),
            (self.id.is_none() && signs_id, SchemeFault::NoId),
            (names_nothing, SchemeFault::NamesUnsigned),
            (self.named_fields.is_some() && has_names != Some(true), SchemeFault::NamesInPlain),
            (self.named_fields.as_ref().is_some_and(is_taken), SchemeFault::NamesKeyTaken),
            (self.named_fields.is_some() && self.notation.format.has_spaces(), SchemeFault::NamesSeparated),
            (self.algorithm == Algorithm::Token && signs_more, SchemeFault::TokenSignsNothing),
        ];
        faults.into_iter().find(|(is_there, _)| *is_there).map(|(_, fault)| fault)
    }
}

/// Parts of a scheme that are not valid together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemeFault {
    /// The timestamp is under a name in the signature field, but the field is not a list.
    #[error("a plain signature field has no keys, so no timestamp either")]
    KeyInPlain,
    /// The field has Basic credentials, but the algorithm is not a shared token.
    #[error("Basic credentials are a shared token, and sign nothing")]
    BasicSigns,
    /// The timestamp has a name in the signature field, but the entries of this list have none.
    #[error("the entries of this list have no keys, so the timestamp has none either")]
    KeyWithoutNames,
    /// The timestamp is an entry without a name, but the entries of this list have names.
    #[error("the entries of this list have keys, so the timestamp has one, too")]
    EntryWithNames,
    /// The signature is in the query, where it stands alone.
    #[error("a signature in the query stands alone, without a timestamp, a JWT or credentials")]
    ListInParameter,
    /// The query is signed, but has the signature.
    #[error("the query has the signature, so it cannot be signed")]
    ParameterSigned,
    /// The timestamp has the same name as the tags.
    #[error("one key of a list cannot have the tags and the timestamp")]
    KeyIsTag,
    /// The timestamp is not signed. A forger could change it.
    #[error("the timestamp is not signed, so a forger could set it")]
    TimestampUnsigned,
    /// Only one of the two is a JWT: the format or the signed text.
    #[error("only one of the format and the signed text is a JWT")]
    JwtUnsigned,
    /// The timestamp is a claim, but there is no JWT.
    #[error("the timestamp is a claim, but there is no JWT")]
    ClaimWithoutJwt,
    /// A JWT cannot have this algorithm.
    #[error("no JWT has this algorithm")]
    JwtAlgorithm,
    /// The timestamp is at a JSON pointer, but the scheme signs no JSON.
    #[error("the timestamp is in the content, but no JSON is signed")]
    PointerUnsigned,
    /// The timestamp is in the content, and also a part of the signed text beside the content.
    #[error("the timestamp is in the content, so it cannot be another part of the signed text")]
    PointerAndPart,
    /// A timestamp is signed, but the scheme does not say where it is.
    #[error("`{{timestamp}}` is signed, but nothing says where it stands")]
    NoTimestamp,
    /// The identifier is not signed.
    #[error("the identifier is not signed, so a forger could set it")]
    IdUnsigned,
    /// An identifier is signed, but the scheme does not say where it is.
    #[error("`{{id}}` is signed, but nothing says where it stands")]
    NoId,
    /// The algorithm is a shared token. A token signs nothing, but the scheme has a signed text.
    #[error("a shared token signs nothing")]
    TokenSignsNothing,
    /// The names of the fields, or their values, are not signed, or nothing says where the names are.
    #[error(
        "the names of the fields and their values are signed together, as `{{names}}` and `{{values}}`, with `named_fields`"
    )]
    NamesUnsigned,
    /// The signature names fields, but it is no list with names.
    #[error("this signature field has no keys, so it names no fields either")]
    NamesInPlain,
    /// The names of the fields have the same name in the list as the tags or the timestamp.
    #[error("one key of a list cannot have the names of the fields and the tags or the timestamp")]
    NamesKeyTaken,
    /// A space ends an entry of the list, but the names of the fields have spaces between them.
    #[error("the names of the fields have spaces between them, so a space cannot end an entry of the list")]
    NamesSeparated,
    /// The timestamp is under a name in the signature field, but there are several signature fields.
    #[error("where there are several signature fields, the timestamp cannot be in them")]
    KeyInSeveral,
    /// The HMAC in the answer to a challenge could be the signature of an event.
    #[error("`{{hmac}}` in a challenge's answer could be the signature of an event that was never sent")]
    ProofIsSignature,
}
