//! The keys that can be offered to a server, in ssh(1)'s order.
//!
//! Certificates first, then the agent's keys that the configuration names, its other keys (unless `IdentitiesOnly`),
//! then the key files. Must not talk to the server.

use std::path::Path;
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};

use super::agent::Agent;
use super::auth::Credentials;
use super::keys::{self, KeyFile, KeyFileError};
use super::refusal::Unused;

/// The signatures an RSA key can make, without SHA-1.
const RSA: [Algorithm; 2] =
    [Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }];

/// One key to offer.
pub(super) struct Identity {
    pub(super) public: PublicKey,
    pub(super) certificate: Option<Certificate>,
    pub(super) holder: Holder,
}

/// Who has the private half.
#[derive(Clone)]
pub(super) enum Holder {
    File(Arc<KeyFile>),
    Agent(Arc<AgentIdentity>, Arc<Agent>),
}

/// A key of an agent, and the agent.
type Held = (Arc<AgentIdentity>, Arc<Agent>);

/// What can be offered, and what cannot.
#[derive(Default)]
pub(super) struct Identities {
    pub(super) usable: Vec<Identity>,
    pub(super) unused: Vec<Unused>,
}

impl Identities {
    /// Looks through the files and the agent of `credentials`. Nothing is decrypted yet.
    pub(super) async fn gather(credentials: &Credentials<'_>) -> Self {
        let mut all = Self::default();
        let files = all.key_files(credentials);
        let held = all.held_by_agent(credentials).await;
        all.add_certificates(credentials, &files, &held);
        all.add_agent_keys(credentials, &files, &held);
        let in_agent = |file: &KeyFile| held.iter().any(|(identity, _)| is_key(identity, file.public()));
        all.usable.extend(files.iter().filter(|file| file.has_private() && !in_agent(file)).map(|file| Identity {
            public: file.public().clone(),
            certificate: None,
            holder: Holder::File(Arc::clone(file)),
        }));
        all.explain_absences(credentials, &files, &held);
        all
    }

    /// Why keys that the user may count on are not among the usable ones.
    fn explain_absences(&mut self, credentials: &Credentials<'_>, files: &[Arc<KeyFile>], held: &[Held]) {
        let is_held = |file: &KeyFile| held.iter().any(|(identity, _)| is_for(identity, file.public()));
        let public_only = files.iter().filter(|file| !file.has_private() && !is_held(file));
        self.unused.extend(public_only.map(|file| Unused::PublicKey(file.path().to_owned())));
        let is_named = |identity: &AgentIdentity| files.iter().any(|file| is_for(identity, file.public()));
        let others = held.iter().filter(|(identity, _)| !is_named(identity)).count();
        if credentials.identities_only && others > 0 {
            self.unused.push(Unused::LeftInAgent(others));
        }
        if self.usable.is_empty() {
            self.unused.extend(credentials.agent.is_none().then_some(Unused::NoAgent));
            let without_files = credentials.identities_are_defaults && files.is_empty();
            self.unused.extend(without_files.then_some(Unused::NoDefaultKey));
        }
    }

    fn key_files(&mut self, credentials: &Credentials<'_>) -> Vec<Arc<KeyFile>> {
        let mut files = Vec::new();
        for path in credentials.identity_files {
            match credentials.keys.load(path) {
                Ok(file) => files.push(file),
                Err(KeyFileError::Missing(_)) if credentials.identities_are_defaults => {}
                Err(error) => self.unused.push(Unused::KeyFile(error)),
            }
        }
        files
    }

    async fn held_by_agent(&mut self, credentials: &Credentials<'_>) -> Vec<Held> {
        let Some(agent) = credentials.agent else { return Vec::new() };
        match agent.identities(credentials.stage_limit).await {
            Ok(identities) => {
                if identities.is_empty() {
                    self.unused.push(Unused::EmptyAgent(agent.socket().to_owned()));
                }
                identities.iter().map(|identity| (Arc::new(identity.clone()), Arc::clone(agent))).collect()
            }
            Err(reason) => {
                self.unused.push(Unused::Agent { socket: agent.socket().to_owned(), reason });
                Vec::new()
            }
        }
    }

