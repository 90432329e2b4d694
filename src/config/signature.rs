//! Pure. `[signature]`, and a route's `signature`: a scheme, and the secrets of which any may verify.

use subtle::ConstantTimeEq as _;

use super::item::Item;
use super::problem::Problem;
use super::secret::{self, Context, Named};
use super::table::{Problems, Table};
use super::{keys, public, suggest};
use crate::secret::{Key, Secret, SecretEncoding};
use crate::signature::Verifier;
use crate::signature::scheme::{PRESETS, Scheme};

/// How to write a signature within a route.
pub(super) const EXAMPLE: &str =
    "signature = { scheme = \"propify\", secrets = [{ env = \"PROPIFY_WEBHOOK_SECRET\" }] }";

/// A signature that can verify, its secrets still at hand.
pub(super) struct Signature {
    scheme: &'static Scheme,
    secrets: Vec<Secret>,
}

impl Signature {
    /// Reads a signature; `None` if there is an error in it.
    pub(super) fn read(item: &Item<'_>, context: Context<'_>, problems: &mut Problems) -> Option<Self> {
        let entries = item.table(&format!("write `{EXAMPLE}`"), problems)?;
        let table = Table::open("`signature`", item.span.clone(), entries, keys::SIGNATURE, problems);
        let scheme =
            table.required("scheme", "\"propify\"", problems).and_then(|item| scheme(&item, problems));
        let encoding = scheme.map_or(SecretEncoding::default(), |scheme| scheme.secret_encoding);
        let secrets = secrets(&table, encoding, context, problems);
        Some(Self { scheme: scheme?, secrets: secrets? })
    }

    /// Its scheme.
    pub(super) fn scheme(&self) -> &'static Scheme {
        self.scheme
    }

    /// Whether two signatures verify the same, under the same names.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.secrets.len() == other.secrets.len()
            && self.secrets.iter().zip(&other.secrets).all(|(one, other)| {
                one.name == other.name && one.not_after == other.not_after && same(&one.key, &other.key)
            })
    }

    /// Keys its MACs, and forgets the secrets.
    pub(super) fn into_verifier(self) -> Verifier {
        Verifier::new(self.scheme.clone(), self.secrets)
    }
}

fn scheme(item: &Item<'_>, problems: &mut Problems) -> Option<&'static Scheme> {
    let text = item.text("\"propify\"", problems)?;
    let scheme = Scheme::preset(text);
    if scheme.is_none() {
        let names = || PRESETS.iter().map(|scheme| scheme.name);
        let problem = Problem::error(
            "unknown_scheme",
            item.span.clone(),
            format!("there is no scheme {:?}", public::quote(text)),
        )
        .help(format!("one of {}", suggest::list(names())));
        problems.push(match suggest::nearest(text, names()) {
            Some(meant) => problem.label(format!("did you mean `\"{meant}\"`?")),
            None => problem,
        });
    }
    scheme
}

/// The secrets in the order of the file; `None` if there is an error in any.
fn secrets(
    table: &Table<'_>,
    encoding: SecretEncoding,
    context: Context<'_>,
    problems: &mut Problems,
) -> Option<Vec<Secret>> {
    let example = "[{ env = \"PROPIFY_WEBHOOK_SECRET\" }]";
    let item = table.required("secrets", example, problems)?;
    let array = item.array(&format!("{}, also for a single one", item.write(example)), problems)?;
    if array.is_empty() {
        let problem = Problem::error("missing_key", item.span.clone(), "there is no secret to verify with");
        problems.push(problem.help(item.write(example)));
        return None;
    }
    let mut all: Vec<Named> = Vec::new();
    let mut sound = true;
    for (index, element) in item.elements(array).enumerate() {
        let Some(named) = secret::read(&element, index, encoding, context, problems) else {
            sound = false;
            continue;
        };
        let twin = all.iter().find_map(|earlier| repeats(&named, earlier));
        sound &= named.secret.is_some() && twin.is_none();
        problems.extend(twin);
        all.push(named);
    }
    sound.then(|| all.into_iter().filter_map(|named| named.secret).collect())
}

/// What there is to say about a secret that has an earlier one's name or key.
fn repeats(later: &Named, earlier: &Named) -> Option<Problem> {
    if later.name == earlier.name {
        let message = format!("two secrets of one signature are called `{}`", later.name);
        return Some(
            Problem::error("duplicate_name", later.span.clone(), message)
                .related(earlier.span.clone(), "the first of them")
                .help("give each its own `name`: the log says by it which one verified"),
        );
    }
    let (later_key, earlier_key) = (&later.secret.as_ref()?.key, &earlier.secret.as_ref()?.key);
    same(later_key, earlier_key).then(|| {
        let message = format!("the secrets `{}` and `{}` are the same", earlier.name, later.name);
        Problem::error("duplicate_secret", later.span.clone(), message)
            .related(earlier.span.clone(), "the first of them")
            .help("remove one, or set the other to what it should be")
    })
}

/// Whether two keys have the same bytes, in a time that says nothing of where they differ.
fn same(one: &Key, other: &Key) -> bool {
    one.expose().ct_eq(other.expose()).into()
}
