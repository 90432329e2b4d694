//! Shell. Reads the values of a page, and writes the page.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use maud::Markup;
use tracing::info;

use super::dead_groups::Counted as DeadCounted;
use super::documents::{self, Counted, Event, EventList, Overview, Replay, Replays};
use super::frame::{Frame, Tab, failure, nothing};
use super::pages::dead::Dead;
use super::pages::event::{EventPage, Form, Shown};
use super::pages::now::{self, Certificate, Refusals};
use super::pages::{queue, replay};
use super::place::{Place, Query, url};
use super::selection::fixed;
use super::{Console, Person, html, text};
use crate::admin::answer;
use crate::admin::api::Asking;
use crate::admin::api::filter::Asked as Filter;
use crate::admin::api::refusal::Refusal;
use crate::admin::json_content::seconds;
use crate::admin::response_content::{Content, holding};
use crate::admin::time_limit::TimeLimit;
use crate::gateway::reason::Reason;
use crate::queue::event::{RouteName, StoredEvent, Upstream};
use crate::queue::handle::Health;
use crate::queue::id::EventId;
use crate::telemetry::labels::Validity;
use crate::telemetry::metric::Sum;
use crate::tls::certificate;

/// The events on a page of a list.
const ON_PAGE: usize = 50;

/// The titles of pages that have another name in the navigation.
const DEAD_LETTERS: &str = "Dead letters";
const SEND_AGAIN: &str = "Send events again";
const DISCARD: &str = "Discard events";

/// The samples of a minute.
const MINUTE: usize = 12;

/// A page without its frame.
struct Body {
    title: &'static str,
    /// What the page is about, for the browser's tabs and history.
    subject: Option<String>,
    tab: Option<Tab>,
    status: StatusCode,
    body: Markup,
}

impl Body {
    fn new(title: &'static str, tab: Tab, body: Markup) -> Self {
        Self { title, subject: None, tab: Some(tab), status: StatusCode::OK, body }
    }
}

impl Console {
    /// The answer for a place.
    pub(super) async fn render(
        &self,
        place: &Place,
        query: Option<&str>,
        person: &Person,
        time_limit: &TimeLimit,
    ) -> Response<Content> {
        if let Place::Download(id) = place {
            return match self.download(*id, person, time_limit).await {
                Ok(file) => file,
                Err(refusal) => self.framed(person, wrong(place, &refusal)),
            };
        }
        if let Place::CapturedDownload(number) = place {
            return self
                .captured_download(*number, person)
                .unwrap_or_else(|refusal| self.framed(person, wrong(place, &refusal)));
        }
        if *place == Place::LiveStream {
            let stream = self.live_stream(query.unwrap_or_default(), person, time_limit);
            return stream.unwrap_or_else(|refusal| self.framed(person, wrong(place, &refusal)));
        }
        if let Some(body) = self.recent_body(place, query.unwrap_or_default(), person) {
            return self.framed(person, body.unwrap_or_else(|refusal| wrong(place, &refusal)));
        }
        let body = match Query::read(query.unwrap_or_default()) {
            Ok(query) => self.body(place, &query, person, time_limit).await,
            Err(error) => Err(Refusal::bad(error.to_string())),
        };
        self.framed(person, body.unwrap_or_else(|refusal| wrong(place, &refusal)))
    }

    /// The pages of recent requests, which need no queue. `None` for other places.
    fn recent_body(&self, place: &Place, query: &str, person: &Person) -> Option<Result<Body, Refusal>> {
        match place {
            Place::Live => {
                let page = self.live_page(query);
                Some(page.map(|(status, body)| Body { status, ..Body::new("Live", Tab::Live, body) }))
            }
            Place::Refused => Some(self.refused_page().map(|body| Body::new("Refused", Tab::Refused, body))),
            Place::Request(number) => Some(self.request_page(*number, query, person).map(|body| Body {
                subject: Some(number.to_string()),
                ..Body::new("Request", Tab::Live, body)
            })),
            Place::Now
            | Place::LiveStream
            | Place::Queue
            | Place::Dead
            | Place::Event(_)
            | Place::Download(_)
            | Place::CapturedDownload(_)
            | Place::Replay
            | Place::Discard
            | Place::Replays
            | Place::OneReplay(_)
            | Place::Login(_)
            | Place::Asset(_) => None,
        }
    }

