//! Pure. The routes of the configuration, as deliveries of stored events need them.
//!
//! A stored event names its route, and neither an address nor a secret. Both are looked up here when it is sent.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::HeaderName;

use super::route::name;
use crate::config::{self, Config, DeliveryOptions};
use crate::queue::event::{RouteName, Upstream};
use crate::signature::Verifier;
use crate::upstream::request::ForwardOptions;

/// A route, as the deliveries of its stored events need it. Every route is one: events may have been stored when the route's
/// `delivery` was another.
#[derive(Debug)]
pub struct DeliveryRoute {
    /// The options of delivery.
    pub options: DeliveryOptions,
    /// The verifier, for a signature that is made anew.
    pub verifier: Arc<Verifier>,
    /// The URL that senders send to, which some schemes sign.
    pub public_url: Option<String>,
    /// The fields that a `connection` line of an answer cannot remove.
    pub kept: Vec<HeaderName>,
    /// Its upstreams.
    pub upstreams: Vec<DeliveryUpstream>,
}

/// An upstream of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryUpstream {
    /// Its name in the store.
    pub upstream: Upstream,
    /// Its address, for the log and the metrics.
    pub address: Arc<str>,
    /// Its number among the upstreams of the configuration.
    pub slot: usize,
}

impl DeliveryRoute {
    /// An upstream of the route, if the configuration has it.
    #[must_use]
    pub fn upstream(&self, upstream: &Upstream) -> Option<&DeliveryUpstream> {
        self.upstreams.iter().find(|known| known.upstream == *upstream)
    }
}

/// The routes of a configuration by their names. Upstreams that are not in `upstreams` are added there.
pub(super) fn routes(
    config: &Config,
    upstreams: &mut Vec<config::Upstream>,
) -> HashMap<RouteName, DeliveryRoute> {
    let mut slot = |wanted: &config::Upstream| {
        upstreams.iter().position(|known| known == wanted).unwrap_or_else(|| {
            upstreams.push(wanted.clone());
            upstreams.len().saturating_sub(1)
        })
    };
    let mut route_of = |route: &config::Route| {
        let address: Arc<str> = route.upstream.origin.to_string().into();
        let mut upstreams =
            vec![DeliveryUpstream { upstream: Upstream::Main, address, slot: slot(&route.upstream) }];
        for copy in &route.delivery.copies {
            let address: Arc<str> = copy.origin.to_string().into();
            let upstream = Upstream::Copy(Arc::clone(&address));
            upstreams.push(DeliveryUpstream { upstream, address, slot: slot(copy) });
        }
        DeliveryRoute {
            options: route.delivery.clone(),
            verifier: Arc::clone(&route.verifier),
            public_url: route.public_url.clone(),
            kept: ForwardOptions::new(&config.forward, route.verifier.scheme()).kept,
            upstreams,
        }
    };
    config.routes.iter().map(|route| (name(route), route_of(route))).collect()
}
