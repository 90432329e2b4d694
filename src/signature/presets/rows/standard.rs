//! Pure. Rows of senders that follow Standard Webhooks, and the rule itself.

use crate::signature::algorithm::Algorithm;
use crate::signature::field::{Encoding, Separator};
use crate::signature::presets::row::{Row, field_time, list, usual};
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

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

/// These senders, by name.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "standard-webhooks",
            sender: "Standard Webhooks",
            documentation: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
            note: "for every sender that follows it; the secret is decoded",
            ..standard_webhooks()
        },
        Row {
            name: "standard-webhooks-asymmetric",
            sender: "Standard Webhooks (asymmetric)",
            algorithm: Algorithm::Ed25519,
            format: list(Separator::Space, ',', "v1a"),
            documentation: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
            note: "version v1a, with a private key; the secret here is the public key, `whpk_...`",
            ..standard_webhooks()
        },
        Row {
            name: "svix",
            sender: "Svix",
            documentation: "https://docs.svix.com/receiving/verifying-payloads/how-manual",
            ..svix()
        },
        Row {
            name: "clerk",
            sender: "Clerk",
            documentation: "https://clerk.com/docs/guides/development/webhooks/syncing",
            ..svix()
        },
        Row {
            name: "gitlab-signed",
            sender: "GitLab (signing token)",
            documentation: "https://docs.gitlab.com/user/project/integrations/webhooks/",
            note: "GitLab's newer signing token, `whsec_...`: Standard Webhooks",
            ..standard_webhooks()
        },
        Row {
            name: "openai",
            sender: "OpenAI",
            documentation: "https://platform.openai.com/docs/guides/webhooks",
            note: "Standard Webhooks",
            ..standard_webhooks()
        },
        Row {
            name: "resend",
            sender: "Resend",
            documentation: "https://resend.com/docs/webhooks/verify-webhooks-requests",
            ..svix()
        },
    ]
}
