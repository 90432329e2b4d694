//! Pure. Keyed message authentication codes (RFC 2104) and the only comparison of tags.
//!
//! Nothing outside this file finalizes a MAC, and nothing compares a computed tag but [`Running::verifies`], in constant time.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::secret::Key;

/// Which MAC a scheme uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC (RFC 2104) over SHA-256 (FIPS 180-4): tags of 32 bytes.
    HmacSha256,
}

impl Algorithm {
    /// The length of a tag, in bytes.
    #[must_use]
    pub fn tag_len(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
        }
    }

    /// The name people know it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "HMAC-SHA256",
        }
    }
}

/// A MAC keyed once, at start-up; each request starts from a copy of its state.
///
/// The state is as good as the key: it never prints, and is wiped when dropped.
pub struct Keyed(State);

/// A MAC under way over the content of one request.
pub struct Running(State);

#[derive(Clone)]
enum State {
    HmacSha256(Hmac<Sha256>),
}

impl Keyed {
    /// Keys the algorithm. HMAC takes keys of any length.
    #[must_use]
    pub fn new(algorithm: Algorithm, key: &Key) -> Self {
        match algorithm {
            Algorithm::HmacSha256 => {
                #[expect(clippy::expect_used, reason = "RFC 2104 defines HMAC for keys of every length")]
                let mac = Hmac::new_from_slice(key.expose()).expect("HMAC takes a key of any length");
                Self(State::HmacSha256(mac))
            }
        }
    }

    /// Starts on a message.
    #[must_use]
    pub fn start(&self) -> Running {
        Running(self.0.clone())
    }
}

impl Running {
    /// Takes in the next piece of the message.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            State::HmacSha256(mac) => mac.update(piece),
        }
    }

    /// Whether the message's tag is the claimed one: compared over its decoded bytes, in constant time, whole.
    #[must_use]
    pub fn verifies(self, claimed: &Tag) -> bool {
        self.tag().0.ct_eq(&claimed.0).into()
    }

    /// The tag, for whoever makes signatures (`hookgate sign`, tests). The gateway itself never looks at it.
    #[must_use]
    pub fn tag(self) -> Tag {
        match self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place where a MAC is finalized")]
            State::HmacSha256(mac) => Tag(mac.finalize().into_bytes().into()),
        }
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed(..)")
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running(..)")
    }
}

/// The value of a MAC, as bytes. There is no `==` for it, and it does not print.
#[derive(Clone)]
pub struct Tag([u8; 32]);

impl Tag {
    /// A tag claimed by a sender.
    #[must_use]
    pub fn claimed(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for encoding them into a field.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, sections 4.2 to 4.8 (4.6 truncates its output, so it has no whole tag to compare).
    #[test]
    fn the_test_vectors_of_rfc_4231_reproduce() {
        let vectors = include_str!("../../tests/vectors/rfc4231.txt");
        let mut seen = 0;
        for line in vectors.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let [key, data, tag] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("three columns: {line}")
            };
            let keyed = Keyed::new(Algorithm::HmacSha256, &Key::new(hex::decode(key).unwrap()));
            let data = hex::decode(data).unwrap();
            let mut whole = keyed.start();
            whole.update(&data);
            assert_eq!(hex::encode(whole.tag().as_bytes()), tag, "{line}");
            let mut pieces = keyed.start();
            data.chunks(7).for_each(|piece| pieces.update(piece));
            let claimed = Tag::claimed(hex::decode(tag).unwrap().try_into().unwrap());
            assert!(pieces.verifies(&claimed), "{line}");
            seen += 1;
        }
        assert_eq!(seen, 6);
    }

    #[test]
    fn a_tag_with_any_one_bit_changed_does_not_verify() {
        let keyed = Keyed::new(Algorithm::HmacSha256, &Key::new(b"key".to_vec()));
        let mut mac = keyed.start();
        mac.update(b"message");
        let good = mac.tag().0;
        for bit in 0..256 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut mac = keyed.start();
            mac.update(b"message");
            assert!(!mac.verifies(&Tag::claimed(bad)), "bit {bit}");
        }
    }
}
