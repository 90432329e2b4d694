//! Shell. The command line: parses the arguments, runs a command, and returns its exit code.
//!
//! Each command has its own file. It returns an exit code or a failure. All output goes through `terminal`.
//! So a closed reader causes no panic, and only terminals get colours.

mod admin;
mod args;
mod assertion;
mod bypass_probe;
mod challenge_keys;
mod check;
mod configuration;
mod console;
pub mod credentials;
mod demo;
mod doctor;
mod events;
mod exit;
mod file_access;
pub mod health;
pub mod http_exchange;
mod init;
mod input;
mod issued_certificates;
mod listeners;
mod near_misses;
pub mod request_args;
mod run;
pub mod sample_event;
mod sample_requests;
mod schemes;
mod secrets;
mod send;
mod sign;
mod signals;
mod table;
mod tail;
mod terminal;
mod verdict;
mod verified_count;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;

use args::{Check, Command, Init, Typed};
use configuration::ConfigFile;
use exit::{Exit, Failure};
use terminal::{Paint, Terminal};

use crate::config::json_schema::schema;
use crate::config::problem::Style;
use crate::config::redact::url;
use crate::telemetry;

/// Runs the command that the arguments name. The first argument is the program's name.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut terminal = Terminal::of_process();
    let argv: Vec<OsString> = argv.into_iter().collect();
    let repeated = repeated(&argv);
    let exit = match Typed::try_parse_from(argv) {
        Ok(typed) => run_command(&mut terminal, &typed, &repeated),
        Err(answer) => answered(&mut terminal, &answer, &repeated),
    };
    telemetry::flush();
    let written = terminal.finish();
    let exit = match written {
        Err(error) if exit == Exit::Done => {
            let mut terminal = Terminal::of_process();
            complain(&mut terminal, &Failure::failed("cannot write the output").because(error), &repeated)
        }
        Ok(()) | Err(_) => exit,
    };
    ExitCode::from(exit.code())
}

/// The definition of the command line. The manual page is made from it.
#[must_use]
pub fn definition() -> clap::Command {
    Typed::command()
}

/// The parts of the arguments that a message may repeat: each argument, and the value in `--option=value`.
fn repeated(argv: &[OsString]) -> Vec<String> {
    let texts = argv.iter().map(|argument| argument.to_string_lossy().into_owned());
    texts
        .flat_map(|text| {
            let value =
                text.split_once('=').filter(|_| text.starts_with('-')).map(|(_, value)| value.to_owned());
            [Some(text), value].into_iter().flatten()
        })
        .collect()
}

fn run_command(terminal: &mut Terminal, typed: &Typed, repeated: &[String]) -> Exit {
    let own = own_file(typed.command.as_ref());
    if let (Some(own), Some(config)) = (own, &typed.config)
        && own != config
    {
        return complain(terminal, &two_files(own, config), repeated);
    }
    let named = match &typed.command {
        Some(Command::Check(Check { file: Some(file), .. })) => Some(file),
        None | Some(_) => typed.config.as_ref(),
    };
    let file = &ConfigFile::of_process(named.map(PathBuf::as_path));
    let result = match &typed.command {
        None | Some(Command::Run) => run::run(terminal, file),
        Some(Command::Init(asked)) => init::init(terminal, file.named(), asked),
        Some(Command::Check(asked)) if asked.live => health::check(terminal, file, asked),
        Some(Command::Check(asked)) => check::check(terminal, file, asked),
        Some(Command::Sign(asked)) => sign::sign(terminal, file, asked),
        Some(Command::Verify(asked)) => verify::verify(terminal, file, asked),
        Some(Command::Send(asked)) => send::send(terminal, file, asked),
        Some(Command::Secrets(asked)) => secrets::secrets(terminal, file, asked),
        Some(Command::Events { verb }) => events::events(terminal, file, verb),
        Some(Command::Console(asked)) => console::console(terminal, file, asked),
        Some(Command::Tail(asked)) => tail::tail(terminal, file, asked),
        Some(Command::Doctor(asked)) => doctor::doctor(terminal, file, asked),
        Some(Command::Demo(asked)) => demo::demo(terminal, asked),
        Some(Command::Schemes { name: None, json }) => {
            known_schemes(terminal, *json);
            Ok(Exit::Done)
        }
        Some(Command::Schemes { name: Some(name), json }) => one_scheme(terminal, name, *json),
        Some(Command::Schema) => {
            terminal.out.json(&schema());
            Ok(Exit::Done)
        }
        Some(Command::Completions { shell }) => {
            completions(terminal, *shell);
            Ok(Exit::Done)
        }
    };
    result.unwrap_or_else(|failure| complain(terminal, &failure, repeated))
}

