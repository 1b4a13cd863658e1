//! Short commands of our own on one host, beside or instead of the user's.
//!
//! Must not know what they are for.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use fleet_core::event::Stream;
use fleet_core::fanout::HostContext;
use fleet_core::outcome::{HostError, Outcome};
use fleet_ssh::remote::{RemoteCommand, StdinMode};
use fleet_ssh::{
    CommandLimits, CommandRun, ExecStdin, NoStdin, OutputSink, Session, StdinFeed, Sudo, Wrapping, run_command,
};

/// Bytes of a host's answer that are kept: noise of the shell's start-up files, and some lines.
const ANSWER_LIMIT: usize = 64 * 1024;

/// A host with a session to it.
pub struct OnHost<'a> {
    /// The session.
    pub session: &'a Session,
    /// When a command is to be stopped.
    pub limits: &'a CommandLimits,
    /// Who runs the commands, unless the user who logged in.
    pub sudo: Option<&'a Sudo>,
    /// The host.
    pub host: &'a HostContext,
}

impl OnHost<'_> {
    /// Runs `command`, for any login shell; its output goes to `sink`.
    pub async fn run(&self, command: Vec<u8>, wrapping: Wrapping, sink: &impl OutputSink) -> Outcome {
        let grace = self.limits.grace;
        let command = RemoteCommand { command, env: Vec::new(), stdin: StdinMode::Closed, grace };
        let cancel = self.host.cancel();
        let (limits, sudo, stdin) = (self.limits, self.sudo, None::<NoStdin>);
        let run = CommandRun { command: &command, wrapping, limits, cancel, stdin, sudo, terminal: None };
        run_command(self.session, run, sink).await
    }

    /// As [`OnHost::run`], for a command with variables that reads `input`.
    pub async fn run_with_input(
        &self,
        command: Vec<u8>,
        env: Vec<(String, Vec<u8>)>,
        input: Bytes,
        sink: &impl OutputSink,
    ) -> Outcome {
        let grace = self.limits.grace;
        let command = RemoteCommand { command, env, stdin: StdinMode::Passed, grace };
        let cancel = self.host.cancel();
        let (limits, sudo, stdin) = (self.limits, self.sudo, Some(Input(input)));
        let wrapping = Wrapping::Shell;
        let run = CommandRun { command: &command, wrapping, limits, cancel, stdin, sudo, terminal: None };
        run_command(self.session, run, sink).await
    }
}

/// A short input, all of which is here.
struct Input(Bytes);

impl StdinFeed for Input {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        if stdin.send(self.0.clone()).await {
            stdin.close().await;
        }
        Ok(())
    }
}

/// What a host answers to us, kept from the user.
#[derive(Debug, Default)]
pub struct Answer(Mutex<Vec<u8>>);

impl Answer {
    /// What it has written to standard output.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl OutputSink for Answer {
    async fn output(&self, stream: Stream, bytes: Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stream == Stream::Stdout && kept.len() < ANSWER_LIMIT {
            kept.extend_from_slice(&bytes);
        }
    }
}
