//! Shell. `hookgate check`: prints the routes of the configuration, or every problem in it.

use serde_json::{Value, json};

use super::args::Check;
use super::configuration::ConfigFile;
use super::exit::{Exit, Failure};
use super::terminal::{Paint, Terminal};
use super::{assertion, configuration, file_access, issued_certificates, listeners, table};
use crate::admission::memory_bound::{Footprint, in_mib};
use crate::config::load::{self, LoadError};
use crate::config::problem::Report;
use crate::config::{Config, Loaded, StoreAddress};
use crate::queue::postgres;

/// Checks the configuration.
///
/// # Errors
/// A [`Failure`] if the configuration has errors.
pub(super) fn check(terminal: &mut Terminal, file: &ConfigFile, asked: &Check) -> Result<Exit, Failure> {
    let denied = match &asked.user {
        Some(user) => file_access::denied(file.path(), user)?,
        None => Vec::new(),
    };
    if asked.json {
        return Ok(as_json(terminal, file, asked, denied));
    }
    let loaded = configuration::load(terminal, file)?;
    configuration::render(terminal, &loaded.report);
    let doubts = store_doubts(&loaded.config);
    for doubt in &doubts {
        let warning = terminal.out.paint(Paint::Strong, "warning");
        terminal.out.line(format_args!("{warning}: {doubt}"));
    }
    let config = &loaded.config;
    let tables =
        [table::lines(&config.routes), listeners::lines(config), listeners::certificate_lines(config)];
    for table in tables.iter().filter(|table| !table.is_empty()) {
        terminal.out.table(table);
        terminal.out.line("");
    }
    for line in issued_certificates::lines(&loaded.config).into_iter().chain(assertion::lines(&loaded.config))
    {
        terminal.out.line(line);
    }
    let memory = terminal.out.paint(Paint::Faint, memory(&Footprint::of(&loaded.config)));
    terminal.out.line(memory);
    for what in &denied {
        let error = terminal.err.paint(Paint::Bad, "error");
        terminal.err.line(format_args!("{error}: {what}"));
    }
    if !denied.is_empty() {
        let what = configuration::counted(denied.len(), "file");
        return Err(
            Failure::config(format!("{what} cannot be read by the user of --user")).hint(let_read(&denied))
        );
    }
    if asked.user.is_none() && file_access::is_root_alone(file.path()) {
        terminal.note("root may read every file: --user NAME says whether the service's user may, too");
    }
    if asked.strict && (is_doubtful(&loaded.report) || !doubts.is_empty()) {
        let failure = Failure::config(configuration::summary(file, &loaded.report));
        return Err(failure.hint("--strict makes warnings fail"));
    }
    let good = terminal.out.paint(Paint::Good, "good");
    terminal.out.line(format_args!("{good}: {}", summary(file, &loaded, doubts.len())));
    Ok(Exit::Done)
}

/// The advice for files that the service's user may not read.
fn let_read(denied: &[String]) -> &'static str {
    if denied.iter().all(|what| what.contains("may not enter")) {
        return "let this user enter the folder: chgrp it to the user's group and chmod g+x; under systemd, `LoadCredential=` passes \
                the secret without these changes";
    }
    "chown them to this user and chmod 400; under systemd, `LoadCredential=` passes the secret without these changes"
}

