//! Pure. Rows of senders for offices: customers, documents, forms and calendars.

use crate::signature::algorithm::Algorithm;
use crate::signature::field::{Encoding, Format, Separator};
use crate::signature::presets::row::{
    Row, field_time, head_setup, key_time, list, plain, query_challenge, usual,
};
use crate::signature::scheme::Acknowledgment;
use crate::signature::scheme::SecretOrigin::{Chosen, Given};
use crate::signature::secret::SecretEncoding;
use crate::signature::setup_request::{Member, SetupRequest};
use crate::signature::window::Unit;

/// These senders, by name.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "airtable",
            sender: "Airtable",
            field: "x-airtable-content-mac",
            format: plain("hmac-sha256="),
            secret: SecretEncoding::Base64,
            acknowledgment: Acknowledgment::EmptyOk,
            documentation: "https://airtable.com/developers/web/api/webhooks-overview",
            confirmed: false,
            note: "The secret is decoded. The rule was found in Airtable's forum.",
            origin: Given("`macSecretBase64` in the answer to the request that makes the webhook"),
            ..usual()
        },
        Row {
            name: "asana",
            sender: "Asana",
            field: "x-hook-signature",
            acknowledgment: Acknowledgment::Ok,
            // The request has the secret. Only the app can keep it, and repeat it.
            setup: vec![SetupRequest {
                method: "POST".into(),
                field: Some("x-hook-secret".into()),
                members: Vec::new(),
                reply: None,
            }],
            documentation: "https://github.com/Asana/developer-docs/blob/master/source/includes/markdown/_webhooks.html.md",
            note: "The secret is the value of `X-Hook-Secret` in the request with which Asana sets the webhook up. That request is not signed. The receiver must repeat the field in its answer.",
            retries: "Asana tries an event for 24 hours.",
            origin: Given("`X-Hook-Secret` in the request with which Asana sets the webhook up"),
            ..usual()
        },
        Row {
            name: "ashby",
            sender: "Ashby",
            field: "ashby-signature",
            format: plain("sha256="),
            documentation: "https://developers.ashbyhq.com/docs/authenticating-webhooks",
            note: "You choose the secret token in the webhook's settings. Ashby disables a webhook whose first ping gets no good answer, and signs the ping too.",
            origin: Chosen("the secret token in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "attio",
            sender: "Attio",
            field: "attio-signature",
            documentation: "https://docs.attio.com/rest-api/guides/webhooks",
            note: "Attio also sends `X-Attio-Signature`. The gateway does not read this field.",
            retries: "Attio tries an event up to 10 times, within about 3 days.",
            origin: Given(
                "the secret in the answer to the request that creates the webhook, or in the developer settings",
            ),
            ..usual()
        },
        Row {
            name: "box",
            sender: "Box",
            field: "box-signature-primary",
            other_fields: &["box-signature-secondary"],
            encoding: Encoding::Base64,
            content: "{body}{timestamp}",
            time: field_time("box-delivery-timestamp", Unit::Rfc3339, 600),
            documentation: "https://github.com/box/box-node-sdk/blob/main/src/managers/webhooks.ts",
            note: "The secrets are the app's primary and secondary signature keys. Either key may verify.",
            origin: Given("the primary and secondary signature keys of the app"),
            ..usual()
        },
        Row {
            name: "cal-com",
            sender: "Cal.com",
            field: "x-cal-signature-256",
            documentation: "https://trigger.dev/docs/webhooks/providers/cal-com",
            confirmed: false,
            note: "You choose the secret in the webhook's settings. Without a secret, Cal.com signs nothing. The rule comes from third parties, which agree.",
            origin: Chosen("the field Secret in the settings of the webhook"),
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
            note: "Calendly's own page was not read. Several third parties describe the same rule.",
            origin: Chosen("`signing_key` in the request that makes the webhook subscription"),
            ..usual()
        },
        Row {
            name: "clickup",
            sender: "ClickUp",
            field: "x-signature",
            documentation: "https://developer.clickup.com/docs/webhooksignature",
            note: "The secret is `webhook.secret` in the answer to the request that creates the webhook.",
            origin: Given("`webhook.secret` in the answer to the request that creates the webhook"),
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
            note: "DocuSign sends a field for each active key. The gateway reads the first eight fields. The signature in any of them may verify.",
            origin: Given("the Connect key of the account (Settings, Connect, Connect Keys)"),
            ..usual()
        },
        Row {
            name: "dropbox",
            sender: "Dropbox",
            field: "x-dropbox-signature",
            challenge: query_challenge(None, "challenge", None),
            documentation: "https://www.dropbox.com/developers/reference/webhooks",
            note: "The key is the app secret.",
            origin: Given("the App secret of the app (App Console, Settings)"),
            ..usual()
        },
        Row {
            name: "greenhouse",
            sender: "Greenhouse",
            field: "signature",
            format: plain("sha256 "),
            documentation: "https://developers.greenhouse.io/webhooks.html",
            note: "For Greenhouse Recruiting and Onboarding.",
            origin: Chosen("the secret key of the webhook"),
            ..usual()
        },
        Row {
            name: "help-scout",
            sender: "Help Scout",
            field: "x-helpscout-signature",
            algorithm: Algorithm::HmacSha1,
            encoding: Encoding::Base64,
            documentation: "https://developer.helpscout.com/webhooks",
            note: "The secret is the text that you give when you create the webhook.",
            origin: Chosen("the field for the secret, when you create the webhook"),
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
            note: "For version 3 of HubSpot's signatures. In the query, the percent-encodings that HubSpot's documentation lists are decoded. A path with such an encoding is refused.",
            origin: Given("the client secret of the app (its page, Auth)"),
            ..usual()
        },
        Row {
            name: "intercom",
            sender: "Intercom",
            field: "x-hub-signature",
            algorithm: Algorithm::HmacSha1,
            format: plain("sha1="),
            setup: vec![head_setup()],
            documentation: "https://developers.intercom.com/docs/webhooks",
            note: "The key is the app's client secret.",
            origin: Given("the client secret of the app (Developer Hub, Basic information)"),
            ..usual()
        },
        Row {
            name: "klaviyo",
            sender: "Klaviyo",
            field: "klaviyo-signature",
            content: "{body}{timestamp}",
            time: field_time("klaviyo-timestamp", Unit::HttpDate, 300),
            documentation: "https://developers.klaviyo.com/en/docs/working_with_system_webhooks",
            confirmed: false,
            note: "For system webhooks. Webhooks of flows are not signed. Klaviyo's page names the fields and HMAC-SHA256. The form of the time and the signed text come from third parties, which agree. hookgate chooses the tolerance.",
            origin: Chosen("the secret key in the request that creates the webhook"),
            ..usual()
        },
        Row {
            name: "notion",
            sender: "Notion",
            field: "x-notion-signature",
            format: plain("sha256="),
            // The request has the secret. The operator copies it from the app.
            setup: vec![SetupRequest {
                method: "POST".into(),
                field: None,
                members: vec![Member { name: "/verification_token".into(), text: None }],
                reply: None,
            }],
            documentation: "https://github.com/makenotion/notion-sdk-js/blob/main/src/webhooks.ts",
            note: "The secret is the `verification_token` that Notion sends to the URL when the subscription is created. The app must get that request before the gateway knows the secret.",
            origin: Given("`verification_token` in the request with which Notion sets the subscription up"),
            ..usual()
        },
        Row {
            name: "onfido",
            sender: "Onfido (Entrust)",
            field: "x-sha2-signature",
            documentation: "https://documentation.identity.entrust.com/api/manual-webhook-signature-verification/",
            note: "Onfido signs no time.",
            origin: Given("the token of the webhook"),
            ..usual()
        },
        Row {
            name: "pandadoc",
            sender: "PandaDoc",
            parameter: Some("signature"),
            documentation: "https://developers.pandadoc.com/docs/webhook-verification",
            note: "PandaDoc adds the signature to the query of the URL. PandaDoc signs no time.",
            origin: Given("the shared key of the webhook (Developer Dashboard, Configuration)"),
            ..usual()
        },
        Row {
            name: "persona",
            sender: "Persona",
            field: "persona-signature",
            format: Format::List {
                separator: Separator::Comma,
                equals: '=',
                tags: vec!["v1".into()],
                sets: Some(Separator::Space),
            },
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Seconds, 300),
            documentation: "https://docs.withpersona.com/docs/webhooks-best-practices",
            note: "While a secret is rotated, Persona sends two signatures, and either may verify. hookgate chooses the tolerance.",
            origin: Given("the secret of the webhook (dashboard, Webhooks)"),
            ..usual()
        },
        Row {
            name: "shortcut",
            sender: "Shortcut",
            field: "payload-signature",
            documentation: "https://help.shortcut.com/hc/en-us/articles/34734717380756",
            confirmed: false,
            note: "The secret is the text that you give when you create the webhook. Shortcut's page names the field and HMAC in hexadecimal. SHA-256 comes from third parties.",
            origin: Chosen("the field for the secret, when you create the webhook"),
            ..usual()
        },
        Row {
            name: "tally",
            sender: "Tally",
            field: "tally-signature",
            encoding: Encoding::Base64,
            documentation: "https://tally.so/help/webhooks",
            confirmed: false,
            note: "You choose the signing secret in the form's settings for webhooks. Tally's page was not read. The rule comes from third parties, which agree.",
            origin: Chosen("the signing secret in the form's settings for webhooks"),
            ..usual()
        },
        Row {
            name: "ticket-tailor",
            sender: "Ticket Tailor",
            field: "tickettailor-webhook-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "{timestamp}{body}",
            time: key_time("t", Unit::Seconds, 300),
            documentation: "https://developers.tickettailor.com/docs/webhook/security",
            note: "The shared secret is in the webhooks dashboard.",
            origin: Given("the shared secret in the dashboard of webhooks"),
            ..usual()
        },
        Row {
            name: "todoist",
            sender: "Todoist",
            field: "x-todoist-hmac-sha256",
            encoding: Encoding::Base64,
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://doist.github.io/todoist-sdk-typescript/api/functions/verifyWebhookSignature",
            retries: "Todoist tries an event again up to three times, every 15 minutes, if the answer is not 200.",
            origin: Given("the client secret of the app"),
            ..usual()
        },
        Row {
            name: "typeform",
            sender: "Typeform",
            field: "typeform-signature",
            format: plain("sha256="),
            encoding: Encoding::Base64,
            documentation: "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
            note: "The signature is in base64, after `sha256=`.",
            origin: Chosen("the field Secret of the webhook (Connect, Webhooks)"),
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
            note: "The key is the text of the secret, although the secret looks like base64. hookgate chooses the tolerance.",
            origin: Given("the signing secret of the webhook (Admin Center, Webhooks)"),
            ..usual()
        },
    ]
}
