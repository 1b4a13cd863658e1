//! What the files say of a key, and what the user's policy makes of it.
//!
//! Pure. Must not know how a key was looked up, nor what the host is called: equal refusals of many hosts are shown
//! as one line.

use std::fmt;
use std::path::PathBuf;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};

use super::certificate::CertificateProblem;
use fleet_core::outcome::{FailureClass, HostError, Stage};
pub use fleet_core::settings::HostKeyPolicy;

/// A line of a file, counted from 1. Displays as `file:line`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file as it was named.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A key as people compare it. Displays as `ssh-ed25519 SHA256:...`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyLabel {
    /// The key type.
    pub key_type: String,
    /// The SHA-256 fingerprint as ssh-keygen(1) shows it.
    pub fingerprint: String,
}

impl KeyLabel {
    pub(super) fn of(key: &KeyData) -> Self {
        Self {
            key_type: key.algorithm().as_str().to_owned(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        }
    }
}

impl From<&PublicKey> for KeyLabel {
    fn from(key: &PublicKey) -> Self {
        Self::of(key.key_data())
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key_type, self.fingerprint)
    }
}

/// What the files say of the key that a host offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This line has the key, or the authority that signed the host's certificate.
    Trusted(Location),
    /// No line has a key for the host.
    Unknown {
        /// What the host offers.
        offered: KeyLabel,
        /// What is wrong with its certificate, when a trusted authority signed one.
        certificate: Option<CertificateProblem>,
    },
    /// The lines for the host have other keys only. As for ssh(1), a key of another type is another key.
    Changed {
        /// The last such line, if possible with a key of the type offered.
        at: Location,
        /// The key in that line.
        known: KeyLabel,
        /// What the host offers.
        offered: KeyLabel,
    },
    /// This line revokes the key, or the authority that signed the certificate.
    Revoked(Location),
}

/// What to do with the key that a host offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Accept,
    /// Go on once the key is added (see [`KnownHosts::remember`](super::KnownHosts::remember)).
    AcceptAndRemember,
    /// Close the connection.
    Refuse(HostKeyProblem),
}

/// Why a host key is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyProblem {
    /// No line has a key for the host.
    #[error("host key is not known")]
    Unknown,
    /// The same, but this line has the key for another name or port.
    #[error("host key is not known for this name and port ({at} has it for another)")]
    UnknownHere {
        /// That line.
        at: Location,
    },
    /// An authority is trusted for the host, but not what it signed, and the bare key is not known.
    #[error("host certificate {0}")]
    Certificate(CertificateProblem),
    /// The host has another key than before.
    #[error("host key has changed ({at})")]
    Changed {
        /// The line with the key known.
        at: Location,
        /// That key.
        known: KeyLabel,
        /// The key offered.
        offered: KeyLabel,
    },
    /// A line says that the key must not be accepted.
    #[error("host key is revoked ({at})")]
    Revoked {
        /// That line.
        at: Location,
    },
}

/// What `policy` makes of a verdict. A changed or revoked key is refused under every policy.
#[must_use]
pub fn decide(policy: HostKeyPolicy, verdict: Verdict) -> Decision {
    match (verdict, policy) {
        (Verdict::Trusted(_), _) | (Verdict::Unknown { .. }, HostKeyPolicy::Off) => Decision::Accept,
        (Verdict::Unknown { .. }, HostKeyPolicy::AcceptNew) => Decision::AcceptAndRemember,
        (Verdict::Unknown { certificate: Some(problem), .. }, HostKeyPolicy::Strict) => {
            Decision::Refuse(HostKeyProblem::Certificate(problem))
        }
        (Verdict::Unknown { certificate: None, .. }, HostKeyPolicy::Strict) => {
            Decision::Refuse(HostKeyProblem::Unknown)
        }
        (Verdict::Changed { at, known, offered }, _) => {
            Decision::Refuse(HostKeyProblem::Changed { at, known, offered })
        }
        (Verdict::Revoked(at), _) => Decision::Refuse(HostKeyProblem::Revoked { at }),
    }
}

