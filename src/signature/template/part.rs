//! Pure. The parts of a template: the variables, and the texts between them.

use crate::signature::borders;
use crate::signature::field::Encoding;
#[cfg(doc)]
use crate::signature::form::Form;
use crate::signature::template::error::TemplateFault;

/// The form in which the content is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// `{body}`: the content, unchanged.
    Whole,
    /// `{form}`: the content as a form, with decoded names and values, sorted and joined (see [`Form`]).
    Form,
    /// `{digest:NAME}`: only the content's SHA-256. The signed query has it under this name, in hexadecimal.
    Digest(String),
    /// `{sha256:ENCODING}`: the content's SHA-256, as a text in this encoding.
    Sha256(Encoding),
    /// `{jwt:NAME}`: only a JWT, whose claim of this name has the content's SHA-256. Nothing else is signed.
    Jwt(DigestClaim),
}

/// The claim of a JWT that has the content's SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestClaim {
    /// The name of the claim.
    pub name: String,
    /// The encoding of the digest.
    pub encoding: Encoding,
}

/// A part of the signed text besides the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Literal text.
    Literal(String),
    /// `{timestamp}`
    Timestamp,
    /// `{id}`
    Id,
    /// `{method}`
    Method,
    /// `{path}`: the request target without its query.
    Path,
    /// `{query}`: the query of the request target, without `?`.
    Query,
    /// `{url}`: the public origin and the request target.
    Url,
    /// `{url:decoded}`: the URL, after the percent-encodings that HubSpot decodes are decoded.
    UrlDecoded,
    /// `{url:variants}`: the URL with or without its port, and with or without some percent-encodings in its
    /// query, as Twilio may sign it.
    UrlVariants,
    /// `{header:x}`: the value of the field with this lower-case name.
    Field(String),
    /// `{header:x:any}`: like `{header:x}`, but the value may have the character that follows it. The content
    /// then begins as a JSON object or array.
    AnyField(String),
    /// `{names}`: the list of field names in the signature field.
    Names,
    /// `{values}`: the values of these fields, joined by the character that follows.
    Values,
}

impl Part {
    /// Whether the sender chooses the text and the length of this part.
    pub(crate) fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Id | Self::Field(_) | Self::AnyField(_) | Self::Query | Self::Names | Self::Values
        )
    }

    /// Whether the part may have the character that follows it.
    pub(crate) fn may_have_its_end(&self) -> bool {
        matches!(self, Self::AnyField(_) | Self::Values)
    }

    /// Whether this part is a URL, or the end of a URL.
    pub(crate) fn is_of_url(&self) -> bool {
        self.is_url() || matches!(self, Self::Path | Self::Query)
    }

    /// Whether every byte of this part could be one of a URL beside it.
    pub(crate) fn could_be_of_url(&self) -> bool {
        match self {
            Self::Literal(text) => text.bytes().all(borders::is_uri_byte),
            Self::Timestamp
            | Self::Id
            | Self::Method
            | Self::Path
            | Self::Query
            | Self::Url
            | Self::UrlDecoded
            | Self::UrlVariants
            | Self::Field(_)
            | Self::AnyField(_)
            | Self::Names
            | Self::Values => true,
        }
    }

    /// Whether this part is a URL with its origin.
    pub(crate) fn is_url(&self) -> bool {
        matches!(self, Self::Url | Self::UrlDecoded | Self::UrlVariants)
    }

    /// Whether the text of this part, or the route, determines where the part ends.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Timestamp | Self::Method)
    }
}

/// A part of a template, or the content.
pub(crate) enum Piece {
    Part(Part),
    Body(Body),
}

/// Parses one variable, with its braces.
pub(crate) fn variable(text: &str) -> Result<Piece, TemplateFault> {
    let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
    // A name with only these characters has only one spelling in a query.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fine = |name: &str| !name.is_empty() && name.bytes().all(plain);
    if let Some(name) = name.strip_prefix("digest:") {
        return match fine(name) {
            true => Ok(Piece::Body(Body::Digest(name.to_owned()))),
            false => Err(TemplateFault::Unknown),
        };
    }
    if let Some(encoding) = name.strip_prefix("sha256:") {
        let known = Encoding::ALL.into_iter().find(|(known, _)| *known == encoding);
        return known.map(|(_, known)| Piece::Body(Body::Sha256(known))).ok_or(TemplateFault::Unknown);
    }
    if let Some(claim) = name.strip_prefix("jwt:") {
        let (name, encoding) = claim.split_once(':').unwrap_or((claim, Encoding::Hex.name()));
        let encoding = Encoding::ALL.into_iter().find(|(known, _)| *known == encoding);
        return match encoding {
            Some((_, encoding)) if fine(name) => {
                Ok(Piece::Body(Body::Jwt(DigestClaim { name: name.to_owned(), encoding })))
            }
            Some(_) | None => Err(TemplateFault::Unknown),
        };
    }
    Ok(Piece::Part(match name {
        "body" => return Ok(Piece::Body(Body::Whole)),
        "form" => return Ok(Piece::Body(Body::Form)),
        "timestamp" => Part::Timestamp,
        "id" => Part::Id,
        "method" => Part::Method,
        "path" => Part::Path,
        "query" => Part::Query,
        "url" => Part::Url,
        "url:decoded" => Part::UrlDecoded,
        "url:variants" => Part::UrlVariants,
        "names" => Part::Names,
        "values" => Part::Values,
        _ => {
            let name = name.strip_prefix("header:").ok_or(TemplateFault::Unknown)?;
            let any = name.strip_suffix(":any");
            let field =
                http::HeaderName::try_from(any.unwrap_or(name)).map_err(|_bad| TemplateFault::Unknown)?;
            let field = field.as_str().to_owned();
            if any.is_some() { Part::AnyField(field) } else { Part::Field(field) }
        }
    }))
}

/// The variables of a template, as a text for people.
pub const PARTS: &str = "`{body}` (or `{form}`, `{digest:NAME}`, `{sha256:hex}`, `{jwt:NAME}`), `{timestamp}`, `{id}`, `{method}`, `{path}`, `{query}`, `{url}`, \
     `{url:decoded}`, `{url:variants}`, `{header:NAME}`, `{header:NAME:any}`, `{names}`, `{values}`";
