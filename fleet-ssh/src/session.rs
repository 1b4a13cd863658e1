//! One authenticated SSH session: run commands on it, watch that it lives, end it.
//!
//! Silence is noticed without the help of russh's session loop. Must not know why a command is run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::ChannelOpenFailure;
use russh::client::Handle;

use super::exec::{Exec, InputEnd};
use super::handler::{SessionHandler, SessionNotes};
use super::handshake::TryError;
use super::jump::JumpRoute;
use super::spool::{Spool, SpoolBudget};
use super::terminal::{self, Terminal, Typing};
use super::wire::WireControl;
use fleet_core::outcome::{FailureClass, HostError, Stage};

/// How long a server that takes no byte holds our good-bye up.
const GOOD_BYE_LIMIT: Duration = Duration::from_secs(1);

/// When a silent server counts as lost: no byte for `interval` times `count` (ServerAliveInterval, -CountMax).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Liveness {
    pub(super) interval: Duration,
    pub(super) count: u32,
}

impl Liveness {
    /// The silence after which a server is lost: the keep-alives, and the time to answer the last one.
    fn limit(self) -> Duration {
        self.interval * (self.count + 1)
    }
}

/// An authenticated connection to a host. Dropping it closes the connection at once.
pub struct Session {
    handle: Handle<SessionHandler>,
    notes: Arc<SessionNotes>,
    wire: WireGuard,
    liveness: Option<Liveness>,
    spool_budget: Arc<SpoolBudget>,
    forwards_agent: bool,
    environment: Vec<(String, String)>,
    stage_limit: Option<Duration>,
    /// Keeps the jump host's session open for as long as this one runs through it.
    _route: Option<JumpRoute>,
    /// Whether a channel for a session was asked for before.
    has_opened: AtomicBool,
}

/// Closes the wire when the last owner is gone, whatever russh's task is doing.
pub(super) struct WireGuard(pub(super) Arc<WireControl>);

impl Drop for WireGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What [`Session`] is made of, once logged in.
pub(super) struct SessionParts {
    pub(super) handle: Handle<SessionHandler>,
    pub(super) notes: Arc<SessionNotes>,
    pub(super) wire: WireGuard,
    pub(super) liveness: Option<Liveness>,
    pub(super) spool_budget: Arc<SpoolBudget>,
    pub(super) forwards_agent: bool,
    /// Variables of SendEnv and SetEnv, requested for every command; servers may ignore them.
    pub(super) environment: Vec<(String, String)>,
    /// Longest time for a stage, as the host's configuration has it.
    pub(super) stage_limit: Option<Duration>,
    pub(super) route: Option<JumpRoute>,
}

impl Session {
    pub(super) fn new(parts: SessionParts) -> Self {
        Self {
            handle: parts.handle,
            notes: parts.notes,
            wire: parts.wire,
            liveness: parts.liveness,
            spool_budget: parts.spool_budget,
            forwards_agent: parts.forwards_agent,
            environment: parts.environment,
            stage_limit: parts.stage_limit,
            _route: parts.route,
            has_opened: AtomicBool::new(false),
        }
    }

    /// Starts `command` (bytes for the login shell) on a channel of its own.
    ///
    /// # Errors
    /// [`FailureClass::Channel`] when the server opens no channel, [`FailureClass::Lost`] when the connection is gone.
    pub async fn exec(&self, command: &[u8]) -> Result<Exec, HostError> {
        let channel = self.channel().await?;
        self.start(channel, command, InputEnd::Eof).await
    }

    /// Starts the subsystem `name` (RFC 4254 section 6.5) on a channel of its own.
    ///
    /// # Errors
    /// As [`Self::exec`]. A server that has no such subsystem is an end that says `refused`.
    pub async fn subsystem(&self, name: &str) -> Result<Exec, HostError> {
        let channel = self.channel().await?;
        channel.request_subsystem(true, name).await.map_err(|_| self.lost(Stage::Channel))?;
        Ok(self.running(channel, InputEnd::Eof))
    }

    /// As [`Self::exec`], with a terminal.
    ///
    /// # Errors
    /// As [`Self::exec`], and [`FailureClass::Channel`] when the server gives no terminal; nothing has run then.
    pub(super) async fn exec_on_terminal(
        &self,
        command: &[u8],
        terminal: &Terminal,
        typing: Typing,
    ) -> Result<Exec, HostError> {
        let mut channel = self.channel().await?;
        let requested = terminal::request(&mut channel, terminal, typing).await;
        requested.map_err(|refused| refused.unwrap_or_else(|| self.lost(Stage::Channel)))?;
        self.start(channel, command, InputEnd::Typed).await
    }

