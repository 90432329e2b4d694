//! Shell. `hookgate tail`: follows requests and deliveries of a running gateway, one line each.

mod event_stream;
mod rendering;

use std::time::Duration;

use form_urlencoded::Serializer;
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::time::timeout;

use super::args::Tail;
use super::exit::{Exit, Failure};
use super::signals::{self, Signals};
use super::terminal::Terminal;
use crate::cli::configuration::ConfigFile;
use crate::cli::events::client::Api;
use crate::config::problem::Style;
use crate::telemetry::person_line::Manner;
use event_stream::{Event, Parser};

/// The pause before the gateway is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Follows the gateway until a signal comes, or until the reader of the output is gone.
///
/// # Errors
/// A [`Failure`] if the gateway does not answer at first, or refuses the request.
pub(super) fn tail(terminal: &mut Terminal, file: &ConfigFile, asked: &Tail) -> Result<Exit, Failure> {
    let api = Api::of(terminal, file, &asked.gateway)?;
    let runtime = signals::runtime().map_err(|error| Failure::failed("no resources left").because(error))?;
    runtime.block_on(async {
        let signals = Signals::listen();
        let mut signals = signals.map_err(|error| Failure::failed("no resources left").because(error))?;
        tokio::select! {
            ended = follow(terminal, &api, asked) => ended,
            _signal = signals.stop() => Ok(Exit::Done),
        }
    })
}

async fn follow(terminal: &mut Terminal, api: &Api, asked: &Tail) -> Result<Exit, Failure> {
    let colours = terminal.out.style() == Style::Colored;
    let manner = Manner { colours, zone: TimeZone::system() };
    let mut known = None;
    let mut is_gone = false;
    let mut followed = false;
    loop {
        let mut parser = Parser::default();
        let mut answers = false;
        let target = target(asked, known.as_deref());
        let take = |piece: &[u8]| {
            answers = true;
            let Ok(events) = parser.take(piece) else { return false };
            for event in events {
                show(terminal, asked, &manner, &event);
                known = event.id.or(known.take());
            }
            !terminal.out.is_gone()
        };
        let ended = api.lines(&target, take).await;
        if terminal.out.is_gone() {
            return Ok(Exit::Done);
        }
        followed |= answers;
        is_gone &= !answers;
        match ended {
            Err(failure) if !followed => return Err(failure),
            Err(failure) if !is_gone => {
                is_gone = true;
                terminal.note(format_args!("{failure}: waiting for the gateway"));
            }
            // The gateway ends each stream after some time, so that no stream without a reader lasts for
            // ever.
            Ok(()) | Err(_) => {}
        }
        // The wait ends only when the time has passed.
        let _elapsed = timeout(ASK_AGAIN, std::future::pending::<()>()).await;
    }
}

fn show(terminal: &mut Terminal, asked: &Tail, manner: &Manner, event: &Event) {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    if event.name == "start" {
        return;
    }
    if asked.json {
        terminal.out.line(data);
    } else {
        terminal.out.text(rendering::lines(&event.name, &data, manner));
    }
}

/// The target of the request: the filters, and where to begin.
fn target(asked: &Tail, known: Option<&str>) -> String {
    let mut query = Serializer::new(String::new());
    let state = if asked.refused { Some("refused") } else { asked.state.as_deref() };
    let filters = [
        ("state", state),
        ("route", asked.route.as_deref()),
        ("reason", asked.reason.as_deref()),
        ("status", asked.status.as_deref()),
        ("path", asked.path.as_deref()),
    ];
    for (name, value) in filters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    match known {
        Some(known) => query.append_pair("after", known),
        None => query.append_pair("past", &asked.since.to_string()),
    };
    format!("requests/stream?{}", query.finish())
}
