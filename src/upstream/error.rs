//! Pure. Errors of forwarding, and which side causes each.

use std::fmt;
use std::io;

/// Why a verified request has no answer from its upstream.
#[derive(Debug)]
pub enum ForwardError {
    /// No connection: the name does not resolve, the upstream refuses, or it does not answer in time.
    Unreachable(io::Error),
    /// The upstream broke off the exchange, or its answer is not strict HTTP/1.x. It may have processed the request, so the
    /// request is not sent again.
    Broken(ProtocolError),
    /// The upstream did not answer in time.
    TimedOut,
}

/// How an upstream broke the exchange.
#[derive(Debug)]
pub enum ProtocolError {
    /// The connection failed, usually by a reset.
    Io(io::Error),
    /// Not an HTTP/1.x response.
    Malformed(httparse::Error),
    /// Malformed chunked coding; what is wrong with it.
    Chunks(&'static str),
    /// Status line and fields are too large.
    HeadTooLarge,
    /// Too many interim responses.
    EndlessInterim,
    /// 101 Switching Protocols, which no request asks for.
    Switched,
    /// The end of the response can be read in more than one way.
    UnclearFraming,
    /// The connection ended before the response was complete.
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
