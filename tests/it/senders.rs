//! The presets: the published examples of each sender, and every way in which the sender's events can be
//! wrong.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "clippy.toml allows it in tests, but does not see that these are their helpers"
)]

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use ed25519_dalek::Signer as _;
use hookgate::signature::algorithm::Algorithm;
use hookgate::signature::field::{Encoding, Format};
use hookgate::signature::public_url::PublicUrls;
use hookgate::signature::scheme::{PRESETS, Scheme};
use hookgate::signature::secret::{Key, Secret};
use hookgate::signature::sign::{CannotSign, Stamp};
use hookgate::signature::template::{Body, Part};
use hookgate::signature::window::{Place, Unit};
use hookgate::signature::{ClaimError, Context, Fields, Unverified, Verifier};
use serde::Deserialize;
use sha2::Digest as _;

const BODY: &[u8] = b"{\"type\":\"event\",\"n\":1,\"bytes\":\"\xff\xfe\"}";
const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
pub(crate) const TARGET: &str = "/hooks/in?tenant=7";
pub(crate) const ORIGIN: &str = "https://hooks.example.com";

/// A body that this sender could send.
pub(crate) fn body(scheme: &Scheme) -> &'static [u8] {
    match scheme.content.content() {
        Body::Whole | Body::Digest(_) | Body::Sha256(_) | Body::Jwt(_) => BODY,
        Body::Form => b"CallSid=CA1&From=%2B14158675309&Body=a%20b",
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// 2026-07-01T00:00:00Z
fn now() -> SystemTime {
    at(1_782_864_000)
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) origin: PublicUrls,
    pub(crate) lines: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Fields for Request {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_bytes())
    }
}

impl Request {
    fn to(target: &str, body: &[u8]) -> Self {
        Self {
            method: "POST".into(),
            target: target.into(),
            origin: ORIGIN.into(),
            lines: Vec::new(),
            body: body.to_vec(),
        }
    }

    fn context(&self, now: SystemTime) -> Context<'_, Self> {
        Context {
            method: &self.method,
            target: self.target.as_bytes(),
            origin: Some(&self.origin),
            fields: self,
            now,
        }
    }

    fn value(&mut self, name: &str) -> &mut String {
        &mut self.lines.iter_mut().find(|(given, _)| given == name).unwrap().1
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Verified,
    Mismatch,
    Refused(ClaimError),
}

use Outcome::{Mismatch, Refused, Verified};

fn judge(verifier: &Verifier, request: &Request, now: SystemTime) -> Outcome {
    match verifier.claim(&request.context(now)) {
        Err(error) => Refused(error),
        Ok(claim) => {
            let mut verification = verifier.begin(claim, now);
            request.body.chunks(7).for_each(|piece| verification.push(piece));
            match verification.finish().map_err(|mismatch| mismatch.why) {
                Ok(_) => Verified,
                Err(Unverified::Tag | Unverified::Unclaimed) => Mismatch,
                Err(Unverified::Time(error)) => Refused(error),
            }
        }
    }
}

/// A sender: a key, and the scheme with which it signs.
pub(crate) struct Sender {
    pub(crate) scheme: &'static Scheme,
    pub(crate) verifier: Verifier,
    /// The receiver's key: either the same key, or the sender's public key.
    pub(crate) key: Vec<u8>,
}

impl Sender {
    pub(crate) fn new(scheme: &'static Scheme, seed: u8) -> Self {
        let key = match scheme.algorithm {
            Algorithm::Ed25519 => ed25519_key(seed).verifying_key().to_bytes().to_vec(),
            Algorithm::EcdsaP256 => ecdsa_key(seed).verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            Algorithm::RsaSha256 => rsa_public_key(seed),
            Algorithm::HmacSha256
            | Algorithm::HmacSha384
            | Algorithm::HmacSha512
            | Algorithm::HmacSha1
            | Algorithm::HmacMd5
            | Algorithm::Token => vec![b'a' + seed; 32],
        };
        let secret = Secret { name: "current".into(), key: Key::new(key.clone()), not_after: None };
        Self { scheme, verifier: Verifier::new(scheme.clone(), vec![secret]).unwrap(), key }
    }

    /// A request that this sender makes at `moment`, by the sender's clock.
    pub(crate) fn request(&self, seed: u8, moment: SystemTime) -> Request {
        self.request_to(TARGET, seed, moment)
    }

