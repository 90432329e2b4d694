//! Reloading: the configuration is replaced as a whole, and connections that it does not affect continue.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use hookgate::config::load::Source;
use hookgate::runtime::reload::watch::Watch;
use tempfile::TempDir;

use crate::support::gateway::Setup;
use crate::support::in_time::{OutputInTime as _, joined};
use crate::support::process::{Running, address_in};
use crate::support::request::PATH;
use crate::support::upstream::Oracle;
use crate::support::{Client, FIXTURE, PATIENCE, Response, SECRET, Upstream, gateway, post, signature_with};

const FIRST: &str = "the first secret, long enough";
const SECOND: &str = "the second secret, long enough";

fn upstream() -> Upstream {
    Upstream::ok_under(Oracle::default().secrets(&[FIRST, SECOND, SECRET]))
}

fn signed_with(secret: &str) -> crate::support::Post {
    let line = format!("propify-signature: {}", signature_with(secret, FIXTURE));
    post(FIXTURE).without("propify-signature").line(line)
}

fn send(address: SocketAddr, secret: &str) -> Response {
    Client::connect(address).send(signed_with(secret).bytes()).response()
}

/// Waits until the condition is true.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// Tests within one process, where a reload is a function call.
mod in_force {
    use super::*;

    fn with_secret(secret: &str, upstream: &Upstream) -> Setup {
        let signature = format!("scheme = \"propify\"\nsecrets = [{{ value = \"{secret}\" }}]");
        gateway().signature(&signature).route(PATH, &upstream.url())
    }

    #[test]
    fn a_new_secret_counts_for_the_next_request_of_every_connection() {
        let upstream = upstream();
        let gateway = with_secret(FIRST, &upstream).start_on(2);
        let mut clients: Vec<Client> = (0..4).map(|_| Client::to(&gateway)).collect();
        let mut secrets = [FIRST, SECOND].into_iter().cycle();
        let mut accepted = secrets.next().unwrap();
        for _ in 0..5 {
            let other = secrets.next().unwrap();
            for client in &mut clients {
                client.send(signed_with(accepted).bytes()).response().assert_answer("ok");
                assert_eq!(client.send(signed_with(other).bytes()).response().status, 401);
            }
            gateway.reload(with_secret(other, &upstream));
            accepted = other;
        }
        assert_eq!(gateway.control().number(), 6);
        assert_eq!(gateway.control().reloads().ok, 5);
    }

    #[test]
    fn a_request_under_way_finishes_under_what_it_began_with() {
        let upstream = upstream();
        let gateway = with_secret(FIRST, &upstream).start();
        let mut client = Client::to(&gateway);
        let request = signed_with(FIRST).line("expect: 100-continue");
        assert_eq!(client.send(request.head()).response().status, 100);
        let past = Arc::downgrade(&gateway.control().generation());
        gateway.reload(with_secret(SECOND, &upstream));
        assert_eq!(send(gateway.address(), FIRST).status, 401);
        assert!(past.upgrade().is_some(), "a request still needs it");
        client.send(request.body()).response().assert_answer("ok");
        until("its keys are dropped with the last request", || past.upgrade().is_none());
        assert_eq!(client.send(signed_with(FIRST).bytes()).response().status, 401);
        client.send(signed_with(SECOND).bytes()).response().assert_answer("ok");
    }

    #[test]
    fn what_is_past_is_dropped_also_where_no_request_comes() {
        let upstream = upstream();
        let gateway = with_secret(FIRST, &upstream).start_on(3);
        let _idle = Client::to(&gateway);
        let past = Arc::downgrade(&gateway.control().generation());
        gateway.reload(with_secret(SECOND, &upstream));
        until("every worker lets go of it", || past.upgrade().is_none());
    }

    #[test]
    fn the_connections_of_an_upstream_that_stays_are_kept_and_the_others_closed() {
        let (stays, goes) = (upstream(), upstream());
        let both = || with_secret(SECRET, &stays).route("/goes", &goes.url());
        let gateway = both().start();
        let mut client = Client::to(&gateway);
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
        client.send(post(FIXTURE).target("/goes").bytes()).response().assert_answer("ok");
        gateway.reload(both());
        gateway.reload(with_secret(SECRET, &stays));
        goes.wait_closed(1);
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
        assert_eq!(client.send(post(FIXTURE).target("/goes").bytes()).response().status, 404);
        assert_eq!((stays.connections(), goes.connections()), (1, 1));
    }

