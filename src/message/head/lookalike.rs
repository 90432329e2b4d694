//! Pure. Lookalikes: field names that an app could mistake for the name of another field.
//!
//! Apps behind CGI, WSGI, uWSGI, Rack or PHP read fields as variables. In the names of variables, `-`, `_`
//! and `.` become the same character (RFC 3875, section 4.1.18): `Content_Length` and `content-length` both
//! become `CONTENT_LENGTH`.

/// Whether `name` is a lookalike of `field`: it is a different name, but becomes equal when case is ignored
/// and every byte that is not a letter or a digit counts as `-`.
#[must_use]
pub fn is_lookalike(name: &[u8], field: &[u8]) -> bool {
    let plain = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == field.len()
        && name.iter().map(plain).eq(field.iter().map(plain))
        && !name.eq_ignore_ascii_case(field)
}

/// The fields whose lookalikes are refused.
#[derive(Clone, Debug, Default)]
pub struct Guarded {
    names: Vec<Box<str>>,
    /// Whether one of these fields has other characters than letters, digits and `-`. If so, an ordinary name
    /// can be its lookalike.
    is_unusual: bool,
}

impl Guarded {
    /// Guards the fields with these names.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<Box<str>> = names.into_iter().map(|name| name.as_ref().into()).collect();
        let is_unusual =
            names.iter().any(|name| !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        Self { names, is_unusual }
    }

    /// Whether one of `names` is a lookalike of one of these fields. `has_unusual_names` says whether any
    /// name has other characters than letters, digits and `-`. Such names are rare. Without them, usually no
    /// comparison is needed.
    pub fn has_lookalike<'n>(
        &self,
        mut names: impl Iterator<Item = &'n [u8]>,
        has_unusual_names: bool,
    ) -> bool {
        let is_guarded = |name: &[u8]| self.names.iter().any(|field| is_lookalike(name, field.as_bytes()));
        (has_unusual_names || self.is_unusual) && names.any(is_guarded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lookalikes_that_differ_in_case_and_in_what_is_no_letter_or_digit() {
        for name in
            ["X_Hookgate_Verified", "x.hookgate.verified", "x-hookgate_verified", "X!HOOKGATE~VERIFIED"]
        {
            assert!(is_lookalike(name.as_bytes(), b"x-hookgate-verified"), "{name}");
        }
        for name in [
            "x-hookgate-verified",
            "X-Hookgate-Verified",
            "x-hookgate-verifie",
            "x_hookgate_verifiedd",
            "xxhookgate_verified",
            "x_hookgate__verified",
            "",
        ] {
            assert!(!is_lookalike(name.as_bytes(), b"x-hookgate-verified"), "{name}");
        }
    }

    #[test]
    fn a_name_looks_like_no_field_that_has_only_letters_and_digits() {
        for byte in 0..=u8::MAX {
            assert!(!is_lookalike(&[b"hos", &[byte][..]].concat(), b"host"), "{byte}");
        }
    }

    #[test]
    fn a_field_that_is_itself_spelled_otherwise_is_guarded_against_the_usual_name() {
        let has = |guarded: &Guarded, name: &str| {
            guarded.has_lookalike([name.as_bytes()].into_iter(), name.contains('_'))
        };
        let usual = Guarded::new(["x-sign", "x-time"]);
        assert!(has(&usual, "X_Time") && !has(&usual, "x-time") && !has(&usual, "X_Times"));
        let unusual = Guarded::new(["x_sign"]);
        assert!(has(&unusual, "x-sign") && has(&unusual, "X-SIGN") && !has(&unusual, "X_Sign"));
        assert!(!has(&Guarded::default(), "x_sign"));
    }
}
