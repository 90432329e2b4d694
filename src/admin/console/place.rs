//! Pure. The URLs of the console. Every view is a URL, and its filters are in the query.

use http::Method;

use crate::admin::api::filter::{Asked as Filter, FilterError};
use crate::queue::id::EventId;

/// A page, or another thing to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Now,
    Live,
    /// The stream that the page *Live* follows.
    LiveStream,
    Refused,
    /// A recent request, by its number.
    Request(u64),
    /// The captured content of a recent request, as a file.
    CapturedDownload(u64),
    Queue,
    Dead,
    /// An event.
    Event(EventId),
    /// The content of an event, as a file.
    Download(EventId),
    /// The form that sends events again.
    Replay,
    /// The form that removes events.
    Discard,
    /// All replays.
    Replays,
    /// One replay.
    OneReplay(EventId),
    /// A link that works once, by its code.
    Login(String),
    /// A file of the program, by its name.
    Asset(String),
}

/// A change that a form asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Logout,
    Replay,
    CancelReplay(EventId),
    Discard,
    Pause,
    Resume,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Read(Place),
    Change(Change),
    /// The path is the console's, and takes only these methods.
    OtherMethod(&'static str),
}

/// The path where a program gets a link to the console.
pub(crate) const LINKS: &str = "/api/v1/console/links";

impl Asked {
    /// What a request asks for. `None` if the path is not the console's.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        let (place, change) = (Place::of(path), Change::of(path));
        let is_reading = matches!(*method, Method::GET | Method::HEAD);
        match (place, change) {
            (None, None) => None,
            (Some(place), _) if is_reading => Some(Self::Read(place)),
            (_, Some(change)) if *method == Method::POST => Some(Self::Change(change)),
            (Some(_), Some(_)) => Some(Self::OtherMethod("GET, HEAD, POST")),
            (Some(_), None) => Some(Self::OtherMethod("GET, HEAD")),
            (None, Some(_)) => Some(Self::OtherMethod("POST")),
        }
    }
}

impl Place {
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let parts = (parts.next()?, parts.next(), parts.next());
        match parts {
            ("", None, None) => Some(Self::Now),
            ("live", None, None) => Some(Self::Live),
            ("live", Some("stream"), None) => Some(Self::LiveStream),
            ("refused", None, None) => Some(Self::Refused),
            ("requests", Some(number), None) => number.parse().ok().map(Self::Request),
            ("requests", Some(number), Some("download")) => number.parse().ok().map(Self::CapturedDownload),
            ("queue", None, None) => Some(Self::Queue),
            ("dead", None, None) => Some(Self::Dead),
            ("events", Some(id), None) => id.parse().ok().map(Self::Event),
            ("events", Some(id), Some("download")) => id.parse().ok().map(Self::Download),
            ("replay", None, None) => Some(Self::Replay),
            ("discard", None, None) => Some(Self::Discard),
            ("replays", None, None) => Some(Self::Replays),
            ("replays", Some(id), None) => id.parse().ok().map(Self::OneReplay),
            ("login", Some(code), None) => Some(Self::Login(code.to_owned())),
            ("assets", Some(name), None) => Some(Self::Asset(name.to_owned())),
            _ => None,
        }
    }
}

impl Change {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/logout" => Some(Self::Logout),
            "/replay" => Some(Self::Replay),
            "/discard" => Some(Self::Discard),
            "/pause" => Some(Self::Pause),
            "/resume" => Some(Self::Resume),
            path => {
                let id = path.strip_prefix("/replays/")?.strip_suffix("/cancel")?;
                id.parse().ok().map(Self::CancelReplay)
            }
        }
    }
}

/// The filter of a page and its further parameters. Empty values are of form fields that a person has not
/// filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) filter: Filter,
    own: Vec<(String, String)>,
}

