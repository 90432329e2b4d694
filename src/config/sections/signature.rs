//! Pure. Reads `[signature]` and a route's `signature`: a scheme and its secrets. Any of the secrets may
//! verify a request.

use std::ops::Range;
use std::sync::Arc;

use crate::config::choices::{CHALLENGES, ChallengeMode};
use crate::config::problem::{Problem, Problems};
use crate::config::sections::alternatives;
use crate::config::sections::secret::{self, Context, Named};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{keys, sections::schemes, showable, suggest};
use crate::diagnosis::causes::KeyChange;
use crate::signature::alternatives::MOST_SIGNATURES;
use crate::signature::challenge::Challenge;
use crate::signature::mac::Keyed;
use crate::signature::scheme::{Inexpressible, PRESETS, Scheme};
use crate::signature::secret::{Key, Secret, SecretEncoding};
use crate::signature::{Permit, Verifier};

/// How to write a signature within a route.
pub(crate) const EXAMPLE: &str =
    "signature = { scheme = \"propify\", secrets = [{ env = \"PROPIFY_WEBHOOK_SECRET\" }] }";

/// A valid signature. It still holds its secrets.
pub(crate) struct Signature {
    scheme: Arc<Scheme>,
    secrets: Vec<Suspected>,
    challenges: Challenges,
    /// Whether the file says which side answers.
    says_challenge: bool,
    /// Further signatures of the same route, in the order of the file.
    others: Vec<Self>,
}

/// Which side answers the sender's challenges.
enum Challenges {
    /// The upstream answers, as it does for any event.
    Forwarded,
    /// The gateway answers. Some senders put this token into their challenges.
    Answered(Option<Key>),
    /// The upstream answers, also unsigned requests.
    ForwardedUnsigned(Permit),
}

/// A secret, and keys that the operator may have meant instead.
type Suspected = (Secret, Vec<(KeyChange, Key)>);

impl Signature {
    /// Reads a signature, or a list of them: the first with the others. `None` if one has an error.
    pub(crate) fn read(item: &Item<'_>, context: Context<'_>) -> Option<Self> {
        let Some(array) = item.value.as_array() else { return Self::one(item, context) };
        let all = item.elements(array).map(|element| Some((Self::one(&element, context)?, element.span)));
        let all: Vec<Option<(Self, Range<usize>)>> = all.collect();
        if all.is_empty() || all.len() > MOST_SIGNATURES {
            let message = format!("a route has one signature, or {MOST_SIGNATURES} at most");
            let problem = item.error("out_of_range", message);
            return problem.help(format!("write `{EXAMPLE}`")).refuse(item.problems);
        }
        let all = all.into_iter().collect::<Option<Vec<_>>>()?;
        let schemes: Vec<_> = all.iter().map(|(one, place)| (one.scheme(), place.clone())).collect();
        if !alternatives::check(&schemes, item.problems) || !are_separate(&all, item.problems) {
            return None;
        }
        let mut all = all.into_iter().map(|(signature, _)| signature);
        let mut first = all.next()?;
        let mut names: Vec<_> = first.names().collect();
        for mut other in all {
            let scheme = Arc::clone(&other.scheme);
            for (secret, _) in &mut other.secrets {
                // The log tells secrets apart by their names.
                if names.contains(&secret.name) {
                    secret.name = format!("{}.{}", scheme.name, secret.name).into();
                }
                names.push(Arc::clone(&secret.name));
            }
            first.others.push(other);
        }
        Some(first)
    }

    fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.secrets.iter().map(|(secret, _)| Arc::clone(&secret.name))
    }

    /// The signature, and the further signatures of its route.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    fn one(item: &Item<'_>, context: Context<'_>) -> Option<Self> {
        let help = format!("write `{EXAMPLE}`");
        let table = Table::of(item, "`signature`", &help, keys::SIGNATURE)?;
        let scheme = table.required("scheme", "\"propify\"").and_then(|item| scheme(&item, context));
        let secrets = secrets(&table, scheme.as_deref(), context);
        let challenges = challenges(&table, scheme.as_deref(), context);
        let scheme = scheme.map(|scheme| with_tolerance(scheme, &table));
        let says_challenge = table.get("challenge").is_some();
        let others = Vec::new();
        Some(Self { scheme: scheme?, secrets: secrets?, challenges: challenges?, says_challenge, others })
    }

    /// The method of each unsigned request that the gateway answers or forwards.
    pub(crate) fn unsigned_methods(&self) -> impl Iterator<Item = &str> {
        let (any, app_only) = match &self.challenges {
            Challenges::Forwarded => (false, false),
            Challenges::Answered(_) => (true, false),
            Challenges::ForwardedUnsigned(_) => (true, true),
        };
        let query = self.scheme.challenge.as_ref().filter(|challenge| any && challenge.is_unsigned());
        let setup = self.scheme.setup.iter().filter(move |setup| any && (app_only || setup.reply.is_some()));
        query.map(|_challenge| "GET").into_iter().chain(setup.map(|setup| &*setup.method))
    }

    /// The unsigned requests of the sender that are refused, if the file does not say who answers them.
    pub(crate) fn unsaid(&self) -> Option<String> {
        let query = self.scheme.challenge.as_ref().filter(|challenge| challenge.is_unsigned());
        let all = query.map(ToString::to_string).into_iter();
        let all: Vec<_> = all.chain(self.scheme.setup.iter().map(ToString::to_string)).collect();
        (!self.says_challenge && !all.is_empty()).then(|| all.join(", "))
    }

    /// Whether the gateway has an answer to an unsigned request of the sender.
    pub(crate) fn has_answer(&self) -> bool {
        has_answer(&self.scheme)
    }

    /// The scheme of the signature.
    pub(crate) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether two signatures have the same scheme, and the same secrets under the same names, and their
    /// further signatures, too.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let challenges = match (&self.challenges, &other.challenges) {
            (Challenges::Forwarded, Challenges::Forwarded)
            | (Challenges::Answered(None), Challenges::Answered(None))
            | (Challenges::ForwardedUnsigned(_), Challenges::ForwardedUnsigned(_)) => true,
            (Challenges::Answered(Some(one)), Challenges::Answered(Some(other))) => one.is_same(other),
            (Challenges::Forwarded | Challenges::Answered(_) | Challenges::ForwardedUnsigned(_), _) => false,
        };
        challenges
            && self.scheme == other.scheme
            && self.others.len() == other.others.len()
            && self.others.iter().zip(&other.others).all(|(one, other)| one.agrees_with(other))
            && self.secrets.len() == other.secrets.len()
            && self.secrets.iter().zip(&other.secrets).all(|((one, _), (other, _))| {
                one.name == other.name && one.not_after == other.not_after && one.key.is_same(&other.key)
            })
    }

    /// Builds the verifier. `None` if a secret is not a key for the scheme's algorithm; that error was
    /// reported before.
    pub(crate) fn into_verifier(self) -> Option<Arc<Verifier>> {
        let (secrets, slips): (Vec<_>, Vec<_>) = self.secrets.into_iter().unzip();
        let names: Vec<_> = secrets.iter().map(|secret| Arc::clone(&secret.name)).collect();
        let others: Option<Vec<_>> = self.others.into_iter().map(Self::into_verifier).collect();
        let verifier = Verifier::new(self.scheme, secrets).ok()?.before(others?);
        let named = names.iter().zip(slips);
        let verifier = named.fold(verifier, |verifier, (name, slips)| verifier.suspecting(name, slips));
        Some(Arc::new(match &self.challenges {
            Challenges::Forwarded => verifier,
            Challenges::Answered(token) => verifier.answering(token.as_ref()),
            Challenges::ForwardedUnsigned(permit) => verifier.forwarding_unsigned(*permit),
        }))
    }
}

