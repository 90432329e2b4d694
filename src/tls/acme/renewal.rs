//! Pure. When the authority wants a certificate to be renewed (RFC 9773), when the gateway renews it, and
//! when the gateway asks again.

use std::time::{Duration, SystemTime};

use instant_acme::CertificateIdentifier;
use rustls::pki_types::{CertificateDer, Der};
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use crate::tls::acme::failure::visible;
use crate::tls::acme::schedule::{self, seconds};
use crate::tls::certificate::{Facts, warning};

/// The least and the most time between two questions about a certificate, whatever the authority says (RFC
/// 9773, section 4.3.2).
const LEAST_WAIT: Duration = Duration::from_secs(60);
const MOST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The time between two questions if the authority names none, and the longest time after questions that have
/// failed (RFC 9773, section 4.3.3).
const USUAL_WAIT: Duration = Duration::from_secs(6 * 3600);

/// The least time between a certificate and its renewal that the authority asks for. For certificates of at
/// most 5 days, it is a tenth of the life. So an authority, or a clock, with wrong times does not cause one
/// order after the other.
const LEAST_AGE: Duration = Duration::from_secs(12 * 3600);

/// The wait until the next question, after an answer with this `retry-after`.
#[must_use]
pub fn wait(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or(USUAL_WAIT).clamp(LEAST_WAIT, MOST_WAIT)
}

/// The name of a certificate in renewal information (RFC 9773, section 4.1). `None` if the certificate does
/// not name its authority's key.
#[must_use]
pub fn identifier(certificate: &CertificateDer<'_>) -> Option<CertificateIdentifier<'static>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let certificate = certificate.tbs_certificate();
    let (_critical, authority) = certificate.get_extension::<AuthorityKeyIdentifier>().ok()??;
    let key = authority.key_identifier?;
    let serial = certificate.serial_number().to_der().ok()?;
    // The tag and the length have one byte each: a serial number has at most 21 bytes.
    let serial = serial.get(2..)?;
    Some(CertificateIdentifier::new(Der::from_slice(key.as_bytes()), Der::from_slice(serial)).into_owned())
}

/// The authority's answer. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The begin of the window.
    pub start: u64,
    /// The end of the window.
    pub end: u64,
    /// The page that explains the window.
    pub explanation: Option<String>,
    /// The wait until the next question.
    pub wait: Duration,
}

/// What the authority has said about a certificate. It is kept in `storage`, so that a start neither asks too
/// early nor chooses another time. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The certificate.
    certificate: String,
    /// When the certificate was obtained. 0 if it is not known.
    obtained: u64,
    /// The window of the last answer. `None` if the authority has not answered yet, or offers no renewal
    /// information.
    window: Option<Window>,
    /// The questions that have failed in a row.
    failures: usize,
    /// When the next question is due.
    ask: u64,
}

/// A window that the authority suggests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The begin.
    start: u64,
    /// The end.
    end: u64,
    /// The time in the window that this gateway has chosen.
    chosen: u64,
    /// Whether the renewal is an early one.
    is_early: bool,
    /// The page that explains the window.
    explanation: Option<String>,
}

impl Window {
    /// The begin of the window.
    #[must_use]
    pub fn start(&self) -> SystemTime {
        time(self.start)
    }

    /// The end of the window.
    #[must_use]
    pub fn end(&self) -> SystemTime {
        time(self.end)
    }

    /// Whether the renewal is an early one: the window ends in the first half of the certificate's life, or
    /// the authority has moved the window forward.
    #[must_use]
    pub const fn is_early(&self) -> bool {
        self.is_early
    }

    /// The page that explains the window.
    #[must_use]
    pub fn explanation(&self) -> Option<&str> {
        self.explanation.as_deref()
    }

    fn is_believed(&self) -> bool {
        (self.start..self.end).contains(&self.chosen)
    }
}

/// When a certificate is renewed, and when the gateway asks the authority about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When the gateway renews the certificate by its own rule.
    own: SystemTime,
    not_before: SystemTime,
    not_after: SystemTime,
    /// `None` if the certificate has no identifier: the gateway cannot ask about it.
    renewal: Option<Renewal>,
}

impl Plan {
    /// The plan for a certificate that is in storage with this record.
    #[must_use]
    pub fn of_kept(
        facts: &Facts,
        certificate: Option<&CertificateDer<'_>>,
        record: Option<Renewal>,
        now: SystemTime,
        random: u64,
    ) -> Self {
        let (not_before, not_after) = (facts.not_before, facts.not_after);
        let own = schedule::renewal(not_before, not_after, random);
        let renewal = certificate.and_then(identifier).map(|identifier| {
            let certificate = identifier.to_string();
            let of_this = record.filter(|record| record.certificate == certificate);
            of_this.map_or_else(|| Renewal::new(certificate, 0), |record| record.believed(seconds(now)))
        });
        Self { own, not_before, not_after, renewal }
    }

