//! A short check of the fuzz targets' properties (`fuzz/src/properties`): on their seeds, and on seeds that
//! are changed at random in each run.
//!
//! `PROPERTY_SECONDS=20 cargo test --test it properties` checks each property for 20 seconds.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

#[allow(unreachable_pub, reason = "public where it is a crate of its own")]
#[path = "../../fuzz/src/properties/mod.rs"]
mod held;

/// How many changed seeds are checked for each property, without `PROPERTY_SECONDS`.
const CASES: usize = 500;

#[test]
fn the_signature_field_is_read_as_its_scheme_says() {
    hold("field", held::field::holds);
}

#[test]
fn every_configuration_is_read_or_told_what_is_wrong_with_it() {
    hold("config", held::config::holds);
}

#[test]
fn every_path_leads_where_the_rules_say() {
    hold("router", held::router::holds);
}

#[test]
fn no_field_goes_through_or_is_lost_against_the_rules() {
    hold("fields", held::fields::holds);
}

#[test]
fn a_head_that_passes_is_read_the_same_by_everyone() {
    hold("head", held::head::holds);
}

#[test]
fn a_request_that_passes_is_the_same_request_to_hyper() {
    hold("hyper", held::hyper::holds);
}

#[test]
fn a_request_over_http_2_that_passes_is_the_same_request_in_http_1() {
    hold("http2_head", held::http2_head::holds);
}

#[test]
fn whatever_a_client_sends_over_http_2_the_upstream_gets_what_is_authentic_and_strict() {
    hold("http2", held::http2::holds);
}

#[test]
fn the_chunked_coding_is_undone_as_its_grammar_says() {
    hold("chunked", held::chunked::holds);
}

#[test]
fn whatever_a_client_sends_the_upstream_gets_what_is_authentic_and_strict() {
    hold("connection", held::connection::holds);
}

#[test]
fn whatever_an_upstream_answers_the_client_gets_what_it_says_or_sees_that_it_is_broken() {
    hold("response", held::response::holds);
}

#[test]
fn a_form_is_signed_as_its_plainest_reading_says() {
    hold("form", held::form::holds);
}

#[test]
fn no_challenge_is_answered_but_an_authentic_one_or_a_query_that_asks_as_its_sender_does() {
    hold("challenge", held::challenge::holds);
}

/// Without this test, the property of responses would also hold for a gateway that relays nothing and reuses
/// no connection.
#[test]
fn a_well_formed_answer_is_relayed_and_its_connection_reused() {
    for (seed, is_relayed, is_reused) in [
        ("length", true, true),
        ("chunked", true, true),
        ("pieces", true, true),
        ("head", true, true),
        ("interim", true, true),
        ("early", true, true),
        ("close", true, false),
        ("old", true, false),
        ("not-modified", true, true),
        ("no-content", true, false),
        ("head-no-content", true, true),
        ("head-unknown", true, true),
        ("head-chunked", true, true),
        ("head-old", true, true),
        ("chunked-to-old", true, true),
        ("reason", true, true),
        ("reason-space", true, true),
        ("zeros", true, true),
        ("zeros-empty", true, true),
        ("no-reason", true, true),
        ("late-junk", true, false),
        ("junk", true, false),
        ("junk-bytes", true, false),
        ("junk-no-content", true, false),
        ("junk-head", true, false),
        ("junk-chunked", true, false),
        ("junk-to-old", true, false),
        ("cut", false, false),
        ("cut-old", false, false),
        ("switch", false, false),
        ("switch-on", false, false),
        ("lengths", false, false),
        ("twice", false, false),
    ] {
        let path = Path::new(SEEDS).join("response").join(seed);
        let data = fs::read(path).expect("a seed of that name");
        assert_eq!(held::response::ends(&data), held::response::Ends { is_relayed, is_reused }, "{seed}");
    }
}

/// Without this test, the property above would also hold for a gateway that forwards nothing.
#[test]
fn what_is_authentic_reaches_the_upstream_over_a_connection_in_memory() {
    for (seed, want) in
        [("raw", 1), ("raw-cut", 1), ("chunked", 1), ("empty", 1), ("pipelined", 3), ("forged", 0)]
    {
        let path = Path::new(SEEDS).join("connection").join(seed);
        let data = fs::read(path).expect("a seed of that name");
        assert_eq!(held::connection::reached(&data), want, "{seed}");
    }
}

/// Without this test, the properties of HTTP/2 would also hold for a gateway that refuses everything.
#[test]
fn what_is_authentic_reaches_the_upstream_over_http_2_in_memory() {
    for (seed, want) in [
        ("event", 1),
        ("empty", 1),
        ("three", 3),
        ("interleaved", 2),
        ("lines", 1),
        ("continued", 0),
        ("forged", 0),
        ("pieces", 0),
        ("length", 0),
        ("coding", 0),
        ("own", 0),
    ] {
        let data = fs::read(Path::new(SEEDS).join("http2").join(seed)).expect("a seed of that name");
        assert_eq!(held::http2::reached(&data), want, "{seed}");
    }
    for (seed, is_accepted) in [
        ("plain", true),
        ("empty", true),
        ("host", true),
        ("both", true),
        ("cookies", true),
        ("differ", false),
        ("connection", false),
        ("lengths", false),
        ("userinfo", false),
        ("lookalike", false),
    ] {
        let data = fs::read(Path::new(SEEDS).join("http2_head").join(seed)).expect("a seed of that name");
        assert_eq!(held::http2_head::accepts(&data), is_accepted, "{seed}");
    }
}

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");

/// Checks a property on each seed and on changed seeds.
fn hold(target: &str, holds: fn(&[u8])) {
    let folder = fs::read_dir(Path::new(SEEDS).join(target)).expect("a folder of seeds");
    let seeds: Vec<Vec<u8>> =
        folder.map(|entry| fs::read(entry.expect("an entry").path()).expect("a seed")).collect();
    assert!(seeds.len() > 2);
    seeds.iter().for_each(|seed| holds(seed));
    let edit = (any::<Index>(), 0..5_usize, piece(seeds.clone()));
    let changed = (select(seeds), prop::collection::vec(edit, 1..6));
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    let seconds = std::env::var("PROPERTY_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut cases = 0;
    while end.map_or(cases < CASES, |end| Instant::now() < end) {
        let (mut data, edits) = changed.new_tree(&mut runner).expect("a case").current();
        for (at, removed, new) in edits {
            let at = at.index(data.len() + 1);
            let removed = at..(at + removed).min(data.len());
            data.splice(removed, new);
        }
        if let Err(panic) = std::panic::catch_unwind(|| holds(&data)) {
            let said = panic.downcast_ref::<String>().map_or("", String::as_str);
            panic!("{target} does not hold for \"{}\": {said}", data.escape_ascii());
        }
        cases += 1;
    }
}

/// A piece of another seed, a line of the fuzzer's dictionary, or random bytes.
fn piece(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let part = |(seed, from, len): (Vec<u8>, Index, usize)| {
        let from = from.index(seed.len());
        seed[from..(from + len).min(seed.len())].to_vec()
    };
    prop_oneof![
        3 => Just(Vec::new()),
        3 => (select(seeds), any::<Index>(), 1..60_usize).prop_map(part),
        2 => prop::collection::vec(any::<u8>(), 1..5),
        2 => select(&b"\r\n :,;\"={}[]/#?0159aF\t\0\x7f\xff"[..]).prop_map(|byte| vec![byte]),
    ]
}
