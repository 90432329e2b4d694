//! `hookgate doctor` and `check --live` with a real gateway: once without problems, and once for each
//! problem.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::in_time::OutputInTime as _;
use crate::support::process::Running;
use crate::support::{
    Client, FIXTURE, Gateway, PATIENCE, Reserved, SECRET_NAME, Upstream, gateway, nothing_reached, post,
    signature, unsigned,
};

const KEY: &str = "a secret that is long enough";
const OTHER: &str = "another secret, as long as it";

/// Schemes with a secret of their own.
const OF_SCHEMES: [&str; 5] = ["stripe", "github", "gitlab", "standard-webhooks", "square"];

/// The variable with the secret of a scheme.
fn variable(scheme: &str) -> String {
    format!("KEY_OF_{}", scheme.to_uppercase().replace('-', "_"))
}

fn hookgate(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.args(args).current_dir(folder.path()).env("KEY", KEY).stdin(Stdio::null());
    // No two schemes should have one secret.
    command.envs(OF_SCHEMES.map(|scheme| (variable(scheme), format!("a secret of {scheme} alone"))));
    command
}

/// A gateway in a process of its own. It listens on the ports of its gateway.toml.
struct Setup {
    folder: TempDir,
    listen: Reserved,
    admin: Reserved,
    running: Option<Running>,
}

impl Setup {
    /// Picks the ports and creates the folder.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, listen: Reserved::new(), admin: Reserved::new(), running: None }
    }

    /// The text of a gateway.toml. It has the lines `server` in `[server]`, and the text `rest` after
    /// `[admin]`.
    fn text(&self, server: &str, rest: &str) -> String {
        format!(
            "[server]\nlisten = \"{}\"\nreuse_port = true\nmax_connections = 100\n{server}\n[admin]\nlisten = \"{}\"\n{rest}",
            self.listen.address(),
            self.admin.address()
        )
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn start(mut self, text: &str) -> Self {
        self.write("gateway.toml", text);
        let mut running = Running::start(&mut hookgate(&self.folder, &["run"]));
        running.wait_for("listening");
        self.running = Some(running);
        self
    }

    /// The usual gateway: one route, with a secret from the environment.
    fn usual(upstream: &str) -> Self {
        let setup = Self::new();
        let text = setup.text("", &routes(upstream));
        setup.start(&text)
    }

    fn wait_for(&mut self, mark: &str) -> String {
        self.running.as_mut().unwrap().wait_for(mark)
    }

    fn ask(&self, args: &[&str]) -> Output {
        hookgate(&self.folder, args).output_in_time()
    }

    fn doctor(&self, args: &[&str]) -> Report {
        report(&mut hookgate(&self.folder, &[&["doctor", "--json"], args].concat()))
    }
}

fn routes(upstream: &str) -> String {
    format!(
        "[signature]\nscheme = \"propify\"\nsecrets = [{{ name = \"current\", env = \"KEY\" }}]\n\
         [[routes]]\npath = \"/webhook/leases\"\nupstream = \"{upstream}\"\n"
    )
}

/// The doctor's output.
struct Report {
    code: Option<i32>,
    document: Value,
}

fn report(command: &mut Command) -> Report {
    let output = command.output_in_time();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(KEY) && !text.contains(OTHER), "a secret is printed: {text}");
    let document = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr)));
    Report { code: output.status.code(), document }
}

impl Report {
    /// The findings of a check, each with its level and its text.
    fn of(&self, check: &str) -> Vec<(String, String)> {
        let findings = self.document["findings"].as_array().unwrap().iter();
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let of = findings.filter(|finding| finding["check"] == check);
        of.map(|finding| {
            let words = ["subject", "what", "to_do"].map(|key| text(finding, key)).join(" | ");
            (text(finding, "level"), words)
        })
        .collect()
    }

    /// Asserts that a check has a finding of this level with these words.
    #[track_caller]
    fn assert(&self, check: &str, level: &str, words: &str) {
        let found = self.of(check);
        let is_there = found.iter().any(|(found, text)| found == level && text.contains(words));
        assert!(is_there, "no {level} with {words:?} of {check}: {found:#?}");
    }

