//! Shell. `hookgate init`: writes a gateway.toml for a sender, and a secret if the receiver chooses the
//! secret.
//!
//! A secret has a file of its own, so that gateway.toml can be shown to others. An existing gateway.toml is
//! replaced only with `--force`, and an existing secret is never replaced.

mod template;
pub(crate) mod values;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::args::Init;
use super::configuration::ConfigFile;
use super::exit::{Exit, Failure};
use super::input;
use super::terminal::{Paint, Terminal};
use crate::signature::challenge::Challenge;
use crate::signature::scheme::{Scheme, SecretOrigin};
use template::{NewConfig, SecretLocation, SenderFacts};
use values::AdminOption;

/// Writes the file, and prints what to do next. `config` is the file of `--config` or of the environment.
///
/// # Errors
/// A [`Failure`] if the file is there already, or cannot be written.
pub(super) fn init(terminal: &mut Terminal, config: Option<&Path>, asked: &Init) -> Result<Exit, Failure> {
    let dash = Path::new("-");
    let (sender, file) = match (asked.sender.as_str(), &asked.file) {
        ("-", None) => (DEFAULT, Some(dash)),
        ("-", Some(_)) => return Err(Failure::usage("`-` stands for the file, and there is another file")),
        (sender, file) => (sender, file.as_deref()),
    };
    let sender = sender.to_ascii_lowercase();
    let scheme =
        Scheme::preset(&sender).ok_or_else(|| Failure::usage(format!("there is no scheme {sender}")))?;
    if let Some(other) = file.and_then(Path::to_str).filter(|name| Scheme::preset(name).is_some()) {
        return Err(Failure::usage(format!(
            "`hookgate init` writes a file for one sender, and `{other}` is a second sender"
        ))
        .hint(format!(
            "`hookgate init {other} -` prints the lines, from which [[routes]] can be added to the file"
        )));
    }
    let file = file.or(config).unwrap_or(Path::new("gateway.toml"));
    let to_file = (file != dash).then_some(file);
    let origin = SenderFacts::of(scheme).secret;
    let location = |chosen: bool, variable: String, name: String| match (chosen, to_file) {
        (true, Some(_)) => SecretLocation::File(name),
        (true, None) | (false, _) => SecretLocation::Variable(variable),
    };
    let prefix = sender.to_ascii_uppercase().replace('-', "_");
    let is_chosen = matches!(origin, SecretOrigin::Chosen(_));
    let secret = location(is_chosen, format!("{prefix}_WEBHOOK_SECRET"), format!("{sender}.secret"));
    let token = location(true, format!("{prefix}_VERIFY_TOKEN"), format!("{sender}-verify-token.secret"));
    let needs_token = scheme.challenge.as_ref().is_some_and(Challenge::needs_token);
    let path = asked.path.clone().unwrap_or_else(|| format!("/hooks/{sender}"));
    let plan = NewConfig {
        scheme,
        path: &path,
        upstream: &asked.upstream,
        domains: &asked.domains,
        contact: asked.contact.as_deref(),
        queue: asked.queue,
        admin: match asked.admin {
            AdminOption::Off => None,
            AdminOption::At(address) => Some(address),
        },
        secret: &secret,
        token: needs_token.then_some(&token),
    };
    match to_file {
        None => terminal.out.text(plan.text()),
        Some(file) => write(file, &plan, asked.force)?,
    }
    next(terminal, to_file, &plan)?;
    Ok(Exit::Done)
}

/// Writes gateway.toml and the secrets beside it.
fn write(file: &Path, plan: &NewConfig<'_>, force: bool) -> Result<(), Failure> {
    let failed =
        |path: &Path, error| Failure::failed(format!("cannot write {}", path.display())).because(error);
    if !force && file.symlink_metadata().is_ok() {
        return Err(Failure::failed(format!("{} is there already", file.display()))
            .hint(format!(
                "--force replaces it; another file can be named behind the sender; `hookgate init {} -` prints the \
                 lines, from which [[routes]] can be added to the file",
                plan.scheme.name
            )));
    }
    let secrets = [Some(plan.secret), plan.token].into_iter().flatten();
    for location in secrets {
        match location {
            SecretLocation::Variable(_) => {}
            SecretLocation::File(name) => {
                let path = file.with_file_name(name);
                write_secret(&path).map_err(|error| failed(&path, error))?;
            }
        }
    }
    write_text(file, &plan.text(), force).map_err(|error| failed(file, error))
}

