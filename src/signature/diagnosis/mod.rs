//! Pure. Why a signature does not verify: the likely cause, in words that an operator can act on.
//!
//! Nothing of this may ever reach the sender; it is for the operator's own terminal and log. The work is bounded: a
//! small, fixed number of passes over the content for each of the verifier's secrets, and one for each other route.

pub mod undo;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::secret::SecretEncoding;
use crate::signature::field::Encoding;
#[cfg(test)]
use crate::signature::scheme::Scheme;
use crate::signature::{ClaimError, Context, Fields, Verifier};
pub use undo::{content_change, key_change, misread, rewritten};

/// The likely cause of a signature that does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The tag is right, its notation is not.
    Notation(Misread),
    /// It was made with a secret whose time is over.
    Expired(Arc<str>),
    /// It was made with the secret of another route.
    OtherRoute {
        /// The path of that route.
        path: String,
        /// The name of its secret.
        secret: Arc<str>,
    },
    /// The content was changed on its way.
    Content(ContentChange),
    /// The secret is not written here as the sender uses it.
    Key(KeyChange),
}

/// How a signature field's value differs from its scheme's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misread {
    /// There is nothing in it.
    Empty,
    /// It is a list.
    List,
    /// There is white space or a quotation mark around it.
    Wrapped,
    /// The scheme's prefix is missing.
    PrefixMissing(String),
    /// There is a prefix that is not the scheme's.
    OtherPrefix(String),
    /// The tag is in base64, not in hexadecimal.
    Base64,
    /// The tag is in hexadecimal, not in base64.
    Hexadecimal,
    /// So many hexadecimal digits, which are not as many as a tag has, which is so many.
    Length(usize, usize),
    /// It is no list of the scheme's form.
    NotList,
    /// None of these; not in this encoding.
    NotEncoded(Encoding),
}

/// How the content differs from what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentChange {
    /// A newline at its end was not signed.
    NewlineAdded,
    /// A newline at its end was signed, and is gone.
    NewlineLost,
    /// CR LF stands where LF was signed.
    CrlfForLf,
    /// LF stands where CR LF was signed.
    LfForCrlf,
    /// A byte order mark was put before it.
    ByteOrderMark,
    /// The same JSON with other white space was signed.
    Reserialized,
}

/// How the configured secret differs from what the sender uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// There is white space around it that does not belong to it.
    Untrimmed,
    /// There are quotation marks around it that do not belong to it.
    Quoted,
    /// The sender's ends in a newline.
    NewlineLost,
    /// Its text is to be read in this encoding.
    Encoding(SecretEncoding),
}

/// The name of the secret that the content verifies under, if it does.
#[must_use]
pub fn verified_by<F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: &[u8],
) -> Option<Arc<str>> {
    verified_at(verifier, context, content, context.now)
}

/// As [`verified_by`], with the secrets that count in another moment than the one that the claim is judged in.
fn verified_at<F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: &[u8],
    moment: SystemTime,
) -> Option<Arc<str>> {
    let mut verification = verifier.begin(verifier.claim(context).ok()?, moment);
    verification.push(content);
    verification.finish(()).ok().map(|request| Arc::clone(request.secret()))
}

/// Why the content does not verify, as far as the verifier's keyed secrets can tell. `others` are the verifiers of
/// other routes, each with its path. What is wrong with a secret's own text is for [`key_change`] to find.
pub fn likely_cause<'o, F: Fields>(
    verifier: &Verifier,
    context: &Context<'_, F>,
    content: &[u8],
    others: impl IntoIterator<Item = (&'o str, &'o Verifier)>,
) -> Option<Cause> {
    let scheme = verifier.scheme();
    match verifier.claim(context) {
        Ok(_) => {}
        Err(ClaimError::Missing | ClaimError::Duplicate | ClaimError::Expired) => return None,
        Err(ClaimError::Malformed) => {
            let value = context.fields.values(&scheme.field).next()?;
            let right = rewritten(scheme, value)?;
            let fields = Replaced { others: context.fields, name: &scheme.field, value: right.as_bytes() };
            let Context { method, target, origin, now, .. } = *context;
            verified_by(verifier, &Context { method, target, origin, fields: &fields, now }, content)?;
            return Some(Cause::Notation(misread(scheme, value)));
        }
    }
    // Before any secret's `not_after`.
    if let Some(secret) = verified_at(verifier, context, content, SystemTime::UNIX_EPOCH) {
        return Some(Cause::Expired(secret));
    }
    let change = content_change(content, |content| verified_by(verifier, context, content).is_some());
    if let Some(change) = change {
        return Some(Cause::Content(change));
    }
    others.into_iter().find_map(|(path, other)| {
        let secret = verified_by(other, context, content)?;
        Some(Cause::OtherRoute { path: path.to_owned(), secret })
    })
}

