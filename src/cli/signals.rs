//! Shell. The signals that end a command, and the runtime in which the main thread waits for them.

use std::fmt;
use std::fs::{self, File};
use std::io;

use rustix::io::Errno;
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

impl Stop {
    /// The terminal of the process was closed.
    pub(super) fn terminal_closed() -> Self {
        Self { name: "SIGHUP", code: 129 }
    }
}

/// The terminal that the process was started in.
///
/// SIGHUP has two meanings: an operator wants a reload, or the terminal was closed. When a terminal is
/// closed, the system first takes it away from all processes of its session. So the terminal can then no
/// longer be opened.
pub(super) struct ControllingTerminal {
    is_followed: bool,
}

impl ControllingTerminal {
    /// The terminal of this process. Must be called before a handler for SIGHUP is installed: a process that
    /// was started with nohup(1) ignores SIGHUP until then, and outlives its terminal.
    pub(super) fn of_process() -> Self {
        Self { is_followed: File::open(TERMINAL).is_ok() && !ignores_hangup() }
    }

    /// Whether the process had a terminal, and the terminal was closed. Other errors, such as a lack of
    /// descriptors, do not count.
    pub(super) fn is_closed(&self) -> bool {
        let is_gone = |error: io::Error| {
            let error = Errno::from_io_error(&error);
            matches!(error, Some(Errno::NXIO | Errno::IO))
        };
        self.is_followed && File::open(TERMINAL).err().is_some_and(is_gone)
    }
}

/// Whether this process ignores SIGHUP (proc_pid_status(5)).
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 1)
}

/// The terminal of the process that opens this path (tty(4)).
const TERMINAL: &str = "/dev/tty";

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