impl HostKeyProblem {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown => {
                "accept it with --host-key accept-new, or add it with: ssh-keyscan HOST >> ~/.ssh/known_hosts"
                    .to_owned()
            }
            Self::UnknownHere { at } => format!(
                "if line {} of {} is for the same host, --host-key accept-new adds this name",
                at.line,
                at.file.display()
            ),
            Self::Certificate(_) => "have the host's key signed anew, and check the clock of this machine".to_owned(),
            Self::Changed { at, known, offered } => format!(
                "someone may be in between; if the change is expected, remove line {} of {} (it has {known}, the host \
                 offers {offered})",
                at.line,
                at.file.display()
            ),
            Self::Revoked { at } => {
                format!("the host needs a new key: line {} of {} revokes it", at.line, at.file.display())
            }
        }
    }
}

impl From<HostKeyProblem> for HostError {
    fn from(problem: HostKeyProblem) -> Self {
        Self::new(Stage::KeyExchange, FailureClass::HostKey, problem.to_string()).with_hint(problem.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Location {
        Location { file: "/home/me/.ssh/known_hosts".into(), line: 7 }
    }

    fn label(fingerprint: &str) -> KeyLabel {
        KeyLabel { key_type: "ssh-ed25519".into(), fingerprint: fingerprint.into() }
    }

    fn unknown(certificate: Option<CertificateProblem>) -> Verdict {
        Verdict::Unknown { offered: label("SHA256:b"), certificate }
    }

    fn changed() -> Verdict {
        Verdict::Changed { at: at(), known: label("SHA256:a"), offered: label("SHA256:b") }
    }

    #[test]
    fn each_policy_decides_about_unknown_keys() {
        for (policy, verdict, decision) in [
            (HostKeyPolicy::Strict, unknown(None), Decision::Refuse(HostKeyProblem::Unknown)),
            (
                HostKeyPolicy::Strict,
                unknown(Some(CertificateProblem::Expired)),
                Decision::Refuse(HostKeyProblem::Certificate(CertificateProblem::Expired)),
            ),
            (HostKeyPolicy::AcceptNew, unknown(None), Decision::AcceptAndRemember),
            (HostKeyPolicy::AcceptNew, unknown(Some(CertificateProblem::Expired)), Decision::AcceptAndRemember),
            (HostKeyPolicy::Off, unknown(None), Decision::Accept),
        ] {
            assert_eq!(decide(policy, verdict), decision, "{policy:?}");
        }
    }

    #[test]
    fn no_policy_accepts_a_changed_or_revoked_key_and_all_accept_a_trusted_one() {
        for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew, HostKeyPolicy::Off] {
            assert!(matches!(decide(policy, changed()), Decision::Refuse(HostKeyProblem::Changed { .. })));
            assert_eq!(decide(policy, Verdict::Revoked(at())), Decision::Refuse(HostKeyProblem::Revoked { at: at() }));
            assert_eq!(decide(policy, Verdict::Trusted(at())), Decision::Accept);
        }
    }

    #[test]
    fn refusals_name_file_and_line_and_both_keys() {
        let Decision::Refuse(problem) = decide(HostKeyPolicy::Off, changed()) else { panic!("accepted") };
        let error = HostError::from(problem);
        assert_eq!(error.to_string(), "key exchange: host key has changed (/home/me/.ssh/known_hosts:7)");
        let hint = error.hint.unwrap();
        for part in ["line 7 of /home/me/.ssh/known_hosts", "ssh-ed25519 SHA256:a", "ssh-ed25519 SHA256:b"] {
            assert!(hint.contains(part), "{hint}");
        }
        assert_eq!(
            HostKeyProblem::Revoked { at: at() }.to_string(),
            "host key is revoked (/home/me/.ssh/known_hosts:7)"
        );
        assert_eq!(
            HostKeyProblem::Certificate(CertificateProblem::Expired).to_string(),
            "host certificate has expired"
        );
    }
}
