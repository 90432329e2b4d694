//! Pure. Links that work once, and the sessions that they begin. Both are bounded in number and time, and are
//! kept in memory: a restart ends them.
//!
//! Of a link's code and of a session's cookie, only the digest is kept. A look-up by digest takes no time
//! that depends on the text.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::config::{Role, Token};

/// How long a link works.
pub(crate) const LINK_LIFE: Duration = Duration::from_secs(5 * 60);

/// The longest time of a session.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// How long a session lasts without a request.
const IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// The most links that wait to be opened. A new link replaces the oldest link.
const MOST_LINKS: usize = 16;

/// The most sessions. A new session replaces the session that has been idle for longest.
const MOST_SESSIONS: usize = 32;

/// The number of random bytes in a code.
pub(crate) const CODE: usize = 16;

/// The person at the other end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    /// The name of the token that made the link, or `local`.
    pub(crate) name: Arc<str>,
    /// What the session may do.
    pub(crate) role: Role,
    /// Why the program that made the link had the right to make a link.
    pub(crate) right: Right,
}

/// Why a program may make a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// The program has the token with this digest of its key.
    Token([u8; 32]),
    /// The program is on the gateway's own machine, and there are no tokens.
    Machine,
    /// The program may open the unix socket.
    Socket,
}

impl Operator {
    /// Whether the operator may still do this under these tokens: the token is there, has the same key, and
    /// has at least this role. Without a token, there must still be none.
    pub(crate) fn may_go_on(&self, tokens: &[Token]) -> bool {
        match self.right {
            Right::Token(digest) => tokens.iter().any(|token| {
                token.name == self.name && token.role >= self.role && token.key_digest() == digest
            }),
            Right::Machine => tokens.is_empty(),
            Right::Socket => true,
        }
    }
}

/// What a page tells after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Whether the change was made.
    pub(crate) is_done: bool,
    /// The sentence.
    pub(crate) text: String,
}

/// The links and sessions of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    links: HashMap<[u8; 32], Link>,
    sessions: HashMap<[u8; 32], Session>,
}

#[derive(Debug)]
struct Link {
    operator: Operator,
    made: Instant,
}

#[derive(Debug)]
struct Session {
    operator: Operator,
    began: Instant,
    last: Instant,
    notice: Option<Notice>,
}

impl Sessions {
    /// Makes a link for this operator. Returns its code.
    pub(crate) fn link(&mut self, operator: Operator, random: &[u8; CODE], now: Instant) -> String {
        self.forget(now);
        if self.links.len() >= MOST_LINKS {
            let oldest = self.links.iter().min_by_key(|(_, link)| link.made).map(|(digest, _)| *digest);
            oldest.map(|digest| self.links.remove(&digest));
        }
        let code = hex::encode(random);
        self.links.insert(digest(&code), Link { operator, made: now });
        code
    }

    /// Exchanges the code of a link for a session. Returns the value of the session's cookie, and the
    /// operator. `None` if the link was used, is too old, or never existed, or if its maker may not make it
    /// under these tokens.
    pub(crate) fn open(
        &mut self,
        code: &str,
        random: &[u8; CODE],
        tokens: &[Token],
        now: Instant,
    ) -> Option<(String, Operator)> {
        self.forget(now);
        let Link { operator, .. } = self.links.remove(&digest(code))?;
        if !operator.may_go_on(tokens) {
            return None;
        }
        if self.sessions.len() >= MOST_SESSIONS {
            let idle =
                self.sessions.iter().min_by_key(|(_, session)| session.last).map(|(digest, _)| *digest);
            idle.map(|digest| self.sessions.remove(&digest));
        }
        let value = hex::encode(random);
        let session = Session { operator: operator.clone(), began: now, last: now, notice: None };
        self.sessions.insert(digest(&value), session);
        Some((value, operator))
    }

    /// The operator of a session, if it goes on under these tokens.
    pub(crate) fn operator(&mut self, value: &str, tokens: &[Token], now: Instant) -> Option<Operator> {
        self.forget(now);
        let digest = digest(value);
        if !self.sessions.get(&digest)?.operator.may_go_on(tokens) {
            self.sessions.remove(&digest);
            return None;
        }
        let session = self.sessions.get_mut(&digest)?;
        session.last = now;
        Some(session.operator.clone())
    }

    /// Whether a session goes on under these tokens. This does not count as a request of the session.
    pub(crate) fn goes_on(&self, value: &str, tokens: &[Token], now: Instant) -> bool {
        self.sessions.get(&digest(value)).is_some_and(|session| {
            now.saturating_duration_since(session.began) < SESSION_LIFE && session.operator.may_go_on(tokens)
        })
    }

    /// Keeps a notice, which the session's next page shows.
    pub(crate) fn tell(&mut self, value: &str, notice: Notice) {
        if let Some(session) = self.sessions.get_mut(&digest(value)) {
            session.notice = Some(notice);
        }
    }

    /// Takes the notice that this page shows.
    pub(crate) fn told(&mut self, value: &str) -> Option<Notice> {
        self.sessions.get_mut(&digest(value))?.notice.take()
    }

    /// Ends a session.
    pub(crate) fn close(&mut self, value: &str) {
        self.sessions.remove(&digest(value));
    }

