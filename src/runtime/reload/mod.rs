//! Shell. Reloading: on SIGHUP, and when the configuration or a secret's file has changed.
//!
//! One thread looks at the files twice a second, and at what is in them: a look costs a few microseconds, and works for
//! every way to change a file, also for those that no notification tells of (a mounted volume whose folder is swapped, a
//! network file system, a link of a link). What is found is loaded and checked as at the start, and put in force whole
//! or not at all.

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
use crate::runtime::control::Control;
use crate::runtime::reload::watch::{Look, Watch};
use crate::runtime::supervise::{PartGuard, ServerPart};

/// How often the files are looked at. What has changed is loaded at the look after the one that found it, so that whoever
/// writes in several steps has that long to come to an end: a change is in force after twice this time.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whoever may ask for a reload. When it is dropped, there are no more.
#[derive(Debug)]
pub struct Reloader {
    orders: SyncSender<()>,
}

/// Reloads `file` from now on, on a thread of its own. `watch` has loaded it before. `tell` is given everything that is to
/// be said of a configuration, good or bad.
///
/// The thread is never joined: it may wait for a file system that does not answer.
///
/// # Errors
/// The system's, if it has no thread to give.
pub fn start(
    control: Arc<Control>,
    file: PathBuf,
    watch: Watch,
    tell: impl FnMut(&Report) + Send + 'static,
) -> io::Result<Reloader> {
    // One order that waits is as good as many: it will find everything that has changed so far.
    let (sender, orders) = sync_channel(1);
    let guard = PartGuard::over(ServerPart::Reload, &control);
    let room = Reloading { control, file, watch, tell };
    let work = move || {
        room.run(&orders);
        guard.end();
    };
    thread::Builder::new().name("reload".to_owned()).spawn(work)?;
    Ok(Reloader { orders: sender })
}

impl Reloader {
    /// Reloads as soon as may be, whether or not anything has changed. Returns at once.
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
                    let finds = matches!(look, Look::Changed);
                    tell_unreadable(&look, &mut unreadable);
                    if finds && found_before {
                        self.reload("a file has changed");
                    }
                    found_before = finds && !found_before;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn reload(&mut self, cause: &'static str) {
        systemd::reloading();
        self.load(cause);
        systemd::ready();
    }

    fn load(&mut self, cause: &'static str) {
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
        match self.control.reload(&loaded.config) {
            Ok(fixed) => {
                let (generation, routes) = (self.control.number(), loaded.config.routes.len());
                info!(cause, generation, routes, "reloaded");
                if !fixed.is_empty() {
                    let keys = fixed.join(", ");
                    warn!(keys, "only a restart changes these: they go on as they were at the start");
                }
            }
            Err(conflicts) => error!(cause, ?conflicts, "not reloaded: some routes take the same requests"),
        }
    }
}

/// Says once that a file cannot be read, and once that all can be again. `before` is whether it was so at the look before.
fn tell_unreadable(look: &Look, before: &mut bool) {
    match look {
        Look::Unreadable(file, error) if !*before => {
            let file = file.display();
            warn!(%file, %error, "cannot look whether a file has changed: what was read of it stays in force");
            *before = true;
        }
        Look::Same if *before => {
            info!("every file can be read again");
            *before = false;
        }
        Look::Unreadable(..) | Look::Same | Look::Changed => {}
    }
}
