//! Pure. A scheme, by its name or by its definition.

use std::sync::Arc;

use crate::config::one_scheme;
use crate::config::problem::Style;
use crate::config::suggest;
use crate::signature::scheme::{Inexpressible, PRESETS, Scheme as Definition};

/// A scheme: how a sender signs.
///
/// ```
/// use hookgate::verify::Scheme;
///
/// let github = Scheme::named("github")?;
/// assert_eq!(github.fields().collect::<Vec<_>>(), ["x-hub-signature-256"]);
///
/// // The keys are those of a table `[schemes.acme]` in gateway.toml.
/// let acme = Scheme::defined(
///     "acme",
///     r#"
///     header = "x-acme-signature"
///     content = "{timestamp}.{body}"
///     timestamp = { header = "x-acme-timestamp" }
///     "#,
/// )?;
/// assert_eq!(acme.name(), "acme");
/// # Ok::<(), hookgate::verify::SchemeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scheme(pub(super) Arc<Definition>);

impl Scheme {
    /// The shipped scheme with this name. `hookgate schemes` lists the names, and so does `docs/schemes.md`.
    ///
    /// # Errors
    /// [`SchemeError`] if there is none.
    pub fn named(name: &str) -> Result<Self, SchemeError> {
        match Definition::preset(name) {
            Some(scheme) => Ok(Self(Arc::new(scheme.clone()))),
            None => Err(SchemeError(unknown(name))),
        }
    }

    /// A scheme of your own. `definition` has the keys of a table `[schemes.NAME]` of gateway.toml, in TOML;
    /// `docs/schemes.md` explains the keys.
    ///
    /// # Errors
    /// [`SchemeError`] with every problem of the definition.
    pub fn defined(name: &str, definition: &str) -> Result<Self, SchemeError> {
        match one_scheme::read(name, definition) {
            Ok(scheme) => Ok(Self(Arc::new(scheme))),
            Err(report) => Err(SchemeError(report.render(Style::Plain).trim_end().to_owned())),
        }
    }

    /// The scheme's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The names of the fields that the check reads, in lower case. The signature field comes first. A field
    /// with several names has all of them.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    /// Whether the sender signs the URL that it sends to. Such a scheme needs
    /// [`Verifier::at`](super::Verifier::at).
    #[must_use]
    pub fn signs_url(&self) -> bool {
        self.0.signs_url()
    }
}

/// The error for a scheme that does not exist, or whose definition has problems.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemeError(String);

fn unknown(name: &str) -> String {
    if let Some(sender) = Inexpressible::named(name) {
        return format!("there is no scheme for {}: the sender {}", sender.sender, sender.reason);
    }
    let names = || PRESETS.iter().map(|scheme| &*scheme.name);
    let nearest = Definition::meant_by(name).or_else(|| suggest::nearest(name, names()));
    let meant = nearest.map(|word| format!("; did you mean {word:?}?")).unwrap_or_default();
    format!("there is no scheme {name:?}{meant}")
}