/// The configuration file that a command's own argument names.
fn own_file(command: Option<&Command>) -> Option<&Path> {
    match command? {
        Command::Check(Check { file, .. }) => file.as_deref(),
        Command::Init(Init { sender, file: None, .. }) => (sender == "-").then(|| Path::new("-")),
        Command::Init(Init { file, .. }) => file.as_deref(),
        Command::Run
        | Command::Sign(_)
        | Command::Verify(_)
        | Command::Send(_)
        | Command::Secrets(_)
        | Command::Events { .. }
        | Command::Console(_)
        | Command::Tail(_)
        | Command::Doctor(_)
        | Command::Demo(_)
        | Command::Schemes { .. }
        | Command::Schema
        | Command::Completions { .. } => None,
    }
}

/// The failure if two arguments name different files.
fn two_files(own: &Path, config: &Path) -> Failure {
    let (own, config) = (own.display(), config.display());
    Failure::usage(format!("two configuration files are named: {own}, and {config} by --config"))
        .hint("name one of them")
}

/// Prints a failure. Possible credentials in URLs of the arguments are left out.
fn complain(terminal: &mut Terminal, failure: &Failure, repeated: &[String]) -> Exit {
    // A thread writes the earlier lines of the log.
    telemetry::flush();
    terminal.err.fails();
    let label = terminal.err.paint(Paint::Bad, "error");
    let message = url::redacted_in(&failure.to_string(), repeated);
    terminal.err.line(format_args!("{label}: {message}"));
    if let Some(hint) = failure.to_do() {
        let label = terminal.err.paint(Paint::Strong, "help");
        let hint = url::redacted_in(hint, repeated);
        terminal.err.line(format_args!(" {label}: {hint}"));
    }
    failure.exit()
}

/// Prints the parser's own output: help and version to standard output, wrong usage to standard error.
fn answered(terminal: &mut Terminal, answer: &clap::Error, repeated: &[String]) -> Exit {
    if let Some(failure) = near_misses::of(answer) {
        return complain(terminal, &failure, repeated);
    }
    let (stream, exit) = match answer.use_stderr() {
        true => (&mut terminal.err, Exit::Usage),
        false => (&mut terminal.out, Exit::Done),
    };
    let text = match stream.style() {
        Style::Colored => answer.render().ansi().to_string(),
        Style::Plain => answer.render().to_string(),
    };
    stream.text(url::redacted_in(&text, repeated));
    exit
}

fn known_schemes(terminal: &mut Terminal, json: bool) {
    if json {
        terminal.out.json(&schemes::documents().into());
        return;
    }
    terminal.out.table(&schemes::lines());
    terminal.out.line("");
    terminal.out.table(&schemes::networks());
    terminal.out.line("");
    terminal.out.table(&schemes::missing());
}

fn one_scheme(terminal: &mut Terminal, name: &str, json: bool) -> Result<Exit, Failure> {
    let scheme = schemes::one(name)?;
    if json {
        terminal.out.json(&schemes::document(scheme).unwrap_or_default());
    } else {
        schemes::explanation(scheme).iter().for_each(|line| terminal.out.line(line));
    }
    Ok(Exit::Done)
}

/// Prints a completion script. The script is first written to memory, because the generator panics if a write
/// fails.
fn completions(terminal: &mut Terminal, shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Typed::command(), "hookgate", &mut script);
    terminal.out.text(String::from_utf8_lossy(&script));
}
