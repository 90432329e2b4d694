//! Shell. `hookgate doctor`: checks a running gateway and its surroundings.
//!
//! No request reaches an app, except the requests of `--bypass`. To find out whether the gateway has the
//! secrets of the file, this command signs an event with each secret, and the admin listener examines the
//! event. No secret leaves this process. The only text derived from a secret is a signature over meaningless
//! content.

mod bypass;
mod checks;
mod finding;
mod probe;

use std::time::{Duration, SystemTime};

use http::Method;

use super::admin::{self, AdminClient};
use super::args::Doctor;
use super::configuration::{self, ConfigFile};
use super::exit::{Exit, Failure};
use super::terminal::{Paint, Terminal, printable};
use crate::admin::State;
use crate::cli::doctor::checks::{Heard, Probed};
use crate::cli::health;
use crate::cli::request_args::Lines;
use crate::config::load::{self, LoadError};
use crate::config::problem::{Problem, Report, Severity};
use crate::config::size_and_duration::write_duration;
use crate::config::{Address, Config, Loaded, Route, Upstream};
use crate::signature::algorithm::Algorithm;
use crate::signature::sign::{CannotSign, Stamp};
use crate::signature::template::Body;
use crate::signature::{Context, Verifier};
use crate::tls::client_config::Connector;
use finding::{Finding, Level};

/// Runs all checks and prints the findings.
///
/// # Errors
/// A [`Failure`] if the configuration has errors.
pub(super) fn doctor(terminal: &mut Terminal, file: &ConfigFile, asked: &Doctor) -> Result<Exit, Failure> {
    let (findings, failed) = match load::load(file.path()) {
        Ok(Loaded { config, report }) => {
            let mut findings = of_report(file, &report);
            findings.extend(Round { file, config: &config, asked }.findings());
            (findings, Exit::Failed)
        }
        Err(LoadError::Wrong(report)) => {
            let mut findings = of_report(file, &report);
            findings.extend(without_configuration(file, asked));
            (findings, Exit::Config)
        }
        Err(error @ LoadError::Unreadable { .. }) => {
            let failure = configuration::unreadable(file, &error);
            let to_do = failure.to_do().unwrap_or("may this user read it?");
            let mut findings = vec![Finding::problem(CONFIGURATION, failure.to_string(), to_do)];
            findings.extend(without_configuration(file, asked));
            (findings, Exit::Config)
        }
    };
    if asked.json {
        terminal.out.json(&finding::report(&findings, asked.strict));
    } else {
        print(terminal, &findings);
    }
    Ok(if finding::is_good(&findings, asked.strict) { Exit::Done } else { failed })
}

/// The findings about the running gateway that need no valid file.
fn without_configuration(file: &ConfigFile, asked: &Doctor) -> Vec<Finding> {
    let mut findings = Vec::new();
    match AdminClient::find(file, asked.admin.as_ref()) {
        Err(_no_listener) => {
            let what = "the configuration does not say where it is: the running gateway cannot be asked";
            findings.push(Finding::problem(
                ADMIN,
                what,
                "name it with --admin http://HOST:PORT or --admin unix:/PATH",
            ));
        }
        Ok(admin) => match probe::state_alone(&admin, asked.timeout) {
            Ok(state) => {
                findings.push(readiness(&admin, asked.timeout));
                findings.push(checks::still_running(&state));
                findings.push(checks::descriptors(&state));
                findings.extend(state.acme.iter().map(|of| checks::certificate(of, state.now)));
                findings.push(checks::clock(ahead(&state), &[]));
            }
            Err(why) => findings.push(Finding::problem(ADMIN, why, IS_IT_RUNNING).of(admin.to_string())),
        },
    }
    findings.extend(
        asked.bypass.iter().map(|url| bypass::judge(url, &probe::behind(url, asked.timeout), asked.timeout)),
    );
    findings
}

/// Whether the gateway says that it is ready.
fn readiness(admin: &AdminClient, limit: Duration) -> Finding {
    match health::readiness(admin, limit) {
        Ok(words) => Finding::ok(ADMIN, words),
        Err(words) => {
            let to_do = "the log says more; a gateway that drains is about to end";
            Finding::problem(ADMIN, words, to_do)
        }
    }
}

/// The gateway's time minus this machine's time, in seconds.
fn ahead(state: &State) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    signed(state.now).saturating_sub(signed(now))
}

/// The findings that `check` has for the file.
fn of_report(file: &ConfigFile, report: &Report) -> Vec<Finding> {
    let of = |problem: &Problem| {
        let to_do = problem.help.clone().unwrap_or_else(|| "`hookgate check` shows the place".to_owned());
        let label = problem.label.as_ref().map(|label| format!(" ({label})"));
        let what = format!("{}{}", problem.message, label.unwrap_or_default());
        let finding = match problem.severity {
            Severity::Error => Finding::problem(CONFIGURATION, what, to_do),
            Severity::Warning => Finding::warning(CONFIGURATION, what, to_do),
            Severity::Note => return None,
        };
        let before = report.source.get(..problem.span.start).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        Some(finding.of(format!("{file}:{line}")))
    };
    let findings: Vec<_> = report.problems.iter().filter_map(of).collect();
    if findings.is_empty() {
        return vec![Finding::ok(CONFIGURATION, "no problems found").of(file.to_string())];
    }
    findings
}

