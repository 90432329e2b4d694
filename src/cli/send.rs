//! Shell. `hookgate send`: sends an event through a running gateway, and prints the result.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use serde_json::json;

use super::args::{Origins, Send, Stamp};
use super::exit::{Exit, Failure};
use super::terminal::{Paint, Terminal, printable};
use super::verdict::{self, Verdict, Verified};
use super::verified_count::VerifiedCount;
use super::{configuration, input};
use crate::cli::admin::AdminClient;
use crate::cli::configuration::ConfigFile;
use crate::cli::credentials;
use crate::cli::http_exchange::{self, Answer, NoAnswer, Outgoing, Patience};
use crate::cli::request_args::{Lines, RequestArgs};
use crate::cli::sample_event::{self, Event, Forgery};
use crate::config::{Address, Config};
use crate::routing::router::ModelRule;
use crate::signature::Verifier;
use crate::signature::algorithm::Algorithm;
use crate::signature::form;
use crate::signature::mac::BadKey;
use crate::signature::private_key::PrivateKey;
use crate::signature::public_url::PublicUrls;
use crate::signature::scheme::Scheme;
use crate::signature::secret::{Key, Secret};
use crate::signature::sign::Signature;
use crate::upstream::origin::Origin;

/// Sends an event.
///
/// # Errors
/// A [`Failure`] if the event cannot be made, or gets no answer.
pub(super) fn send(terminal: &mut Terminal, file: &ConfigFile, asked: &Send) -> Result<Exit, Failure> {
    let target = target(&asked.target)?;
    // With a scheme and a gateway, the configuration is not read.
    let reads_config = asked.whose.scheme.is_none() || asked.url.is_none();
    input::at_most_one(&[
        ("the configuration", reads_config.then(|| file.path())),
        ("the secret", asked.whose.secret_file.as_deref()),
        ("the private key", asked.private_key_file.as_deref()),
        ("the body", asked.body.as_deref()),
        ("the certificate authorities", asked.ca.as_deref()),
    ])?;
    let mut plan = plan(terminal, file, asked, &target)?;
    plan.verifier = Verifier::with_secret(&plan.verifier, asked.secret.as_deref());
    credentials::note_unsigned(terminal, &plan.verifier, &asked.stamp, false, false);
    let content = match &asked.body {
        Some(file) => input::body(terminal, Some(file))?,
        None => {
            let scheme = plan.verifier.scheme();
            let moment = match asked.forge {
                Some(Forgery::Expired) => stale(scheme)?,
                Some(_) | None => SystemTime::now(),
            };
            sample_event::sample(scheme, &plan.model, moment)
        }
    };
    let secret = asked.secret.as_deref().filter(|_| asked.private_key_file.is_none());
    let signer = credentials::signer(&plan.verifier, asked.private_key_file.as_deref())?;
    let digested = plan.verifier.target(&asked.target, &content).into_owned();
    // The fields of the sender, unless others are given.
    let mut fields = match &asked.body {
        Some(_) => Vec::new(),
        None => sample_event::sample_fields(plan.verifier.scheme(), &input::uuid()?),
    };
    fields.retain(|(name, _)| asked.fields.iter().all(|line| line.name != *name));
    fields.extend(asked.fields.iter().map(|line| (line.name.clone(), line.value.clone())));
    let request = RequestArgs {
        method: asked.method.to_string(),
        target: digested,
        origin: Some(plan.public_url),
        lines: Lines::of(&fields),
    };
    let (event, signature) = make(&signer, secret, &request, &asked.stamp, content, asked.forge)?;
    let size = event.content.len();
    let with_signatures = match signature.in_query {
        true => event.signatures.iter().fold(request.target.clone(), |target, value| {
            form::with_parameter(&target, &signature.field.0, value)
        }),
        false => request.target.clone(),
    };
    let target = self::target(&with_signatures)?;
    let media_type = HeaderValue::from_static(sample_event::media_type(plan.verifier.scheme()));
    let says_own = fields.iter().any(|(name, _)| name == CONTENT_TYPE);
    let signed: Vec<_> = signature_lines(&signature, &event).collect();
    fields.retain(|(name, _)| signed.iter().all(|(other, _)| other != name));
    let media_type = (!says_own).then_some((CONTENT_TYPE, media_type));
    let tls = asked.ca.as_deref().map(http_exchange::trust_of).transpose();
    let outgoing = Outgoing {
        tls: tls.map_err(|error| Failure::failed("the file of --ca cannot be used").because(error))?,
        method: asked.method.clone(),
        fields: signed.into_iter().chain(fields).chain(media_type).collect(),
        content: event.content,
        ..Outgoing::get(&plan.gateway, target, Patience::WITH_AN_APP)
    };
    let counted = match (&plan.witness, asked.forge) {
        (Ok(Witness { admin, route }), None) => {
            VerifiedCount::before(admin, route).map_err(|failure| failure.to_string())
        }
        (Ok(_), Some(_)) => Err("the event is forged".to_owned()),
        (Err(why), _) => Err((*why).to_owned()),
    };
    let answer = http_exchange::now(outgoing).map_err(|error| no_answer(&plan.gateway, error))?;
    let verified = match counted {
        Ok(count) => count.after(),
        Err(why) => Verified::Unknown(why),
    };
    let verdict = verdict::judge(asked.forge, &verified, answer.status, &answer.fields, &answer.content);
    if asked.json {
        print_json(terminal, &answer, &verified, &verdict);
    } else {
        let what = format!(
            "{} {}{}: {size} bytes, {}",
            asked.method,
            plan.gateway,
            request.target,
            asked
                .forge
                .map_or_else(|| format!("signed with `{}`", signature.secret), |f| f.describe().to_owned())
        );
        print(terminal, &what, &answer, &verdict);
    }
    Ok(if verdict.as_it_should { Exit::Done } else { Exit::Failed })
}

