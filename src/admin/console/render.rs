//! Shell. Reads the values of a page, and writes the page.

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use maud::Markup;
use tracing::info;

use super::documents::{self, Counted, Event, EventList, Overview, Replay, Replays};
use super::frame::{Frame, Tab, failure};
use super::pages::event::{EventPage, Form, Shown};
use super::pages::{queue, replay};
use super::place::{Place, Query, url};
use super::selection::fixed;
use super::{Console, Person, html, leads_to};
use crate::admin::api::Asking;
use crate::admin::api::filter::Asked as Filter;
use crate::admin::api::refusal::Refusal;
use crate::admin::response_content::Content;
use crate::admin::time_limit::TimeLimit;
use crate::queue::event::StoredEvent;
use crate::queue::id::EventId;

/// The events on a page of a list.
const ON_PAGE: &str = "50";

/// A page without its frame.
struct Body {
    title: &'static str,
    tab: Option<Tab>,
    status: StatusCode,
    body: Markup,
}

impl Body {
    fn new(title: &'static str, tab: Tab, body: Markup) -> Self {
        Self { title, tab: Some(tab), status: StatusCode::OK, body }
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
                Err(refusal) => self.framed(person, wrong(&refusal)),
            };
        }
        if *place == Place::Now {
            return leads_to("/queue", None);
        }
        let body = match Query::read(query.unwrap_or_default()) {
            Ok(query) => self.body(place, &query, person, time_limit).await,
            Err(error) => Err(Refusal::bad(error.to_string())),
        };
        self.framed(person, body.unwrap_or_else(|refusal| wrong(&refusal)))
    }

    async fn body(
        &self,
        place: &Place,
        query: &Query,
        person: &Person,
        time_limit: &TimeLimit,
    ) -> Result<Body, Refusal> {
        let asking = self.api.asking(person.who(), time_limit).await?;
        match place {
            Place::Queue => queue_page(&asking, query, person).await,
            Place::Event(id) => self.event_page(&asking, *id, query, person).await,
            Place::Replay => choice_page(&asking, query, person, Action::Replay).await,
            Place::Discard => choice_page(&asking, query, person, Action::Discard).await,
            Place::Replays => {
                let Replays { replays } = read(asking.replays())?;
                Ok(Body::new("Replays", Tab::Replays, replay::list(&replays, person.viewer.access)))
            }
            Place::OneReplay(id) => {
                let one: Replay = read(asking.replay(*id)?)?;
                Ok(Body::new("Replay", Tab::Replays, replay::one(&one, person.viewer.access)))
            }
            Place::Now | Place::Download(_) | Place::Login(_) | Place::Asset(_) => {
                Err(Refusal::not_found("there is no such page"))
            }
        }
    }

    fn framed(&self, person: &Person, page: Body) -> Response<Content> {
        let notice = self.sessions().told(&person.session);
        let Body { title, tab, status, body } = page;
        let frame = Frame { title, tab, viewer: Some(&person.viewer), notice: notice.as_ref() };
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
        let event: Event = read(asking.show(id, "").await?)?;
        let form = query.own("content").and_then(Form::read);
        let is_hidden = self.hides(&event.route.path);
        let looked_at = match form {
            Some(_) if event.content_kept && !is_hidden => Some(asking.look_at(id).await),
            Some(_) | None => None,
        };
        let content = match (&looked_at, form) {
            _ if is_hidden => Shown::Never,
            (Some(Ok(detail)), Some(form)) => {
                info!(who = %person.who(), event = %id, form = form.name(), "content was shown in the console");
                Shown::Content(form, detail.event.as_ref().map_or(&[], StoredEvent::content))
            }
            (Some(Err(refusal)), _) => Shown::Failed(&refusal.error),
            (Some(Ok(_)) | None, _) => Shown::NotAsked,
        };
        let page = EventPage { event: &event, content, access: person.viewer.access };
        Ok(Body::new("Event", Tab::Queue, page.body()))
    }

    /// The content of an event as a file. Its media type says nothing of the content, so no browser shows it as a page.
    async fn download(
        &self,
        id: EventId,
        person: &Person,
        time_limit: &TimeLimit,
    ) -> Result<Response<Content>, Refusal> {
        let asking = self.api.asking(person.who(), time_limit).await?;
        let detail = asking.look_at(id).await?;
        if self.hides(&detail.summary.info.route.path) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "the route hides its content"));
        }
        let event = detail.event.ok_or_else(|| Refusal::not_found("the content is no longer kept"))?;
        info!(who = %person.who(), event = %id, "content was downloaded from the console");
        let content = Bytes::copy_from_slice(event.content());
        let mut answer = Response::new(Content::Whole(Full::new(content)));
        let fields = answer.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"event-{id}.bin\"")) {
            fields.insert(CONTENT_DISPOSITION, name);
        }
        Ok(answer)
    }

    /// Whether the configuration hides the content of a route's events.
    fn hides(&self, path: &str) -> bool {
        self.control.generation().hidden_content.contains(path)
    }
}

fn wrong(refusal: &Refusal) -> Body {
    let title = match refusal.status {
        StatusCode::NOT_FOUND if refusal.reason.is_none() => "Not found",
        _ => "Not possible",
    };
    Body { title, tab: None, status: refusal.status, body: failure(&refusal.error) }
}

fn read<T: serde::de::DeserializeOwned>(document: serde_json::Value) -> Result<T, Refusal> {
    documents::read(document).map_err(|error| Refusal::unavailable(error.to_string()))
}

/// The page *Queue*.
async fn queue_page(asking: &Asking<'_>, query: &Query, person: &Person) -> Result<Body, Refusal> {
    let overview: Overview = read(asking.overview())?;
    let list = list(asking, query).await;
    let page = queue::Queue {
        overview: &overview,
        filter: &query.filter,
        list: list.as_ref().map(|(list, counted)| (list, *counted)).map_err(|refusal| refusal.error.as_str()),
        is_first: query.own("before").is_none(),
        access: person.viewer.access,
    };
    let status = list.as_ref().map_or_else(|refusal| refusal.status, |_list| StatusCode::OK);
    Ok(Body { status, ..Body::new("Queue", Tab::Queue, page.body()) })
}

/// A page of events, and how many match.
async fn list(asking: &Asking<'_>, query: &Query) -> Result<(EventList, Counted), Refusal> {
    let before = query.own("before").map(|before| ("before", before));
    let own: Vec<_> = before.into_iter().chain([("limit", ON_PAGE)]).collect();
    let list = read(asking.list(&query_of(&query.filter, &own)).await?)?;
    Ok((list, counted(asking, &query.filter).await?))
}

async fn counted(asking: &Asking<'_>, filter: &Filter) -> Result<Counted, Refusal> {
    read(asking.count(&query_of(filter, &[])).await?)
}

fn query_of(filter: &Filter, own: &[(&str, &str)]) -> String {
    url("", filter, own).trim_start_matches('?').to_owned()
}

/// What a person chooses events for.
#[derive(Clone, Copy, Debug)]
enum Action {
    Replay,
    Discard,
}

/// The page that counts the events of a filter, and offers the action.
async fn choice_page(
    asking: &Asking<'_>,
    query: &Query,
    person: &Person,
    action: Action,
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
        Action::Replay => Body::new("Send events again", Tab::Replays, page.replay()),
        Action::Discard => Body::new("Discard events", Tab::Queue, page.discard()),
    };
    Ok(Body { status, ..body })
}
