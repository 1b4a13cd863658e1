//! Whether a host certificate that a trusted authority signed is good for a host, now.
//!
//! Must not know which authorities are trusted: that is what the files say.

use std::time::{Duration, SystemTime};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

use crate::pattern::matches;

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// A user certificate.
    #[error("is not for hosts")]
    NotForHosts,
    /// Signed for a time to come, or our clock is slow.
    #[error("is not valid yet")]
    NotYetValid,
    /// Its time is over, or our clock is fast.
    #[error("has expired")]
    Expired,
    /// It names no hosts. Older releases of OpenSSH took that for "all hosts"; 10.3 and later do not.
    #[error("names no hosts; expected this host's name among its principals")]
    NoPrincipals,
    /// It is for other hosts.
    #[error("is for other hosts; expected this host's name among its principals")]
    OtherPrincipals,
    /// It is restricted in a way that we do not know.
    #[error("has critical options, of which none is known for hosts")]
    CriticalOptions,
    /// Signed with SHA-1 or DSA (`CASignatureAlgorithms` of ssh_config(5)).
    #[error("is signed with an algorithm that is no longer safe")]
    SignatureAlgorithm,
    /// The authority did not sign it.
    #[error("has a wrong signature")]
    Signature,
}

/// Checks all but the authority, in the order of ssh(1); `principal` is the host's name in lower case.
///
/// Principals may have wildcards, as in OpenSSH 10.3 and later.
pub(super) fn check(certificate: &Certificate, principal: &str, now: SystemTime) -> Result<(), CertificateProblem> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    if certificate.cert_type() != CertType::Host {
        return Err(CertificateProblem::NotForHosts);
    }
    if now < certificate.valid_after() {
        return Err(CertificateProblem::NotYetValid);
    }
    if now >= certificate.valid_before() {
        return Err(CertificateProblem::Expired);
    }
    if certificate.valid_principals().is_empty() {
        return Err(CertificateProblem::NoPrincipals);
    }
    if !certificate.valid_principals().iter().any(|pattern| matches(principal, pattern)) {
        return Err(CertificateProblem::OtherPrincipals);
    }
    if !certificate.critical_options().is_empty() {
        return Err(CertificateProblem::CriticalOptions);
    }
    if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
        return Err(CertificateProblem::SignatureAlgorithm);
    }
    // The library verifies a signature only together with the time and the authority, which are known to be right.
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    certificate.validate_at(now, [&authority]).map_err(|_| CertificateProblem::Signature)
}
