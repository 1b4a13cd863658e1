//! Proving who we are: which identities are offered, in which order, and what is said when none is accepted.
//!
//! The order is ssh(1)'s: certificates and keys of the agent that are named in the configuration, the agent's other
//! keys (unless `IdentitiesOnly`), key files, then keyboard-interactive, then password. Must not open connections.

use std::path::PathBuf;
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use russh::{MethodKind, MethodSet};

use super::agent::Agent;
use super::handler::{SessionHandler, SessionNotes};
use super::keys::{self, KeyFile, KeyFileError, KeyStore};
use super::prompt::Secret;
use crate::outcome::{FailureClass, HostError, Stage};

/// Rounds of questions a keyboard-interactive server may ask before we give up on it.
const QUESTION_ROUNDS: u32 = 16;
/// How many methods a server may want one after the other.
const MOST_FACTORS: usize = 8;

/// The signatures an RSA key can make, without SHA-1.
const RSA: [Algorithm; 2] =
    [Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }];

/// What may be used to log in to one host.
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    /// `IdentityFile`s in order; missing ones are passed over silently when they are only the defaults.
    pub(super) identity_files: &'a [PathBuf],
    pub(super) identities_are_defaults: bool,
    pub(super) certificate_files: &'a [PathBuf],
    pub(super) identities_only: bool,
    pub(super) agent: Option<&'a Arc<Agent>>,
    pub(super) keys: &'a KeyStore,
    pub(super) password: Option<&'a Secret>,
    /// The methods allowed, in the order in which they are tried.
    pub(super) methods: Vec<Method>,
    /// Whether a key of this algorithm may be offered (`PubkeyAcceptedAlgorithms`).
    pub(super) accepts: &'a (dyn Fn(&str) -> bool + Send + Sync),
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    PublicKey,
    KeyboardInteractive,
    Password,
}

impl Method {
    /// The order of ssh(1), as far as it goes here.
    pub(super) const USUAL: [Self; 3] = [Self::PublicKey, Self::KeyboardInteractive, Self::Password];

    /// The name on the wire (RFC 4252).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::Password => "password",
        }
    }

    fn kind(self) -> MethodKind {
        match self {
            Self::PublicKey => MethodKind::PublicKey,
            Self::KeyboardInteractive => MethodKind::KeyboardInteractive,
            Self::Password => MethodKind::Password,
        }
    }
}

/// One key to offer.
struct Identity {
    public: PublicKey,
    certificate: Option<Certificate>,
    holder: Holder,
}

enum Holder {
    File(Arc<KeyFile>),
    Agent(AgentIdentity, Arc<Agent>),
}

/// A login in progress.
struct Login<'a> {
    handle: &'a mut Handle<SessionHandler>,
    notes: &'a SessionNotes,
    credentials: &'a Credentials<'a>,
    /// What the server is willing to go on with; `None` until it has said so.
    remaining: Option<MethodSet>,
    /// What was tried and with what result, in words.
    tried: Vec<String>,
    /// How often the server accepted something and asked for more.
    partial_successes: usize,
}

/// Logs in.
///
/// # Errors
/// [`FailureClass::Auth`] that says which methods and keys were tried, or what the server said when it hung up.
pub(super) async fn authenticate(
    handle: &mut Handle<SessionHandler>,
    notes: &SessionNotes,
    credentials: &Credentials<'_>,
) -> Result<(), HostError> {
    let mut login =
        Login { handle, notes, credentials, remaining: None, tried: Vec::new(), partial_successes: 0 };
    if login.all_methods().await? || (login.remaining.is_none() && login.none().await?) {
        return Ok(());
    }
    Err(login.refused())
}

