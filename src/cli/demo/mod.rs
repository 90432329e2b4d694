//! Shell. `hookgate demo`: a sender, the gateway and an app in one process.

mod upstream;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use http::uri::PathAndQuery;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::args::{Demo, Stamp};
use super::exit::{Exit, Failure};
use super::signals::{self, Signals};
use super::terminal::{Paint, Stream, Terminal, printable};
use super::verdict::{self, Verdict, Verified};
use super::{input, send};
use crate::cli::http_exchange::{self, Answer, Outgoing, Patience};
use crate::cli::request_args::{Lines, RequestArgs};
use crate::cli::sample_event::{self, Forgery};
use crate::config::environment::Fixed;
use crate::config::problem::{Report, Style};
use crate::config::{self, Address, Config};
use crate::runtime::{self, Handle};
use crate::signature::Verifier;
use crate::signature::public_url::PublicUrls;
use crate::telemetry;
use crate::upstream::origin::Origin;
use upstream::{Received, Upstream};

/// Shows an authentic event and a forged event. Then serves until a signal arrives.
///
/// # Errors
/// A [`Failure`] if a part does not start, or an event does not end as expected.
pub(super) fn demo(terminal: &mut Terminal, asked: &Demo) -> Result<Exit, Failure> {
    let no_resources = |error: io::Error| Failure::failed("cannot start").because(error);
    let secret = input::random_secret().map_err(no_resources)?;
    let runtime = signals::runtime().map_err(no_resources)?;
    let mut signals = runtime.block_on(async { Signals::listen() }).map_err(no_resources)?;
    let mut upstream = Upstream::start(&runtime).map_err(no_resources)?;
    let gateway = Gateway::start(upstream.address, &secret)?;
    let out = &mut terminal.out;
    introduce(out, &gateway, upstream.address);
    let shown = show(out, &runtime, &gateway, &mut upstream);
    if let (Ok(true), false) = (&shown, asked.once) {
        let link = gateway.console_link(&runtime);
        invite(out, &gateway, &secret, link.as_deref());
        runtime.block_on(serve(out, &mut signals, &mut upstream));
    }
    // The app is stopped at the same time, so it cannot delay the gateway's drain.
    gateway.handle.drain();
    drop(runtime);
    let _nothing_of_value = gateway.handle.wait();
    Ok(if shown? { Exit::Done } else { Exit::Failed })
}

/// The gateway, and the data that the sender has.
struct Gateway {
    handle: Handle,
    origin: Origin,
    /// The admin listener.
    admin: Origin,
    verifier: Arc<Verifier>,
}

impl Gateway {
    /// Listens on the usual port. If that port is taken, listens on a free port.
    fn start(upstream: SocketAddr, secret: &str) -> Result<Self, Failure> {
        let config = configuration([USUAL, USUAL_ADMIN], upstream, secret)?;
        telemetry::init(&config.log);
        let verifier = config.routes.first().map(|route| Arc::clone(&route.verifier));
        let verifier = verifier.ok_or_else(|| Failure::failed("the demo has no route"))?;
        let handle = match runtime::start(&config) {
            Ok(handle) => Ok(handle),
            Err(_taken) => match runtime::start(&configuration([USUAL, FREE], upstream, secret)?) {
                Ok(handle) => Ok(handle),
                Err(_taken) => runtime::start(&configuration([FREE, FREE], upstream, secret)?),
            },
        };
        let handle = handle.map_err(|error| Failure::failed("cannot start the gateway").because(error))?;
        let origin = origin_of(handle.addresses())?;
        let admin = origin_of(handle.admin_addresses())?;
        // This verifier has the same secret as the verifier of the first configuration.
        Ok(Self { handle, origin, admin, verifier })
    }

    /// A link to the console. `None` if there is none: the demo goes on without it.
    fn console_link(&self, runtime: &Runtime) -> Option<String> {
        let target = PathAndQuery::from_static("/api/v1/console/links");
        let request = Outgoing {
            method: Method::POST,
            content: b"{}".to_vec(),
            ..Outgoing::get(&self.admin, target, Patience::of(PATIENCE))
        };
        let answer = runtime.block_on(http_exchange::exchange(request)).ok()?;
        let made: Value = serde_json::from_slice(&answer.content).ok()?;
        Some(format!("{}{}", self.admin, made.get("path")?.as_str()?))
    }
}

