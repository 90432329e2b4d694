//! Pure. JSON as a tree: as it was sent, with the order of the keys, repeated keys, and the notation of
//! numbers.

use maud::{Markup, html};
use serde::de::IgnoredAny;

use super::text;

/// The most objects and arrays that contain one another in a tree. Reading and writing a tree take stack for
/// each, and browsers place no element deeper than 512. The client chooses the depth, so without a bound its
/// content would end the process.
const MOST_LEVELS: usize = 100;

/// A JSON value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node<'j> {
    Object(Vec<(String, Node<'j>)>),
    Array(Vec<Node<'j>>),
    Text(String),
    /// A number, `true`, `false` or `null`.
    Literal(&'j str),
    /// An object or array that is too deep for the tree.
    Deeper(&'j str),
}

/// Reads JSON. `None` if the bytes are not JSON. The parser of `serde_json` judges first. It reads a value
/// that is ignored at any depth, so the depth is bounded here.
pub(crate) fn parse(bytes: &[u8]) -> Option<Node<'_>> {
    serde_json::from_slice::<IgnoredAny>(bytes).ok()?;
    Scanner { rest: std::str::from_utf8(bytes).ok()? }.node(0)
}

/// Reads text that is known to be JSON.
struct Scanner<'j> {
    rest: &'j str,
}

impl<'j> Scanner<'j> {
    /// The next value, at this level of nested objects and arrays.
    fn node(&mut self, level: usize) -> Option<Node<'j>> {
        let inner = level.saturating_add(1);
        match self.peek()? {
            '{' | '[' if level >= MOST_LEVELS => self.deeper(),
            '{' => {
                let mut members = Vec::new();
                self.next('{')?;
                while self.peek()? != '}' {
                    let key = self.text()?;
                    self.next(':')?;
                    members.push((key, self.node(inner)?));
                    if self.peek()? == ',' {
                        self.next(',')?;
                    }
                }
                self.next('}')?;
                Some(Node::Object(members))
            }
            '[' => {
                let mut elements = Vec::new();
                self.next('[')?;
                while self.peek()? != ']' {
                    elements.push(self.node(inner)?);
                    if self.peek()? == ',' {
                        self.next(',')?;
                    }
                }
                self.next(']')?;
                Some(Node::Array(elements))
            }
            '"' => self.text().map(Node::Text),
            _ => {
                let end = self.rest.find(|c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace());
                let (literal, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
                self.rest = rest;
                Some(Node::Literal(literal))
            }
        }
    }

    /// The next object or array with its members, as it was sent.
    fn deeper(&mut self) -> Option<Node<'j>> {
        let (mut open, mut is_text, mut is_escaped) = (0_usize, false, false);
        let end = self.rest.bytes().position(|byte| {
            match byte {
                b'"' if !is_escaped => is_text = !is_text,
                b'{' | b'[' if !is_text => open = open.saturating_add(1),
                b'}' | b']' if !is_text => open = open.saturating_sub(1),
                _ => {}
            }
            is_escaped = byte == b'\\' && is_text && !is_escaped;
            open == 0
        })?;
        let (value, rest) = self.rest.split_at_checked(end.checked_add(1)?)?;
        self.rest = rest;
        Some(Node::Deeper(value))
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.chars().next()
    }

    fn next(&mut self, character: char) -> Option<()> {
        self.peek()?;
        self.rest = self.rest.strip_prefix(character)?;
        Some(())
    }

    fn text(&mut self) -> Option<String> {
        self.peek()?;
        let inner = self.rest.strip_prefix('"')?;
        let mut is_escaped = false;
        let end = inner.bytes().position(|byte| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            ends
        })?;
        // With both quotation marks.
        let (literal, rest) = self.rest.split_at_checked(end.checked_add(2)?)?;
        self.rest = rest;
        serde_json::from_str(literal).ok()
    }
}