    #[track_caller]
    fn assert_only(&self, check: &str, level: &str) {
        let found = self.of(check);
        assert!(!found.is_empty() && found.iter().all(|(found, _)| found == level), "{check}: {found:#?}");
    }
}

#[test]
fn where_all_is_well_it_says_so_and_no_byte_reaches_the_app() {
    let upstream = Upstream::ok();
    let setup = Setup::new();
    let socket = setup.folder.path().join("gateway.sock");
    let more = |path: &str, lines: &str| {
        format!("[[routes]]\npath = \"{path}\"\nupstream = \"{}\"\n{lines}\n", upstream.url())
    };
    let signed = |scheme: &str| {
        format!(
            "signature = {{ scheme = \"{scheme}\", secrets = [{{ env = \"{}\", encoding = \"utf8\" }}] }}",
            variable(scheme)
        )
    };
    let text = setup.text("", &routes(&upstream.url()))
        + &more("/webhook/{model}", "")
        + &more("/rest/{*rest}", "model = \"leads\"")
        + &more("/hooks/stripe", &signed("stripe"))
        + &more("/hooks/github", &format!("{}\nmethods = [\"PUT\"]", signed("github")))
        + &more("/hooks/gitlab", &signed("gitlab"))
        + &more("/hooks/standard", &signed("standard-webhooks"))
        + &more(
            "/hooks/square",
            &format!("{}\npublic_url = \"https://hooks.example.com\"", signed("square")),
        );
    let listen = format!("listen = \"{}\"", setup.listen.address());
    let both = format!("listen = [\"{}\", \"unix:{}\"]", setup.listen.address(), socket.display());
    let setup = setup.start(&text.replace(&listen, &both));

    let report = setup.doctor(&["--strict"]);
    assert_eq!(report.code, Some(0), "{:#}", report.document);
    assert_eq!(report.document["ok"], true);
    assert_eq!(
        report.of("route").len(),
        9,
        "each path at the first listener, one at the other: {:#}",
        report.document
    );
    assert_eq!(report.of("secret of route").len(), 8);
    for check in ["configuration", "running configuration", "upstream", "secret of route", "limits"] {
        report.assert_only(check, "ok");
    }
    report.assert("clock", "ok", "/hooks/stripe (5m back, 5m ahead)");
    assert_eq!(upstream.bytes(), 0);

    let text = setup.ask(&["doctor"]);
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("ok       secret of route /webhook/leases: the gateway verifies"), "{text}");
    assert!(text.contains("\n0 problems, 0 warnings, of "), "{text}");
    drop(setup);
    let mut upstream = upstream;
    upstream.settle();
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn the_doctor_sends_a_proxy_header_to_a_listener_that_expects_one() {
    let upstream = Upstream::ok();
    let setup = Setup::new();
    let text = setup.text("proxy_protocol = { trusted = [\"127.0.0.0/8\"] }", &routes(&upstream.url()));
    let report = setup.start(&text).doctor(&[]);
    report.assert_only("route", "ok");
}

