//! Pure. Message authentication codes (HMAC, RFC 2104), and the only comparison of tags.
//!
//! Only this file finalizes a MAC. Only [`Running::verifies`] compares a computed tag, and it does so in
//! constant time. The secrets in this file are never printed, and are wiped on drop.

use std::fmt;

use hmac::{Hmac, KeyInit};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

pub use super::algorithm::Algorithm;
use super::challenge::value::Value;
use super::field::Encoding;
pub use super::public_key::BadKey;
use super::public_key::{self, PublicKey};
pub use super::tag::{LONGEST_TAG, Tag, Tags};
use crate::signature::secret::Key;

/// An algorithm with its key, prepared at start-up. Each request begins with a copy of the prepared state.
///
/// The state is as secret as the key.
pub struct Keyed(State);

/// The state is boxed, and so are the values made from it: a copy stays where it is made, and is never moved.
enum State {
    Hmac(Box<dyn HmacState>),
    Token(Box<Token>),
    PublicKey(Box<PublicKey>),
}

struct Token {
    text: Key,
    digest: Zeroizing<[u8; 32]>,
}

/// The digest of a key's bytes. Two keys with the same bytes have the same fingerprint, also for different
/// algorithms. A fingerprint is as secret as the key.
pub(super) struct Fingerprint(Zeroizing<[u8; 32]>);

impl Fingerprint {
    pub(super) fn of(key: &Key) -> Self {
        Self(Zeroizing::new(Sha256::digest(key.expose()).into()))
    }

    /// Whether both keys are the same, compared in constant time.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fingerprint")
    }
}

/// The check of one request's content, under way.
pub struct Running(Progress);

/// The state is boxed, because a check is passed between functions. A moved value would leave a copy of the
/// key's state behind.
enum Progress {
    Hmac(Box<dyn HmacState>),
    Token(Zeroizing<[u8; 32]>),
    PublicKey(Box<public_key::Running>),
}

/// The state of an HMAC with any hash.
trait HmacState: Send + Sync {
    fn copy(&self) -> Box<dyn HmacState>;
    fn hash(&mut self, piece: &[u8]);
    fn tag(&self) -> Option<Tag>;
}

impl<M: hmac::Mac + Clone + Send + Sync + 'static> HmacState for M {
    fn copy(&self) -> Box<dyn HmacState> {
        Box::new(self.clone())
    }

    fn hash(&mut self, piece: &[u8]) {
        self.update(piece);
    }

    /// Works on a copy, which is wiped at the end. A moved value would leave a copy of the key's state
    /// behind.
    #[expect(clippy::disallowed_methods, reason = "the one place where a MAC is finalized")]
    fn tag(&self) -> Option<Tag> {
        Tag::of(&self.clone().finalize().into_bytes())
    }
}

impl Keyed {
    /// Prepares the algorithm with a key.
    ///
    /// # Errors [`BadKey`] if the algorithm needs a public key and the bytes are not one. HMAC accepts
    /// keys of any length.
    pub fn new(algorithm: Algorithm, key: &Key) -> Result<Self, BadKey> {
        let state = match algorithm {
            Algorithm::HmacSha256 => State::Hmac(keyed::<Hmac<Sha256>>(key)?),
            Algorithm::HmacSha384 => State::Hmac(keyed::<Hmac<Sha384>>(key)?),
            Algorithm::HmacSha512 => State::Hmac(keyed::<Hmac<Sha512>>(key)?),
            Algorithm::HmacSha1 => State::Hmac(keyed::<Hmac<Sha1>>(key)?),
            Algorithm::HmacMd5 => State::Hmac(keyed::<Hmac<Md5>>(key)?),
            Algorithm::Token => {
                let digest = Zeroizing::new(Sha256::digest(key.expose()).into());
                State::Token(Box::new(Token { text: Key::new(key.expose().to_vec()), digest }))
            }
            Algorithm::Ed25519 => State::PublicKey(Box::new(PublicKey::ed25519(key.expose())?)),
            Algorithm::EcdsaP256 => State::PublicKey(Box::new(PublicKey::p256(key.expose())?)),
            Algorithm::RsaSha256 => State::PublicKey(Box::new(PublicKey::rsa(key.expose())?)),
        };
        Ok(Self(state))
    }

