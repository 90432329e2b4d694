//! The command line as a user of a shell sees it: exit codes, output, signals.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::Reserved;
use crate::support::in_time::{accepted, joined, output_of};
use crate::support::process::{PATIENCE, Running, address_in};

const FIXTURE: &str = r#"{"meta":{"object":"leases","integration_id":"cuid_1234567890"},"record_id":"cuid_1234567890","diff":{"previous":{"status":"pending"},"new":{"status":"approved"}}}"#;
const FIXTURE_TAG: &str = "9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d";
const EMPTY_TAG: &str = "3b6f911f5873cd7e2a4ed25f1db12b93a8141a99a9ec0eecbb88f5218d03c53d";
const SECRET: &str = "propify_test_secret";
const STRONG: &str = "a secret that is long enough";

fn hookgate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.args(args).env("KEY", SECRET).env("STRONG", STRONG).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn run(args: &[&str], stdin: &[u8]) -> Output {
    run_command(&mut hookgate(args), stdin)
}

fn run_command(command: &mut Command, stdin: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that fails early may leave its input unread.
    let _unread = child.stdin.take().unwrap().write_all(stdin);
    output_of(child)
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", out(output)))
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}\n{}", out(output), err(output));
}

/// A folder with a gateway.toml.
struct Folder(TempDir);

impl Folder {
    fn new(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("gateway.toml", config);
        folder
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &[&str], stdin: &[u8]) -> Output {
        run_command(hookgate(args).current_dir(self.path()), stdin)
    }
}

/// A configuration with two routes. They share a signature with two secrets.
fn config(listen: &str, upstream: &str) -> String {
    format!(
        r#"
        [server]
        listen = "{listen}"
        [signature]
        scheme = "propify"
        secrets = [{{ name = "current", env = "STRONG" }}, {{ name = "previous", env = "KEY" }}]
        [[routes]]
        path = "/webhook/leads"
        model = "leads"
        upstream = "{upstream}"
        [[routes]]
        path = "/webhook/{{model}}"
        upstream = "{upstream}"
        "#
    )
}

fn usual() -> Folder {
    Folder::new(&config("127.0.0.1:0", "http://127.0.0.1:9"))
}

/// The folder of [`usual`], with one more route that has its own signature.
fn two_signatures() -> Folder {
    Folder::new(&format!(
        r#"{}
        [[routes]]
        path = "/hooks/github"
        upstream = "http://127.0.0.1:9"
        signature = {{ scheme = "github", secrets = [{{ name = "hub", env = "KEY" }}] }}
        "#,
        config("127.0.0.1:0", "http://127.0.0.1:9")
    ))
}

const KEYED: [&str; 4] = ["--scheme", "propify", "--secret-env", "KEY"];

fn keyed<'a>(args: &[&'a str]) -> Vec<&'a str> {
    args.iter().copied().chain(KEYED).collect()
}

mod usage {
    use super::*;

    #[test]
    fn help_and_version_are_answers_and_nonsense_is_wrong_usage() {
        let version = run(&["--version"], b"");
        assert_code(&version, 0);
        assert_eq!(out(&version), concat!("hookgate ", env!("CARGO_PKG_VERSION"), "\n"));
        for command in ["run", "check", "sign", "verify", "send", "secrets", "doctor", "demo", "completions"]
        {
            let help = run(&[command, "--help"], b"");
            assert_code(&help, 0);
            assert!(out(&help).contains("Usage: hookgate"), "{}", out(&help));
        }
        for nonsense in
            [&["nonesuch"][..], &["--nonesuch"], &["sign", "--scheme", "nonesuch"], &["completions"]]
        {
            let output = run(nonsense, b"");
            assert_code(&output, 2);
            assert_eq!(out(&output), "");
            assert!(err(&output).contains("error:"), "{}", err(&output));
        }
    }

