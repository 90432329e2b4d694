//! Pure. The rows of all senders that hookgate knows. Each names the documentation of the sender's rule.

use super::row::{Row, content_challenge, field_time, json, key_time, list, plain, query_challenge};
use crate::signature::algorithm::Algorithm;
use crate::signature::challenge::{Expected, Insert, Reply};
use crate::signature::field::{Encoding, Separator};
use crate::signature::scheme::SecretOrigin::{Chosen, Given};
use crate::signature::scheme::{Acknowledgment, AnswerUse, Redelivery};
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

/// The defaults of a row: HMAC-SHA256 of the body, in hexadecimal, keyed with the secret's text.
fn usual() -> Row {
    Row {
        name: "",
        sender: "",
        field: "",
        other_fields: &[],
        algorithm: Algorithm::HmacSha256,
        format: plain(""),
        encoding: Encoding::Hex,
        secret: SecretEncoding::Utf8,
        content: "{body}",
        time: None,
        id: None,
        model: &[],
        integration: &[],
        challenge: None,
        answer_use: AnswerUse::Never,
        acknowledgment: Acknowledgment::Accepted,
        redelivery: Redelivery::Some,
        documentation: "",
        confirmed: true,
        note: "",
        origin: Given(""),
    }
}

/// The rule of Standard Webhooks. Many senders follow it.
fn standard_webhooks() -> Row {
    Row {
        field: "webhook-signature",
        format: list(Separator::Space, ',', "v1"),
        encoding: Encoding::Base64,
        secret: SecretEncoding::Base64,
        content: "{id}.{timestamp}.{body}",
        time: field_time("webhook-timestamp", Unit::Seconds, 300),
        id: Some("webhook-id"),
        ..usual()
    }
}

/// The rule of Standard Webhooks with Svix's field names.
fn svix() -> Row {
    Row {
        field: "svix-signature",
        time: field_time("svix-timestamp", Unit::Seconds, 300),
        id: Some("svix-id"),
        note: "Standard Webhooks under Svix's field names",
        ..standard_webhooks()
    }
}

