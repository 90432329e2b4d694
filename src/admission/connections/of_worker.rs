//! Shell. The connections of one worker, and the check for those that have been idle for long.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, interval};

use crate::admission::connections::{Entry, LONG_REST};

/// The connections of one worker.
#[derive(Debug, Default)]
pub struct WorkerConnections {
    members: RefCell<Slab<Arc<Entry>>>,
    not_empty: Notify,
}

impl WorkerConnections {
    /// Adds a connection, until the result is dropped.
    #[must_use]
    pub fn join(self: &Rc<Self>, entry: &Arc<Entry>) -> Joined {
        let mut members = self.members.borrow_mut();
        if members.is_empty() {
            self.not_empty.notify_one();
        }
        Joined { connections: Rc::clone(self), number: members.insert(Arc::clone(entry)) }
    }

    /// Wakes connections that have been idle for long. Never ends; does nothing while there are no connections.
    pub async fn watch_rests(&self) {
        loop {
            self.not_empty.notified().await;
            let mut ticks = interval(LONG_REST);
            while !self.members.borrow().is_empty() {
                ticks.tick().await;
                let now = Instant::now();
                self.members.borrow().iter().for_each(|(_, entry)| entry.lengthen(now));
            }
        }
    }
}

/// The membership of a connection in its worker.
#[derive(Debug)]
pub struct Joined {
    connections: Rc<WorkerConnections>,
    number: usize,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.connections.members.borrow_mut().try_remove(self.number);
    }
}
