//! Every preset, through a gateway: authentic events of its sender arrive, and forged events do not.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use hookgate::signature::algorithm::Algorithm;
use hookgate::signature::scheme::{PRESETS, Refusal, Scheme};
use hookgate::signature::secret::SecretEncoding;

use crate::senders::{ORIGIN, RSA_KEYS, Request, Sender, rsa_public_key};
use crate::support::in_time::OutputInTime as _;
use crate::support::process::{Running, address_in};
use crate::support::upstream::Oracle;
use crate::support::{Client, Gateway, Post, Response, Upstream, assert_refused, gateway, unsigned};

fn app() -> Upstream {
    Upstream::ok_under(Oracle::default().observing())
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A gateway with a route for each preset, and the senders.
fn all_of_them(app: &Upstream) -> (Gateway, Vec<Sender>) {
    let senders: Vec<_> = PRESETS.iter().map(|scheme| Sender::new(scheme, 0)).collect();
    let mut setup = gateway();
    for sender in &senders {
        let (name, key) = (&sender.scheme.name, base64(&sender.key));
        let signature =
            format!("{{ scheme = \"{name}\", secrets = [{{ value = \"{key}\", encoding = \"base64\" }}] }}");
        let lines = format!("public_url = \"{ORIGIN}\"\nsignature = {signature}");
        setup = setup.route_with(&format!("/{name}"), &app.url(), &lines);
    }
    let spare = Upstream::ok();
    (setup.route("/spare", &spare.url()).start(), senders)
}

fn target(scheme: &Scheme) -> String {
    format!("/{}?tenant=7", scheme.name)
}

fn as_post(request: &Request) -> Post {
    let post = unsigned(&request.body).method(&request.method).target(&request.target);
    request.lines.iter().fold(post, |post, (name, value)| post.line(format!("{name}: {value}")))
}

fn exchange(gateway: &Gateway, request: &Request) -> Response {
    Client::to(gateway).send(as_post(request).bytes()).response()
}

/// The request without the fields of its signature.
fn bare(scheme: &Scheme, request: &Request) -> Request {
    if let Some(name) = &scheme.parameter {
        let (target, _) = request.target.split_once(&format!("&{name}=")).unwrap();
        return Request { target: target.to_owned(), ..request.clone() };
    }
    let lines = request.lines.iter().filter(|(name, _)| *name != scheme.field).cloned().collect();
    Request { lines, ..request.clone() }
}

#[test]
fn an_event_of_every_sender_arrives_with_all_its_fields_and_no_forged_one_does() {
    let app = app();
    let (gateway, senders) = all_of_them(&app);
    for (index, sender) in senders.iter().enumerate() {
        let Sender { scheme, .. } = sender;
        let name = &scheme.name;
        let refused = |request: &Request, reason: &str| {
            let response = exchange(&gateway, request);
            match scheme.refusal {
                Refusal::Problem => {
                    assert_refused(&response, 401, Some(reason));
                }
                Refusal::Empty => assert_eq!((response.status, &*response.body), (401, &b""[..]), "{name}"),
            }
        };
        let good = sender.request_to(&target(scheme), 0, SystemTime::now());
        let is_token = scheme.algorithm == Algorithm::Token;
        refused(&bare(scheme, &good), "signature_missing");
        let value = match &scheme.parameter {
            Some(_) => good.target.rsplit_once('=').unwrap().1.to_owned(),
            None => good.lines.last().unwrap().1.clone(),
        };
        let signed = |mut request: Request, value: String| {
            match &scheme.parameter {
                Some(name) => request.target += &format!("&{name}={value}"),
                None => request.lines.push((scheme.field.to_string(), value)),
            }
            request
        };
        let with = |value: String| signed(bare(scheme, &good), value);
        if !is_token {
            let shorter = value.trim_end_matches('=');
            refused(&with(shorter[..shorter.len() - 2].to_owned()), "signature_malformed");
            let mut tampered = good.clone();
            tampered.body.push(b'0');
            refused(&tampered, "signature_mismatch");
        }
        refused(&signed(good.clone(), value), "signature_duplicate");
        let stranger = Sender::new(scheme, 1).request_to(&target(scheme), 1, SystemTime::now());
        refused(&stranger, "signature_mismatch");
        if let Some(timestamp) = &scheme.timestamp {
            let long_ago = SystemTime::now() - timestamp.past - Duration::from_secs(60);
            refused(&sender.request_to(&target(scheme), 0, long_ago), "timestamp_expired");
        }
        if scheme.signs_url() {
            let elsewhere = good.target.replace("tenant=7", "tenant=8");
            refused(&Request { target: elsewhere, ..good.clone() }, "signature_mismatch");
        }
        assert_eq!(app.requests().len(), index, "{name}: something else than a good event arrived");
        exchange(&gateway, &good).assert_answer("ok");
        let got = app.requests().pop().unwrap();
        assert_eq!((&got.content, &got.target), (&good.body, &good.target), "{name}");
        for (field, value) in &good.lines {
            assert_eq!(got.values(field), [value.as_bytes()], "{name} {field}");
        }
    }
}

/// A folder with a gateway.toml that has a route for each preset, and the variables with the public keys. The
/// command runs it.
struct Folder(tempfile::TempDir, Vec<(&'static str, String)>);

/// The variables with the public keys.
fn public_keys() -> Vec<(&'static str, String)> {
    let [(_, ed25519), (_, p256)] = PRIVATE_KEYS;
    let ed25519 = ed25519_dalek::SigningKey::from_bytes(&[ed25519; 32]).verifying_key().to_bytes();
    let p256 = p256::ecdsa::SigningKey::from_slice(&[p256; 32]).unwrap();
    let p256 = p256.verifying_key().to_sec1_point(false);
    vec![
        ("ED25519_HEX", hex::encode(ed25519)),
        ("ED25519_BASE64", base64(&ed25519)),
        ("P256_BASE64", base64(p256.as_bytes())),
        ("RSA_BASE64", base64(&rsa_public_key(0))),
    ]
}

const KEY: &[u8] = b"a secret that is long enough";

impl Folder {
    fn new(app: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap(), public_keys());
        let server = "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n";
        let mut text = server.to_owned();
        for (file, key) in PRIVATE_KEYS {
            std::fs::write(folder.path().join(file), hex::encode([key; 32])).unwrap();
        }
        std::fs::write(folder.path().join(RSA_KEY), RSA_KEYS[0]).unwrap();
        for scheme in PRESETS.iter() {
            let (name, variable) = (&scheme.name, variable(scheme));
            let route = format!(
                "[[routes]]\npath = \"/{name}\"\nupstream = \"{app}\"\npublic_url = \"{ORIGIN}\"\n\
                 signature = {{ scheme = \"{name}\", secrets = [{{ env = \"{variable}\" }}] }}\n"
            );
            text += &route;
            // The commands of a sender read its route only, because reading all of them takes most of their
            // time.
            std::fs::write(folder.path().join(format!("{name}.toml")), format!("{server}{route}")).unwrap();
        }
        std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env("KEY", std::str::from_utf8(KEY).unwrap());
        command.env("KEY_BASE64", base64(KEY)).env("KEY_HEX", hex::encode(KEY));
        for (variable, key) in &self.1 {
            command.env(variable, key);
        }
        command
    }
}

/// The private key files of the presets that need one. Each key consists of this byte.
const PRIVATE_KEYS: [(&str, u8); 2] = [("ed25519.key", 7), ("p256.key", 8)];

/// The private key file of the presets that sign with RSA.
const RSA_KEY: &str = "rsa.key";

fn private_key(scheme: &Scheme) -> Option<&'static str> {
    let [(ed25519, _), (p256, _)] = PRIVATE_KEYS;
    match scheme.algorithm {
        Algorithm::Ed25519 => Some(ed25519),
        Algorithm::EcdsaP256 => Some(p256),
        Algorithm::RsaSha256 => Some(RSA_KEY),
        Algorithm::HmacSha256
        | Algorithm::HmacSha384
        | Algorithm::HmacSha512
        | Algorithm::HmacSha1
        | Algorithm::HmacMd5
        | Algorithm::Token => None,
    }
}

fn variable(scheme: &Scheme) -> &'static str {
    match (scheme.algorithm, scheme.secret_encoding) {
        (Algorithm::Ed25519, SecretEncoding::Hex) => "ED25519_HEX",
        (Algorithm::Ed25519, _) => "ED25519_BASE64",
        (Algorithm::EcdsaP256, _) => "P256_BASE64",
        (Algorithm::RsaSha256, _) => "RSA_BASE64",
        (_, SecretEncoding::Base64) => "KEY_BASE64",
        (_, SecretEncoding::Hex) => "KEY_HEX",
        (_, _) => "KEY",
    }
}

