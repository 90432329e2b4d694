//! Pure. Decides whether a secret is still needed, from the counts of one gateway.

use crate::admin::answer::{SecretReport, SecretsReport};

/// How long a secret must have verified no event before it counts as unused. In this time, a sender that
/// delivers once a day has delivered. A sender that retries a refused event has given up (Propify after 2.5
/// hours).
pub(crate) const QUIET: u64 = 24 * 3600;

/// The status of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RotationStatus {
    /// The secret has expired and verifies nothing.
    Ended,
    /// Events need the secret, and it expires in this many seconds.
    Ending(u64),
    /// Events need the secret.
    InUse,
    /// The signature has no other secret, or no other secret that does not expire.
    TheOnlyOne,
    /// The secret was in use. For long enough, only other secrets have verified events.
    Replaced,
    /// The secret has never been in use, but another secret is.
    Unused,
    /// The secret was in use, and no other secret has verified an event since then.
    NotReplaced,
    /// The secret has never been in use, and no other secret has either.
    NothingCame,
    /// The secret may be unused, but the gateway has not run long enough to say so. This many seconds are
    /// missing.
    TooEarly(u64),
}

impl RotationStatus {
    /// The status of a secret in the report.
    pub(crate) fn of(secret: &SecretReport, report: &SecretsReport) -> Self {
        let idle = |since: u64| report.now.saturating_sub(since);
        let left = secret.not_after.map(|end| end.saturating_sub(report.now));
        if left == Some(0) {
            return Self::Ended;
        }
        // A secret that has expired or will expire cannot replace another secret.
        let mut others = report.secrets.iter().filter(|other| {
            other.routes == secret.routes && other.name != secret.name && other.not_after.is_none()
        });
        if let (Some(left), Some(last)) = (left, secret.last_seen)
            && idle(last) < QUIET
        {
            return Self::Ending(left);
        }
        if others.clone().next().is_none() {
            return Self::TheOnlyOne;
        }
        let Some(last) = secret.last_seen else {
            let in_use = |other: &SecretReport| other.last_seen.is_some_and(|last| idle(last) < QUIET);
            return match QUIET.saturating_sub(idle(report.started)) {
                _ if !others.any(in_use) => Self::NothingCame,
                0 => Self::Unused,
                missing => Self::TooEarly(missing),
            };
        };
        if idle(last) < QUIET {
            Self::InUse
        } else if others.any(|other| other.last_seen > secret.last_seen) {
            Self::Replaced
        } else {
            Self::NotReplaced
        }
    }

    /// Whether the secret can be removed without making the gateway refuse an event.
    pub(crate) fn is_safe_to_remove(self) -> bool {
        match self {
            Self::Ended | Self::Replaced | Self::Unused => true,
            Self::Ending(_)
            | Self::InUse
            | Self::TheOnlyOne
            | Self::NotReplaced
            | Self::NothingCame
            | Self::TooEarly(_) => false,
        }
    }

    /// The status as a sentence.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Ended => "safe to remove: it is past its `not_after`, and verifies nothing".to_owned(),
            Self::Ending(left) => {
                format!("in use: keep it; events signed with it are refused in {}", span(left))
            }
            Self::InUse => "in use: keep it".to_owned(),
            Self::TheOnlyOne => "keep it: its signature has no other secret that stays".to_owned(),
            Self::Replaced => "safe to remove: others verify the events".to_owned(),
            Self::Unused => "safe to remove, unless its sender is about to be given it".to_owned(),
            Self::NotReplaced => "keep it: no other has verified an event since".to_owned(),
            Self::NothingCame => {
                "keep it: no event has come lately that says which secret is in use".to_owned()
            }
            Self::TooEarly(seconds) => format!("too early to say: ask again in {}", span(seconds)),
        }
    }
}

/// When a secret last verified an event, as a text.
pub(crate) fn seen(secret: &SecretReport, report: &SecretsReport) -> String {
    let ago = |moment: u64| span(report.now.saturating_sub(moment));
    match secret.last_seen {
        Some(last) => format!("last verified an event {} ago", ago(last)),
        None => format!("has verified nothing since the gateway was started, {} ago", ago(report.started)),
    }
}

/// A duration in the unit that a person would use.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const NOW: u64 = 1000 * DAY;

    fn secret(name: &str, route: &str, idle: Option<u64>) -> SecretReport {
        SecretReport {
            label: name.to_owned(),
            name: name.to_owned(),
            scheme: "propify".to_owned(),
            routes: vec![route.to_owned()],
            verified: 0,
            last_seen: idle.map(|idle| NOW - idle),
            not_after: None,
        }
    }

    fn ending(secret: SecretReport, at: u64) -> SecretReport {
        SecretReport { not_after: Some(at), ..secret }
    }

    fn standings(up: u64, secrets: &[SecretReport]) -> Vec<RotationStatus> {
        let report = SecretsReport { now: NOW, started: NOW - up, secrets: secrets.to_vec() };
        report.secrets.iter().map(|secret| RotationStatus::of(secret, &report)).collect()
    }

    #[test]
    fn a_secret_is_safe_to_remove_once_another_has_verified_for_a_day() {
        use RotationStatus::*;
        let pair = |up, new, old| standings(up, &[secret("new", "/a", new), secret("old", "/a", old)]);
        assert_eq!(pair(30 * DAY, Some(60), Some(DAY)), [InUse, Replaced]);
        assert_eq!(pair(30 * DAY, Some(60), Some(DAY - 1)), [InUse, InUse], "both are in use");
        assert_eq!(pair(30 * DAY, Some(60), None), [InUse, Unused]);
        assert_eq!(pair(3600, Some(60), None), [InUse, TooEarly(DAY - 3600)]);
        assert_eq!(pair(30 * DAY, None, Some(2 * DAY)), [NothingCame, NotReplaced]);
        assert_eq!(pair(30 * DAY, Some(3 * DAY), Some(2 * DAY)), [Replaced, NotReplaced]);
        assert_eq!(pair(30 * DAY, None, None), [NothingCame, NothingCame]);
    }

    /// If the only secret without an expiry were removed, the signature would verify nothing after some time.
    #[test]
    fn a_secret_is_not_replaced_by_one_that_expires() {
        use RotationStatus::*;
        let with = |end, old, idle| {
            standings(30 * DAY, &[secret("a", "/a", old), ending(secret("b", "/a", idle), end)])
        };
        assert_eq!(with(NOW - 1, Some(2 * DAY), Some(60)), [TheOnlyOne, Ended]);
        assert_eq!(with(NOW, Some(60), Some(60)), [TheOnlyOne, Ended]);
        assert_eq!(with(NOW + 1, Some(2 * DAY), Some(60)), [TheOnlyOne, Ending(1)]);
        assert_eq!(with(NOW + DAY, Some(60), Some(2 * DAY)), [TheOnlyOne, Replaced]);
        assert_eq!(with(NOW + DAY, Some(60), None), [TheOnlyOne, Unused]);
        assert!(Ended.is_safe_to_remove() && !Ending(1).is_safe_to_remove());
    }

    #[test]
    fn events_of_another_signature_do_not_count() {
        let both = [secret("new", "/a", Some(60)), secret("old", "/b", None)];
        assert_eq!(standings(30 * DAY, &both), [RotationStatus::TheOnlyOne, RotationStatus::TheOnlyOne]);
    }

    #[test]
    fn a_time_is_said_in_one_unit() {
        for (seconds, want) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (7200, "2 hours"),
            (47 * 3600, "47 hours"),
            (12 * DAY + 5, "12 days"),
        ] {
            assert_eq!(span(seconds), want);
        }
    }
}