/// The inputs that all checks share.
struct Round<'r> {
    file: &'r ConfigFile,
    config: &'r Config,
    asked: &'r Doctor,
}

impl Round<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (admin, state) = self.admin(&mut findings).unzip();
        self.routes(&self.listening(state.as_ref()), &mut findings);
        if let Some(admin) = &admin {
            self.secrets(admin, &mut findings);
        }
        self.upstreams(&mut findings);
        for url in &self.asked.bypass {
            findings.push(bypass::judge(url, &probe::behind(url, self.asked.timeout), self.asked.timeout));
        }
        findings
    }

    /// The admin listener and the state of the gateway, if the listener answers.
    fn admin(&self, findings: &mut Vec<Finding>) -> Option<(AdminClient, State)> {
        let configured = self.config.admin.as_ref();
        for address in configured.iter().flat_map(|admin| &admin.listen).filter_map(Address::tcp) {
            if !address.ip().is_loopback() {
                findings.push(checks::admin_is_open(&address.to_string()));
            }
        }
        let admin = AdminClient::of_config(configured, self.asked.admin.as_ref());
        let Some(admin) = admin else {
            let what = "the configuration does not say where it is: the running gateway cannot be asked";
            findings.push(Finding::problem(ADMIN, what, admin::HOW_TO_TURN_IT_ON));
            return None;
        };
        match probe::state(&admin, self.config, self.asked.timeout) {
            Ok(state) => {
                findings.push(readiness(&admin, self.asked.timeout));
                self.state(&state, findings);
                Some((admin, state))
            }
            Err(why) => {
                findings.push(Finding::problem(ADMIN, why, IS_IT_RUNNING).of(admin.to_string()));
                None
            }
        }
    }

    fn state(&self, state: &State, findings: &mut Vec<Finding>) {
        let file = self.file.to_string();
        findings.extend(checks::configuration(state, env!("CARGO_PKG_VERSION"), &file));
        findings.push(checks::descriptors(state));
        findings.extend(state.acme.iter().map(|of| checks::certificate(of, state.now)));
        let windows: Vec<_> = self.paths().filter_map(window).collect();
        findings.push(checks::clock(ahead(state), &windows));
    }

    /// One route for each path. Routes with the same path agree in everything that is checked here.
    fn paths(&self) -> impl Iterator<Item = &Route> {
        let routes = &self.config.routes;
        let is_first = |(index, route): &(usize, &Route)| {
            routes.iter().position(|other| other.path == route.path) == Some(*index)
        };
        routes.iter().enumerate().filter(is_first).map(|(_, route)| route)
    }

    /// The addresses on which the gateway listens. The gateway reports them, because it may have inherited
    /// its sockets. If it does not report them, the addresses in the file.
    fn listening(&self, state: Option<&State>) -> Vec<Address> {
        let reported: Vec<_> =
            state.iter().flat_map(|state| &state.listening).filter_map(|text| probe::address(text)).collect();
        if reported.is_empty() { self.config.listen().cloned().collect() } else { reported }
    }

    /// Probes every path at the first listener, and one path at every other listener.
    fn routes(&self, listening: &[Address], findings: &mut Vec<Finding>) {
        for (index, listen) in listening.iter().enumerate() {
            if listen.tcp().is_some_and(|address| address.port() == 0) {
                let what = format!("{listen} was not tried: the system has chosen its port");
                findings.push(Finding::ok(LISTENER, what));
                continue;
            }
            for route in self.paths().take(if index == 0 { usize::MAX } else { 1 }) {
                let heard = probe::listener(self.config, listen, &target(route), self.asked.timeout);
                findings.push(checks::route(route.path.as_str(), &listen.to_string(), &heard));
                if matches!(heard, Heard::NoAnswer(_) | Heard::OtherServer(_)) {
                    // The listener is wrong, so every path would give the same finding.
                    break;
                }
            }
        }
    }

    fn secrets(&self, admin: &AdminClient, findings: &mut Vec<Finding>) {
        for route in self.paths() {
            // An expired secret verifies nothing, and `check` warns about it.
            let counts = |end: Option<SystemTime>| end.is_none_or(|end| SystemTime::now() < end);
            let secrets = route.verifier.all().flat_map(|one| one.secrets().map(move |secret| (one, secret)));
            for (verifier, (name, _)) in secrets.filter(|(_, (_, not_after))| counts(*not_after)) {
                let probed = self.probe(admin, route, verifier, name);
                findings.push(checks::secret(route.path.as_str(), name, &probed));
            }
        }
    }

    /// Signs an event with a secret of the file. Asks the gateway to examine the event.
    fn probe(&self, admin: &AdminClient, route: &Route, verifier: &Verifier, secret: &str) -> Probed {
        if verifier.scheme().algorithm == Algorithm::Token && !bypass::is_loopback(admin.origin()) {
            return Probed::TokenStaysHere;
        }
        let scheme = verifier.scheme();
        // A scheme that signs forms gets a form as content.
        let timed = scheme.content_at(SystemTime::now());
        let content = match &timed {
            Some(timed) => timed,
            None if *scheme.content.content() == Body::Form => FORM,
            None => CONTENT,
        };
        let target = target(route);
        let target = verifier.target(&target, content);
        let method = route.methods.first().unwrap_or(&Method::POST);
        let context = Context {
            method: method.as_str(),
            target: target.as_bytes(),
            origin: route.public_url.as_ref(),
            fields: &Lines::default(),
            now: SystemTime::now(),
        };
        let stamp = Stamp { timestamp: None, id: Some("hookgate-doctor") };
        let signature = match verifier.signature(Some(secret), &context, stamp, content) {
            Ok(signature) => signature,
            Err(CannotSign::PublicKey | CannotSign::NotSignable) => return Probed::OnlySenderSigns,
            Err(
                error @ (CannotSign::NoSecret
                | CannotSign::NoId
                | CannotSign::UnclearBorder
                | CannotSign::NotForm
                | CannotSign::NoDigest),
            ) => {
                return Probed::NoAnswer(error.to_string());
            }
        };
        let examined = probe::examination(admin, method, &target, &signature, content, self.asked.timeout);
        examined.map_or_else(Probed::NoAnswer, Probed::Examined)
    }

    /// Connects to each upstream. An upstream in several lists is connected to once, and named once.
    fn upstreams(&self, findings: &mut Vec<Finding>) {
        let mut reached: Vec<(Upstream, Finding)> = Vec::new();
        let mut reach = |one: Upstream| {
            let is_same = |known: &Upstream| {
                (&known.origin, &known.tls, known.connect_timeout)
                    == (&one.origin, &one.tls, one.connect_timeout)
            };
            if let Some((_, finding)) = reached.iter().find(|(known, _)| is_same(known)) {
                return finding.clone();
            }
            let (limit, tls) = (one.connect_timeout, one.tls.as_ref().map(Connector::config));
            let finding = checks::upstream(&one.origin, limit, &probe::reach(&one.origin, tls, limit));
            reached.push((one, finding.clone()));
            finding
        };
        let mut told = Vec::new();
        for upstream in self.config.routes.iter().map(|route| &route.upstream) {
            let of_list: Vec<_> = upstream.alone().map(&mut reach).collect();
            let is_one_there = of_list.iter().any(|finding| finding.level == Level::Ok);
            for finding in of_list {
                let finding = if is_one_there { checks::beside_another(finding) } else { finding };
                finding::keep_worse(&mut told, finding);
            }
        }
        findings.append(&mut told);
    }
}

