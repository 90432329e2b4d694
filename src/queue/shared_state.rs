//! Shell. The state that the handle of the queue and the writer share.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::queue::circuit::Standing;
use crate::queue::counts::DeliveryCounts;
use crate::queue::event::RouteName;
use crate::queue::id::EventId;
use crate::queue::store::{DeliveryId, Destination, Reader, Statistics, StoreError};
use crate::queue::time::Time;
use crate::telemetry::histogram::Distribution;

/// The state that the handle and the writer share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) health: AtomicU8,
    pub(super) statistics: Mutex<Statistics>,
    pub(super) reader: Mutex<OpenReader>,
    /// The number of `circuits`. While it is zero, no lock is taken.
    pub(super) not_calm: AtomicUsize,
    /// The circuits that are not [`Standing::Calm`].
    pub(super) circuits: Mutex<HashMap<Destination, Standing>>,
    /// The view for lists. Lists may take long, so no request and no delivery waits for this view.
    pub(super) list_reader: Mutex<OpenReader>,
    /// The events that were discarded. Such an event may be ready for delivery, or a read may return it.
    pub(super) discarded: Mutex<Discarded>,
    /// The deliveries whose attempt is under way. The routes' `concurrency` bounds their number.
    pub(super) under_way: Mutex<HashMap<DeliveryId, UnderWay>>,
    pub(super) deliveries: Arc<DeliveryCounts>,
    /// How often damage other than damaged records was found.
    pub(super) damage: Arc<AtomicU64>,
    pub(super) is_shared: AtomicBool,
    /// The time until which other gateways take none of the deliveries in the memory of this gateway.
    pub(super) lease: Mutex<Option<Instant>>,
    /// How often the lease has run out before it was renewed. Other gateways may then have taken the
    /// deliveries in memory.
    pub(super) lapses: AtomicU64,
    /// Claims that have ended while the channel of commands was full.
    pub(super) released: Mutex<Vec<(RouteName, [u8; 32])>>,
    /// The free bytes of the disk plus one. Zero means that they are not known.
    pub(super) disk_free: AtomicU64,
    /// How long commits took, and how many events they stored. Only the writer changes this.
    pub(super) commits: Mutex<(Distribution, u64)>,
    /// Events with dead letters that are removed soon, by route.
    pub(super) removed_soon: Mutex<Vec<(RouteName, u64)>>,
}

/// A view of the open store. A reader holds the inner lock for the whole read. It holds the outer lock only
/// to find the view, so the store can be closed without waiting for a read.
pub(super) type OpenReader = Option<Arc<Mutex<Box<dyn Reader>>>>;

/// The events that were discarded last.
#[derive(Default)]
pub(super) struct Discarded {
    pub(super) ids: HashSet<EventId>,
    pub(super) in_order: VecDeque<EventId>,
}

/// A delivery whose attempt is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The event.
    pub event: EventId,
    /// The destination of the delivery.
    pub destination: Destination,
    /// When the attempt began ([`Attempt::at`](super::event::Attempt::at)).
    pub began: Time,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("health", &self.health).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn open_circuits(&self) -> Vec<Destination> {
        let circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let open = circuits.iter().filter(|(_, standing)| **standing == Standing::Open);
        open.map(|(destination, _)| destination.clone()).collect()
    }
}

/// Reads from the store through one of the views.
pub(super) fn read<T>(
    reader: &Mutex<OpenReader>,
    work: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let reader = reader.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match reader {
        Some(reader) => work(&mut **reader.lock().unwrap_or_else(PoisonError::into_inner)),
        None => Err(StoreError::Failed("the store is not open".into())),
    }
}
