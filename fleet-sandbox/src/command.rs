//! Commands and shells: started in the host's home, in a process group of their own, joined to a channel, and ended
//! with it.
//!
//! Must not know the SSH protocol: it gets a queue of input and an [`Output`].

use std::ffi::OsStr;
use std::future::{Future, pending};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, empty};
use tokio::process::{Child, Command};
use tokio::sync::OwnedSemaphorePermit;

use crate::channel::{Exit, Output, Stream};
use crate::host::Host;
use crate::process::{ProcessGroup, ProcessGroups, signal_name};
use crate::pty::Terminal;
use crate::running::RunningCommand;
use crate::simulation::{self, Simulation};
use crate::spool::Spool;

const SHELL: &str = "/bin/sh";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a shell reports for a command that cannot be run.
const CANNOT_RUN: u32 = 126;

/// What to run, and for whom.
pub(crate) struct Request {
    /// `None`: a shell that reads its commands from the input.
    pub(crate) command: Option<Vec<u8>>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) input: Input,
    pub(crate) user: String,
    /// `SSH_CONNECTION`: client address and port, server address and port.
    pub(crate) connection: String,
    /// Of its session, until it has ended.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// All that a command does, to its end.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Request {
    /// The variables that every command has, besides those that the client sets.
    fn own_variables(&self, home: &Path) -> [(&'static str, String); 6] {
        let home = home.display().to_string();
        let (user, connection) = (self.user.clone(), self.connection.clone());
        [
            ("PATH", PATH.to_owned()),
            ("HOME", home),
            ("SHELL", SHELL.to_owned()),
            ("USER", user.clone()),
            ("LOGNAME", user),
            ("SSH_CONNECTION", connection),
        ]
    }

    /// Lets `simulation` answer the command; `None` when it is a shell.
    pub(crate) fn simulate(
        self,
        simulation: &Simulation,
        home: &Path,
        input: Arc<Spool>,
        output: Output,
    ) -> Option<(RunningCommand, Work)> {
        let own = self.own_variables(home).map(|(name, value)| (name.to_owned(), value));
        let variables = self.environment.into_iter().chain(own).collect();
        let request = simulation::Request { line: self.command?, variables, input, output, place: self.place };
        let (process, work) = simulation.start(request);
        Some((RunningCommand::Simulated(process), Box::pin(work)))
    }
}

/// Whether a command gets what the client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Given,
    Discarded,
}

/// A command that was started.
pub(crate) struct Process {
    child: Child,
    group: Arc<ProcessGroup>,
    input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    stdout: Pin<Box<dyn AsyncRead + Send>>,
    stderr: Pin<Box<dyn AsyncRead + Send>>,
    terminal: Option<OwnedFd>,
}

impl Process {
    /// Starts `request` on `host`.
    ///
    /// # Errors
    /// When no process or no terminal can be had.
    pub(crate) fn start(host: &Host, request: Request) -> io::Result<Self> {
        let mut command = Command::new(SHELL);
        match &request.command {
            Some(text) => command.arg("-c").arg(OsStr::from_bytes(text)),
            None => &mut command,
        };
        let own = request.own_variables(&host.home);
        command.current_dir(&host.home).env_clear().envs(request.environment).envs(own);
        match request.terminal {
            Some(terminal) => Self::start_on_terminal(command, &terminal),
            None => Self::start_on_pipes(command, request.input),
        }
    }

    fn start_on_pipes(mut command: Command, input: Input) -> io::Result<Self> {
        let stdin = if input == Input::Given { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let group = group_of(&child)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Ok(Self {
            input: child.stdin.take().map(|stdin| Box::pin(stdin) as _),
            stdout: stdout.map_or_else(nothing, |stdout| Box::pin(stdout)),
            stderr: stderr.map_or_else(nothing, |stderr| Box::pin(stderr)),
            terminal: None,
            group,
            child,
        })
    }

    fn start_on_terminal(mut command: Command, terminal: &Terminal) -> io::Result<Self> {
        let (pty, pts) = terminal.open()?;
        command.env("TERM", &terminal.term).env("SSH_TTY", terminal.name(&pts)?);
        let child = pty_process::Command::from(command).spawn(pts).map_err(io::Error::other)?;
        let group = group_of(&child)?;
        let resizable = pty.as_fd().try_clone_to_owned()?;
        let (output, input) = pty.into_split();
        Ok(Self {
            input: Some(Box::pin(input)),
            stdout: Box::pin(output),
            stderr: nothing(),
            terminal: Some(resizable),
            group,
            child,
        })
    }

    /// The process group, led by the command itself.
    pub(crate) fn group(&self) -> Arc<ProcessGroup> {
        Arc::clone(&self.group)
    }

    /// The terminal's master side, to change its size.
    pub(crate) fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Joins the command to its channel until it has ended or the channel is closed, then ends what is left of its group.
    /// Its session no longer counts when its end is told, as with sshd.
    pub(crate) async fn run(
        mut self,
        input: Arc<Spool>,
        output: Output,
        place: Option<OwnedSemaphorePermit>,
        groups: &ProcessGroups,
    ) {
        let ended = tokio::select! {
            ended = wait(&mut self.child, &self.group, self.stdout, self.stderr, &output) => Some(ended),
            () = feed(&input, self.input) => None,
            () = output.closed() => None,
        };
        drop(place);
        let Some((exit, held)) = ended else { return groups.leave_then_end(&self.group, self.child).await };
        tokio::select! {
            () = output.finish(exit, held) => {}
            () = output.closed() => {}
        }
        groups.end(&self.group, self.child).await;
    }
}

/// As sshd does, waits for the end of the output too, which a process in the background may keep open.
async fn wait(
    child: &mut Child,
    group: &ProcessGroup,
    stdout: impl AsyncRead + Unpin,
    stderr: impl AsyncRead + Unpin,
    output: &Output,
) -> (Exit, Bytes) {
    let (held, _) = tokio::join!(output.copy(stdout, Stream::Stdout), output.copy(stderr, Stream::Stderr));
    let exit = child.wait().await.map_or(Exit::Code(CANNOT_RUN), exit_of);
    // The client takes its time to be told, and by then it may be another's.
    group.is_gone();
    (exit, held)
}

/// Gives `input` to the command, and throws the rest away when the command reads no more. Never returns: the end of the
/// input is not the end of the command.
async fn feed(input: &Spool, mut command: Option<Pin<Box<dyn AsyncWrite + Send>>>) {
    while let Ok(Some(data)) = input.pop().await {
        if let Some(writer) = &mut command
            && writer.write_all(&data).await.is_err()
        {
            command = None;
        }
    }
    drop(command);
    pending().await
}

fn group_of(child: &Child) -> io::Result<Arc<ProcessGroup>> {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let id = id.ok_or_else(|| io::Error::other("a started process has no id"))?;
    Ok(Arc::new(ProcessGroup::led_by(id)))
}

fn nothing() -> Pin<Box<dyn AsyncRead + Send>> {
    Box::pin(empty())
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(u32::from(code as u8)),
        (None, Some(signal)) => Exit::Signal { name: signal_name(signal), is_core_dumped: status.core_dumped() },
        (None, None) => Exit::Code(CANNOT_RUN),
    }
}