/// A path that the route accepts.
fn target(route: &Route) -> String {
    let filled = |segment: &str| match segment.starts_with('{') {
        true => "hookgate-doctor".to_owned(),
        false => segment.to_owned(),
    };
    route.path.as_str().split('/').map(filled).collect::<Vec<_>>().join("/")
}

/// The tolerances of a route whose scheme signs the time.
fn window(route: &Route) -> Option<String> {
    let timestamp = route.verifier.scheme().timestamp.as_ref()?;
    let (past, future) = (write_duration(timestamp.past), write_duration(timestamp.future));
    Some(format!("{} ({past} back, {future} ahead)", route.path))
}

fn print(terminal: &mut Terminal, findings: &[Finding]) {
    let out = &mut terminal.out;
    for finding in findings {
        let paint = match finding.level {
            Level::Ok => Paint::Good,
            Level::Warning => Paint::Strong,
            Level::Problem => Paint::Bad,
        };
        let label = out.paint(paint, format_args!("{:8}", finding.level.as_str()));
        // The text may come from the gateway or from another server.
        out.line(format_args!("{label} {}", printable(finding.text().as_bytes())));
        if let Some(to_do) = &finding.to_do {
            out.line(format_args!("         -> {}", printable(to_do.as_bytes())));
        }
    }
    let (problems, warnings) =
        (finding::count(findings, Level::Problem), finding::count(findings, Level::Warning));
    out.line("");
    let counted = |number, noun| configuration::counted(number, noun);
    let (problems, warnings) = (counted(problems, "problem"), counted(warnings, "warning"));
    out.line(format_args!("{problems}, {warnings}, of {} things looked at", findings.len()));
}

/// The signed content. No sender would send it, and no app could mistake it for an event.
const FORM: &[u8] = b"hookgate=doctor";
const CONTENT: &[u8] = br#"{"hookgate":"doctor"}"#;

/// The advice if the admin listener does not answer as expected.
const IS_IT_RUNNING: &str =
    "is the gateway running, and was it started with this `[admin]`? --admin names another address";

const CONFIGURATION: &str = "configuration";
const ADMIN: &str = "admin listener";
const LISTENER: &str = "listener";
