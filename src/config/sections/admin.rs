//! Pure. Reads `[admin]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::config::address::{self, Listen};
use crate::config::bounds::MOST_RECENT;
use crate::config::choices::TLS_VERSIONS;
use crate::config::problem::Problem;
use crate::config::sections::secret::Context;
use crate::config::sections::{pem_file, tokens};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Address, Admin, AdminAddress, ConsoleMode, keys};
use crate::tls::server_config::{MinVersion, Settings};

/// Reads `[admin]`, with the places of its addresses in the file. `None` if the table is missing.
pub(crate) fn read(root: &Table<'_>, context: Context<'_>) -> (Option<Admin>, Vec<Listen>) {
    let Some(table) = present(root) else { return (None, Vec::new()) };
    let listen = address::listen(&table, LISTEN);
    let unix_mode = address::unix_mode(&table, UNIX_MODE);
    let tokens = tokens::read(&table, context);
    let tls = tls(&table, context);
    if table.get("tls").is_none() && !tokens.is_empty() {
        clear_text(&table, &listen);
    }
    let recent = table.count("recent", RECENT, 0..=MOST_RECENT);
    let console = table.get("console").and_then(|item| console(&item)).unwrap_or_default();
    if table.get("tls").is_none() && console != ConsoleMode::Off {
        open_console(&table, &listen);
    }
    (Some(Admin { listen: addresses(&listen), unix_mode, tokens, tls, recent, console }), listen)
}

/// Reads `true`, `false` or `"read-only"`.
fn console(item: &Item<'_>) -> Option<ConsoleMode> {
    let message = "`console` must be `true`, `false` or `\"read-only\"`";
    let help = "`true` lets a token with the role \"operate\" change things, `\"read-only\"` only shows them";
    match (item.value.as_bool(), item.value.as_str()) {
        (Some(true), _) => Some(ConsoleMode::On),
        (Some(false), _) => Some(ConsoleMode::Off),
        (None, Some("read-only")) => Some(ConsoleMode::ReadOnly),
        (None, _) => item.error("bad_value", message).help(help).refuse(item.problems),
    }
}

/// Refuses a console that other machines would reach over plain HTTP: the network could read its cookie.
fn open_console(table: &Table<'_>, listen: &[Listen]) {
    let Some(open) = listen.iter().find(is_open) else { return };
    let message = format!("the console needs TLS on {}, which other machines reach", open.address);
    Problem::error("console_in_clear", table.place("console"), message)
        .help(format!("add `tls = {EXAMPLE}`, or listen on 127.0.0.1 or a unix socket"))
        .report(table.problems);
}

/// Whether other machines reach this address.
fn is_open(listen: &&Listen) -> bool {
    listen.address.tcp().is_some_and(|address| !address.ip().is_loopback())
}

/// Reads how the listener is reached. Reads no other file. `folder` is the directory of the configuration
/// file.
pub(crate) fn read_address(root: &Table<'_>, folder: &Path) -> Option<AdminAddress> {
    let table = present(root)?;
    let listen = addresses(&address::listen(&table, LISTEN));
    let certificate = table.get("tls").and_then(|item| {
        let help = item.write_this(EXAMPLE);
        let table = Table::of(&item, "a certificate", &help, keys::ADMIN_KEY_PAIR)?;
        Some(folder.join(table.required("cert", "\"admin.crt\"")?.text("\"admin.crt\"")?))
    });
    Some(AdminAddress { listen, certificate })
}

fn present<'t>(root: &Table<'t>) -> Option<Table<'t>> {
    let table = root.section("admin", "`[admin]`", keys::ADMIN);
    table.is_present().then_some(table)
}

fn addresses(listen: &[Listen]) -> Vec<Address> {
    listen.iter().map(|listen| listen.address.clone()).collect()
}

/// Reads `tls`. HTTP/2 is not offered, and clients need no certificate.
fn tls(table: &Table<'_>, context: Context<'_>) -> Option<Settings> {
    let item = table.get("tls")?;
    let help = item.write_this(EXAMPLE);
    let table = Table::of(&item, "a certificate", &help, keys::ADMIN_KEY_PAIR)?;
    let min_version = table.choice("min_version", &TLS_VERSIONS, MinVersion::default());
    let certificates = vec![pem_file::key_pair_in(&table, context)?];
    Some(Settings { certificates, min_version, handshake_timeout: HANDSHAKE, http2: false, client_ca: None })
}