    pub(crate) fn request_to(&self, target: &str, seed: u8, moment: SystemTime) -> Request {
        let timed = self.scheme.content_at(moment);
        self.request_of(target, timed.as_deref().unwrap_or(body(self.scheme)), seed, moment)
    }

    pub(crate) fn request_of(&self, target: &str, body: &[u8], seed: u8, moment: SystemTime) -> Request {
        let mut request = Request::to(&self.verifier.target(target, body), body);
        let stamp = Stamp { id: Some(ID), timestamp: None };
        let signed = self.verifier.signature(None, &request.context(moment), stamp, body);
        match signed {
            Ok(signature) => {
                request.lines = signature.lines().cloned().collect();
                request.target = signature.target(&request.target).into_owned();
            }
            Err(CannotSign::PublicKey) => self.sign_privately(&mut request, seed, moment),
            Err(error) => panic!("{}: {error}", self.scheme.name),
        }
        request
    }

    fn sign_privately(&self, request: &mut Request, seed: u8, moment: SystemTime) {
        let scheme = self.scheme;
        let timestamp = scheme.timestamp.as_ref();
        let text = timestamp.map(|timestamp| timestamp.unit.write(moment)).unwrap_or_default();
        let template = scheme.content.as_str().replace("{timestamp}", &text).replace("{id}", ID);
        let url = format!("{}{}", request.origin, request.target);
        let template = template.replace("{url}", &url);
        let template = template.replace("{sha256:hex}", &hex::encode(sha2::Sha256::digest(&request.body)));
        let message = match template.split_once("{body}") {
            Some((before, after)) => [before.as_bytes(), &request.body, after.as_bytes()].concat(),
            None => template.into_bytes(),
        };
        let signature = match scheme.algorithm {
            Algorithm::Ed25519 => ed25519_key(seed).sign(&message).to_bytes().to_vec(),
            Algorithm::EcdsaP256 => {
                let signature: p256::ecdsa::Signature =
                    p256::ecdsa::signature::Signer::sign(&ecdsa_key(seed), &message);
                signature.to_der().as_bytes().to_vec()
            }
            Algorithm::RsaSha256 => {
                let pair = rsa_key(seed);
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).unwrap();
                signature
            }
            Algorithm::HmacSha256
            | Algorithm::HmacSha384
            | Algorithm::HmacSha512
            | Algorithm::HmacSha1
            | Algorithm::HmacMd5
            | Algorithm::Token => unreachable!(),
        };
        let written = scheme.notation.encoding.write(&signature);
        let value = match &scheme.notation.format {
            Format::Plain { prefix } => format!("{prefix}{written}"),
            Format::Basic | Format::Jwt { .. } => unreachable!(),
            Format::List { equals, tags, .. } => {
                let name = tags.first().map(|name| format!("{}{equals}", name.replace('*', "1")));
                name.unwrap_or_default() + &written
            }
        };
        if let Some(timestamp) = timestamp {
            let Place::Field(name) = &timestamp.place else { panic!("{}", scheme.name) };
            request.lines.push((name.to_string(), text));
        }
        request.lines.extend(scheme.id.iter().map(|name| (name.to_string(), ID.to_owned())));
        request.lines.push((scheme.field.to_string(), value));
    }
}

fn ed25519_key(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed + 1; 32])
}

fn ecdsa_key(seed: u8) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[seed + 1; 32]).unwrap()
}

/// The private key of RSA with the number `seed`. Making one takes long, so there are two for all tests.
fn rsa_key(seed: u8) -> RsaKeyPair {
    use base64::Engine as _;
    let pem = RSA_KEYS[usize::from(seed)];
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(lines).unwrap();
    RsaKeyPair::from_pkcs8(&der).unwrap()
}

/// The public half of [`rsa_key`].
pub(crate) fn rsa_public_key(seed: u8) -> Vec<u8> {
    rsa_key(seed).public_key().as_ref().to_vec()
}

/// Private keys of RSA that only tests use.
pub(crate) const RSA_KEYS: [&str; 2] =
    [include_str!("../vectors/rsa-1.pem"), include_str!("../vectors/rsa-2.pem")];

/// Runs a test for every preset.
fn each(test: impl Fn(&Sender, Request)) {
    assert!(PRESETS.len() > 60);
    for scheme in PRESETS.iter() {
        let sender = Sender::new(scheme, 0);
        let request = sender.request(0, now());
        test(&sender, request);
    }
}

