//! Pure. Rows of senders for messages, calls, mail and communities.

use crate::signature::algorithm::Algorithm;
use crate::signature::challenge::{Expected, Insert, Reply};
use crate::signature::field::Encoding;
use crate::signature::presets::row::{
    Row, content_challenge, field_time, json, plain, query_challenge, usual,
};
use crate::signature::scheme::{Acknowledgment, AnswerUse};
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

/// These senders, by name.
pub(super) fn rows() -> Vec<Row> {
    vec![
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
            ..usual()
        },
    ]
}