impl Query {
    /// Reads a query, or the content of a form.
    ///
    /// # Errors
    /// A filter is there twice, or there are too many ids.
    pub(crate) fn read(text: &str) -> Result<Self, FilterError> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let value = value.trim();
            if !value.is_empty() && !query.filter.take(&name, value)? {
                query.own.push((name.into_owned(), value.to_owned()));
            }
        }
        Ok(query)
    }

    /// A further parameter.
    pub(crate) fn own(&self, name: &str) -> Option<&str> {
        self.own.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The parts of a filter, by the names that it has in a query.
pub(crate) fn parts(filter: &Filter) -> Vec<(&'static str, &str)> {
    let Filter { state, route, since, until, model, failure, ids } = filter;
    let words = [
        ("state", state),
        ("failure", failure),
        ("route", route),
        ("model", model),
        ("since", since),
        ("until", until),
    ];
    let words = words.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    words.chain(ids.iter().map(|id| ("id", id.as_str()))).collect()
}

/// The URL of a page with this filter and further parameters.
pub(crate) fn url(path: &str, filter: &Filter, own: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parts(filter).iter().chain(own) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The place to go to after a change: the URL that a form names, if it is a page of the console.
pub(crate) fn back(named: Option<&str>) -> String {
    let is_page = |url: &&str| {
        let path = url.split('?').next().unwrap_or_default();
        url.bytes().all(|byte| byte.is_ascii_graphic())
            && match Place::of(path) {
                Some(
                    Place::Login(_)
                    | Place::Asset(_)
                    | Place::Download(_)
                    | Place::CapturedDownload(_)
                    | Place::LiveStream,
                )
                | None => false,
                Some(_) => true,
            }
    };
    named.filter(is_page).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019ac7f2-5c00-7000-8000-000000000001";

    #[test]
    fn a_path_is_the_consoles_or_not_and_has_its_methods() {
        let id: EventId = ID.parse().unwrap();
        let asked = |method: &Method, path: &str| Asked::of(method, &path.replace("ID", ID));
        let get = |path: &str| asked(&Method::GET, path);
        let post = |path: &str| asked(&Method::POST, path);
        assert_eq!(get("/"), Some(Asked::Read(Place::Now)));
        assert_eq!(get("/events/ID"), Some(Asked::Read(Place::Event(id))));
        assert_eq!(asked(&Method::HEAD, "/queue"), Some(Asked::Read(Place::Queue)));
        assert_eq!(get("/replay"), Some(Asked::Read(Place::Replay)));
        assert_eq!(post("/replay"), Some(Asked::Change(Change::Replay)));
        assert_eq!(post("/replays/ID/cancel"), Some(Asked::Change(Change::CancelReplay(id))));
        assert_eq!(asked(&Method::PUT, "/replay"), Some(Asked::OtherMethod("GET, HEAD, POST")));
        assert_eq!(get("/pause"), Some(Asked::OtherMethod("POST")), "no GET changes anything");
        assert_eq!(get("/logout"), Some(Asked::OtherMethod("POST")));
        assert_eq!(post("/queue"), Some(Asked::OtherMethod("GET, HEAD")));
        for other in [
            "/metrics",
            "/healthz",
            "/readyz",
            "/secrets",
            "/api/v1/events",
            "/verify/a",
            "/events",
            "/events/x",
        ] {
            assert_eq!(get(other), None, "{other}");
        }
    }

    #[test]
    fn a_filter_comes_through_a_url_and_a_form_unchanged() {
        let query = Query::read("state=dead&route=%2Fa+b%26c&model=&id=x&id=y&before=z").unwrap();
        assert_eq!(query.filter.route.as_deref(), Some("/a b&c"));
        assert_eq!((query.filter.model.as_deref(), query.own("before")), (None, Some("z")));
        let written = url("/queue", &query.filter, &[("before", "z")]);
        assert_eq!(written, "/queue?state=dead&route=%2Fa+b%26c&id=x&id=y&before=z");
        assert_eq!(Query::read(written.split_once('?').unwrap().1).unwrap(), query);
        assert!(Query::read("state=a&state=b").is_err());
        assert_eq!(url("/queue", &Filter::default(), &[]), "/queue");
    }

    #[test]
    fn a_form_leads_only_to_a_page_of_the_console() {
        assert_eq!(back(Some("/queue?state=dead")), "/queue?state=dead");
        for named in [
            None,
            Some(""),
            Some("//evil.example/queue"),
            Some("https://evil.example/queue"),
            Some("/\\evil.example"),
            Some("/login/abc"),
            Some("/queue\r\nset-cookie: a=b"),
            Some("/metrics"),
        ] {
            assert_eq!(back(named), "/", "{named:?}");
        }
    }
}
