//! Pure. Reads `[schemes.NAME]`: the scheme of a sender without a preset.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use toml::de::DeTable;

use crate::config::choices::{
    ACKNOWLEDGMENTS, AFTER_NAME, ANSWER_USES, EMPTY_ACKNOWLEDGMENTS, FORMATS, Kind, REFUSALS,
};
use crate::config::json_pointer;
use crate::config::keys;
use crate::config::problem::{Problem, Problems};
use crate::config::sections::connection_fields::OF_THE_CONNECTION;
use crate::config::sections::{challenge, setup_request};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::message::head::is_lookalike;
use crate::signature::algorithm::Algorithm;
use crate::signature::field::{Encoding, Format, MOST_TAGS, Notation, Separator};
use crate::signature::named_fields::NamedFields;
use crate::signature::scheme::{Acknowledgment, AnswerUse, Redelivery, Refusal, Scheme, SchemeFault, Source};
use crate::signature::secret::SecretEncoding;
use crate::signature::template::{PARTS, Template, TemplateFault};
use crate::signature::window::{Place, Timestamp, Unit};

/// The name of a scheme in the file, and the scheme. `None` in place of the scheme if it has an error.
pub(crate) type Declared = (String, Option<Arc<Scheme>>);

/// Reads every `[schemes.NAME]`.
pub(crate) fn read(root: &Table<'_>) -> Vec<Declared> {
    let Some(item) = root.get("schemes") else { return Vec::new() };
    let help = "write the scheme's keys under `[schemes.NAME]`";
    let Some(entries) = item.table(help) else { return Vec::new() };
    let declared = |(name, item): (&str, Item<'_>)| {
        let fine = is_name(name, item.key.clone(), root.problems);
        let table = Table::of(&item, "this scheme", help, keys::SCHEME);
        let scheme = table.and_then(|table| scheme(name, &table));
        (name.to_owned(), scheme.filter(|_| fine).map(Arc::new))
    };
    item.entries(entries).map(declared).collect()
}

/// Reads one scheme from a document that has only the keys of this scheme.
pub(crate) fn one(name: &str, document: &DeTable<'_>, problems: &Problems) -> Option<Scheme> {
    let fine = is_name(name, 0..0, problems);
    let table = Table::open("this scheme", 0..0, document, keys::SCHEME, problems);
    scheme(name, &table).filter(|_| fine)
}

/// Checks that no preset has this name, and that the name is valid as a word of an HTTP field.
fn is_name(name: &str, span: Range<usize>, problems: &Problems) -> bool {
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    let problem = if name.is_empty() || !letters {
        Problem::error("bad_name", span, "a scheme's name is made of letters, digits, `_`, `.` and `-`")
            .help("for example `[schemes.acme]`")
    } else if Scheme::preset(name).is_some() {
        Problem::error("duplicate_name", span, format!("a scheme called `{name}` ships with hookgate")).help(
            "choose another name, or use the scheme that ships with hookgate: `hookgate schemes` shows it",
        )
    } else {
        return true;
    };
    problem.report(problems);
    false
}