impl Login<'_> {
    /// Tries the methods in order, and again from the first whenever the server accepted one and wants another.
    async fn all_methods(&mut self) -> Result<bool, HostError> {
        loop {
            let before = self.partial_successes;
            for &method in &self.credentials.methods {
                let accepted = match method {
                    _ if !self.allows(method) => false,
                    Method::PublicKey => self.publickey().await?,
                    Method::KeyboardInteractive => self.keyboard_interactive().await?,
                    Method::Password => self.password().await?,
                };
                if accepted {
                    return Ok(true);
                }
                if self.partial_successes > before {
                    break;
                }
            }
            if self.partial_successes == before || self.partial_successes > MOST_FACTORS {
                return Ok(false);
            }
        }
    }

    async fn publickey(&mut self) -> Result<bool, HostError> {
        let before = self.partial_successes;
        for identity in self.identities().await {
            if !self.allows(Method::PublicKey) || self.partial_successes > before {
                break;
            }
            if identity.algorithms().iter().any(|name| (self.credentials.accepts)(name)) && self.offer(&identity).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn offer(&mut self, identity: &Identity) -> Result<bool, HostError> {
        let user = self.credentials.user;
        let hash = self.hash_for(&identity.public).await;
        let mut signer = Signer { holder: &identity.holder, keys: self.credentials.keys };
        let result = match &identity.certificate {
            Some(certificate) => {
                self.handle.authenticate_certificate_with(user, certificate.clone(), hash, &mut signer).await
            }
            None => self.handle.authenticate_publickey_with(user, identity.public.clone(), hash, &mut signer).await,
        };
        match result {
            Ok(result) => self.settle(result, identity.label()),
            Err(SignError::Gone) => Err(self.hung_up()),
            Err(SignError::Signer(reason)) => {
                self.tried.push(format!("{} ({reason})", identity.label()));
                Ok(false)
            }
        }
    }

    /// The hash for RSA signatures; SHA-1 only where the server names nothing else.
    async fn hash_for(&self, key: &PublicKey) -> Option<HashAlg> {
        if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
            return None;
        }
        match self.handle.best_supported_rsa_hash().await {
            Ok(Some(hash)) => hash,
            _ => Some(HashAlg::Sha512),
        }
    }

    async fn keyboard_interactive(&mut self) -> Result<bool, HostError> {
        let Some(password) = self.credentials.password else { return Ok(false) };
        let user = self.credentials.user.to_owned();
        let mut response = self.handle.authenticate_keyboard_interactive_start(user, None).await;
        for _ in 0..QUESTION_ROUNDS {
            match response {
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => {
                    let answers = prompts.iter().map(|_| password.expose().to_owned()).collect();
                    response = self.handle.authenticate_keyboard_interactive_respond(answers).await;
                }
                Ok(KeyboardInteractiveAuthResponse::Success) => return Ok(true),
                Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success }) => {
                    let result = AuthResult::Failure { remaining_methods, partial_success };
                    return self.settle(result, "keyboard-interactive".to_owned());
                }
                Err(_) => return Err(self.hung_up()),
            }
        }
        self.tried.push("keyboard-interactive (endless questions)".to_owned());
        Ok(false)
    }

    async fn password(&mut self) -> Result<bool, HostError> {
        let Some(password) = self.credentials.password else { return Ok(false) };
        let result = self.handle.authenticate_password(self.credentials.user, password.expose()).await;
        let result = result.map_err(|_| self.hung_up())?;
        self.settle(result, "password".to_owned())
    }

    /// Asks for nothing, to learn what the server would accept: only when there was nothing to offer.
    async fn none(&mut self) -> Result<bool, HostError> {
        let result = self.handle.authenticate_none(self.credentials.user).await.map_err(|_| self.hung_up())?;
        self.settle(result, "none".to_owned())
    }

    fn settle(&mut self, result: AuthResult, label: String) -> Result<bool, HostError> {
        match result {
            AuthResult::Success => Ok(true),
            // A server that hangs up in the middle looks like an ordinary refusal that names no methods.
            AuthResult::Failure { remaining_methods, .. }
                if remaining_methods.is_empty() && (self.handle.is_closed() || self.notes.disconnect().is_some()) =>
            {
                self.tried.push(label);
                Err(self.hung_up())
            }
            AuthResult::Failure { remaining_methods, partial_success } => {
                self.partial_successes += usize::from(partial_success);
                self.tried.push(if partial_success { format!("{label} (accepted, more is asked for)") } else { label });
                self.remaining = Some(remaining_methods);
                Ok(false)
            }
        }
    }

    fn allows(&self, method: Method) -> bool {
        self.remaining.as_ref().is_none_or(|methods| methods.contains(&method.kind()))
    }

    async fn identities(&mut self) -> Vec<Identity> {
        let files = self.key_files();
        let from_agent = self.agent_identities().await;
        let certificates = self.certificates(&files, &from_agent);
        let mut ordered = certificates;
        let named = |identity: &AgentIdentity| {
            files.iter().position(|file| file.public().key_data() == agent_public(identity).key_data())
        };
        let mut in_agent: Vec<(usize, &(AgentIdentity, Arc<Agent>))> = from_agent
            .iter()
            .filter_map(|held| match named(&held.0) {
                Some(place) => Some((place, held)),
                None if self.credentials.identities_only => None,
                None => Some((usize::MAX, held)),
            })
            .collect();
        in_agent.sort_by_key(|(place, _)| *place);
        ordered.extend(in_agent.iter().map(|(_, held)| Identity::from_agent(held)));
        let held_by_agent = |file: &KeyFile| from_agent.iter().any(|(identity, _)| same_key(file, identity));
        ordered.extend(files.iter().filter(|file| file.has_private() && !held_by_agent(file)).map(|file| Identity {
            public: file.public().clone(),
            certificate: None,
            holder: Holder::File(Arc::clone(file)),
        }));
        ordered
    }

    fn key_files(&mut self) -> Vec<Arc<KeyFile>> {
        let mut files = Vec::new();
        for path in self.credentials.identity_files {
            match self.credentials.keys.load(path) {
                Ok(file) => files.push(file),
                Err(KeyFileError::Missing(_)) if self.credentials.identities_are_defaults => {}
                Err(error) => self.tried.push(error.to_string()),
            }
        }
        files
    }

    async fn agent_identities(&mut self) -> Vec<(AgentIdentity, Arc<Agent>)> {
        let Some(agent) = self.credentials.agent else { return Vec::new() };
        match agent.identities().await {
            Ok(identities) => identities.iter().map(|identity| (identity.clone(), Arc::clone(agent))).collect(),
            Err(reason) => {
                self.tried.push(format!("agent {} ({reason})", agent.socket().display()));
                Vec::new()
            }
        }
    }

    /// Certificates of `CertificateFile` and beside the key files, each with whoever holds its private key.
    fn certificates(&mut self, files: &[Arc<KeyFile>], from_agent: &[(AgentIdentity, Arc<Agent>)]) -> Vec<Identity> {
        let mut certificates: Vec<Certificate> = Vec::new();
        for path in self.credentials.certificate_files {
            match keys::load_certificate(path) {
                Ok(certificate) => certificates.push(certificate),
                Err(error) => self.tried.push(error.to_string()),
            }
        }
        certificates.extend(files.iter().filter_map(|file| file.certificate().cloned()));
        let holder = |certificate: &Certificate| {
            let in_agent = from_agent.iter().find(|(identity, _)| {
                matches!(identity, AgentIdentity::PublicKey { key, .. } if key.key_data() == certificate.public_key())
            });
            let in_file = files.iter().find(|f| f.has_private() && f.public().key_data() == certificate.public_key());
            match (in_agent, in_file) {
                (Some((identity, agent)), _) => Some(Holder::Agent(identity.clone(), Arc::clone(agent))),
                (None, Some(file)) => Some(Holder::File(Arc::clone(file))),
                (None, None) => None,
            }
        };
        certificates
            .into_iter()
            .filter_map(|certificate| {
                let holder = holder(&certificate)?;
                let public = PublicKey::from(certificate.public_key().clone());
                Some(Identity { public, certificate: Some(certificate), holder })
            })
            .collect()
    }

    fn hung_up(&self) -> HostError {
        let said = self.notes.disconnect().unwrap_or_else(|| "connection closed by the server".to_owned());
        let error = HostError::new(Stage::Authenticate, FailureClass::Auth, said.trim().to_owned());
        if said.contains("Too many authentication failures") {
            return error.with_hint(format!(
                "{} keys were offered before the right one: name it with --identity, or set IdentitiesOnly yes",
                self.tried.len()
            ));
        }
        error
    }

    fn refused(&self) -> HostError {
        let tried = if self.tried.is_empty() { "nothing".to_owned() } else { self.tried.join(", ") };
        let accepts = self.remaining.as_ref().filter(|methods| !methods.is_empty()).map(|methods| {
            let names: Vec<&str> = methods.iter().map(Into::into).collect();
            format!("; the server accepts {}", names.join(", "))
        });
        let message = format!(
            "permission denied for user {} (tried {tried}{})",
            self.credentials.user,
            accepts.unwrap_or_default()
        );
        HostError::new(Stage::Authenticate, FailureClass::Auth, message)
    }
}

