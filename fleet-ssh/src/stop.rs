//! How a running command is fed, kept and stopped for certain: the half of it that is not its output.
//!
//! Must not know when it is to be stopped.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, watch};

use super::command::{CommandRun, OutputSink, StdinFeed, Wrapping};
use super::exec::{Exec, ExecEnd, ExecEvent, ExecSide, ExecSignals, ExecStdin, ExitReport};
use super::remote::{self, Program, RemoteProcess, StdinMode, StopVerdict, Token};
use super::session::Session;
use super::sftp_greeting::Greeter;
use super::sudo::Sudo;
use super::terminal::Terminal;
use fleet_core::event::Stream;
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage, Stop};

/// How long the wrapper may take to say its process id before a stop goes on without it.
const ANNOUNCEMENT_LIMIT: Duration = Duration::from_secs(2);
/// What a stop may take beyond the grace period on a busy host: to look at all processes, many times.
const STOP_MARGIN: Duration = Duration::from_secs(15);
/// How long a channel, a shell and, where it is in the way, `sudo` may take.
const STOPPER_START_LIMIT: Duration = Duration::from_secs(15);
/// How long the stopper may be silent: a shell, a pause of a second and a look at the processes. On a busy host each look
/// takes long, and there are many in a grace period: so the host's signs of life count more than the time of all.
const STOPPER_SILENCE_LIMIT: Duration = Duration::from_secs(10);
/// How many times as long as planned the stopper may take, signs of life or not.
const STOPPER_SLOWNESS: u32 = 4;
/// The pauses before a server whose one session has ended is asked for the next. OpenSSH makes room only after it has
/// answered what came together with our close, and refuses when that is the question.
const ROOM_PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(500)];
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
    /// Who runs it: signals of the user who logged in do not reach its processes, so whatever stops them is run so too.
    pub(super) sudo: Option<&'a Sudo>,
    pub(super) terminal: Option<&'a Terminal>,
    pub(super) remote: watch::Receiver<Option<RemoteProcess>>,
    /// Finds out that no command is there.
    pub(super) greeter: Greeter,
    pub(super) side: ExecSide,
    /// The second channel that tells the host of our death, where there is one. Locked while it is being started: who is
    /// refused another channel meanwhile, waits for it.
    pub(super) keeper: Mutex<Option<Exec>>,
}

