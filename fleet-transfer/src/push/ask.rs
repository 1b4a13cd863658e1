//! A script of ours that is run on a host, and what it says.
//!
//! Must not know what it asks.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use fleet_core::event::Stream;
use fleet_core::outcome::{HostError, Outcome};
use fleet_ssh::remote::{RemoteCommand, Script, StdinMode, Token};
use fleet_ssh::{CommandLimits, CommandRun, ExecStdin, OutputSink, Session, StdinFeed, Sudo, Wrapping, run_command};
use tokio_util::sync::CancellationToken;

/// Bytes of a script that are sent at a time.
const CHUNK_BYTES: usize = 128 * 1024;

/// A script for one host. It is no argument of a command, so it may be of any length.
pub struct Ask<'a, S> {
    /// For `/bin/sh`.
    pub text: Vec<u8>,
    /// The most that is kept of each of its outputs, in bytes: a host may send for ever.
    pub limit: usize,
    /// Connected to the host.
    pub session: &'a Session,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
    /// Those of the command.
    pub limits: &'a CommandLimits,
    /// As whom it is run, if not as the user who logs in.
    pub sudo: Option<&'a Sudo>,
    /// Hears of all but what it says.
    pub beside: &'a S,
}

/// What a script came to.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// What it said on standard output.
    pub stdout: Vec<u8>,
    /// What it said on standard error.
    pub stderr: Vec<u8>,
}

impl<S: OutputSink> Ask<'_, S> {
    /// Runs it to its end. `mark` is one that no other script has.
    ///
    /// # Errors
    /// When it is no script.
    pub async fn run(self, mark: &Token) -> Result<Answer, HostError> {
        let failed = |error: String| HostError::local(error);
        let script = Script::parse(&self.text).map_err(|error| failed(error.to_string()))?;
        let command = script.command(&[], mark).map_err(|error| failed(error.to_string()))?;
        let command = RemoteCommand { command, env: Vec::new(), stdin: StdinMode::Passed, grace: self.limits.grace };
        let heard = Heard { beside: self.beside, limit: self.limit, outputs: Mutex::default() };
        let run = CommandRun {
            command: &command,
            wrapping: Wrapping::Shell,
            limits: self.limits,
            cancel: self.cancel,
            stdin: Some(Text(self.text.into())),
            sudo: self.sudo,
            terminal: None,
        };
        let outcome = run_command(self.session, run, &heard).await;
        let (stdout, stderr) = heard.outputs.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Answer { outcome, stdout, stderr })
    }
}

/// The text of a script, as a command's input.
#[derive(Debug)]
struct Text(Bytes);

impl StdinFeed for Text {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        let mut text = self.0.clone();
        while !text.is_empty() {
            if !stdin.send(text.split_to(text.len().min(CHUNK_BYTES))).await {
                return Ok(());
            }
        }
        stdin.close().await;
        Ok(())
    }
}

/// Keeps what a host answers.
struct Heard<'a, S> {
    beside: &'a S,
    limit: usize,
    outputs: Mutex<(Vec<u8>, Vec<u8>)>,
}

impl<S: OutputSink> OutputSink for Heard<'_, S> {
    fn announced(&self) {
        self.beside.announced();
    }

    async fn started(&self) {
        self.beside.started().await;
    }

    async fn output(&self, stream: Stream, bytes: Bytes) {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = if stream == Stream::Stdout { &mut outputs.0 } else { &mut outputs.1 };
        let room = self.limit.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    async fn note(&self, text: String) {
        self.beside.note(text).await;
    }
}
