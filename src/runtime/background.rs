//! Shell. A thread beside those that serve requests. At the end it is waited for, but not for long: nothing that it does may
//! hold up the end of the process.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the end of a thread is waited for that has been told to end. All of ours look every few milliseconds.
pub const LAST_WAIT: Duration = Duration::from_secs(1);

/// A thread that runs.
#[derive(Debug)]
pub struct Background {
    thread: JoinHandle<()>,
    /// Nothing is ever sent: that the other end is gone says that the thread has ended.
    ended: Receiver<()>,
}

/// Starts a thread of this name.
///
/// # Errors
/// The system's, if it has no thread to give.
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
    /// Waits until it has ended, for at most `limit`; then it is left behind, and ends with the process. Gives back whether it has.
    pub fn wait(self, limit: Duration) -> bool {
        let has_ended = self.ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected);
        if has_ended {
            // It has nothing to give back but a panic, which was told when it happened.
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
        let (end, told) = channel::<()>();
        let stuck = start("stuck", move || assert!(told.recv().is_err())).unwrap();
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
