//! The check of one host's key during its key exchange: asks `known_hosts`, obeys the policy, remembers new keys.
//!
//! Must not match names or read files itself.

use std::time::SystemTime;

use russh::keys::{PublicKey, PublicKeyOrCertificate};

use super::known_hosts::{Decision, HashNames, HostKeyPolicy, HostKeyProblem, KnownHosts, KnownName, decide};
use fleet_core::outcome::{FailureClass, HostError, Stage, in_one_line};

/// Everything needed to judge the key of one host.
#[derive(Clone, Debug)]
pub(super) struct HostKeyCheck {
    pub(super) known_hosts: KnownHosts,
    pub(super) name: KnownName,
    pub(super) policy: HostKeyPolicy,
    pub(super) hash_names: HashNames,
}

impl HostKeyCheck {
    /// Whether the key is accepted; if new keys are to be, it is remembered first.
    pub(super) async fn check(&self, offered: &PublicKeyOrCertificate) -> Result<(), HostError> {
        let (verdict, key) = match offered {
            PublicKeyOrCertificate::PublicKey { key, .. } => (self.known_hosts.check_key(&self.name, key), key.clone()),
            PublicKeyOrCertificate::Certificate(certificate) => {
                let verdict = self.known_hosts.check_certificate(&self.name, certificate, SystemTime::now());
                (verdict, PublicKey::from(certificate.public_key().clone()))
            }
        };
        match decide(self.policy, verdict) {
            Decision::Accept => Ok(()),
            Decision::AcceptAndRemember => self.remember(key).await,
            Decision::Refuse(HostKeyProblem::Unknown) => Err(self.unknown(&key).into()),
            Decision::Refuse(problem) => Err(problem.into()),
        }
    }

    /// A host that is known by another name is often the same host.
    fn unknown(&self, key: &PublicKey) -> HostKeyProblem {
        match self.known_hosts.line_with(key) {
            Some(at) => HostKeyProblem::UnknownHere { at },
            None => HostKeyProblem::Unknown,
        }
    }

    async fn remember(&self, key: PublicKey) -> Result<(), HostError> {
        let Self { known_hosts, name, hash_names, .. } = self.clone();
        let remembered = tokio::task::spawn_blocking(move || known_hosts.remember(&name, &key, hash_names)).await;
        let verdict = match remembered {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => return Err(not_remembered(&error)),
            Err(error) => return Err(not_remembered(&error)),
        };
        match decide(HostKeyPolicy::Strict, verdict) {
            Decision::Refuse(problem) => Err(problem.into()),
            Decision::Accept | Decision::AcceptAndRemember => Ok(()),
        }
    }
}

fn not_remembered(error: &(dyn std::error::Error + 'static)) -> HostError {
    HostError::new(Stage::KeyExchange, FailureClass::Local, in_one_line(error))
}
