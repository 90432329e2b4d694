//! Pure. Rows of senders that follow Standard Webhooks, and the rule itself.

use crate::signature::algorithm::Algorithm;
use crate::signature::field::{Encoding, Separator};
use crate::signature::presets::row::{Row, field_time, list, usual};
use crate::signature::scheme::AnswerUse;
use crate::signature::scheme::SecretOrigin::{Chosen, Given};
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
        // Svix may also send the names of Standard Webhooks.
        aliases: &[
            ("svix-signature", "webhook-signature"),
            ("svix-timestamp", "webhook-timestamp"),
            ("svix-id", "webhook-id"),
        ],
        note: "The sender follows Standard Webhooks, with Svix's field names or with `webhook-id`, `webhook-timestamp` and `webhook-signature`.",
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
            note: "For every sender that follows Standard Webhooks. The secret is decoded.",
            origin: Given("the signing secret of the endpoint, `whsec_...`"),
            ..standard_webhooks()
        },
        Row {
            name: "standard-webhooks-asymmetric",
            sender: "Standard Webhooks (asymmetric)",
            algorithm: Algorithm::Ed25519,
            format: list(Separator::Space, ',', "v1a"),
            documentation: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
            note: "For version v1a, which signs with a private key. The secret is the sender's public key, `whpk_...`.",
            origin: Given("the public key of the endpoint, `whpk_...`"),
            ..standard_webhooks()
        },
        Row {
            name: "anthropic",
            sender: "Anthropic",
            documentation: "https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/resources/beta/webhooks.py",
            note: "Anthropic follows Standard Webhooks.",
            origin: Given("the signing secret of the webhook, `whsec_...`"),
            ..standard_webhooks()
        },
        Row {
            name: "brex",
            sender: "Brex",
            documentation: "https://developer.brex.com/docs/webhooks",
            confirmed: false,
            note: "Brex follows Standard Webhooks. The API shows the secrets at `/v1/webhooks/secrets`, in base64. The rule was read in third parties' code.",
            origin: Given("`/v1/webhooks/secrets` of the API"),
            ..standard_webhooks()
        },
        Row {
            name: "clerk",
            sender: "Clerk",
            documentation: "https://clerk.com/docs/guides/development/webhooks/syncing",
            origin: Given("the Signing Secret of the endpoint (Dashboard, Webhooks)"),
            ..svix()
        },
        Row {
            name: "dodo-payments",
            sender: "Dodo Payments",
            documentation: "https://docs.dodopayments.com/developer-resources/webhooks",
            note: "Dodo Payments follows Standard Webhooks.",
            retries: "Dodo Payments tries an event again with growing waits.",
            origin: Given("the secret key in the settings of the webhook"),
            ..standard_webhooks()
        },
        Row {
            name: "gitlab-signed",
            sender: "GitLab (signing token)",
            documentation: "https://docs.gitlab.com/user/project/integrations/webhooks/",
            note: "For GitLab's signing token, `whsec_...`. GitLab follows Standard Webhooks.",
            origin: Given("the signing token of the webhook (Settings, Webhooks)"),
            ..standard_webhooks()
        },
        Row {
            name: "openai",
            sender: "OpenAI",
            documentation: "https://platform.openai.com/docs/guides/webhooks",
            note: "OpenAI follows Standard Webhooks.",
            origin: Given("the signing secret of the webhook (Project settings, Webhooks), shown once"),
            ..standard_webhooks()
        },
        Row {
            name: "polar",
            sender: "Polar",
            documentation: "https://github.com/polarsource/polar/pull/14102",
            note: "Polar follows Standard Webhooks. For a secret from before 8 September 2026, write `encoding = \"utf8\"` beside the secret. The key is then the text of the secret.",
            origin: Chosen("the secret of the webhook endpoint"),
            ..standard_webhooks()
        },
        Row {
            name: "replicate",
            sender: "Replicate",
            documentation: "https://github.com/replicate/replicate-javascript/blob/main/lib/util.js",
            note: "Replicate follows Standard Webhooks. Its API shows the secret at `/v1/webhooks/default/secret`.",
            origin: Given("`/v1/webhooks/default/secret` of the API"),
            ..standard_webhooks()
        },
        Row {
            name: "resend",
            sender: "Resend",
            documentation: "https://resend.com/docs/webhooks/verify-webhooks-requests",
            origin: Given("the signing secret of the webhook (Dashboard, Webhooks)"),
            ..svix()
        },
        Row {
            name: "supabase",
            sender: "Supabase (auth hooks)",
            // Supabase waits for the answer to a hook, and goes on as the answer says.
            answer_use: AnswerUse::Always,
            documentation: "https://supabase.com/docs/guides/auth/auth-hooks",
            note: "Auth hooks follow Standard Webhooks. Supabase shows the secret as `v1,whsec_...`. A hook may have several secrets. Database webhooks are not signed.",
            origin: Given("the secret of the hook, `v1,whsec_...`"),
            ..standard_webhooks()
        },
        Row {
            name: "svix",
            sender: "Svix",
            documentation: "https://docs.svix.com/receiving/verifying-payloads/how-manual",
            origin: Given("the Signing Secret of the endpoint, `whsec_...`"),
            ..svix()
        },
    ]
}
