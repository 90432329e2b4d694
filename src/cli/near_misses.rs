//! Pure. Words of other programs that users try as commands and options, and what hookgate has instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::exit::Failure;

/// The failure for a command or an option that another program has. `None` if the word is not known here. Then
/// the parser's own message has the most similar words.
pub(super) fn of(error: &clap::Error) -> Option<Failure> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(_) | None => None,
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser explains every other error itself")]
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand)?;
            let hint = command(word)?;
            Some(Failure::usage(format!("there is no command `{word}`")).hint(hint))
        }
        ErrorKind::UnknownArgument => {
            let typed = text(ContextKind::InvalidArg)?;
            let hint = option(typed)?;
            Some(Failure::usage(format!("there is no option `{typed}`")).hint(hint))
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
    let (_, instead) = COMMANDS.iter().find(|(words, _)| words.contains(&lower.as_str()))?;
    Some((*instead).to_owned())
}

/// What to use instead of this option.
fn option(typed: &str) -> Option<&'static str> {
    let name = typed.split('=').next().unwrap_or(typed);
    OPTIONS.iter().find(|(names, _)| names.contains(&name)).map(|(_, instead)| *instead)
}

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
        &["man", "manual", "docs", "usage"],
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
        ] {
            let hint = hint(line).unwrap_or_default();
            assert!(hint.contains(want), "{line}: {hint}");
        }
        for line in ["hookgate verfy", "hookgate nonesuch", "hookgate --nonesuch", "hookgate sign --json=1"] {
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
