//! System calls without a safe function in std.

use libc::*;
use std::io;
pub fn check(r: c_int) -> c_int {
    if r < 0 {
        panic!("{}", io::Error::last_os_error());
    }
    r
}
pub fn nodelay(fd: c_int) {
    let one: c_int = 1;
    unsafe {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one as *const _ as *const c_void, 4);
    }
}
pub fn addr(port: u16) -> sockaddr_in {
    let mut a: sockaddr_in = unsafe { std::mem::zeroed() };
    a.sin_family = AF_INET as u16;
    a.sin_port = port.to_be();
    a.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
    a
}
pub fn listen_on(port: u16) -> c_int {
    unsafe {
        let fd = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        let one: c_int = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one as *const _ as *const c_void, 4);
        let a = addr(port);
        check(bind(fd, &a as *const _ as *const sockaddr, std::mem::size_of_val(&a) as u32));
        check(listen(fd, 4096));
        fd
    }
}
/// Connects to loopback (blocking), then makes the socket non-blocking.
pub fn connect_to(port: u16) -> io::Result<c_int> {
    unsafe {
        let fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        let a = addr(port);
        if connect(fd, &a as *const _ as *const sockaddr, std::mem::size_of_val(&a) as u32) < 0 {
            let e = io::Error::last_os_error();
            close(fd);
            return Err(e);
        }
        let fl = fcntl(fd, F_GETFL);
        fcntl(fd, F_SETFL, fl | O_NONBLOCK);
        nodelay(fd);
        Ok(fd)
    }
}
pub fn epoll_set(ep: c_int, op: c_int, fd: c_int, events: c_int, token: u64) {
    let mut ev = epoll_event { events: events as u32, u64: token };
    unsafe { check(epoll_ctl(ep, op, fd, &mut ev)) };
}
pub fn would_block() -> bool {
    io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
}
