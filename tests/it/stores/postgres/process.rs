//! The start and the end of a process whose store is on a server.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Database;
use crate::support::process::Running;
use crate::support::tls::{Authority, Issued};
use crate::support::{PATIENCE, SECRET};

/// The folder of a gateway with this store.
fn folder(store: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\nshutdown_grace = \"1s\"\n\
         [queue]\nstore = \"{store}\"\n\
         [signature]\nscheme = \"propify\"\nsecrets = [{{ name = \"current\", value = \"{SECRET}\" }}]\n\
         [[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:9\"\ndelivery = \"queue\"\n"
    );
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    folder
}

fn run(folder: &TempDir) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    Running::start(command.arg("run").current_dir(folder.path()).stdin(Stdio::null()))
}

/// Passes bytes on until it is frozen.
fn pass(mut from: TcpStream, mut to: TcpStream, is_frozen: &AtomicBool) {
    from.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer) {
            // The connections of a frozen server stay open.
            Ok(_) | Err(_) if is_frozen.load(Ordering::Relaxed) => return std::mem::forget((from, to)),
            Ok(0) => return,
            Ok(read) if to.write_all(&buffer[..read]).is_ok() => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// A port that leads to the server until it is frozen.
fn relay(server: SocketAddr, is_frozen: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let is_frozen = Arc::clone(is_frozen);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(server) else { return };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to, is_frozen) =
                    (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&is_frozen));
                thread::spawn(move || pass(from, to, &is_frozen));
            }
        }
    });
    port
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_frozen_server_holds_the_end_of_the_process_no_longer_than_the_grace_period() {
    let database = Database::new();
    let is_frozen = Arc::new(AtomicBool::new(false));
    let port = relay(SocketAddr::from(([127, 0, 0, 1], database.port())), &is_frozen);
    let folder =
        folder(&format!("postgres://{}@127.0.0.1:{port}/{}?sslmode=disable", database.user(), database.name));
    let mut running = run(&folder);
    running.wait_for("listening");
    is_frozen.store(true, Ordering::Relaxed);
    running.signal("-TERM");
    let began = Instant::now();
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
    // A statement waits 20 s for its answer, and the last commit had 10 s.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

/// Lets the server speak TLS with this certificate.
fn speak_tls(database: &Database, issued: &Issued) {
    for (name, pem) in [("server.crt", &issued.cert), ("server.key", &issued.key)] {
        // The server runs the command in its own folder.
        database.execute(&format!(
            "copy (select unnest(string_to_array('{}', chr(10)))) to program 'umask 077 && cat > {name}'",
            pem.trim_end()
        ));
    }
    database.execute("alter system set ssl = on");
    database.execute("select pg_reload_conf()");
    // A session that begins after the reload has the new settings.
    let began = Instant::now();
    while database.text("select current_setting('ssl')") != "on" {
        assert!(began.elapsed() < PATIENCE, "the server does not speak TLS");
    }
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_server_whose_certificate_is_refused_prevents_the_start_and_the_cause_is_named() {
    let database = Database::new();
    let (authority, stranger) = (Authority::new("ours"), Authority::new("another"));
    speak_tls(&database, &authority.issue(&["db.example.org"]));
    let (port, user, name) = (database.port(), database.user(), &database.name);
    let start = |mode: &str, roots: &Authority| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &roots.pem).unwrap();
        let roots = file.path().display();
        let store = format!("postgres://{user}@127.0.0.1:{port}/{name}?sslmode={mode}&sslrootcert={roots}");
        let folder = folder(&store);
        (run(&folder), folder, file)
    };
    let (mut running, _folder, _roots) = start("verify-ca", &authority);
    running.wait_for("listening");
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
    for (mode, roots, cause) in [
        ("verify-ca", &stranger, "invalid peer certificate: UnknownIssuer"),
        ("verify-full", &authority, "certificate not valid for name \"127.0.0.1\""),
    ] {
        let (mut running, _folder, _roots) = start(mode, roots);
        assert_eq!(running.ended(), Some(1), "{}", running.seen);
        assert!(
            running.seen.contains("cannot open the store") && running.seen.contains(cause),
            "{}",
            running.seen
        );
    }
}
