//! Pure. Rows of senders for payments, shops and accounts.

use crate::signature::algorithm::Algorithm;
use crate::signature::challenge::{Expected, Insert, Reply};
use crate::signature::field::{Encoding, Format, Separator};
use crate::signature::named_fields::NamedFields;
use crate::signature::presets::row::{
    Row, content_challenge, entry_time, field_time, form_setup, key_time, list, plain, usual,
};
use crate::signature::scheme::SecretOrigin::{Chosen, Given};
use crate::signature::scheme::{Acknowledgment, Refusal};
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

/// These senders, by name.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "adyen-platform",
            sender: "Adyen (platforms and management)",
            field: "hmacsignature",
            encoding: Encoding::Base64,
            secret: SecretEncoding::Hex,
            documentation: "https://github.com/Adyen/adyen-node-api-library/blob/main/src/utils/hmacValidator.ts",
            note: "The secret is the webhook's HMAC key, in hexadecimal. Adyen's payment notifications sign values out of their content, and have no scheme.",
            origin: Given("the HMAC key of the webhook, in hexadecimal"),
            ..usual()
        },
        Row {
            name: "aftership",
            sender: "AfterShip",
            field: "aftership-hmac-sha256",
            encoding: Encoding::Base64,
            documentation: "https://www.aftership.com/docs/tracking/webhook/webhook-signature",
            note: "For AfterShip Tracking. AfterShip's other products have other fields.",
            origin: Given("the webhook secret (settings, Webhooks)"),
            ..usual()
        },
        Row {
            name: "btcpay",
            sender: "BTCPay Server",
            field: "btcpay-sig",
            format: plain("sha256="),
            documentation: "https://docs.btcpayserver.org/API/Greenfield/v1/#tag/Webhooks",
            confirmed: false,
            note: "The rule was read in a library that is made from BTCPay Server's own description of its API.",
            retries: "BTCPay Server tries an event again after 10 seconds, after a minute, and then up to 6 times every 10 minutes, unless automatic redelivery is off.",
            origin: Given("the secret in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "cashfree",
            sender: "Cashfree",
            field: "x-webhook-signature",
            encoding: Encoding::Base64,
            content: "{timestamp}{body}",
            time: field_time("x-webhook-timestamp", Unit::Milliseconds, 300),
            documentation: "https://www.cashfree.com/docs/payments/online/webhooks/signature-verification",
            note: "For webhooks of payments and subscriptions. The time is in milliseconds. hookgate chooses the tolerance.",
            origin: Given("the client secret of the account"),
            ..usual()
        },
        Row {
            name: "checkout-com",
            sender: "Checkout.com",
            field: "cko-signature",
            documentation: "https://www.checkout.com/docs/workflows",
            note: "Checkout.com signs no time.",
            retries: "Checkout.com tries an event again up to 8 times, within about 30 hours.",
            origin: Given("the signature key of the webhook action of the workflow"),
            ..usual()
        },
        Row {
            name: "chip",
            sender: "CHIP",
            field: "x-signature",
            algorithm: Algorithm::RsaSha256,
            encoding: Encoding::Base64,
            secret: SecretEncoding::Base64,
            documentation: "https://docs.chip-in.asia/chip-collect/overview/webhook-signatures",
            note: "For CHIP Collect. The secret is the webhook's public key, in PEM or base64. Success callbacks have another key. CHIP signs no time.",
            origin: Given("`public_key` of the webhook, or of the account for success callbacks (the API)"),
            ..usual()
        },
        Row {
            name: "coinbase",
            sender: "Coinbase Developer Platform",
            field: "x-hook0-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "{timestamp}.{names}.{values}.{body}",
            time: key_time("t", Unit::Seconds, 300),
            // The type of an event has dots: `onchain.activity.detected`.
            named_fields: Some(NamedFields {
                key: "h".into(),
                fields: ["content-type", "x-event-id", "x-event-type", "x-hook0-id"].map(Into::into).to_vec(),
                any: Some("x-event-type".into()),
            }),
            documentation: "https://docs.cdp.coinbase.com/webhooks/verify-signatures",
            note: "For webhooks of the Coinbase Developer Platform. The signature names the fields that it covers. The body must be a JSON object or array.",
            origin: Given("`secret` in the answer to the request that creates the subscription"),
            ..usual()
        },
        Row {
            name: "coinbase-commerce",
            sender: "Coinbase Commerce",
            field: "x-cc-webhook-signature",
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-security",
            note: "For Coinbase Commerce. The scheme coinbase is for webhooks of the Coinbase Developer Platform.",
            retries: "Coinbase Commerce tries an event for three days, with growing waits of up to an hour.",
            origin: Given("the webhook shared secret (Settings, Notifications)"),
            ..usual()
        },
        Row {
            name: "easypost",
            sender: "EasyPost",
            field: "x-hmac-signature",
            format: plain("hmac-sha256-hex="),
            documentation: "https://github.com/EasyPost/easypost-node/blob/master/src/utils/util.js",
            note: "The secret is the `webhook_secret` that you give when you create the webhook. Choose a secret in ASCII: EasyPost normalises other letters.",
            retries: "EasyPost tries an event again after an answer that is not 2xx. EasyPost does not say how often.",
            origin: Chosen("`webhook_secret` in the request that creates the webhook"),
            ..usual()
        },
        Row {
            name: "fourthwall",
            sender: "Fourthwall",
            field: "x-fourthwall-hmac-sha256",
            encoding: Encoding::Base64,
            documentation: "https://docs.fourthwall.com/webhooks/signature-verification",
            note: "For a shop's own webhooks. Webhooks of platform apps have another field.",
            origin: Given("the secret in the site settings (Webhooks)"),
            ..usual()
        },
        Row {
            name: "gocardless",
            sender: "GoCardless",
            field: "webhook-signature",
            documentation: "https://github.com/gocardless/gocardless-pro-python/blob/master/gocardless_pro/webhooks.py",
            note: "GoCardless signs no time.",
            origin: Chosen("the secret of the webhook endpoint (dashboard, Developers)"),
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
            name: "modern-treasury",
            sender: "Modern Treasury",
            field: "x-signature",
            documentation: "https://docs.moderntreasury.com/platform/docs/verifying-webhooks",
            note: "Modern Treasury signs no time.",
            retries: "Modern Treasury tries an event again with growing waits, if there is no 2xx within 5 seconds.",
            origin: Given("the webhook key (developer settings)"),
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
            note: "For Paddle Billing. Paddle's own libraries allow five seconds. `tolerance` allows more.",
            origin: Given("the secret key of the notification destination (Developer tools, Notifications)"),
            ..usual()
        },
        Row {
            name: "paystack",
            sender: "Paystack",
            field: "x-paystack-signature",
            algorithm: Algorithm::HmacSha512,
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://paystack.com/docs/payments/webhooks/",
            confirmed: false,
            note: "Paystack's page was not read. Many third parties describe the same rule.",
            origin: Given("the secret key of the account, `sk_...`"),
            ..usual()
        },
        Row {
            name: "qonto",
            sender: "Qonto",
            field: "x-qonto-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Seconds, 300),
            documentation: "https://docs.qonto.com/api-reference/business-api/webhooks/setup",
            note: "The secret is the text that you give when you create the subscription. Qonto waits for an answer only one second.",
            retries: "Qonto tries an event again later.",
            origin: Chosen("the secret in the request that creates the subscription"),
            ..usual()
        },
        Row {
            name: "quickbooks",
            sender: "QuickBooks (Intuit)",
            field: "intuit-signature",
            encoding: Encoding::Base64,
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks/managing-webhooks-notifications",
            origin: Given("the verifier token of the app (its settings for webhooks)"),
            ..usual()
        },
        Row {
            name: "razorpay",
            sender: "Razorpay",
            field: "x-razorpay-signature",
            documentation: "https://github.com/razorpay/razorpay-node/blob/master/lib/utils/razorpay-utils.js",
            note: "You choose the secret in the webhook's settings. The secret is not the API key.",
            origin: Chosen("the field Secret in the settings of the webhook"),
            ..usual()
        },
        Row {
            name: "recurly",
            sender: "Recurly",
            field: "recurly-signature",
            format: Format::List { separator: Separator::Comma, equals: '=', tags: Vec::new(), sets: None },
            content: "{timestamp}.{body}",
            time: entry_time(1, Unit::Milliseconds, 300),
            documentation: "https://docs.recurly.com/recurly-subscriptions/docs/signature-verification",
            note: "For webhooks in JSON. Recurly does not sign webhooks in XML. The secret is the endpoint's secret key. The time is in milliseconds. While a key is rotated, Recurly sends two signatures.",
            origin: Given("the secret key on the page of the webhook endpoint"),
            ..usual()
        },
        Row {
            name: "revolut",
            sender: "Revolut",
            field: "revolut-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "v1.{timestamp}.{body}",
            time: field_time("revolut-request-timestamp", Unit::Milliseconds, 300),
            documentation: "https://developer.revolut.com/docs/guides/manage-accounts/webhooks/verify-the-payload-signature",
            note: "For Revolut's Business, Merchant and Crypto Ramp APIs. The time is in milliseconds.",
            origin: Given("the signing secret `wsk_...`, which the API shows with the webhook"),
            ..usual()
        },
        Row {
            name: "shopify",
            sender: "Shopify",
            field: "x-shopify-hmac-sha256",
            // Shopify's Events have this name (https://shopify.dev/docs/apps/build/events/verify-deliveries).
            aliases: &[("x-shopify-hmac-sha256", "shopify-hmac-sha256")],
            encoding: Encoding::Base64,
            documentation: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
            note: "The key is the app's API secret key. Shopify signs only the content. Shopify's Events have the signature in `shopify-hmac-sha256`. A client can change the other fields.",
            retries: "Shopify tries an event 8 times within 4 hours.",
            origin: Given("the app's API secret key, or the key under Settings, Notifications, Webhooks"),
            ..usual()
        },
        Row {
            name: "square",
            sender: "Square",
            field: "x-square-hmacsha256-signature",
            encoding: Encoding::Base64,
            content: "{url}{body}",
            documentation: "https://developer.squareup.com/docs/webhooks/step3validate",
            note: "The URL must be exactly the URL that is registered at Square.",
            origin: Given("the Signature Key of the webhook subscription (Developer Console, Webhooks)"),
            ..usual()
        },
        Row {
            name: "strike",
            sender: "Strike",
            field: "x-webhook-signature",
            documentation: "https://docs.strike.me/webhooks/signature-verification",
            note: "The secret is the text that you give when you create the subscription. Strike signs no time.",
            origin: Chosen("the secret in the request that creates the subscription"),
            ..usual()
        },
        Row {
            name: "stripe",
            sender: "Stripe",
            field: "stripe-signature",
            format: list(Separator::Comma, '=', "v1"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Seconds, 300),
            documentation: "https://docs.stripe.com/webhooks/signature",
            note: "The key is the whole text of the secret, with `whsec_`.",
            retries: "Stripe tries an event for three days, with growing waits.",
            origin: Given("the signing secret of the endpoint (Developers, Webhooks)"),
            ..usual()
        },
        Row {
            name: "wise",
            sender: "Wise",
            field: "x-signature-sha256",
            algorithm: Algorithm::RsaSha256,
            encoding: Encoding::Base64,
            secret: SecretEncoding::Base64,
            documentation: "https://docs.wise.com/guides/developer/webhooks/event-handling",
            note: "The secret is Wise's public key, in PEM or base64. Wise has one key for production and another for its sandbox. Wise signs no time.",
            retries: "Wise tries an event again up to 25 times within two weeks, with growing waits, if there is no 2xx within 5 seconds.",
            origin: Given(
                "the public key of production or of the sandbox (Wise's documentation of webhooks)",
            ),
            ..usual()
        },
        Row {
            name: "woocommerce",
            sender: "WooCommerce",
            field: "x-wc-webhook-signature",
            encoding: Encoding::Base64,
            setup: vec![form_setup([("webhook_id", None)])],
            documentation: "https://woocommerce.com/document/webhooks/",
            note: "When you save a webhook, WooCommerce sends an unsigned ping. The webhook works even if the ping is refused.",
            origin: Chosen("the field Secret of the webhook (WooCommerce, Settings, Advanced, Webhooks)"),
            ..usual()
        },
        Row {
            name: "xero",
            sender: "Xero",
            field: "x-xero-signature",
            encoding: Encoding::Base64,
            // A real notification has an event.
            challenge: content_challenge(
                [
                    ("/firstEventSequence", Expected::Number(0)),
                    ("/lastEventSequence", Expected::Number(0)),
                    ("/events/0", Expected::Absent),
                ],
                None,
                Reply::Text(Insert::Text("".into())),
            ),
            acknowledgment: Acknowledgment::EmptyOk,
            refusal: Refusal::Empty,
            documentation: "https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/",
            note: "The key is the text of the webhook key, although the key looks like base64. Do not write `mode = \"observe\"`: Xero sends wrong signatures on purpose.",
            origin: Given("the webhooks key of the app (Developer portal, Webhooks)"),
            ..usual()
        },
        Row {
            name: "zoho-payments",
            sender: "Zoho Payments",
            field: "x-zoho-webhook-signature",
            format: list(Separator::Comma, '=', "v"),
            content: "{timestamp}.{body}",
            time: key_time("t", Unit::Milliseconds, 300),
            documentation: "https://zoho.com/in/payments/developerdocs/webhooks/verification",
            confirmed: false,
            note: "Two copies of Zoho's page spell the field differently. Zoho Billing signs by another rule, which no scheme can describe. hookgate chooses the tolerance.",
            retries: "Zoho Payments tries an event again for up to 2 days.",
            origin: Given("the signing key of the webhook"),
            ..usual()
        },
    ]
}
