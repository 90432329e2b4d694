//! Pure. What the requests of well-known senders carry besides the signature: fields that apps look at, and a
//! body.
//!
//! The values are made up in the form of the senders' documentation. Signed fields are not here: the scheme
//! makes them.

use crate::signature::scheme::Scheme;

/// A sample request of a sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The name of the scheme.
    scheme: &'static str,
    /// The fields, in lower case.
    pub(super) fields: &'static [(&'static str, &'static str)],
    /// The body.
    pub(super) content: &'static str,
}

impl Sample {
    /// The sample of a scheme. Schemes of gateway.toml, and senders without a sample, have none.
    pub(super) fn of(scheme: &Scheme) -> Option<&'static Self> {
        SAMPLES.iter().find(|sample| sample.scheme == &*scheme.name)
    }
}

/// The value of a field that is different for each event.
pub(super) const ID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

const SAMPLES: &[Sample] = &[
    Sample {
        scheme: "github",
        fields: &[
            ("user-agent", "GitHub-Hookshot/044aadd"),
            ("x-github-event", "ping"),
            ("x-github-delivery", ID),
            ("x-github-hook-id", "1"),
            ("x-github-hook-installation-target-type", "repository"),
            ("x-github-hook-installation-target-id", "1"),
        ],
        // The first event that GitHub sends to a new webhook.
        content: r#"{"zen":"Keep it logically awesome.","hook_id":1}"#,
    },
    Sample {
        scheme: "gitlab",
        fields: &[
            ("user-agent", "GitLab/17.0.0"),
            ("x-gitlab-event", "Push Hook"),
            ("x-gitlab-event-uuid", ID),
            ("x-gitlab-webhook-uuid", ID),
            ("x-gitlab-instance", "https://gitlab.com"),
        ],
        content: r#"{"object_kind":"push","event_name":"push","ref":"refs/heads/main","project_id":1,"total_commits_count":0}"#,
    },
    Sample {
        scheme: "bitbucket",
        fields: &[
            ("user-agent", "Bitbucket-Webhooks/2.0"),
            ("x-event-key", "repo:push"),
            ("x-hook-uuid", ID),
            ("x-request-uuid", ID),
            ("x-attempt-number", "1"),
        ],
        content: r#"{"push":{"changes":[]},"repository":{"full_name":"team/sample"},"actor":{"display_name":"hookgate"}}"#,
    },
    Sample {
        scheme: "gitea",
        fields: &[
            ("x-gitea-event", "push"),
            ("x-gitea-event-type", "push"),
            ("x-gitea-delivery", ID),
            ("x-github-event", "push"),
            ("x-github-delivery", ID),
        ],
        content: r#"{"ref":"refs/heads/main","commits":[],"repository":{"id":1,"full_name":"team/sample"}}"#,
    },
    Sample {
        scheme: "stripe",
        fields: &[("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")],
        content: r#"{"id":"evt_00000000000001","object":"event","type":"payment_intent.succeeded","livemode":false,"data":{"object":{"id":"pi_00000000000001","object":"payment_intent","amount":1000,"currency":"eur"}}}"#,
    },
    Sample {
        scheme: "shopify",
        fields: &[
            ("user-agent", "Shopify-Captain-Hook"),
            ("x-shopify-topic", "orders/create"),
            ("x-shopify-shop-domain", "sample.myshopify.com"),
            ("x-shopify-api-version", "2026-04"),
            ("x-shopify-webhook-id", ID),
            ("x-shopify-event-id", ID),
            ("x-shopify-triggered-at", "2026-01-01T00:00:00.000000000Z"),
        ],
        content: r##"{"id":1,"name":"#1001","email":"jon@example.com","total_price":"10.00","currency":"EUR","line_items":[]}"##,
    },
    Sample {
        scheme: "slack",
        fields: &[("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)")],
        content: r#"{"type":"event_callback","team_id":"T00000001","api_app_id":"A00000001","event_id":"Ev00000001","event":{"type":"app_mention","user":"U00000001","text":"hello","channel":"C00000001","ts":"1.000001"}}"#,
    },
    Sample {
        scheme: "twilio",
        fields: &[("user-agent", "TwilioProxy/1.1"), ("i-twilio-idempotency-token", ID)],
        content: "MessageSid=SM00000000000000000000000000000001&From=%2B15005550006&To=%2B15005550010&Body=Hello+there",
    },
    Sample {
        scheme: "meta",
        fields: &[("user-agent", "facebookexternalua")],
        content: r#"{"object":"page","entry":[{"id":"1","time":1,"changes":[{"field":"feed","value":{"item":"status","verb":"add"}}]}]}"#,
    },
    Sample {
        scheme: "linear",
        fields: &[("user-agent", "Linear-Webhook"), ("linear-event", "Issue"), ("linear-delivery", ID)],
        content: r#"{"action":"create","type":"Issue","data":{"id":"1","title":"A sample"},"webhookId":"1"}"#,
    },
    Sample {
        scheme: "sentry",
        fields: &[("sentry-hook-resource", "issue"), ("request-id", ID)],
        content: r#"{"action":"created","installation":{"uuid":"1"},"data":{"issue":{"id":"1","title":"A sample"}}}"#,
    },
    Sample {
        scheme: "zoom",
        fields: &[("user-agent", "Zoom Marketplace/1.0a"), ("x-zm-trackingid", "sample")],
        content: r#"{"event":"meeting.started","event_ts":1,"payload":{"account_id":"1","object":{"id":"1","topic":"A sample"}}}"#,
    },
    Sample {
        scheme: "paddle",
        fields: &[("user-agent", "Paddle")],
        content: r#"{"event_id":"evt_01","event_type":"transaction.completed","occurred_at":"2026-01-01T00:00:00Z","notification_id":"ntf_01","data":{"id":"txn_01","status":"completed"}}"#,
    },
    Sample {
        scheme: "square",
        fields: &[("user-agent", "Square Connect v2"), ("square-environment", "Sandbox")],
        content: r#"{"merchant_id":"1","type":"payment.created","event_id":"1","data":{"type":"payment","id":"1"}}"#,
    },
    Sample {
        scheme: "woocommerce",
        fields: &[
            ("user-agent", "WooCommerce/9.0 Hookshot (WordPress/6.6)"),
            ("x-wc-webhook-source", "https://shop.example.com/"),
            ("x-wc-webhook-topic", "order.created"),
            ("x-wc-webhook-resource", "order"),
            ("x-wc-webhook-event", "created"),
            ("x-wc-webhook-id", "1"),
            ("x-wc-webhook-delivery-id", "1"),
        ],
        content: r#"{"id":1,"status":"processing","currency":"EUR","total":"10.00","line_items":[]}"#,
    },
    Sample {
        scheme: "lemon-squeezy",
        fields: &[("x-event-name", "order_created")],
        content: r#"{"meta":{"event_name":"order_created"},"data":{"type":"orders","id":"1"}}"#,
    },
    Sample {
        scheme: "pagerduty",
        fields: &[("user-agent", "PagerDuty-Webhook/V3.0"), ("x-webhook-id", ID)],
        content: r#"{"event":{"id":"1","event_type":"incident.triggered","resource_type":"incident","data":{"id":"1","type":"incident"}}}"#,
    },
    Sample {
        scheme: "dropbox",
        fields: &[("user-agent", "DropboxWebhooks/1.0")],
        content: r#"{"list_folder":{"accounts":["dbid:sample"]},"delta":{"users":[1]}}"#,
    },
    Sample {
        scheme: "line",
        fields: &[("user-agent", "LineBotWebhook/2.0")],
        content: r#"{"destination":"U00000001","events":[]}"#,
    },
    Sample {
        scheme: "circleci",
        fields: &[("user-agent", "CircleCI-Webhook/1.0"), ("circleci-event-type", "job-completed")],
        content: r#"{"type":"job-completed","id":"1","job":{"name":"build","status":"success"}}"#,
    },
    Sample {
        scheme: "buildkite",
        fields: &[("user-agent", "Buildkite-Request"), ("x-buildkite-event", "build.finished")],
        content: r#"{"event":"build.finished","build":{"id":"1","number":1,"state":"passed"}}"#,
    },
    Sample {
        scheme: "jira",
        fields: &[("user-agent", "Atlassian Webhook HTTP Client"), ("x-atlassian-webhook-identifier", ID)],
        content: r#"{"webhookEvent":"jira:issue_created","timestamp":1,"issue":{"id":"1","key":"SAMPLE-1"}}"#,
    },
    Sample {
        scheme: "zendesk",
        fields: &[
            ("user-agent", "Zendesk Webhook"),
            ("x-zendesk-webhook-id", "1"),
            ("x-zendesk-webhook-invocation-id", "1"),
            ("x-zendesk-account-id", "1"),
        ],
        content: r#"{"type":"zen:event-type:ticket.created","id":"1","detail":{"id":"1","subject":"A sample"}}"#,
    },
    Sample {
        scheme: "typeform",
        fields: &[("user-agent", "Typeform Webhooks")],
        content: r#"{"event_id":"1","event_type":"form_response","form_response":{"form_id":"1","token":"1","answers":[]}}"#,
    },
    Sample {
        scheme: "calendly",
        fields: &[("user-agent", "Calendly")],
        content: r#"{"event":"invitee.created","created_at":"2026-01-01T00:00:00.000000Z","payload":{"email":"jon@example.com"}}"#,
    },
    Sample {
        scheme: "twitch",
        fields: &[
            ("twitch-eventsub-message-type", "notification"),
            ("twitch-eventsub-message-retry", "0"),
            ("twitch-eventsub-subscription-type", "stream.online"),
            ("twitch-eventsub-subscription-version", "1"),
        ],
        content: r#"{"subscription":{"id":"1","type":"stream.online","version":"1"},"event":{"id":"1","broadcaster_user_id":"1","type":"live"}}"#,
    },
    Sample {
        scheme: "xero",
        fields: &[("user-agent", "Xero-WebHook")],
        content: r#"{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"SAMPLE"}"#,
    },
    Sample {
        scheme: "heroku",
        fields: &[("user-agent", "Heroku-Webhooks/1.0")],
        content: r#"{"id":"1","action":"create","resource":"build","data":{"id":"1","status":"pending"}}"#,
    },
    Sample {
        scheme: "razorpay",
        fields: &[("user-agent", "Razorpay-Webhook/v1"), ("x-razorpay-event-id", "sample")],
        content: r#"{"entity":"event","event":"payment.captured","payload":{"payment":{"entity":{"id":"pay_1","amount":1000}}}}"#,
    },
    Sample {
        scheme: "paystack",
        fields: &[],
        content: r#"{"event":"charge.success","data":{"id":1,"status":"success","reference":"sample","amount":1000}}"#,
    },
    Sample {
        scheme: "notion",
        fields: &[],
        content: r#"{"id":"1","type":"page.created","entity":{"id":"1","type":"page"},"data":{}}"#,
    },
    Sample {
        scheme: "intercom",
        fields: &[],
        content: r#"{"type":"notification_event","topic":"conversation.user.created","id":"notif_1","data":{"type":"notification_event_data","item":{"type":"conversation","id":"1"}}}"#,
    },
    Sample {
        scheme: "clerk",
        fields: &[("user-agent", "Svix-Webhooks/1.0")],
        content: r#"{"object":"event","type":"user.created","data":{"id":"user_1","object":"user"}}"#,
    },
    Sample {
        scheme: "svix",
        fields: &[("user-agent", "Svix-Webhooks/1.0")],
        content: r#"{"type":"invoice.paid","timestamp":"2026-01-01T00:00:00Z","data":{"id":"1"}}"#,
    },
    Sample {
        scheme: "standard-webhooks",
        fields: &[],
        content: r#"{"type":"invoice.paid","timestamp":"2026-01-01T00:00:00Z","data":{"id":"1"}}"#,
    },
    Sample {
        scheme: "telegram",
        fields: &[],
        content: r#"{"update_id":1,"message":{"message_id":1,"date":1,"chat":{"id":1,"type":"private"},"text":"hello"}}"#,
    },
    Sample {
        scheme: "hubspot",
        fields: &[("user-agent", "HubSpot Connect 2.0 (http://dev.hubspot.com/)")],
        content: r#"[{"eventId":1,"subscriptionId":1,"portalId":1,"occurredAt":1,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":1}]"#,
    },
];

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::signature::template::Body;

    #[test]
    fn each_sample_is_of_a_shipped_scheme_and_can_be_sent() {
        for sample in SAMPLES {
            let scheme = Scheme::preset(sample.scheme).unwrap_or_else(|| panic!("{}", sample.scheme));
            assert_eq!(Sample::of(scheme).map(|found| found.content), Some(sample.content));
            if *scheme.content.content() != Body::Form {
                assert!(
                    serde_json::from_str::<serde_json::Value>(sample.content).is_ok(),
                    "{}",
                    sample.scheme
                );
            }
            for (name, value) in sample.fields {
                assert_eq!(name.parse::<HeaderName>().unwrap().as_str(), *name);
                assert!(HeaderValue::from_str(value).is_ok(), "{name}");
            }
        }
    }

    /// A challenge would be answered by the gateway, and would not reach the app.
    #[test]
    fn no_sample_asks_for_an_answer_to_a_challenge() {
        for sample in SAMPLES {
            for word in [
                "\"challenge\"",
                "url_verification",
                "endpoint.url_validation",
                "webhook_callback_verification",
            ] {
                assert!(!sample.content.contains(word), "{}", sample.scheme);
            }
        }
    }
}
