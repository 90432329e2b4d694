//! Pure. Words of other programs that users try as commands and options, and what hookgate has instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use clap::CommandFactory as _;

use super::args::Typed;
use super::exit::Failure;
use crate::upstream::origin::Origin;

/// The failure for a command or an option that another program has. `None` if the word is not known here.
/// Then the parser's own message has the most similar words.
pub(super) fn of(error: &clap::Error) -> Option<Failure> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(_) | None => None,
    };
    let is_of = |command: &str| match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string().contains(&format!(" {command} ")),
        Some(_) | None => false,
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser explains every other error itself")]
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand)?;
            if is_of("events") {
                let hint = event_verb(word)?;
                return Some(Failure::usage(format!("there is no `hookgate events {word}`")).hint(hint));
            }
            let hint = command(word)?;
            Some(Failure::usage(format!("there is no command `{word}`")).hint(hint))
        }
        ErrorKind::UnknownArgument => {
            let typed = text(ContextKind::InvalidArg)?;
            if !typed.starts_with('-') && typed.ends_with(".toml") {
                let hint = format!("`--config {typed}` names the configuration");
                return Some(
                    Failure::usage(format!("`{typed}` is not an argument of this command")).hint(hint),
                );
            }
            if is_of("tail") && ["-f", "-F", "--follow"].contains(&typed) {
                let hint = "`hookgate tail` follows until it is ended: leave the option out";
                return Some(Failure::usage(format!("there is no option `{typed}`")).hint(hint));
            }
            let hint = option(typed)?;
            Some(Failure::usage(format!("there is no option `{typed}`")).hint(hint))
        }
        ErrorKind::ValueValidation => {
            let option = text(ContextKind::InvalidArg)?.split(' ').next().unwrap_or_default();
            let origin = text(ContextKind::InvalidValue).and_then(origin_within)?;
            ["--url", "--admin", "--upstream"].contains(&option).then(|| {
                Failure::usage(format!("{option} takes a scheme, a host and a port, and nothing else"))
                    .hint(format!("write `{option} {origin}`"))
            })
        }
        _ => None,
    }
}

/// What to use instead of this command.
fn command(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    if lower.ends_with(".toml") {
        return Some(format!(
            "`hookgate --config {word}` serves with this file, and `hookgate check {word}` checks it"
        ));
    }
    let is_upper = |command: &clap::Command| word != lower && command.get_name() == lower;
    if Typed::command().get_subcommands().any(is_upper) {
        return Some(format!("commands are in lower case: `hookgate {lower}`"));
    }
    let (_, instead) = COMMANDS.iter().find(|(words, _)| words.contains(&lower.as_str()))?;
    Some((*instead).to_owned())
}

/// What to use instead of this verb of `hookgate events`.
fn event_verb(word: &str) -> Option<&'static str> {
    let lower = word.to_lowercase();
    EVENT_VERBS.iter().find(|(words, _)| words.contains(&lower.as_str())).map(|(_, instead)| *instead)
}

/// The origin of a text that has a path, or that lacks its scheme. `None` if there is none, or if the text
/// may have a credential.
fn origin_within(text: &str) -> Option<String> {
    if text.contains('@') {
        return None;
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    let origin = format!("{scheme}://{authority}");
    // A single word is not meant as a host.
    let is_host = authority.contains([':', '.']) || text.contains("://") || authority == "localhost";
    Origin::parse(&origin).ok().filter(|_| is_host)?;
    Some(origin)
}

/// What to use instead of this option.
fn option(typed: &str) -> Option<&'static str> {
    let name = typed.split('=').next().unwrap_or(typed);
    OPTIONS.iter().find(|(names, _)| names.contains(&name)).map(|(_, instead)| *instead)
}

const EVENT_VERBS: &[(&[&str], &str)] = &[
    (&["ls", "get", "all", "search", "find", "query"], "`hookgate events list` lists them"),
    (&["dlq", "dead", "failed", "dead-letters"], "`hookgate events list --state dead` lists dead letters"),
    (
        &["queue", "queued", "pending", "waiting"],
        "`hookgate events list --state queued` lists the events that wait",
    ),
    (
        &["retry", "resend", "redeliver", "requeue", "send", "again"],
        "`hookgate events replay` sends an event again",
    ),
    (
        &["delete", "del", "rm", "remove", "purge", "drop", "clear"],
        "`hookgate events discard` removes an event permanently",
    ),
    (&["view", "inspect", "describe", "cat", "info"], "`hookgate events show ID` shows an event"),
    (&["dump", "download", "save", "backup"], "`hookgate events export` writes events to a file"),
    (&["stop", "hold", "suspend"], "`hookgate events pause` holds the deliveries of a route"),
    (
        &["start", "continue", "unpause", "release"],
        "`hookgate events resume` continues the deliveries of a route",
    ),
    (&["tail", "follow", "watch"], "`hookgate tail` follows requests and deliveries"),
];

