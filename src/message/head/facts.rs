//! Pure. What there is to know of a head: how its content is delimited, what its client expects, or why it is not served.

use crate::message::head::lines::LineEnds;

/// Why a head is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is not strict HTTP/1.x; what is wrong, for the log.
    Malformed(&'static str),
    /// Its request line has too many bytes.
    LineTooLong,
    /// It has too many bytes or lines.
    TooLarge,
    /// It did not arrive in time.
    TimedOut,
    /// There is no memory for the whole of it.
    Overloaded,
    /// The content has another transfer coding than one `chunked`.
    UnknownCoding,
    /// It is HTTP, but not HTTP/1.x.
    UnknownVersion,
    /// It is `OPTIONS *`, which asks about no path.
    Asterisk,
    /// It is `CONNECT`, which asks for a tunnel.
    Tunnel,
}

/// The facts of a complete, strict head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its length, in bytes, with the empty line that ends it and any empty lines before it.
    pub len: usize,
    /// The protocol version.
    pub version: Version,
    /// How the content is delimited.
    pub framing: Framing,
    /// What the client expects before it sends the content.
    pub expect: Expect,
    /// Whether the connection goes on behind the response.
    pub persistence: Persistence,
    /// Whether a `connection` line says anything else, which is the name of a field.
    pub has_connection_options: bool,
    /// Whether a field's name has other characters than letters, digits and `-`.
    pub has_unusual_names: bool,
    /// Where its lines end, as far as that is known.
    pub(super) ends: LineEnds,
    /// The length of the method, and that of the target where it is in origin-form.
    pub(super) request_line: (usize, Option<usize>),
}

/// What a client says of the connection (RFC 9112, section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: HTTP/1.1 goes on, HTTP/1.0 ends.
    Default,
    /// `keep-alive`, which only means something in HTTP/1.0.
    KeepAlive,
    /// `close`
    Close,
}

/// What a response has to know of its request: whether it has content, and what becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseContext {
    /// Whether the method is HEAD, to which no content is sent (RFC 9110, section 9.3.2).
    pub is_for_head: bool,
    /// The client's protocol version.
    pub version: Version,
    /// What the client said of the connection.
    pub persistence: Persistence,
}

impl ResponseContext {
    /// Whether the client keeps the connection open for another request (RFC 9112, section 9.3).
    #[must_use]
    pub fn keeps_open(self) -> bool {
        match (self.version, self.persistence) {
            (Version::Http11, Persistence::Default | Persistence::KeepAlive)
            | (Version::Http10, Persistence::KeepAlive) => true,
            (Version::Http11, Persistence::Close)
            | (Version::Http10, Persistence::Default | Persistence::Close) => false,
        }
    }
}

/// The minor versions of HTTP/1 that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1, and any later version of HTTP/1 (RFC 9110, section 2.5).
    Http11,
}

/// How a request's content is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is neither `content-length` nor `transfer-encoding`: no content.
    None,
    /// By `content-length`, in bytes.
    Length(u64),
    /// By the chunked transfer coding.
    Chunked,
}

/// The `expect` field (RFC 9110, section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Absent, or in an HTTP/1.0 request, where it is ignored.
    Nothing,
    /// `100-continue`
    Continue,
    /// Anything else, which cannot be met.
    Unknown,
}