/// Reads `challenge` and `verify_token`. `None` if one of them has an error.
fn challenges(table: &Table<'_>, scheme: Option<&Scheme>, context: Context<'_>) -> Option<Challenges> {
    let mode = table.choice("challenge", &CHALLENGES, ChallengeMode::Forward);
    let answered = mode == ChallengeMode::Answer;
    let token = table.get("verify_token");
    let key = token.as_ref().map(|item| secret::token(item, context));
    let scheme = scheme?;
    let name = &scheme.name;
    let needs_token = scheme.challenge.as_ref().is_some_and(Challenge::needs_token);
    if let Some(item) = table.get("challenge") {
        let unsigned = scheme.challenge.as_ref().is_some_and(Challenge::is_unsigned);
        let fault = match mode {
            ChallengeMode::Answer if scheme.challenge.is_none() && scheme.setup.is_empty() => {
                Some((format!("the sender of scheme `{name}` sends no challenges"), "remove it"))
            }
            ChallengeMode::Answer if scheme.challenge.is_none() && !has_answer(scheme) => Some((
                format!("only the app can answer the set-up requests of scheme `{name}`"),
                "write `challenge = \"forward-unsigned\"` while you set the webhook up",
            )),
            ChallengeMode::ForwardUnsigned(_) if !unsigned && scheme.setup.is_empty() => {
                Some((format!("the sender of scheme `{name}` sends no unsigned requests"), "remove it"))
            }
            ChallengeMode::Forward | ChallengeMode::Answer | ChallengeMode::ForwardUnsigned(_) => None,
        };
        if let Some((message, help)) = fault {
            return item.error("no_challenge", message).help(help).refuse(table.problems);
        }
    }
    if let (Some(item), false) = (&token, answered && needs_token) {
        let message = match needs_token {
            true => "nothing compares this token, because challenges are forwarded".to_owned(),
            false => format!("the challenges of scheme `{name}` come without a token"),
        };
        let help = if needs_token { "add `challenge = \"answer\"`" } else { "remove it" };
        return Problem::error("no_challenge", item.key.clone(), message).help(help).refuse(table.problems);
    }
    if let ChallengeMode::ForwardUnsigned(permit) = mode {
        return Some(Challenges::ForwardedUnsigned(permit));
    }
    match key {
        _ if !answered => Some(Challenges::Forwarded),
        Some(key) => Some(Challenges::Answered(Some(key?))),
        None if needs_token => {
            let message = format!("a challenge of scheme `{name}` carries a token, and there is none");
            let token = "verify_token = { env = \"META_VERIFY_TOKEN\" }";
            Problem::error("missing_key", table.place("challenge"), message)
                .help(format!("add the token that you have told the sender: `{token}`"))
                .refuse(table.problems)
        }
        None => Some(Challenges::Answered(None)),
    }
}

/// Whether the gateway has an answer to an unsigned request of the sender.
fn has_answer(scheme: &Scheme) -> bool {
    let unsigned = scheme.challenge.as_ref().is_some_and(Challenge::is_unsigned);
    unsigned || scheme.setup.iter().any(|setup| setup.reply.is_some())
}

fn scheme(item: &Item<'_>, context: Context<'_>) -> Option<Arc<Scheme>> {
    let text = item.text("\"propify\"")?;
    if let Some((_, declared)) = context.schemes.iter().find(|(name, _)| name == text) {
        return declared.clone();
    }
    let scheme = Scheme::preset(text);
    if let (None, Some(sender)) = (scheme, Inexpressible::named(text)) {
        let message = format!("there is no scheme for {}", sender.sender);
        item.error("inexpressible_scheme", message)
            .label(format!("the sender {}", sender.reason))
            .help(sender.advice())
            .report(item.problems);
    } else if scheme.is_none() {
        let own = context.schemes.iter().map(|(name, _)| name.as_str());
        let names = || own.clone().chain(PRESETS.iter().map(|scheme| &*scheme.name));
        let message = format!("there is no scheme {:?}", showable::quote(text));
        let help = scheme_advice(text).unwrap_or_else(|| {
            format!("`hookgate schemes` shows those that ship with it{}", others(own.clone()))
        });
        let problem = item.error("unknown_scheme", message).help(help);
        let meant = scheme_advice(text)
            .is_none()
            .then(|| Scheme::meant_by(text).or_else(|| suggest::nearest(text, names())))
            .flatten();
        problem.meant(meant).report(item.problems);
    }
    scheme.map(|scheme| Arc::new(scheme.clone()))
}

