//! Shell. Waits for a command, a time, or the end of the writer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use crate::queue::handle::Command;

/// The commands of the writer. One thread owns the inbox, and waits without a runtime.
pub(super) struct Inbox {
    commands: Receiver<Command>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_closed: bool,
}

/// Why a wait has ended.
pub(super) enum Woken {
    /// A command has arrived.
    By(Command),
    /// The deadline has passed.
    Late,
    /// No command is left, and none will arrive.
    Ended,
}

impl Inbox {
    /// The commands until all senders are gone. After `stop`, only the commands that had arrived by then.
    pub(super) fn new(commands: Receiver<Command>, stop: CancellationToken) -> Self {
        Self { commands, stopped: Box::pin(stop.cancelled_owned()), is_closed: false }
    }

    /// A command that has already arrived.
    pub(super) fn next(&mut self) -> Option<Command> {
        self.commands.try_recv().ok()
    }

    /// Whether no command waits.
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Waits for a command, at most until `deadline`.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Woken {
        if let Some(command) = self.next() {
            return Woken::By(command);
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if !self.is_closed && self.stopped.as_mut().poll(&mut context).is_ready() {
                self.is_closed = true;
                self.commands.close();
            }
            match self.commands.poll_recv(&mut context) {
                Poll::Ready(Some(command)) => return Woken::By(command),
                Poll::Ready(None) => return Woken::Ended,
                Poll::Pending => {}
            }
            match deadline {
                None => thread::park(),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => thread::park_timeout(left),
                    Some(_) | None => return Woken::Late,
                },
            }
        }
    }
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
