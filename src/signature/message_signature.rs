//! Pure. HTTP message signatures (RFC 9421): the text that is signed, and the gateway's own key.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::Algorithm;
use super::mac::{Fingerprint, Keyed};
use super::private_key::{BadPrivateKey, PrivateKey};
use super::public_key::ED25519_SPKI;
use super::tag::Tags;
use super::verifier::{KeyedSecret, Verifier};
use crate::signature::secret::Key;

/// A component of a message that is covered by a signature (RFC 9421, section 2).
#[derive(Clone, Copy, Debug)]
pub struct Component<'c> {
    /// The component's name: a field's name in lower case, or a derived component such as `@method`.
    pub name: &'c str,
    /// The component's value.
    pub value: &'c [u8],
}

/// The parameters of a signature (RFC 9421, section 2.3).
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'p> {
    /// When the signature was made, in seconds since 1970.
    pub created: u64,
    /// The time from which the signature is not valid any more, in seconds since 1970.
    pub expires: Option<u64>,
    /// The name of the key. It has only characters that [`is_key_id`] allows.
    pub key_id: &'p str,
    /// The purpose of the signature.
    pub tag: Option<&'p str>,
}

/// Whether a text can be the name of a key: visible ASCII characters that need no escape in a structured
/// field.
#[must_use]
pub fn is_key_id(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    (1..=LONGEST_KEY_ID).contains(&text.len()) && text.bytes().all(is_fine)
}

/// The longest name of a key. A longer name is likely something else.
pub const LONGEST_KEY_ID: usize = 128;

/// The covered components and the parameters, as a member of `signature-input` has them (RFC 9421, section
/// 4.1).
#[must_use]
pub fn signature_input(components: &[Component<'_>], parameters: &Parameters<'_>) -> String {
    let Parameters { created, expires, key_id, tag } = parameters;
    let names: Vec<String> = components.iter().map(|component| format!("\"{}\"", component.name)).collect();
    let mut text = format!("({});created={created}", names.join(" "));
    if let Some(expires) = expires {
        text += &format!(";expires={expires}");
    }
    text += &format!(";keyid=\"{key_id}\"");
    if let Some(tag) = tag {
        text += &format!(";tag=\"{tag}\"");
    }
    text
}

/// The text that is signed (RFC 9421, section 2.5). `input` is the text of [`signature_input`] for these
/// components.
#[must_use]
pub fn signature_base(components: &[Component<'_>], input: &str) -> Vec<u8> {
    let mut base = Vec::new();
    for Component { name, value } in components {
        base.extend_from_slice(b"\"");
        base.extend_from_slice(name.as_bytes());
        base.extend_from_slice(b"\": ");
        base.extend_from_slice(value);
        base.extend_from_slice(b"\n");
    }
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(input.as_bytes());
    base
}

/// An algorithm of the gateway's own signatures (RFC 9421, section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageAlgorithm {
    /// HMAC over SHA-256. The app has the same key.
    HmacSha256,
    /// Ed25519. The app has the public key.
    Ed25519,
}

impl MessageAlgorithm {
    /// Every algorithm, with its name in gateway.toml, which is also its name in RFC 9421.
    pub const ALL: [(&'static str, Self); 2] =
        [("hmac-sha256", Self::HmacSha256), ("ed25519", Self::Ed25519)];

    /// The algorithm's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// The gateway's key for the messages that it forwards. It is never printed, and is wiped on drop.
pub struct MessageKey {
    kind: Kind,
    /// Tells whether a sender's secret has the same bytes. For Ed25519, the public keys are compared.
    fingerprint: Fingerprint,
}

/// The keys are boxed: a moved value would leave a copy behind.
enum Kind {
    Hmac(Box<Keyed>),
    Ed25519(Box<PrivateKey>),
}

impl MessageKey {
    /// A key for HMAC.
    ///
    /// # Errors
    /// Never for HMAC, which accepts keys of any length.
    pub fn hmac(key: &Key) -> Result<Self, BadPrivateKey> {
        let keyed = Keyed::new(Algorithm::HmacSha256, key).map_err(|_never_for_hmac| BadPrivateKey)?;
        Ok(Self { kind: Kind::Hmac(Box::new(keyed)), fingerprint: Fingerprint::of(key) })
    }

    /// A private key for Ed25519, in one of the forms that [`PrivateKey::read`] reads.
    ///
    /// # Errors
    /// [`BadPrivateKey`]
    pub fn ed25519(text: &[u8]) -> Result<Self, BadPrivateKey> {
        let key = PrivateKey::read(Algorithm::Ed25519, text)?;
        Ok(Self { fingerprint: Fingerprint::of(&key.public()), kind: Kind::Ed25519(Box::new(key)) })
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> MessageAlgorithm {
        match self.kind {
            Kind::Hmac(_) => MessageAlgorithm::HmacSha256,
            Kind::Ed25519(_) => MessageAlgorithm::Ed25519,
        }
    }

    /// The public key in base64 (`SubjectPublicKeyInfo`, RFC 8410, section 4), which is the content of a PEM
    /// file. `None` if the algorithm has no public keys.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        match &self.kind {
            Kind::Hmac(_) => None,
            Kind::Ed25519(key) => Some(STANDARD.encode([ED25519_SPKI, key.public().expose()].concat())),
        }
    }

    /// The name of the sender's secret that is this key, if there is one. Then a signature of the gateway
    /// could be used as a sender's, and an app with the key could forge events.
    #[must_use]
    pub fn secret_in<'v>(&self, verifier: &'v Verifier) -> Option<&'v Arc<str>> {
        let is_this = |secret: &&KeyedSecret| secret.fingerprint.is(&self.fingerprint);
        verifier.keys.iter().find(is_this).map(|secret| &secret.name)
    }

    /// The signature of a text. It is sent to upstreams only.
    #[must_use]
    pub fn sign(&self, base: &[u8]) -> Vec<u8> {
        match &self.kind {
            Kind::Hmac(keyed) => {
                let mut running = keyed.start(&Tags::default());
                running.update(base);
                running.tag().map(|tag| tag.as_bytes().to_vec()).unwrap_or_default()
            }
            Kind::Ed25519(key) => key.sign(base),
        }
    }
}

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKey(..)")
    }
}

