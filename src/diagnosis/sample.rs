//! Pure. A sample: the parts of a request that did not verify, kept to find the cause.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::Config;
use crate::diagnosis::causes::{Cause, GivenUp, Work, likely_cause};
use crate::diagnosis::rate_limit::Allowance;
use crate::gateway::reason::Reason;
use crate::signature::public_url::PublicUrls;
use crate::signature::scheme::PRESETS;
use crate::signature::{Context, Fields, Verifier};
use crate::telemetry::record::{Record, RequestId, RouteLabel, SentPath};
use crate::telemetry::request_id::{GivenId, TraceId};

/// The longest content that is diagnosed. A sample keeps its content, and hashes it some thirty times for
/// each secret.
pub const LONGEST_CONTENT: usize = 256 << 10;

/// The most bytes of the target and of the fields that any scheme signs. A longer request is not diagnosed.
pub const LONGEST_HEAD: usize = 16 << 10;

/// The most bytes that are read, written or hashed for one sample, with any content and any number of
/// secrets. With one secret and the longest content, the worst case takes a third of this work.
pub const MOST_WORK: usize = 64 << 20;

/// The period in which a route has its tokens.
pub const ROUTE_PERIOD: Duration = Duration::from_secs(40);

/// How many verifiers of other routes are tried, at most.
const MOST_OTHERS: usize = 64;

/// The signature settings of a configuration, by route.
#[derive(Debug)]
pub struct RouteContexts {
    routes: Vec<Entry>,
    /// The fields that help to find a cause.
    fields: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    path: Arc<str>,
    verifier: Arc<Verifier>,
    public_url: Option<PublicUrls>,
    allowance: Allowance,
}

impl RouteContexts {
    /// The contexts of a configuration. Each route has an allowance of `tokens` in each [`ROUTE_PERIOD`].
    #[must_use]
    pub fn of(config: &Config, tokens: u32) -> Self {
        let routes = config.routes.iter().map(|route| Entry {
            path: route.path.as_str().into(),
            verifier: Arc::clone(&route.verifier),
            public_url: route.public_url.clone(),
            allowance: Allowance::of(tokens, ROUTE_PERIOD),
        });
        let schemes = config
            .routes
            .iter()
            .flat_map(|route| route.verifier.all())
            .map(Verifier::scheme)
            .chain(PRESETS.iter());
        let mut fields: Vec<_> = schemes.flat_map(|scheme| scheme.names().map(str::to_owned)).collect();
        fields.push("content-encoding".to_owned());
        fields.sort_unstable();
        fields.dedup();
        Self { routes: routes.collect(), fields }
    }

    /// The allowance of the route with this number.
    pub(crate) fn allowance(&self, route: usize) -> Option<&Allowance> {
        self.routes.get(route).map(|entry| &entry.allowance)
    }
}

/// A copy of a request, reduced to the parts that a scheme may sign.
pub struct Sample {
    /// The route's number.
    route: usize,
    /// The route's label in the log and the metrics.
    pub(crate) label: Option<RouteLabel>,
    id: RequestId,
    given_id: Option<GivenId>,
    /// The trace id that the request carries.
    pub(crate) trace_id: Option<TraceId>,
    /// Why the request was refused, or would be refused outside observe mode.
    pub(crate) reason: Option<Reason>,
    /// Whether the record says how far the signed time is outside its window.
    has_difference: bool,
    method: String,
    target: Vec<u8>,
    fields: Kept,
    content: Option<Vec<u8>>,
    now: SystemTime,
    contexts: Arc<RouteContexts>,
}

/// Prints neither content nor fields.
impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample").field("id", &self.id).field("label", &self.label).finish_non_exhaustive()
    }
}

impl Sample {
    /// Copies the relevant parts of a request on the route with this number. `content` is `None` if the
    /// request was refused before its content was read. Returns `None` if the request is too long.
    #[must_use]
    pub fn of<F: Fields>(
        contexts: &Arc<RouteContexts>,
        route: usize,
        record: &Record,
        reason: Option<Reason>,
        context: &Context<'_, F>,
        content: Option<&[u8]>,
    ) -> Option<Self> {
        let lines = || {
            let names = contexts.fields.iter().map(String::as_str);
            names.flat_map(|name| context.fields.values(name).map(move |value| (name, value)))
        };
        let len = lines().map(|(name, value)| name.len().saturating_add(value.len()));
        let head = len.fold(context.target.len(), usize::saturating_add);
        if head > LONGEST_HEAD || content.is_some_and(|content| content.len() > LONGEST_CONTENT) {
            return None;
        }
        Some(Self {
            route,
            label: record.route.clone(),
            id: record.id,
            given_id: record.given_id.clone(),
            trace_id: record.trace_id,
            reason,
            has_difference: reason == Some(Reason::TimestampExpired)
                && record.observed.is_none()
                && record.detail.is_some(),
            method: context.method.to_owned(),
            target: context.target.to_owned(),
            fields: Kept(lines().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()),
            content: content.map(<[u8]>::to_vec),
            now: context.now,
            contexts: Arc::clone(contexts),
        })
    }

    /// The cause, if a known mistake explains the mismatch. Gives up after [`MOST_WORK`], or when `goes_on`
    /// returns `false`. `goes_on` is called often.
    ///
    /// # Errors
    /// [`GivenUp`]
    pub fn cause(&self, goes_on: &mut dyn FnMut() -> bool) -> Result<Option<Cause>, GivenUp> {
        let Some(entry) = self.contexts.routes.get(self.route) else { return Ok(None) };
        let context = Context {
            method: &self.method,
            target: &self.target,
            origin: entry.public_url.as_ref(),
            fields: &self.fields,
            now: self.now,
        };
        let mut others: Vec<&Entry> = Vec::new();
        for other in &self.contexts.routes {
            let known = std::iter::once(&entry).chain(&others);
            if others.len() < MOST_OTHERS
                && !known.into_iter().any(|known| Arc::ptr_eq(&known.verifier, &other.verifier))
            {
                others.push(other);
            }
        }
        let judge = entry.verifier.judge(&self.fields);
        let own = entry.verifier.all().filter(|one| !std::ptr::eq(*one, judge));
        let own = own.map(|one| (&*entry.path, one));
        let others = others.iter().flat_map(|other| other.verifier.all().map(|one| (&*other.path, one)));
        let mut work = Work::new(MOST_WORK, goes_on);
        likely_cause(judge, &context, self.content.as_deref(), own.chain(others), &mut work)
    }

    /// The cause as text, without what the record of the request already says.
    pub(crate) fn text(&self, cause: &Cause) -> String {
        cause.text(self.has_difference)
    }

    /// The number of the request.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// The method and the path of the request, without its query.
    #[must_use]
    pub fn request_line(&self) -> String {
        let path = self.target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = SentPath::new(&String::from_utf8_lossy(path));
        format!("{} {}", self.method, path.as_str())
    }

    /// The request's id, as the log shows it.
    #[must_use]
    pub fn request_id(&self) -> String {
        match &self.given_id {
            Some(id) => id.as_str().to_owned(),
            None => self.id.to_string(),
        }
    }
}

/// The fields that the sample keeps.
struct Kept(Vec<(String, Vec<u8>)>);

impl Fields for Kept {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_slice())
    }
}