#[test]
fn a_file_that_is_not_what_runs_is_told_with_what_differs() {
    let upstream = Upstream::ok();
    let mut setup = Setup::usual(&upstream.url());
    let more = format!(
        "[[routes]]\npath = \"/new\"\nupstream = \"{}\"\n[limits]\nheader_timeout = \"7s\"\n",
        upstream.url()
    );
    let text = setup.text("", &routes(&upstream.url()));
    setup.write("other.toml", &format!("{text}{more}"));
    let report = setup.doctor(&["--config", "other.toml"]);
    assert_eq!(report.code, Some(1));
    report.assert(
        "running configuration",
        "problem",
        "other.toml says: [limits], route /new (only in the file)",
    );
    report.assert("route", "problem", "does not know it (no_route)");
    report.assert(
        "secret of route",
        "problem",
        "/new | the gateway refuses events signed with `current`: no_route",
    );

    setup.write("gateway.toml", &format!("nonsense\n{text}"));
    setup.wait_for("not reloaded");
    let broken = setup.doctor(&[]);
    assert_eq!(broken.code, Some(78));
    assert_eq!(broken.document["ok"], false);
    assert_eq!(setup.ask(&["doctor"]).status.code(), Some(78));
    let report = setup.doctor(&["--config", "other.toml"]);
    report.assert("running configuration", "problem", "its last reload failed");

    setup.write(
        "gateway.toml",
        &format!("{text}{more}").replace("max_connections = 100", "max_connections = 99"),
    );
    setup.wait_for("only a restart changes these");
    let report = setup.doctor(&[]);
    assert_eq!(report.code, Some(0));
    report.assert("running configuration", "ok", "says what gateway.toml says");
    report.assert("running configuration", "warning", "server.max_connections");
    assert_eq!(setup.doctor(&["--strict"]).code, Some(1));
}