/// Where an event is sent, and the verifier and the model with which it is made.
struct Plan {
    gateway: Origin,
    verifier: Arc<Verifier>,
    model: String,
    /// The gateway's URL as the sender knows it.
    public_url: PublicUrls,
    /// The witness, which knows whether the gateway has verified the event. Or the reason why there is
    /// no witness.
    witness: Result<Witness, &'static str>,
}

/// The admin listener that counts the verified events of a route.
struct Witness {
    admin: AdminClient,
    route: String,
}

fn plan(
    terminal: &mut Terminal,
    file: &ConfigFile,
    asked: &Send,
    target: &PathAndQuery,
) -> Result<Plan, Failure> {
    let named = match asked.whose.means() {
        Origins::Flags { .. } => Some(credentials::resolve(terminal, file, &asked.whose)?.verifier),
        Origins::Config { .. } => None,
    };
    if let (Some(verifier), Some(gateway)) = (&named, &asked.url) {
        // The arguments are sufficient, so the configuration is not read.
        let (verifier, public_url) = (Arc::clone(verifier), PublicUrls::from(&*gateway.to_string()));
        let model = SAMPLE_MODEL.to_owned();
        let witness = Err("no configuration was read that says where its admin listener is");
        return Ok(Plan { gateway: gateway.clone(), verifier, model, public_url, witness });
    }
    let config = configuration::load(terminal, file)?.config;
    let model = model(&config, target.path())?;
    let route = configuration::route(&config, asked.whose.route.as_deref().unwrap_or(target.path()))?;
    let verifier = named.unwrap_or_else(|| Arc::clone(&route.verifier));
    let gateway = asked.url.clone().map_or_else(|| gateway(&config), Ok)?;
    let own = || PublicUrls::from(&*gateway.to_string());
    let public_url = route.public_url.clone().unwrap_or_else(own);
    let admin = AdminClient::of_config(config.admin.as_ref(), None);
    let witness =
        admin.ok_or("the configuration has no `[admin]` to ask (`listen = \"127.0.0.1:9901\"` under it)");
    let witness = witness.map(|admin| Witness { admin, route: route.path.to_string() });
    Ok(Plan { gateway, verifier, model, public_url, witness })
}

/// Makes and signs an event. If a forgery is requested, forges the event.
///
/// # Errors
/// A [`Failure`] if the secret does not exist, or the scheme does not support the forgery.
pub(super) fn make(
    verifier: &Verifier,
    secret: Option<&str>,
    request: &RequestArgs,
    stamp: &Stamp,
    content: Vec<u8>,
    forgery: Option<Forgery>,
) -> Result<(Event, Signature), Failure> {
    let scheme = verifier.scheme();
    let mut stamp = stamp.clone();
    match forgery {
        Some(Forgery::Tampered | Forgery::Malformed) if scheme.algorithm == Algorithm::Token => {
            let name = &scheme.name;
            let why =
                format!("the scheme {name} is a shared token: it has no form, and does not cover the body");
            return Err(Failure::usage(why));
        }
        Some(Forgery::Expired) => {
            let unit = scheme.timestamp.as_ref().map(|timestamp| timestamp.unit);
            let moment = stale(scheme)?;
            stamp.timestamp = unit.map(|unit| unit.write(moment));
        }
        None | Some(_) => {}
    }
    // A forged event may be refused before its content is verified. Then any key may sign it.
    let any_key = match forgery {
        Some(Forgery::WrongSecret) => true,
        Some(Forgery::Missing | Forgery::Malformed | Forgery::Duplicate | Forgery::Expired) => {
            !verifier.signs()
        }
        Some(Forgery::Tampered) | None => false,
    };
    let signature = match any_key {
        true => credentials::sign(&with_random_key(scheme)?, None, request, &stamp, &content)?,
        false => credentials::sign(verifier, secret, request, &stamp, &content)?,
    };
    Ok((sample_event::prepare(content, signature.field.1.clone(), forgery), signature))
}