    fn forget(&mut self, now: Instant) {
        let age = |since: Instant| now.saturating_duration_since(since);
        self.links.retain(|_, link| age(link.made) < LINK_LIFE);
        self.sessions.retain(|_, session| age(session.began) < SESSION_LIFE && age(session.last) < IDLE);
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::secret::Key;

    fn operator(name: &str) -> Operator {
        Operator { name: name.into(), role: Role::Operate, right: Right::Machine }
    }

    #[test]
    fn a_link_works_once_and_for_five_minutes() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let code = sessions.link(operator("ops"), &[1; CODE], now);
        assert_eq!(sessions.open("0101", &[2; CODE], &[], now), None);
        let (value, who) = sessions.open(&code, &[2; CODE], &[], now).unwrap();
        assert_eq!(&*who.name, "ops");
        assert_eq!(sessions.open(&code, &[3; CODE], &[], now), None, "a second time");
        assert_eq!(sessions.operator(&value, &[], now), Some(operator("ops")));
        assert_eq!(sessions.operator(&code, &[], now), None, "a link is no session");
        let code = sessions.link(operator("ops"), &[4; CODE], now);
        assert_eq!(sessions.open(&code, &[5; CODE], &[], now + LINK_LIFE), None, "too late");
    }

    #[test]
    fn a_session_ends_by_age_by_idleness_and_by_logout() {
        let start = Instant::now();
        let begun = || {
            let mut sessions = Sessions::default();
            let code = sessions.link(operator("ops"), &[1; CODE], start);
            let value = sessions.open(&code, &[2; CODE], &[], start).unwrap().0;
            (sessions, value)
        };
        let (mut sessions, value) = begun();
        let mut now = start;
        while now < start + SESSION_LIFE {
            assert!(sessions.operator(&value, &[], now).is_some(), "{:?}", now - start);
            now += IDLE / 2;
        }
        assert_eq!(sessions.operator(&value, &[], now), None, "twelve hours");
        let (mut sessions, value) = begun();
        assert_eq!(sessions.operator(&value, &[], start + IDLE), None, "two hours without a request");
        let (mut sessions, value) = begun();
        sessions.close(&value);
        assert_eq!(sessions.operator(&value, &[], start), None);
    }

    #[test]
    fn links_and_sessions_are_bounded_and_the_oldest_make_room() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut codes = Vec::new();
        for number in 0..=16 {
            codes.push(sessions.link(operator("ops"), &[number; CODE], after(number.into())));
        }
        assert_eq!(sessions.links.len(), MOST_LINKS);
        assert_eq!(sessions.open(&codes[0], &[0; CODE], &[], after(20)), None);
        assert!(sessions.open(&codes[1], &[0; CODE], &[], after(20)).is_some());
        let mut values = Vec::new();
        for number in 1..=33 {
            let code = sessions.link(operator("ops"), &[number; CODE], after(30));
            values.push(sessions.open(&code, &[number; CODE], &[], after(30 + u64::from(number))).unwrap().0);
        }
        assert_eq!(sessions.sessions.len(), MOST_SESSIONS);
        assert_eq!(sessions.operator(&values[0], &[], after(70)), None);
        assert!(sessions.operator(&values[1], &[], after(70)).is_some());
    }

    #[test]
    fn a_session_ends_when_its_token_is_removed_changed_or_has_a_lower_role() {
        let token =
            |name: &str, role, key: &str| Token::new(name.into(), role, Key::new(key.as_bytes().to_vec()));
        let own = token("ops", Role::Operate, "key");
        let operator = Operator { right: Right::Token(own.key_digest()), ..operator("ops") };
        assert!(operator.may_go_on(&[token("other", Role::Read, "other"), own]));
        for tokens in [
            vec![],
            vec![token("ops", Role::Operate, "another")],
            vec![token("ops", Role::Read, "key")],
            vec![token("renamed", Role::Operate, "key")],
        ] {
            assert!(!operator.may_go_on(&tokens), "{tokens:?}");
        }
    }

    #[test]
    fn a_session_without_a_token_ends_when_there_are_tokens_unless_it_came_over_the_socket() {
        let tokens = [Token::new("ops".into(), Role::Operate, Key::new(b"key".to_vec()))];
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let mut begun = |right, number| {
            let code = sessions.link(Operator { right, ..operator("local") }, &[number; CODE], now);
            sessions.open(&code, &[number + 1; CODE], &[], now).unwrap().0
        };
        let (here, socket) = (begun(Right::Machine, 1), begun(Right::Socket, 3));
        assert!(sessions.goes_on(&here, &[], now) && sessions.goes_on(&socket, &[], now));
        assert!(!sessions.goes_on(&here, &tokens, now) && sessions.goes_on(&socket, &tokens, now));
        assert_eq!(sessions.operator(&here, &tokens, now), None);
        assert_eq!(sessions.operator(&here, &[], now), None, "and it does not come back");
        let code = sessions.link(operator("local"), &[5; CODE], now);
        assert_eq!(sessions.open(&code, &[6; CODE], &tokens, now), None, "nor is a link opened");
        assert!(!sessions.goes_on(&socket, &[], now + SESSION_LIFE), "after twelve hours");
    }

    #[test]
    fn a_notice_is_told_once() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let code = sessions.link(operator("ops"), &[1; CODE], now);
        let value = sessions.open(&code, &[2; CODE], &[], now).unwrap().0;
        let notice = Notice { is_done: true, text: "paused".to_owned() };
        sessions.tell(&value, notice.clone());
        assert_eq!((sessions.told(&value), sessions.told(&value)), (Some(notice), None));
    }
}
