//! Pure. Admission: the limits on clients' connections, memory and time.

pub mod client;
pub mod connection_state;
pub mod connections;
pub mod eviction;
pub mod failures;
pub mod memory;
pub mod memory_bound;
pub mod networks;
pub mod per_client;
pub mod rate;
pub mod trusted_proxies;
