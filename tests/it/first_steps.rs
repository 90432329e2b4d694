//! The command line in the hands of a newcomer: words of other programs, two files, and a closed terminal.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tempfile::TempDir;

use crate::support::process::Running;
use crate::support::{Reserved, SECRET, Upstream};

fn hookgate(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.args(args).current_dir(folder.path()).env("KEY", SECRET);
    command.env_remove("HOOKGATE_CONFIG").stdin(Stdio::null());
    command
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "[server]\nlisten = \"127.0.0.1:0\"\n[signature]\nscheme = \"propify\"\nsecrets = [{ env = \"KEY\" }]\n\
                [[routes]]\npath = \"/webhook\"\nupstream = \"http://127.0.0.1:9\"\n";
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    folder
}

fn ask(folder: &TempDir, args: &[&str]) -> Output {
    hookgate(folder, args).output().unwrap()
}

/// What a failed command says on standard error.
#[track_caller]
fn refusal(output: &Output, code: i32) -> String {
    let says = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{says}");
    says
}

#[test]
fn two_configuration_files_are_wrong_usage() {
    let folder = folder();
    for args in [
        &["check", "gateway.toml", "--config", "other.toml"][..],
        &["--config", "other.toml", "check", "gateway.toml"],
        &["check", "-", "--config", "gateway.toml"],
        &["init", "github", "new.toml", "--config", "other.toml"],
        &["init", "-", "--config", "new.toml"],
    ] {
        let says = refusal(&ask(&folder, args), 2);
        assert!(says.contains("two configuration files"), "{args:?}: {says}");
    }
    assert!(!folder.path().join("new.toml").exists() && !folder.path().join("other.toml").exists());
    let same = ask(&folder, &["check", "gateway.toml", "--config", "gateway.toml"]);
    assert_eq!(same.status.code(), Some(0));
}

#[test]
fn a_named_file_that_is_missing_is_not_told_to_be_created() {
    let folder = folder();
    let by_variable = hookgate(&folder, &["check"]).env("HOOKGATE_CONFIG", "none.toml").output().unwrap();
    for output in
        [ask(&folder, &["check", "none.toml"]), ask(&folder, &["--config", "none.toml"]), by_variable]
    {
        let says = refusal(&output, 78);
        assert!(says.contains("none.toml") && says.contains("is the path right?"), "{says}");
        assert!(!says.contains("init"), "{says}");
    }
}

#[test]
fn a_missing_file_gets_the_file_with_a_similar_name() {
    let folder = folder();
    let says = refusal(&ask(&folder, &["check", "gatway.toml"]), 78);
    assert!(says.contains("Did you mean gateway.toml?"), "{says}");
    let own = |name: &str| folder.path().join(name);
    let mut before = own("gateway.toml");
    for (name, want) in
        [("hookgate.toml", "`--config hookgate.toml`"), ("gateway.yaml", "reads gateway.toml")]
    {
        std::fs::rename(&before, own(name)).unwrap();
        before = own(name);
        // A machine may have a configuration in /etc, which is then used.
        if !Path::new("/etc/hookgate/gateway.toml").exists() {
            let says = refusal(&ask(&folder, &["check"]), 78);
            assert!(says.contains(&format!("{name} is there")) && says.contains(want), "{says}");
        }
    }
}

#[test]
fn what_a_newcomer_mistakes_for_a_file_or_a_path_is_named() {
    let folder = folder();
    for (args, want) in [
        (&["init", "stripe", "github"][..], "`github` is a second sender"),
        (&["init", "gateway.toml"], "hookgate init github gateway.toml"),
        (&["init", "whatsapp"], "`meta`"),
        (&["send", "/webhook/{model}"], "this is a pattern"),
        (&["send", "/webhook/\u{f6}"], "`/webhook/%C3%B6`"),
        (&["send", "http://127.0.0.1:9/webhook"], "`/webhook --url http://127.0.0.1:9`"),
        (&["send", "webhook"], "write `/webhook`"),
    ] {
        let says = refusal(&ask(&folder, args), 2);
        assert!(says.contains(want), "{args:?}: {says}");
    }
    assert!(!folder.path().join("github").exists());
}

#[test]
fn a_file_in_the_place_of_a_socket_is_told_to_be_moved() {
    let folder = folder();
    let text = std::fs::read_to_string(folder.path().join("gateway.toml")).unwrap();
    let socket = folder.path().join("socket");
    let text = text.replace("127.0.0.1:0", &format!("unix:{}", socket.display()));
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    std::fs::write(&socket, "").unwrap();
    let says = refusal(&ask(&folder, &["run"]), 1);
    assert!(says.contains("it is no socket") && says.contains("move the file away"), "{says}");
}

