//! Secrets in the gateway's memory. No piece of a removed secret may remain. Of a current secret, only its
//! keyed state may be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha384};
use tempfile::TempDir;

use crate::support::process::{PATIENCE, Running, address_in};
use crate::support::{Client, unsigned};

/// How often the secrets are changed.
const RELOADS: usize = 4;

/// The length in bytes from which a part of a secret counts as a piece.
const PIECE: usize = 8;

/// A secret of 64 characters, or a private key for Ed25519. The same text occurs nowhere else.
fn secret(name: &str, generation: usize) -> String {
    let digest = Sha384::digest(format!("{name} {generation} {}", std::process::id()));
    STANDARD.encode(if name == "assertion" { &digest[..32] } else { &digest })
}

/// The secrets of a configuration. Their names say how they are used. The files are read in the order of the
/// names. The last secret is the most likely to remain in memory.
const NAMES: [&str; 5] = ["assertion", "base64", "token", "verify", "zhmac"];

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 2
[forward]
assertion = { key = { file = "assertion" }, algorithm = "ed25519" }
[[routes]]
path = "/hmac"
upstream = "http://127.0.0.1:9"
signature = { scheme = "propify", secrets = [{ file = "zhmac" }, { name = "env", env = "FROM_ENVIRONMENT" }] }
[[routes]]
path = "/base64"
upstream = "http://127.0.0.1:9"
signature = { scheme = "standard-webhooks", secrets = [{ file = "base64" }] }
[[routes]]
path = "/token"
upstream = "http://127.0.0.1:9"
signature = { scheme = "gitlab", secrets = [{ file = "token" }] }
[[routes]]
path = "/meta"
upstream = "http://127.0.0.1:9"
methods = ["GET", "POST"]
[routes.signature]
scheme = "meta"
challenge = "answer"
secrets = [{ file = "zhmac" }]
verify_token = { file = "verify" }
"#;

fn write(folder: &TempDir, generation: usize) {
    for name in NAMES {
        // Because of the white space, the gateway keeps two variants of the secret: as written, and without
        // the white space. Neither has the line break.
        let text = match name {
            "zhmac" => format!(" {}\r\n", secret(name, generation)),
            _ => format!("{}\n", secret(name, generation)),
        };
        let (beside, path) = (folder.path().join("new"), folder.path().join(name));
        fs::write(&beside, text).unwrap();
        fs::rename(beside, path).unwrap();
    }
}

/// Sends events that do not verify, so the diagnosis uses every key.
fn send_forgeries(address: SocketAddr) {
    for (path, line) in [
        ("/hmac", format!("propify-signature: {}", "ab".repeat(32))),
        ("/token", "x-gitlab-token: another".to_owned()),
    ] {
        let response =
            Client::connect(address).send(unsigned("{}").target(path).line(line).bytes()).response();
        assert_eq!(response.status, 401);
    }
}

/// The pieces that are searched for, with the secret of each piece.
#[derive(Default)]
struct Wanted(BTreeMap<[u8; PIECE], String>);

impl Wanted {
    fn add(&mut self, what: &str, text: &[u8]) {
        // The secret itself, and the secret XORed with the pads of RFC 2104.
        for (form, pad) in [("", 0), (" ^ ipad", 0x36), (" ^ opad", 0x5c)] {
            let text: Vec<u8> = text.iter().map(|byte| byte ^ pad).collect();
            for piece in text.windows(PIECE) {
                self.0.insert(piece.try_into().unwrap(), format!("{what}{form}"));
            }
        }
    }

