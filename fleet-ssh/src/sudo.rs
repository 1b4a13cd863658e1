//! The way through a host's `sudo`: from a new channel to a shell of the other user that runs our program.
//!
//! The password is sent at most once, and only when `sudo` asks: more tries could lock the account, and what `sudo` does
//! not read would be the command's input. Must not know which program it is.

use std::time::Duration;

use bytes::Bytes;

use super::deadline::expired;
use super::error::printable;
use super::exec::{Exec, ExecEnd, ExecEvent};
use super::prompt::Secret;
use super::remote::{ChannelKind, Mark, SudoAsks, SudoDialogue, SudoRefusal, SudoUser, Token, sudo_command};
use super::session::Session;
use super::sftp_greeting::{SftpGreeting, runs_no_commands};
use super::stop::outcome_of;
use super::terminal::{Terminal, Typing};
use fleet_core::event::Stream;
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage};

/// How long `sudo` may take: as long as a person at a second device.
const SUDO_LIMIT: Duration = Duration::from_secs(60);
/// Bytes on the other stream that are kept until `sudo` has let us pass: noise of the shell's start-up files.
const BESIDE_LIMIT: usize = 64 * 1024;
/// Characters of a refusal in `sudo`'s own words.
const LONGEST_WORDS: usize = 200;

/// Who runs a command instead of the user who logged in.
#[derive(Clone, Debug)]
pub struct Sudo {
    /// The account.
    pub user: SudoUser,
    /// What to answer when `sudo` asks; without it `sudo` must not ask.
    pub password: Option<Secret>,
}

impl Sudo {
    /// Starts `sudo` on a channel of its own. Nothing runs there until [`Self::pass`].
    pub(super) async fn start(
        &self,
        session: &Session,
        terminal: Option<&Terminal>,
        token: &Token,
    ) -> Result<Exec, HostError> {
        let line = |channel| sudo_command(&self.user, self.asks(), channel, token);
        match terminal {
            None => session.exec(&line(ChannelKind::Pipes)).await,
            Some(terminal) => session.exec_on_terminal(&line(ChannelKind::Terminal), terminal, Typing::Silent).await,
        }
    }

    fn asks(&self) -> SudoAsks {
        if self.password.is_some() { SudoAsks::OverChannel } else { SudoAsks::Never }
    }

    /// Brings `exec` through `sudo` and sends `program` there, a line. Returns what was said on the way, such as a
    /// lecture. The marks come on `marks`.
    ///
    /// # Errors
    /// [`FailureClass::Sudo`] when `sudo` refuses: nothing has run, and nothing will.
    pub(super) async fn pass(
        &self,
        exec: &mut Exec,
        session: &Session,
        token: &Token,
        program: Bytes,
        marks: Stream,
    ) -> Result<Vec<(Stream, Bytes)>, HostError> {
        let mut dialogue = SudoDialogue::new(token);
        let mut said = Vec::new();
        let ended = tokio::select! {
            passed = self.talk(exec, &mut dialogue, marks, &mut said) => passed?,
            limit = expired(Some(SUDO_LIMIT)) => {
                let limit = humantime::format_duration(limit);
                return Err(HostError::new(Stage::Command, FailureClass::Sudo, format!("no answer from sudo for {limit}"))
                    .with_hint("something that sudo asks on the host (PAM, a directory) is slow: look in its log"));
            }
        };
        match ended {
            None => {
                exec.stdin().send(program).await;
                said.push((marks, dialogue.into_said().into()));
                said.retain(|(_, bytes)| !bytes.is_empty());
                Ok(said)
            }
            Some(end) => {
                let words = dialogue.into_said();
                // sudo says why it does not do something.
                let is_silent = words.iter().all(u8::is_ascii_whitespace);
                if is_silent && matches!(session.greet_sftp(None).await, Ok(SftpGreeting::Answered)) {
                    return Err(runs_no_commands());
                }
                Err(match outcome_of(&end, session) {
                    Outcome::Exited(code) => refusal(&words, code),
                    Outcome::Failed(error) => error,
                    _ => refusal(&words, 0),
                })
            }
        }
    }

    /// Answers until the other user's shell is there, or returns the end of the channel.
    async fn talk(
        &self,
        exec: &mut Exec,
        dialogue: &mut SudoDialogue,
        marks: Stream,
        beside: &mut Vec<(Stream, Bytes)>,
    ) -> Result<Option<ExecEnd>, HostError> {
        let mut password = self.password.as_ref();
        let mut room = BESIDE_LIMIT;
        loop {
            let bytes = match exec.next().await? {
                ExecEvent::Output(stream, bytes) if stream == marks => bytes,
                ExecEvent::Output(stream, bytes) => {
                    let bytes = bytes.slice(..bytes.len().min(room));
                    room -= bytes.len();
                    beside.push((stream, bytes));
                    continue;
                }
                ExecEvent::Ended(end) => return Ok(Some(end)),
            };
            match dialogue.feed(&bytes) {
                None => {}
                Some(Mark::Ready) => return Ok(None),
                Some(Mark::Asked) => {
                    let Some(password) = password.take() else { return Err(failed(SudoRefusal::WrongPassword)) };
                    exec.stdin().send(Bytes::from(format!("{}\n", password.expose()))).await;
                }
            }
        }
    }
}

fn refusal(said: &[u8], code: u32) -> HostError {
    SudoRefusal::find(said, code).map_or_else(|| refused_with(said), failed)
}

/// In the last of its own words.
fn refused_with(said: &[u8]) -> HostError {
    let line = said.split(|&b| b == b'\n').rev().map(printable).find(|line| !line.trim().is_empty());
    let words = line.map_or_else(|| "it says nothing".to_owned(), |line| line.chars().take(LONGEST_WORDS).collect());
    HostError::new(Stage::Command, FailureClass::Sudo, format!("sudo failed: {words}"))
}

fn failed(refusal: SudoRefusal) -> HostError {
    let (message, hint) = match refusal {
        SudoRefusal::NeedsPassword => (
            "sudo needs a password",
            "--ask-sudo asks for it once and answers where it is wanted; or allow this user NOPASSWD in sudoers",
        ),
        SudoRefusal::WrongPassword => (
            "sudo refused the password",
            "it was tried once, so that no account is locked: check it; a second factor cannot be answered",
        ),
        SudoRefusal::NotAllowed => {
            ("sudo does not allow it", "allow this user to run /bin/sh as the other one, in sudoers on the host")
        }
        SudoRefusal::NeedsTerminal => {
            ("sudo needs a terminal", "--pty gives it one (requiretty in sudoers on the host)")
        }
        SudoRefusal::UnknownUser => ("sudo does not know the user to run as", "check the USER of --sudo=USER"),
        SudoRefusal::NotInstalled => ("sudo is not installed", "log in as the user itself (-l), or install sudo there"),
    };
    HostError::new(Stage::Command, FailureClass::Sudo, message).with_hint(hint)
}
