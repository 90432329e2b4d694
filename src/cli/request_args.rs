//! Pure. The signed parts of a request besides the content: method, target, origin, fields. They come from
//! the options and the route.

use std::time::SystemTime;

use http::{HeaderName, HeaderValue, Uri};

use crate::cli::args::{Besides, FieldLine, Stamp};
use crate::cli::exit::Failure;
use crate::signature::public_url::PublicUrls;
use crate::signature::scheme::Scheme;
use crate::signature::template::Part;
use crate::signature::window::Place;
use crate::signature::{Context, Fields};

/// A request that is to be signed or verified, without its content.
#[derive(Debug)]
pub(super) struct RequestArgs {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) origin: Option<PublicUrls>,
    pub(super) lines: Lines,
}

impl RequestArgs {
    /// Takes the options. If options are missing, takes the route's public origin and path. A URL that begins
    /// with a slash has the route's public origin.
    ///
    /// # Errors
    /// Wrong usage if `--url` is not a URL, or if the scheme signs a URL and none is known.
    pub(super) fn new(
        besides: &Besides,
        scheme: &Scheme,
        route: Option<&(Option<PublicUrls>, String)>,
        lines: Lines,
    ) -> Result<Self, Failure> {
        let (mut origin, mut target) = route.cloned().unwrap_or_else(|| (None, "/".to_owned()));
        if let Some(path) = besides.url.as_deref().filter(|url| url.starts_with('/')) {
            if signs_target(scheme) && scheme.signs_url() && origin.is_none() {
                return Err(Failure::usage(format!(
                    "the scheme {} signs the URL, with its host",
                    scheme.name
                ))
                .hint("write the URL that the sender calls: --url https://hooks.example.com/webhook?x=1"));
            }
            path.clone_into(&mut target);
        } else if let Some(url) = &besides.url {
            let (of_url, path) = split(url).ok_or_else(|| {
                Failure::usage(format!("`{url}` is no URL"))
                    .hint("write the URL that the sender calls: --url https://hooks.example.com/webhook?x=1")
            })?;
            (origin, target) = (Some(PublicUrls::from(&*of_url)), path);
        } else if signs_target(scheme) && (scheme.signs_url() && origin.is_none() || target.contains('{')) {
            let name = &scheme.name;
            return Err(Failure::usage(format!("the scheme {name} signs the URL: which is it?"))
                .hint("write the URL that the sender calls: --url https://hooks.example.com/webhook?x=1"));
        }
        let method = besides.method.as_ref().map_or("POST", http::Method::as_str).to_owned();
        Ok(Self { method, target, origin, lines })
    }

    /// The context for signing and verifying.
    pub(super) fn context(&self, now: SystemTime) -> Context<'_, Lines> {
        let origin = self.origin.as_ref();
        Context { method: &self.method, target: self.target.as_bytes(), origin, fields: &self.lines, now }
    }
}

fn split(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    let origin = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Some((origin, target.to_owned()))
}

fn signs_target(scheme: &Scheme) -> bool {
    scheme.content.parts().any(Part::is_of_url)
}

/// The given options that the scheme does not use.
pub(super) fn unsigned(scheme: &Scheme, stamp: &Stamp, url: bool, method: bool) -> Vec<&'static str> {
    [
        ("--timestamp", stamp.timestamp.is_some() && scheme.timestamp.is_none()),
        ("--id", stamp.id.is_some() && scheme.id.is_none()),
        ("--url", url && !signs_target(scheme)),
        ("--method", method && !scheme.content.has(&Part::Method)),
    ]
    .into_iter()
    .filter_map(|(flag, useless)| useless.then_some(flag))
    .collect()
}

/// Field lines from the command line.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<(String, Vec<u8>)>);

impl Lines {
    /// The lines of `--field` and `--header`.
    pub(super) fn given(fields: &[FieldLine]) -> Self {
        let line = |line: &FieldLine| (line.name.as_str().to_owned(), line.value.as_bytes().to_vec());
        Self(fields.iter().map(line).collect())
    }

    /// The lines of a request.
    pub(super) fn of(fields: &[(HeaderName, HeaderValue)]) -> Self {
        Self(
            fields
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
        )
    }

    /// Adds a line. White space around a value is not part of it (RFC 9110, section 5.5).
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.trim_matches([' ', '\t']).as_bytes().to_vec()));
    }

    /// Adds the lines of `--timestamp` and `--id` in the form of this scheme.
    pub(super) fn push_stamp(&mut self, scheme: &Scheme, stamp: &Stamp) {
        if let (Some(timestamp), Some(text)) = (&scheme.timestamp, &stamp.timestamp)
            && let Place::Field(name) = &timestamp.place
        {
            self.push(name, text);
        }
        if let (Some(name), Some(id)) = (&scheme.id, &stamp.id) {
            self.push(name, id);
        }
    }
}

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_begins_with_a_slash_has_the_origin_of_the_route() {
        let scheme = Scheme::preset("twilio").unwrap();
        let made = |url: &str, origin: Option<&str>| {
            let besides = Besides { stamp: Stamp::default(), url: Some(url.to_owned()), method: None };
            let route = (origin.map(PublicUrls::from), "/hooks".to_owned());
            RequestArgs::new(&besides, scheme, Some(&route), Lines::default())
        };
        let args = made("/hooks?x=1", Some("https://me:pass@hooks.example.com")).unwrap();
        assert_eq!(args.target, "/hooks?x=1");
        assert_eq!(args.origin, Some(PublicUrls::from("https://me:pass@hooks.example.com")));
        let args = made("https://other.example/a", Some("https://hooks.example.com")).unwrap();
        assert_eq!((&*args.target, args.origin), ("/a", Some(PublicUrls::from("https://other.example"))));
        assert!(made("/hooks", None).is_err(), "the scheme signs the host");
    }

    #[test]
    fn a_url_is_an_origin_and_a_target() {
        let parts = |url| split(url).map(|(origin, target)| format!("{origin} {target}"));
        assert_eq!(parts("https://a.b:8/c?d=e").as_deref(), Some("https://a.b:8 /c?d=e"));
        assert_eq!(parts("https://a.b").as_deref(), Some("https://a.b /"));
        for url in ["", "/a", "a.b/c"] {
            assert_eq!(parts(url), None, "{url}");
        }
    }
}