#[test]
fn what_a_sender_signed_verifies_and_nothing_else_of_it_does() {
    each(|sender, good| {
        let Sender { scheme, verifier, .. } = sender;
        let name = &scheme.name;
        assert_eq!(judge(verifier, &good, now()), Verified, "{name}");
        let is_token = scheme.algorithm == Algorithm::Token;
        let signed = &good.body;
        for body in [&signed[1..], &signed[..signed.len() - 1], b"", &[&**signed, b"\n"].concat()] {
            let tampered = Request { body: body.to_vec(), ..good.clone() };
            let want = if is_token { Verified } else { Mismatch };
            assert_eq!(judge(verifier, &tampered, now()), want, "{name}");
        }
        let other = Sender::new(scheme, 1).request(1, now());
        assert_eq!(judge(verifier, &other, now()), Mismatch, "{name}");
        let elsewhere = match scheme.parameter {
            Some(_) => good.target.replace("tenant=7", "tenant=8"),
            None => verifier.target("/hooks/in", signed).into_owned(),
        };
        for (is_signed, changed) in [
            (scheme.signs_url(), Request { target: elsewhere, ..good.clone() }),
            (scheme.signs_url(), Request { origin: "https://example.com".into(), ..good.clone() }),
            (scheme.content.has(&Part::Method), Request { method: "PUT".into(), ..good.clone() }),
        ] {
            let want = if is_signed { Mismatch } else { Verified };
            assert_eq!(judge(verifier, &changed, now()), want, "{name} {changed:?}");
        }
    });
}

#[test]
fn a_signed_time_counts_within_its_window_and_as_it_is_written() {
    each(|sender, good| {
        let Sender { scheme, verifier, .. } = sender;
        let Some(timestamp) = &scheme.timestamp else { return };
        let name = &scheme.name;
        for (offset, want) in [(0, Verified), (1, Refused(ClaimError::Expired))] {
            let second = Duration::from_secs(offset);
            let stale = sender.request(0, now() - timestamp.past - second);
            assert_eq!(judge(verifier, &stale, now()), want, "{name}, past");
            let early = sender.request(0, now() + timestamp.future + second);
            assert_eq!(judge(verifier, &early, now()), want, "{name}, future");
        }
        let text = timestamp.unit.write(now());
        let other = timestamp.unit.write(now() + Duration::from_secs(1));
        let mut cases = vec![(other, Mismatch)];
        for bad in ["", "now", "-1", "1e9", &format!("0{text}"), &format!("+{text}"), &format!("{text}0")] {
            cases.push((bad.to_owned(), Refused(ClaimError::Malformed)));
        }
        if timestamp.unit == Unit::Rfc3339 {
            // The same time in another notation. The sender has not signed this notation.
            cases.push((text.replace('Z', "+00:00"), Mismatch));
            cases.push((text.replace('Z', ".0Z"), Mismatch));
        }
        for (changed, want) in cases {
            let mut request = good.clone();
            match &timestamp.place {
                // The time is signed like the rest of the content, or of the JWT.
                Place::Pointer(_) | Place::Claim(_) => return,
                Place::Field(field) => request.value(field).clone_from(&changed),
                Place::Entry(_) => {
                    let value = request.value(&scheme.field);
                    *value = value.replacen(&text, &changed, 1);
                }
                Place::Key(key) => {
                    let value = request.value(&scheme.field);
                    *value = value.replace(&format!("{key}={text}"), &format!("{key}={changed}"));
                }
            }
            assert_eq!(judge(verifier, &request, now()), want, "{name}: {changed:?}");
        }
    });
}

#[test]
fn a_signature_that_is_not_of_its_form_is_refused_before_any_content() {
    each(|sender, good| {
        let Sender { scheme, verifier, .. } = sender;
        if scheme.parameter.is_some() {
            return;
        }
        let value = good.clone().value(&scheme.field).clone();
        let shorter = value.trim_end_matches('=');
        let mut cases = vec![(String::new(), ClaimError::Malformed)];
        if scheme.algorithm != Algorithm::Token {
            cases.push((shorter[..shorter.len() - 2].to_owned(), ClaimError::Malformed));
            cases.push((format!("{value}!"), ClaimError::Malformed));
        }
        match &scheme.notation.format {
            Format::Plain { prefix } | Format::Jwt { prefix, .. } => {
                if !prefix.is_empty() {
                    cases.push((value[prefix.len()..].to_owned(), ClaimError::Malformed));
                    cases.push((value.replacen(&**prefix, "sha7=", 1), ClaimError::Malformed));
                }
                if scheme.algorithm != Algorithm::Token {
                    cases.push((format!("{value}, {value}"), ClaimError::Duplicate));
                }
            }
            Format::Basic => cases.push((value.replacen("Basic ", "Basik ", 1), ClaimError::Malformed)),
            Format::List { tags, equals, .. } => {
                for tag in tags {
                    let tag = tag.replace('*', "1");
                    let other = value.replace(&format!("{tag}{equals}"), &format!("no{equals}"));
                    if other != value {
                        cases.push((other, ClaimError::Malformed));
                    }
                }
            }
        }
        for (changed, want) in cases {
            let mut request = good.clone();
            request.value(&scheme.field).clone_from(&changed);
            assert_eq!(judge(verifier, &request, now()), Refused(want), "{}: {changed:?}", scheme.name);
        }
    });
}

