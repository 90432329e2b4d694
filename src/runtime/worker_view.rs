//! Shell. A generation, and one thread's connections to its upstreams.

use std::rc::Rc;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::connection::limits::Limits;
use crate::connection::read_buffer::Scratch;
use crate::gateway::Gateway;
use crate::runtime::control::Generation;
use crate::upstream::pool::Pool;

/// The configuration and the upstream connections that a request uses from its beginning to its end.
#[derive(Debug)]
pub struct View {
    generation: Arc<Generation>,
    pools: Vec<Rc<Pool>>,
}

impl View {
    /// The view of one of `workers` threads. Each thread keeps its part of the idle upstream connections. If
    /// `known` has a pool for the same upstream, that pool is used.
    #[must_use]
    pub fn new(
        generation: Arc<Generation>,
        workers: usize,
        tracker: TaskTracker,
        scratch: Scratch,
        known: &[Rc<Pool>],
    ) -> Rc<Self> {
        let pools = generation.gateway.upstreams().iter().map(|upstream| {
            let max_idle = upstream.max_idle.div_ceil(workers.max(1));
            let known = known.iter().find(|pool| pool.upstream() == upstream);
            known.map_or_else(
                || Pool::new(upstream.clone(), max_idle, tracker.clone(), Rc::clone(&scratch)),
                Rc::clone,
            )
        });
        let pools = pools.collect();
        Rc::new(Self { generation, pools })
    }

    /// This thread's connections to all upstreams.
    #[must_use]
    pub fn pools(&self) -> &[Rc<Pool>] {
        &self.pools
    }

    /// The generation.
    #[must_use]
    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    /// The compiled configuration.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.generation.gateway
    }

    /// This thread's connections to the upstream with this number.
    #[must_use]
    pub fn pool(&self, upstream: usize) -> Option<&Rc<Pool>> {
        self.pools.get(upstream)
    }

    /// The limits of a client connection.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.generation.limits
    }
}
