//! Pure. Routing: from a path, and if configured from signed content, to a route.

pub mod router;
pub mod signed_model;
