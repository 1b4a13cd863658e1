//! One authenticated SSH session: run commands on it, watch that it lives, end it.
//!
//! Everything of russh that goes wrong by itself is held here: channels are always drained, writers are ended when
//! the channel closes, silence is noticed without the session loop's help. Must not know why a command is run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::Handle;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::handler::{SessionHandler, SessionNotes};
use super::jump::JumpRoute;
use super::spool::{Spool, SpoolBudget};
use super::wire::WireControl;
use crate::event::Stream;
use crate::outcome::{FailureClass, HostError, Stage};

/// How long a server that takes no byte holds our good-bye up.
const GOOD_BYE_LIMIT: Duration = Duration::from_secs(1);

/// When a silent server counts as lost: no byte for `interval` times `count` (ServerAliveInterval, -CountMax).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Liveness {
    pub(super) interval: Duration,
    pub(super) count: u32,
}

impl Liveness {
    /// The silence after which a server is lost: the keep-alives, and the time to answer the last one.
    fn limit(self) -> Duration {
        self.interval * (self.count + 1)
    }
}

/// An authenticated connection to a host. Dropping it closes the connection at once.
pub struct Session {
    handle: Handle<SessionHandler>,
    notes: Arc<SessionNotes>,
    wire: WireGuard,
    liveness: Option<Liveness>,
    spool_budget: Arc<SpoolBudget>,
    forwards_agent: bool,
    environment: Vec<(String, String)>,
    stage_limit: Option<Duration>,
    /// Keeps the jump host's session open for as long as this one runs through it.
    _route: Option<JumpRoute>,
}

/// Closes the wire when the last owner is gone, whatever russh's task is doing.
pub(super) struct WireGuard(pub(super) Arc<WireControl>);

impl Drop for WireGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What [`Session`] is made of, once logged in.
pub(super) struct SessionParts {
    pub(super) handle: Handle<SessionHandler>,
    pub(super) notes: Arc<SessionNotes>,
    pub(super) wire: WireGuard,
    pub(super) liveness: Option<Liveness>,
    pub(super) spool_budget: Arc<SpoolBudget>,
    pub(super) forwards_agent: bool,
    /// Variables of SendEnv and SetEnv, requested for every command; servers may ignore them.
    pub(super) environment: Vec<(String, String)>,
    /// Longest time for a stage, as the host's configuration has it.
    pub(super) stage_limit: Option<Duration>,
    pub(super) route: Option<JumpRoute>,
}

/// How a remote command ended, as the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReport {
    /// With this exit status.
    Status(u32),
    /// By this signal, named without `SIG`.
    Signal(String),
}

/// What comes from a running command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent {
    /// Bytes of its output.
    Output(Stream, Bytes),
    /// Nothing more will come.
    Ended(ExecEnd),
}

/// The end of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecEnd {
    /// The exit status or signal; `None` when the channel closed without one.
    pub exit: Option<ExitReport>,
    /// The server refused to run the command.
    pub refused: bool,
}

/// A command running on its own channel. Dropping it closes the channel.
pub struct Exec {
    spool: Arc<Spool>,
    end: watch::Receiver<Option<Result<ExecEnd, HostError>>>,
    answered: CancellationToken,
    signals: mpsc::UnboundedSender<&'static str>,
    stdin: mpsc::Sender<StdinMessage>,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
enum StdinMessage {
    Data(Bytes),
    Eof,
}

/// The standard input of a running command. Dropping it sends nothing; see [`ExecStdin::close`].
#[derive(Clone, Debug)]
pub struct ExecStdin(mpsc::Sender<StdinMessage>);

impl ExecStdin {
    /// Sends `bytes`; waits while the server's window is closed. `false` when the command takes no more.
    pub async fn send(&self, bytes: Bytes) -> bool {
        self.0.send(StdinMessage::Data(bytes)).await.is_ok()
    }

    /// Sends end of file, behind what was sent before.
    pub async fn close(&self) {
        let _ = self.0.send(StdinMessage::Eof).await;
    }
}

impl Session {
    pub(super) fn new(parts: SessionParts) -> Self {
        Self {
            handle: parts.handle,
            notes: parts.notes,
            wire: parts.wire,
            liveness: parts.liveness,
            spool_budget: parts.spool_budget,
            forwards_agent: parts.forwards_agent,
            environment: parts.environment,
            stage_limit: parts.stage_limit,
            _route: parts.route,
        }
    }

    /// Starts `command` (bytes for the login shell) on a channel of its own.
    ///
    /// # Errors
    /// [`FailureClass::Channel`] when the server opens no channel, [`FailureClass::Lost`] when the connection is gone.
    pub async fn exec(&self, command: &[u8]) -> Result<Exec, HostError> {
        let channel = self.handle.channel_open_session().await.map_err(|error| self.open_error(&error))?;
        let gone = |_| self.lost(Stage::Channel);
        for (name, value) in &self.environment {
            channel.set_env(false, name.as_str(), value.as_str()).await.map_err(gone)?;
        }
        if self.forwards_agent {
            channel.agent_forward(false).await.map_err(gone)?;
        }
        channel.exec(true, command).await.map_err(gone)?;
        let (reader, writer) = channel.split();
        Ok(Exec::start(reader, writer, Arc::new(Spool::new(Arc::clone(&self.spool_budget), Arc::clone(&self.wire.0)))))
    }