    /// Opens a channel for a session on which nothing is requested yet. Where OpenSSH allows one at a time, it counts one
    /// that has just been closed until it has looked at all that came with the close: so who has closed one before is asked
    /// for a sign of life, and then once more. It costs those nothing that are not refused.
    pub(super) async fn channel(&self) -> Result<russh::Channel<russh::client::Msg>, HostError> {
        let is_first = !self.has_opened.swap(true, Ordering::Relaxed);
        let opened = match self.handle.channel_open_session().await {
            Err(russh::Error::ChannelOpenFailure(_)) if !is_first => {
                let _ = tokio::time::timeout(GOOD_BYE_LIMIT, self.handle.send_ping()).await;
                self.handle.channel_open_session().await
            }
            opened => opened,
        };
        opened.map_err(|error| self.open_error(&error))
    }

    async fn start(
        &self,
        channel: russh::Channel<russh::client::Msg>,
        command: &[u8],
        input_end: InputEnd,
    ) -> Result<Exec, HostError> {
        let gone = |_| self.lost(Stage::Channel);
        for (name, value) in &self.environment {
            channel.set_env(false, name.as_str(), value.as_str()).await.map_err(gone)?;
        }
        if self.forwards_agent {
            channel.agent_forward(false).await.map_err(gone)?;
        }
        channel.exec(true, command).await.map_err(gone)?;
        Ok(self.running(channel, input_end))
    }

    fn running(&self, channel: russh::Channel<russh::client::Msg>, input_end: InputEnd) -> Exec {
        let (reader, writer) = channel.split();
        let spool = Spool::new(Arc::clone(&self.spool_budget), Arc::clone(&self.wire.0));
        Exec::start(reader, writer, Arc::new(spool), input_end)
    }

    /// Opens a TCP connection from the host to `name`:`port`. What the host says of a failure beside its code reaches
    /// only the handler, without a way to tell for which of several channels: it is logged there.
    pub(super) async fn direct_tcpip(
        &self,
        name: &str,
        port: u16,
    ) -> Result<russh::Channel<russh::client::Msg>, TryError> {
        self.open_direct_tcpip(name, port).await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(failure) => TryError {
                may_retry: failure == ChannelOpenFailure::ResourceShortage,
                error: super::error::from_forward(&failure),
            },
            _ => self.lost(Stage::Connect).into(),
        })
    }

    /// As of [`SessionNotes`].
    pub(super) fn ask_why_not_opened(&self) -> tokio::sync::oneshot::Receiver<String> {
        self.notes.ask_why_not_opened()
    }

    pub(super) async fn open_direct_tcpip(
        &self,
        name: &str,
        port: u16,
    ) -> Result<russh::Channel<russh::client::Msg>, russh::Error> {
        self.handle.channel_open_direct_tcpip(name, u32::from(port), "127.0.0.1", 0).await
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Longest time for a stage on this host.
    #[must_use]
    pub fn stage_limit(&self) -> Option<Duration> {
        self.stage_limit
    }

    /// Whether the server has been silent for too long, as [`Self::until_silent`] waits for.
    pub(super) fn is_silent(&self) -> bool {
        self.liveness.is_some_and(|liveness| self.wire.0.silence() >= liveness.limit())
    }

    /// Why the connection ended, or that it did.
    pub fn lost(&self, stage: Stage) -> HostError {
        let reason = self.notes.disconnect().unwrap_or_else(|| "connection closed by the server".to_owned());
        HostError::new(stage, FailureClass::Lost, reason)
    }

    /// Waits until the server has been silent for too long; for ever when `ServerAliveInterval` is off. Silence that
    /// we cause by not reading does not count.
    pub async fn until_silent(&self) -> HostError {
        let Some(liveness) = self.liveness else { return std::future::pending().await };
        let Liveness { interval, count } = liveness;
        let limit = liveness.limit();
        loop {
            let silence = self.wire.0.silence();
            if silence >= limit {
                let text = format!("no answer to keep-alives for {}", humantime::format_duration(interval * count));
                return HostError::new(Stage::Command, FailureClass::Lost, text);
            }
            tokio::time::sleep((limit - silence).min(interval)).await;
        }
    }

    /// As [`Self::disconnect`], once the server has passed on what hosts behind it were told last. At a good-bye OpenSSH
    /// drops what it still holds for them.
    pub(super) async fn disconnect_after_those_behind(self) {
        let _ = tokio::time::timeout(GOOD_BYE_LIMIT, self.handle.send_ping()).await;
        self.disconnect().await;
    }

    /// Says good-bye and closes the connection. Dropping the session without it cuts the connection, which servers log
    /// as a loss.
    pub async fn disconnect(self) {
        let Self { handle, wire, .. } = self;
        let good_bye = async {
            // Only queues the message; the session loop ends when it is sent, and not before may the wire be closed.
            if handle.disconnect(russh::Disconnect::ByApplication, "", "").await.is_ok() {
                let _ = handle.await;
            }
        };
        let _ = tokio::time::timeout(GOOD_BYE_LIMIT, good_bye).await;
        drop(wire);
    }

    fn open_error(&self, error: &russh::Error) -> HostError {
        match error {
            russh::Error::ChannelOpenFailure(failure) => {
                let reason = super::error::describe_open_failure(failure);
                HostError::new(Stage::Channel, FailureClass::Channel, format!("no session: {reason}"))
            }
            _ => self.lost(Stage::Channel),
        }
    }
}
