//! Pure. Routing: from a path, and if configured from signed content, to a route.

pub mod model;
pub mod router;
