//! hookgate.
pub mod config;
pub mod forward;
pub mod model;
pub mod route;
pub mod secret;
pub mod signature;