    #[test]
    fn what_takes_a_restart_is_named_and_stays() {
        let upstream = upstream();
        let gateway = with_secret(SECRET, &upstream).start();
        assert_eq!(gateway.reload(with_secret(SECRET, &upstream).server("shutdown_grace = \"1s\"")), [""; 0]);
        let fixed = gateway.reload(with_secret(SECRET, &upstream).server("max_connections = 7"));
        assert_eq!(fixed, ["server.max_connections"]);
        assert_eq!(send(gateway.address(), SECRET).status, 200);
    }

    #[test]
    fn it_is_ready_until_it_drains() {
        let upstream = upstream();
        let gateway = with_secret(SECRET, &upstream).start();
        assert!(gateway.control().is_ready());
        gateway.drain();
        assert!(!gateway.control().is_ready());
        gateway.wait();
    }
}

/// A folder with a configuration. A secret is mounted in it in the way of Kubernetes.
struct Mounted {
    folder: TempDir,
    upstream: String,
    swaps: usize,
}

impl Mounted {
    fn new(upstream: &Upstream, secret: &str) -> Self {
        let mut mounted = Self { folder: tempfile::tempdir().unwrap(), upstream: upstream.url(), swaps: 0 };
        fs::create_dir(mounted.path("secrets")).unwrap();
        mounted.swap(secret);
        symlink("..data/propify", mounted.path("secrets/propify")).unwrap();
        mounted.configure("");
        mounted
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the secret as the kubelet's atomic writer does: it makes a new folder, and a link to that
    /// folder replaces the old link.
    fn swap(&mut self, secret: &str) {
        self.swaps += 1;
        let data = format!("..2026_11_23_{}", self.swaps);
        fs::create_dir(self.path("secrets").join(&data)).unwrap();
        let file = self.path("secrets").join(&data).join("propify");
        fs::write(&file, secret).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        symlink(&data, self.path("secrets/..data_tmp")).unwrap();
        fs::rename(self.path("secrets/..data_tmp"), self.path("secrets/..data")).unwrap();
        if self.swaps > 1 {
            let past = format!("..2026_11_23_{}", self.swaps - 1);
            fs::remove_dir_all(self.path("secrets").join(past)).unwrap();
        }
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n{more}\n[signature]\nscheme = \"propify\"\n\
             secrets = [{{ file = \"secrets/propify\" }}]\n[[routes]]\npath = \"{PATH}\"\nupstream = \"{}\"\n",
            self.upstream
        );
        replace(&self.path("gateway.toml"), &text);
    }

    fn start(&self) -> (Running, SocketAddr) {
        self.start_with(|_| {})
    }

    fn start_with(&self, more: impl FnOnce(&mut Command)) -> (Running, SocketAddr) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.arg("run").current_dir(self.folder.path()).stdin(Stdio::null());
        more(&mut command);
        let mut running = Running::start(&mut command);
        let address = address_in(&running.wait_for("listening"));
        (running, address)
    }
}

/// Replaces a file in the way of editors and configuration managers.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[test]
fn a_secret_swapped_as_kubernetes_does_counts() {
    let upstream = upstream();
    let mut mounted = Mounted::new(&upstream, FIRST);
    let (mut running, address) = mounted.start();
    assert_eq!(send(address, FIRST).status, 200);
    for (past, next) in [(FIRST, SECOND), (SECOND, FIRST)] {
        mounted.swap(next);
        until("the new secret counts", || send(address, next).status == 200);
        assert_eq!(send(address, past).status, 401);
        running.wait_for("\"reloaded\"");
    }
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}

#[test]
fn a_bad_configuration_changes_nothing_and_is_reported_as_by_check() {
    let upstream = upstream();
    let mut mounted = Mounted::new(&upstream, FIRST);
    let (mut running, address) = mounted.start();
    mounted.configure("workerz = 3");
    let problem = running.wait_for("unknown_key");
    assert!(problem.contains("did you mean `workers`?") && problem.contains("workerz"), "{problem}");
    assert!(problem.contains("\"ERROR\""), "{problem}");
    let stays = running.wait_for("the configuration in force stays");
    assert!(stays.contains("gateway.toml has changed"), "{stays}");
    assert_eq!(send(address, FIRST).status, 200);
    fs::write(mounted.path("gateway.toml"), "routes = []").unwrap();
    let problem = running.wait_for("missing_routes");
    assert!(!problem.contains("help"), "an example belongs on a terminal: {problem}");
    running.wait_for("the configuration in force stays");
    fs::remove_file(mounted.path("gateway.toml")).unwrap();
    running.wait_for("the configuration in force stays");
    assert_eq!(send(address, FIRST).status, 200);
    mounted.configure("");
    running.wait_for("\"reloaded\"");
    mounted.swap(" ");
    running.wait_for("secret_empty");
    let stays = running.wait_for("the configuration in force stays");
    assert!(!stays.contains("gateway.toml has changed") && stays.contains(" has changed"), "{stays}");
    assert_eq!(send(address, FIRST).status, 200);
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}

