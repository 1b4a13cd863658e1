//! What logins would use, looked at one by one: routes, host keys, key files, agents, names.
//!
//! For those who tell what is wrong before a run meets it. Changes nothing: no key is decrypted, no host key kept. Must
//! not judge what it finds.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use russh::keys::HashAlg;
use russh::keys::agent::AgentIdentity;

use super::config::{HostConfig, IdentityFiles, Proxy};
use super::connector::{ConnectObserver, Connector, NewHostKeys, known_name};
use super::deadline::within;
use super::dial;
use super::keys::{KeyFile, KeyFileError};
use super::known_hosts::{HostKeyPolicy, KnownHostsError};
use super::pacing::Try;
use super::parameters::descriptors;
use super::session::Session;
use fleet_core::outcome::{HostError, Stage};

/// What known_hosts says of a host before its key is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeyStanding {
    /// A key, or an authority for its certificate, is known.
    Known,
    /// Nothing is known, and this is what follows.
    Unknown(HostKeyPolicy),
}

/// A key file as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFileState {
    /// There is none.
    Missing,
    /// There is one that cannot be used; the text names it.
    Unusable(String),
    /// Only the public half, with this fingerprint: an agent must hold the rest.
    PublicOnly(String),
    /// It can be used as it is; its fingerprint.
    Open(String),
    /// It needs a passphrase, unless an agent holds the key of this fingerprint.
    Encrypted(String),
}

/// A key that an agent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentKey {
    /// The name of its algorithm, such as `ssh-ed25519`.
    pub algorithm: String,
    /// As ssh-keygen(1) shows it.
    pub fingerprint: String,
}

impl Connector {
    /// The same connector, but host keys that `accept-new` accepts are not added to known_hosts.
    #[must_use]
    pub fn keeping_no_host_keys(mut self) -> Self {
        self.new_host_keys = NewHostKeys::Forgotten;
        self
    }

    /// Opens a session to the end of `route`, past the session that those behind it share.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn connect_along(
        &self,
        route: &[HostConfig],
        observer: &impl ConnectObserver,
    ) -> Result<Session, HostError> {
        self.connect_often(route, observer, None).await
    }

    /// How many file descriptors a session takes to the end of `route`; for an empty one, straight to a host.
    #[must_use]
    pub fn price(route: &[HostConfig]) -> u64 {
        descriptors(route.last().map_or(&Proxy::Direct, |config| &config.proxy))
    }

    /// How the host stands in known_hosts. Blocks on files.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn host_key_standing(&self, config: &HostConfig) -> Result<HostKeyStanding, KnownHostsError> {
        let (known_hosts, name) = (self.known_hosts(config)?, known_name(config));
        if known_hosts.has_certificate_authority(&name) || !known_hosts.key_algorithms(&name).is_empty() {
            return Ok(HostKeyStanding::Known);
        }
        Ok(HostKeyStanding::Unknown(self.host_key_policy(config)))
    }

    /// The key files that would be tried for the host.
    #[must_use]
    pub fn key_files(&self, config: &HostConfig) -> IdentityFiles {
        match &self.settings.identities {
            Some(named) => IdentityFiles::Named(named.clone()),
            None => config.identity_files.clone(),
        }
    }

    /// What is in the key file. Nobody is asked for a passphrase. Blocks on the file.
    #[must_use]
    pub fn key_file(&self, path: &Path) -> KeyFileState {
        match self.keys.load(path) {
            Err(KeyFileError::Missing(_)) => KeyFileState::Missing,
            Err(error) => KeyFileState::Unusable(error.to_string()),
            Ok(file) => {
                let fingerprint = file.public().fingerprint(HashAlg::Sha256).to_string();
                match &*file {
                    file if !file.has_private() => KeyFileState::PublicOnly(fingerprint),
                    file if KeyFile::is_encrypted(file) => KeyFileState::Encrypted(fingerprint),
                    _ => KeyFileState::Open(fingerprint),
                }
            }
        }
    }

    /// The keys of the agent at `socket`.
    ///
    /// # Errors
    /// Why it cannot be asked: a lower-case fragment.
    pub async fn agent_keys(&self, socket: &Path, limit: Duration) -> Result<Vec<AgentKey>, String> {
        let identities = self.agent(socket).identities(Some(limit)).await?;
        let key = |identity: &AgentIdentity| AgentKey {
            algorithm: identity.public_key().algorithm().as_str().to_owned(),
            fingerprint: identity.public_key().fingerprint(HashAlg::Sha256).to_string(),
        };
        Ok(identities.iter().map(key).collect())
    }

    /// Looks the name of a server up; `false` when it is an address.
    ///
    /// # Errors
    /// When it has no address, or none in time.
    pub async fn look_up(&self, config: &HostConfig) -> Result<bool, HostError> {
        if config.host_name.parse::<IpAddr>().is_ok() {
            return Ok(false);
        }
        let alone = Try::default();
        let looking_up = dial::resolve(&config.host_name, config.port, config.address_family, &alone);
        within(self.stage_limit(config), Stage::Resolve, looking_up).await.map(|_| true)
    }
}