fn scheme(name: &str, table: &Table<'_>) -> Option<Scheme> {
    let before = table.problems.len();
    let algorithm = table.choice("algorithm", &Algorithm::ALL, Algorithm::HmacSha256);
    let parameter = table.get("parameter");
    let field = match &parameter {
        None => table.required("header", "\"x-acme-signature\"").and_then(|item| headers(&item)),
        Some(_) => Some((Cow::Borrowed(""), Vec::new())),
    };
    if let (Some(item), Some(_)) = (table.get("header"), &parameter) {
        let message = "a signature is in a field or in the query, not in both";
        Problem::error("bad_scheme", item.key, message).help("remove one of them").report(table.problems);
    }
    let parameter = parameter.and_then(|item| parameter_name(&item));
    let mark = table.get("marked_by").and_then(|item| header(&item));
    let named_fields = named_fields(table);
    let aliases = table.get("aliases").map(|item| aliases(&item)).unwrap_or_default();
    let format = format(table);
    let encoding = table.choice("encoding", &Encoding::ALL, Encoding::Hex);
    let secret_encoding = table.choice("secret_encoding", &SecretEncoding::ALL, SecretEncoding::Utf8);
    let content = match table.get("content") {
        Some(item) => template(&item),
        None => Some(Template::body()),
    };
    let timestamp = timestamp(table);
    let id = table.get("id").and_then(|item| header(&item));
    let pointers = |name| -> Vec<Cow<'static, str>> {
        let all = table.get(name).map(|item| json_pointer::list(&item));
        all.into_iter().flatten().map(Cow::Owned).collect()
    };
    let model_pointers = pointers("model_pointers");
    let integration_pointers = pointers("integration_pointers");
    let challenge = table.get("challenge").and_then(|item| challenge::read(&item));
    let setup = table.get("setup").map(|item| setup_request::read(&item)).unwrap_or_default();
    let acknowledgment = table.get("acknowledgment").and_then(|item| acknowledgment(&item));
    let answer_use = table.choice("answer_use", &ANSWER_USES, AnswerUse::default());
    let refusal = table.choice("refusal", &REFUSALS, Refusal::default());
    let errors = table.problems.len() > before;
    let (field, other_fields) = field?;
    let encoding = match &format {
        Some(Format::Jwt { .. }) => Encoding::Base64Url,
        Some(Format::Plain { .. } | Format::Basic | Format::List { .. }) | None => encoding,
    };
    let scheme = Scheme {
        name: name.to_owned().into(),
        field,
        parameter,
        other_fields,
        mark,
        aliases,
        named_fields,
        algorithm,
        notation: Notation { format: format?, encoding },
        content: content?,
        timestamp,
        id,
        secret_encoding,
        model_pointers,
        integration_pointers,
        challenge,
        setup,
        answer_use,
        acknowledgment: acknowledgment.unwrap_or_default(),
        refusal,
        redelivery: Redelivery::default(),
        source: Source::Configured,
    };
    if errors {
        return None;
    }
    let fault = scheme.fault().map(|fault| of_the_whole(table, fault));
    let fault = fault.or_else(|| wrong_alias(table, &scheme)).or_else(|| lookalikes(table, &scheme));
    let is_sound = fault.is_none();
    fault.into_iter().for_each(|fault| fault.report(table.problems));
    is_sound.then_some(scheme)
}

/// Reads `acknowledgment`: a status code, or a word.
fn acknowledgment(item: &Item<'_>) -> Option<Acknowledgment> {
    let found = match item.value.as_str() {
        Some(text) => EMPTY_ACKNOWLEDGMENTS.iter().find(|(word, _)| *word == text).map(|(_, found)| *found),
        None => {
            let number = item.number("200")?;
            ACKNOWLEDGMENTS.iter().find(|(status, _)| u64::from(*status) == number).map(|(_, found)| *found)
        }
    };
    found.or_else(|| {
        item.error("bad_value", "`acknowledgment` cannot be this")
            .help("one of `200`, `202`, `204`, `\"200-empty\"`")
            .refuse(item.problems)
    })
}

/// Reports fields that an app could confuse with each other, or with the fields that frame a request. The
/// gateway would refuse a request that has two such fields.
fn lookalikes(table: &Table<'_>, scheme: &Scheme) -> Option<Problem> {
    let others = || scheme.names().chain(["content-length", "transfer-encoding"]);
    let (one, other) = scheme.names().find_map(|one| {
        let other = others().find(|other| is_lookalike(one.as_bytes(), other.as_bytes()))?;
        Some((one, other))
    })?;
    let message =
        format!("many apps cannot tell the field `{one}` from `{other}`, so requests with it are refused");
    let problem = Problem::error("bad_field", table.place("header"), message);
    Some(problem.help("name only one of them"))
}

