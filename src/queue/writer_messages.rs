//! Shell. The messages to and from the writer's thread.

use std::fmt;

use tokio::sync::oneshot;

use crate::admission::memory::Reservation;
use crate::queue::event::{DuplicateKey, Event, Receipt, RouteName};
use crate::queue::store::{Change, Completion, DeliveryId, Destination, DueDelivery, Refused, Settled};

/// A command to the writer. The writer commits all waiting commands in one transaction.
#[derive(Debug)]
pub enum Command {
    /// Store an event.
    Store {
        /// The event.
        event: Box<Event>,
        /// The resources that are held until the commit.
        held: Held,
        /// Receives the receipt.
        reply: oneshot::Sender<Result<Receipt, Refused>>,
    },
    /// Record a finished attempt.
    Complete {
        /// The attempt, and what follows it.
        completion: Completion,
        /// Receives the result when the attempt is on disk: whether it has settled the delivery. Receives an
        /// error if the attempt is not recorded.
        reply: oneshot::Sender<Result<Settled, Refused>>,
    },
    /// Record that an event was delivered directly, on a route that deduplicates.
    Seen(RouteName, DuplicateKey),
    /// Mark a delivery whose record is damaged.
    SetAside {
        /// The delivery.
        damaged: DeliveryId,
        /// Receives the result: the mark is on disk, or was refused.
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    /// End a claim of this gateway on a duplicate key, without a delivery. The claim is in a store that
    /// several gateways share.
    Release(RouteName, [u8; 32]),
    /// Make a change for an operator.
    Change {
        /// The change.
        change: Change,
        /// Receives the number of events or routes that the change affected.
        reply: oneshot::Sender<Result<u64, Refused>>,
    },
}

/// A claim on a duplicate key that is held until the event is committed.
pub trait HeldClaim: Send {
    /// Ends the claim after the commit that has recorded the key.
    fn recorded(self: Box<Self>);
}

/// The resources that are held until an event is committed, even if its request has ended.
pub struct Held {
    /// The event's part of the memory budget.
    pub memory: Reservation,
    /// The event's claim, on a route that deduplicates.
    pub claim: Option<Box<dyn HeldClaim>>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// A message of the writer to the deliveries.
#[derive(Debug)]
pub enum Handed {
    /// An event was committed, and this delivery of it is due now.
    Due(Destination, DueDelivery),
    /// A delivery to this upstream may be due in the store.
    Look(Destination),
    /// The direct attempt of a request to this upstream has failed, and the request was committed as this
    /// delivery.
    Failed(Destination, DeliveryId),
}

/// The state of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The store takes events.
    Well,
    /// A limit of the store or its disk is reached.
    Full,
    /// The store fails. Nothing is acknowledged until the store has been opened again.
    Failing,
}

impl Health {
    /// The number of the state, as an atomic value.
    pub(crate) const fn number(self) -> u8 {
        match self {
            // The store is in this state until it is opened.
            Self::Failing => 0,
            Self::Full => 1,
            Self::Well => 2,
        }
    }
}
