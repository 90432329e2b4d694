//! Challenges: the gateway answers authentic challenges in the sender's form, and unsigned queries in the
//! sender's form. A simple implementation determines the right answers. Nothing else is answered.
//!
//! The first byte selects the sender. The second byte selects the method, and whether there is a signature
//! and whether it is right. The rest is the content, or the target of a query.

use std::time::SystemTime;

use hookgate::signature::challenge::{Answer, WrongToken};
use hookgate::signature::scheme::Scheme;
use hookgate::signature::secret::{Key, Secret};
use hookgate::signature::sign::Stamp;
use hookgate::signature::{Context, Fields, Verifier};
use http::StatusCode;
use serde_json::Value;

use super::form::only;
use super::{SECRET, choice, tag};

const TOKEN: &str = "told to the sender";
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// Senders with challenges in the content, senders with challenges in a query, and a sender without
/// challenges.
const SENDERS: [&str; 7] = ["slack", "zoom", "xero", "twitch", "dropbox", "meta", "propify"];

/// The keys in the pointers of challenges in content.
const KEYS: [&str; 11] = [
    "type",
    "challenge",
    "subscription",
    "status",
    "event",
    "payload",
    "plainToken",
    "object",
    "events",
    "firstEventSequence",
    "lastEventSequence",
];

/// The same limit as in `signature::challenge`.
const LONGEST_VALUE: usize = 256;

/// serde_json's limit on nesting.
const DEEPEST: i32 = 128;

/// More digits than a `u64` can have.
const MOST_DIGITS: usize = 21;

struct Lines(Vec<(String, String)>);

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_bytes())
    }
}

thread_local! {
    static VERIFIERS: Vec<Verifier> = {
        let secret = || Secret { name: "a".into(), key: Key::new(SECRET.as_bytes().to_vec()), not_after: None };
        let token = Key::new(TOKEN.as_bytes().to_vec());
        let scheme = |name: &str| Scheme::preset(name).expect("a preset").clone();
        let verifier = |name: &&str| Verifier::new(scheme(name), vec![secret()]).expect("a key").answering(Some(&token));
        SENDERS.iter().map(verifier).collect()
    };
}

/// Panics if an answer is missing, is wrong, or is given to something that is not a challenge.
pub fn holds(data: &[u8]) {
    let (sender, data) = choice(data);
    let (kind, data) = choice(data);
    let sender = usize::from(sender) % SENDERS.len();
    VERIFIERS.with(|verifiers| {
        let (verifier, sender) = (&verifiers[sender], SENDERS[sender]);
        signed(verifier, sender, data, kind);
        if let Ok(target) = std::str::from_utf8(data) {
            unsigned(verifier, sender, target, kind);
        }
    });
}

fn signed(verifier: &Verifier, sender: &str, content: &[u8], kind: u8) {
    let Ok(value) = reading(content) else { return };
    let asks = value.as_ref().and_then(|value| asked(sender, value));
    let answer = answer(verifier, content, kind & 1 != 0);
    if let Some(answer) = answer {
        assert_eq!(Some(plain(&answer)), asks.clone().map(|asks| plain(&asks)), "it answers {sender}");
    }
    // Parsers disagree about a repeated member, so the content is serialized again: then each member occurs
    // once. Content with a key that only some parsers treat as a key of the challenge is no challenge.
    if let Some(asks) = asks
        && let Some(value) = value
        && kind & 1 == 0
        && !has_lookalike(&value)
    {
        let answer = self::answer(verifier, value.to_string().as_bytes(), false);
        assert_eq!(answer.as_ref().map(plain), Some(plain(&asks)), "it does not answer {sender}");
    }
}

