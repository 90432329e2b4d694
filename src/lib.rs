//! hookgate.
pub mod answer;
pub mod body;
pub mod config;
pub mod deadline;
pub mod forward;
pub mod gateway;
pub mod model;
pub mod rejection;
pub mod route;
pub mod secret;
pub mod server;
pub mod signature;
pub mod telemetry;