    async fn body(
        &self,
        place: &Place,
        query: &Query,
        person: &Person,
        time_limit: &TimeLimit,
    ) -> Result<Body, Refusal> {
        let asking = self.api.asking(person.who(), time_limit).await;
        if *place == Place::Now {
            return Ok(Body::new("Now", Tab::Now, self.now_page(asking.ok().as_ref())?));
        }
        let asking = asking?;
        match place {
            Place::Queue => self.queue_page(&asking, query, person).await,
            Place::Dead => {
                let overview: Overview = read(asking.overview())?;
                let all = overview.upstreams.iter().fold(0_u64, |sum, one| sum.saturating_add(one.dead));
                let counted = self.dead_counted(&asking).await?;
                let page = Dead { counted: &counted, all, access: person.viewer.access };
                Ok(Body::new(DEAD_LETTERS, Tab::Dead, page.body()))
            }
            Place::Event(id) => self.event_page(&asking, *id, query, person).await,
            Place::Replay => choice_page(&asking, query, person, replay::Action::Replay).await,
            Place::Discard => choice_page(&asking, query, person, replay::Action::Discard).await,
            Place::Replays => {
                let Replays { replays } = read(asking.replays())?;
                Ok(Body::new("Replays", Tab::Replays, replay::list(&replays, person.viewer.access)))
            }
            Place::OneReplay(id) => {
                let one: Replay = read(asking.replay(*id)?)?;
                let body = replay::one(&one, person.viewer.access);
                Ok(Body { subject: Some(id.to_string()), ..Body::new("Replay", Tab::Replays, body) })
            }
            Place::Now
            | Place::Live
            | Place::LiveStream
            | Place::Refused
            | Place::Request(_)
            | Place::Download(_)
            | Place::CapturedDownload(_)
            | Place::Login(_)
            | Place::Asset(_) => Err(Refusal::not_found("there is no such page")),
        }
    }

    /// The page *Now*.
    fn now_page(&self, asking: Option<&Asking<'_>>) -> Result<Markup, Refusal> {
        let control = &self.control;
        let mut overview: Option<Overview> = asking.map(|asking| read(asking.overview())).transpose()?;
        if let Some(overview) = &mut overview {
            self.explain_stops(overview);
        }
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (minute, steps) = history.last(MINUTE);
        let (lately, _) = history.last(usize::MAX);
        let now = SystemTime::now();
        let certificate = |(name, validity): (&Arc<str>, &Validity)| Certificate {
            name: name.to_string(),
            end: seconds(validity.end),
            is_overdue: certificate::is_overdue(validity.end, validity.life, now),
        };
        let is_ready = control.is_ready()
            && !control.queue().is_some_and(|queue| queue.health() == Health::Failing)
            && control.generation().gateway.probe(now).is_ok();
        let mut refusals = refusals(&control.meters().sum());
        self.advise(&mut refusals);
        let page = now::Now {
            is_ready,
            is_outdated: control.reloads().is_outdated,
            steps: &history.steps(),
            minute: (&minute, steps),
            lately: &lately,
            refusals: &refusals,
            overview: overview.as_ref(),
            secrets: &answer::secrets(control),
            certificates: &answer::labels(control).certificates.iter().map(certificate).collect::<Vec<_>>(),
        };
        Ok(page.body())
    }

    fn framed(&self, person: &Person, page: Body) -> Response<Content> {
        let notice = if person.is_navigation { self.sessions().told(&person.session) } else { None };
        let Body { title, subject, tab, status, body } = page;
        let frame = Frame {
            title,
            subject: subject.as_deref(),
            tab,
            viewer: Some(&person.viewer),
            notice: notice.as_ref(),
        };
        html(status, frame.page(&body))
    }

    /// The page *Event*.
    async fn event_page(
        &self,
        asking: &Asking<'_>,
        id: EventId,
        query: &Query,
        person: &Person,
    ) -> Result<Body, Refusal> {
        let event: Event = read(asking.show(id, "").await?.0)?;
        let form = query.own("content").and_then(Form::read);
        let is_hidden = self.hides(&event.route.path);
        let looked_at = match form {
            Some(_) if event.content_kept && !is_hidden => Some(asking.look_at(id).await),
            Some(_) | None => None,
        };
        let content = match (&looked_at, form) {
            _ if is_hidden => Shown::Never,
            (Some(Ok((detail, _place))), Some(form)) => {
                info!(who = %person.who(), event = %id, form = form.name(), "content was shown in the console");
                Shown::Content(form, detail.event.as_ref().map_or(&[], StoredEvent::content))
            }
            (Some(Err(refusal)), _) => Shown::Failed(&refusal.error),
            (Some(Ok(_)) | None, _) => Shown::NotAsked,
        };
        let generation = self.control.generation();
        let name = RouteName {
            path: event.route.path.as_str().into(),
            model: event.route.model.as_deref().map(Into::into),
        };
        let route = generation.gateway.delivery_route(&name);
        let app = route.and_then(|route| route.upstream(&Upstream::Main)).map(|main| &*main.address);
        let page = EventPage { event: &event, content, app, access: person.viewer.access };
        Ok(Body { subject: Some(event.id.clone()), ..Body::new("Event", Tab::Queue, page.body()) })
    }

