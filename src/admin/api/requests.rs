//! Shell. Requests about recent requests: a page of them, one of them, and a stream.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;

use super::path::RecentCall;
use super::refusal::Refusal;
use super::request_view::{detail, document, kind};
use crate::admin::json_content;
use crate::admin::recent_stream::{self, EntryId, Following, Source};
use crate::admin::response_content::Content;
use crate::admin::time_limit::TimeLimit;
use crate::telemetry::recent::entry::Numbered;
use crate::telemetry::recent::filter::Filter;

/// The most entries on a page.
const MOST_ON_PAGE: usize = 1000;

/// The entries on a page, if the request names no limit.
const ON_PAGE: usize = 50;

/// The most streams at the same time.
pub(super) const MOST_STREAMS: usize = 16;

/// The field with which a browser's `EventSource` continues a stream.
const LAST_EVENT_ID: &str = "last-event-id";

/// Answers a request about recent requests. A stream takes one of the places in `streams`. It ends as soon as
/// `still` says that its client may not follow any longer.
pub(super) fn answer(
    source: Source,
    streams: &Arc<Semaphore>,
    call: RecentCall,
    query: &str,
    fields: &HeaderMap,
    time_limit: &TimeLimit,
    still: impl Fn() -> bool + Send + 'static,
) -> Result<Response<Content>, Refusal> {
    let recent = &source.recent;
    if recent.places() == 0 {
        return Err(Refusal::nothing_recent());
    }
    match call {
        RecentCall::Page => {
            let query = Query::read(query, &["before", "limit"])?;
            let page = recent.page(&query.filter, query.before, query.limit.unwrap_or(ON_PAGE));
            let found = json!({
                "requests": page.entries.iter().map(document).collect::<Vec<_>>(),
                "next": page.next,
                "left_out": recent.left_out(),
                "kept": recent.places(),
            });
            Ok(Content::whole(json_content::document(StatusCode::OK, &found)))
        }
        RecentCall::One(number) => {
            let with_content = read_content(query)?;
            let entry = recent.get(number).ok_or_else(Refusal::no_longer_kept)?;
            Ok(Content::whole(json_content::document(StatusCode::OK, &detail(&entry, with_content))))
        }
        RecentCall::Stream => {
            let query = Query::read(query, &["after", "past"])?;
            let last = fields.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse().ok());
            let (after, past) = (last.or(query.after), query.past.unwrap_or(0));
            let place = Arc::clone(streams).try_acquire_owned().map_err(|_taken| {
                Refusal::unavailable(format!("{MOST_STREAMS} streams are under way: try again"))
            })?;
            time_limit.extend(recent_stream::TIME_LIMIT);
            let following = Following { filter: query.filter, after, past };
            let document = |entry: &Numbered| (kind(&entry.entry), document(entry));
            Ok(recent_stream::start(source, following, place, document, still))
        }
    }
}

/// Reads the query of one request: whether its content is asked for.
fn read_content(query: &str) -> Result<bool, Refusal> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    match (pairs.next(), pairs.next()) {
        (None, _) => Ok(false),
        (Some((name, value)), None) if name == "content" && (value == "true" || value == "false") => {
            Ok(value == "true")
        }
        (Some(_), _) => Err(Refusal::bad("the only parameter is `content`, which is `true` or `false`")),
    }
}

/// The parameters of a query.
#[derive(Default)]
struct Query {
    filter: Filter,
    before: Option<u64>,
    after: Option<EntryId>,
    limit: Option<usize>,
    past: Option<usize>,
}

impl Query {
    /// Reads a query. It may have the parameters of a filter, and the parameters `own` of this request.
    fn read(text: &str, own: &[&str]) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if query.filter.take(&name, &value).map_err(|error| Refusal::bad(error.to_string()))? {
                continue;
            }
            let known = own.iter().find(|known| **known == name).copied();
            let number = || value.parse().ok();
            let up_to_most =
                |least| value.parse().ok().filter(|number| (least..=MOST_ON_PAGE).contains(number));
            let is_read = match known {
                Some("before") => Self::set(&mut query.before, number()),
                Some("after") => Self::set(&mut query.after, value.parse().ok()),
                Some("limit") => Self::set(&mut query.limit, up_to_most(1)),
                Some("past") => Self::set(&mut query.past, up_to_most(0)),
                Some(_) | None => {
                    let name = name.get(..name.floor_char_boundary(64)).unwrap_or_default();
                    let names = format!("state, route, reason, status, path, {}", own.join(", "));
                    return Err(Refusal::bad(format!("there is no parameter `{name}`: {names}")));
                }
            };
            if !is_read {
                return Err(Refusal::bad(format!(
                    "`{name}` is there once, and is a number; `after` is the id of an event in the stream, and `limit` and `past` \
                     are at most {MOST_ON_PAGE}"
                )));
            }
        }
        Ok(query)
    }

    /// Sets a parameter. Returns `false` if it is set already, or has no value.
    fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
        let is_first = place.is_none();
        *place = value;
        is_first && place.is_some()
    }
}
