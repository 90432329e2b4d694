//! Shell. The log of events that wait because the configuration lacks their route or their copy.

use tracing::warn;

use crate::runtime::control::Control;

/// The most routes and copies that one line names.
const MOST_NAMED: usize = 20;

/// Logs the routes and copies that are missing from the configuration in force and have waiting events.
pub(super) fn tell(control: &Control) {
    let Some(queue) = control.queue() else { return };
    let generation = control.generation();
    let counts = queue.statistics().counts;
    let held = counts.iter().filter(|(destination, counts)| {
        let route = generation.gateway.delivery_route(&destination.route);
        counts.queued > 0 && route.and_then(|route| route.upstream(&destination.upstream)).is_none()
    });
    for (destination, counts) in held.take(MOST_NAMED) {
        let (route, queued) = (&destination.route, counts.queued);
        let copy = Some(destination.upstream.as_str()).filter(|address| !address.is_empty());
        warn!(
            %route,
            copy,
            queued,
            "events wait for a route or a copy that the configuration does not have: they are held until it is back, or discarded"
        );
    }
}