#[test]
fn a_gateway_that_has_another_secret_is_found_out_without_showing_either() {
    let upstream = Upstream::ok();
    let setup = Setup::usual(&upstream.url());
    let report = report(hookgate(&setup.folder, &["doctor", "--json"]).env("KEY", OTHER));
    assert_eq!(report.code, Some(1));
    report.assert("secret of route", "problem", "it has another secret");
    report.assert("running configuration", "ok", "says what gateway.toml says");
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn an_upstream_that_is_down_is_a_problem() {
    let down = Reserved::new();
    let setup = Setup::new();
    let text = setup.text("", &routes(&format!("http://{}", down.address())))
        + "[[routes]]\npath = \"/b\"\nupstream = \"unix:/nonexistent/app.sock\"\n";
    let report = setup.start(&text).doctor(&[]);
    assert_eq!(report.code, Some(1));
    report.assert("upstream", "problem", "nothing listens there | start the app");
    report.assert("upstream", "problem", "unix:/nonexistent/app.sock | nothing is there");
}

#[test]
fn an_upstream_that_is_down_beside_another_of_its_list_is_a_warning() {
    let (down, up) = (Reserved::new(), Upstream::ok());
    let list = format!("[\"http://{}\", \"{}\"]", down.address(), up.url());
    let setup = Setup::new();
    let text = setup.text("", &routes(&up.url()).replace(&format!("\"{}\"", up.url()), &list));
    let report = setup.start(&text).doctor(&[]);
    assert_eq!(report.code, Some(0));
    report.assert("upstream", "warning", "nothing listens there | start the app there");
    report.assert("upstream", "ok", &format!("{} | accepts connections", up.url()));
}

#[test]
fn an_upstream_in_two_lists_is_asked_once_and_its_worse_finding_is_told() {
    let (down, up) = (Reserved::new(), Upstream::ok());
    let (down, up_url) = (format!("http://{}", down.address()), up.url());
    let list =
        |number: usize, urls: &[&str]| format!("[[routes]]\npath = \"/{number}\"\nupstream = {urls:?}\n");
    let lists = [vec![&*up_url, &down], vec![&*down], vec![&*up_url, "unix:/nonexistent/app.sock"]];
    let more: String = lists.iter().enumerate().map(|(number, urls)| list(number, urls)).collect();
    let setup = Setup::new();
    let text = setup.text("", &routes(&up_url)) + &more;
    let report = setup.start(&text).doctor(&[]);
    assert_eq!(report.of("upstream").len(), 3);
    report.assert("upstream", "problem", &format!("{down} | nothing listens there | start the app"));
    report.assert(
        "upstream",
        "warning",
        "unix:/nonexistent/app.sock | nothing is there | start the app there",
    );
    report.assert("upstream", "ok", &format!("{up_url} | accepts connections"));
    assert_eq!(up.connections(), 1);
}

#[test]
fn ways_around_the_gateway_are_told_apart() {
    let app = pretender(json!({}));
    let (nobody, upstream) = (Reserved::new(), Upstream::ok());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::usual(&upstream.url());
    let url = |address: SocketAddr| format!("http://{address}/webhook/leases");
    // No machine has the address 0.0.0.0. A connection to it reaches this machine.
    let open = format!("http://0.0.0.0:{}/", app.port());
    let report = setup.doctor(&[
        "--timeout",
        "300ms",
        "--bypass",
        &url(nobody.address()),
        "--bypass",
        &url(setup.listen.address()),
        "--bypass",
        &url(app),
        "--bypass",
        &url(silent.local_addr().unwrap()),
        "--bypass",
        &format!("https://{}", silent.local_addr().unwrap()),
        "--bypass",
        &open,
    ]);
    assert_eq!(report.code, Some(1));
    let levels: Vec<_> = report.of("bypass").into_iter().map(|(level, _)| level).collect();
    assert_eq!(levels, ["ok", "ok", "warning", "warning", "warning", "problem"], "{:#}", report.document);
    report.assert(
        "bypass",
        "ok",
        "a hookgate answers there, and refuses an unsigned event (signature_missing)",
    );
    report.assert("bypass", "problem", "bind the app to 127.0.0.1");
    assert_eq!(upstream.bytes(), 0);
}

/// An address of this machine other than loopback. `None` without a network.
fn outside() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn an_admin_listener_that_is_missing_or_open_to_others_is_told() {
    let upstream = Upstream::ok();
    let setup = Setup::new();
    setup.write("gateway.toml", &format!("server.listen = \"127.0.0.1:0\"\n{}", routes(&upstream.url())));
    let report = setup.doctor(&[]);
    assert_eq!(report.code, Some(1));
    report.assert("admin listener", "problem", "add `[admin]`");
    report.assert("upstream", "ok", "accepts connections");

    let open = setup.text("", &routes(&upstream.url()));
    let admin = setup.admin.address().to_string();
    setup.write("gateway.toml", &open.replace(&admin, &format!("0.0.0.0:{}", setup.admin.address().port())));
    let report = setup.doctor(&[]);
    report.assert("admin", "warning", "bind it to 127.0.0.1");
    report.assert("admin listener", "problem", "is the gateway running");
}

/// A configuration contains neither a port that the system chose nor the address of an inherited socket.
#[test]
fn the_gateway_says_itself_where_it_listens() {
    let upstream = Upstream::ok();
    let setup = Setup::new();
    let text = setup.text("", &routes(&upstream.url()));
    let report = setup.start(&text.replace(&listen_address(&text), "127.0.0.1:0")).doctor(&["--strict"]);
    assert_eq!(report.code, Some(0), "{:#}", report.document);
    report.assert("route", "ok", "is there at 127.0.0.1:");
}

/// The address in `[server]`.
fn listen_address(text: &str) -> String {
    text.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn what_is_no_hookgate_is_not_taken_for_one() {
    let stranger = pretender(json!({}));
    let url = format!("http://{stranger}");
    let setup = Setup::new();
    let listen = format!("server.listen = \"{stranger}\"\n");
    setup.write("gateway.toml", &format!("{listen}{}", routes("http://127.0.0.1:9")));
    let report = setup.doctor(&["--admin", &url]);
    assert_eq!(report.code, Some(1));
    report.assert("admin listener", "problem", "is not this hookgate's admin listener");
    report.assert("route", "problem", "is not hookgate");
    assert_eq!(report.of("secret of route"), [], "nothing signed is sent to a stranger");
    let live = setup.ask(&["check", "--live", "--admin", &url]);
    assert_eq!(live.status.code(), Some(1));
}

/// A server that is not hookgate. It answers `hookgate doctor` with `state`, and every other request with
/// 200.
fn pretender(state: Value) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut read = Vec::new();
            let mut piece = [0; 1024];
            while !read.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(n) if n > 0 => read.extend_from_slice(&piece[..n]),
                    // Some clients only test whether a server listens.
                    _ => break,
                }
            }
            let content = if read.starts_with(b"POST /doctor") { state.to_string() } else { "{}".to_owned() };
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", content.len());
            let _gone = stream.write_all(format!("{head}{content}").as_bytes());
        }
    });
    address
}

