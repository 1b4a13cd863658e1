//! The work on one host: connect, run the command, pass on what it says.
//!
//! Must not know other hosts, flags or terminals.

use std::sync::Arc;

use bytes::Bytes;
use fleet_core::broadcast::Broadcast;
use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage};
use fleet_core::select::SelectedHost;
use fleet_ssh::remote::{Facts, RemoteCommand, StdinMode, Token};
use fleet_ssh::{
    CommandLimits, CommandRun, Connector, ExecStdin, Session, SftpGreeting, StdinFeed, Sudo, Terminal, Wrapping,
    run_command, runs_no_commands,
};
use fleet_tool::on_host::OnHost;
use fleet_tool::places::HostPlaces;
use fleet_tool::reporter::{Remarks, Reporter};
use tracing::Instrument;

use crate::facts;
use crate::jobs::{JobWork, JobsOn};
use crate::payload::{Payload, PayloadError, Place, ScriptText};

/// The exit statuses of a shell that does not find, or cannot run, one of our programs: it runs commands.
const NO_PROGRAM: [u32; 2] = [126, 127];
/// Bytes of a script that are sent at a time.
const CHUNK_BYTES: usize = 128 * 1024;

/// Does one thing on every host of a run: most often, it runs a command.
pub(crate) struct RunCommand {
    pub(crate) connector: Arc<Connector>,
    pub(crate) hosts: Vec<SelectedHost>,
    pub(crate) work: Work,
    pub(crate) input: Option<Broadcast>,
    pub(crate) wrapping: Wrapping,
    pub(crate) places: HostPlaces,
    pub(crate) sudo: Option<Sudo>,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) limits: CommandLimits,
    pub(crate) remarks: Remarks,
}

