//! Listening and connecting: unix sockets on both sides, addresses that are shared with a successor,
//! inherited sockets, and the PROXY protocol.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

use crate::support::in_time::{OutputInTime as _, output_of};
use crate::support::process::{Running, address_in};
use crate::support::request::PATH;
use crate::support::{Client, FIXTURE, PATIENCE, Reserved, SECRET, Upstream, post};

/// A folder with a configuration.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn unix(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }

    fn configure(&self, listen: &str, more: &str, upstream: &str) -> &Self {
        let text = format!(
            "[server]\nlisten = {listen}\nworkers = 2\n{more}\n[signature]\nscheme = \"propify\"\n\
             secrets = [{{ value = \"{SECRET}\" }}]\n[[routes]]\npath = \"{PATH}\"\nupstream = \"{upstream}\"\n"
        );
        fs::write(self.path("gateway.toml"), text).unwrap();
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.arg("run").current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn start(&self) -> (Running, String) {
        let mut running = Running::start(&mut self.command());
        let line = running.wait_for("listening");
        (running, line)
    }
}

fn stop(mut running: Running) {
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}

/// Sends one request over a new connection. Returns the whole answer.
fn over(path: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn closing() -> crate::support::Post {
    post(FIXTURE).line("connection: close")
}

/// An app on a unix socket. It answers one request on each connection. Returns the requests.
fn app(path: &Path) -> Receiver<String> {
    let listener = UnixListener::bind(path).unwrap();
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
            while !request.ends_with(FIXTURE) {
                match stream.read(&mut chunk) {
                    Ok(n) if n > 0 => request.extend_from_slice(&chunk[..n]),
                    _ => break,
                }
            }
            let _gone =
                stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
            if sender.send(String::from_utf8_lossy(&request).into_owned()).is_err() {
                return;
            }
        }
    });
    received
}

