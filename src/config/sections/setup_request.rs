//! Pure. Reads `setup` of a `[schemes.NAME]`: the unsigned requests with which a sender sets a webhook up.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::config::choices::{CHALLENGE_STATUSES, SETUP_METHODS};
use crate::config::keys;
use crate::config::problem::Problem;
use crate::config::sections::connection_fields::OF_THE_CONNECTION;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::signature::setup_request::{MOST_FIELDS, Member, SetupReply, SetupRequest};

/// Reads all set-up requests of a scheme. One with an error is left out.
pub(crate) fn read(item: &Item<'_>) -> Vec<SetupRequest> {
    let Some(array) = item.array(EXAMPLE) else { return Vec::new() };
    if array.len() > MOST {
        let message = format!("a scheme has at most {MOST} set-up requests");
        item.error("out_of_range", message).help("remove some").report(item.problems);
        return Vec::new();
    }
    item.elements(array).filter_map(|element| one(&element)).collect()
}

fn one(item: &Item<'_>) -> Option<SetupRequest> {
    let table = Table::of(item, "an element of `setup`", EXAMPLE, keys::SETUP)?;
    let before = item.problems.len();
    let method = table.choice("method", &SETUP_METHODS, "POST");
    let field = table.get("header").and_then(|item| field_name(&item, item.text("\"x-hook-secret\"")?));
    let members = members(&table);
    let reply = reply(&table);
    let is_sound = item.problems.len() == before;
    if is_sound && method == "POST" && field.is_none() && members.is_empty() {
        let message = "nothing distinguishes this set-up request from any empty POST";
        let help = "add `header`, `when` or `has`";
        Problem::error("bad_setup", table.span(), message).help(help).report(item.problems);
    }
    let repeats = |reply: &SetupReply| reply.fields.iter().any(|(_, value)| value.is_none());
    if field.is_none() && reply.as_ref().is_some_and(repeats) {
        let message = "`{value}` is the value of `header`, and there is none";
        Problem::error("bad_setup", table.place("answer_headers"), message)
            .help("add `header`, or write another text")
            .report(item.problems);
    }
    let field = field.map(|name| Cow::Owned(name.as_str().to_owned()));
    (item.problems.len() == before).then_some(SetupRequest { method: method.into(), field, members, reply })
}

/// Reads `when` and `has`.
fn members(table: &Table<'_>) -> Vec<Member> {
    let mut all: Vec<Member> = Vec::new();
    let mut add = |name: &str, text: Option<&str>, span| {
        let is_member = name.strip_prefix('/').is_some_and(|name| !name.contains(['/', '~']));
        let fault = match all.first() {
            _ if name.is_empty() || (name.starts_with('/') && !is_member) => {
                Some("a member is a name in a form, or `/name` in a JSON object")
            }
            Some(first) if first.name.starts_with('/') != name.starts_with('/') => {
                Some("the content is either a form or a JSON object")
            }
            Some(_) if all.iter().any(|member| member.name == name) => Some("this member is there twice"),
            Some(_) | None => None,
        };
        match fault {
            Some(message) => {
                Problem::error("bad_setup", span, message).help(EXAMPLE).report(table.problems);
            }
            None => all
                .push(Member { name: name.to_owned().into(), text: text.map(|text| text.to_owned().into()) }),
        }
    };
    if let Some(item) = table.get("when")
        && let Some(entries) = item.table(&item.write("{ ssl_check = \"1\" }"))
    {
        for (name, value) in item.entries(entries) {
            if let Some(text) = value.text("\"1\"") {
                add(name, Some(text), value.key);
            }
        }
    }
    if let Some(item) = table.get("has")
        && let Some(array) = item.array(&item.write("[\"/verification_token\"]"))
    {
        for element in item.elements(array) {
            if let Some(name) = element.text("\"/verification_token\"") {
                add(name, None, element.span);
            }
        }
    }
    if all.len() > MOST {
        let message = format!("a set-up request has at most {MOST} members");
        Problem::error("out_of_range", table.span(), message).help("remove some").report(table.problems);
    }
    all
}

/// Reads `status` and `answer_headers`. Without `status`, only the app can answer.
fn reply(table: &Table<'_>) -> Option<SetupReply> {
    let headers = table.get("answer_headers");
    let Some(status) = table.get("status") else {
        if let Some(item) = headers {
            let message = "without a `status`, the gateway does not answer this request";
            Problem::error("bad_setup", item.key, message).help("add `status = 200`").report(table.problems);
        }
        return None;
    };
    let number = status.number("200")?;
    let known = CHALLENGE_STATUSES.iter().find(|known| u64::from(**known) == number);
    let Some(known) = known.and_then(|status| StatusCode::from_u16(*status).ok()) else {
        let problem = status.error("bad_value", "no sender expects this status code as an answer");
        return problem.help("one of `200`, `202`, `204`").refuse(table.problems);
    };
    let mut fields = Vec::new();
    if let Some(item) = headers {
        let entries = item.table(&item.write("{ x-hook-response = \"{value}\" }"))?;
        for (name, value) in item.entries(entries) {
            let name = field_name(&value, name)?;
            let text = value.text("\"{value}\"")?;
            let text = match text {
                "{value}" => None,
                _ => Some(field_value(&value, text)?),
            };
            fields.push((name, text));
        }
        if fields.len() > MOST_FIELDS {
            let message = format!("an answer has at most {MOST_FIELDS} fields of its own");
            item.error("out_of_range", message).help("remove some").report(item.problems);
        }
    }
    Some(SetupReply { status: known, fields })
}

fn field_name(item: &Item<'_>, name: &str) -> Option<HeaderName> {
    let message = match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) if !OF_THE_CONNECTION.contains(&name.as_str()) => return Some(name),
        Ok(_) => "this field is about the connection or the framing",
        Err(_) => "not the name of a field",
    };
    item.error("bad_field", message).help("for example `x-hook-secret`").refuse(item.problems)
}

fn field_value(item: &Item<'_>, text: &str) -> Option<HeaderValue> {
    let fine = !text.contains(['{', '}']) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let value = HeaderValue::from_str(text).ok().filter(|_| fine);
    value.or_else(|| {
        let message = "the value is `{value}` as a whole, or visible ASCII characters without braces";
        item.error("bad_field", message).help(item.write("\"{value}\"")).refuse(item.problems)
    })
}

/// The most set-up requests of a scheme, and the most members of one. No sender has so many.
const MOST: usize = 8;

const EXAMPLE: &str = "write `setup = [{ method = \"HEAD\", status = 200 }]`";
