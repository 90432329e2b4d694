//! Shell. Requests about routes: pause and resume.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

use super::refusal::Refusal;
use super::{Asking, view};
use crate::queue::event::RouteName;
use crate::queue::store::Change;

/// The document of a request to pause or to resume routes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// The path, as configured.
    pub(crate) route: String,
    /// The `model` of the route. Without it, the request means all routes of the path.
    pub(crate) model: Option<String>,
}

impl Asking<'_> {
    /// Pauses the routes: none of their events is delivered until the routes are resumed.
    pub(crate) async fn pause(&self, named: Named) -> Result<Value, Refusal> {
        self.change(named, "paused", Change::Pause).await
    }

    /// Resumes the routes.
    pub(crate) async fn resume(&self, named: Named) -> Result<Value, Refusal> {
        self.change(named, "resumed", Change::Resume).await
    }

    async fn change(
        &self,
        named: Named,
        what: &str,
        change: fn(RouteName) -> Change,
    ) -> Result<Value, Refusal> {
        let routes = self.named(&named)?;
        let met = self.queue.change_all(routes.iter().cloned().map(change)).await;
        let met = met.map_err(Refusal::of_change)?;
        let changed = met.iter().fold(0_u64, |sum, met| sum.saturating_add(*met));
        let model = named.model.as_deref();
        info!(who = %self.who, route = named.route, model, changed, "deliveries of a route were {what}");
        Ok(json!({ "routes": routes.iter().map(view::route).collect::<Vec<_>>(), "changed": changed }))
    }

    /// The routes with this name that store events, or that have stored events.
    fn named(&self, named: &Named) -> Result<BTreeSet<RouteName>, Refusal> {
        let generation = self.api.control.generation();
        let statistics = self.queue.statistics();
        let configured = generation.gateway.storing_names().map(|(name, _)| name);
        let stored = statistics.counts.iter().map(|(destination, _)| &destination.route);
        let known = configured.chain(stored).chain(&statistics.paused);
        let is_meant = |name: &&RouteName| {
            *name.path == *named.route
                && named.model.as_deref().is_none_or(|model| name.model.as_deref() == Some(model))
        };
        let routes: BTreeSet<_> = known.filter(is_meant).cloned().collect();
        if routes.is_empty() {
            let why = "there is no such route that stores events, and nothing of such a route is stored";
            return Err(Refusal::not_found(why));
        }
        Ok(routes)
    }
}