/// Writes a new secret that only this user can read. An existing secret stays, because the sender may know
/// it.
fn write_secret(path: &Path) -> io::Result<()> {
    let secret = input::random_secret()?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let secret = secret.get(..SECRET_LENGTH).unwrap_or(&secret);
            // The next `init` would take a partial secret for the whole secret.
            file.write_all(secret.as_bytes()).inspect_err(|_error| drop(fs::remove_file(path)))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes the text. An existing file is replaced in one step, because a running gateway may watch the file.
fn write_text(file: &Path, text: &str, replace: bool) -> io::Result<()> {
    let new = |path: &Path| -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes()).inspect_err(|_error| drop(fs::remove_file(path)))
    };
    if !replace {
        return new(file);
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = file.with_file_name(name);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    new(&beside)?;
    fs::rename(&beside, file)
}

/// Prints what to do next, in three lines. If gateway.toml goes to standard output, the lines go to standard
/// error.
fn next(terminal: &mut Terminal, file: Option<&Path>, plan: &NewConfig<'_>) -> Result<(), Failure> {
    let SenderFacts { sender, secret, .. } = SenderFacts::of(plan.scheme);
    let no_random = |error| Failure::failed("there are no random numbers").because(error);
    let url = plan.url();
    let called = url.as_deref().map_or_else(String::new, |url| format!("tell {sender} the URL {url}; "));
    let random = || -> Result<String, Failure> {
        let random = input::random_secret().map_err(no_random)?;
        Ok(random.get(..SECRET_LENGTH).unwrap_or(&random).to_owned())
    };
    let beside = |name: &str| file.unwrap_or(Path::new("")).with_file_name(name);
    let at_sender = match (secret, plan.secret) {
        (SecretOrigin::Chosen(place), SecretLocation::File(name)) => {
            format!("tell {sender} the secret in {}: {place}", beside(name).display())
        }
        (SecretOrigin::Chosen(place), SecretLocation::Variable(name)) => {
            format!("export {name}={} and tell {sender} this secret: {place}", random()?)
        }
        (SecretOrigin::Given(place), SecretLocation::Variable(name) | SecretLocation::File(name)) => {
            format!("export {name}=... ({sender} has it: {place})")
        }
    };
    let token = match plan.token {
        None => String::new(),
        Some(SecretLocation::File(name)) => {
            format!("; tell {sender} the verify token in {}", beside(name).display())
        }
        Some(SecretLocation::Variable(name)) => {
            format!("; export {name}={} and tell {sender} this verify token", random()?)
        }
    };
    // The file that the commands read without `--config`.
    let usual = file.is_none_or(|file| file == ConfigFile::of_process(None).path());
    let option = match file {
        Some(file) if !usual => format!("--config {} ", quoted(&file.to_string_lossy())),
        Some(_) | None => String::new(),
    };
    let to = url.as_ref().and(plan.domains.first()).map(|domain| format!(" --url https://{domain}"));
    let path = plan.path;
    let try_it = match plan.scheme.algorithm.is_symmetric() {
        true => format!("hookgate {option}send {path}{}", to.unwrap_or_default()),
        // Only the sender has the private key, so `send` cannot sign.
        false => format!("hookgate {option}doctor"),
    };
    let stream = if file.is_some() { &mut terminal.out } else { &mut terminal.err };
    if let Some(file) = file {
        let wrote = stream.paint(Paint::Good, "wrote");
        stream.line(format_args!("{wrote} {}. Next:", file.display()));
    }
    stream.line(format_args!("  1. {called}{at_sender}{token}"));
    stream.line(format_args!("  2. hookgate {option}check && hookgate {option}run"));
    let terminal = match plan.secret {
        SecretLocation::Variable(_) => "in another terminal, with the same variable",
        SecretLocation::File(_) => "in another terminal",
    };
    stream.line(format_args!("  3. {terminal}: {try_it}"));
    Ok(())
}

/// A path in the notation of a shell.
fn quoted(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'_' | b'-');
    if path.bytes().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// The sender if the command line names no sender.
const DEFAULT: &str = "propify";

/// The length of a new secret in characters. Lemon Squeezy takes at most 40.
const SECRET_LENGTH: usize = 32;