    /// Opens a TCP connection from the host to `name`:`port`.
    pub(super) async fn direct_tcpip(
        &self,
        name: &str,
        port: u16,
    ) -> Result<russh::Channel<russh::client::Msg>, HostError> {
        self.handle.channel_open_direct_tcpip(name, u32::from(port), "127.0.0.1", 0).await.map_err(
            |error| match error {
                russh::Error::ChannelOpenFailure(failure) => HostError::new(
                    Stage::Connect,
                    FailureClass::Refused,
                    format!("through the jump host: {}", super::error::describe_open_failure(&failure)),
                ),
                _ => self.lost(Stage::Connect),
            },
        )
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Longest time for a stage on this host.
    pub(super) fn stage_limit(&self) -> Option<Duration> {
        self.stage_limit
    }

    /// Whether the server has been silent for too long, as [`Self::until_silent`] waits for.
    pub(super) fn is_silent(&self) -> bool {
        self.liveness.is_some_and(|liveness| self.wire.0.silence() >= liveness.limit())
    }

    /// Why the connection ended, or that it did.
    pub fn lost(&self, stage: Stage) -> HostError {
        let reason = self.notes.disconnect().unwrap_or_else(|| "connection closed by the server".to_owned());
        HostError::new(stage, FailureClass::Lost, reason)
    }

    /// Waits until the server has been silent for too long; for ever when `ServerAliveInterval` is off. Silence that
    /// we cause by not reading does not count.
    pub async fn until_silent(&self) -> HostError {
        let Some(liveness) = self.liveness else { return std::future::pending().await };
        let Liveness { interval, count } = liveness;
        let limit = liveness.limit();
        loop {
            let silence = self.wire.0.silence();
            if silence >= limit {
                let text = format!("no answer to keep-alives for {}", humantime::format_duration(interval * count));
                return HostError::new(Stage::Command, FailureClass::Lost, text);
            }
            tokio::time::sleep((limit - silence).min(interval)).await;
        }
    }

    /// Says good-bye and closes the connection. Dropping the session without it cuts the connection, which servers log
    /// as a loss.
    pub async fn disconnect(self) {
        let Self { handle, wire, .. } = self;
        let good_bye = async {
            // Only queues the message; the session loop ends when it is sent, and not before may the wire be closed.
            if handle.disconnect(russh::Disconnect::ByApplication, "", "").await.is_ok() {
                let _ = handle.await;
            }
        };
        let _ = tokio::time::timeout(GOOD_BYE_LIMIT, good_bye).await;
        drop(wire);
    }

    fn open_error(&self, error: &russh::Error) -> HostError {
        match error {
            russh::Error::ChannelOpenFailure(failure) => {
                let reason = super::error::describe_open_failure(failure);
                HostError::new(Stage::Channel, FailureClass::Channel, format!("no session: {reason}"))
            }
            _ => self.lost(Stage::Channel),
        }
    }
}

impl Exec {
    fn start(mut reader: ChannelReadHalf, writer: ChannelWriteHalf<russh::client::Msg>, spool: Arc<Spool>) -> Self {
        let (end_sender, end) = watch::channel(None);
        let (signals, signal_receiver) = mpsc::unbounded_channel();
        let (stdin, stdin_receiver) = mpsc::channel(4);
        let closed = CancellationToken::new();
        tokio::spawn(write(writer, stdin_receiver, signal_receiver, closed.clone()));
        let draining = Arc::clone(&spool);
        let answered = CancellationToken::new();
        let answer = answered.clone();
        let reader = tokio::spawn(async move {
            let end = drain(&mut reader, &draining, &answer).await;
            answer.cancel();
            closed.cancel();
            let _ = end_sender.send(Some(end));
        });
        Self { spool, end, answered, signals, stdin, reader }
    }

    /// Waits until the server has answered the request, or has sent anything else.
    pub(super) async fn answered(&self) {
        self.answered.cancelled().await;
    }

    /// The next thing that the command says; after [`ExecEvent::Ended`] nothing comes. Safe to cancel.
    ///
    /// # Errors
    /// When output could not be kept on this machine's disk.
    pub async fn next(&mut self) -> Result<ExecEvent, HostError> {
        loop {
            // Looked at before the queue: what was pushed before the end is then surely seen.
            let end = self.end.borrow_and_update().clone();
            if let Some((stream, bytes)) = self.spool.try_pop().map_err(|error| spool_error(&error))? {
                return Ok(ExecEvent::Output(stream, bytes));
            }
            if let Some(end) = end {
                return end.map(ExecEvent::Ended);
            }
            tokio::select! {
                () = self.spool.changed() => {}
                changed = self.end.changed() => if changed.is_err() && self.end.borrow().is_none() {
                    return Ok(ExecEvent::Ended(ExecEnd { exit: None, refused: false }));
                }
            }
        }
    }

