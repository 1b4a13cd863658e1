//! The work on one host where the local rsync does it: a process of it for the host, joined to our SSH session.
//!
//! Must not know flags: whoever makes the task has rsync's words.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fleet_core::event::{Event, Stream};
use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::{HostError, Outcome, SkipCause, Stage};
use fleet_ssh::remote::{RemoteCommand, StdinMode};
use fleet_ssh::{CommandLimits, CommandRun, Session, Wrapping, run_command};
use fleet_transfer::sync::SyncEnd;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tracing::Instrument as _;

use crate::ending::{NoSync, Unable, judged};
use crate::on_host::Access;
use crate::pipe::{self, Folder, Input, Output, SAID_BYTES};

/// What is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// The exit code of an rsync whose conversation broke off.
const BROKEN_OFF: u32 = 12;

/// Brings every host of a run to the state of the sources, each by an rsync of its own.
pub(crate) struct ByRsync {
    pub(crate) access: Access,
    /// The local rsync.
    pub(crate) program: PathBuf,
    /// This program, as rsync is to start it.
    pub(crate) shell: OsString,
    /// Its flags, and behind `--` the sources.
    pub(crate) words: Vec<OsString>,
    /// Where to, on each host.
    pub(crate) destinations: Vec<Vec<u8>>,
    pub(crate) folder: Folder,
    pub(crate) attempts: AtomicU64,
}

impl Task for ByRsync {
    async fn run(&self, host: HostContext) -> Outcome {
        let span = tracing::info_span!("host", name = %self.access.hosts[host.index()].host);
        self.run_on(&host).instrument(span).await.unwrap_or_else(|outcome| outcome)
    }
}

/// What a local rsync came to.
struct Ended {
    status: ExitStatus,
    /// What the one on the host ended with; `None` if it was never asked for.
    remote: Option<u32>,
    standard_error: Vec<u8>,
}

impl Ended {
    /// What counts of both exit codes.
    fn code(&self) -> u32 {
        // What a signal ended did not end by itself.
        let local = self.status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(u32::from(u8::MAX));
        match self.remote {
            // The local one may only have seen that nobody speaks any more.
            Some(remote @ 1..) if local == BROKEN_OFF => remote,
            _ => local,
        }
    }
}

impl ByRsync {
    async fn run_on(&self, host: &HostContext) -> Result<Outcome, Outcome> {
        let session = self.access.connected(host).await?;
        let outcome = self.work(&session, host).await.unwrap_or_else(|outcome| outcome);
        tracing::info!(outcome = outcome.name(), "ended");
        session.disconnect().await;
        Ok(outcome)
    }

    async fn work(&self, session: &Session, host: &HostContext) -> Result<Outcome, Outcome> {
        let socket = self.folder.socket(host.index(), self.attempts.fetch_add(1, Ordering::Relaxed));
        let listener = UnixListener::bind(&socket).map_err(|error| local(&error))?;
        let mut rsync = Rsync(self.start(&socket, host).map_err(|error| local(&error))?);
        let ended = self.joined(&listener, &mut rsync, session, host).await;
        drop(rsync);
        let ended = ended?;
        let (code, standard_error) = (ended.code(), ended.standard_error);
        self.tell(Stream::Stderr, standard_error.clone().into(), host).await;
        let end = SyncEnd { complete: matches!(code, 0 | 23..=25), standard_error, ..SyncEnd::default() };
        match judged(Outcome::Exited(code), &end) {
            Ok(()) => {
                host.emit(Event::Result("engine=rsync".to_owned())).await;
                Ok(self.access.run_after(session, host).await)
            }
            Err(NoSync::Ended(outcome) | NoSync::Unable(Unable { outcome, .. })) => Err(outcome),
        }
    }

