//! The first two steps on a fresh connection: identification and key exchange, and what their failures mean.
//!
//! Must not open connections nor log in.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use russh::client::{Handle, Handler};

use super::connector::ConnectObserver;
use super::deadline::expired;
use super::error;
use super::handler::SessionNotes;
use super::proxy::{ProxyEnd, ProxyProcess};
use super::session::WireGuard;
use fleet_core::outcome::{FailureClass, HostError, Stage};

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
pub(super) async fn shake_hands<H: Handler>(
    mut connecting: Pin<&mut impl Future<Output = Result<Handle<H>, russh::Error>>>,
    wire: &WireGuard,
    limit: Option<Duration>,
    observer: &impl ConnectObserver,
) -> Result<Handle<H>, HandshakeFailure> {
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
    pub(super) async fn explain(
        self,
        notes: &SessionNotes,
        wire: &WireGuard,
        proxy: Option<&ProxyProcess>,
    ) -> TryError {
        let failure = match self {
            Self::Timeout(stage, limit) => {
                return with_words(HostError::timeout(stage, limit), proxy.map(ProxyProcess::so_far)).into();
            }
            Self::Protocol(failure) => failure,
        };
        if let Some(refusal) = notes.host_key_refusal() {
            return refusal.into();
        }
        let preamble = wire.0.preamble_bytes();
        let (stage, class) = match wire.0.is_identified() {
            true => (Stage::KeyExchange, FailureClass::KeyExchange),
            false => (Stage::Banner, FailureClass::Banner),
        };
        if let Some(proxy) = proxy {
            let end = proxy.end().await;
            if stage == Stage::Banner && preamble.is_empty() && end.status.is_some() {
                return never_connected(&end).into();
            }
            let error = HostError::new(stage, class, describe(&failure, stage, &preamble));
            return with_words(error, Some(end)).into();
        }
        let told_to_wait = preamble.starts_with(b"Exceeded MaxStartups");
        let may_retry = is_dropped(&failure) && (preamble.is_empty() || told_to_wait);
        TryError { error: HostError::new(stage, class, describe(&failure, stage, &preamble)), may_retry }
    }
}

fn describe(failure: &russh::Error, stage: Stage, preamble: &[u8]) -> String {
    match preamble {
        [_, ..] if stage == Stage::Banner => {
            format!("not an SSH server (it says \"{}\")", error::describe_preamble(preamble))
        }
        _ => error::describe(failure),
    }
}

fn never_connected(end: &ProxyEnd) -> HostError {
    HostError::new(Stage::Connect, FailureClass::Unreachable, end.to_string())
        .with_hint("run the ProxyCommand of ssh_config by hand: it must reach the host and pass bytes on")
}

fn with_words(error: HostError, end: Option<ProxyEnd>) -> HostError {
    match end.filter(|end| !end.is_quiet()) {
        Some(end) => HostError { message: format!("{} ({end})", error.message), ..error },
        None => error,
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
