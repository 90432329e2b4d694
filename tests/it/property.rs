//! For any bytes and for any change, no request with a wrong HMAC reaches the upstream.
//!
//! The upstream's oracle checks this. Each case also asserts that there is an answer, and that an unchanged
//! event is forwarded.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use crate::support::{Client, Gateway, Post, Upstream, post};

/// The number of cases for each property. They take about a second in a debug build.
const CASES: u32 = 2000;

/// The longest search for a smaller counterexample, in milliseconds.
const SHRINKING: u32 = 5000;

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_time: SHRINKING,
        ..ProptestConfig::default()
    })
}

/// A change of a captured event.
#[derive(Clone, Debug)]
enum Change {
    None,
    FlipBit(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index),
    Truncate(Index),
    Append(Vec<u8>),
    Replace(Vec<u8>),
    SignatureDigit(Index, char),
    SignatureOfAnother(Vec<u8>),
    LengthOff(i8),
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => Just(Change::None),
        1 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Change::FlipBit(at, bit)),
        1 => (any::<Index>(), bytes(9)).prop_map(|(at, more)| Change::Insert(at, more)),
        1 => any::<Index>().prop_map(Change::Remove),
        1 => any::<Index>().prop_map(Change::Truncate),
        1 => bytes(40).prop_map(Change::Append),
        1 => bytes(300).prop_map(Change::Replace),
        1 => (any::<Index>(), "[0-9a-fA-F]").prop_map(|(at, digit)| {
            Change::SignatureDigit(at, digit.chars().next().unwrap())
        }),
        1 => bytes(40).prop_map(Change::SignatureOfAnother),
        1 => any::<i8>().prop_map(Change::LengthOff),
    ]
}

/// The changed request. Also whether it is still authentic.
fn changed(content: &[u8], change: &Change, chunks: Option<&[usize]>) -> (Post, bool) {
    let mut altered = content.to_vec();
    let mut request = post(content);
    match change {
        Change::None => {}
        Change::FlipBit(at, bit) if !content.is_empty() => altered[at.index(content.len())] ^= 1 << bit,
        Change::Remove(at) if !content.is_empty() => drop(altered.remove(at.index(content.len()))),
        Change::FlipBit(..) | Change::Remove(_) => {}
        Change::Insert(at, more) => {
            let at = at.index(content.len() + 1);
            altered.splice(at..at, more.iter().copied());
        }
        Change::Truncate(at) => altered.truncate(at.index(content.len() + 1)),
        Change::Append(more) => altered.extend_from_slice(more),
        Change::Replace(other) => altered.clone_from(other),
        Change::SignatureDigit(at, digit) => {
            let mut tag = crate::support::signature(content);
            let at = at.index(tag.len());
            tag.replace_range(at..=at, &digit.to_string());
            let authentic = tag.eq_ignore_ascii_case(&crate::support::signature(content));
            let request = request.without("propify-signature").line(format!("propify-signature: {tag}"));
            return (framed(request, chunks), authentic);
        }
        Change::SignatureOfAnother(other) => {
            let tag = crate::support::signature(other);
            let request = request.without("propify-signature").line(format!("propify-signature: {tag}"));
            return (framed(request, chunks), other == content);
        }
        Change::LengthOff(by) => {
            let length = content.len().saturating_add_signed(isize::from(*by));
            return (request.claiming(length), length == content.len());
        }
    }
    request = request.forged(&altered);
    (framed(request, chunks), altered == content)
}

fn framed(request: Post, chunks: Option<&[usize]>) -> Post {
    match chunks {
        Some(sizes) => request.chunked(sizes),
        None => request,
    }
}

#[test]
fn no_change_of_an_event_reaches_the_upstream_and_what_is_unchanged_does() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let case =
        (bytes(300), change(), prop::option::of(prop::collection::vec(1..100_usize, 0..6)), 1..400_usize);
    let outcome = runner().run(&case, |(content, change, chunks, piece)| {
        let before = upstream.requests().len();
        let (request, authentic) = changed(&content, &change, chunks.as_deref());
        let mut client = Client::to(&gateway);
        client.send_in_pieces(&request.bytes(), piece).half_close();
        let status = client.maybe_response().map(|response| response.status);
        if authentic {
            prop_assert_eq!(status, Some(200));
        } else {
            prop_assert!(matches!(status, None | Some(400..500)), "{:?}", status);
        }
        drop(client.rest());
        prop_assert_eq!(upstream.requests().len() - before, usize::from(authentic));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn whatever_happens_to_the_bytes_of_a_request_the_oracle_holds() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let edit = (
        any::<Index>(),
        prop_oneof![bytes(4), prop::sample::select(&SNIPPETS).prop_map(Vec::from)],
        0..4_usize,
    );
    let case = (any::<bool>(), prop::collection::vec(edit, 1..4), 1..400_usize);
    let outcome = runner().run(&case, |(chunked, edits, piece)| {
        let request = if chunked { post("{}").chunked(&[1]) } else { post("{}") };
        let mut bytes = request.line("x-a: b").bytes();
        for (at, new, removed) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, new);
        }
        let mut client = Client::to(&gateway);
        client.send_in_pieces(&bytes, piece).half_close();
        while client.maybe_response().is_some() {}
        Ok(())
    });
    outcome.unwrap();
}

/// Pieces of text that are used in request smuggling.
const SNIPPETS: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"content-length: 2\r\n",
    b"content-length: 0\r\n",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: x\r\n",
    b"connection: content-length\r\n",
    b"connection: propify-signature, host\r\n",
    b"host: x\r\n",
    b"0\r\n\r\n",
    b"POST /webhook/leases HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
];

#[test]
fn random_bytes_never_reach_the_upstream() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let outcome = runner().run(&(bytes(600), 1..600_usize), |(noise, piece)| {
        let mut client = Client::to(&gateway);
        client.send_in_pieces(&noise, piece).half_close();
        drop(client.rest());
        Ok(())
    });
    outcome.unwrap();
    crate::support::nothing_reached(gateway, upstream);
}
