//! Pure. The URL of a store on PostgreSQL, with the options of libpq that hookgate adds to the options of its
//! client library.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

use crate::config::{PostgresAddress, ServerTls};

/// How long a host of the server may take to accept a connection, if the URL does not say it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server may leave data unacknowledged, before the connection counts as broken.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection is idle before the system checks whether the server is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Whether a text begins like the URL of a PostgreSQL server.
pub(crate) fn is_url(text: &str) -> bool {
    ["postgres://", "postgresql://"]
        .iter()
        .any(|start| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
}

/// Whether a text that is no URL names a server: a URL without `//`, an address with a user and a password,
/// or keywords of libpq. Such a text may contain a password, so no message repeats it.
pub(crate) fn names_server(text: &str) -> bool {
    let begins = |start: &str| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    let is_absolute = text.starts_with('/') && !text.starts_with("//");
    let has_password = text.rsplit_once('@').is_some_and(|(before, _)| before.contains(':'));
    let keyword = |word: &str| {
        ["host=", "hostaddr=", "user=", "password=", "dbname="].iter().any(|key| word.starts_with(key))
    };
    begins("postgres:")
        || begins("postgresql:")
        || (has_password && !is_absolute)
        || text.split_whitespace().any(keyword)
}

/// Reads a URL.
///
/// # Errors
/// What is wrong with it, without any part of it that may be a credential.
pub(crate) fn read(url: &str) -> Result<PostgresAddress, String> {
    // The library knows the schemes in lower case only.
    let url = &url
        .split_once("://")
        .map_or_else(|| url.to_owned(), |(scheme, rest)| format!("{}://{rest}", scheme.to_ascii_lowercase()));
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    // For the library, the user information ends at the first `@` of the URL. The rest of a password with `@`
    // would count as a host, and would be shown.
    let ends = address.matches('@').count();
    if ends > 1 || (ends == 0 && query.contains('@')) {
        return Err(
            "`@` is at a wrong place: within a user or a password, write `%40`, and `%3F` for `?`".to_owned()
        );
    }
    let (mut tls, mut roots, mut password_file) = (None, None, None);
    let mut others = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "sslmode" => tls = Some(mode(value)?),
            // Like libpq: the system's authorities are for public names.
            "sslrootcert" if value == "system" => tls = tls.or(Some(ServerTls::VerifyFull)),
            "sslrootcert" => roots = Some(path(name, value)?),
            "passfile" => password_file = Some(path(name, value)?),
            "sslcert" | "sslkey" | "sslpassword" | "sslcrl" | "sslcompression" | "sslsni"
            | "channel_binding" | "gssencmode" | "service" | "require_auth" => {
                return Err(format!("hookgate does not know the option `{name}` of libpq"));
            }
            _ => others.push(option),
        }
    }
    let rest = if others.is_empty() { address.to_owned() } else { format!("{address}?{}", others.join("&")) };
    let mut connection = Config::from_str(&rest).map_err(|error| fault(&error, &others))?;
    if connection.get_hosts().is_empty() && connection.get_hostaddrs().is_empty() {
        return Err("the URL names no host".to_owned());
    }
    if connection.get_application_name().is_none() {
        connection.application_name("hookgate");
    }
    if connection.get_connect_timeout().is_none() {
        connection.connect_timeout(CONNECT_TIMEOUT);
    }
    // A read-only server takes no events. If the URL has several hosts, the library searches for the writable
    // one.
    if connection.get_target_session_attrs() == TargetSessionAttrs::Any {
        connection.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    connection.keepalives(true).keepalives_idle(KEEPALIVE).tcp_user_timeout(SEND_TIMEOUT);
    let shown = shown(&connection);
    let tls = tls.unwrap_or(ServerTls::Prefer);
    Ok(PostgresAddress { connection, tls, roots, password_file, shown })
}

fn mode(value: &str) -> Result<ServerTls, String> {
    match value {
        "disable" => Ok(ServerTls::Disable),
        "allow" | "prefer" => Ok(ServerTls::Prefer),
        "require" => Ok(ServerTls::Require),
        "verify-ca" => Ok(ServerTls::VerifyCa),
        "verify-full" => Ok(ServerTls::VerifyFull),
        _ => Err("`sslmode` is `disable`, `prefer`, `require`, `verify-ca` or `verify-full`".to_owned()),
    }
}

fn path(name: &str, value: &str) -> Result<PathBuf, String> {
    // A `+` in a URL's query is a plus here, and a space in a form.
    let value = value.replace('+', "%2B");
    let mut pairs = form_urlencoded::parse(value.as_bytes());
    match pairs.next() {
        // In the path of a URL, `+` means a plus.
        Some((path, rest)) if rest.is_empty() && path.starts_with('/') => {
            Ok(PathBuf::from(path.into_owned()))
        }
        Some(_) | None => Err(format!("`{name}` is the absolute path of a file")),
    }
}

