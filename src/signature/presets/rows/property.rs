//! Pure. Rows of senders for property management.

use crate::signature::presets::row::{Row, usual};
use crate::signature::scheme::SecretOrigin::Given;

/// These senders, by name.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "propify",
            sender: "Propify",
            field: "propify-signature",
            model: &["/meta/object", "/data/object"],
            integration: &["/meta/integration_id", "/data/integration_id"],
            documentation: "Propify, webhooks: hex HMAC-SHA256 of the raw body in `propify-signature`",
            retries: "Propify tries an event 10 times, every 15 minutes.",
            origin: Given("the secret of the integration, in its webhook settings"),
            ..usual()
        },
        Row {
            name: "propexo",
            sender: "Propexo",
            field: "propexo-signature",
            model: &["/meta/object", "/data/object"],
            integration: &["/meta/integration_id", "/data/integration_id"],
            documentation: "https://docs.propexo.com/api/how-it-works/webhooks/signed-payloads/",
            retries: "Propexo tries an event 10 times, every 15 minutes.",
            origin: Given("the secret of the integration, in its webhook settings"),
            ..usual()
        },
    ]
}
