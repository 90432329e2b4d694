//! Pure. Reads the definition of one scheme: the keys of a table `[schemes.NAME]`, without the rest of a
//! file.

use toml::de::DeTable;

use crate::config::problem::{Problems, Report};
use crate::config::redact::{Syntax, redact_secrets};
use crate::config::sections::schemes;
use crate::config::toml_syntax;
use crate::signature::scheme::Scheme;

/// Reads the keys of the scheme with this `name`.
///
/// # Errors
/// The [`Report`] with every problem.
pub(crate) fn read(name: &str, text: &str) -> Result<Scheme, Report> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let file = format!("[schemes.{name}]");
    if !errors.is_empty() {
        let shown = redact_secrets(text, document.get_ref(), Syntax::Broken);
        let problems = toml_syntax::problems(text, &shown, document.get_ref(), &errors);
        return Err(Report::new(&file, shown, problems));
    }
    let problems = Problems::default();
    let scheme = schemes::one(name, document.get_ref(), &problems);
    let shown = redact_secrets(text, document.get_ref(), Syntax::Sound);
    let report = Report::new(&file, shown, problems.into_vec());
    match scheme {
        Some(scheme) if !report.has_errors() => Ok(scheme),
        Some(_) | None => Err(report),
    }
}