/// Every sender, in the order of `hookgate schemes`.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "propify",
            sender: "Propify",
            field: "propify-signature",
            model: &["/meta/object", "/data/object"],
            integration: &["/meta/integration_id", "/data/integration_id"],
            documentation: "Propify, webhooks: hex HMAC-SHA256 of the raw body in `propify-signature`",
            origin: Given("the secret of the integration, in its webhook settings"),
            ..usual()
        },
        Row {
            name: "propexo",
            sender: "Propexo",
            field: "propexo-signature",
            model: &["/meta/object", "/data/object"],
            integration: &["/meta/integration_id", "/data/integration_id"],
            documentation: "Propexo (Propify under its other name), webhooks",
            origin: Given("the secret of the integration, in its webhook settings"),
            ..usual()
        },
        Row {
            name: "github",
            sender: "GitHub",
            field: "x-hub-signature-256",
            format: plain("sha256="),
            redelivery: Redelivery::Never,
            documentation: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
            note: "its older `x-hub-signature` (SHA-1) comes beside it, and is not looked at",
            origin: Chosen("the field Secret of the webhook (Settings, Webhooks)"),
            ..usual()
        },
        Row {
            name: "gitlab",
            sender: "GitLab",
            field: "x-gitlab-token",
            algorithm: Algorithm::Token,
            documentation: "https://docs.gitlab.com/user/project/integrations/webhooks/",
            note: "a shared token: it does not cover the body, and a program that sees one request can make others",
            origin: Chosen("the field Secret token of the webhook (Settings, Webhooks)"),
            ..usual()
        },
        Row {
            name: "gitlab-signed",
            sender: "GitLab (signing token)",
            documentation: "https://docs.gitlab.com/user/project/integrations/webhooks/",
            note: "GitLab's newer signing token, `whsec_...`: Standard Webhooks",
            origin: Given("the signing token of the webhook (Settings, Webhooks)"),
            ..standard_webhooks()
        },
        Row {
            name: "stripe",
            sender: "Stripe",
            field: "stripe-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Seconds, 300),
            documentation: "https://docs.stripe.com/webhooks/signature",
            note: "the key is the whole text of the secret, `whsec_` and all",
            origin: Given("the signing secret of the endpoint (Developers, Webhooks)"),
            ..usual()
        },
        Row {
            name: "slack",
            sender: "Slack",
            field: "x-slack-signature",
            format: plain("v0="),
            content: "v0:{timestamp}:{body}",
            time: field_time("x-slack-request-timestamp", Unit::Seconds, 300),
            challenge: content_challenge(
                [("/type", Expected::Text("url_verification".into()))],
                Some("/challenge"),
                Reply::Text(Insert::Value),
            ),
            // Slack signs slash commands and interactions in the same way as events, and uses the answers to
            // them.
            answer_use: AnswerUse::Sometimes,
            documentation: "https://docs.slack.dev/authentication/verifying-requests-from-slack/",
            origin: Given("the Signing Secret of the app (Basic Information, App Credentials)"),
            ..usual()
        },
        Row {
            name: "shopify",
            sender: "Shopify",
            field: "x-shopify-hmac-sha256",
            encoding: Encoding::Base64,
            documentation: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
            note: "the key is the app's API secret key; what other fields say is not signed",
            origin: Given("the app's API secret key, or the key under Settings, Notifications, Webhooks"),
            ..usual()
        },
        Row {
            name: "twilio",
            sender: "Twilio",
            field: "x-twilio-signature",
            algorithm: Algorithm::HmacSha1,
            encoding: Encoding::Base64,
            content: "{url}{form}",
            // Twilio uses the TwiML in the answer to a call or a message.
            answer_use: AnswerUse::Always,
            documentation: "https://www.twilio.com/docs/usage/webhooks/webhooks-security",
            note: "forms; the key is the auth token; the URL must be the one at Twilio, port and all; where a name ends and its value begins is not signed",
            origin: Given("the Auth Token of the account (Console, Account Info)"),
            ..usual()
        },
        Row {
            name: "twilio-json",
            sender: "Twilio (JSON)",
            field: "x-twilio-signature",
            algorithm: Algorithm::HmacSha1,
            encoding: Encoding::Base64,
            content: "{url}{digest:bodySHA256}",
            documentation: "https://www.twilio.com/docs/usage/webhooks/webhooks-security",
            note: "events with `bodySHA256` in their query; the key is the auth token; the URL must be the one at Twilio, port and all",
            origin: Given("the Auth Token of the account (Console, Account Info)"),
            ..usual()
        },
        Row {
            name: "sendgrid",
            sender: "SendGrid",
            field: "x-twilio-email-event-webhook-signature",
            algorithm: Algorithm::EcdsaP256,
            encoding: Encoding::Base64,
            secret: SecretEncoding::Base64,
            content: "{timestamp}{body}",
            time: field_time("x-twilio-email-event-webhook-timestamp", Unit::Seconds, 300),
            documentation: "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
            note: "the secret is the public verification key that SendGrid shows; the tolerance is ours",
            origin: Given("the Verification Key of the Event Webhook (Settings, Mail Settings)"),
            ..usual()
        },
        Row {
            name: "square",
            sender: "Square",
            field: "x-square-hmacsha256-signature",
            encoding: Encoding::Base64,
            content: "{url}{body}",
            documentation: "https://developer.squareup.com/docs/webhooks/step3validate",
            note: "the URL must be the one that is registered at Square, to the letter",
            origin: Given("the Signature Key of the webhook subscription (Developer Console, Webhooks)"),
            ..usual()
        },
        Row {
            name: "zoom",
            sender: "Zoom",
            field: "x-zm-signature",
            format: plain("v0="),
            content: "v0:{timestamp}:{body}",
            time: field_time("x-zm-request-timestamp", Unit::Seconds, 300),
            challenge: content_challenge(
                [("/event", Expected::Text("endpoint.url_validation".into()))],
                Some("/payload/plainToken"),
                json([("plainToken", Insert::Value), ("encryptedToken", Insert::Proof)]),
            ),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://developers.zoom.us/docs/api/webhooks/",
            note: "the key is the app's secret token; unit and tolerance are ours",
            origin: Given("the Secret Token of the app (its page at the App Marketplace)"),
            ..usual()
        },
        Row {
            name: "linear",
            sender: "Linear",
            field: "linear-signature",
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://linear.app/developers/webhooks",
            note: "the time stands in the body and is not checked: a captured event can be replayed",
            origin: Given("the signing secret of the webhook (Settings, API)"),
            ..usual()
        },
        Row {
            name: "intercom",
            sender: "Intercom",
            field: "x-hub-signature",
            algorithm: Algorithm::HmacSha1,
            format: plain("sha1="),
            documentation: "https://developers.intercom.com/docs/webhooks",
            note: "the key is the app's client secret",
            origin: Given("the client secret of the app (Developer Hub, Basic information)"),
            ..usual()
        },
        Row {
            name: "hubspot",
            sender: "HubSpot",
            field: "x-hubspot-signature-v3",
            encoding: Encoding::Base64,
            content: "{method}{url:decoded}{body}{timestamp}",
            time: field_time("x-hubspot-request-timestamp", Unit::Milliseconds, 300),
            documentation: "https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation",
            note: "version 3 of its signatures; of the URL, those percent-encodings are decoded that its documentation lists",
            origin: Given("the client secret of the app (its page, Auth)"),
            ..usual()
        },
        Row {
            name: "dropbox",
            sender: "Dropbox",
            field: "x-dropbox-signature",
            challenge: query_challenge(None, "challenge", None),
            documentation: "https://www.dropbox.com/developers/reference/webhooks",
            note: "the key is the app secret",
            origin: Given("the App secret of the app (App Console, Settings)"),
            ..usual()
        },
        Row {
            name: "typeform",
            sender: "Typeform",
            field: "typeform-signature",
            format: plain("sha256="),
            encoding: Encoding::Base64,
            documentation: "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
            note: "base64 behind `sha256=`, where others write hexadecimal",
            origin: Chosen("the field Secret of the webhook (Connect, Webhooks)"),
            ..usual()
        },
        Row {
            name: "calendly",
            sender: "Calendly",
            field: "calendly-webhook-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Seconds, 180),
            documentation: "https://developer.calendly.com/api-docs/overview/webhooks/webhook-signatures",
            confirmed: false,
            note: "the rule is third parties'; they agree on it",
            origin: Chosen("`signing_key` in the request that makes the webhook subscription"),
            ..usual()
        },
        Row {
            name: "zendesk",
            sender: "Zendesk",
            field: "x-zendesk-webhook-signature",
            encoding: Encoding::Base64,
            content: "{timestamp}{body}",
            time: field_time("x-zendesk-webhook-signature-timestamp", Unit::Rfc3339, 300),
            documentation: "https://developer.zendesk.com/documentation/webhooks/verifying/",
            note: "the secret is used as text, though it looks like base64; the tolerance is ours",
            origin: Given("the signing secret of the webhook (Admin Center, Webhooks)"),
            ..usual()
        },
        Row {
            name: "xero",
            sender: "Xero",
            field: "x-xero-signature",
            encoding: Encoding::Base64,
            // The numbers of the sender's real events begin with 1.
            challenge: content_challenge(
                [("/firstEventSequence", Expected::Number(0)), ("/lastEventSequence", Expected::Number(0))],
                None,
                Reply::Text(Insert::Text("".into())),
            ),
            acknowledgment: Acknowledgment::EmptyOk,
            documentation: "https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/",
            note: "the key is used as text, though it looks like base64; do not observe: wrong signatures are sent on purpose",
            origin: Given("the webhooks key of the app (Developer portal, Webhooks)"),
            ..usual()
        },
        Row {
            name: "paddle",
            sender: "Paddle",
            field: "paddle-signature",
            format: list(Separator::Semicolon, '=', "h1"),
            content: "{timestamp}:{body}",
            time: key_time("ts", Unit::Seconds, 5),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://developer.paddle.com/webhooks/signature-verification",
            note: "Paddle Billing; five seconds are what its own libraries allow, and `tolerance` allows more",
            origin: Given("the secret key of the notification destination (Developer tools, Notifications)"),
            ..usual()
        },
        Row {
            name: "lemon-squeezy",
            sender: "Lemon Squeezy",
            field: "x-signature",
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
            origin: Chosen("the field Signing secret of the webhook (Settings, Webhooks)"),
            ..usual()
        },
        Row {
            name: "standard-webhooks",
            sender: "Standard Webhooks",
            documentation: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
            note: "for every sender that follows it; the secret is decoded",
            origin: Given("the signing secret of the endpoint, `whsec_...`"),
            ..standard_webhooks()
        },
        Row {
            name: "standard-webhooks-asymmetric",
            sender: "Standard Webhooks (asymmetric)",
            algorithm: Algorithm::Ed25519,
            format: list(Separator::Space, ',', "v1a"),
            documentation: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
            note: "version v1a, with a private key; the secret here is the public key, `whpk_...`",
            origin: Given("the public key of the endpoint, `whpk_...`"),
            ..standard_webhooks()
        },
        Row {
            name: "svix",
            sender: "Svix",
            documentation: "https://docs.svix.com/receiving/verifying-payloads/how-manual",
            origin: Given("the Signing Secret of the endpoint, `whsec_...`"),
            ..svix()
        },
        Row {
            name: "clerk",
            sender: "Clerk",
            documentation: "https://clerk.com/docs/guides/development/webhooks/syncing",
            origin: Given("the Signing Secret of the endpoint (Dashboard, Webhooks)"),
            ..svix()
        },
        Row {
            name: "resend",
            sender: "Resend",
            documentation: "https://resend.com/docs/webhooks/verify-webhooks-requests",
            origin: Given("the signing secret of the webhook (Dashboard, Webhooks)"),
            ..svix()
        },
        Row {
            name: "openai",
            sender: "OpenAI",
            documentation: "https://platform.openai.com/docs/guides/webhooks",
            note: "Standard Webhooks",
            origin: Given("the signing secret of the webhook (Project settings, Webhooks), shown once"),
            ..standard_webhooks()
        },
        Row {
            name: "discord",
            sender: "Discord",
            field: "x-signature-ed25519",
            algorithm: Algorithm::Ed25519,
            secret: SecretEncoding::Hex,
            content: "{timestamp}{body}",
            time: field_time("x-signature-timestamp", Unit::Seconds, 300),
            challenge: content_challenge(
                [("/type", Expected::Number(1))],
                None,
                json([("type", Insert::Number(1))]),
            ),
            answer_use: AnswerUse::Always,
            documentation: "https://discord.com/developers/docs/interactions/overview",
            note: "interactions; the secret is the application's public key; do not observe: wrong signatures are sent on purpose",
            origin: Given("the Public Key of the application (Developer Portal, General Information)"),
            ..usual()
        },
        Row {
            name: "twitch",
            sender: "Twitch",
            field: "twitch-eventsub-message-signature",
            format: plain("sha256="),
            content: "{id}{timestamp}{body}",
            time: field_time("twitch-eventsub-message-timestamp", Unit::Rfc3339, 600),
            id: Some("twitch-eventsub-message-id"),
            // The field that marks a challenge is not signed. This member of the content is signed.
            challenge: content_challenge(
                [("/subscription/status", Expected::Text("webhook_callback_verification_pending".into()))],
                Some("/challenge"),
                Reply::Text(Insert::Value),
            ),
            documentation: "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
            origin: Chosen("`transport.secret` in the request that makes the subscription"),
            ..usual()
        },
        Row {
            name: "airtable",
            sender: "Airtable",
            field: "x-airtable-content-mac",
            format: plain("hmac-sha256="),
            secret: SecretEncoding::Base64,
            acknowledgment: Acknowledgment::EmptyOk,
            documentation: "https://airtable.com/developers/web/api/webhooks-overview",
            confirmed: false,
            note: "the secret is decoded; the rule was found in its forum",
            origin: Given("`macSecretBase64` in the answer to the request that makes the webhook"),
            ..usual()
        },
        Row {
            name: "trello",
            sender: "Trello",
            field: "x-trello-webhook",
            algorithm: Algorithm::HmacSha1,
            encoding: Encoding::Base64,
            content: "{body}{url}",
            documentation: "https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/",
            note: "the URL must be the callback URL as it was registered; the key is the application's secret; bodies beyond ASCII may not verify",
            origin: Given("the Secret of the API key (Power-Up Admin Portal)"),
            ..usual()
        },
        Row {
            name: "woocommerce",
            sender: "WooCommerce",
            field: "x-wc-webhook-signature",
            encoding: Encoding::Base64,
            documentation: "https://woocommerce.com/document/webhooks/",
            note: "saving a webhook sends an unsigned ping, which is refused; the webhook works all the same",
            origin: Chosen("the field Secret of the webhook (WooCommerce, Settings, Advanced, Webhooks)"),
            ..usual()
        },
        Row {
            name: "bitbucket",
            sender: "Bitbucket",
            field: "x-hub-signature",
            format: plain("sha256="),
            documentation: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
            confirmed: false,
            note: "Atlassian's page itself was not read; its example verifies",
            origin: Chosen("the field Secret of the webhook (Repository settings, Webhooks)"),
            ..usual()
        },
        Row {
            name: "jira",
            sender: "Jira",
            field: "x-hub-signature",
            format: plain("sha256="),
            documentation: "https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-admin-webhooks",
            confirmed: false,
            note: "webhooks of administrators; Atlassian's page itself was not read; its example verifies",
            origin: Chosen("the field Secret of the webhook (System, WebHooks)"),
            ..usual()
        },
        Row {
            name: "sentry",
            sender: "Sentry",
            field: "sentry-hook-signature",
            documentation: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
            note: "the key is the integration's client secret; the timestamp field is not signed",
            origin: Given("the Client Secret of the integration (Settings, Developer Settings)"),
            ..usual()
        },
        Row {
            name: "pagerduty",
            sender: "PagerDuty",
            field: "x-pagerduty-signature",
            format: list(Separator::Comma, '=', "v1"),
            documentation: "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
            note: "version 3 of its webhooks; the secret is used as text",
            origin: Given("the secret of the webhook subscription, shown once when it is made"),
            ..usual()
        },
        Row {
            name: "meta",
            sender: "Meta",
            field: "x-hub-signature-256",
            format: plain("sha256="),
            challenge: query_challenge(
                Some(("hub.mode", "subscribe")),
                "hub.challenge",
                Some("hub.verify_token"),
            ),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://developers.facebook.com/docs/graph-api/webhooks/getting-started/",
            note: "Facebook, Messenger, Instagram, WhatsApp; the key is the app secret",
            origin: Given("the App Secret of the app (App settings, Basic)"),
            ..usual()
        },
        Row {
            name: "docusign",
            sender: "DocuSign",
            field: "x-docusign-signature-1",
            other_fields: &[
                "x-docusign-signature-2",
                "x-docusign-signature-3",
                "x-docusign-signature-4",
                "x-docusign-signature-5",
                "x-docusign-signature-6",
                "x-docusign-signature-7",
                "x-docusign-signature-8",
            ],
            encoding: Encoding::Base64,
            documentation: "https://developers.docusign.com/platform/webhooks/connect/validate",
            note: "a field for each active key, of which the first eight are looked at; any may verify",
            origin: Given("the Connect key of the account (Settings, Connect, Connect Keys)"),
            ..usual()
        },
        Row {
            name: "microsoft-teams",
            sender: "Microsoft Teams",
            field: "authorization",
            format: plain("HMAC "),
            encoding: Encoding::Base64,
            secret: SecretEncoding::Base64,
            answer_use: AnswerUse::Always,
            documentation: "https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-outgoing-webhook",
            note: "outgoing webhooks; the secret is decoded",
            origin: Given("the security token of the outgoing webhook, shown once when it is made"),
            ..usual()
        },
    ]
}
