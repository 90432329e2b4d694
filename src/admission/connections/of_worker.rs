//! Shell. The connections of one worker, and which of them have been at rest for long.

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
    inhabited: Notify,
}

impl WorkerConnections {
    /// Adds a connection, for as long as what is given back lives.
    #[must_use]
    pub fn join(self: &Rc<Self>, entry: &Arc<Entry>) -> Joined {
        let mut members = self.members.borrow_mut();
        if members.is_empty() {
            self.inhabited.notify_one();
        }
        Joined { connections: Rc::clone(self), number: members.insert(Arc::clone(entry)) }
    }

    /// Tells connections whose rest has become long. Never ends; while there are no connections it does nothing.
    pub async fn watch_rests(&self) {
        loop {
            self.inhabited.notified().await;
            let mut ticks = interval(LONG_REST);
            while !self.members.borrow().is_empty() {
                ticks.tick().await;
                let now = Instant::now();
                self.members.borrow().iter().for_each(|(_, entry)| entry.lengthen(now));
            }
        }
    }
}

/// A connection's place in its roster.
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
