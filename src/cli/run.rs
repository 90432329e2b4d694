//! Shell. `hookgate run`: serves and reloads until a signal arrives, and then drains.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use super::configuration::{self, ConfigFile};
use super::exit::{Exit, Failure};
use super::signals::{self, ControllingTerminal, Signals, Stop};
use super::terminal::Terminal;
use crate::config::load::Source;
use crate::config::problem::{Report, Severity};
use crate::config::{Address, Config};
use crate::listen::inherit;
use crate::queue::store::OpenError;
use crate::runtime::front_end::FrontEnd;
use crate::runtime::process;
use crate::runtime::reload::watch::Watch;
use crate::runtime::reload::{self, systemd};
use crate::runtime::supervise::{PartGuard, ServerPart};
use crate::runtime::{self, Ended, StartError};
use crate::telemetry;

/// Serves. Returns when the drain after a signal has ended.
///
/// # Errors
/// A [`Failure`] if the configuration has errors or an address cannot be bound.
pub(super) fn run(terminal: &mut Terminal, file: &ConfigFile) -> Result<Exit, Failure> {
    let inherited = inherit::sockets().map_err(|error| {
        Failure::failed("cannot use the sockets that were passed on (LISTEN_FDS)").because(error)
    })?;
    let mut watch = Watch::default();
    let loaded = watch
        .load(file.path(), Source::FileOrPipe)
        .map_err(|error| configuration::failure(terminal, file, &error))?;
    telemetry::init(&loaded.config.log);
    process::log_panics();
    process::prepare(&loaded.config);
    tell(terminal, &loaded.report);
    let no_signals = |error: io::Error| Failure::failed("cannot wait for signals").because(error);
    let runtime = signals::runtime().map_err(no_signals)?;
    let terminal_of_process = ControllingTerminal::of_process();
    let mut signals = runtime.block_on(async { Signals::listen() }).map_err(no_signals)?;
    let mut hangup = runtime.block_on(async { signal(SignalKind::hangup()) }).map_err(no_signals)?;

    let routes = loaded.config.routes.len();
    let handle = runtime::start_with(&loaded.config, inherited, FrontEnd::default()).map_err(|error| {
        let hint = start_hint(&error, &loaded.config);
        Failure::failed("cannot start").because(error).hint(hint)
    })?;
    let over_tls: Vec<_> =
        loaded.config.tls.iter().flat_map(|tls| &tls.listen).map(ToString::to_string).collect();
    // The server has its own copy of the keys, and drops a key when a reload removes it. This copy would stay
    // until the end.
    drop(loaded);
    let log = PartGuard::over(ServerPart::Log, handle.control());
    telemetry::at_end(move || drop(log));
    let addresses: Vec<_> = handle.addresses().iter().map(ToString::to_string).collect();
    info!(addresses = addresses.join(", "), routes, version = env!("CARGO_PKG_VERSION"), "listening");
    if !over_tls.is_empty() {
        info!(addresses = over_tls.join(", "), "TLS is spoken on these addresses");
    }
    let admin: Vec<_> = handle.admin_addresses().iter().map(ToString::to_string).collect();
    if !admin.is_empty() {
        info!(addresses = admin.join(", "), "the admin listener answers");
    }

    let print = move |report: &Report| tell(&mut Terminal::of_process(), report);
    let reloader = reload::start(Arc::clone(handle.control()), file.path().to_owned(), watch, print);
    let reloader =
        reloader.map_err(|error| Failure::failed("cannot watch the configuration").because(error))?;
    systemd::ready();

    let first = runtime.block_on(async {
        loop {
            tokio::select! {
                stop = signals.stop() => break Some(stop),
                // If no signal has arrived, a failure of the server has begun this drain.
                () = handle.control().ending() => break None,
                _ = hangup.recv() => match terminal_of_process.is_closed() {
                    true => break Some(Stop::terminal_closed()),
                    false => reloader.reload(),
                },
            }
        }
    });
    systemd::stopping();
    drop(reloader);
    end_at_second_signal(runtime, signals, handle.remover());
    let (delay, grace) = (handle.control().generation().drain_delay, handle.control().generation().grace);
    handle.control().set_not_ready();
    if let Some(signal) = first {
        if !delay.is_zero() {
            info!(%signal, delay_s = delay.as_secs_f64(), "not ready; serving as before until the drain begins");
            std::thread::sleep(delay);
        }
        info!(%signal, grace_s = grace.as_secs_f64(), "draining");
    }
    handle.drain();
    ended(handle.wait())
}

/// Converts how the server ended into how the command ends.
fn ended(how: Ended) -> Result<Exit, Failure> {
    match how {
        Ended::Drained => info!("drained"),
        // A request that was cut off got no answer, so its sender repeats it. The shutdown itself succeeded.
        Ended::CutOff(connections) => {
            warn!(connections, "cut off what was still under way after shutdown_grace");
        }
        // The failure was logged when it happened.
        Ended::Failed(part) => return Err(Failure::failed(format!("{part} has ended by itself"))),
    }
    Ok(Exit::Done)
}

