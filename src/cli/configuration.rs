//! Shell. Loads the configuration for the commands, and prints its problems.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::exit::Failure;
use super::terminal::Terminal;
use crate::config::load::{self, LoadError};
use crate::config::problem::Report;
use crate::config::{Config, Loaded, Route};
use crate::routing::router::Router;

/// Loads gateway.toml. Prints every error, but no warning: the caller prints warnings.
///
/// # Errors
/// A [`Failure`] with exit code 78.
pub(super) fn load(terminal: &mut Terminal, path: &Path) -> Result<Loaded, Failure> {
    load::load(path).map_err(|error| failure(terminal, path, &error))
}

/// Prints every problem of a configuration that could not be loaded. Returns the failure.
pub(super) fn failure(terminal: &mut Terminal, path: &Path, error: &LoadError) -> Failure {
    match error {
        LoadError::Wrong(report) => {
            render(terminal, report);
            Failure::config(summary(path, report))
        }
        LoadError::Unreadable { .. } => unreadable(error),
    }
}

/// Prints every problem, and an empty line after them.
pub(super) fn render(terminal: &mut Terminal, report: &Report) {
    let text = report.render(terminal.err.style());
    if !text.is_empty() {
        terminal.err.line(text);
    }
}

/// The failure for a configuration that cannot be read. The error contains the cause and the advice.
pub(super) fn unreadable(error: &LoadError) -> Failure {
    Failure::config(error.to_string())
}

/// The number of errors and warnings, as a text.
pub(super) fn summary(path: &Path, report: &Report) -> String {
    let (errors, warnings) = (report.errors().count(), report.warnings().count());
    let errors = (errors > 0).then(|| counted(errors, "error"));
    let warnings = (warnings > 0).then(|| counted(warnings, "warning"));
    let both: Vec<_> = errors.into_iter().chain(warnings).collect();
    format!(
        "{} has {}",
        path.display(),
        if both.is_empty() { "no problem".to_owned() } else { both.join(" and ") }
    )
}

/// A number with its noun: `1 route`, `2 routes`.
pub(super) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The router of the configuration's routes.
///
/// # Errors
/// Never fails in practice, because a [`Config`] has no conflicting routes.
pub(super) fn router(config: &Config) -> Result<Router, Failure> {
    let routes = config.routes.iter().map(|route| (&route.path, &route.model));
    Router::build(routes).map_err(|conflicts| Failure::config(format!("the routes conflict: {conflicts:?}")))
}

/// The route for `path`. The path is written as in the configuration, or as a sender uses it.
///
/// # Errors
/// Wrong usage. The message has the paths of all routes.
pub(super) fn route<'c>(config: &'c Config, path: &str) -> Result<&'c Route, Failure> {
    let literally = config.routes.iter().find(|route| route.path.as_str() == path);
    let route = match literally {
        Some(route) => Some(route),
        None => {
            router(config)?.find(path).and_then(|matched| config.routes.get(matched.candidates().first().0))
        }
    };
    route.ok_or_else(|| {
        Failure::usage(format!("there is no route for {path}")).hint(format!("there are: {}", paths(config)))
    })
}

/// The paths of all routes. Each path occurs once.
pub(super) fn paths(config: &Config) -> String {
    let mut paths: Vec<_> = config.routes.iter().map(|route| route.path.as_str()).collect();
    paths.dedup();
    paths.join(", ")
}

/// The address that a client on this machine connects to. A loopback address replaces an unspecified address.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_over_loopback() {
        for (listens, reached) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(reachable(listens.parse().unwrap()), reached.parse().unwrap());
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!((counted(1, "route"), counted(0, "route")), ("1 route".into(), "0 routes".into()));
    }
}
