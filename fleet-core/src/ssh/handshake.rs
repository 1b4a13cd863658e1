//! The first two steps on a fresh connection: identification and key exchange, and what their failures mean.
//!
//! Must not open connections nor log in.

use std::future::Future;
use std::sync::PoisonError;
use std::time::Duration;

use russh::client::Handle;

use super::connector::ConnectObserver;
use super::deadline::expired;
use super::dial::ProxyWords;
use super::error;
use super::handler::{SessionHandler, SessionNotes};
use super::session::WireGuard;
use crate::outcome::{FailureClass, HostError, Stage};

/// One try's failure, and whether another try may help.
#[derive(Debug)]
pub(super) struct TryError {
    pub(super) error: HostError,
    pub(super) may_retry: bool,
}

impl From<HostError> for TryError {
    fn from(error: HostError) -> Self {
        Self { error, may_retry: false }
    }
}

/// Why the handshake failed.
pub(super) enum HandshakeFailure {
    Timeout(Stage, Duration),
    Protocol(russh::Error),
}

/// Waits for the identification line and the key exchange, each under its own deadline. On a time-out the wire is
/// closed by its guard: russh would wait on.
pub(super) async fn shake_hands(
    connecting: impl Future<Output = Result<Handle<SessionHandler>, russh::Error>>,
    wire: &WireGuard,
    limit: Option<Duration>,
    observer: &impl ConnectObserver,
) -> Result<Handle<SessionHandler>, HandshakeFailure> {
    let mut connecting = std::pin::pin!(connecting);
    observer.stage(Stage::Banner).await;
    // A fast key exchange may be over before the identification is looked at.
    let done = tokio::select! {
        done = &mut connecting => Some(done),
        () = wire.0.identification() => None,
        limit = expired(limit) => return Err(HandshakeFailure::Timeout(Stage::Banner, limit)),
    };
    if wire.0.is_identified() {
        observer.stage(Stage::KeyExchange).await;
    }
    let done = match done {
        Some(done) => done,
        None => tokio::select! {
            done = &mut connecting => done,
            limit = expired(limit) => return Err(HandshakeFailure::Timeout(Stage::KeyExchange, limit)),
        },
    };
    done.map_err(HandshakeFailure::Protocol)
}

impl HandshakeFailure {
    /// What it means for the host. A connection that is dropped before login may be sshd's protection from too many
    /// logins at once, which passes.
    pub(super) fn explain(self, notes: &SessionNotes, wire: &WireGuard, words: Option<&ProxyWords>) -> TryError {
        let failure = match self {
            Self::Timeout(stage, limit) => return HostError::timeout(stage, limit).into(),
            Self::Protocol(failure) => failure,
        };
        if let Some(refusal) = notes.host_key_refusal() {
            return refusal.into();
        }
        let dropped = is_dropped(&failure);
        let (stage, class) = match wire.0.is_identified() {
            true => (Stage::KeyExchange, FailureClass::KeyExchange),
            false => (Stage::Banner, FailureClass::Banner),
        };
        let mut message = error::describe(&failure);
        let preamble = wire.0.preamble_bytes();
        if !wire.0.is_identified() && !preamble.is_empty() {
            message = format!("not an SSH server (it says \"{}\")", error::describe_preamble(&preamble));
        }
        if let Some(words) = words.map(|words| words.lock().unwrap_or_else(PoisonError::into_inner).clone())
            && !words.is_empty()
        {
            message = format!("{message} (ProxyCommand: {})", error::describe_preamble(&words));
        }
        let told_to_wait = preamble.starts_with(b"Exceeded MaxStartups");
        let may_retry = dropped && words.is_none() && (preamble.is_empty() || told_to_wait);
        TryError { error: HostError::new(stage, class, message), may_retry }
    }
}

fn is_dropped(failure: &russh::Error) -> bool {
    match failure {
        russh::Error::Disconnect | russh::Error::HUP => true,
        russh::Error::IO(error) => matches!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe
        ),
        _ => false,
    }
}
