//! The sender's side of the schemes, and digests that compare content. This code is independent of hookgate's
//! code.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The secret of the published example signature.
pub(crate) const SECRET: &str = "propify_test_secret";

/// The secret's name in the configurations of tests. No response may contain it.
pub(crate) const SECRET_NAME: &str = "name-of-the-secret";

/// The value of `propify-signature` for this content.
pub(crate) fn signature(content: &[u8]) -> String {
    signature_with(SECRET, content)
}

/// The hexadecimal HMAC-SHA256 of this content under this secret.
pub(crate) fn signature_with(secret: &str, content: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(content);
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests compute their own tags, and no attacker times them"
    )]
    let tag = mac.finalize().into_bytes();
    hex::encode(tag)
}

/// The SHA-256 digest of bytes. It compares large content.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn the_tests_own_signatures_are_those_of_the_contract() {
    assert_eq!(
        signature(crate::support::FIXTURE),
        "9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d"
    );
    assert_eq!(signature(b""), "3b6f911f5873cd7e2a4ed25f1db12b93a8141a99a9ec0eecbb88f5218d03c53d");
}
