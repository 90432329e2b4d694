//! Shell. Finds and loads the configuration for the commands, and prints its problems.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::exit::Failure;
use super::terminal::Terminal;
use crate::config::load::{self, LoadError};
use crate::config::problem::Report;
use crate::config::suggest;
use crate::config::{Config, Loaded, Route};
use crate::routing::router::Router;

/// The environment variable that names the configuration file.
pub(super) const VARIABLE: &str = "HOOKGATE_CONFIG";

/// The file that is used if none is named: the first of these that exists.
const USUAL: [&str; 2] = ["gateway.toml", "/etc/hookgate/gateway.toml"];

/// The configuration file of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigFile {
    path: PathBuf,
    chosen: Chosen,
}

/// Why a configuration file was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chosen {
    /// An argument names the file.
    ByArgument,
    /// [`VARIABLE`] names the file.
    ByVariable,
    /// No file is named, and this one exists.
    Found,
    /// No file is named, and none of [`USUAL`] exists.
    Nowhere,
}

impl ConfigFile {
    /// The file that an argument names, or else the environment, or else the first usual file that exists.
    pub(super) fn of_process(named: Option<&Path>) -> Self {
        // A file that is there and cannot be read is reported, and not passed over.
        let exists = |path: &Path| path.symlink_metadata().is_ok();
        Self::choose(named, std::env::var_os(VARIABLE), exists)
    }

    fn choose(named: Option<&Path>, variable: Option<OsString>, exists: impl Fn(&Path) -> bool) -> Self {
        let variable = variable.filter(|value| !value.is_empty()).map(PathBuf::from);
        let (path, chosen) = match (named, variable) {
            (Some(path), _) => (path.to_owned(), Chosen::ByArgument),
            (None, Some(path)) => (path, Chosen::ByVariable),
            (None, None) => match USUAL.into_iter().map(Path::new).find(|path| exists(path)) {
                Some(path) => (path.to_owned(), Chosen::Found),
                None => (PathBuf::from("gateway.toml"), Chosen::Nowhere),
            },
        };
        Self { path, chosen }
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's path, if an argument or the environment names it.
    pub(super) fn named(&self) -> Option<&Path> {
        match self.chosen {
            Chosen::ByArgument | Chosen::ByVariable => Some(&self.path),
            Chosen::Found | Chosen::Nowhere => None,
        }
    }

    /// The failure for a file that does not exist.
    fn missing(&self) -> Failure {
        let path = self.path.display();
        let (what, hint) = match self.chosen {
            Chosen::ByArgument => (format!("there is no {path}"), name_another(&self.path)),
            Chosen::ByVariable => {
                (format!("there is no {path}, which {VARIABLE} names"), name_another(&self.path))
            }
            Chosen::Found | Chosen::Nowhere => {
                let [here, system] = USUAL;
                let what = format!("there is no configuration: neither ./{here} nor {system}");
                match nearby(Path::new("."), here) {
                    Some(other) => {
                        let name = other.to_string_lossy();
                        let it = match name.ends_with(".toml") {
                            true => format!("{name} is there: `--config {name}` names it"),
                            false => format!("{name} is there, and hookgate reads {here}"),
                        };
                        (what, format!("{it}; {HOW_TO_START}"))
                    }
                    None => (what, HOW_TO_START.to_owned()),
                }
            }
        };
        Failure::config(what).hint(hint)
    }
}

impl fmt::Display for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path == Path::new("-") { f.write_str("standard input") } else { self.path.display().fmt(f) }
    }
}

/// The advice for a named file that does not exist. The file was meant to be there, so the advice is about
/// its name.
fn name_another(path: &Path) -> String {
    let folder = std::env::current_dir().ok().filter(|_| path.is_relative());
    let from = folder.map(|folder| format!(" A relative path begins at {}", folder.display()));
    let name = path.file_name().and_then(|name| name.to_str());
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let other = name.and_then(|name| nearby(parent.unwrap_or(Path::new(".")), name));
    let meant = other.map(|other| format!(" Did you mean {}?", path.with_file_name(other).display()));
    format!("is the path right?{}{}", meant.unwrap_or_default(), from.unwrap_or_default())
}

