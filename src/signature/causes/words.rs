//! Pure. The words of each cause: its label, its description, and its remedy.
//!
//! The gateway's log and `hookgate verify` print the same words. None has a byte of a key, of content or of a signature:
//! only names from the configuration and from schemes, and numbers.

use std::fmt;
use std::time::Duration;

use crate::signature::causes::cause::{Cause, ContentChange, KeyChange, NotationError, Side};
use crate::signature::field::Encoding;
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

impl Cause {
    /// The labels of all causes, so that metrics begin at zero.
    pub const LABELS: [&'static str; 18] = [
        "notation",
        "doubled",
        "other_scheme",
        "signed_time",
        "time_unit",
        "secret_expired",
        "other_route",
        "newline_added",
        "newline_lost",
        "line_ends",
        "byte_order_mark",
        "reserialized",
        "compressed",
        "decompressed",
        "secret_white_space",
        "secret_quoted",
        "secret_newline",
        "secret_encoding",
    ];

    /// The label, for programs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Notation(_) | Self::Form(_) => "notation",
            Self::Doubled(_) => "doubled",
            Self::OtherScheme { .. } => "other_scheme",
            Self::SignedTime { .. } => "signed_time",
            Self::TimeUnit(_) => "time_unit",
            Self::Expired(_) => "secret_expired",
            Self::OtherRoute { .. } => "other_route",
            Self::Content(change) => change.as_str(),
            Self::Key { change, .. } => change.as_str(),
        }
    }

    /// The remedy.
    #[must_use]
    pub fn advice(&self) -> String {
        let text = match self {
            Self::Notation(_) | Self::Form(_) => "send the signature exactly as the scheme writes it",
            Self::Doubled(_) => "look for what adds the field again on the way: a proxy that copies fields",
            Self::OtherScheme { path: Some(path), .. } => {
                return format!(
                    "let the sender call {path}, whose route has that scheme, or correct the route's"
                );
            }
            Self::OtherScheme { path: None, scheme, .. } => {
                return format!("if that is the sender of this route: `scheme = \"{scheme}\"`");
            }
            Self::SignedTime { .. } => {
                "set both clocks (NTP); where the sender signs once and tries for long: a longer `tolerance`"
            }
            Self::TimeUnit(unit) => {
                return format!(
                    "let the sender write it as the scheme does, or use a scheme with `unit = \"{}\"`",
                    unit.name()
                );
            }
            Self::Expired(_) => "let the sender use the new secret, or move this one's `not_after`",
            Self::OtherRoute { .. } => "give the sender this route's secret, or the route that secret",
            Self::Content(change) => change.advice(),
            Self::Key { change: KeyChange::Untrimmed | KeyChange::NewlineLost, .. } => {
                "write the secret here exactly as the sender has it: `printf %s` instead of `echo`"
            }
            Self::Key { change: KeyChange::Quoted, .. } => "take the quotation marks away from the secret",
            Self::Key { change: KeyChange::Encoding(encoding), .. } => {
                return format!("say so: `encoding = \"{}\"` for the secret", encoding.name());
            }
        };
        text.to_owned()
    }
}

impl ContentChange {
    fn as_str(self) -> &'static str {
        match self {
            Self::NewlineAdded => "newline_added",
            Self::NewlineLost => "newline_lost",
            Self::CrlfForLf | Self::LfForCrlf => "line_ends",
            Self::ByteOrderMark => "byte_order_mark",
            Self::Reserialized => "reserialized",
            Self::Compressed => "compressed",
            Self::Decompressed => "decompressed",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::NewlineAdded | Self::NewlineLost => {
                "pass the body on byte for byte: `curl --data-binary @FILE`, `printf %s` instead of `echo`"
            }
            Self::CrlfForLf | Self::LfForCrlf => {
                "pass the body on byte for byte: no text mode, no conversion of line ends"
            }
            Self::ByteOrderMark => "save the body without a byte order mark",
            Self::Reserialized => "pass the body on as it was received: do not parse it and write it again",
            Self::Compressed => {
                "turn compression off, at the sender or in what stands before the gateway, or sign what is sent"
            }
            Self::Decompressed => {
                "turn decompression off in what stands before the gateway (nginx: `gunzip off`)"
            }
        }
    }
}