fn origin_of(addresses: &[Address]) -> Result<Origin, Failure> {
    let address = addresses.first().map(|address| format!("http://{address}"));
    let origin = address.and_then(|address| Origin::parse(&address).ok());
    origin.ok_or_else(|| Failure::failed("the gateway does not listen"))
}

/// The configuration that a user would write. The secret is in the environment.
fn configuration([listen, admin]: [&str; 2], upstream: SocketAddr, secret: &str) -> Result<Config, Failure> {
    let text = format!(
        r#"
        [server]
        listen = "{listen}"
        workers = 1
        shutdown_grace = "2s"

        [admin]
        listen = "{admin}"
        console = true

        [log]
        level = "error"
        access = "off"

        [signature]
        scheme = "propify"
        secrets = [{{ name = "demo", env = "{VARIABLE}" }}]

        [[routes]]
        path = "/webhook/{{model}}"
        upstream = "http://{upstream}"
        "#
    );
    let environment = Fixed::new(NonZeroUsize::MIN).with_variable(VARIABLE, secret);
    let loaded = config::read("the demo's configuration", &text, &environment, SystemTime::now());
    let wrong = |report: Report| Failure::failed(report.render(Style::Plain));
    loaded.map(|loaded| loaded.config).map_err(wrong)
}

/// Sends an authentic event and a forged event, and shows the results. Returns whether both results are as
/// expected.
fn show(
    out: &mut Stream,
    runtime: &Runtime,
    gateway: &Gateway,
    upstream: &mut Upstream,
) -> Result<bool, Failure> {
    let content = sample_event::sample(gateway.verifier.scheme(), "leases", SystemTime::now());
    let sent = (content.len(), hex::encode(Sha256::digest(&content)));

    let (answer, verdict) = deliver(runtime, gateway, content.clone(), None)?;
    let arrived = runtime.block_on(async { timeout(PATIENCE, upstream.events.recv()).await });
    let unchanged =
        matches!(&arrived, Ok(Some(received)) if (received.bytes, &received.digest) == (sent.0, &sent.1));
    let delivered = verdict.as_it_should && unchanged;
    let body = printable(&answer.content);
    let status = answer.status.as_u16();
    headline(out, delivered, "a signed event", &format!("{status}  {}", body.trim_end()));
    let (size, digest) = &sent;
    detail(out, "sent", &format!("{size} bytes, sha-256 {digest}"));
    detail(
        out,
        "the app got",
        &match &arrived {
            Ok(Some(received)) => format!("{} bytes, sha-256 {}", received.bytes, received.digest),
            Ok(None) | Err(_) => "nothing".to_owned(),
        },
    );
    detail(out, "", if unchanged { "the very same bytes" } else { "not what was sent" });
    out.line("");

    let (answer, verdict) = deliver(runtime, gateway, content, Some(Forgery::Tampered))?;
    let silent = upstream.events.try_recv().is_err();
    let stopped = verdict.as_it_should && silent;
    let reason = verdict.reason.as_deref().unwrap_or("not refused");
    headline(out, stopped, "a forged event", &format!("{}  {reason}", answer.status.as_u16()));
    detail(out, "sent", "the same event, with one byte changed after signing");
    detail(out, "the app got", if silent { "nothing" } else { "the forged event" });
    Ok(delivered && stopped)
}

fn deliver(
    runtime: &Runtime,
    gateway: &Gateway,
    content: Vec<u8>,
    forgery: Option<Forgery>,
) -> Result<(Answer, Verdict), Failure> {
    let request = RequestArgs {
        method: Method::POST.to_string(),
        target: PATH.to_owned(),
        origin: Some(PublicUrls::from(&*gateway.origin.to_string())),
        lines: Lines::default(),
    };
    let stamp = Stamp::default();
    let (event, signature) = send::make(&gateway.verifier, None, &request, &stamp, content, forgery)?;
    let outgoing = Outgoing {
        method: Method::POST,
        fields: send::signature_lines(&signature, &event).collect(),
        content: event.content,
        ..Outgoing::get(&gateway.origin, PathAndQuery::from_static(PATH), Patience::WITH_AN_APP)
    };
    let answer = runtime.block_on(http_exchange::exchange(outgoing));
    let answer = answer.map_err(|error| send::no_answer(&gateway.origin, error))?;
    // The gateway of the demo is in this process, and no other server has its address.
    let verdict = verdict::judge(forgery, &Verified::Yes, answer.status, &answer.fields, &answer.content);
    Ok((answer, verdict))
}