    /// The dead letters in groups. Each call continues a long count.
    async fn dead_counted(&self, asking: &Asking<'_>) -> Result<DeadCounted, Refusal> {
        let count = || self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pass = match count().next(Instant::now()) {
            Ok(kept) => return Ok(kept),
            Err(pass) => pass,
        };
        let groups = &mut pass.groups;
        pass.next =
            asking.each_dead_part(pass.next, |part| groups.add(part, |path| self.hides(path))).await?;
        let is_whole = pass.next.is_none();
        Ok(count().put(pass, is_whole, asking.now(), Instant::now()))
    }

    /// The page *Queue*.
    async fn queue_page(&self, asking: &Asking<'_>, query: &Query, person: &Person) -> Result<Body, Refusal> {
        let mut overview: Overview = read(asking.overview())?;
        self.explain_stops(&mut overview);
        // The script reads the page again and again, for the parts before the list. The list stays as it is.
        let list = match person.is_navigation {
            true => list(asking, query).await,
            false => Ok(Default::default()),
        };
        let page = queue::Queue {
            overview: &overview,
            filter: &query.filter,
            list: list
                .as_ref()
                .map(|(list, counted)| (list, *counted))
                .map_err(|refusal| refusal.error.as_str()),
            is_first: query.own("before").is_none(),
            access: person.viewer.access,
        };
        let status = list.as_ref().map_or_else(|refusal| refusal.status, |_list| StatusCode::OK);
        Ok(Body { status, ..Body::new("Queue", Tab::Queue, page.body()) })
    }

    /// The content of an event as a file.
    async fn download(
        &self,
        id: EventId,
        person: &Person,
        time_limit: &TimeLimit,
    ) -> Result<Response<Content>, Refusal> {
        let asking = self.api.asking(person.who(), time_limit).await?;
        let (detail, place) = asking.look_at(id).await?;
        if self.hides(&detail.summary.info.route.path) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "the route hides its content"));
        }
        let event = detail.event.ok_or_else(|| Refusal::not_found("the content is no longer kept"))?;
        info!(who = %person.who(), event = %id, "content was downloaded from the console");
        Ok(file(&format!("event-{id}.bin"), holding(ContentOf(event), place)))
    }

    /// Whether the configuration hides the content of a route's events.
    pub(super) fn hides(&self, path: &str) -> bool {
        self.control.generation().hidden_content.contains(path)
    }
}

/// The content of an event, without a copy.
struct ContentOf(StoredEvent);

impl AsRef<[u8]> for ContentOf {
    fn as_ref(&self) -> &[u8] {
        self.0.content()
    }
}

/// Content as a file. Its media type says nothing of the content, so no browser shows it as a page.
pub(super) fn file(name: &str, content: Bytes) -> Response<Content> {
    let mut answer = Response::new(Content::Whole(Full::new(content)));
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        fields.insert(CONTENT_DISPOSITION, disposition);
    }
    answer
}

/// The refusals since the start, by reason. Causes are known of signatures that do not verify, by route.
fn refusals(sum: &Sum) -> BTreeMap<Reason, Refusals> {
    let mut all: BTreeMap<Reason, Refusals> = BTreeMap::new();
    for (path, route) in &sum.routes {
        for (outcome, count) in route.outcomes.iter().filter(|(_, count)| **count > 0) {
            let Some(reason) = outcome.reason else { continue };
            let refusals = all.entry(reason).or_default();
            refusals.count = refusals.count.saturating_add(*count);
            let of_route = refusals.routes.entry(path.to_string()).or_default();
            *of_route = of_route.saturating_add(*count);
            if reason == Reason::SignatureMismatch {
                for (cause, count) in &route.diagnosed {
                    let of_cause = refusals.causes.entry(cause).or_default();
                    *of_cause = of_cause.saturating_add(*count);
                }
            }
        }
    }
    all
}

