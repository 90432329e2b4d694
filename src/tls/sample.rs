//! Pure. Certificates for the tests of other files.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate and its key, in PEM.
pub(crate) struct Sample {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// A self-signed certificate for these names, valid from 1970 to 2100.
pub(crate) fn self_signed(names: &[&str]) -> Sample {
    made(names, (1970, 2100), None)
}

/// A self-signed certificate that is valid from and to the beginning of these years.
pub(crate) fn valid(names: &[&str], years: (i32, i32)) -> Sample {
    made(names, years, None)
}

/// An authority, in PEM, and a certificate that it has signed.
pub(crate) fn issued(names: &[&str]) -> (String, Sample) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    (params.not_before, params.not_after) = (date_time_ymd(1970, 1, 1), date_time_ymd(2100, 1, 1));
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, made(names, (1970, 2100), Some(&Issuer::new(params, key))))
}

/// A self-signed certificate that is valid from this time on, for this long.
pub(crate) fn lasting(names: &[&str], from: SystemTime, life: Duration) -> Sample {
    let mut params = params(names);
    (params.not_before, params.not_after) = (from.into(), (from + life).into());
    signed(&params, None)
}

fn made(names: &[&str], years: (i32, i32), issuer: Option<&Issuer<'_, KeyPair>>) -> Sample {
    let mut params = params(names);
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    signed(&params, issuer)
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

fn signed(params: &CertificateParams, issuer: Option<&Issuer<'_, KeyPair>>) -> Sample {
    let key = KeyPair::generate().unwrap();
    let cert = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Sample { cert: cert.pem(), key: key.serialize_pem() }
}
