//! Pure. One element of `secrets`: where the secret is, its name, and checks of its quality.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::date::{self, DateError};
use super::environment::{Environment, FileError, is_variable_name};
use super::item::Item;
use super::problem::{Problem, Problems};
use super::schemes::Declared;
use super::table::Table;
use crate::config::{keys, shown};
use crate::signature::causes::{self, KeyChange};
use crate::signature::secret::{Key, Secret, SecretEncoding, Weakness, weakness};

/// The context that a configuration is read in.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    /// The schemes of the file.
    pub(super) schemes: &'c [Declared],
    /// Where secrets come from.
    pub(super) environment: &'c dyn Environment,
    /// The time of reading.
    pub(super) now: SystemTime,
    /// The configuration file's directory: relative paths start there.
    pub(super) folder: &'c Path,
}

/// A secret's name, also if the secret itself has an error.
pub(super) struct Named {
    /// The name, as in the log.
    pub(super) name: Arc<str>,
    /// Where the secret is in the file.
    pub(super) span: Range<usize>,
    /// The secret; `None` if it has an error.
    pub(super) secret: Option<Secret>,
    /// Keys that may have been meant instead, for the diagnosis of signatures that do not verify.
    pub(super) slips: Vec<(KeyChange, Key)>,
}

/// Reads an element of `secrets`, with this `index` from 0.
pub(super) fn read(
    item: &Item<'_>,
    index: usize,
    encoding: SecretEncoding,
    context: Context<'_>,
    problems: &mut Problems,
) -> Option<Named> {
    let entries = item.table("write `secrets = [{ env = \"PROPIFY_WEBHOOK_SECRET\" }]`", problems)?;
    let table = Table::open("a secret", item.span.clone(), entries, keys::SECRET, problems);
    let name =
        table.get("name").and_then(|item| name(&item, problems)).unwrap_or_else(|| default_name(index));
    let encoding = table.choice("encoding", &SecretEncoding::ALL, encoding, problems);
    let not_after = match table.get("not_after") {
        Some(item) => not_after(&item, context.now, problems).map(Some),
        None => Some(None),
    };
    let mut slips = Vec::new();
    let key = source(&table, problems)
        .and_then(|source| text(&source, context, problems).map(|text| (source, text)))
        .and_then(|(source, text)| {
            let key = key(&source, &text, encoding, problems)?;
            slips.extend(causes::key_changes(&text, encoding));
            Some(key)
        });
    let secret = key.zip(not_after);
    let secret = secret.map(|(key, not_after)| Secret { name: Arc::clone(&name), key, not_after });
    let span = table.get("name").map_or(item.span.clone(), |item| item.span);
    Some(Named { name, span, secret, slips })
}

/// Reads a `verify_token`: a secret without a name, as text.
pub(super) fn token(item: &Item<'_>, context: Context<'_>, problems: &mut Problems) -> Option<Key> {
    let entries = item.table(&item.write("{ env = \"META_VERIFY_TOKEN\" }"), problems)?;
    let table = Table::open("`verify_token`", item.span.clone(), entries, keys::VERIFY_TOKEN, problems);
    let source = source(&table, problems)?;
    let text = text(&source, context, problems)?;
    key(&source, &text, SecretEncoding::Utf8, problems)
}

fn default_name(index: usize) -> Arc<str> {
    match index {
        0 => "current".into(),
        _ => format!("secret-{}", index.saturating_add(1)).into(),
    }
}

/// Reads a name that is valid as a label, as a log field and as a word of an HTTP field.
fn name(item: &Item<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let text = item.text("\"current\"", problems)?;
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if text.is_empty() || !letters {
        problems.push(
            Problem::error(
                "bad_name",
                item.span.clone(),
                "a secret's name is made of letters, digits, `_`, `.` and `-`",
            )
            .help("for example `name = \"current\"`"),
        );
        return None;
    }
    Some(text.into())
}

