//! Pure. Reads one element of `secrets`: the source of the secret, its name, and checks of its quality.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::config::date::{self, DateError};
use crate::config::environment::{Environment, FileError, is_variable_name};
use crate::config::placeholder::{has_variable, is_reference};
use crate::config::problem::Problem;
use crate::config::sections::schemes::Declared;
use crate::config::sections::secret_purpose::Purpose;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{keys, showable};
use crate::diagnosis::causes::{self, KeyChange};
use crate::signature::decoration;
use crate::signature::secret::{Key, Mistake, Secret, SecretEncoding, Weakness, weakness};

/// The context in which a configuration is read.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    /// The schemes of the file.
    pub(crate) schemes: &'c [Declared],
    /// Where secrets are read from.
    pub(crate) environment: &'c dyn Environment,
    /// The time at which the file is read.
    pub(crate) now: SystemTime,
    /// The configuration file's directory. Relative paths start there.
    pub(crate) folder: &'c Path,
}

/// A secret with its name. The name is known even if the secret has an error.
pub(crate) struct Named {
    /// The name that the log shows.
    pub(crate) name: Arc<str>,
    /// The secret's place in the file.
    pub(crate) span: Range<usize>,
    /// The secret; `None` if it has an error.
    pub(crate) secret: Option<Secret>,
    /// Keys that the operator may have meant instead. The diagnosis tries them on signatures that do not
    /// verify.
    pub(crate) slips: Vec<(KeyChange, Key)>,
}

/// Reads the element of `secrets` with this `index`, counted from 0.
pub(crate) fn read(
    item: &Item<'_>,
    index: usize,
    encoding: SecretEncoding,
    context: Context<'_>,
) -> Option<Named> {
    let help = "write `secrets = [{ env = \"PROPIFY_WEBHOOK_SECRET\" }]`";
    let table = Table::of(item, "a secret", help, keys::SECRET)?;
    let name = table.get("name").and_then(|item| name(&item)).unwrap_or_else(|| default_name(index));
    let encoding = table.choice("encoding", &SecretEncoding::ALL, encoding);
    let not_after = match table.get("not_after") {
        Some(item) => not_after(&item, context.now).map(Some),
        None => Some(None),
    };
    let mut slips = Vec::new();
    let key = source(&table, Purpose::Signature).and_then(|source| {
        let text = text(&source, context)?;
        let key = key(&source, &text, encoding)?;
        slips.extend(causes::key_changes(&text, encoding));
        Some(key)
    });
    let secret = key.zip(not_after);
    let secret = secret.map(|(key, not_after)| Secret { name: Arc::clone(&name), key, not_after });
    let span = table.get("name").map_or(item.span.clone(), |item| item.span);
    Some(Named { name, span, secret, slips })
}

/// Reads a `verify_token`: a secret that has no name, and is used as text.
pub(crate) fn token(item: &Item<'_>, context: Context<'_>) -> Option<Key> {
    let help = item.write("{ env = \"META_VERIFY_TOKEN\" }");
    let table = Table::of(item, "`verify_token`", &help, keys::VERIFY_TOKEN)?;
    key_of(&table, Purpose::VerifyToken, SecretEncoding::Utf8, context)
}

/// Reads the secret in a table.
pub(crate) fn key_of(
    table: &Table<'_>,
    purpose: Purpose,
    encoding: SecretEncoding,
    context: Context<'_>,
) -> Option<Key> {
    let source = source(table, purpose)?;
    let text = text(&source, context)?;
    key(&source, &text, encoding)
}

fn default_name(index: usize) -> Arc<str> {
    match index {
        0 => "current".into(),
        _ => format!("secret-{}", index.saturating_add(1)).into(),
    }
}

/// Reads a name that is valid as a label, in a log line, and as a word of an HTTP field.
fn name(item: &Item<'_>) -> Option<Arc<str>> {
    let text = item.text("\"current\"")?;
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if text.is_empty() || !letters {
        return item
            .error("bad_name", "a secret's name is made of letters, digits, `_`, `.` and `-`")
            .help("for example `name = \"current\"`")
            .refuse(item.problems);
    }
    Some(text.into())
}

