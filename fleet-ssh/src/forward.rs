//! TCP connections that a host makes for us, as those of `ssh -W`.
//!
//! Must not know what goes through them.

use std::time::Duration;

use fleet_core::outcome::{HostError, Stage};
use russh::ChannelOpenFailure;
use tokio::io::{AsyncRead, AsyncWrite};

use super::drained::DrainedStream;
use super::error::{describe_open_failure, printable};
use super::session::Session;

/// How long what a server says of a failure may come behind it.
const WORDS_LIMIT: Duration = Duration::from_secs(1);
/// What servers say where they say nothing: OpenSSH, and those made with russh.
const NO_WORDS: [&str; 3] = ["", "open failed", "connect failed"];

/// Why a host makes no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// It has tried, and says so of it, such as `connection refused`; some servers say nothing.
    #[error("{0}")]
    NotConnected(String),
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
        let why = self.ask_why_not_opened();
        match self.open_direct_tcpip(name, port).await {
            Ok(channel) => Ok(DrainedStream::new(channel)),
            Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed)) => {
                let why = tokio::time::timeout(WORDS_LIMIT, why).await;
                Err(ForwardError::NotConnected(words(why.ok().and_then(Result::ok).as_deref())))
            }
            Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited)) => {
                Err(ForwardError::Prohibited)
            }
            Err(russh::Error::ChannelOpenFailure(failure)) => {
                Err(ForwardError::Refused(describe_open_failure(&failure)))
            }
            Err(_) => Err(ForwardError::Lost(self.lost(Stage::Command))),
        }
    }
}

/// What a server says, fit to be shown.
fn words(said: Option<&str>) -> String {
    match said {
        Some(said) if !NO_WORDS.iter().any(|none| said.eq_ignore_ascii_case(none)) => {
            printable(said.as_bytes()).to_lowercase()
        }
        _ => describe_open_failure(&ChannelOpenFailure::ConnectFailed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_the_words_of_the_host_where_it_has_some() {
        for (said, expected) in [
            (Some("Connection refused"), "connection refused"),
            (Some("a\u{1b}b"), "a?b"),
            (Some(""), "the server could not connect"),
            (Some("open failed"), "the server could not connect"),
            (Some("Connect failed"), "the server could not connect"),
            (None, "the server could not connect"),
        ] {
            assert_eq!(words(said), expected, "{said:?}");
        }
    }
}
