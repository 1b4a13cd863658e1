//! The ssh-agent: one list of identities for the whole fleet, and a bounded number of sockets.
//!
//! Agents collapse under hundreds of connections at once; here at most `OWN_SOCKETS` and `LENT_SOCKETS` together are
//! open, fewer of our own while the agent pushes back, and a connection that is refused or hung up on is tried again.
//! Must not know which identity is wanted for which host (that is `auth`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rand::RngExt;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Error, HashAlg};
use tokio::net::UnixStream;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use fleet_core::descriptors::is_out_of_descriptors;
use fleet_core::pace::{Bounds, End, Gate};

/// Sockets to the agent at once for our own logins, at most.
const OWN_SOCKETS: usize = 32;
/// How many of them there may be, as the agent takes it.
const OWN_BOUNDS: Bounds = Bounds { least: 2, start: 16, most: OWN_SOCKETS };
/// Sockets at once for servers that the agent is forwarded to. They may hold theirs as long as they like, and must not
/// keep us from logging in to others.
const LENT_SOCKETS: usize = 32;
/// Tries for one request, with growing pauses.
const TRIES: u32 = 6;
/// The pause after the first failed try; doubled for each further one, and varied by half so that hosts spread out.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// How long an agent may take to list its keys, from the first host that asks. A signature may wait for a person and
/// has the stage's deadline.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// One agent, shared by all hosts that use it.
#[derive(Debug)]
pub(super) struct Agent {
    socket: PathBuf,
    own: Arc<Gate>,
    lent: Arc<Semaphore>,
    first_asked: OnceLock<Instant>,
    identities: OnceCell<Result<Arc<[AgentIdentity]>, String>>,
}

/// A connection to the agent, and the permission to hold it open.
pub(super) struct AgentSocket {
    pub(super) stream: UnixStream,
    _permit: OwnedSemaphorePermit,
}

impl Agent {
    pub(super) fn new(socket: PathBuf) -> Self {
        let (own, lent) = (Arc::new(Gate::new(OWN_BOUNDS)), Arc::new(Semaphore::new(LENT_SOCKETS)));
        Self { socket, own, lent, first_asked: OnceLock::new(), identities: OnceCell::new() }
    }

    /// The socket's path.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the agent holds, asked once; the error is a lower-case fragment. Takes at most half of `stage_limit`: an
    /// agent that hangs must leave time for the key files.
    pub(super) async fn identities(&self, stage_limit: Option<Duration>) -> Result<Arc<[AgentIdentity]>, String> {
        let first_asked = *self.first_asked.get_or_init(Instant::now);
        let patience = stage_limit.map_or(LIST_LIMIT, |limit| limit / 2);
        let until = (Instant::now() + patience).min(first_asked + LIST_LIMIT);
        let listing = self.identities.get_or_init(|| async {
            let listed = self.list().await.map_err(|error| describe(&error))?;
            Ok(listed.into())
        });
        timeout_at(until, listing).await.map_or_else(|_| Err("it does not answer".to_owned()), Clone::clone)
    }

    async fn list(&self) -> Result<Vec<AgentIdentity>, Error> {
        let mut tries = Tries::default();
        loop {
            let listed = self.ask(async |mut agent| agent.request_identities().await);
            match listed.await {
                Err(error) if is_pressure(&error) && tries.another().await => {}
                listed => return listed,
            }
        }
    }

    /// `to_sign` with the agent's signature behind it, as russh wants it.
    pub(super) async fn sign(
        &self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        let mut tries = Tries::default();
        loop {
            let to_sign = to_sign.clone();
            let signed = self.ask(async |mut agent| agent.sign_request(identity, hash, to_sign).await);
            match signed.await {
                Err(error) if is_pressure(&error) && tries.another().await => {}
                signed => return signed.map_err(|error| describe(&error)),
            }
        }
    }

    /// Makes one request of our own, on a socket of its own.
    async fn ask<T>(&self, request: impl AsyncFnOnce(AgentClient<UnixStream>) -> Result<T, Error>) -> Result<T, Error> {
        let attempt = self.own.enter().await;
        let asked = async { request(AgentClient::connect(UnixStream::connect(&self.socket).await?)).await };
        let answer = asked.await;
        match &answer {
            Ok(_) | Err(Error::AgentFailure) => attempt.done(),
            Err(Error::IO(error)) if is_out_of_descriptors(error) => attempt.end(End::OutOfDescriptors),
            Err(error) if is_pressure(error) => attempt.end(End::Dropped),
            Err(_) => attempt.end(End::Unrelated),
        }
        answer
    }

    /// A connection for a server that the agent is forwarded to.
    pub(super) async fn lend(&self) -> Result<AgentSocket, String> {
        let mut tries = Tries::default();
        loop {
            match self.connect().await {
                Err(error) if is_pressure(&error) && tries.another().await => {}
                connected => return connected.map_err(|error| describe(&error)),
            }
        }
    }

    async fn connect(&self) -> Result<AgentSocket, Error> {
        let permit = Arc::clone(&self.lent).acquire_owned().await.map_err(io::Error::other)?;
        Ok(AgentSocket { stream: UnixStream::connect(&self.socket).await?, _permit: permit })
    }
}

/// The tries of one request.
#[derive(Default)]
struct Tries {
    failed: u32,
}

impl Tries {
    /// Waits until the next try is due; whether there is one.
    async fn another(&mut self) -> bool {
        self.failed += 1;
        if self.failed == TRIES {
            return false;
        }
        let pause = FIRST_PAUSE * 2_u32.pow(self.failed - 1);
        let varied = pause.mul_f64(rand::rng().random_range(0.5..1.5));
        sleep(varied).await;
        true
    }
}

/// Whether the agent (or we) may have room for the connection a little later. Overloaded agents accept and hang up.
fn is_pressure(error: &Error) -> bool {
    let Error::IO(error) = error else { return false };
    error.kind() == io::ErrorKind::WouldBlock
        || error.kind() == io::ErrorKind::ConnectionRefused
        || is_hang_up(error)
        || is_out_of_descriptors(error)
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | BrokenPipe | ConnectionReset)
}

fn describe(error: &Error) -> String {
    match error {
        Error::IO(error) if is_hang_up(error) => format!("it hung up {TRIES} times"),
        Error::IO(error) if error.kind() == io::ErrorKind::NotFound => "no such socket".to_owned(),
        Error::IO(error) => super::error::describe_io(error),
        Error::AgentFailure => "it refused".to_owned(),
        other => format!("it said what cannot be understood: {other}"),
    }
}

#[cfg(test)]
mod tests;