fn not_after(item: &Item<'_>, now: SystemTime, problems: &mut Problems) -> Option<SystemTime> {
    let moment = match (item.value.as_datetime(), item.value.as_str()) {
        (Some(datetime), _) => date::moment(datetime),
        (None, Some(text)) => date::parse(text),
        (None, None) => Err(DateError::NotDate),
    };
    match moment {
        Ok(moment) => {
            if moment <= now {
                problems.push(
                    Problem::warning(
                        "secret_expired",
                        item.span.clone(),
                        "this secret does not count any more",
                    )
                    .label("this moment is past")
                    .help("remove the secret"),
                );
            }
            Some(moment)
        }
        Err(error) => {
            problems.push(
                Problem::error("bad_date", item.span.clone(), error.to_string())
                    .help("write date, time and time zone: `not_after = 2026-12-31T00:00:00Z`"),
            );
            None
        }
    }
}

/// Where a secret's text is.
struct Source<'t> {
    item: Item<'t>,
    text: &'t str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Variable,
    File,
    Inline,
}

fn source<'t>(table: &Table<'t>, problems: &mut Problems) -> Option<Source<'t>> {
    let mut found = [("env", Kind::Variable), ("file", Kind::File), ("value", Kind::Inline)]
        .into_iter()
        .filter_map(|(name, kind)| table.get(name).map(|item| (item, kind)));
    let Some((item, kind)) = found.next() else {
        problems.push(
            Problem::error("missing_key", table.span(), "this secret has neither `env` nor `file`").help(
                "write `{ env = \"PROPIFY_WEBHOOK_SECRET\" }` or `{ file = \"/run/secrets/propify\" }`",
            ),
        );
        return None;
    };
    if let Some((other, _)) = found.next() {
        let message = format!("a secret is in one place, not in `{}` and `{}`", item.name, other.name);
        problems.push(
            Problem::error("secret_places", other.key, message)
                .related(item.key, "the other one")
                .help("write one `{ ... }` for each secret"),
        );
        return None;
    }
    let example = match kind {
        Kind::Variable => "\"PROPIFY_WEBHOOK_SECRET\"",
        Kind::File => "\"/run/secrets/propify\"",
        Kind::Inline => "\"...\"",
    };
    let text = item.text(example, problems)?;
    Some(Source { item, text, kind })
}

/// Reads a secret's text, without the line break at the end of a file.
fn text(source: &Source<'_>, context: Context<'_>, problems: &mut Problems) -> Option<Zeroizing<Vec<u8>>> {
    let Source { item, text, kind } = source;
    match kind {
        Kind::Variable => variable(item, text, context, problems),
        Kind::File => file(item, text, context, problems),
        Kind::Inline => {
            problems.push(
                Problem::warning(
                    "secret_inline",
                    item.key.clone(),
                    "a secret stands in the configuration itself",
                )
                .label("for trying things out only")
                .help("write `env = \"NAME\"` or `file = \"PATH\"`"),
            );
            Some(Zeroizing::new(text.as_bytes().to_vec()))
        }
    }
}

fn variable(
    item: &Item<'_>,
    name: &str,
    context: Context<'_>,
    problems: &mut Problems,
) -> Option<Zeroizing<Vec<u8>>> {
    if !is_variable_name(name) {
        // The value is not repeated: a user who misunderstands `env` writes the secret itself here.
        problems.push(
            Problem::error("bad_variable", item.span.clone(), "not the name of an environment variable")
                .help("`env` takes the variable's name, not the secret: `env = \"PROPIFY_WEBHOOK_SECRET\"`"),
        );
        return None;
    }
    let value = context.environment.variable(name).map(OsString::into_encoded_bytes).map(Zeroizing::new);
    if value.is_none() {
        problems.push(
            Problem::error(
                "secret_unset",
                item.span.clone(),
                format!("the environment variable `{name}` is not set"),
            )
            .help(format!("export {name}=...")),
        );
    }
    value
}