/// The error of a scheme whose parts are valid, but not together.
fn of_the_whole(table: &Table<'_>, fault: SchemeFault) -> Problem {
    let (key, help) = match fault {
        SchemeFault::KeyInPlain => {
            ("timestamp", "write `timestamp = { header = \"x-acme-timestamp\" }`, or `format = \"pairs\"`")
        }
        SchemeFault::KeyWithoutNames => ("timestamp", "write `timestamp = { entry = 1 }`"),
        SchemeFault::EntryWithNames => ("timestamp", "write `timestamp = { key = \"t\" }`"),
        SchemeFault::BasicSigns => ("format", "write `algorithm = \"token\"`"),
        SchemeFault::ListInParameter => ("parameter", "write `header` instead, or `format = \"plain\"`"),
        SchemeFault::ParameterSigned => ("content", "remove `{url}` and `{query}`"),
        SchemeFault::KeyIsTag => (
            "timestamp",
            "`tag` is the name of the signatures, as in `v1=...`, and `key` is the name of the time",
        ),
        SchemeFault::TimestampUnsigned => ("timestamp", "write it into `content`: `\"{timestamp}.{body}\"`"),
        SchemeFault::JwtUnsigned => (
            "content",
            "write `format = \"jwt\"`, and as `content` the claim with the digest: `\"{jwt:payload_hash}\"`",
        ),
        SchemeFault::ClaimWithoutJwt => ("timestamp", "write `format = \"jwt\"`, or name another place"),
        SchemeFault::PointerAndPart => ("content", "remove `{timestamp}`"),
        SchemeFault::JwtAlgorithm => ("algorithm", "write `algorithm = \"hmac-sha256\"`, or remove it"),
        SchemeFault::PointerUnsigned => {
            ("timestamp", "write `content = \"{body}\"`, or `timestamp = { header = \"x-acme-timestamp\" }`")
        }
        SchemeFault::NoTimestamp => {
            ("content", "write `timestamp = { header = \"x-acme-timestamp\", unit = \"s\" }`")
        }
        SchemeFault::IdUnsigned => ("id", "write it into `content`: `\"{id}.{body}\"`"),
        SchemeFault::NoId => ("content", "write `id = \"x-acme-id\"`"),
        SchemeFault::KeyInSeveral => {
            ("timestamp", "write `timestamp = { header = \"x-acme-timestamp\" }`, or name one `header`")
        }
        SchemeFault::ProofIsSignature => (
            "challenge",
            "write `content` with a character that no challenge's value has, such as the `:` of `v0:{timestamp}:{body}`",
        ),
        SchemeFault::NamesUnsigned => (
            "content",
            "write `content = \"{timestamp}.{names}.{values}.{body}\"` and `named_fields = { key = \"h\", fields = [...] }`",
        ),
        SchemeFault::NamesInPlain => ("named_fields", "write `format = \"pairs\"`"),
        SchemeFault::NamesKeyTaken => {
            ("named_fields", "`key` is the name of the list of fields, as in `h=content-type x-acme-id`")
        }
        SchemeFault::NamesSeparated => {
            ("named_fields", "write `separator = \",\"`, without `set_separator = \" \"`")
        }
        SchemeFault::TokenSignsNothing => ("content", "remove `content`, or choose another `algorithm`"),
    };
    Problem::error("bad_scheme", table.place(key), fault.to_string()).help(help)
}

/// Reads `header`: the field that carries signatures, or several such fields.
fn headers(item: &Item<'_>) -> Option<(Cow<'static, str>, Vec<Cow<'static, str>>)> {
    let Some(array) = item.value.as_array() else { return Some((header(item)?, Vec::new())) };
    let mut all: Vec<Cow<'static, str>> = Vec::new();
    for element in item.elements(array) {
        let name = header(&element)?;
        if all.contains(&name) {
            element.error("duplicate_name", "this field is there twice").report(item.problems);
        }
        all.push(name);
    }
    if all.is_empty() || all.len() > MOST_TAGS {
        let message = format!("a signature is in one field, or in one of {MOST_TAGS} at most");
        let problem = item.error("out_of_range", message);
        return problem.help(item.write("\"x-acme-signature\"")).refuse(item.problems);
    }
    let others = all.split_off(1);
    Some((all.pop()?, others))
}

