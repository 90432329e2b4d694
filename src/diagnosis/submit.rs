//! Pure. Where the mismatches of a route are handed in, to find out why they do not verify.
//!
//! The path of a request holds this half. It never waits: without a token nothing is looked at.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::diagnosis::allowance::Allowance;
use crate::diagnosis::sample::{Case, Docket};
use crate::signature::{Context, Fields};
use crate::telemetry::record::Record;

/// Of each route: so many diagnoses in `ROUTE_REST`.
pub const ROUTE_TOKENS: u32 = 4;

/// Of all routes together, in `TOTAL_REST`. What is kept of requests is bounded by it, too: it is no more than this many
/// times [`case::LONGEST_CONTENT`] and [`case::LONGEST_HEAD`], some 2 MiB.
pub const TOTAL_TOKENS: u32 = 8;

/// How many orders may wait: as many cases as there are tokens, so that there is always room for one, and the end.
pub(crate) const WAITING: usize = 9;

/// Where cases are handed in, from any thread.
#[derive(Clone, Debug)]
pub struct Desk {
    pub(crate) orders: SyncSender<Order>,
    pub(crate) allowance: Arc<Allowance>,
}

/// What waits to be looked into.
#[derive(Debug)]
pub struct Inbox(pub(crate) Receiver<Order>);

#[derive(Debug)]
pub(crate) enum Order {
    Case(Box<Case>),
    /// Wakes the thread up: it is to end.
    End,
}

/// A desk, and where what is handed in there ends up.
#[must_use]
pub fn desk() -> (Desk, Inbox) {
    let (orders, inbox) = sync_channel(WAITING);
    (Desk { orders, allowance: Arc::new(Allowance::of(TOTAL_TOKENS)) }, Inbox(inbox))
}

/// Where the mismatches of one route are handed in.
#[derive(Clone, Debug)]
pub struct Inquiry {
    desk: Desk,
    docket: Arc<Docket>,
    route: usize,
}

impl Inquiry {
    /// That of the route with this number.
    #[must_use]
    pub fn new(desk: &Desk, docket: &Arc<Docket>, route: usize) -> Self {
        Self { desk: desk.clone(), docket: Arc::clone(docket), route }
    }

    /// Has it found out why a request does not verify, if there is a token for that. Never waits.
    pub fn open<'c, F: Fields + 'c>(
        &self,
        record: &Record,
        reason: Option<&'static str>,
        context: impl FnOnce() -> Context<'c, F>,
        content: Option<&[u8]>,
    ) {
        let Some(allowance) = self.docket.allowance(self.route) else { return };
        if self.desk.allowance.is_spent() || !allowance.take() {
            return;
        }
        if self.desk.allowance.take() {
            if let Some(case) = Case::of(&self.docket, self.route, record, reason, &context(), content) {
                // There is room for it. Where nobody takes it any more, the tokens stay where they are.
                let _taken = self.desk.orders.try_send(Order::Case(Box::new(case)));
                return;
            }
            self.desk.allowance.give_back();
        }
        allowance.give_back();
    }
}
