//! Shell. A thread that is not a worker. Shutdown waits for it only for a bounded time, so the thread cannot
//! delay the end of the process.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long shutdown waits for such a thread after asking it to end. Each thread checks for this request
/// every few milliseconds.
pub const LAST_WAIT: Duration = Duration::from_secs(1);

/// A running thread.
#[derive(Debug)]
pub struct Background {
    thread: JoinHandle<()>,
    /// Nothing is ever sent over this channel. When it is disconnected, the thread has ended.
    ended: Receiver<()>,
}

/// Starts a thread with this name.
///
/// # Errors
/// The system cannot start a thread.
pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Background> {
    let (until_end, ended) = channel();
    let work = move || {
        let _until_end = until_end;
        work();
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(Background { thread, ended })
}

impl Background {
    /// Waits until the thread has ended, at most for `limit`. Returns whether it has. If not, the thread ends
    /// with the process.
    pub fn wait(self, limit: Duration) -> bool {
        let has_ended = self.ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected);
        if has_ended {
            // The only possible result is a panic. The panic hook has logged it.
            drop(self.thread.join());
        }
        has_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_does_not_end_is_left_behind() {
        let (end, ended) = channel::<()>();
        let stuck = start("stuck", move || assert!(ended.recv().is_err())).unwrap();
        assert!(!stuck.wait(Duration::ZERO));
        drop(end);
    }

    #[test]
    fn a_thread_that_ends_is_waited_for_also_where_it_panics() {
        let done = start("done", || {}).unwrap();
        assert!(done.wait(Duration::from_secs(60)));
        let panics = start("panics", || panic!("a constant")).unwrap();
        assert!(panics.wait(Duration::from_secs(60)));
    }
}
