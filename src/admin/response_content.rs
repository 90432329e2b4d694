//! Shell. The content of an answer. It is either complete, or it is sent while it is made.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;

/// The content of an answer.
#[derive(Debug)]
pub(crate) enum Content {
    /// The content is complete.
    Whole(Full<Bytes>),
    /// The pieces follow one after the other. An error breaks off the answer, so the answer does not look
    /// complete.
    Pieces(Receiver<io::Result<Bytes>>),
}

impl Content {
    /// The answer, with its complete content.
    pub(crate) fn whole(answer: Response<Full<Bytes>>) -> Response<Self> {
        answer.map(Self::Whole)
    }
}

/// Bytes that hold a place until the last byte is sent, or the answer is given up. So clients that read
/// slowly cannot make the gateway hold more large answers than there are places.
pub(crate) fn holding<B>(bytes: B, place: OwnedSemaphorePermit) -> Bytes
where
    B: AsRef<[u8]> + Send + 'static,
{
    Bytes::from_owner(Holding { bytes, _place: place })
}

struct Holding<B> {
    bytes: B,
    _place: OwnedSemaphorePermit,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Holding<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(content) => Pin::new(content)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Self::Pieces(pieces) => {
                pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(content) => content.is_end_stream(),
            Self::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(content) => content.size_hint(),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
