//! What russh asks and tells us during a session: the host key, the reason of a disconnect, agent channels.
//!
//! Must not decide about host keys (that is `known_hosts`); it only carries the question there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, ChannelOpenHandle, DisconnectReason, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::sync::oneshot;

use super::agent::Agent;
use super::drained::DrainedStream;
use super::host_key::HostKeyCheck;
use fleet_core::outcome::HostError;

/// What a session's handler has learnt, readable from outside while the session lives and after.
#[derive(Debug, Default)]
pub(super) struct SessionNotes {
    inner: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    host_key_refusal: Option<HostError>,
    disconnect: Option<String>,
    awaited_agent: Option<PathBuf>,
    /// Who wants to know why the next channel is not opened.
    asks_why: Option<oneshot::Sender<String>>,
}

impl SessionNotes {
    /// Why the host key was refused, if it was.
    pub(super) fn host_key_refusal(&self) -> Option<HostError> {
        self.lock().host_key_refusal.clone()
    }

    /// Why the session ended, in the server's words or the library's.
    pub(super) fn disconnect(&self) -> Option<String> {
        self.lock().disconnect.clone()
    }

    /// The socket of the agent that is signing now.
    pub(super) fn awaited_agent(&self) -> Option<PathBuf> {
        self.lock().awaited_agent.clone()
    }

    /// Takes note of the agent that is signing from now on.
    pub(super) fn wait_for_agent(&self, socket: Option<&Path>) {
        self.lock().awaited_agent = socket.map(Path::to_owned);
    }

    /// What the server will say of the next channel that it does not open; it comes a moment after the failure. There is no
    /// way to tell which channel it is about.
    pub(super) fn ask_why_not_opened(&self) -> oneshot::Receiver<String> {
        let (sender, receiver) = oneshot::channel();
        self.lock().asks_why = Some(sender);
        receiver
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handler of one session.
pub(super) struct SessionHandler {
    pub(super) host_key: HostKeyCheck,
    pub(super) notes: Arc<SessionNotes>,
    pub(super) forwarded_agent: Option<Arc<Agent>>,
}

impl client::Handler for SessionHandler {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        match self.host_key.check(key).await {
            Ok(()) => Ok(true),
            Err(refusal) => {
                self.notes.lock().host_key_refusal = Some(refusal);
                Ok(false)
            }
        }
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        // Dropping `reply` rejects the channel: an agent is lent only to hosts for which it was asked.
        let Some(agent) = self.forwarded_agent.clone() else { return Ok(()) };
        reply.accept().await;
        let mut remote = DrainedStream::new(channel);
        tokio::spawn(async move {
            match agent.lend().await {
                Ok(mut socket) => {
                    let _ = tokio::io::copy_bidirectional(&mut remote, &mut socket.stream).await;
                }
                Err(reason) => tracing::warn!(reason, "the agent to forward cannot be reached"),
            }
        });
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _: &str,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        let asked = self.notes.lock().asks_why.take();
        if asked.is_none_or(|asked| asked.send(description.to_owned()).is_err()) {
            tracing::info!(code = reason.code(), description, "the server opened no channel");
        }
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        let (text, result) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => (info.message, Ok(())),
            DisconnectReason::Error(error) => (super::error::describe(&error), Err(error)),
        };
        self.notes.lock().disconnect = Some(text);
        result
    }
}