impl Cause {
    /// What it is called where a program reads it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Notation(_) => "notation",
            Self::Expired(_) => "secret_expired",
            Self::OtherRoute { .. } => "other_route",
            Self::Content(ContentChange::NewlineAdded) => "newline_added",
            Self::Content(ContentChange::NewlineLost) => "newline_lost",
            Self::Content(ContentChange::CrlfForLf | ContentChange::LfForCrlf) => "line_ends",
            Self::Content(ContentChange::ByteOrderMark) => "byte_order_mark",
            Self::Content(ContentChange::Reserialized) => "reserialized",
            Self::Key(KeyChange::Untrimmed) => "secret_white_space",
            Self::Key(KeyChange::Quoted) => "secret_quoted",
            Self::Key(KeyChange::NewlineLost) => "secret_newline",
            Self::Key(KeyChange::Encoding(_)) => "secret_encoding",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        let text = match self {
            Self::Notation(_) => "send the signature exactly as the scheme writes it",
            Self::Expired(_) => "let the sender use the new secret, or move this one's `not_after`",
            Self::OtherRoute { .. } => "give the sender this route's secret, or the route that secret",
            Self::Content(ContentChange::NewlineAdded | ContentChange::NewlineLost) => {
                "pass the body on byte for byte: `curl --data-binary @FILE`, `printf %s` instead of `echo`"
            }
            Self::Content(ContentChange::CrlfForLf | ContentChange::LfForCrlf) => {
                "pass the body on byte for byte: no text mode, no conversion of line ends"
            }
            Self::Content(ContentChange::ByteOrderMark) => "save the body without a byte order mark",
            Self::Content(ContentChange::Reserialized) => {
                "pass the body on as it was received: do not parse it and write it again"
            }
            Self::Key(KeyChange::Untrimmed | KeyChange::NewlineLost) => {
                "write the secret here exactly as the sender has it: `printf %s` instead of `echo`"
            }
            Self::Key(KeyChange::Quoted) => "take the quotation marks away from the secret",
            Self::Key(KeyChange::Encoding(encoding)) => {
                return format!("say so: `encoding = \"{}\"` for the secret", encoding.name());
            }
        };
        text.to_owned()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notation(misread) => write!(f, "the tag is right, but {misread}"),
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
            Self::Key(change) => change.fmt(f),
        }
    }
}

impl fmt::Display for Misread {
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
                "the body was parsed and written again; with other white space, it verifies"
            }
        })
    }
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrimmed => f.write_str("the secret has white space around it; without it, it verifies"),
            Self::Quoted => {
                f.write_str("the secret has quotation marks around it; without them, it verifies")
            }
            Self::NewlineLost => {
                f.write_str("the sender's secret ends in a newline, the one given here does not")
            }
            Self::Encoding(SecretEncoding::Utf8) => f.write_str("the secret is meant as plain text"),
            Self::Encoding(SecretEncoding::Base64) => f.write_str("the secret is meant as base64"),
            Self::Encoding(SecretEncoding::Hex) => f.write_str("the secret is meant as hexadecimal"),
        }
    }
}

/// The fields of a request, with another value in one of them.
struct Replaced<'a, F> {
    others: &'a F,
    name: &'a str,
    value: &'a [u8],
}

impl<F: Fields> Fields for Replaced<'_, F> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let replaced = self.name == name;
        let others = self.others.values(name).filter(move |_| !replaced);
        replaced.then_some(self.value).into_iter().chain(others)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::secret::{Key, Secret};

    struct Line(Vec<u8>);

    impl Fields for Line {
        fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
            (name == "propify-signature").then_some(self.0.as_slice()).into_iter()
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn verifier(key: &str, not_after: Option<SystemTime>) -> Verifier {
        let secret = Secret { name: key.into(), key: Key::new(key.into()), not_after };
        Verifier::new(Scheme::preset("propify").unwrap().clone(), vec![secret]).unwrap()
    }

    fn cause(verifier: &Verifier, value: &str, content: &[u8], other: &Verifier) -> Option<Cause> {
        let line = Line(value.into());
        let context = Context::of(&line, at(9));
        assert_eq!(verified_by(verifier, &context, content), None);
        likely_cause(verifier, &context, content, [("/other", other)])
    }

    #[test]
    fn the_likely_cause_is_found() {
        let (this, other) = (verifier("this", None), verifier("other", None));
        let (_, value) = this.sign(b"{}").unwrap();
        let (_, others) = other.sign(b"{}").unwrap();
        let content = ContentChange::NewlineAdded;
        assert_eq!(cause(&this, &value, b"{}\n", &other), Some(Cause::Content(content)));
        let found = cause(&this, &others, b"{}", &other);
        assert_eq!(found, Some(Cause::OtherRoute { path: "/other".into(), secret: "other".into() }));
        let found = cause(&this, &format!("sha256={value}"), b"{}", &other);
        assert_eq!(found, Some(Cause::Notation(Misread::OtherPrefix("sha256=".into()))));
        let expired = verifier("this", Some(at(1)));
        assert_eq!(cause(&expired, &value, b"{}", &other), Some(Cause::Expired("this".into())));
    }

    #[test]
    fn where_there_is_no_likely_cause_none_is_made_up() {
        let (this, other) = (verifier("this", None), verifier("other", None));
        let (_, unknown) = verifier("unknown", None).sign(b"{}").unwrap();
        for value in [&unknown, "", "nonsense", &format!("sha256={unknown}"), &format!("{unknown},{unknown}")]
        {
            assert_eq!(cause(&this, value, b"{}", &other), None, "{value}");
        }
    }

    #[test]
    fn every_cause_has_words_and_advice() {
        for cause in [
            Cause::Notation(Misread::Base64),
            Cause::Expired("old".into()),
            Cause::OtherRoute { path: "/a".into(), secret: "current".into() },
            Cause::Content(ContentChange::Reserialized),
            Cause::Key(KeyChange::Encoding(SecretEncoding::Hex)),
        ] {
            assert!(!cause.to_string().ends_with('.') && !cause.advice().is_empty(), "{cause}");
        }
    }
}
