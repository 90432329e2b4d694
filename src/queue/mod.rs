//! Shell. The queue: authentic requests that are stored, acknowledged, and delivered later.
//!
//! The promise: an event that the gateway itself has answered 2xx is delivered at least once, byte for byte.
//! If it cannot be delivered, it is a visible dead letter. Three types enforce this promise.
//!
//! 1. An [`event::Event`] is made only from an authentic request.
//! 2. An [`event::Receipt`] is made only by a commit. The gateway's own answer that acknowledges an event
//!    needs a receipt.
//! 3. An [`event::StoredEvent`] is made from a record only if the checksum matches. Only a stored event can
//!    be delivered later.

pub mod circuit;
pub mod counts;
pub mod delivery;
pub mod delivery_state;
pub mod destination;
pub mod disk;
pub mod duplicates;
pub mod event;
pub mod handle;
pub mod id;
pub mod listing;
pub mod memory_store;
pub mod new_signature;
pub mod pacing;
pub mod postgres;
pub mod removal_notice;
pub mod retry;
pub(crate) mod row_values;
pub mod scheduler;
pub(crate) mod search_way;
pub mod shared_state;
pub mod sqlite;
pub mod store;
pub mod store_error;
pub mod store_limits;
pub mod stored_head;
pub mod time;
pub mod writer;
pub mod writer_end;
pub mod writer_messages;
