//! Pure. Checks the schemes of several signatures of one route against each other.

use std::ops::Range;

use crate::config::problem::{Problem, Problems};
use crate::signature::alternatives::Conflict;
use crate::signature::scheme::Scheme;

/// The scheme of a signature, and the signature's place in the file.
pub(crate) type Placed<'s> = (&'s Scheme, Range<usize>);

/// Reports signatures that are not valid together. `true` if there are none.
pub(crate) fn check(all: &[Placed<'_>], problems: &Problems) -> bool {
    let before = problems.len();
    for (index, (scheme, place)) in all.iter().enumerate() {
        let earlier = all.iter().take(index);
        let report = |code, message: String, first: &Range<usize>, help: &str| {
            let problem = Problem::error(code, place.clone(), message);
            problem.related(first.clone(), "here is the other").help(help).report(problems);
        };
        for (of, first) in earlier {
            match scheme.conflict(of) {
                Some(Conflict::SameScheme) => {
                    let message = format!("two signatures of one route have the scheme `{}`", scheme.name);
                    report("duplicate_scheme", message, first, "write one signature with all `secrets`");
                }
                Some(Conflict::TwoTokens) => {
                    let message = "a route has one shared token at most".to_owned();
                    report("duplicate_scheme", message, first, "remove one of them");
                }
                Some(Conflict::ParameterIsLater) => {
                    let message = "a signature in the query must be the first of the list".to_owned();
                    report("hidden_signature", message, first, "list the other signature after this one");
                }
                Some(Conflict::Hidden) => {
                    let message = format!(
                        "every request with the signature field of scheme `{}` is judged by scheme `{}`",
                        scheme.name, of.name
                    );
                    let help = match scheme.mark {
                        Some(_) => "list the other signature after this one",
                        None => "remove one of them: no field distinguishes their requests",
                    };
                    report("hidden_signature", message, first, help);
                }
                None if of.model_pointers != scheme.model_pointers
                    || of.integration_pointers != scheme.integration_pointers =>
                {
                    let message = format!(
                        "the schemes `{}` and `{}` name the model or the integration in different places",
                        of.name, scheme.name
                    );
                    report("different_models", message, first, "give each scheme a path of its own");
                }
                None => {}
            }
        }
    }
    problems.len() == before
}
