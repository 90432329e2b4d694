//! Pure. Shared tokens in stored values. A shared token is the key itself, so a stored value contains a mark
//! instead.

use super::algorithm::Algorithm;
use super::verifier::Verifier;

/// The byte before and after the name of a secret in a mark. No field value has this byte (RFC 9110, section
/// 5.5).
pub(crate) const MARK: u8 = 0;

impl Verifier {
    /// The value of an authentic request's signature field, with marks instead of shared tokens. `None` if the
    /// scheme has no shared tokens.
    #[must_use]
    pub fn without_tokens(&self, value: &[u8]) -> Option<Vec<u8>> {
        if self.scheme().algorithm != Algorithm::Token {
            return None;
        }
        let mut out = Vec::with_capacity(value.len());
        let mut rest = value;
        while let Some((first, behind)) = rest.split_first() {
            // The value has verified, so the duration of this comparison tells its sender nothing new.
            let tokens = self.keys.iter().filter_map(|key| Some((&key.name, key.mac.token()?.expose())));
            let here = tokens.filter(|(_, token)| !token.is_empty() && rest.starts_with(token));
            match here.max_by_key(|(_, token)| token.len()) {
                Some((name, token)) => {
                    out.extend_from_slice(&[&[MARK], name.as_bytes(), &[MARK]].concat());
                    rest = rest.get(token.len()..).unwrap_or_default();
                }
                None => {
                    out.push(*first);
                    rest = behind;
                }
            }
        }
        Some(out)
    }

    /// The value with shared tokens instead of their marks. If a secret is no longer in the configuration, its
    /// mark becomes the token of the first secret. If the scheme has no shared tokens, the mark is removed.
    #[must_use]
    pub fn with_tokens(&self, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(value.len().saturating_add(64));
        let mut is_name = false;
        for part in value.split(|byte| *byte == MARK) {
            if is_name {
                let named = self.keys.iter().find(|key| key.name.as_bytes() == part);
                let token = named.or(self.keys.first()).and_then(|key| key.mac.token());
                out.extend_from_slice(token.map(|token| token.expose()).unwrap_or_default());
            } else {
                out.extend_from_slice(part);
            }
            is_name = !is_name;
        }
        out
    }
}