#[test]
fn clocks_versions_and_limits_that_are_wrong_are_told() {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let admin = pretender(json!({
        "version": "0.0.1", "generation": 7, "differences": null, "restart": [], "outdated": false,
        "listening": [], "now": now - 600, "descriptors_allowed": 64, "descriptors_needed": 10_000,
    }));
    let setup = Setup::new();
    let stripe = routes("http://127.0.0.1:9").replace("propify", "stripe");
    setup.write("gateway.toml", &format!("server.listen = \"127.0.0.1:0\"\n{stripe}"));
    let report = setup.doctor(&["--admin", &format!("http://{admin}")]);
    assert_eq!(report.code, Some(1));
    report.assert("clock", "problem", "s behind this one | synchronise both (NTP)");
    report.assert("clock", "problem", "/webhook/leases (5m back, 5m ahead)");
    report.assert("running configuration", "warning", "the gateway is hookgate 0.0.1");
    report.assert("limits", "warning", "LimitNOFILE=");
    report.assert("admin listener", "problem", "not ready");
    report.assert("secret of route", "problem", "could not be tried");
}

mod live {
    use super::*;

    fn code(output: &Output) -> Option<i32> {
        output.status.code()
    }

    #[test]
    fn a_gateway_is_ready_whatever_is_wrong_with_the_rest_of_the_file() {
        let upstream = Upstream::ok();
        let mut setup = Setup::usual(&upstream.url());
        let output = setup.ask(&["check", "--live"]);
        assert_eq!(code(&output), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("ready: "));
        let text = setup.text("", &routes(&upstream.url()));
        // The file has an invalid value, and a secret is missing.
        setup.write("gateway.toml", &text.replace("propify", "nonesuch").replace("KEY", "NO_SUCH_KEY"));
        setup.wait_for("not reloaded");
        assert_eq!(code(&setup.ask(&["check", "--live"])), Some(0));
        assert_eq!(code(&setup.ask(&["secrets"])), Some(0));
        assert_eq!(code(&setup.ask(&["check"])), Some(78));
        let output = setup.ask(&["check", "--live", "--json"]);
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["ready"], true);
        // The file is not TOML. Then only `--admin` with an address gets an answer.
        setup.write("gateway.toml", "[admin\n");
        assert_eq!(code(&setup.ask(&["check", "--live"])), Some(78));
        let admin = format!("http://{}", setup.admin.address());
        assert_eq!(code(&setup.ask(&["check", "--live", "--admin", &admin])), Some(0));
    }

    #[test]
    fn a_gateway_that_drains_is_not_ready() {
        let upstream = Upstream::ok();
        let setup = Setup::new();
        let text = setup.text("drain_delay = \"1m\"", &routes(&upstream.url()));
        let mut setup = setup.start(&text);
        setup.running.as_ref().unwrap().signal("-TERM");
        setup.wait_for("not ready");
        let output = setup.ask(&["check", "--live"]);
        assert_eq!(code(&output), Some(1));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("starting or draining"), "{words}");
        let report = setup.doctor(&[]);
        assert_eq!(report.code, Some(1));
        report.assert("admin listener", "problem", "starting or draining");
    }

    #[test]
    fn without_an_answer_it_is_not_ready_and_without_an_address_the_configuration_is_wrong() {
        let setup = Setup::new();
        setup.write("gateway.toml", &setup.text("", ""));
        let output = setup.ask(&["check", "--live"]);
        assert_eq!(code(&output), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("gives no answer"));
        for text in ["", "[admin]\nlisten = \"127.0.0.1:0\"\n", "[admin]\nlisten = 7\n"] {
            setup.write("gateway.toml", text);
            assert_eq!(code(&setup.ask(&["check", "--live"])), Some(78), "{text}");
        }
        assert_eq!(code(&setup.ask(&["check", "--live", "--config", "nonesuch.toml"])), Some(78));
        for wrong in [&["--timeout", "1s"][..], &["--live", "--timeout", "0s"], &["--live", "--strict"]] {
            assert_eq!(code(&setup.ask(&[&["check"], wrong].concat())), Some(2), "{wrong:?}");
        }
    }

    #[test]
    fn a_silent_listener_is_waited_for_no_longer_than_asked() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = format!("http://{}", silent.local_addr().unwrap());
        let output = Setup::new().ask(&["check", "--live", "--admin", &admin, "--timeout", "100ms"]);
        assert_eq!(code(&output), Some(1));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("no answer within 100ms"), "{words}");
    }
}

