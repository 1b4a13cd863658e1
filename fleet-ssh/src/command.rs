//! A command on a host: started through the shell wrapper, watched, and stopped for certain.
//!
//! Deadlines and cancellation act beside the output, never behind it: a terminal that is paused does not delay them.
//! Must not know where the output goes.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::FusedFuture;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::deadline::within;
use super::exec::{Exec, ExecEvent, ExecStdin};
use super::remote::{self, Announcement, RemoteCommand, RemoteProcess, Token, WrapError};
use super::session::Session;
use super::sftp_greeting::{Answered, Answerer, runs_no_commands};
use super::stop::{Process, outcome_of, outcome_of_end};
use super::sudo::Sudo;
use super::terminal::{Terminal, Typing};
use fleet_core::event::{Stream, Transferred};
use fleet_core::outcome::{HostError, LastOutput, Outcome, SkipCause, Stage, Stop, StopCause};

/// How long the last output of a stopped command is waited for.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// How long the keeper of a command on a terminal may take to hear that the command has ended.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// The longest command that is sent as it is: OpenSSH takes packets of 256 KiB (`PACKET_MAX_SIZE`), this one with its
/// header, and drops the connection at a longer one.
const LONGEST_RAW: usize = (256 << 10) - 256;
const TOO_LONG_HINT: &str = "send a long script as input instead: -I 'sh -s' < SCRIPT";

/// How the command reaches the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// Inside the POSIX shell wrapper: variables arrive, and the command can be stopped with all its children.
    Shell,
    /// As it is, for servers without a POSIX shell. Stopped by SSH signals only.
    Raw,
}

/// When a running command is to be stopped.
#[derive(Clone, Copy, Debug)]
pub struct CommandLimits {
    /// Longest time in all.
    pub timeout: Option<Duration>,
    /// Longest time without a byte of output.
    pub stall: Option<Duration>,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// For opening the channel and starting the command; without one that of the session's stages.
    pub channel: Option<Duration>,
}

/// Takes the output of one host.
pub trait OutputSink: Send + Sync {
    /// The server runs the command.
    fn started(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// The command has announced itself: a shell of ours runs on the host. A command inside the shell wrapper that ends
    /// without it has not run, whatever its exit status.
    fn announced(&self) {}

    /// Takes a chunk; may wait.
    fn output(&self, stream: Stream, bytes: Bytes) -> impl Future<Output = ()> + Send;

    /// So much of what the command is sent has been taken.
    fn progress(&self, _so_far: Transferred) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Something worth a remark happened.
    fn note(&self, text: String) -> impl Future<Output = ()> + Send {
        async move { tracing::info!("{text}") }
    }
}

/// Feeds standard input to one host.
pub trait StdinFeed: Send + Sync {
    /// Sends everything and then end of file; returns early when the command takes no more.
    ///
    /// # Errors
    /// When there is more that cannot be read. End of file must not have been sent then.
    fn feed(&self, stdin: ExecStdin) -> impl Future<Output = Result<(), HostError>> + Send;
}

/// No standard input: end of file at once.
#[derive(Clone, Copy, Debug)]
pub struct NoStdin;

impl StdinFeed for NoStdin {
    async fn feed(&self, _: ExecStdin) -> Result<(), HostError> {
        Ok(())
    }
}

/// A command to be run and everything that governs it.
#[derive(Clone, Copy, Debug)]
pub struct CommandRun<'a, F> {
    /// What to run, with its variables.
    pub command: &'a RemoteCommand,
    /// How it reaches the host.
    pub wrapping: Wrapping,
    /// When it is to be stopped.
    pub limits: &'a CommandLimits,
    /// Cancelled when the run is to end.
    pub cancel: &'a CancellationToken,
    /// What feeds its standard input; without one it gets end of file at once.
    pub stdin: Option<F>,
    /// Who runs it instead of the user who logged in. Not without the shell wrapper.
    pub sudo: Option<&'a Sudo>,
    /// A terminal for it; its input is the terminal then ([`remote::StdinMode::Passed`]), its output one stream.
    pub terminal: Option<&'a Terminal>,
}

/// Runs a command on `session` until it ends, is cancelled or runs into a limit. Dropping the future closes the
/// channel, upon which the wrapper ends the remote processes by itself.
pub async fn run_command<F: StdinFeed>(session: &Session, run: CommandRun<'_, F>, sink: &impl OutputSink) -> Outcome {
    // Steps of their own share the room in the future, which is there for as long as the command runs.
    match start_unless_cancelled(session, &run, sink).await {
        Ok((output, process)) => watch_over(session, &run, sink, output, &process).await,
        Err(outcome) => outcome,
    }
}

