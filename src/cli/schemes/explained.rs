//! Pure. `hookgate schemes NAME`: explains one scheme to an operator, with the lines for gateway.toml.

use crate::cli::challenge_keys;
use crate::config::size_and_duration::write_duration;
use crate::signature::algorithm::Algorithm;
use crate::signature::challenge::Challenge;
use crate::signature::field::Format;
use crate::signature::scheme::{
    Acknowledgment, AnswerUse, Inexpressible, PRESETS, Redelivery, Scheme, Source,
};
use crate::signature::secret::SecretEncoding;
use crate::signature::window::{Place, Timestamp, Unit};

/// The lines that explain a scheme. Empty for a scheme that does not ship with hookgate.
pub(super) fn lines(scheme: &Scheme) -> Vec<String> {
    let Source::Shipped { sender, documentation, confirmed, note, retries, .. } = scheme.source else {
        return Vec::new();
    };
    let mut facts = vec![("signature", signature(scheme)), ("signed", signed(scheme))];
    facts.extend(scheme.timestamp.as_ref().map(|timestamp| ("time", time(timestamp))));
    facts.extend(scheme.id.as_ref().map(|id| ("identifier", format!("in the field `{id}`"))));
    facts.push(("secret", secret(scheme).to_owned()));
    facts.extend(scheme.challenge.as_ref().map(|challenge| ("challenge", asks(challenge))));
    facts.extend(scheme.setup.iter().map(|setup| ("set-up", format!("{setup}, not signed"))));
    facts.push(("answer", answer(scheme)));
    facts.push(("sent again", sent_again(scheme, retries)));
    facts.push(("rule", rule(documentation, confirmed)));
    let mut lines = vec![format!("{}: {sender}", scheme.name), String::new()];
    lines.extend(facts.into_iter().map(|(name, text)| format!("  {name:11} {text}")));
    if !note.is_empty() {
        lines.extend([String::new(), format!("  {note}")]);
    }
    lines.extend([String::new(), "Write into gateway.toml:".to_owned(), String::new()]);
    lines.extend(route(scheme));
    lines
}

/// The scheme that an unknown name may stand for: a scheme whose sender or note contains the name.
pub(super) fn mentioned(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let contains = |text: &str| text.to_lowercase().contains(&name);
    let found = PRESETS.iter().find(|scheme| match scheme.source {
        Source::Shipped { sender, note, .. } => contains(sender) || contains(note),
        Source::Configured => false,
    });
    found.filter(|_| name.chars().count() >= SHORTEST_MENTION).map(|scheme| &*scheme.name)
}

/// The fewest letters of a name that is looked for in other texts. Shorter names occur within other words.
const SHORTEST_MENTION: usize = 4;

/// Why there is no scheme for this sender.
pub(super) fn reason(sender: &Inexpressible) -> String {
    format!("there is no scheme for {}: the sender {}", sender.sender, sender.reason)
}

fn signature(scheme: &Scheme) -> String {
    let algorithm = scheme.algorithm.name();
    let form = match &scheme.notation.format {
        Format::Plain { prefix } if prefix.is_empty() => String::new(),
        Format::Plain { prefix } => format!(", after `{prefix}`"),
        Format::Basic => ", as Basic credentials".to_owned(),
        Format::Jwt { prefix, .. } if prefix.is_empty() => ", in a JWT".to_owned(),
        Format::Jwt { prefix, .. } => format!(", in a JWT, after `{prefix}`"),
        Format::List { equals, tags, .. } => {
            let names: Vec<_> = tags.iter().map(|tag| format!("`{tag}{equals}`")).collect();
            match names.is_empty() {
                true => ", in a list".to_owned(),
                false => format!(", in a list, after {}", names.join(" or ")),
            }
        }
    };
    let encoding = match scheme.algorithm {
        Algorithm::Token => String::new(),
        Algorithm::HmacSha1
        | Algorithm::HmacSha256
        | Algorithm::HmacSha384
        | Algorithm::HmacSha512
        | Algorithm::HmacMd5
        | Algorithm::Ed25519
        | Algorithm::EcdsaP256
        | Algorithm::RsaSha256 => format!(" in {}", scheme.notation.encoding.name()),
    };
    let fields: Vec<_> = scheme.signature_names().map(|field| format!("`{field}`")).collect();
    match &scheme.parameter {
        Some(name) => format!("{algorithm}{encoding}, in the query, as `{name}`{form}"),
        None => format!("{algorithm}{encoding}, in the field {}{form}", fields.join(" or ")),
    }
}

fn signed(scheme: &Scheme) -> String {
    match scheme.algorithm {
        Algorithm::Token => "nothing: the field contains the secret itself".to_owned(),
        Algorithm::HmacSha1
        | Algorithm::HmacSha256
        | Algorithm::HmacSha384
        | Algorithm::HmacSha512
        | Algorithm::HmacMd5
        | Algorithm::Ed25519
        | Algorithm::EcdsaP256
        | Algorithm::RsaSha256 => format!("`{}`", scheme.content.as_str()),
    }
}

fn time(timestamp: &Timestamp) -> String {
    let place = match &timestamp.place {
        Place::Field(name) => format!("in the field `{name}`"),
        Place::Key(key) => format!("in the signature field, under `{key}`"),
        Place::Entry(number) => format!("in the signature field, as entry {number}"),
        Place::Claim(name) => format!("in the JWT, under `{name}`"),
        Place::Pointer(pointer) => format!("in the content, at `{pointer}`"),
    };
    let unit = match timestamp.unit {
        Unit::Seconds => "in seconds since 1970",
        Unit::Milliseconds => "in milliseconds since 1970",
        Unit::Microseconds => "in microseconds since 1970",
        Unit::Rfc3339 => "as a date (RFC 3339)",
        Unit::HttpDate => "as a date of HTTP (RFC 9110)",
    };
    format!("{place}, {unit}; it may differ from ours by {}", write_duration(timestamp.past))
}

