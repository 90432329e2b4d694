//! Shell. The numbers that routes and destinations have in the store.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::queue::event::{RouteName, Upstream};
use crate::queue::store::Destination;

/// The numbers that the writer has read or given.
#[derive(Debug, Default)]
pub(super) struct Names {
    routes: HashMap<RouteName, i64>,
    destinations: HashMap<Destination, i64>,
}

impl Names {
    /// The number of a route. A route without a number gets one.
    pub(super) fn route(&mut self, connection: &Connection, route: &RouteName) -> rusqlite::Result<i64> {
        if let Some(number) = self.routes.get(route) {
            return Ok(*number);
        }
        let number = match find_route(connection, route)? {
            Some(number) => number,
            None => {
                let sql = "insert into route (path, model) values (?1, ?2)";
                connection.prepare_cached(sql)?.insert(params![&*route.path, route.model.as_deref()])?
            }
        };
        self.routes.insert(route.clone(), number);
        Ok(number)
    }

    /// The number of a destination. A destination without a number gets one.
    pub(super) fn destination(
        &mut self,
        connection: &Connection,
        destination: &Destination,
    ) -> rusqlite::Result<i64> {
        if let Some(number) = self.destinations.get(destination) {
            return Ok(*number);
        }
        let route = self.route(connection, &destination.route)?;
        let number = match find_destination(connection, route, &destination.upstream)? {
            Some(number) => number,
            None => {
                let sql = "insert into destination (route, upstream) values (?1, ?2)";
                connection.prepare_cached(sql)?.insert(params![route, destination.upstream.as_str()])?
            }
        };
        self.destinations.insert(destination.clone(), number);
        Ok(number)
    }
}

/// The number of a route, if it has one.
pub(super) fn find_route(connection: &Connection, route: &RouteName) -> rusqlite::Result<Option<i64>> {
    let sql = "select number from route where path = ?1 and model is ?2";
    let mut find = connection.prepare_cached(sql)?;
    find.query_row(params![&*route.path, route.model.as_deref()], |row| row.get(0)).optional()
}

/// The number of an upstream of a route, if it has one.
pub(super) fn find_destination(
    connection: &Connection,
    route: i64,
    upstream: &Upstream,
) -> rusqlite::Result<Option<i64>> {
    let sql = "select number from destination where route = ?1 and upstream = ?2";
    let mut find = connection.prepare_cached(sql)?;
    find.query_row(params![route, upstream.as_str()], |row| row.get(0)).optional()
}
