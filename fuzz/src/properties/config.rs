//! The configuration: any text is either accepted, or refused with problems and their places.

use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use hookgate::config::environment::Fixed;
use hookgate::config::problem::{Report, Style};
use hookgate::config::read;
use hookgate::routing::router::Router;

/// Panics if the reader panics, if a problem's place is outside the text, if the redacted text has another
/// shape than the text, or if an accepted configuration cannot be served.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = Fixed::new(NonZeroUsize::MIN)
        .with_variable("KEY", "a secret that is long enough")
        .with_variable("SHORT", "short")
        .with_file("secret", "another secret, long enough\n")
        .with_open_file("open", "a third secret, long enough");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    match read("gateway.toml", text, &environment, now) {
        Ok(loaded) => {
            assert!(!loaded.report.has_errors());
            check(&loaded.report, text);
            let routes = loaded.config.routes.iter().map(|route| (&route.path, &route.model));
            assert!(Router::build(routes).is_ok(), "routes that conflict were let through");
        }
        Err(report) => {
            assert!(report.has_errors(), "refused without a reason");
            check(&report, text);
        }
    }
}

fn check(report: &Report, text: &str) {
    assert_eq!(report.source.len(), text.len(), "hiding secrets moved the places");
    for problem in &report.problems {
        let related = problem.related.iter().map(|(span, _)| span);
        for span in std::iter::once(&problem.span).chain(related) {
            assert!(report.source.get(span.clone()).is_some(), "{}: {span:?}", problem.code);
        }
    }
    // Rendering takes longer than everything else.
    if text.len().is_multiple_of(8) {
        assert!(report.problems.is_empty() || !report.render(Style::Plain).is_empty());
    }
    let json = report.to_json();
    assert_eq!(json.as_array().map(Vec::len), Some(report.problems.len()));
}
