//! Pure. Routing: finds the route for a path and, if configured, for the signed content.

pub mod router;
pub mod signed_model;
