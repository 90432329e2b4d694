//! Pure. Secrets and their keys. Keys are never printed or compared, and are wiped on drop.
//!
//! The operator configures a [`Secret`]. Its name may appear in logs and metrics. Its [`Key`] is the bytes
//! that a MAC is keyed with. These bytes appear in no output.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, DecodeSliceError, Engine as _};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

/// The bytes that a MAC is keyed with (RFC 2104's `K`).
///
/// A key cannot be printed, cloned or compared with `==`. Only [`Key::expose`] gives access to its bytes, so
/// a review finds every use.
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Makes a key from these bytes. They are wiped when the key is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes, which may only key a MAC.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The length of the key in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the key is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether two keys have the same bytes, compared in constant time.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Overwrites the bytes that earlier calls have left on this thread's stack, below the caller. Callers use it
/// after work with secrets.
///
/// A moved value leaves its bytes at the old place, and libraries that key a MAC or decode base64 keep
/// copies. No type can wipe these copies.
#[inline(never)]
pub fn wipe_stack() {
    let mut area = [0_u64; STACK_TO_WIPE / 8];
    area.zeroize();
    std::hint::black_box(&area);
}

/// How many bytes of the stack are wiped: more than reading, decoding and keying a secret uses in a build
/// without optimisation.
const STACK_TO_WIPE: usize = 96 << 10;

/// A key, with its name for logs and metrics and its time of expiry.
#[derive(Debug)]
pub struct Secret {
    /// The name in the configuration. It is unique within a signature, and may be printed.
    pub name: Arc<str>,
    /// The key's bytes.
    pub key: Key,
    /// The time of expiry. From then on, the secret verifies nothing.
    pub not_after: Option<SystemTime>,
}

/// How the text of a secret encodes the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretEncoding {
    /// The bytes of the text are the key.
    #[default]
    Utf8,
    /// The text is the key in base64 (RFC 4648, section 4 or 5; padding is optional). A prefix `whsec_`, and
    /// `v1,` before it, are ignored. Like the libraries of senders, hookgate also ignores the lines of PEM
    /// (RFC
    /// 7468) around a public key, and bits of the last character that belong to no byte.
    Base64,
    /// The text is the key in hexadecimal, in upper or lower case. A prefix `0x` is ignored.
    Hex,
}

impl SecretEncoding {
    /// Every encoding, with its name in gateway.toml.
    pub const ALL: [(&'static str, Self); 3] =
        [("utf8", Self::Utf8), ("base64", Self::Base64), ("hex", Self::Hex)];

    /// Decodes the key from `text`.
    ///
    /// # Errors
    /// [`NotOfItsEncoding`] if the text is not in this encoding: not base64, not hexadecimal, or not UTF-8.
    pub fn decode(self, text: &[u8]) -> Result<Key, NotOfItsEncoding> {
        match self {
            Self::Utf8 => match std::str::from_utf8(text) {
                Ok(_) => Ok(Key::new(text.to_vec())),
                Err(_) => Err(NotOfItsEncoding(self)),
            },
            Self::Base64 => {
                let armoured = unarmoured(text);
                let text = without_prefix(armoured.as_deref().map_or(text, Vec::as_slice));
                let engine = if is_url_safe(text) { &LOOSE_BASE64_URL } else { &LOOSE_BASE64 };
                decode_base64(engine, text).map(Key).map_err(|_undisclosed| NotOfItsEncoding(self))
            }
            Self::Hex => {
                let text = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
                let mut bytes = Zeroizing::new(vec![0; text.len() / 2]);
                let decoded = hex::decode_to_slice(text, &mut bytes);
                decoded.map(|()| Key(bytes)).map_err(|_undisclosed| NotOfItsEncoding(self))
            }
        }
    }

    /// The mistake in a text in this encoding, as far as it says nothing about the secret.
    #[must_use]
    pub fn mistake(self, text: &[u8]) -> Option<Mistake> {
        if self != Self::Base64 {
            return None;
        }
        let armoured = unarmoured(text);
        let text = without_prefix(armoured.as_deref().map_or(text, Vec::as_slice));
        let engine = if is_url_safe(text) { &BASE64_URL } else { &BASE64 };
        match decode_base64(engine, text) {
            Err(DecodeSliceError::DecodeError(DecodeError::InvalidLastSymbol(..))) => Some(Mistake::LastBits),
            Err(DecodeSliceError::DecodeError(DecodeError::InvalidLength(_))) => Some(Mistake::Length),
            Ok(_) | Err(_) => None,
        }
    }

    /// The encoding's name in gateway.toml.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Base64 => "base64",
            Self::Hex => "hex",
        }
    }
}