/// `assertion` of `[forward]`: how the gateway signs the requests that it forwards.
#[derive(Debug)]
pub struct Signer {
    /// `key` and `algorithm`
    pub key: MessageKey,
    /// `key_id`: the name of the key, which an app can choose its key by.
    pub key_id: String,
    /// `expires`: how long a signature is valid, in whole seconds.
    pub valid_for: Duration,
}

/// Two signers are equal if they are the same: keys are not compared.
impl PartialEq for Signer {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Signer {}

impl Signer {
    /// Signs components at the time `now`. Returns the member of `signature-input` and the signature.
    #[must_use]
    pub fn sign(&self, components: &[Component<'_>], tag: &str, now: SystemTime) -> (String, Vec<u8>) {
        let created = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let expires = Some(created.saturating_add(self.valid_for.as_secs()));
        let parameters = Parameters { created, expires, key_id: &self.key_id, tag: Some(tag) };
        let input = signature_input(components, &parameters);
        let signature = self.key.sign(&signature_base(components, &input));
        (input, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The fields of the test request of RFC 9421, appendix B.2, and its derived components.
    const DATE: Component<'_> = Component { name: "date", value: b"Tue, 20 Apr 2021 02:07:55 GMT" };
    const METHOD: Component<'_> = Component { name: "@method", value: b"POST" };
    const PATH: Component<'_> = Component { name: "@path", value: b"/foo" };
    const AUTHORITY: Component<'_> = Component { name: "@authority", value: b"example.com" };
    const TYPE: Component<'_> = Component { name: "content-type", value: b"application/json" };
    const LENGTH: Component<'_> = Component { name: "content-length", value: b"18" };

    /// The key `test-shared-secret` of RFC 9421, appendix B.1.5.
    const SHARED: &str =
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

    /// The key `test-key-ed25519` of RFC 9421, appendix B.1.4.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
                           MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n\
                           -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";

    fn vector(key: &MessageKey, key_id: &str, components: &[Component<'_>]) -> (String, String) {
        let parameters = Parameters { created: 1_618_884_473, expires: None, key_id, tag: None };
        let input = signature_input(components, &parameters);
        let signature = key.sign(&signature_base(components, &input));
        (input, STANDARD.encode(signature))
    }

    #[test]
    fn the_hmac_vector_of_rfc_9421_appendix_b_2_5_reproduces() {
        let key = MessageKey::hmac(&Key::new(STANDARD.decode(SHARED).unwrap())).unwrap();
        let (input, signature) = vector(&key, "test-shared-secret", &[DATE, AUTHORITY, TYPE]);
        assert_eq!(
            input,
            "(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\""
        );
        assert_eq!(signature, "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
        assert_eq!(key.public_key(), None);
    }

    #[test]
    fn the_ed25519_vector_of_rfc_9421_appendix_b_2_6_reproduces() {
        let key = MessageKey::ed25519(PRIVATE.as_bytes()).unwrap();
        let components = [DATE, METHOD, PATH, AUTHORITY, TYPE, LENGTH];
        let (input, signature) = vector(&key, "test-key-ed25519", &components);
        assert_eq!(
            input,
            "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")\
             ;created=1618884473;keyid=\"test-key-ed25519\""
        );
        assert_eq!(
            signature,
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
        );
        assert_eq!(key.public_key().as_deref(), Some(PUBLIC));
    }

    #[test]
    fn a_signature_says_when_it_was_made_and_when_it_ends() {
        let key = MessageKey::hmac(&Key::new(vec![7; 32])).unwrap();
        let signer = Signer { key, key_id: "a".to_owned(), valid_for: Duration::from_secs(300) };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
        let (input, signature) = signer.sign(&[METHOD], "hookgate", now);
        let want = "(\"@method\");created=1700000000;expires=1700000300;keyid=\"a\";tag=\"hookgate\"";
        assert_eq!(input, want);
        assert_eq!(signature.len(), 32);
        let base = signature_base(&[METHOD], &input);
        assert_eq!(base, format!("\"@method\": POST\n\"@signature-params\": {want}").into_bytes());
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = MessageKey::ed25519(PRIVATE.as_bytes()).unwrap();
        let signer = Signer { key, key_id: "a".to_owned(), valid_for: Duration::ZERO };
        assert_eq!(format!("{:?}", signer.key), "MessageKey(..)");
        assert!(format!("{signer:?}").starts_with("Signer { key: MessageKey(..), key_id: \"a\""));
    }

    #[test]
    fn the_name_of_a_key_needs_no_escape() {
        for (text, want) in [
            ("2026-11", true),
            ("did:web:a.example#key/1", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("a\\b", false),
            ("é", false),
            ("a\n", false),
        ] {
            assert_eq!(is_key_id(text), want, "{text:?}");
        }
        assert!(is_key_id(&"a".repeat(LONGEST_KEY_ID)) && !is_key_id(&"a".repeat(LONGEST_KEY_ID + 1)));
    }

    proptest! {
        #[test]
        fn what_is_written_for_signature_input_is_a_dictionary_with_these_values(
            created in 0..1_u64 << 40, key_id in "[!#-\\[\\]-~]{1,20}",
        ) {
            let parameters = Parameters { created, expires: Some(created + 1), key_id: &key_id, tag: Some("t") };
            let text = format!("a={}", signature_input(&[METHOD, DATE], &parameters));
            let parsed: sfv::Dictionary = sfv::Parser::new(&text).parse().unwrap();
            let sfv::ListEntry::InnerList(list) = parsed.get("a").unwrap() else { panic!("{text}") };
            let names: Vec<_> = list.items.iter().map(|item| item.bare_item.as_string().unwrap().as_str()).collect();
            prop_assert_eq!(names, ["@method", "date"]);
            prop_assert_eq!(list.params.get("keyid").unwrap().as_string().unwrap().as_str(), key_id);
        }
    }
}
