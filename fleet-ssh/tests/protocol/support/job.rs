//! A command for one host, what it reads, and what is seen of it.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use fleet_core::event::Stream;
use fleet_core::outcome::{HostError, Outcome, Stage};
use fleet_ssh::remote::{RemoteCommand, StdinMode};
use fleet_ssh::{
    CommandLimits, CommandRun, ConnectObserver, ExecEnd, ExecEvent, ExecStdin, OutputSink, Session, StdinFeed,
    Terminal, Wrapping, run_command,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::in_time;

/// A command and everything that governs it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) command: String,
    pub(crate) wrapping: Wrapping,
    pub(crate) limits: CommandLimits,
    pub(crate) input: Option<Input>,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) cancel: CancellationToken,
}

impl Job {
    /// A command in the wrapper, without input and limits.
    pub(crate) fn new(command: impl Into<String>) -> Self {
        let grace = Duration::from_millis(300);
        Self {
            command: command.into(),
            wrapping: Wrapping::Shell,
            limits: CommandLimits { timeout: None, stall: None, grace, channel: None },
            input: None,
            terminal: None,
            cancel: CancellationToken::new(),
        }
    }

    /// The same without the wrapper.
    pub(crate) fn raw(self) -> Self {
        Self { wrapping: Wrapping::Raw, ..self }
    }

    /// The same on a terminal of 132 columns and 43 rows.
    pub(crate) fn on_terminal(self) -> Self {
        Self { terminal: Some(Terminal { term: "vt220".to_owned(), columns: 132, rows: 43 }), ..self }
    }

    pub(crate) fn with_input(self, bytes: Vec<u8>) -> Self {
        Self { input: Some(Input::Whole(bytes.into())), ..self }
    }

    pub(crate) fn with_timeout(mut self, limit: Duration) -> Self {
        self.limits.timeout = Some(limit);
        self
    }

    pub(crate) fn with_stall(mut self, limit: Duration) -> Self {
        self.limits.stall = Some(limit);
        self
    }

    /// Runs it on `session`.
    pub(crate) async fn run(&self, session: &Session, sink: &impl OutputSink) -> Outcome {
        let command = RemoteCommand {
            command: self.command.clone().into(),
            env: Vec::new(),
            stdin: if self.input.is_some() || self.terminal.is_some() { StdinMode::Passed } else { StdinMode::Closed },
            grace: self.limits.grace,
        };
        let run = CommandRun {
            command: &command,
            wrapping: self.wrapping,
            limits: &self.limits,
            cancel: &self.cancel,
            stdin: self.input.clone(),
            sudo: None,
            terminal: self.terminal.as_ref(),
        };
        in_time(&self.command, run_command(session, run, sink)).await
    }

    /// Runs it on `session` and cancels it at the end of `when`.
    pub(crate) async fn cancel_when(
        &self,
        session: &Session,
        sink: &impl OutputSink,
        when: impl Future<Output = ()>,
    ) -> Outcome {
        let cancelling = async {
            when.await;
            self.cancel.cancel();
        };
        tokio::join!(self.run(session, sink), cancelling).0
    }

    /// Runs it on `session` and returns all it said.
    pub(crate) async fn watch(&self, session: &Session) -> (Outcome, Transcript) {
        let witness = Witness::default();
        let outcome = self.run(session, &witness).await;
        (outcome, witness.output())
    }
}

/// Standard input that is sent as fast as the host takes it.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// To its end.
    Whole(Bytes),
    /// There would be more, but it cannot be read.
    Broken(Bytes),
}

impl StdinFeed for Input {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        let (Self::Whole(bytes) | Self::Broken(bytes)) = self;
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(100_000));
            if !stdin.send(piece).await {
                return Ok(());
            }
        }
        match self {
            Self::Whole(_) => stdin.close().await,
            Self::Broken(_) => return Err(HostError::local("cannot read our input")),
        }
        Ok(())
    }
}

/// What a command said.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Transcript {
    pub(crate) fn add(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(bytes),
            Stream::Stderr => self.stderr.extend_from_slice(bytes),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        write!(f, "{} bytes {:?}", self.stdout.len(), shown(&self.stdout))?;
        write!(f, " and {} bytes of errors {:?}", self.stderr.len(), shown(&self.stderr))
    }
}

/// Sees a connection and a command, and remembers.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    stages: Mutex<Vec<Stage>>,
    notes: Mutex<Vec<String>>,
    output: watch::Sender<Transcript>,
}

impl Witness {
    pub(crate) fn stages(&self) -> Vec<Stage> {
        self.stages.lock().unwrap().clone()
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    pub(crate) fn output(&self) -> Transcript {
        self.output.borrow().clone()
    }

    /// Waits until `text` stands in standard output.
    pub(crate) async fn heard(&self, text: &str) {
        let mut output = self.output.subscribe();
        let heard = output.wait_for(|output| output.text().contains(text));
        in_time(text, heard).await.unwrap();
    }
}

impl ConnectObserver for Witness {
    async fn stage(&self, stage: Stage) {
        self.stages.lock().unwrap().push(stage);
    }

    async fn note(&self, text: String) {
        self.notes.lock().unwrap().push(text);
    }
}

impl OutputSink for Witness {
    async fn output(&self, stream: Stream, bytes: Bytes) {
        self.output.send_modify(|output| output.add(stream, &bytes));
    }

    async fn note(&self, text: String) {
        self.notes.lock().unwrap().push(text);
    }
}

/// Runs `command` on a channel, with nothing around it.
pub(crate) async fn run_to_end(session: &Session, command: &str) -> (ExecEnd, Transcript) {
    let work = async {
        let mut exec = session.exec(command.as_bytes()).await.unwrap();
        let mut output = Transcript::default();
        loop {
            match exec.next().await.unwrap() {
                ExecEvent::Output(stream, bytes) => output.add(stream, &bytes),
                ExecEvent::Ended(end) => return (end, output),
            }
        }
    };
    in_time(command, work).await
}