    /// In a shell, runs every example of the help that needs no gateway.
    #[test]
    fn the_examples_of_the_help_work_when_pasted() {
        let binary = Path::new(env!("CARGO_BIN_EXE_hookgate")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        for (args, skip) in
            [(&["sign", "--help"][..], ""), (&["verify", "--help"], ""), (&["--help"], "gateway")]
        {
            let help = run(args, b"");
            let (_, examples) = out(&help).split_once("Examples:\n").unwrap();
            let examples = examples.split("\n\n").next().unwrap();
            let line = |line: &&str| skip.is_empty() || line.starts_with("  hookgate demo");
            let script: Vec<_> = examples.lines().filter(line).map(|line| line.trim_start()).collect();
            let script = script.join("\n").replace("  see it work, with nothing to set up", "");
            let output = run_command(Command::new("sh").args(["-ec", &script]).env("PATH", &path), b"");
            assert_code(&output, 0);
            assert!(!out(&output).is_empty());
        }
    }

    #[test]
    fn each_shell_gets_its_completions() {
        for (shell, mark) in
            [("bash", "complete -F"), ("zsh", "#compdef hookgate"), ("fish", "complete -c hookgate")]
        {
            let output = run(&["completions", shell], b"");
            assert_code(&output, 0);
            assert!(out(&output).contains(mark), "{shell}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_panic() {
        for (args, code) in [
            (vec!["completions", "bash"], 0),
            (vec!["--help"], 0),
            (keyed(&["sign"]), 0),
            (keyed(&["verify", "--signature", "x"]), 1),
            (vec!["demo", "--once"], 0),
        ] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let output = hookgate(&args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
            let output = output_of(output);
            assert_code(&output, code);
            assert_eq!(err(&output), "", "{args:?}");
        }
    }

    #[test]
    fn output_that_cannot_be_written_is_a_failure() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = hookgate(&["--version"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let output = output_of(output);
        assert_code(&output, 1);
        assert!(err(&output).contains("cannot write the output"), "{}", err(&output));
    }
}

mod sign {
    use super::*;

    #[test]
    fn the_contracts_fixtures_have_their_known_signatures() {
        for (body, tag) in [(FIXTURE, FIXTURE_TAG), ("", EMPTY_TAG)] {
            let folder = usual();
            let file = folder.write("body.json", body);
            for (args, stdin) in [(&["sign"][..], body), (&["sign", "-"], body), (&["sign", &file], "other")]
            {
                let output = run(&keyed(args), stdin.as_bytes());
                assert_code(&output, 0);
                assert_eq!(out(&output), format!("propify-signature: {tag}\n"));
                assert_eq!(err(&output), "");
            }
        }
    }

    #[test]
    fn a_program_reads_json() {
        let output = run(&keyed(&["sign", "--json"]), FIXTURE.as_bytes());
        assert_code(&output, 0);
        let field = &json(&output)["fields"][0];
        assert_eq!((&field["name"], &field["value"]), (&"propify-signature".into(), &FIXTURE_TAG.into()));
    }

    #[test]
    fn one_newline_of_a_secrets_file_is_dropped_and_that_is_said() {
        let folder = usual();
        let file = folder.write("secret", format!("{SECRET}\n"));
        let output = run(&["sign", "--scheme", "propify", "--secret-file", &file], FIXTURE.as_bytes());
        assert_code(&output, 0);
        assert_eq!(out(&output), format!("propify-signature: {FIXTURE_TAG}\n"));
        assert!(err(&output).contains("ends in a newline"), "{}", err(&output));
        let file = folder.write("hex", hex::encode(SECRET));
        let args = ["sign", "--scheme", "github", "--secret-file", &file, "--secret-encoding", "hex"];
        let output = run(&args, FIXTURE.as_bytes());
        assert_eq!(out(&output), format!("x-hub-signature-256: sha256={FIXTURE_TAG}\n"));
        assert_eq!(err(&output), "");
    }

    #[test]
    fn a_secret_that_is_no_good_is_wrong_usage_and_never_printed() {
        let folder = usual();
        let empty = folder.write("empty", "\n");
        for (args, says) in [
            (vec!["--secret-env", "NONESUCH"], "NONESUCH is not set"),
            (vec!["--secret-file", "/nonesuch"], "/nonesuch"),
            (vec!["--secret-file", &empty], "is empty"),
            (vec!["--secret-env", "KEY", "--secret-encoding", "hex"], "not valid hexadecimal"),
        ] {
            let args = [vec!["sign", "--scheme", "propify"], args].concat();
            let output = run(&args, b"");
            assert_code(&output, 2);
            assert!(err(&output).contains(says), "{}", err(&output));
            assert!(!err(&output).contains(SECRET), "{}", err(&output));
        }
    }

    #[test]
    fn a_route_says_whose_signature_and_its_first_secret_signs() {
        let folder = two_signatures();
        for (route, secret, field) in [
            ("/webhook/leads", Some("previous"), format!("propify-signature: {FIXTURE_TAG}\n")),
            ("/webhook/{model}", Some("previous"), format!("propify-signature: {FIXTURE_TAG}\n")),
            ("/webhook/jobs", Some("previous"), format!("propify-signature: {FIXTURE_TAG}\n")),
            ("/hooks/github", None, format!("x-hub-signature-256: sha256={FIXTURE_TAG}\n")),
        ] {
            let mut args = vec!["sign", "--route", route];
            args.extend(secret.iter().flat_map(|secret| ["--secret", secret]));
            let output = folder.run(&args, FIXTURE.as_bytes());
            assert_code(&output, 0);
            assert_eq!(out(&output), field, "{route}");
        }
        let first = folder.run(&["sign", "--route", "/webhook/leads", "--json"], b"");
        assert_eq!(json(&first)["secret"], "current");
        for args in [&["sign", "--route", "/nonesuch"][..], &["sign"]] {
            let output = folder.run(args, b"");
            assert_code(&output, 2);
            for path in ["/webhook/leads", "/webhook/{model}", "/hooks/github"] {
                assert!(err(&output).contains(path), "{}", err(&output));
            }
        }
        let output = folder.run(&["sign", "--route", "/hooks/github", "--secret", "nonesuch"], b"");
        assert_code(&output, 2);
        assert!(err(&output).contains("hub"), "{}", err(&output));
    }

    #[test]
    fn the_only_signature_of_a_configuration_need_not_be_named() {
        let output = usual().run(&["sign", "--secret", "previous"], FIXTURE.as_bytes());
        assert_eq!(out(&output), format!("propify-signature: {FIXTURE_TAG}\n"));
    }

    #[test]
    fn what_the_scheme_does_not_sign_is_accepted_and_said() {
        let args = ["sign", "--timestamp", "1", "--id", "a", "--url", "https://a/b", "--method", "PUT"];
        let output = run(&keyed(&args), FIXTURE.as_bytes());
        assert_code(&output, 0);
        assert_eq!(out(&output), format!("propify-signature: {FIXTURE_TAG}\n"));
        assert!(err(&output).contains("--timestamp, --id, --url, --method"), "{}", err(&output));
    }

    #[test]
    fn what_a_scheme_signs_besides_the_body_is_taken_from_the_flags_or_made_up() {
        let stripe = ["--scheme", "stripe", "--secret-env", "STRONG"];
        let output = run(&[&["sign", "--timestamp", "1533204620"], &stripe[..]].concat(), b"{}");
        assert_code(&output, 0);
        assert!(out(&output).starts_with("stripe-signature: t=1533204620,v1="), "{}", out(&output));
        let svix = ["sign", "--scheme", "svix", "--secret-env", "STRONG", "--secret-encoding", "utf8"];
        let output = run(&svix, b"{}");
        let lines: Vec<_> = out(&output).lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[0].starts_with("svix-id: msg_") && lines[1].starts_with("svix-timestamp: 1"),
            "{lines:?}"
        );
        assert!(lines[2].starts_with("svix-signature: v1,"), "{lines:?}");
        let fields: Vec<_> = lines.iter().flat_map(|line| ["--field", *line]).collect();
        let verify = [&["verify"][..], &fields, &svix[1..]].concat();
        assert_code(&run(&verify, b"{}"), 0);
        assert_code(&run(&verify, b"{ }"), 1);
    }

    #[test]
    fn the_url_is_asked_for_where_it_is_signed() {
        let square = ["--scheme", "square", "--secret-env", "STRONG"];
        let output = run(&[&["sign"], &square[..]].concat(), b"{}");
        assert_code(&output, 2);
        assert!(err(&output).contains("--url https://"), "{}", err(&output));
        let url = ["--url", "https://hooks.example.com/square?x=1"];
        let output = run(&[&["sign"], &square[..], &url].concat(), b"{}");
        let field = out(&output).trim();
        let verify = ["verify", "--field", field];
        assert_code(&run(&[&verify[..], &square, &url].concat(), b"{}"), 0);
        let other = ["--url", "https://hooks.example.com/square?x=2"];
        assert_code(&run(&[&verify[..], &square, &other].concat(), b"{}"), 1);
    }

    #[test]
    fn only_the_sender_signs_with_a_private_key() {
        let folder = usual();
        let key = folder.write("key", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let output = run(&["sign", "--scheme", "discord", "--secret-file", &key], b"{}");
        assert_code(&output, 2);
        assert!(err(&output).contains("private key"), "{}", err(&output));
        let output =
            run(&["sign", "--scheme", "discord", "--secret-env", "STRONG", "--secret-encoding", "utf8"], b"");
        assert_code(&output, 2);
        assert!(err(&output).contains("no public key"), "{}", err(&output));
    }

    #[test]
    fn a_signature_that_is_only_too_old_is_told_so() {
        let stripe = ["--scheme", "stripe", "--secret-env", "STRONG"];
        let signed = run(&[&["sign", "--timestamp", "1533204620"], &stripe[..]].concat(), b"{}");
        let verify = ["verify", "--field", out(&signed).trim(), "--json"];
        let output = run(&[&verify[..], &stripe].concat(), b"{}");
        assert_code(&output, 1);
        let told = json(&output);
        assert_eq!(told["reason"], "timestamp_expired");
        assert!(told["why"].as_str().unwrap().contains("but for that, it verifies"), "{told}");
        let output = run(&[&verify[..], &stripe].concat(), b"{ }");
        assert!(
            json(&output)["why"].as_str().unwrap().contains("would not have verified"),
            "{}",
            out(&output)
        );
    }

    #[test]
    fn the_known_senders_are_listed() {
        let output = run(&["schemes"], b"");
        assert_code(&output, 0);
        assert!(out(&output).contains("\nstripe ") && out(&output).contains("{timestamp}.{body}"));
        assert!(out(&output).contains("GET ?hub.challenge=&hub.verify_token="), "{}", out(&output));
        assert!(
            out(&output).contains("\nPlaid ") && out(&output).contains("sends a JWT"),
            "{}",
            out(&output)
        );
        let listed = json(&run(&["schemes", "--json"], b""));
        let stripe = listed.as_array().unwrap().iter().find(|scheme| scheme["name"] == "stripe").unwrap();
        assert_eq!(stripe["field"], "stripe-signature");
        assert_eq!(stripe["tolerance"], "5m");
        assert_eq!(stripe["confirmed"], true);
    }

    #[test]
    fn a_known_sender_is_explained_with_what_to_write() {
        for name in ["stripe", "Stripe"] {
            let output = run(&["schemes", name], b"");
            assert_code(&output, 0);
            let text = out(&output);
            assert!(text.starts_with("stripe: Stripe\n"), "{text}");
            for part in
                ["`stripe-signature`", "`{timestamp}.{body}`", "under `t`", "https://docs.stripe.com/"]
            {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(text.contains("Stripe tries an event for three days"), "{text}");
        }
        let document = json(&run(&["schemes", "stripe", "--json"], b""));
        assert_eq!(document["field"], "stripe-signature");
    }

    #[test]
    fn a_sender_without_a_scheme_is_named_with_the_reason_and_a_slip_with_the_right_name() {
        for (name, part) in [
            ("paypal", "there is no scheme for PayPal: the sender signs a CRC of the body"),
            ("stirpe", "did you mean `stripe`?"),
            ("whatsapp", "did you mean `meta`?"),
            ("nonesuch", "there is no scheme `nonesuch`"),
        ] {
            let output = run(&["schemes", name], b"");
            assert_code(&output, 2);
            assert!(err(&output).contains(part), "{name}: {}", err(&output));
        }
    }

    #[test]
    fn a_body_that_cannot_be_read_is_a_failure() {
        let output = run(&keyed(&["sign", "/nonesuch"]), b"");
        assert_code(&output, 1);
        assert!(err(&output).contains("/nonesuch"), "{}", err(&output));
    }
}

mod verify {
    use super::*;

    #[test]
    fn what_was_signed_verifies_and_says_by_which_secret() {
        let upper = FIXTURE_TAG.to_uppercase();
        let field = format!("Propify-Signature:  {FIXTURE_TAG} ");
        for args in [["--signature", FIXTURE_TAG], ["--signature", &upper], ["--field", &field]] {
            let output = run(&keyed(&[&["verify"], &args[..]].concat()), FIXTURE.as_bytes());
            assert_code(&output, 0);
            assert!(out(&output).starts_with("verifies: signed with the secret `KEY`"), "{}", out(&output));
        }
        let output = usual().run(&["verify", "--json", "--signature", FIXTURE_TAG], FIXTURE.as_bytes());
        assert_code(&output, 0);
        assert_eq!((&json(&output)["ok"], &json(&output)["secret"]), (&true.into(), &"previous".into()));
    }

    #[test]
    fn what_was_not_signed_does_not_verify_and_says_why() {
        let base64 = "nqLaq4j7hIVPjNeN2W+N6Yc4LcMT/yId8im08HSQIi0=";
        let prefixed = format!("sha256={FIXTURE_TAG}");
        let newline = format!("{FIXTURE}\n");
        let spaced = FIXTURE.replace("\":", "\": ");
        for (signature, body, reason, cause) in [
            (FIXTURE_TAG, newline.as_str(), "signature_mismatch", "newline_added"),
            (FIXTURE_TAG, spaced.as_str(), "signature_mismatch", "reserialized"),
            (FIXTURE_TAG, "other", "signature_mismatch", ""),
            (&FIXTURE_TAG[1..], FIXTURE, "signature_malformed", ""),
            (base64, FIXTURE, "signature_malformed", "notation"),
            (&prefixed, FIXTURE, "signature_malformed", "notation"),
            (&prefixed, "other", "signature_malformed", ""),
            ("-", FIXTURE, "signature_malformed", ""),
            ("a,b", FIXTURE, "signature_duplicate", ""),
        ] {
            let args = keyed(&["verify", "--signature", signature, "--json"]);
            let output = run(&args, body.as_bytes());
            assert_code(&output, 1);
            let document = json(&output);
            assert_eq!((&document["ok"], &document["reason"]), (&false.into(), &reason.into()), "{document}");
            assert_eq!(document["cause"].as_str().unwrap_or_default(), cause, "{document}");
        }
        let output = run(&keyed(&["verify", "--signature", &FIXTURE_TAG[1..]]), FIXTURE.as_bytes());
        assert!(out(&output).contains("63 hexadecimal digits instead of 64"), "{}", out(&output));
        let output = run(&keyed(&["verify", "--signature", FIXTURE_TAG]), newline.as_bytes());
        assert!(out(&output).contains("ends in a newline that was not signed"), "{}", out(&output));
    }

    #[test]
    fn a_slip_in_the_secret_is_found_where_the_secret_is_at_hand() {
        let folder = usual();
        let crlf = folder.write("crlf", format!("{SECRET}\r\n"));
        let quoted = folder.write("quoted", format!("\"{SECRET}\""));
        let hexed = folder.write("hex", hex::encode(SECRET));
        for (file, cause) in
            [(crlf, "secret_white_space"), (quoted, "secret_quoted"), (hexed, "secret_encoding")]
        {
            let args = [
                "verify",
                "--json",
                "--scheme",
                "propify",
                "--secret-file",
                &file,
                "--signature",
                FIXTURE_TAG,
            ];
            let output = run(&args, FIXTURE.as_bytes());
            assert_code(&output, 1);
            assert_eq!(json(&output)["cause"], cause);
        }
    }

    #[test]
    fn a_slip_in_the_secret_of_a_route_is_found_too() {
        let folder = usual();
        let mut command = hookgate(&["verify", "--json", "--signature", FIXTURE_TAG]);
        command.current_dir(folder.path()).env("KEY", format!("'{SECRET}'"));
        let output = run_command(&mut command, FIXTURE.as_bytes());
        assert_eq!(json(&output)["cause"], "secret_quoted", "{output:?}");
    }

    #[test]
    fn the_secret_of_another_route_is_recognised() {
        let folder = two_signatures();
        let more = config("127.0.0.1:0", "http://127.0.0.1:9");
        let other = r#"
            [[routes]]
            path = "/other"
            upstream = "http://127.0.0.1:9"
            signature = { scheme = "propify", secrets = [{ name = "theirs", env = "OTHER" }] }
        "#;
        folder.write("gateway.toml", format!("{more}{other}"));
        let args = ["verify", "--route", "/other", "--signature", FIXTURE_TAG];
        let output =
            run_command(hookgate(&args).current_dir(folder.path()).env("OTHER", STRONG), FIXTURE.as_bytes());
        assert_code(&output, 1);
        assert!(out(&output).contains("`previous` of another route, /webhook/leads"), "{}", out(&output));
    }

    #[test]
    fn without_anything_to_verify_it_is_wrong_usage() {
        assert_code(&run(&keyed(&["verify"]), b""), 2);
        let output = run(&keyed(&["verify", "--field", "x: y", "--json"]), b"");
        assert_code(&output, 1);
        assert_eq!(json(&output)["reason"], "signature_missing");
    }
}

mod check {
    use super::*;

    #[test]
    fn a_good_configuration_is_printed_as_a_table() {
        let output = two_signatures().run(&["check"], b"");
        assert_code(&output, 0);
        let lines: Vec<_> = out(&output).lines().collect();
        assert!(lines[0].starts_with("PATH"), "{}", out(&output));
        let columns = |line: &str| line.split("  ").filter(|s| !s.is_empty()).count();
        assert!(lines[..4].iter().all(|line| columns(line) == 8), "{}", out(&output));
        assert!(lines[3].contains("/hooks/github") && lines[3].contains("github"), "{}", out(&output));
        assert!(lines.last().unwrap().contains("3 routes to 1 upstream"), "{}", out(&output));
        let memory = lines.iter().find(|line| line.starts_with("memory: at most ")).unwrap();
        assert!(
            memory.contains("MiB for the program, ") && memory.contains("MiB for connections"),
            "{memory}"
        );
        assert!(!out(&output).contains(STRONG) && !out(&output).contains('\x1b'));
    }

    #[test]
    fn a_program_reads_json() {
        let output = two_signatures().run(&["check", "--json"], b"");
        assert_code(&output, 0);
        let document = json(&output);
        assert_eq!(document["ok"], true);
        let route = &document["routes"][1];
        assert_eq!((&route["path"], &route["model"]), (&"/webhook/{model}".into(), &"{model}".into()));
        assert_eq!(route["secrets"], serde_json::json!(["current", "previous"]));
        assert!(document["problems"].is_array());
        let memory = &document["memory"];
        let parts = ["program", "connections", "buffered", "diagnoses", "queue"];
        let sum: u64 = parts.iter().map(|part| memory[part].as_u64().unwrap()).sum();
        assert_eq!(memory["most"], sum);
    }

    #[test]
    fn a_wrong_configuration_is_78_and_so_is_none() {
        let folder = usual();
        folder.write("wrong.toml", "nonsense");
        for file in ["wrong.toml", "nonesuch.toml"] {
            for command in ["check", "run", "sign"] {
                let output = folder.run(&["--config", file, command], b"");
                assert_code(&output, 78);
                assert!(err(&output).contains(file), "{}", err(&output));
            }
            let output = folder.run(&["--config", file, "check", "--json"], b"");
            assert_code(&output, 78);
            assert_eq!(json(&output)["ok"], false);
            assert_eq!(json(&output)["problems"][0]["severity"], "error");
            assert!(json(&output)["memory"].is_null());
        }
        assert_code(&folder.run(&["--config", "nonesuch.toml"], b""), 78);
    }

    #[test]
    fn strict_makes_warnings_failures() {
        let folder = usual();
        let text = config("127.0.0.1:0", "http://127.0.0.1:9");
        folder.write("gateway.toml", text.replace("env = \"KEY\"", "value = \"0123456789abcdef\""));
        assert_code(&folder.run(&["check"], b""), 0);
        assert_code(&folder.run(&["check", "--strict"], b""), 78);
        let output = folder.run(&["check", "--strict", "--json"], b"");
        assert_code(&output, 78);
        assert_eq!(json(&output)["ok"], false);
    }
}

/// A running gateway.
fn gateway(folder: &Folder) -> (Running, SocketAddr) {
    let mut running = Running::start(hookgate(&["run"]).current_dir(folder.path()));
    let line = running.wait_for("listening");
    (running, address_in(&line))
}

/// A request with an incomplete body. The gateway is already serving it.
fn half_a_request(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /webhook/leads HTTP/1.1\r\nhost: {address}\r\npropify-signature: {FIXTURE_TAG}\r\n\
         content-length: 5\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

mod run {
    use super::*;

    #[test]
    fn a_signal_ends_it_well() {
        for signal in ["-TERM", "-INT"] {
            let (mut running, address) = gateway(&usual());
            assert!(TcpStream::connect(address).is_ok());
            running.signal(signal);
            assert_eq!(running.ended(), Some(0), "{}", running.seen);
            assert!(running.seen.contains("drained"), "{}", running.seen);
        }
    }

    #[test]
    fn what_is_under_way_is_finished_first() {
        let (mut running, address) = gateway(&usual());
        let mut stream = half_a_request(address);
        running.signal("-TERM");
        running.wait_for("draining");
        stream.write_all(b"{   }").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("signature_mismatch"), "{answer}");
        assert_eq!(running.ended(), Some(0), "{}", running.seen);
    }

    #[test]
    fn a_second_signal_ends_it_at_once() {
        for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
            let (mut running, address) = gateway(&usual());
            let _stream = half_a_request(address);
            running.signal("-TERM");
            running.wait_for("draining");
            running.signal(signal);
            assert_eq!(running.ended(), Some(code), "{}", running.seen);
        }
    }

    #[test]
    fn a_second_signal_removes_the_file_of_a_unix_socket() {
        let folder = usual();
        let socket = folder.path().join("events.sock");
        let listen = format!("unix:{}\"\nworkers = 2\ndrain_delay = \"60s", socket.display());
        folder.write("gateway.toml", config(&listen, "http://127.0.0.1:9"));
        let mut running = Running::start(hookgate(&["run"]).current_dir(folder.path()));
        running.wait_for("listening");
        assert!(socket.exists());
        running.signal("-TERM");
        running.wait_for("not ready");
        running.signal("-TERM");
        assert_eq!(running.ended(), Some(143), "{}", running.seen);
        assert!(!socket.exists());
    }

    #[test]
    fn a_hangup_does_not_end_it() {
        let (mut running, address) = gateway(&usual());
        running.signal("-HUP");
        running.wait_for("reloaded");
        assert!(TcpStream::connect(address).is_ok());
        running.signal("-TERM");
        assert_eq!(running.ended(), Some(0), "{}", running.seen);
    }

    /// Each gateway binds its sockets with `SO_REUSEPORT`, but only for its own workers.
    #[test]
    fn two_gateways_do_not_share_an_address() {
        let (mut running, address) = gateway(&usual());
        let second = Folder::new(&config(&address.to_string(), "http://127.0.0.1:9"));
        let output = second.run(&["run"], b"");
        assert_code(&output, 1);
        assert!(err(&output).contains(&address.to_string()), "{}", err(&output));
        running.signal("-TERM");
        assert_eq!(running.ended(), Some(0), "{}", running.seen);
    }

    #[test]
    fn an_address_that_is_taken_says_which_and_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let output = Folder::new(&config(&address, "http://127.0.0.1:9")).run(&["run"], b"");
        assert_code(&output, 1);
        for says in [&address, "in use", "another `listen`"] {
            assert!(err(&output).contains(says), "{}", err(&output));
        }
    }
}

/// Answers one request with these bytes. Returns the request.
fn answers_once(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut stream = accepted(&listener);
        let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&received);
            let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                body.len() >= length.map_or(0, |length| length.parse().unwrap())
            });
            if whole {
                break;
            }
            let n = stream.read(&mut chunk).unwrap();
            assert_ne!(n, 0, "{text}");
            received.extend_from_slice(&chunk[..n]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(received).unwrap()
    });
    (address, thread)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/problem+json\r\n\
                       content-length: 31\r\n\r\n{\"reason\":\"signature_mismatch\"}";

mod send {
    use super::*;

    fn to(address: SocketAddr, args: &[&str]) -> Output {
        let url = format!("http://{address}");
        let args = [&["send", "/webhook/leases", "--url", &url], args, &KEYED].concat();
        run(&args, FIXTURE.as_bytes())
    }

    #[test]
    fn an_event_is_sent_as_a_sender_sends_it() {
        let (address, received) = answers_once(OK);
        let output = to(address, &["--header", "x-mine: a", "--header", "x-mine: b"]);
        assert_code(&output, 0);
        assert!(
            out(&output).contains("HTTP/1.1 200 OK") && out(&output).contains("answered with 200 OK"),
            "{}",
            out(&output)
        );
        let received = joined(received);
        let (head, body) = received.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /webhook/leases HTTP/1.1\r\n"), "{head}");
        for line in [
            format!("host: {address}"),
            format!("propify-signature: {FIXTURE_TAG}"),
            "content-type: application/json".into(),
            "content-length: 162".into(),
            "x-mine: a".into(),
            "x-mine: b".into(),
        ] {
            assert_eq!(head.lines().filter(|l| *l == line).count(), 1, "{line}\n{head}");
        }
        assert_eq!(body, FIXTURE);
    }

    #[test]
    fn the_answer_is_shown_with_all_its_fields() {
        let answer = "HTTP/1.1 200 OK\r\nX-Request-ID: a\r\nx-lower: b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        for json in [&["--json"][..], &[]] {
            let (address, received) = answers_once(answer);
            let output = to(address, json);
            assert_code(&output, 0);
            for name in ["x-request-id", "x-lower", "content-length"] {
                assert!(out(&output).contains(name), "{name}\n{}", out(&output));
            }
            joined(received);
        }
    }

    #[test]
    fn what_came_of_it_is_the_exit_code() {
        for (args, answer, code, says) in [
            (&[][..], OK, 0, "whether a gateway verified it is not known"),
            (&["--body", "-"], OK, 0, "answered with 200"),
            (&[], REFUSED, 1, "the gateway has another secret"),
            (&["--forge", "tampered"], REFUSED, 0, "stopped"),
            (&["--forge", "wrong-secret"], REFUSED, 0, "stopped"),
            (&["--forge", "missing"], REFUSED, 1, "not as signature_missing"),
            (&["--forge", "tampered"], OK, 1, "not stopped"),
        ] {
            let (address, received) = answers_once(answer);
            let output = to(address, args);
            assert_code(&output, code);
            assert!(out(&output).contains(says), "{args:?}\n{}", out(&output));
            let body = joined(received);
            let tampered = args.contains(&"tampered");
            assert_eq!(body.ends_with(FIXTURE), !tampered, "{body}");
        }
    }

    #[test]
    fn a_program_reads_json() {
        let (address, received) = answers_once(REFUSED);
        let output = to(address, &["--forge", "tampered", "--json"]);
        assert_code(&output, 0);
        let document = json(&output);
        assert_eq!((&document["ok"], &document["status"]), (&true.into(), &401.into()));
        assert_eq!(document["reason"], "signature_mismatch");
        joined(received);
    }

    #[test]
    fn where_nobody_listens_it_says_how_to_start_a_gateway() {
        let reserved = Reserved::new();
        let closed = reserved.address();
        let output = to(closed, &[]);
        assert_code(&output, 1);
        assert!(err(&output).contains(&format!("no gateway listens at {closed}")), "{}", err(&output));
        assert!(err(&output).contains("hookgate run"), "{}", err(&output));
    }

    #[test]
    fn a_path_that_no_route_takes_is_wrong_usage() {
        let folder = usual();
        for (path, says) in
            [("/nonesuch", "/webhook/leads"), ("webhook/leads", "no path"), ("/a#b", "no path")]
        {
            let output = folder.run(&["send", path], b"");
            assert_code(&output, 2);
            assert!(err(&output).contains(says), "{}", err(&output));
        }
    }

    /// The test covers the whole path: sender, gateway, app.
    #[test]
    fn through_a_gateway_good_events_arrive_and_forged_ones_do_not() {
        for (path, model) in [("/webhook/leads", "leads"), ("/webhook/jobs", "jobs")] {
            let (app, received) = answers_once(OK);
            let folder = Folder::new(&config("127.0.0.1:0", &format!("http://{app}")));
            let (mut running, address) = gateway(&folder);
            let url = format!("http://{address}");
            for forgery in ["missing", "malformed", "tampered", "wrong-secret", "duplicate"] {
                let output = folder.run(&["send", path, "--url", &url, "--forge", forgery], b"");
                assert_code(&output, 0);
                assert!(out(&output).contains("stopped, as it must be"), "{}", out(&output));
            }
            // The app answers only one request, so this must be the first request that reaches it.
            let output = folder.run(&["send", path, "--url", &url, "--secret", "previous"], b"");
            assert_code(&output, 0);
            let received = joined(received);
            assert!(received.contains(&format!("\"object\":\"{model}\"")), "{received}");
            running.signal("-TERM");
            assert_eq!(running.ended(), Some(0), "{}", running.seen);
        }
    }

    /// The tests in `presets` cover every sender.
    #[test]
    fn a_scheme_that_signs_more_than_the_body_can_be_tried_with_good_and_with_forged_events() {
        let usual = ["missing", "malformed", "tampered", "wrong-secret", "duplicate"];
        let timed = [&usual[..], &["expired"]].concat();
        for (scheme, forgeries) in [("stripe", &timed[..]), ("square", &usual)] {
            let (app, received) = answers_once(OK);
            let folder = Folder::new(&format!(
                r#"
                [server]
                listen = "127.0.0.1:0"
                [[routes]]
                path = "/hook"
                upstream = "http://{app}"
                public_url = "https://hooks.example.com"
                signature = {{ scheme = "{scheme}", secrets = [{{ env = "STRONG" }}] }}
                "#
            ));
            let (mut running, address) = gateway(&folder);
            let url = format!("http://{address}");
            for forgery in forgeries {
                let output = folder.run(&["send", "/hook?a=b", "--url", &url, "--forge", forgery], b"");
                assert_code(&output, 0);
                assert!(
                    out(&output).contains("stopped, as it must be"),
                    "{scheme} {forgery}: {}",
                    out(&output)
                );
            }
            assert_code(&folder.run(&["send", "/hook?a=b", "--url", &url], b""), 0);
            assert!(joined(received).starts_with("POST /hook?a=b "), "{scheme}");
            running.signal("-TERM");
            assert_eq!(running.ended(), Some(0), "{}", running.seen);
        }
        let args = ["send", "/webhook/leads", "--url", "http://127.0.0.1:9", "--forge", "expired"];
        let output = super::usual().run(&args, b"");
        assert_code(&output, 2);
        assert!(err(&output).contains("no time that could expire"), "{}", err(&output));
    }
}