impl KeyChange {
    fn as_str(self) -> &'static str {
        match self {
            Self::Untrimmed => "secret_white_space",
            Self::Quoted => "secret_quoted",
            Self::NewlineLost => "secret_newline",
            Self::Encoding(_) => "secret_encoding",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notation(misread) => write!(f, "the tag is right, but {misread}"),
            Self::Form(misread) => write!(f, "{misread}; whether it is right was not looked at"),
            Self::Doubled(field) => {
                write!(f, "the field `{field}` came more than once, each time with the same value")
            }
            Self::OtherScheme { missing, found, scheme, .. } => write!(
                f,
                "there is no field `{missing}`, but there is `{found}`, as the scheme {scheme} signs"
            ),
            Self::SignedTime { off, side, allowed } => write!(
                f,
                "the signed time is {} {}, where {} {} allowed: a clock is wrong, or the event came late or again",
                Span(*off),
                match side {
                    Side::Past => "ago",
                    Side::Future => "ahead",
                },
                Span(*allowed),
                if Span(*allowed).is_one() { "is" } else { "are" },
            ),
            Self::TimeUnit(unit) => {
                let unit = match unit {
                    Unit::Seconds => "in seconds",
                    Unit::Milliseconds => "in milliseconds",
                    Unit::Rfc3339 => "a date (RFC 3339)",
                };
                write!(f, "the signed time is {unit}, which is not how this scheme writes it")
            }
            Self::Expired(secret) => {
                write!(
                    f,
                    "it was made with the secret `{secret}`, which counts no more since its `not_after`"
                )
            }
            Self::OtherRoute { path, secret } => {
                write!(f, "it was made with the secret `{secret}` of another route, {path}")
            }
            Self::Content(change) => change.fmt(f),
            Self::Key { secret, change } => match change {
                KeyChange::Untrimmed => {
                    write!(f, "the secret `{secret}` has white space around it; without it, it verifies")
                }
                KeyChange::Quoted => {
                    write!(
                        f,
                        "the secret `{secret}` has quotation marks around it; without them, it verifies"
                    )
                }
                KeyChange::NewlineLost => {
                    write!(f, "the sender's secret ends in a newline, `{secret}` here does not")
                }
                KeyChange::Encoding(SecretEncoding::Utf8) => {
                    write!(f, "the secret `{secret}` is meant as plain text")
                }
                KeyChange::Encoding(SecretEncoding::Base64) => {
                    write!(f, "the secret `{secret}` is meant as base64")
                }
                KeyChange::Encoding(SecretEncoding::Hex) => {
                    write!(f, "the secret `{secret}` is meant as hexadecimal")
                }
            },
        }
    }
}

/// A time span in a readable unit, capped at a length beyond which it does not matter.
pub struct Span(pub Duration);

impl Span {
    fn parts(&self) -> (u64, &'static str) {
        match self.0.as_secs() {
            seconds @ 0..120 => (seconds, "second"),
            seconds @ 120..7200 => (seconds / 60, "minute"),
            seconds @ 7200..172_800 => (seconds / 3600, "hour"),
            seconds => (seconds / 86_400, "day"),
        }
    }

    fn is_one(&self) -> bool {
        self.parts().0 == 1
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = self.parts();
        let (more, count) = if count > 99 && unit == "day" { ("more than ", 99) } else { ("", count) };
        write!(f, "{more}{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

impl fmt::Display for NotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the signature is empty"),
            Self::List => f.write_str("the signature is a list, where one is allowed"),
            Self::Wrapped => f.write_str("there is white space or a quotation mark around the signature"),
            Self::PrefixMissing(prefix) => write!(f, "the signature lacks its prefix `{prefix}`"),
            Self::OtherPrefix(prefix) => {
                write!(f, "the signature has the prefix `{prefix}`, which this scheme does not write")
            }
            Self::Base64 => f.write_str("the signature is in base64, where this scheme writes hexadecimal"),
            Self::Hexadecimal => {
                f.write_str("the signature is in hexadecimal, where this scheme writes base64")
            }
            Self::Length(digits, want) => write!(
                f,
                "the signature has {digits} hexadecimal digits instead of {want}{}",
                match digits {
                    40 => " (as many as a SHA-1 has)",
                    64 => " (as many as a SHA-256 has)",
                    96 => " (as many as a SHA-384 has)",
                    128 => " (as many as a SHA-512 has)",
                    _ => "",
                }
            ),
            Self::Bytes(bytes, want) => {
                write!(f, "the signature is base64 of {bytes} bytes, where this scheme writes {want}")
            }
            Self::NotList => f.write_str("the signature is not a list of the form that this scheme writes"),
            Self::NotEncoded(Encoding::Hex) => f.write_str("the signature is not hexadecimal"),
            Self::NotEncoded(Encoding::Base64) => f.write_str("the signature is not base64"),
            Self::NotEncoded(Encoding::Base64Url) => f.write_str("the signature is not base64 for URLs"),
        }
    }
}

impl fmt::Display for ContentChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewlineAdded => "the body ends in a newline that was not signed; without it, it verifies",
            Self::NewlineLost => "the body was signed with a newline at its end, which is gone",
            Self::CrlfForLf => "the body has CR LF line ends; with LF, it verifies",
            Self::LfForCrlf => "the body has LF line ends; with CR LF, it verifies",
            Self::ByteOrderMark => "the body begins with a byte order mark that was not signed",
            Self::Reserialized => {
                "the body was parsed and written again; with other white space or escapes, it verifies"
            }
            Self::Compressed => "the body is compressed, and was signed as it is without; decompressed, it verifies",
            Self::Decompressed => {
                "the body is not compressed, though its `content-encoding` says so: it was decompressed on its way"
            }
        })
    }
}
