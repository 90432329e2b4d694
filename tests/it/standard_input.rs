//! `-` is standard input, for every file that the commands read once.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::{FIXTURE, Reserved, SECRET, signature};

/// Runs a command in the folder. Its standard input is the file of this name.
fn fed(folder: &Path, file: &str, args: &[&str]) -> Output {
    let input = std::fs::File::open(folder.join(file)).unwrap();
    command(folder, args).stdin(input).output().unwrap()
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.args(args).current_dir(folder).env("KEY", SECRET).env_remove("HOOKGATE_CONFIG");
    command
}

/// A folder with a configuration, a body, and a file with the secret.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = "[signature]\nscheme = \"propify\"\nsecrets = [{ env = \"KEY\" }]\n\
                  [[routes]]\npath = \"/webhook\"\nupstream = \"http://127.0.0.1:9\"\n";
    std::fs::write(folder.path().join("config"), config).unwrap();
    std::fs::write(folder.path().join("body"), FIXTURE).unwrap();
    std::fs::write(folder.path().join("secret"), SECRET).unwrap();
    folder
}

#[track_caller]
fn assert_signed(output: &Output) {
    let says = String::from_utf8_lossy(&output.stderr);
    let signed = format!("propify-signature: {}\n", signature(FIXTURE));
    assert_eq!(
        (output.status.code(), &*String::from_utf8_lossy(&output.stdout)),
        (Some(0), &*signed),
        "{says}"
    );
}

#[test]
fn the_secret_may_come_from_standard_input() {
    let folder = folder();
    assert_signed(&fed(
        folder.path(),
        "secret",
        &["sign", "--scheme", "propify", "--secret-file", "-", "body"],
    ));
    // Through a pipe, too.
    let args =
        ["verify", "--scheme", "propify", "--secret-file", "-", "--signature", &signature(FIXTURE), "body"];
    let mut child =
        command(folder.path(), &args).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(SECRET.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_configuration_and_the_body_may_each_come_from_standard_input() {
    let folder = folder();
    for (input, args) in
        [("config", ["sign", "--config", "-", "body"]), ("body", ["sign", "--config", "config", "-"])]
    {
        assert_signed(&fed(folder.path(), input, &args));
    }
}

#[test]
fn two_things_from_standard_input_are_wrong_usage_that_names_both() {
    let folder = folder();
    let tag = signature(FIXTURE);
    let by_flags = ["--scheme", "propify", "--secret-file", "-"];
    let ca = ["send", "/webhook", "--url", "https://127.0.0.1:9", "--ca", "-"];
    let cases: [(Vec<&str>, [&str; 2]); 8] = [
        (
            [&ca[..], &["--config", "config", "--body", "-"]].concat(),
            ["the body", "the certificate authorities"],
        ),
        (vec!["sign", "--config", "-"], ["the configuration", "the body"]),
        (vec!["sign", "--config", "-", "-"], ["the configuration", "the body"]),
        (vec!["verify", "--config", "-", "--signature", &tag], ["the configuration", "the body"]),
        (vec!["send", "/webhook", "--config", "-", "--body", "-"], ["the configuration", "the body"]),
        ([&["sign"][..], &by_flags].concat(), ["the secret", "the body"]),
        (vec!["events", "list", "--config", "-", "--token-file", "-"], ["the configuration", "the token"]),
        ([&["verify"][..], &by_flags, &["--signature", &tag]].concat(), ["the secret", "the body"]),
    ];
    for (args, names) in cases {
        let output = fed(folder.path(), "config", &args);
        let says = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}: {says}");
        assert!(names.iter().all(|name| says.contains(name)), "{args:?}: {says}");
        assert!(says.contains("standard input"), "{args:?}: {says}");
    }
}

#[test]
fn a_command_for_a_running_gateway_reads_its_configuration_from_standard_input() {
    let folder = folder();
    let reserved = Reserved::new();
    let address = reserved.address();
    let admin = format!("[admin]\nlisten = \"{address}\"\n");
    std::fs::write(folder.path().join("config"), admin).unwrap();
    for command in ["secrets", "tail", "console"] {
        let output = fed(folder.path(), "config", &[command, "--config", "-"]);
        let says = String::from_utf8(output.stderr).unwrap();
        // The address is known, and no gateway listens there.
        assert!(says.contains(&address.to_string()), "{command}: {says}");
        assert_eq!(output.status.code(), Some(1), "{command}: {says}");
    }
}

#[test]
fn the_certificate_authorities_of_a_gateway_may_come_from_standard_input() {
    let folder = folder();
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    std::fs::write(folder.path().join("authority"), authority).unwrap();
    let reserved = Reserved::new();
    let url = format!("https://{}", reserved.address());
    for (input, want) in [("authority", "no gateway listens at"), ("body", "the file of --ca cannot be used")]
    {
        let output = fed(
            folder.path(),
            input,
            &["send", "/webhook", "--config", "config", "--url", &url, "--ca", "-"],
        );
        let says = String::from_utf8(output.stderr).unwrap();
        assert!(says.contains(want) && !says.contains("No such file"), "{input}: {says}");
        assert_eq!(output.status.code(), Some(1), "{input}: {says}");
    }
}
