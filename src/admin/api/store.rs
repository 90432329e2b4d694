//! Shell. Reads from the store on a thread that may block.

use tokio::task::{JoinError, spawn_blocking};

use super::refusal::Refusal;
use crate::queue::handle::Queue;
use crate::queue::store::{Reader, StoreError};
use crate::upstream::error::chain;

/// Reads from the store in one short transaction.
///
/// # Errors
/// 503 if the store does not answer.
pub(super) async fn read<T: Send + 'static>(
    queue: &Queue,
    work: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let queue = queue.clone();
    found(spawn_blocking(move || queue.read_list(work)).await)
}

/// The result of a read on a thread that may block.
///
/// # Errors
/// 503 if the store does not answer.
pub(super) fn found<T>(read: Result<Result<T, StoreError>, JoinError>) -> Result<T, Refusal> {
    match read {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Refusal::unavailable(chain(&error))),
        Err(_ended) => Err(Refusal::unavailable("the store cannot be read")),
    }
}
