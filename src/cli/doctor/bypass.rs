//! Pure. Judges the answer at a URL at which an app may be reachable without the gateway.

use std::io::{self, ErrorKind};
use std::time::Duration;

use http::StatusCode;

use crate::cli::bypass_probe::BypassProbe;
use crate::cli::doctor::finding::Finding;
use crate::config::size_and_duration::write_duration;
use crate::upstream::origin::Origin;

/// Whether an origin is on this machine, over loopback.
pub(super) fn is_loopback(origin: &Origin) -> bool {
    match origin {
        Origin::Unix(_) => true,
        Origin::Tcp(host) | Origin::Tls(host) => {
            host.name() == "localhost" || host.address().is_some_and(|address| address.ip().is_loopback())
        }
    }
}

/// The result of a request to the URL.
#[derive(Debug)]
pub(super) enum Behind {
    /// No connection could be established.
    NoConnection(io::Error),
    /// The server accepts connections, but no request could be sent, or the answer is not HTTP.
    Silent,
    /// A hookgate refuses the request, for this reason.
    Hookgate(String),
    /// Another server answers, with this status code.
    Other(StatusCode),
}

/// The finding for an answer.
pub(super) fn judge(url: &BypassProbe, behind: &Behind, limit: Duration) -> Finding {
    let finding = match behind {
        Behind::NoConnection(error) if error.kind() == ErrorKind::ConnectionRefused => {
            Finding::ok(BYPASS, "nothing answers there, as seen from this machine")
        }
        Behind::NoConnection(error) if error.kind() == ErrorKind::TimedOut => {
            let limit = write_duration(limit);
            Finding::ok(BYPASS, format!("nothing answers there within {limit}, as seen from this machine"))
        }
        Behind::NoConnection(error) => Finding::warning(
            BYPASS,
            format!("it cannot be told: {error}"),
            "is the URL right? try it from a machine outside",
        ),
        Behind::Silent => Finding::warning(
            BYPASS,
            "a program accepts connections there, and does not answer an HTTP request",
            CLOSE_IT,
        ),
        Behind::Hookgate(reason) => {
            Finding::ok(BYPASS, format!("a hookgate answers there, and refuses an unsigned event ({reason})"))
        }
        Behind::Other(status) if is_loopback(&url.origin) => Finding::warning(
            BYPASS,
            format!(
                "something other than hookgate answers there ({}), to this machine at least",
                status.as_u16()
            ),
            "over loopback it may; name the address that a client from outside would use",
        ),
        Behind::Other(status) => Finding::problem(
            BYPASS,
            format!(
                "something other than hookgate answers there ({}): a client that knows this address may get past the signatures",
                status.as_u16()
            ),
            CLOSE_IT,
        ),
    };
    finding.of(&url.text)
}

const BYPASS: &str = "bypass";

/// The advice if an app is reachable without the gateway.
const CLOSE_IT: &str = "bind the app to 127.0.0.1 or to a unix socket, or let a firewall keep others than the \
                                   gateway from its port; then point senders at the gateway alone";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn only_silence_and_a_refusal_by_hookgate_are_good() {
        let level = |text: &str, behind: Behind| {
            judge(&BypassProbe::parse(text).unwrap(), &behind, Duration::from_secs(1)).level
        };
        let far = "http://192.0.2.1:3000";
        assert_eq!(level(far, Behind::NoConnection(ErrorKind::ConnectionRefused.into())), Level::Ok);
        assert_eq!(level(far, Behind::NoConnection(ErrorKind::TimedOut.into())), Level::Ok);
        assert_eq!(level(far, Behind::Hookgate("no_route".into())), Level::Ok);
        assert_eq!(level(far, Behind::NoConnection(io::Error::other("no such name"))), Level::Warning);
        assert_eq!(level(far, Behind::Silent), Level::Warning);
        assert_eq!(level("https://192.0.2.1", Behind::Silent), Level::Warning);
        assert_eq!(level("http://127.0.0.1:3000", Behind::Other(StatusCode::OK)), Level::Warning);
        for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED] {
            assert_eq!(level(far, Behind::Other(status)), Level::Problem, "{status}");
        }
    }
}