/// The ways in which events of a sender can be forged.
fn forgeries(scheme: &Scheme) -> Vec<&'static str> {
    let mut all = vec!["missing", "wrong-secret", "duplicate"];
    if scheme.algorithm != Algorithm::Token {
        all.extend(["malformed", "tampered"]);
    }
    all.extend(scheme.timestamp.as_ref().map(|_| "expired"));
    all
}

#[test]
fn every_sender_can_be_tried_from_the_command_with_good_and_with_forged_events() {
    let app = app();
    let folder = Folder::new(&app.url());
    let mut running = Running::start(&mut folder.command(&["run"]));
    let url = format!("http://{}", address_in(&running.wait_for("listening")));
    let send = |scheme: &Scheme, args: &[&str]| -> Output {
        let target = target(scheme);
        let file = format!("{}.toml", scheme.name);
        let args = [&["send", &target, "--url", &url, "--config", &file], args].concat();
        folder.command(&args).output_in_time()
    };
    let text =
        |output: &Output| String::from_utf8_lossy(&[&*output.stdout, &output.stderr].concat()).into_owned();
    let (schemes, send, text): (Vec<_>, _, _) = (PRESETS.iter().collect(), &send, &text);
    // The commands run in parallel, because most of the time passes while processes start.
    std::thread::scope(|scope| {
        for schemes in schemes.chunks(schemes.len().div_ceil(4)) {
            scope.spawn(move || {
                for scheme in schemes {
                    let key: Vec<&str> =
                        private_key(scheme).iter().flat_map(|file| ["--private-key-file", file]).collect();
                    for forgery in forgeries(scheme) {
                        // Without the private key, only forgeries that any key can sign are possible.
                        let own = if forgery == "tampered" { &*key } else { &[] };
                        let output = send(scheme, &[&["--forge", forgery], own].concat());
                        let says = text(&output);
                        assert!(says.contains("stopped, as it must be"), "{} {forgery}: {says}", scheme.name);
                        assert_eq!(output.status.code(), Some(0), "{} {forgery}: {says}", scheme.name);
                    }
                    let output = send(scheme, &key);
                    assert_eq!(output.status.code(), Some(0), "{}: {}", scheme.name, text(&output));
                }
            });
        }
    });
    let arrived = app.requests();
    assert_eq!(
        arrived.len(),
        schemes.len(),
        "{:?}",
        arrived.iter().map(|request| &request.target).collect::<Vec<_>>()
    );
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}