/// The page for a refusal. A page of the navigation keeps its title and its place.
fn wrong(place: &Place, refusal: &Refusal) -> Body {
    let of_place = match place {
        Place::Now => Some(("Now", Tab::Now)),
        Place::Live => Some(("Live", Tab::Live)),
        Place::Refused => Some(("Refused", Tab::Refused)),
        Place::Queue => Some(("Queue", Tab::Queue)),
        Place::Dead => Some((DEAD_LETTERS, Tab::Dead)),
        Place::Replays => Some(("Replays", Tab::Replays)),
        Place::Replay => Some((SEND_AGAIN, Tab::Replays)),
        Place::Discard => Some((DISCARD, Tab::Queue)),
        Place::LiveStream
        | Place::Request(_)
        | Place::CapturedDownload(_)
        | Place::Event(_)
        | Place::Download(_)
        | Place::OneReplay(_)
        | Place::Login(_)
        | Place::Asset(_) => None,
    };
    let title = match (of_place, refusal.status) {
        (Some((title, _)), _) => title,
        (None, StatusCode::NOT_FOUND) if refusal.reason.is_none() => "Not found",
        (None, _) => "Not possible",
    };
    // A gateway without a queue or without recent requests has no fault.
    let body = match refusal.reason {
        Some(_) => nothing("There is nothing to show.", &text::sentence(&refusal.error, 2000)),
        None => failure(&refusal.error),
    };
    Body { title, subject: None, tab: of_place.map(|(_, tab)| tab), status: refusal.status, body }
}

fn read<T: serde::de::DeserializeOwned>(document: serde_json::Value) -> Result<T, Refusal> {
    documents::read(document).map_err(|error| Refusal::unavailable(error.to_string()))
}

/// A page of events, and how many match.
async fn list(asking: &Asking<'_>, query: &Query) -> Result<(EventList, Counted), Refusal> {
    let before = query.own("before").map(|before| ("before", before));
    let is_first = before.is_none();
    let limit = ON_PAGE.to_string();
    let own: Vec<_> = before.into_iter().chain([("limit", &*limit)]).collect();
    let list: EventList = read(asking.list(&query_of(&query.filter, &own)).await?)?;
    // The first page says the number of the events if it has all of them, or if the search for it has ended
    // early. A count would search once more.
    let is_capped = list.next.is_some();
    let listed = u64::try_from(list.events.len()).unwrap_or(u64::MAX);
    let (count, is_capped) = if is_first && (!is_capped || list.events.len() < ON_PAGE) {
        (listed, is_capped)
    } else {
        // The list is shown even if the number is unknown: while many actions count, the number cannot be
        // counted.
        asking.count_for_list(&query.filter).await.unwrap_or((listed, true))
    };
    // A count that has ended early may have met fewer events than the page.
    Ok((list, Counted { count: count.max(listed), is_capped }))
}

async fn counted(asking: &Asking<'_>, filter: &Filter) -> Result<Counted, Refusal> {
    read(asking.count(&query_of(filter, &[])).await?)
}

fn query_of(filter: &Filter, own: &[(&str, &str)]) -> String {
    url("", filter, own).trim_start_matches('?').to_owned()
}

/// The page that counts the events of a filter, and offers the action.
async fn choice_page(
    asking: &Asking<'_>,
    query: &Query,
    person: &Person,
    action: replay::Action,
) -> Result<Body, Refusal> {
    let overview: Overview = read(asking.overview())?;
    let routes: Vec<_> = overview.upstreams.iter().map(|upstream| &upstream.route).collect();
    let chosen = match fixed(&query.filter, asking.now()) {
        Ok(fixed) => counted(asking, &fixed).await.map(|counted| (fixed, counted)),
        Err(error) => Err(Refusal::bad(error.to_string())),
    };
    let page = replay::Choice {
        filter: &query.filter,
        counted: chosen
            .as_ref()
            .map(|(fixed, counted)| (fixed, *counted))
            .map_err(|refusal| refusal.error.as_str()),
        routes: &routes,
        access: person.viewer.access,
    };
    let status = chosen.as_ref().map_or_else(|refusal| refusal.status, |_chosen| StatusCode::OK);
    let body = match action {
        replay::Action::Replay => Body::new(SEND_AGAIN, Tab::Replays, page.body(action)),
        replay::Action::Discard => Body::new(DISCARD, Tab::Queue, page.body(action)),
    };
    Ok(Body { status, ..body })
}