/// A signing time that is too old.
fn stale(scheme: &Scheme) -> Result<SystemTime, Failure> {
    let moment = scheme
        .timestamp
        .as_ref()
        .and_then(|timestamp| SystemTime::now().checked_sub(timestamp.past)?.checked_sub(STALE));
    moment
        .ok_or_else(|| Failure::usage(format!("the scheme {} signs no time that could expire", scheme.name)))
}

/// How much older than allowed a stale event is. Clocks that differ by so much would be noticed.
const STALE: Duration = Duration::from_secs(3600);

/// The lines of the other signed fields, and the line of the signature.
pub(super) fn signature_lines<'e>(
    signature: &'e Signature,
    event: &'e Event,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<'e> {
    let in_fields = event.signatures.iter().filter(|_| !signature.in_query);
    let signatures = in_fields.map(|value| (&signature.field.0, value));
    let lines = signature.others.iter().map(|(name, value)| (name, value)).chain(signatures);
    lines.filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?)))
}

/// The failure if the gateway does not answer.
pub(super) fn no_answer(gateway: &Origin, error: NoAnswer) -> Failure {
    let (address, other) = match gateway {
        Origin::Tcp(_) | Origin::Tls(_) => (gateway.authority(), "http://HOST:PORT"),
        Origin::Unix(_) => (gateway.to_string(), "unix:/PATH"),
    };
    let is_absent = |kind| matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::NotFound);
    match error {
        NoAnswer::Unreachable(error)
            if matches!(gateway, Origin::Unix(_)) && error.kind() == ErrorKind::PermissionDenied =>
        {
            Failure::failed(format!("this user may not connect to {address}"))
                .because(error)
                .hint("`ls -l` shows who may write to it: `unix_mode` under [server] sets that")
        }
        NoAnswer::Unreachable(error) if is_absent(error.kind()) => {
            Failure::failed(format!("no gateway listens at {address}"))
                .because(error)
                .hint(format!("start one with `hookgate run`, or name another with --url {other}"))
        }
        error @ (NoAnswer::Unreachable(_) | NoAnswer::TimedOut(_) | NoAnswer::Broken(_)) => {
            let hint = match gateway {
                Origin::Tls(_) => tls_hint(&error),
                Origin::Tcp(_) | Origin::Unix(_) => None,
            };
            let failure = Failure::failed(format!("no answer from the gateway at {address}")).because(error);
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
    }
}

/// What to do about a connection over TLS that was not established. `tls::failure` has the words.
fn tls_hint(error: &NoAnswer) -> Option<&'static str> {
    let NoAnswer::Unreachable(error) = error else { return None };
    let words = error.to_string();
    if words.contains("does not speak TLS") {
        return Some("write http:// in --url, or the port of `listen` under [tls]");
    }
    words
        .contains("unknown issuer")
        .then_some("--ca FILE names the authority of its certificate, if the system does not know it")
}

fn target(typed: &str) -> Result<PathAndQuery, Failure> {
    let read = typed.parse::<PathAndQuery>().ok().filter(|_| typed.starts_with('/') && !typed.contains('#'));
    let hint = match typed.split_once("://") {
        _ if read.is_some() && typed.contains(['{', '}']) => {
            "this is a pattern: write a path that it takes, as the sender does".to_owned()
        }
        _ if read.is_some() && !typed.is_ascii() => {
            let encoded = |c: char| match c.is_ascii() {
                true => c.to_string(),
                false => c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect(),
            };
            format!("write `{}`", typed.chars().map(encoded).collect::<String>())
        }
        // Before an `@` may be a credential.
        Some((scheme, rest)) if !typed.contains('@') => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            format!("write the path, and the rest as an option: `/{path} --url {scheme}://{host}`")
        }
        None if !typed.is_empty() && !typed.contains(['#', ' ', '@']) && !typed.starts_with('/') => {
            format!("write `/{typed}`")
        }
        Some(_) | None => "write the path as the sender does, for example /webhook/leases".to_owned(),
    };
    let is_path = !typed.contains(['{', '}']) && typed.is_ascii();
    read.filter(|_| is_path).ok_or_else(|| Failure::usage(format!("`{typed}` is no path")).hint(hint))
}

