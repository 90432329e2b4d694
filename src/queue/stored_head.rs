//! Pure. The head of an event as it is stored: like the forwarded head, but without keys.
//!
//! Some senders write the key itself, a shared token, into their signature field. The stored head has a mark
//! in place of the token. A delivery puts the token of the configuration in force in place of the mark.

use memchr::memchr;

use crate::message::head::is_same_name;
use crate::signature::Verifier;
use crate::signature::shared_token::MARK;

/// The head of an authentic request as it is stored. `verifier` has the signatures of the route. At most one
/// of them is a shared token.
#[must_use]
pub fn without_tokens(verifier: &Verifier, head: Vec<u8>) -> Vec<u8> {
    // A scheme without shared tokens has no token in any field value.
    let Some(verifier) = verifier.of_token() else { return head };
    each_value(&head, |name, value| {
        let is_signature = verifier.scheme().signature_names().any(|of| is_same_name(name, of.as_bytes()));
        if is_signature { verifier.without_tokens(value) } else { None }
    })
}

/// The head as it is forwarded. `None` if the stored head has no marks and is forwarded unchanged.
#[must_use]
pub fn with_tokens(verifier: &Verifier, head: &[u8]) -> Option<Vec<u8>> {
    memchr(MARK, head)?;
    let verifier = verifier.of_token().unwrap_or(verifier);
    Some(each_value(head, |_name, value| Some(verifier.with_tokens(value))))
}

/// A stored field value for people.
#[must_use]
pub fn shown(value: &str) -> String {
    let mut is_name = false;
    let mut shown = String::with_capacity(value.len());
    for part in value.split(char::from(MARK)) {
        if is_name {
            shown.push_str(&format!("[the token of the secret `{part}`]"));
        } else {
            shown.push_str(part);
        }
        is_name = !is_name;
    }
    shown
}

