//! Shell. Recent requests as server-sent events, as they end.
//!
//! A reader is asked nothing and is never waited for: the entries since the last batch are sent some times a second. A reader
//! that is too slow gets the latest entries, and the number of those that it missed.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::admin::response_content::Content;
use crate::telemetry::recent::Recent;
use crate::telemetry::recent::entry::Numbered;
use crate::telemetry::recent::filter::Filter;

/// The time between two batches.
const BATCH: Duration = Duration::from_millis(250);

/// The most entries in a batch.
const MOST_IN_BATCH: usize = 100;

/// After this time without an entry, a comment shows that the stream goes on.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a client may take to read a batch.
const STALL: Duration = Duration::from_secs(30);

/// How long a stream may last. Its client then asks for the rest. So a client that has gone unnoticed holds no place for ever.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The time limit of a connection with a stream.
pub(super) const TIME_LIMIT: Duration = LONGEST.saturating_add(STALL);

/// The media type of server-sent events (HTML, section 9.2).
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("text/event-stream");

/// What a client wants to follow.
#[derive(Debug, Default)]
pub(super) struct Following {
    pub(super) filter: Filter,
    /// The number of the last entry that the client knows.
    pub(super) after: Option<u64>,
    /// If the client knows no entry: how many entries of the past it wants.
    pub(super) past: usize,
}

/// Starts a stream, which holds its place until it ends. `document` writes an entry: its name and its data.
pub(super) fn start(
    recent: &Arc<Recent>,
    following: Following,
    place: OwnedSemaphorePermit,
    document: fn(&Numbered) -> (&'static str, Value),
) -> Response<Content> {
    // The capacity is one batch, because a batch may be large.
    let (pieces, content) = channel(1);
    let recent = Arc::clone(recent);
    tokio::spawn(async move {
        follow(&recent, following, &pieces, document).await;
        drop(place);
    });
    let mut response = Response::new(Content::Pieces(content));
    response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

type Pieces = Sender<io::Result<Bytes>>;

async fn follow(
    recent: &Recent,
    following: Following,
    pieces: &Pieces,
    document: fn(&Numbered) -> (&'static str, Value),
) {
    let Following { filter, after, past } = following;
    let mut cursor = after.map_or_else(|| recent.end(), |number| recent.behind(number));
    let mut text = String::new();
    event(&mut text, "start", None, &json!({ "number": cursor.number, "kept": recent.places() }));
    if after.is_none() && past > 0 {
        let before = cursor.number.saturating_add(1);
        let entries = recent.page(&filter, Some(before), past).entries;
        entries.iter().rev().for_each(|entry| write(&mut text, entry, document));
    }
    let began = Instant::now();
    let mut said = began;
    let mut ticks = interval(BATCH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < LONGEST {
        let news = recent.since(cursor, &filter, MOST_IN_BATCH);
        cursor = news.cursor;
        if news.missed > 0 {
            event(&mut text, "missed", None, &json!({ "missed": news.missed }));
        }
        news.entries.iter().for_each(|entry| write(&mut text, entry, document));
        if text.is_empty() && said.elapsed() >= KEEP_ALIVE {
            text.push_str(":\n\n");
        }
        if !text.is_empty() {
            said = Instant::now();
            match timeout(STALL, pieces.send(Ok(std::mem::take(&mut text).into()))).await {
                Ok(Ok(())) => {}
                Ok(Err(_gone)) => return,
                Err(_elapsed) => return,
            }
        }
        tokio::select! {
            _tick = ticks.tick() => {}
            () = pieces.closed() => return,
        }
    }
}

fn write(text: &mut String, entry: &Numbered, document: fn(&Numbered) -> (&'static str, Value)) {
    let (name, data) = document(entry);
    event(text, name, Some(entry.number), &data);
}

/// Writes an event. A JSON document has no line break, so it is one line of data.
fn event(text: &mut String, name: &str, id: Option<u64>, data: &Value) {
    // Writing to a string does not fail.
    if let Some(id) = id {
        let _infallible = writeln!(text, "id: {id}");
    }
    let _infallible = write!(text, "event: {name}\ndata: {data}\n\n");
}