#[test]
fn a_signature_in_another_encoding_is_refused() {
    each(|sender, good| {
        let Sender { scheme, verifier, .. } = sender;
        if scheme.algorithm == Algorithm::Token || scheme.parameter.is_some() {
            return;
        }
        let value = good.clone().value(&scheme.field).clone();
        let tag = tag_in(scheme, &value);
        let (frame, bytes) = (value.strip_suffix(tag).unwrap(), decoded(scheme.notation.encoding, tag));
        for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
            let written = encoding.write(&bytes);
            let mut request = good.clone();
            *request.value(&scheme.field) = format!("{frame}{written}");
            // If no character belongs to only one of the alphabets, both kinds of base64 give the same text.
            let same = written.trim_end_matches('=') == tag.trim_end_matches('=');
            let want = match (same, scheme.algorithm, encoding) {
                (true, _, _) => Verified,
                // Read as base64, these digits have the length of a signature by a longer key.
                (false, Algorithm::RsaSha256, Encoding::Hex) => Mismatch,
                (false, _, _) => Refused(ClaimError::Malformed),
            };
            assert_eq!(judge(verifier, &request, now()), want, "{} {encoding:?}", scheme.name);
        }
    });
}

/// The last tag in a field's value, in the form in which it is written.
fn tag_in<'v>(scheme: &Scheme, value: &'v str) -> &'v str {
    match &scheme.notation.format {
        Format::Plain { prefix } => &value[prefix.len()..],
        Format::Basic => &value["Basic ".len()..],
        Format::Jwt { .. } => value.rsplit_once('.').unwrap().1,
        Format::List { separator, equals, tags, .. } => {
            let entry = value.rsplit_once(separator.as_str()).map_or(value, |(_, last)| last);
            let name = tags.first().map(|name| format!("{}{equals}", name.replace('*', "1")));
            entry.strip_prefix(&name.unwrap_or_default()).unwrap()
        }
    }
}

fn decoded(encoding: Encoding, text: &str) -> Vec<u8> {
    use base64::Engine as _;
    match encoding {
        Encoding::Hex => hex::decode(text).unwrap(),
        Encoding::Base64 => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
        Encoding::Base64Url => base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap(),
    }
}

#[test]
fn a_signature_in_the_query_is_there_once_and_in_its_form() {
    let sender = Sender::new(Scheme::preset("pandadoc").unwrap(), 0);
    let good = sender.request(0, now());
    let (rest, signature) = good.target.rsplit_once("&signature=").unwrap();
    let encoded: String = signature.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for (target, want) in [
        (good.target.clone(), Verified),
        (format!("/?signature={signature}"), Verified),
        (format!("/?signature={signature}&b=1"), Verified),
        (format!("/?%73ignature={encoded}"), Verified),
        (rest.to_owned(), Refused(ClaimError::Missing)),
        (format!("/?Signature={signature}"), Refused(ClaimError::Missing)),
        (format!("{0}&signature={signature}", good.target), Refused(ClaimError::Duplicate)),
        (format!("{0}&%73ignature=x", good.target), Refused(ClaimError::Duplicate)),
        ("/?signature=".to_owned(), Refused(ClaimError::Malformed)),
        ("/?signature".to_owned(), Refused(ClaimError::Malformed)),
        (format!("/?signature={}", &signature[2..]), Refused(ClaimError::Malformed)),
        (format!("/?signature={signature}%"), Refused(ClaimError::Malformed)),
        (format!("/?signature=ab{}", &signature[2..]), Mismatch),
    ] {
        let request = Request { target: target.clone(), ..good.clone() };
        assert_eq!(judge(&sender.verifier, &request, now()), want, "{target}");
    }
}

