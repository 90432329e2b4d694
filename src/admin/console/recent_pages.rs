//! Shell. The pages of recent requests, and the stream that the page *Live* follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use maud::Markup;
use tracing::info;

use super::documents::Overview;
use super::pages::event::{Form, Shown};
use super::pages::live::{Asked, Live};
use super::pages::now::Refusals;
use super::pages::{refused, request};
use super::recent_row::Row;
use super::render::file;
use super::{Console, MOST_STREAMS, Person};
use crate::admin::api::refusal::Refusal;
use crate::admin::recent_stream::{self, EntryId, Following, Source};
use crate::admin::response_content::Content;
use crate::admin::time_limit::TimeLimit;
use crate::gateway::reason::Reason;
use crate::telemetry::recent::Recent;
use crate::telemetry::recent::entry::{Numbered, Subject};
use crate::telemetry::recent::filter::{Filter, FilterError, State};
use crate::telemetry::record::Record;

/// The entries on a page.
const ON_PAGE: usize = 100;

/// A query of the page *Live*.
#[derive(Debug)]
struct Query {
    asked: Asked,
    filter: Result<Filter, FilterError>,
    before: Option<u64>,
    after: Option<EntryId>,
}

impl Query {
    fn read(text: &str) -> Self {
        let mut query =
            Self { asked: Asked::default(), filter: Ok(Filter::default()), before: None, after: None };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let value = value.trim();
            match &*name {
                "before" => query.before = value.parse().ok(),
                "after" => query.after = value.parse().ok(),
                name => query.take(name, value),
            }
        }
        query
    }

    fn take(&mut self, name: &str, value: &str) {
        let place = match name {
            "state" => &mut self.asked.state,
            "route" => &mut self.asked.route,
            "reason" => &mut self.asked.reason,
            "status" => &mut self.asked.status,
            "path" => &mut self.asked.path,
            _ => return,
        };
        value.clone_into(place);
        if let Ok(filter) = &mut self.filter
            && let Err(error) = filter.take(name, value)
        {
            self.filter = Err(error);
        }
    }
}

impl Console {
    /// The page *Live*, with its status.
    pub(super) fn live_page(&self, query: &str) -> Result<(StatusCode, Markup), Refusal> {
        let recent = self.kept()?;
        let query = Query::read(query);
        // The stream continues behind this number, so no entry is missed.
        let last = self.recent().last_id();
        let filter = query.filter.map_err(|error| error.to_string());
        let page = filter.map(|filter| recent.page(&filter, query.before, ON_PAGE));
        let live = Live {
            asked: &query.asked,
            page: page.as_ref().map_err(String::as_str),
            is_first: query.before.is_none(),
            last,
            kept: recent.places(),
            left_out: recent.left_out(),
        };
        let status = if page.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        Ok((status, live.body()))
    }

