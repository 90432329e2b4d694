//! The details of refusals in the log: they name what came, what is allowed, and which key to change.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::process::{Running, address_in};
use crate::support::{Client, SECRET, post};

/// Sends each request over a connection of its own. Returns the status and the lines of the log.
fn refused(requests: &[Vec<u8>]) -> Vec<(u16, Value)> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[log]\nformat = \"json\"\ndiagnose = false\n\
         [signature]\nscheme = \"propify\"\nsecrets = [{{ value = \"{SECRET}\" }}]\n\
         [[routes]]\npath = \"/webhook/leases\"\nmethods = [\"POST\", \"PUT\"]\nmax_body = \"1KiB\"\n\
         upstream = \"http://127.0.0.1:9\"\n"
    );
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.current_dir(folder.path()).stdin(Stdio::null());
    let mut running = Running::start(&mut command);
    let address = address_in(&running.wait_for("\"listening\""));
    let statuses: Vec<u16> =
        requests.iter().map(|bytes| Client::connect(address).send(bytes).response().status).collect();
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    let lines = running.seen.lines().filter(|line| line.contains("\"message\":\"request\""));
    statuses.into_iter().zip(lines.map(|line| serde_json::from_str(line).unwrap())).collect()
}

#[test]
fn a_refusal_says_what_came_what_is_allowed_and_which_key_to_change() {
    let head = |line: &str, fields: &str| format!("{line}\r\nhost: a\r\n{fields}\r\n").into_bytes();
    let long = "x".repeat(1025);
    let cases: [(Vec<u8>, u16, &[&str]); 11] = [
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), 400, &["TLS", "[tls] listen"]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505, &["HTTP/2", "h2c"]),
        (
            [b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 80\r\n", head("POST / HTTP/1.1", "").as_slice()].concat(),
            400,
            &["PROXY", "proxy_protocol"],
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0\x50\0\x50".to_vec(),
            400,
            &["PROXY", "proxy_protocol"],
        ),
        (head("POST /webhook/leases now HTTP/1.1", ""), 400, &["%20"]),
        (head("POST /webhook/leases/ HTTP/1.1", ""), 404, &["without the slash"]),
        (head("POST /elsewhere HTTP/1.1", ""), 404, &["`path`", "hookgate check"]),
        (head("GET /webhook/leases HTTP/1.1", ""), 405, &["`methods` allow POST, PUT"]),
        (post(&long).bytes(), 413, &["1025 bytes", "`max_body` allows 1024"]),
        (head("POST /webhook/leases HTTP/1.1", "transfer-encoding: gzip\r\n"), 501, &["chunked"]),
        (head("POST /webhook/leases HTTP/1.1", "expect: a-reply\r\n"), 417, &["100-continue"]),
    ];
    let requests: Vec<_> = cases.iter().map(|(bytes, ..)| bytes.clone()).collect();
    let answers = refused(&requests);
    assert_eq!(answers.len(), cases.len());
    for ((bytes, status, words), (answer, line)) in cases.iter().zip(answers) {
        let (shown, detail) = (String::from_utf8_lossy(bytes), line["detail"].as_str().unwrap_or_default());
        assert_eq!((answer, line["status"].as_u64()), (*status, Some(u64::from(*status))), "{shown}");
        assert_eq!(line["level"], "INFO", "{shown}");
        assert!(words.iter().all(|word| detail.contains(word)) && detail.len() < 200, "{shown}: {detail}");
    }
}
