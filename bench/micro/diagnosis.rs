//! Measures the diagnosis of one request that does not verify, for content of the maximum length and many
//! shapes. Run with `cargo bench --bench diagnosis [SECRETS]`; one secret by default.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a measurement that fails has nothing to say, and what it has to say it prints"
)]

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use hookgate::admission::client::ClientAddress;
use hookgate::config;
use hookgate::config::environment::Fixed;
use hookgate::diagnosis::sample::{LONGEST_CONTENT, RouteContexts, Sample};
use hookgate::signature::{Context, Fields};
use hookgate::telemetry::record::{Record, RequestId};

/// The field of a well-formed signature by an unknown key.
struct Lines(Vec<u8>);

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        (name == "propify-signature").then_some(&*self.0).into_iter()
    }
}

const RUNS: usize = 5;

fn main() {
    let secrets = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_usize);
    let docket = docket(secrets);
    let record = Record::new(RequestId(1), ClientAddress::ip(Ipv4Addr::LOCALHOST.into()));
    let lines = Lines("9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d".into());
    println!("{LONGEST_CONTENT} bytes, {secrets} secrets; milliseconds, the least of {RUNS}");
    for (name, content) in shapes() {
        let content = content.get(..LONGEST_CONTENT).unwrap_or(&content);
        let context = Context::of(&lines, SystemTime::UNIX_EPOCH);
        let case = Sample::of(&docket, 0, &record, None, &context, Some(content)).unwrap();
        let mut runs: Vec<(Duration, bool)> = Vec::new();
        for _ in 0..RUNS {
            let begun = Instant::now();
            let mut keeps_open = || true;
            let given_up = case.cause(&mut keeps_open).is_err();
            runs.push((begun.elapsed(), given_up));
        }
        let (least, given_up) = runs.iter().min().unwrap();
        let outcome = if *given_up { "given up" } else { "" };
        println!("{:>8.1}  {name} {outcome}", least.as_secs_f64() * 1000.0);
    }
}

fn docket(secrets: usize) -> Arc<RouteContexts> {
    let secrets: Vec<_> = (0..secrets).map(|n| format!("{{ name = \"{n}\", env = \"A{n}\" }}")).collect();
    let environment = (0..secrets.len()).fold(Fixed::new(NonZeroUsize::MIN), |environment, n| {
        environment.with_variable(&format!("A{n}"), format!("{n:0>16}abcdefgh"))
    });
    let text = format!(
        "[signature]\nscheme = \"propify\"\nsecrets = [{}]\n[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"",
        secrets.join(", ")
    );
    let loaded = config::read("gateway.toml", &text, &environment, SystemTime::UNIX_EPOCH).unwrap();
    Arc::new(RouteContexts::of(&loaded.config, 1))
}

/// Bytes with a long period.
fn noise(many: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..many).map(|_| next()).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let n = LONGEST_CONTENT;
    let around = |before: &str, piece: &str, after: &str| {
        let many = (n - before.len() - after.len()) / piece.len();
        [before.as_bytes(), piece.repeat(many).as_bytes(), after.as_bytes()].concat()
    };
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(&vec![0; 64 << 20]).unwrap();
    let incompressible = noise(n - 200);
    vec![
        ("{ spaces }", around("{", " ", "}")),
        ("{ tabs", around("{", "\t", "")),
        ("[ CRs ]", around("[", "\r", "]")),
        ("LFs", around("", "\n", "")),
        ("CR LFs", around("", "\r\n", "")),
        ("[ LFs ]", around("[", "\n", "]")),
        ("[[[", around("", "[", "")),
        ("[[[ ]]]", [b"[".repeat(n / 2), b"]".repeat(n / 2)].concat()),
        ("{\"a\":{\"a\":", around("", "{\"a\":", "")),
        ("[[],[],", around("[", "[],", "[]]")),
        ("[{},{},", around("[", "{},", "{}]")),
        ("[,,,", around("[", ",", "]")),
        ("[:::", around("[", ":", "]")),
        ("[1,1,", around("[", "1,", "1]")),
        ("quotes", around("[", "\"", "]")),
        ("[\"\",\"\",", around("[", "\"\",", "\"\"]")),
        ("backslashes", around("[\"", "\\", "\"]")),
        ("escaped quotes", around("[\"", "\\\"", "\"]")),
        ("slashes", around("[\"", "/", "\"]")),
        ("\\u00e9", around("[\"", "\\u00e9", "\"]")),
        ("halves of pairs", around("[\"", "\\ud83e", "\"]")),
        ("pairs", around("[\"", "\\ud83e\\udd80", "\"]")),
        ("\\u cut off", around("[\"", "\\u", "\"]")),
        ("é", around("[\"", "é", "\"]")),
        ("crabs", around("[\"", "🦀", "\"]")),
        ("a key repeated", around("{", "\"a\":1,", "\"a\":1}")),
        ("byte order marks", around("", "\u{feff}", "")),
        ("a form", around("a=1", "&a=%20b", "")),
        ("ampersands", around("", "&", "")),
        ("zeros", vec![0; n]),
        ("one letter", around("", "a", "")),
        ("noise", noise(n)),
        ("[ noise", [b"[".as_slice(), &noise(n)].concat()),
        ("gzip, a bomb", gzip(&vec![0; 64 << 20])),
        ("gzip, just not a bomb", gzip(&vec![b'['; 1 << 20])),
        ("gzip, a megabyte of JSON", gzip(&around("[", "1,", "1]").repeat(4))),
        ("gzip, noise", gzip(&incompressible)),
        ("gzip, many members", gzip(b"").repeat(n / gzip(b"").len())),
        ("gzip, a byte a member", gzip(b"a").repeat(n / gzip(b"a").len())),
        ("gzip, a long name", [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0][..], &vec![b'a'; n]].concat()),
        ("zlib, a bomb", zlib.finish().unwrap()),
    ]
}
