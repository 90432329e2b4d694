//! Pure. The template of the text that a sender signs. It is parsed once, and then filled with the bytes of
//! each request.
//!
//! Text from a sender is never parsed as a template, and cannot move the boundary between two parts. In the
//! signed text, each variable part ends where it ended in the request. An identifier or a field cannot
//! contain the text that follows it in the template. Of two parts with nothing between them, at most one can
//! have any length.

use std::ops::Range;

use super::borders::{self, MeetsUrl};
use super::field::Encoding;
#[cfg(doc)]
use super::form::Form;
use super::named_fields;

/// The template of a signed text: the content, and the parts before and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    before: Vec<Part>,
    body: Body,
    after: Vec<Part>,
    meets_url: MeetsUrl,
}

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

/// The values of a template's parts in one request.
pub trait Values {
    /// Appends the bytes of a part. `next` is the part behind it. `None` if the request has no valid value for
    /// the part.
    fn append(&self, part: &Part, next: Option<&Part>, to: &mut Vec<u8>) -> Option<()>;
}

impl Template {
    /// The template of a scheme that signs only the content.
    #[must_use]
    pub fn body() -> Self {
        let (before, after) = (Vec::new(), Vec::new());
        Self { text: BODY.to_owned(), before, body: Body::Whole, after, meets_url: MeetsUrl::default() }
    }

    /// Parses a template such as `{timestamp}.{body}`.
    ///
    /// # Errors
    /// [`TemplateError`], with the place of the error in the text.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces: Vec<(Range<usize>, Piece)> = Vec::new();
        let mut at: usize = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let open = rest.find(['{', '}']).unwrap_or(rest.len());
            if open > 0 {
                let literal = rest.get(..open).unwrap_or_default().to_owned();
                let end = at.saturating_add(open);
                pieces.push((at..end, Piece::Part(Part::Literal(literal))));
                at = end;
                continue;
            }
            let end = match rest.find('}') {
                Some(close) if rest.starts_with('{') => at.saturating_add(close).saturating_add(1),
                Some(_) | None => {
                    return Err(TemplateError { at: at..text.len(), fault: TemplateFault::Brace });
                }
            };
            let whole = at..end;
            let piece = variable(text.get(whole.clone()).unwrap_or_default());
            pieces.push((whole.clone(), piece.map_err(|fault| TemplateError { at: whole, fault })?));
            at = end;
        }
        seams(&pieces)?;
        ends(&pieces)?;
        let (mut before, mut body, mut after) = (Vec::new(), None, Vec::new());
        for (at, piece) in pieces {
            match piece {
                Piece::Part(part) if body.is_none() => before.push(part),
                Piece::Part(part) => after.push(part),
                Piece::Body(_) if body.is_some() => {
                    return Err(TemplateError { at, fault: TemplateFault::SecondBody });
                }
                Piece::Body(of) => body = Some((at, of)),
            }
        }
        let Some((at, body)) = body else {
            return Err(TemplateError { at: 0..text.len(), fault: TemplateFault::NoBody });
        };
        let meets_url = match body {
            Body::Whole => {
                MeetsUrl { before: is_unclear_url(before.iter().rev()), after: is_unclear_url(after.iter()) }
            }
            Body::Form | Body::Digest(_) | Body::Sha256(_) | Body::Jwt(_) => MeetsUrl::default(),
        };
        let template = Self { text: text.to_owned(), before, body, after, meets_url };
        let signs_query = template.signs_url() || template.has(&Part::Query);
        if matches!(template.body, Body::Digest(_)) && !signs_query {
            return Err(TemplateError { at, fault: TemplateFault::DigestUnsigned });
        }
        if matches!(template.body, Body::Jwt(_)) && template.parts().next().is_some() {
            return Err(TemplateError { at, fault: TemplateFault::NotAlone });
        }
        Ok(template)
    }

    /// The template's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether only the content is signed.
    #[must_use]
    pub fn is_body(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && self.body == Body::Whole
    }

    /// The form in which the content is signed.
    #[must_use]
    pub fn content(&self) -> &Body {
        &self.body
    }

    /// Whether the content must begin as a JSON object or array, because the value before it may have the
    /// character that ends it.
    #[must_use]
    pub(super) fn needs_json(&self) -> bool {
        self.before.iter().any(|part| matches!(part, Part::AnyField(_)))
    }

    /// Where a URL stands beside the content, with nothing between them that no URL has.
    pub(super) fn meets_url(&self) -> MeetsUrl {
        self.meets_url
    }

    /// Whether the URL that the sender sends to is signed.
    #[must_use]
    pub fn signs_url(&self) -> bool {
        self.parts().any(Part::is_url)
    }

    /// Whether the template contains a part.
    #[must_use]
    pub fn has(&self, part: &Part) -> bool {
        self.parts().any(|other| other == part)
    }

    /// The parts of the template, without the content.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.before.iter().chain(&self.after)
    }

    /// The signed bytes before and after the content. Allocates no memory for a side without parts.
    ///
    /// `None` if a value is missing, or if the end of a value is ambiguous.
    pub fn splice(&self, values: &impl Values) -> Option<(Vec<u8>, Vec<u8>)> {
        let MeetsUrl { before, after } = self.meets_url;
        Some((
            spliced(&self.before, Side::Before, before, values)?,
            spliced(&self.after, Side::After, after, values)?,
        ))
    }
}