#[test]
fn a_hangup_reloads_at_once_and_says_what_takes_a_restart() {
    let upstream = upstream();
    let mounted = Mounted::new(&upstream, FIRST);
    let (mut running, address) = mounted.start();
    running.signal("-HUP");
    assert!(running.wait_for("\"reloaded\"").contains("SIGHUP"));
    mounted.configure("max_connections = 17");
    running.signal("-HUP");
    let warning = running.wait_for("restart");
    assert!(warning.contains("server.max_connections") && warning.contains("WARN"), "{warning}");
    assert_eq!(send(address, FIRST).status, 200);
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}

/// A route that has no store could only refuse its events.
#[test]
fn a_reload_that_needs_a_store_changes_nothing_if_the_process_has_none() {
    let upstream = upstream();
    let mounted = Mounted::new(&upstream, FIRST);
    let (mut running, address) = mounted.start();
    let text = fs::read_to_string(mounted.path("gateway.toml")).unwrap();
    for needs in ["delivery = \"queue\"", "delivery = \"fallback\"", "deduplicate = \"1h\""] {
        let text = format!("[queue]\nstore = \"events.db\"\n{text}{needs}\n");
        replace(&mounted.path("gateway.toml"), &text);
        running.signal("-HUP");
        let line = running.wait_for("reloaded");
        assert!(line.contains("\"ERROR\"") && line.contains("restart"), "{line}");
        assert_eq!(send(address, FIRST).status, 200, "{needs}");
    }
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}

#[test]
fn a_reload_that_holds_events_says_so_and_a_start_says_it_again() {
    let upstream = upstream();
    let mounted = Mounted::new(&upstream, FIRST);
    let text = fs::read_to_string(mounted.path("gateway.toml")).unwrap();
    // Nothing listens there.
    let away = text.replace(&upstream.url(), "http://127.0.0.1:1");
    let queue = "[queue]\nstore = \"events.db\"\nmin_free = 1\n";
    let stores = format!("{queue}{away}delivery = \"queue\"\n");
    replace(&mounted.path("gateway.toml"), &stores);
    let (mut running, address) = mounted.start();
    assert_eq!(send(address, FIRST).status, 202);
    replace(&mounted.path("gateway.toml"), &stores.replace(PATH, "/elsewhere"));
    running.signal("-HUP");
    let line = running.wait_for("events wait for a route");
    assert!(line.contains(PATH) && line.contains("\"queued\":1") && line.contains("WARN"), "{line}");
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
    let (mut running, _) = mounted.start();
    assert!(running.seen.contains("events wait for a route"), "{}", running.seen);
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}

fn make_fifo(path: &Path) {
    let _no_such_file = fs::remove_file(path);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
}

/// Opening a named pipe waits until a process writes to it.
#[test]
fn a_file_that_becomes_a_pipe_does_not_hold_up_the_reload() {
    let upstream = upstream();
    let mut mounted = Mounted::new(&upstream, FIRST);
    let (mut running, address) = mounted.start();
    make_fifo(&mounted.path("secrets/propify"));
    let problem = running.wait_for("secret_unreadable");
    assert!(problem.contains("it is a named pipe (FIFO), not a file"), "{problem}");
    running.wait_for("the configuration in force stays");
    make_fifo(&mounted.path("gateway.toml"));
    let problem = running.wait_for("the configuration in force stays");
    assert!(
        problem.contains("gateway.toml cannot be read: it is a named pipe (FIFO), not a file"),
        "{problem}"
    );
    running.signal("-HUP");
    running.wait_for("SIGHUP");
    assert_eq!(send(address, FIRST).status, 200);
    fs::remove_file(mounted.path("secrets/propify")).unwrap();
    symlink("..data/propify", mounted.path("secrets/propify")).unwrap();
    mounted.swap(SECOND);
    mounted.configure("");
    running.wait_for("\"reloaded\"");
    assert_eq!(send(address, SECOND).status, 200);
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}

