//! Shell. Recent requests as server-sent events, as they end.
//!
//! The entries since the last batch are sent a few times a second. The gateway never waits for a reader. A
//! reader that is too slow gets the latest entries, and the number of the entries that it missed.

use std::fmt::Write as _;
use std::io;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::admin::response_content::Content;
use crate::queue::time::Time;
use crate::telemetry::recent::entry::Numbered;
use crate::telemetry::recent::filter::Filter;
use crate::telemetry::recent::{Cursor, Recent};

/// The time between two batches.
const BATCH: Duration = Duration::from_millis(250);

/// The most entries in a batch.
const MOST_IN_BATCH: usize = 100;

/// After this time without an entry, a comment shows that the stream goes on.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a client may take to read a batch.
const STALL: Duration = Duration::from_secs(30);

/// How long a stream may last. Its client then asks for the rest. So a client that has gone unnoticed holds
/// no place for ever.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The time limit of a connection with a stream.
pub(super) const TIME_LIMIT: Duration = LONGEST.saturating_add(STALL);

/// The media type of server-sent events (HTML, section 9.2).
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("text/event-stream");

/// What a client wants to follow.
#[derive(Debug, Default)]
pub(super) struct Following {
    pub(super) filter: Filter,
    /// The last entry that the client knows.
    pub(super) after: Option<EntryId>,
    /// If the client knows no entry: how many entries of the past it wants.
    pub(super) past: usize,
}

/// The id of an entry in a stream: the run of the gateway and the number, as in `1764594191000-42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryId {
    run: u64,
    number: u64,
}

impl FromStr for EntryId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (run, number) = text.split_once('-').unwrap_or(("", text));
        Ok(Self { run: run.parse()?, number: number.parse()? })
    }
}

/// The recent requests of a run of the gateway.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) recent: Arc<Recent>,
    /// When the gateway was started. Numbers of an earlier run mean other requests.
    pub(super) started: SystemTime,
}

impl Source {
    /// A number that the other runs of the gateway do not have: the milliseconds since 1970 of its start.
    fn run(&self) -> u64 {
        Time::of(self.started).millis()
    }

    /// The id of the last entry, as the streams of this run write it.
    pub(super) fn last_id(&self) -> String {
        format!("{}-{}", self.run(), self.recent.end().number)
    }

    /// The cursor behind an entry. If the entry is of another run, the cursor is before the first entry of
    /// this run.
    fn behind(&self, id: EntryId) -> Cursor {
        self.recent.behind(if id.run == self.run() { id.number } else { 0 })
    }
}

/// Starts a stream, which holds its place until it ends. `document` writes an entry: its name and its data.
/// The stream ends as soon as `still` says that its client may not follow any longer.
pub(super) fn start(
    source: Source,
    following: Following,
    place: OwnedSemaphorePermit,
    document: fn(&Numbered) -> (&'static str, Value),
    still: impl Fn() -> bool + Send + 'static,
) -> Response<Content> {
    // The capacity is one batch, because a batch may be large.
    let (pieces, content) = channel(1);
    tokio::spawn(async move {
        follow(&source, following, &pieces, document, still).await;
        drop(place);
    });
    let mut response = Response::new(Content::Pieces(content));
    response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

type Pieces = Sender<io::Result<Bytes>>;

async fn follow(
    source: &Source,
    following: Following,
    pieces: &Pieces,
    document: fn(&Numbered) -> (&'static str, Value),
    still: impl Fn() -> bool,
) {
    let Following { filter, after, past } = following;
    let (recent, run) = (&source.recent, source.run());
    let mut cursor = after.map_or_else(|| recent.end(), |id| source.behind(id));
    let mut text = String::new();
    event(&mut text, "start", None, &json!({ "number": cursor.number, "kept": recent.places() }));
    if after.is_none() && past > 0 {
        let before = cursor.number.saturating_add(1);
        let entries = recent.page(&filter, Some(before), past).entries;
        entries.iter().rev().for_each(|entry| write(&mut text, run, entry, document));
    }
    let began = Instant::now();
    let mut said = began;
    let mut ticks = interval(BATCH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < LONGEST && still() {
        let news = recent.since(cursor, &filter, MOST_IN_BATCH);
        cursor = news.cursor;
        if news.missed > 0 {
            event(&mut text, "missed", None, &json!({ "missed": news.missed }));
        }
        news.entries.iter().for_each(|entry| write(&mut text, run, entry, document));
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

fn write(text: &mut String, run: u64, entry: &Numbered, document: fn(&Numbered) -> (&'static str, Value)) {
    let (name, data) = document(entry);
    event(text, name, Some(EntryId { run, number: entry.number }), &data);
}

/// Writes an event. A JSON document has no line break, so it is one line of data.
fn event(text: &mut String, name: &str, id: Option<EntryId>, data: &Value) {
    // Writing to a string does not fail.
    if let Some(EntryId { run, number }) = id {
        let _infallible = writeln!(text, "id: {run}-{number}");
    }
    let _infallible = write!(text, "event: {name}\ndata: {data}\n\n");
}
