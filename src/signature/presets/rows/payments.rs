//! Pure. Rows of senders for payments, shops and accounts.

use crate::signature::challenge::{Expected, Insert, Reply};
use crate::signature::field::{Encoding, Separator};
use crate::signature::presets::row::{Row, content_challenge, key_time, list, usual};
use crate::signature::scheme::Acknowledgment;
use crate::signature::window::Unit;

/// These senders, by name.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "lemon-squeezy",
            sender: "Lemon Squeezy",
            field: "x-signature",
            acknowledgment: Acknowledgment::Ok,
            documentation: "https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
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
            note: "Paddle Billing; five seconds are what its own libraries allow, and `tolerance` allows more",
            ..usual()
        },
        Row {
            name: "shopify",
            sender: "Shopify",
            field: "x-shopify-hmac-sha256",
            encoding: Encoding::Base64,
            documentation: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
            note: "the key is the app's API secret key; what other fields say is not signed",
            ..usual()
        },
        Row {
            name: "square",
            sender: "Square",
            field: "x-square-hmacsha256-signature",
            encoding: Encoding::Base64,
            content: "{url}{body}",
            documentation: "https://developer.squareup.com/docs/webhooks/step3validate",
            note: "the URL must be the one that is registered at Square, to the letter",
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
            note: "the key is the whole text of the secret, `whsec_` and all",
            ..usual()
        },
        Row {
            name: "woocommerce",
            sender: "WooCommerce",
            field: "x-wc-webhook-signature",
            encoding: Encoding::Base64,
            documentation: "https://woocommerce.com/document/webhooks/",
            note: "saving a webhook sends an unsigned ping, which is refused; the webhook works all the same",
            ..usual()
        },
        Row {
            name: "xero",
            sender: "Xero",
            field: "x-xero-signature",
            encoding: Encoding::Base64,
            // The numbers of the sender's real events begin with 1.
            challenge: content_challenge(
                [("/firstEventSequence", Expected::Number(0)), ("/lastEventSequence", Expected::Number(0))],
                None,
                Reply::Text(Insert::Text("".into())),
            ),
            acknowledgment: Acknowledgment::EmptyOk,
            documentation: "https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/",
            note: "the key is used as text, though it looks like base64; do not observe: wrong signatures are sent on purpose",
            ..usual()
        },
    ]
}
