//! A connection in memory, with time under control.

use std::io::{Read as _, Write as _};
use std::num::NonZeroUsize;
use std::time::SystemTime;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::*;
use crate::config::environment::Fixed;
use crate::peer::Peer;
use crate::server::control::Control;
use crate::server::crowd::Crowd;

fn worker() -> Rc<Worker> {
    worker_before("127.0.0.1:9")
}

/// A worker whose one route forwards, signed or not.
fn worker_before(upstream: &str) -> Rc<Worker> {
    let text = &format!(
        r#"
        signature = {{ scheme = "propify", secrets = [{{ env = "KEY" }}] }}
        routes = [{{ path = "/w", upstream = "http://{upstream}", mode = "observe" }}]
    "#
    );
    let environment = Fixed::new(NonZeroUsize::MIN).with_variable("KEY", "a secret that is long enough");
    let config =
        crate::config::read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH).unwrap().config;
    Worker::new(Control::new(&config, crate::counsel::desk().0).unwrap(), Crowd::new(10, 1), 1)
}

/// A client that pipelines requests and never reads may make the gateway hold a response or two, not a buffer full.
#[tokio::test(start_paused = true)]
async fn no_request_is_taken_from_a_client_that_does_not_take_its_answers() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let (mut client, gateway) = tokio::io::duplex(512);
            let serve = serve(worker(), gateway, Peer::Unix, CancellationToken::new());
            let served = tokio::task::spawn_local(serve);
            let request = format!("POST /no HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(960));
            let requests = request.repeat(64);
            let mut taken = 0;
            while let Some(rest) = requests.as_bytes().get(taken..)
                && let Ok(sent) = timeout(Duration::from_secs(1), client.write(rest)).await
            {
                taken += sent.unwrap();
                assert!(taken < requests.len(), "all of the requests were taken");
            }
            assert!(taken < 16 * 1024, "{taken} bytes of requests were taken");
            // When it reads again, so does the gateway.
            let mut answers = [0; 512];
            client.read_exact(&mut answers).await.unwrap();
            let rest = &requests.as_bytes()[taken..];
            let sent = timeout(Duration::from_secs(1), client.write(rest)).await;
            assert!(sent.is_ok_and(|sent| sent.is_ok_and(|sent| sent > 0)));
            drop(client);
            served.await.unwrap();
        })
        .await;
}

/// Reads a response that has content.
async fn response(client: &mut DuplexStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"}\n") {
        text.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Waiting {
    ForTheFirstByte,
    ForTheRestOfAHead,
    ForContent,
    BehindAnAnswer,
    AtRest,
    ForTheClientToRead,
}

/// A drain ends a connection whatever it waits for, and long before the limits on that would.
#[tokio::test(start_paused = true)]
async fn a_drain_is_heard_in_every_state() {
    use Waiting::*;
    for state in [ForTheFirstByte, ForTheRestOfAHead, ForContent, BehindAnAnswer, AtRest, ForTheClientToRead]
    {
        let run = async {
            let (mut client, gateway) = tokio::io::duplex(4096);
            let drain = CancellationToken::new();
            let served = tokio::task::spawn_local(serve(worker(), gateway, Peer::Unix, drain.clone()));
            let request = b"POST /no HTTP/1.1\r\nhost: a\r\n\r\n";
            match state {
                ForTheFirstByte => {}
                ForTheRestOfAHead => client.write_all(&request[..9]).await.unwrap(),
                ForContent => {
                    let head = b"POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nsome";
                    client.write_all(head).await.unwrap();
                }
                BehindAnAnswer | AtRest => {
                    client.write_all(request).await.unwrap();
                    assert!(!response(&mut client).await.contains("connection: close"));
                }
                ForTheClientToRead => {
                    let many = request.repeat(1000);
                    assert!(timeout(Duration::from_secs(1), client.write_all(&many)).await.is_err());
                }
            }
            let settle = if state == AtRest { Duration::from_secs(3) } else { Duration::from_millis(1) };
            let _passed = timeout(settle, std::future::pending::<()>()).await;
            let begin = tokio::time::Instant::now();
            drain.cancel();
            if state == ForContent {
                client.write_all(b" more").await.unwrap();
            }
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            let rest = String::from_utf8(rest).unwrap();
            match state {
                ForTheFirstByte | BehindAnAnswer | AtRest => assert_eq!(rest, "", "{state:?}"),
                ForTheRestOfAHead | ForContent | ForTheClientToRead => {
                    let last = rest.rsplit("HTTP/1.1 ").next().unwrap();
                    assert!(last.contains("connection: close") && last.ends_with("}\n"), "{state:?}: {rest}");
                }
            }
            drop(client);
            served.await.unwrap();
            assert!(begin.elapsed() <= Duration::from_secs(2), "{state:?}: {:?}", begin.elapsed());
        };
        LocalSet::new().run_until(run).await;
    }
}

/// Heads go through whatever the client takes at once, each with the spelling of its own upstream's answer.
#[tokio::test]
async fn an_answer_is_spelled_right_though_it_is_written_byte_by_byte() {
    let answer = |n: usize| {
        let name = if n == 0 { "X-ONE" } else { "X-One" };
        let pad = "v".repeat(3000 * n);
        format!("HTTP/1.1 200 OK\r\n{name}: {n}{pad}\r\nContent-Length: 4\r\n\r\nX-A:")
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let worker = worker_before(&listener.local_addr().unwrap().to_string());
    let upstream = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for n in 0..3 {
            let mut text = Vec::new();
            let mut byte = [0];
            while !text.ends_with(b"hi") {
                stream.read_exact(&mut byte).unwrap();
                text.push(byte[0]);
            }
            stream.write_all(answer(n).as_bytes()).unwrap();
        }
    });
    let run = async {
        let (client, gateway) = tokio::io::duplex(1);
        let (mut reading, mut writing) = tokio::io::split(client);
        let served = tokio::task::spawn_local(serve(worker, gateway, Peer::Unix, CancellationToken::new()));
        let sent = tokio::task::spawn_local(async move {
            let request = b"POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
            writing.write_all(&request.repeat(3)).await.unwrap();
            writing
        });
        let want: String = (0..3).map(answer).collect();
        let mut got = vec![0; want.len()];
        timeout(Duration::from_secs(30), reading.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), want);
        drop((reading, sent.await.unwrap()));
        served.await.unwrap();
    };
    LocalSet::new().run_until(run).await;
    upstream.join().unwrap();
}
