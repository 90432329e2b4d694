//! An axum app that checks GitHub's webhooks itself, without a gateway in front of it.
//!
//! ```sh
//! GITHUB_WEBHOOK_SECRET=... cargo run --example embedded
//! ```

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::http::StatusCode;
use axum::routing::{get, post};
use hookgate::layer::VerifyLayer;
use hookgate::verify::{Proof, Scheme, Secret, Verifier};

fn main() -> Result<(), Box<dyn Error>> {
    let secret = std::env::var("GITHUB_WEBHOOK_SECRET")?;
    let app = app(&secret)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
        Ok(axum::serve(listener, app).await?)
    })
}

/// Only the routes before `layer` are checked.
fn app(secret: &str) -> Result<Router, Box<dyn Error>> {
    let verifier = Verifier::new(&Scheme::named("github")?, [Secret::new("current", secret)])?;
    let check = VerifyLayer::new(verifier).body_limit(5 << 20).time_limit(Duration::from_secs(10));
    Ok(Router::new().route("/hooks/github", post(event)).layer(check).route("/", get(async || "up")))
}

/// The proof has the bytes that were checked. No request without a proof comes here.
async fn event(Extension(proof): Extension<Proof>) -> Result<String, StatusCode> {
    let text = std::str::from_utf8(proof.content()).map_err(|_not_utf8| StatusCode::BAD_REQUEST)?;
    Ok(format!("{} characters, signed with `{}`\n", text.chars().count(), proof.secret()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use super::app;

    /// The published example of GitHub's documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    /// Starts the app. It ends with the process.
    fn start() -> SocketAddr {
        let app = app(SECRET).expect("an app");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket for tokio");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, app).await
            })
        });
        address
    }

    /// The status line and the content of the answer.
    fn answer(app: SocketAddr, request: &str) -> (String, String) {
        let mut connection = TcpStream::connect(app).expect("a connection");
        connection.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        connection.write_all(request.as_bytes()).expect("the request is written");
        let mut text = String::new();
        connection.read_to_string(&mut text).expect("an answer");
        let (head, content) = text.split_once("\r\n\r\n").expect("a head");
        (head.lines().next().unwrap_or_default().to_owned(), content.to_owned())
    }

    fn event(content: &str, signature: &str) -> String {
        let length = content.len();
        format!(
            "POST /hooks/github HTTP/1.1\r\nhost: app\r\nconnection: close\r\ncontent-length: {length}\r\n{signature}\r\n{content}"
        )
    }

    #[test]
    fn a_signed_event_is_handled_and_a_forged_one_is_refused() {
        let app = start();
        let signed = format!("x-hub-signature-256: {SIGNATURE}\r\n");
        let (status, content) = answer(app, &event("Hello, World!", &signed));
        assert_eq!((&*status, &*content), ("HTTP/1.1 200 OK", "13 characters, signed with `current`\n"));

        let (status, content) = answer(app, &event("Hello, World?", &signed));
        assert_eq!(status, "HTTP/1.1 401 Unauthorized");
        assert!(content.contains("\"reason\":\"signature_mismatch\""), "{content}");

        let (status, content) = answer(app, &event("Hello, World!", ""));
        assert_eq!(status, "HTTP/1.1 401 Unauthorized");
        assert!(content.contains("\"reason\":\"signature_missing\""), "{content}");

        let (status, content) = answer(app, "GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n");
        assert_eq!((&*status, &*content), ("HTTP/1.1 200 OK", "up"));
    }
}