async fn start_unless_cancelled<'a, F>(
    session: &'a Session,
    run: &CommandRun<'a, F>,
    sink: &impl OutputSink,
) -> Result<(Output, Process<'a>), Outcome> {
    tokio::select! {
        started = start(session, run, sink) => started.map_err(Outcome::Failed),
        () = run.cancel.cancelled() => Err(Outcome::Skipped(SkipCause::Interrupted)),
        error = session.until_silent() => Err(Outcome::Failed(error)),
    }
}

/// Moves the output of a running command, feeds and keeps it until it ends, and stops it when it is time.
async fn watch_over<F: StdinFeed>(
    session: &Session,
    run: &CommandRun<'_, F>,
    sink: &impl OutputSink,
    mut output: Output,
    process: &Process<'_>,
) -> Outcome {
    let (limits, cancel) = (run.limits, run.cancel);
    let activity = Activity::new();
    let stopping = AtomicBool::new(false);
    let control = async {
        let interruption = tokio::select! {
            biased;
            end = process.side.ended() => {
                // It ended by itself: no limit applies any more, and only a cancelled run does not wait for its output.
                cancel.cancelled().await;
                return outcome_of_end(end, session);
            }
            error = session.until_silent() => return Outcome::Failed(error),
            error = process.feed(run) => Interruption::Input(error),
            cause = activity.stop_cause(limits, cancel) => Interruption::Stop(cause),
        };
        stopping.store(true, Ordering::SeqCst);
        let stop = process.stop(limits.grace).await;
        interruption.outcome(stop)
    };
    let keep = process.keep(run, sink).fuse();
    let pump = output.pump(session, limits.channel, sink, &activity);
    tokio::pin!(control, keep, pump);
    let first = async {
        tokio::select! {
            pumped = &mut pump => First::Output(pumped),
            outcome = &mut control => First::Control(outcome),
        }
    };
    match kept(keep.as_mut(), first).await {
        First::Output(_) if stopping.load(Ordering::SeqCst) => {
            with_last_output(kept(keep, control).await, &activity, process)
        }
        First::Output(Ok(outcome)) => {
            if run.terminal.is_some() && !keep.is_terminated() {
                let _ = tokio::time::timeout(RELEASE_LIMIT, keep).await;
            }
            outcome
        }
        First::Output(Err(error)) => Interruption::Output(error).outcome(kept(keep, process.stop(limits.grace)).await),
        First::Control(outcome) => {
            let _ = tokio::time::timeout(LAST_OUTPUT, pump).await;
            with_last_output(outcome, &activity, process)
        }
    }
}

/// What comes to its end first.
enum First {
    Output(Result<Outcome, HostError>),
    Control(Outcome),
}

/// Does the work while `keep` goes on: to stop a command may need the keeper that is just being started.
async fn kept<T>(mut keep: Pin<&mut impl FusedFuture<Output = ()>>, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = &mut keep, if !keep.is_terminated() => {}
        }
    }
}

/// What makes us stop a command that runs.
enum Interruption {
    Stop(StopCause),
    /// Our standard input cannot be read to its end: the command must not take what came for all of it.
    Input(HostError),
    /// Its output cannot be kept.
    Output(HostError),
}

impl Interruption {
    fn outcome(self, stop: Stop) -> Outcome {
        match self {
            Self::Stop(cause) => Outcome::Stopped { cause, stop, output: LastOutput::Complete },
            Self::Input(error) | Self::Output(error) => {
                let message = format!("{}; the command: {stop}", error.message);
                Outcome::Failed(HostError { message, ..error })
            }
        }
    }
}

/// Says it when some of a stopped command's output was not taken.
fn with_last_output(outcome: Outcome, activity: &Activity, process: &Process<'_>) -> Outcome {
    match outcome {
        Outcome::Stopped { cause, stop, .. } if activity.is_in_sink() || process.side.has_lost_output() => {
            Outcome::Stopped { cause, stop, output: LastOutput::Cut }
        }
        outcome => outcome,
    }
}

/// The output half of a running command.
struct Output {
    exec: Exec,
    announcement: Option<Announcement>,
    answerer: Answerer,
    /// Where the announcement comes.
    marks: Stream,
    remote: watch::Sender<Option<RemoteProcess>>,
}

fn not_wrapped(error: &WrapError) -> HostError {
    let failed = HostError::local(error.to_string());
    match error {
        WrapError::TooLong { .. } => failed.with_hint(TOO_LONG_HINT),
        _ => failed,
    }
}

fn raw(command: &RemoteCommand) -> Result<Vec<u8>, HostError> {
    let len = command.command.len();
    if len > LONGEST_RAW {
        let message = format!("the command is too long: {len} bytes, and at most {LONGEST_RAW} can be sent");
        return Err(HostError::local(message).with_hint(TOO_LONG_HINT));
    }
    Ok(command.command.clone())
}