#[test]
fn every_field_that_counts_is_there_once() {
    each(|sender, good| {
        let Sender { scheme, verifier, .. } = sender;
        for field in scheme.fields().filter(|field| !scheme.other_fields.iter().any(|other| other == field)) {
            let mut missing = good.clone();
            missing.lines.retain(|(name, _)| name != field);
            let got = judge(verifier, &missing, now());
            assert_eq!(got, Refused(ClaimError::Missing), "{} {field}", scheme.name);
            let mut twice = good.clone();
            let value = twice.value(field).clone();
            twice.lines.push((field.to_owned(), value));
            let got = judge(verifier, &twice, now());
            assert_eq!(got, Refused(ClaimError::Duplicate), "{} {field}", scheme.name);
        }
    });
}

#[test]
fn in_a_list_the_valid_entry_may_stand_anywhere() {
    each(|sender, good| {
        let Sender { scheme, verifier, .. } = sender;
        let Format::List { separator, equals, tags, .. } = &scheme.notation.format else { return };
        // A list without names has no stranger's entries, and its unit tests say the same.
        let Some(tag) = tags.first().map(|name| name.replace('*', "1")) else { return };
        let value = good.clone().value(&scheme.field).clone();
        let separator = separator.as_str();
        let mut entries: Vec<&str> = value.split(separator).collect();
        let valid = entries.pop().unwrap();
        let wrong = format!(
            "{tag}{equals}{}",
            scheme.notation.encoding.write(&[7; 64][..scheme.algorithm.tag_len().unwrap()])
        );
        let stranger = format!("no{equals}abc");
        for place in 0..3 {
            let mut all = entries.clone();
            let mut candidates = vec![&*wrong, &*stranger, &*wrong];
            candidates.insert(place, valid);
            all.extend(&candidates);
            let mut request = good.clone();
            *request.value(&scheme.field) = all.join(separator);
            assert_eq!(judge(verifier, &request, now()), Verified, "{} {place}", scheme.name);
            let mut request = good.clone();
            let without: Vec<_> = all.into_iter().filter(|entry| *entry != valid).collect();
            *request.value(&scheme.field) = without.join(separator);
            assert_eq!(judge(verifier, &request, now()), Mismatch, "{} {place}", scheme.name);
        }
    });
}

