//! Pure. The template of the text that a sender signs. It is parsed once, and then filled with the bytes of
//! each request.
//!
//! Text from a sender is never parsed as a template, and cannot move the boundary between two parts. In the
//! signed text, each variable part ends where it ended in the request. An identifier or a field cannot
//! contain the text that follows it in the template. Of two parts with nothing between them, at most one can
//! have any length.

mod error;
mod part;
mod part_borders;

use std::ops::Range;

pub use self::error::{TemplateError, TemplateFault};
pub use self::part::{Body, DigestClaim, PARTS, Part};
use self::part::{Piece, variable};
use self::part_borders::{ends, is_unclear_url, seams};
use super::borders::{self, MeetsUrl};
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

/// The values of a template's parts in one request.
pub trait Values {
    /// Appends the bytes of a part. `next` is the part behind it. `None` if the request has no valid value
    /// for the part.
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

/// The bytes of `parts` on one side of the content. `meets` says whether a URL among them has no clear border
/// with the content.
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

const BODY: &str = "{body}";

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
