//! Shell. The export of events: one JSON document on each line, the earliest event first. Each has the
//! event's head and content.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::info;

use super::events::Query;
use super::live_state::LiveState;
use super::refusal::Refusal;
use super::{Asking, MOST_EXPORTS, store, view};
use crate::admin::response_content::Content;
use crate::queue::handle::Queue;
use crate::queue::id::EventId;
use crate::queue::store::{Bounds, Filter};

/// How long an export may take. A client can request the rest with `after`.
const TIME_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long a client may take to read a line.
const STALL: Duration = Duration::from_secs(30);

/// How many ids one read returns.
const IDS_AT_ONCE: usize = 256;

/// The media type of JSON documents on lines.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/x-ndjson");

impl Asking<'_> {
    /// Exports the events that match a filter. Each event is sent when it is read.
    pub(super) fn export(&self, query: &str) -> Result<Response<Content>, Refusal> {
        let query = Query::read(query, &["after"])?;
        let filter = self.filter(&query.filter)?;
        // Events that arrive later are left out. Otherwise an export might never end.
        let until = filter.until.unwrap_or(u64::MAX).min(self.now.millis().saturating_add(1));
        let filter = Filter { until: Some(until), ..filter };
        let place = Arc::clone(&self.api.exports).try_acquire_owned().map_err(|_taken| {
            Refusal::unavailable(format!("{MOST_EXPORTS} exports are under way: try again"))
        })?;
        self.time_limit.extend(TIME_LIMIT);
        info!(who = %self.who, filter = %super::replay::shown(&filter), "events are exported");
        // The capacity is one line, because a line may be large.
        let (lines, content) = channel(1);
        let (queue, live) = (self.queue.clone(), Arc::new(self.live()));
        tokio::spawn(async move {
            let sent = send(&queue, &live, &filter, query.after, &lines).await;
            if let Err(refusal) = sent {
                // The error breaks off the answer, so it does not look complete.
                let _gone = timeout(STALL, lines.send(Err(io::Error::other(refusal.error)))).await;
            }
            ended(place);
        });
        let mut response = Response::new(Content::Pieces(content));
        response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// Gives the place of an ended export to the next export.
fn ended(place: OwnedSemaphorePermit) {
    drop(place);
}

async fn send(
    queue: &Queue,
    live: &Arc<LiveState>,
    filter: &Filter,
    mut after: Option<EventId>,
    lines: &Sender<io::Result<Bytes>>,
) -> Result<(), Refusal> {
    loop {
        let of_page = filter.clone();
        let bounds = Bounds::of(IDS_AT_ONCE);
        let page = store::read(queue, move |store| store.ids(&of_page, after, bounds)).await?;
        for id in page.found {
            let (reader, live) = (queue.clone(), Arc::clone(live));
            let line = spawn_blocking(move || {
                let found = reader.read_list(|store| store.detail(id))?;
                Ok(found.map(|event| format!("{}\n", view::exported(&event, &live))))
            });
            // An event that was removed in the meantime is left out.
            let Some(line) = store::found(line.await)? else { continue };
            match timeout(STALL, lines.send(Ok(line.into()))).await {
                Ok(Ok(())) => {}
                Ok(Err(_gone)) => return Ok(()),
                Err(_elapsed) => return Err(Refusal::unavailable("the client does not read")),
            }
        }
        if page.next.is_none() {
            return Ok(());
        }
        after = page.next;
    }
}
