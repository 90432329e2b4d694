//! Pure. What a refusal means, and what an operator can do about it.

use crate::gateway::reason::Reason;

/// What has happened, in words.
pub(crate) const fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::NoRoute => "No route has the path.",
        Reason::ClientNotAllowed => "The route does not take the client's address.",
        Reason::TooManyFailures => "The client had too many failures.",
        Reason::ClientCertificate => "The client has no certificate that the route takes.",
        Reason::MethodNotAllowed => "The route does not take the method.",
        Reason::SignatureMissing => "There was no signature.",
        Reason::SignatureDuplicate => "There was more than one signature.",
        Reason::SignatureMalformed => "The signature had not the form of the scheme.",
        Reason::TimestampExpired => "The signed time was too far from now.",
        Reason::BodyTooLarge => "The content was larger than the route allows.",
        Reason::BodyTimeout => "The content did not arrive in time.",
        Reason::BodyIncomplete => "The client broke off.",
        Reason::Overloaded => "The memory for unverified requests was used up.",
        Reason::SignatureMismatch => "The signature was not made with a secret of the route.",
        Reason::ModelMismatch => "The signed model is not the route's.",
        Reason::UpstreamUnreachable => "The app could not be reached.",
        Reason::UpstreamFailed => "The app broke off the exchange.",
        Reason::UpstreamTimeout => "The app did not answer in time.",
        Reason::Duplicate => "The event was delivered or stored before.",
        Reason::QueueFull => "The store was full.",
        Reason::QueueUnavailable => "The store failed, or could not be reached.",
    }
}

/// What to do. Commands and keys stand between backticks.
pub(crate) const fn to_do(reason: Reason) -> &'static str {
    match reason {
        Reason::NoRoute => {
            "Compare the URL at the sender with the routes: `hookgate check` lists them. Paths are compared byte for byte."
        }
        Reason::ClientNotAllowed => {
            "If it is the sender: add its network to `allow` of the route. Behind a proxy, set `client_address`."
        }
        Reason::TooManyFailures => {
            "Find the reason of its other refusals. The limit is `max_failures_per_client`."
        }
        Reason::ClientCertificate => {
            "Compare the names in `client_certificate` with those of the sender's certificate."
        }
        Reason::MethodNotAllowed => "Set the method at the sender, or add it to `methods` of the route.",
        Reason::SignatureMissing => {
            "Set a secret at the sender, and check that the route has the sender's scheme. Scanners send no signature, too."
        }
        Reason::SignatureDuplicate => {
            "A proxy may have added the field again. Compare what the sender sends with what arrives."
        }
        Reason::SignatureMalformed => {
            "Check that the route has the sender's scheme: `hookgate schemes NAME` shows its form."
        }
        Reason::TimestampExpired => {
            "Compare the clocks. A late retry of the sender, or a captured event, is refused rightly."
        }
        Reason::BodyTooLarge => "Raise `max_body` of the route, if the sender's events are that large.",
        Reason::BodyTimeout => {
            "The client or the network is slow. The limits are `body_timeout` and `min_body_rate`."
        }
        Reason::BodyIncomplete => "Look at the sender's timeout, and at proxies in between.",
        Reason::Overloaded => {
            "Raise `max_buffered`, or lower `max_body`. Many of these at once may be an attack."
        }
        Reason::SignatureMismatch => {
            "Compare the secret with the sender's: it may have been changed there. A proxy must not change the content."
        }
        Reason::ModelMismatch => {
            "Compare `model` of the route with the events of the sender, or send those events to another URL."
        }
        Reason::UpstreamUnreachable => {
            "Start the app, and compare `upstream` of the route with the app's address."
        }
        Reason::UpstreamFailed => "Look into the app's log at this time.",
        Reason::UpstreamTimeout => {
            "Let the app answer before it works, or store the events: `delivery = \"queue\"`."
        }
        Reason::Duplicate => "Nothing: the sender has got its answer.",
        Reason::QueueFull => {
            "Discard dead letters, or give the store more room: `max_bytes`, `max_queued`, the disk."
        }
        Reason::QueueUnavailable => "Look into the gateway's log: it says why the store fails.",
    }
}
