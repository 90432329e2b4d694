//! Pure. Judges the observations of `hookgate doctor`. Each observation gives a finding.

use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::admin::{Difference, Examination, IssuedState, State};
use crate::cli::doctor::finding::{Finding, Level};
use crate::config::size_and_duration::write_duration;
use crate::upstream::origin::Origin;

/// Whether an upstream accepts connections.
pub(super) fn upstream(origin: &Origin, limit: Duration, reached: &io::Result<()>) -> Finding {
    let problem = |what: String| Finding::problem(UPSTREAM, what, START_IT);
    let finding = match reached.as_ref().map_err(|error| (error.kind(), error)) {
        Ok(()) => Finding::ok(UPSTREAM, "accepts connections"),
        Err((ErrorKind::PermissionDenied, _)) => Finding::warning(
            UPSTREAM,
            "the user that asks may not connect to it",
            "ask as the user that the gateway runs as; it needs to be allowed to write to the socket",
        ),
        Err((ErrorKind::ConnectionRefused, _)) => problem("nothing listens there".to_owned()),
        Err((ErrorKind::NotFound, _)) => problem("nothing is there".to_owned()),
        Err((ErrorKind::TimedOut, _)) => {
            problem(format!("no connection within {} (`connect_timeout`)", write_duration(limit)))
        }
        Err((_, error)) => problem(format!("cannot be reached: {error}")),
    };
    finding.of(origin.to_string())
}

/// The finding of an upstream, if another upstream of its list accepts connections.
pub(super) fn beside_another(finding: Finding) -> Finding {
    match finding.level {
        Level::Problem => Finding { level: Level::Warning, to_do: Some(WITHOUT_IT.to_owned()), ..finding },
        Level::Ok | Level::Warning => finding,
    }
}

/// Whether an authority has issued the certificate for a name. `now` is the gateway's clock.
pub(super) fn certificate(of: &IssuedState, now: u64) -> Finding {
    let next = about(of.next.unwrap_or(now).saturating_sub(now));
    let to_do = format!("the log says what to do (`to_do`); the next order begins in {next}");
    let finding = match (of.expires, &of.failure) {
        (Some(end), None) if now < end => {
            let end = about(end.saturating_sub(now));
            let early = if of.is_early { ": the authority asks for an early renewal" } else { "" };
            Finding::ok(CERTIFICATE, format!("expires in {end}, and is renewed in {next}{early}"))
        }
        (Some(end), Some(failure)) if now < end => {
            Finding::warning(CERTIFICATE, format!("is not renewed, and the old one stays: {failure}"), to_do)
        }
        (_, Some(failure)) => Finding::problem(CERTIFICATE, format!("is not obtained: {failure}"), to_do),
        (Some(_), None) => Finding::problem(CERTIFICATE, "has expired", to_do),
        (None, None) => Finding::warning(
            CERTIFICATE,
            "is not obtained yet",
            "ask again in a minute, or look into the log",
        ),
    };
    finding.of(format!("for {}", of.name))
}

/// A time of so many seconds, in words.
fn about(seconds: u64) -> String {
    let (unit, name) = match seconds {
        172_800.. => (86_400, "days"),
        7200.. => (3600, "hours"),
        _ => (60, "minutes"),
    };
    format!("{} {name}", seconds.checked_div(unit).unwrap_or_default())
}

/// Whether the gateway runs with the configuration in the file.
pub(super) fn configuration(state: &State, version: &str, file: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let generation = state.generation;
    match &state.differences {
        None => findings.push(Finding::warning(
            RUNNING,
            format!("the gateway is hookgate {}, this is {version}: it cannot be compared", state.version),
            "restart the gateway after an upgrade, or ask with the binary that it runs",
        )),
        Some(differences) if differences.is_empty() => findings.push(Finding::ok(
            RUNNING,
            format!("configuration {generation} of the gateway says what {file} says"),
        )),
        Some(differences) => {
            let to_do = if state.outdated {
                "its last reload failed: the log says why (`not reloaded`)"
            } else {
                "is it the same file? a change is loaded within 2 seconds; SIGHUP loads it at once, and the log has the result"
            };
            let what = format!(
                "configuration {generation} of the gateway is not what {file} says: {}",
                names(differences)
            );
            findings.push(Finding::problem(RUNNING, what, to_do));
        }
    }
    if !state.restart.is_empty() {
        let keys = state.restart.join(", ");
        findings.push(Finding::warning(
            RUNNING,
            format!("some keys keep their values from the start: {keys}"),
            "restart the gateway to change them",
        ));
    }
    if state.outdated && state.differences.as_ref().is_some_and(Vec::is_empty) {
        findings.push(Finding::warning(
            RUNNING,
            "the last reload failed, though the file is good when it is read from here",
            "look into the log (`not reloaded`): may the gateway's user read the file and the secrets?",
        ));
    }
    findings
}

