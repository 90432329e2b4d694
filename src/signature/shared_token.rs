//! Pure. Shared tokens in stored values. A shared token is the key itself, so a stored value contains a mark
//! instead.

use super::algorithm::Algorithm;
use super::field::{Format, basic_credentials};
use super::verifier::Verifier;

/// The byte before and after the name of a secret in a mark. No field value has this byte (RFC 9110, section
/// 5.5).
pub(crate) const MARK: u8 = 0;

impl Verifier {
    /// The value of an authentic request's signature field, with marks instead of shared tokens. `None` if
    /// the scheme has no shared tokens.
    #[must_use]
    pub fn without_tokens(&self, value: &[u8]) -> Option<Vec<u8>> {
        if self.scheme().algorithm != Algorithm::Token {
            return None;
        }
        if self.scheme().notation.format == Format::Basic {
            return Some(self.without_credentials(value));
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

    /// The value with a mark instead of the base64 of its credentials, which has several spellings. White
    /// space and a colon before the value stay, and white space after it.
    fn without_credentials(&self, value: &[u8]) -> Vec<u8> {
        let begin = value.iter().take_while(|byte| b": \t".contains(byte)).count();
        let inner = value.get(begin..).unwrap_or_default().trim_ascii_end();
        let found = basic_credentials(inner).and_then(|(before, credentials)| {
            // The value has verified, so the duration of this comparison tells its sender nothing new.
            let mut keys = self.keys.iter();
            let key = keys.find(|key| key.mac.token().is_some_and(|token| token.expose() == credentials))?;
            let mark = [&[MARK], key.name.as_bytes(), &[MARK]].concat();
            let behind = value.get(begin.saturating_add(inner.len())..)?;
            Some([value.get(..begin.saturating_add(before))?, &mark, behind].concat())
        });
        found.unwrap_or_else(|| value.to_vec())
    }

    /// The value with shared tokens instead of their marks. If a secret is no longer in the configuration,
    /// its mark becomes the token of the first secret. If the scheme has no shared tokens, the mark is
    /// removed.
    #[must_use]
    pub fn with_tokens(&self, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(value.len().saturating_add(64));
        let mut is_name = false;
        for part in value.split(|byte| *byte == MARK) {
            if is_name {
                let named = self.keys.iter().find(|key| key.name.as_bytes() == part);
                let token = named.or(self.keys.first()).and_then(|key| key.mac.token());
                let text = token.map(|token| self.scheme().notation.token_text(token.expose()));
                out.extend_from_slice(&text.unwrap_or_default());
            } else {
                out.extend_from_slice(part);
            }
            is_name = !is_name;
        }
        out
    }
}
