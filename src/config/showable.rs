//! Pure. The parts of a configuration's text that a source line or a message may show. Such a part is known
//! not to be a secret, and has no possible credentials in a URL.

use std::borrow::Cow;
use std::ops::Range;

use crate::config::environment::is_variable_name;
use crate::config::redact::url;
use crate::config::{keys, other_words, suggest};

/// Whether the whole text may be shown as the value of this key.
pub(super) fn value(key: &str, content: &str) -> bool {
    is_no_secret(key, content) && credentials(key, content).is_empty()
}

/// The places of possible credentials in a value that is shown.
pub(super) fn credentials(key: &str, content: &str) -> Vec<Range<usize>> {
    // A file's name may contain an `@`.
    let is_file = key == "file" && !content.contains([':', '?']) && !content.starts_with("//");
    if is_file { Vec::new() } else { url::credentials(content) }
}

/// Whether this text may be shown as the value of this key, apart from credentials in it. Even the value of a
/// public key may contain a secret: if a quotation mark is missing, the next key and its value become a part
/// of the string.
pub(super) fn is_no_secret(key: &str, content: &str) -> bool {
    match key {
        "env" => is_variable_name(content),
        // These keys are next to the secret, so a user may write the secret here by mistake. The longest
        // valid word has nine letters.
        "encoding" | "role" => content.len() < 12 && is_plain(content),
        // A file's name, unless the file's content was written here.
        "cert" | "key" => is_plain(content) && !content.contains("--BEGIN"),
        key if keys::PUBLIC_IN_SIGNATURE.contains(&key) => is_plain(content) && !content.contains(','),
        key => keys::is_public(key) && is_plain(content),
    }
}

/// Whether a key may be shown in a place where it may be a piece of a secret. It must be a known key, or
/// differ from a known key by one typing error, or be the name of such a key in another program. If more
/// errors were allowed, pieces of secrets would look like keys.
pub(super) fn key(key: &str) -> bool {
    other_words::is_known(key)
        || keys::all().any(|known| known == key || (key.len() >= 4 && suggest::is_slip(key, known)))
}

/// The known key of which this key may be a misspelling. If there is none, the key itself.
pub(super) fn meant(key: &str) -> &str {
    if keys::all().any(|known| known == key) {
        return key;
    }
    suggest::nearest(key, keys::all()).unwrap_or(key)
}

/// Whether a key under which no secret belongs may be shown.
pub(super) fn is_plain_key(key: &str) -> bool {
    is_plain(key) && url::credentials(key).is_empty()
}

/// Whether a text is a single value. A string that includes the following text by mistake is not.
pub(super) fn is_plain(text: &str) -> bool {
    let of_one = |c: char| !c.is_control() && !matches!(c, '"' | '\'' | '\\');
    text.chars().all(of_one) && !(text.contains('=') && text.contains([' ', ',']))
}

/// A text of the file, for a message: without credentials, and `...` if the text is not plain.
pub(super) fn quote(text: &str) -> Cow<'_, str> {
    if is_plain(text) { url::redacted(text) } else { Cow::Borrowed("...") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_known_not_to_be_a_secret_is_shown() {
        for (key, content, want) in [
            ("listen", "127.0.0.1:8080", true),
            ("path", "/webhook/{model}", true),
            ("path", "/a?b=c", false),
            ("path", "/a@b", true),
            ("upstream", "http://app:3000", true),
            ("upstream", "http://me:hunter2@app:3000", false),
            ("upstream", "http://me:hunter2", false),
            ("public_url", "https://app/?token=hunter2", false),
            ("path", "/a, value=b", false),
            ("key", "tls/tls.key", true),
            ("key", "-----BEGIN PRIVATE KEY-----MIGHAgEAMBMG-----END PRIVATE KEY-----", false),
            ("path", "/a value = b", false),
            ("listen", "a\nb", false),
            ("name", "a b", true),
            ("name", "current, value hunter2", false),
            ("env", "HUNTER", true),
            ("env", "hunter2!", false),
            ("file", "/run/secrets/propify", true),
            ("file", "propify@1", true),
            ("file", "me:hunter2@app", false),
            ("value", "hunter2", false),
            ("vlaue", "hunter2", false),
            ("secrets", "hunter2", false),
            ("signature", "hunter2", false),
            ("colour", "green", false),
            ("server", "hunter2", false),
            ("", "hunter2", false),
        ] {
            assert_eq!(value(key, content), want, "{key} = {content}");
        }
        assert!(
            key("vlaue") && key("listen") && key("env") && !key("en") && !key("filaa") && !key("hunter2")
        );
    }
}
