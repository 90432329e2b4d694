//! Shell. Receives and checks one request.

use std::pin::pin;
use std::time::SystemTime;

use bytes::Buf as _;
use http::request::Parts;
use http::uri::PathAndQuery;
use http_body::Body;
use http_body_util::BodyExt as _;

use super::refusal::Refusal;
use super::settings::Settings;
use crate::signature::challenge::Answer;
use crate::signature::{Context, Fields, Signable, Stepped};
use crate::verify::{Proof, Refused, Verifier};

/// How many bytes are hashed before other tasks may run, when a further secret is tried.
const PIECE: usize = 64 * 1024;

/// A request that is not refused.
#[expect(clippy::large_enum_variant, reason = "there is one for each request, and it is taken apart at once")]
pub(super) enum Checked {
    /// The service gets it.
    Authentic(Proof, Parts),
    /// The layer answers it.
    Challenge(Answer),
}

/// Checks a request. The claim is read before the content.
pub(super) async fn check<B: Body>(
    verifier: &Verifier,
    settings: &Settings,
    head: Parts,
    body: B,
) -> Result<Checked, Refusal> {
    let Settings { limits, challenges } = settings;
    if verifier.guarded().has_lookalike(head.headers.keys().map(|name| name.as_str().as_bytes()), true) {
        return Err(Refusal::Ambiguous);
    }
    let (head, now) = (Head(head), SystemTime::now());
    if let Some(answer) = challenges.answer_unsigned(verifier.inner(), &context(&head, now), &body) {
        return Ok(Checked::Challenge(answer));
    }
    let mut verification = match verifier.begin(head, now) {
        Ok(verification) => verification,
        Err((refused, head)) => {
            let answer = set_up(verifier, settings, &head, now, body).await;
            return answer.map(Checked::Challenge).ok_or(Refusal::Signature(refused));
        }
    };
    let received = receive(body, limits.body, |piece| verification.push(piece));
    tokio::time::timeout(limits.time, received).await.map_err(|_elapsed| Refusal::Late)??;
    let mut check = verification.complete();
    while check.step(PIECE) == Stepped::More {
        tokio::task::yield_now().await;
    }
    let authentic = check.finish().map_err(|mismatch| Refused::of_content(mismatch.why));
    let authentic = authentic.map_err(Refusal::Signature)?;
    if let Some(answer) = challenges.answer(&authentic) {
        return Ok(Checked::Challenge(answer));
    }
    let (proof, Head(head)) = verifier.proof(authentic);
    Ok(Checked::Authentic(proof, head))
}

/// The answer to an unsigned request, if it is a set-up request of the scheme.
async fn set_up<B: Body>(
    verifier: &Verifier,
    Settings { limits, challenges }: &Settings,
    head: &Head,
    now: SystemTime,
    body: B,
) -> Option<Answer> {
    let context = context(head, now);
    let most = challenges.set_up_limit(verifier.inner(), &context)?.min(limits.body);
    let mut content = Vec::new();
    let received = receive(body, most, |piece| content.extend_from_slice(piece));
    tokio::time::timeout(limits.time, received).await.ok()?.ok()?;
    verifier.inner().all().find_map(|one| one.answer_set_up(&context, &content))
}

/// A head for the search of challenges, without an origin: no challenge depends on the origin.
fn context(head: &Head, now: SystemTime) -> Context<'_, Head> {
    Context { method: head.method(), target: head.target(), origin: None, fields: head, now }
}

/// Receives the content, piece by piece. It has at most `most` bytes.
async fn receive<B: Body>(body: B, most: usize, mut take: impl FnMut(&[u8])) -> Result<(), Refusal> {
    let mut body = pin!(body);
    let mut length = 0_usize;
    if usize::try_from(body.size_hint().lower()).map_or(true, |declared| declared > most) {
        return Err(Refusal::TooLarge);
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken_off| Refusal::Incomplete)?;
        // Trailers are not signed, so they are dropped.
        let Ok(mut data) = frame.into_data() else { continue };
        length = length.saturating_add(data.remaining());
        if length > most {
            return Err(Refusal::TooLarge);
        }
        while data.has_remaining() {
            let piece = data.chunk();
            take(piece);
            let taken = piece.len();
            data.advance(taken);
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
