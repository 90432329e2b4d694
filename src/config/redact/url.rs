//! Pure. Redacts the possible credentials of a URL in a text: its user information, query and fragment.
//!
//! The reader of a message, a log or a terminal must see which URL is meant, but never its credentials.
//! Messages are often about texts that are not valid URLs. So this module searches for the delimiters of a
//! URL, and in doubt redacts too much.

use std::borrow::Cow;
use std::ops::Range;

/// The places of possible credentials, in order. `text` is a single value: a string of gateway.toml, or an
/// argument.
#[must_use]
pub fn credentials(text: &str) -> Vec<Range<usize>> {
    let scheme = text.find("://").map(|at| at.saturating_add(3));
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_socket = text.starts_with("unix:");
    let start = match scheme {
        Some(start) => start,
        // Forms without a complete scheme: user:password@host, //user@host, http:/user@host.
        None if text.contains('@') && !is_path && !is_socket => {
            text.len().saturating_sub(text.trim_start_matches('/').len())
        }
        None if is_path => {
            return text.find('?').and_then(|at| behind(text, at)).into_iter().collect();
        }
        None => return Vec::new(),
    };
    let rest = text.get(start..).unwrap_or_default();
    // A password without percent-encoding may have any character, so the user information ends at the last
    // `@`.
    let host = rest.rfind('@').map_or(start, |at| start.saturating_add(at));
    let mut found = Vec::new();
    if host > start {
        found.push(start..host);
    }
    let tail = text.get(start..).and_then(|rest| rest.find(['?', '#'])).map(|at| start.saturating_add(at));
    let tail = tail.and_then(|at| behind(text, at));
    if let (true, Some(port)) = (scheme.is_some() && host == start, not_port(text, start)) {
        found.push(port);
    }
    match (tail, found.last_mut()) {
        (Some(tail), Some(last)) if tail.start <= last.end => last.end = tail.end,
        (Some(tail), _) => found.push(tail),
        (None, _) => {}
    }
    found
}

/// The place of the text after the character at `at`. `None` if there is no such text.
fn behind(text: &str, at: usize) -> Option<Range<usize>> {
    let start = at.saturating_add(1);
    (start < text.len()).then_some(start..text.len())
}

/// A text that stands where a port should be, but is not a port. It may be a password whose host was
/// forgotten.
fn not_port(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = text.get(start..)?;
    let authority = rest.get(..rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
    let host = if authority.starts_with('[') { authority.find(']').unwrap_or(0) } else { 0 };
    let colon = host.saturating_add(authority.get(host..)?.find(':')?);
    let port = authority.get(colon.saturating_add(1)..)?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    let from = start.saturating_add(colon).saturating_add(1);
    (!is_port).then(|| from..start.saturating_add(authority.len()))
}

/// The text with an asterisk for each byte of a possible credential.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let places = credentials(text);
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    let hidden = |at: usize| places.iter().any(|place| place.contains(&at));
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if hidden(at) {
            shown.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// A message with its credentials redacted. `values` are the arguments that the message may repeat.
#[must_use]
pub fn redacted_in(message: &str, values: &[String]) -> String {
    let mut message = message.to_owned();
    for value in values {
        let short = redacted(value);
        if short != *value {
            message = message.replace(value.as_str(), &short);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_information_query_and_fragment_are_hidden_and_the_rest_is_shown() {
        for (text, want) in [
            ("http://app:3000", "http://app:3000"),
            ("http://app:3000/hooks", "http://app:3000/hooks"),
            ("http://[::1]:3000/", "http://[::1]:3000/"),
            ("http://[::1]", "http://[::1]"),
            ("http://app:99999", "http://app:99999"),
            ("http://app:", "http://app:"),
            ("http://me@app", "http://**@app"),
            ("http://me:pw@app:3000/x", "http://*****@app:3000/x"),
            ("http://:pw@app", "http://***@app"),
            ("http://@app", "http://@app"),
            ("HTTPS://me:pw@app", "HTTPS://*****@app"),
            ("postgres://me:p@w/x@app/db", "postgres://********@app/db"),
            ("http://me:p?w@app", "http://**********"),
            ("http://me:p#w@app", "http://**********"),
            ("http://app/x?token=pw", "http://app/x?********"),
            ("http://app/x#pw", "http://app/x#**"),
            ("http://app/?", "http://app/?"),
            ("http://app/?to=a@b", "http://***********"),
            ("http://app:pw", "http://app:**"),
            ("http://app:pw]", "http://app:***"),
            ("http://app:3000x/y?z", "http://app:*****/y?*"),
            ("http://[::1]:pw", "http://[::1]:**"),
            ("me:pw@app:3000", "*****@app:3000"),
            ("//me:pw@app", "//*****@app"),
            ("http:/me:pw@app", "***********@app"),
            ("http:me:pw@app", "**********@app"),
            ("unix://me:pw@app", "unix://*****@app"),
            ("unix:/run/app@1.sock", "unix:/run/app@1.sock"),
            ("/webhook?token=pw", "/webhook?********"),
            ("/@me/hook", "/@me/hook"),
            ("/#value", "/#value"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("{path}?{query}", "{path}?{query}"),
            ("http://mé:pw@app", "http://******@app"),
            ("", ""),
        ] {
            assert_eq!(redacted(text), want, "{text}");
            assert_eq!(redacted(text).len(), text.len());
        }
    }

    #[test]
    fn a_message_is_shown_without_the_credentials_of_its_values() {
        let values = ["--url".to_owned(), "http://me:pw@app".to_owned()];
        let message = "invalid value 'http://me:pw@app' for '--url'";
        assert_eq!(redacted_in(message, &values), "invalid value 'http://*****@app' for '--url'");
    }

    proptest! {
        #[test]
        fn any_user_information_is_redacted(user in "[^@]{0,8}", password in "\\PC{0,8}", host in "[a-z]{1,5}") {
            let hidden = format!("{user}QQQ:{password}ZZZ");
            for text in [format!("http://{hidden}@{host}"), format!("http://{host}/?{hidden}")] {
                let shown = redacted(&text);
                prop_assert!(!shown.contains("QQQ") && !shown.contains("ZZZ"), "{}", shown);
                prop_assert_eq!(shown.len(), text.len());
            }
        }
    }
}