    /// Begins with a message that should have one of the `claimed` tags.
    #[must_use]
    pub fn start(&self, claimed: &Tags) -> Running {
        Running(match &self.0 {
            State::Hmac(hmac) => Progress::Hmac(hmac.copy()),
            State::Token(token) => Progress::Token(token.digest.clone()),
            State::PublicKey(key) => Progress::PublicKey(Box::new(key.start(claimed))),
        })
    }

    /// The HMAC of a challenge's value. No other computed tag is ever sent to a client. Zoom and X ask for
    /// this tag before they deliver events.
    ///
    /// The tag cannot be used to forge a signature. Either every text that the scheme signs has a character
    /// that a [`Value`] cannot have, or the scheme signs the content alone, and content that is a [`Value`]
    /// never verifies. Another scheme is refused
    /// ([`ProofIsSignature`](crate::signature::scheme::SchemeFault::ProofIsSignature)). So any client may ask
    /// for the tag, as X's challenge allows.
    pub(super) fn proof(&self, value: &Value, encoding: Encoding) -> Option<String> {
        let State::Hmac(hmac) = &self.0 else { return None };
        let mut hmac = hmac.copy();
        hmac.hash(value.as_str().as_bytes());
        hmac.tag().map(|tag| encoding.write(tag.as_bytes()))
    }

    /// The token that a sender of shared tokens writes into the field. Used to make signatures.
    pub(super) fn token(&self) -> Option<&Key> {
        match &self.0 {
            State::Token(token) => Some(&token.text),
            State::Hmac(_) | State::PublicKey(_) => None,
        }
    }
}

fn keyed<M: hmac::Mac + KeyInit + Clone + Send + Sync + 'static>(
    key: &Key,
) -> Result<Box<dyn HmacState>, BadKey> {
    Ok(Box::new(<M as KeyInit>::new_from_slice(key.expose()).map_err(|_never_for_hmac| BadKey)?))
}

impl Running {
    /// How many times each byte of the message is hashed.
    pub(super) fn passes(&self) -> usize {
        match &self.0 {
            Progress::Hmac(_) => 1,
            Progress::Token(_) => 0,
            Progress::PublicKey(running) => running.passes(),
        }
    }

    /// The cost of the decision after the message is hashed. The unit is the number of bytes that can be
    /// hashed in the same time.
    pub(super) fn weight(&self, claimed: &Tags) -> usize {
        match &self.0 {
            Progress::Hmac(_) | Progress::Token(_) => LAST_BLOCKS,
            Progress::PublicKey(running) => running.weight(claimed),
        }
    }

    /// Hashes the next piece of the message.
    pub fn update(&mut self, piece: &[u8]) {
        #[cfg(test)]
        HASHED.with(|hashed| hashed.set(hashed.get() + piece.len() * self.passes()));
        match &mut self.0 {
            Progress::Hmac(hmac) => hmac.hash(piece),
            // A token does not depend on the message.
            Progress::Token(_) => {}
            Progress::PublicKey(running) => running.update(piece),
        }
    }

    /// Whether the message's tag is one of the claimed tags. Tags are compared whole and in constant time.
    /// Every claimed tag is compared, even after an equal one.
    #[must_use]
    pub fn verifies(self, claimed: &Tags) -> bool {
        if let Progress::PublicKey(running) = self.0 {
            return running.verifies(claimed);
        }
        let Some(own) = self.tag() else { return false };
        claimed.iter().fold(Choice::from(0), |any, tag| any | are_same(&own, tag)).into()
    }

    /// The message's tag, for making signatures (`hookgate sign`, tests). The gateway never calls this for a
    /// request. `None` for public-key algorithms, because only the sender can sign.
    #[must_use]
    pub fn tag(self) -> Option<Tag> {
        match self.0 {
            Progress::Hmac(hmac) => hmac.tag(),
            Progress::Token(digest) => Tag::of(&*digest),
            Progress::PublicKey(_) => None,
        }
    }
}