    /// The command's standard input.
    pub fn stdin(&self) -> ExecStdin {
        ExecStdin(self.stdin.clone())
    }

    /// What can be known and done beside the output.
    pub(super) fn side(&self) -> ExecSide {
        ExecSide { spool: Arc::clone(&self.spool), end: self.end.clone() }
    }

    /// What sends signals to the command.
    pub fn signals(&self) -> ExecSignals {
        ExecSignals(self.signals.downgrade())
    }
}

/// A running command seen beside its output, which somebody may be slow to take.
pub(super) struct ExecSide {
    spool: Arc<Spool>,
    end: watch::Receiver<Option<Result<ExecEnd, HostError>>>,
}

impl ExecSide {
    /// Waits for the end of the channel, which may be long before the last of the output is taken.
    pub(super) async fn ended(&self) -> Result<ExecEnd, HostError> {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(end)) => end.clone(),
            _ => Ok(ExecEnd { exit: None, refused: false }),
        }
    }

    /// From now on output that nobody takes may be lost, where keeping it would mean not to hear the host.
    pub(super) fn let_excess_go(&self) {
        self.spool.let_excess_go();
    }
}

/// Sends signals to a running command, by the SSH signal request (RFC 4254 section 6.9).
#[derive(Clone, Debug)]
pub struct ExecSignals(mpsc::WeakUnboundedSender<&'static str>);

impl ExecSignals {
    /// Asks the server to deliver the signal. There is no answer, and servers may ignore it.
    pub fn send(&self, name: &'static str) {
        if let Some(signals) = self.0.upgrade() {
            let _ = signals.send(name);
        }
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Moves everything that comes into the spool, so that the session loop never waits for us, and remembers the end.
/// The exit status may come before or after end of file, or never.
async fn drain(
    reader: &mut ChannelReadHalf,
    spool: &Spool,
    answered: &CancellationToken,
) -> Result<ExecEnd, HostError> {
    let mut end = ExecEnd { exit: None, refused: false };
    let mut eof = false;
    while let Some(message) = reader.wait().await {
        // A new window is no answer: OpenSSH sends one before it has looked at the request.
        if !matches!(message, ChannelMsg::WindowAdjusted { .. }) {
            answered.cancel();
        }
        match message {
            ChannelMsg::Data { data } => {
                spool.push(Stream::Stdout, data).map_err(|error| spool_error(&error))?;
            }
            ChannelMsg::ExtendedData { data, ext: 1 } => {
                spool.push(Stream::Stderr, data).map_err(|error| spool_error(&error))?;
            }
            ChannelMsg::ExitStatus { exit_status } => end.exit = Some(ExitReport::Status(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => {
                end.exit = Some(ExitReport::Signal(signal_name_of(&signal_name)))
            }
            ChannelMsg::Failure => {
                end.refused = true;
                break;
            }
            ChannelMsg::Eof => eof = true,
            ChannelMsg::Close => break,
            _ => {}
        }
        if eof && end.exit.is_some() {
            break;
        }
    }
    Ok(end)
}

/// Writes standard input and signals until the channel is closed from there (`closed`) or from here (the sender of
/// signals is gone). A write that waits for the server's window does not learn of either by itself.
async fn write(
    writer: ChannelWriteHalf<russh::client::Msg>,
    mut stdin: mpsc::Receiver<StdinMessage>,
    mut signals: mpsc::UnboundedReceiver<&'static str>,
    closed: CancellationToken,
) {
    let copying = async {
        while let Some(message) = stdin.recv().await {
            let sent = match message {
                StdinMessage::Data(bytes) => writer.data_bytes(bytes).await,
                StdinMessage::Eof => writer.eof().await,
            };
            if sent.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let signalling = async {
        while let Some(name) = signals.recv().await {
            let _ = writer.signal(signal_of(name)).await;
        }
    };
    tokio::select! {
        () = copying => {}
        () = signalling => {}
        () = closed.cancelled() => {}
    }
    let _ = writer.close().await;
}

fn spool_error(error: &std::io::Error) -> HostError {
    HostError::local(format!("cannot keep its output in the temporary folder: {}", super::error::describe_io(error)))
        .with_hint("free space where TMPDIR points, or point it elsewhere")
}

fn signal_of(name: &'static str) -> Sig {
    match name {
        "TERM" => Sig::TERM,
        "KILL" => Sig::KILL,
        "INT" => Sig::INT,
        "HUP" => Sig::HUP,
        other => Sig::Custom(other.to_owned()),
    }
}

fn signal_name_of(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}