/// Makes the next signal end the process immediately. The thread is never joined. Usually no second signal
/// arrives, and the thread ends with the process.
fn end_at_second_signal(runtime: Runtime, mut signals: Signals, remove_files: impl Fn() + Send + 'static) {
    let wait = move || {
        let second: Stop = runtime.block_on(signals.stop());
        warn!(signal = %second, "ending at once");
        remove_files();
        telemetry::flush();
        std::process::exit(second.code);
    };
    if let Err(error) = std::thread::Builder::new().name("second-signal".to_owned()).spawn(wait) {
        error!(%error, "a second signal will not end the drain early");
    }
}

/// Reports warnings about the configuration. A person gets them rendered. A log gets one line for each.
fn tell(terminal: &mut Terminal, report: &Report) {
    if terminal.err.is_terminal() {
        configuration::render(terminal, report);
        return;
    }
    let documents = report.to_json();
    for (problem, place) in report.problems.iter().zip(documents.as_array().into_iter().flatten()) {
        let (code, text, label) = (problem.code, &problem.message, problem.label.as_deref());
        // A help of several lines is an example, for a person at a terminal.
        let help = problem.help.as_deref().filter(|help| !help.contains('\n'));
        let (file, line) = (&report.name, place.get("line").and_then(serde_json::Value::as_u64));
        match problem.severity {
            Severity::Error => error!(code, problem = text, file, line, label, help, "configuration"),
            Severity::Warning => warn!(code, problem = text, file, line, label, help, "configuration"),
            Severity::Note => info!(code, problem = text, file, line, label, help, "configuration"),
        }
    }
}

/// What to do about a store that cannot be opened.
const fn store_hint(error: &OpenError) -> &'static str {
    match error {
        OpenError::InUse(_) => {
            "stop the other one (`fuser` on the file beside it that ends in .lock says which), or set another `store` under \
             [queue]; with `reuse_port` this process waits until the other one has drained"
        }
        OpenError::Newer(..) => {
            "start the hookgate that wrote it: an older one cannot read its events. With another `store` under [queue], these \
             events wait until then"
        }
        OpenError::OldLibrary(_) => "use a hookgate that was built with a newer SQLite",
        OpenError::OldServer(..) => "use a server of version 12 or later",
        OpenError::Unreachable(..) => {
            "does the server run, and may this machine reach it? `psql` with the same URL says"
        }
        OpenError::Server(..) => {
            "the error above is the server's: the database must exist, and the user of the URL must be able to sign in and to \
             make a schema in it"
        }
        OpenError::Failed(..) => {
            "`store` under [queue] must be a store of hookgate or a new file, in a folder that exists and that this process may \
             write to"
        }
    }
}

/// What to do about a server that does not start.
fn start_hint(error: &StartError, config: &Config) -> String {
    let (address, kind) = match error {
        StartError::Bind(address, error) => (address, error.kind()),
        StartError::Thread(_) | StartError::Routes(_) => {
            return "are threads and open files left for it? `ulimit -a` shows its limits".to_owned();
        }
        StartError::NoTlsSocket => {
            return "pass a socket with an address of [tls] `listen` (ListenStream= in a systemd .socket), or remove [tls]"
                .to_owned();
        }
        StartError::Tls(_) => return "does this system have randomness (getrandom)?".to_owned(),
        StartError::Queue(error) => return store_hint(error).to_owned(),
    };
    let mut admin = config.admin.iter().flat_map(|admin| &admin.listen);
    let mut tls = config.tls.iter().flat_map(|tls| &tls.listen);
    let table = if admin.any(|own| own == address) {
        "[admin]"
    } else if tls.any(|own| own == address) {
        "[tls]"
    } else {
        "[server]"
    };
    let to_do = match address {
        Address::Unix(_) if kind == ErrorKind::AddrInUse => {
            "another process listens on this socket (`ss -lxp` says which): stop it, or set another `listen`"
        }
        Address::Unix(_) if kind == ErrorKind::AlreadyExists => "move the file away, or set another `listen`",
        Address::Unix(_) => {
            "the socket needs a folder that exists and that this user may write to: create it, or set another `listen`"
        }
        Address::Tcp(_) if kind == ErrorKind::AddrInUse => {
            "something else listens there (`ss -ltnp` says what): stop it, or set another `listen`"
        }
        Address::Tcp(_) if kind == ErrorKind::PermissionDenied => {
            "ports under 1024 need a privilege (CAP_NET_BIND_SERVICE): grant it, or set a higher port as `listen`"
        }
        Address::Tcp(_) if kind == ErrorKind::AddrNotAvailable => {
            "this machine has no such address: set one that it has, or 0.0.0.0 for all, as `listen`"
        }
        Address::Tcp(_) => "set another `listen`",
    };
    format!("{to_do} under {table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_fails_ends_the_process_with_1_and_a_drain_does_not() {
        assert_eq!(ended(Ended::Drained).unwrap(), Exit::Done);
        assert_eq!(ended(Ended::CutOff(3)).unwrap(), Exit::Done);
        assert_eq!(ended(Ended::Failed(ServerPart::AcceptLoop)).unwrap_err().exit().code(), 1);
    }
}
