//! Pure. The texts of a request's URL that its sender may have signed.
//!
//! A sender signs one of the origins that it knows. Twilio also signs the URL with or without its port, and
//! signs some characters of the query that it sends percent-encoded. Each text costs a pass over the content,
//! so there are at most [`MOST_TEXTS`].

use std::borrow::Cow;

use super::public_url::PublicUrls;
use super::spelling;
use super::template::{Part, Template};

/// A text of the URL: an origin and a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SignedUrl<'c> {
    pub(super) origin: Cow<'c, str>,
    /// The target as it is signed for `{url:variants}`.
    pub(super) target: Cow<'c, [u8]>,
}

/// The most texts of a request's URL. Guards against forged requests that cost many passes.
pub(super) const MOST_TEXTS: usize = 16;

/// The texts of the URL, the most usual one first. Empty if the template signs no URL, or the origin is not
/// known.
pub(super) fn texts<'c>(
    template: &Template,
    origins: Option<&'c PublicUrls>,
    target: &'c [u8],
) -> Vec<SignedUrl<'c>> {
    let Some(origins) = origins.filter(|_| template.signs_url()) else { return Vec::new() };
    let as_configured = origins.iter().map(|url| Cow::Borrowed(url.expose()));
    if !template.has(&Part::UrlVariants) {
        let url = |origin| SignedUrl { origin, target: Cow::Borrowed(target) };
        return as_configured.map(url).collect();
    }
    let others = origins.iter().map(|url| Cow::Owned(url.with_other_port()));
    let mut known: Vec<Cow<'c, str>> = Vec::new();
    as_configured.chain(others).for_each(|origin| {
        if !known.contains(&origin) {
            known.push(origin);
        }
    });
    let spellings = spelling::variants(target);
    let all = spellings.iter().flat_map(|target| {
        known.iter().map(|origin| SignedUrl { origin: origin.clone(), target: target.clone() })
    });
    all.take(MOST_TEXTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(template: &str, origins: &[&str], target: &str) -> Vec<String> {
        let template = Template::parse(template).unwrap();
        let origins = PublicUrls::new(origins.iter().map(|origin| (*origin).to_owned()).collect());
        let texts = texts(&template, origins.as_ref(), target.as_bytes());
        texts
            .iter()
            .map(|url| format!("{}{}", url.origin, String::from_utf8(url.target.to_vec()).unwrap()))
            .collect()
    }

    #[test]
    fn a_url_is_signed_as_configured_or_in_one_of_a_few_variants() {
        assert_eq!(of("{url}{body}", &["http://a", "http://b"], "/p?'"), ["http://a/p?'", "http://b/p?'"]);
        assert!(of("{body}", &["http://a"], "/p").is_empty());
        assert!(of("{url}{body}", &[], "/p").is_empty());
        assert_eq!(
            of("{url:variants}{form}", &["https://a", "https://a:443"], "/p%27"),
            ["https://a/p%27", "https://a:443/p%27"]
        );
        assert_eq!(
            of("{url:variants}{form}", &["https://a"], "/p?s=%27"),
            ["https://a/p?s=%27", "https://a:443/p?s=%27", "https://a/p?s='", "https://a:443/p?s='"]
        );
    }

    #[test]
    fn the_texts_are_few_however_many_origins_and_encodings_there_are() {
        let origins = ["https://a", "https://b", "https://c", "https://d"];
        let target = format!("/p?s={}", "%3A%40%27".repeat(100));
        assert_eq!(of("{url:variants}{form}", &origins, &target).len(), MOST_TEXTS);
    }
}
