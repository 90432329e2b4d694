//! Pure. The borders between the parts of a template: which neighbouring parts would let a forger move a
//! border.

use std::ops::Range;

use crate::signature::template::error::{TemplateError, TemplateFault};
use crate::signature::template::part::{Body, Part, Piece};

/// Refuses two neighbouring pieces if the end of the first is ambiguous.
pub(crate) fn seams(pieces: &[(Range<usize>, Piece)]) -> Result<(), TemplateError> {
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
pub(crate) fn ends(pieces: &[(Range<usize>, Piece)]) -> Result<(), TemplateError> {
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

/// Whether there is a URL among these parts, which lead away from the content, and nothing before it that no
/// URL has.
pub(crate) fn is_unclear_url<'p>(parts: impl Iterator<Item = &'p Part>) -> bool {
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