/// Reads `parameter`: a name that has only one spelling in a query.
fn parameter_name(item: &Item<'_>) -> Option<Cow<'static, str>> {
    let text = item.text("\"signature\"")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(plain) {
        let problem = item.error("bad_name", "not the name of a parameter");
        return problem.help(item.write("\"signature\"")).refuse(item.problems);
    }
    Some(Cow::Owned(text.to_owned()))
}

/// Reads `named_fields`: the fields that the signature names.
fn named_fields(table: &Table<'_>) -> Option<NamedFields> {
    let item = table.get("named_fields")?;
    let example = "{ key = \"h\", fields = [\"content-type\", \"x-acme-id\"] }";
    let inner = Table::of(&item, "`named_fields`", &item.write(example), keys::NAMED_FIELDS)?;
    let key = inner.required("key", "\"h\"")?.text("\"h\"")?.to_owned();
    let list = inner.required("fields", "[\"content-type\"]")?;
    let fields: Vec<_> = list.elements(list.array(&list.write("[\"content-type\"]"))?).collect();
    let fields: Vec<_> = fields.iter().filter_map(header).collect();
    let any = inner.get("any").and_then(|item| header(&item));
    let fault = if fields.is_empty() || fields.len() > MOST_TAGS {
        Some(format!("a signature names up to {MOST_TAGS} fields"))
    } else if fields
        .iter()
        .enumerate()
        .any(|(index, name)| fields.iter().take(index).any(|other| other == name))
    {
        Some("a field is there twice".to_owned())
    } else if any.as_ref().is_some_and(|any| !fields.contains(any)) {
        Some("`any` is one of the `fields`".to_owned())
    } else {
        None
    };
    if let Some(message) = fault {
        return item.error("bad_field", message).help(item.write(example)).refuse(table.problems);
    }
    Some(NamedFields { key: key.into(), fields, any })
}

/// Reads `aliases`: other names of fields.
fn aliases(item: &Item<'_>) -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
    let Some(entries) = item.table("write `aliases = { \"x-acme-signature\" = \"acme-signature\" }`") else {
        return Vec::new();
    };
    let read = |(field, item): (&str, Item<'_>)| Some((field.to_ascii_lowercase().into(), header(&item)?));
    item.entries(entries).filter_map(read).collect()
}

/// The error of an alias of a field that the scheme does not read, or of an alias that is a field.
fn wrong_alias(table: &Table<'_>, scheme: &Scheme) -> Option<Problem> {
    let known = |name: &str| scheme.fields().any(|field| field == name);
    let is_wrong = |(field, other): &&(Cow<'_, str>, Cow<'_, str>)| {
        let twins = scheme.aliases.iter().filter(|(_, twin)| twin == other).count();
        !known(field) || known(other) || scheme.mark.as_ref() == Some(other) || twins > 1
    };
    let (field, _) = scheme.aliases.iter().find(is_wrong)?;
    let message = match known(field) {
        true => "another name of a field cannot be the name of a further field",
        false => "the scheme reads no field of this name, so the field has no other name",
    };
    let problem = Problem::error("bad_field", table.place("aliases"), message);
    Some(problem.help("write a field of the scheme, and a name that no other field has"))
}

/// Reads the name of a field, in lower case.
fn header(item: &Item<'_>) -> Option<Cow<'static, str>> {
    let text = item.text("\"x-acme-signature\"")?;
    let fault = match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if !OF_THE_CONNECTION.contains(&name.as_str()) => {
            return Some(Cow::Owned(name.as_str().to_owned()));
        }
        Ok(_) => "this field is about the connection or the framing, and no sender can sign in it",
        Err(_) => "not the name of a field",
    };
    item.error("bad_field", fault).help(item.write("\"x-acme-signature\"")).refuse(item.problems)
}

fn template(item: &Item<'_>) -> Option<Template> {
    let text = item.text("\"{timestamp}.{body}\"")?;
    Template::parse(text)
        .map_err(|error| {
            let help = match error.fault {
                TemplateFault::NoBody => {
                    "write `{body}` where the content stands in what is signed".to_owned()
                }
                TemplateFault::SecondBody => "remove one of the two".to_owned(),
                TemplateFault::NotAlone => "write only `{jwt:NAME}`".to_owned(),
                TemplateFault::DigestUnsigned => {
                    "write `{url}` or `{query}` into it, as the sender does".to_owned()
                }
                TemplateFault::EndUnclear => {
                    "such a scheme cannot be verified safely; `{header:NAME}` is a value without the text behind it"
                        .to_owned()
                }
                TemplateFault::Brace | TemplateFault::Unknown => format!("the parts are {PARTS}"),
                TemplateFault::NothingBetween => {
                    "such a scheme cannot be verified safely; what does its sender put between them?"
                        .to_owned()
                }
            };
            let span = item.part(text, error.at.clone());
            Problem::error("bad_content", span, error.to_string()).help(help).report(item.problems);
        })
        .ok()
}

/// Reads `format`, and the keys that belong to `format`.
fn format(table: &Table<'_>) -> Option<Format> {
    let kind = table.choice("format", &FORMATS, Kind::Plain);
    let (foreign, help): (&[&'static str], _) = match kind {
        Kind::Plain => (
            &["separator", "tag", "after_name", "set_separator", "lifetime"],
            "a list is `format = \"pairs\"` (`t=1,v1=ab`) or `format = \"tagged\"` (`v1,ab v1,cd`)",
        ),
        Kind::Pairs | Kind::Tagged => {
            (&["prefix", "lifetime"], "a list has a `tag` before each signature: `tag = \"v1\"`")
        }
        Kind::List => (
            &["prefix", "tag", "after_name", "lifetime"],
            "the entries of this list have no names; with names, write `format = \"pairs\"`",
        ),
        Kind::Jwt => (
            &["separator", "tag", "after_name", "set_separator", "encoding"],
            "the field is a JWT, after a `prefix` if there is one",
        ),
        Kind::Basic => (
            &["prefix", "separator", "tag", "after_name", "set_separator", "encoding", "lifetime"],
            "the field is `Basic` and the base64 of the secret `user:password`",
        ),
    };
    for item in foreign.iter().filter_map(|name| table.get(name)) {
        let message = format!("`{}` does not go with this format", item.name);
        Problem::error("wrong_format", item.key, message).help(help).report(table.problems);
    }
    if kind == Kind::Basic {
        return Some(Format::Basic);
    }
    if kind == Kind::Plain || kind == Kind::Jwt {
        let prefix = match table.get("prefix") {
            Some(item) => item.text("\"sha256=\"")?,
            None => "",
        };
        let prefix = Cow::Owned(prefix.to_owned());
        if kind == Kind::Plain {
            return Some(Format::Plain { prefix });
        }
        let lifetime = table.get("lifetime").and_then(|item| item.duration(TOLERANCE));
        return Some(Format::Jwt { prefix, lifetime });
    }
    let (equals, usual) =
        if kind == Kind::Tagged { (',', Separator::Space) } else { ('=', Separator::Comma) };
    let separator = table.choice("separator", &Separator::ALL, usual);
    let equals = table.choice("after_name", &AFTER_NAME, equals);
    let sets =
        table.get("set_separator").map(|_| table.choice("set_separator", &Separator::ALL, Separator::Space));
    if sets == Some(separator) {
        let message = format!("`{}` separates the entries already", separator.as_str());
        let problem = Problem::error("wrong_format", table.place("set_separator"), message);
        problem.help("choose another separator").report(table.problems);
    }
    if kind == Kind::List {
        return Some(Format::List { separator, equals, tags: Vec::new(), sets });
    }
    let all = std::iter::once(separator).chain(sets);
    for (key, separator) in ["separator", "set_separator"].into_iter().zip(all) {
        if separator.as_str().starts_with(equals) {
            let message = format!("`{equals}` stands between a tag and its signature already");
            let problem = Problem::error("wrong_format", table.place(key), message);
            problem
                .help(format!("write `{key} = \"{}\"`", if sets.is_some() { ";" } else { " " }))
                .report(table.problems);
        }
    }
    let tags = tags(&table.required("tag", "\"v1\"")?)?;
    Some(Format::List { separator, equals, tags, sets })
}

/// Reads `tag`: the name of the tags, or several names.
fn tags(item: &Item<'_>) -> Option<Vec<Cow<'static, str>>> {
    let names: Vec<_> = match item.value.as_array() {
        Some(array) => item.elements(array).collect(),
        None => vec![item.clone()],
    };
    let letters = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | ';' | '=');
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(letters) && name.chars().filter(|c| *c == '*').count() <= 1
    };
    let bad = names.iter().find(|name| name.value.as_str().is_some_and(|name| !is_name(name)));
    if names.is_empty() || names.len() > MOST_TAGS || bad.is_some() {
        let problem = bad.unwrap_or(item).error("bad_name", "no list can have such a tag");
        return problem.help(item.write("\"v1\"")).refuse(item.problems);
    }
    names.iter().map(|name| Some(name.text("\"v1\"")?.to_owned().into())).collect()
}

/// Reads `timestamp` and `tolerance`.
fn timestamp(table: &Table<'_>) -> Option<Timestamp> {
    let Some(item) = table.get("timestamp") else {
        if let Some(tolerance) = table.get("tolerance") {
            let message = "without a timestamp there is nothing to tolerate";
            Problem::error("bad_scheme", tolerance.key, message).help("remove it").report(table.problems);
        }
        return None;
    };
    let example = "{ header = \"x-acme-timestamp\", unit = \"s\" }";
    let inner = Table::of(&item, "`timestamp`", &item.write(example), keys::TIMESTAMP)?;
    let unit = inner.choice("unit", &Unit::ALL, Unit::Seconds);
    let (past, future) = tolerance(table, (TOLERANCE, TOLERANCE));
    let mut places =
        ["header", "key", "entry", "claim", "pointer"].into_iter().filter_map(|name| inner.get(name));
    let Some(first) = places.next() else {
        let message = "this timestamp has none of `header`, `key`, `entry`, `claim` and `pointer`";
        let help =
            format!("{}, or `{{ key = \"t\" }}` where it stands in the signature field", item.write(example));
        return item.error("missing_key", message).help(help).refuse(table.problems);
    };
    if let Some(second) = places.next() {
        let message = format!("a timestamp is in one place, not in `{}` and `{}`", first.name, second.name);
        return Problem::error("bad_scheme", second.key, message)
            .help("remove one of them")
            .refuse(table.problems);
    }
    let place = match first.name {
        "header" => Place::Field(header(&first)?),
        "key" => Place::Key(first.text("\"t\"")?.to_owned().into()),
        "claim" => Place::Claim(first.text("\"iat\"")?.to_owned().into()),
        "pointer" => Place::Pointer(json_pointer::one(&first, "\"/sent_at\"")?.into()),
        _ => Place::Entry(inner.count("entry", 1, 1..=2)),
    };
    Some(Timestamp { place, unit, past, future })
}

/// Reads `tolerance`: how far the signed time may be from the present, in the past and in the future. If it
/// is missing, returns the given default.
pub(crate) fn tolerance(table: &Table<'_>, (past, future): (Duration, Duration)) -> (Duration, Duration) {
    match table.get("tolerance") {
        Some(item) if item.value.as_table().is_some() => {
            let inner = table.section("tolerance", "`tolerance`", keys::TOLERANCE);
            (inner.duration("past", past), inner.duration("future", future))
        }
        Some(_) => {
            let both = table.duration("tolerance", past);
            (both, both)
        }
        None => (past, future),
    }
}

/// The tolerance that most senders recommend.
const TOLERANCE: Duration = Duration::from_secs(300);
