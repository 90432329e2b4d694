//! Pure. The challenges that a verifier answers itself.

use super::{Answer, Answers, WrongToken};
use crate::signature::algorithm::Algorithm;
use crate::signature::claim::Context;
use crate::signature::form;
use crate::signature::mac::Keyed;
use crate::signature::secret::Key;
use crate::signature::signable::Fields;
use crate::signature::tag::Tag;
use crate::signature::verification::AuthenticRequest;
use crate::signature::verifier::Verifier;

impl Verifier {
    /// Makes this verifier answer its scheme's challenges as well. If the scheme has a token, a challenge
    /// must have `token`.
    #[must_use]
    pub fn answering(self, token: Option<&Key>) -> Self {
        let token = token.and_then(|token| Keyed::new(Algorithm::Token, token).ok());
        Self { answers: Answers::Challenges(token), ..self }
    }

    /// Whether the verifier answers challenges itself.
    #[must_use]
    pub fn answers(&self) -> bool {
        matches!(self.answers, Answers::Challenges(_)) && self.scheme.challenge.is_some()
    }

    /// The answer to an authentic request, if the request is a challenge that the verifier answers.
    #[must_use]
    pub fn answer<H>(&self, request: &AuthenticRequest<H>) -> Option<Answer> {
        if self.answers() { self.answer_to(request) } else { None }
    }

    /// Like [`Self::answer`], whatever the verifier is configured to answer.
    pub(crate) fn answer_to<H>(&self, request: &AuthenticRequest<H>) -> Option<Answer> {
        let challenge = self.scheme.challenge.as_ref()?;
        let value = challenge.in_content(request.content())?;
        let key = self.keys.iter().find(|key| key.name == *request.secret());
        challenge.answer(value.as_ref(), key.map(|key| &key.mac))
    }

    /// Whether an authentic request is a challenge of its scheme. A challenge needs an answer immediately, by
    /// the verifier or by the app.
    #[must_use]
    pub fn is_challenge<H>(&self, request: &AuthenticRequest<H>) -> bool {
        self.scheme
            .challenge
            .as_ref()
            .is_some_and(|challenge| challenge.in_content(request.content()).is_some())
    }

    /// The answer to an unsigned request without content. `None` if the request is not a challenge that the
    /// verifier answers.
    ///
    /// # Errors
    /// [`WrongToken`]
    pub fn answer_unsigned<F: Fields>(&self, context: &Context<'_, F>) -> Option<Result<Answer, WrongToken>> {
        match &self.answers {
            Answers::Challenges(expected) => self.answer_unsigned_with(expected.as_ref(), context),
            Answers::Nothing | Answers::Unsigned(_) => None,
        }
    }

    /// Like [`Self::answer_unsigned`], with this token, whatever the verifier is configured to answer.
    pub(crate) fn answer_unsigned_with<F: Fields>(
        &self,
        expected: Option<&Keyed>,
        context: &Context<'_, F>,
    ) -> Option<Result<Answer, WrongToken>> {
        let challenge = self.scheme.challenge.as_ref()?;
        if context.method != "GET" || !self.is_unsigned(context.fields, context.target) {
            return None;
        }
        let (value, token) = challenge.in_query(form::query(context.target))?;
        if challenge.needs_token() {
            let claimed = Tag::of_token(&token).map(Into::into).unwrap_or_default();
            let right = expected.is_some_and(|expected| expected.start(&claimed).verifies(&claimed));
            if !right {
                return Some(Err(WrongToken));
            }
        }
        let key = self.keys.iter().find(|key| key.counts(context.now));
        challenge.answer(Some(&value), key.map(|key| &key.mac)).map(Ok)
    }

    /// Whether the answer to a challenge could be the tag of this content. Such content never verifies.
    pub(crate) fn could_prove(&self, content: &[u8]) -> bool {
        let challenge = self.scheme.challenge.as_ref().filter(|_| self.scheme.content.is_body());
        challenge.is_some_and(|challenge| challenge.could_prove(content))
    }
}
