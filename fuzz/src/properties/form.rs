//! Forms as Twilio signs them, and queries, which have the same rules. Both are compared with a simple
//! parser.
//!
//! The first byte selects the name of the parameter that is looked up in a query.

use std::collections::BTreeSet;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookgate::signature::form::{Form, parameter, query};
use hookgate::signature::scheme::Scheme;
use hookgate::signature::secret::{Key, Secret};
use hookgate::signature::{Context, Fields, Verifier};

use super::{SECRET, choice};

/// The same limit as in `signature::form`.
const MOST_PAIRS: usize = 1000;

const ORIGIN: &str = "https://a.example";
const TARGET: &str = "/w?b=c";

struct Line(String);

impl Fields for Line {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        (name == "x-twilio-signature").then_some(self.0.as_bytes()).into_iter()
    }
}

thread_local! {
    static TWILIO: Verifier = {
        let secret = Secret { name: "a".into(), key: Key::new(SECRET.as_bytes().to_vec()), not_after: None };
        let scheme = Scheme::preset("twilio").expect("a preset").clone();
        Verifier::new(scheme, vec![secret]).expect("a key")
    };
}

/// Panics if other content is accepted as a form, or if a form is parsed or signed in another way.
pub fn holds(data: &[u8]) {
    let (which, content) = choice(data);
    let pairs = form(content);
    let read = Form::read(content);
    assert_eq!(read.is_some(), pairs.is_some(), "whether it is a form");
    let signed =
        pairs.map(|pairs| pairs.into_iter().flat_map(|(name, value)| [name, value].concat()).collect());
    let pieces: Option<Vec<u8>> = read.map(|form| form.pieces().flatten().copied().collect());
    assert_eq!(pieces, signed, "what is signed of it");
    verifies(content, signed.as_deref());

    let Ok(text) = std::str::from_utf8(content) else { return };
    // The names in the query, and the names that senders use.
    let names = text.split('&').filter_map(|piece| decoded(piece.split('=').next()?.as_bytes()));
    let names: Vec<String> = names.filter_map(|name| String::from_utf8(name).ok()).collect();
    let name = match names.get(usize::from(which)) {
        Some(name) => name,
        None => ["hub.challenge", "challenge", "a", ""][usize::from(which % 4)],
    };
    assert_eq!(parameter(content, name).map(|value| value.to_vec()), only(text, name), "{name:?}");
    assert_eq!(query(content), text.find('?').map_or("", |at| &text[at + 1..]).as_bytes());
}

/// A signature over the simple parser's result verifies. If the content is no form, no signature verifies.
fn verifies(content: &[u8], signed: Option<&[u8]>) {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes any key");
    mac.update(ORIGIN.as_bytes());
    mac.update(TARGET.as_bytes());
    mac.update(signed.unwrap_or(content));
    #[allow(clippy::disallowed_methods, reason = "this computes what hookgate's own is compared with")]
    let fields = Line(STANDARD.encode(mac.finalize().into_bytes()));
    TWILIO.with(|verifier| {
        let now = SystemTime::UNIX_EPOCH;
        let origin = ORIGIN.into();
        let context = Context {
            method: "POST",
            target: TARGET.as_bytes(),
            origin: Some(&origin),
            fields: &fields,
            now,
        };
        let claim = verifier.claim(&context).expect("it is well-formed");
        let mut verification = verifier.begin(claim, now);
        verification.push(content);
        assert_eq!(verification.finish().is_ok(), signed.is_some(), "whether it verifies");
    });
}

type Pair = (Vec<u8>, Vec<u8>);

/// The pairs of a form, each once, in the order of their bytes.
fn form(content: &[u8]) -> Option<BTreeSet<Pair>> {
    if content.is_empty() {
        return Some(BTreeSet::new());
    }
    let pieces: Vec<&[u8]> = content.split(|byte| *byte == b'&').collect();
    let pairs = pieces.iter().map(|piece| {
        let equals = piece.iter().position(|byte| *byte == b'=')?;
        let name = decoded(&piece[..equals]).filter(|name| !name.is_empty())?;
        Some((name, decoded(&piece[equals + 1..])?))
    });
    pairs.collect::<Option<_>>().filter(|_| pieces.len() <= MOST_PAIRS)
}

/// The value of the one parameter with this name.
pub(super) fn only(query: &str, name: &str) -> Option<Vec<u8>> {
    let named = query.split('&').filter(|piece| {
        decoded(piece.split('=').next().unwrap_or_default().as_bytes()).as_deref() == Some(name.as_bytes())
    });
    match named.collect::<Vec<_>>()[..] {
        [one] => decoded(one.split_once('=')?.1.as_bytes()),
        _ => None,
    }
}

/// Decodes a text: a plus is a space, a percent sign with two digits is a byte, and every other permitted
/// character is itself.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| u8::try_from(digit).expect("below 16"));
    let (mut bytes, mut at) = (Vec::new(), 0);
    while at < text.len() {
        match text[at] {
            b'+' => bytes.push(b' '),
            b'%' => {
                bytes.push(digit(*text.get(at + 1)?)? * 16 + digit(*text.get(at + 2)?)?);
                at += 2;
            }
            b'!'..=b'~' if text[at] != b';' => bytes.push(text[at]),
            _ => return None,
        }
        at += 1;
    }
    String::from_utf8(bytes).ok().map(String::into_bytes)
}
