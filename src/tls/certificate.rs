//! Pure. The facts of a certificate: the names in it, and the time of its validity.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::{Certificate, TbsCertificate};

use crate::tls::host_name::HostName;

/// The facts of a certificate. They say nothing about its signature, which rustls verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct Facts {
    /// The hosts: the subject alternative names, or the common name if there are none of them.
    pub hosts: Vec<HostName>,
    /// All names: subject alternative names of any kind, and the common name. Only visible ASCII.
    pub names: Vec<String>,
    /// Whether there are hosts in subject alternative names, where clients look for them.
    pub has_alternative_names: bool,
    /// When the certificate becomes valid.
    pub not_before: SystemTime,
    /// When the certificate expires.
    pub not_after: SystemTime,
    /// Whether the issuer has another name than the subject.
    pub is_issued: bool,
}

/// A certificate that cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate of X.509")]
pub struct NotCertificate;

/// The longest time between the first warning and the end of a certificate. If a quarter of the certificate's
/// life is shorter, the warning comes in the last quarter.
const LONGEST_WARNING: Duration = Duration::from_secs(14 * 24 * 3600);

/// Whether a certificate with this end and life should have been renewed, as [`Facts::is_overdue`] says.
#[must_use]
pub fn is_overdue(end: SystemTime, life: Duration, now: SystemTime) -> bool {
    end.duration_since(now).map_or(true, |left| left < warning(life))
}

/// The time between the first warning and the end of a certificate with this life.
#[must_use]
pub fn warning(life: Duration) -> Duration {
    life.checked_div(4).unwrap_or_default().min(LONGEST_WARNING)
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`NotCertificate`]
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, NotCertificate> {
        let certificate = Certificate::from_der(der).map_err(|_malformed| NotCertificate)?;
        let certificate = certificate.tbs_certificate();
        let common_name = common_name(certificate);
        let alternative = alternative_names(certificate)?;
        let mut hosts: Vec<HostName> = alternative.iter().filter_map(host).collect();
        let has_alternative_names = !hosts.is_empty();
        if alternative.is_empty() {
            hosts.extend(common_name.as_deref().map(of_common_name));
        }
        let mut names: Vec<String> = Vec::new();
        let all = alternative.iter().filter_map(text).chain(common_name);
        for name in all.filter(|name| is_visible(name)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let validity = certificate.validity();
        Ok(Self {
            hosts,
            names,
            has_alternative_names,
            not_before: moment(validity.not_before.to_unix_duration()),
            not_after: moment(validity.not_after.to_unix_duration()),
            is_issued: certificate.issuer().to_der().ok() != certificate.subject().to_der().ok(),
        })
    }

    /// The time from the beginning of the validity to its end.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }

    /// Whether the certificate should have been renewed: less than a quarter of its life is left, and less
    /// than 14 days. Certificates are usually renewed when a third is left: at 30 days of 90, or 2 of 6.
    #[must_use]
    pub fn is_overdue(&self, now: SystemTime) -> bool {
        is_overdue(self.not_after, self.life(), now)
    }

    /// Whether the certificate covers this host. The host has no port.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        self.hosts.iter().any(|name| name.covers(host))
    }

    /// The name of the certificate in metrics and messages: the first of its hosts.
    #[must_use]
    pub fn label(&self) -> String {
        let host = self.hosts.first().map(HostName::to_string);
        host.or_else(|| self.names.first().cloned()).unwrap_or_else(|| "unnamed".to_owned())
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

fn moment(since: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn alternative_names(certificate: &TbsCertificate) -> Result<Vec<GeneralName>, NotCertificate> {
    let found = certificate.get_extension::<SubjectAltName>().map_err(|_malformed| NotCertificate)?;
    Ok(found.map(|(_critical, SubjectAltName(names))| names).unwrap_or_default())
}

/// The last common name, which is the most specific one.
fn common_name(certificate: &TbsCertificate) -> Option<String> {
    let found = certificate.subject().common_name().ok().flatten()?;
    Some(found.value().into_owned())
}

fn of_common_name(name: &str) -> HostName {
    name.parse().map_or_else(|_no_address| HostName::dns(name), HostName::Ip)
}

fn host(name: &GeneralName) -> Option<HostName> {
    match name {
        GeneralName::DnsName(name) => Some(HostName::dns(name.as_str())),
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()),
        GeneralName::OtherName(_)
        | GeneralName::Rfc822Name(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::UniformResourceIdentifier(_)
        | GeneralName::RegisteredId(_) => None,
    }
}

fn address(bytes: &[u8]) -> Option<HostName> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    let six = || <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into());
    four.or_else(|_other| six()).ok().map(HostName::Ip)
}

fn text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::Rfc822Name(name)
        | GeneralName::UniformResourceIdentifier(name)
        | GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()).map(|address| address.to_string()),
        GeneralName::OtherName(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::RegisteredId(_) => None,
    }
}

/// Names go into the log, and into a field of forwarded requests.
fn is_visible(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
