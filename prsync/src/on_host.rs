//! What all work on a host is made of: the way there, texts for its shell, and the command that comes after.
//!
//! Must not know what is brought, nor other hosts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fleet_core::event::{Event, Stream, Transferred};
use fleet_core::fanout::HostContext;
use fleet_core::outcome::{FailureClass, HostError, Outcome, SkipCause, Stage};
use fleet_core::record::Places;
use fleet_core::render::sanitized_line;
use fleet_core::select::SelectedHost;
use fleet_ssh::remote::{RemoteCommand, StdinMode};
use fleet_ssh::{
    CommandLimits, CommandRun, ConnectObserver, Connector, NoStdin, OutputSink, Session, Sudo, Wrapping, run_command,
};
use fleet_transfer::push::CopyObserver;

/// What is kept of what a script says.
const SAID_BYTES: usize = 4 << 10;

/// The hosts of a run, and how work is done there.
pub(crate) struct Access {
    pub(crate) connector: Arc<Connector>,
    pub(crate) hosts: Vec<SelectedHost>,
    /// Those of the run that this one goes on with.
    pub(crate) places: Option<Places>,
    /// The command that is run afterwards.
    pub(crate) then: Option<Vec<u8>>,
    pub(crate) sudo: Option<Sudo>,
    pub(crate) limits: CommandLimits,
    pub(crate) remarks: Remarks,
}

/// Whether remarks on single hosts, such as another try, reach the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remarks {
    Shown,
    Hidden,
}

impl Access {
    /// Passes what is heard of a host on to the run.
    pub(crate) fn reporter<'a>(&self, host: &'a HostContext) -> Reporter<'a> {
        Reporter { host, remarks: self.remarks }
    }

    /// A session to a host.
    pub(crate) async fn connected(&self, host: &HostContext) -> Result<Session, Outcome> {
        let reporter = self.reporter(host);
        let connected = tokio::select! {
            connected = self.connector.connect(&self.hosts[host.index()].host, &reporter) => connected,
            () = host.cancel().cancelled() => return Err(Outcome::Skipped(SkipCause::Interrupted)),
        };
        let session = connected.map_err(Outcome::Failed)?;
        host.emit(Event::Stage(Stage::Channel)).await;
        Ok(session)
    }

    /// Runs the command that comes after, as `psh` would.
    pub(crate) async fn run_after(&self, session: &Session, host: &HostContext) -> Outcome {
        let Some(command) = &self.then else { return Outcome::Exited(0) };
        let index = host.index();
        let group = self.hosts[index].group.as_deref().unwrap_or_default();
        let (place, count) = numbers(index, self.hosts.len(), self.places.as_ref());
        let (place, count) = (place.to_string(), count.to_string());
        let variables = [
            ("FLEET_HOST", self.hosts[index].host.name()),
            ("FLEET_INDEX", &place),
            ("FLEET_COUNT", &count),
            ("FLEET_GROUP", group),
        ];
        let env = variables.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
        let reporter = self.reporter(host);
        self.run(command.clone(), env, session, host, &reporter).await
    }

    /// Runs a text of ours, and gives what it says. Where it fails, its words are the reason.
    pub(crate) async fn run_script(
        &self,
        text: Vec<u8>,
        session: &Session,
        host: &HostContext,
    ) -> Result<String, Outcome> {
        let heard = Heard::default();
        match self.run(text, Vec::new(), session, host, &heard).await {
            Outcome::Exited(0) => Ok(last_line(&heard.stdout)),
            Outcome::Exited(code) => {
                let said = last_line(&heard.stderr);
                let said = if said.is_empty() { format!("the host's shell ended with {code}") } else { said };
                Err(Outcome::Failed(HostError::new(Stage::Command, FailureClass::Copy, said)))
            }
            outcome => Err(outcome),
        }
    }

    async fn run(
        &self,
        command: Vec<u8>,
        env: Vec<(String, Vec<u8>)>,
        session: &Session,
        host: &HostContext,
        sink: &impl OutputSink,
    ) -> Outcome {
        let command = RemoteCommand { command, env, stdin: StdinMode::Closed, grace: self.limits.grace };
        let run = CommandRun {
            command: &command,
            wrapping: Wrapping::Shell,
            limits: &self.limits,
            cancel: host.cancel(),
            stdin: None::<NoStdin>,
            sudo: self.sudo.as_ref(),
            terminal: None,
        };
        run_command(session, run, sink).await
    }
}

/// The number of a host and how many there are, as it is told.
pub(crate) fn numbers(index: usize, count: usize, former: Option<&Places>) -> (usize, usize) {
    match former {
        Some(places) => (places.indices.get(index).copied().unwrap_or(index), places.count),
        None => (index, count),
    }
}

/// The last line, which says most.
fn last_line(bytes: &Mutex<Vec<u8>>) -> String {
    let bytes = lock(bytes);
    let text = String::from_utf8_lossy(&bytes);
    sanitized_line(text.trim_end().lines().next_back().unwrap_or_default())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the end of what a script of ours says.
#[derive(Default)]
struct Heard {
    stdout: Mutex<Vec<u8>>,
    stderr: Mutex<Vec<u8>>,
}

impl OutputSink for Heard {
    async fn output(&self, stream: Stream, bytes: Bytes) {
        let mut kept = lock(if stream == Stream::Stdout { &self.stdout } else { &self.stderr });
        kept.extend_from_slice(&bytes);
        let excess = kept.len().saturating_sub(SAID_BYTES);
        kept.drain(..excess);
    }
}

/// Passes what a host says to the run.
pub(crate) struct Reporter<'a> {
    host: &'a HostContext,
    remarks: Remarks,
}

impl Reporter<'_> {
    pub(crate) async fn remark(&self, text: String) {
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

impl CopyObserver for Reporter<'_> {
    async fn progress(&self, so_far: Transferred) {
        self.host.emit(Event::Progress(so_far)).await;
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
