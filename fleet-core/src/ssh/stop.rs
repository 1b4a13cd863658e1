//! How a running command is fed, kept and stopped for certain: the half of it that is not its output.
//!
//! Must not know when it is to be stopped.

use std::time::Duration;

use tokio::sync::watch;

use super::command::{CommandRun, StdinFeed, Wrapping};
use super::exec::{ExecEnd, ExecEvent, ExecSide, ExecSignals, ExecStdin, ExitReport};
use super::remote::{self, RemoteProcess, StdinMode, StopVerdict, Token};
use super::session::Session;
use crate::event::Stream;
use crate::outcome::{FailureClass, HostError, Outcome, Stage, Stop};

/// How long the wrapper may take to say its process id before a stop goes on without it.
const ANNOUNCEMENT_LIMIT: Duration = Duration::from_secs(2);
/// What a stop may take beyond the grace period: a channel, a shell and a look at the processes.
const STOP_MARGIN: Duration = Duration::from_secs(5);
/// Bytes of the stopper's answer that are kept: noise of the shell's start-up files, and one line.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The half of a running command that is used to stop it.
pub(super) struct Process<'a> {
    pub(super) session: &'a Session,
    pub(super) signals: ExecSignals,
    pub(super) stdin: ExecStdin,
    pub(super) token: Token,
    pub(super) wrapping: Wrapping,
    pub(super) stdin_mode: StdinMode,
    pub(super) remote: watch::Receiver<Option<RemoteProcess>>,
    pub(super) side: ExecSide,
}

