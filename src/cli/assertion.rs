//! Pure. How the gateway signs the requests that it forwards, for `hookgate check`.

use serde_json::{Value, json};

use crate::config::Config;
use crate::config::size_and_duration::write_duration;

/// A line on the signatures, and a line with the public key for the apps.
pub(super) fn lines(config: &Config) -> Vec<String> {
    let Some(signer) = &config.forward.assertion else { return Vec::new() };
    let (algorithm, key_id, expires) =
        (signer.key.algorithm(), &signer.key_id, write_duration(signer.valid_for));
    let what = format!(
        "assertion: verified requests are signed with {}, key `{key_id}`, valid for {expires} (docs/assertion.md)",
        algorithm.name()
    );
    let public =
        signer.key.public_key().map(|key| format!("assertion: the public key of `{key_id}` is {key}"));
    [what].into_iter().chain(public).collect()
}

/// A document on the signatures. `null` if there are none.
pub(super) fn document(config: &Config) -> Value {
    config.forward.assertion.as_ref().map_or(Value::Null, |signer| {
        json!({
            "algorithm": signer.key.algorithm().name(),
            "key_id": signer.key_id,
            "expires_s": signer.valid_for.as_secs(),
            "public_key": signer.key.public_key(),
        })
    })
}