/// The scheme, with the `tolerance` of this signature if it sets one.
fn with_tolerance(mut scheme: Arc<Scheme>, table: &Table<'_>) -> Arc<Scheme> {
    let Some(item) = table.get("tolerance") else { return scheme };
    let name = scheme.name.clone();
    match &mut Arc::make_mut(&mut scheme).timestamp {
        Some(timestamp) => {
            let usual = (timestamp.past, timestamp.future);
            (timestamp.past, timestamp.future) = schemes::tolerance(table, usual);
        }
        None => {
            let message = format!("scheme `{name}` signs no time, so there is nothing to tolerate");
            Problem::error("no_timestamp", item.key, message).help("remove it").report(table.problems);
        }
    }
    scheme
}

/// Reads the secrets in the order of the file. `None` if one has an error.
fn secrets(table: &Table<'_>, scheme: Option<&Scheme>, context: Context<'_>) -> Option<Vec<Suspected>> {
    let encoding = scheme.map_or(SecretEncoding::default(), |scheme| scheme.secret_encoding);
    let example = "[{ env = \"PROPIFY_WEBHOOK_SECRET\" }]";
    let item = table.required("secrets", example)?;
    let array = item.array(&format!("{}, also for a single one", item.write(example)))?;
    if array.is_empty() {
        let problem = item.error("missing_key", "there is no secret to verify with");
        return problem.help(item.write(example)).refuse(table.problems);
    }
    let mut all: Vec<Named> = Vec::new();
    let mut sound = true;
    for (index, element) in item.elements(array).enumerate() {
        let Some(named) = secret::read(&element, index, encoding, context) else {
            sound = false;
            continue;
        };
        let twin = all.iter().find_map(|earlier| repeats(&named, earlier));
        let unusable = scheme.zip(named.secret.as_ref()).and_then(|(scheme, secret)| {
            Keyed::new(scheme.algorithm, &secret.key).err()?;
            Some(no_key(scheme, named.span.clone()))
        });
        sound &= named.secret.is_some() && twin.is_none() && unusable.is_none();
        twin.into_iter().chain(unusable).for_each(|problem| problem.report(table.problems));
        all.push(named);
    }
    sound.then(|| all.into_iter().filter_map(|named| Some((named.secret?, named.slips))).collect())
}

/// The advice for a word that names no sender: an algorithm, the absence of one, or a field.
fn scheme_advice(text: &str) -> Option<String> {
    let word = text.trim().to_ascii_lowercase();
    let of_field = PRESETS.iter().filter(|scheme| scheme.field == word);
    let of_field: Vec<_> = of_field.map(|scheme| &*scheme.name).collect();
    if !of_field.is_empty() {
        return Some(format!(
            "this is the field of {}: write the name of the sender",
            suggest::list(of_field)
        ));
    }
    let is = |words: &[&str]| words.contains(&word.as_str());
    if is(&["none", "off", "no", "false", "disabled", "unsigned", "open", "any", "anonymous"]) {
        return Some("each event is verified; while a secret is not known, `mode = \"observe\"` on a route forwards events and reports".to_owned());
    }
    let is_algorithm = ["hmac", "sha1", "sha256", "sha384", "sha512", "sha-", "ed25519", "ecdsa", "rsa"]
        .iter()
        .any(|start| word.starts_with(start));
    let is_kind = is(&[
        "custom",
        "generic",
        "default",
        "own",
        "bearer",
        "basic",
        "basic-auth",
        "oauth",
        "mtls",
        "password",
        "secret",
        "shared-secret",
        "webhook",
        "webhooks",
        "auto",
        "token",
        "api-key",
        "apikey",
        "jwt",
        "signature",
    ]);
    (is_algorithm || is_kind).then(|| {
        "a scheme is a sender's whole rule: write the sender's name (`hookgate schemes`), or define the rule under \
         `[schemes.NAME]`: `header = \"x-signature\"`, `algorithm = \"hmac-sha256\"`, `format = \"hex\"`"
            .to_owned()
    })
}

