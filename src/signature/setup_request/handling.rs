//! Pure. The set-up requests that a verifier handles.

use std::fmt;

use super::SetupRequest;
use crate::signature::challenge::{Answer, Answers};
use crate::signature::claim::Context;
use crate::signature::form;
use crate::signature::permit::Permit;
use crate::signature::signable::Fields;
use crate::signature::verifier::Verifier;

/// How a set-up request is handled.
#[derive(Debug)]
pub enum Handled {
    /// The gateway answers.
    Answered(Answer),
    /// The app answers. The operator permits that it gets the request, which is not verified.
    Forwarded(Permit),
}

impl Verifier {
    /// Makes this verifier let the app answer the unsigned requests of its scheme, as well as the signed
    /// ones.
    #[must_use]
    pub fn forwarding_unsigned(self, permit: Permit) -> Self {
        Self { answers: Answers::Unsigned(permit), ..self }
    }

    /// Whether a request has no signature.
    pub(crate) fn is_unsigned(&self, fields: &impl Fields, target: &[u8]) -> bool {
        if let Some(name) = &self.scheme.parameter {
            return form::parameters(form::query(target), name).next().is_none();
        }
        !self.scheme.signature_names().any(|name| fields.values(name).next().is_some())
    }

    /// Whether the head is that of an unsigned request that the verifier handles. If so, the content decides
    /// ([`Self::set_up`]).
    #[must_use]
    pub fn may_set_up<F: Fields>(&self, context: &Context<'_, F>) -> bool {
        let handles = |setup: &SetupRequest| match &self.answers {
            Answers::Nothing => false,
            Answers::Challenges(_) => setup.reply.is_some(),
            Answers::Unsigned(_) => true,
        };
        let is_one = || {
            self.scheme
                .setup
                .iter()
                .any(|setup| handles(setup) && setup.has_head(context.method, context.fields))
        };
        let forwards = matches!(self.answers, Answers::Unsigned(_));
        (is_one() || (forwards && self.is_query(context))) && self.is_unsigned(context.fields, context.target)
    }

    /// How the verifier handles an unsigned request. `None` if the request is no set-up request, or one that
    /// the operator does not want to be handled.
    #[must_use]
    pub fn set_up<F: Fields>(&self, context: &Context<'_, F>, content: &[u8]) -> Option<Handled> {
        if !self.may_set_up(context) {
            return None;
        }
        let mut all = self.set_ups(context, content);
        match &self.answers {
            Answers::Nothing => None,
            Answers::Challenges(_) => self.answer_set_up(context, content).map(Handled::Answered),
            Answers::Unsigned(permit) => {
                let is_one = all.next().is_some() || (content.is_empty() && self.is_query(context));
                is_one.then_some(Handled::Forwarded(*permit))
            }
        }
    }

    /// Whether the head is that of an unsigned request that has an answer, whatever the verifier is
    /// configured to answer. If so, the content decides ([`Self::answer_set_up`]).
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "only the layer asks"))]
    pub(crate) fn may_answer_set_up<F: Fields>(&self, context: &Context<'_, F>) -> bool {
        let is_one =
            |setup: &SetupRequest| setup.reply.is_some() && setup.has_head(context.method, context.fields);
        self.scheme.setup.iter().any(is_one) && self.is_unsigned(context.fields, context.target)
    }

    /// The answer to a set-up request, whatever the verifier is configured to answer. `None` if the request
    /// is no set-up request, or has no answer.
    pub(crate) fn answer_set_up<F: Fields>(
        &self,
        context: &Context<'_, F>,
        content: &[u8],
    ) -> Option<Answer> {
        if !self.is_unsigned(context.fields, context.target) {
            return None;
        }
        self.set_ups(context, content).find_map(|setup| setup.answer(context.fields))
    }

    /// The scheme's set-up requests with this head and this content.
    fn set_ups<F: Fields>(
        &self,
        context: &Context<'_, F>,
        content: &[u8],
    ) -> impl Iterator<Item = &SetupRequest> {
        let setups = self.scheme.setup.iter();
        setups.filter(|setup| setup.has_head(context.method, context.fields) && setup.has_content(content))
    }

    /// For the log: the set-up request that a refused request is or may be, and the key that handles it.
    #[must_use]
    pub fn explain_unsigned<F: Fields>(&self, context: &Context<'_, F>) -> Option<String> {
        if matches!(self.answers, Answers::Unsigned(_)) || !self.is_unsigned(context.fields, context.target) {
            return None;
        }
        let answers = matches!(self.answers, Answers::Challenges(_));
        if !answers && self.is_query(context) {
            let challenge = self.scheme.challenge.as_ref()?;
            return Some(explained(ITS, challenge, true));
        }
        let handled = |setup: &&SetupRequest| answers && setup.reply.is_some();
        let setup = self
            .scheme
            .setup
            .iter()
            .find(|setup| setup.has_head(context.method, context.fields) && !handled(setup))?;
        let whose = if setup.members.is_empty() { ITS } else { PERHAPS };
        Some(explained(whose, setup, setup.reply.is_some()))
    }

    /// Whether a request is a challenge in the query of an unsigned GET.
    fn is_query<F: Fields>(&self, context: &Context<'_, F>) -> bool {
        let challenge = self.scheme.challenge.as_ref();
        context.method == "GET"
            && challenge.is_some_and(|challenge| challenge.in_query(form::query(context.target)).is_some())
    }
}

const ITS: &str = "the sender's set-up request";
const PERHAPS: &str = "perhaps the sender's set-up request";

fn explained(whose: &str, request: &impl fmt::Display, has_answer: bool) -> String {
    let key = match has_answer {
        true => "`challenge = \"answer\"` in `signature` answers it",
        false => "`challenge = \"forward-unsigned\"` in `signature` lets the app answer it",
    };
    format!("{whose}, {request}: {key}")
}
