//! Shell. The numbers of routes and destinations in the store. A number never changes, so each session
//! remembers it.

use std::collections::HashMap;

use crate::queue::event::RouteName;
use crate::queue::postgres::error::{Error, Result};
use crate::queue::postgres::session::Call;
use crate::queue::store::Destination;

/// The numbers that a session knows.
#[derive(Debug, Default)]
pub(super) struct Names {
    routes: HashMap<RouteName, i64>,
    destinations: HashMap<Destination, i64>,
}

impl Names {
    /// The number of a route. A route without a number gets one. Call this function outside of a transaction,
    /// because another gateway may number the same route at the same time.
    pub(super) async fn route(&mut self, call: &Call, route: &RouteName) -> Result<i64> {
        if let Some(number) = self.find_route(call, route).await? {
            return Ok(number);
        }
        let sql = "insert into route (path, model) values ($1, $2) on conflict do nothing";
        call.execute(sql, &[&&*route.path, &model(route)]).await?;
        self.find_route(call, route).await?.ok_or(Error::Value)
    }

    /// The number of a destination. A destination without a number gets one. Call this function outside of a
    /// transaction.
    pub(super) async fn destination(&mut self, call: &Call, destination: &Destination) -> Result<i64> {
        let route = self.route(call, &destination.route).await?;
        if let Some(number) = self.find_upstream(call, route, destination).await? {
            return Ok(number);
        }
        let sql = "insert into destination (route, upstream) values ($1, $2) on conflict do nothing";
        call.execute(sql, &[&route, &destination.upstream.as_str()]).await?;
        self.find_upstream(call, route, destination).await?.ok_or(Error::Value)
    }

    /// The number of a route, if it has one.
    pub(super) async fn find_route(&mut self, call: &Call, route: &RouteName) -> Result<Option<i64>> {
        if let Some(number) = self.routes.get(route) {
            return Ok(Some(*number));
        }
        let sql = "select number from route where path = $1 and model is not distinct from $2";
        let Some(row) = call.first(sql, &[&&*route.path, &model(route)]).await? else { return Ok(None) };
        let number = row.try_get(0)?;
        self.routes.insert(route.clone(), number);
        Ok(Some(number))
    }

    /// The numbers of a destination and of its route, if both have one.
    pub(super) async fn find_destination(
        &mut self,
        call: &Call,
        destination: &Destination,
    ) -> Result<Option<(i64, i64)>> {
        let Some(route) = self.find_route(call, &destination.route).await? else { return Ok(None) };
        let number = self.find_upstream(call, route, destination).await?;
        Ok(number.map(|number| (number, route)))
    }

    /// The number of a destination that was asked for before.
    pub(super) fn known(&self, destination: &Destination) -> Option<i64> {
        self.destinations.get(destination).copied()
    }

    /// The number of a route, if an earlier call has read it.
    pub(super) fn known_route(&self, route: &RouteName) -> Option<i64> {
        self.routes.get(route).copied()
    }

    async fn find_upstream(
        &mut self,
        call: &Call,
        route: i64,
        destination: &Destination,
    ) -> Result<Option<i64>> {
        if let Some(number) = self.destinations.get(destination) {
            return Ok(Some(*number));
        }
        let sql = "select number from destination where route = $1 and upstream = $2";
        let Some(row) = call.first(sql, &[&route, &destination.upstream.as_str()]).await? else {
            return Ok(None);
        };
        let number = row.try_get(0)?;
        self.destinations.insert(destination.clone(), number);
        Ok(Some(number))
    }
}

fn model(route: &RouteName) -> Option<&[u8]> {
    route.model.as_deref().map(str::as_bytes)
}