    /// Certificates of `CertificateFile` and beside the key files, each with whoever holds its private key.
    fn add_certificates(&mut self, credentials: &Credentials<'_>, files: &[Arc<KeyFile>], held: &[Held]) {
        let mut certificates: Vec<(&Path, Certificate)> = Vec::new();
        for path in credentials.certificate_files {
            match keys::load_certificate(path) {
                Ok(certificate) => certificates.push((path, certificate)),
                Err(error) => self.unused.push(Unused::KeyFile(error)),
            }
        }
        certificates.extend(files.iter().filter_map(|file| Some((file.path(), file.certificate()?.clone()))));
        for (path, certificate) in certificates {
            let public = PublicKey::from(certificate.public_key().clone());
            let in_agent = held.iter().find(|(identity, _)| is_key(identity, &public));
            let in_file = files.iter().find(|f| f.has_private() && f.public().key_data() == public.key_data());
            let holder = match (in_agent, in_file) {
                (Some((identity, agent)), _) => Holder::Agent(Arc::clone(identity), Arc::clone(agent)),
                (None, Some(file)) => Holder::File(Arc::clone(file)),
                (None, None) => {
                    self.unused.push(Unused::Certificate(path.to_owned()));
                    continue;
                }
            };
            self.usable.push(Identity { public, certificate: Some(certificate), holder });
        }
    }

    /// The agent's keys: first those that the files name, in the files' order, then the others if they may be used.
    fn add_agent_keys(&mut self, credentials: &Credentials<'_>, files: &[Arc<KeyFile>], held: &[Held]) {
        let place = |identity: &AgentIdentity| files.iter().position(|file| is_for(identity, file.public()));
        let mut placed: Vec<(usize, &Held)> = held
            .iter()
            .filter_map(|held| match place(&held.0) {
                None if credentials.identities_only => None,
                place => Some((place.unwrap_or(usize::MAX), held)),
            })
            .collect();
        placed.sort_by_key(|(place, _)| *place);
        self.usable.extend(placed.into_iter().map(|(_, (identity, agent))| Identity {
            public: identity.public_key().into_owned(),
            certificate: match &**identity {
                AgentIdentity::PublicKey { .. } => None,
                AgentIdentity::Certificate { certificate, .. } => Some(certificate.clone()),
            },
            holder: Holder::Agent(Arc::clone(identity), Arc::clone(agent)),
        }));
    }
}

fn is_for(identity: &AgentIdentity, public: &PublicKey) -> bool {
    identity.public_key().key_data() == public.key_data()
}

fn is_key(identity: &AgentIdentity, public: &PublicKey) -> bool {
    matches!(identity, AgentIdentity::PublicKey { key, .. } if key.key_data() == public.key_data())
}

impl Identity {
    /// The names on the wire that the key can be offered under.
    pub(super) fn algorithms(&self) -> Vec<String> {
        let plain: &[Algorithm] = match self.public.algorithm() {
            Algorithm::Rsa { .. } => &RSA,
            other => &[other],
        };
        let name = |algorithm: &Algorithm| match &self.certificate {
            Some(_) => algorithm.to_certificate_type(),
            None => algorithm.as_str().to_owned(),
        };
        plain.iter().map(name).collect()
    }

    /// What the key is called in messages.
    pub(super) fn label(&self) -> String {
        let kind = if self.certificate.is_some() { "certificate" } else { "key" };
        match &self.holder {
            Holder::File(file) => format!("{kind} {}", file.path().display()),
            Holder::Agent(identity, _) => format!("agent {kind} {}", identity.comment()),
        }
    }
}