impl Process<'_> {
    /// Feeds standard input; returns only when that fails. The wrapper's control line must stay open, so without input
    /// nothing is closed there.
    pub(super) async fn feed<F: StdinFeed>(&self, run: &CommandRun<'_, F>) -> HostError {
        // What is typed before the command is there, the user's shell may take for its own.
        let is_early = self.terminal.is_some() && self.wrapping == Wrapping::Shell;
        if is_early && self.announced().await.is_none() {
            return std::future::pending().await;
        }
        let fed = match (&run.stdin, self.wrapping) {
            (Some(feed), _) => feed.feed(self.stdin.clone()).await,
            (None, _) if self.terminal.is_some() => {
                self.stdin.close().await;
                Ok(())
            }
            (None, Wrapping::Raw) => {
                self.stdin.close().await;
                Ok(())
            }
            (None, Wrapping::Shell) => {
                // With sudo it would be a password, and something of ours has run there before.
                if self.sudo.is_none() && self.stdin_mode == StdinMode::Closed {
                    self.greeter.greet_unless(self.announced(), &self.stdin).await;
                }
                Ok(())
            }
        };
        match fed {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    }

    /// Where standard input is the command's own, the line that tells the host of our death is a second channel.
    ///
    /// On a terminal it returns only when the command has ended and that line has said so.
    pub(super) async fn keep<F>(&self, run: &CommandRun<'_, F>, sink: &impl OutputSink) {
        if run.wrapping == Wrapping::Raw || run.command.stdin == StdinMode::Closed {
            return;
        }
        let process = tokio::select! {
            biased;
            process = self.announced() => process,
            _ = self.side.ended() => None,
        };
        let Some(process) = process else { return };
        let mut place = self.keeper.lock().await;
        // Boxed, as most commands have no such channel and would keep its place.
        match Box::pin(self.start_keeper(&process, run.limits.grace)).await {
            Ok(keeper) => {
                tracing::debug!("a keeper watches over the command");
                *place = Some(keeper);
                drop(place);
            }
            Err(error) => {
                drop(place);
                let text = format!("nobody watches over the command: if we die, it may run on ({})", error.message);
                sink.note(text).await;
            }
        }
        if self.terminal.is_some() {
            let _ = self.side.ended().await;
            self.release_keeper().await;
        }
    }

    /// Returns when the keeper has said that it is there: a program that was sent may never arrive if we die.
    async fn start_keeper(&self, process: &RemoteProcess, grace: Duration) -> Result<Exec, HostError> {
        let program = match self.terminal {
            None => remote::keeper_program(process, &self.token, grace),
            Some(_) => remote::terminal_keeper_program(process, &self.token, grace),
        };
        let mut keeper = self.start_beside(&program).await?;
        let mut said = Vec::new();
        while !remote::keeper_watches(&said, &self.token) {
            match keeper.next().await? {
                ExecEvent::Output(Stream::Stdout, bytes) if said.len() < ANSWER_LIMIT => said.extend_from_slice(&bytes),
                ExecEvent::Output(..) => {}
                ExecEvent::Ended(_) => {
                    return Err(HostError::new(Stage::Command, FailureClass::Channel, "it ended at once"));
                }
            }
        }
        Ok(keeper)
    }

    /// Tells the keeper that the command has ended by itself.
    async fn release_keeper(&self) {
        let Some(keeper) = self.keeper.lock().await.take() else { return };
        keeper.stdin().send(Bytes::from_static(remote::RELEASE)).await;
        keeper.stdin().close().await;
        let _ = keeper.side().ended().await;
    }

    /// Runs `program` on a channel of its own, as the user who runs the command; where that takes `sudo`, which may want
    /// one, on a terminal if the command is on one.
    async fn start_beside(&self, program: &Program) -> Result<Exec, HostError> {
        let Some(sudo) = self.sudo else { return self.session.exec(&program.command_line()).await };
        let mut exec = sudo.start(self.session, self.terminal, &self.token).await?;
        let marks = if self.terminal.is_some() { Stream::Stdout } else { Stream::Stderr };
        let _said = sudo.pass(&mut exec, self.session, &self.token, program.input_line().into(), marks).await?;
        Ok(exec)
    }

    /// Ends the command and its children, and says what it knows of them then.
    pub(super) async fn stop(&self, grace: Duration) -> Stop {
        // Boxed, as every command that runs would keep its place, and few are stopped.
        Box::pin(self.stop_by_all_means(grace)).await
    }

    async fn stop_by_all_means(&self, grace: Duration) -> Stop {
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
        let why = match self.ask_to_stop(process, grace).await {
            Err(error) if is_refusal(&error) => error.message,
            asked => return stop_of(asked),
        };
        // No second channel: then the command's own must end first, which makes room for one.
        let ended = match self.stdin_mode {
            StdinMode::Closed => self.end_by_keeper(grace).await,
            StdinMode::Passed => self.end_by_signal(grace).await,
        };
        let known = match ended {
            Ok(End::Ended) => "the command itself has ended, its children were not asked after",
            Ok(End::NotEnded) => {
                // Its children may be all that keep the channel open.
                self.side.close();
                "the command has not ended"
            }
            Err(lost) => return Stop::Unconfirmed(lost),
        };
        for pause in ROOM_PAUSES {
            tokio::time::sleep(pause).await;
            match self.ask_to_stop(process, grace).await {
                Err(error) if is_refusal(&error) => {}
                asked => return stop_of(asked),
            }
        }
        Stop::Unconfirmed(format!("{known}: {why}"))
    }

    /// Runs the stopper on a channel of its own, or the keeper where that has the only other one.
    ///
    /// # Errors
    /// When there is no channel for it, no verdict from the host, or no host any more.
    async fn ask_to_stop(&self, process: &RemoteProcess, grace: Duration) -> Result<StopVerdict, HostError> {
        let starting = async {
            let program = remote::stop_program(process, &self.token, grace);
            match self.start_beside(&program).await {
                Ok(stopper) => Ok(stopper),
                Err(error) => {
                    let keeper = self.keeper.lock().await.take().ok_or(error)?;
                    keeper.stdin().close().await;
                    Ok(keeper)
                }
            }
        };
        let mut stopper = in_time(STOPPER_START_LIMIT, starting).await?;
        let answer = in_time((grace + STOP_MARGIN) * STOPPER_SLOWNESS, answer(&mut stopper)).await?;
        StopVerdict::find(&answer, &self.token)
            .ok_or_else(|| HostError::new(Stage::Command, FailureClass::Channel, "no verdict from the host"))
    }

    /// The wrapper's keeper stops the command and its children when its line is closed, but cannot say how it went.
    async fn end_by_keeper(&self, grace: Duration) -> Result<End, String> {
        // Nothing is ever sent there in this mode, so there is room for the end of it.
        self.stdin.close().await;
        self.end_within(grace + STOP_MARGIN).await
    }

    async fn end_by_signal(&self, grace: Duration) -> Result<End, String> {
        for (signal, limit) in [("TERM", grace), ("KILL", Duration::from_secs(1))] {
            self.signals.send(signal);
            if self.end_within(limit).await? == End::Ended {
                return Ok(End::Ended);
            }
        }
        Ok(End::NotEnded)
    }

    /// For a command of which nothing but its channel is known.
    async fn stop_by_signal(&self, grace: Duration) -> Stop {
        match (self.end_by_signal(grace).await, self.wrapping) {
            (Err(lost), _) => Stop::Unconfirmed(lost),
            (Ok(End::NotEnded), _) => Stop::Unconfirmed("the server did not act on the signal".to_owned()),
            (Ok(End::Ended), Wrapping::Raw) => Stop::Confirmed,
            (Ok(End::Ended), Wrapping::Shell) => {
                Stop::Unconfirmed("the command ended, its children are not known".to_owned())
            }
        }
    }

    /// Whether the command ends within `limit`, and its channel with it.
    ///
    /// # Errors
    /// When the connection ends, or the channel without a word about the command.
    async fn end_within(&self, limit: Duration) -> Result<End, String> {
        let Ok(end) = tokio::time::timeout(limit, self.side.ended()).await else { return Ok(End::NotEnded) };
        match outcome_of_end(end, self.session) {
            Outcome::Failed(error) => Err(error.message),
            _ => Ok(End::Ended),
        }
    }

    /// The command's process on its host; `None` when it ended without a word of it.
    async fn announced(&self) -> Option<RemoteProcess> {
        let mut remote = self.remote.clone();
        remote.wait_for(Option::is_some).await.ok().and_then(|process| process.clone())
    }
}

