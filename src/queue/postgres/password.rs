//! Shell. The password for the server if its URL has none: from a file, or from the environment.

use std::path::{Path, PathBuf};
use std::{env, fs};

use tokio_postgres::config::Host;
use zeroize::Zeroizing;

use crate::config::PostgresAddress;
use crate::queue::postgres::error::{Error, Result};

/// The password: from `passfile`, from the file that `PGPASSFILE` names, or from `PGPASSWORD`.
pub(super) fn find(address: &PostgresAddress) -> Result<Option<Zeroizing<String>>> {
    let named = address.password_file.clone().or_else(|| env::var_os("PGPASSFILE").map(PathBuf::from));
    match named {
        Some(path) => of_file(&path, address),
        None => Ok(env::var("PGPASSWORD").ok().map(Zeroizing::new)),
    }
}

fn of_file(path: &Path, address: &PostgresAddress) -> Result<Option<Zeroizing<String>>> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| Error::Password(path.to_owned(), error))?;
    let connection = &address.connection;
    let host = match connection.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(_)) | None => "localhost".to_owned(),
    };
    let port = connection.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = connection.get_user().unwrap_or("");
    let database = connection.get_dbname().unwrap_or(user);
    Ok(choose(&text, [&host, &port, database, user]))
}

/// The password in the text of a file. Like libpq, takes it from the first matching line
/// `host:port:database:user:password`. If no line has this form, the whole text is the password.
fn choose(text: &str, wanted: [&str; 4]) -> Option<Zeroizing<String>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<_> = lines.map(fields).collect();
    if !lines.iter().any(|fields| fields.len() == 5) {
        let password = text.strip_suffix('\n').unwrap_or(text);
        let password = password.strip_suffix('\r').unwrap_or(password);
        return Some(Zeroizing::new(password.to_owned())).filter(|password| !password.is_empty());
    }
    lines.into_iter().find_map(|fields| {
        let (password, names) = fields.split_last()?;
        let matches = names.len() == wanted.len()
            && names.iter().zip(wanted).all(|(name, wanted)| **name == "*" || **name == wanted);
        matches.then(|| password.clone())
    })
}

/// The fields of a line, separated by colons. After a backslash, the next character has no special meaning.
fn fields(line: &str) -> Vec<Zeroizing<String>> {
    let mut all = vec![Zeroizing::new(String::new())];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        // The password is the last field, and may contain colons.
        if character == ':' && all.len() < 5 {
            all.push(Zeroizing::new(String::new()));
            continue;
        }
        let character = if character == '\\' { characters.next().unwrap_or('\\') } else { character };
        if let Some(field) = all.last_mut() {
            field.push(character);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_that_of_the_first_line_that_matches_or_the_whole_file() {
        let wanted = ["db", "5432", "events", "hookgate"];
        for (text, want) in [
            ("hunter2\n", Some("hunter2")),
            ("hunter2\r\n", Some("hunter2")),
            ("a:b:c", Some("a:b:c")),
            ("", None),
            ("# comment\ndb:5432:events:hookgate:hunter2\n", Some("hunter2")),
            ("other:*:*:*:no\n*:*:*:hookgate:hunt:er2\n", Some("hunt:er2")),
            ("*:*:*:*:hun\\\\ter\\:2\n", Some("hun\\ter:2")),
            ("d\\b:5432:events:hookgate:hunter2\n", Some("hunter2")),
            ("other:5432:events:hookgate:hunter2\n", None),
            ("db:5433:events:hookgate:hunter2\n", None),
        ] {
            assert_eq!(choose(text, wanted).as_deref().map(String::as_str), want, "{text:?}");
        }
    }
}
