//! Whether a server offers the sftp subsystem: asked for on a channel of its own, and greeted.
//!
//! Some servers grant the request and then have no program for it, so only the answer to the greeting counts
//! (draft-ietf-secsh-filexfer-02, section 4). Must not transfer anything.

use std::time::Duration;

use russh::ChannelMsg;

use super::deadline::within;
use super::session::Session;
use fleet_core::outcome::{HostError, Stage};

/// `SSH_FXP_INIT` with version 3: length, type, version.
const INIT: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 3];
/// The type of the answer, behind its length.
const VERSION: u8 = 2;
/// The longest answer that is one: a version and the names of extensions.
const LONGEST_ANSWER: usize = 16 << 10;

/// How a server answers to the greeting of an sftp client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SftpGreeting {
    /// As it should.
    Answered,
    /// The subsystem is refused, or ends without an answer.
    Refused,
    /// With something else, such as the words of a start-up file of the shell.
    Garbled,
}

impl Session {
    /// Opens the sftp subsystem, greets it and closes it again. `limit` is the longest time for the answer.
    ///
    /// # Errors
    /// When no channel can be opened, or the server does not answer in time.
    pub async fn greet_sftp(&self, limit: Option<Duration>) -> Result<SftpGreeting, HostError> {
        within(limit.or(self.stage_limit()), Stage::Channel, self.exchange_greetings()).await
    }

    async fn exchange_greetings(&self) -> Result<SftpGreeting, HostError> {
        let mut channel = self.channel().await?;
        let lost = |_| self.lost(Stage::Channel);
        channel.request_subsystem(true, "sftp").await.map_err(lost)?;
        channel.data(&INIT[..]).await.map_err(lost)?;
        let mut answer = Vec::new();
        let greeting = loop {
            match channel.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    answer.extend_from_slice(&data);
                    if let Some(greeting) = judge(&answer) {
                        break greeting;
                    }
                }
                Some(ChannelMsg::Failure | ChannelMsg::Eof | ChannelMsg::Close) | None => {
                    break if answer.is_empty() { SftpGreeting::Refused } else { SftpGreeting::Garbled };
                }
                Some(_) => {}
            }
        };
        let _ = channel.close().await;
        Ok(greeting)
    }
}

/// What the first bytes are; `None` when there are too few.
fn judge(answer: &[u8]) -> Option<SftpGreeting> {
    let (length, rest) = answer.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    match rest.first() {
        _ if !(5..=LONGEST_ANSWER).contains(&length) => Some(SftpGreeting::Garbled),
        None => None,
        Some(&VERSION) => Some(SftpGreeting::Answered),
        Some(_) => Some(SftpGreeting::Garbled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_is_an_answer() {
        for (bytes, greeting) in [
            (&b"\0\0\0\x05\x02\0\0\0\x03"[..], Some(SftpGreeting::Answered)),
            (b"\0\0\0\x05\x65\0\0\0\x03", Some(SftpGreeting::Garbled)),
            (b"Welcome to web1\n", Some(SftpGreeting::Garbled)),
            (b"\0\0\0\x05", None),
            (b"\0\0", None),
            (b"\0\0\0\0\x02", Some(SftpGreeting::Garbled)),
        ] {
            assert_eq!(judge(bytes), greeting, "{}", bytes.escape_ascii());
        }
    }
}
