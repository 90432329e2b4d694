//! Pure. JSON as a tree: as it was sent, with the order of the keys, repeated keys, and the notation of numbers.

use maud::{Markup, html};
use serde::de::IgnoredAny;

use super::text;

/// A JSON value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node<'j> {
    Object(Vec<(String, Node<'j>)>),
    Array(Vec<Node<'j>>),
    Text(String),
    /// A number, `true`, `false` or `null`.
    Literal(&'j str),
}

/// Reads JSON. `None` if the bytes are not JSON. The parser of `serde_json` judges first, and it bounds the depth.
pub(crate) fn parse(bytes: &[u8]) -> Option<Node<'_>> {
    serde_json::from_slice::<IgnoredAny>(bytes).ok()?;
    Scanner { rest: std::str::from_utf8(bytes).ok()? }.node()
}

/// Reads text that is known to be JSON.
struct Scanner<'j> {
    rest: &'j str,
}

impl<'j> Scanner<'j> {
    fn node(&mut self) -> Option<Node<'j>> {
        match self.peek()? {
            '{' => {
                let mut members = Vec::new();
                self.next('{')?;
                while self.peek()? != '}' {
                    let key = self.text()?;
                    self.next(':')?;
                    members.push((key, self.node()?));
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
                    elements.push(self.node()?);
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
        assert_eq!(parse(deep.as_bytes()), None, "no stack is exhausted");
    }

    #[test]
    fn keys_and_values_are_only_text() {
        let tree = parse(br#"{"<script>":"<img src=x>\u202e"}"#).unwrap().shown().into_string();
        assert!(!tree.contains("<script>") && !tree.contains("<img") && tree.contains("U+202E"), "{tree}");
        assert!(tree.contains("1 key "), "{tree}");
    }
}
