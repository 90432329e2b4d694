//! Pure. The tables of gateway.toml that are not about routes: `[server]`, `[limits]`, `[admin]`, `[log]`, `[forward]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use http::HeaderName;

use super::address::{self, Listen};
use super::bounds::{MOST_CONNECTIONS, MOST_MEMORY, MOST_WORKERS};
use super::item::Item;
use super::problem::Problem;
use super::schemes::{Declared, OF_THE_CONNECTION};
use super::table::Table;
use super::words::{ACCESS, LEVELS, LOG_FORMATS};
use super::{
    AccessLog, Admin, Forward, Limits, Log, LogFormat, LogLevel, Server, Sharing, XForwarded, keys, proxy,
};
use crate::message::head::is_lookalike;
use crate::signature::scheme::{PRESETS, Scheme};

/// Reads `[server]`, with the places of its addresses.
pub(super) fn server(root: &Table<'_>, cores: NonZeroUsize) -> (Server, Vec<Listen>) {
    let table = root.section("server", "`[server]`", keys::SERVER);
    let listen = address::listen(&table, LISTEN);
    let shared = table.flag("reuse_port", false);
    let server = Server {
        listen: listen.iter().map(|listen| listen.address.clone()).collect(),
        sharing: if shared { Sharing::WithOthers } else { Sharing::Alone },
        unix_mode: table.get("unix_mode").and_then(|item| mode(&item)).unwrap_or(UNIX_MODE),
        proxy_protocol: table.get("proxy_protocol").and_then(|item| proxy::read(&item, &listen)),
        workers: at_least_one(table.count("workers", cores.get(), 1..=MOST_WORKERS)),
        max_connections: at_least_one(table.count("max_connections", 10_000, 1..=MOST_CONNECTIONS)),
        drain_delay: table.duration("drain_delay", Duration::ZERO),
        shutdown_grace: table.duration("shutdown_grace", Duration::from_secs(30)),
    };
    (server, listen)
}

/// `[limits]`
pub(super) fn limits(root: &Table<'_>) -> Limits {
    let table = root.section("limits", "`[limits]`", keys::LIMITS);
    let max_buffered = table.size("max_buffered", 256 << 20, 1..=MOST_MEMORY);
    let mut limits = Limits {
        max_body: table.size("max_body", 1 << 20, 1..=MOST_MEMORY),
        max_buffered,
        max_header_bytes: usize::try_from(table.size("max_header_bytes", 32 << 10, 1 << 10..=1 << 20))
            .unwrap_or(usize::MAX),
        header_timeout: table.duration("header_timeout", Duration::from_secs(10)),
        body_timeout: table.duration("body_timeout", Duration::from_secs(30)),
        min_body_rate: table.size("min_body_rate", 1 << 10, 0..=MOST_MEMORY),
        idle_timeout: table.duration("idle_timeout", Duration::from_secs(75)),
        write_timeout: table.duration("write_timeout", Duration::from_secs(30)),
    };
    let place = table.get("max_body").or_else(|| table.get("max_buffered"));
    if let Some(place) = place
        && limits.max_body > limits.max_buffered
    {
        body_beyond_memory(&place, limits.max_body, &limits).report(root.problems);
        // Reported once, and not again for every route.
        limits.max_body = limits.max_buffered;
    }
    limits
}

/// The problem of a content limit larger than the memory budget.
pub(super) fn body_beyond_memory(item: &Item<'_>, max_body: u64, limits: &Limits) -> Problem {
    let (body, buffered) = (super::unit::write_size(max_body), super::unit::write_size(limits.max_buffered));
    let message = format!("a body of {body} (`max_body`) can never be held in {buffered} (`max_buffered`)");
    item.error("body_beyond_memory", message)
        .help("`max_buffered` must be at least as large as every `max_body`, and should be many times that")
}

/// Reads `[admin]`, with the places of its addresses; off if the table is missing.
pub(super) fn admin(root: &Table<'_>) -> (Option<Admin>, Vec<Listen>) {
    let table = root.section("admin", "`[admin]`", keys::ADMIN);
    if !table.is_present() {
        return (None, Vec::new());
    }
    let listen = address::listen_tcp(&table, ADMIN_LISTEN);
    let addresses = listen.iter().filter_map(|listen| listen.address.tcp()).collect();
    (Some(Admin { listen: addresses }), listen)
}

