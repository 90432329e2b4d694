//! Shell. What the connections of one thread share: the gateway, the pools of upstream connections, memory to read into.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use tokio_util::task::TaskTracker;

use super::crowd::{Crowd, Roster};
use super::wire::{self, Scratch};
use crate::forward::pool::Pool;
use crate::gateway::Gateway;
use crate::telemetry;
use crate::telemetry::record::{Record, RequestId};

/// The state of one thread. Nothing of it is shared with another thread but the gateway's counters.
#[derive(Debug)]
pub struct Worker {
    gateway: Arc<Gateway>,
    pools: Vec<Rc<Pool>>,
    limits: wire::Limits,
    scratch: Scratch,
    roster: Rc<Roster>,
    crowd: Arc<Crowd>,
    tracker: TaskTracker,
    last_id: Cell<u64>,
    date: RefCell<(u64, HeaderValue)>,
}

impl Worker {
    /// A worker of a gateway that has `workers` of them: each keeps its part of the idle upstream connections.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, limits: wire::Limits, crowd: Arc<Crowd>, workers: usize) -> Rc<Self> {
        let pools = gateway.upstreams().iter().map(|upstream| {
            let max_idle = upstream.max_idle.div_ceil(workers.max(1));
            Pool::new(upstream.clone(), max_idle)
        });
        let pools = pools.collect();
        // The ids of a process begin at a place of their own, and count on from there.
        let first_id = RandomState::new().hash_one(0u8);
        Rc::new(Self {
            gateway,
            pools,
            limits,
            scratch: wire::scratch(),
            roster: Rc::default(),
            crowd,
            tracker: TaskTracker::new(),
            last_id: Cell::new(first_id),
            date: RefCell::new((0, HeaderValue::from_static(""))),
        })
    }

    /// The compiled configuration.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// This thread's connections to the upstream with this number.
    #[must_use]
    pub fn pool(&self, upstream: usize) -> Option<&Rc<Pool>> {
        self.pools.get(upstream)
    }

    /// What a client may take.
    #[must_use]
    pub fn limits(&self) -> &wire::Limits {
        &self.limits
    }

    /// Memory to read into.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// This thread's connections.
    #[must_use]
    pub fn roster(&self) -> &Rc<Roster> {
        &self.roster
    }

    /// The connections of all threads.
    #[must_use]
    pub fn crowd(&self) -> &Arc<Crowd> {
        &self.crowd
    }

    /// Everything that this thread has under way. The drain waits for it.
    #[must_use]
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Sees something through that has nobody left to wait for it.
    pub fn finish(&self, work: impl Future<Output = ()> + 'static) {
        self.tracker.spawn_local(work);
    }

    /// A number that no other request has.
    #[must_use]
    pub fn next_id(&self) -> RequestId {
        let id = self.last_id.get().wrapping_add(1);
        self.last_id.set(id);
        RequestId(id)
    }

    /// Takes note of a request that has ended.
    pub fn ended(&self, record: &Record) {
        telemetry::emit(record, self.gateway.access());
    }

    /// The time now, as a `date` field has it (RFC 9110, section 5.6.7); made once a second.
    #[must_use]
    pub fn date(&self) -> HeaderValue {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut date = self.date.borrow_mut();
        if date.0 != second
            && let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(now))
        {
            *date = (second, value);
        }
        date.1.clone()
    }
}
