//! Pure. The arguments of `hookgate events`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use crate::admin::api::filter::{Asked, STATES, when};
use crate::queue::id::EventId;
use crate::queue::store::Failure;
use crate::queue::time::Time;
use crate::upstream::origin::Origin;

/// The actions on stored events.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List events, the latest first
    List(List),
    /// Show events: their fields, their content, and every attempt that is kept
    Show(Show),
    /// Send events again, with a new budget of retries. Ctrl-C ends the waiting, but not the replay
    Replay(Replay),
    /// List the replays of the gateway, or cancel one
    Replays(Replays),
    /// Remove events for good
    Discard(Discard),
    /// Print events with their content, one JSON document a line, the earliest first
    Export(Export),
    /// Deliver no stored event of a route until it is resumed; a route with fallback still forwards new ones
    Pause(Route),
    /// Resume the deliveries of a route
    Resume(Route),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(super) which: Which,
    /// The most events to list
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) limit: u16,
    /// List only events before the event with this id: the next page
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(super) before: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) gateway: Gateway,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The ids of the events
    #[arg(value_name = "ID", value_parser = id)]
    pub(super) positional: Vec<String>,
    /// The id of an event (repeatable)
    #[arg(long = "id", value_name = "ID", value_parser = id, required_unless_present = "positional")]
    pub(super) ids: Vec<String>,
    /// Write only the content of a single event, byte for byte
    #[arg(long, conflicts_with = "json")]
    pub(super) content: bool,
    /// Print one JSON document for each event
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) gateway: Gateway,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(super) which: Which,
    /// The rate, in events a second
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) rate: u16,
    /// Only print how many events there are
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Do not wait for the end of the replay
    #[arg(long)]
    pub(super) detach: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) gateway: Gateway,
}

#[derive(Debug, Args)]
pub(crate) struct Replays {
    /// Cancel this replay. Events that were already replayed are not affected
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(super) cancel: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) gateway: Gateway,
}

#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    pub(super) which: Which,
    /// Only print how many events there are
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) gateway: Gateway,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(super) which: Which,
    /// Print only events after the event with this id: the rest of an export that broke off
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(super) after: Option<String>,
    /// Has no effect: an export is always JSON, one document a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) gateway: Gateway,
}

#[derive(Debug, Args)]
pub(crate) struct Route {
    /// The path of the route, as configured
    #[arg(value_name = "ROUTE")]
    pub(super) positional: Option<String>,
    /// The path of the route, as configured
    #[arg(long, value_name = "ROUTE", required_unless_present = "positional", conflicts_with = "positional")]
    pub(super) route: Option<String>,
    /// Only the route with this path and this `model`
    #[arg(long)]
    pub(super) model: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) gateway: Gateway,
}

/// The options that select events.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which events")]
pub(crate) struct Which {
    /// The events with these ids
    #[arg(value_name = "ID", value_parser = id)]
    positional: Vec<String>,
    /// The id of an event (repeatable)
    #[arg(long = "id", value_name = "ID", value_parser = id)]
    ids: Vec<String>,
    /// The events in this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
    /// The events of the route with this path, as configured
    #[arg(long, value_name = "PATH")]
    route: Option<String>,
    /// The events received at this time or later: 2026-11-30T12:00:00Z, or 2h (ago)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<String>,
    /// The events received before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<String>,
    /// The events with this signed model
    #[arg(long)]
    model: Option<String>,
    /// The events whose last attempt failed in this way: a status code such as 500, unreachable, failed,
    /// timed_out, or damaged
    #[arg(long, value_name = "FAILURE", value_parser = failure)]
    failure: Option<String>,
}

/// The options that select the gateway.
#[derive(Debug, Args)]
#[command(next_help_heading = "The gateway")]
pub(crate) struct Gateway {
    /// Its admin listener, also as https://HOST:PORT or unix:/PATH; default: the first address of `[admin]`
    /// in the configuration
    #[arg(long, value_name = "http://HOST:PORT", value_parser = Origin::parse)]
    pub(super) admin: Option<Origin>,
    /// The environment variable with a token of `[admin]`. Over loopback and a unix socket, no token is
    /// needed
    #[arg(long, value_name = "NAME", conflicts_with = "token_file")]
    pub(super) token_env: Option<String>,
    /// The file with a token of `[admin]`
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
}