fn gateway(config: &Config) -> Result<Origin, Failure> {
    let origin = config.server.listen.first().and_then(|listen| match listen {
        Address::Tcp(address) => {
            Origin::parse(&format!("http://{}", configuration::reachable(*address))).ok()
        }
        Address::Unix(path) => Some(Origin::Unix(path.clone())),
    });
    origin.ok_or_else(|| {
        Failure::usage("the configuration does not say at which port the gateway listens")
            .hint("name it with --url http://HOST:PORT")
    })
}

/// The model that the route of the path requires.
fn model(config: &Config, path: &str) -> Result<String, Failure> {
    let router = configuration::router(config)?;
    let matched = router.find(path).and_then(|matched| config.routes.get(matched.candidates().first().0));
    let Some(route) = matched else {
        return Err(Failure::usage(format!("no route takes the path {path}"))
            .hint(format!("there are: {}", configuration::paths(config))));
    };
    let named = match &route.model {
        ModelRule::Any => None,
        ModelRule::Named(model) => Some(model.as_str()),
        ModelRule::Segment => {
            let mut segments = route.path.as_str().split('/').zip(path.split('/'));
            segments.find(|(pattern, _)| *pattern == "{model}").map(|(_, segment)| segment)
        }
    };
    Ok(named.unwrap_or(SAMPLE_MODEL).to_owned())
}

/// A verifier with a random key.
fn with_random_key(scheme: &Scheme) -> Result<Verifier, Failure> {
    let unable = |error| Failure::failed("cannot make up a secret").because(error);
    let name = "of another sender";
    let made = if scheme.algorithm.is_symmetric() {
        let key = Key::new(input::random_secret().map_err(unable)?.as_bytes().to_vec());
        Verifier::new(scheme.clone(), vec![Secret { name: name.into(), key, not_after: None }])
    } else {
        let private = if scheme.algorithm == Algorithm::RsaSha256 {
            PrivateKey::random_rsa()
        } else {
            let random = input::random::<32>().map_err(unable)?;
            PrivateKey::of_bytes(scheme.algorithm, random.as_slice())
        };
        private
            .map_err(|_never_but_once_in_ages| BadKey)
            .and_then(|private| Verifier::of_sender(scheme.clone(), name, private))
    };
    made.map_err(|error| {
        Failure::failed(format!("cannot make up a key for the scheme {}", scheme.name)).because(error)
    })
}

fn print(terminal: &mut Terminal, what: &str, answer: &Answer, verdict: &Verdict) {
    let out = &mut terminal.out;
    let what = out.paint(Paint::Faint, what);
    out.line(what);
    let status = out.paint(Paint::Strong, answer.status);
    out.line(format_args!("{:?} {status}", answer.version));
    for (name, value) in &answer.fields {
        out.line(format_args!("{name}: {}", printable(value.as_bytes())));
    }
    out.line("");
    if !answer.content.is_empty() {
        let cut = if answer.cut { " [...]" } else { "" };
        out.line(format_args!("{}{cut}\n", printable(&answer.content).trim_end()));
    }
    let mark = match verdict.as_it_should {
        true => out.paint(Paint::Good, "✓"),
        false => out.paint(Paint::Bad, "✗"),
    };
    out.line(format_args!("{mark} {}", verdict.words));
}

fn print_json(terminal: &mut Terminal, answer: &Answer, verified: &Verified, verdict: &Verdict) {
    let lines = answer.fields.iter();
    let fields: Vec<_> = lines
        .map(|(name, value)| json!({ "name": name.as_str(), "value": String::from_utf8_lossy(value.as_bytes()) }))
        .collect();
    terminal.out.json(&json!({
        "ok": verdict.as_it_should,
        "verdict": verdict.words,
        "verified": match verified {
            Verified::Yes => Some(true),
            Verified::No(_) => Some(false),
            Verified::Unknown(_) => None,
        },
        "status": answer.status.as_u16(),
        "reason": verdict.reason,
        "fields": fields,
        "body": String::from_utf8_lossy(&answer.content),
    }));
}

/// The model of a sample event if the route requires none.
const SAMPLE_MODEL: &str = "leases";
