//! The ssh-agent: one list of identities for the whole fleet, and a bounded number of sockets for signatures.
//!
//! Agents collapse under hundreds of connections at once; here at most `SOCKETS` are open, and a refused connection
//! is tried again. Must not know which identity is wanted for which host (that is `auth`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::HashAlg;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use tokio::net::UnixStream;
use tokio::sync::{OnceCell, Semaphore};

use crate::descriptors::is_out_of_descriptors;

/// Sockets to the agent at once.
const SOCKETS: usize = 64;
/// Tries for one request, with growing pauses.
const TRIES: u32 = 6;
/// The pause after the first refused try.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// How long an agent may take to list its keys. A signature may wait for a person and has the stage's deadline.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// One agent, shared by all hosts that use it.
#[derive(Debug)]
pub(super) struct Agent {
    socket: PathBuf,
    permits: Semaphore,
    identities: OnceCell<Result<Arc<[AgentIdentity]>, String>>,
}

impl Agent {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, permits: Semaphore::new(SOCKETS), identities: OnceCell::new() }
    }

    /// The socket's path.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the agent holds, asked once; the error is a lower-case fragment.
    pub(super) async fn identities(&self) -> Result<Arc<[AgentIdentity]>, String> {
        let list = async {
            let mut client = self.connect().await?;
            let listed = tokio::time::timeout(LIST_LIMIT, client.request_identities()).await;
            match listed {
                Ok(Ok(identities)) => Ok(identities.into()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the agent does not answer".to_owned()),
            }
        };
        self.identities.get_or_init(|| list).await.clone()
    }

    /// `to_sign` with the agent's signature behind it, as russh wants it.
    pub(super) async fn sign(
        &self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        let _permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
        let mut client = self.connect().await?;
        client.sign_request(identity, hash, to_sign).await.map_err(|error| error.to_string())
    }

    async fn connect(&self) -> Result<AgentClient<UnixStream>, String> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match UnixStream::connect(&self.socket).await {
                Ok(stream) => return Ok(AgentClient::connect(stream)),
                Err(error) if !is_pressure(&error) => return Err(super::error::describe_io(&error)),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| super::error::describe_io(&error))?;
        Ok(AgentClient::connect(stream))
    }
}

/// Whether the agent (or we) may have room for the connection a little later.
fn is_pressure(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused) || is_out_of_descriptors(error)
}
