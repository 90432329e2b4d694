//! Pure. Reads the addresses to listen on.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use toml::de::DeValue;

use super::Address;
use super::problem::{Problem, Problems};
use crate::config::placeholder::has_variable;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::upstream::origin::socket_path;

/// Reads a table's `listen`: an address or a list of addresses, with their places in the file. If the key is
/// missing, returns the default.
pub(super) fn listen(table: &Table<'_>, default: SocketAddr) -> Vec<Listen> {
    let Some(item) = table.get("listen") else {
        return vec![Listen { address: Address::Tcp(default), span: None }];
    };
    let DeValue::Array(array) = item.value else {
        return read(&item, default).into_iter().collect();
    };
    if array.is_empty() {
        item.error("out_of_range", "there is no address to listen on")
            .help(item.write(&format!("\"{default}\"")))
            .report(table.problems);
    }
    item.elements(array).filter_map(|element| read(&element, default)).collect()
}

/// Reads the addresses of a table's `listen`, without a default.
pub(super) fn listen_as_written(table: &Table<'_>) -> Vec<Listen> {
    listen(table, SocketAddr::from(([127, 0, 0, 1], 8080)))
}

/// Reads a table's `unix_mode`, the mode of its unix sockets' files: octal digits as for chmod(1).
pub(super) fn unix_mode(table: &Table<'_>, default: u32) -> u32 {
    let Some(item) = table.get("unix_mode") else { return default };
    let example = format!("\"{default:04o}\"");
    let Some(text) = item.text(&example) else { return default };
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = digits.then(|| u32::from_str_radix(text, 8).ok()).flatten().filter(|mode| *mode <= 0o777);
    mode.unwrap_or_else(|| {
        item.error("bad_value", "a file's mode is three octal digits, with a 0 before them")
            .help("for example `unix_mode = \"0660\"`: its user and its group may connect")
            .report(item.problems);
        default
    })
}

/// Reports every address that is listed twice. Port 0 means a new port each time, so it may be listed twice.
pub(super) fn distinct<'l>(all: impl IntoIterator<Item = &'l Listen>, problems: &Problems) {
    let mut seen: Vec<&Listen> = Vec::new();
    for later in all {
        let same = |first: &&&Listen| first.address == later.address && !has_any_port(&later.address);
        let Some(first) = seen.iter().find(same) else {
            seen.push(later);
            continue;
        };
        let problem = |place: &Range<usize>| {
            Problem::error(
                "duplicate_address",
                place.clone(),
                format!("{} is listened on twice", later.address),
            )
        };
        problems.push(match (&later.span, &first.span) {
            (Some(later), Some(first)) => problem(later).related(first.clone(), "the first time"),
            (Some(place), None) | (None, Some(place)) => problem(place).label("and by default"),
            // Two defaults are never equal.
            (None, None) => continue,
        });
    }
}

fn has_any_port(address: &Address) -> bool {
    address.tcp().is_some_and(|address| address.port() == 0)
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    /// The address.
    pub(super) address: Address,
    /// The address's place in the file; `None` for a default.
    pub(super) span: Option<Range<usize>>,
}

fn read(item: &Item<'_>, default: SocketAddr) -> Option<Listen> {
    let example = format!("\"{default}\"");
    if let Some(port) = item.value.as_integer() {
        return item
            .error("bad_address", "an address has a host and a port")
            .help(interfaces(port.as_str().parse().unwrap_or(default.port())))
            .refuse(item.problems);
    }
    let text = item.text(&example)?;
    let span = item.span.clone();
    if let Some(path) = text.strip_prefix("unix:") {
        let path = socket_path(path);
        if path.is_none() {
            let message = "a unix socket has an absolute path of at most 96 bytes";
            Problem::error("bad_address", span.clone(), message)
                .help("for example `\"unix:/run/hookgate/hookgate.sock\"`")
                .report(item.problems);
        }
        return path.map(|path| Listen { address: Address::Unix(path), span: Some(span) });
    }
    if let Ok(address) = text.parse() {
        return Some(Listen { address: Address::Tcp(address), span: Some(span) });
    }
    Problem::error("bad_address", span, "not an address to listen on")
        .help(instead(text, default))
        .refuse(item.problems)
}