/// A mistake in the text of a secret, which says nothing about the secret itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Bits of the last character belong to no byte, and are not zero. The text may be cut off.
    LastBits,
    /// No bytes have base64 of this length. A character is missing, or there is one too many.
    Length,
}

/// Decodes base64. The buffer is wiped even if the text is malformed.
fn decode_base64(engine: &GeneralPurpose, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecodeSliceError> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let len = engine.decode_slice(text, &mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

/// The text without the prefixes of Standard Webhooks.
fn without_prefix(text: &[u8]) -> &[u8] {
    let mut bare = STANDARD_WEBHOOKS.iter().filter_map(|prefix| text.strip_prefix(*prefix));
    bare.next().unwrap_or(text)
}

/// The base64 of a public key in PEM, without its lines. A line end may be written as `\n`, as in the value
/// of a variable. `None` if the text is not PEM.
fn unarmoured(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let rest = PEM_LINES.iter().find_map(|(begin, end)| {
        text.trim_ascii().strip_prefix(*begin)?.trim_ascii_end().strip_suffix(*end)
    })?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(rest.len()));
    let mut rest = rest;
    while let Some((byte, tail)) = rest.split_first() {
        rest = match rest.strip_prefix(b"\\n") {
            Some(behind) => behind,
            None => {
                bytes.extend((!byte.is_ascii_whitespace()).then_some(*byte));
                tail
            }
        };
    }
    Some(bytes)
}

/// The first and the last line of a public key in PEM: of any algorithm (RFC 7468, section 13), or of RSA.
const PEM_LINES: [(&[u8], &[u8]); 2] = [
    (b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----"),
    (b"-----BEGIN RSA PUBLIC KEY-----", b"-----END RSA PUBLIC KEY-----"),
];

fn is_url_safe(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'-' | b'_'))
}

/// The error for a secret whose text is not in its configured encoding.
///
/// The error does not say where the text is wrong. That would print a part of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret is not valid {}", match .0 {
    SecretEncoding::Utf8 => "UTF-8",
    SecretEncoding::Base64 => "base64",
    SecretEncoding::Hex => "hexadecimal",
})]
pub struct NotOfItsEncoding(pub SecretEncoding);

/// Why a secret that works is weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// The key has only this many bytes, which is fewer than [`SHORTEST_GOOD_KEY`].
    Short(usize),
    /// The secret is a word from examples. Attackers try such words first.
    Sample,
}

/// The length of a good key in bytes. A shorter key causes a warning.
pub const SHORTEST_GOOD_KEY: usize = 16;

/// Why the secret with this `text` and this `key` is weak.
///
/// The comparison with the sample secrets need not take constant time. It runs at start-up, on the operator's
/// own text.
#[must_use]
pub fn weakness(text: &[u8], key: &Key) -> Option<Weakness> {
    let dashed = || text.iter().map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() });
    let is_named = SAMPLES.iter().any(|sample| dashed().eq(sample.bytes()));
    let begins = SAMPLE_BEGINNINGS.iter().any(|start| dashed().take(start.len()).eq(start.bytes()));
    let is_one_byte = text.first().is_some_and(|first| text.iter().all(|byte| byte == first));
    if is_named || begins || is_one_byte {
        Some(Weakness::Sample)
    } else if key.len() < SHORTEST_GOOD_KEY {
        Some(Weakness::Short(key.len()))
    } else {
        None
    }
}

const PADDED_OR_NOT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// Base64 (RFC 4648, section 4). Padding is optional when it is decoded.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDED_OR_NOT);
/// Base64 for URLs (RFC 4648, section 5). Padding is optional when it is decoded, and is not written.
pub(crate) const BASE64_URL: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, PADDED_OR_NOT.with_encode_padding(false));

/// Base64 as the libraries of senders decode secrets: the last character may have bits that belong to no
/// byte.
const LOOSE: GeneralPurposeConfig = PADDED_OR_NOT.with_decode_allow_trailing_bits(true);
const LOOSE_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LOOSE);
const LOOSE_BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LOOSE);

/// The prefixes that Standard Webhooks senders put before secrets and before public keys. Supabase also shows
/// the version of the signature.
const STANDARD_WEBHOOKS: [&[u8]; 3] = [b"whsec_", b"v1,whsec_", b"whpk_"];

/// Placeholder secrets of documentation, in lower case, with `-` instead of `_`.
const SAMPLES: [&str; 16] = [
    "changeme",
    "change-me",
    "secret",
    "mysecret",
    "my-secret",
    "your-secret",
    "your-secret-here",
    "your-webhook-secret",
    "webhook-secret",
    "propify-test-secret",
    "password",
    "test",
    "example",
    "secret123",
    "replace-me",
    "xxxxxxxxxxxxxxxx",
];

