//! The visit to each host: one connection, one script, one greeting of the sftp subsystem.
//!
//! Nothing is changed there. Must not judge what is found.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use fleet_core::event::{Event, Stream};
use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::{Outcome, SkipCause, Stage};
use fleet_ssh::config::HostConfig;
use fleet_ssh::remote::{RemoteCommand, StdinMode};
use fleet_ssh::{
    CommandLimits, CommandRun, ConnectObserver, Connector, NoStdin, OutputSink, Session, Wrapping, run_command,
};

use super::host::Visit;
use super::probe::{self, Answers, ClockOffset, MOST_OUTPUT, ServerSettings};

/// Longest time for the script: it bounds each of its questions itself where the host has timeout(1).
const SCRIPT_LIMIT: Duration = Duration::from_secs(30);
/// Between TERM and KILL, for a script that hangs.
const GRACE: Duration = Duration::from_secs(2);
/// Longest time for the answer of the sftp subsystem.
const SFTP_LIMIT: Duration = Duration::from_secs(10);

/// A host to be visited.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The servers on the way, itself last.
    pub(super) route: Vec<HostConfig>,
    /// Whether the settings of its SSH server matter.
    pub(super) server: ServerSettings,
}

/// The visits, in the order of the targets; `None` for those that were not made.
pub(super) type Visits = Arc<Mutex<Vec<Option<Visit>>>>;

/// Visits hosts.
pub(super) struct Rounds {
    pub(super) connector: Arc<Connector>,
    pub(super) targets: Vec<Target>,
    pub(super) visits: Visits,
}

impl Task for Rounds {
    /// What is found stands in the visit: for the fan-out a visit that was made is a success.
    async fn run(&self, host: HostContext) -> Outcome {
        let target = &self.targets[host.index()];
        let visit = tokio::select! {
            visit = self.visit(&host, target) => visit,
            () = host.cancel().cancelled() => return Outcome::Skipped(SkipCause::Interrupted),
        };
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)[host.index()] = Some(visit);
        Outcome::Exited(0)
    }
}

impl Rounds {
    async fn visit(&self, host: &HostContext, target: &Target) -> Visit {
        let observer = Stages(host);
        let session = match self.connector.connect_along(&target.route, &observer).await {
            Ok(session) => session,
            Err(error) => {
                return Visit {
                    outcome: Outcome::Failed(error),
                    answers: Answers::parse(b"", b""),
                    clock: None,
                    sftp: None,
                };
            }
        };
        let mut visit = ask(&session, host, target.server).await;
        if !session.is_closed() {
            visit.sftp = Some(session.greet_sftp(Some(SFTP_LIMIT)).await);
        }
        session.disconnect().await;
        visit
    }
}

async fn ask(session: &Session, host: &HostContext, server: ServerSettings) -> Visit {
    let command = RemoteCommand {
        command: probe::COMMAND.to_vec(),
        env: probe::environment(server),
        stdin: StdinMode::Closed,
        grace: GRACE,
    };
    let limits = CommandLimits { timeout: Some(SCRIPT_LIMIT), stall: None, grace: GRACE, channel: None };
    let run = CommandRun {
        sudo: None,
        terminal: None,
        command: &command,
        wrapping: Wrapping::Shell,
        limits: &limits,
        cancel: host.cancel(),
        stdin: None::<NoStdin>,
    };
    let sent_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let heard = Heard { sent: Instant::now(), said: Mutex::default() };
    let outcome = run_command(session, run, &heard).await;
    let said = heard.said.into_inner().unwrap_or_else(PoisonError::into_inner);
    let answers = Answers::parse(&said.stdout, &said.stderr);
    let clock = answers.first("clock").zip(said.clock_took);
    let clock = clock.and_then(|(text, took)| ClockOffset::measure(text, sent_at, took));
    Visit { outcome, answers, clock, sftp: None }
}

/// What the script says, and when it told the time.
struct Heard {
    sent: Instant,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    clock_took: Option<Duration>,
}

impl Said {
    fn take(&mut self, stream: Stream, bytes: &[u8], elapsed: Duration) {
        let kept = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        kept.extend_from_slice(&bytes[..bytes.len().min(MOST_OUTPUT.saturating_sub(kept.len()))]);
        if self.clock_took.is_none() && Answers::parse(&self.stdout, b"").first("clock").is_some() {
            self.clock_took = Some(elapsed);
        }
    }
}

impl OutputSink for Heard {
    async fn output(&self, stream: Stream, bytes: Bytes) {
        let elapsed = self.sent.elapsed();
        self.said.lock().unwrap_or_else(PoisonError::into_inner).take(stream, &bytes, elapsed);
    }
}

/// Passes the stages of the connection to the run.
struct Stages<'a>(&'a HostContext);

impl ConnectObserver for Stages<'_> {
    async fn stage(&self, stage: Stage) {
        self.0.emit(Event::Stage(stage)).await;
    }

    async fn note(&self, _: String) {}
}