async fn serve(out: &mut Stream, signals: &mut Signals, upstream: &mut Upstream) {
    let mut count: u64 = 0;
    while !out.is_gone() {
        let received = tokio::select! {
            _ = signals.stop() => break,
            received = upstream.events.recv() => received,
        };
        let Some(Received { method, target, bytes, digest }) = received else { break };
        count = count.saturating_add(1);
        let mark = out.paint(Paint::Good, "✓");
        let digest = digest.get(..16).unwrap_or_default();
        let target = printable(target.as_bytes());
        out.line(format_args!("  {mark} {count}  {method} {target}  {bytes} bytes, sha-256 {digest}..."));
    }
    out.line("");
}

fn introduce(out: &mut Stream, gateway: &Gateway, upstream: SocketAddr) {
    let title = out.paint(Paint::Strong, "hookgate demo");
    let (origin, scheme) = (&gateway.origin, &gateway.verifier.scheme().name);
    out.line(format_args!("{title}: a sender, the gateway and an app, all in this process\n"));
    detail(out, "gateway", &format!("{origin}{PATH}, scheme {scheme}, a secret made for this run"));
    detail(out, "app", &format!("http://{upstream}, answers 200"));
    out.line("");
}

fn headline(out: &mut Stream, good: bool, what: &str, result: &str) {
    let mark = if good { out.paint(Paint::Good, "✓") } else { out.paint(Paint::Bad, "✗") };
    let what = out.paint(Paint::Strong, what);
    out.line(format_args!("{mark} {what}: {result}"));
}

fn detail(out: &mut Stream, label: &str, text: &str) {
    let label = out.paint(Paint::Faint, format_args!("{label:<12}"));
    out.line(format_args!("    {label}{text}"));
}

/// Prints commands that the user can paste. The commands need only the secret of this process. They have no
/// comments, because an interactive zsh would run comments as commands.
fn invite(out: &mut Stream, gateway: &Gateway, secret: &str, link: Option<&str>) {
    let (origin, field) = (&gateway.origin, &gateway.verifier.scheme().field);
    let this = std::env::current_exe().ok().map(|path| quoted(&path.display().to_string()));
    let this = this.unwrap_or_else(|| "hookgate".to_owned());
    let curl = format!(
        "curl -i {origin}{PATH} -H 'content-type: application/json' -H \"{field}: $SIGNATURE\" --data-binary"
    );
    let heading = |out: &mut Stream, text: &str| {
        let text = out.paint(Paint::Strong, text);
        out.line(format_args!("\n{text}"));
    };
    if let Some(link) = link {
        heading(out, "See both events in a browser (the link works once, within 5 minutes):");
        out.line(format_args!("  {link}"));
        heading(out, "For another link:");
        out.line(format_args!("  {this} console --admin {}", gateway.admin));
    }
    heading(out, "Try it yourself, in another terminal:");
    out.line(format_args!("  export {VARIABLE}={secret}"));
    out.line("  BODY='{\"meta\":{\"object\":\"leases\"},\"record_id\":\"mine\"}'");
    out.line(format_args!(
        "  SIGNATURE=$(printf %s \"$BODY\" | openssl dgst -sha256 -hmac \"${VARIABLE}\" -r | cut -d' ' -f1)"
    ));
    heading(out, "A signed event: 200, from the app");
    out.line(format_args!("  {curl} \"$BODY\""));
    heading(out, "A forged one: 401, from the gateway");
    out.line(format_args!("  {curl} \"$BODY \""));
    heading(out, "The same with hookgate");
    let send = format!("  {this} send {PATH} --url {origin} --scheme propify --secret-env {VARIABLE}");
    out.line(&send);
    out.line(format_args!("{send} --forge tampered"));
    heading(out, "Serving until Ctrl-C. What reaches the app:");
}

/// Quotes a text as one word of a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    if word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The gateway's usual address.
const USUAL: &str = "127.0.0.1:8080";

/// The usual address of the admin listener.
const USUAL_ADMIN: &str = "127.0.0.1:9901";

/// The address that is used if the usual address is taken.
const FREE: &str = "127.0.0.1:0";

/// The name of the secret's environment variable.
const VARIABLE: &str = "PROPIFY_WEBHOOK_SECRET";

/// The path of the events.
const PATH: &str = "/webhook/leases";

/// How long the app may take to report an event after it has answered.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_is_still_one_word() {
        assert_eq!(quoted("/usr/bin/hookgate"), "/usr/bin/hookgate");
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
    }
}
