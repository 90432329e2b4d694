//! The upstream: one fixed response at the lowest possible cost.

use crate::message::{find_head_end, header, hex, parse_num};
use crate::sys;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

#[derive(Default)]
struct Stats {
    requests: u64,
    accepted: u64,
    open: u64,
    body_bytes: u64,
    checked: u64,
    bad: u64,
}

enum Body {
    Head,
    Length(u64),
    Chunked(Vec<u8>),
}

struct Up {
    fd: i32,
    head: Vec<u8>,
    body: Body,
    hash: Option<(Sha256, String)>,
    stats_request: bool,
    out: Vec<u8>,
}

/// Removes chunked body bytes from `buf`. Returns `Some(rest)` after the last chunk.
fn chunk_step(buf: &mut Vec<u8>, mut sink: impl FnMut(&[u8])) -> Option<Vec<u8>> {
    let mut pos = 0;
    let done = loop {
        let Some(nl) = buf[pos..].windows(2).position(|w| w == b"\r\n") else { break None };
        let size_text = std::str::from_utf8(&buf[pos..pos + nl]).unwrap_or("x");
        let size = usize::from_str_radix(size_text.split(';').next().unwrap().trim(), 16).unwrap_or(0);
        let start = pos + nl + 2;
        if buf.len() < start + size + 2 {
            break None;
        }
        if size == 0 {
            break Some(buf[start + 2..].to_vec());
        }
        sink(&buf[start..start + size]);
        pos = start + size + 2;
    };
    if done.is_none() {
        buf.drain(..pos);
    }
    done
}

pub fn serve(port: u16, response_bytes: usize) {
    let body = if response_bytes == 0 { "{\"ok\":true}".to_string() } else { "x".repeat(response_bytes) };
    let reply = format!(
        "HTTP/1.1 200 OK\r\nserver: bench-upstream\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        body.len(),
        body
    )
    .into_bytes();
    let lfd = sys::listen_on(port);
    unsafe {
        let ep = sys::check(libc::epoll_create1(libc::EPOLL_CLOEXEC));
        sys::epoll_set(ep, libc::EPOLL_CTL_ADD, lfd, libc::EPOLLIN, u64::MAX);
        let mut conns: Vec<Option<Box<Up>>> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        let mut st = Stats::default();
        let mut buf = vec![0u8; 1 << 17];
        let mut evs: Vec<libc::epoll_event> = vec![std::mem::zeroed(); 1024];
        println!("upstream on {port}");
        loop {
            let n = libc::epoll_wait(ep, evs.as_mut_ptr(), evs.len() as i32, -1);
            for k in 0..n.max(0) as usize {
                let tok = evs[k].u64;
                if tok == u64::MAX {
                    loop {
                        let fd = libc::accept4(
                            lfd,
                            std::ptr::null_mut(),
                            std::ptr::null_mut(),
                            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                        );
                        if fd < 0 {
                            break;
                        }
                        sys::nodelay(fd);
                        let i = free.pop().unwrap_or_else(|| {
                            conns.push(None);
                            conns.len() - 1
                        });
                        conns[i] = Some(Box::new(Up {
                            fd,
                            head: Vec::new(),
                            body: Body::Head,
                            hash: None,
                            stats_request: false,
                            out: Vec::new(),
                        }));
                        sys::epoll_set(ep, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN, i as u64);
                        st.accepted += 1;
                        st.open += 1;
                    }
                    continue;
                }
                let i = tok as usize;
                let Some(c) = conns[i].as_mut() else { continue };
                if !up_ready(c, &mut st, &mut buf, &reply) {
                    libc::close(c.fd);
                    conns[i] = None;
                    free.push(i);
                    st.open -= 1;
                } else if !c.out.is_empty() {
                    sys::epoll_set(ep, libc::EPOLL_CTL_MOD, c.fd, libc::EPOLLIN | libc::EPOLLOUT, tok);
                }
            }
        }
    }
}

fn up_flush(c: &mut Up) -> bool {
    while !c.out.is_empty() {
        let w = unsafe { libc::send(c.fd, c.out.as_ptr() as *const _, c.out.len(), libc::MSG_NOSIGNAL) };
        if w < 0 {
            return sys::would_block();
        }
        c.out.drain(..w as usize);
    }
    true
}