    /// The page *Refused*.
    pub(super) fn refused_page(&self) -> Result<Markup, Refusal> {
        let recent = self.kept()?;
        let in_state = |state| {
            let filter = Filter { state: Some(state), ..Filter::default() };
            recent.page(&filter, None, recent.places()).entries
        };
        let mut entries = in_state(State::Refused);
        entries.extend(in_state(State::Observed));
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.number));
        let capturing = &self.control.generation().capturing;
        Ok(refused::body(&entries, recent.places(), recent.left_out(), capturing))
    }

    /// The page *Request*.
    pub(super) fn request_page(&self, number: u64, query: &str, person: &Person) -> Result<Markup, Refusal> {
        let entry = self.kept()?.get(number).ok_or_else(Refusal::no_longer_kept)?;
        let captured = entry.entry.captured();
        let form = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "content");
        let form = form.and_then(|(_, form)| Form::read(&form));
        let shown = match (&captured, form) {
            _ if self.hides_request(&entry) => Shown::Never,
            (Some(captured), Some(form)) => {
                info!(who = %person.who(), request = number, form = form.name(), "content was shown in the console");
                Shown::Content(form, captured.content())
            }
            (_, None) | (None, Some(_)) => Shown::NotAsked,
        };
        Ok(request::body(&entry, captured.as_deref(), shown))
    }

    /// The captured content of a request as a file.
    pub(super) fn captured_download(
        &self,
        number: u64,
        person: &Person,
    ) -> Result<Response<Content>, Refusal> {
        let entry = self.kept()?.get(number).ok_or_else(Refusal::no_longer_kept)?;
        if self.hides_request(&entry) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "the route hides its content"));
        }
        let not_captured = || Refusal::not_found("the content of this request is not kept");
        let captured = entry.entry.captured().ok_or_else(not_captured)?;
        info!(who = %person.who(), request = number, "content was downloaded from the console");
        Ok(file(&format!("request-{number}.bin"), Bytes::copy_from_slice(captured.content())))
    }

    /// Adds to each destination with an open circuit why its last attempt failed, if the attempt is still
    /// kept.
    pub(super) fn explain_stops(&self, overview: &mut Overview) {
        if overview.upstreams.iter().all(|one| one.circuit != "open") {
            return;
        }
        let recent = self.control.recent();
        let filter = Filter { state: Some(State::Delivery), ..Filter::default() };
        let entries = recent.page(&filter, None, recent.places()).entries;
        overview.explain(entries.iter().filter_map(|entry| match &entry.entry.subject {
            Subject::Delivery(attempt) => Some(attempt),
            Subject::Request(_) | Subject::Cause(_) => None,
        }));
    }

    /// Adds to refusals with `signature_mismatch` what to do about their most frequent cause, if such a
    /// request is still kept.
    pub(super) fn advise(&self, refusals: &mut BTreeMap<Reason, Refusals>) {
        let Some(mismatches) = refusals.get_mut(&Reason::SignatureMismatch) else { return };
        let Some(first) = mismatches.first_cause() else { return };
        let recent = self.control.recent();
        let reason = Some(Reason::SignatureMismatch.as_str().to_owned());
        let entries = recent.page(&Filter { reason, ..Filter::default() }, None, recent.places()).entries;
        let mut causes = entries.iter().filter_map(|entry| entry.entry.cause());
        mismatches.advice = causes.find(|cause| cause.label == first).map(|cause| cause.advice.clone());
    }

    fn hides_request(&self, entry: &Numbered) -> bool {
        entry.entry.request().and_then(Record::route_path).is_some_and(|path| self.hides(path))
    }

    /// The stream of rows. It ends with its connection, with the session, and after a quarter of an hour; the
    /// browser then asks again.
    pub(super) fn live_stream(
        &self,
        query: &str,
        person: &Person,
        time_limit: &TimeLimit,
    ) -> Result<Response<Content>, Refusal> {
        self.kept()?;
        let query = Query::read(query);
        let filter = query.filter.map_err(|error| Refusal::bad(error.to_string()))?;
        let place = Arc::clone(&self.streams).try_acquire_owned().map_err(|_taken| {
            Refusal::unavailable(format!("{MOST_STREAMS} pages follow the stream already"))
        })?;
        time_limit.extend(recent_stream::TIME_LIMIT);
        let known = person.last_event_id.as_deref().and_then(|id| id.parse().ok());
        let following = Following { filter, after: known.or(query.after), past: 0 };
        let row = |entry: &Numbered| ("row", Row::of(entry).document());
        Ok(recent_stream::start(self.recent(), following, place, row, self.still(&person.session)))
    }

    fn recent(&self) -> Source {
        Source { recent: Arc::clone(self.control.recent()), started: self.control.started_at() }
    }

    fn kept(&self) -> Result<&Arc<Recent>, Refusal> {
        let recent = self.control.recent();
        if recent.places() == 0 { Err(Refusal::nothing_recent()) } else { Ok(recent) }
    }
}