    /// The plan for a certificate that was obtained at `now`.
    #[must_use]
    pub fn of_new(
        facts: &Facts,
        certificate: Option<&CertificateDer<'_>>,
        now: SystemTime,
        random: u64,
    ) -> Self {
        let (not_before, not_after) = (facts.not_before, facts.not_after);
        let own = schedule::renewal_of_new(not_before, not_after, now, random);
        let renewal = certificate.and_then(identifier);
        let renewal = renewal.map(|identifier| Renewal::new(identifier.to_string(), seconds(now)));
        Self { own, not_before, not_after, renewal }
    }

    /// When the certificate is renewed: at the chosen time in the authority's window. If there is no window,
    /// at the time of the gateway's own rule. If the last question has failed, at the earlier of the two
    /// times.
    ///
    /// The renewal is not so late that `hookgate check` would warn of the certificate's end, and not at once
    /// after the certificate was obtained.
    #[must_use]
    pub fn due(&self) -> SystemTime {
        let Some((renewal, window)) = self.renewal.as_ref().and_then(|it| Some((it, it.window.as_ref()?)))
        else {
            return self.own;
        };
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        let latest = self.not_after.checked_sub(warning(life)).unwrap_or(self.not_after);
        let least_age = life.checked_div(10).unwrap_or_default().min(LEAST_AGE);
        let soonest = time(renewal.obtained).checked_add(least_age).unwrap_or(latest);
        let chosen = time(window.chosen).min(latest).max(soonest);
        if renewal.failures == 0 { chosen } else { chosen.min(self.own) }
    }

    /// When the next question is due. `None` if the gateway does not ask about this certificate: it has no
    /// identifier, or it has expired.
    #[must_use]
    pub fn ask(&self, now: SystemTime) -> Option<SystemTime> {
        self.renewal.as_ref().filter(|_| now < self.not_after).map(|renewal| time(renewal.ask))
    }

    /// The window of the last answer.
    #[must_use]
    pub fn window(&self) -> Option<&Window> {
        self.renewal.as_ref()?.window.as_ref()
    }

    /// The record, for storage.
    #[must_use]
    pub const fn record(&self) -> Option<&Renewal> {
        self.renewal.as_ref()
    }

    /// How many questions have failed in a row.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.renewal.as_ref().map_or(0, |renewal| renewal.failures)
    }

    /// Takes the record of another process, which shares the folder, if it is about the same certificate and
    /// says more: when the certificate was obtained, or what a later question gave. Returns whether the
    /// record is taken.
    pub fn adopt(&mut self, record: Renewal, now: SystemTime) -> bool {
        let record = record.believed(seconds(now));
        let Some(ours) = &mut self.renewal else { return false };
        let says_more = ours.certificate == record.certificate
            && (ours.obtained, ours.ask) < (record.obtained, record.ask);
        if says_more {
            *ours = record;
        }
        says_more
    }

    /// The authority has answered. A time that was chosen earlier stays if it is in the new window too.
    /// Otherwise a time in the window is chosen, each time with the same probability. Returns whether the
    /// window differs from the last window.
    ///
    /// # Errors
    /// [`EmptyWindow`]. The plan is then unchanged.
    pub fn answered(
        &mut self,
        answer: Suggestion,
        now: SystemTime,
        random: u64,
    ) -> Result<bool, EmptyWindow> {
        let Suggestion { start, end, explanation, wait } = answer;
        if end <= start {
            return Err(EmptyWindow);
        }
        let half = self.not_after.duration_since(self.not_before).unwrap_or_default().checked_div(2);
        let half = self.not_before.checked_add(half.unwrap_or_default()).map_or(0, seconds);
        let Some(renewal) = &mut self.renewal else { return Ok(false) };
        let before = renewal.window.take();
        let is_other = before.as_ref().is_none_or(|before| (before.start, before.end) != (start, end));
        let is_early = match &before {
            Some(before) if !is_other => before.is_early,
            Some(before) => end <= before.start || end < half || (before.is_early && start < before.end),
            None => end < half,
        };
        let kept = before.map(|before| before.chosen).filter(|chosen| (start..end).contains(chosen));
        let chosen = kept.unwrap_or_else(|| chosen(start, end, random));
        let explanation = explanation.map(|text| visible(&text));
        renewal.window = Some(Window { start, end, chosen, is_early, explanation });
        renewal.failures = 0;
        renewal.ask = seconds(now).saturating_add(wait.clamp(LEAST_WAIT, MOST_WAIT).as_secs());
        Ok(is_other)
    }

    /// The authority offers no renewal information. The gateway asks again after a day: the authority may
    /// offer it then.
    pub fn not_offered(&mut self, now: SystemTime) {
        if let Some(renewal) = &mut self.renewal {
            (renewal.window, renewal.failures) = (None, 0);
            renewal.ask = seconds(now).saturating_add(MOST_WAIT.as_secs());
        }
    }

    /// The authority has not answered, or the answer is not understood.
    pub fn failed(&mut self, now: SystemTime, retry_after: Option<Duration>, random: u64) {
        if let Some(renewal) = &mut self.renewal {
            renewal.failures = renewal.failures.saturating_add(1);
            let back_off = schedule::back_off(renewal.failures, None, random).min(USUAL_WAIT);
            let wait = back_off.max(retry_after.unwrap_or_default().min(MOST_WAIT));
            renewal.ask = seconds(now).saturating_add(wait.as_secs());
        }
    }
}

