//! Pure. The facts of a parsed head: how its content is delimited, what its client expects, or why it is not served.

/// Why a head is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is not strict HTTP/1.x; the text, for the log, says what is wrong.
    Malformed(&'static str),
    /// Its request line has too many bytes.
    LineTooLong,
    /// It has too many bytes or lines.
    TooLarge,
    /// It did not arrive in time.
    TimedOut,
    /// The memory budget is exhausted.
    Overloaded,
    /// It has a transfer coding other than one `chunked`.
    UnknownCoding,
    /// It is HTTP, but not HTTP/1.x.
    UnknownVersion,
    /// It is `OPTIONS *`, which has no path.
    Asterisk,
    /// It is `CONNECT`, which asks for a tunnel.
    Tunnel,
}

/// The facts of a complete, strict head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The length in bytes, with the empty line at its end and any empty lines before it.
    pub len: usize,
    /// The protocol version.
    pub version: Version,
    /// How the content is delimited.
    pub framing: Framing,
    /// What the client expects before it sends the content.
    pub expect: Expect,
    /// Whether the connection stays open after the response.
    pub persistence: Persistence,
    /// Whether a `connection` line has other options, which are names of fields.
    pub has_connection_options: bool,
    /// Whether a field's name has other characters than letters, digits and `-`.
    pub has_unusual_names: bool,
    /// The length of the method, and of the target if it is in origin-form.
    pub(super) request_line: (usize, Option<usize>),
}

/// What a client asks of the connection (RFC 9112, section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: HTTP/1.1 stays open, HTTP/1.0 closes.
    Default,
    /// `keep-alive`, which only has a meaning in HTTP/1.0.
    KeepAlive,
    /// `close`
    Close,
}

/// What a response depends on in its request: whether it has content, and whether the connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseContext {
    /// Whether the method is HEAD, to which no content is sent (RFC 9110, section 9.3.2).
    pub is_for_head: bool,
    /// The client's protocol version.
    pub version: Version,
    /// What the client asked of the connection.
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
    /// Any other expectation, which cannot be met.
    Unknown,
}
