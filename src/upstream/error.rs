//! Pure. Errors of forwarding.

use std::io;

/// Why a verified request has no answer from its upstream.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No connection was established: the name does not resolve, the upstream refuses, or it does not answer
    /// in time.
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The upstream broke off the exchange, or its answer is not strict HTTP/1.x. The upstream may have
    /// processed the request, so the request is not sent again.
    #[error("the upstream broke the exchange")]
    Broken(#[source] ProtocolError),
    /// The upstream did not answer in time.
    #[error("the upstream did not answer in time")]
    TimedOut,
}

/// How an upstream broke the exchange.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The connection failed, usually by a reset.
    #[error("the connection to it failed")]
    Io(#[source] io::Error),
    /// The upstream's bytes are not an HTTP/1.x response.
    #[error("it sent bytes that are not HTTP")]
    Malformed(#[source] httparse::Error),
    /// The chunked coding is malformed. The text says what is wrong.
    #[error("{0}")]
    Chunks(&'static str),
    /// The status line and the fields together are too large.
    #[error("the head of its response is too large")]
    HeadTooLarge,
    /// The upstream sent too many interim responses.
    #[error("it sent one interim response after the other")]
    EndlessInterim,
    /// The upstream answered 101 Switching Protocols. No request asks for that.
    #[error("it answered 101 to a request without upgrade")]
    Switched,
    /// The length of the response can be read in more than one way.
    #[error("it sent several or contradictory content-length and transfer-encoding fields")]
    UnclearFraming,
    /// The connection ended before the response was complete.
    #[error("it closed the connection before the end of its response")]
    Closed,
}

/// An error and all its sources, as one line for the log.
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