fn others<'n>(own: impl Iterator<Item = &'n str>) -> String {
    let own = suggest::list(own);
    if own.is_empty() { "; `[schemes.NAME]` defines another".to_owned() } else { format!("; here are {own}") }
}

/// Reports two signatures of one route that share a key, if one of them could be taken for the other. Then a
/// request that was signed in one way would also verify, with other content, in the other way. `true` if
/// there are none.
fn are_separate(all: &[(Signature, Range<usize>)], problems: &Problems) -> bool {
    let before = problems.len();
    for (index, (later, place)) in all.iter().enumerate() {
        for (earlier, first) in all.iter().take(index) {
            let shares =
                |(one, _): &Suspected| earlier.secrets.iter().any(|(other, _)| one.key.is_same(&other.key));
            if !later.scheme.could_be_taken_for(&earlier.scheme) || !later.secrets.iter().any(shares) {
                continue;
            }
            let message = format!(
                "the schemes `{}` and `{}` have the same secret: a signature of one could pass as the other's, over other content",
                earlier.scheme.name, later.scheme.name
            );
            Problem::error("duplicate_secret", place.clone(), message)
                .related(first.clone(), "here is the other")
                .help("have the sender use another secret for one of them, or remove one")
                .report(problems);
        }
    }
    problems.len() == before
}

impl Signature {
    /// Whether a signature for a route of this one could be taken for a signature on a route of the other:
    /// their names, if so.
    pub(crate) fn taken_elsewhere_for<'s>(&'s self, other: &'s Self) -> Option<(&'s str, &'s str)> {
        let shares = |one: &Self, other: &Self| {
            let has = |key: &Key| other.secrets.iter().any(|(secret, _)| secret.key.is_same(key));
            one.secrets.iter().any(|(secret, _)| has(&secret.key))
        };
        let pairs = self.all().flat_map(|one| other.all().map(move |other| (one, other)));
        let mut taken = pairs.filter(|(one, other)| {
            one.scheme.could_be_taken_elsewhere_for(&other.scheme) && shares(one, other)
        });
        taken.next().map(|(one, other)| (&*one.scheme.name, &*other.scheme.name))
    }
}

/// The error of a secret that should be a public key, and is not.
fn no_key(scheme: &Scheme, span: Range<usize>) -> Problem {
    let algorithm = scheme.algorithm.name();
    let message =
        format!("this is no public key for {algorithm}, by which scheme `{}` verifies", scheme.name);
    Problem::error("secret_not_key", span, message).help(
        "it is what the sender shows as public or verification key, without armour: \
         write `encoding = \"base64\"` or `encoding = \"hex\"` as it is written there",
    )
}

/// The problem of a secret that has the same name or key as an earlier secret.
fn repeats(later: &Named, earlier: &Named) -> Option<Problem> {
    if later.name == earlier.name {
        let message = format!("two secrets of one signature are called `{}`", later.name);
        return Some(
            Problem::error("duplicate_name", later.span.clone(), message)
                .related(earlier.span.clone(), "the first of them")
                .help("give each secret its own `name`: the log shows by this name which secret verified"),
        );
    }
    let (later_key, earlier_key) = (&later.secret.as_ref()?.key, &earlier.secret.as_ref()?.key);
    later_key.is_same(earlier_key).then(|| {
        let message = format!("the secrets `{}` and `{}` are the same", earlier.name, later.name);
        Problem::error("duplicate_secret", later.span.clone(), message)
            .related(earlier.span.clone(), "the first of them")
            .help("remove one, or set the other to what it should be")
    })
}
