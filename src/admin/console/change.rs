//! Shell. Makes the changes that forms ask for. After a change, the browser goes back to a page, and the page
//! shows the result. So a reload repeats no change.

use std::sync::PoisonError;

use http::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::documents::{self, Discarded, Paused, Replay, Started};
use super::frame::events;
use super::place::{Change, Query, back};
use super::selection::Selection;
use super::session::Notice;
use super::{Console, Person, leads_to};
use crate::admin::api::Asking;
use crate::admin::api::events::{Discard, Repeat, StartReplay};
use crate::admin::api::refusal::Refusal;
use crate::admin::api::routes::Named;
use crate::admin::response_content::Content;
use crate::admin::time_limit::TimeLimit;

/// What has happened, and the page that tells it. Without a page, it is the page that the form names.
struct Made {
    text: String,
    page: Option<String>,
}

impl Console {
    /// Makes a change.
    pub(super) async fn change(
        &self,
        change: Change,
        form: &str,
        person: &Person,
        time_limit: &TimeLimit,
    ) -> Response<Content> {
        let form = Query::read(form).map_err(|error| Refusal::bad(error.to_string()));
        let named = form.as_ref().ok().and_then(|form| form.own("back")).map(str::to_owned);
        let made = match form {
            Ok(form) => self.try_change(change, &form, person, time_limit).await,
            Err(refusal) => Err(refusal),
        };
        // The change makes earlier counts wrong.
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).forget();
        let (notice, page) = match made {
            Ok(Made { text, page }) => (Notice { is_done: true, text }, page),
            Err(refusal) => (Notice { is_done: false, text: refusal.error }, None),
        };
        self.sessions().tell(&person.session, notice);
        leads_to(&page.unwrap_or_else(|| back(named.as_deref())), None)
    }

    async fn try_change(
        &self,
        change: Change,
        form: &Query,
        person: &Person,
        time_limit: &TimeLimit,
    ) -> Result<Made, Refusal> {
        let asking = self.api.asking(person.who(), time_limit).await?;
        match change {
            Change::Pause => switch(&asking, Switch::Pause, form).await,
            Change::Resume => switch(&asking, Switch::Resume, form).await,
            Change::Replay => replay(&asking, form).await,
            Change::Discard => discard(&asking, form).await,
            Change::CancelReplay(id) => {
                let cancelled: Replay = read(asking.cancel_replay(id).await?)?;
                let sent = events(cancelled.replayed, false);
                if cancelled.state == "done" {
                    return Err(Refusal::bad(format!("the replay had already ended, with {sent}")));
                }
                Ok(Made { text: format!("the replay is cancelled after {sent}"), page: None })
            }
            Change::Logout => Err(Refusal::not_found("there is no such change")),
        }
    }
}

fn read<T: DeserializeOwned>(document: Value) -> Result<T, Refusal> {
    documents::read(document).map_err(|error| Refusal::unavailable(error.to_string()))
}

fn selection(form: &Query) -> Result<Selection, Refusal> {
    Selection::read(form).map_err(Refusal::bad)
}

/// Sends the events of a form again.
async fn replay(asking: &Asking<'_>, form: &Query) -> Result<Made, Refusal> {
    let chosen = selection(form)?;
    let rate =
        form.own("rate").map(|rate| rate.parse().map_err(|_error| Refusal::bad("the rate is no number")));
    let rate = rate.transpose()?;
    let asked = |dry_run| StartReplay { ids: None, filter: Some(chosen.filter.clone()), dry_run, rate };
    // The filter of a form has a fixed end in time, so the same filter is the same form. The form of one
    // event has none.
    let repeat = if chosen.seen.is_some() && chosen.filter.until.is_some() {
        Repeat::Refused
    } else {
        Repeat::Allowed
    };
    let (_, counted) = asking.start_replay(asked(true), repeat).await?;
    if let Some(why) = chosen.is_wider(read(counted)?) {
        return Err(Refusal::bad(why));
    }
    let (_, started) = asking.start_replay(asked(false), repeat).await?;
    let Started { replay } = read(started)?;
    if chosen.seen.is_none() {
        return Ok(Made { text: "the event is sent again".to_owned(), page: None });
    }
    let text = format!("{} are sent again", events(replay.total, replay.total_is_capped));
    Ok(Made { text, page: Some(format!("/replays/{}", replay.id)) })
}

/// Removes the events of a form.
async fn discard(asking: &Asking<'_>, form: &Query) -> Result<Made, Refusal> {
    let chosen = selection(form)?;
    if form.own("sure").is_none() {
        return Err(Refusal::bad("nothing was discarded: the confirmation is missing"));
    }
    let asked = |dry_run| Discard { ids: None, filter: Some(chosen.filter.clone()), dry_run };
    if let Some(why) = chosen.is_wider(read(asking.discard(asked(true), None).await?)?) {
        return Err(Refusal::bad(why));
    }
    // Events that match only since the count are not discarded.
    let most = chosen.seen.filter(|seen| !seen.is_capped).map(|seen| seen.count);
    let Discarded { discarded, has_more } = read(asking.discard(asked(false), most).await?)?;
    let more = if has_more && most.is_none() { ", and there are more: discard again" } else { "" };
    // The page of the event is gone with the event.
    Ok(Made {
        text: format!("{} discarded{more}", events(discarded, false)),
        page: Some("/queue".to_owned()),
    })
}

/// Which way the deliveries of a route are switched.
#[derive(Clone, Copy, Debug)]
enum Switch {
    Pause,
    Resume,
}

/// Pauses or resumes the deliveries of a route.
async fn switch(asking: &Asking<'_>, switch: Switch, form: &Query) -> Result<Made, Refusal> {
    let route = form.filter.route.clone().ok_or_else(|| Refusal::bad("the form names no route"))?;
    let named = Named { route: route.clone(), model: form.filter.model.clone() };
    let (document, done) = match switch {
        Switch::Pause => (asking.pause(named).await?, "paused"),
        Switch::Resume => (asking.resume(named).await?, "resumed"),
    };
    let Paused { changed } = read(document)?;
    let text = match changed {
        0 => format!("the deliveries of {route} were {done} already"),
        _ => format!("the deliveries of {route} are {done}"),
    };
    Ok(Made { text, page: None })
}