#[test]
fn unix_sockets_work_on_both_sides() {
    let folder = Folder::new();
    let requests = app(&folder.path("app.sock"));
    let listen = format!("[\"{}\", \"127.0.0.1:0\"]", folder.unix("gate.sock"));
    folder.configure(
        &listen,
        "unix_mode = \"0600\"\n[forward]\nx_forwarded = true",
        &folder.unix("app.sock"),
    );
    let (running, line) = folder.start();
    let mode = fs::metadata(folder.path("gate.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer = over(&folder.path("gate.sock"), &closing().line("x-forwarded-for: 1.2.3.4").bytes());
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok"), "{answer}");
    let request = requests.recv_timeout(PATIENCE).unwrap();
    assert!(request.contains("x-forwarded-for: 1.2.3.4, unknown\r\n"), "{request}");
    assert!(
        request.to_ascii_lowercase().contains("\r\nhost: gateway.test\r\n") || request.contains("host: ")
    );
    Client::connect(address_in(&line)).send(closing().bytes()).response().assert_answer("ok");
    assert!(requests.recv_timeout(PATIENCE).unwrap().contains("x-forwarded-for: 127.0.0.1\r\n"));
    let old = closing().version("HTTP/1.0").without("host");
    Client::connect(address_in(&line)).send(old.bytes()).response().assert_answer("ok");
    assert!(requests.recv_timeout(PATIENCE).unwrap().contains("host: localhost\r\n"));
    stop(running);
    assert!(!folder.path("gate.sock").exists(), "it is taken away");
}

#[test]
fn an_upstream_socket_that_is_not_there_is_unreachable() {
    let folder = Folder::new();
    folder.configure("\"127.0.0.1:0\"", "", &folder.unix("none.sock"));
    let (running, line) = folder.start();
    let response = Client::connect(address_in(&line)).send(closing().bytes()).response();
    crate::support::assert_refused(&response, 502, Some("upstream_unreachable"));
    stop(running);
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = Folder::new();
    let socket = folder.path("gate.sock");
    folder.configure(&format!("\"{}\"", folder.unix("gate.sock")), "", "http://127.0.0.1:9");
    drop(UnixListener::bind(&socket).unwrap());
    let (running, _) = folder.start();
    assert!(over(&socket, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").contains("404"));
    let second = folder.command().output_in_time();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("gate.sock"), "{second:?}");
    assert!(over(&socket, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").contains("404"));
    stop(running);
    fs::write(&socket, "no socket").unwrap();
    let third = folder.command().output_in_time();
    assert_eq!(third.status.code(), Some(1), "{third:?}");
    assert_eq!(fs::read(&socket).unwrap(), b"no socket", "it is not ours to replace");
    let left = fs::read_dir(folder.0.path()).unwrap().count();
    assert_eq!(left, 2, "nothing temporary is left");
}

/// In a container, every process has the id 1. A process that was killed before it listened has left its
/// temporary socket.
#[test]
fn a_socket_left_by_a_process_with_the_same_id_does_no_harm() {
    let folder = Folder::new();
    let socket = folder.path("gate.sock");
    folder.configure(&format!("\"{}\"", folder.unix("gate.sock")), "", "http://127.0.0.1:9");
    let go = folder.path("go");
    rustix::fs::mknodat(rustix::fs::CWD, &go, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_hookgate");
    command.args(["-c", "read -r line < go; exec \"$0\" run", program]).current_dir(folder.0.path());
    let mut running = Running::start(&mut command);
    drop(UnixListener::bind(folder.path(&format!("gate.sock.{}", running.id()))).unwrap());
    fs::write(go, "\n").unwrap();
    running.wait_for("listening");
    assert!(over(&socket, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").contains("404"));
    stop(running);
}

#[test]
fn a_successor_takes_a_unix_socket_over_without_a_moment_in_between() {
    let folder = Folder::new();
    let socket = folder.path("gate.sock");
    folder.configure(&format!("\"{}\"", folder.unix("gate.sock")), "reuse_port = true", "http://127.0.0.1:9");
    let (first, _) = folder.start();
    let (second, _) = folder.start();
    stop(first);
    assert!(over(&socket, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").contains("404"));
    stop(second);
    assert!(!socket.exists());
}

#[test]
fn two_gateways_that_may_share_an_address_both_serve_it() {
    let upstream = Upstream::ok();
    let folder = Folder::new();
    let reserved = Reserved::new();
    let address = reserved.address();
    folder.configure(&format!("\"{address}\""), "reuse_port = true", &upstream.url());
    let (first, _) = folder.start();
    let (second, _) = folder.start();
    for _ in 0..20 {
        Client::connect(address).send(closing().bytes()).response().assert_answer("ok");
    }
    stop(first);
    for _ in 0..20 {
        Client::connect(address).send(closing().bytes()).response().assert_answer("ok");
    }
    stop(second);
}

/// A command that gets the socket as descriptor 3, as from systemd.
fn activation(folder: &Folder, socket: OwnedFd) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" run 3<&0 </dev/null",
            env!("CARGO_BIN_EXE_hookgate"),
        ])
        .current_dir(folder.0.path())
        .stdin(Stdio::from(socket));
    command
}

fn activated(folder: &Folder, socket: OwnedFd) -> Running {
    let mut command = activation(folder, socket);
    let mut running = Running::start(&mut command);
    command.stdin(Stdio::null());
    running.wait_for("listening");
    running
}

#[test]
fn an_inherited_socket_outlives_the_gateway_with_all_that_waits_in_it() {
    let upstream = Upstream::ok();
    let folder = Folder::new();
    folder.configure("\"127.0.0.1:1\"", "", &upstream.url());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let first = activated(&folder, listener.try_clone().unwrap().into());
    Client::connect(address).send(closing().bytes()).response().assert_answer("ok");
    stop(first);
    // At this moment, the connection is neither accepted nor refused.
    let mut waiting = Client::connect(address);
    waiting.send(closing().bytes());
    let second = activated(&folder, listener.try_clone().unwrap().into());
    waiting.response().assert_answer("ok");
    stop(second);
}

#[test]
fn an_inherited_unix_socket_is_left_where_it_is() {
    let folder = Folder::new();
    folder.configure("\"127.0.0.1:1\"", "", "http://127.0.0.1:9");
    let socket = folder.path("systemd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let running = activated(&folder, listener.try_clone().unwrap().into());
    assert!(over(&socket, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").contains("404"));
    stop(running);
    assert!(socket.exists());
}

#[test]
fn an_inherited_socket_that_does_not_listen_is_why_it_does_not_start() {
    let folder = Folder::new();
    folder.configure("\"127.0.0.1:1\"", "", "http://127.0.0.1:9");
    let (connection, _other_end) = UnixStream::pair().unwrap();
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    for socket in [OwnedFd::from(connection), OwnedFd::from(bound)] {
        let mut command = activation(&folder, socket);
        let told = output_of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        assert_eq!(told.status.code(), Some(1));
        let text = String::from_utf8(told.stderr).unwrap();
        assert!(text.contains("one of them does not listen"), "{text}");
    }
}

#[test]
fn it_listens_on_ipv6_and_on_several_addresses_at_once() {
    if TcpListener::bind("[::1]:0").is_err() {
        // Without IPv6 on this machine, there is nothing to test.
        return;
    }
    let upstream = Upstream::ok();
    let folder = Folder::new();
    folder.configure("[\"[::1]:0\", \"127.0.0.1:0\"]", "", &upstream.url());
    let (running, line) = folder.start();
    let from = line.find("[::1]:").unwrap();
    let end = from + line[from..].find(',').unwrap();
    for address in [line[from..end].parse().unwrap(), address_in(&line)] {
        Client::connect(address).send(closing().bytes()).response().assert_answer("ok");
    }
    stop(running);
}

mod proxy {
    use super::*;

    const ANNOUNCED: &str = "PROXY TCP4 203.0.113.7 192.0.2.2 56324 443\r\n";

    fn behind(trusted: &str) -> (Running, SocketAddr, Upstream, Folder) {
        behind_with(trusted, "")
    }

    fn behind_with(trusted: &str, more: &str) -> (Running, SocketAddr, Upstream, Folder) {
        let upstream = Upstream::ok();
        let folder = Folder::new();
        let more = format!(
            "proxy_protocol = {{ trusted = [\"{trusted}\"] }}\n{more}\n[forward]\nx_forwarded = true"
        );
        folder.configure("\"127.0.0.1:0\"", &more, &upstream.url());
        let (running, line) = folder.start();
        (running, address_in(&line), upstream, folder)
    }

    #[test]
    fn a_trusted_proxy_says_who_the_client_is() {
        let (running, address, upstream, _folder) = behind("127.0.0.0/8");
        let mut request = ANNOUNCED.as_bytes().to_vec();
        request.extend(post(FIXTURE).bytes());
        let mut client = Client::connect(address);
        client.send(&request).response().assert_answer("ok");
        client.send(closing().bytes()).response().assert_answer("ok");
        let mut client = Client::connect(address);
        client.send_in_pieces(&request, 7).response().assert_answer("ok");
        for request in upstream.wait_for(3) {
            assert_eq!(request.values("x-forwarded-for"), [b"203.0.113.7"]);
        }
        stop(running);
    }

    #[test]
    fn a_trusted_proxy_that_does_not_is_not_served() {
        let (mut running, address, _upstream, _folder) = behind("127.0.0.1");
        // Two kinds of health checks of a balancer: over HTTP, and a connection without a request.
        for _ in 0..20 {
            Client::connect(address).send(closing().bytes()).assert_gone();
            drop(Client::connect(address));
        }
        let said = running.wait_for("does not speak the PROXY protocol");
        assert!(said.contains("\"INFO\"") && said.contains("\"connections\":1"), "{said}");
        running.signal("-TERM");
        assert_eq!(running.ended(), Some(0), "{}", running.seen);
        assert_eq!(running.seen.matches("PROXY protocol").count(), 1, "{}", running.seen);
        assert!(!running.seen.contains("\"ERROR\""), "{}", running.seen);
    }

    #[test]
    fn nobody_else_is_believed() {
        let (running, address, _upstream, _folder) = behind("192.0.2.1");
        Client::connect(address).send(closing().bytes()).response().assert_answer("ok");
        let mut request = ANNOUNCED.as_bytes().to_vec();
        request.extend(closing().bytes());
        assert_eq!(Client::connect(address).send(request).response().status, 400);
        stop(running);
    }

    #[test]
    fn a_drain_does_not_wait_for_an_announcement_that_does_not_come() {
        // If the drain waited, it would cut the connection off.
        let limits = "shutdown_grace = \"20s\"\n[limits]\nheader_timeout = \"1h\"";
        let (mut running, address, _upstream, _folder) = behind_with("127.0.0.1", limits);
        let mut client = Client::connect(address);
        client.send("PROXY ");
        running.signal("-TERM");
        assert_eq!(running.ended(), Some(0), "{}", running.seen);
        assert!(running.seen.contains("\"drained\""), "{}", running.seen);
    }
}

#[test]
fn until_the_drain_begins_it_is_not_ready_and_serves_as_before() {
    let upstream = Upstream::ok();
    let folder = Folder::new();
    folder.configure("\"127.0.0.1:0\"", "drain_delay = \"1s\"", &upstream.url());
    let (mut running, line) = folder.start();
    let address = address_in(&line);
    running.signal("-TERM");
    running.wait_for("not ready");
    let mut client = Client::connect(address);
    let response = client.send(post(FIXTURE).bytes()).response();
    assert_eq!(response.value("connection"), None);
    running.wait_for("\"draining\"");
    client.assert_closed();
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}