/// The library's message about the URL. It contains names of options and numbers, but no other values.
fn fault(error: &tokio_postgres::Error, options: &[&str]) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    let text = source.to_string();
    // The library's message may name an unknown option, which helps. A message that repeats a value of the
    // URL is not shown: the value may be a secret.
    let leaks = options
        .iter()
        .filter_map(|option| option.split_once('='))
        .any(|(_, value)| value.len() > 3 && text.contains(value));
    if leaks { "an option of the URL has a wrong value".to_owned() } else { text }
}

/// The URL without user, password and options.
fn shown(connection: &Config) -> String {
    let ports = connection.get_ports();
    let mut hosts = Vec::new();
    for (at, host) in connection.get_hosts().iter().enumerate() {
        let port = ports.get(at).or(ports.first()).filter(|port| **port != 5432);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        hosts.push(match host {
            Host::Tcp(name) => format!("{name}{port}"),
            Host::Unix(folder) => format!("{}{port}", folder.display()),
        });
    }
    let database = connection.get_dbname().or(connection.get_user()).unwrap_or("");
    format!("postgres://{}/{database}", hosts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_credentials_and_options() {
        for (url, want) in [
            ("postgres://me:hunter2@db/events", "postgres://db/events"),
            (
                "postgresql://me:hunter2@db:5433/events?password=hunter2&sslmode=require",
                "postgres://db:5433/events",
            ),
            ("postgres://me@a:1,b:2/events", "postgres://a:1,b:2/events"),
            ("postgres://me@%2Frun%2Fpostgresql/events", "postgres:///run/postgresql/events"),
            ("postgres://me:a%40hunter2@db/events", "postgres://db/events"),
            ("postgres://me@db/events?password=a@hunter2@b", "postgres://db/events"),
            ("Postgres://me@db/events", "postgres://db/events"),
        ] {
            let address = read(url).unwrap();
            assert_eq!(address.shown, want, "{url}");
            assert!(!format!("{address:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_text_that_names_a_server_is_no_path() {
        for (text, want) in [
            ("postgres:me:hunter2@db/events", true),
            ("Postgresql:/db/events", true),
            ("me:hunter2@db/events", true),
            ("//me:hunter2@db/events", true),
            ("host=db user=me password=hunter2", true),
            ("/data/a:b@c/events.db", false),
            ("user@home/events.db", false),
            ("events of host.db", false),
            ("C:events.db", false),
        ] {
            assert_eq!(names_server(text), want, "{text}");
        }
    }

    #[test]
    fn the_options_of_tls_are_those_of_libpq() {
        for (options, tls, roots) in [
            ("", ServerTls::Prefer, None),
            ("?sslmode=disable", ServerTls::Disable, None),
            ("?sslmode=verify-full&sslrootcert=system", ServerTls::VerifyFull, None),
            ("?sslmode=verify-ca&sslrootcert=%2Fetc%2Fca.pem", ServerTls::VerifyCa, Some("/etc/ca.pem")),
            ("?sslrootcert=/etc/ca.pem&sslmode=require", ServerTls::Require, Some("/etc/ca.pem")),
            ("?sslrootcert=/etc/a+b%20c.pem", ServerTls::Prefer, Some("/etc/a+b c.pem")),
        ] {
            let address = read(&format!("postgres://me@db/events{options}")).unwrap();
            assert_eq!((address.tls, address.roots), (tls, roots.map(PathBuf::from)), "{options}");
        }
        let file = read("postgres://me@db/events?passfile=/run/secrets/pg").unwrap().password_file;
        assert_eq!(file, Some(PathBuf::from("/run/secrets/pg")));
    }

    #[test]
    fn a_fault_of_a_url_is_named_without_a_credential() {
        for (url, want) in [
            ("postgres://me:hunter2@db/events?sslmode=hunter2", "`sslmode` is"),
            ("postgres://me:hunter2@db/events?hunter=hunter2", "hunter"),
            ("postgres://me:hunter2@db/events?sslcert=/a", "does not know the option `sslcert`"),
            ("postgres://me:hunter2@db/events?sslrootcert=a", "`sslrootcert` is the absolute path of a file"),
            ("postgres://me:hunter2@db:hunter2/events", ""),
            ("postgres:///events", "the URL names no host"),
            ("postgres://me:a@hunter2@db/events", "`%40`"),
            ("postgres://me:a@hunter2/b@db/events", "`%40`"),
            ("postgres://me:a?hunter2@db/events", "`%40`"),
            ("postgres://me:a@db/b?hunter2@db/events", "unterminated parameter"),
        ] {
            let fault = read(url).unwrap_err();
            assert!(fault.contains(want) && !fault.contains("hunter2"), "{url}: {fault}");
        }
    }
}
