//! Pure. The spellings of a JSON text: the same tokens in the same order, with other white space and other
//! escapes.
//!
//! Only strings and the bytes between them are parsed. Content that is not JSON results in a text that does
//! not verify. Each spelling reads the content once, from beginning to end.

/// The content in another spelling.
pub(crate) struct Spelling {
    /// The text. `None` if the content cannot be spelled in this way. The text is at most a little longer
    /// than [`GROWTH`] times the content.
    pub(crate) text: Option<Vec<u8>>,
    /// How many bytes of content were visited.
    pub(crate) visited: usize,
}

/// The content as common libraries write JSON. Empty unless the content may be an object or an array. Each
/// spelling is made when the caller asks for it.
pub(crate) fn spellings(content: &[u8]) -> impl Iterator<Item = Spelling> {
    let is_json = matches!(content.trim_ascii_start().first(), Some(b'{' | b'['));
    let styles = STYLES.iter().filter(move |_| is_json);
    styles.map(move |(space, escapes)| {
        let mut reader = Reader { rest: content, visited: 0 };
        let text = spell(&mut reader, *space, *escapes);
        Spelling { text, visited: reader.visited }
    })
}

/// The number of spellings.
#[cfg(test)]
pub(crate) const MOST: usize = STYLES.len();

#[derive(Clone, Copy)]
enum Space {
    /// No white space.
    Nothing,
    /// One space after each `:` and `,`, as Python writes it.
    Single,
    /// Each value on its own line. Each level is indented by this many spaces.
    Lines(usize),
}

#[derive(Clone, Copy)]
enum Escapes {
    /// The escapes of the content.
    Kept,
    /// Escapes only where JSON requires them, as JavaScript, Go and Ruby write them.
    Few,
    /// Escapes for all characters outside ASCII, as Python writes them.
    Ascii,
    /// Escapes for all characters outside ASCII and for slashes, as PHP writes them.
    AsciiAndSlash,
}

const STYLES: [(Space, Escapes); 8] = [
    (Space::Nothing, Escapes::Kept),
    (Space::Single, Escapes::Kept),
    (Space::Nothing, Escapes::Few),
    (Space::Nothing, Escapes::AsciiAndSlash),
    (Space::Single, Escapes::Ascii),
    (Space::Nothing, Escapes::Ascii),
    (Space::Lines(2), Escapes::Kept),
    (Space::Lines(4), Escapes::Kept),
];

/// The longest result, as a multiple of the content. Guards against deep nesting: every level makes the
/// indentation longer.
const GROWTH: usize = 6;

/// The rest of the content, and how many bytes were visited.
struct Reader<'c> {
    rest: &'c [u8],
    visited: usize,
}

impl<'c> Reader<'c> {
    fn visit(&mut self, bytes: usize) {
        self.visited = self.visited.saturating_add(bytes);
    }

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.visit(1);
        Some(*byte)
    }

    /// Reads a string, with its closing quotation mark.
    fn string(&mut self) -> Option<&'c [u8]> {
        let mut escaped = false;
        let end = self.rest.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        self.visit(end.unwrap_or(self.rest.len()));
        let (inside, rest) = self.rest.split_at_checked(end?)?;
        self.rest = rest.split_first()?.1;
        Some(inside)
    }
}

fn spell(reader: &mut Reader<'_>, space: Space, escapes: Escapes) -> Option<Vec<u8>> {
    let most = reader.rest.len().saturating_mul(GROWTH).saturating_add(64);
    let mut out = Vec::with_capacity(reader.rest.len().saturating_mul(2));
    let mut depth: usize = 0;
    // Whether a bracket was opened and nothing has followed it yet.
    let mut is_empty = false;
    while let Some(byte) = reader.next() {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            continue;
        }
        let was_empty = std::mem::take(&mut is_empty);
        if was_empty && !matches!(byte, b'}' | b']') {
            line(&mut out, space, depth, most);
        }
        match byte {
            b'"' => {
                let inside = reader.string()?;
                reader.visit(inside.len());
                respell(&mut out, inside, escapes)?;
            }
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                out.push(byte);
                is_empty = true;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !was_empty {
                    line(&mut out, space, depth, most);
                }
                out.push(byte);
            }
            b':' | b',' => {
                out.push(byte);
                match space {
                    Space::Nothing => {}
                    Space::Lines(_) if byte == b',' => line(&mut out, space, depth, most),
                    Space::Single | Space::Lines(_) => out.push(b' '),
                }
            }
            other => out.push(other),
        }
        if out.len() > most {
            return None;
        }
    }
    Some(out)
}

/// Begins a new line, if each value has its own line.
fn line(out: &mut Vec<u8>, space: Space, depth: usize, most: usize) {
    if let Space::Lines(width) = space {
        out.push(b'\n');
        let indent = depth.saturating_mul(width).min(most);
        out.resize(out.len().saturating_add(indent), b' ');
    }
}

