//! Pure. Access control of `/api`: identifies the client of a request, and decides whether the client has the
//! required role.

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, FORWARDED, VIA};
use http::{HeaderMap, HeaderName, StatusCode, Uri};

use super::refusal::Refusal;
use crate::admin::access::Asker;
use crate::config::{Role, Token};

/// The client of a request to the API, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A program on the gateway's own machine, without a token.
    Local,
    /// The holder of the token with this name.
    Token(Arc<str>),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Token(name) => name,
        })
    }
}

/// Decides whether the client of a request has the required role.
///
/// A token is accepted from any address. A request without a token must come from a program on the gateway's
/// own machine, over loopback or a unix socket. [`Asker::may_look_closer`] explains how a page in a browser
/// is recognised.
pub(crate) fn admit(
    asker: Asker,
    target: &Uri,
    fields: &HeaderMap,
    tokens: &[Token],
    needed: Role,
) -> Result<Who, Refusal> {
    if Asker::is_a_page(fields) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "not for pages in a browser"));
    }
    let mut given = fields.get_all(AUTHORIZATION).iter();
    let presented = match (given.next(), given.next()) {
        (None, _) => return locally(asker, target, fields, tokens),
        (Some(value), None) => bearer(value.as_bytes()),
        (Some(_), Some(_)) => None,
    };
    // Every token is compared, so the duration does not depend on the order of the tokens.
    let mut found = None;
    for token in tokens {
        if presented.is_some_and(|presented| token.is(presented)) {
            found = Some(token);
        }
    }
    match found {
        Some(token) if token.role >= needed => Ok(Who::Token(Arc::clone(&token.name))),
        Some(token) => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            format!("the token `{}` may only read: its role is not \"operate\"", token.name),
        )),
        None => Err(Refusal::new(StatusCode::UNAUTHORIZED, "no token of `[admin]` `tokens` is this one")),
    }
}

fn locally(asker: Asker, target: &Uri, fields: &HeaderMap, tokens: &[Token]) -> Result<Who, Refusal> {
    let is_off_loopback = match asker {
        Asker::Elsewhere => true,
        Asker::Here(local) => local.is_some_and(|local| !local.is_loopback()),
        Asker::Socket => false,
    };
    if is_off_loopback && tokens.is_empty() {
        let message = "only over loopback or a unix socket, or with a token: `[admin]` has no `tokens`";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    if is_off_loopback {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "send `authorization: Bearer TOKEN`"));
    }
    // A proxy on this machine would make every client local.
    if has_passed_a_proxy(fields) {
        let message = "through a proxy only with `authorization: Bearer TOKEN`";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, message));
    }
    match asker.may_look_closer(target, fields) {
        None => Ok(Who::Local),
        Some(why) => Err(Refusal::new(StatusCode::FORBIDDEN, why)),
    }
}

fn has_passed_a_proxy(fields: &HeaderMap) -> bool {
    const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    [FORWARDED, VIA, X_FORWARDED_FOR].iter().any(|name| fields.contains_key(name))
}

/// The token of an `authorization` field (RFC 6750, section 2.1). The scheme may be in upper or lower case
/// (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let at = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, token) = value.split_at(at);
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HOST;

    use super::*;
    use crate::signature::secret::Key;

    fn tokens() -> [Token; 2] {
        let key = |text: &str| Key::new(text.as_bytes().to_vec());
        [
            Token::new("viewer".into(), Role::Read, key("read-key")),
            Token::new("ops".into(), Role::Operate, key("operate-key")),
        ]
    }

    fn admits(asker: Asker, lines: &[(&'static str, &str)], needed: Role) -> Result<String, u16> {
        let mut fields = HeaderMap::new();
        fields.insert(HOST, HeaderValue::from_static("127.0.0.1:9901"));
        for (name, value) in lines {
            fields.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let target = Uri::from_static("/api/v1/events");
        let who = admit(asker, &target, &fields, &tokens(), needed);
        who.map(|who| who.to_string()).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn a_program_on_the_machine_needs_no_token_and_a_page_gets_nothing() {
        let here = Asker::Here(None);
        assert_eq!(admits(here, &[], Role::Operate), Ok("local".into()));
        for lines in [
            [("origin", "http://127.0.0.1:9901")],
            [("sec-fetch-site", "same-origin")],
            [("host", "evil.example")],
        ] {
            assert_eq!(admits(here, &lines, Role::Read), Err(403), "{lines:?}");
        }
        let with_token = [("authorization", "Bearer operate-key"), ("origin", "http://evil.example")];
        assert_eq!(admits(here, &with_token, Role::Read), Err(403), "a page, even with a token");
        assert_eq!(admits(here, &[("x-forwarded-for", "192.0.2.1")], Role::Read), Err(401));
    }

    #[test]
    fn a_program_on_a_unix_socket_needs_no_token_and_a_page_behind_a_proxy_gets_nothing() {
        for host in ["localhost", "hookgate", "", "127.0.0.1:9901"] {
            assert_eq!(admits(Asker::Socket, &[("host", host)], Role::Operate), Ok("local".into()), "{host}");
        }
        for lines in [("origin", "null"), ("sec-fetch-site", "same-origin"), ("host", "evil.example")] {
            assert_eq!(admits(Asker::Socket, &[lines], Role::Read), Err(403), "{lines:?}");
        }
        assert_eq!(admits(Asker::Socket, &[("via", "1.1 proxy")], Role::Read), Err(401));
    }

    #[test]
    fn off_loopback_a_program_on_the_machine_needs_a_token_too() {
        let here = |local: &str| Asker::Here(Some(local.parse().unwrap()));
        for local in ["192.0.2.1", "2001:db8::1"] {
            let lines = [("host", "localhost")];
            assert_eq!(admits(here(local), &lines, Role::Read), Err(401), "{local}");
            let lines = [("authorization", "Bearer read-key")];
            assert_eq!(admits(here(local), &lines, Role::Read), Ok("viewer".into()), "{local}");
        }
        for local in ["127.0.0.1", "127.0.0.2", "::1"] {
            assert_eq!(admits(here(local), &[], Role::Operate), Ok("local".into()), "{local}");
        }
    }

    #[test]
    fn elsewhere_a_token_decides_by_its_role() {
        let away = Asker::Elsewhere;
        assert_eq!(admits(away, &[], Role::Read), Err(401));
        let with = |token: &str, role| admits(away, &[("authorization", token)], role);
        assert_eq!(with("Bearer read-key", Role::Read), Ok("viewer".into()));
        assert_eq!(with("Bearer read-key", Role::Operate), Err(403));
        assert_eq!(with("bearer operate-key", Role::Operate), Ok("ops".into()));
        for wrong in [
            "Bearer operate-ke",
            "Bearer operate-keys",
            "Bearer",
            "Bearer ",
            "Basic operate-key",
            "operate-key",
        ] {
            assert_eq!(with(wrong, Role::Read), Err(401), "{wrong:?}");
        }
        let fields = HeaderMap::new();
        let none = admit(away, &Uri::from_static("/api/v1/events"), &fields, &[], Role::Read);
        assert_eq!(none.unwrap_err().status, StatusCode::FORBIDDEN, "where there are no tokens");
    }

    #[test]
    fn a_wrong_token_on_the_machine_is_refused() {
        assert_eq!(admits(Asker::Here(None), &[("authorization", "Bearer x")], Role::Read), Err(401));
    }
}