/// A side of the content.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// The bytes of `parts` on one side of the content. `meets` says whether a URL among them has no clear border with
/// the content.
fn spliced(parts: &[Part], side: Side, meets: bool, values: &impl Values) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut previous = None;
    for (index, part) in parts.iter().enumerate() {
        let start = bytes.len();
        let next = parts.get(index.saturating_add(1));
        values.append(part, next, &mut bytes)?;
        let value = bytes.get(start..)?;
        // See `borders`.
        if meets && part.is_of_url() && !value.iter().all(|byte| borders::may_stand_beside_content(*byte)) {
            return None;
        }
        if part.is_open() && !part.may_have_its_end() {
            let end = literal(next).and_then(|text| text.first());
            // After the content, the beginning of a value must be clear as well.
            let begin = literal(previous).and_then(|text| text.last()).filter(|_| side == Side::After);
            if end.into_iter().chain(begin).any(|byte| value.contains(byte)) {
                return None;
            }
        }
        if matches!(part, Part::AnyField(_)) && !named_fields::is_before_json(value) {
            return None;
        }
        previous = Some(part);
    }
    Some(bytes)
}

fn literal(part: Option<&Part>) -> Option<&[u8]> {
    match part {
        Some(Part::Literal(text)) => Some(text.as_bytes()),
        Some(_) | None => None,
    }
}

/// Whether there is a URL among these parts, which lead away from the content, and nothing before it that no URL
/// has.
fn is_unclear_url<'p>(parts: impl Iterator<Item = &'p Part>) -> bool {
    let mut near: Option<&Part> = None;
    for part in parts {
        let is_clear = match (part, near) {
            // A query has none of the character that follows it, and a path has no `?`.
            (Part::Query, Some(Part::Literal(_))) => true,
            (Part::Path, Some(Part::Literal(text))) => text.starts_with('?'),
            _ => false,
        };
        if part.is_of_url() && !is_clear {
            return true;
        }
        if !part.could_be_of_url() {
            return false;
        }
        near = Some(part);
    }
    false
}

impl Part {
    /// Whether the sender chooses the text and the length of this part.
    fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Id | Self::Field(_) | Self::AnyField(_) | Self::Query | Self::Names | Self::Values
        )
    }

    /// Whether the part may have the character that follows it.
    fn may_have_its_end(&self) -> bool {
        matches!(self, Self::AnyField(_) | Self::Values)
    }

    /// Whether this part is a URL, or the end of a URL.
    pub(crate) fn is_of_url(&self) -> bool {
        self.is_url() || matches!(self, Self::Path | Self::Query)
    }

    /// Whether every byte of this part could be one of a URL beside it.
    fn could_be_of_url(&self) -> bool {
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
    fn is_url(&self) -> bool {
        matches!(self, Self::Url | Self::UrlDecoded | Self::UrlVariants)
    }

    /// Whether the text of this part, or the route, determines where the part ends.
    fn is_closed(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Timestamp | Self::Method)
    }
}

