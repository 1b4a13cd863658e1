//! What all work on a host is made of: the way there, texts for its shell, and the command that comes after.
//!
//! Must not know what is brought, nor other hosts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fleet_core::event::Stream;
use fleet_core::fanout::HostContext;
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage};
use fleet_core::render::sanitized_line;
use fleet_core::select::SelectedHost;
use fleet_ssh::remote::{RemoteCommand, StdinMode};
use fleet_ssh::{CommandLimits, CommandRun, Connector, NoStdin, OutputSink, Session, Sudo, Wrapping, run_command};
use fleet_tool::places::HostPlaces;
use fleet_tool::reporter::{Remarks, Reporter};

/// What is kept of what a script says.
const SAID_BYTES: usize = 4 << 10;

/// The hosts of a run, and how work is done there.
pub(crate) struct Access {
    pub(crate) connector: Arc<Connector>,
    pub(crate) hosts: Vec<SelectedHost>,
    /// Those of the run that this one goes on with.
    pub(crate) places: HostPlaces,
    /// The command that is run afterwards.
    pub(crate) then: Option<Vec<u8>>,
    pub(crate) sudo: Option<Sudo>,
    pub(crate) limits: CommandLimits,
    pub(crate) remarks: Remarks,
}

impl Access {
    /// Passes what is heard of a host on to the run.
    pub(crate) fn reporter<'a>(&self, host: &'a HostContext) -> Reporter<'a> {
        Reporter::new(host, self.remarks)
    }

    /// A session to a host.
    pub(crate) async fn connected(&self, host: &HostContext) -> Result<Session, Outcome> {
        self.reporter(host).connected(&self.connector, &self.hosts[host.index()].host).await
    }

    /// Runs the command that comes after, as `psh` would.
    pub(crate) async fn run_after(&self, session: &Session, host: &HostContext) -> Outcome {
        let Some(command) = &self.then else { return Outcome::Exited(0) };
        let env = self.places.variables(host.index());
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
