//! Pure. Where the mismatches of a route are handed in, to find out why they do not verify.
//!
//! The path of a request holds this half. It never waits: without a token nothing is looked at.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::diagnosis::allowance::Allowance;
use crate::diagnosis::sample::{RouteContexts, Sample};
use crate::signature::{Context, Fields};
use crate::telemetry::record::Record;

/// Of each route: so many diagnoses in `ROUTE_REST`.
pub const ROUTE_TOKENS: u32 = 4;

/// Of all routes together, in `TOTAL_REST`. What is kept of requests is bounded by it, too: it is no more than this many
/// times [`sample::LONGEST_CONTENT`](super::sample::LONGEST_CONTENT) and [`sample::LONGEST_HEAD`](super::sample::LONGEST_HEAD), some 2 MiB.
pub const TOTAL_TOKENS: u32 = 8;

/// How many orders may wait: as many cases as there are tokens, so that there is always room for one, and the end.
pub(crate) const WAITING: usize = 9;

/// Where cases are handed in, from any thread.
#[derive(Clone, Debug)]
pub struct Submitter {
    pub(crate) orders: SyncSender<Order>,
    pub(crate) allowance: Arc<Allowance>,
}

/// What waits to be looked into.
#[derive(Debug)]
pub struct Backlog(pub(crate) Receiver<Order>);

#[derive(Debug)]
pub(crate) enum Order {
    Sample(Box<Sample>),
    /// Wakes the thread up: it is to end.
    End,
}

/// A submitter, and where what is handed in there ends up.
#[must_use]
pub fn channel() -> (Submitter, Backlog) {
    let (orders, backlog) = sync_channel(WAITING);
    (Submitter { orders, allowance: Arc::new(Allowance::of(TOTAL_TOKENS)) }, Backlog(backlog))
}

/// Where the mismatches of one route are handed in.
#[derive(Clone, Debug)]
pub struct RouteSubmitter {
    submitter: Submitter,
    contexts: Arc<RouteContexts>,
    route: usize,
}

impl RouteSubmitter {
    /// That of the route with this number.
    #[must_use]
    pub fn new(submitter: &Submitter, contexts: &Arc<RouteContexts>, route: usize) -> Self {
        Self { submitter: submitter.clone(), contexts: Arc::clone(contexts), route }
    }

    /// Has it found out why a request does not verify, if there is a token for that. Never waits.
    pub fn open<'c, F: Fields + 'c>(
        &self,
        record: &Record,
        reason: Option<&'static str>,
        context: impl FnOnce() -> Context<'c, F>,
        content: Option<&[u8]>,
    ) {
        let Some(allowance) = self.contexts.allowance(self.route) else { return };
        if self.submitter.allowance.is_spent() || !allowance.take() {
            return;
        }
        if self.submitter.allowance.take() {
            if let Some(case) = Sample::of(&self.contexts, self.route, record, reason, &context(), content) {
                // There is room for it. Where nobody takes it any more, the tokens stay where they are.
                let _taken = self.submitter.orders.try_send(Order::Sample(Box::new(case)));
                return;
            }
            self.submitter.allowance.give_back();
        }
        allowance.give_back();
    }
}