const COMMANDS: &[(&[&str], &str)] = &[
    (
        &["serve", "server", "start", "up", "daemon", "proxy", "listen", "gateway", "launch", "exec"],
        "`hookgate run` serves, and so does `hookgate` alone",
    ),
    (
        &[
            "validate",
            "test",
            "lint",
            "config",
            "configtest",
            "check-config",
            "checkconfig",
            "routes",
            "list-routes",
        ],
        "`hookgate check` reads gateway.toml and prints its routes, or every problem in it",
    ),
    (
        &["status", "health", "healthcheck", "health-check", "ping", "ready", "live", "healthz", "readyz"],
        "`hookgate check --live` asks a running gateway whether it is ready, and `hookgate doctor` looks for problems",
    ),
    (
        &["diagnose", "debug", "troubleshoot", "fix", "inspect", "info"],
        "`hookgate doctor` looks for problems of a running gateway, and `hookgate verify` says why a signature does not \
         verify",
    ),
    (
        &["reload", "restart", "hup", "refresh"],
        "a change of gateway.toml or of a secret's file is loaded by itself; `systemctl reload hookgate` or SIGHUP loads it \
         at once",
    ),
    (
        &["stop", "shutdown", "quit", "kill", "down", "drain"],
        "SIGTERM ends the gateway after the requests under way: `systemctl stop hookgate`, or Ctrl-C in its terminal",
    ),
    (&["version", "ver"], "`hookgate --version` prints the version"),
    (
        &[
            "new",
            "create",
            "setup",
            "generate",
            "gen",
            "init-config",
            "configure",
            "install",
            "add",
            "quickstart",
        ],
        "`hookgate init SENDER` writes a gateway.toml, for example `hookgate init github`",
    ),
    (
        &[
            "queue",
            "dlq",
            "dead-letters",
            "deadletters",
            "deliveries",
            "retry",
            "resend",
            "redeliver",
            "replay",
            "list",
            "ls",
        ],
        "`hookgate events` lists, shows, replays and discards stored events: `hookgate events list --state dead`",
    ),
    (
        &["discard", "purge", "delete", "export", "pause", "resume"],
        "it is a verb of `hookgate events`: `hookgate events --help`",
    ),
    (
        &["senders", "providers", "presets", "sources", "integrations", "vendors"],
        "`hookgate schemes` lists the senders, and `hookgate schemes github` explains one",
    ),
    (
        &["trigger", "fire", "emit", "post", "curl", "simulate", "request", "forge"],
        "`hookgate send PATH` sends a signed event through a running gateway",
    ),
    (
        &["rotate", "rotation", "keys", "key", "token", "tokens"],
        "`hookgate secrets` says which secrets a running gateway still needs",
    ),
    (&["signature", "hmac"], "`hookgate sign` makes a signature, and `hookgate verify` checks one"),
    (
        &["validate-signature", "check-signature"],
        "`hookgate verify` says whether a body and its signature verify",
    ),
    (
        &["autocomplete", "shell-completion", "bash", "zsh", "fish"],
        "`hookgate completions bash` prints a completion script",
    ),
    (
        &["example", "try", "tour", "hello"],
        "`hookgate demo` shows how hookgate works, with nothing to set up",
    ),
    (
        &["man", "manual", "docs", "usage", "?", "/?"],
        "`hookgate --help` lists the commands, and `hookgate help COMMAND` explains one",
    ),
    (
        &["metrics", "stats"],
        "the admin listener has them at `/metrics`: `curl http://127.0.0.1:9901/metrics`",
    ),
    (
        &["logs", "log", "journal"],
        "the log goes to standard output: under systemd, `journalctl -u hookgate -f` shows it",
    ),
];

