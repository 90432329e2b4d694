//! Pure. The keys with which a new route handles the challenges and set-up requests of a sender.

use crate::signature::challenge::Challenge;
use crate::signature::scheme::Scheme;

/// The value of `challenge`. `None` if the sender has no challenge and no set-up request.
pub(super) fn mode(scheme: &Scheme) -> Option<&'static str> {
    let is_answered = scheme.challenge.is_some() || scheme.setup.iter().any(|setup| setup.reply.is_some());
    if is_answered { Some("answer") } else { scheme.setup.first().map(|_setup| "forward-unsigned") }
}

/// The methods of the route. `None` if they are the default.
pub(super) fn methods(scheme: &Scheme) -> Option<Vec<String>> {
    let mut methods = vec!["POST".to_owned()];
    let get = scheme.challenge.as_ref().filter(|challenge| Challenge::is_unsigned(challenge));
    let setup = scheme.setup.iter().map(|setup| &*setup.method);
    for method in get.map(|_challenge| "GET").into_iter().chain(setup) {
        if !methods.iter().any(|listed| listed == method) {
            methods.push(method.to_owned());
        }
    }
    (methods.len() > 1).then_some(methods)
}
