//! Shell. Forwarding: a verified request to its upstream, unchanged, and the response back.
//!
//! Nothing comes in here but a [`Deliverable`], which only `signature` can make.

pub mod dial;
pub mod error;
pub mod fields;
pub mod link;
pub mod origin;
pub mod pool;
pub mod relay;
pub mod request;
pub mod response;

use std::rc::Rc;

use bytes::Bytes;
use http::header::HeaderName;
use tokio::time::Instant;

use crate::peer::Peer;
use crate::server::head::RequestHead;
use crate::server::limit::Share;
use crate::signature::Deliverable;
use error::{Breach, ForwardError};
use link::{Link, Outgoing, Unanswered};
use pool::Pool;
use relay::Relay;
use request::{Circumstances, Manner, compose};
use response::{Asked, ResponseHead};

/// An upstream's response.
#[derive(Debug)]
pub struct Response {
    /// Its head.
    pub head: ResponseHead,
    /// Its content.
    pub content: Content,
    /// When its head had come.
    pub at: Instant,
    /// Whether bytes came behind it, as far as is known yet.
    pub has_surplus: bool,
}

/// The content of a response.
#[derive(Debug)]
pub enum Content {
    /// All of it is there.
    Whole(Bytes),
    /// It is still coming.
    Coming(Box<Relay>),
}

/// Forwards a request, and gives back the upstream's response as soon as its fields are there.
///
/// `share` is the request's part of the buffer budget; it is given back when the content is really freed. `now` is when the
/// time that the upstream has begins. The request's head is of no more use when this returns: the upstream's has been made of
/// it, and so no request waits for its upstream with two of them.
///
/// # Errors
/// [`ForwardError`]. The request is sent again only where no byte of it can have reached the upstream.
pub fn deliver<'p>(
    pool: &'p Rc<Pool>,
    manner: &'p Manner,
    peer: Peer,
    deliverable: Deliverable<'_, RequestHead>,
    share: Share,
    now: Instant,
) -> impl Future<Output = Result<Response, ForwardError>> + use<'p> {
    let upstream = pool.upstream();
    let (length, origin) = (deliverable.content().len(), &upstream.origin);
    let circumstances = Circumstances { peer, length, secret: deliverable.secret(), origin };
    let head = compose(deliverable.head(), manner, &circumstances);
    let (request, content) = deliverable.into_parts();
    let request = Outgoing::new(head, content, share, Asked::by(request.method()));
    exchange(pool, &manner.kept, request, now)
}

async fn exchange(
    pool: &Rc<Pool>,
    kept: &[HeaderName],
    mut request: Box<Outgoing>,
    now: Instant,
) -> Result<Response, ForwardError> {
    let mut idle = pool.take(now);
    loop {
        let (mut link, is_fresh, now) = match idle {
            Some(link) => (link, false, now),
            None => (pool.connect().await?, true, Instant::now()),
        };
        match link.send(request, kept, now, pool.upstream().response_timeout).await {
            Ok(head) => {
                let at = Instant::now();
                return Ok(arrived(head, link, pool, at));
            }
            Err(Unanswered::Unsent(unsent)) if !is_fresh => request = unsent,
            Err(Unanswered::Unsent(_)) => return Err(ForwardError::Broken(Breach::Closed)),
            Err(Unanswered::Failed(error)) => return Err(error),
        }
        idle = pool.take(now);
    }
}

/// Most answers are short, and have come with their head.
fn arrived(head: ResponseHead, mut link: Box<Link>, pool: &Rc<Pool>, at: Instant) -> Response {
    let Some(whole) = link.take_whole() else {
        let patience = pool.upstream().response_timeout;
        let relay = Box::new(Relay::new(head.framing, link, Rc::clone(pool), patience));
        return Response { head, content: Content::Coming(relay), at, has_surplus: false };
    };
    let has_surplus = link.has_surplus();
    pool.take_back(link, at);
    Response { head, content: Content::Whole(whole), at, has_surplus }
}
