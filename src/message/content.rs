//! Pure. The content of a request: the interface between a front end, which reads it, and the path of a request.

use std::task::{Context, Poll};

use bytes::buf::Limit;

/// The length of a request's content, by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// None.
    None,
    /// This many bytes.
    Known(u64),
    /// Unknown until its end.
    Unknown,
}

/// Why content did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentError {
    /// The connection ended before the content did.
    Incomplete,
    /// Its framing is malformed; the text, for the log, says what is wrong.
    Malformed(&'static str),
}

/// The result of reading content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Some content was read.
    Some,
    /// There is no capacity left: more must be made.
    Full,
    /// The last of the content was read.
    Complete,
}

/// A buffer that content is read into.
pub trait Append {
    /// The bytes that fit now.
    fn room(&self) -> usize;

    /// Appends a piece that fits whole.
    fn push(&mut self, piece: &[u8]);

    /// Lets `read` append at most `limit` bytes, and no more than fit.
    fn receive<T>(&mut self, limit: usize, read: impl FnOnce(&mut Limit<&mut Vec<u8>>) -> T) -> T;
}

/// The content of one request, and the place of its connection. A front end makes one for each request.
pub trait Content {
    /// The length of the content.
    fn length(&self) -> Length;

    /// Asks the client for its content (RFC 9110, section 10.1.1). Done at once if the client does not wait for that, or
    /// has begun.
    ///
    /// # Errors
    /// [`ContentError::Incomplete`] if the connection ended.
    fn ask_for(&mut self) -> impl Future<Output = Result<(), ContentError>>;

    /// Reads more content into `place`.
    ///
    /// # Errors
    /// [`ContentError`]. Nothing more can be read then.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>>;

    /// The bytes that are read from the client and not taken yet.
    fn buffered(&self) -> usize;

    /// The bytes that the client has announced besides those that arrived, if [`Self::length`] does not have them: the rest
    /// of a chunk.
    fn announced(&self) -> u64;

    /// Whether the connection is evicted: its request must end.
    fn is_evicted(&self) -> bool;

    /// Records that the request waits for more content, of which this many bytes have arrived.
    fn wait_for_more(&self, received: usize);

    /// Records that the request waits for its upstream. It can still be evicted if it is not authentic.
    fn wait_for_upstream(&self, is_authentic: bool);
}