#[test]
fn a_word_of_another_program_gets_the_command_that_does_it() {
    let folder = folder();
    for (args, want) in [
        (&["serve"][..], "hookgate run"),
        (&["validate"], "hookgate check"),
        (&["gateway.toml"], "--config gateway.toml"),
        (&["run", "--port", "80"], "[server]"),
    ] {
        let says = refusal(&ask(&folder, args), 2);
        assert!(says.contains(want), "{args:?}: {says}");
    }
    let help = ask(&folder, &["help", "check"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().contains("Usage: hookgate check"));
}

/// A pseudoterminal: the side of the terminal's window, and the side of its programs.
fn terminal() -> (OwnedFd, OwnedFd) {
    let window = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&window).unwrap();
    unlockpt(&window).unwrap();
    let path = ptsname(&window, Vec::new()).unwrap();
    let programs =
        open(path.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    (window, programs)
}

/// A gateway whose controlling terminal is this one.
fn in_terminal(folder: &TempDir, programs: OwnedFd, before: &[&str]) -> Running {
    // setsid(1) makes its standard input the controlling terminal, and becomes the gateway.
    let mut command = Command::new("setsid");
    command.arg("--ctty").args(before).arg(Path::new(env!("CARGO_BIN_EXE_hookgate"))).arg("run");
    command.current_dir(folder.path()).env("KEY", SECRET).stdin(programs);
    let mut running = Running::start(&mut command);
    drop(command);
    running.wait_for("listening");
    running
}

#[test]
fn a_gateway_ends_when_its_terminal_is_closed_and_a_hangup_before_that_reloads() {
    let folder = folder();
    let (window, programs) = terminal();
    // The tests may run under nohup(1).
    let mut running = in_terminal(&folder, programs, &["env", "--default-signal=HUP"]);
    running.signal("-HUP");
    running.wait_for("reloaded");
    drop(window);
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
    assert!(running.seen.contains("drained"), "{}", running.seen);
}

#[test]
fn a_gateway_that_was_started_with_nohup_outlives_its_terminal() {
    let folder = folder();
    let (window, programs) = terminal();
    let mut running = in_terminal(&folder, programs, &["nohup"]);
    drop(window);
    running.wait_for("reloaded");
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}

/// A success without the gateway's own count of verified events proves nothing: an app says 200, too.
#[test]
fn send_says_verified_only_if_the_gateway_has_counted_the_event() {
    let (app, listen, admin) = (Upstream::ok(), Reserved::new(), Reserved::new());
    let folder = folder();
    let text = format!(
        "[server]\nlisten = \"{}\"\nreuse_port = true\n{{ADMIN}}\n[[routes]]\npath = \"/webhook\"\nupstream = \"{}\"\n\
         signature = {{ scheme = \"propify\", secrets = [{{ env = \"KEY\" }}] }}\n",
        listen.address(),
        app.url(),
    );
    let with_admin = text.replace("{ADMIN}", &format!("[admin]\nlisten = \"{}\"", admin.address()));
    std::fs::write(folder.path().join("gateway.toml"), with_admin).unwrap();
    std::fs::write(folder.path().join("without.toml"), text.replace("{ADMIN}", "")).unwrap();
    let mut running = Running::start(&mut hookgate(&folder, &["run"]));
    running.wait_for("listening");
    let other = Upstream::ok();
    let other = other.url();
    for (args, code, words) in [
        (&["send", "/webhook"][..], 0, "delivered: it verified"),
        (&["send", "/webhook", "--url", &other], 1, "has verified nothing meanwhile"),
        (&["send", "/webhook", "--config", "without.toml"], 0, "is not known"),
    ] {
        let output = ask(&folder, args);
        let says = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {says}");
        assert!(says.contains(words), "{args:?}: {says}");
    }
}

/// Root may read every file, so only the permissions say what the service's user may read.
#[test]
fn a_secret_that_the_services_user_may_not_read_is_an_error_of_check() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let text = std::fs::read_to_string(folder.path().join("gateway.toml")).unwrap();
    let text = text.replace("env = \"KEY\"", "file = \"secret\"");
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    std::fs::write(folder.path().join("secret"), "a secret that is long enough").unwrap();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("secret", 0o644);
    mode("", 0o700);
    let says = refusal(&ask(&folder, &["check", "--user", "nobody"]), 78);
    assert!(says.contains("nobody may not read") && says.contains("may not enter"), "{says}");
    assert!(says.contains("let this user enter the folder") && !says.contains("chmod 400"), "{says}");
    mode("", 0o755);
    assert_eq!(ask(&folder, &["check", "--user", "nobody"]).status.code(), Some(0));
    mode("secret", 0o600);
    let says = refusal(&ask(&folder, &["check", "--user", "nobody"]), 78);
    assert!(says.contains("nobody may not read secret"), "{says}");
    assert_eq!(ask(&folder, &["check", "--user", "nobody", "--json"]).status.code(), Some(78));
    refusal(&ask(&folder, &["check", "--user", "no-such-user"]), 2);
}
