//! Clients: a load generator, and connections that are held idle.

use crate::message::{find_head_end, header, parse_num};
use crate::sys;
use crate::tls::{self, Tls};
use rustls::ClientConnection;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

pub struct Opt {
    pub port: u16,
    pub conns: usize,
    pub seconds: f64,
    pub warmup: f64,
    pub rate: f64,
    pub pids: Vec<u32>,
    pub message: Vec<u8>,
    pub tls: Option<Tls>,
}

/// CPU time in nanoseconds that all threads of these processes have used.
pub fn cpu_ns(pids: &[u32]) -> u64 {
    let mut sum = 0;
    for p in pids {
        let Ok(dir) = std::fs::read_dir(format!("/proc/{p}/task")) else { continue };
        for t in dir.flatten() {
            let text = std::fs::read_to_string(t.path().join("schedstat")).unwrap_or_default();
            sum += text.split(' ').next().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

struct Client {
    fd: i32,
    busy: bool,
    start: Instant,
    sent: usize,
    want_out: bool,
    input: Vec<u8>,
    tls: Option<Box<ClientConnection>>,
}

/// The status of the response in `b` and whether it closes the connection; `None` if it is incomplete.
pub fn response_done(b: &[u8]) -> Option<(u16, bool)> {
    let end = find_head_end(b, 0)?;
    let head = &b[..end];
    let status = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
    let closes = header(head, "connection").is_some_and(|v| v.eq_ignore_ascii_case(b"close"));
    if let Some(n) = header(head, "content-length").and_then(parse_num) {
        return (b.len() >= end + n as usize).then_some((status, closes));
    }
    if header(head, "transfer-encoding").is_some() {
        return b.ends_with(b"0\r\n\r\n").then_some((status, closes));
    }
    Some((status, closes))
}

#[derive(Default)]
struct Tally {
    lat: Vec<u32>,
    s2xx: u64,
    s401: u64,
    other: u64,
    errors: u64,
    reconnects: u64,
}

/// Hands bytes of the message to the kernel, or to TLS, which encrypts them.
fn send(c: &mut Client, msg: &[u8]) -> std::io::Result<()> {
    while c.sent < msg.len() {
        c.sent += match &mut c.tls {
            Some(session) => {
                let n = session.writer().write(&msg[c.sent..])?;
                tls::flush(session, c.fd)?;
                n
            }
            None => tls::socket(c.fd).write(&msg[c.sent..])?,
        };
    }
    match &mut c.tls {
        Some(session) => tls::flush(session, c.fd),
        None => Ok(()),
    }
}

fn pump_out(c: &mut Client, ep: i32, tok: u64, msg: &[u8]) -> bool {
    match send(c, msg) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            if !c.want_out {
                c.want_out = true;
                sys::epoll_set(ep, libc::EPOLL_CTL_MOD, c.fd, libc::EPOLLIN | libc::EPOLLOUT, tok);
            }
            return true;
        }
        Err(_) => return false,
    }
    if c.want_out {
        c.want_out = false;
        sys::epoll_set(ep, libc::EPOLL_CTL_MOD, c.fd, libc::EPOLLIN, tok);
    }
    true
}

fn receive(c: &mut Client, buf: &mut [u8]) -> std::io::Result<usize> {
    match &mut c.tls {
        Some(session) => tls::read(session, c.fd, buf),
        None => tls::socket(c.fd).read(buf),
    }
}

fn open_client(o: &Opt, ep: i32, tok: u64) -> Option<Client> {
    let fd = sys::connect_to(o.port).ok()?;
    let tls = match &o.tls {
        Some(tls) => Some(tls.connect(fd).inspect_err(|error| eprintln!("handshake: {error}")).ok()?),
        None => None,
    };
    sys::epoll_set(ep, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN, tok);
    Some(Client { fd, busy: false, start: Instant::now(), sent: 0, want_out: false, input: Vec::new(), tls })
}

pub fn load(o: &Opt) {
    let ep = unsafe { sys::check(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    let mut conns: Vec<Client> =
        (0..o.conns).map(|i| open_client(o, ep, i as u64).expect("connect")).collect();
    let mut idle: VecDeque<usize> = (0..o.conns).collect();
    let mut late: VecDeque<Instant> = VecDeque::new();
    let mut t = Tally::default();
    let tfd = if o.rate > 0.0 {
        let tfd = unsafe { sys::check(libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK)) };
        let gap = (1e9 / o.rate) as i64;
        let ts = libc::timespec { tv_sec: gap / 1_000_000_000, tv_nsec: gap % 1_000_000_000 };
        let it = libc::itimerspec { it_interval: ts, it_value: ts };
        unsafe { sys::check(libc::timerfd_settime(tfd, 0, &it, std::ptr::null_mut())) };
        sys::epoll_set(ep, libc::EPOLL_CTL_ADD, tfd, libc::EPOLLIN, u64::MAX);
        tfd
    } else {
        -1
    };
    // Warm up, drain, measure, drain. No request crosses the limits of the measured period, so its CPU time
    // belongs to exactly its requests.
    let mut measuring = false;
    let mut end = Instant::now() + Duration::from_secs_f64(o.warmup);
    let mut w0 = (Instant::now(), 0, cpu_ns(&o.pids));
    let w1;
    let mut buf = vec![0u8; 1 << 16];
    let mut evs: Vec<libc::epoll_event> = vec![unsafe { std::mem::zeroed() }; 1024];
    macro_rules! fail {
        ($i:expr, $error:expr) => {{
            let i: usize = $i;
            t.errors += $error as u64;
            unsafe { libc::close(conns[i].fd) };
            match open_client(o, ep, i as u64) {
                Some(c) => {
                    conns[i] = c;
                    t.reconnects += 1;
                    idle.push_back(i);
                }
                None => {
                    eprintln!("cannot reconnect");
                    std::process::exit(1)
                }
            }
        }};
    }
    macro_rules! fire {
        ($i:expr, $start:expr) => {{
            let i: usize = $i;
            let c = &mut conns[i];
            c.busy = true;
            c.start = $start;
            c.sent = 0;
            c.input.clear();
            if !pump_out(c, ep, i as u64, &o.message) {
                fail!(i, true);
            }
        }};
    }
    macro_rules! fire_all {
        () => {
            if o.rate == 0.0 {
                while let Some(i) = idle.pop_front() {
                    fire!(i, Instant::now());
                }
            }
        };
    }
    fire_all!();
    let mut draining = false;
    loop {
        let now = Instant::now();
        if now >= end {
            draining = true;
        }
        if draining && (idle.len() == conns.len() || now > end + Duration::from_secs(20)) {
            if measuring {
                w1 = (Instant::now(), t.lat.len(), cpu_ns(&o.pids));
                break;
            }
            measuring = true;
            draining = false;
            late.clear();
            w0 = (Instant::now(), t.lat.len(), cpu_ns(&o.pids));
            end = w0.0 + Duration::from_secs_f64(o.seconds);
            fire_all!();
        }
        let n = unsafe { libc::epoll_wait(ep, evs.as_mut_ptr(), evs.len() as i32, 20) };
        for k in 0..n.max(0) as usize {
            let tok = evs[k].u64;
            if tok == u64::MAX {
                let mut ticks = 0u64;
                unsafe { libc::read(tfd, &mut ticks as *mut _ as *mut _, 8) };
                if draining {
                    continue;
                }
                for _ in 0..ticks {
                    match idle.pop_front() {
                        Some(i) => fire!(i, Instant::now()),
                        None => late.push_back(Instant::now()),
                    }
                }
                continue;
            }
            let i = tok as usize;
            let events = evs[k].events;
            if events & libc::EPOLLOUT as u32 != 0
                && conns[i].busy
                && !pump_out(&mut conns[i], ep, tok, &o.message)
            {
                fail!(i, true);
                continue;
            }
            if events & !(libc::EPOLLOUT as u32) == 0 {
                continue;
            }
            let r = match receive(&mut conns[i], &mut buf) {
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => 0,
            };
            if r == 0 {
                // A close between requests is not an error: the client reconnects.
                let busy = conns[i].busy;
                if !busy {
                    idle.retain(|&x| x != i);
                }
                fail!(i, busy);
            } else {
                conns[i].input.extend_from_slice(&buf[..r]);
                if !conns[i].busy {
                    continue;
                }
                let Some((status, closes)) = response_done(&conns[i].input) else { continue };
                let c = &mut conns[i];
                c.busy = false;
                t.lat.push(c.start.elapsed().as_nanos().min(u32::MAX as u128) as u32);
                match status {
                    200..=299 => t.s2xx += 1,
                    401 => t.s401 += 1,
                    _ => t.other += 1,
                }
                if closes || c.sent < o.message.len() {
                    fail!(i, false);
                } else {
                    idle.push_back(i);
                }
            }
            if !draining {
                if o.rate == 0.0 {
                    if let Some(j) = idle.pop_front() {
                        fire!(j, Instant::now());
                    }
                } else if let Some(s) = late.pop_front() {
                    if let Some(j) = idle.pop_front() {
                        fire!(j, s);
                    }
                }
            }
        }
    }
    let secs = (w1.0 - w0.0).as_secs_f64();
    let done = w1.1 - w0.1;
    let cpu_us = (w1.2 - w0.2) as f64 / 1000.0 / done.max(1) as f64;
    let rps = done as f64 / secs;
    let mut t = t;
    let total = t.lat.len();
    t.lat.drain(..w0.1);
    let unanswered = conns.iter().filter(|c| c.busy).count() + late.len();
    t.lat.sort_unstable();
    let q = |p: f64| -> f64 {
        if t.lat.is_empty() {
            return 0.0;
        }
        t.lat[((t.lat.len() as f64 * p) as usize).min(t.lat.len() - 1)] as f64 / 1000.0
    };
    println!(
        "{{\"requests\":{},\"rps\":{rps:.1},\"cpu_us\":{cpu_us:.3},\"window\":{done},\"seconds\":{:.4},\"s2xx\":{},\"s401\":{},\"other\":{},\"errors\":{},\"reconnects\":{},\"unanswered\":{},\"p50_us\":{:.1},\"p90_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\"max_us\":{:.1}}}",
        total,
        secs,
        t.s2xx,
        t.s401,
        t.other,
        t.errors,
        t.reconnects,
        unanswered,
        q(0.50),
        q(0.90),
        q(0.99),
        q(0.999),
        q(1.0)
    );
}

pub fn idle(o: &Opt) {
    let ep = unsafe { sys::check(libc::epoll_create1(0)) };
    let (mut ok, mut bad) = (0, 0);
    let mut keep = Vec::new();
    let mut buf = vec![0u8; 1 << 16];
    for i in 0..o.conns {
        let Some(mut c) = open_client(o, ep, i as u64) else {
            bad += 1;
            continue;
        };
        let fl = unsafe { libc::fcntl(c.fd, libc::F_GETFL) };
        unsafe { libc::fcntl(c.fd, libc::F_SETFL, fl & !libc::O_NONBLOCK) };
        let mut fine = pump_out(&mut c, ep, i as u64, &o.message);
        while fine {
            let Ok(r @ 1..) = receive(&mut c, &mut buf) else {
                fine = false;
                break;
            };
            c.input.extend_from_slice(&buf[..r]);
            if let Some((s, _)) = response_done(&c.input) {
                fine = s == 200;
                break;
            }
        }
        if fine {
            ok += 1
        } else {
            bad += 1
        }
        keep.push(c);
    }
    println!("ready {ok} ok {bad}");
    std::io::stdout().flush().unwrap();
    let mut s = Vec::new();
    std::io::stdin().read_to_end(&mut s).ok();
}
