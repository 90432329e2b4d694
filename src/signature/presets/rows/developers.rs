//! Pure. Rows of senders for developers: code, hosting, monitoring and tickets.

use crate::signature::algorithm::Algorithm;
use crate::signature::field::{Encoding, Separator};
use crate::signature::presets::row::{Row, list, plain, usual};
use crate::signature::scheme::{Acknowledgment, Redelivery};

/// These senders, by name.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "bitbucket",
            sender: "Bitbucket",
            field: "x-hub-signature",
            format: plain("sha256="),
            documentation: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
            confirmed: false,
            note: "Atlassian's page itself was not read; its example verifies",
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
            ..usual()
        },
        Row {
            name: "gitlab",
            sender: "GitLab",
            field: "x-gitlab-token",
            algorithm: Algorithm::Token,
            documentation: "https://docs.gitlab.com/user/project/integrations/webhooks/",
            note: "a shared token: it does not cover the body, and a program that sees one request can make others",
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
            ..usual()
        },
        Row {
            name: "linear",
            sender: "Linear",
            field: "linear-signature",
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://linear.app/developers/webhooks",
            note: "the time stands in the body and is not checked: a captured event can be replayed",
            ..usual()
        },
        Row {
            name: "pagerduty",
            sender: "PagerDuty",
            field: "x-pagerduty-signature",
            format: list(Separator::Comma, '=', "v1"),
            documentation: "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
            note: "version 3 of its webhooks; the secret is used as text",
            ..usual()
        },
        Row {
            name: "sentry",
            sender: "Sentry",
            field: "sentry-hook-signature",
            documentation: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
            note: "the key is the integration's client secret; the timestamp field is not signed",
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
            ..usual()
        },
    ]
}