/// The valid signature is the first, one in the middle, and the last, as in a list.
#[test]
fn where_several_fields_may_carry_a_signature_any_may_be_the_valid_one() {
    assert!(PRESETS.iter().any(|scheme| scheme.other_fields.len() > 1));
    each(|sender, good| {
        let Sender { scheme, verifier, .. } = sender;
        if scheme.other_fields.is_empty() {
            return;
        }
        let name = &scheme.name;
        let value = good.clone().value(&scheme.field).clone();
        let wrong = Sender::new(scheme, 1).request(1, now()).value(&scheme.field).clone();
        let fields: Vec<_> = scheme.signature_fields().collect();
        let with = |lines: &[(&str, &str)]| {
            let mut request = good.clone();
            request.lines.retain(|(name, _)| !fields.contains(&name.as_str()));
            request.lines.extend(lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            judge(verifier, &request, now())
        };
        for valid in &fields {
            assert_eq!(with(&[(valid, &value)]), Verified, "{name} {valid}");
            let mut all: Vec<_> = fields.iter().map(|field| (*field, &*wrong)).collect();
            assert_eq!(with(&all), Mismatch, "{name}");
            all.iter_mut().filter(|(field, _)| field == valid).for_each(|(_, tag)| *tag = &value);
            assert_eq!(with(&all), Verified, "{name} {valid}");
            let twice = [(*valid, &*value), (*valid, &*value)];
            assert_eq!(with(&twice), Refused(ClaimError::Duplicate), "{name} {valid}");
            let list = format!("{value},{wrong}");
            assert_eq!(with(&[(valid, &list)]), Refused(ClaimError::Duplicate), "{name} {valid}");
        }
        let malformed = [(fields[0], &*value), (fields[1], "nonsense")];
        assert_eq!(with(&malformed), Refused(ClaimError::Malformed), "{name}");
        assert_eq!(with(&[]), Refused(ClaimError::Missing), "{name}");
    });
}

/// HubSpot's events are arrays. The signed text has no separator between the URL and the body.
#[test]
fn content_that_is_an_array_cannot_be_taken_for_the_end_of_the_url() {
    let array = b"[{\"eventId\":1}]";
    for name in ["hubspot", "square"] {
        let sender = Sender::new(Scheme::preset(name).unwrap(), 0);
        let good = sender.request_of(TARGET, array, 0, now());
        assert_eq!(judge(&sender.verifier, &good, now()), Verified, "{name}");
        for target in [format!("{TARGET}["), format!("{TARGET}]")] {
            let moved = Request { target, body: array[1..].to_vec(), ..good.clone() };
            assert_eq!(judge(&sender.verifier, &moved, now()), Refused(ClaimError::Malformed), "{name}");
        }
    }
}

#[test]
fn an_identifier_is_signed_and_cannot_reach_into_what_follows_it() {
    each(|sender, good| {
        let Sender { scheme, verifier, .. } = sender;
        let Some(field) = &scheme.id else { return };
        let follows_dot = scheme.content.as_str().contains("{id}.");
        for (id, want) in [
            ("msg_other", Mismatch),
            ("", Refused(ClaimError::Malformed)),
            ("a b", Refused(ClaimError::Malformed)),
            ("{\"a\"", Refused(ClaimError::Malformed)),
            (&"a".repeat(257), Refused(ClaimError::Malformed)),
            ("a.b", if follows_dot { Refused(ClaimError::Malformed) } else { Mismatch }),
        ] {
            let mut request = good.clone();
            *request.value(field) = id.to_owned();
            assert_eq!(judge(verifier, &request, now()), want, "{} {id:?}", scheme.name);
        }
    });
}

#[derive(Deserialize)]
struct Vector {
    scheme: String,
    source: String,
    secret: String,
    url: Option<String>,
    method: Option<String>,
    fields: std::collections::BTreeMap<String, String>,
    body: String,
    signature: String,
    #[serde(default)]
    also_valid: Vec<String>,
}

/// The published examples verify. Signing their content gives the published signature. Where a sender
/// publishes no example, the vector is computed from the documented rule, and its source says so.
#[test]
fn every_published_example_reproduces() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/senders.json")).unwrap();
    assert!(vectors.len() >= 55);
    for vector in vectors {
        let name = format!("{} ({})", vector.scheme, vector.source);
        let scheme = Scheme::preset(&vector.scheme).unwrap();
        let key = scheme.secret_encoding.decode(vector.secret.as_bytes()).unwrap();
        let secret = Secret { name: "published".into(), key, not_after: None };
        let verifier = Verifier::new(scheme.clone(), vec![secret]).unwrap();
        let url: http::Uri = vector.url.as_deref().unwrap_or("https://unknown/").parse().unwrap();
        let mut request = Request {
            method: vector.method.unwrap_or("POST".into()),
            target: url.path_and_query().unwrap().to_string(),
            origin: (&*format!("{}://{}", url.scheme_str().unwrap(), url.authority().unwrap())).into(),
            lines: vector.fields.into_iter().collect(),
            body: vector.body.into_bytes(),
        };
        if scheme.parameter.is_none() {
            request.lines.push((scheme.field.to_string(), vector.signature.clone()));
        }
        let moment = verifier.moment(&request).or_else(|| verifier.content_moment(&request.body));
        let then = moment.unwrap_or(now());
        assert_eq!(judge(&verifier, &request, then), Verified, "{name}");
        for also in vector.also_valid {
            *request.value(&scheme.field) = also;
            assert_eq!(judge(&verifier, &request, then), Verified, "{name}");
        }
        if scheme.parameter.is_none() {
            *request.value(&scheme.field) = vector.signature.clone();
        }
        request.body.push(b' ');
        assert_eq!(judge(&verifier, &request, then), Mismatch, "{name}");
        request.body.pop();
        let value =
            |name: &str| request.lines.iter().find(|(given, _)| given == name).map(|(_, v)| v.as_str());
        // A date can be written in several ways, and the sender has signed its own.
        let timestamp = scheme.timestamp.as_ref().and_then(|timestamp| match &timestamp.place {
            Place::Field(name) => value(name),
            Place::Key(_) | Place::Entry(_) | Place::Claim(_) | Place::Pointer(_) => None,
        });
        let stamp = Stamp { timestamp, id: scheme.id.as_deref().and_then(value) };
        match verifier.signature(None, &request.context(then), stamp, &request.body) {
            // A sender's JWT has further claims.
            Ok(_) if matches!(scheme.content.content(), Body::Jwt(_)) => {}
            Ok(signature) => assert_eq!(signature.field.1, vector.signature, "{name}"),
            Err(error) => {
                assert_eq!(error, CannotSign::PublicKey, "{name}");
                assert!(!scheme.algorithm.is_symmetric());
            }
        }
    }
}