const OPTIONS: &[(&[&str], &str)] = &[
    (&["-?", "--usage"], "`hookgate --help` lists the commands and options"),
    (
        &["-v"],
        "`--version` prints the version; `level = \"debug\"` under [log] in gateway.toml makes the log say more",
    ),
    (
        &["--verbose", "-vv", "--debug", "-d", "--log-level", "--log", "--quiet", "-q", "--log-format"],
        "the log is set in gateway.toml: `level` and `format` under [log]",
    ),
    (
        &["-t", "--test", "--check", "--validate", "--dry-run", "-n"],
        "`hookgate check` reads gateway.toml and prints every problem in it",
    ),
    (
        &["-f", "--file", "--conf", "--configuration", "--config-file"],
        "`--config FILE` (or `-c FILE`) names the configuration",
    ),
    (
        &["-p", "--port", "--listen", "--bind", "--host", "--address", "--addr", "-l"],
        "addresses are set in gateway.toml: `listen = \"127.0.0.1:8080\"` under [server]",
    ),
    (
        &["--upstream", "--target", "--backend", "--forward-to", "--proxy-to"],
        "the app is set in gateway.toml: `upstream` of a route. `hookgate init SENDER --upstream URL` writes such a file",
    ),
    (
        &["--daemon", "--daemonize", "-D", "--background", "--detach"],
        "hookgate stays in the foreground: let systemd or a container run it",
    ),
    (&["--workers", "--threads"], "`workers` under [server] in gateway.toml sets the number of threads"),
    (&["--live"], "`hookgate check --live` asks a running gateway whether it is ready"),
    (&["--init"], "`hookgate init SENDER` writes a gateway.toml"),
    (&["--demo"], "`hookgate demo` shows how hookgate works"),
    (
        &["--secret-value", "--key"],
        "a secret on the command line would be in the list of processes: `--secret-env NAME` or `--secret-file FILE`",
    ),
];

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::Typed;

    fn hint(line: &str) -> Option<String> {
        let error = Typed::try_parse_from(line.split_whitespace()).unwrap_err();
        of(&error).and_then(|failure| failure.to_do().map(str::to_owned))
    }

    #[test]
    fn a_word_of_another_program_gets_the_command_that_does_it() {
        for (line, want) in [
            ("hookgate serve", "hookgate run"),
            ("hookgate Start", "hookgate run"),
            ("hookgate validate", "hookgate check"),
            ("hookgate gateway.toml", "hookgate --config gateway.toml"),
            ("hookgate lint", "hookgate check"),
            ("hookgate version", "--version"),
            ("hookgate -t", "hookgate check"),
            ("hookgate run --port=80", "[server]"),
            ("hookgate run --port 80", "[server]"),
            ("hookgate -v", "--version"),
            ("hookgate sign --secret-value x", "--secret-env"),
            ("hookgate RUN", "hookgate run"),
            ("hookgate -?", "hookgate --help"),
            ("hookgate run gateway.toml", "--config gateway.toml"),
            ("hookgate tail -f", "leave the option out"),
            ("hookgate events delete 1", "events discard"),
            ("hookgate events retry", "events replay"),
            ("hookgate events ls", "events list"),
            ("hookgate events dlq", "--state dead"),
            ("hookgate send /a --url http://127.0.0.1:80/a", "`--url http://127.0.0.1:80`"),
            ("hookgate send /a --url 127.0.0.1:80", "`--url http://127.0.0.1:80`"),
            ("hookgate doctor --admin https://gateway/metrics", "`--admin https://gateway`"),
        ] {
            let hint = hint(line).unwrap_or_default();
            assert!(hint.contains(want), "{line}: {hint}");
        }
        for line in [
            "hookgate verfy",
            "hookgate nonesuch",
            "hookgate --nonesuch",
            "hookgate sign --json=1",
            "hookgate events nonesuch",
            "hookgate send /a --url nonesuch",
            "hookgate send /a --url http://me:hunter2@h/a",
        ] {
            assert_eq!(hint(line), None, "{line}");
        }
    }

    /// A command or an option of hookgate is never called unknown.
    #[test]
    fn no_known_word_is_a_near_miss() {
        use clap::CommandFactory as _;
        let definition = Typed::command();
        for command in definition.get_subcommands() {
            let name = command.get_name();
            assert_eq!(super::command(name), None, "{name}");
        }
    }
}
