//! Shell. The signals that end a command, and the runtime in which the main thread waits for them.

use std::fmt;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Creates the runtime of the main thread.
///
/// # Errors
/// The system has no resources left.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// SIGTERM and SIGINT. From the creation of this value on, no signal is lost.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A signal that ends the server.
pub(super) struct Stop {
    name: &'static str,
    /// The exit code of a process that such a signal ends: 128 plus the signal's number.
    pub(super) code: i32,
}

impl Signals {
    /// Installs the handlers. Must be called within a runtime.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal. There is no deadline on purpose: the main thread of a server waits only for
    /// this.
    pub(super) async fn stop(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop { name: "SIGTERM", code: 143 },
            _ = self.interrupt.recv() => Stop { name: "SIGINT", code: 130 },
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
