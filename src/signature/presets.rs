//! Pure. The schemes that ship with hookgate: a row of data for each sender, and no code.

use std::sync::LazyLock;
use std::time::Duration;

use super::algorithm::Algorithm;
use super::field::{Encoding, Format, Notation, Separator};
use super::scheme::{Scheme, Source};
use super::template::Template;
use super::window::{Place, Timestamp, Unit};
use crate::secret::SecretEncoding;

/// Every scheme that ships with hookgate.
pub static PRESETS: LazyLock<Vec<Scheme>> = LazyLock::new(|| ROWS.iter().map(Row::scheme).collect());

/// A sender. What most of them do is [`USUAL`]; a row says what is different.
struct Row {
    name: &'static str,
    sender: &'static str,
    field: &'static str,
    algorithm: Algorithm,
    format: Shape,
    encoding: Encoding,
    secret: SecretEncoding,
    content: &'static str,
    time: Option<Time>,
    id: Option<&'static str>,
    model: &'static [&'static str],
    integration: &'static [&'static str],
    documentation: &'static str,
    confirmed: bool,
    note: &'static str,
}

/// How tags stand in the field.
enum Shape {
    /// Behind this prefix.
    Plain(&'static str),
    /// In a list, with this separator, this sign between name and value, and the tags under this name.
    List(Separator, char, &'static str),
}

/// Where the signed time stands, how it is written, and how many seconds it may be old or ahead.
enum Time {
    Field(&'static str, Unit, u64),
    Key(&'static str, Unit, u64),
}

/// Hexadecimal HMAC-SHA256 of the body, keyed with the secret's text.
const USUAL: Row = Row {
    name: "",
    sender: "",
    field: "",
    algorithm: Algorithm::HmacSha256,
    format: Shape::Plain(""),
    encoding: Encoding::Hex,
    secret: SecretEncoding::Utf8,
    content: "{body}",
    time: None,
    id: None,
    model: &[],
    integration: &[],
    documentation: "",
    confirmed: true,
    note: "",
};

const ROWS: &[Row] = &[
    Row {
        name: "propify",
        sender: "Propify",
        field: "propify-signature",
        model: &["/meta/object", "/data/object"],
        integration: &["/meta/integration_id", "/data/integration_id"],
        documentation: "Propify, webhooks: hex HMAC-SHA256 of the raw body in `propify-signature`",
        ..USUAL
    },
    Row {
        name: "propexo",
        sender: "Propexo",
        field: "propexo-signature",
        model: &["/meta/object", "/data/object"],
        integration: &["/meta/integration_id", "/data/integration_id"],
        documentation: "Propexo (Propify under its other name), webhooks: hex HMAC-SHA256 of the raw body in \
                        `propexo-signature`",
        ..USUAL
    },
    Row {
        name: "github",
        sender: "GitHub",
        field: "x-hub-signature-256",
        format: Shape::Plain("sha256="),
        documentation: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        ..USUAL
    },
    Row {
        name: "gitlab",
        sender: "GitLab",
        field: "x-gitlab-token",
        algorithm: Algorithm::Token,
        documentation: "https://docs.gitlab.com/user/project/integrations/webhooks/",
        note: "a shared token: whoever sees one request can make others",
        ..USUAL
    },
    Row {
        name: "stripe",
        sender: "Stripe",
        field: "stripe-signature",
        format: Shape::List(Separator::Comma, '=', "v1"),
        content: "{timestamp}.{body}",
        time: Some(Time::Key("t", Unit::Seconds, 300)),
        documentation: "https://docs.stripe.com/webhooks#verify-manually",
        note: "the key is the whole text of the secret, `whsec_` and all",
        ..USUAL
    },
    Row {
        name: "standard-webhooks",
        sender: "Standard Webhooks",
        field: "webhook-signature",
        format: Shape::List(Separator::Space, ',', "v1"),
        encoding: Encoding::Base64,
        secret: SecretEncoding::Base64,
        content: "{id}.{timestamp}.{body}",
        time: Some(Time::Field("webhook-timestamp", Unit::Seconds, 300)),
        id: Some("webhook-id"),
        documentation: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
        ..USUAL
    },
];

impl Row {
    fn scheme(&self) -> Scheme {
        let pointers = |all: &[&'static str]| all.iter().map(|pointer| (*pointer).into()).collect();
        Scheme {
            name: self.name.into(),
            field: self.field.into(),
            algorithm: self.algorithm,
            notation: Notation { format: self.format.format(), encoding: self.encoding },
            content: self.template(),
            timestamp: self.time.as_ref().map(Time::timestamp),
            id: self.id.map(Into::into),
            secret_encoding: self.secret,
            model_pointers: pointers(self.model),
            integration_pointers: pointers(self.integration),
            source: Source::Shipped {
                sender: self.sender,
                documentation: self.documentation,
                confirmed: self.confirmed,
                note: self.note,
            },
        }
    }

    #[expect(clippy::expect_used, reason = "the rows are constants, and a test reads every one of them")]
    fn template(&self) -> Template {
        Template::parse(self.content).expect("the template of a preset is one")
    }
}

impl Shape {
    fn format(&self) -> Format {
        match *self {
            Self::Plain(prefix) => Format::Plain { prefix: prefix.into() },
            Self::List(separator, equals, tag) => Format::List { separator, equals, tag: tag.into() },
        }
    }
}

impl Time {
    fn timestamp(&self) -> Timestamp {
        let (place, unit, tolerance) = match *self {
            Self::Field(name, unit, tolerance) => (Place::Field(name.into()), unit, tolerance),
            Self::Key(name, unit, tolerance) => (Place::Key(name.into()), unit, tolerance),
        };
        let tolerance = Duration::from_secs(tolerance);
        Timestamp { place, unit, past: tolerance, future: tolerance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_goes_together_and_has_a_name_of_its_own() {
        for (index, scheme) in PRESETS.iter().enumerate() {
            assert_eq!(scheme.fault(), None, "{}", scheme.name);
            let first = PRESETS.iter().position(|other| other.name == scheme.name);
            assert_eq!(first, Some(index), "{} is there twice", scheme.name);
            for field in scheme.fields() {
                assert_eq!(http::HeaderName::try_from(field).unwrap().as_str(), field, "{}", scheme.name);
            }
            for pointer in scheme.model_pointers.iter().chain(&scheme.integration_pointers) {
                assert!(pointer.starts_with('/'), "{pointer}");
            }
        }
    }
}