    /// The pieces that are in the writable memory of a process, except in the range `but`.
    fn found_in(&self, process: u32, but: std::ops::Range<u64>) -> io::Result<BTreeSet<String>> {
        let mut first = vec![false; 1 << 16];
        self.0.keys().for_each(|piece| first[usize::from(u16::from_le_bytes([piece[0], piece[1]]))] = true);
        let mut memory = File::open(format!("/proc/{process}/mem"))?;
        let mut found = BTreeSet::new();
        for line in fs::read_to_string(format!("/proc/{process}/maps"))?.lines() {
            let mut words = line.split_whitespace();
            let (range, rights) = (words.next().unwrap(), words.next().unwrap());
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16).unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            memory.seek(SeekFrom::Start(start))?;
            memory.read_exact(&mut bytes)?;
            for (at, window) in bytes.windows(PIECE).enumerate() {
                if first[usize::from(u16::from_le_bytes([window[0], window[1]]))]
                    && let Some(what) = self.0.get(window)
                {
                    let at = start + u64::try_from(at).unwrap();
                    if !but.contains(&at) {
                        let place = words.clone().next_back().unwrap_or_default();
                        found.insert(if place.starts_with('[') {
                            format!("{what} in {place}")
                        } else {
                            what.clone()
                        });
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The address range of a process's environment. The environment stays in memory (proc_pid_stat(5), fields 50
/// and 51).
fn environment(process: u32) -> std::ops::Range<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let numbers = stat.rsplit(')').next().unwrap().split_whitespace().skip(50 - 3).take(2);
    let [start, end] = numbers.map(|number| number.parse().unwrap()).collect::<Vec<u64>>()[..] else {
        panic!()
    };
    assert!(start < end, "{stat}");
    start..end
}

#[test]
fn a_withdrawn_secret_is_nowhere_in_memory_and_one_in_force_only_as_a_key() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway.toml"), CONFIG).unwrap();
    write(&folder, 0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.current_dir(folder.path()).env("FROM_ENVIRONMENT", secret("env", 0));
    let mut running = Running::start(&mut command);
    let address = address_in(&running.wait_for("\"listening\""));
    if let Err(error) = File::open(Path::new("/proc").join(running.id().to_string()).join("mem")) {
        // The test runner captures `println!`, but not this.
        let skipped = "SKIPPED: whether secrets stay in memory. That of the gateway is only for root to see";
        writeln!(io::stderr(), "{skipped}: {error}").unwrap();
        return;
    }
    let environment = environment(running.id());
    send_forgeries(address);
    for generation in 1..=RELOADS {
        write(&folder, generation);
        running.signal("-HUP");
        running.wait_for("\"reloaded\"");
        send_forgeries(address);
    }
    let (mut gone, mut kept) = (Wanted::default(), Wanted::default());
    for generation in 0..=RELOADS {
        for name in NAMES {
            let text = secret(name, generation);
            // Current tokens are kept unchanged, because they are compared.
            let into = if generation == RELOADS && matches!(name, "token" | "verify") {
                &mut kept
            } else {
                &mut gone
            };
            into.add(&format!("{name} {generation}"), text.as_bytes());
            if name == "base64" {
                into.add(&format!("{name} {generation} decoded"), &STANDARD.decode(&text).unwrap());
            }
            if name == "assertion" {
                // The key itself is needed for each signature.
                let into = if generation == RELOADS { &mut kept } else { &mut gone };
                into.add(&format!("{name} {generation} decoded"), &STANDARD.decode(&text).unwrap());
            }
        }
    }
    gone.add("env", secret("env", 0).as_bytes());
    let begin = Instant::now();
    loop {
        // The process is stopped, so its memory does not change during the search. A running gateway checks
        // its files twice a second.
        running.signal("-STOP");
        let found = gone.found_in(running.id(), environment.clone()).unwrap();
        let sees = kept.found_in(running.id(), environment.clone()).unwrap();
        running.signal("-CONT");
        assert!(sees.iter().any(|what| what.contains("token 4")), "it would be found: {sees:?}");
        assert!(sees.iter().any(|what| what.contains("verify 4")), "it would be found: {sees:?}");
        assert!(sees.iter().any(|what| what.contains("assertion 4 decoded")), "it would be found: {sees:?}");
        if found.is_empty() {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "still there: {found:#?}");
    }
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}
