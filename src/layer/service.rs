//! Shell. The service that the layer makes.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{Either, Full};
use tower_service::Service;

use super::receive::{Checked, check};
use super::refusal::to_challenge;
use super::settings::Settings;
use crate::verify::Verifier;

/// A service that only authentic requests reach. [`VerifyLayer`](super::VerifyLayer) makes it.
///
/// The inner service gets the content in one piece, as [`Full<Bytes>`], and a [`Proof`](crate::verify::Proof)
/// among the extensions.
#[derive(Clone, Debug)]
pub struct Verify<S> {
    inner: S,
    verifier: Verifier,
    settings: Settings,
}

impl<S> Verify<S> {
    pub(super) fn new(inner: S, verifier: Verifier, settings: Settings) -> Self {
        Self { inner, verifier, settings }
    }
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Either<R, Full<Bytes>>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    /// Always ready. The layer asks the inner service for readiness only for an authentic request, so other
    /// requests take none of its capacity.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { mut inner, verifier, settings } = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let (proof, head) = match check(&verifier, &settings, head, body).await {
                Ok(Checked::Authentic(proof, head)) => (proof, head),
                Ok(Checked::Challenge(answer)) => return Ok(to_challenge(answer).map(Either::Right)),
                Err(refusal) => return Ok(refusal.response(&verifier).map(Either::Right)),
            };
            let mut request = Request::from_parts(head, Full::new(proof.content().clone()));
            request.extensions_mut().insert(proof);
            poll_fn(|cx| inner.poll_ready(cx)).await?;
            Ok(inner.call(request).await?.map(Either::Left))
        })
    }
}