/// Warns that clients on other machines send their tokens over plain HTTP.
fn clear_text(table: &Table<'_>, listen: &[Listen]) {
    let Some(open) = listen.iter().find(is_open) else { return };
    let place = open.span.clone().unwrap_or_else(|| table.place("tokens"));
    let message = format!("tokens that clients send to {} travel in clear text", open.address);
    Problem::warning("token_in_clear", place, message)
        .help(format!("add `tls = {EXAMPLE}`, or listen on 127.0.0.1 or a unix socket"))
        .report(table.problems);
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// The number of recent requests without a configured number.
const RECENT: usize = 1000;

/// Only the gateway's user and root may connect, because a client of a unix socket needs no token.
const UNIX_MODE: u32 = 0o600;

/// Against clients that do not finish a handshake. The time for a whole connection is not longer.
const HANDSHAKE: Duration = Duration::from_secs(5);

const EXAMPLE: &str = "{ cert = \"admin.crt\", key = \"admin.key\" }";

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    use crate::config::environment::Fixed;
    use crate::config::read;
    use crate::tls::sample::self_signed;

    fn codes(admin: &str) -> Vec<&'static str> {
        let certificate = self_signed(&["localhost"]);
        let text = format!(
            "[admin]\n{admin}\n[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:3000\"\n\
             signature = {{ scheme = \"propify\", secrets = [{{ env = \"KEY\" }}] }}\n"
        );
        let environment = Fixed::new(NonZeroUsize::MIN)
            .with_variable("KEY", "0123456789abcdef0123456789abcdef")
            .with_variable("TOKEN", "fedcba9876543210fedcba9876543210")
            .with_file("a.crt", certificate.cert)
            .with_file("a.key", certificate.key);
        let report = match read("gateway.toml", &text, &environment, SystemTime::UNIX_EPOCH) {
            Ok(loaded) => loaded.report,
            Err(report) => report,
        };
        report.problems.iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn there_is_a_warning_only_if_tokens_leave_the_machine_in_clear_text() {
        const TOKENS: &str = "tokens = [{ name = \"ops\", env = \"TOKEN\" }]\n";
        const TLS: &str = "tls = { cert = \"a.crt\", key = \"a.key\" }\n";
        for (listen, tables, warns) in [
            ("\"0.0.0.0:1\"", vec![TOKENS], true),
            ("[\"127.0.0.1:1\", \"192.0.2.1:1\"]", vec![TOKENS], true),
            ("\"[::]:1\"", vec![TOKENS], true),
            ("\"0.0.0.0:1\"", vec![], false),
            ("\"0.0.0.0:1\"", vec![TOKENS, TLS], false),
            ("\"127.0.0.1:1\"", vec![TOKENS], false),
            ("[\"[::1]:1\", \"unix:/run/a.sock\"]", vec![TOKENS], false),
        ] {
            let found = codes(&format!("listen = {listen}\n{}", tables.concat()));
            assert_eq!(found.contains(&"token_in_clear"), warns, "{listen} {tables:?} {found:?}");
            assert_eq!(found.len(), usize::from(warns), "{found:?}");
        }
    }

    #[test]
    fn the_console_is_refused_where_other_machines_reach_it_without_tls() {
        const TLS: &str = "tls = { cert = \"a.crt\", key = \"a.key\" }";
        for (listen, console, tls, want) in [
            ("\"127.0.0.1:1\"", "true", "", vec![]),
            ("[\"[::1]:1\", \"unix:/run/a.sock\"]", "\"read-only\"", "", vec![]),
            ("\"0.0.0.0:1\"", "true", "", vec!["console_in_clear"]),
            ("[\"127.0.0.1:1\", \"192.0.2.1:1\"]", "\"read-only\"", "", vec!["console_in_clear"]),
            ("\"0.0.0.0:1\"", "true", TLS, vec![]),
            ("\"0.0.0.0:1\"", "false", "", vec![]),
            ("\"127.0.0.1:1\"", "\"yes\"", "", vec!["bad_value"]),
            ("\"127.0.0.1:1\"", "1", "", vec!["bad_value"]),
        ] {
            let found = codes(&format!("listen = {listen}\nconsole = {console}\n{tls}\n"));
            assert_eq!(found, want, "{listen} {console} {tls}");
        }
    }

    #[test]
    fn a_certificate_of_the_admin_listener_is_checked_like_others() {
        for (tls, want) in [
            ("{ cert = \"a.crt\", key = \"a.key\", min_version = \"1.3\" }", vec![]),
            ("{ cert = \"none.crt\", key = \"a.key\" }", vec!["certificate_unreadable"]),
            ("{ cert = \"a.crt\", key = \"a.crt\" }", vec!["certificate_unreadable"]),
            ("{ cert = \"a.crt\" }", vec!["missing_key"]),
            ("{ cert = \"a.crt\", key = \"a.key\", http2 = true }", vec!["unknown_key"]),
            ("true", vec!["wrong_type"]),
        ] {
            assert_eq!(codes(&format!("tls = {tls}")), want, "{tls}");
        }
    }
}
