//! The tests that hold for hookgate's own HTTP/1 but not for hyper, each with the reason.
//!
//! In a run with hyper, these tests use hookgate's own front end. No test is left out.

use std::fs;
use std::path::Path;
use std::thread;

/// The tests that use hookgate's own front end, and why.
const EXCEPTIONS: [(&str, &str); 12] = [
    ("answers::a_head_as_large_as_it_may_be_is_passed_on_line_by_line", SPELLING),
    ("answers::an_answer_that_comes_byte_by_byte_is_the_same", SPELLING),
    ("answers::cookies_keep_their_order_and_their_spelling", SPELLING),
    ("answers::each_pipelined_answer_has_its_own_spelling_however_slowly_the_client_reads", SPELLING),
    ("forwarding::the_upstreams_answer_is_passed_on_field_by_field", SPELLING),
    (
        "answers::an_answer_of_304_has_no_content_and_keeps_its_length",
        "hyper writes no content-length in a 304",
    ),
    (
        "framing::a_later_version_of_http_1_is_served_as_http_1_1",
        "hyper knows HTTP/1.0 and HTTP/1.1, and answers HTTP/1.2 with 400",
    ),
    (
        "framing::a_query_is_forwarded_unchanged",
        "hyper makes a Uri of the target, which has no room for these characters",
    ),
    (
        "schemes::a_query_that_no_uri_has_is_refused_where_the_url_is_signed",
        "hyper refuses what is no Uri itself, with 400",
    ),
    ("framing::every_response_is_http_1_1_whatever_its_request_claims", "hyper answers HTTP/1.0 in HTTP/1.0"),
    (
        "forwarding::an_answer_without_a_length_announces_the_close_to_http_1_0",
        "hyper adds its own keep-alive to a close, where the request of HTTP/1.0 has asked for one",
    ),
    (
        "memory::a_request_that_is_only_observed_is_shed_for_others_while_its_upstream_lets_it_wait",
        "hyper hands content over piece by piece: a request waits in between as if its client had not sent more",
    ),
];

/// Why hyper cannot pass a test about the spelling of an upstream's field names.
const SPELLING: &str = "hyper writes the names of response fields in lower case";

/// Whether the test on this thread is one of the exceptions.
#[allow(clippy::print_stdout, reason = "shown with --nocapture: which front end the test has")]
pub(crate) fn is_excepted() -> bool {
    let thread = thread::current();
    let test = thread.name().unwrap_or_default();
    assert_ne!(
        test, "main",
        "with one thread for all tests nobody knows which of them runs: use --test-threads=2"
    );
    let is_in =
        |name: &str| test.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    match EXCEPTIONS.iter().find(|(name, _)| is_in(name)) {
        Some((name, reason)) => {
            println!("{name} is run with our own front end: {reason}");
            true
        }
        None => false,
    }
}

/// If a test is renamed, its row must be renamed too.
#[test]
fn each_exception_is_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for (name, _) in EXCEPTIONS {
        let (module, test) = name.split_once("::").unwrap();
        let text = fs::read_to_string(folder.join(module).with_extension("rs")).unwrap();
        assert!(text.contains(&format!("#[test]\nfn {test}() {{")), "{name} is no test");
    }
}