/// A part of a template, or the content.
enum Piece {
    Part(Part),
    Body(Body),
}

/// Parses one variable, with its braces.
fn variable(text: &str) -> Result<Piece, TemplateFault> {
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

/// Refuses two neighbouring pieces if the end of the first is ambiguous.
fn seams(pieces: &[(Range<usize>, Piece)]) -> Result<(), TemplateError> {
    for pair in pieces.windows(2) {
        let [(_, first), (at, second)] = pair else { continue };
        let open = |piece: &Piece| matches!(piece, Piece::Part(part) if part.is_open());
        let closed = |piece: &Piece| matches!(piece, Piece::Part(part) if part.is_closed());
        if (open(first) && !closed(second)) || (open(second) && !closed(first)) {
            return Err(TemplateError { at: at.clone(), fault: TemplateFault::NothingBetween });
        }
    }
    Ok(())
}

/// Refuses a part that may have the character that follows it, unless a literal and the unchanged content
/// follow.
fn ends(pieces: &[(Range<usize>, Piece)]) -> Result<(), TemplateError> {
    for (index, (at, piece)) in pieces.iter().enumerate() {
        if !matches!(piece, Piece::Part(part) if part.may_have_its_end()) {
            continue;
        }
        let behind = pieces.get(index.saturating_add(1)..).unwrap_or_default();
        let is_clear =
            matches!(behind, [(_, Piece::Part(Part::Literal(_))), (_, Piece::Body(Body::Whole)), ..]);
        if !is_clear {
            return Err(TemplateError { at: at.clone(), fault: TemplateFault::EndUnclear });
        }
    }
    urls(pieces)
}

/// Refuses a URL before a part that the sender chooses, unless a text stands between them that no URL has.
fn urls(pieces: &[(Range<usize>, Piece)]) -> Result<(), TemplateError> {
    for (index, (at, piece)) in pieces.iter().enumerate() {
        let Piece::Part(url @ (Part::Url | Part::UrlDecoded | Part::UrlVariants | Part::Path)) = piece else {
            continue;
        };
        let behind = pieces.get(index.saturating_add(1)..).unwrap_or_default();
        for (number, (_, piece)) in behind.iter().enumerate() {
            match piece {
                // A path has no `?`.
                Piece::Part(Part::Literal(text))
                    if *url == Part::Path && number == 0 && text.starts_with('?') =>
                {
                    break;
                }
                Piece::Part(part) if !part.could_be_of_url() => break,
                Piece::Part(part) if part.is_open() => {
                    return Err(TemplateError { at: at.clone(), fault: TemplateFault::EndUnclear });
                }
                Piece::Part(_) => {}
                Piece::Body(_) => break,
            }
        }
    }
    Ok(())
}

/// An error in a template, and its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct TemplateError {
    /// The place in the text, in bytes.
    pub at: Range<usize>,
    /// The kind of error.
    pub fault: TemplateFault,
}

/// The kinds of errors in a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// There is no `{body}`. Then any content would verify.
    #[error("without `{{body}}`, any content at all would verify")]
    NoBody,
    /// There is a second `{body}`.
    #[error("the content is signed once")]
    SecondBody,
    /// A brace has no counterpart.
    #[error("this brace has no partner")]
    Brace,
    /// No part has this name.
    #[error("there is no such part")]
    Unknown,
    /// Two parts can have any length, and nothing stands between them.
    #[error("nothing stands between these parts, so a forger could move the border between them")]
    NothingBetween,
    /// A value that may have the character that follows it is not directly before the content.
    #[error(
        "a value that may have the text behind it must be the last before `{{body}}`, with a text between them: else a forger could move its end"
    )]
    EndUnclear,
    /// The query that has the content's digest is not signed.
    #[error("the query with the digest is not signed, so any content would verify")]
    DigestUnsigned,
    /// There are other parts beside the JWT. The JWT is all that is signed.
    #[error("a JWT is all that is signed, so nothing else can stand here")]
    NotAlone,
}