/// The beginnings of placeholders, in the same form.
const SAMPLE_BEGINNINGS: [&str; 6] = ["your-", "change-me", "changeme", "replace-", "insert-", "put-your-"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_a_secret_never_print_their_bytes() {
        let secret =
            Secret { name: "current".into(), key: Key::new(b"hunter2hunter2".to_vec()), not_after: None };
        let printed = format!("{secret:?} {:?}", secret.key);
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(!printed.contains("104, 117"), "{printed}");
        assert!(printed.contains("current"), "{printed}");
    }

    #[test]
    fn text_is_decoded_as_its_encoding_says() {
        let cases: [(SecretEncoding, &str, Option<&[u8]>); 24] = [
            (
                SecretEncoding::Base64,
                "-----BEGIN PUBLIC KEY-----\r\n+/+/\r\naGk=\r\n-----END PUBLIC KEY-----\r\n",
                Some(&[0xfb, 0xff, 0xbf, b'h', b'i']),
            ),
            (
                SecretEncoding::Base64,
                "-----BEGIN RSA PUBLIC KEY-----\\naGk=\\n-----END RSA PUBLIC KEY-----\\n",
                None,
            ),
            (
                SecretEncoding::Base64,
                "-----BEGIN RSA PUBLIC KEY-----\\naGk=\\n-----END RSA PUBLIC KEY-----",
                Some(b"hi"),
            ),
            (SecretEncoding::Base64, "-----BEGIN PUBLIC KEY-----\naGk=\n-----END RSA PUBLIC KEY-----", None),
            (SecretEncoding::Utf8, "abc", Some(b"abc")),
            (SecretEncoding::Utf8, "68 69", Some(b"68 69")),
            (SecretEncoding::Hex, "6869", Some(b"hi")),
            (SecretEncoding::Hex, "6A6b", Some(b"jk")),
            (SecretEncoding::Hex, "686", None),
            (SecretEncoding::Hex, "zz", None),
            (SecretEncoding::Base64, "aGk=", Some(b"hi")),
            (SecretEncoding::Base64, "aGk", Some(b"hi")),
            (SecretEncoding::Base64, "-_-_", Some(&[0xfb, 0xff, 0xbf])),
            (SecretEncoding::Base64, "+/+/", Some(&[0xfb, 0xff, 0xbf])),
            (SecretEncoding::Base64, "a b", None),
            (SecretEncoding::Base64, "whsec_+/+/", Some(&[0xfb, 0xff, 0xbf])),
            (SecretEncoding::Utf8, "whsec_aGk=", Some(b"whsec_aGk=")),
            (SecretEncoding::Base64, "v1,whsec_aGk=", Some(b"hi")),
            (SecretEncoding::Base64, "v1,aGk=", None),
            (SecretEncoding::Base64, "aGl=", Some(b"hi")),
            (SecretEncoding::Base64, "aGl", Some(b"hi")),
            (SecretEncoding::Base64, "aGkaG", None),
            (SecretEncoding::Hex, "0x6869", Some(b"hi")),
            (SecretEncoding::Hex, "0X6A6b", Some(b"jk")),
        ];
        for (encoding, text, want) in cases {
            let got = encoding.decode(text.as_bytes());
            assert_eq!(got.as_ref().ok().map(Key::expose), want, "{encoding:?} {text}");
        }
    }

    #[test]
    fn a_mistake_in_base64_is_named_by_its_kind() {
        for (text, want) in [
            ("aGk=", None),
            ("aGk", None),
            ("aGl", Some(Mistake::LastBits)),
            ("v1,whsec_-_-_aGl", Some(Mistake::LastBits)),
            ("aGkaG", Some(Mistake::Length)),
            ("a b", None),
        ] {
            assert_eq!(SecretEncoding::Base64.mistake(text.as_bytes()), want, "{text}");
        }
        assert_eq!(SecretEncoding::Hex.mistake(b"686"), None);
    }

    #[test]
    fn short_and_sample_secrets_are_weak_and_long_ones_are_not() {
        let judge = |text: &str| weakness(text.as_bytes(), &Key::new(text.as_bytes().to_vec()));
        assert_eq!(judge("ChangeMe"), Some(Weakness::Sample));
        assert_eq!(judge("your_webhook_secret"), Some(Weakness::Sample));
        assert_eq!(judge("123456789012345"), Some(Weakness::Short(15)));
        assert_eq!(judge("1234567890123456"), None);
    }
}
