//! Shell. The threads of the queue: the writer's thread, which owns the store, and the delivery thread.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::{self, Config, Sharing, StoreAddress};
use crate::queue::delivery::{self, DeliveryThread};
use crate::queue::event::RouteName;
use crate::queue::handle::{self, WriterEnd};
use crate::queue::store::OpenError;
use crate::queue::writer::{self, Writer};
use crate::runtime::background::{Background, LAST_WAIT};
use crate::runtime::control::Control;
use crate::runtime::error::StartError;

/// The time between two checks of whether another process has released the store.
const LOOK: Duration = Duration::from_millis(50);

/// Another process may take up to its grace period to release the store. This process waits for its own grace
/// period and this time.
const LONGER: Duration = Duration::from_secs(30);

/// How long the process waits for the last commit when it ends.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// How long the process waits for the last commit, if `grace` is left of the grace period. A frozen
/// PostgreSQL server cannot delay the end of the process any longer. Changes that are not committed then have
/// no effect on the store, and another gateway delivers the events.
fn last_commit(is_on_server: bool, grace: Duration) -> Duration {
    if is_on_server { LAST_COMMIT.min(grace).max(LAST_WAIT) } else { LAST_COMMIT }
}

/// The running threads of the queue.
#[derive(Debug)]
pub struct QueueThreads {
    control: Arc<Control>,
    is_on_server: bool,
    stop: CancellationToken,
    deliveries: Option<DeliveryThread>,
    writer: Option<Background>,
}

/// Opens the store of a configuration, if it has one, and starts the threads. Another process may still own
/// the store. If the two processes share their addresses, this process waits: the other process is told to
/// drain, and releases the store at its end.
///
/// # Errors
/// [`StartError`]
pub fn start(config: &Config, control: &Arc<Control>) -> Result<Option<QueueThreads>, StartError> {
    let Some(settings) = &config.queue else { return Ok(None) };
    let (queue, writer_end, delivery_end) = handle::channel();
    let stop = CancellationToken::new();
    let writer = open(config, settings, writer_end, &stop, control)?;
    let writer = writer::start(writer, control).map_err(StartError::Thread)?;
    let is_on_server = matches!(settings.store, StoreAddress::Postgres(_));
    let mut threads = QueueThreads {
        control: Arc::clone(control),
        is_on_server,
        stop,
        deliveries: None,
        writer: Some(writer),
    };
    control.set_queue(queue.clone());
    threads.deliveries = Some(delivery::start(control, queue, delivery_end).map_err(StartError::Thread)?);
    Ok(Some(threads))
}

fn open(
    config: &Config,
    settings: &config::Queue,
    mut end: WriterEnd,
    stop: &CancellationToken,
    control: &Arc<Control>,
) -> Result<Writer, StartError> {
    let began = Instant::now();
    let patience = match config.server.sharing {
        Sharing::Alone => Duration::ZERO,
        Sharing::WithOthers => config.server.shutdown_grace.saturating_add(LONGER),
    };
    let mut waits = false;
    loop {
        let known = Arc::clone(control);
        // The limit in the current configuration. Events of a removed route are limited only by the store.
        let max_queued = Box::new(move |route: &RouteName| {
            let generation = known.generation();
            generation.gateway.delivery_route(route).map_or(u64::MAX, |route| route.options.max_queued)
        });
        let known = Arc::clone(control);
        let in_force = Box::new(move || known.generation().queue);
        match writer::open(settings, max_queued, in_force, end, stop.clone()) {
            Ok(writer) => return Ok(writer),
            Err((OpenError::InUse(path), unused)) if began.elapsed() < patience => {
                end = unused;
                if !waits {
                    waits = true;
                    info!(store = %path.display(), "another hookgate has the store: waiting until it has drained");
                }
                thread::sleep(LOOK);
            }
            Err((error, _)) => return Err(StartError::Queue(error)),
        }
    }
}

/// The deliveries under way end first, so their outcomes are recorded. Then the writer commits the waiting
/// commands, and releases the store.
impl Drop for QueueThreads {
    fn drop(&mut self) {
        self.deliveries = None;
        self.stop.cancel();
        let limit = last_commit(self.is_on_server, self.control.grace_left());
        let _left_behind = self.writer.take().map(|writer| writer.wait(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_answer_holds_the_end_no_longer_than_the_grace_period() {
        let seconds = Duration::from_secs;
        assert_eq!(last_commit(true, seconds(30)), LAST_COMMIT);
        assert_eq!(last_commit(true, seconds(3)), seconds(3));
        assert_eq!(last_commit(true, Duration::ZERO), LAST_WAIT);
        // For a store on a disk of this machine, the grace period does not matter.
        assert_eq!(last_commit(false, Duration::ZERO), LAST_COMMIT);
    }
}
