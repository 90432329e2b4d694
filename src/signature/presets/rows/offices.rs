//! Pure. Rows of senders for offices: customers, documents, forms and calendars.

use crate::signature::algorithm::Algorithm;
use crate::signature::field::{Encoding, Separator};
use crate::signature::presets::row::{Row, field_time, key_time, list, plain, query_challenge, usual};
use crate::signature::scheme::Acknowledgment;
use crate::signature::secret::SecretEncoding;
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
            note: "the secret is decoded; the rule was found in its forum",
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
            ..usual()
        },
        Row {
            name: "dropbox",
            sender: "Dropbox",
            field: "x-dropbox-signature",
            challenge: query_challenge(None, "challenge", None),
            documentation: "https://www.dropbox.com/developers/reference/webhooks",
            note: "the key is the app secret",
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
            ..usual()
        },
    ]
}