impl Node<'_> {
    /// The tree. Objects and arrays can be closed.
    pub(crate) fn shown(&self) -> Markup {
        html! { div.tree { ul { li { (self.part()) } } } }
    }

    fn part(&self) -> Markup {
        match self {
            Self::Object(members) if members.is_empty() => html! { "{}" },
            Self::Array(elements) if elements.is_empty() => html! { "[]" },
            Self::Object(members) => html! {
                details open {
                    summary { "{" span.detail { " " (members.len()) " " (noun(members.len(), "key")) " " } "}" }
                    ul { @for (key, node) in members { li { span.key { (text::line(key)) } ": " (node.part()) } } }
                }
            },
            Self::Array(elements) => html! {
                details open {
                    summary { "[" span.detail { " " (elements.len()) " " (noun(elements.len(), "element")) " " } "]" }
                    ul { @for node in elements { li { (node.part()) } } }
                }
            },
            Self::Text(text) => html! { span.text { "\"" (text::line(text)) "\"" } },
            Self::Literal(literal) => html! { span.literal { (text::line(literal)) } },
            Self::Deeper(value) => {
                html! { span.literal { (text::line(value)) } span.detail { " (deeper than a tree shows)" } }
            }
        }
    }
}

fn noun(count: usize, one: &str) -> String {
    if count == 1 { one.to_owned() } else { format!("{one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_shown_as_it_was_sent() {
        let sent = br#" {"b": 1.0, "a" :[true,null, -1e5,""], "b":{ } , "esc\"\\":"\u202e\n"} "#;
        let text = |text: &str| Node::Text(text.to_owned());
        let want = Node::Object(vec![
            ("b".to_owned(), Node::Literal("1.0")),
            (
                "a".to_owned(),
                Node::Array(vec![
                    Node::Literal("true"),
                    Node::Literal("null"),
                    Node::Literal("-1e5"),
                    text(""),
                ]),
            ),
            ("b".to_owned(), Node::Object(Vec::new())),
            ("esc\"\\".to_owned(), text("\u{202e}\n")),
        ]);
        assert_eq!(parse(sent), Some(want));
        assert_eq!(parse(b"12"), Some(Node::Literal("12")));
        for wrong in [&b"{"[..], b"", b"{\"a\":1,}", b"\xff", b"[1] x"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        let deep = "[".repeat(10_000);
        assert_eq!(parse(deep.as_bytes()), None);
    }

    #[test]
    fn what_is_too_deep_for_a_tree_is_text_and_takes_no_stack() {
        let nested = |levels: usize| format!("{}{}", r#"{"a":["#.repeat(levels / 2), "]}".repeat(levels / 2));
        let shown = |sent: &str| parse(sent.as_bytes()).unwrap().shown().into_string();
        let note = "(deeper than a tree shows)";
        let (at, over) = (shown(&nested(MOST_LEVELS)), shown(&nested(MOST_LEVELS + 2)));
        assert!(!at.contains(note) && over.matches(note).count() == 1, "{over}");
        assert!(over.contains("{&quot;a&quot;:[]}"), "{over}");
        // As deep as content that a page shows can be.
        assert!(shown(&nested(20_000)).contains(note));
        let quoted =
            format!(r#"{}[ "]\"[\\", 1], "next" {}"#, "[".repeat(MOST_LEVELS), "]".repeat(MOST_LEVELS));
        let quoted = shown(&quoted);
        assert!(
            quoted.contains(r"[ &quot;]\&quot;[\\&quot;, 1]<") && quoted.contains("&quot;next&quot;"),
            "{quoted}"
        );
    }

    #[test]
    fn keys_and_values_are_only_text() {
        let tree = parse(br#"{"<script>":"<img src=x>\u202e"}"#).unwrap().shown().into_string();
        assert!(!tree.contains("<script>") && !tree.contains("<img") && tree.contains("U+202E"), "{tree}");
        assert!(tree.contains("1 key "), "{tree}");
    }
}