impl Process<'_> {
    /// Feeds standard input; returns only when that fails. The wrapper's control line must stay open, so without input
    /// nothing is closed there.
    pub(super) async fn feed<F: StdinFeed>(&self, run: &CommandRun<'_, F>) -> HostError {
        let fed = match (&run.stdin, self.wrapping) {
            (Some(feed), _) => feed.feed(self.stdin.clone()).await,
            (None, Wrapping::Raw) => {
                self.stdin.close().await;
                Ok(())
            }
            (None, Wrapping::Shell) => Ok(()),
        };
        match fed {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    }

    /// Where standard input is the command's own, the line that tells the host of our death is a second channel.
    pub(super) async fn keep<F>(&self, run: &CommandRun<'_, F>) {
        if run.wrapping == Wrapping::Raw || run.command.stdin == StdinMode::Closed {
            return;
        }
        let Some(process) = self.announced().await else { return };
        match self.session.exec(&remote::keeper_command(&process, &self.token, run.limits.grace)).await {
            Ok(_keeper) => std::future::pending().await,
            Err(error) => tracing::warn!(%error, "no second channel: if we die, the command may run on"),
        }
    }

    pub(super) async fn stop(&self, grace: Duration) -> Stop {
        self.side.let_excess_go();
        if self.wrapping == Wrapping::Raw {
            return self.stop_by_signal(grace).await;
        }
        let announced = async {
            match self.announced().await {
                Some(process) => process,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(announced);
        if let Ok(process) = tokio::time::timeout(ANNOUNCEMENT_LIMIT, &mut announced).await {
            return self.stop_announced(&process, grace).await;
        }
        // A slow host may still say it: signals are all there is until then.
        tokio::select! {
            process = &mut announced => self.stop_announced(&process, grace).await,
            stop = self.stop_by_signal(grace) => stop,
        }
    }

    async fn stop_announced(&self, process: &RemoteProcess, grace: Duration) -> Stop {
        match tokio::time::timeout(grace + STOP_MARGIN, self.ask_to_stop(process, grace)).await {
            Ok(Ok(StopVerdict::Gone)) => Stop::Confirmed,
            Ok(Ok(StopVerdict::Left(pids))) => {
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                Stop::Unconfirmed(format!("left on the host: process {}", pids.join(", ")))
            }
            Ok(Ok(StopVerdict::Unknown)) => Stop::Unconfirmed("the host does not show all its processes".to_owned()),
            Ok(Err(error)) if error.class == FailureClass::Lost => Stop::Unconfirmed(error.message),
            Ok(Err(_)) if self.stdin_mode == StdinMode::Passed => self.stop_by_signal(grace).await,
            Ok(Err(error)) => self.stop_by_keeper(grace, &error).await,
            Err(_) => Stop::Unconfirmed("the host did not answer".to_owned()),
        }
    }

    /// Runs the stopper on a channel of its own.
    async fn ask_to_stop(&self, process: &RemoteProcess, grace: Duration) -> Result<StopVerdict, HostError> {
        let mut exec = self.session.exec(&remote::stop_command(process, &self.token, grace)).await?;
        let mut answer = Vec::new();
        loop {
            match exec.next().await? {
                ExecEvent::Output(Stream::Stdout, bytes) if answer.len() < ANSWER_LIMIT => {
                    answer.extend_from_slice(&bytes);
                }
                ExecEvent::Output(..) => {}
                ExecEvent::Ended(_) => break,
            }
        }
        StopVerdict::find(&answer, &self.token)
            .ok_or_else(|| HostError::new(Stage::Command, FailureClass::Channel, "no verdict from the host"))
    }

    /// A server that gives no second channel: the wrapper's keeper does the same when its line is closed, but
    /// cannot say how it went.
    async fn stop_by_keeper(&self, grace: Duration, why: &HostError) -> Stop {
        // Nothing is ever sent there in this mode, so there is room for the end of it.
        self.stdin.close().await;
        let main = match self.ended_within(grace + STOP_MARGIN).await {
            Some(Outcome::Failed(error)) => return Stop::Unconfirmed(error.message),
            Some(_) => "the command itself has ended",
            None => "the command has not ended",
        };
        Stop::Unconfirmed(format!("{main}, its children were not asked after: {}", why.message))
    }

    async fn stop_by_signal(&self, grace: Duration) -> Stop {
        for (signal, limit) in [("TERM", grace), ("KILL", Duration::from_secs(1))] {
            self.signals.send(signal);
            match (self.ended_within(limit).await, self.wrapping) {
                (None, _) => {}
                (Some(Outcome::Failed(error)), _) => return Stop::Unconfirmed(error.message),
                (Some(_), Wrapping::Raw) => return Stop::Confirmed,
                (Some(_), Wrapping::Shell) => {
                    return Stop::Unconfirmed("the command ended, its children are not known".to_owned());
                }
            }
        }
        Stop::Unconfirmed("the server did not act on the signal".to_owned())
    }

    /// How the command ends, if it does within `limit`.
    async fn ended_within(&self, limit: Duration) -> Option<Outcome> {
        let end = tokio::time::timeout(limit, self.side.ended()).await.ok()?;
        Some(outcome_of_end(end, self.session))
    }

    /// The command's process on its host; `None` when it ended without a word of it.
    async fn announced(&self) -> Option<RemoteProcess> {
        let mut remote = self.remote.clone();
        remote.wait_for(Option::is_some).await.ok().and_then(|process| process.clone())
    }
}

/// What the end of the channel means for the host.
pub(super) fn outcome_of_end(end: Result<ExecEnd, HostError>, session: &Session) -> Outcome {
    end.map_or_else(Outcome::Failed, |end| outcome_of(&end, session))
}

pub(super) fn outcome_of(end: &ExecEnd, session: &Session) -> Outcome {
    match &end.exit {
        Some(ExitReport::Status(code)) => Outcome::Exited(*code),
        Some(ExitReport::Signal(name)) => Outcome::Signalled(name.clone()),
        None if end.refused => Outcome::Failed(HostError::new(
            Stage::Channel,
            FailureClass::Channel,
            "the server refused to run the command",
        )),
        None if session.is_closed() => Outcome::Failed(session.lost(Stage::Command)),
        None => Outcome::Failed(HostError::new(
            Stage::Command,
            FailureClass::Lost,
            "the server closed the channel without an exit status",
        )),
    }
}
