//! Host keys that somebody vouches for: those known of a host, the one it offers, and the way to make some known.
//!
//! Must not log in to the host, nor know who vouches.

use std::sync::{Arc, OnceLock};

use russh::client;
use russh::keys::PublicKeyOrCertificate;

use super::config::HostConfig;
use super::connector::{ConnectObserver, Connector, known_name};
use super::handler::SessionNotes;
use super::handshake::{TryError, shake_hands};
use super::known_hosts::{HashNames, KnownHostsError, Location, PublicKey, Verdict};
use super::pacing::Try;
use super::parameters::client_config;
use super::session::WireGuard;
use super::wire::Wire;
use fleet_core::outcome::{FailureClass, HostError, Stage};

/// Takes the key that a server offers, and goes no further.
struct Taker {
    offered: Arc<OnceLock<PublicKey>>,
}

impl client::Handler for Taker {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let key = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.clone(),
            PublicKeyOrCertificate::Certificate(certificate) => PublicKey::from(certificate.public_key().clone()),
        };
        let _ = self.offered.set(key);
        Ok(false)
    }
}

impl Connector {
    /// The keys that are known as those of `config`'s host, with the lines that say so. Blocks on files.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn known_host_keys(&self, config: &HostConfig) -> Result<Vec<(Location, PublicKey)>, KnownHostsError> {
        Ok(self.known_hosts(config)?.host_keys(&known_name(config)))
    }

    /// What known_hosts says of `key`. Blocks on files.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn host_key_verdict(&self, config: &HostConfig, key: &PublicKey) -> Result<Verdict, KnownHostsError> {
        Ok(self.known_hosts(config)?.check_key(&known_name(config), key))
    }

    /// Makes all `keys` known as those of `config`'s host, or none where anything else is known of it by now. The verdicts
    /// on them that hold from now on. Blocks on files.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn remember_host_keys(&self, config: &HostConfig, keys: &[PublicKey]) -> Result<Vec<Verdict>, KnownHostsError> {
        let names = if config.hash_known_hosts { HashNames::Hashed } else { HashNames::Plain };
        self.known_hosts(config)?.remember_all(&known_name(config), keys, names)
    }

    /// The key that the host at the end of `route` offers. Nobody is logged in there; at jump hosts on the way, as ever.
    ///
    /// That the host owns the key is not proved: it is good for a comparison with what is known otherwise.
    ///
    /// # Errors
    /// With the stage that failed.
    pub async fn offered_host_key(
        &self,
        route: &[HostConfig],
        observer: &impl ConnectObserver,
    ) -> Result<PublicKey, HostError> {
        let (config, before) = route.split_last().expect("a route ends at its host");
        let (jump, gate) = self.jump(before, observer).await?.unzip();
        let paced = Try::begin(None, gate.as_ref()).await;
        let met = async {
            let host_key = self.host_key_check(config)?;
            let dialled = self.dial(config, jump, observer, &paced).await?;
            let (wire, control) = Wire::new(dialled.stream);
            let wire = (wire, WireGuard(control));
            let offered = Arc::new(OnceLock::new());
            let taker = Taker { offered: Arc::clone(&offered) };
            let connecting = client::connect_stream(Arc::new(client_config(config, &host_key)), wire.0, taker);
            let connecting = std::pin::pin!(connecting);
            let met = shake_hands(connecting, &wire.1, self.stage_limit(config), observer).await;
            match (offered.get(), met) {
                (Some(key), _) => Ok(key.clone()),
                (None, Ok(_)) => Err(no_key().into()),
                (None, Err(failure)) => {
                    Err(failure.explain(&SessionNotes::default(), &wire.1, dialled.proxy.as_deref()).await)
                }
            }
        };
        let met: Result<PublicKey, TryError> = met.await;
        paced.end(&met);
        met.map_err(|TryError { error, .. }| error)
    }
}

fn no_key() -> HostError {
    HostError::new(Stage::KeyExchange, FailureClass::KeyExchange, "the server offered no host key")
}