fn file(
    item: &Item<'_>,
    name: &str,
    context: Context<'_>,
    problems: &mut Problems,
) -> Option<Zeroizing<Vec<u8>>> {
    let path = context.folder.join(name);
    let shown = path.to_string_lossy();
    let shown = if shown::value("file", name) { shown } else { "...".into() };
    let file = match context.environment.file(&path) {
        Ok(file) => file,
        Err(error) => {
            let help = match &error {
                FileError::Missing => format!("put the secret into {shown}, or name the file it is in"),
                FileError::Denied => {
                    format!("let the user that hookgate runs as read it: chown, then chmod 400 {shown}")
                }
                FileError::NotFile("a folder") => "name a file in it".to_owned(),
                FileError::NotFile(_) => {
                    "put the secret into a file: it is read again at each reload, without waiting".to_owned()
                }
                FileError::TooLarge(_) | FileError::Other(_) => {
                    "name a file with the secret in it".to_owned()
                }
            };
            let message = format!("the secret's file {shown} cannot be read: {error}");
            problems.push(Problem::error("secret_unreadable", item.span.clone(), message).help(help));
            return None;
        }
    };
    if file.readable_by_everyone {
        problems.push(
            Problem::warning(
                "secret_exposed",
                item.span.clone(),
                format!("every user of this machine can read {shown}"),
            )
            .help(format!("chmod o-r {shown}")),
        );
    }
    let mut bytes = file.bytes;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        problems.push(Problem::note(
            "secret_newline",
            item.span.clone(),
            format!("the line break at the end of {shown} does not count as part of the secret"),
        ));
    }
    Some(bytes)
}

fn key(source: &Source<'_>, text: &[u8], encoding: SecretEncoding, problems: &mut Problems) -> Option<Key> {
    let span = source.item.span.clone();
    if text.trim_ascii().is_empty() {
        let problem = Problem::error("secret_empty", span, "this secret is empty");
        problems.push(match source.kind {
            Kind::Variable => problem.help(format!("export {}=...", source.text)),
            Kind::File | Kind::Inline => problem.help("put the secret there that the sender gave you"),
        });
        return None;
    }
    let stray = text.trim_ascii().len() != text.len();
    let key = match encoding.decode(text) {
        Ok(key) => key,
        Err(error) => {
            let problem = Problem::error("secret_encoding", span, error.to_string());
            problems.push(problem.help(match encoding {
                SecretEncoding::Utf8 => {
                    "keep a key that is no text in base64 or hex: `encoding = \"base64\"`"
                }
                SecretEncoding::Base64 | SecretEncoding::Hex if stray => {
                    "there is white space at its beginning or end: remove it"
                }
                SecretEncoding::Base64 | SecretEncoding::Hex => {
                    "correct the secret, or write `encoding = \"utf8\"` if the sender uses its text as it is"
                }
            }));
            return None;
        }
    };
    if key.is_empty() {
        problems.push(Problem::error("secret_empty", span, "this secret is empty once it is decoded"));
        return None;
    }
    if stray {
        problems.push(
            Problem::warning(
                "secret_white_space",
                span.clone(),
                "this secret begins or ends with white space, which counts as part of it",
            )
            .help("if nothing verifies, this is why: remove the white space"),
        );
    }
    match weakness(text, &key) {
        Some(Weakness::Sample) => problems.push(
            Problem::warning("secret_sample", span, "this secret is a sample value, which anyone can guess")
                .help(
                    "use the one that the sender gave you, or set a random one there: openssl rand -hex 32",
                ),
        ),
        Some(Weakness::Short(bytes)) => problems.push(
            Problem::warning("secret_short", span, format!("this secret has only {bytes} bytes"))
                .help("16 random bytes are the least: set another at the sender, from openssl rand -hex 32"),
        ),
        None => {}
    }
    Some(key)
}
