//! Whether a server offers the sftp subsystem: asked for on a channel of its own, and greeted.
//!
//! Some servers grant the request and then have no program for it, so only the answer to the greeting counts
//! (draft-ietf-secsh-filexfer-02, section 4). Others have that program answer every command (`ForceCommand sftp-server`; of
//! `internal-sftp` OpenSSH knows better), and it waits for ever: so a command that does not announce itself is greeted too.
//! Must not transfer anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::ChannelMsg;

use super::deadline::within;
use super::exec::ExecStdin;
use super::session::Session;
use fleet_core::outcome::{FailureClass, HostError, Stage};

/// `SSH_FXP_INIT` with version 3: length, type, version.
const INIT: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 3];
/// The type of the answer, behind its length.
const VERSION: u8 = 2;
/// The longest answer that is one: a version and the names of extensions.
const LONGEST_ANSWER: usize = 16 << 10;
/// How long a command may take to announce itself before it is greeted as an SFTP server. The keeper of a command, on a host
/// that is only slow, skips what it reads.
const SILENCE: Duration = Duration::from_secs(1);

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

/// A host that offers SFTP and runs no commands.
#[must_use]
pub fn runs_no_commands() -> HostError {
    let message = "the host runs no commands, it only offers SFTP";
    HostError::new(Stage::Command, FailureClass::Channel, message).with_hint(
        "pcp and pslurp work there; commands need an account with a shell and without ForceCommand in sshd_config",
    )
}

/// Who answers a command that has not announced itself, by the first of its output. That of a slow host may begin like
/// anything, and come before the announcement: only an SFTP server knows the number of what it was asked.
#[derive(Debug)]
pub(super) struct Answerer {
    number: u32,
    greeted: Arc<AtomicBool>,
    held: BytesMut,
    is_known: bool,
}

/// What is known of it with some more output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// The host's SFTP server: nothing has run.
    BySftp,
    /// Anything else, with what is to be passed on.
    Perhaps(Bytes),
}

/// The line to what answers a command.
#[derive(Debug)]
pub(super) struct Greeter {
    number: u32,
    greeted: Arc<AtomicBool>,
}

impl Answerer {
    /// `number` should differ for every command.
    pub(super) fn new(number: u32) -> Self {
        Self { number, greeted: Arc::default(), held: BytesMut::new(), is_known: false }
    }

    pub(super) fn greeter(&self) -> Greeter {
        Greeter { number: self.number, greeted: Arc::clone(&self.greeted) }
    }

    /// Takes the next of standard output.
    pub(super) fn feed(&mut self, bytes: Bytes) -> Answered {
        if self.is_known || bytes.is_empty() || !self.greeted.load(Ordering::SeqCst) {
            self.is_known |= !bytes.is_empty();
            return Answered::Perhaps(bytes);
        }
        self.held.extend_from_slice(&bytes);
        let is_ours = match judge(&self.held) {
            None => return Answered::Perhaps(Bytes::new()),
            Some(SftpGreeting::Answered) => match self.answered_number() {
                None => return Answered::Perhaps(Bytes::new()),
                Some(number) => number == self.number,
            },
            Some(SftpGreeting::Refused | SftpGreeting::Garbled) => false,
        };
        if is_ours {
            return Answered::BySftp;
        }
        self.is_known = true;
        Answered::Perhaps(self.rest())
    }

    /// The number in the second packet, behind its length and its type; `None` while it has not come.
    fn answered_number(&self) -> Option<u32> {
        let (length, rest) = self.held.split_first_chunk::<4>()?;
        let second = rest.get(usize::try_from(u32::from_be_bytes(*length)).ok()?..)?;
        second.get(5..)?.first_chunk().map(|number| u32::from_be_bytes(*number))
    }

    /// What is still held when the output has ended.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}

impl Greeter {
    /// Greets what is behind `stdin` unless `announced` comes first, or soon.
    pub(super) async fn greet_unless<T>(&self, announced: impl Future<Output = T>, stdin: &ExecStdin) {
        if tokio::time::timeout(SILENCE, announced).await.is_err() {
            self.greeted.store(true, Ordering::SeqCst);
            stdin.send(greeting(self.number)).await;
        }
    }
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

/// What greets an SFTP server, and asks it for the name of its folder (`SSH_FXP_REALPATH`): that answer has the number.
fn greeting(number: u32) -> Bytes {
    const REALPATH: u8 = 16;
    let mut greeting = BytesMut::from(&INIT[..]);
    greeting.extend_from_slice(&10_u32.to_be_bytes());
    greeting.extend_from_slice(&[REALPATH]);
    greeting.extend_from_slice(&number.to_be_bytes());
    greeting.extend_from_slice(b"\0\0\0\x01.");
    greeting.freeze()
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

    /// A version, and an answer to the question of this number.
    fn answer(number: u32) -> Vec<u8> {
        [&b"\0\0\0\x05\x02\0\0\0\x03\0\0\0\x09\x68"[..], &number.to_be_bytes(), b"\0\0\0\0"].concat()
    }

    fn greeted() -> Answerer {
        let answerer = Answerer::new(7);
        answerer.greeted.store(true, Ordering::SeqCst);
        answerer
    }

    #[test]
    fn an_sftp_server_is_known_by_its_answer_however_it_is_cut() {
        let answer = answer(7);
        assert_eq!(greeted().feed(answer.clone().into()), Answered::BySftp);
        let mut answerer = greeted();
        let (number_end, rest) = (17, answer.len());
        for byte in &answer[..number_end] {
            assert_eq!(answerer.feed(Bytes::from(vec![*byte])), Answered::Perhaps(Bytes::new()));
        }
        assert_eq!(answerer.feed(Bytes::from(answer[number_end..rest].to_vec())), Answered::BySftp);
    }

    #[test]
    fn output_of_commands_is_passed_on_whole() {
        let (ours, other) = (Bytes::from(answer(7)), Bytes::from(answer(8)));
        let mut never_greeted = Answerer::new(7);
        assert_eq!(never_greeted.feed(ours.clone()), Answered::Perhaps(ours.clone()));
        assert_eq!(greeted().feed(other.clone()), Answered::Perhaps(other));
        let mut slow = greeted();
        for (said, passed) in [("\0\0", ""), ("\0w", ""), ("elcome", "\0\0\0welcome")] {
            assert_eq!(slow.feed(said.into()), Answered::Perhaps(passed.into()), "{said:?}");
        }
        assert_eq!(slow.feed(ours.clone()), Answered::Perhaps(ours));
        let mut short = greeted();
        assert_eq!(short.feed("\0\0".into()), Answered::Perhaps(Bytes::new()));
        assert_eq!(short.rest(), "\0\0");
    }
}
