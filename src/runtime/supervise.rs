//! Shell. Supervises threads and tasks: if a thread or task ends unexpectedly, the server drains.
//!
//! Without this, a server that has lost a part would continue to run and report that it is ready. Instead,
//! the server becomes unready, finishes the requests under way, and returns
//! [`Ended::Failed`](crate::runtime::Ended::Failed).

use std::sync::Arc;
use std::thread;

use crate::runtime::control::Control;
pub use crate::runtime::supervised_part::ServerPart;

/// A guard that a part of the server holds while it runs. If a panic drops the guard, or if it is dropped
/// before the server was asked to end, the part has failed.
#[derive(Debug)]
pub struct PartGuard {
    control: Arc<Control>,
    part: ServerPart,
    ended_in_order: bool,
}

impl PartGuard {
    /// Creates the guard of a part of the server.
    #[must_use]
    pub fn over(part: ServerPart, control: &Arc<Control>) -> Self {
        Self { control: Arc::clone(control), part, ended_in_order: false }
    }

    /// Records that the part ended because the server ends.
    pub fn end(mut self) {
        self.ended_in_order = true;
    }
}

impl Drop for PartGuard {
    fn drop(&mut self) {
        let is_told = self.ended_in_order || self.control.is_ending();
        if thread::panicking() || !is_told {
            self.control.fail(self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    use tokio::runtime::{LocalOptions, LocalRuntime};

    use super::*;
    use crate::config::environment::Fixed;

    fn control() -> Arc<Control> {
        let text = "[signature]\nscheme = \"propify\"\nsecrets = [{ env = \"KEY\" }]\n\
                    [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"";
        let environment = Fixed::new(NonZeroUsize::MIN).with_variable("KEY", "0123456789abcdef");
        let loaded = crate::config::read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH).unwrap();
        let control = Control::new(&loaded.config, crate::diagnosis::submitter::channel().0).unwrap();
        control.set_ready(Vec::new());
        control
    }

    fn runtime() -> LocalRuntime {
        tokio::runtime::Builder::new_current_thread().build_local(LocalOptions::default()).unwrap()
    }

    fn assert_failed(control: &Control, part: ServerPart) {
        assert_eq!(control.failed(), Some(part));
        assert!(!control.is_ready() && control.is_ending());
    }

    #[test]
    fn a_thread_that_panics_ends_the_server() {
        let control = control();
        let guard = PartGuard::over(ServerPart::Reload, &control);
        let thread = thread::spawn(move || {
            let _guard = guard;
            panic!("for the test");
        });
        assert!(thread.join().is_err());
        assert_failed(&control, ServerPart::Reload);
    }

    #[test]
    fn a_task_that_panics_or_returns_too_early_ends_the_server() {
        for panics in [true, false] {
            let control = control();
            let guard = PartGuard::over(ServerPart::AcceptLoop, &control);
            runtime().block_on(async {
                let task = tokio::task::spawn_local(async move {
                    let _guard = guard;
                    tokio::task::yield_now().await;
                    assert!(!panics, "for the test");
                });
                assert_eq!(task.await.is_err(), panics);
            });
            assert_failed(&control, ServerPart::AcceptLoop);
        }
    }

    #[test]
    fn a_panic_in_a_drain_is_a_failure_too() {
        let control = control();
        control.drain();
        let guard = PartGuard::over(ServerPart::Worker, &control);
        let thread = thread::spawn(move || {
            let _guard = guard;
            panic!("for the test");
        });
        assert!(thread.join().is_err());
        assert_failed(&control, ServerPart::Worker);
    }

    #[test]
    fn a_part_that_ends_on_request_has_not_failed() {
        let control = control();
        PartGuard::over(ServerPart::Reload, &control).end();
        assert!(control.is_ready() && !control.is_ending());
        let guard = PartGuard::over(ServerPart::AcceptLoop, &control);
        let runtime = runtime();
        runtime.block_on(async move {
            drop(tokio::task::spawn_local(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            }));
        });
        control.drain();
        // Dropping the runtime drops the task.
        drop(runtime);
        assert_eq!(control.failed(), None);
    }
}