/// Compares two tags in constant time, word by word. `subtle` hides each compared value from the compiler, so
/// a comparison byte by byte would cost eight times as much.
fn are_same(own: &Tag, claimed: &Tag) -> Choice {
    let words = own.words().zip(claimed.words());
    words.fold(own.as_bytes().len().ct_eq(&claimed.as_bytes().len()), |same, (own, claimed)| {
        same & own.ct_eq(&claimed)
    })
}

/// The number of bytes that an HMAC hashes at its end: the padding and the outer hash.
const LAST_BLOCKS: usize = 256;

#[cfg(test)]
thread_local! {
    /// The number of message bytes that this thread has hashed so far.
    pub(crate) static HASHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> Key {
        Key::new(bytes.to_vec())
    }

    fn tag_of(algorithm: Algorithm, key_bytes: &[u8], message: &[u8]) -> Tag {
        let mut running = Keyed::new(algorithm, &key(key_bytes)).unwrap().start(&Tags::default());
        running.update(message);
        running.tag().unwrap()
    }

    /// The test vectors of RFC 4231, sections 4.2 to 4.8. The one in 4.6 truncates its output, so there is no
    /// whole tag to compare.
    #[test]
    fn the_test_vectors_of_rfc_4231_reproduce() {
        let vectors = include_str!("../../tests/vectors/rfc4231.txt");
        let mut seen = 0;
        for line in vectors.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let [key_hex, data, tag] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("three columns: {line}")
            };
            let keyed = Keyed::new(Algorithm::HmacSha256, &key(&hex::decode(key_hex).unwrap())).unwrap();
            let data = hex::decode(data).unwrap();
            let mut whole = keyed.start(&Tags::default());
            whole.update(&data);
            assert_eq!(hex::encode(whole.tag().unwrap().as_bytes()), tag, "{line}");
            let mut pieces = keyed.start(&Tags::default());
            data.chunks(7).for_each(|piece| pieces.update(piece));
            let claimed = Tag::of(&hex::decode(tag).unwrap()).unwrap().into();
            assert!(pieces.verifies(&claimed), "{line}");
            seen += 1;
        }
        assert_eq!(seen, 6);
    }

    /// The second test case in RFC 4231, section 4.3, and in RFC 2202, sections 2 and 3.
    #[test]
    fn the_other_hashes_reproduce_their_test_vectors() {
        let message = b"what do ya want for nothing?";
        for (algorithm, want) in [
            (Algorithm::HmacMd5, "750c783e6ab0b503eaa86e310a5db738"),
            (Algorithm::HmacSha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (
                Algorithm::HmacSha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Algorithm::HmacSha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let tag = tag_of(algorithm, b"Jefe", message);
            assert_eq!(hex::encode(tag.as_bytes()), want, "{algorithm:?}");
            assert_eq!(algorithm.tag_len(), Some(tag.as_bytes().len()));
        }
    }

    #[test]
    fn a_tag_with_any_one_bit_changed_does_not_verify() {
        for algorithm in [Algorithm::HmacSha256, Algorithm::HmacSha512, Algorithm::Token] {
            let good = tag_of(algorithm, b"key", b"message").as_bytes().to_vec();
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let claimed = Tags::from(Tag::of(&bad).unwrap());
                let mut running = Keyed::new(algorithm, &key(b"key")).unwrap().start(&claimed);
                running.update(b"message");
                assert!(!running.verifies(&claimed), "{algorithm:?}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_tag_verifies_wherever_it_stands_among_others_and_a_part_of_it_never() {
        let good = tag_of(Algorithm::HmacSha256, b"key", b"message");
        let wrong = || Tag::of(&[7; 32]).unwrap();
        let verifies = |tags: Vec<Tag>| {
            let mut claimed = Tags::default();
            tags.into_iter().for_each(|tag| claimed.push(tag));
            let mut running = Keyed::new(Algorithm::HmacSha256, &key(b"key")).unwrap().start(&claimed);
            running.update(b"message");
            running.verifies(&claimed)
        };
        assert!(verifies(vec![good.clone(), wrong(), wrong()]));
        assert!(verifies(vec![wrong(), good.clone(), wrong()]));
        assert!(verifies(vec![wrong(), wrong(), good.clone()]));
        assert!(!verifies(vec![wrong(), wrong()]));
        assert!(!verifies(vec![]));
        for len in 0..32 {
            assert!(!verifies(vec![Tag::of(&good.as_bytes()[..len]).unwrap()]), "{len}");
        }
        assert!(Tag::of(&[0; LONGEST_TAG + 1]).is_none());
    }

    /// RFC 8032, section 7.1, TEST 2.
    #[test]
    fn ed25519_verifies_what_the_private_key_signed() {
        let public = hex::decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        let signature = hex::decode("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00").unwrap();
        let spki = [&hex::decode("302a300506032b6570032100").unwrap()[..], &public].concat();
        for bytes in [&public, &spki] {
            let keyed = Keyed::new(Algorithm::Ed25519, &key(bytes)).unwrap();
            for (message, want) in [(&[0x72][..], true), (&[0x73], false), (&[], false)] {
                let claimed = Tags::from(Tag::of(&signature).unwrap());
                let mut running = keyed.start(&claimed);
                running.update(message);
                assert_eq!(running.verifies(&claimed), want);
            }
        }
        for bad in [&public[..31], &[0; 32], &[]] {
            assert_eq!(Keyed::new(Algorithm::Ed25519, &key(bad)).err(), Some(BadKey));
        }
    }

    /// RFC 7515, appendix A.2: the signature of a JWS with RS256.
    #[test]
    fn rsa_verifies_what_the_private_key_signed_and_refuses_keys_of_other_sizes() {
        use base64::Engine as _;
        let decoded = |text: &str| crate::signature::secret::BASE64_URL.decode(text).unwrap();
        let modulus = decoded(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        );
        let message = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = decoded(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        );
        // `RSAPublicKey`: the modulus, and the exponent 65537.
        let pkcs1 = |modulus: &[u8]| {
            let integer = [&hex::decode("02820101").unwrap()[..], &[0], modulus].concat();
            let numbers = [integer, hex::decode("0203010001").unwrap()].concat();
            [&hex::decode("3082010a").unwrap()[..], &numbers].concat()
        };
        let bare = pkcs1(&modulus);
        let info =
            [&hex::decode("30820122300d06092a864886f70d01010105000382010f00").unwrap()[..], &bare].concat();
        for bytes in [&bare, &info] {
            let keyed = Keyed::new(Algorithm::RsaSha256, &key(bytes)).unwrap();
            for (message, want) in [(&message[..], true), (&message[1..], false), (b"", false)] {
                let mut claimed = Tags::from(Tag::of(&[7; 256]).unwrap());
                claimed.push(Tag::of(&signature[1..]).unwrap());
                claimed.push(Tag::of(&signature).unwrap());
                let mut running = keyed.start(&claimed);
                message.chunks(7).for_each(|piece| running.update(piece));
                assert_eq!(running.verifies(&claimed), want);
            }
        }
        // A key of 1024 bits.
        let small = "30819f300d06092a864886f70d010101050003818d0030818902818100d670ab8bef2a145eaed53bac4a62753cfdb6d03ba76733e2a9cc36607cbf6dd2a5546672f572931003de7674aa279b3544ead9c4011701bab9079e85747568d443e77d111a993c7b05458119c0f248af8058ef6cd006af0fb2b407debd1e774af73bb381a57e9af4c8c0dda402d2909afac7df5dbb6350d200f04b36efe4b1f70203010001";
        for bad in [&hex::decode(small).unwrap(), &bare[1..], &info[..40], b""] {
            assert_eq!(Keyed::new(Algorithm::RsaSha256, &key(bad)).err(), Some(BadKey));
        }
        // The exponents 0, 1, 2 and 65536. With 1, every padded digest would be its own signature.
        for exponent in ["020100", "020101", "020102", "0203010000"] {
            let exponent = hex::decode(exponent).unwrap();
            let mut numbers = [&hex::decode("02820101").unwrap()[..], &[0], &modulus, &exponent].concat();
            let len = u16::try_from(numbers.len()).unwrap().to_be_bytes();
            numbers.splice(..0, [0x30, 0x82, len[0], len[1]]);
            assert_eq!(Keyed::new(Algorithm::RsaSha256, &key(&numbers)).err(), Some(BadKey), "{exponent:?}");
        }
    }

    /// A key of OpenSSL, and its signature. The forgery is the cube root of a padded digest with other bytes
    /// after it. A verifier that compares only the beginning of the padding accepts the forgery, for every
    /// key of exponent 3.
    #[test]
    fn rsa_with_exponent_3_verifies_and_takes_no_cube_root_for_a_signature() {
        let modulus = hex::decode(
            "b68dffc6cde59c4cf44628fd275ed3468b8ff52297e0e034d05670068b5818b9297b4f659f343077da2b2d40ff4c48ed4fb53cc538948ee240c604328e7e64ee7b79cefe0e91ac4fca6010a605a10d0e742ebc5cd0892e9f4144f6e22e30c05e2ee021f6da8ee5e1388558d2603ab706d50f1b08465437b7f141dc2833fe0f76b590e362a0f93e5576038d46bc03e02be377ca4342e88d764a0023e600520ca909452bbf5af6ce6da4a702551323585a6e0a28b53f378bbd2b153f890a992124e852bbc3e7ffa523aa60c124c3ee96abde89da39cbb014049d2b9369e5b495152b83007b0110e9c51fb6364a244715b528523e2de7a03e686a59b3d919f7ef39",
        ).unwrap();
        let signature = hex::decode(
            "a69a9a32288407eee5e7aface284b0668f85c4bd96e3f17138df3edc02a63aad09a379c64873d675c48984de2b463f94c97ab39d34fdcb42a5fe0968bcf8ba8daac6d2fc6da61d6c88ea72dc5744f6e61fcfbb5831abdf2aaf924fe20dde05133dcf6e2d9e6cbc1684d37dde15e71789992a8f40759a09c7558fe226fd07fa1592ce37e9149cf9ba421138ff02ab1e32f36022b494d8f158fcc648ef7a8b2e1708dc0e3422795a213e3ce8b36a033622946ecd733fe17ff206d5fb90e691d4040bfdd3cf27a666d31e6f996f09d667de71384ee92790c3c71d1a002f7d39cd5607262170245e2bb57a543ec8f0d6c6f4e34d27fd22e42b3a99ca70809a40bb0c",
        ).unwrap();
        let root = hex::decode(
            "32cbfd4a7adc7905583d767520f51640759176d37826f2ef63ae3dc7a9728c0e4b3407c4542b093a5de8e713c125433b7e199eae7b897c79157c15c78418bc19c936452b67c8bf47e91054b8a706a6be51e969308f",
        ).unwrap();
        let forgery = [vec![0; 171], root].concat();
        let integer = [&hex::decode("02820101").unwrap()[..], &[0], &modulus].concat();
        let numbers = [integer, hex::decode("020103").unwrap()].concat();
        let public = [&hex::decode("30820108").unwrap()[..], &numbers].concat();
        let keyed = Keyed::new(Algorithm::RsaSha256, &key(&public)).unwrap();
        let message = b"three is a small exponent";
        for (tag, message, want) in
            [(&signature, &message[..], true), (&signature, &message[1..], false), (&forgery, message, false)]
        {
            let claimed = Tags::from(Tag::of(tag).unwrap());
            let mut running = keyed.start(&claimed);
            running.update(message);
            assert_eq!(running.verifies(&claimed), want);
        }
    }

    /// RFC 6979, appendix A.2.5, SHA-256 with the message "sample".
    #[test]
    fn ecdsa_verifies_what_the_private_key_signed() {
        let point = hex::decode("0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299").unwrap();
        let raw = hex::decode("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8").unwrap();
        let der = p256::ecdsa::Signature::from_slice(&raw).unwrap().to_der();
        let tag = public_key::tag_of_der(der.as_bytes()).unwrap();
        assert_eq!(tag.as_bytes(), raw);
        let keyed = Keyed::new(Algorithm::EcdsaP256, &key(&point)).unwrap();
        for (message, want) in [(b"sample", true), (b"simple", false)] {
            let claimed = Tags::from(tag.clone());
            let mut running = keyed.start(&claimed);
            running.update(message);
            assert_eq!(running.verifies(&claimed), want);
        }
        assert_eq!(Keyed::new(Algorithm::EcdsaP256, &key(&point[1..])).err(), Some(BadKey));
        assert!(public_key::tag_of_der(&raw).is_none());
    }
}