/// The finding about the running gateway while the file on disk cannot be used.
pub(super) fn still_running(state: &State) -> Finding {
    let generation = state.generation;
    match state.outdated {
        true => Finding::warning(
            RUNNING,
            format!("configuration {generation} stays in force: the gateway could not load the file either"),
            "correct the file before the gateway is restarted: with this file, it does not start",
        ),
        false => Finding::ok(
            RUNNING,
            format!("configuration {generation} is in force; was the gateway started with this file?"),
        ),
    }
}

fn names(differences: &[Difference]) -> String {
    let name = |difference: &Difference| match difference {
        Difference::Changed(name) => name.clone(),
        Difference::OnlyAsked(name) => format!("{name} (only in the file)"),
        Difference::OnlyRunning(name) => format!("{name} (not in the file)"),
    };
    differences.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Whether the limit on descriptors is high enough for the configuration.
pub(super) fn descriptors(state: &State) -> Finding {
    let needed = state.descriptors_needed;
    match state.descriptors_allowed {
        Some(allowed) if allowed < needed => Finding::warning(
            LIMITS,
            format!("the gateway may have {allowed} files open, and may need {needed}"),
            "raise the limit (`ulimit -n`, LimitNOFILE= under systemd), or lower `max_connections`",
        ),
        Some(allowed) => {
            Finding::ok(LIMITS, format!("{allowed} open files are allowed, {needed} may be needed"))
        }
        None => Finding::ok(LIMITS, format!("open files are not limited, {needed} may be needed")),
    }
}

/// Whether the clocks agree. `ahead` is the gateway's time minus this machine's time, in seconds. `windows`
/// are the routes whose schemes sign the time, with their tolerances.
pub(super) fn clock(ahead: i64, windows: &[String]) -> Finding {
    let off = ahead.unsigned_abs();
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let differs = format!("the gateway's is {off} s {direction} this one");
    match (off <= CLOCKS_AGREE, windows.join(", ")) {
        (true, windows) if windows.is_empty() => {
            Finding::ok(CLOCK, "the gateway's agrees with this one, and no scheme signs the time")
        }
        (true, windows) => Finding::ok(
            CLOCK,
            format!(
                "the gateway's agrees with this one (`timedatectl` says whether it is right); these routes depend on it: {windows}"
            ),
        ),
        (false, windows) if windows.is_empty() => Finding::warning(
            CLOCK,
            format!("{differs}; no scheme signs the time, but times in the logs will differ"),
            "synchronise both (NTP)",
        ),
        (false, windows) => Finding::problem(
            CLOCK,
            differs,
            format!(
                "synchronise both (NTP): outside their windows events are refused (`timestamp_expired`): {windows}"
            ),
        ),
    }
}

/// The most seconds by which two clocks may differ when they are read one after the other.
const CLOCKS_AGREE: u64 = 2;

/// The result of examining an event that was signed with one of a route's secrets.
#[derive(Debug)]
pub(super) enum Probed {
    /// The gateway has examined the event.
    Examined(Examination),
    /// The event could not be signed, because only the sender has the private key.
    OnlySenderSigns,
    /// The secret is a token. It is not sent, because the connection to the gateway leaves this machine.
    TokenStaysHere,
    /// The gateway's admin listener did not answer, or its answer was not as expected.
    NoAnswer(String),
}

/// Whether the gateway has the secret that the file has under this name.
pub(super) fn secret(path: &str, name: &str, probed: &Probed) -> Finding {
    let finding = match probed {
        Probed::Examined(examination) => examined(name, examination),
        Probed::OnlySenderSigns => {
            Finding::ok(SECRET, format!("`{name}` was not tried: only its sender can sign for it"))
        }
        Probed::TokenStaysHere => Finding::ok(
            SECRET,
            format!("`{name}` was not tried: a token would have to be sent over the network in clear"),
        ),
        Probed::NoAnswer(why) => Finding::problem(
            SECRET,
            format!("`{name}` could not be tried: {why}"),
            "is it the admin listener of this gateway?",
        ),
    };
    finding.of(path)
}

fn examined(name: &str, examination: &Examination) -> Finding {
    let reason = examination.reason.as_deref().unwrap_or("no reason");
    match &examination.secret {
        Some(secret) if secret == name => {
            Finding::ok(SECRET, format!("the gateway verifies events signed with `{name}`"))
        }
        Some(secret) => Finding::warning(
            SECRET,
            format!("an event signed with `{name}` of the file verifies in the gateway as `{secret}`"),
            "is a secret listed twice, or has one changed its name? compare the file with what runs",
        ),
        None if reason == "signature_mismatch" => Finding::problem(
            SECRET,
            format!(
                "the gateway refuses events signed with `{name}`: it has another secret, or no secret of this name"
            ),
            "a secret of the environment takes a restart; one of a file is loaded within 2 seconds, unless the log says \
             `not reloaded`; if doctor has another environment than the gateway, run it in the gateway's",
        ),
        None if reason == "timestamp_expired" => Finding::problem(
            SECRET,
            format!("the gateway refuses events signed with `{name}` now as too old or too new"),
            "synchronise the clocks of both machines (NTP)",
        ),
        None => Finding::problem(
            SECRET,
            format!("the gateway refuses events signed with `{name}`: {reason}"),
            "the gateway runs with another configuration: reload or restart it",
        ),
    }
}

/// The answer of a listener to a request that no route accepts.
#[derive(Debug)]
pub(super) enum Heard {
    /// The listener refuses the request as expected, so it has the route.
    Refused,
    /// A hookgate refuses the request for another reason.
    RefusedAs(String),
    /// Another server answers, with this status code.
    OtherServer(u16),
    /// The listener does not answer.
    NoAnswer(String),
}

/// Whether the gateway has a route at a listener.
pub(super) fn route(path: &str, listener: &str, heard: &Heard) -> Finding {
    let finding = match heard {
        Heard::Refused => Finding::ok(ROUTE, format!("is there at {listener}")),
        Heard::RefusedAs(reason) => Finding::problem(
            ROUTE,
            format!("the gateway at {listener} does not know it ({reason})"),
            "it runs with another configuration: reload or restart it",
        ),
        Heard::OtherServer(status) => Finding::problem(
            ROUTE,
            format!("the server at {listener} ({status}) is not hookgate"),
            "another program has the port: stop it, or change `listen`",
        ),
        Heard::NoAnswer(why) => Finding::problem(
            ROUTE,
            format!("nothing answers at {listener}: {why}"),
            "is the gateway running, and does it listen there?",
        ),
    };
    finding.of(path)
}

/// The finding for an admin listener whose address is not a loopback address.
pub(super) fn admin_is_open(address: &str) -> Finding {
    Finding::warning(
        "admin",
        "listens on an address that other hosts may reach: their users see routes, names of secrets and what is counted",
        "bind it to 127.0.0.1, or let a firewall or network policy keep all others from it",
    )
    .of(address)
}

/// The advice for an upstream that cannot be reached.
const START_IT: &str = "start the app, or correct `upstream`; until then a direct event is answered with 502, and only some \
                        senders send it again (GitHub never does)";

const WITHOUT_IT: &str = "start the app there, or remove it from `upstream`; until then another upstream of the list gets the \
                          requests";

const CERTIFICATE: &str = "certificate";
const UPSTREAM: &str = "upstream";
const RUNNING: &str = "running configuration";
const LIMITS: &str = "limits";
const CLOCK: &str = "clock";
const SECRET: &str = "secret of route";
const ROUTE: &str = "route";

#[cfg(test)]
mod tests;
