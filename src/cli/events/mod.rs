//! Shell. `hookgate events`: shows and changes the events that a running gateway stores.

pub(super) mod args;
pub(super) mod client;
mod rendering;

use std::io::{self, BufRead as _, IsTerminal as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::exit::{Exit, Failure};
use super::signals::{self, Signals};
use super::terminal::{Paint, Terminal};
use crate::admin::api::filter::{Asked, MOST_IDS, MOST_IDS_IN_QUERY, when, written};
use crate::cli::configuration::ConfigFile;
use crate::queue::time::Time;
use args::{Discard, Export, List, Replay, Replays, Route, Show, Verb, Which, too_many};
use client::Api;
use rendering::at;

/// The time between two requests for the progress of a replay.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Runs the action that the arguments name.
///
/// # Errors
/// A [`Failure`] if the gateway does not answer, or refuses the request.
pub(super) fn events(terminal: &mut Terminal, file: &ConfigFile, verb: &Verb) -> Result<Exit, Failure> {
    let gateway = match verb {
        Verb::List(List { gateway, .. })
        | Verb::Show(Show { gateway, .. })
        | Verb::Replay(Replay { gateway, .. })
        | Verb::Replays(Replays { gateway, .. })
        | Verb::Discard(Discard { gateway, .. })
        | Verb::Export(Export { gateway, .. })
        | Verb::Pause(Route { gateway, .. })
        | Verb::Resume(Route { gateway, .. }) => gateway,
    };
    let api = Api::of(terminal, file, gateway)?;
    let runtime = signals::runtime().map_err(|error| Failure::failed("no resources left").because(error))?;
    runtime.block_on(async {
        match verb {
            Verb::List(asked) => list(terminal, &api, asked).await,
            Verb::Show(asked) => show(terminal, &api, asked).await,
            Verb::Replay(asked) => replay(terminal, &api, asked).await,
            Verb::Replays(asked) => replays(terminal, &api, asked).await,
            Verb::Discard(asked) => discard(terminal, &api, asked).await,
            Verb::Export(asked) => export(terminal, &api, asked).await,
            Verb::Pause(asked) => route(terminal, &api, asked, "pause").await,
            Verb::Resume(asked) => route(terminal, &api, asked, "resume").await,
        }
    })
}

async fn list(terminal: &mut Terminal, api: &Api, asked: &List) -> Result<Exit, Failure> {
    let own = [("limit", Some(asked.limit.to_string())), ("before", asked.before.clone())];
    let page = api.get(&target("events", &asked.which.asked(), own)?).await?;
    if asked.json {
        terminal.out.json(&page);
        return Ok(Exit::Done);
    }
    let lines = rendering::list(&page);
    let next = at(&page, ["next"]).as_str();
    match (lines.len() <= 1, next) {
        (true, None) => terminal.note("no event meets this"),
        (true, Some(next)) => {
            terminal.note(format_args!(
                "none of the latest events meets this; search the earlier ones: --before {next}"
            ));
        }
        (false, next) => {
            table(terminal, lines);
            if let Some(next) = next {
                terminal.note(format_args!("there are more: --before {next}"));
            }
        }
    }
    Ok(Exit::Done)
}

fn table(terminal: &mut Terminal, lines: Vec<String>) {
    for (index, line) in lines.into_iter().enumerate() {
        let line = if index == 0 { terminal.out.paint(Paint::Faint, line) } else { line };
        terminal.out.line(line);
    }
}

async fn show(terminal: &mut Terminal, api: &Api, asked: &Show) -> Result<Exit, Failure> {
    let ids: Vec<_> = asked.positional.iter().chain(&asked.ids).collect();
    if asked.content && ids.len() > 1 {
        return Err(Failure::usage("--content writes the content of one event"));
    }
    for (index, id) in ids.into_iter().enumerate() {
        let event = api.get(&format!("events/{id}?content=true")).await?;
        if asked.content {
            let content = at(&event, ["content", "base64"]).as_str();
            let content = content.and_then(|text| STANDARD.decode(text).ok());
            let gone =
                || Failure::failed("the content of the event is no longer kept, or the record is damaged");
            terminal.out.bytes(&content.ok_or_else(gone)?);
        } else if asked.json {
            terminal.out.json(&event);
        } else {
            if index > 0 {
                terminal.out.line("");
            }
            rendering::event(&event).into_iter().for_each(|line| terminal.out.line(line));
        }
    }
    Ok(Exit::Done)
}

async fn export(terminal: &mut Terminal, api: &Api, asked: &Export) -> Result<Exit, Failure> {
    let target = target("events/export", &asked.which.asked(), [("after", asked.after.clone())])?;
    let mut is_empty = true;
    let take = |piece: &[u8]| {
        is_empty &= piece.is_empty();
        terminal.out.bytes(piece);
        !terminal.out.is_gone()
    };
    api.lines(&target, take).await?;
    if is_empty {
        terminal.note("no event meets this");
    }
    Ok(Exit::Done)
}

async fn replay(terminal: &mut Terminal, api: &Api, asked: &Replay) -> Result<Exit, Failure> {
    let document = selection(api, &asked.which).await?;
    let document = with(document, "rate", asked.rate.into());
    let dry = with(document.clone(), "dry_run", true.into());
    let counted = api.post("events/replay", &dry).await?;
    let number = rendering::counted(at(&counted, ["count"]), at(&counted, ["is_capped"]));
    if asked.dry_run {
        match asked.json {
            true => terminal.out.json(&counted),
            false => terminal.out.line(format_args!("{number} would be sent again")),
        }
        return Ok(Exit::Done);
    }
    if *at(&counted, ["count"]) == 0 {
        return nothing(terminal, &asked.which);
    }
    if !asked.which.is_of_ids() && !asked.yes {
        let rate = asked.rate;
        ask(terminal, &format!("send {number} again, {rate} a second?"), "they are not sent")?;
    }
    let started = api.post("events/replay", &document).await?;
    let id = at(&started, ["replay", "id"]).as_str().unwrap_or_default().to_owned();
    let replay =
        if asked.detach { at(&started, ["replay"]).clone() } else { watch(terminal, api, &id).await? };
    if asked.json {
        terminal
            .out
            .json(&json!({ "count": at(&counted, ["count"]), "is_capped": at(&counted, ["is_capped"]), "replay": replay }));
    } else {
        let progress = rendering::progress(&replay);
        terminal.out.line(match at(&replay, ["state"]).as_str() {
            Some("done") => format!("{progress} sent again"),
            Some("cancelled") => format!("cancelled: {progress} sent again"),
            Some(_) | None => format!("replay {id}: {progress} sent again so far"),
        });
        if let Some(gone) = at(&replay, ["gone"]).as_u64().filter(|gone| *gone > 0) {
            terminal.note(format_args!(
                "{gone} were removed before their turn, or their content is no longer kept"
            ));
        }
    }
    match at(&replay, ["state"]).as_str() {
        Some("cancelled") => Ok(Exit::Failed),
        Some("done") if *at(&replay, ["replayed"]) == 0 => Ok(Exit::Failed),
        Some(_) | None => Ok(Exit::Done),
    }
}

/// Shows the progress of a replay until it ends. SIGINT ends only the watching.
async fn watch(terminal: &mut Terminal, api: &Api, id: &str) -> Result<Value, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::failed("no signals").because(error))?;
    let mut shown = String::new();
    loop {
        let replay = api.get(&format!("replays/{id}")).await?;
        if *at(&replay, ["state"]) != "running" {
            return Ok(replay);
        }
        let progress = rendering::progress(&replay);
        if terminal.err.is_terminal() && shown != progress {
            terminal.err.line(format_args!("{progress} sent again"));
            shown = progress;
        }
        if timeout(LOOK_AGAIN, signals.stop()).await.is_ok() {
            terminal.note(format_args!(
                "the replay goes on in the gateway: `hookgate events replays --cancel {id}` ends it"
            ));
            return Ok(replay);
        }
    }
}