mod demo {
    use super::*;

    #[test]
    fn where_the_usual_port_is_taken_it_takes_another() {
        // The port is taken: by this listener, or by another process.
        let _taken = TcpListener::bind("127.0.0.1:8080");
        let output = run(&["demo", "--once"], b"");
        assert_code(&output, 0);
        assert!(!out(&output).contains("http://127.0.0.1:8080"), "{}", out(&output));
    }

    #[test]
    fn it_shows_a_signed_event_arriving_and_a_forged_one_stopped() {
        let output = run(&["demo", "--once"], b"");
        assert_code(&output, 0);
        let text = out(&output);
        for says in [
            "a signed event: 200",
            "the very same bytes",
            "a forged event: 401  signature_mismatch",
            "nothing",
        ] {
            assert!(text.contains(says), "{text}");
        }
        assert_eq!(
            text.matches("df9617445c3d87edd0f17adde1b640ddefbe6239dba89fec5c428a24719364f8").count(),
            2,
            "{text}"
        );
        assert_eq!(err(&output), "");
    }

    /// Runs the printed commands in a shell while the gateway serves.
    #[test]
    fn what_it_prints_to_paste_works() {
        let mut demo = Running::start(&mut hookgate(&["demo"]));
        demo.wait_for("Try it yourself");
        let mut script = String::new();
        let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
        let tools = has("curl") && has("openssl");
        loop {
            let line = demo.wait_for("");
            if line.starts_with("Serving until") {
                break;
            }
            let curl = line.contains("curl") || line.contains("openssl");
            if line.starts_with("  ") && (tools || !curl) {
                script.push_str(line.trim_start());
                script.push('\n');
            }
        }
        let output = run_command(Command::new("sh").args(["-ec", &script]), b"");
        assert_code(&output, 0);
        let statuses: Vec<_> = out(&output).lines().filter(|line| line.starts_with("HTTP/1.1")).collect();
        let (ok, refused) = ("HTTP/1.1 200 OK", "HTTP/1.1 401 Unauthorized");
        let want = [ok, refused, ok, refused];
        assert_eq!(statuses, want[if tools { 0 } else { 2 }..], "{}", out(&output));
        let line = demo.wait_for("POST /webhook/leases");
        assert!(line.contains("bytes"), "{line}");
        demo.signal("-INT");
        assert_eq!(demo.ended(), Some(0), "{}", demo.seen);
    }
}

