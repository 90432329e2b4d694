//! Shell. Requests about events: list, count, show, discard, replay.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tracing::info;

use super::filter::{Asked, FilterError, ids};
use super::refusal::Refusal;
use super::replay::{self, DEFAULT_RATE, HIGHEST_RATE, Replay};
pub(crate) use super::replays::Repeat;
use super::view::{self, Content};
use super::{Asking, store};
use crate::queue::id::EventId;
use crate::queue::store::{Bounds, Change, DeadPart, Detail, Filter, Found, Summary};
use crate::queue::time::Time;

/// The most events on a page.
const MOST_ON_PAGE: usize = 1000;

/// The events on a page, if the request names no limit.
const ON_PAGE: usize = 50;

/// The greatest count of events. Counting stops there.
const MOST_COUNTED: u64 = 10_000;

/// How long a page of the list or the groups of dead letters search in the store. Each is read in short
/// steps, and ends after the first step behind this time.
const SEARCH: Duration = Duration::from_millis(100);

/// How long the events of a list are counted.
const COUNT_OF_LIST: Duration = Duration::from_millis(50);

/// How long the events of an action are counted.
const LONG_SEARCH: Duration = Duration::from_secs(10);

/// The most events that one request discards.
const MOST_DISCARDED: usize = 10_000;

/// About how many events one transaction discards.
const DISCARDED_AT_ONCE: usize = 256;

/// How many events one read counts.
const COUNTED_AT_ONCE: usize = 5_000;

/// About how many dead letters one read counts.
const DEAD_AT_ONCE: usize = 5_000;

/// The document of a request to discard events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discard {
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) filter: Option<Asked>,
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// The document of a request to replay events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartReplay {
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) filter: Option<Asked>,
    #[serde(default)]
    pub(crate) dry_run: bool,
    pub(crate) rate: Option<u32>,
}

/// The parameters of a query.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) filter: Asked,
    pub(super) before: Option<EventId>,
    pub(super) after: Option<EventId>,
    limit: Option<usize>,
    content: bool,
}

impl Query {
    /// Reads a query. It may have the parameters of a filter, and the parameters `own` of this request.
    pub(super) fn read(text: &str, own: &[&str]) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if query.filter.take(&name, &value).map_err(not_understood)? {
                continue;
            }
            let id = || value.parse().map_err(|_what| not_understood(FilterError::Id(short(&value))));
            match &*name {
                name if !own.contains(&name) => {
                    return Err(not_understood(FilterError::Unknown(short(name))));
                }
                "before" => query.before = Some(id()?),
                "after" => query.after = Some(id()?),
                "content" => query.content = &*value == "true",
                _ => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST_ON_PAGE).contains(limit));
                    let why = || Refusal::bad(format!("`{name}` is a number from 1 to {MOST_ON_PAGE}"));
                    query.limit = Some(limit.ok_or_else(why)?);
                }
            }
        }
        Ok(query)
    }
}

/// The events that match a filter, as far as they were looked at.
struct Counting {
    count: u64,
    /// Whether there may be more.
    is_capped: bool,
    /// The last event that matched.
    last: Option<EventId>,
}

fn short(text: &str) -> String {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default().to_owned()
}

pub(super) fn not_understood(error: FilterError) -> Refusal {
    Refusal::bad(error.to_string())
}

