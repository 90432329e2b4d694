//! Handshakes as fast as the server makes them.

use crate::load::{Opt, cpu_ns, response_done};
use crate::sys;
use crate::tls::{self, Tls};
use rustls::{ClientConnection, HandshakeKind};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How far a connection is.
#[derive(PartialEq)]
enum Step {
    Handshake,
    /// The request is sent.
    Request(Vec<u8>),
    /// `close_notify` is sent. The server has done all of its work when it closes too.
    End,
}

struct Client {
    fd: i32,
    session: Box<ClientConnection>,
    step: Step,
}

#[derive(Default)]
struct Tally {
    done: u64,
    full: u64,
    resumed: u64,
    errors: u64,
}

impl Client {
    fn open(port: u16, tls: &Tls, ep: i32, tok: u64) -> Self {
        let fd = sys::connect_to(port).expect("connect");
        sys::epoll_set(ep, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN, tok);
        let mut session = tls.begin();
        tls::flush(&mut session, fd).expect("hello");
        Self { fd, session, step: Step::Handshake }
    }

    /// Continues with the bytes that have arrived. Returns whether the connection is done.
    fn go_on(&mut self, request: &[u8], t: &mut Tally) -> io::Result<bool> {
        let mut buf = [0u8; 4096];
        let read = match tls::read(&mut self.session, self.fd, &mut buf) {
            Ok(0) if self.step == Step::End => return Ok(true),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if self.step == Step::Handshake && !self.session.is_handshaking() {
            match self.session.handshake_kind() {
                Some(HandshakeKind::Resumed) => t.resumed += 1,
                Some(HandshakeKind::Full) => t.full += 1,
                // The server asked for another key share: one more round trip.
                _ => t.errors += 1,
            }
            if request.is_empty() {
                self.end();
            } else {
                self.session.writer().write_all(request)?;
                self.step = Step::Request(Vec::new());
            }
        }
        if let Step::Request(answer) = &mut self.step {
            answer.extend_from_slice(&buf[..read]);
            if let Some((status, _)) = response_done(answer) {
                t.errors += u64::from(status != 200);
                self.end();
            }
        }
        tls::flush(&mut self.session, self.fd)?;
        Ok(false)
    }

    fn end(&mut self) {
        self.session.send_close_notify();
        self.step = Step::End;
    }
}

/// Opens `conns` connections at a time, each with a handshake, and with a request if there is one.
pub fn handshakes(o: &Opt, tls: &Tls) {
    let ep = unsafe { sys::check(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    let mut clients: Vec<Client> = Vec::new();
    let mut t = Tally::default();
    let (mut before, mut measuring) = ((Instant::now(), 0), false);
    let mut end = Instant::now() + Duration::from_secs_f64(o.warmup);
    let mut evs: Vec<libc::epoll_event> = vec![unsafe { std::mem::zeroed() }; 256];
    loop {
        // Warm up, drain, measure, drain, as in `load`.
        let mut open = o.conns;
        clients.clear();
        clients.extend((0..o.conns).map(|i| Client::open(o.port, tls, ep, i as u64)));
        while open > 0 {
            if Instant::now() > end + Duration::from_secs(20) {
                eprintln!("{open} handshakes do not end");
                std::process::exit(1);
            }
            let n = unsafe { libc::epoll_wait(ep, evs.as_mut_ptr(), evs.len() as i32, 20) };
            for event in &evs[..n.max(0) as usize] {
                let c = &mut clients[event.u64 as usize];
                match c.go_on(&o.message, &mut t) {
                    Ok(false) => continue,
                    Ok(true) => {}
                    Err(_) => t.errors += 1,
                }
                t.done += 1;
                unsafe { libc::close(c.fd) };
                if Instant::now() < end {
                    *c = Client::open(o.port, tls, ep, event.u64);
                } else {
                    open -= 1;
                }
            }
        }
        if measuring {
            break;
        }
        (measuring, t) = (true, Tally::default());
        before = (Instant::now(), cpu_ns(&o.pids));
        end = before.0 + Duration::from_secs_f64(o.seconds);
    }
    let cpu_us = (cpu_ns(&o.pids) - before.1) as f64 / 1000.0 / t.done.max(1) as f64;
    println!(
        "{{\"requests\":{},\"cpu_us\":{cpu_us:.3},\"rps\":{:.1},\"full\":{},\"resumed\":{},\"errors\":{}}}",
        t.done,
        t.done as f64 / before.0.elapsed().as_secs_f64(),
        t.full,
        t.resumed,
        t.errors
    );
}
