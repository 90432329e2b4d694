//! Pure. The reply to a request, as a value; a front end writes it as bytes.

use std::borrow::Cow;

use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

use super::resources::{UpstreamContent, UpstreamResponse};
use crate::config::DeliveryOptions;
use crate::gateway::rejection::{PROBLEM_TYPE, Rejection};
use crate::queue::event::Receipt;
use crate::signature::challenge;
use crate::signature::scheme::{Acknowledgment, Authentication, Refusal};
use crate::telemetry::record::Record;
use crate::upstream::response::ResponseHead;

/// The reply to a request.
#[derive(Debug)]
pub enum Reply<B> {
    /// The refusal of a request.
    Refusal(RefusalReply),
    /// Another response that the gateway makes itself.
    Own(OwnReply),
    /// The upstream's response.
    Upstream {
        /// The head of the response.
        head: ResponseHead,
        /// The content of the response.
        content: UpstreamContent<B>,
    },
}

/// The answer to a request that is not refused.
pub(super) enum Served<B> {
    /// The upstream's response.
    Relayed(UpstreamResponse<B>),
    /// The gateway's own answer to an event that is stored, or that is a duplicate.
    Own(Acknowledgement),
    /// The gateway's own answer to a challenge.
    Challenge(challenge::Answer),
}

/// A response that the gateway makes itself.
#[derive(Debug)]
pub struct OwnReply {
    /// The status code.
    pub status: StatusCode,
    /// The fields, without `date` and without the fields that frame the response.
    pub fields: Fields,
    /// The content.
    pub content: Cow<'static, str>,
    /// Whether the connection stays open.
    pub after: After,
}

/// The refusal of a request, with all that its [`OwnReply`] depends on. Equal refusals have equal replies.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusalReply {
    rejection: Rejection,
    refusal: Refusal,
    authentication: Authentication,
}

impl RefusalReply {
    /// The refusal of a request on a route whose scheme has this manner and this authentication.
    pub(crate) fn new(rejection: Rejection, refusal: Refusal, authentication: Authentication) -> Self {
        Self { rejection, refusal, authentication }
    }

    /// Whether the connection must close, even if all of the request has been read.
    pub(crate) fn ends_connection(&self) -> bool {
        self.rejection.ends_connection()
    }

    /// The response.
    #[must_use]
    pub fn compose(&self) -> OwnReply {
        OwnReply::refusal(&self.rejection, self.refusal, self.authentication)
    }
}

/// The most fields that a response of the gateway's own has.
const MOST_FIELDS: usize = 1 + crate::signature::setup_request::MOST_FIELDS;

/// The fields of a response.
pub type Fields = [Option<(HeaderName, HeaderValue)>; MOST_FIELDS];

/// These fields as the fields of a response. Fields beyond [`MOST_FIELDS`] are dropped.
fn fields(all: impl IntoIterator<Item = Option<(HeaderName, HeaderValue)>>) -> Fields {
    let mut all = all.into_iter();
    std::array::from_fn(|_index| all.next().flatten())
}

/// Whether the connection stays open after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The connection can carry another request.
    KeepOpen,
    /// The connection must close, even if all of this request has been read.
    Close,
}

/// The gateway's own acknowledgement of an event. It is made from a receipt, or for a duplicate.
#[derive(Debug)]
pub struct Acknowledgement {
    /// The status code.
    pub(super) status: StatusCode,
    /// The content.
    pub(super) content: String,
}

impl Acknowledgement {
    /// The answer for an event that is on disk. `demanded` is the answer that the sender of the event
    /// demands.
    pub(super) fn of_receipt(
        receipt: &Receipt,
        delivery: &DeliveryOptions,
        demanded: Acknowledgment,
    ) -> Self {
        Self::new(delivery.ack_status.unwrap_or_else(|| demanded.status()), demanded, || {
            format!("{{\"id\":\"{}\",\"status\":\"queued\"}}\n", receipt.id())
        })
    }

    /// The answer for an event that was delivered or stored before.
    pub(super) fn of_duplicate(delivery: &DeliveryOptions, demanded: Acknowledgment) -> Self {
        let status = delivery.ack_status.unwrap_or(StatusCode::OK);
        Self::new(status, demanded, || "{\"status\":\"duplicate\"}\n".to_owned())
    }

    fn new(status: StatusCode, demanded: Acknowledgment, content: impl FnOnce() -> String) -> Self {
        let has_content = demanded.has_content() && status != StatusCode::NO_CONTENT;
        Self { status, content: if has_content { content() } else { String::new() } }
    }
}

impl OwnReply {
    /// Whether the connection must close, even if all of the request has been read.
    pub(crate) fn ends_connection(&self) -> bool {
        self.after == After::Close
    }

    /// The reply with an acknowledgement.
    pub(super) fn acknowledging(Acknowledgement { status, content }: Acknowledgement) -> Self {
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let fields = fields([(!content.is_empty()).then_some(json)]);
        Self { status, fields, content: content.into(), after: After::KeepOpen }
    }

    /// The reply to a challenge. `nosniff` keeps browsers from reading it as HTML, and caches do not store
    /// it.
    pub(crate) fn to_challenge(answer: challenge::Answer) -> Self {
        let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let fields = match answer.media_type {
            Some(media_type) => fields([
                Some((header::CONTENT_TYPE, HeaderValue::from_static(media_type))),
                Some((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))),
                Some(no_store),
            ]),
            None => fields(std::iter::once(no_store).chain(answer.fields).map(Some)),
        };
        Self { status: answer.status, fields, content: answer.content.into(), after: After::KeepOpen }
    }

    /// The reply to a request whose upstream has answered with a response that the client's version of HTTP
    /// cannot carry. Records this failure with `detail`.
    pub(crate) fn to_broken_exchange(record: &mut Record, detail: &str) -> Self {
        let rejection = Rejection::UpstreamFailed;
        record.refused = true;
        record.status = rejection.status().as_u16();
        record.reason = rejection.reason();
        record.detail = Some(detail.to_owned());
        Self::refusal(&rejection, Refusal::default(), Authentication::default())
    }

    /// The reply to a refused request: problem details (RFC 9457), and the field that its status code
    /// requires. If the sender demands it, the refusal of a signature has no content.
    pub(crate) fn refusal(rejection: &Rejection, refusal: Refusal, authentication: Authentication) -> Self {
        let status = rejection.status();
        let (media_type, content) = match refusal {
            Refusal::Empty if status == StatusCode::UNAUTHORIZED => (None, ""),
            Refusal::Problem | Refusal::Empty => {
                (Some(HeaderValue::from_static(PROBLEM_TYPE)), rejection.problem())
            }
        };
        let media_type = media_type.map(|value| (header::CONTENT_TYPE, value));
        Self {
            status,
            fields: fields([media_type, rejection.field(authentication)]),
            content: content.into(),
            after: if rejection.ends_connection() { After::Close } else { After::KeepOpen },
        }
    }
}
