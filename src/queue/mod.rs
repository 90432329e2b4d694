//! Shell. The queue: authentic requests that are stored, acknowledged, and delivered later.
//!
//! The promise: what was answered 2xx by the gateway itself is delivered at least once, byte for byte, or is a visible dead
//! letter. Types hold it.
//!
//! 1. An [`event::Event`] is made of an authentic request only.
//! 2. A [`event::Receipt`] is made by a commit only, and an answer of our own that acknowledges is made of a receipt only.
//! 3. A [`event::StoredEvent`] is made of a record only if its checksum matches, and nothing else can be delivered later.

pub mod circuit;
pub mod counts;
pub mod delivery;
pub mod destination;
pub mod disk;
pub mod duplicates;
pub mod event;
pub mod handle;
pub mod id;
pub mod memory;
pub mod pacing;
pub mod refresh;
pub mod retry;
pub mod scheduler;
pub mod sqlite;
pub mod store;
pub mod store_limits;
pub mod time;
pub mod writer;