impl Asking<'_> {
    /// The filter for the store. The store does not know which deliveries are under way, so the caller checks
    /// that.
    pub(super) fn filter(&self, asked: &Asked) -> Result<Filter, Refusal> {
        let mut filter = asked.filter(self.now).map_err(not_understood)?;
        if filter.state.as_deref() == Some("delivering") {
            let under_way = self.queue.under_way();
            let mut ids: Vec<_> = under_way.values().map(|delivery| delivery.event.to_string()).collect();
            if !filter.ids.is_empty() {
                ids.retain(|id| filter.ids.contains(id));
            }
            if ids.is_empty() {
                // This id belongs to no event.
                ids.push(EventId::from_bytes([0; 16]).to_string());
            }
            filter.state = Some("queued".to_owned());
            filter.ids = ids;
        }
        Ok(filter)
    }

    /// The events that a change is about: a filter made from ids, or from another filter.
    fn selection(&self, ids: Option<Vec<String>>, filter: Option<Asked>) -> Result<Filter, Refusal> {
        match (ids, filter) {
            (Some(texts), None) if texts.is_empty() => Err(Refusal::bad("`ids` is empty")),
            (Some(texts), None) => {
                let ids = self::ids(&texts).map_err(not_understood)?;
                Ok(Filter { ids: ids.iter().map(ToString::to_string).collect(), ..Filter::default() })
            }
            (None, Some(asked)) => {
                let filter = self.filter(&asked)?;
                // Events that are received from now on do not match.
                let until = filter.until.unwrap_or(u64::MAX).min(self.now.millis().saturating_add(1));
                Ok(Filter { until: Some(until), ..filter })
            }
            (None, None) | (Some(_), Some(_)) => {
                Err(Refusal::bad("name the events by `ids` or by `filter` (an empty filter takes all)"))
            }
        }
    }

    /// A page of events, the latest first.
    pub(crate) async fn list(&self, query: &str) -> Result<Value, Refusal> {
        let query = Query::read(query, &["before", "limit"])?;
        let most = query.limit.unwrap_or(ON_PAGE);
        let filter = self.filter(&query.filter)?;
        let wanted = query.filter.state;
        let live = self.live();
        let (mut events, mut next, began) = (Vec::new(), query.before, Instant::now());
        loop {
            let filter = filter.clone();
            let room = most.saturating_sub(events.len());
            // One more event is read than the page has room for. It shows whether there are more events.
            let bounds = Bounds::of(room.saturating_add(1));
            let mut page = store::read(&self.queue, move |store| store.page(&filter, next, bounds)).await?;
            if page.found.len() > room {
                page.found.truncate(room);
                page.next = page.found.last().map(|last| last.info.id);
            }
            next = page.next;
            // A store cannot distinguish deliveries that wait from deliveries that are under way.
            let meets = |event: &Summary| {
                let mut deliveries = event.deliveries.iter();
                let route = &event.info.route;
                wanted
                    .as_deref()
                    .is_none_or(|wanted| deliveries.any(|delivery| live.of(route, delivery).state == wanted))
            };
            let page = page.found.iter().filter(|event| meets(event));
            events.extend(page.map(|event| view::summary(event, &live)));
            if next.is_none() || events.len() >= most || began.elapsed() >= SEARCH {
                break;
            }
        }
        Ok(json!({ "events": events, "next": next.map(|id| id.to_string()) }))
    }

    /// How many events match a filter.
    pub(crate) async fn count(&self, query: &str) -> Result<Value, Refusal> {
        let query = Query::read(query, &[])?;
        let filter = self.filter(&query.filter)?;
        let _place = self.may_take_long()?;
        let (count, is_capped) = self.counted(filter, LONG_SEARCH).await?;
        Ok(json!({ "count": count, "is_capped": is_capped }))
    }

    /// About how many events match a filter, for a list. The count ends early where few events match.
    pub(crate) async fn count_for_list(&self, asked: &Asked) -> Result<(u64, bool), Refusal> {
        let filter = self.filter(asked)?;
        let _place = self.may_take_long()?;
        self.counted(filter, COUNT_OF_LIST).await
    }

    /// How many events match a filter, and whether there may be more.
    async fn counted(&self, filter: Filter, search: Duration) -> Result<(u64, bool), Refusal> {
        let Counting { count, is_capped, .. } = self.counting(filter, search).await?;
        Ok((count, is_capped))
    }

    async fn counting(&self, filter: Filter, search: Duration) -> Result<Counting, Refusal> {
        let (mut count, mut after, mut last, began) = (0_u64, None, None, Instant::now());
        loop {
            let filter = filter.clone();
            let bounds = Bounds::of(COUNTED_AT_ONCE);
            let page = store::read(&self.queue, move |store| store.ids(&filter, after, bounds)).await?;
            count = count.saturating_add(u64::try_from(page.found.len()).unwrap_or(u64::MAX));
            if count > MOST_COUNTED {
                return Ok(Counting { count: MOST_COUNTED, is_capped: true, last: None });
            }
            after = page.next;
            last = page.found.last().copied().or(last);
            if after.is_none() || began.elapsed() >= search {
                return Ok(Counting { count, is_capped: after.is_some(), last });
            }
        }
    }

    /// One event, and the place that its content takes until it is sent.
    pub(crate) async fn show(
        &self,
        id: EventId,
        query: &str,
    ) -> Result<(Value, Option<OwnedSemaphorePermit>), Refusal> {
        let query = Query::read(query, &["content"])?;
        if !query.filter.is_empty() {
            return Err(Refusal::bad("an event has no filter"));
        }
        let place = query.content.then(|| self.may_show()).transpose()?;
        let live = self.live();
        let content = if query.content { Content::Shown } else { Content::LeftOut };
        let queue = self.queue.clone();
        let found = spawn_blocking(move || {
            let found = queue.read_list(|store| store.detail(id))?;
            Ok(found.map(|event| view::detail(&event, &live, content)))
        });
        let found = store::found(found.await)?.ok_or_else(|| Refusal::not_found("there is no such event"))?;
        Ok((found, place))
    }

    /// One event with its head and content, for a person who looks at it, and the place that it takes until
    /// it is sent.
    pub(crate) async fn look_at(&self, id: EventId) -> Result<(Detail, OwnedSemaphorePermit), Refusal> {
        let place = self.may_show()?;
        let found = store::read(&self.queue, move |store| store.detail(id)).await?;
        let found = found.ok_or_else(|| Refusal::not_found("there is no such event"))?;
        Ok((found, place))
    }

    /// Reads dead letters in parts, the latest first, beginning before the number `before`, for about 100 ms.
    /// Each read is short, so that the store's other readers need not wait. Returns the number before which
    /// the next call begins, or `None` at the end.
    pub(crate) async fn each_dead_part(
        &self,
        mut before: Option<i64>,
        mut take: impl FnMut(DeadPart),
    ) -> Result<Option<i64>, Refusal> {
        let _place = self.may_take_long()?;
        let began = Instant::now();
        loop {
            let part = store::read(&self.queue, move |store| store.dead_part(before, DEAD_AT_ONCE)).await?;
            before = part.next;
            take(part);
            if before.is_none() || began.elapsed() >= SEARCH {
                return Ok(before);
            }
        }
    }

    /// The time of the request.
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Removes events, at most `most` of them, the earliest first.
    pub(crate) async fn discard(&self, asked: Discard, most: Option<u64>) -> Result<Value, Refusal> {
        let filter = self.selection(asked.ids, asked.filter)?;
        let _place = self.may_take_long()?;
        if asked.dry_run {
            let (count, is_capped) = self.counted(filter, LONG_SEARCH).await?;
            return Ok(
                json!({ "count": count, "is_capped": is_capped, "discarded": 0, "has_more": count > 0 || is_capped }),
            );
        }
        let (mut discarded, mut looked_at, mut after, mut has_more) = (0_u64, 0_usize, None, true);
        let mut failed = None;
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        while has_more && looked_at < MOST_DISCARDED.min(most) {
            let (of_step, bounds) = (filter.clone(), Bounds::of(DISCARDED_AT_ONCE));
            let step = store::read(&self.queue, move |store| store.ids(&of_step, after, bounds)).await;
            let Found { found: mut ids, next } = match step {
                Ok(step) => step,
                Err(refusal) => {
                    failed = Some(refusal);
                    break;
                }
            };
            ids.truncate(most.saturating_sub(looked_at));
            has_more = next.is_some();
            looked_at = looked_at.saturating_add(ids.len());
            after = next;
            for met in self.queue.change_each(ids.into_iter().map(Change::Discard)).await {
                match met {
                    Ok(met) => discarded = discarded.saturating_add(met),
                    Err(refused) => failed = Some(Refusal::of_change(refused)),
                }
            }
            if failed.is_some() {
                break;
            }
        }
        let filter = replay::shown(&filter);
        info!(who = %self.who, %filter, discarded, has_more, "events were discarded: they are gone");
        match failed {
            Some(refusal) if discarded > 0 => {
                let error =
                    format!("{discarded} events were removed, and others were not: {}", refusal.error);
                Err(Refusal { error, ..refusal })
            }
            Some(refusal) => Err(refusal),
            None => Ok(json!({ "discarded": discarded, "has_more": has_more })),
        }
    }

    /// Starts a replay of events.
    pub(crate) async fn start_replay(
        &self,
        asked: StartReplay,
        repeat: Repeat,
    ) -> Result<(StatusCode, Value), Refusal> {
        let rate = asked.rate.unwrap_or(DEFAULT_RATE);
        if !(1..=HIGHEST_RATE).contains(&rate) {
            return Err(Refusal::bad(format!(
                "`rate` is a number from 1 to {HIGHEST_RATE}, in events a second"
            )));
        }
        let filter = self.selection(asked.ids, asked.filter)?;
        let _place = self.may_take_long()?;
        let Counting { count, is_capped, last } = self.counting(filter.clone(), LONG_SEARCH).await?;
        let counted = json!({ "count": count, "is_capped": is_capped });
        if asked.dry_run {
            return Ok((StatusCode::OK, counted));
        }
        if count == 0 && !is_capped {
            return Err(Refusal::not_found("no event meets this"));
        }
        let id = new_id();
        let mut replay = Replay::new(filter, rate, self.who.to_string(), count, is_capped, self.now);
        if let (Some(last), false) = (last, is_capped) {
            replay.ends_with(last);
        }
        let filter = replay::shown(&replay.filter);
        let started = self.api.replays.start(&self.api.control, &self.queue, id, replay, repeat).await?;
        info!(who = %self.who, replay = %id, %filter, count, is_capped, rate, "a replay was started");
        let mut document = counted;
        if let Some(document) = document.as_object_mut() {
            document.insert("replay".to_owned(), started);
        }
        Ok((StatusCode::ACCEPTED, document))
    }

    /// Ends a replay.
    pub(crate) async fn cancel_replay(&self, id: EventId) -> Result<Value, Refusal> {
        let cancelled = self.api.replays.cancel(&self.queue, id).await?;
        // A replay that has ended is not cancelled.
        if cancelled.get("state").is_some_and(|state| state == "cancelled") {
            info!(who = %self.who, replay = %id, "a replay was cancelled");
        }
        Ok(cancelled)
    }
}

/// A new id for a replay. It need not be secret.
fn new_id() -> EventId {
    let state = RandomState::new();
    let drawn = [0_u8, 1].map(|number| state.hash_one(number).to_be_bytes());
    let mut random = [0; 10];
    random.iter_mut().zip(drawn.as_flattened()).for_each(|(byte, drawn)| *byte = *drawn);
    EventId::new(SystemTime::now(), &random)
}