async fn replays(terminal: &mut Terminal, api: &Api, asked: &Replays) -> Result<Exit, Failure> {
    let (found, lines) = match &asked.cancel {
        Some(id) => {
            let replay = api.post(&format!("replays/{id}/cancel"), &json!({})).await?;
            let state = at(&replay, ["state"]).as_str().unwrap_or_default();
            let line = format!("{state}: {} sent again", rendering::progress(&replay));
            (replay, vec![line])
        }
        None => {
            let all = api.get("replays").await?;
            let lines = rendering::replays(&all);
            (all, lines)
        }
    };
    if asked.json {
        terminal.out.json(&found);
    } else {
        lines.into_iter().for_each(|line| terminal.out.line(line));
    }
    Ok(Exit::Done)
}

async fn discard(terminal: &mut Terminal, api: &Api, asked: &Discard) -> Result<Exit, Failure> {
    let document = selection(api, &asked.which).await?;
    let dry = with(document.clone(), "dry_run", true.into());
    let counted = api.post("events/discard", &dry).await?;
    let number = rendering::counted(at(&counted, ["count"]), at(&counted, ["is_capped"]));
    if asked.dry_run {
        match asked.json {
            true => terminal
                .out
                .json(&json!({ "count": at(&counted, ["count"]), "is_capped": at(&counted, ["is_capped"]) })),
            false => terminal.out.line(format_args!("{number} would be removed")),
        }
        return Ok(Exit::Done);
    }
    if *at(&counted, ["count"]) == 0 {
        return nothing(terminal, &asked.which);
    }
    if !asked.yes {
        ask(terminal, &format!("remove {number} for good?"), "they are not removed")?;
    }
    let mut discarded = 0_u64;
    loop {
        let step = api.post("events/discard", &document).await?;
        discarded = discarded.saturating_add(at(&step, ["discarded"]).as_u64().unwrap_or(0));
        if *at(&step, ["has_more"]) != true {
            break;
        }
    }
    match asked.json {
        true => terminal.out.json(&json!({ "discarded": discarded })),
        false => terminal
            .out
            .line(format_args!("{} removed", rendering::counted(&discarded.into(), &false.into()))),
    }
    Ok(Exit::Done)
}

