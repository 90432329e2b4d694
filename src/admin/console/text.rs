//! Pure. Shows text that others have sent. The text never becomes markup, and nothing in it is invisible:
//! control characters, characters that change the direction of text, and bytes that are not UTF-8 are shown
//! as their codes.

use maud::{Markup, html};
use serde::Serialize;

use crate::telemetry::hidden_characters::is_hidden;

/// Whether line feeds and tabs are shown as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// The text is one line. A line feed is shown as its code.
    One,
    /// The text is in a block that keeps its lines.
    Many,
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    /// Characters that are shown as they are.
    Plain(&'t str),
    /// A character that would not be seen, or would change how others are seen.
    Hidden(char),
    /// Bytes that are not UTF-8.
    Bytes(&'t [u8]),
}

/// Shows bytes that may be text.
pub(crate) fn bytes(bytes: &[u8], lines: Lines) -> Markup {
    let mut parts = Vec::new();
    for chunk in bytes.utf8_chunks() {
        split(chunk.valid(), lines, &mut parts);
        if !chunk.invalid().is_empty() {
            parts.push(Part::Bytes(chunk.invalid()));
        }
    }
    shown(&parts)
}

/// A piece of a text of one line, for the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Piece {
    /// Characters that are shown as they are.
    Text(String),
    /// The code of an invisible character.
    Hidden(String),
    /// A name, a key or a command.
    Code(String),
}

/// The beginning of a text of one line, in pieces, as [`beginning`] shows the text.
pub(crate) fn pieces(text: &str, most: usize) -> Vec<Piece> {
    let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
    let cut = (end < text.len()).then(|| Piece::Text("…".to_owned()));
    pieces_of(text.get(..end).unwrap_or_default(), Piece::Text).into_iter().chain(cut).collect()
}

/// The beginning of a sentence that the gateway wrote, in pieces, as [`sentence`] shows the sentence.
pub(crate) fn sentence_pieces(text: &str, most: usize) -> Vec<Piece> {
    if !has_names(text, most) {
        return pieces(text, most);
    }
    let kinds = [Piece::Text, Piece::Code].into_iter().cycle();
    text.split('`').zip(kinds).flat_map(|(part, kind)| pieces_of(part, kind)).collect()
}

fn pieces_of(text: &str, plain: fn(String) -> Piece) -> Vec<Piece> {
    let mut parts = Vec::new();
    split(text, Lines::One, &mut parts);
    let piece = |part: &Part<'_>| match part {
        Part::Plain(text) => plain((*text).to_owned()),
        Part::Hidden(character) => Piece::Hidden(code(*character)),
        Part::Bytes(_) => Piece::Text(String::new()),
    };
    parts.iter().map(piece).collect()
}

/// Shows a text of one line.
pub(crate) fn line(text: &str) -> Markup {
    bytes(text.as_bytes(), Lines::One)
}

/// Shows the beginning of a text of one line, at most `most` characters.
pub(crate) fn beginning(text: &str, most: usize) -> Markup {
    match text.char_indices().nth(most) {
        None => line(text),
        Some((end, _)) => html! { (line(text.get(..end).unwrap_or_default())) "…" },
    }
}

/// Shows the beginning of a sentence of ours. What stands between backticks is shown as code.
pub(crate) fn sentence(text: &str, most: usize) -> Markup {
    if !has_names(text, most) {
        return beginning(text, most);
    }
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index.is_multiple_of(2) { (line(part)) } @else { code { (line(part)) } }
        }
    }
}

/// Whether a sentence is shown completely, and has each name between two backticks.
fn has_names(text: &str, most: usize) -> bool {
    text.chars().nth(most).is_none() && text.matches('`').count().is_multiple_of(2)
}

fn split<'t>(text: &'t str, lines: Lines, parts: &mut Vec<Part<'t>>) {
    let mut rest = text;
    while let Some((at, character)) = rest.char_indices().find(|(_, character)| is_coded(*character, lines)) {
        let (before, after) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(Part::Plain(before));
        }
        parts.push(Part::Hidden(character));
        rest = after.get(character.len_utf8()..).unwrap_or_default();
    }
    if !rest.is_empty() {
        parts.push(Part::Plain(rest));
    }
}

/// Whether a character is shown as its code. This holds for a character that is invisible or changes the
/// order of other characters (Unicode TR 36), and for a character of private use, whose look depends on the
/// font.
fn is_coded(character: char, lines: Lines) -> bool {
    match character {
        '\n' | '\t' => lines == Lines::One,
        '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}' => true,
        character => is_hidden(character),
    }
}