fn not_after(item: &Item<'_>, now: SystemTime) -> Option<SystemTime> {
    let moment = match (item.value.as_datetime(), item.value.as_str()) {
        (Some(datetime), _) => date::moment(datetime),
        (None, Some(text)) => date::parse(text),
        (None, None) => Err(DateError::NotDate),
    };
    if let Err(error) = moment {
        let help = "write date, time and time zone: `not_after = 2026-12-31T00:00:00Z`";
        return item.error("bad_date", error.to_string()).help(help).refuse(item.problems);
    }
    if moment.is_ok_and(|moment| moment <= now) {
        let problem = item.warning("secret_expired", "this secret does not count any more");
        problem.label("this moment is past").help("remove the secret").report(item.problems);
    }
    moment.ok()
}

/// Reads the text of the secret in a table, and the place that names it. The caller decodes the text.
pub(crate) fn text_of<'t>(
    table: &Table<'t>,
    purpose: Purpose,
    context: Context<'_>,
) -> Option<(Item<'t>, Text)> {
    let source = source(table, purpose)?;
    let text = text(&source, context)?;
    Some((source.item, text))
}

/// The text of a secret.
type Text = Zeroizing<Vec<u8>>;

/// The source of a secret's text.
struct Source<'t> {
    item: Item<'t>,
    text: &'t str,
    kind: Kind,
    purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Variable,
    File,
    Inline,
}

fn source<'t>(table: &Table<'t>, purpose: Purpose) -> Option<Source<'t>> {
    let (noun, a_variable, a_file) = (purpose.noun(), purpose.variable(), purpose.file());
    let mut found = [("env", Kind::Variable), ("file", Kind::File), ("value", Kind::Inline)]
        .into_iter()
        .filter_map(|(name, kind)| table.get(name).map(|item| (item, kind)));
    let Some((item, kind)) = found.next() else {
        let message = format!("this {noun} has neither `env` nor `file`");
        return Problem::error("missing_key", table.span(), message)
            .help(format!("add `env = \"{a_variable}\"` or `file = \"{a_file}\"`"))
            .refuse(table.problems);
    };
    if let Some((other, _)) = found.next() {
        let message = format!("a secret is in one place, not in `{}` and `{}`", item.name, other.name);
        return Problem::error("secret_places", other.key, message)
            .related(item.key, "the other one")
            .help("write one `{ ... }` for each secret")
            .refuse(table.problems);
    }
    let example = match kind {
        Kind::Variable => a_variable,
        Kind::File => a_file,
        Kind::Inline => "...",
    };
    let text = item.text(&format!("\"{example}\""))?;
    Some(Source { item, text, kind, purpose })
}

/// Reads a secret's text. Removes one line break at the end of a file, and a byte order mark at its
/// beginning.
fn text(source: &Source<'_>, context: Context<'_>) -> Option<Text> {
    let Source { item, text, kind, purpose } = source;
    let text = match kind {
        Kind::Variable => variable(item, text, *purpose, context),
        Kind::File => file(item, text, context),
        Kind::Inline => {
            let message = "a secret stands in the configuration itself";
            Problem::warning("secret_inline", item.key.clone(), message)
                .label("for trying things out only")
                .help("write `env = \"NAME\"` or `file = \"PATH\"`")
                .report(source.item.problems);
            Some(Zeroizing::new(text.as_bytes().to_vec()))
        }
    }?;
    let Some(bare) = decoration::without_byte_order_mark(&text) else { return Some(text) };
    let message = "the byte order mark at the beginning does not count as part of this secret";
    Problem::note("secret_byte_order_mark", item.span.clone(), message).report(item.problems);
    Some(Zeroizing::new(bare.to_vec()))
}

