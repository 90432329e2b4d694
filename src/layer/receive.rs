//! Shell. Receives and checks one request.

use std::pin::pin;
use std::time::SystemTime;

use bytes::Buf as _;
use http::request::Parts;
use http::uri::PathAndQuery;
use http_body::Body;
use http_body_util::BodyExt as _;

use super::limits::Limits;
use super::refusal::Refusal;
use crate::signature::{Fields, Signable, Stepped, Verification};
use crate::verify::{Proof, Refused, Verifier};

/// How many bytes are hashed before other tasks may run, when a further secret is tried.
const PIECE: usize = 64 * 1024;

/// Checks a request. Its content is not read before its claim is.
pub(super) async fn check<B: Body>(
    verifier: &Verifier,
    limits: Limits,
    head: Parts,
    body: B,
) -> Result<(Proof, Parts), Refusal> {
    if verifier.guarded().has_lookalike(head.headers.keys().map(|name| name.as_str().as_bytes()), true) {
        return Err(Refusal::Ambiguous);
    }
    let mut verification = verifier.begin(Head(head), SystemTime::now()).map_err(Refusal::Signature)?;
    let received = receive(body, limits.body, &mut verification);
    tokio::time::timeout(limits.time, received).await.map_err(|_elapsed| Refusal::Late)??;
    let mut check = verification.complete();
    while check.step(PIECE) == Stepped::More {
        tokio::task::yield_now().await;
    }
    let authentic = check.finish().map_err(|mismatch| Refused::of_content(mismatch.why));
    let (proof, Head(head)) = Proof::of(authentic.map_err(Refusal::Signature)?, verifier.scheme_name());
    Ok((proof, head))
}

async fn receive<B: Body>(
    body: B,
    most: usize,
    verification: &mut Verification<'_, Head>,
) -> Result<(), Refusal> {
    let mut body = pin!(body);
    if usize::try_from(body.size_hint().lower()).map_or(true, |declared| declared > most) {
        return Err(Refusal::TooLarge);
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken_off| Refusal::Incomplete)?;
        // Trailers are not signed, so they are dropped.
        let Ok(mut data) = frame.into_data() else { continue };
        if verification.len().saturating_add(data.remaining()) > most {
            return Err(Refusal::TooLarge);
        }
        while data.has_remaining() {
            let piece = data.chunk();
            verification.push(piece);
            let length = piece.len();
            data.advance(length);
        }
    }
    Ok(())
}

/// The head of a request.
struct Head(Parts);

impl Fields for Head {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        Fields::values(&self.0.headers, name)
    }
}

impl Signable for Head {
    fn method(&self) -> &str {
        self.0.method.as_str()
    }

    fn target(&self) -> &[u8] {
        self.0.uri.path_and_query().map_or("/", PathAndQuery::as_str).as_bytes()
    }
}
