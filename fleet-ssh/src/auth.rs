//! Proving who we are: which methods are tried, in which order, and what is said when none is accepted.
//!
//! Must not open connections, nor choose keys (that is `identities`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::keys::agent::AgentIdentity;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::{MethodKind, MethodSet};

use super::agent::Agent;
use super::handler::{SessionHandler, SessionNotes};
use super::identities::{Holder, Identities, Identity};
use super::keys::{self, KeyStore, Questions};
use super::prompt::Secret;
use super::refusal::{Attempts, Unused};
use fleet_core::outcome::HostError;

/// Rounds of questions a keyboard-interactive server may ask before we give up on it.
const QUESTION_ROUNDS: u32 = 16;
/// How many methods a server may want one after the other.
const MOST_FACTORS: usize = 8;

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
    pub(super) questions: Questions,
    pub(super) password: Option<&'a Secret>,
    /// The methods allowed, in the order in which they are tried.
    pub(super) methods: Vec<Method>,
    /// Whether a key of this algorithm may be offered (`PubkeyAcceptedAlgorithms`).
    pub(super) accepts: &'a (dyn Fn(&str) -> bool + Send + Sync),
    /// How long the login may take in all.
    pub(super) stage_limit: Option<Duration>,
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

/// A login in progress.
struct Login<'a> {
    handle: &'a mut Handle<SessionHandler>,
    notes: &'a SessionNotes,
    credentials: &'a Credentials<'a>,
    /// What the server is willing to go on with; `None` until it has said so.
    remaining: Option<MethodSet>,
    attempts: Attempts,
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
        Login { handle, notes, credentials, remaining: None, attempts: Attempts::default(), partial_successes: 0 };
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
        let identities = Identities::gather(self.credentials).await;
        identities.unused.into_iter().for_each(|reason| self.attempts.unused(reason));
        for identity in identities.usable {
            if !self.allows(Method::PublicKey) || self.partial_successes > before {
                break;
            }
            if !identity.algorithms().iter().any(|name| (self.credentials.accepts)(name)) {
                self.attempts.unused(Unused::Algorithm(identity.label()));
            } else if self.offer(&identity).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn offer(&mut self, identity: &Identity) -> Result<bool, HostError> {
        let user = self.credentials.user;
        let hash = self.hash_for(&identity.public).await;
        let Credentials { keys, questions, .. } = *self.credentials;
        let mut signer = Signer { holder: &identity.holder, keys, questions, notes: self.notes };
        // Boxed, as a host's task has room for its largest step for as long as it lives.
        let result = match &identity.certificate {
            Some(certificate) => {
                Box::pin(self.handle.authenticate_certificate_with(user, certificate.clone(), hash, &mut signer)).await
            }
            None => {
                let public = identity.public.clone();
                Box::pin(self.handle.authenticate_publickey_with(user, public, hash, &mut signer)).await
            }
        };
        match result {
            Ok(result) => self.settle(result, identity.label()),
            Err(SignError::Gone) => {
                self.attempts.tried(identity.label());
                Err(self.hung_up())
            }
            Err(SignError::Signer(reason)) => {
                self.attempts.tried(format!("{} ({reason})", identity.label()));
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
        let Some(password) = self.credentials.password else {
            self.attempts.unused(Unused::NoPassword);
            return Ok(false);
        };
        let user = self.credentials.user.to_owned();
        let mut response = self.handle.authenticate_keyboard_interactive_start(user, None).await;
        for _ in 0..QUESTION_ROUNDS {
            match response {
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => {
                    // What is answered in the open (a user name, a choice) is no place for the password.
                    let answer =
                        |prompt: &Prompt| if prompt.echo { String::new() } else { password.expose().to_owned() };
                    let answers = prompts.iter().map(answer).collect();
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
        self.attempts.tried("keyboard-interactive (endless questions)".to_owned());
        Ok(false)
    }

    async fn password(&mut self) -> Result<bool, HostError> {
        let Some(password) = self.credentials.password else {
            self.attempts.unused(Unused::NoPassword);
            return Ok(false);
        };
        let result = self.handle.authenticate_password(self.credentials.user, password.expose()).await;
        let result = result.map_err(|_| self.hung_up())?;
        self.settle(result, "password".to_owned())
    }

    /// Asks for nothing, to learn what the server would accept: only when there was nothing to offer.
    async fn none(&mut self) -> Result<bool, HostError> {
        let result = self.handle.authenticate_none(self.credentials.user).await.map_err(|_| self.hung_up())?;
        match result {
            AuthResult::Failure { remaining_methods, .. } if !remaining_methods.is_empty() => {
                self.remaining = Some(remaining_methods);
                Ok(false)
            }
            result => self.settle(result, "no method".to_owned()),
        }
    }

    fn settle(&mut self, result: AuthResult, label: String) -> Result<bool, HostError> {
        match result {
            AuthResult::Success => {
                tracing::info!(user = self.credentials.user, by = label, "logged in");
                Ok(true)
            }
            // A server that hangs up in the middle looks like an ordinary refusal that names no methods.
            AuthResult::Failure { remaining_methods, .. }
                if remaining_methods.is_empty() && (self.handle.is_closed() || self.notes.disconnect().is_some()) =>
            {
                self.attempts.tried(label);
                Err(self.hung_up())
            }
            AuthResult::Failure { remaining_methods, partial_success } => {
                self.partial_successes += usize::from(partial_success);
                self.attempts.tried(if partial_success {
                    format!("{label} (accepted, more is asked for)")
                } else {
                    label
                });
                self.remaining = Some(remaining_methods);
                Ok(false)
            }
        }
    }

    fn allows(&self, method: Method) -> bool {
        self.remaining.as_ref().is_none_or(|methods| methods.contains(&method.kind()))
    }

    fn hung_up(&self) -> HostError {
        let said = self.notes.disconnect().unwrap_or_else(|| "connection closed by the server".to_owned());
        self.attempts.hung_up(said.trim())
    }

    fn refused(mut self) -> HostError {
        let accepted = self.remaining.clone().unwrap_or_else(MethodSet::empty);
        let is_off = |method: &Method| accepted.contains(&method.kind()) && !self.credentials.methods.contains(method);
        for method in Method::USUAL.into_iter().filter(is_off) {
            self.attempts.unused(Unused::Method(method.name()));
        }
        let accepted: Vec<&str> = accepted.iter().map(Into::into).collect();
        self.attempts.refused(self.credentials.user, &accepted)
    }
}

/// Signs with a key file (decrypted at this moment) or through the agent.
struct Signer<'a> {
    holder: &'a Holder,
    keys: &'a KeyStore,
    questions: Questions,
    notes: &'a SessionNotes,
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
            Holder::File(file) => match self.keys.private(file, self.questions).await {
                Ok(key) => keys::sign(&key, hash, to_sign),
                Err(reason) => Err(reason),
            },
            Holder::Agent(identity, agent) => {
                self.notes.wait_for_agent(Some(agent.socket()));
                let signed = agent.sign(identity, hash, to_sign).await;
                self.notes.wait_for_agent(None);
                signed
            }
        };
        signed.map_err(SignError::Signer)
    }
}