/// Whether any key differs only in case from a key of a sender's challenge.
fn has_lookalike(value: &Value) -> bool {
    let fold = |key: &str| key.to_uppercase().to_lowercase();
    let is_lookalike = |key: &String| KEYS.iter().any(|asked| key != asked && fold(key) == fold(asked));
    match value {
        Value::Object(members) => members.keys().any(is_lookalike) || members.values().any(has_lookalike),
        Value::Array(elements) => elements.iter().any(has_lookalike),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The error for content that is nested too deeply for serde_json. The gateway can read such content, because
/// it skips values that it does not need.
struct TooDeep;

/// The value of the content, if it is JSON.
///
/// The grammar allows numbers of any size (RFC 8259, section 6). serde_json only parses numbers that fit into
/// a double. The relevant numbers are short. So long numbers are shortened, and an exponent keeps one digit.
fn reading(content: &[u8]) -> Result<Option<Value>, TooDeep> {
    let mut tame = Vec::with_capacity(content.len());
    let (mut is_text, mut depth) = (false, 0_i32);
    let mut bytes = content.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        tame.push(byte);
        match byte {
            b'\\' if is_text => tame.extend(bytes.next()),
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'e' | b'E' => {
                tame.extend(bytes.next_if(|byte| matches!(byte, b'+' | b'-')));
                tame.extend(bytes.next_if(u8::is_ascii_digit));
                while bytes.next_if(u8::is_ascii_digit).is_some() {}
            }
            b'0'..=b'9' => {
                let mut digits = 1;
                while let Some(digit) = bytes.next_if(u8::is_ascii_digit) {
                    digits += 1;
                    if digits <= MOST_DIGITS {
                        tame.push(digit);
                    }
                }
            }
            _ => {}
        }
        if depth >= DEEPEST {
            return Err(TooDeep);
        }
    }
    Ok(serde_json::from_slice(&tame).ok())
}

/// The answer to a request with this content, if the request verifies.
fn answer(verifier: &Verifier, content: &[u8], is_forged: bool) -> Option<Answer> {
    let stamp = Stamp { id: Some("id"), timestamp: None };
    let none = Lines(Vec::new());
    let signed =
        verifier.signature(None, &Context::of(&none, NOW), stamp, content).expect("it can be signed");
    let fields = Lines(signed.lines().cloned().collect());
    let claim = verifier.claim(&Context::of(&fields, NOW)).expect("it is well-formed");
    let mut verification = verifier.begin(claim, NOW);
    verification.push(content);
    if is_forged {
        verification.push(b" ");
    }
    let verified = verification.finish();
    assert_eq!(verified.is_ok(), !is_forged);
    verifier.answer(&verified.ok()?)
}

/// The answer according to the senders' documentation.
fn asked(sender: &str, content: &Value) -> Option<Answer> {
    let text = |pointer: &str| content.pointer(pointer)?.as_str().map(str::to_owned);
    let is = |pointer: &str, wanted: &str| text(pointer).as_deref() == Some(wanted);
    let lacks = |pointer: &str| content.pointer(pointer).is_none();
    match sender {
        "slack" if is("/type", "url_verification") && lacks("/event") => {
            text("/challenge").filter(is_value).map(as_text)
        }
        "twitch"
            if is("/subscription/status", "webhook_callback_verification_pending") && lacks("/event") =>
        {
            text("/challenge").filter(is_value).map(as_text)
        }
        "zoom" if is("/event", "endpoint.url_validation") && lacks("/payload/object") => {
            let token = text("/payload/plainToken").filter(is_value)?;
            let proof = hex::encode(tag(token.as_bytes()));
            let content = serde_json::json!({ "plainToken": token, "encryptedToken": proof }).to_string();
            Some(Answer { media_type: Some("application/json"), ..as_text(content) })
        }
        "xero" => {
            let is_zero = |pointer| content.pointer(pointer).and_then(Value::as_u64) == Some(0);
            let asks = is_zero("/firstEventSequence") && is_zero("/lastEventSequence") && lacks("/events/0");
            asks.then(|| Answer { media_type: None, ..as_text(String::new()) })
        }
        _ => None,
    }
}

fn unsigned(verifier: &Verifier, sender: &str, target: &str, kind: u8) {
    let method = ["GET", "GET", "GET", "POST", "HEAD", "get"][usize::from(kind / 4) % 6];
    let is_signed = kind & 2 != 0;
    let field = if is_signed { verifier.scheme().field.to_string() } else { "x-other".to_owned() };
    let fields = Lines(vec![(field, "x".to_owned())]);
    let context = Context { method, target: target.as_bytes(), ..Context::of(&fields, NOW) };
    let answer = verifier.answer_unsigned(&context);
    let query = target.find('?').map_or("", |at| &target[at + 1..]);
    let parameter = |name: &str| only(query, name).and_then(|value| String::from_utf8(value).ok());
    let want = match sender {
        "dropbox" => parameter("challenge").filter(is_value).map(Ok),
        "meta" if parameter("hub.mode").as_deref() == Some("subscribe") => {
            let value = parameter("hub.challenge").filter(is_value);
            value.zip(parameter("hub.verify_token")).map(|(value, token)| match &token[..] {
                TOKEN => Ok(value),
                _ => Err(WrongToken),
            })
        }
        _ => None,
    };
    let want = want.filter(|_| method == "GET" && !is_signed);
    assert_eq!(answer, want.map(|want| want.map(as_text)), "{sender}, {method}");
}

fn as_text(content: String) -> Answer {
    Answer { status: StatusCode::OK, media_type: Some("text/plain"), content, fields: Vec::new() }
}

/// Whether a text is short, and cannot contain markup or end a string.
#[allow(clippy::ptr_arg, reason = "as Option::filter has it")]
fn is_value(text: &String) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte);
    (1..=LONGEST_VALUE).contains(&text.len()) && text.bytes().all(fine)
}

/// An answer in a form that does not depend on the order of its members.
fn plain(answer: &Answer) -> (Option<&'static str>, Result<Value, String>) {
    let json =
        serde_json::from_str(&answer.content).ok().filter(|_| answer.media_type == Some("application/json"));
    (answer.media_type, json.ok_or_else(|| answer.content.clone()))
}
