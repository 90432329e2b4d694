//! Pure. Rows of senders for messages, calls, mail and communities.

use crate::signature::algorithm::Algorithm;
use crate::signature::challenge::{Expected, Insert, Reply};
use crate::signature::field::{Encoding, Format, Separator};
use crate::signature::presets::row::{
    Row, answered_with_204, claim_time, content_challenge, content_time, field_time, form_setup, json, jwt,
    key_time, list, plain, query_challenge, query_proof, usual,
};
use crate::signature::scheme::SecretOrigin::{Chosen, Given};
use crate::signature::scheme::{Acknowledgment, AnswerUse};
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

/// These senders, by name.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "attentive",
            sender: "Attentive",
            field: "x-attentive-hmac-sha256",
            documentation: "https://docs.attentive.com/pages/webhooks/webhook-authentication",
            origin: Given("the signing key of the webhook (dashboard)"),
            ..usual()
        },
        Row {
            name: "customer-io",
            sender: "Customer.io",
            field: "x-cio-signature",
            content: "v0:{timestamp}:{body}",
            time: field_time("x-cio-timestamp", Unit::Seconds, 300),
            documentation: "https://docs.customer.io/api/webhooks/",
            confirmed: false,
            note: "The secret is the signing key of the reporting webhook. The order of the signed parts comes from third parties, which agree. hookgate chooses the tolerance.",
            retries: "Customer.io tries an event for seven days, with growing waits. It holds later events back meanwhile.",
            origin: Given("the signing key of the reporting webhook"),
            ..usual()
        },
        Row {
            name: "discord",
            sender: "Discord",
            field: "x-signature-ed25519",
            algorithm: Algorithm::Ed25519,
            secret: SecretEncoding::Hex,
            content: "{timestamp}{body}",
            time: field_time("x-signature-timestamp", Unit::Seconds, 300),
            // Discord's events have the type 1, too. They have an `event`, and are sent to another URL.
            challenge: content_challenge(
                [("/type", Expected::Number(1)), ("/event", Expected::Absent)],
                None,
                json([("type", Insert::Number(1))]),
            ),
            answer_use: AnswerUse::Always,
            documentation: "https://docs.discord.com/developers/interactions/overview",
            note: "For interactions. The scheme `discord-events` is for events. The secret is the application's public key. Do not write `mode = \"observe\"`: Discord sends wrong signatures on purpose.",
            origin: Given("the Public Key of the application (Developer Portal, General Information)"),
            ..usual()
        },
        Row {
            name: "discord-events",
            sender: "Discord (webhook events)",
            field: "x-signature-ed25519",
            algorithm: Algorithm::Ed25519,
            secret: SecretEncoding::Hex,
            content: "{timestamp}{body}",
            time: field_time("x-signature-timestamp", Unit::Seconds, 300),
            // In events, 0 means a ping, and 1 an event. In interactions, 1 means a ping.
            challenge: answered_with_204(content_challenge(
                [("/type", Expected::Number(0)), ("/event", Expected::Absent)],
                None,
                json([]),
            )),
            acknowledgment: Acknowledgment::NoContent,
            documentation: "https://docs.discord.com/developers/events/webhook-events",
            note: "For the Webhook Events URL. The secret is the application's public key. Do not write `mode = \"observe\"`: Discord sends wrong signatures on purpose.",
            origin: Given("the Public Key of the application (Developer Portal, General Information)"),
            ..usual()
        },
        Row {
            name: "kick",
            sender: "Kick",
            field: "kick-event-signature",
            algorithm: Algorithm::RsaSha256,
            encoding: Encoding::Base64,
            secret: SecretEncoding::Base64,
            content: "{id}.{timestamp}.{body}",
            time: field_time("kick-event-message-timestamp", Unit::Rfc3339, 300),
            id: Some("kick-event-message-id"),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://github.com/KickEngineering/KickDevDocs/blob/main/events/webhook-security.md",
            note: "The secret is Kick's public key, in PEM or base64. Kick signs the events of all apps with this key. So check in the app that an event is about your channel. hookgate chooses the tolerance.",
            retries: "Kick tries an event up to three times, until the answer is 200.",
            origin: Given("the public key at `/public/v1/public-key` of Kick's API"),
            ..usual()
        },
        Row {
            name: "line",
            sender: "LINE",
            field: "x-line-signature",
            encoding: Encoding::Base64,
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/",
            note: "The secret is the channel secret, in the channel's basic settings. LINE signs no time.",
            origin: Given("the channel secret (basic settings of the channel)"),
            ..usual()
        },
        Row {
            name: "mandrill",
            sender: "Mailchimp Transactional (Mandrill)",
            field: "x-mandrill-signature",
            algorithm: Algorithm::HmacSha1,
            encoding: Encoding::Base64,
            content: "{url:variants}{form}",
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://mandrill.zendesk.com/hc/en-us/articles/360039232513-How-to-Authenticate-Webhook-Requests",
            note: "The secret is the webhook's key. The URL must be exactly the URL that you entered at Mailchimp. Nothing separates the names and values of the signed form.",
            origin: Given("the key of the webhook"),
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
            note: "For Facebook, Messenger, Instagram and WhatsApp. The key is the app secret.",
            origin: Given("the App Secret of the app (App settings, Basic)"),
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
            note: "For outgoing webhooks. The secret is decoded.",
            origin: Given("the security token of the outgoing webhook, shown once when it is made"),
            ..usual()
        },
        Row {
            name: "nylas",
            sender: "Nylas",
            field: "x-nylas-signature",
            challenge: query_challenge(None, "challenge", None),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://github.com/nylas/cli/blob/main/docs/commands/webhooks.md",
            note: "Version 3 has a secret for each webhook, and shows the secret once. The key of version 2 is the client secret.",
            origin: Given("the secret of the webhook, shown once when it is created"),
            ..usual()
        },
        Row {
            name: "patreon",
            sender: "Patreon",
            field: "x-patreon-signature",
            algorithm: Algorithm::HmacMd5,
            documentation: "https://github.com/Patreon/platform-documentation/blob/master/source/includes/_webhooks_v2.md",
            note: "The secret is the webhook's secret, on Patreon's page for webhooks. Patreon signs no time.",
            origin: Given("the secret of the webhook (Patreon's page for webhooks)"),
            ..usual()
        },
        Row {
            name: "plain",
            sender: "Plain",
            field: "plain-request-signature",
            time: content_time("/webhookMetadata/webhookDeliveryAttemptTimestamp", Unit::Rfc3339, 300),
            documentation: "https://plain.com/docs/request-signing",
            note: "The time of the attempt is in the content. Plain's own library allows five minutes.",
            origin: Given("the HMAC secret of the workspace (Settings, Request signing)"),
            ..usual()
        },
        Row {
            name: "postmark",
            sender: "Postmark",
            field: "authorization",
            algorithm: Algorithm::Token,
            format: Format::Basic,
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://postmarkapp.com/developer/webhooks/webhooks-overview",
            note: "Postmark signs nothing. It sends the user name and password of the webhook's URL. The secret is `user:password`. A program that sees one request can forge others.",
            origin: Chosen("user name and password in the URL of the webhook"),
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
            note: "The secret is the public verification key that SendGrid shows. hookgate chooses the tolerance.",
            origin: Given("the Verification Key of the Event Webhook (Settings, Mail Settings)"),
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
                [("/type", Expected::Text("url_verification".into())), ("/event", Expected::Absent)],
                Some("/challenge"),
                Reply::Text(Insert::Value),
            ),
            // Slack signs slash commands and interactions in the same way as events, and uses the answers to
            // them.
            answer_use: AnswerUse::Sometimes,
            // A check of the certificate of a command's URL.
            setup: vec![form_setup([("ssl_check", Some("1")), ("token", None)])],
            documentation: "https://docs.slack.dev/authentication/verifying-requests-from-slack/",
            retries: "Slack tries an event three times.",
            origin: Given("the Signing Secret of the app (Basic Information, App Credentials)"),
            ..usual()
        },
        Row {
            name: "telegram",
            sender: "Telegram",
            field: "x-telegram-bot-api-secret-token",
            algorithm: Algorithm::Token,
            // A bot may write a call of a method into its answer.
            answer_use: AnswerUse::Sometimes,
            acknowledgment: Acknowledgment::EmptyOk,
            documentation: "https://core.telegram.org/bots/api#setwebhook",
            note: "Telegram signs nothing. The secret is the `secret_token` that you give to `setWebhook`. A program that sees one request can forge others.",
            retries: "Telegram tries an event again a limited number of times. Telegram does not say how often.",
            origin: Chosen("`secret_token` in the call of `setWebhook`"),
            ..usual()
        },
        Row {
            name: "telnyx",
            sender: "Telnyx",
            field: "telnyx-signature-ed25519",
            algorithm: Algorithm::Ed25519,
            encoding: Encoding::Base64,
            secret: SecretEncoding::Base64,
            content: "{timestamp}|{body}",
            time: field_time("telnyx-timestamp", Unit::Seconds, 300),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://github.com/team-telnyx/telnyx-python/blob/master/src/telnyx/lib/webhook_verification.py",
            note: "For version 2 of Telnyx's webhooks. The secret is the account's public key, in the portal under \"Keys & Credentials\".",
            retries: "Telnyx sends an event again to the failover URL if the answer is not 200.",
            origin: Given("the public key of the account (Portal, Keys & Credentials)"),
            ..usual()
        },
        Row {
            name: "tiktok",
            sender: "TikTok",
            field: "tiktok-signature",
            format: list(Separator::Comma, '=', "s"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Seconds, 300),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://developers.tiktok.com/doc/webhooks-verification",
            note: "hookgate chooses the tolerance.",
            retries: "TikTok tries an event again for up to 72 hours if the answer is not 200.",
            origin: Given("the client secret of the app"),
            ..usual()
        },
        Row {
            name: "twilio",
            sender: "Twilio",
            field: "x-twilio-signature",
            algorithm: Algorithm::HmacSha1,
            encoding: Encoding::Base64,
            content: "{url:variants}{form}",
            // Twilio uses the TwiML in the answer to a call or a message.
            answer_use: AnswerUse::Always,
            documentation: "https://www.twilio.com/docs/usage/webhooks/webhooks-security",
            note: "For forms. The key is the account's auth token. The URL must be exactly the URL that is configured at Twilio, with its credentials if there are any. The signature does not cover where a name ends and its value begins.",
            origin: Given("the Auth Token of the account (Console, Account Info)"),
            ..usual()
        },
        Row {
            name: "twilio-json",
            sender: "Twilio (JSON)",
            field: "x-twilio-signature",
            algorithm: Algorithm::HmacSha1,
            encoding: Encoding::Base64,
            content: "{url:variants}{digest:bodySHA256}",
            documentation: "https://www.twilio.com/docs/usage/webhooks/webhooks-security",
            note: "For JSON events with `bodySHA256` in their query. The key is the account's auth token. The URL must be exactly the URL that is configured at Twilio, with its credentials if there are any.",
            origin: Given("the Auth Token of the account (Console, Account Info)"),
            ..usual()
        },
        Row {
            name: "twilio-shared-key",
            sender: "Twilio (SharedKey)",
            field: "x-twilio-signature",
            // Twilio adds this field to the requests that it signs with a SharedKey.
            mark: Some("x-twilio-webhooks-signature-settings"),
            encoding: Encoding::Base64,
            content: "{url:variants}{form}",
            answer_use: AnswerUse::Always,
            documentation: "https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys",
            note: "For forms that Twilio signs with a SharedKey and HMAC_SHA256. If a route takes twilio too, list twilio-shared-key first.",
            origin: Given("the secret of the SharedKey, shown once when it is created"),
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
                [
                    ("/subscription/status", Expected::Text("webhook_callback_verification_pending".into())),
                    ("/event", Expected::Absent),
                ],
                Some("/challenge"),
                Reply::Text(Insert::Value),
            ),
            documentation: "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
            origin: Chosen("`transport.secret` in the request that makes the subscription"),
            ..usual()
        },
        Row {
            name: "x",
            sender: "X (Twitter)",
            field: "x-twitter-webhooks-signature",
            format: plain("sha256="),
            encoding: Encoding::Base64,
            // The answer has the HMAC of the value, for any client that asks. Content that has the form of a
            // value never verifies.
            challenge: query_proof("crc_token", "response_token", "sha256=", Encoding::Base64),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://docs.x.com/x-api/webhooks/quickstart",
            note: "The key is the app's consumer secret. The first secret answers the hourly challenges.",
            origin: Given("the consumer secret of the app (Developer Portal, Keys and tokens)"),
            ..usual()
        },
        Row {
            name: "vonage",
            sender: "Vonage (Messages, Voice)",
            field: "authorization",
            format: jwt("Bearer "),
            encoding: Encoding::Base64Url,
            content: "{jwt:payload_hash}",
            time: claim_time("iat", Unit::Seconds, 300),
            documentation: "https://github.com/Nexmo/station/blob/master/_documentation/en/messages/concepts/signed-webhooks.md",
            note: "For POST. Vonage sends a JWT with the content's SHA-256. After a fault, Vonage may send a callback without a signature, which is refused. The SMS API has no scheme. hookgate chooses the tolerance.",
            origin: Given("the signature secret of the account (Dashboard, API settings)"),
            ..usual()
        },
        Row {
            name: "webex",
            sender: "Webex",
            field: "x-spark-signature",
            algorithm: Algorithm::HmacSha1,
            documentation: "https://developer.webex.com/blog/using-a-webhook-secret",
            note: "The secret is the text that you give when you create the webhook. Without a secret, Webex signs nothing.",
            origin: Chosen("the field for the secret, when you create the webhook"),
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
                [
                    ("/event", Expected::Text("endpoint.url_validation".into())),
                    ("/payload/object", Expected::Absent),
                ],
                Some("/payload/plainToken"),
                json([("plainToken", Insert::Value), ("encryptedToken", Insert::Proof)]),
            ),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://developers.zoom.us/docs/api/webhooks/",
            note: "The key is the app's secret token. hookgate chooses the unit of the time and the tolerance.",
            origin: Given("the Secret Token of the app (its page at the App Marketplace)"),
            ..usual()
        },
    ]
}
