//! Shell. The log of events that the configuration holds: their route, or their copy, is not in it.

use tracing::warn;

use crate::runtime::control::Control;

/// The most routes and copies that are named at once.
const MOST_NAMED: usize = 20;

/// Logs for which routes and copies that the configuration in force lacks events wait.
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
