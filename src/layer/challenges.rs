//! Pure. The challenges that the layer answers in place of the service.

use std::sync::Arc;

use http_body::Body;

use crate::signature::algorithm::Algorithm;
use crate::signature::challenge::{Answer, LARGEST};
use crate::signature::mac::Keyed;
use crate::signature::secret::Key;
use crate::signature::{AuthenticRequest, Context, Fields, Verifier};

/// Which challenges are answered.
#[derive(Clone, Debug, Default)]
pub(super) enum Challenges {
    /// None.
    #[default]
    Nothing,
    /// The challenges of the scheme. If they have a token: only challenges with this token.
    Answered(Option<Arc<Keyed>>),
}

impl Challenges {
    /// All challenges that need no token.
    pub(super) fn all() -> Self {
        Self::Answered(None)
    }

    /// Like [`Self::all`], and challenges with this token. An empty token is no token, because any client
    /// could send it.
    pub(super) fn with(token: Vec<u8>) -> Self {
        let token = Some(Key::new(token)).filter(|token| !token.is_empty());
        let token = token.and_then(|token| Keyed::new(Algorithm::Token, &token).ok());
        Self::Answered(token.map(Arc::new))
    }

    /// The answer to an unsigned request without content.
    pub(super) fn answer_unsigned<F: Fields, B: Body>(
        &self,
        verifier: &Verifier,
        context: &Context<'_, F>,
        body: &B,
    ) -> Option<Answer> {
        let Self::Answered(token) = self else { return None };
        if !body.is_end_stream() && body.size_hint().exact() != Some(0) {
            return None;
        }
        let answer = |one: &Verifier| one.answer_unsigned_with(token.as_deref(), context);
        verifier.all().find_map(answer).and_then(Result::ok)
    }

    /// The most bytes of content of an unsigned request that may be a set-up request with an answer. `None`
    /// if the head is not that of such a request.
    pub(super) fn set_up_limit<F: Fields>(
        &self,
        verifier: &Verifier,
        context: &Context<'_, F>,
    ) -> Option<usize> {
        let Self::Answered(_) = self else { return None };
        verifier.all().any(|one| one.may_answer_set_up(context)).then_some(LARGEST)
    }

    /// The answer to an authentic request, if it is a challenge.
    pub(super) fn answer<H>(&self, request: &AuthenticRequest<'_, H>) -> Option<Answer> {
        match self {
            Self::Nothing => None,
            Self::Answered(_) => request.verifier().answer_to(request),
        }
    }
}
