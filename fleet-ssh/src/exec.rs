//! One running command's channel: its output, always drained, its input, its signals, its end.
//!
//! Everything of russh that goes wrong with channels by itself is held here. Must not know why a command is run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::spool::Spool;
use super::terminal;
use fleet_core::event::Stream;
use fleet_core::outcome::HostError;

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
    closed: CancellationToken,
}

/// How the end of a command's standard input is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputEnd {
    /// By the end of the channel's data.
    Eof,
    /// By a key, on a terminal.
    Typed,
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

    /// Sends end of file, behind what was sent before; on a terminal, types Ctrl-D.
    pub async fn close(&self) {
        let _ = self.0.send(StdinMessage::Eof).await;
    }
}

impl Exec {
    pub(super) fn start(
        mut reader: ChannelReadHalf,
        writer: ChannelWriteHalf<russh::client::Msg>,
        spool: Arc<Spool>,
        input_end: InputEnd,
    ) -> Self {
        let (end_sender, end) = watch::channel(None);
        let (signals, signal_receiver) = mpsc::unbounded_channel();
        let (stdin, stdin_receiver) = mpsc::channel(4);
        let closed = CancellationToken::new();
        let writing = tokio::spawn(write(writer, input_end, stdin_receiver, signal_receiver, closed.clone()));
        let draining = Arc::clone(&spool);
        let answered = CancellationToken::new();
        let (answer, closing) = (answered.clone(), closed.clone());
        let reader = tokio::spawn(async move {
            let end = drain(&mut reader, &draining, &answer).await;
            answer.cancel();
            closing.cancel();
            // Our close is on its way before anybody hears of the end, and opens the next channel: some servers have one.
            let _ = tokio::time::timeout(LINGER, writing).await;
            let _ = end_sender.send(Some(end));
        });
        Self { spool, end, answered, signals, stdin, reader, closed }
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
        ExecSide { spool: Arc::clone(&self.spool), end: self.end.clone(), closed: self.closed.clone() }
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
    closed: CancellationToken,
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

    /// Closes the channel, whatever the command may still say there.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// From now on output that nobody takes may be lost, where keeping it would mean not to hear the host.
    pub(super) fn let_excess_go(&self) {
        self.spool.let_excess_go();
    }

    /// Whether output was lost in that way.
    pub(super) fn has_lost_output(&self) -> bool {
        self.spool.has_lost_some()
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

/// After end of file and exit status only the close is missing, which some servers never send. The others send it at
/// once, behind what they may have to say against the rules.
const LINGER: Duration = Duration::from_secs(1);

/// Moves everything that comes into the spool, so that the session loop never waits for us, and remembers the end.
/// The exit status may come before or after end of file, or never.
async fn drain(
    reader: &mut ChannelReadHalf,
    spool: &Spool,
    answered: &CancellationToken,
) -> Result<ExecEnd, HostError> {
    let mut end = ExecEnd { exit: None, refused: false };
    let mut eof = false;
    loop {
        let is_complete = eof && end.exit.is_some();
        let limit = if is_complete { LINGER } else { Duration::MAX };
        let Ok(Some(message)) = tokio::time::timeout(limit, reader.wait()).await else { break };
        // A new window is no answer: OpenSSH sends one before it has looked at the request.
        if !matches!(message, ChannelMsg::WindowAdjusted { .. }) {
            answered.cancel();
        }
        match message {
            ChannelMsg::Data { data } => {
                spool.make_way(&data).await;
                spool.push(Stream::Stdout, data).map_err(|error| spool_error(&error))?;
            }
            ChannelMsg::ExtendedData { data, ext: 1 } => {
                spool.make_way(&data).await;
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
    }
    Ok(end)
}

/// Writes standard input and signals until the channel is closed from there (`closed`) or from here (the sender of
/// signals is gone). A write that waits for the server's window does not learn of either by itself.
async fn write(
    writer: ChannelWriteHalf<russh::client::Msg>,
    input_end: InputEnd,
    mut stdin: mpsc::Receiver<StdinMessage>,
    mut signals: mpsc::UnboundedReceiver<&'static str>,
    closed: CancellationToken,
) {
    // What is sent now and then is boxed: its place would be kept for as long as the channel is open.
    let copying = async {
        let mut last = None;
        while let Some(message) = stdin.recv().await {
            if Box::pin(send(&writer, message, input_end, &mut last)).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let signalling = async {
        while let Some(name) = signals.recv().await {
            let _ = Box::pin(writer.signal(signal_of(name))).await;
        }
    };
    tokio::select! {
        () = copying => {}
        () = signalling => {}
        () = closed.cancelled() => {}
    }
    let _ = Box::pin(writer.close()).await;
}

/// Sends a piece of standard input or its end; `last` is the last byte that was sent.
async fn send(
    writer: &ChannelWriteHalf<russh::client::Msg>,
    message: StdinMessage,
    input_end: InputEnd,
    last: &mut Option<u8>,
) -> Result<(), russh::Error> {
    match message {
        StdinMessage::Data(bytes) => {
            *last = bytes.last().copied().or(*last);
            writer.data_bytes(bytes).await
        }
        StdinMessage::Eof if input_end == InputEnd::Typed => {
            writer.data_bytes(Bytes::from_static(terminal::end_of_input(*last))).await
        }
        StdinMessage::Eof => writer.eof().await,
    }
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