fn secret(scheme: &Scheme) -> &'static str {
    if scheme.algorithm == Algorithm::Token {
        return "the text that the sender sends in the field";
    }
    match (scheme.algorithm.is_symmetric(), scheme.secret_encoding) {
        (true, SecretEncoding::Utf8) => "the text of the secret is the key",
        (true, SecretEncoding::Base64) => "the key in base64, with or without `whsec_` before it",
        (true, SecretEncoding::Hex) => "the key in hexadecimal",
        (false, SecretEncoding::Hex) => "the sender's public key, in hexadecimal",
        (false, SecretEncoding::Utf8 | SecretEncoding::Base64) => "the sender's public key, in base64",
    }
}

fn asks(challenge: &Challenge) -> String {
    let kind = if challenge.is_unsigned() { "unsigned" } else { "signed" };
    format!("{challenge} ({kind}); `challenge = \"answer\"` lets the gateway answer")
}

fn answer(scheme: &Scheme) -> String {
    let stored = match scheme.acknowledgment {
        Acknowledgment::Accepted => "202",
        Acknowledgment::Ok => "200",
        Acknowledgment::EmptyOk => "200 without content",
        Acknowledgment::NoContent => "204",
    };
    match scheme.answer_use {
        AnswerUse::Never => format!("a stored event is answered with {stored}"),
        AnswerUse::Sometimes => {
            format!("the sender uses the app's own answer to some events; a stored event gets {stored}")
        }
        AnswerUse::Always => "the sender uses the app's own answer".to_owned(),
    }
}

fn sent_again(scheme: &Scheme, retries: &str) -> String {
    match (retries, scheme.redelivery) {
        ("", Redelivery::Never) => "never".to_owned(),
        ("", Redelivery::Some) => "not known".to_owned(),
        (retries, _) => retries.to_owned(),
    }
}

fn rule(documentation: &str, confirmed: bool) -> String {
    match confirmed {
        true => documentation.to_owned(),
        false => format!("{documentation} (the rule was not found there)"),
    }
}

/// A route for the sender, as gateway.toml has it.
fn route(scheme: &Scheme) -> Vec<String> {
    let name = &scheme.name;
    let variable = name.to_uppercase().replace('-', "_");
    let needs_token = scheme.challenge.as_ref().is_some_and(Challenge::needs_token);
    let mut lines = vec![
        "[[routes]]".to_owned(),
        format!("path = \"/hooks/{name}\""),
        "upstream = \"http://127.0.0.1:3000\"".to_owned(),
    ];
    lines.extend(scheme.signs_url().then(|| "public_url = \"https://hooks.example.com\"".to_owned()));
    lines.extend(challenge_keys::methods(scheme).map(|methods| format!("methods = {methods:?}")));
    lines.extend([String::new(), "[routes.signature]".to_owned(), format!("scheme = \"{name}\"")]);
    lines.extend(challenge_keys::mode(scheme).map(|mode| format!("challenge = \"{mode}\"")));
    lines.extend(needs_token.then(|| format!("verify_token = {{ env = \"{variable}_VERIFY_TOKEN\" }}")));
    lines.push(format!("secrets = [{{ env = \"{variable}_WEBHOOK_SECRET\" }}]"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Fixed;
    use crate::config::problem::Style;
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    /// A secret that every sender of a shared key can have: it is text, base64 and hexadecimal.
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_printed_for_every_sender_with_a_shared_key_is_a_configuration_without_errors() {
        for scheme in PRESETS.iter().filter(|scheme| scheme.algorithm.is_symmetric()) {
            let name = scheme.name.to_uppercase().replace('-', "_");
            let lines = lines(scheme);
            let (_, route) = lines.split_at(lines.iter().position(|line| line == "[[routes]]").unwrap());
            let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n\n{}\n", route.join("\n"));
            let environment = Fixed::new(NonZeroUsize::MIN)
                .with_variable(&format!("{name}_WEBHOOK_SECRET"), SECRET)
                .with_variable(&format!("{name}_VERIFY_TOKEN"), "89abcdef0123456789abcdef01234567");
            let read = crate::config::read("gateway.toml", &text, &environment, SystemTime::UNIX_EPOCH);
            if let Err(report) = read {
                panic!("{}: {}\n{text}", scheme.name, report.render(Style::Plain));
            }
        }
    }

    #[test]
    fn every_sender_is_explained_with_its_signature_its_secret_and_the_place_of_its_rule() {
        for scheme in PRESETS.iter() {
            let text = lines(scheme).join("\n");
            let documentation = match scheme.source {
                Source::Shipped { documentation, .. } => documentation,
                Source::Configured => panic!("{}", scheme.name),
            };
            for part in
                ["  signature ", "  secret ", "  answer ", "  sent again ", documentation, &scheme.field]
            {
                assert!(text.contains(part), "{}: {part:?} in {text}", scheme.name);
            }
        }
    }

    #[test]
    fn a_name_in_a_note_finds_its_scheme_unless_it_is_short() {
        assert_eq!(mentioned("Instagram"), Some("meta"));
        assert_eq!(mentioned("not"), None);
        assert_eq!(mentioned("nonesuch"), None);
    }
}
