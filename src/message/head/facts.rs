//! Pure. The facts of a parsed head: how the content is delimited, and what the client expects. Also why a
//! head is refused.

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// The head is not strict HTTP/1.x. The text says what is wrong, for the log.
    Malformed(&'static str),
    /// The request line has too many bytes.
    LineTooLong,
    /// The head has too many bytes or lines.
    TooLarge,
    /// The head did not arrive in time.
    TimedOut,
    /// The memory budget is exhausted.
    Overloaded,
    /// The head has a transfer coding other than one `chunked`.
    UnknownCoding,
    /// The version is a version of HTTP, but not HTTP/1.x.
    UnknownVersion,
    /// The request is `OPTIONS *`, which has no path.
    Asterisk,
    /// The request is `CONNECT`, which asks for a tunnel.
    Tunnel,
}

/// The facts of a complete, strict head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The length in bytes, with the empty lines before the head and the empty line at its end.
    pub len: usize,
    /// The protocol version.
    pub version: Version,
    /// How the content is delimited.
    pub framing: Framing,
    /// What the client expects before it sends the content.
    pub expect: Expect,
    /// Whether the connection stays open after the response.
    pub persistence: Persistence,
    /// Whether a `connection` line has other options. Such options are names of fields.
    pub has_connection_options: bool,
    /// Whether the name of a field has other characters than letters, digits and `-`.
    pub has_unusual_names: bool,
    /// The length of the method. If the target is in origin-form, also the length of the target.
    pub(super) request_line: (usize, Option<usize>),
}

/// What a client wants to happen to its connection after the response (RFC 9112, section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// The client asks for nothing. With HTTP/1.1 the connection stays open, and with HTTP/1.0 it closes.
    Default,
    /// `keep-alive`, which has a meaning only in HTTP/1.0.
    KeepAlive,
    /// `close`
    Close,
}

/// The facts of a request on which its response depends: whether the response has content, and whether the
/// connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseContext {
    /// Whether the method is HEAD. A response to HEAD has no content (RFC 9110, section 9.3.2).
    pub is_for_head: bool,
    /// The client's protocol version.
    pub version: Version,
    /// What the client asked for its connection.
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

/// The supported minor versions of HTTP/1.
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
    /// There is no content, because there is neither `content-length` nor `transfer-encoding`.
    None,
    /// `content-length` gives the number of bytes.
    Length(u64),
    /// The chunked transfer coding marks the end.
    Chunked,
}

/// The `expect` field (RFC 9110, section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The field is absent, or it is in an HTTP/1.0 request, where it is ignored.
    Nothing,
    /// `100-continue`
    Continue,
    /// Any other expectation. The gateway cannot meet it.
    Unknown,
}
