//! Pure. The gateway: the path of every request, without a front end.
//!
//! A front end, for any version of HTTP, hands in a head and a source of content ([`Incoming`]). It gets back
//! a [`Reply`](reply::Reply), which is a value. No file here knows a front end, a socket or a runtime:
//! clocks, timers and upstreams come in through [`Resources`](resources::Resources). So all requests take one
//! path, and their checks have one order.

mod capture;
mod compiled_gateway;
mod forwarding;
pub mod reason;
mod receive;
mod refusal_detail;
mod route;
mod storing;
mod walk;

pub mod delivery_routes;
pub mod dry_run;
pub mod further_secrets;
pub mod rejection;
pub mod reply;
pub mod request_guard;
pub mod resources;

pub use compiled_gateway::{Gateway, Unfit};
pub use walk::{Incoming, handle};