/// What has become of the command itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ended,
    NotEnded,
}

/// All that is said on standard output, or the beginning of it.
///
/// # Errors
/// When the host is silent for long; what it says beyond the beginning is no sign of life.
async fn answer(exec: &mut Exec) -> Result<Vec<u8>, HostError> {
    let mut answer = Vec::new();
    while answer.len() < ANSWER_LIMIT {
        match in_time(STOPPER_SILENCE_LIMIT, exec.next()).await? {
            ExecEvent::Output(Stream::Stdout, bytes) => answer.extend_from_slice(&bytes),
            ExecEvent::Output(..) => {}
            ExecEvent::Ended(_) => break,
        }
    }
    Ok(answer)
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, HostError>>) -> Result<T, HostError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(HostError::new(Stage::Command, FailureClass::Timeout, "the host did not answer")))
}

/// Whether the host is there, and another way may be found to it.
fn is_refusal(error: &HostError) -> bool {
    !matches!(error.class, FailureClass::Lost | FailureClass::Timeout)
}

fn stop_of(asked: Result<StopVerdict, HostError>) -> Stop {
    asked.map_or_else(|error| Stop::Unconfirmed(error.message), Stop::from)
}

impl From<StopVerdict> for Stop {
    fn from(verdict: StopVerdict) -> Self {
        match verdict {
            StopVerdict::Gone => Self::Confirmed,
            StopVerdict::Left(pids) => {
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                Self::Unconfirmed(format!("left on the host: process {}", pids.join(", ")))
            }
            StopVerdict::Unknown => Self::Unconfirmed("the host does not show all its processes".to_owned()),
        }
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
