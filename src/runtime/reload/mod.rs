//! Shell. Reloading: on SIGHUP, and when the configuration or the file of a secret has changed.
//!
//! One thread compares the content of the files twice a second. This costs a few microseconds and detects
//! every change, even if the system sends no notification: a mounted volume whose directory is replaced, a
//! network file system, a chain of symbolic links. A change is loaded and checked as at the start. It is
//! applied as a whole, or not at all.

pub mod systemd;
pub mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::config::load::{LoadError, Source};
use crate::config::problem::Report;
use crate::runtime::control::{CompileError, Control};
use crate::runtime::held_events_log;
use crate::runtime::reload::watch::{Look, Watch};
use crate::runtime::supervise::{PartGuard, ServerPart};

/// The time between two checks of the files. One check finds a change, and the next check loads it. So a
/// program that writes in several steps has time to finish. A change is applied after at most twice this
/// time.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Requests reloads. After it is dropped, no reload can be requested.
#[derive(Debug)]
pub struct Reloader {
    orders: SyncSender<()>,
}

/// Starts reloading `file` on a thread of its own. `watch` has loaded the file before. `tell` receives the
/// report on each reading of the file.
///
/// The thread is never joined, because a file system that does not answer may block it.
///
/// # Errors
/// The system cannot start a thread.
pub fn start(
    control: Arc<Control>,
    file: PathBuf,
    watch: Watch,
    tell: impl FnMut(&Report) + Send + 'static,
) -> io::Result<Reloader> {
    // One waiting request is enough: it covers every change so far.
    let (sender, orders) = sync_channel(1);
    let guard = PartGuard::over(ServerPart::Reload, &control);
    let reloading = Reloading { control, file, watch, tell };
    let work = move || {
        reloading.run(&orders);
        guard.end();
    };
    thread::Builder::new().name("reload".to_owned()).spawn(work)?;
    Ok(Reloader { orders: sender })
}

impl Reloader {
    /// Requests a reload, even if nothing has changed. Returns immediately.
    pub fn reload(&self) {
        let _one_waits_already = self.orders.try_send(());
    }
}

struct Reloading<T> {
    control: Arc<Control>,
    file: PathBuf,
    watch: Watch,
    tell: T,
}

impl<T: FnMut(&Report)> Reloading<T> {
    fn run(mut self, orders: &Receiver<()>) {
        let mut found_before = false;
        let mut unreadable = false;
        loop {
            match orders.recv_timeout(LOOK_EVERY) {
                Ok(()) => {
                    found_before = false;
                    self.reload("SIGHUP");
                }
                Err(RecvTimeoutError::Timeout) => {
                    let look = self.watch.look();
                    tell_unreadable(&look, &mut unreadable);
                    found_before = match look {
                        Look::Changed(file) if found_before => {
                            self.reload(&format!("{} has changed", file.display()));
                            false
                        }
                        Look::Changed(_) => true,
                        Look::Same | Look::Unreadable(..) => false,
                    };
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn reload(&mut self, cause: &str) {
        systemd::reloading();
        self.load(cause);
        systemd::ready();
    }

    fn load(&mut self, cause: &str) {
        let loaded = match self.watch.load(&self.file, Source::File) {
            Ok(loaded) => loaded,
            Err(wrong) => {
                self.control.reload_failed();
                let problem = match &wrong {
                    LoadError::Wrong(report) => {
                        (self.tell)(report);
                        None
                    }
                    LoadError::Unreadable { .. } => Some(wrong.to_string()),
                };
                let (file, generation) = (self.file.display(), self.control.number());
                error!(cause, %file, generation, problem, "not reloaded: the configuration in force stays");
                return;
            }
        };
        (self.tell)(&loaded.report);
        if loaded.config.needs_store() && self.control.queue().is_none() {
            self.control.reload_failed();
            let generation = self.control.number();
            error!(
                cause,
                generation,
                "not reloaded: this configuration stores events, and the process was started without `[queue]`; restart it"
            );
            return;
        }
        match self.control.reload(&loaded.config) {
            Ok(fixed) => {
                let (generation, routes) = (self.control.number(), loaded.config.routes.len());
                info!(cause, generation, routes, "reloaded");
                if !fixed.is_empty() {
                    let keys = fixed.join(", ");
                    warn!(keys, "only a restart changes these keys: they keep their values from the start");
                }
                held_events_log::tell(&self.control);
            }
            Err(CompileError::Routes(conflicts)) => {
                error!(cause, ?conflicts, "not reloaded: some routes take the same requests");
            }
            Err(CompileError::Tls(error)) => error!(cause, %error, "not reloaded: TLS cannot be set up"),
        }
    }
}

/// Logs once that a file cannot be read, and once that all files can be read again. `before` is the state at
/// the previous check.
fn tell_unreadable(look: &Look, before: &mut bool) {
    match look {
        Look::Unreadable(file, error) if !*before => {
            let file = file.display();
            warn!(%file, %error, "cannot read a file to see whether it has changed: its last content stays in force");
            *before = true;
        }
        Look::Same if *before => {
            info!("every file can be read again");
            *before = false;
        }
        Look::Unreadable(..) | Look::Same | Look::Changed(_) => {}
    }
}