/// After any typing or configuration error, neither the terminal nor the log shows a URL's credentials.
#[test]
fn no_credential_of_a_url_is_ever_printed() {
    let folder = Folder::new(
        r#"
[signature]
scheme = "propify"
secrets = [{ env = "STRONG" }]
[[routes]]
path = "/a"
upstream = "http://me:hunter2@app:3000"
[[routes]]
path = "/b"
public_url = "https://app/?token=hunter2"
upstream = "http://app:3000"
"#,
    );
    folder.write("broken.toml", "[[routes]]\npath = \"/a\"\nupstream = http://me:hunter2@app:3000\n");
    let url = "http://me:hunter2@127.0.0.1:1";
    let by_option = format!("--url={url}");
    for (args, code) in [
        (&["check"][..], 78),
        (&["check", "--json"], 78),
        (&["run"], 78),
        (&["check", "--config", "broken.toml"], 78),
        (&["check", "--json", "--config", "broken.toml"], 78),
        (&["--config", url, "check"], 78),
        (&["send", "/a", "--url", url], 2),
        (&["send", "/a", &by_option], 2),
        (&["send", url], 2),
        (&["send", "/a", "--method", url], 2),
        (&["doctor", "--bypass", url], 2),
        (&["doctor", "--bypass", "ftp://me:hunter2@app"], 2),
        (&["doctor", "--admin", "me:hunter2@app"], 2),
        (&["secrets", "--admin", url], 2),
        (&["sign", "--scheme", "twilio", "--secret-env", "STRONG", "--url", "http://me:hunter2@/"], 2),
        (&["sign", "--scheme", url, "--secret-env", "STRONG"], 2),
        (&["sign", "--scheme", "propify", "--secret-file", "http://me:hunter2@app/?hunter2"], 2),
        (&[url], 2),
    ] {
        let output = folder.run(args, b"{}");
        assert_code(&output, code);
        let all = format!("{}{}", out(&output), err(&output));
        assert!(!all.contains("hunter2"), "{args:?}\n{all}");
        assert!(!all.is_empty(), "{args:?}");
    }
    let told = folder.run(&["send", "/a", "--url", url], b"");
    assert!(err(&told).contains("'http://**********@127.0.0.1:1' for '--url"), "{}", err(&told));
}
