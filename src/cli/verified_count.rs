//! Shell. Asks the admin listener whether the gateway has verified the event that `send` has sent.
//!
//! The gateway counts the events that each secret has verified. The count of a route's secrets is read before
//! and after the event. On a busy gateway, another event may have raised the count. A mark in the request
//! cannot show this: the gateway would have to remove such a mark from every request.

use std::thread;
use std::time::{Duration, Instant};

use super::admin::AdminClient;
use super::exit::Failure;
use super::secrets;
use super::verdict::Verified;

/// The count of events that the secrets of one route have verified.
pub(super) struct VerifiedCount<'a> {
    admin: &'a AdminClient,
    route: &'a str,
    before: u64,
}

impl<'a> VerifiedCount<'a> {
    /// Reads the count before an event is sent to this route.
    ///
    /// # Errors
    /// The [`Failure`] of the request to the admin listener.
    pub(super) fn before(admin: &'a AdminClient, route: &'a str) -> Result<Self, Failure> {
        Ok(Self { admin, route, before: count(admin, route)? })
    }

    /// Whether the count has grown. The gateway counts a request when it has ended, which may be shortly
    /// after the answer.
    pub(super) fn after(&self) -> Verified {
        let end = Instant::now().checked_add(PATIENCE);
        loop {
            match count(self.admin, self.route) {
                Ok(now) if now > self.before => return Verified::Yes,
                Ok(_) if end.is_some_and(|end| Instant::now() < end) => thread::sleep(PAUSE),
                Ok(_) => return Verified::No(self.admin.to_string()),
                Err(failure) => return Verified::Unknown(failure.to_string()),
            }
        }
    }
}

fn count(admin: &AdminClient, route: &str) -> Result<u64, Failure> {
    let report = secrets::fetch(admin)?;
    let of_route = report.secrets.iter().filter(|secret| secret.routes.iter().any(|path| path == route));
    Ok(of_route.map(|secret| secret.verified).fold(0, u64::saturating_add))
}

/// How long the count may take to grow after the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time between two requests for the count.
const PAUSE: Duration = Duration::from_millis(50);
