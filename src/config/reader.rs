//! Pure. Reads the text of gateway.toml. The result is a [`Config`], or a report of every problem.

use std::path::Path;
use std::time::SystemTime;

use toml::de::DeTable;
use zeroize::Zeroizing;

use crate::config::environment::Environment;
use crate::config::problem::{Problem, Problems, Report, Severity};
use crate::config::redact::{Syntax, redact_secrets};
use crate::config::sections::delivery;
use crate::config::sections::route_draft::{Common, Signs};
use crate::config::sections::routes;
use crate::config::sections::secret::Context;
use crate::config::sections::upstream::Settings;
use crate::config::toml_table::Table;
use crate::config::{AdminAddress, Config, address, keys, sections, sections::schemes, toml_syntax};

/// A configuration, with its warnings and notes.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The warnings and notes. There are no errors.
    pub report: Report,
}

/// Reads the text of a configuration file. `name` is the file's path as given. Relative paths in the file
/// start at the directory of the file. All problems are reported together, and no secret is shown.
///
/// # Errors
/// The [`Report`], if it has an error.
pub fn read(
    name: &str,
    text: &str,
    environment: &dyn Environment,
    now: SystemTime,
) -> Result<Loaded, Report> {
    let folder = folder_of(name);
    let context = Context { environment, now, folder, schemes: &[] };
    let (document, errors) = DeTable::parse_recoverable(text);
    let problems = Problems::default();
    if errors.is_empty() {
        let shown = redact_secrets(text, document.get_ref(), Syntax::Sound);
        let config = compile(document.get_ref(), text, context, &problems);
        let report = Report::new(name, shown, problems.into_vec());
        return if report.has_errors() { Err(report) } else { Ok(Loaded { config, report }) };
    }
    let shown = redact_secrets(text, document.get_ref(), Syntax::Broken);
    // This copy of the text contains the secrets, so it is wiped on drop.
    let mut found = Vec::new();
    let sound = Zeroizing::new(toml_syntax::without_errors(text, &errors));
    if let Ok(document) = DeTable::parse(&sound)
        && !toml_syntax::is_other_format(text)
    {
        compile(document.get_ref(), &sound, context, &problems);
        // The rest of a broken file may be misread: a text that looks like a key may be a secret.
        let hidden = |problem: &Problem| {
            problem.code == "unknown_key" && shown.get(problem.span.clone()) != text.get(problem.span.clone())
        };
        found = problems.into_vec();
        found.retain(|problem| {
            problem.severity == Severity::Error && !OF_THE_WHOLE.contains(&problem.code) && !hidden(problem)
        });
    }
    found.extend(toml_syntax::problems(text, &shown, document.get_ref(), &errors));
    Err(Report::new(name, shown, found))
}

/// Reads only how the admin listener is reached, for commands that ask a running gateway. Errors in other
/// tables and missing secrets are ignored, and so are lines that are not TOML. `None` if the admin listener
/// is off.
///
/// # Errors
/// The [`Report`], if `[admin]` has an error, or if the text is not TOML and has no `[admin]` that can be
/// read.
pub(super) fn read_admin(name: &str, text: &str) -> Result<Option<AdminAddress>, Report> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let sound = Zeroizing::new(toml_syntax::without_errors(text, &errors));
        let rest = DeTable::parse(&sound).ok();
        // Without its `listen`, the rest of a table would seem to have the usual address.
        let rest = rest.filter(|rest| says_listen(rest.get_ref()));
        if let Some(Ok(Some(admin))) = rest.map(|rest| admin_of(name, &sound, rest.get_ref())) {
            return Ok(Some(admin));
        }
        let shown = redact_secrets(text, document.get_ref(), Syntax::Broken);
        let problems = toml_syntax::problems(text, &shown, document.get_ref(), &errors);
        return Err(Report::new(name, shown, problems));
    }
    admin_of(name, text, document.get_ref())
}

fn says_listen(document: &DeTable<'_>) -> bool {
    let admin = document.get("admin").and_then(|admin| admin.get_ref().as_table());
    admin.is_some_and(|admin| admin.contains_key("listen"))
}

/// Reads how the admin listener is reached from a document without syntax errors.
fn admin_of(name: &str, text: &str, document: &DeTable<'_>) -> Result<Option<AdminAddress>, Report> {
    let end = text.trim_end().len();
    let problems = Problems::default();
    let root = Table::open("the file", end..end, document, keys::ROOT, &problems);
    let elsewhere = problems.len();
    let admin = sections::admin::read_address(&root, folder_of(name));
    let problems = problems.into_vec().split_off(elsewhere);
    let report = Report::new(name, redact_secrets(text, document, Syntax::Sound), problems);
    if report.has_errors() { Err(report) } else { Ok(admin) }
}

/// The directory in which relative paths of a configuration file start.
fn folder_of(name: &str) -> &Path {
    Path::new(name).parent().unwrap_or(Path::new(""))
}

/// Problems that may be false: a file can seem to have them because lines with errors were removed.
const OF_THE_WHOLE: [&str; 14] = [
    "missing_client_ca",
    "missing_key",
    "missing_routes",
    "missing_signature",
    "conflicting_routes",
    "disagreeing_routes",
    "no_model",
    "model_twice",
    "upstream_is_self",
    "duplicate_address",
    "duplicate_name",
    "body_beyond_memory",
    "missing_queue",
    "direct_delivery",
];

/// Compiles a document. If the problems include an error, the result must not be used.
fn compile(document: &DeTable<'_>, text: &str, context: Context<'_>, problems: &Problems) -> Config {
    let end = text.trim_end().len();
    let root = Table::open("the file", end..end, document, keys::ROOT, problems);
    let (tls, tls_listen) = sections::tls::read(&root, context);
    let (server, mut listen) = sections::server::read(&root, context.environment.cores(), &tls_listen);
    listen.extend(tls_listen);
    let limits = sections::limits::read(&root);
    let (admin, admin_listen) = sections::admin::read(&root, context);
    address::distinct(listen.iter().chain(&admin_listen), problems);
    let log = sections::log::read(&root);
    let declared = schemes::read(&root);
    let forward = sections::forward::read(&root, &declared, context);
    let queue = sections::queue::read(&root, context);
    let retry = sections::retry::common(&root);
    let context = Context { schemes: &declared, ..context };
    let common = Common {
        limits: &limits,
        upstream: Settings::common(&root, context),
        tls: tls.as_ref(),
        server: &server,
        listen: &listen,
        signature: Signs::read(&root, context),
        context,
        keeps_recent: admin.as_ref().is_some_and(|admin| admin.recent > 0),
        deliveries: delivery::Common { queue: queue.as_ref(), retry: &retry },
    };
    let routes = routes::read(&root, end, common);
    sections::assertion::compare(&root, forward.assertion.as_deref(), &routes);
    Config { server, tls, limits, admin, log, forward, queue, routes }
}
