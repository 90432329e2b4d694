//! Pure. The keys of `assertion` of `[forward]`.

use crate::config::key_description::{Key, Value};
use crate::config::keys::forms::words;
use crate::signature::message_signature::MessageAlgorithm;
use crate::signature::secret::SecretEncoding;

/// `assertion` of `[forward]`
pub(crate) const ASSERTION: &[Key] = &[
    Key::new("key", Value::TableWithOne { keys: ASSERTION_KEY, of: &["env", "file", "value"] })
        .required()
        .about("The key of the signatures, which signs nothing else."),
    Key::new("algorithm", Value::Word(|| words(&MessageAlgorithm::ALL))).or("\"hmac-sha256\"").about(
        "hmac-sha256: the app has the same key. ed25519: the app has the public key, and cannot sign. The key is \
         then a file of openssl genpkey -algorithm ed25519.",
    ),
    Key::new("key_id", Value::Text("^[!#-\\[\\]-~]{1,128}$"))
        .or("\"hookgate\"")
        .about("The name of the key, by which an app chooses the key that it verifies with."),
    Key::new("expires", Value::Duration)
        .or("\"5m\"")
        .about("How long a signature is valid, in whole seconds. A stored event is signed at each delivery."),
];

/// `key` of `assertion`
pub(crate) const ASSERTION_KEY: &[Key] = &[
    Key::new("env", Value::Text("^[A-Za-z_][A-Za-z0-9_]*$"))
        .about("The environment variable that contains the key."),
    Key::new("file", Value::Text("."))
        .about("The file that contains the key. A relative path begins at gateway.toml's folder."),
    Key::new("value", Value::Text(".")).about("The key itself, for tests only."),
    Key::new("encoding", Value::Word(|| words(&SecretEncoding::ALL)))
        .or("\"utf8\"")
        .about("The encoding of the key's bytes in the text, for hmac-sha256."),
];