/// The file of a folder that has a name like this one.
fn nearby(folder: &Path, name: &str) -> Option<OsString> {
    let entries = std::fs::read_dir(folder).ok()?.take(MOST_LOOKED_AT).filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
    let names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let other = names.iter().find(|other| *other == OTHER_NAME).map(String::as_str);
    suggest::nearest(name, names.iter().map(String::as_str)).or(other).map(OsString::from)
}

/// A name that users give to the configuration.
const OTHER_NAME: &str = "hookgate.toml";

/// The most files of a folder that are looked at for a similar name.
const MOST_LOOKED_AT: usize = 1000;

/// The advice for a user without a configuration.
const HOW_TO_START: &str = "`hookgate init` writes a gateway.toml, and `hookgate init github` one for GitHub (`hookgate schemes` lists \
     all senders); --config names another file; `hookgate demo` shows hookgate at work without one";

/// Loads gateway.toml. Prints every error, but no warning: the caller prints warnings.
///
/// # Errors
/// A [`Failure`] with exit code 78.
pub(super) fn load(terminal: &mut Terminal, file: &ConfigFile) -> Result<Loaded, Failure> {
    load::load(file.path()).map_err(|error| failure(terminal, file, &error))
}

/// Prints every problem of a configuration that could not be loaded. Returns the failure.
pub(super) fn failure(terminal: &mut Terminal, file: &ConfigFile, error: &LoadError) -> Failure {
    match error {
        LoadError::Wrong(report) => {
            render(terminal, report);
            Failure::config(summary(file, report))
        }
        LoadError::Unreadable { .. } => unreadable(file, error),
    }
}

/// Prints every problem, and an empty line after them.
pub(super) fn render(terminal: &mut Terminal, report: &Report) {
    if report.has_errors() {
        terminal.err.fails();
    }
    let text = report.render(terminal.err.style());
    if !text.is_empty() {
        terminal.err.line(text);
    }
}

/// The failure for a configuration that cannot be read.
pub(super) fn unreadable(file: &ConfigFile, error: &LoadError) -> Failure {
    if error.is_missing(file.path()) { file.missing() } else { Failure::config(error.to_string()) }
}

/// The number of errors and warnings, as a text.
pub(super) fn summary(file: &ConfigFile, report: &Report) -> String {
    let (errors, warnings) = (report.errors().count(), report.warnings().count());
    let errors = (errors > 0).then(|| counted(errors, "error"));
    let warnings = (warnings > 0).then(|| counted(warnings, "warning"));
    let both: Vec<_> = errors.into_iter().chain(warnings).collect();
    format!("{file} has {}", if both.is_empty() { "no problem".to_owned() } else { both.join(" and ") })
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
    fn the_first_of_option_variable_folder_and_system_names_the_configuration() {
        let named = Some(Path::new("named.toml"));
        let variable = || Some(OsString::from("variable.toml"));
        for (named, variable, there, want, chosen) in [
            (named, variable(), &["gateway.toml"][..], "named.toml", Chosen::ByArgument),
            (None, variable(), &["gateway.toml"], "variable.toml", Chosen::ByVariable),
            (None, Some(OsString::new()), &["gateway.toml"], "gateway.toml", Chosen::Found),
            (None, None, &USUAL, "gateway.toml", Chosen::Found),
            (None, None, &["/etc/hookgate/gateway.toml"], "/etc/hookgate/gateway.toml", Chosen::Found),
            (None, None, &[], "gateway.toml", Chosen::Nowhere),
        ] {
            let exists = |path: &Path| there.iter().any(|other| path == Path::new(other));
            let file = ConfigFile::choose(named, variable, exists);
            assert_eq!(file, ConfigFile { path: want.into(), chosen });
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!((counted(1, "route"), counted(0, "route")), ("1 route".into(), "0 routes".into()));
    }
}