fn variable(item: &Item<'_>, name: &str, purpose: Purpose, context: Context<'_>) -> Option<Text> {
    if !is_variable_name(name) {
        // The value is not repeated in the message: a user who misunderstands `env` writes the secret itself
        // here.
        let bare = name.trim_start_matches('$').trim_start_matches('{').trim_end_matches('}');
        let is_upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let help = match bare.chars().all(is_upper) && is_variable_name(bare) && bare.len() < name.len() {
            true => format!("write the name alone: `env = \"{bare}\"`"),
            false => {
                let (noun, example) = (purpose.noun(), purpose.variable());
                format!("`env` takes the variable's name, not the {noun}: `env = \"{example}\"`")
            }
        };
        return item
            .error("bad_variable", "not the name of an environment variable")
            .help(help)
            .refuse(item.problems);
    }
    let value = context.environment.variable(name).map(OsString::into_encoded_bytes).map(Zeroizing::new);
    if value.is_none() {
        item.error("secret_unset", format!("the environment variable `{name}` is not set"))
            .help(format!("export {name}=..."))
            .report(item.problems);
    }
    value
}

fn file(item: &Item<'_>, name: &str, context: Context<'_>) -> Option<Text> {
    let path = context.folder.join(name);
    let shown = path.to_string_lossy();
    let shown = if showable::value("file", name) { shown } else { "...".into() };
    let file = match context.environment.file(&path) {
        Ok(file) => file,
        Err(error) => {
            let message = format!("the secret's file {shown} cannot be read: {error}");
            let help =
                unexpanded(&error, name).map_or_else(|| unreadable_help(&error, &shown), str::to_owned);
            return item.error("secret_unreadable", message).help(help).refuse(item.problems);
        }
    };
    if file.readable_by_everyone {
        item.warning("secret_exposed", format!("every user of this machine can read {shown}"))
            .help(format!("chmod o-r {shown}"))
            .report(item.problems);
    }
    let mut bytes = file.bytes;
    // A file in PEM ends with a line break.
    if bytes.last() == Some(&b'\n') && !bytes.starts_with(b"-----BEGIN ") {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let message = format!("the line break at the end of {shown} does not count as part of the secret");
        Problem::note("secret_newline", item.span.clone(), message).report(item.problems);
    }
    Some(bytes)
}

/// The advice for a missing file whose name has what only a shell replaces.
fn unexpanded(error: &FileError, name: &str) -> Option<&'static str> {
    if *error != FileError::Missing {
        return None;
    }
    if name.starts_with('~') {
        return Some("`~` is not replaced: write the whole path");
    }
    if name.starts_with("file:") {
        return Some("write the path alone, without `file:`");
    }
    has_variable(name).then_some(
        "variables are not replaced: write the whole path. Under systemd, `LoadCredential=propify:PATH` puts a secret into \
         /run/credentials/hookgate.service/propify",
    )
}

/// The advice for a file that cannot be read.
fn unreadable_help(error: &FileError, shown: &str) -> String {
    match error {
        FileError::Missing => format!("put the secret into {shown}, or name the file it is in"),
        FileError::Denied => {
            format!("let the user that hookgate runs as read it: chown, then chmod 400 {shown}")
        }
        FileError::NotFile("a folder") => "name a file in it".into(),
        FileError::NotFile(_) => {
            "put the secret into a file: it is read again at each reload, without waiting".into()
        }
        FileError::TooLarge(_) | FileError::Other(_) => "name a file with the secret in it".into(),
    }
}

fn key(source: &Source<'_>, text: &[u8], encoding: SecretEncoding) -> Option<Key> {
    let item = &source.item;
    if text.trim_ascii().is_empty() {
        let help = match source.kind {
            Kind::Variable => format!("export {}=...", source.text),
            Kind::File | Kind::Inline => source.purpose.put().to_owned(),
        };
        return item.error("secret_empty", "this secret is empty").help(help).refuse(source.item.problems);
    }
    if let Some((message, help)) = no_secret(source, text) {
        return item.error("secret_placeholder", message).help(help).refuse(source.item.problems);
    }
    let stray = text.trim_ascii().len() != text.len();
    let key = match encoding.decode(text) {
        Ok(key) => key,
        Err(error) => {
            let help = help_for(text, encoding);
            return item.error("secret_encoding", error.to_string()).help(help).refuse(source.item.problems);
        }
    };
    if key.is_empty() {
        return item
            .error("secret_empty", "this secret is empty once it is decoded")
            .refuse(source.item.problems);
    }
    if stray {
        let message = "this secret begins or ends with white space, which counts as part of it";
        let help = "if nothing verifies, this is why: remove the white space";
        item.warning("secret_white_space", message).help(help).report(source.item.problems);
    }
    report_doubts(item, text, encoding);
    match weakness(text, &key) {
        Some(Weakness::Sample) => item
            .warning("secret_sample", "this secret is a sample value, which is easy to guess")
            .help(source.purpose.replace())
            .report(source.item.problems),
        Some(Weakness::Short(bytes)) => item
            .warning("secret_short", format!("this secret has only {bytes} bytes"))
            .help(format!("16 random bytes are the least: {}", source.purpose.renew()))
            .report(source.item.problems),
        None => {}
    }
    Some(key)
}