fn up_ready(c: &mut Up, st: &mut Stats, buf: &mut [u8], reply: &[u8]) -> bool {
    if !c.out.is_empty() && !up_flush(c) {
        return false;
    }
    loop {
        // A body that is not checked is dropped in the kernel.
        if let (Body::Length(left), None) = (&mut c.body, &c.hash) {
            if *left > 0 {
                let r = unsafe {
                    libc::recv(
                        c.fd,
                        buf.as_mut_ptr() as *mut _,
                        (*left).min(1 << 20) as usize,
                        libc::MSG_TRUNC,
                    )
                };
                if r == 0 {
                    return false;
                }
                if r < 0 {
                    return sys::would_block();
                }
                *left -= r as u64;
                st.body_bytes += r as u64;
                if *left > 0 {
                    continue;
                }
                if !up_finish(c, st, reply) {
                    return false;
                }
                return true;
            }
        }
        let r = unsafe { libc::recv(c.fd, buf.as_mut_ptr() as *mut _, buf.len(), 0) };
        if r == 0 {
            return false;
        }
        if r < 0 {
            return sys::would_block();
        }
        let got = r as usize;
        let full = got == buf.len();
        let mut cow: Cow<[u8]> = Cow::Borrowed(&buf[..got]);
        let mut pos = 0;
        loop {
            let data = &cow[pos..];
            match &mut c.body {
                Body::Head => {
                    let from = c.head.len();
                    let whole: &[u8] = if from == 0 {
                        data
                    } else {
                        c.head.extend_from_slice(data);
                        &c.head
                    };
                    let Some(end) = find_head_end(whole, from) else {
                        if from == 0 {
                            c.head.extend_from_slice(data);
                        }
                        break;
                    };
                    let head = &whole[..end];
                    c.stats_request = head.starts_with(b"GET /__stats");
                    c.hash = header(head, "x-body-sha256")
                        .map(|v| (Sha256::new(), String::from_utf8_lossy(v).to_string()));
                    let chunked =
                        header(head, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked"));
                    let len = header(head, "content-length").and_then(parse_num).unwrap_or(0);
                    c.body = if chunked { Body::Chunked(Vec::new()) } else { Body::Length(len) };
                    if from == 0 {
                        pos += end;
                    } else {
                        cow = Cow::Owned(c.head.split_off(end));
                        c.head.clear();
                        pos = 0;
                    }
                    if matches!(c.body, Body::Length(0)) && !up_finish(c, st, reply) {
                        return false;
                    }
                }
                Body::Length(left) => {
                    let n = (*left).min(data.len() as u64) as usize;
                    if let Some((h, _)) = &mut c.hash {
                        h.update(&data[..n]);
                    }
                    *left -= n as u64;
                    st.body_bytes += n as u64;
                    pos += n;
                    if *left > 0 {
                        break;
                    }
                    if !up_finish(c, st, reply) {
                        return false;
                    }
                }
                Body::Chunked(acc) => {
                    acc.extend_from_slice(data);
                    pos = cow.len();
                    let hash = &mut c.hash;
                    let bytes = &mut st.body_bytes;
                    if let Some(rest) = chunk_step(acc, |d| {
                        *bytes += d.len() as u64;
                        if let Some((h, _)) = hash {
                            h.update(d);
                        }
                    }) {
                        c.head = rest;
                        if !up_finish(c, st, reply) {
                            return false;
                        }
                    }
                }
            }
            if pos >= cow.len() {
                break;
            }
        }
        if !full {
            return true;
        }
    }
}

fn up_finish(c: &mut Up, st: &mut Stats, reply: &[u8]) -> bool {
    c.body = Body::Head;
    if c.stats_request {
        let json = format!(
            "{{\"requests\":{},\"accepted\":{},\"open\":{},\"body_bytes\":{},\"checked\":{},\"bad\":{}}}",
            st.requests, st.accepted, st.open, st.body_bytes, st.checked, st.bad
        );
        c.out = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", json.len(), json).into_bytes();
        return up_flush(c);
    }
    st.requests += 1;
    if let Some((h, want)) = c.hash.take() {
        st.checked += 1;
        if hex(&h.finalize()) != want {
            st.bad += 1;
        }
    }
    let w = unsafe { libc::send(c.fd, reply.as_ptr() as *const _, reply.len(), libc::MSG_NOSIGNAL) };
    if w < 0 && !sys::would_block() {
        return false;
    }
    let w = w.max(0) as usize;
    if w < reply.len() {
        c.out.extend_from_slice(&reply[w..]);
    }
    true
}
