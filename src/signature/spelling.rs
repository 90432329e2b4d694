//! Pure. The spellings of a URL's target that senders sign: a sender may sign characters that the request has
//! percent-encoded.
//!
//! Decoding must not make a signature valid for a target that an app reads differently from the signed
//! target. So a character that divides a target counts in one spelling only.

use std::borrow::Cow;

use super::form;

/// Appends the text that HubSpot signs for a target. HubSpot decodes these percent-encodings before it signs:
/// `: / ? @ ! $ ' ( ) * , ;`.
///
/// `None` if another target, which an app reads differently, has the same text. The gateway and apps choose
/// routes by the path, so the path must have none of these encodings. Some apps divide the query at `;`, so
/// the query must have `;` only encoded, as HubSpot sends it.
pub(super) fn append_decoded(target: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let path = form::path(target);
    if decoded(path, DECODED).any(|(_, was_encoded)| was_encoded) {
        return None;
    }
    to.extend_from_slice(path);
    let behind = target.get(path.len()..).unwrap_or_default();
    for (byte, was_encoded) in decoded(behind, DECODED) {
        if byte == b';' && !was_encoded {
            return None;
        }
        to.push(byte);
    }
    Some(())
}

/// The texts of a target that Twilio may have signed: as received first, and then with some percent-encodings
/// of the query decoded. Twilio signs `:`, `@` and `'` before its client encodes them, but signs the
/// encodings that the receiver's own URL has. An app reads the query alike in all texts.
pub(super) fn variants(target: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let path = form::path(target);
    let query = target.get(path.len()..).unwrap_or_default();
    let mut all = vec![Cow::Borrowed(target)];
    for plain in VARIANTS {
        let spelled: Vec<u8> =
            path.iter().copied().chain(decoded(query, plain).map(|(byte, _)| byte)).collect();
        if !all.iter().any(|other| **other == *spelled) {
            all.push(Cow::Owned(spelled));
        }
    }
    all
}

/// The characters that Twilio may sign without their percent-encodings, in the order of the trials.
const VARIANTS: [&[u8]; 3] = [b":@'", b":@", b"'"];

/// The characters whose percent-encodings HubSpot decodes.
const DECODED: &[u8] = b":/?@!$'()*,;";

/// The bytes of a text after the percent-encodings of `plain` characters are decoded. Each byte comes with
/// whether it was encoded.
fn decoded<'t>(text: &'t [u8], plain: &'static [u8]) -> impl Iterator<Item = (u8, bool)> + 't {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (byte, tail) = rest.split_first()?;
        let encoded = (*byte == b'%').then(|| form::percent_decoded(tail)).flatten();
        let encoded = encoded.filter(|(byte, _)| plain.contains(byte));
        let (byte, tail, was_encoded) = match encoded {
            Some((byte, tail)) => (byte, tail, true),
            None => (*byte, tail, false),
        };
        rest = tail;
        Some((byte, was_encoded))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signed(target: &str) -> Option<String> {
        let mut text = Vec::new();
        append_decoded(target.as_bytes(), &mut text)?;
        Some(String::from_utf8(text).unwrap())
    }

    #[test]
    fn of_a_query_only_what_hubspot_decodes_is_decoded() {
        for (target, want) in [
            ("/a?b=c", "/a?b=c"),
            ("/a?%3a%2F%3F%40%21%24%27%28%29%2A%2C%3B", "/a?:/?@!$'()*,;"),
            ("/%20%26%3D%23%25%2B%41", "/%20%26%3D%23%25%2B%41"),
            ("/a?%20%26%3D%23%25%2B%41", "/a?%20%26%3D%23%25%2B%41"),
            ("/a?%253A%", "/a?%253A%"),
            ("/a?%3", "/a?%3"),
            ("/a?%%3A", "/a?%:"),
            ("/a:b@c;d?b=:@/?", "/a:b@c;d?b=:@/?"),
        ] {
            assert_eq!(signed(target).as_deref(), Some(want), "{target}");
        }
    }

    #[test]
    fn a_query_has_a_few_variants_and_a_path_has_none() {
        let all = |target: &str| -> Vec<String> {
            let all = variants(target.as_bytes());
            all.iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
        };
        assert_eq!(all("/a%27b"), ["/a%27b"]);
        assert_eq!(all("/a?b=%2F%3D%26%23%3B"), ["/a?b=%2F%3D%26%23%3B"]);
        assert_eq!(all("/a%40?b=sip%3a7%40h"), ["/a%40?b=sip%3a7%40h", "/a%40?b=sip:7@h"]);
        assert_eq!(
            all("/a?b=it%27s&c=%40"),
            ["/a?b=it%27s&c=%40", "/a?b=it's&c=@", "/a?b=it%27s&c=@", "/a?b=it's&c=%40"]
        );
    }

    #[test]
    fn an_encoding_that_an_app_may_read_as_a_divider_is_not_decoded_but_refused() {
        for target in ["/deals%3Fto=7", "/crm%2fdeals?to=7", "/a%3Bb", "/a%40b?c", "/a%3ab", "/a?to=7;x=1"] {
            assert_eq!(signed(target), None, "{target}");
        }
    }

    /// The path, and the decoded texts of the query between its dividers.
    fn as_read(target: &str) -> (String, Vec<Vec<u8>>) {
        let path = String::from_utf8(form::path(target.as_bytes()).to_vec()).unwrap();
        let query = target.get(path.len()..).unwrap().as_bytes();
        let texts = query.split(|byte| b"&=;#".contains(byte));
        let plain = |text: &[u8]| decoded(text, DECODED).map(|(byte, _)| byte).collect();
        (path, texts.map(plain).collect())
    }

    proptest! {
        /// No forger can send another target under a signature. Two targets with the same signed text have
        /// the same path, and every app reads their queries alike.
        #[test]
        fn targets_with_the_same_signed_text_are_read_alike(
            pieces in proptest::collection::vec((0usize..12, any::<bool>(), any::<bool>()), 0..8),
            one in "(/|/a|/a\\?)", other in "(/|/a|/a\\?)",
        ) {
            let spelled = |begin: &str, which: fn(&(usize, bool, bool)) -> bool| {
                pieces.iter().fold(begin.to_owned(), |mut text, piece| {
                    let byte = b"/?:;@a&=,'%#"[piece.0];
                    match which(piece) {
                        true => text.push_str(&format!("%{byte:02X}")),
                        false => text.push(char::from(byte)),
                    }
                    text
                })
            };
            let (one, other) = (spelled(&one, |piece| piece.1), spelled(&other, |piece| piece.2));
            if let (Some(text), Some(same)) = (signed(&one), signed(&other))
                && text == same
            {
                prop_assert_eq!(as_read(&one), as_read(&other), "{} and {}", one, other);
            }
        }
    }
}
