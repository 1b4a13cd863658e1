//! TCP connections that a host makes for us, as those of `ssh -W`.
//!
//! Must not know what goes through them.

use fleet_core::outcome::{HostError, Stage};
use russh::ChannelOpenFailure;
use tokio::io::{AsyncRead, AsyncWrite};

use super::drained::DrainedStream;
use super::error::describe_open_failure;
use super::session::Session;

/// Why a host makes no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// It has tried: nobody listens there, the name is unknown, or nobody answers. Servers do not say which.
    #[error("the host could not connect")]
    NotConnected,
    /// Its server makes none for us: `AllowTcpForwarding` and `PermitOpen` of sshd_config(5).
    #[error("the host's SSH server does not allow connections on from it")]
    Prohibited,
    /// It refuses in another way.
    #[error("{0}")]
    Refused(String),
    /// The session to it is gone.
    #[error(transparent)]
    Lost(#[from] HostError),
}

impl Session {
    /// Has the host connect to `name`:`port`; what is looked up is looked up there.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn forward(
        &self,
        name: &str,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>, ForwardError> {
        let opened = self.open_direct_tcpip(name, port).await;
        let channel = opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed) => ForwardError::NotConnected,
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
                ForwardError::Prohibited
            }
            russh::Error::ChannelOpenFailure(failure) => ForwardError::Refused(describe_open_failure(&failure)),
            _ => ForwardError::Lost(self.lost(Stage::Command)),
        })?;
        Ok(DrainedStream::new(channel))
    }
}
