//! Pure. The values of `hookgate init`'s options.

use std::net::SocketAddr;

use crate::config::suggest;
use crate::signature::scheme::{INEXPRESSIBLE, Inexpressible, PRESETS, Scheme};

/// The value of `--admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminOption {
    /// There is no admin listener.
    Off,
    /// The admin listener has this address.
    At(SocketAddr),
}

/// Parses the name of a sender's scheme, or `-`.
pub(crate) fn sender(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    if text == "-" || Scheme::preset(&name).is_some() {
        return Ok(name);
    }
    if text.ends_with(".toml") {
        return Err(format!("the sender stands before the file: `hookgate init github {text}`"));
    }
    let is_meant =
        |other: &&Inexpressible| other.sender.to_ascii_lowercase().split([' ', ',']).any(|word| word == name);
    if let Some(known) = INEXPRESSIBLE.iter().find(is_meant) {
        return Err(format!("no scheme can express how {} signs: it {}", known.sender, known.reason));
    }
    let names = || PRESETS.iter().map(|scheme| &*scheme.name);
    let meant = Scheme::meant_by(&name).or_else(|| suggest::nearest(&name, names()));
    let meant = meant.map(|meant| format!(" Did you mean `{meant}`?")).unwrap_or_default();
    Err(format!("there is no sender `{text}`.{meant} `hookgate schemes` lists all senders"))
}

/// Parses the address of the admin listener.
pub(crate) fn admin(text: &str) -> Result<AdminOption, &'static str> {
    match text {
        "off" => Ok(AdminOption::Off),
        text => text.parse().map(AdminOption::At).map_err(|_what| "write an IP address and a port, or `off`"),
    }
}

/// Parses the name of a host that a certificate authority can reach.
pub(crate) fn domain(text: &str) -> Result<String, &'static str> {
    let is_label = |label: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.starts_with("*.") {
        return Err("name each host: a certificate for `*` is not obtained over this listener (TLS-ALPN-01)");
    }
    let is_number =
        text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() > 253 || !text.contains('.') || is_number || !text.split('.').all(is_label) {
        return Err("write the name of a host, such as hooks.example.com");
    }
    Ok(text.to_ascii_lowercase())
}

/// Parses a mail address.
pub(crate) fn contact(text: &str) -> Result<String, &'static str> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_plain =
        address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b','));
    match address.split_once('@') {
        Some((name, host)) if is_plain && !name.is_empty() && domain(host).is_ok() => Ok(address.to_owned()),
        Some(_) | None => Err("write a mail address, such as ops@example.com"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_has_a_scheme_or_a_suggestion_or_a_reason() {
        assert_eq!(sender("GitHub").unwrap(), "github");
        assert_eq!(sender("-").unwrap(), "-");
        for (text, want) in [
            ("gateway.toml", "init github gateway.toml"),
            ("githb", "Did you mean `github`?"),
            ("whatsapp", "Did you mean `meta`?"),
            ("twitter", "Did you mean `x`?"),
            ("standard-webhook", "Did you mean `standard-webhooks`?"),
            ("PayPal", "signs a CRC"),
            ("plaid", "JWT"),
            ("sns", "certificate"),
            ("nonesuch", "`hookgate schemes` lists"),
        ] {
            assert!(sender(text).unwrap_err().contains(want), "{}", sender(text).unwrap_err());
        }
    }

    #[test]
    fn a_domain_is_a_name_that_a_certificate_authority_can_reach() {
        assert_eq!(domain("Hooks.example.com").unwrap(), "hooks.example.com");
        let long = format!("{}.com", "a".repeat(64));
        for bad in [
            "",
            "localhost",
            "*.example.com",
            "https://a.com",
            "a.com/",
            "a..com",
            "-a.com",
            "192.0.2.1",
            &long,
        ] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_contact_is_one_mail_address() {
        for good in ["ops@example.com", "mailto:ops@example.com"] {
            assert_eq!(contact(good).unwrap(), "ops@example.com");
        }
        for bad in
            ["ops", "@example.com", "ops@", "ops@localhost", "a@a.com,b@b.com", "a\"@a.com", "a b@a.com"]
        {
            assert!(contact(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_admin_listener_has_an_address_or_is_off() {
        assert_eq!(admin("off"), Ok(AdminOption::Off));
        assert_eq!(admin("[::1]:1"), Ok(AdminOption::At("[::1]:1".parse().unwrap())));
        assert!(admin("localhost:1").is_err());
    }
}
