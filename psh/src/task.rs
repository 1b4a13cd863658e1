//! The work on one host: connect, run the command, pass on what it says.
//!
//! Must not know other hosts, flags or terminals.

use std::sync::Arc;

use bytes::Bytes;
use fleet_core::broadcast::Broadcast;
use fleet_core::event::{Event, Stream};
use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::{HostError, Outcome, Stage};
use fleet_core::select::SelectedHost;
use fleet_core::ssh::remote::{RemoteCommand, StdinMode};
use fleet_core::ssh::{
    CommandLimits, CommandRun, ConnectObserver, Connector, ExecStdin, OutputSink, StdinFeed, Sudo, Terminal, Wrapping,
    run_command,
};
use tracing::Instrument;

/// Runs one command on every host of a run.
pub(crate) struct RunCommand {
    pub(crate) connector: Arc<Connector>,
    pub(crate) hosts: Vec<SelectedHost>,
    pub(crate) command: Vec<u8>,
    pub(crate) variables: Vec<(String, Vec<u8>)>,
    pub(crate) input: Option<Broadcast>,
    pub(crate) wrapping: Wrapping,
    pub(crate) sudo: Option<Sudo>,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) limits: CommandLimits,
    pub(crate) remarks: Remarks,
}

/// Whether remarks on single hosts, such as another try, reach the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remarks {
    Shown,
    Hidden,
}

impl Task for RunCommand {
    async fn run(&self, host: HostContext) -> Outcome {
        let span = tracing::info_span!("host", name = %self.hosts[host.index()].host);
        self.run_on(host).instrument(span).await
    }
}

impl RunCommand {
    async fn run_on(&self, host: HostContext) -> Outcome {
        let target = &self.hosts[host.index()];
        let reporter = Reporter { host: &host, remarks: self.remarks };
        let connected = tokio::select! {
            connected = self.connector.connect(&target.host, &reporter) => connected,
            () = host.cancel().cancelled() => return Outcome::Skipped,
        };
        let session = match connected {
            Ok(session) => session,
            Err(error) => return Outcome::Failed(error),
        };
        host.emit(Event::Stage(Stage::Channel)).await;
        let command = self.command_for(target, host.index());
        let run = CommandRun {
            command: &command,
            wrapping: self.wrapping,
            limits: &self.limits,
            cancel: host.cancel(),
            stdin: self.input.as_ref().map(Feed),
            sudo: self.sudo.as_ref(),
            terminal: self.terminal.as_ref(),
        };
        let outcome = run_command(&session, run, &reporter).await;
        tracing::info!(outcome = outcome.name(), "ended");
        session.disconnect().await;
        outcome
    }

    /// The command with the variables that tell it where it runs: ours, and pssh's for scripts that know those.
    fn command_for(&self, target: &SelectedHost, index: usize) -> RemoteCommand {
        let name = target.host.name();
        let (index, count) = (index.to_string(), self.hosts.len().to_string());
        let group = target.group.as_deref().unwrap_or_default();
        let ours = [
            ("FLEET_HOST", name),
            ("FLEET_INDEX", &index),
            ("FLEET_COUNT", &count),
            ("FLEET_GROUP", group),
            ("PSSH_HOST", name),
            ("PSSH_NODENUM", &index),
            ("PSSH_NUMNODES", &count),
        ];
        let mut env: Vec<_> = ours.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
        env.extend(self.variables.iter().cloned());
        RemoteCommand {
            command: self.command.clone(),
            env,
            stdin: if self.input.is_some() || self.terminal.is_some() { StdinMode::Passed } else { StdinMode::Closed },
            grace: self.limits.grace,
        }
    }
}

/// Passes what a host says to the run.
struct Reporter<'a> {
    host: &'a HostContext,
    remarks: Remarks,
}

impl Reporter<'_> {
    async fn remark(&self, text: String) {
        if self.remarks == Remarks::Shown {
            self.host.emit(Event::Note(text)).await;
        }
    }
}

impl ConnectObserver for Reporter<'_> {
    async fn stage(&self, stage: Stage) {
        self.host.emit(Event::Stage(stage)).await;
    }

    async fn note(&self, text: String) {
        self.remark(text).await;
    }
}

impl OutputSink for Reporter<'_> {
    async fn started(&self) {
        self.host.emit(Event::Stage(Stage::Command)).await;
    }

    async fn output(&self, stream: Stream, bytes: Bytes) {
        self.host.emit(Event::Output { stream, bytes }).await;
    }

    async fn note(&self, text: String) {
        self.remark(text).await;
    }
}

/// Our standard input, for one host at its own pace.
#[derive(Clone, Copy)]
struct Feed<'a>(&'a Broadcast);

impl StdinFeed for Feed<'_> {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        let mut reader = self.0.reader();
        let unreadable = |error| HostError::local(format!("our standard input cannot be read to its end: {error}"));
        while let Some(bytes) = reader.next().await.map_err(unreadable)? {
            if !stdin.send(bytes).await {
                return Ok(());
            }
        }
        stdin.close().await;
        Ok(())
    }
}