/// `[log]`
pub(super) fn log(root: &Table<'_>) -> Log {
    let table = root.section("log", "`[log]`", keys::LOG);
    Log {
        format: table.choice("format", &LOG_FORMATS, LogFormat::Auto),
        level: table.choice("level", &LEVELS, LogLevel::INFO),
        access: table.choice("access", &ACCESS, AccessLog::All),
        request_id_field: table.get("request_id_field").and_then(|item| request_id_field(&item)),
        diagnose: table.flag("diagnose", true),
        old_secret_warning: table.duration("old_secret_warning", Duration::from_secs(3600)),
    }
}

/// `[forward]`
pub(super) fn forward(root: &Table<'_>, declared: &[Declared]) -> Forward {
    let table = root.section("forward", "`[forward]`", keys::FORWARD);
    Forward {
        x_forwarded: table.get("x_forwarded").and_then(|item| x_forwarded(&item)).unwrap_or_default(),
        verified_field: table.get("verified_field").and_then(|item| verified_field(&item, declared)),
        via: table.flag("via", false),
    }
}

/// Reads the name of a field that is logged. Fields with credentials are refused.
fn request_id_field(item: &Item<'_>) -> Option<HeaderName> {
    let example = "\"x-request-id\"";
    let text = item.text(example)?;
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    let fit = name.filter(|name| {
        let signature = PRESETS.iter().any(|scheme| scheme.field == name.as_str());
        !signature && !FIELDS_WITH_CREDENTIALS.contains(&name.as_str())
    });
    if fit.is_none() {
        let message = "not the name of a field that can be logged";
        item.error("bad_field", message).help(format!("for example `{example}`")).report(item.problems);
    }
    fit
}

/// Reads `true`, `false` or `"overwrite"`.
fn x_forwarded(item: &Item<'_>) -> Option<XForwarded> {
    let message = "`x_forwarded` must be `true`, `false` or `\"overwrite\"`";
    let help = "`true` appends to what the client claims, `\"overwrite\"` puts what is known in its place";
    match (item.value.as_bool(), item.value.as_str()) {
        (Some(true), _) => Some(XForwarded::Append),
        (Some(false), _) => Some(XForwarded::Off),
        (None, Some("overwrite")) => Some(XForwarded::Overwrite),
        (None, _) => item.error("bad_value", message).help(help).refuse(item.problems),
    }
}

/// Reads the mode of a file, in octal digits as for chmod(1).
fn mode(item: &Item<'_>) -> Option<u32> {
    let text = item.text("\"0660\"")?;
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = digits.then(|| u32::from_str_radix(text, 8).ok()).flatten().filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        item.error("bad_value", "a file's mode is three octal digits, with a 0 before them")
            .help("for example `unix_mode = \"0660\"`: its user and its group may connect")
            .report(item.problems);
    }
    mode
}

/// Reads the name of a field that is removed from requests of clients, and whose lookalikes are refused. Fields that a
/// message or an app may need, and their lookalikes, are refused.
fn verified_field(item: &Item<'_>, declared: &[Declared]) -> Option<HeaderName> {
    let example = "\"x-hookgate-verified\"";
    let text = item.text(example)?;
    let problem = |message| item.error("bad_field", message).help(format!("for example `{example}`"));
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        return problem("not the name of a field").refuse(item.problems);
    };
    let own = declared.iter().filter_map(|(_, scheme)| scheme.as_deref());
    let signed = PRESETS.iter().chain(own).flat_map(Scheme::fields);
    let is_taken =
        |field: &str| field == name.as_str() || is_lookalike(name.as_str().as_bytes(), field.as_bytes());
    if signed.chain(OF_THE_CONNECTION).chain(FIELDS_THAT_MATTER).any(is_taken) {
        return problem("this field has a meaning of its own, and would be removed from what clients send")
            .refuse(item.problems);
    }
    Some(name)
}

fn at_least_one(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// The user and the group may connect.
const UNIX_MODE: u32 = 0o660;

/// Fields with credentials, which must not be logged.
const FIELDS_WITH_CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Fields whose removal would change the meaning of a message, besides those of the connection: the description of the
/// content, the identity of the client, and fields that the gateway may append to.
const FIELDS_THAT_MATTER: [&str; 15] = [
    "content-type",
    "content-encoding",
    "content-language",
    "content-range",
    "date",
    "authorization",
    "proxy-authorization",
    "proxy-authenticate",
    "cookie",
    "user-agent",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];