fn as_json(terminal: &mut Terminal, file: &ConfigFile, asked: &Check, denied: Vec<String>) -> Exit {
    let (ok, parts, problems) = match load::load(file.path()) {
        Ok(Loaded { config, report }) => {
            let doubts = store_doubts(&config);
            let ok = !(asked.strict && (is_doubtful(&report) || !doubts.is_empty()));
            let Footprint { program, connections, buffered, diagnoses, queue } = Footprint::of(&config);
            let memory = json!({
                "most": Footprint::of(&config).most(),
                "program": program,
                "connections": connections,
                "buffered": buffered,
                "diagnoses": diagnoses,
                "queue": queue,
            });
            let mut problems = report.to_json();
            if let Value::Array(problems) = &mut problems {
                let file = file.to_string();
                problems.extend(doubts.into_iter().map(
                    |message| json!({ "severity": "warning", "code": "store_server", "file": file, "message": message }),
                ));
            }
            let parts = Parts {
                listeners: listeners::documents(&config),
                certificates: listeners::certificate_documents(&config),
                acme: issued_certificates::documents(&config),
                routes: table::documents(&config.routes),
                assertion: assertion::document(&config),
                memory,
            };
            (ok, parts, problems)
        }
        Err(LoadError::Wrong(report)) => (false, Parts::default(), report.to_json()),
        Err(error @ LoadError::Unreadable { .. }) => {
            let message = configuration::unreadable(file, &error).to_string();
            let problem = json!({ "severity": "error", "file": file.to_string(), "message": message });
            (false, Parts::default(), Value::Array(vec![problem]))
        }
    };
    let ok = ok && denied.is_empty();
    let mut problems = problems;
    if let Value::Array(problems) = &mut problems {
        let file = file.to_string();
        problems.extend(denied.into_iter().map(
            |message| json!({ "severity": "error", "code": "file_denied", "file": file, "help": let_read(std::slice::from_ref(&message)), "message": message }),
        ));
    }
    let Parts { listeners, certificates, acme, routes, assertion, memory } = parts;
    let document = json!({
        "ok": ok,
        "listeners": listeners,
        "certificates": certificates,
        "acme": acme,
        "routes": routes,
        "assertion": assertion,
        "memory": memory,
        "problems": problems,
    });
    terminal.out.json(&document);
    if ok { Exit::Done } else { Exit::Config }
}

/// The parts of a configuration as JSON. Empty if the configuration cannot be used.
#[derive(Default)]
struct Parts {
    listeners: Vec<Value>,
    certificates: Vec<Value>,
    acme: Vec<Value>,
    routes: Vec<Value>,
    assertion: Value,
    memory: Value,
}

/// What the server of the store says of itself, if the store is on one.
fn store_doubts(config: &Config) -> Vec<String> {
    match config.queue.as_ref().map(|queue| &queue.store) {
        Some(StoreAddress::Postgres(address)) => postgres::doubts(address),
        Some(StoreAddress::File(_)) | None => Vec::new(),
    }
}

/// The most memory that the gateway can use. Operators need it to limit the process.
fn memory(footprint: &Footprint) -> String {
    let queue = match footprint.queue {
        0 => String::new(),
        queue => format!(", {} for the queue", in_mib(queue)),
    };
    format!(
        "memory: at most {}: {} for the program, {} for connections, {} for bodies and large heads, {} for diagnoses{queue}",
        in_mib(footprint.most()),
        in_mib(footprint.program),
        in_mib(footprint.connections),
        in_mib(footprint.buffered),
        in_mib(footprint.diagnoses),
    )
}

fn is_doubtful(report: &Report) -> bool {
    report.warnings().next().is_some()
}

/// One line about a good configuration. `doubts` is the number of warnings about the store's server.
fn summary(file: &ConfigFile, loaded: &Loaded, doubts: usize) -> String {
    let Loaded { config, report } = loaded;
    let mut upstreams: Vec<_> =
        config.routes.iter().flat_map(|route| route.upstream.origins()).map(ToString::to_string).collect();
    upstreams.sort_unstable();
    upstreams.dedup();
    let listen: Vec<_> = config.listen().map(ToString::to_string).collect();
    let warnings = report.warnings().count().saturating_add(doubts);
    format!(
        "{} has {} to {}, listening on {}{}",
        file,
        configuration::counted(config.routes.len(), "route"),
        configuration::counted(upstreams.len(), "upstream"),
        listen.join(", "),
        if warnings == 0 {
            String::new()
        } else {
            format!("; {}", configuration::counted(warnings, "warning"))
        }
    )
}
