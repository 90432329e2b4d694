//! Pure. The content of a request: what the path of a request asks of a front end, and where the content goes to.

use std::task::{Context, Poll};

use bytes::buf::Limit;

/// How much content a request has, as far as its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// None.
    None,
    /// So many bytes.
    Known(u64),
    /// It shows as it comes.
    Unknown,
}

/// Why content did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentError {
    /// The connection ended before the content did.
    Incomplete,
    /// Its framing is malformed; what is wrong, for the log.
    Malformed(&'static str),
}

/// How far the reading of content has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There was some.
    Some,
    /// There was no room for more; make some.
    Full,
    /// That was the last of it.
    Complete,
}

/// A place that content goes to.
pub trait Append {
    /// How many bytes it can take now.
    fn room(&self) -> usize;

    /// Takes a piece, of which it has room for all.
    fn push(&mut self, piece: &[u8]);

    /// Lets `read` append at most `limit` bytes, and no more than there is room for.
    fn receive<T>(&mut self, limit: usize, read: impl FnOnce(&mut Limit<&mut Vec<u8>>) -> T) -> T;
}

/// The content of one request, and the place that its client holds meanwhile. A front end has one for each request.
pub trait Content {
    /// How much content there is.
    fn length(&self) -> Length;

    /// Tells a client that waits for it to send its content (RFC 9110, section 10.1.1). Done at once where the client does
    /// not wait, or has begun.
    ///
    /// # Errors
    /// [`ContentError::Incomplete`] if the client is gone.
    fn ask_for(&mut self) -> impl Future<Output = Result<(), ContentError>>;

    /// Reads more content into `place`.
    ///
    /// # Errors
    /// [`ContentError`], and nothing more can be read then.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>>;

    /// How many bytes have been read from the client and not been taken.
    fn buffered(&self) -> usize;

    /// How many bytes the client has announced besides those that have come, where that is more than [`Self::length`] says:
    /// what is left of a chunk.
    fn announced(&self) -> u64;

    /// Whether the client has to leave its place for another one: its request is to end.
    fn is_evicted(&self) -> bool;

    /// Takes note that the request waits for more content, of which so many bytes have come.
    fn wait_for_more(&self, received: usize);

    /// Takes note that the request waits for its upstream from now on. One that is not authentic can still be evicted.
    fn wait_for_upstream(&self, is_authentic: bool);
}