/// What is done on a host.
#[derive(Debug)]
pub(crate) enum Work {
    /// A command is run.
    Run(Box<Payload>),
    /// Jobs that were started before are looked after.
    Jobs(JobWork),
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
        let reporter = Reporter::new(&host, self.remarks);
        let session = match reporter.connected(&self.connector, &target.host).await {
            Ok(session) => session,
            Err(outcome) => return outcome,
        };
        let outcome = match &self.work {
            Work::Run(payload) => self.run_payload(payload, &session, &host, &reporter).await,
            Work::Jobs(work) => {
                let on_host = OnHost { session: &session, limits: &self.limits, sudo: self.sudo.as_ref(), host: &host };
                JobsOn(on_host).work(work, &reporter).await
            }
        };
        tracing::info!(outcome = outcome.name(), "ended");
        session.disconnect().await;
        outcome
    }

    async fn run_payload(
        &self,
        payload: &Payload,
        session: &Session,
        host: &HostContext,
        reporter: &Reporter<'_>,
    ) -> Outcome {
        let facts = match self.facts_for(payload, session, host).await {
            Ok(facts) => facts,
            Err(outcome) => return outcome,
        };
        let command = match self.command_for(payload, host.index(), facts.as_ref()) {
            Ok(command) => command,
            Err(error) => return Outcome::Failed(not_sent(&error)),
        };
        let script = payload.script().map(ScriptText::text);
        let input = self.input.as_ref();
        let end = payload.job.as_ref().and_then(|job| job.input_end.as_ref());
        let feed = (script.is_some() || input.is_some()).then_some(Feed { script, input, end });
        let run = CommandRun {
            command: &command,
            wrapping: self.wrapping,
            limits: &self.limits,
            cancel: host.cancel(),
            stdin: feed,
            sudo: self.sudo.as_ref(),
            terminal: self.terminal.as_ref(),
        };
        let outcome = run_command(session, run, reporter).await;
        match outcome {
            // In a box: few hosts need it, and every one would pay for its room.
            Outcome::Exited(code)
                if self.wrapping == Wrapping::Shell && !reporter.has_announced() && !NO_PROGRAM.contains(&code) =>
            {
                Box::pin(self.or_no_command(outcome, session)).await
            }
            outcome => outcome,
        }
    }

    /// What a command came to that has ended without having announced itself, so something else has answered: where there is
    /// SFTP, the host is one that offers only that.
    async fn or_no_command(&self, outcome: Outcome, session: &Session) -> Outcome {
        match session.greet_sftp(self.limits.channel).await {
            Ok(SftpGreeting::Answered) => Outcome::Failed(runs_no_commands()),
            Ok(SftpGreeting::Refused | SftpGreeting::Garbled) | Err(_) => outcome,
        }
    }

    /// What the host tells of itself, where the command needs it.
    async fn facts_for(
        &self,
        payload: &Payload,
        session: &Session,
        host: &HostContext,
    ) -> Result<Option<Facts>, Outcome> {
        let asked = payload.facts();
        if asked.is_empty() {
            return Ok(None);
        }
        let limits = facts::limits(&self.limits);
        let on_host = OnHost { session, limits: &limits, sudo: None, host };
        // In a box: few commands need it, and every host would pay for its room.
        Box::pin(facts::ask(&asked, &on_host)).await.map(Some)
    }

    /// Finds out before any host is contacted what cannot be sent to one of them, and to which.
    pub(crate) fn check(&self) -> Result<(), (&SelectedHost, PayloadError)> {
        let Work::Run(payload) = &self.work else { return Ok(()) };
        let count = if payload.is_made_for_each() { self.hosts.len() } else { 1 };
        let mut hosts = self.hosts.iter().enumerate().take(count);
        hosts.try_for_each(|(index, host)| match self.command_for(payload, index, None) {
            Ok(_) => Ok(()),
            Err(error) => Err((host, error)),
        })
    }

    /// The command with the variables that tell it where it runs: ours, and pssh's for scripts that know those.
    fn command_for(
        &self,
        payload: &Payload,
        index: usize,
        facts: Option<&Facts>,
    ) -> Result<RemoteCommand, PayloadError> {
        let target = &self.hosts[index];
        let (number, count) = self.places.number(index);
        let group = target.group.as_deref().unwrap_or_default();
        let name = target.host.name();
        let mut route = if payload.needs_destination() { self.connector.route(&target.host)? } else { Vec::new() };
        let end = route.pop();
        let (addr, user, port) = end.as_ref().map_or(("", "", 0), |end| (&*end.host_name, &*end.user, end.port));
        let made = payload.at(&Place {
            host: name,
            addr,
            group,
            role: self.places.role(index),
            index: number,
            count,
            user,
            port,
            facts,
        })?;
        let (number, count) = (number.to_string(), count.to_string());
        let of_pssh = [("PSSH_HOST", name), ("PSSH_NODENUM", &number), ("PSSH_NUMNODES", &count)];
        let mut env = self.places.variables(index);
        env.extend(of_pssh.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())));
        env.extend(made.variables);
        let has_input = self.input.is_some() || payload.script().is_some();
        Ok(RemoteCommand {
            command: made.command,
            env,
            stdin: if has_input || self.terminal.is_some() { StdinMode::Passed } else { StdinMode::Closed },
            grace: self.limits.grace,
        })
    }
}

/// The end of the work on a host whose command cannot be made.
fn not_sent(error: &PayloadError) -> HostError {
    let failed = match error {
        PayloadError::Untold { .. } => HostError::new(Stage::Command, FailureClass::Channel, error.to_string()),
        _ => HostError::local(error.to_string()),
    };
    match error.hint() {
        Some(hint) => failed.with_hint(hint),
        None => failed,
    }
}

/// What a command reads, for one host at its own pace: the text of a script, then our standard input; for a job, then
/// the mark that this was all.
#[derive(Clone, Copy)]
struct Feed<'a> {
    script: Option<&'a Bytes>,
    input: Option<&'a Broadcast>,
    end: Option<&'a Token>,
}

impl StdinFeed for Feed<'_> {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        let mut script = self.script.cloned().unwrap_or_default();
        while !script.is_empty() {
            if !stdin.send(script.split_to(script.len().min(CHUNK_BYTES))).await {
                return Ok(());
            }
        }
        if let Some(input) = self.input {
            let mut reader = input.reader();
            let unreadable = |error| HostError::local(format!("our standard input cannot be read to its end: {error}"));
            while let Some(bytes) = reader.next().await.map_err(unreadable)? {
                if !stdin.send(bytes).await {
                    return Ok(());
                }
            }
        }
        if let Some(end) = self.end
            && !stdin.send(Bytes::copy_from_slice(end.as_str().as_bytes())).await
        {
            return Ok(());
        }
        stdin.close().await;
        Ok(())
    }
}
