//! Pure. The label and the remedy of each cause.

use crate::diagnosis::causes::cause::{Cause, ContentChange, KeyChange};
use crate::signature::scheme::SecretOrigin;

impl Cause {
    /// The labels of all causes. With them, every metric begins at zero.
    pub const LABELS: [&'static str; 25] = [
        "notation",
        "doubled",
        "other_scheme",
        "unsigned",
        "signed_time",
        "time_unit",
        "secret_expired",
        "other_route",
        "newline_added",
        "newline_lost",
        "line_ends",
        "byte_order_mark",
        "white_space",
        "charset",
        "base64",
        "envelope",
        "reserialized",
        "compressed",
        "decompressed",
        "emptied",
        "secret_white_space",
        "secret_quoted",
        "secret_newline",
        "secret_decorated",
        "secret_encoding",
    ];

    /// The cause's label, for programs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Notation(_) | Self::Form(_) | Self::HoldsItsEnd { .. } => "notation",
            Self::Doubled(_) => "doubled",
            Self::OtherScheme { .. } | Self::FormerSignature { .. } => "other_scheme",
            Self::Unsigned { .. } | Self::Incomplete(_) => "unsigned",
            Self::SignedTime(_) => "signed_time",
            Self::TimeUnit(_) => "time_unit",
            Self::Expired(_) => "secret_expired",
            Self::OtherRoute { .. } => "other_route",
            Self::Content(change) => change.as_str(),
            Self::Key { change, .. } => change.as_str(),
        }
    }

    /// The remedy for the cause.
    #[must_use]
    pub fn advice(&self) -> String {
        let text = match self {
            Self::Notation(_) | Self::Form(_) => "send the signature exactly as the scheme writes it",
            Self::HoldsItsEnd { field, .. } => {
                return format!(
                    "if the sender writes it so, and the field is the last before the body: `{{header:{field}:any}}` in `content`"
                );
            }
            Self::Doubled(_) => "look for what adds the field again on the way: a proxy that copies fields",
            Self::OtherScheme { path: Some(path), .. } => {
                return format!(
                    "let the sender call {path}, whose route has that scheme, or correct the route's"
                );
            }
            Self::OtherScheme { path: None, scheme, others: 0, .. } => {
                return format!("if that is the sender of this route: `scheme = \"{scheme}\"`");
            }
            Self::OtherScheme { path: None, scheme, found, .. } => {
                return format!(
                    "if that is the sender of this route: `scheme = \"{scheme}\"`; `hookgate schemes` shows the \
                     others with `{found}`"
                );
            }
            Self::FormerSignature { missing, found, scheme, .. } => {
                let known =
                    scheme.iter().map(|name| format!("`scheme = \"{name}\"` or ")).collect::<String>();
                return format!(
                    "let the sender send `{missing}`; to take the older signature, write {known}a scheme of your own \
                     with `header = \"{found}\"` and `algorithm = \"hmac-sha1\"`"
                );
            }
            Self::Unsigned { secret: Some(SecretOrigin::Chosen(place)), missing } => {
                return format!(
                    "the sender signs once it has a secret: {place}; if it has one, look for a proxy that drops \
                     `{missing}`"
                );
            }
            Self::Unsigned { secret: Some(SecretOrigin::Given(_)) | None, missing } => {
                return format!(
                    "let the sender sign, and look for a proxy that drops `{missing}`; a request of another \
                     program needs no remedy"
                );
            }
            Self::Incomplete(missing) => {
                return format!("look for a proxy that drops `{missing}`, and let it pass the field on");
            }
            Self::SignedTime(_) => {
                "set both clocks (NTP); if the sender signs once and retries for long, a longer `tolerance`"
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
            Self::Key { change: KeyChange::Decorated(decoration), .. } => decoration.advice(),
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
            Self::ByteOrderMark | Self::ByteOrderMarkLost => "byte_order_mark",
            Self::WhiteSpaceAdded | Self::WhiteSpaceLost => "white_space",
            Self::ReadAsLatin1 | Self::WrittenAsLatin1 | Self::CharactersLost => "charset",
            Self::Base64 => "base64",
            Self::Wrapped | Self::Unwrapped => "envelope",
            Self::Reserialized | Self::FormRewritten => "reserialized",
            Self::Compressed => "compressed",
            Self::Decompressed => "decompressed",
            Self::Emptied => "emptied",
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
            Self::ByteOrderMarkLost | Self::WhiteSpaceAdded | Self::WhiteSpaceLost => {
                "pass the body on byte for byte: do not trim it, and do not read it as text"
            }
            Self::ReadAsLatin1 | Self::WrittenAsLatin1 | Self::CharactersLost => {
                "pass the body on as bytes, or read and write it as UTF-8"
            }
            Self::Base64 => {
                "let the gateway in front decode the body, or pass it on as bytes (AWS API Gateway: `isBase64Encoded`)"
            }
            Self::Wrapped | Self::Unwrapped => {
                "pass the whole body on as it was received: the sender has signed all of it, and nothing else"
            }
            Self::Emptied => {
                "look for what drops the body: a redirect (let the sender call the last URL), or a proxy"
            }
            Self::Reserialized | Self::FormRewritten => {
                "pass the body on as it was received: do not parse it and write it again"
            }
            Self::Compressed => {
                "turn compression off, at the sender or at the proxy before the gateway, or sign what is sent"
            }
            Self::Decompressed => {
                "turn decompression off at the proxy before the gateway (nginx: `gunzip off`)"
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
            Self::Decorated(_) => "secret_decorated",
            Self::Encoding(_) => "secret_encoding",
        }
    }
}
