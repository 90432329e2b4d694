//! Pure. The schemes that ship with hookgate, as data: one row for each sender, and no code.

mod other_names;
mod row;
mod rows;

use std::sync::LazyLock;

use super::scheme::Scheme;
use row::Row;
use rows::rows;

/// Every scheme that ships with hookgate.
pub static PRESETS: LazyLock<Vec<Scheme>> = LazyLock::new(|| rows().into_iter().map(Row::scheme).collect());

/// A sender whose rule for signing cannot be expressed as a scheme.
#[derive(Clone, Copy, Debug)]
pub struct Inexpressible {
    /// The names by which an operator may ask for a scheme of this sender, in lower case.
    pub names: &'static [&'static str],
    /// The sender's usual name.
    pub sender: &'static str,
    /// The URL of the sender's documentation. Empty if the documentation no longer exists.
    pub documentation: &'static str,
    /// Why no scheme can express the rule.
    pub reason: &'static str,
}

/// The known senders whose rule for signing cannot be expressed as a scheme.
pub const INEXPRESSIBLE: &[Inexpressible] = &[
    Inexpressible {
        names: &["paypal"],
        sender: "PayPal",
        documentation: "https://developer.paypal.com/api/rest/webhooks/rest/",
        reason: "signs a CRC of the body, with a certificate that the verifier must download",
    },
    Inexpressible {
        names: &["plaid"],
        sender: "Plaid",
        documentation: "https://plaid.com/docs/api/webhooks/webhook-verification/",
        reason: "sends a JWT whose key the verifier must download with the client's credentials",
    },
    Inexpressible {
        names: &["sns", "amazon-sns", "aws-sns", "aws"],
        sender: "Amazon SNS",
        documentation: "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
        reason: "signs values of the JSON body, with a certificate that the verifier must download",
    },
    Inexpressible {
        names: &["hubspot-v1", "hubspot-v2"],
        sender: "HubSpot, versions 1 and 2",
        documentation: "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
        reason: "sends a bare SHA-256 of secret and content, which is no MAC; version 3 is the scheme hubspot",
    },
    Inexpressible {
        names: &["paddle-classic"],
        sender: "Paddle Classic",
        documentation: "",
        reason: "signs form fields with RSA, as PHP serialises them; Paddle Billing is the scheme paddle",
    },
    Inexpressible {
        names: &["adyen"],
        sender: "Adyen (payments)",
        documentation: "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
        reason: "signs only eight values of the JSON body, so a client can change all others; Adyen's other webhooks are the scheme adyen-platform",
    },
    Inexpressible {
        names: &["apple", "app-store", "apple-app-store"],
        sender: "Apple App Store",
        documentation: "https://developer.apple.com/documentation/appstoreservernotifications/signedpayload",
        reason: "sends the event as a JWS within the JSON body, with a chain of certificates",
    },
    Inexpressible {
        names: &["braintree"],
        sender: "Braintree",
        documentation: "https://github.com/braintree/braintree_node/blob/master/lib/braintree/webhook_notification_gateway.js",
        reason: "signs a form's value, and the key is a SHA-1 of the private key",
    },
    Inexpressible {
        names: &["contentful"],
        sender: "Contentful",
        documentation: "https://www.contentful.com/developers/docs/extensibility/webhooks/request-verification",
        reason: "signs the fields that a further field of the request names",
    },
    Inexpressible {
        names: &["pubsub", "google-pubsub", "gcp-pubsub", "google-cloud-pubsub"],
        sender: "Google Cloud Pub/Sub",
        documentation: "https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions",
        reason: "sends a JWT that does not cover the body, and whose key the verifier must download",
    },
    Inexpressible {
        names: &["bridge"],
        sender: "Bridge",
        documentation: "https://apidocs.bridge.xyz/platform/additional-information/webhooks/signature",
        reason: "signs the SHA-256 of time and body, and hashes the digest once more",
    },
    Inexpressible {
        names: &["figma"],
        sender: "Figma",
        documentation: "https://developers.figma.com/docs/rest-api/webhooks-security",
        reason: "signs nothing, and sends a passcode within the JSON body",
    },
    Inexpressible {
        names: &["mailgun"],
        sender: "Mailgun",
        documentation: "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
        reason: "signs only a time and a random token in the JSON body, and nothing of the event",
    },
    Inexpressible {
        names: &["plivo"],
        sender: "Plivo",
        documentation: "https://github.com/plivo/plivo-python/blob/master/plivo/utils/signature_v3.py",
        reason: "signs the sorted parameters of query and form, and a nonce after the form with nothing between them, so a client can move characters from one to the other",
    },
    Inexpressible {
        names: &["vonage-sms", "nexmo"],
        sender: "Vonage SMS",
        documentation: "https://github.com/Vonage/vonage-ruby-sdk/pull/291",
        reason: "signs the sorted parameters without the one that has the signature; Vonage's other webhooks are the scheme vonage",
    },
    Inexpressible {
        names: &["mailchimp"],
        sender: "Mailchimp (audiences)",
        documentation: "https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/",
        reason: "signs nothing; Mailchimp Transactional is the scheme mandrill",
    },
    Inexpressible {
        names: &["graph", "microsoft-graph", "ms-graph"],
        sender: "Microsoft Graph",
        documentation: "https://learn.microsoft.com/en-us/graph/api/resources/changenotificationcollection",
        reason: "signs nothing, and sends JWTs in the body only if the event has the data of a resource",
    },
];