    fn start(&self, socket: &Path, host: &HostContext) -> io::Result<Child> {
        let mut destination = format!("{}:", pipe::HOST).into_bytes();
        destination.extend(&self.destinations[host.index()]);
        Command::new(&self.program)
            .arg("-e")
            .arg(&self.shell)
            .args(&self.words)
            .arg(OsString::from_vec(destination))
            .env(pipe::VARIABLE, socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is ours to see.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// Runs both ends. An error is what ended the one on the host early.
    async fn joined(
        &self,
        listener: &UnixListener,
        rsync: &mut Rsync,
        session: &Session,
        host: &HostContext,
    ) -> Result<Ended, Outcome> {
        let local_end = self.listen(rsync, host);
        tokio::pin!(local_end);
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // It never came to start anything.
            ended = &mut local_end => return ended.map_err(|error| local(&error)),
            () = host.cancel().cancelled() => return Err(Outcome::Skipped(SkipCause::Interrupted)),
        };
        let (stream, _) = accepted.map_err(|error| local(&error))?;
        let remote_end = Box::pin(self.serve(stream, session, host));
        tokio::pin!(remote_end);
        let (ended, (outcome, said)) = tokio::select! {
            remote = &mut remote_end => match remote.0 {
                Outcome::Exited(_) => (local_end.await, remote),
                // That it was stopped, or lost, says more than how that looks to rsync.
                outcome => return Err(outcome),
            },
            // Its end of the socket is closed: the host's ends by itself, or is stopped.
            ended = &mut local_end => (ended, remote_end.await),
        };
        match (ended, outcome) {
            (Ok(ended), Outcome::Exited(code)) => {
                Ok(Ended { remote: Some(code), standard_error: [said, ended.standard_error].concat(), ..ended })
            }
            (Err(error), Outcome::Exited(_)) => Err(local(&error)),
            (_, outcome) => Err(outcome),
        }
    }

    /// Runs on the host what rsync wants there: how it ended, and what it said on standard error.
    async fn serve(&self, stream: UnixStream, session: &Session, host: &HostContext) -> (Outcome, Vec<u8>) {
        let (mut reader, writer) = stream.into_split();
        let command = match pipe::command(&mut reader).await {
            Ok(command) => command,
            Err(error) => return (local(&error), Vec::new()),
        };
        let command =
            RemoteCommand { command, env: Vec::new(), stdin: StdinMode::Passed, grace: self.access.limits.grace };
        let output = Output::new(writer);
        host.emit(Event::Stage(Stage::Command)).await;
        let run = CommandRun {
            command: &command,
            // Bare, so that keys that are restricted to rsync work; it ends by itself when its input does.
            wrapping: if self.access.sudo.is_some() { Wrapping::Shell } else { Wrapping::Raw },
            limits: &CommandLimits { stall: None, ..self.access.limits },
            cancel: host.cancel(),
            stdin: Some(Input(Mutex::new(reader))),
            sudo: self.access.sudo.as_ref(),
            terminal: None,
        };
        let outcome = run_command(session, run, &output).await;
        if let Outcome::Exited(code) = outcome {
            output.ended(code).await;
        }
        (outcome, output.into_said())
    }

    /// Hears what the local rsync says until it has ended.
    async fn listen(&self, rsync: &mut Rsync, host: &HostContext) -> io::Result<Ended> {
        let (stdout, stderr) = (rsync.0.stdout.take(), rsync.0.stderr.take());
        let told = async {
            let Some(mut stdout) = stdout else { return };
            while let Some(bytes) = piece(&mut stdout).await {
                self.tell(Stream::Stdout, bytes, host).await;
            }
        };
        let kept = async {
            let mut kept = Vec::new();
            let Some(mut stderr) = stderr else { return kept };
            while let Some(bytes) = piece(&mut stderr).await {
                kept.extend_from_slice(&bytes);
                kept.truncate(SAID_BYTES);
            }
            kept
        };
        let ((), standard_error) = tokio::join!(told, kept);
        Ok(Ended { status: rsync.0.wait().await?, remote: None, standard_error })
    }

    async fn tell(&self, stream: Stream, bytes: Bytes, host: &HostContext) {
        if !bytes.is_empty() {
            host.emit(Event::Output { stream, bytes }).await;
        }
    }
}

async fn piece(from: &mut (impl AsyncRead + Unpin)) -> Option<Bytes> {
    let mut piece = vec![0; PIECE_BYTES];
    let len = from.read(&mut piece).await.ok().filter(|len| *len > 0)?;
    piece.truncate(len);
    Some(piece.into())
}

/// A local rsync, which is ended with all that it started when this is dropped.
struct Rsync(Child);

impl Drop for Rsync {
    fn drop(&mut self) {
        // Without a number it has been waited for: then nothing else may be meant.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // An error means that it has ended.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

fn local(error: &io::Error) -> Outcome {
    Outcome::Failed(HostError::local(format!("the local rsync: {error}")))
}