/// Appends a string with other escapes. `None` if the text between the quotation marks is not a JSON string.
fn respell(out: &mut Vec<u8>, inside: &[u8], escapes: Escapes) -> Option<()> {
    let string = [b"\"", inside, b"\""].concat();
    if matches!(escapes, Escapes::Kept) {
        out.extend_from_slice(&string);
        return Some(());
    }
    let text: String = serde_json::from_slice(&string).ok()?;
    for c in serde_json::to_string(&text).ok()?.chars() {
        match (c, escapes) {
            ('/', Escapes::AsciiAndSlash) => out.extend_from_slice(b"\\/"),
            (c, Escapes::Ascii | Escapes::AsciiAndSlash) if !c.is_ascii() => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
            (c, _) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn texts(content: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        spellings(content).filter_map(|spelling| spelling.text)
    }

    fn has(content: &str, spelling: &str) -> bool {
        texts(content.as_bytes()).any(|other| other == spelling.as_bytes())
    }

    #[test]
    fn a_text_is_spelled_as_the_usual_libraries_spell_it() {
        let javascript = r#"{"a":[1,2],"url":"https://x/é🦀","q":"\"\\ , : \n","e":[],"o":{}}"#;
        let python =
            r#"{"a": [1, 2], "url": "https://x/\u00e9\ud83e\udd80", "q": "\"\\ , : \n", "e": [], "o": {}}"#;
        let php = r#"{"a":[1,2],"url":"https:\/\/x\/\u00e9\ud83e\udd80","q":"\"\\ , : \n","e":[],"o":{}}"#;
        let lines =
            serde_json::to_string_pretty(&json!({"a": [1, {"b": "c"}], "e": [], "o": {}, "z": {"y": null}}))
                .unwrap();
        for received in [javascript, python, php] {
            for signed in [javascript, python, php] {
                assert!(has(received, signed), "{received} as {signed}");
            }
        }
        let compact = r#"{"a":[1,{"b":"c"}],"e":[],"o":{},"z":{"y":null}}"#;
        assert!(has(compact, &lines) && has(&lines, compact));
    }

    #[test]
    fn what_has_to_be_escaped_stays_so() {
        assert!(has(r#"["\u0000\u0022\u005c\u001f"]"#, r#"["\u0000\u0022\u005c\u001f"]"#));
        assert!(has(r#"["\ud83e"]"#, r#"["\ud83e"]"#), "half of a pair");
        assert!(!has(r#"["\u0022"]"#, r#"["""]"#));
    }

    #[test]
    fn what_is_no_object_or_array_has_no_spellings() {
        for content in ["", "a b", "1", "\"a\": 1", "{\"never ends"] {
            assert_eq!(texts(content.as_bytes()).count(), 0, "{content}");
        }
        assert_eq!(texts(b"[\"\xff\"]").count(), 4, "only those that look into no string");
    }

    #[test]
    fn deep_nesting_does_not_grow_without_end() {
        for content in [b"[".repeat(100_000), b"[1,".repeat(50_000)] {
            let long = texts(&content).map(|spelling| spelling.len()).max().unwrap();
            assert!(long <= content.len() * GROWTH + 64);
        }
    }

    #[test]
    fn no_byte_is_visited_more_than_three_times() {
        let shapes: [fn(usize) -> String; 9] = [
            |n| format!("{{{}}}", " ".repeat(n)),
            |n| format!("[{}", "\r\n".repeat(n)),
            |n| "[ ".repeat(n),
            |n| "{ ".repeat(n) + &" }".repeat(n),
            |n| format!("[\"{}", "\\\\".repeat(n)),
            |n| format!("[{}]", "\"\\u00e9\",".repeat(n)),
            |n| format!("[\"{}\"]", "\\ud83e".repeat(n)),
            |n| format!("[\"{}\"]", "é".repeat(n)),
            |n| format!("[{}", "\"\" ".repeat(n)),
        ];
        for shape in shapes {
            let content = shape(10_000);
            for spelling in spellings(content.as_bytes()) {
                assert!(spelling.visited <= 3 * content.len(), "{}: {}", &content[..20], spelling.visited);
            }
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<String>().prop_map(Value::from), any::<i32>().prop_map(Value::from)];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_spelling_says_the_same(value in value()) {
            let value = json!([value]);
            let written = value.to_string();
            prop_assert!(has(&written, &written));
            prop_assert_eq!(texts(written.as_bytes()).count(), MOST);
            for spelling in texts(written.as_bytes()) {
                let read: Value = serde_json::from_slice(&spelling).unwrap();
                prop_assert_eq!(&read, &value);
            }
        }

        #[test]
        fn no_content_panics(content: Vec<u8>, like in "[\\[\\]{}:,\"\\\\ud8e/a ]{0,60}") {
            let _any = spellings(&[b"[", content.as_slice()].concat()).count();
            let _any = spellings(&[b"[", like.as_bytes()].concat()).count();
        }
    }
}
