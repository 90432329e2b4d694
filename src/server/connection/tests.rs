//! A connection in memory, with time under control.

use std::num::NonZeroUsize;
use std::time::SystemTime;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::*;
use crate::config::environment::Fixed;
use crate::peer::Peer;
use crate::server::control::Control;
use crate::server::crowd::Crowd;

fn worker() -> Rc<Worker> {
    let text = r#"
        signature = { scheme = "propify", secrets = [{ env = "KEY" }] }
        routes = [{ path = "/w", upstream = "http://127.0.0.1:9" }]
    "#;
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
