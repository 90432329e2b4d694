//! Pure. The submitter: hands samples of mismatches to the diagnosis.
//!
//! The gateway holds the submitter. Submitting never waits, and reads nothing if no token is left.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::diagnosis::rate_limit::Allowance;
use crate::diagnosis::sample::{LONGEST_CONTENT, RouteContexts, Sample};
use crate::gateway::reason::Reason;
use crate::signature::{Context, Fields};
use crate::telemetry::record::Record;

/// How many diagnoses one route gets in each [`ROUTE_PERIOD`](crate::diagnosis::sample::ROUTE_PERIOD).
pub const ROUTE_TOKENS: u32 = 4;

/// The period in which all routes together have their tokens.
pub const TOTAL_PERIOD: Duration = Duration::from_secs(15);

/// How many diagnoses all routes together get in each [`TOTAL_PERIOD`]. This also bounds the memory of
/// samples, at some 2 MiB: this many times [`LONGEST_CONTENT`] plus
/// [`LONGEST_HEAD`](crate::diagnosis::sample::LONGEST_HEAD).
pub const TOTAL_TOKENS: u32 = 8;

/// The capacity of the backlog: one sample for each token of a period. A sample that does not fit is dropped.
pub(crate) const WAITING: usize = 8;

/// Submits samples. Any thread may use it.
#[derive(Clone, Debug)]
pub struct Submitter {
    pub(crate) orders: SyncSender<Order>,
    pub(crate) allowance: Arc<Allowance>,
}

/// The submitted samples.
#[derive(Debug)]
pub struct Backlog(pub(crate) Receiver<Order>);

#[derive(Debug)]
pub(crate) enum Order {
    Sample(Box<Sample>),
    /// Wakes the thread, which then ends.
    End,
}

/// Makes a submitter and its backlog.
#[must_use]
pub fn channel() -> (Submitter, Backlog) {
    let (orders, backlog) = sync_channel(WAITING);
    (Submitter { orders, allowance: Arc::new(Allowance::of(TOTAL_TOKENS, TOTAL_PERIOD)) }, Backlog(backlog))
}

/// Submits the samples of one route.
#[derive(Clone, Debug)]
pub struct RouteSubmitter {
    submitter: Submitter,
    contexts: Arc<RouteContexts>,
    route: usize,
}

impl RouteSubmitter {
    /// The submitter of the route with this number.
    #[must_use]
    pub fn new(submitter: &Submitter, contexts: &Arc<RouteContexts>, route: usize) -> Self {
        Self { submitter: submitter.clone(), contexts: Arc::clone(contexts), route }
    }

    /// Submits a sample of a request, if a token is left. Never waits.
    pub fn open<F: Fields>(
        &self,
        record: &Record,
        reason: Option<Reason>,
        context: &Context<'_, F>,
        content: Option<&[u8]>,
    ) {
        let (now, of_all) = (context.now, &self.submitter.allowance);
        let Some(of_route) = self.contexts.allowance(self.route) else { return };
        // A request with too long content costs no token.
        if content.is_some_and(|content| content.len() > LONGEST_CONTENT)
            || of_all.is_spent(now)
            || !of_route.take(now)
            || !of_all.take(now)
        {
            return;
        }
        if let Some(sample) = Sample::of(&self.contexts, self.route, record, reason, context, content) {
            let _full_or_ended = self.submitter.orders.try_send(Order::Sample(Box::new(sample)));
        }
    }
}
