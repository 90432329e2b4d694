//! Pure. The ways in which forwarding fails, and whose doing each is.

use std::fmt;
use std::io;

/// Why a verified request has no answer from its upstream.
#[derive(Debug)]
pub enum ForwardError {
    /// No connection came about: a name that does not resolve, a refusal, no answer in time.
    Unreachable(io::Error),
    /// The upstream broke the exchange, or answered with what is no strict HTTP/1.x. Whether it has processed the request
    /// is not known, so it is not sent again.
    Broken(ProtocolError),
    /// The upstream did not answer in time.
    TimedOut,
}

/// How an upstream broke an exchange.
#[derive(Debug)]
pub enum ProtocolError {
    /// The connection failed: it was reset, most likely.
    Io(io::Error),
    /// What it sent is no HTTP/1.x response.
    Malformed(httparse::Error),
    /// Its chunked coding is malformed; what is wrong.
    Chunks(&'static str),
    /// Its status line and fields are too large.
    HeadTooLarge,
    /// It sent one interim response after the other.
    EndlessInterim,
    /// 101 Switching Protocols, for which nobody asked.
    Switched,
    /// More than one way to tell where the response ends.
    UnclearFraming,
    /// The connection ended before the response did.
    Closed,
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable(_) => "the upstream cannot be reached",
            Self::Broken(_) => "the upstream broke the exchange",
            Self::TimedOut => "the upstream did not answer in time",
        })
    }
}

impl std::error::Error for ForwardError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(source) => Some(source),
            Self::Broken(breach) => Some(breach),
            Self::TimedOut => None,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io(_) => "the connection to it failed",
            Self::Malformed(_) => "it sent what is not HTTP",
            Self::Chunks(what) => what,
            Self::HeadTooLarge => "the head of its response is too large",
            Self::EndlessInterim => "it sent one interim response after the other",
            Self::Switched => "it answered 101 to a request without upgrade",
            Self::UnclearFraming => {
                "it sent several or contradictory content-length and transfer-encoding fields"
            }
            Self::Closed => "it closed the connection before the end of its response",
        })
    }
}

impl std::error::Error for ProtocolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::Malformed(source) => Some(source),
            Self::Chunks(_)
            | Self::HeadTooLarge
            | Self::EndlessInterim
            | Self::Switched
            | Self::UnclearFraming
            | Self::Closed => None,
        }
    }
}

/// An error and all its sources, in one line for the log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
