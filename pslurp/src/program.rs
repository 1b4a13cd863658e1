//! A program of ours on a host: what it reads, and what is taken of what it says.
//!
//! Must not know which program it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fleet_core::event::{Event, Stream, Transferred};
use fleet_core::fanout::HostContext;
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage, StopCause};
use fleet_ssh::remote::{RemoteCommand, StdinMode, Token, copy_out_refusal};
use fleet_ssh::{CommandLimits, CommandRun, ExecStdin, OutputSink, Session, StdinFeed, Sudo, Wrapping, run_command};
use fleet_transfer::pull::PullError;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bytes that are handed to the disk at once.
const STEP_BYTES: usize = 256 << 10;
/// Bytes of names that are sent at once.
const NAMES_BYTES: usize = 64 << 10;
/// Bytes of what the program says on standard error that are kept.
const SAID_LIMIT: usize = 64 << 10;
/// How often the progress of a host is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Takes what a program says. It may wait for the disk.
pub(crate) trait Taker: Send + 'static {
    /// The next bytes of standard output.
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError>;

    /// The next bytes of standard error.
    fn hear(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        let _ = bytes;
        Ok(())
    }

    /// Bytes of contents that have come.
    fn bytes(&self) -> u64 {
        0
    }
}

/// A host with a session to it.
pub(crate) struct OnHost<'a> {
    pub(crate) session: &'a Session,
    pub(crate) limits: &'a CommandLimits,
    pub(crate) sudo: Option<&'a Sudo>,
    pub(crate) host: &'a HostContext,
    /// Whether the host runs our commands: one has announced itself.
    pub(crate) announced: AtomicBool,
}

/// How far a copy is when a program begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) done: u64,
    pub(crate) of: Option<u64>,
}

/// What a program came to.
pub(crate) struct Ran<T> {
    /// What it said is here, also where it has failed.
    pub(crate) taker: T,
    /// Whether it has ended as it should.
    pub(crate) ended: Result<(), Outcome>,
}

impl OnHost<'_> {
    /// Runs `command` with `input`; what it says goes to `taker`.
    pub(crate) async fn run<T: Taker>(
        &self,
        command: Vec<u8>,
        input: Option<Vec<u8>>,
        mark: &Token,
        (taker, progress): (T, Progress),
    ) -> Ran<T> {
        let stdin = if input.is_some() { StdinMode::Passed } else { StdinMode::Closed };
        let command = RemoteCommand { command, env: Vec::new(), stdin, grace: self.limits.grace };
        let cancel = self.host.cancel().child_token();
        let state = State { taker: Some(taker), waiting: Vec::new(), said: Vec::new(), refused: None, told: None };
        let (stop, announced) = (cancel.clone(), &self.announced);
        let sink = Sink { state: Mutex::new(state), host: self.host, stop, progress, announced };
        let run = CommandRun {
            command: &command,
            wrapping: Wrapping::Shell,
            limits: self.limits,
            cancel: &cancel,
            stdin: input.map(|names| Names(names.into())),
            sudo: self.sudo,
            terminal: None,
        };
        let outcome = run_command(self.session, run, &sink).await;
        let mut state = sink.state.into_inner();
        state.flush().await;
        let refused = state.refused.take();
        let ended = match refused {
            Some(error) if !self.host.cancel().is_cancelled() => Err(Outcome::Failed(failed(error.to_string()))),
            _ => ended(outcome, &state.said, mark),
        };
        let Some(taker) = state.taker else { unreachable!("the taker comes back from each step") };
        Ran { taker, ended }
    }
}

fn ended(outcome: Outcome, said: &[u8], mark: &Token) -> Result<(), Outcome> {
    match (outcome, copy_out_refusal(said, mark)) {
        (Outcome::Exited(_), Some(reason)) => {
            Err(Outcome::Failed(failed(format!("the host cannot send files: {reason}"))))
        }
        (Outcome::Exited(0), None) => Ok(()),
        (Outcome::Exited(code), None) => {
            let said = String::from_utf8_lossy(said);
            let last = said.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('\x1e'));
            let last = last.map(|line| format!(": {line}")).unwrap_or_default();
            Err(Outcome::Failed(failed(format!("the program that sends files ended with exit code {code}{last}"))))
        }
        (Outcome::Stopped { cause: StopCause::Cancelled, stop, output }, _) => {
            Err(Outcome::Stopped { cause: StopCause::Cancelled, stop, output })
        }
        (outcome, _) => Err(outcome),
    }
}

/// A copy from a host that came to nothing.
pub(crate) fn failed(message: impl Into<String>) -> HostError {
    HostError::new(Stage::Command, FailureClass::Copy, message)
}

struct Sink<'a, T> {
    state: Mutex<State<T>>,
    host: &'a HostContext,
    /// Stops the program.
    stop: CancellationToken,
    progress: Progress,
    announced: &'a AtomicBool,
}

struct State<T> {
    /// Away while it works.
    taker: Option<T>,
    waiting: Vec<u8>,
    said: Vec<u8>,
    refused: Option<PullError>,
    told: Option<Instant>,
}

impl<T: Taker> State<T> {
    /// Has what waits written, on a thread that may wait for the disk.
    async fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.waiting);
        if bytes.is_empty() || self.refused.is_some() {
            return;
        }
        let Some(mut taker) = self.taker.take() else { return };
        let step = tokio::task::spawn_blocking(move || {
            let taken = taker.take(&bytes);
            (taker, taken, bytes)
        });
        // It ends otherwise only when the process does.
        if let Ok((taker, taken, mut bytes)) = step.await {
            bytes.clear();
            (self.taker, self.refused, self.waiting) = (Some(taker), taken.err(), bytes);
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let room = SAID_LIMIT.saturating_sub(self.said.len());
        self.said.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if let (Some(taker), None) = (&mut self.taker, &self.refused) {
            self.refused = taker.hear(bytes).err();
        }
    }
}

impl<T: Taker> OutputSink for Sink<'_, T> {
    fn announced(&self) {
        self.announced.store(true, Ordering::Relaxed);
    }

    async fn started(&self) {
        self.host.emit(Event::Stage(Stage::Command)).await;
    }

    async fn output(&self, stream: Stream, bytes: Bytes) {
        let mut state = self.state.lock().await;
        match stream {
            Stream::Stderr => state.hear(&bytes),
            Stream::Stdout => {
                state.waiting.extend_from_slice(&bytes);
                if state.waiting.len() >= STEP_BYTES {
                    state.flush().await;
                }
            }
        }
        if state.refused.is_some() {
            self.stop.cancel();
        }
        let is_due = state.told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if let (Some(of), true, Some(taker)) = (self.progress.of, is_due, &state.taker) {
            let bytes = self.progress.done + taker.bytes();
            state.told = Some(Instant::now());
            drop(state);
            self.host.emit(Event::Progress(Transferred { bytes, of: Some(of) })).await;
        }
    }
}

/// What a program reads.
struct Names(Bytes);

impl StdinFeed for Names {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        let mut names = self.0.clone();
        while !names.is_empty() {
            if !stdin.send(names.split_to(names.len().min(NAMES_BYTES))).await {
                return Ok(());
            }
        }
        stdin.close().await;
        Ok(())
    }
}