impl Identity {
    fn from_agent((identity, agent): &(AgentIdentity, Arc<Agent>)) -> Self {
        let certificate = match identity {
            AgentIdentity::PublicKey { .. } => None,
            AgentIdentity::Certificate { certificate, .. } => Some(certificate.clone()),
        };
        Self { public: agent_public(identity), certificate, holder: Holder::Agent(identity.clone(), Arc::clone(agent)) }
    }

    /// The names on the wire that the key can be offered under.
    fn algorithms(&self) -> Vec<String> {
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

    fn label(&self) -> String {
        let kind = if self.certificate.is_some() { "certificate" } else { "key" };
        match &self.holder {
            Holder::File(file) => format!("{kind} {}", file.path().display()),
            Holder::Agent(AgentIdentity::PublicKey { comment, .. }, _)
            | Holder::Agent(AgentIdentity::Certificate { comment, .. }, _) => format!("agent {kind} {comment}"),
        }
    }
}

fn agent_public(identity: &AgentIdentity) -> PublicKey {
    identity.public_key().into_owned()
}

fn same_key(file: &KeyFile, identity: &AgentIdentity) -> bool {
    matches!(identity, AgentIdentity::PublicKey { key, .. } if key.key_data() == file.public().key_data())
}

/// Signs with a key file (decrypted at this moment) or through the agent.
struct Signer<'a> {
    holder: &'a Holder,
    keys: &'a KeyStore,
}

enum SignError {
    /// The session is gone.
    Gone,
    /// The key could not sign; the text is a fragment.
    Signer(String),
}

impl From<russh::SendError> for SignError {
    fn from(_: russh::SendError) -> Self {
        Self::Gone
    }
}

impl russh::Signer for Signer<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let signed = match self.holder {
            Holder::File(file) => match self.keys.private(file).await {
                Ok(key) => keys::sign(&key, hash, to_sign),
                Err(reason) => Err(reason),
            },
            Holder::Agent(identity, agent) => agent.sign(identity, hash, to_sign).await,
        };
        signed.map_err(SignError::Signer)
    }
}