/// A window that ends before it begins, or when it begins (RFC 9773, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the window that the authority suggests ends before it begins")]
pub struct EmptyWindow;

impl Renewal {
    /// The first question about the certificate is due at once.
    const fn new(certificate: String, obtained: u64) -> Self {
        Self { certificate, obtained, window: None, failures: 0, ask: 0 }
    }

    /// A file that says more than the rules allow is not believed.
    fn believed(self, now: u64) -> Self {
        Self {
            obtained: self.obtained.min(now),
            ask: self.ask.min(now.saturating_add(MOST_WAIT.as_secs())),
            window: self.window.filter(Window::is_believed),
            ..self
        }
    }
}

/// A time of the window. `random` is of all numbers with the same probability.
fn chosen(start: u64, end: u64, random: u64) -> u64 {
    let length = u128::from(end.saturating_sub(start));
    let part = length.saturating_mul(u128::from(random)) >> u64::BITS;
    start.saturating_add(u64::try_from(part).unwrap_or_default())
}

/// A time that is given in seconds since 1970. Times after the year 9999 are cut.
fn time(seconds: u64) -> SystemTime {
    const END: u64 = 253_402_300_799;
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds.min(END)))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyIdMethod, KeyPair, SerialNumber};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const HOUR: Duration = Duration::from_secs(3600);

    fn day(number: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * number
    }

    /// The certificate of the example in RFC 9773, section 4.1.
    fn certificate() -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = [
            0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c,
            0xde, 0x01, 0xc8, 0xd4,
        ];
        params.key_identifier_method = KeyIdMethod::PreSpecified(key.to_vec());
        let issuer = Issuer::new(params, KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(&[0x87, 0x65, 0x43, 0x21]));
        (params.not_before, params.not_after) = (day(10).into(), day(100).into());
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
    }

    /// A certificate that is valid from day 10 to day 100. The gateway renews it on day 70 by its own rule.
    fn plan(record: Option<Renewal>, now: SystemTime) -> Plan {
        let certificate = certificate();
        Plan::of_kept(&Facts::read(&certificate).unwrap(), Some(&certificate), record, now, 0)
    }

    fn window(start: SystemTime, end: SystemTime) -> Suggestion {
        Suggestion { start: seconds(start), end: seconds(end), explanation: None, wait: USUAL_WAIT }
    }

    fn answered(start: u32, end: u32) -> Plan {
        let mut plan = plan(None, day(20));
        assert_eq!(plan.answered(window(day(start), day(end)), day(20), 0), Ok(true));
        plan
    }

    #[test]
    fn a_certificate_is_named_by_its_authoritys_key_and_its_serial_number_with_the_sign() {
        let named = identifier(&certificate()).unwrap();
        assert_eq!(named.to_string(), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        let pem = crate::tls::sample::self_signed(&["a.example"]).cert;
        let own = <CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(pem.as_bytes());
        let own = own.unwrap();
        assert_eq!(identifier(&own), None, "it does not name a key");
        assert_eq!(identifier(&CertificateDer::from(vec![1])), None);
        let mut plan = Plan::of_kept(&Facts::read(&own).unwrap(), Some(&own), None, day(20), 0);
        assert_eq!((plan.ask(day(20)), plan.record()), (None, None), "nobody can be asked about it");
        let own = plan.due();
        assert_eq!(plan.answered(window(day(1), day(2)), day(20), 0), Ok(false));
        assert_eq!(plan.due(), own);
    }

    #[test]
    fn each_time_in_the_window_is_chosen_with_the_same_probability() {
        let quarter = 1 << 62;
        for (random, want) in [
            (0, 1000),
            (quarter - 1, 1249),
            (quarter, 1250),
            (2 * quarter, 1500),
            (3 * quarter, 1750),
            (u64::MAX, 1999),
        ] {
            assert_eq!(chosen(1000, 2000, random), want, "{random}");
        }
        assert_eq!(chosen(0, u64::MAX, u64::MAX), u64::MAX - 1);
    }

    #[test]
    fn the_window_decides_within_the_certificates_life() {
        assert_eq!(plan(None, day(20)).due(), day(70), "without a window: two thirds of the life");
        assert_eq!(answered(30, 31).due(), day(30));
        assert_eq!(answered(5, 6).due(), day(5), "a window in the past is due at once");
        assert_eq!(answered(80, 81).due(), day(80), "also after two thirds of the life");
        // From day 86 on, `hookgate check` warns.
        assert_eq!(answered(95, 96).due(), day(86));
        assert_eq!(answered(200, 201).due(), day(86));
        let mut later = plan(None, day(20));
        assert_eq!(later.answered(window(day(30), day(31)), day(20), u64::MAX), Ok(true));
        assert!(later.due() < day(31) && later.due() > day(31) - HOUR, "{later:?}");
        let mut offered = answered(30, 31);
        offered.not_offered(day(21));
        assert_eq!((offered.due(), offered.ask(day(21))), (day(70), Some(day(22))));
    }

    #[test]
    fn an_authority_that_always_wants_a_renewal_gets_one_every_twelve_hours() {
        let certificate = certificate();
        let facts = Facts::read(&certificate).unwrap();
        let mut plan = Plan::of_new(&facts, Some(&certificate), day(10), 0);
        assert_eq!((plan.due(), plan.ask(day(10))), (day(70), Some(SystemTime::UNIX_EPOCH)));
        plan.answered(window(day(5), day(6)), day(10), 0).unwrap();
        assert_eq!(plan.due(), day(10) + HOUR * 12);
        // A start changes nothing.
        let again = Plan::of_kept(&facts, Some(&certificate), plan.record().cloned(), day(10) + HOUR, 0);
        assert_eq!(again.due(), plan.due());
        // The clock was set back after the certificate was obtained.
        let again = Plan::of_kept(&facts, Some(&certificate), plan.record().cloned(), day(7), 0);
        assert_eq!(again.due(), day(7) + HOUR * 12);
        // A certificate for an hour: a tenth of its life.
        let facts = Facts { not_before: day(10), not_after: day(10) + HOUR, ..facts };
        let mut short = Plan::of_new(&facts, Some(&certificate), day(10), 0);
        short.answered(window(day(5), day(6)), day(10), 0).unwrap();
        assert_eq!(short.due(), day(10) + HOUR / 10);
    }

    #[test]
    fn a_chosen_time_stays_while_it_is_in_the_window() {
        let mut plan = plan(None, day(20));
        let half = 1 << 63;
        assert_eq!(plan.answered(window(day(30), day(40)), day(20), half), Ok(true));
        assert_eq!(plan.due(), day(35));
        assert_eq!(plan.answered(window(day(30), day(40)), day(21), 0), Ok(false));
        assert_eq!(plan.due(), day(35));
        assert_eq!(plan.answered(window(day(34), day(44)), day(22), 0), Ok(true));
        assert_eq!(plan.due(), day(35));
        assert_eq!(plan.answered(window(day(22), day(35)), day(22), 0), Ok(true));
        assert_eq!(plan.due(), day(22), "the end is not in the window");
    }

    #[test]
    fn a_renewal_is_early_in_the_first_half_of_the_life_or_if_the_window_is_moved_forward() {
        let is_early = |plan: &Plan| plan.window().unwrap().is_early();
        assert!(is_early(&answered(30, 31)) && is_early(&answered(53, 54)));
        // Let's Encrypt renews short-lived certificates at half of their life.
        let mut plan = answered(54, 56);
        assert!(!is_early(&plan));
        plan = answered(70, 72);
        plan.answered(window(day(69), day(71)), day(21), 0).unwrap();
        assert!(!is_early(&plan), "it is moved a little");
        plan.answered(window(day(60), day(61)), day(21), 0).unwrap();
        assert!(is_early(&plan));
        plan.answered(window(day(60), day(61)), day(22), 0).unwrap();
        assert!(is_early(&plan), "the same answer again");
        plan.answered(window(day(60) + HOUR, day(61) + HOUR), day(22), 0).unwrap();
        assert!(is_early(&plan), "nearly the same window");
        plan.answered(window(day(70), day(72)), day(22), 0).unwrap();
        assert!(!is_early(&plan));
    }

    #[test]
    fn if_a_question_fails_the_earlier_of_both_times_counts_and_the_gateway_asks_again_soon() {
        let mut plan = answered(80, 81);
        let mut waits = Vec::new();
        for _ in 0..8 {
            plan.failed(day(21), None, 0);
            waits.push(plan.ask(day(21)).unwrap().duration_since(day(21)).unwrap().as_secs() / 60);
        }
        assert_eq!(waits, [1, 5, 20, 60, 180, 360, 360, 360]);
        assert_eq!((plan.due(), plan.failures()), (day(70), 8));
        let mut early = answered(30, 31);
        early.failed(day(21), Some(HOUR * 2), 0);
        assert_eq!((early.due(), early.ask(day(21))), (day(30), Some(day(21) + HOUR * 2)));
        early.failed(day(21), Some(Duration::MAX), 0);
        assert_eq!(early.ask(day(21)), Some(day(22)));
        assert_eq!(plan.answered(window(day(80), day(81)), day(21), 0), Ok(false));
        assert_eq!((plan.due(), plan.failures()), (day(80), 0));
        // RFC 9773, section 4.2: as if there was no answer.
        for end in [40, 39] {
            assert_eq!(plan.answered(window(day(40), day(end)), day(21), 0), Err(EmptyWindow));
        }
        assert_eq!(plan.due(), day(80));
    }

    #[test]
    fn the_next_question_comes_when_the_authority_says_within_a_minute_and_a_day() {
        assert_eq!(wait(None), HOUR * 6);
        assert_eq!(wait(Some(Duration::ZERO)), Duration::from_secs(60));
        assert_eq!(wait(Some(HOUR)), HOUR);
        assert_eq!(wait(Some(Duration::MAX)), DAY);
        let mut plan = plan(None, day(20));
        assert_eq!(plan.ask(day(20)), Some(SystemTime::UNIX_EPOCH), "at once");
        plan.answered(window(day(30), day(31)), day(20), 0).unwrap();
        assert_eq!(plan.ask(day(20)), Some(day(20) + HOUR * 6));
        assert_eq!(plan.ask(day(100)), None, "the certificate has expired");
    }

    #[test]
    fn a_record_is_believed_only_within_the_rules_and_for_its_certificate() {
        let record = answered(30, 31).record().cloned().unwrap();
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(plan(serde_json::from_str(&json).unwrap(), day(20)).record(), Some(&record));
        let other = Renewal { certificate: "x.y".to_owned(), ..record.clone() };
        let fresh = plan(Some(other.clone()), day(20));
        assert_eq!((fresh.due(), fresh.ask(day(20))), (day(70), Some(SystemTime::UNIX_EPOCH)));
        let window = |chosen| Window { chosen, ..record.window.clone().unwrap() };
        for chosen in [0, seconds(day(31)), u64::MAX] {
            let wrong =
                Renewal { window: Some(window(chosen)), ask: u64::MAX, obtained: u64::MAX, ..record.clone() };
            let plan = plan(Some(wrong), day(20));
            assert_eq!((plan.due(), plan.ask(day(20))), (day(70), Some(day(21))), "{chosen}");
        }
        let far = Window { start: 1, end: u64::MAX, chosen: u64::MAX - 1, ..window(0) };
        let far = plan(Some(Renewal { window: Some(far), ..record.clone() }), day(20));
        assert_eq!(far.due(), day(86));
        // Another process with the same folder has asked later, or knows when the certificate was obtained.
        let mut plan = plan(Some(record.clone()), day(20));
        assert!(!plan.adopt(record.clone(), day(20)));
        assert!(!plan.adopt(Renewal { ask: u64::MAX, ..other }, day(20)));
        let later =
            Renewal { ask: record.ask + 1, window: Some(window(seconds(day(30)) + 5)), ..record.clone() };
        assert!(plan.adopt(later, day(20)));
        assert_eq!(plan.due(), day(30) + Duration::from_secs(5));
        assert!(plan.adopt(Renewal { obtained: seconds(day(20)), ask: 0, ..record }, day(20)));
    }
}