impl Which {
    /// The ids in the arguments, with and without `--id`.
    pub(super) fn ids(&self) -> Vec<String> {
        self.positional.iter().chain(&self.ids).cloned().collect()
    }

    /// Whether only ids select the events.
    pub(super) fn is_of_ids(&self) -> bool {
        let asked = self.asked();
        !asked.ids.is_empty() && Asked { ids: Vec::new(), ..asked }.is_empty()
    }

    /// The filter that the options describe.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            state: self.state.clone(),
            route: self.route.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            model: self.model.clone(),
            failure: self.failure.clone(),
            ids: self.ids(),
        }
    }
}

impl Route {
    /// The path of the route.
    pub(super) fn path(&self) -> &str {
        self.positional.as_deref().or(self.route.as_deref()).unwrap_or_default()
    }
}

fn id(text: &str) -> Result<String, String> {
    match text.parse::<EventId>() {
        Ok(id) => Ok(id.to_string()),
        Err(_what) => Err("an id is a UUID, such as 019ac7f2-5c00-7000-8000-000000000001".to_owned()),
    }
}

fn time(text: &str) -> Result<String, String> {
    let why = || "a time is written 2026-11-30T12:00:00Z, or as a time before now such as 2h".to_owned();
    when(text, Time::default()).map(|_time| text.to_owned()).ok_or_else(why)
}

fn failure(text: &str) -> Result<String, String> {
    let why =
        || "a failure is a status code such as 500, unreachable, failed, timed_out or damaged".to_owned();
    Failure::read(text).map(|_failure| text.to_owned()).ok_or_else(why)
}

/// The error if there are more ids than one request may have.
pub(super) fn too_many(most: usize) -> String {
    format!("at most {most} ids at once")
}

/// The examples at the end of the command's help.
pub(crate) const EXAMPLES: &str = "\
Examples (beside a running gateway with [admin] and [queue]):
  hookgate events list --state dead --since 1d
  hookgate events show 019ac7f2-5c00-7000-8000-000000000001
  hookgate events replay --state dead --route /webhook/leases --dry-run
  hookgate events replay --state dead --route /webhook/leases --rate 20
  hookgate events export --since 2h > events.ndjson
  hookgate events pause /webhook/leases

Exit codes:
  0   done
  1   the command failed, or there is no such event
  2   wrong usage, or no terminal to ask on and no --yes
  78  the configuration is wrong";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(subcommand)]
        verb: Verb,
    }

    const ID: &str = "019ac7f2-5c00-7000-8000-000000000001";

    fn typed(line: &str) -> Result<Verb, clap::Error> {
        let words = std::iter::once("events").chain(line.split_whitespace());
        Typed::try_parse_from(words.map(|word| word.replace("ID", ID))).map(|typed| typed.verb)
    }

    #[test]
    fn ids_stand_behind_the_verb_or_in_the_option() {
        let Verb::Replay(replay) = typed("replay ID --id ID").unwrap() else { panic!() };
        assert_eq!(replay.which.ids(), [ID, ID]);
        assert!(replay.which.is_of_ids());
        let Verb::Replay(replay) = typed("replay ID --state dead").unwrap() else { panic!() };
        assert!(!replay.which.is_of_ids());
    }

    #[test]
    fn what_no_gateway_would_understand_is_wrong_usage() {
        for line in [
            "",
            "list x",
            "list --state lost",
            "list --since yesterday",
            "list --limit 0",
            "list --limit 1001",
            "show",
            "show ID --content --json",
            "replay --rate 0",
            "pause",
            "pause /a --route /a",
        ] {
            assert!(typed(line).is_err(), "{line}");
        }
        for line in [
            "list",
            "list --since 2h --until 2026-11-30T12:00:00Z",
            "show --id ID",
            "pause --route /a",
            "export",
        ] {
            assert!(typed(line).is_ok(), "{line}");
        }
    }
}
