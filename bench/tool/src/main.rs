//! benchtool: the helpers of the benchmark, each one thread and one epoll set.
//!
//!   benchtool upstream --port P [--response-bytes N]
//!       A fixed-response HTTP/1.1 keep-alive server, as cheap as we can make it: request bodies
//!       are dropped in the kernel (recv with MSG_TRUNC) unless the request carries an
//!       `x-body-sha256` header, and then the body is hashed and compared. `GET /__stats`
//!       answers the counters as JSON.
//!   benchtool load --port P --conns N --seconds S --body FILE --header 'k: v' ... [--rate R] [--path /p]
//!               [--warmup S] [--pids P,P]
//!       A load generator. Without --rate: closed loop, as fast as answers come. With --rate:
//!       open loop, R requests a second over N connections; a request that finds no free
//!       connection waits, and its waiting counts as latency. After the warm-up S
//!       seconds are measured: answers, latencies, and the CPU time of the processes P.
//!   benchtool idle --port P --conns N --body FILE --header 'k: v' ... [--path /p]
//!       Opens N connections, makes one request on each, prints `ready N ok BAD`, and holds them
//!       open until its standard input closes.
//!   benchtool handshakes --port P --conns N --seconds S --tls NAME --ca FILE [--resume yes] [--pids P,P]
//!   [--body FILE ...]
//!       Opens N connections at a time, each with a TLS handshake, and with a request if there is a body.
//!   load, idle and handshakes take --tls NAME --ca FILE [--groups default|x25519]: TLS 1.3 to a server of
//!   this name. benchtool hash --body FILE --seconds S
//!       CPU microseconds of one bare HMAC-SHA256 of the file.
//!   benchtool relay --port P --upstream P
//!       Passes bytes between clients and an upstream, and looks at none: the floor of any proxy.
//!   benchtool floor --conns N --body FILE --file PATH --seconds S
//!       Batches of N records of the file to a preallocated file, each with an fdatasync: the floor of any store.

use sha2::{Digest, Sha256};
use std::time::Instant;

mod floor;
mod handshakes;
mod load;
mod message;
mod relay;
mod sys;
mod tls;
mod upstream;

/// Microseconds for one HMAC-SHA256 of the body with a prepared key: the floor of any verifier.
fn hash(body: &[u8], seconds: f64) {
    let (inner, outer) = (Sha256::new_with_prefix([0x36u8; 64]), Sha256::new_with_prefix([0x5cu8; 64]));
    let pids = [std::process::id()];
    let (mut n, began, cpu) = (0u64, Instant::now(), load::cpu_ns(&pids));
    while began.elapsed().as_secs_f64() < seconds {
        for _ in 0..(262_144 / body.len().max(1)).max(1) {
            let digest = inner.clone().chain_update(std::hint::black_box(body)).finalize();
            std::hint::black_box(outer.clone().chain_update(digest).finalize());
            n += 1;
        }
    }
    println!("{{\"cpu_us\":{:.4}}}", (load::cpu_ns(&pids) - cpu) as f64 / 1000.0 / n as f64);
}

fn main() {
    let mut args = std::env::args().skip(1);
    let cmd = args.next().unwrap_or_default();
    let (mut port, mut conns, mut seconds, mut rate, mut response_bytes) =
        (0u16, 1usize, 1.0f64, 0.0f64, 0usize);
    let mut upstream = 0u16;
    let (mut file, mut tls, mut ca) = (String::new(), None, String::new());
    let (mut groups, mut resume) = ("default".to_string(), false);
    let (mut warmup, mut pids) = (0.0f64, Vec::new());
    let (mut path, mut method, mut body, mut headers) =
        ("/hook".to_string(), "POST".to_string(), Vec::new(), String::new());
    while let Some(a) = args.next() {
        let v = args.next().unwrap_or_else(|| panic!("{a} needs a value"));
        match a.as_str() {
            "--port" => port = v.parse().unwrap(),
            "--conns" => conns = v.parse().unwrap(),
            "--seconds" => seconds = v.parse().unwrap(),
            "--warmup" => warmup = v.parse().unwrap(),
            "--pids" => pids = v.split(',').filter_map(|p| p.parse().ok()).collect(),
            "--rate" => rate = v.parse().unwrap(),
            "--upstream" => upstream = v.parse().unwrap(),
            "--response-bytes" => response_bytes = v.parse().unwrap(),
            "--path" => path = v,
            "--file" => file = v,
            "--tls" => tls = Some(v),
            "--ca" => ca = v,
            "--groups" => groups = v,
            "--resume" => resume = v == "yes",
            "--method" => method = v,
            "--body" => body = std::fs::read(&v).expect("body file"),
            "--header" => headers.push_str(&format!("{v}\r\n")),
            _ => panic!("unknown option {a}"),
        }
    }
    if cmd == "floor" {
        return floor::floor(&file, &body, conns, seconds);
    }
    let host = tls.as_deref().unwrap_or("127.0.0.1");
    let mut message = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: benchtool\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    message.extend_from_slice(&body);
    if cmd == "handshakes" && body.is_empty() {
        message.clear();
    }
    let tls = tls.map(|name| tls::Tls::new(&name, &ca, &groups, resume));
    let o = load::Opt { port, conns, seconds, warmup, rate, pids, message, tls };
    match cmd.as_str() {
        "upstream" => upstream::serve(port, response_bytes),
        "relay" => relay::relay(port, upstream),
        "load" => load::load(&o),
        "idle" => load::idle(&o),
        "handshakes" => handshakes::handshakes(&o, o.tls.as_ref().expect("--tls")),
        "hash" => hash(&body, seconds),
        _ => {
            eprintln!(
                "usage: benchtool upstream|load|idle|handshakes|hash --port P ... (see the head of src/main.rs)"
            );
            std::process::exit(2)
        }
    }
}
