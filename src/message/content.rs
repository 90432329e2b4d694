//! Pure. The content of a request: the interface between the front end, which reads content, and the path of
//! a request.

use std::task::{Context, Poll};

use bytes::buf::Limit;

use crate::admission::client::ClientAddress;

/// The length of a request's content, as the head gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// There is no content.
    None,
    /// This many bytes.
    Known(u64),
    /// The length is unknown before the end.
    Unknown,
}

/// Why content did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentError {
    /// The connection ended before the content did.
    Incomplete,
    /// The framing is malformed. The text says what is wrong, for the log.
    Malformed(&'static str),
}

/// The result of reading content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Some content was read.
    Some,
    /// The buffer has no capacity left. The caller must make more.
    Full,
    /// The last content was read.
    Complete,
}

/// A buffer that content is read into.
pub trait Append {
    /// How many bytes fit now.
    fn room(&self) -> usize;

    /// Appends a piece. The whole piece must fit.
    fn push(&mut self, piece: &[u8]);

    /// Lets `read` append at most `limit` bytes, and no more than fit.
    fn receive<T>(&mut self, limit: usize, read: impl FnOnce(&mut Limit<&mut Vec<u8>>) -> T) -> T;
}

/// The content of one request, and the state of its connection in the connection limit. A front end makes one
/// for each request.
pub trait Content {
    /// The length of the content.
    fn length(&self) -> Length;

    /// Asks the client for its content (RFC 9110, section 10.1.1). Does nothing if the client does not wait
    /// for that, or has begun to send.
    ///
    /// # Errors
    /// [`ContentError::Incomplete`] if the connection ended.
    fn ask_for(&mut self) -> impl Future<Output = Result<(), ContentError>>;

    /// Reads more content into `place`.
    ///
    /// # Errors
    /// [`ContentError`]. After an error, nothing more can be read.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>>;

    /// How many bytes have been read from the client but not taken yet.
    fn buffered(&self) -> usize;

    /// How many further bytes the client has announced: the rest of a chunk. Zero if [`Self::length`] gives
    /// the length.
    fn announced(&self) -> u64;

    /// Records the client of the request that a trusted proxy has reported. In the connection limit, the
    /// connection then counts for this client. If requests of several clients are under way on the connection
    /// at the same time, it counts for the proxy.
    fn belongs_to(&self, _client: ClientAddress) {}

    /// Whether the connection is evicted. If so, its request must end.
    fn is_evicted(&self) -> bool;

    /// Records that the request waits for more content. `received` is the number of content bytes that have
    /// arrived.
    fn wait_for_more(&self, received: usize);

    /// Records that the request waits for its upstream. A request that is not authentic can still be evicted.
    fn wait_for_upstream(&self, is_authentic: bool);
}