const BODY: &str = "{body}";

/// The variables of a template, as a text for people.
pub const PARTS: &str = "`{body}` (or `{form}`, `{digest:NAME}`, `{sha256:hex}`, `{jwt:NAME}`), `{timestamp}`, `{id}`, `{method}`, `{path}`, `{query}`, `{url}`, \
     `{url:decoded}`, `{url:variants}`, `{header:NAME}`, `{header:NAME:any}`, `{names}`, `{values}`";

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static [u8]);

    impl Values for Fixed {
        fn append(&self, part: &Part, _next: Option<&Part>, to: &mut Vec<u8>) -> Option<()> {
            to.extend_from_slice(match part {
                Part::Literal(text) => text.as_bytes(),
                Part::Timestamp => b"17",
                Part::Method => b"POST",
                Part::Url | Part::UrlDecoded | Part::UrlVariants => b"https://h/p?q",
                Part::Id
                | Part::Path
                | Part::Query
                | Part::Field(_)
                | Part::AnyField(_)
                | Part::Names
                | Part::Values => self.0,
            });
            Some(())
        }
    }

    fn spliced(template: &str, value: &'static str) -> Option<String> {
        let (before, after) = Template::parse(template).unwrap().splice(&Fixed(value.as_bytes()))?;
        Some(format!("{}|{}", String::from_utf8(before).unwrap(), String::from_utf8(after).unwrap()))
    }

    #[test]
    fn parts_are_spliced_before_and_behind_the_content() {
        for (template, want) in [
            ("{body}", "|"),
            ("{timestamp}.{url}.{sha256:hex}", "17.https://h/p?q.|"),
            ("{jwt:sha256}", "|"),
            ("{jwt:sha256:base64}", "|"),
            ("{timestamp}.{body}", "17.|"),
            ("v0:{timestamp}:{body}", "v0:17:|"),
            ("{id}.{timestamp}.{body}", "x.17.|"),
            ("{method}{url}{body}{timestamp}", "POSThttps://h/p?q|17"),
            ("{body}{url}", "|https://h/p?q"),
            ("{url}{form}", "https://h/p?q|"),
            ("{url:decoded}{digest:bodySHA256}.", "https://h/p?q|."),
            ("{id}{timestamp}{body}", "x17|"),
            ("a{body}b", "a|b"),
            ("{header:X-Y}\n{body}", "x\n|"),
        ] {
            assert_eq!(spliced(template, "x").as_deref(), Some(want), "{template}");
            assert_eq!(Template::parse(template).unwrap().as_str(), template);
        }
    }

    #[test]
    fn what_a_sender_sends_is_no_template_and_cannot_move_a_boundary() {
        assert_eq!(spliced("{id}.{body}", "{timestamp}").as_deref(), Some("{timestamp}.|"));
        assert_eq!(spliced("{id}.{timestamp}.{body}", "a.1"), None);
        assert_eq!(spliced("{header:x}--{body}", "a-"), None);
        assert_eq!(spliced("{query}.{body}", "a.b"), None);
        assert_eq!(spliced("{body}.{header:x}", "a.b"), None);
        assert_eq!(spliced("{body}--{id}:{timestamp}", "a-b"), None);
        assert_eq!(spliced("{body}\n{header:x}.", "a-b").as_deref(), Some("|\na-b."));
        assert_eq!(spliced("{header:x:any}.{body}", "a.b").as_deref(), Some("a.b.|"));
        assert_eq!(spliced("{header:x:any}.{body}", "a.{"), None);
        assert_eq!(spliced("{names}.{body}", "a.b"), None);
    }

    /// Otherwise `/p?q` before `[{}]` would sign the same text as `/p?q[` before `{}]`.
    #[test]
    fn a_url_that_stands_directly_before_the_content_has_no_bracket() {
        struct Bracket;
        impl Values for Bracket {
            fn append(&self, part: &Part, _next: Option<&Part>, to: &mut Vec<u8>) -> Option<()> {
                to.extend_from_slice(if let Part::Literal(text) = part {
                    text.as_bytes()
                } else {
                    b"/p?a[]"
                });
                Some(())
            }
        }
        for (template, fine) in [
            ("{url}{body}", false),
            ("{method}{url:decoded}{body}{timestamp}", false),
            ("{path}{body}", false),
            ("[{url}\n{body}", true),
            ("[{body}", true),
            ("{url}.{body}", false),
            ("{url}{timestamp}:{body}", false),
            ("{url} .{body}", true),
            ("{path}?.{query} {body}", true),
            ("{body}{url}", false),
            ("{body}.{path}", false),
            ("{body}.\n{url}", true),
            ("{url}.{sha256:hex}", true),
            ("{url}{form}", true),
            ("{url}{digest:d}", true),
        ] {
            assert_eq!(Template::parse(template).unwrap().splice(&Bracket).is_some(), fine, "{template}");
        }
    }

    #[test]
    fn a_malformed_template_is_refused_with_the_place_of_its_error() {
        use TemplateFault::{
            Brace, DigestUnsigned, EndUnclear, NoBody, NotAlone, NothingBetween, SecondBody, Unknown,
        };
        for (text, at, fault) in [
            ("", 0..0, NoBody),
            ("{timestamp}.", 0..12, NoBody),
            ("{body}{body}", 6..12, SecondBody),
            ("{body}{form}", 6..12, SecondBody),
            ("{url}{form}{digest:d}", 11..21, SecondBody),
            ("{digest:d}", 0..10, DigestUnsigned),
            ("{path}.{digest:d}", 7..17, DigestUnsigned),
            ("{url}{digest:}", 5..14, Unknown),
            ("{url}{digest:a%62}", 5..18, Unknown),
            ("{jwt:a}{body}", 7..13, SecondBody),
            ("{timestamp}{jwt:a}", 11..18, NotAlone),
            ("{jwt:a}.", 0..7, NotAlone),
            ("{jwt:}", 0..6, Unknown),
            ("{jwt:a:sha1}", 0..12, Unknown),
            ("{sha256}", 0..8, Unknown),
            ("{sha256:text}", 0..13, Unknown),
            ("{id}{sha256:hex}", 4..16, NothingBetween),
            ("{id}{form}", 4..10, NothingBetween),
            ("{body", 0..5, Brace),
            ("a}{body}", 1..8, Brace),
            ("{bdy}", 0..5, Unknown),
            ("{}", 0..2, Unknown),
            ("{header:}{body}", 0..9, Unknown),
            ("{header:a b}{body}", 0..12, Unknown),
            ("{id}{body}", 4..10, NothingBetween),
            ("{body}{header:x}", 6..16, NothingBetween),
            ("{path}{query}.{body}", 6..13, NothingBetween),
            ("{header:x:any}.{timestamp}.{body}", 0..14, EndUnclear),
            ("{body}.{header:x:any}", 7..21, EndUnclear),
            ("{header:x:any}.{form}", 0..14, EndUnclear),
            ("{values}.{names}.{body}", 0..8, EndUnclear),
            ("{header:x:any}{body}", 14..20, NothingBetween),
            ("{url}.{id}.{body}", 0..5, EndUnclear),
            ("{path}{timestamp}:{header:x}.{body}", 0..6, EndUnclear),
            ("{header:x:all}.{body}", 0..14, Unknown),
            ("{id}{header:x}.{body}", 4..14, NothingBetween),
        ] {
            assert_eq!(Template::parse(text), Err(TemplateError { at, fault }), "{text}");
        }
    }
}
