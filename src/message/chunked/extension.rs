//! Pure. The extensions of a chunk (RFC 9112, section 7.1.1). They are parsed byte by byte, checked, and then
//! ignored.

use crate::message::head::is_token;

/// The position within the extensions. White space is allowed where the grammar has `BWS`: around `;` and
/// `=`, and nowhere else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extension {
    /// After white space that follows the size or a value. Only another extension may follow.
    Blank,
    /// After `;`. A name must follow.
    Start,
    /// Within a name.
    Name,
    /// After white space that follows a name.
    NameBlank,
    /// After `=`. A value must follow.
    Equals,
    /// Within a value that is a token.
    Token,
    /// Within a quoted string.
    Quoted,
    /// After a backslash within a quoted string.
    Escape,
    /// After the quote that ends a quoted string.
    Closed,
}

impl Extension {
    /// The position after the byte that follows a chunk's size. `None` if this byte begins no extension.
    pub(crate) fn begin(byte: u8) -> Option<Self> {
        Self::Blank.next(byte)
    }

    /// The position after one more byte. `None` if the byte is not allowed here.
    pub(crate) fn next(self, byte: u8) -> Option<Self> {
        let is_blank = matches!(byte, b' ' | b'\t');
        match self {
            Self::Blank | Self::Token | Self::Closed if is_blank => Some(Self::Blank),
            Self::Start | Self::Equals if is_blank => Some(self),
            Self::Name | Self::NameBlank if is_blank => Some(Self::NameBlank),
            Self::Blank | Self::Name | Self::NameBlank | Self::Token | Self::Closed if byte == b';' => {
                Some(Self::Start)
            }
            Self::Start | Self::Name if is_token(byte) => Some(Self::Name),
            Self::Name | Self::NameBlank if byte == b'=' => Some(Self::Equals),
            Self::Equals | Self::Token if is_token(byte) => Some(Self::Token),
            Self::Equals if byte == b'"' => Some(Self::Quoted),
            Self::Quoted => match byte {
                b'"' => Some(Self::Closed),
                b'\\' => Some(Self::Escape),
                _ => Some(self).filter(|_| is_text(byte)),
            },
            Self::Escape => Some(Self::Quoted).filter(|_| is_text(byte)),
            Self::Blank
            | Self::Start
            | Self::Name
            | Self::NameBlank
            | Self::Equals
            | Self::Token
            | Self::Closed => None,
        }
    }

    /// Whether the extensions may end here.
    pub(crate) fn is_whole(self) -> bool {
        match self {
            Self::Name | Self::Token | Self::Closed => true,
            Self::Blank | Self::Start | Self::NameBlank | Self::Equals | Self::Quoted | Self::Escape => false,
        }
    }
}

/// Whether a byte is allowed in a quoted string, alone or after a backslash (RFC 9110, section 5.6.4).
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_extension(text: &[u8]) -> bool {
        let Some((first, rest)) = text.split_first() else { return false };
        let end = rest.iter().try_fold(Extension::begin(*first), |at, byte| at?.next(*byte).map(Some));
        end.flatten().is_some_and(Extension::is_whole)
    }

    #[test]
    fn what_the_grammar_has_is_taken() {
        for text in [
            &b";a"[..],
            b";a=b",
            b";a=\"\"",
            b";a=\"b\"",
            b";a=\"\\\"\\\\\\ \"",
            b";a=\"\t ;=,\x80\xff\"",
            b" ;a",
            b"\t ; a \t=\t b\t; c = \"d\" ;e",
            b";a;b;c",
            b";!#$%&'*+-.^_`|~=!#$%&'*+-.^_`|~",
        ] {
            assert!(is_extension(text), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_the_grammar_has_not_is_refused() {
        for text in [
            &b""[..],
            b" ",
            b";",
            b"; ",
            b";;a",
            b";a;",
            b";a ",
            b";a=",
            b";a= ",
            b";a=b ",
            b";a=\"b\" ",
            b";=b",
            b";a b",
            b";a=b c",
            b";a=b=c",
            b";a==b",
            b";a=\"b",
            b";a=\"b\\",
            b";a=\"b\\\"",
            b";a=\"b\"c",
            b";a=\"b\"\"c\"",
            b";a=b\"c\"",
            b";\"a\"",
            b";a[=b",
            b";a,b",
            b";a=\"\x01\"",
            b";a=\"\\\x7f\"",
            b";\xe9",
            b"a",
            b"=a",
        ] {
            assert!(!is_extension(text), "{}", text.escape_ascii());
        }
    }
}