async fn start<'a, F>(
    session: &'a Session,
    run: &CommandRun<'a, F>,
    sink: &impl OutputSink,
) -> Result<(Output, Process<'a>), HostError> {
    let token = Token::new(rand::random());
    let limit = run.limits.channel.or(session.stage_limit());
    let marks = if run.terminal.is_some() { Stream::Stdout } else { Stream::Stderr };
    let exec = match run.sudo {
        None => within(limit, Stage::Channel, pin!(open(session, run, &token))).await?,
        Some(sudo) => {
            let program = remote::wrap_for_sudo(run.command, &token).map_err(|error| not_wrapped(&error))?;
            let starting = sudo.start(session, run.terminal, &token);
            let mut exec = within(limit, Stage::Channel, pin!(starting)).await?;
            for (stream, bytes) in sudo.pass(&mut exec, session, &token, program.into(), marks).await? {
                sink.output(stream, bytes).await;
            }
            exec
        }
    };
    let announcement = (run.wrapping == Wrapping::Shell).then(|| Announcement::new(&token));
    let (remote_sender, remote) = watch::channel(None);
    let answerer = Answerer::new(rand::random());
    let process = Process {
        session,
        signals: exec.signals(),
        stdin: exec.stdin(),
        token,
        wrapping: run.wrapping,
        stdin_mode: run.command.stdin,
        sudo: run.sudo,
        terminal: run.terminal,
        remote,
        greeter: answerer.greeter(),
        side: exec.side(),
        keeper: Mutex::default(),
    };
    Ok((Output { exec, announcement, answerer, marks, remote: remote_sender }, process))
}

/// Starts the command on a channel, as the user who logged in.
async fn open<F>(session: &Session, run: &CommandRun<'_, F>, token: &Token) -> Result<Exec, HostError> {
    let text = match run.wrapping {
        Wrapping::Raw => raw(run.command)?,
        Wrapping::Shell => remote::wrap(run.command, token).map_err(|error| not_wrapped(&error))?,
    };
    match run.terminal {
        None => session.exec(&text).await,
        Some(terminal) => session.exec_on_terminal(&text, terminal, Typing::Edited).await,
    }
}

impl Output {
    /// Moves the output to `sink` until the command has ended.
    ///
    /// # Errors
    /// When the server does not answer, or output that nobody takes yet cannot be kept. The command may still run then.
    async fn pump(
        &mut self,
        session: &Session,
        channel_limit: Option<Duration>,
        sink: &impl OutputSink,
        activity: &Activity,
    ) -> Result<Outcome, HostError> {
        let answered = async {
            self.exec.answered().await;
            Ok(())
        };
        within(channel_limit.or(session.stage_limit()), Stage::Channel, answered).await?;
        sink.started().await;
        let outcome = loop {
            match self.exec.next().await {
                Ok(ExecEvent::Output(stream, bytes)) => {
                    let Some(bytes) = self.of_the_command(stream, bytes, sink) else {
                        return Ok(Outcome::Failed(runs_no_commands()));
                    };
                    activity.begin_output();
                    if !bytes.is_empty() {
                        sink.output(stream, bytes).await;
                    }
                    activity.end_output();
                }
                Ok(ExecEvent::Ended(end)) => break outcome_of(&end, session),
                Err(error) => return Err(error),
            }
        };
        let held = self.announcement.take().map(|mut announcement| announcement.finish());
        for (stream, rest) in [(Stream::Stdout, self.answerer.rest()), (self.marks, held.unwrap_or_default())] {
            if !rest.is_empty() {
                sink.output(stream, rest).await;
            }
        }
        Ok(outcome)
    }

    /// What of the output is the command's own; `None` when there is no command, and an SFTP server answers.
    fn of_the_command(&mut self, stream: Stream, bytes: Bytes, sink: &impl OutputSink) -> Option<Bytes> {
        let bytes = self.without_announcement(stream, bytes, sink);
        match stream {
            Stream::Stdout if self.marks == Stream::Stderr => match self.answerer.feed(bytes) {
                Answered::Perhaps(bytes) => Some(bytes),
                Answered::BySftp => None,
            },
            _ => Some(bytes),
        }
    }

    /// Takes the wrapper's first line out of the output and remembers the process id in it.
    fn without_announcement(&mut self, stream: Stream, bytes: Bytes, sink: &impl OutputSink) -> Bytes {
        let Some(announcement) = self.announcement.as_mut().filter(|_| stream == self.marks) else { return bytes };
        let (rest, process) = announcement.feed(bytes);
        if process.is_some() {
            self.remote.send_replace(process);
            self.announcement = None;
            sink.announced();
        }
        rest
    }
}
