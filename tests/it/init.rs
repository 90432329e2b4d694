//! `hookgate init`, and which configuration file the commands read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hookgate::signature::algorithm::Algorithm;
use hookgate::signature::scheme::{PRESETS, Scheme, SecretOrigin, Source};
use hookgate::signature::secret::SecretEncoding;
use tempfile::TempDir;

use crate::support::in_time::OutputInTime as _;
use crate::support::process::Running;
use crate::support::upstream::Oracle;
use crate::support::{Reserved, Upstream};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(arguments).current_dir(self.0.path()).env_remove("HOOKGATE_CONFIG").stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> String {
        expect(&self.command(arguments).output_in_time(), code)
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// A text that is a key for this scheme.
fn key(scheme: &Scheme) -> &'static str {
    match (scheme.algorithm, scheme.secret_encoding) {
        (Algorithm::Ed25519, SecretEncoding::Hex) => {
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        }
        (Algorithm::Ed25519, _) => "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        (Algorithm::EcdsaP256, _) => {
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q=="
        }
        (Algorithm::RsaSha256, _) => {
            "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAq/+l1WnlRrGSolDMA+A86rAhMbQGmQ2SapVcGM3zq8ANXjnhDWocMqfWcTd95btDydITa10kDvHzw9WQOqp2MZI7ZyrfzJuz5nhTPCiJwTwnEtWft7nV14BYRDHvlfqPUaZ+1KR4OCaO/wWIk/rQL/TjY0M70gse8rlBkbo2a8rKhu69RQTRsoaf4DVhDPEeSeI5jVrRDGAMGL3cGuyY6CLKGdjVEM78g3JfYOvDU/RvfqD7L89TZ3iN94jrmWdGz34JNlEI5hqK8dd7C5EFBEbZ5jgB8s8ReQV8H+MkuffjdAj3ajDDX3DOJMIut1lBrUVD1AaSrGCKHooWoL2etwIDAQAB"
        }
        _ => "0123456789abcdef0123456789abcdef",
    }
}

#[test]
fn the_file_for_every_sender_passes_check_once_the_variable_is_set() {
    for scheme in PRESETS.iter() {
        let folder = Folder::new();
        let name = &*scheme.name;
        let said = folder.run(&["init", name, "--queue"], 0);
        assert!(said.lines().count() <= 4 && said.contains("check && hookgate"), "{said}");
        let variable = format!("{}_WEBHOOK_SECRET", name.to_uppercase().replace('-', "_"));
        let Source::Shipped { secret, .. } = scheme.source else { panic!("{name}") };
        match secret {
            SecretOrigin::Chosen(_) => {
                assert!(!folder.read("gateway.toml").contains(&variable), "{name}");
                folder.run(&["check", "--strict"], 0);
                let secret = folder.read(&format!("{name}.secret"));
                assert!(
                    secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()),
                    "{secret}"
                );
                assert_eq!(folder.mode(&format!("{name}.secret")), 0o600);
                assert!(!said.contains(&secret) && !folder.read("gateway.toml").contains(&secret), "{said}");
            }
            SecretOrigin::Given(_) => {
                let unset = folder.run(&["check"], 78);
                assert!(said.contains(&variable) && unset.contains(&variable), "{said} {unset}");
                let checked = folder.command(&["check"]).env(&variable, key(scheme)).output_in_time();
                expect(&checked, 0);
            }
        }
    }
}

#[test]
fn a_file_that_is_there_is_replaced_only_by_force_and_a_secret_never() {
    let folder = Folder::new();
    fs::write(folder.path("gateway.toml"), "mine").unwrap();
    let refused = folder.run(&["init", "github"], 1);
    assert!(refused.contains("there already") && refused.contains("--force"), "{refused}");
    assert_eq!(folder.read("gateway.toml"), "mine");
    assert!(!folder.path("github.secret").exists());
    folder.run(&["init", "github", "--force"], 0);
    let secret = folder.read("github.secret");
    folder.run(&["init", "github", "--force", "--path", "/other"], 0);
    assert_eq!(folder.read("github.secret"), secret);
    assert!(folder.read("gateway.toml").contains("path = \"/other\""));
    folder.run(&["check", "--strict"], 0);
    let names = fs::read_dir(folder.0.path()).unwrap().count();
    assert_eq!(names, 2, "nothing else is left");
}

#[test]
fn the_file_that_the_environment_names_is_written_and_the_next_commands_read_it() {
    let folder = Folder::new();
    let init = |arguments: &[&str]| {
        expect(&folder.command(arguments).env("HOOKGATE_CONFIG", "named.toml").output_in_time(), 0)
    };
    let said = init(&["init", "github"]);
    assert!(folder.path("named.toml").exists() && !folder.path("gateway.toml").exists(), "{said}");
    assert!(said.contains("hookgate check &&"), "{said}");
    let said = folder.run(&["init", "github", "it's mine.toml"], 0);
    assert!(said.contains(r"hookgate --config 'it'\''s mine.toml' check &&"), "{said}");
    let said = init(&["init", "github", "gateway.toml"]);
    assert!(said.contains("hookgate --config gateway.toml check &&"), "{said}");
}

#[test]
fn a_secret_that_could_not_be_written_whole_is_not_left() {
    let folder = Folder::new();
    let limited = "ulimit -f 0; trap '' XFSZ; exec \"$0\" init github";
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_hookgate")]).current_dir(folder.0.path());
    let said = expect(&command.env_remove("HOOKGATE_CONFIG").output_in_time(), 1);
    assert!(said.contains("cannot write") && said.contains("github.secret"), "{said}");
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 0, "{said}");
}

