//! Pure. The time in signed content. It is read after the content is verified, because it may be anywhere in
//! it.

use std::time::SystemTime;

use super::claim::ClaimError;
use super::scheme::Scheme;
use super::verifier::Verifier;
use super::window::{Place, Timestamp, Unit};
use crate::routing::signed_model::{self, Scalar};

impl Timestamp {
    /// The time that content has at the pointer of this timestamp. `None` if there is none, or none in this
    /// unit.
    fn in_content(&self, pointer: &str, content: &[u8]) -> Option<SystemTime> {
        let found = signed_model::scalars(content, [pointer]).ok()?.into_iter().next()??;
        let text = match found {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
        };
        self.unit.read(text.as_bytes())
    }
}

impl Scheme {
    /// The timestamp and its JSON pointer, if the time is in the content.
    pub(crate) fn time_in_content(&self) -> Option<(&Timestamp, &str)> {
        let timestamp = self.timestamp.as_ref()?;
        match &timestamp.place {
            Place::Pointer(pointer) => Some((timestamp, pointer)),
            Place::Field(_) | Place::Key(_) | Place::Entry(_) | Place::Claim(_) => None,
        }
    }

    /// JSON content that has only the time, if the scheme has the time in the content. Used to test a
    /// gateway.
    #[must_use]
    pub fn content_at(&self, now: SystemTime) -> Option<Vec<u8>> {
        let (timestamp, pointer) = self.time_in_content()?;
        let text = timestamp.unit.write(now);
        let time = match timestamp.unit {
            Unit::Seconds | Unit::Milliseconds | Unit::Microseconds => text,
            Unit::Rfc3339 | Unit::HttpDate => serde_json::Value::from(text).to_string(),
        };
        let tokens = pointer.strip_prefix('/').unwrap_or(pointer).rsplit('/');
        let keys = tokens.map(|token| token.replace("~1", "/").replace("~0", "~"));
        let nested = keys.fold(time, |inner, key| {
            let key = serde_json::Value::from(key);
            format!("{{{key}:{inner}}}")
        });
        Some(nested.into_bytes())
    }
}

impl Verifier {
    /// The time in the content, even if the content is not verified. `None` if the scheme has no time there.
    #[must_use]
    pub fn content_moment(&self, content: &[u8]) -> Option<SystemTime> {
        let (timestamp, pointer) = self.scheme.time_in_content()?;
        timestamp.in_content(pointer, content)
    }

    /// Checks the time in verified content, if the scheme has it there.
    ///
    /// # Errors
    /// [`ClaimError::Malformed`] if there is no such time, and [`ClaimError::Expired`] if it is outside its
    /// window.
    pub(crate) fn check_time_in(&self, content: &[u8], now: SystemTime) -> Result<(), ClaimError> {
        let Some((timestamp, pointer)) = self.scheme.time_in_content() else { return Ok(()) };
        let moment = timestamp.in_content(pointer, content).ok_or(ClaimError::Malformed)?;
        if timestamp.admits(moment, now) { Ok(()) } else { Err(ClaimError::Expired) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::claim::Context;
    use crate::signature::secret::{Key, Secret};
    use crate::signature::signable::Fields;
    use crate::signature::verification::Unverified;
    use std::time::Duration;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    /// One field line. Without a name, there is no line.
    struct Line<'l>(&'l str, &'l [u8]);

    impl Fields for Line<'_> {
        fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
            (name == self.0).then_some(self.1).into_iter()
        }
    }

    fn verifier(unit: Unit) -> Verifier {
        let mut scheme = Scheme::preset("linear").unwrap().clone();
        let timestamp = scheme.timestamp.as_mut().unwrap();
        timestamp.unit = unit;
        timestamp.place = Place::Pointer("/meta/sent~1at".into());
        let secret = Secret { name: "current".into(), key: Key::new(b"key".to_vec()), not_after: None };
        Verifier::new(scheme, vec![secret]).unwrap()
    }

    fn judge(verifier: &Verifier, content: &[u8], now: SystemTime) -> Result<(), Unverified> {
        let none = Line("", b"");
        let context = Context::of(&none, NOW);
        let signature = verifier.signature(None, &context, Default::default(), content).unwrap();
        let line = Line(&signature.field.0, signature.field.1.as_bytes());
        let claim = verifier.claim(&Context::of(&line, now)).unwrap();
        let mut verification = verifier.begin(claim, now);
        verification.push(content);
        verification.finish().map(drop).map_err(|mismatch| mismatch.why)
    }

    #[test]
    fn a_time_in_signed_content_counts_within_its_window() {
        let at = |seconds| NOW + Duration::from_secs(seconds);
        for (_, unit) in Unit::ALL {
            let verifier = verifier(unit);
            let content = verifier.scheme().content_at(at(1000)).unwrap();
            assert_eq!(verifier.content_moment(&content), Some(at(1000)), "{unit:?}");
            for (now, want) in [
                (at(1000), Ok(())),
                (at(1060), Ok(())),
                (at(940), Ok(())),
                (at(1061), Err(Unverified::Time(ClaimError::Expired))),
                (at(939), Err(Unverified::Time(ClaimError::Expired))),
            ] {
                assert_eq!(judge(&verifier, &content, now), want, "{unit:?}");
            }
        }
    }

    #[test]
    fn signed_content_without_an_unambiguous_time_is_refused() {
        let verifier = verifier(Unit::Milliseconds);
        for content in [
            "",
            "{}",
            "[]",
            r#"{"meta":{}}"#,
            r#"{"meta":{"sent/at":null}}"#,
            r#"{"meta":{"sent/at":-1}}"#,
            r#"{"meta":{"sent/at":1.5}}"#,
            r#"{"meta":{"sent/at":"now"}}"#,
            r#"{"meta":{"Sent/at":1}}"#,
            r#"{"meta":{"sent/at":1,"sent/at":1}}"#,
            r#"{"meta":{"sent/at":1}} x"#,
        ] {
            let want = Err(Unverified::Time(ClaimError::Malformed));
            assert_eq!(judge(&verifier, content.as_bytes(), NOW), want, "{content}");
        }
        assert_eq!(judge(&verifier, br#"{"meta":{"sent/at":"0"}}"#, NOW), Ok(()));
    }
}