mod examined {
    use super::*;

    const PATH: &str = "/webhook/leases";

    /// Sends an event to `/verify` of the admin listener.
    fn examine(gateway: &Gateway, request: &[u8]) -> (u16, Value) {
        let mut client = Client::connect(gateway.admin());
        let response = client.send(request).response();
        (response.status, serde_json::from_slice(&response.body).unwrap())
    }

    /// The request with the `host` that `hookgate doctor` sends: the listener's address.
    fn asked(request: crate::support::Post) -> Vec<u8> {
        request.without("host").line("host: 127.0.0.1:9901").bytes()
    }

    fn to_doctor(content: impl AsRef<[u8]>) -> Vec<u8> {
        asked(post(content).target("/doctor"))
    }

    #[test]
    fn an_event_is_examined_as_its_route_would_and_goes_nowhere() {
        let upstream = Upstream::ok();
        let observes = "mode = \"observe\"\nmax_body = \"200B\"";
        let gateway = gateway()
            .admin()
            .route(PATH, &upstream.url())
            .route_with("/observed", &upstream.url(), observes)
            .start();
        let target = format!("/verify{PATH}?a=b");
        let (status, examined) = examine(&gateway, &asked(post(FIXTURE).target(&target)));
        assert_eq!(status, 200);
        let want = json!({ "verifies": true, "route": PATH, "secret": SECRET_NAME, "reason": null,
                           "observed": false, "generation": 1 });
        assert_eq!(examined, want);
        let oversized = vec![b'x'; 201];
        for (request, status, reason) in [
            (post(FIXTURE).target(&target).forged("[]"), 401, "signature_mismatch"),
            (unsigned(FIXTURE).target(&target), 401, "signature_missing"),
            (post(FIXTURE).target("/verify/nowhere"), 404, "no_route"),
            (post(FIXTURE).target("/verify/observed").forged("[]"), 401, "signature_mismatch"),
            (post(&oversized).target("/verify/observed"), 413, "body_too_large"),
        ] {
            let (got, examined) = examine(&gateway, &asked(request));
            assert_eq!((got, examined["reason"].as_str()), (status, Some(reason)), "{examined}");
            let is_observed = examined["route"] == "/observed";
            assert_eq!((&examined["verifies"], &examined["observed"]), (&json!(false), &json!(is_observed)));
        }
        let get = format!(
            "GET {target} HTTP/1.1\r\nhost: localhost\r\npropify-signature: {}\r\n\r\n",
            signature(b"")
        );
        assert_eq!(examine(&gateway, get.as_bytes()).1["reason"], "method_not_allowed");
        let mut metrics = Client::connect(gateway.admin());
        let metrics = metrics.send("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").response();
        let text = String::from_utf8(metrics.body).unwrap();
        let counted = |line: &str| line.starts_with("hookgate_verified_total") && !line.ends_with(" 0");
        assert!(!text.lines().any(counted), "what is only examined is not counted as verified: {text}");
        nothing_reached(gateway, upstream);
    }

