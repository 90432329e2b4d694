//! Pure. The responses of the layer: a refusal with its status and reason, and the answer to a challenge.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::gateway::reason::Reason;
use crate::gateway::rejection::Rejection;
use crate::gateway::reply::OwnReply;
use crate::signature::challenge::Answer;
use crate::signature::scheme;
use crate::verify::{Refused, Verifier};

/// Why the layer has refused a request. The response has it among its extensions, for the app's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request is not authentic.
    Signature(Refused),
    /// An app could take a field's name for the name of a field that the signature needs.
    Ambiguous,
    /// The content is over the limit.
    TooLarge,
    /// The content did not arrive in time.
    Late,
    /// The content broke off.
    Incomplete,
}

impl Refusal {
    /// The status code of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.rejection().status()
    }

    /// The word for the refusal, as the gateway has it in answers, log and metrics. `None` for
    /// [`Refusal::Ambiguous`].
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        self.rejection().reason().map(Reason::as_str)
    }

    fn rejection(self) -> Rejection {
        match self {
            Self::Signature(refused) => refused.into(),
            Self::Ambiguous => Rejection::Ambiguous(""),
            Self::TooLarge => Rejection::BodyTooLarge { declared: None, most: 0 },
            Self::Late => Rejection::BodyTimeout,
            Self::Incomplete => Rejection::BodyIncomplete,
        }
    }

    /// The response, as the gateway answers: problem details (RFC 9457), or nothing where the sender demands
    /// it.
    pub(super) fn response(self, verifier: &Verifier) -> Response<Full<Bytes>> {
        let (authentication, manner): (_, scheme::Refusal) = verifier.manners();
        let mut response = response(OwnReply::refusal(&self.rejection(), manner, authentication));
        response.extensions_mut().insert(self);
        response
    }
}

/// The response to a challenge, as the gateway answers.
pub(super) fn to_challenge(answer: Answer) -> Response<Full<Bytes>> {
    response(OwnReply::to_challenge(answer))
}

fn response(OwnReply { status, fields, content, after: _ }: OwnReply) -> Response<Full<Bytes>> {
    let content = match content {
        Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    };
    let mut response = Response::new(Full::new(content));
    *response.status_mut() = status;
    response.headers_mut().extend(fields.into_iter().flatten());
    response
}
