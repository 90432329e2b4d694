//! Pure. Why an order failed, and what an operator can do about it.

use std::time::Duration;

/// The longest text of a failure. Parts of the text come from the authority.
const LONGEST_TEXT: usize = 1000;

/// Why an order failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    /// The kind.
    pub kind: Kind,
    /// The error, in words.
    pub what: String,
    /// The time that the authority asks to wait.
    pub retry_after: Option<Duration>,
}

/// The kinds of failures. Each kind has its own advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The authority could not be reached, or the exchange broke off.
    Unreachable,
    /// The authority limits the number of orders.
    RateLimited,
    /// The authority could not connect to the name.
    Connection,
    /// The authority found no address for the name.
    Dns,
    /// Another server answered the authority.
    OtherServer,
    /// The domain's CAA records exclude the authority.
    Caa,
    /// The authority issues nothing for this name.
    Name,
    /// The authority does not take the account's contacts.
    Contact,
    /// The authority takes only accounts with external account binding.
    ExternalAccount,
    /// The account is not known to the authority any more.
    NoAccount,
    /// The folder cannot be read or written.
    Storage,
    /// The answer is not that of an ACME authority.
    NotAcme,
    /// The order was not complete in time.
    TimedOut,
    /// Any other error of the authority.
    Authority,
    /// A defect in this program.
    Defect,
}

impl Failure {
    /// A failure of this kind. The text is cut, and its control characters are left out.
    #[must_use]
    pub fn new(kind: Kind, what: impl AsRef<str>) -> Self {
        Self { kind, what: visible(what.as_ref()), retry_after: None }
    }

    /// The failure that a problem document of the authority describes (RFC 8555, section 6.7).
    #[must_use]
    pub fn of_problem(kind: Option<&str>, what: &str) -> Self {
        Self::new(Kind::of_problem(kind.unwrap_or_default()), what)
    }
}

/// A text of the authority, for the log. It is cut, and its control characters are left out.
pub(super) fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

impl Kind {
    fn of_problem(kind: &str) -> Self {
        match kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or_default() {
            "rateLimited" => Self::RateLimited,
            "connection" => Self::Connection,
            "dns" => Self::Dns,
            "unauthorized" | "incorrectResponse" | "tls" => Self::OtherServer,
            "caa" => Self::Caa,
            "rejectedIdentifier" | "unsupportedIdentifier" => Self::Name,
            "invalidContact" | "unsupportedContact" => Self::Contact,
            "externalAccountRequired" => Self::ExternalAccount,
            "accountDoesNotExist" => Self::NoAccount,
            _ => Self::Authority,
        }
    }

    /// What an operator can do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "does this machine reach the URL of `directory` (DNS, outgoing port 443, a proxy)? For a private authority, \
                 `directory_ca` names its root"
            }
            Self::RateLimited => "wait: the authority limits orders. For trials, use its staging `directory`",
            Self::Connection => {
                "port 443 of this name must lead to a listener of [tls] from the internet: look at firewalls, port forwarding \
                 and the name's A and AAAA records"
            }
            Self::Dns => "add A or AAAA records for this name that lead to this gateway",
            Self::OtherServer => {
                "port 443 of this name does not lead to this gateway: look at its A and AAAA records, and let balancers pass TLS \
                 through. With several gateways, the one that orders must get the authority's connection"
            }
            Self::Caa => "allow the authority in the CAA records of the domain",
            Self::Name => "the authority issues no certificate for this name: correct `domains`",
            Self::Contact => "correct `contact`, or remove it",
            Self::ExternalAccount => {
                "this authority takes only its customers: write `external_account` in [tls.acme], with the identifier and the \
                 key that the authority shows"
            }
            Self::NoAccount => {
                "the authority has forgotten the account: a new one is made with the next attempt"
            }
            Self::Storage => {
                "let the user that hookgate runs as write to `storage`, and make room on its disk. Remove a file that is \
                 damaged: hookgate makes it again"
            }
            Self::NotAcme => {
                "does `directory` name the directory of an ACME authority? A proxy may also have answered"
            }
            Self::TimedOut => "look at the status of the authority's service",
            Self::Authority => "the text above is the authority's",
            Self::Defect => "report it: the log has a panic before this line",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authoritys_problem_says_what_to_do() {
        for (kind, want) in [
            ("urn:ietf:params:acme:error:connection", Kind::Connection),
            ("urn:ietf:params:acme:error:dns", Kind::Dns),
            ("urn:ietf:params:acme:error:rateLimited", Kind::RateLimited),
            ("urn:ietf:params:acme:error:unauthorized", Kind::OtherServer),
            ("urn:ietf:params:acme:error:caa", Kind::Caa),
            ("urn:ietf:params:acme:error:serverInternal", Kind::Authority),
            ("about:blank", Kind::Authority),
            ("rateLimited", Kind::Authority),
        ] {
            assert_eq!(Failure::of_problem(Some(kind), "").kind, want, "{kind}");
        }
        assert_eq!(Failure::of_problem(None, "").kind, Kind::Authority);
        assert!(Kind::Connection.advice().contains("443"));
    }

    #[test]
    fn the_text_of_an_authority_is_cut_and_has_no_control_characters() {
        let failure = Failure::new(Kind::NotAcme, format!("a\r\n\u{1b}[2Jb{}", "c".repeat(100_000)));
        assert!(failure.what.starts_with("a[2Jbc"), "{}", failure.what);
        assert_eq!(failure.what.chars().count(), LONGEST_TEXT);
    }
}
