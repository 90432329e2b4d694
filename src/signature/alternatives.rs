//! Pure. Several signatures on one route: which of them judges a request.
//!
//! A sender that changes its signature sends requests of two kinds for a while. The operator lists the
//! signatures in an order. The first signature whose field a request has judges the request, alone: a request
//! that this signature refuses is refused, even if another signature would accept it.

use std::sync::Arc;

use super::algorithm::Algorithm;
use super::challenge::Challenge;
use super::scheme::Scheme;
use super::signable::Fields;
use super::verifier::Verifier;

/// The most signatures of a route.
pub const MOST_SIGNATURES: usize = 4;

/// Why a signature cannot come after another one of the same route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Both have the same scheme.
    SameScheme,
    /// Both are shared tokens.
    TwoTokens,
    /// The later signature is in the query. Only a first signature can be there.
    ParameterIsLater,
    /// The earlier signature judges every request with the field of the later one.
    Hidden,
}

impl Verifier {
    /// Adds further signatures of the same route, in the operator's order. They have no further signatures of
    /// their own.
    #[must_use]
    pub fn before(self, others: Vec<Arc<Self>>) -> Self {
        Self { others, ..self }
    }

    /// This signature, and the further signatures of its route.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.others.iter().map(|other| &**other))
    }

    /// The signature that judges a request with these fields: the first whose field is there. If there is
    /// none, the first.
    pub fn judge(&self, fields: &impl Fields) -> &Self {
        if self.others.is_empty() {
            return self;
        }
        self.all().find(|one| one.scheme.is_claimed(fields)).unwrap_or(self)
    }

    /// Like [`Self::judge`], as a shared value.
    #[must_use]
    pub fn shared_judge(this: &Arc<Self>, fields: &impl Fields) -> Arc<Self> {
        let judge = this.judge(fields);
        let other = this.others.iter().find(|other| std::ptr::eq(&***other, judge));
        Arc::clone(other.unwrap_or(this))
    }

    /// The signature with a secret of this name. If there is none, the first.
    #[must_use]
    pub fn with_secret(this: &Arc<Self>, secret: Option<&str>) -> Arc<Self> {
        let has = |one: &Self| one.secret_names().any(|name| Some(&**name) == secret);
        let other = this.others.iter().find(|other| has(other)).filter(|_| !has(this));
        Arc::clone(other.unwrap_or(this))
    }

    /// The signature with the scheme of this name. If there is none, the first.
    #[must_use]
    pub fn of_scheme(&self, scheme: &str) -> &Self {
        self.all().find(|one| one.scheme.name == scheme).unwrap_or(self)
    }

    /// The signature that is a shared token, if there is one.
    pub(crate) fn of_token(&self) -> Option<&Self> {
        self.all().find(|one| one.scheme.algorithm == Algorithm::Token)
    }
}

impl Scheme {
    /// Whether a request with these fields claims to be signed by this scheme: a signature field is there,
    /// and the scheme's mark if it has one.
    fn is_claimed(&self, fields: &impl Fields) -> bool {
        let has = |name: &str| fields.values(name).next().is_some();
        self.signature_names().any(has) && self.mark.as_deref().is_none_or(has)
    }

    /// Whether two schemes with the same key are unsafe together: a signature of one scheme could be a
    /// signature of the other scheme, over other content. This is so if the algorithm is the same and the
    /// signed texts differ in form. The answer to a challenge can also be a signature.
    pub(crate) fn could_be_taken_for(&self, other: &Self) -> bool {
        let has_text = self.algorithm == other.algorithm && self.algorithm != Algorithm::Token;
        let proves = |one: &Self| one.challenge.as_ref().is_some_and(Challenge::proves);
        has_text && (self.content != other.content || proves(self) || proves(other))
    }

    /// Like [`Self::could_be_taken_for`], for the schemes of two different routes. Two routes may have the
    /// same scheme: then a signature for one route is valid on the other for the same content only. If both
    /// schemes sign the URL, a signature belongs to one route.
    pub(crate) fn could_be_taken_elsewhere_for(&self, other: &Self) -> bool {
        let sign_url = self.signs_url() && other.signs_url();
        self.name != other.name && !sign_url && self.could_be_taken_for(other)
    }

    /// Why the signature of this scheme cannot come after the signature of an `earlier` scheme. `None` if it
    /// can.
    pub(crate) fn conflict(&self, earlier: &Self) -> Option<Conflict> {
        if earlier.name == self.name {
            Some(Conflict::SameScheme)
        } else if earlier.algorithm == Algorithm::Token && self.algorithm == Algorithm::Token {
            Some(Conflict::TwoTokens)
        } else if self.parameter.is_some() {
            Some(Conflict::ParameterIsLater)
        } else if earlier.hides(self) {
            Some(Conflict::Hidden)
        } else {
            None
        }
    }

    /// Whether every request that claims to be signed by the other scheme also claims to be signed by this
    /// scheme. Then the other scheme judges no request if it comes later.
    fn hides(&self, other: &Self) -> bool {
        let is_marked_alike = self.mark.is_none() || self.mark == other.mark;
        is_marked_alike && other.signature_names().all(|name| self.signature_names().any(|own| own == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::secret::{Key, Secret};
    use crate::signature::tests::Lines;

    fn verifier(scheme: &str, secret: &str) -> Verifier {
        let secret = Secret { name: secret.into(), key: Key::new("a key".into()), not_after: None };
        Verifier::new(Scheme::preset(scheme).unwrap().clone(), vec![secret]).unwrap()
    }

    #[test]
    fn the_first_signature_whose_field_is_there_judges_whatever_the_value_is() {
        let all = verifier("twilio-shared-key", "shared")
            .before(vec![Arc::new(verifier("gitlab", "token")), Arc::new(verifier("twilio", "old"))]);
        for (fields, want) in [
            (vec![], "twilio-shared-key"),
            (vec!["x-twilio-signature"], "twilio"),
            (vec!["x-gitlab-token", "x-twilio-signature"], "gitlab"),
            (vec!["x-twilio-webhooks-signature-settings"], "twilio-shared-key"),
            (vec!["x-twilio-webhooks-signature-settings", "x-gitlab-token"], "gitlab"),
            (
                vec!["x-gitlab-token", "x-twilio-signature", "x-twilio-webhooks-signature-settings"],
                "twilio-shared-key",
            ),
        ] {
            let lines = Lines(fields.iter().map(|name| (*name, b"?".to_vec())).collect());
            assert_eq!(all.judge(&lines).scheme().name, want, "{fields:?}");
        }
        assert_eq!(all.of_scheme("gitlab").scheme().name, "gitlab");
        assert_eq!(all.of_scheme("github").scheme().name, "twilio-shared-key");
        let all = Arc::new(all);
        assert_eq!(Verifier::with_secret(&all, Some("old")).scheme().name, "twilio");
        assert_eq!(Verifier::with_secret(&all, None).scheme().name, "twilio-shared-key");
    }
}