impl Inexpressible {
    /// The sender that an operator means by this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        let name = name.to_ascii_lowercase();
        INEXPRESSIBLE.iter().find(|sender| sender.names.contains(&&*name))
    }

    /// What to do instead.
    #[must_use]
    pub fn advice(&self) -> String {
        let verify = "let the app verify this sender's events, on a path that does not pass through a route";
        match self.documentation {
            "" => verify.to_owned(),
            documentation => format!("{verify}: see {documentation}"),
        }
    }
}

impl Scheme {
    /// The shipped scheme with this name.
    #[must_use]
    pub fn preset(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|scheme| scheme.name == name)
    }

    /// The name of the shipped scheme that is meant by another name of its sender, such as `whatsapp`.
    pub(crate) fn meant_by(name: &str) -> Option<&'static str> {
        other_names::meant(name, PRESETS.iter().map(|scheme| &*scheme.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::scheme::SecretOrigin::{Chosen, Given};
    use crate::signature::scheme::Source;

    #[test]
    fn a_sender_without_a_scheme_has_names_of_its_own() {
        for sender in INEXPRESSIBLE {
            for name in sender.names {
                assert_eq!(Inexpressible::named(&name.to_uppercase()).unwrap().sender, sender.sender);
                assert!(Scheme::preset(name).is_none(), "{name}");
            }
            assert!(!sender.names.is_empty(), "{}", sender.sender);
        }
        assert!(Inexpressible::named("stripe").is_none());
    }

    #[test]
    fn every_preset_goes_together_and_has_a_name_of_its_own() {
        for (index, scheme) in PRESETS.iter().enumerate() {
            assert_eq!(scheme.fault(), None, "{}", scheme.name);
            let first = PRESETS.iter().position(|other| other.name == scheme.name);
            assert_eq!(first, Some(index), "{} is there twice", scheme.name);
            let Source::Shipped { secret: Chosen(place) | Given(place), .. } = scheme.source else {
                panic!()
            };
            assert!(!place.is_empty() && !place.ends_with('.'), "{} has a secret", scheme.name);
            for field in scheme.fields() {
                assert_eq!(http::HeaderName::try_from(field).unwrap().as_str(), field, "{}", scheme.name);
            }
            for pointer in scheme.model_pointers.iter().chain(&scheme.integration_pointers) {
                assert!(pointer.starts_with('/'), "{pointer}");
            }
        }
    }

    #[test]
    fn another_name_of_a_sender_means_its_scheme() {
        for (name, want) in [
            ("facebook", "meta"),
            ("WhatsApp", "meta"),
            ("whatsapp-business", "meta"),
            ("instagram", "meta"),
            ("twitter", "x"),
            ("X", "x"),
            ("GitHub", "github"),
            ("Git Hub", "github"),
            ("github.com", "github"),
            ("api.github.com", "github"),
            ("github-enterprise", "github"),
            ("forgejo", "gitea"),
            ("lemonsqueezy", "lemon-squeezy"),
            ("customer.io", "customer-io"),
            ("ms-teams", "microsoft-teams"),
            ("standard_webhooks", "standard-webhooks"),
        ] {
            assert_eq!(Scheme::meant_by(name), Some(want), "{name}");
        }
        for name in ["github", "x", "nonesuch", "", "com", "..", "webhook"] {
            assert_eq!(Scheme::meant_by(name), None, "{name}");
        }
    }

    #[test]
    fn each_other_name_leads_to_a_scheme_and_is_none() {
        for (names, scheme) in other_names::OTHER_NAMES {
            assert!(Scheme::preset(scheme).is_some(), "{scheme}");
            for name in *names {
                assert_eq!(other_names::letters(name), *name);
                assert!(Scheme::preset(name).is_none() && Inexpressible::named(name).is_none(), "{name}");
            }
        }
    }
}