fn shown(parts: &[Part<'_>]) -> Markup {
    html! {
        @for part in parts {
            @match part {
                Part::Plain(text) => (text),
                Part::Hidden(character) => span.code { (code(*character)) },
                Part::Bytes(bytes) => span.code { @for byte in *bytes { (format!("\\x{byte:02X}")) } },
            }
        }
    }
}

/// The code of a character that is not shown.
fn code(character: char) -> String {
    match character {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\0'..='\x7f' => format!("\\x{:02X}", u32::from(character)),
        character => format!("U+{:04X}", u32::from(character)),
    }
}

/// A word of a POSIX shell with exactly these bytes. The word contains only visible ASCII, so a person sees
/// all that is copied. Other bytes are written with three octal digits: after `\x`, POSIX does not say how
/// many digits a shell reads.
pub(crate) fn shell_word(bytes: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:=@%,".contains(byte);
    let is_visible = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let text = String::from_utf8_lossy(bytes);
    // zsh takes `=word` for the path of a program.
    if !bytes.is_empty() && !bytes.starts_with(b"=") && bytes.iter().all(is_plain) {
        return text.into_owned();
    }
    if bytes.iter().all(is_visible) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let escaped = bytes.iter().map(|byte| match byte {
        b'\'' => "\\'".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\t' => "\\t".to_owned(),
        byte if is_visible(byte) => char::from(*byte).to_string(),
        byte => format!("\\{byte:03o}"),
    });
    format!("$'{}'", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_script_are_only_text() {
        let hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>&lt;\"'";
        let text = line(hostile).into_string();
        assert!(!text.contains('<'), "{text}");
        assert!(text.contains("&lt;script&gt;") && text.contains("&amp;lt;"), "{text}");
    }

    #[test]
    fn invisible_characters_and_bytes_that_are_no_text_are_shown_as_codes() {
        for (given, want) in [
            ("a\u{202e}b", "U+202E"),
            ("a\u{2066}b", "U+2066"),
            ("a\u{200b}b", "U+200B"),
            ("a\u{feff}b", "U+FEFF"),
            ("a\u{e0041}b", "U+E0041"),
            ("a\u{1b}[31mb", "\\x1B"),
            ("a\u{9b}31mb", "U+009B"),
            ("a\0b", "\\x00"),
            ("a\nb", "\\n"),
        ] {
            let text = line(given).into_string();
            let code = format!("a<span class=\"code\">{want}</span>");
            assert!(text.starts_with(&code), "{text}");
            assert!(text.ends_with('b'), "{text}");
        }
        let binary = bytes(b"a\xff\xfe\nb", Lines::Many).into_string();
        assert_eq!(binary, "a<span class=\"code\">\\xFF</span><span class=\"code\">\\xFE</span>\nb");
        assert_eq!(line("Grüße, 世界 🎉").into_string(), "Grüße, 世界 🎉", "what can be seen stays");
    }

    #[test]
    fn what_stands_between_backticks_in_a_sentence_is_code_and_only_text() {
        for (given, want) in [
            ("no `path` is <this>", "no <code>path</code> is &lt;this&gt;"),
            ("`<b>`", "<code>&lt;b&gt;</code>"),
            ("an odd `mark", "an odd `mark"),
            ("a `sentence` that is too long", "a `sentence` that is…"),
        ] {
            assert_eq!(sentence(given, 20).into_string(), want);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(beginning("äöü", 3).into_string(), "äöü");
        assert_eq!(beginning("äöüx", 3).into_string(), "äöü…");
    }

    #[test]
    fn a_word_of_the_shell_has_exactly_the_bytes_and_only_visible_characters() {
        for (given, want) in [
            (&b"/webhook/leases"[..], "/webhook/leases"),
            (b"", "''"),
            (b"a b", "'a b'"),
            (b"it's $(x) `y`", r"'it'\''s $(x) `y`'"),
            (b"a\nb\\'\xff\x1b", r"$'a\nb\\\'\377\033'"),
            (b"\x1babc", r"$'\033abc'"),
            (b"=ls", "'=ls'"),
            ("\u{202e}".as_bytes(), r"$'\342\200\256'"),
        ] {
            assert_eq!(shell_word(given), want);
        }
    }
}
