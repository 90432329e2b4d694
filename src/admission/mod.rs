//! Pure. What clients may take: connection places, memory, time.

pub mod client;
pub mod connections;
pub mod eviction;
pub mod footprint;
pub mod holders;
pub mod memory;
pub mod rate;
