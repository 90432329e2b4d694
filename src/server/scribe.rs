//! Shell. Writes an upstream's response while its content is still coming.

use std::error::Error;
use std::future::poll_fn;
use std::task::Poll;

use super::message::Delimited;
use super::wire::{Transport, Wire};
use crate::answer::{Answer, Ending};

/// So many bytes of a response are written at once, if they are there.
pub const FULL: usize = 8 * 1024;

/// What stands around a chunk, at most: its length in 16 digits, and two line ends.
const AROUND: usize = 20;

/// A response of which the head is there.
#[derive(Debug)]
pub struct Coming<IO: Transport> {
    /// The head, as it goes to the client.
    pub head: Vec<u8>,
    /// How its content is delimited for the client.
    pub delimited: Delimited,
    /// Its content.
    pub content: Answer<IO>,
    /// Whether another request may follow it.
    pub goes_on: bool,
}

/// Writes a response to its end, and ends the connection behind it if it is the last. Gives back whether it goes on, and the end
/// of the request.
///
/// # Errors
/// The response broke off, or the client is gone or does not take it. The connection must not go on then: what has been
/// written is not to look complete.
pub(super) async fn write<IO: Transport>(
    wire: &Wire<IO>,
    coming: Box<Coming<IO>>,
) -> Result<(bool, Option<Ending>), Box<dyn Error>> {
    let Coming { head: mut bytes, delimited, mut content, goes_on } = *coming;
    loop {
        // What is there goes out as one, and does not wait for what is yet to come.
        let next = poll_fn(|cx| match content.poll_piece(cx) {
            Poll::Ready(piece) => Poll::Ready(Ok(Some(piece))),
            Poll::Pending if !bytes.is_empty() => Poll::Ready(Ok(None)),
            Poll::Pending => {
                if let Poll::Ready(Err(error)) = wire.poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
                wire.poll_upstream()
            }
        });
        match next.await? {
            Some(Some(Ok(piece))) => {
                if bytes.len().saturating_add(piece.len()) >= FULL {
                    // It is written next: there is no need for more room than that.
                    bytes.reserve_exact(piece.len().saturating_add(AROUND));
                }
                delimited.append(&piece, &mut bytes);
                if bytes.len() < FULL {
                    continue;
                }
            }
            Some(Some(Err(error))) => {
                wire.write_all(&bytes, content.unwritten().unwrap_or(&mut 0)).await?;
                return Err(error.into());
            }
            Some(None) => break,
            None => {}
        }
        wire.write_all(&bytes, content.unwritten().unwrap_or(&mut 0)).await?;
        // Not to hold it while nothing comes.
        bytes = Vec::new();
    }
    // Nothing is left of it but what is written now.
    let mut ending = content.into_ending();
    delimited.finish(&mut bytes);
    let unwritten = ending.as_mut().map(|ending| &mut ending.unwritten);
    wire.end(&bytes, goes_on, unwritten.unwrap_or(&mut 0)).await?;
    Ok((goes_on, ending))
}
