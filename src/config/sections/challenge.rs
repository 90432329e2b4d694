//! Pure. Reads `challenge` of a `[schemes.NAME]`: a request with which a sender tests a URL, and the reply to
//! it.

use std::borrow::Cow;

use http::StatusCode;

use crate::config::choices::CHALLENGE_STATUSES;
use crate::config::json_pointer;
use crate::config::keys;
use crate::config::problem::Problem;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::signature::challenge::{Asks, Challenge, Expected, Insert, Reply};
use crate::signature::field::Encoding;

/// Reads a challenge. `None` if it has an error.
pub(crate) fn read(item: &Item<'_>) -> Option<Challenge> {
    let table = Table::of(item, "`challenge`", EXAMPLE, keys::CHALLENGE)?;
    let before = item.problems.len();
    let reply = table.required("answer", "\"{value}\"").and_then(|item| reply(&item));
    let asks = match table.get("query") {
        Some(query) => in_query(&query, &table),
        None => in_content(&table),
    };
    let status = match table.get("status") {
        Some(item) => status(&item),
        None => Some(StatusCode::OK),
    };
    let (asks, reply, status) = (asks?, reply?, status?);
    let has_value = match &asks {
        Asks::Content { value, .. } => value.is_some(),
        Asks::Query { .. } => true,
    };
    let inserts: &[(_, Insert)] = match &reply {
        Reply::Text(insert) => &[(Cow::Borrowed(""), insert.clone())],
        Reply::Json(members) => members,
    };
    for (_, insert) in inserts {
        let message = match insert {
            Insert::Value | Insert::Proof | Insert::ProofAs { .. } if !has_value => {
                "there is no `value` to answer with"
            }
            Insert::Value | Insert::Proof | Insert::ProofAs { .. } | Insert::Text(_) | Insert::Number(_) => {
                continue;
            }
        };
        Problem::error("bad_challenge", table.place("answer"), message).help(EXAMPLE).report(item.problems);
    }
    (item.problems.len() == before).then_some(Challenge { asks, status, reply })
}

fn in_query(query: &Item<'_>, table: &Table<'_>) -> Option<Asks> {
    if let Some(value) = table.get("value") {
        let message = "the value is in the content (`value`) or in the query (`query`), not in both";
        Problem::error("bad_challenge", value.key, message).help("remove one of them").report(query.problems);
    }
    if let Some(absent) = table.get("absent") {
        let message = "`absent` is about members of the content, and this challenge has no content";
        Problem::error("bad_challenge", absent.key, message).help("remove it").report(table.problems);
    }
    let value = query.text("\"challenge\"")?;
    let token = match table.get("token") {
        Some(token) => Some(token.text("\"verify_token\"")?),
        None => None,
    };
    let mut when = Vec::new();
    for (name, value) in conditions(table) {
        let text = value.text(WHEN_QUERY)?;
        when.push((name.to_owned().into(), text.to_owned().into()));
    }
    let owned = |text: &str| -> Cow<'static, str> { Cow::Owned(text.to_owned()) };
    Some(Asks::Query { when, value: owned(value), token: token.map(owned) })
}

fn in_content(table: &Table<'_>) -> Option<Asks> {
    if let Some(token) = table.get("token") {
        let message = "a challenge in the content is signed: it needs no token";
        Problem::error("bad_challenge", token.key, message).help("remove it").report(table.problems);
    }
    let value = match table.get("value") {
        Some(item) => {
            let text = item.text("\"/challenge\"")?;
            if !json_pointer::is_pointer(text, item.span, table.problems) {
                return None;
            }
            Some(text.to_owned().into())
        }
        None => None,
    };
    let mut when = Vec::new();
    for (place, value) in conditions(table) {
        if !json_pointer::is_pointer(place, value.key.clone(), table.problems) {
            return None;
        }
        let expected = match value.value.is_integer() {
            true => Expected::Number(value.number("1")?),
            false => Expected::Text(value.text(WHEN)?.to_owned().into()),
        };
        when.push((place.to_owned().into(), expected));
    }
    if when.is_empty() {
        let message = "nothing distinguishes this challenge from an event, so every event would be answered as a challenge";
        return Problem::error("bad_challenge", table.span(), message)
            .help(format!("add `when = {WHEN}`"))
            .refuse(table.problems);
    }
    let absent = table.get("absent").map(|item| json_pointer::list(&item)).unwrap_or_default();
    when.extend(absent.into_iter().map(|pointer| (pointer.into(), Expected::Absent)));
    Some(Asks::Content { when, value })
}

/// Reads the entries of `when`.
fn conditions<'t>(table: &Table<'t>) -> Vec<(&'t str, Item<'t>)> {
    let Some(item) = table.get("when") else { return Vec::new() };
    let Some(entries) = item.table(&item.write(WHEN)) else { return Vec::new() };
    json_pointer::bounded(&item, entries.len());
    item.entries(entries).collect()
}

/// Reads the status code of an answer.
fn status(item: &Item<'_>) -> Option<StatusCode> {
    let number = item.number("200")?;
    let known = CHALLENGE_STATUSES.iter().find(|status| u64::from(**status) == number);
    known.and_then(|status| StatusCode::from_u16(*status).ok()).or_else(|| {
        let problem = item.error("bad_value", "no sender expects this status code as an answer");
        problem.help("one of `200`, `202`, `204`").refuse(item.problems)
    })
}

/// Reads a reply: a text, or a table of the members of a JSON object.
fn reply(item: &Item<'_>) -> Option<Reply> {
    let Some(entries) = item.value.as_table() else {
        return Some(Reply::Text(insert(item)?));
    };
    json_pointer::bounded(item, entries.len());
    let mut members = Vec::new();
    for (name, member) in item.entries(entries) {
        members.push((name.to_owned().into(), insert(&member)?));
    }
    Some(Reply::Json(members))
}

fn insert(item: &Item<'_>) -> Option<Insert> {
    if item.value.is_integer() {
        return Some(Insert::Number(item.number("1")?));
    }
    let text = item.text("\"{value}\"")?;
    let (prefix, variable) =
        text.split_at_checked(text.find('{').unwrap_or(text.len())).unwrap_or((text, ""));
    let proof = Encoding::ALL.iter().find(|(name, _)| variable == format!("{{hmac:{name}}}"));
    match (prefix, variable, proof) {
        ("", "{value}", _) => Some(Insert::Value),
        ("", "{hmac}", _) => Some(Insert::Proof),
        (_, _, Some((_, encoding))) => {
            Some(Insert::ProofAs { prefix: prefix.to_owned().into(), encoding: *encoding })
        }
        (_, "", None) if !text.contains('}') => Some(Insert::Text(text.to_owned().into())),
        _ => {
            let message =
                "an answer is `{value}`, `{hmac}`, `{hmac:base64}` after a prefix, or a text without braces";
            let problem = item.error("bad_challenge", message);
            problem.help(item.write("\"{value}\"")).refuse(item.problems)
        }
    }
}

const WHEN: &str = "{ \"/type\" = \"url_verification\" }";
const WHEN_QUERY: &str = "{ mode = \"subscribe\" }";
const EXAMPLE: &str = "write `challenge = { when = { \"/type\" = \"url_verification\" }, value = \"/challenge\", answer = \"{value}\" }`";