async fn route(terminal: &mut Terminal, api: &Api, asked: &Route, verb: &str) -> Result<Exit, Failure> {
    let document = json!({ "route": asked.path(), "model": asked.model });
    let done = api.post(&format!("routes/{verb}"), &document).await?;
    if asked.json {
        terminal.out.json(&done);
        return Ok(Exit::Done);
    }
    let routes = at(&done, ["routes"]).as_array().map(Vec::as_slice).unwrap_or_default();
    for route in routes {
        terminal.out.line(format_args!("{verb}d: {}", rendering::route(route)));
    }
    Ok(Exit::Done)
}

/// The result if no event matches. Ids that are not stored are a failure. A filter without matches is not.
fn nothing(terminal: &mut Terminal, which: &Which) -> Result<Exit, Failure> {
    if which.is_of_ids() {
        return Err(Failure::failed("there is no such event"));
    }
    terminal.note("no event meets this");
    Ok(Exit::Done)
}

/// The events of a change, in the form of the request. Events that arrive during the change do not belong to
/// it.
async fn selection(api: &Api, which: &Which) -> Result<Value, Failure> {
    let asked = which.asked();
    if asked.ids.len() > MOST_IDS {
        return Err(Failure::usage(too_many(MOST_IDS)));
    }
    if which.is_of_ids() {
        return Ok(json!({ "ids": asked.ids }));
    }
    if asked.is_empty() {
        return Err(Failure::usage("say which events: their ids, or a filter such as `--state dead`"));
    }
    // The time is taken from the gateway's clock, which also sets the times of the events.
    let now = api.get("queue").await?;
    let now = at(&now, ["now"]).as_str().and_then(|now| when(now, Time::default())).unwrap_or_default();
    let time = |text: &str| when(text, now).map(written);
    let until = asked.until.as_deref().map_or(Some(written(now)), time);
    let since = asked.since.as_deref().and_then(time);
    Ok(json!({ "filter": Asked { since, until, ..asked } }))
}

/// Asks the person at the terminal for confirmation.
///
/// # Errors
/// Wrong usage if there is no terminal, or if the answer is not `y` or `yes`.
fn ask(terminal: &mut Terminal, question: &str, otherwise: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "{question} Standard input is no terminal, so the question cannot be asked"
        ))
        .hint("--yes does it without asking, and --dry-run says how many there are"));
    }
    terminal.err.text(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::failed("cannot read the answer").because(error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::failed(otherwise)),
    }
}

/// A request target, with the parameters of a filter and further parameters.
fn target<const N: usize>(
    path: &str,
    asked: &Asked,
    own: [(&str, Option<String>); N],
) -> Result<String, Failure> {
    if asked.ids.len() > MOST_IDS_IN_QUERY {
        return Err(Failure::usage(too_many(MOST_IDS_IN_QUERY)));
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    let filters = [
        ("state", &asked.state),
        ("route", &asked.route),
        ("since", &asked.since),
        ("until", &asked.until),
        ("model", &asked.model),
    ];
    for (name, value) in filters {
        query.extend_pairs(value.iter().map(|value| (name, value)));
    }
    query.extend_pairs(asked.ids.iter().map(|id| ("id", id)));
    query.extend_pairs(own.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    Ok(format!("{path}?{}", query.finish()))
}

/// The document, with one more member.
fn with(mut document: Value, name: &str, value: Value) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
    document
}