#[test]
fn a_file_that_cannot_be_read_is_said_once_and_changes_nothing() {
    let upstream = upstream();
    let mounted = Mounted::new(&upstream, FIRST);
    let (mut running, address) = mounted.start();
    // A link to itself cannot be read. The link replaces the file atomically, so the file is never missing.
    symlink("propify", mounted.path("secrets/new")).unwrap();
    fs::rename(mounted.path("secrets/new"), mounted.path("secrets/propify")).unwrap();
    let warning = running.wait_for("cannot read a file to see whether it has changed");
    assert!(warning.contains("WARN") && warning.contains("secrets/propify"), "{warning}");
    assert_eq!(send(address, FIRST).status, 200);
    symlink("..data/propify", mounted.path("secrets/new")).unwrap();
    fs::rename(mounted.path("secrets/new"), mounted.path("secrets/propify")).unwrap();
    running.wait_for("every file can be read again");
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
    assert_eq!(running.seen.matches("cannot read a file to see whether").count(), 1, "{}", running.seen);
    assert!(!running.seen.contains("reloaded"), "{}", running.seen);
}

/// The test below runs this in a process of its own, because the descriptor limit applies to the whole
/// process.
#[test]
#[ignore = "no test, but a process without descriptors"]
fn look_without_descriptors_as_a_child() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(config) = std::env::var_os("LOOKED_AT") else { return };
    let mut watch = Watch::default();
    watch.load(Path::new(&config), Source::File).unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "before: {:?}", watch.look()).unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..limit }).unwrap();
    let error = fs::File::open(&config).unwrap_err();
    writeln!(out, "without: {error} {:?}", watch.look()).unwrap();
    setrlimit(Resource::Nofile, limit).unwrap();
    writeln!(out, "after: {:?}", watch.look()).unwrap();
}

#[test]
fn without_descriptors_no_file_is_taken_for_changed() {
    let mounted = Mounted::new(&upstream(), FIRST);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reload::look_without_descriptors_as_a_child", "--ignored", "--nocapture"])
        .env("LOOKED_AT", mounted.path("gateway.toml"))
        .output_in_time();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("before: Same\n") && out.contains("after: Same\n"), "{out}");
    assert!(out.contains("without: Too many open files (os error 24) Unreadable("), "{out}");
}

#[test]
fn a_secrets_file_that_is_no_file_is_a_problem_of_the_configuration() {
    let mounted = Mounted::new(&upstream(), FIRST);
    let check = |config: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        let output =
            command.args(["check", "--config", config]).current_dir(mounted.folder.path()).output_in_time();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(check("gateway.toml").0, Some(0));
    make_fifo(&mounted.path("secrets/propify"));
    let (code, told) = check("gateway.toml");
    assert_eq!(code, Some(78), "{told}");
    assert!(told.contains("cannot be read: it is a named pipe (FIFO), not a file"), "{told}");
    let (code, told) = check("secrets");
    assert_eq!((code, &*told), (Some(78), "error: secrets cannot be read: it is a folder, not a file\n"));
}

/// This happens with `hookgate check --config <(program)` in a shell.
#[test]
fn a_configuration_may_come_from_a_pipe_when_it_is_read_once() {
    let mounted = Mounted::new(&upstream(), FIRST);
    let text = fs::read(mounted.path("gateway.toml")).unwrap();
    make_fifo(&mounted.path("gateway.toml"));
    let pipe = mounted.path("gateway.toml");
    let writer = std::thread::spawn(move || fs::write(pipe, text).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let output = command.arg("check").current_dir(mounted.folder.path()).output_in_time();
    joined(writer);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn systemd_is_told_of_every_step() {
    let upstream = upstream();
    let mounted = Mounted::new(&upstream, FIRST);
    let socket = UnixDatagram::bind(mounted.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 1024];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    };
    let (mut running, address) = mounted.start_with(|command| {
        command.env("NOTIFY_SOCKET", mounted.path("notify"));
    });
    assert_eq!(told(), "READY=1\n");
    assert_eq!(send(address, FIRST).status, 200);
    for text in ["", "workerz = 3"] {
        mounted.configure(text);
        running.signal("-HUP");
        let reloading = told();
        let moment = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
        assert!(moment.trim_end().parse::<u64>().is_ok(), "{reloading}");
        assert_eq!(told(), "READY=1\n");
    }
    running.signal("-TERM");
    assert_eq!(told(), "STOPPING=1\n");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}
