//! Pure. The routes of the configuration, in the form that deliveries of stored events need.
//!
//! A stored event holds the name of its route, but no address and no secret. Both are looked up here for each
//! delivery.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::HeaderName;

use super::route::name;
use crate::config::{self, Config, DeliveryOptions};
use crate::queue::event::{RouteName, Upstream};
use crate::signature::Verifier;
use crate::signature::public_url::PublicUrls;
use crate::upstream::assertion::Assertion;
use crate::upstream::request::ForwardOptions;

/// A route, in the form that deliveries of its stored events need. Every route has this form, even if its
/// `delivery` stores nothing now: events may have been stored under an earlier configuration.
#[derive(Debug)]
pub struct DeliveryRoute {
    /// The options of delivery.
    pub options: DeliveryOptions,
    /// The verifier, which makes a new signature for a late delivery.
    pub verifier: Arc<Verifier>,
    /// The origins that senders send to. Some schemes sign them.
    pub public_url: Option<PublicUrls>,
    /// The fields that a `connection` line of a response cannot remove.
    pub kept: Vec<HeaderName>,
    /// The assertion that is added to each delivery.
    pub assertion: Option<Assertion>,
    /// The upstreams of the route.
    pub upstreams: Vec<DeliveryUpstream>,
}

/// An upstream of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryUpstream {
    /// The upstream's name in the store.
    pub upstream: Upstream,
    /// The upstream's address, for the log and the metrics.
    pub address: Arc<str>,
    /// The upstream's number among all upstreams of the configuration.
    pub slot: usize,
}

impl DeliveryRoute {
    /// The upstream with this name, if the configuration has it.
    #[must_use]
    pub fn upstream(&self, upstream: &Upstream) -> Option<&DeliveryUpstream> {
        self.upstreams.iter().find(|known| known.upstream == *upstream)
    }
}

/// The routes of a configuration by their names. Adds every upstream that is missing from `upstreams`.
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
        let ForwardOptions { kept, assertion, .. } =
            ForwardOptions::new(&config.forward, route.verifier.scheme());
        DeliveryRoute {
            options: route.delivery.clone(),
            verifier: Arc::clone(&route.verifier),
            public_url: route.public_url.clone(),
            kept,
            assertion,
            upstreams,
        }
    };
    config.routes.iter().map(|route| (name(route), route_of(route))).collect()
}