    #[test]
    fn an_event_that_an_app_could_read_otherwise_would_be_refused() {
        let upstream = Upstream::ok();
        let gateway = gateway()
            .admin()
            .forward("verified_field = \"x-verified\"")
            .route("/captured/{*rest}", &upstream.url())
            .start();
        let to = |path: &str| {
            let event = post(FIXTURE).without("host").line("host: localhost");
            event.target(&format!("/verify/captured/{path}"))
        };
        assert_eq!(examine(&gateway, &to("x").line("x_custom: 1").bytes()).0, 200);
        for (request, has_route) in [
            (to("%61"), true),
            (to("x/../y"), true),
            (to("x").line("Propify_Signature: x"), true),
            (to("x").line("x.verified: x"), false),
            (to("x").line("Content_Length: 1"), false),
        ] {
            let (status, examined) = examine(&gateway, &request.bytes());
            assert_eq!((status, &examined["verifies"]), (400, &json!(false)), "{examined}");
            assert_eq!(!examined["route"].is_null(), has_route, "{examined}");
        }
        nothing_reached(gateway, upstream);
    }

    #[test]
    fn more_than_the_admin_listener_reads_is_refused_and_nonsense_is_not_understood() {
        let upstream = Upstream::ok();
        let gateway = gateway().admin().route(PATH, &upstream.url()).start();
        let full = vec![b'x'; 64 * 1024];
        let target = format!("/verify{PATH}");
        assert_eq!(examine(&gateway, &asked(post(&full).target(&target))).0, 200);
        let over = vec![b'x'; 64 * 1024 + 1];
        assert_eq!(examine(&gateway, &asked(post(&over).target(&target))).0, 413);
        let chunked = post(&over).target(&target).chunked(&[10_000]);
        assert_eq!(examine(&gateway, &asked(chunked)).0, 413);
        let far_over = vec![b'x'; 4 << 20];
        assert_eq!(examine(&gateway, &to_doctor(&far_over)).0, 413);
        assert_eq!(examine(&gateway, &to_doctor("nonsense")).0, 400);
        assert_eq!(examine(&gateway, b"GET /doctor HTTP/1.1\r\nhost: a\r\n\r\n").0, 405);
        assert_eq!(examine(&gateway, b"GET /verifyx HTTP/1.1\r\nhost: a\r\n\r\n").0, 404);
        nothing_reached(gateway, upstream);
    }

