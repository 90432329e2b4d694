//! Pure. Rows of senders for developers: code, hosting, monitoring and tickets.

use crate::signature::algorithm::Algorithm;
use crate::signature::field::{Encoding, Separator};
use crate::signature::presets::row::{
    Row, content_time, expiring_jwt, field_time, head_setup, jwt, key_time, list, plain, usual,
};
use crate::signature::scheme::SecretOrigin::{Chosen, Given};
use crate::signature::scheme::{Acknowledgment, Redelivery};
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

/// These senders, by name.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "alchemy",
            sender: "Alchemy",
            field: "x-alchemy-signature",
            documentation: "https://docs.alchemy.com/reference/notify-api-faq",
            note: "Alchemy signs no time.",
            origin: Given("the signing key of the webhook (dashboard)"),
            ..usual()
        },
        Row {
            name: "bitbucket",
            sender: "Bitbucket",
            field: "x-hub-signature",
            format: plain("sha256="),
            documentation: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
            confirmed: false,
            note: "Atlassian's page was not read, but its example verifies.",
            origin: Chosen("the field Secret of the webhook (Repository settings, Webhooks)"),
            ..usual()
        },
        Row {
            name: "buildkite",
            sender: "Buildkite",
            field: "x-buildkite-signature",
            format: list(Separator::Comma, '=', "signature"),
            content: "{timestamp}.{body}",
            time: key_time("timestamp", Unit::Seconds, 300),
            documentation: "https://buildkite.com/docs/apis/webhooks/pipelines",
            confirmed: false,
            note: "The secret is the token of the webhook. Choose `X-Buildkite-Signature` in the webhook's settings. The signed text comes from third parties, which agree. hookgate chooses the tolerance.",
            origin: Given("the token of the webhook (its settings, with `X-Buildkite-Signature`)"),
            ..usual()
        },
        Row {
            name: "circleci",
            sender: "CircleCI",
            field: "circleci-signature",
            format: list(Separator::Comma, '=', "v1"),
            documentation: "https://circleci.com/docs/guides/integration/outbound-webhooks/",
            note: "You choose the secret token in the webhook's settings. CircleCI signs no time.",
            retries: "CircleCI tries an event again if there is no 2xx within 5 seconds. CircleCI does not say how often.",
            origin: Chosen("the secret token in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "courier",
            sender: "Courier",
            field: "courier-signature",
            format: list(Separator::Comma, '=', "signature"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Milliseconds, 300),
            documentation: "https://www.courier.com/docs/platform/workspaces/outbound-webhooks",
            confirmed: false,
            note: "The time is in milliseconds. The dot between time and content comes from third parties. hookgate chooses the tolerance.",
            origin: Given("the secret in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "dub",
            sender: "Dub",
            field: "dub-signature",
            documentation: "https://dub.co/docs/postbacks/verify-postback-requests",
            note: "The secret is on the page of the webhook or postback.",
            origin: Given("on the page of the webhook or postback"),
            ..usual()
        },
        Row {
            name: "elevenlabs",
            sender: "ElevenLabs",
            field: "elevenlabs-signature",
            format: list(Separator::Comma, '=', "v0"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Seconds, 1800),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://github.com/elevenlabs/elevenlabs-js/blob/main/src/wrapper/webhooks.ts",
            note: "ElevenLabs shows the secret once, when the webhook is created. Its own library allows 30 minutes.",
            origin: Given("shown once, when the webhook is created"),
            ..usual()
        },
        Row {
            name: "firecrawl",
            sender: "Firecrawl",
            field: "x-firecrawl-signature",
            format: plain("sha256="),
            documentation: "https://docs.firecrawl.dev/webhooks/security",
            note: "An account has one secret for all its webhooks.",
            retries: "Firecrawl tries an event again after 1, 5 and 15 minutes.",
            origin: Given("the webhook secret of the account (settings, tab \"Advanced\")"),
            ..usual()
        },
        Row {
            name: "gitea",
            sender: "Gitea, Forgejo",
            field: "x-gitea-signature",
            redelivery: Redelivery::Never,
            documentation: "https://github.com/go-gitea/gitea/blob/main/services/webhook/deliver.go",
            note: "You choose the secret in the webhook's settings. Choose `application/json`: the signature of a form covers the form's JSON and not the content.",
            retries: "Gitea never sends an event again by itself. An operator can replay an event by hand.",
            origin: Chosen("the field Secret in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "github",
            sender: "GitHub",
            field: "x-hub-signature-256",
            format: plain("sha256="),
            redelivery: Redelivery::Never,
            documentation: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
            note: "GitHub also sends `x-hub-signature` (SHA-1). The gateway does not read this field.",
            retries: "GitHub never sends an event again by itself. An operator can redeliver an event by hand.",
            origin: Chosen("the field Secret of the webhook (Settings, Webhooks)"),
            ..usual()
        },
        Row {
            name: "gitlab",
            sender: "GitLab",
            field: "x-gitlab-token",
            algorithm: Algorithm::Token,
            documentation: "https://docs.gitlab.com/user/project/integrations/webhooks/",
            note: "The secret is a shared token, which does not protect the content. A program that sees one request can forge others.",
            origin: Chosen("the field Secret token of the webhook (Settings, Webhooks)"),
            ..usual()
        },
        Row {
            name: "heroku",
            sender: "Heroku",
            field: "heroku-webhook-hmac-sha256",
            encoding: Encoding::Base64,
            documentation: "https://github.com/heroku/webhooks-demo/blob/master/app/controllers/webhooks_controller.rb",
            note: "The secret is shown when the webhook is created, or is the text that you give. Heroku repeats an event only for a webhook of level `sync`.",
            origin: Chosen("the field for the secret, when you create the webhook"),
            ..usual()
        },
        Row {
            name: "jira",
            sender: "Jira",
            field: "x-hub-signature",
            format: plain("sha256="),
            documentation: "https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-admin-webhooks",
            confirmed: false,
            note: "For webhooks of administrators. Atlassian's page was not read, but its example verifies.",
            origin: Chosen("the field Secret of the webhook (System, WebHooks)"),
            ..usual()
        },
        Row {
            name: "knock",
            sender: "Knock",
            field: "x-knock-signature",
            format: list(Separator::Comma, '=', "s"),
            encoding: Encoding::Base64,
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Milliseconds, 300),
            documentation: "https://docs.knock.app/developer-tools/outbound-webhooks",
            confirmed: false,
            note: "The time is in milliseconds. Knock's page names the field. The rest of the rule comes from third parties. hookgate chooses the tolerance.",
            origin: Given("the signing key of the webhook (dashboard)"),
            ..usual()
        },
        Row {
            name: "langfuse",
            sender: "Langfuse",
            field: "x-langfuse-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Seconds, 300),
            documentation: "https://langfuse.com/docs/prompt-management/features/webhooks-slack-integrations",
            note: "Langfuse shows the secret when the webhook is created. The key is the whole text of the secret. hookgate chooses the tolerance.",
            retries: "Langfuse tries an event again with growing waits.",
            origin: Given("shown when the webhook is created"),
            ..usual()
        },
        Row {
            name: "launchdarkly",
            sender: "LaunchDarkly",
            field: "x-ld-signature",
            documentation: "https://launchdarkly.com/docs/home/infrastructure/webhooks",
            note: "Without a secret, LaunchDarkly signs nothing.",
            retries: "LaunchDarkly tries an event again once.",
            origin: Chosen("the secret in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "linear",
            sender: "Linear",
            field: "linear-signature",
            time: content_time("/webhookTimestamp", Unit::Milliseconds, 60),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://linear.app/developers/webhooks",
            note: "The time is in the content, in milliseconds. Linear's own library allows one minute. `tolerance` allows more.",
            retries: "Linear tries an event again up to three times: after a minute, an hour and six hours.",
            origin: Given("the signing secret of the webhook (Settings, API)"),
            ..usual()
        },
        Row {
            name: "livekit",
            sender: "LiveKit",
            field: "authorization",
            format: expiring_jwt(300),
            encoding: Encoding::Base64Url,
            content: "{jwt:sha256:base64}",
            documentation: "https://github.com/livekit/node-sdks/blob/main/packages/livekit-server-sdk/src/WebhookReceiver.ts",
            note: "LiveKit sends a JWT with the content's SHA-256. The JWT must say when it expires. The gateway does not check which API key the JWT names.",
            origin: Given("the API secret of the key that the webhook is signed with"),
            ..usual()
        },
        Row {
            name: "logto",
            sender: "Logto",
            field: "logto-signature-sha-256",
            documentation: "https://docs.logto.io/developers/webhooks/secure-webhooks",
            note: "The secret is the signing key, on the webhook's page in the Logto Console.",
            origin: Given("the signing key on the page of the webhook (Logto Console)"),
            ..usual()
        },
        Row {
            name: "manus",
            sender: "Manus",
            field: "x-webhook-signature",
            algorithm: Algorithm::RsaSha256,
            encoding: Encoding::Base64,
            secret: SecretEncoding::Base64,
            content: "{timestamp}.{url}.{sha256:hex}",
            time: field_time("x-webhook-timestamp", Unit::Seconds, 300),
            documentation: "https://open.manus.ai/docs/v2/webhooks-security",
            note: "The secret is Manus's public key, in PEM or base64. The URL must be exactly the URL that is registered at Manus.",
            origin: Given("the public key at `/v2/webhook.publicKey` of the API"),
            ..usual()
        },
        Row {
            name: "mux",
            sender: "Mux",
            field: "mux-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Seconds, 300),
            documentation: "https://github.com/muxinc/mux-node-sdk/blob/main/src/resources/webhooks/webhooks.ts",
            note: "Each webhook has a signing secret of its own, in the webhook's settings.",
            origin: Given("the signing secret in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "netlify",
            sender: "Netlify",
            field: "x-webhook-signature",
            format: jwt(""),
            encoding: Encoding::Base64Url,
            content: "{jwt:sha256}",
            documentation: "https://docs.netlify.com/site-deploys/notifications/#payload-signature",
            confirmed: false,
            note: "For notifications by HTTP POST. Netlify sends a JWT with the content's SHA-256. Netlify signs no time. Netlify's page was read in part. The rule comes from third parties, which agree.",
            origin: Chosen("the field JWS secret token of the notification"),
            ..usual()
        },
        Row {
            name: "pagerduty",
            sender: "PagerDuty",
            field: "x-pagerduty-signature",
            format: list(Separator::Comma, '=', "v1"),
            documentation: "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
            note: "For version 3 of PagerDuty's webhooks. The key is the text of the secret.",
            origin: Given("the secret of the webhook subscription, shown once when it is made"),
            ..usual()
        },
        Row {
            name: "pusher",
            sender: "Pusher Channels",
            field: "x-pusher-signature",
            documentation: "https://github.com/pusher/pusher-http-node/blob/master/lib/webhook.js",
            note: "The secret is the app's secret. Pusher names the app's key in `X-Pusher-Key`, which is not signed.",
            origin: Given("the secret of the app"),
            ..usual()
        },
        Row {
            name: "retell",
            sender: "Retell AI",
            field: "x-retell-signature",
            format: list(Separator::Comma, '=', "d"),
            content: "{body}{timestamp}",
            time: key_time("v", Unit::Milliseconds, 300),
            documentation: "https://github.com/RetellAI/retell-typescript-sdk/blob/main/src/lib/webhook_auth.ts",
            note: "The time is in milliseconds.",
            origin: Given("the API key with the badge \"webhook\" (dashboard)"),
            ..usual()
        },
        Row {
            name: "sanity",
            sender: "Sanity",
            field: "sanity-webhook-signature",
            format: list(Separator::Comma, '=', "v1"),
            encoding: Encoding::Base64Url,
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Milliseconds, 300),
            documentation: "https://github.com/sanity-io/webhook-toolkit/blob/main/src/signature.ts",
            note: "You choose the secret in the webhook's settings. Sanity's own library does not limit the time. hookgate chooses the tolerance.",
            origin: Chosen("the field Secret in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "sentry",
            sender: "Sentry",
            field: "sentry-hook-signature",
            documentation: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
            note: "The key is the integration's client secret. The timestamp field is not signed.",
            origin: Given("the Client Secret of the integration (Settings, Developer Settings)"),
            ..usual()
        },
        Row {
            name: "snyk",
            sender: "Snyk",
            field: "x-hub-signature",
            format: plain("sha256="),
            documentation: "https://docs.snyk.io/developer-tools/snyk-api/using-specific-snyk-apis/webhooks-apis/validation-and-versioning-of-payloads",
            note: "The secret is the text that you give when you create the webhook.",
            origin: Chosen("the field for the secret, when you create the webhook"),
            ..usual()
        },
        Row {
            name: "sonarqube",
            sender: "SonarQube Server, SonarQube Cloud",
            field: "x-sonar-webhook-hmac-sha256",
            redelivery: Redelivery::Never,
            documentation: "https://docs.sonarsource.com/sonarqube-cloud/administering-sonarcloud/integrations/webhooks",
            confirmed: false,
            note: "Sonar's page names the algorithm. The name of the field comes from third parties, which agree.",
            retries: "SonarQube never sends an event again by itself. An operator can send an event again with the API.",
            origin: Chosen("the field for the secret in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "terraform",
            sender: "HCP Terraform, Terraform Enterprise",
            field: "x-tfe-notification-signature",
            algorithm: Algorithm::HmacSha512,
            documentation: "https://developer.hashicorp.com/terraform/cloud-docs/workspaces/settings/notifications#notification-authenticity",
            confirmed: false,
            note: "For notifications with a generic payload. The secret is the notification's token. HashiCorp's page names the field and HMAC-SHA512. The encoding comes from third parties.",
            origin: Chosen("the token of the notification"),
            ..usual()
        },
        Row {
            name: "trello",
            sender: "Trello",
            field: "x-trello-webhook",
            algorithm: Algorithm::HmacSha1,
            encoding: Encoding::Base64,
            content: "{body}{url}",
            setup: vec![head_setup()],
            documentation: "https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/",
            note: "The URL must be exactly the callback URL that was registered. The key is the application's secret. Content beyond ASCII may not verify.",
            origin: Given("the Secret of the API key (Power-Up Admin Portal)"),
            ..usual()
        },
        Row {
            name: "uploadcare",
            sender: "Uploadcare",
            field: "x-uc-signature",
            format: list(Separator::Comma, '=', "v1"),
            documentation: "https://uploadcare.com/docs/api/rest/webhook/create/",
            note: "Uploadcare signs no time.",
            origin: Chosen("`signing_secret` of the webhook"),
            ..usual()
        },
        Row {
            name: "vercel",
            sender: "Vercel",
            field: "x-vercel-signature",
            algorithm: Algorithm::HmacSha1,
            documentation: "https://github.com/vercel/example-marketplace-integration/blob/main/app/webhook/route.ts",
            note: "Vercel shows a webhook's secret once. The secret of an integration's webhooks is the integration's client secret.",
            origin: Given("shown once, when the webhook is created; for an integration, its client secret"),
            ..usual()
        },
        Row {
            name: "webflow",
            sender: "Webflow",
            field: "x-webflow-signature",
            content: "{timestamp}:{body}",
            time: field_time("x-webflow-timestamp", Unit::Milliseconds, 300),
            documentation: "https://developers.webflow.com/data/v1.0.0/docs/verifying-webhook-signatures",
            note: "Webflow signs the webhooks that an OAuth app creates, and no others. The time is in milliseconds.",
            origin: Given("the client secret of the OAuth app"),
            ..usual()
        },
        Row {
            name: "workos",
            sender: "WorkOS",
            field: "workos-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Milliseconds, 180),
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://github.com/workos/workos-node/blob/main/src/common/crypto/signature-provider.ts",
            note: "The secret is in the webhook's settings. The time is in milliseconds.",
            origin: Given("the secret in the settings of the webhook"),
            ..usual()
        },
    ]
}