/// Why a text is not a secret but says where the secret is: nothing would ever verify with it.
fn no_secret(source: &Source<'_>, text: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if is_reference(text) {
        let help = match source.kind {
            Kind::Inline => "name the variable or the file: `env = \"NAME\"` or `file = \"PATH\"`",
            Kind::Variable | Kind::File => "put the secret itself there: nothing has replaced this reference",
        };
        return Some(("this is a reference to a secret, and not the secret itself", help));
    }
    if source.kind != Kind::Inline {
        return None;
    }
    let is_name =
        text.len() >= 8 && text.contains('_') && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let is_path = ["/run/", "/etc/", "/var/", "/home/", "/secrets/", "./", "~/"]
        .iter()
        .any(|start| text.starts_with(start));
    if is_name {
        return Some((
            "this is the name of a variable, and not a secret",
            "write `env = \"NAME\"` and not `value`",
        ));
    }
    is_path.then_some((
        "this is the path of a file, and not a secret",
        "write `file = \"PATH\"` and not `value`",
    ))
}

/// The advice for a text that is not in its encoding.
fn help_for(text: &[u8], encoding: SecretEncoding) -> String {
    let bare = decoration::bare(text);
    let outermost = bare.first().map(|bare| bare.decoration);
    let meant = outermost.filter(|_| bare.iter().any(|bare| encoding.decode(&bare.text).is_ok()));
    if let Some(decoration) = meant {
        return format!("it {}: {}", decoration.as_predicate(), decoration.advice());
    }
    let stray = text.trim_ascii().len() != text.len();
    let help = match (encoding, encoding.mistake(text)) {
        (SecretEncoding::Utf8, _) if decoration::is_utf16(text) => "it is in UTF-16: save it in UTF-8",
        (SecretEncoding::Utf8, _) => "write a binary key in base64 or hex: `encoding = \"base64\"`",
        (SecretEncoding::Base64 | SecretEncoding::Hex, _) if stray => {
            "there is white space at its beginning or end: remove it"
        }
        (SecretEncoding::Base64 | SecretEncoding::Hex, Some(Mistake::Length)) => {
            "no base64 has this length: a character is missing, or there is one too many"
        }
        (SecretEncoding::Base64 | SecretEncoding::Hex, _) => {
            "correct the secret, or write `encoding = \"utf8\"` if the sender uses its text as it is"
        }
    };
    help.to_owned()
}

/// Warns of a text that can be used, but is likely not the sender's secret.
fn report_doubts(item: &Item<'_>, text: &[u8], encoding: SecretEncoding) {
    if let Some(decoration) = decoration::suspicious(text).filter(|_| encoding == SecretEncoding::Utf8) {
        let message = format!("this secret {}, and all of that counts", decoration.as_predicate());
        item.warning("secret_decorated", message)
            .help(format!("if nothing verifies, this is why: {}", decoration.advice()))
            .report(item.problems);
    }
    if encoding.mistake(text) == Some(Mistake::LastBits) {
        let message = "the last character of this base64 has bits that belong to no byte, and do not count";
        let help = "compare the secret with the sender's: its end may be missing";
        item.warning("secret_last_bits", message).help(help).report(item.problems);
    }
}
