//! Pure. Errors of forwarding, and which side causes each.

use std::io;

/// Why a verified request has no answer from its upstream.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No connection: the name does not resolve, the upstream refuses, or it does not answer in time.
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The upstream broke off the exchange, or its answer is not strict HTTP/1.x. It may have processed the request, so the
    /// request is not sent again.
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
    /// Not an HTTP/1.x response.
    #[error("it sent what is not HTTP")]
    Malformed(#[source] httparse::Error),
    /// Malformed chunked coding; what is wrong with it.
    #[error("{0}")]
    Chunks(&'static str),
    /// Status line and fields are too large.
    #[error("the head of its response is too large")]
    HeadTooLarge,
    /// Too many interim responses.
    #[error("it sent one interim response after the other")]
    EndlessInterim,
    /// 101 Switching Protocols, which no request asks for.
    #[error("it answered 101 to a request without upgrade")]
    Switched,
    /// The end of the response can be read in more than one way.
    #[error("it sent several or contradictory content-length and transfer-encoding fields")]
    UnclearFraming,
    /// The connection ended before the response was complete.
    #[error("it closed the connection before the end of its response")]
    Closed,
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