#[test]
fn the_file_can_be_printed_or_have_another_name() {
    let folder = Folder::new();
    for arguments in [&["init", "-"][..], &["init", "propify", "-"]] {
        let output = folder.command(arguments).output_in_time();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("scheme = \"propify\""), "{text}");
        assert!(!text.contains("Next:"), "{text}");
    }
    let printed = folder.run(&["init", "github", "-"], 0);
    assert!(printed.contains("env = \"GITHUB_WEBHOOK_SECRET\""), "{printed}");
    let generated = printed.split("export GITHUB_WEBHOOK_SECRET=").nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(generated.len(), 32, "{printed}");
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 0);
    for arguments in [&["init", "GitHub", "one.toml"][..], &["--config", "two.toml", "init", "github"]] {
        let said = folder.run(arguments, 0);
        let name = if arguments[0] == "init" { "one.toml" } else { "two.toml" };
        assert!(said.contains(&format!("hookgate --config {name} check")), "{said}");
        folder.run(&["check", name], 0);
    }
}

#[test]
fn a_domain_makes_a_listener_whose_certificates_hookgate_obtains() {
    let folder = Folder::new();
    let said =
        folder.run(&["init", "github", "--domain", "hooks.example.com", "--contact", "ops@example.com"], 0);
    assert!(said.contains("https://hooks.example.com/hooks/github"), "{said}");
    assert!(said.contains("send /hooks/github --url https://hooks.example.com"), "{said}");
    let text = folder.read("gateway.toml");
    for line in [
        "[tls]",
        "listen = \"0.0.0.0:443\"",
        "[tls.acme]",
        "domains = [\"hooks.example.com\"]",
        "contact = \"ops@example.com\"",
        "storage = \"acme\"",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[test]
fn a_slip_in_the_name_of_a_sender_gets_a_suggestion() {
    let folder = Folder::new();
    let said = folder.run(&["init", "githb"], 2);
    assert!(said.contains("Did you mean `github`?"), "{said}");
    let said = folder.run(&["init", "paypal"], 2);
    assert!(said.contains("PayPal signs"), "{said}");
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 0);
}

#[test]
fn the_file_that_init_wrote_serves_and_a_signed_event_passes() {
    let (folder, plain) = (Folder::new(), Reserved::new());
    folder.run(&["init", "github"], 0);
    let secret = folder.read("github.secret").leak();
    let upstream =
        Upstream::ok_under(Oracle::default().scheme("x-hub-signature-256", "sha256=").secrets(&[secret]));
    folder.run(&["init", "github", "--force", "--upstream", &upstream.url(), "--admin", "off"], 0);
    let text = folder.read("gateway.toml");
    assert!(text.contains("\nmax_body = \"25MiB\"\n"), "GitHub's largest event: {text}");
    let listen = format!("listen = \"{}\"\nreuse_port = true", plain.address());
    fs::write(folder.path("gateway.toml"), text.replace("listen = \"127.0.0.1:8080\"", &listen)).unwrap();
    let mut running = Running::start(&mut folder.command(&["run"]));
    running.wait_for("listening");
    let said = folder.run(&["send", "/hooks/github"], 0);
    assert!(said.contains("200"), "{said}");
    let said = folder.run(&["send", "/hooks/github", "--forge", "tampered"], 0);
    assert!(said.contains("signature_mismatch"), "{said}");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn the_configuration_is_named_by_an_option_a_variable_or_its_place() {
    let folder = Folder::new();
    let routes = |folder: &Folder, arguments: &[&str], variable: &str, code: i32| {
        let mut command = folder.command(arguments);
        if !variable.is_empty() {
            command.env("HOOKGATE_CONFIG", variable);
        }
        expect(&command.output_in_time(), code)
    };
    if !Path::new("/etc/hookgate/gateway.toml").exists() {
        let none = routes(&folder, &["check"], "", 78);
        for words in ["./gateway.toml", "/etc/hookgate/gateway.toml", "hookgate init"] {
            assert!(none.contains(words), "{none}");
        }
    }
    for (name, path) in
        [("gateway.toml", "/here"), ("variable.toml", "/variable"), ("option.toml", "/option")]
    {
        folder.run(&["init", "github", name, "--path", path], 0);
    }
    assert!(routes(&folder, &["check"], "", 0).contains("/here"));
    assert!(routes(&folder, &["check"], "variable.toml", 0).contains("/variable"));
    for arguments in [&["check", "--config", "option.toml"][..], &["check", "option.toml"]] {
        assert!(routes(&folder, arguments, "variable.toml", 0).contains("/option"));
    }
    let missing = routes(&folder, &["check", "none.toml"], "", 78);
    assert!(missing.contains("there is no none.toml"), "{missing}");
    let missing = routes(&folder, &["check"], "gone.toml", 78);
    assert!(missing.contains("there is no gone.toml, which HOOKGATE_CONFIG names"), "{missing}");
    let mut command = folder.command(&["check", "-"]);
    let output = command.stdin(fs::File::open(folder.path("option.toml")).unwrap()).output().unwrap();
    let text = expect(&output, 0);
    assert!(text.contains("/option") && text.contains("good: standard input has"), "{text}");
}