    #[test]
    fn who_is_not_on_the_gateways_machine_may_not_try_signatures() {
        let Some(ip) = outside() else { return };
        let upstream = Upstream::ok();
        let gateway = gateway().admin().route(PATH, &upstream.url()).start();
        let from_outside = |request: &[u8]| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.connect(&gateway.admin().into()).unwrap();
            let mut stream = std::net::TcpStream::from(socket);
            stream.write_all(request).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.split(' ').nth(1).unwrap().to_owned()
        };
        let target = format!("/verify{PATH}");
        assert_eq!(from_outside(&post(FIXTURE).target(&target).bytes()), "403");
        assert_eq!(from_outside(&post("{}").target("/doctor").bytes()), "403");
        assert_eq!(from_outside(b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n"), "200");
        nothing_reached(gateway, upstream);
    }

    /// A page in a browser on the gateway's machine also connects over loopback. `origin` shows that it is a
    /// page, and `host` shows DNS rebinding.
    #[test]
    fn a_page_in_a_browser_on_the_gateways_machine_sees_no_more_than_a_scraper() {
        let upstream = Upstream::ok();
        let gateway = gateway().admin().route(PATH, &upstream.url()).start();
        let status = |request: &str| examine(&gateway, request.as_bytes()).0;
        let tag = signature(FIXTURE);
        let fixture = String::from_utf8_lossy(FIXTURE);
        let length = FIXTURE.len();
        let event = |fields: &str| {
            format!(
                "POST /verify{PATH} HTTP/1.1\r\npropify-signature: {tag}\r\ncontent-length: {length}\r\n{fields}\r\n{fixture}"
            )
        };
        assert_eq!(status(&event("host: evil.example:9901\r\norigin: http://evil.example:9901\r\n")), 403);
        assert_eq!(status(&event("host: 127.0.0.1:9901\r\norigin: null\r\n")), 403);
        // DNS rebinding: the page sends requests to its own origin, and for GET a browser sends no `origin`.
        let rebound = |host: &str| {
            let get = format!("GET /verify{PATH} HTTP/1.1\r\n{host}\r\n");
            (status(&event(host)), status(&get))
        };
        for host in ["host: 127.0.0.1:9901\r\n", "host: [::1]\r\n", "host: LOCALHOST:1\r\n"] {
            assert_eq!(rebound(host), (200, 405), "{host}");
        }
        for host in [
            "host: evil.example:9901\r\n",
            "host: hooks.example.com\r\n",
            "host: 127.0.0.1.nip.io\r\n",
            "host: localhost.\r\n",
            "host: 127.1\r\n",
            "host: 0x7f.1\r\n",
            "host: 127.0.0.1\r\nhost: evil.example\r\n",
            "host: 127.0.0.1\r\nhost: 127.0.0.1\r\n",
            "host: ÿ\r\n",
            "host:\r\n",
            "",
            "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n",
        ] {
            assert_eq!(rebound(host), (403, 403), "{host}");
        }
        let asked = json!({ "version": env!("CARGO_PKG_VERSION"), "parts": [] }).to_string();
        let length = asked.len();
        let doctor = |fields: &str| {
            format!("POST /doctor HTTP/1.1\r\ncontent-length: {length}\r\n{fields}\r\n{asked}")
        };
        assert_eq!(status(&doctor("host: 127.0.0.1\r\norigin: https://evil.example\r\n")), 403);
        assert_eq!(status(&doctor("host: evil.example\r\n")), 403);
        assert_eq!(status(&doctor("host: localhost:9901\r\n")), 200);
        assert_eq!(status("GET /secrets HTTP/1.1\r\nhost: evil.example:9901\r\n\r\n"), 403);
        assert_eq!(status("GET /secrets HTTP/1.1\r\nhost: 127.0.0.1:9901\r\n\r\n"), 200);
        assert_eq!(status("GET /readyz HTTP/1.1\r\nhost: gateway.internal.example\r\n\r\n"), 200);
        nothing_reached(gateway, upstream);
    }

    /// The answer would show whether a guessed secret is right. So it must not allow unlimited guesses.
    #[test]
    fn the_gateway_gives_out_no_digest_of_its_configuration() {
        let upstream = Upstream::ok();
        let gateway = gateway().admin().route(PATH, &upstream.url()).start();
        let asked = json!({ "version": env!("CARGO_PKG_VERSION"), "parts": [] });
        let (status, state) = examine(&gateway, &to_doctor(asked.to_string()));
        assert_eq!(status, 200);
        let parts: Vec<_> =
            state["differences"].as_array().unwrap().iter().map(|part| &part["only_running"]).collect();
        assert_eq!(parts.len(), 8);
        let names = [
            "[server]",
            "[tls]",
            "[limits]",
            "[admin]",
            "[log]",
            "[forward]",
            "[queue]",
            "route /webhook/leases",
        ];
        assert!(parts.iter().zip(names).all(|(part, name)| *part == name), "{state:#}");
        assert!(!state.to_string().contains(&upstream.address().port().to_string()), "{state:#}");
        nothing_reached(gateway, upstream);
    }
}

#[test]
fn a_file_that_is_broken_or_missing_does_not_keep_the_doctor_from_the_running_gateway() {
    let setup = Setup::usual("http://127.0.0.1:9");
    let admin = format!("http://{}", setup.admin.address());
    let text = setup.text("", "[signature]\nscheme = \"nonesuch\"\n");
    setup.write("wrong.toml", &text);
    setup.write("broken.toml", &text.replace("[signature]", "[signature"));
    for args in [
        &["--config", "wrong.toml"][..],
        &["--config", "broken.toml"],
        &["--config", "none.toml", "--admin", &admin],
    ] {
        let report = setup.doctor(args);
        assert_eq!(report.code, Some(78), "{:#}", report.document);
        report.assert("configuration", "problem", "toml");
        report.assert("admin listener", "ok", "ready");
        report.assert("running configuration", "ok", "is in force");
        report.assert_only("clock", "ok");
    }
}