/// The head with other values in some field lines. A value without a replacement stays.
fn each_value(head: &[u8], other: impl Fn(&[u8], &[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len().saturating_add(64));
    for (number, line) in head.split_inclusive(|byte| *byte == b'\n').enumerate() {
        // The first line is the request line.
        let colon = if number == 0 { None } else { memchr(b':', line) };
        match colon.and_then(|colon| line.split_at_checked(colon)) {
            Some((name, value)) => {
                out.extend_from_slice(name);
                out.extend_from_slice(other(name, value).as_deref().unwrap_or(value));
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::field::{Format, Notation};
    use crate::signature::scheme::{PRESETS, Scheme};
    use crate::signature::secret::{Key, Secret};

    const HEAD: &[u8] = b"POST /a?old-token HTTP/1.1\r\nHost: old-token\r\nX-GitLab-Token: old-token\r\n\
                          X-Other: old-token\r\nx-gitlab-token:  old-token-2 \r\n\r\n";

    fn verifier(scheme: Scheme, secrets: &[(&str, &str)]) -> Verifier {
        let secret = |(name, key): &(&str, &str)| Secret {
            name: (*name).into(),
            key: Key::new(key.as_bytes().to_vec()),
            not_after: None,
        };
        Verifier::new(scheme, secrets.iter().map(secret).collect()).unwrap()
    }

    fn preset(name: &str) -> Scheme {
        PRESETS.iter().find(|preset| preset.name == name).unwrap().clone()
    }

    #[test]
    fn a_stored_head_has_no_token_in_its_signature_fields_and_is_forwarded_as_it_came() {
        let gitlab = verifier(preset("gitlab"), &[("a", "old-token"), ("b", "old-token-2")]);
        let stored = without_tokens(&gitlab, HEAD.to_vec());
        let want = "POST /a?old-token HTTP/1.1\r\nHost: old-token\r\nX-GitLab-Token: \0a\0\r\n\
                    X-Other: old-token\r\nx-gitlab-token:  \0b\0 \r\n\r\n";
        assert_eq!(stored, want.as_bytes(), "{}", stored.escape_ascii());
        assert_eq!(with_tokens(&gitlab, &stored).as_deref(), Some(HEAD));
    }

    /// Beside a signature, the sender may still send its token.
    #[test]
    fn a_token_is_not_stored_even_if_another_signature_of_the_route_judges_the_request() {
        let token = verifier(preset("gitlab"), &[("a", "old-token"), ("b", "old-token-2")]);
        let both = verifier(preset("gitlab-signed"), &[("new", "key")]).before(vec![token.into()]);
        let stored = without_tokens(&both, HEAD.to_vec());
        let lines = "X-GitLab-Token: \0a\0\r\nX-Other: old-token\r\nx-gitlab-token:  \0b\0 \r\n";
        assert!(stored.ends_with(format!("{lines}\r\n").as_bytes()), "{}", stored.escape_ascii());
        assert_eq!(with_tokens(&both, &stored).as_deref(), Some(HEAD));
    }

    #[test]
    fn what_stands_around_a_token_stays() {
        let format = Format::Plain { prefix: "Bearer ".into() };
        let scheme = preset("gitlab");
        let scheme = Scheme { notation: Notation { format, ..scheme.notation }, ..scheme };
        let bearer = verifier(scheme, &[("a", "e"), ("b", "ear")]);
        let head = b"POST / HTTP/1.1\r\nx-gitlab-token: Bearer ear\r\n\r\n";
        let stored = without_tokens(&bearer, head.to_vec());
        assert!(stored.ends_with(b" \0b\0\r\n\r\n"), "{}", stored.escape_ascii());
        assert_eq!(with_tokens(&bearer, &stored).as_deref(), Some(&head[..]));
    }

    #[test]
    fn a_stored_head_has_no_basic_credentials_however_they_are_written() {
        let scheme = preset("gitlab");
        let notation = Notation { format: Format::Basic, ..scheme.notation };
        let basic = verifier(Scheme { notation, ..scheme }, &[("a", "other:pw"), ("b", "user:pw")]);
        for (value, stored) in [
            ("Basic dXNlcjpwdw==", "Basic \0b\0"),
            ("basic  dXNlcjpwdw", "basic  \0b\0"),
            ("Basic b3RoZXI6cHc=", "Basic \0a\0"),
            ("Basic bm9uZTpwdw==", "Basic bm9uZTpwdw=="),
        ] {
            let head = |value: &str| format!("POST / HTTP/1.1\r\nx-gitlab-token: {value} \r\n\r\n");
            let without = without_tokens(&basic, head(value).into_bytes());
            assert_eq!(without, head(stored).into_bytes(), "{value}");
            let padded = value.replace("dXNlcjpwdw==", "dXNlcjpwdw").replace("dXNlcjpwdw", "dXNlcjpwdw==");
            let with = with_tokens(&basic, &without).unwrap_or(without);
            assert_eq!(with, head(&padded).into_bytes(), "{value}");
        }
    }

    #[test]
    fn a_token_is_that_of_the_configuration_in_force() {
        let before = verifier(preset("gitlab"), &[("a", "old-token")]);
        let head = b"POST / HTTP/1.1\r\nx-gitlab-token: old-token\r\n\r\n";
        let stored = without_tokens(&before, head.to_vec());
        for (scheme, secrets, want) in [
            ("gitlab", &[("b", "other"), ("a", "new")][..], "new"),
            ("gitlab", &[("b", "other")], "other"),
            ("github", &[("a", "a key that is long enough")], ""),
        ] {
            let head = with_tokens(&verifier(preset(scheme), secrets), &stored).unwrap();
            assert_eq!(head, format!("POST / HTTP/1.1\r\nx-gitlab-token: {want}\r\n\r\n").into_bytes());
        }
    }

    #[test]
    fn a_head_without_tokens_is_stored_and_forwarded_as_it_is() {
        let github = verifier(preset("github"), &[("a", "old-token")]);
        assert_eq!(without_tokens(&github, HEAD.to_vec()), HEAD);
        assert_eq!(with_tokens(&github, HEAD), None);
    }

    #[test]
    fn people_see_whose_token_a_mark_stands_for() {
        assert_eq!(shown("Bearer \0old\0;"), "Bearer [the token of the secret `old`];");
        assert_eq!(shown("Bearer x"), "Bearer x");
    }
}
