//! Pure. Undoes envelopes: content that a program on the way has put into a JSON member or a form field, or
//! has taken out of it.
//!
//! The content is searched, not parsed. A text that was never in an envelope does not verify.

use memchr::memmem;

use crate::diagnosis::causes::form_spelling;

/// The texts that the content may be an envelope of. At most `MOST_INSIDE`.
pub(super) fn inside(content: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let is_object = content.trim_ascii_start().starts_with(b"{");
    let only = is_object.then(|| only_member(content)).flatten();
    let only_text = only.and_then(text);
    let members = MEMBERS.iter().filter(move |_| is_object).filter_map(|name| text(member(content, name)?));
    let field = form_spelling::first_value(content);
    only.map(<[u8]>::to_vec).into_iter().chain(only_text).chain(members).chain(field)
}

/// The envelopes that the content may have been taken out of. At most [`MOST_AROUND`].
pub(super) fn around(content: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let is_json = matches!(content.trim_ascii_start().first(), Some(b'{' | b'['));
    let members = BEFORE_PAYLOAD.into_iter().map(move |before| [before, content, b"}"].concat());
    let fields = form_spelling::with_field(b"payload", content);
    members.chain(fields).filter(move |_| is_json)
}

/// The value of an object's only member. If there are several members, some text that does not verify.
fn only_member(content: &[u8]) -> Option<&[u8]> {
    let members = content.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    let name = members.trim_ascii_start().strip_prefix(b"\"")?;
    let value = name.get(end_of_string(name)?..)?;
    Some(value.trim_ascii_start().strip_prefix(b":")?.trim_ascii())
}

/// The value of the first member with this name, and the text after it.
fn member<'c>(content: &'c [u8], name: &str) -> Option<&'c [u8]> {
    let name = format!("\"{name}\"");
    let at = memmem::find(content, name.as_bytes())?;
    let value = content.get(at.saturating_add(name.len())..)?;
    Some(value.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

/// The text of the JSON string at the beginning.
fn text(json: &[u8]) -> Option<Vec<u8>> {
    let end = end_of_string(json.strip_prefix(b"\"")?)?.saturating_add(1);
    serde_json::from_slice::<String>(json.get(..end)?).ok().map(String::into_bytes)
}

/// The length of a string with its closing quotation mark.
fn end_of_string(inside: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = inside.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map(|end| end.saturating_add(1))
}

/// The members in which gateways and queues pass a body on, as text.
const MEMBERS: [&str; 5] = ["body", "payload", "data", "message", "Message"];

/// What is before the content in an object with one member, as the usual libraries write it.
const BEFORE_PAYLOAD: [&[u8]; 2] = [b"{\"payload\":", b"{\"payload\": "];

/// The most texts that [`inside`] finds.
#[cfg(test)]
pub(super) const MOST_INSIDE: usize = 8;

/// The most texts that [`around`] makes.
#[cfg(test)]
pub(super) const MOST_AROUND: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn content_is_taken_out_of_its_envelope() {
        let signed = r#"{"a":"b\n"}"#;
        let text = serde_json::to_string(signed).unwrap();
        for envelope in [
            format!(r#"{{"payload":{signed}}}"#),
            format!("{{ \"event\" : {signed}\n}}"),
            format!(r#"{{"anything": {text}}}"#),
            format!(r#"{{"resource":"/hook","body":{text},"isBase64Encoded":false}}"#),
            format!(r#"{{"Type":"Notification","Message" : {text}}}"#),
            "payload=%7B%22a%22%3A%22b%5Cn%22%7D".to_owned(),
        ] {
            assert!(inside(envelope.as_bytes()).any(|text| text == signed.as_bytes()), "{envelope}");
        }
        for content in
            ["", "{", "{}", "[1]", "{\"a", "{\"a\"", "{\"a\":", "{\"body\"", "{\"body\":\"", "text"]
        {
            assert!(inside(content.as_bytes()).all(|text| text.is_empty()), "{content}");
        }
    }

    #[test]
    fn content_is_put_back_into_its_envelope() {
        let around = |envelope: &str| around(br#"{"a": 1}"#).any(|text| text == envelope.as_bytes());
        assert!(around(r#"{"payload":{"a": 1}}"#) && around(r#"{"payload": {"a": 1}}"#));
        assert!(around("payload=%7B%22a%22%3A+1%7D"));
        assert_eq!(super::around(b"text").count(), 0);
    }

    proptest! {
        #[test]
        fn no_content_panics(content: Vec<u8>, like in "[\\[\\]{}:,\"\\\\ body]{0,60}") {
            for content in [&[b"{", content.as_slice()].concat(), &[b"{\"body\":", like.as_bytes()].concat()] {
                prop_assert!(inside(content).count() <= MOST_INSIDE);
                prop_assert!(around(content).count() <= MOST_AROUND);
            }
        }
    }
}
