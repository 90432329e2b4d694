//! A gate at which a script waits until the test opens it. Tests use it instead of a sleep.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::support::PATIENCE;

/// The time limit of a script at a gate. While the script waits, the test may wait several times for
/// [`PATIENCE`].
const LONGEST: Duration = PATIENCE.saturating_mul(4);

/// The script's side.
pub(crate) struct Gate(Mutex<Receiver<()>>);

/// The test's side. Dropping it opens the gate permanently.
pub(crate) struct Release(Sender<()>);

/// A closed gate.
pub(crate) fn gate() -> (Release, Gate) {
    let (sender, receiver) = channel();
    (Release(sender), Gate(Mutex::new(receiver)))
}

impl Gate {
    /// Waits until the gate is opened again.
    pub(crate) fn pass(&self) {
        match self.0.lock().unwrap().recv_timeout(LONGEST) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => panic!("nobody opened the gate"),
        }
    }
}

impl Release {
    /// Lets the script pass once.
    pub(crate) fn open(&self) {
        let _script_may_have_gone = self.0.send(());
    }
}