/// The advice for a text that is not an address.
fn instead(text: &str, default: SocketAddr) -> String {
    if has_variable(text) {
        return format!("gateway.toml has no variables: write the address itself, `\"{default}\"`");
    }
    if text.starts_with('/') && !text.contains('@') && socket_path(text).is_some() {
        return format!("write `\"unix:{text}\"`");
    }
    if text.contains([',', ' ']) && !text.trim().contains(" ssl") && !text.trim().contains(" http2") {
        let all: Vec<_> =
            text.split([',', ' ']).filter_map(|one| one.trim().parse::<SocketAddr>().ok()).collect();
        let all: Vec<_> = all.iter().map(|one| format!("\"{one}\"")).collect();
        if all.len() > 1 {
            return format!("write a list: `[{}]`", all.join(", "));
        }
    }
    if text.starts_with("https://") || text.contains(" ssl") {
        return "an address for https stands under `[tls]`: `listen = \"0.0.0.0:8443\"`, with `certificates`"
            .to_owned();
    }
    let bare = ["http://", "https://", "tcp://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let bare = bare.unwrap_or(text).trim().trim_end_matches('/');
    if let Ok(address) = bare.parse::<SocketAddr>() {
        return format!("write `\"{address}\"`");
    }
    // `::1:8080` is also a valid address, but the writer means the port 8080 of `::1`.
    let is_v6_with_port = bare.rsplit_once(':').is_some_and(|(host, port)| {
        port.len() >= 4 && port.parse::<u16>().is_ok() && host.parse::<Ipv6Addr>().is_ok()
    });
    if let (Ok(host), false) = (bare.trim_matches(['[', ']']).parse::<IpAddr>(), is_v6_with_port) {
        return format!("add a port: `\"{}\"`", SocketAddr::new(host, default.port()));
    }
    let (host, port) = bare.rsplit_once(':').unwrap_or(("", bare));
    let v6 =
        if host == "::" || host == ":" { Some(Ipv6Addr::UNSPECIFIED) } else { host.parse::<Ipv6Addr>().ok() };
    if let (Some(v6), Ok(port)) = (v6, port.parse::<u16>()) {
        return format!("write `\"[{v6}]:{port}\"`");
    }
    if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_err() {
        return "a port is at most 65535".to_owned();
    }
    match (host, port.parse::<u16>()) {
        ("" | "*", Ok(port)) => interfaces(port),
        ("localhost", Ok(port)) => format!("write the address: `\"127.0.0.1:{port}\"`"),
        (_, Ok(port)) => {
            format!("write an IP address, not a name: {}", interfaces(port).trim_start_matches("write "))
        }
        (_, Err(_)) => format!("write an IP address and a port: `\"{default}\"`"),
    }
}

fn interfaces(port: u16) -> String {
    format!("write `\"127.0.0.1:{port}\"` for this machine only, `\"0.0.0.0:{port}\"` for every interface")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_address_gets_a_suggestion() {
        let default = SocketAddr::from(([127, 0, 0, 1], 9901));
        for (text, want) in [
            (":8080", "\"127.0.0.1:8080\"` for this machine only, `\"0.0.0.0:8080\"` for every interface"),
            ("8080", "\"127.0.0.1:8080\"` for this machine only"),
            ("*:8080", "\"0.0.0.0:8080\""),
            ("localhost:8080", "`\"127.0.0.1:8080\"`"),
            ("gateway.internal:8080", "not a name: `\"127.0.0.1:8080\"`"),
            ("0.0.0.0", "`\"0.0.0.0:9901\"`"),
            ("::1", "`\"[::1]:9901\"`"),
            ("[::1]", "`\"[::1]:9901\"`"),
            ("http://127.0.0.1:80/", "`\"127.0.0.1:80\"`"),
            ("127.0.0.1:70000", "65535"),
            ("::1:8080", "`\"[::1]:8080\"`"),
            (":::8080", "`\"[::]:8080\"`"),
            ("0.0.0.0:${PORT}", "has no variables"),
            ("/run/a.sock", "`\"unix:/run/a.sock\"`"),
            ("0.0.0.0:443 ssl", "`[tls]`"),
            ("https://0.0.0.0:443", "`[tls]`"),
            ("0.0.0.0:80, [::]:80", "`[\"0.0.0.0:80\", \"[::]:80\"]`"),
            ("", "`\"127.0.0.1:9901\"`"),
        ] {
            assert!(instead(text, default).contains(want), "{text}: {}", instead(text, default));
        }
    }
}
