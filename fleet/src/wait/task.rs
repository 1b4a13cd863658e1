//! The work on all hosts: each is asked until all checks have held there, the time is over, or enough others are ready.
//!
//! Must not know how a question is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleet_core::event::Event;
use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::{LastOutput, Outcome, SkipCause, Stage, Stop, StopCause};
use fleet_core::select::SelectedHost;
use fleet_ssh::{CommandLimits, Connector, Session};
use fleet_tool::cli::{Failure, Prepared};
use fleet_tool::places::HostPlaces;
use fleet_tool::reporter::{Remarks, Reporter};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::WaitFor;
use super::ask::{Answer, Asked, COMMAND_LIMIT, NO_ANSWER};
use super::check::{Place, Question};

/// How long a host may wait for something before it is told.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause before a host is asked for the second time; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Waits for all hosts of a run.
pub(crate) struct Waiting {
    connector: Arc<Connector>,
    hosts: Vec<SelectedHost>,
    places: HostPlaces,
    what: WaitFor,
    start: Instant,
    deadline: Option<Instant>,
    limits: CommandLimits,
    remarks: Remarks,
    ready: AtomicUsize,
    /// So many hosts are ready that the others are no longer waited for.
    enough: CancellationToken,
    progress: Vec<Mutex<Progress>>,
}

/// How far a host is, also over several sessions.
#[derive(Debug, Default)]
struct Progress {
    /// Checks that have held.
    held: usize,
    /// What is missing, and what was seen of it last.
    last: String,
    /// Whether it was told that there is no connection.
    is_missed: bool,
}

impl Waiting {
    /// Waits for so long from now on, or for ever.
    ///
    /// # Errors
    /// When a host cannot be told what it has to know.
    pub(super) fn new(
        what: WaitFor,
        limit: Option<Duration>,
        connector: Arc<Connector>,
        prepared: &Prepared,
    ) -> Result<Self, Failure> {
        let places = prepared.places_for(None, what.checks.iter().filter_map(|check| check.command()))?;
        let hosts = prepared.selected.hosts.clone();
        let start = Instant::now();
        Ok(Self {
            connector,
            progress: hosts.iter().map(|_| Mutex::default()).collect(),
            hosts,
            places,
            what,
            start,
            deadline: limit.map(|limit| start + limit),
            limits: prepared.command_limits(),
            remarks: prepared.remarks(),
            ready: AtomicUsize::new(0),
            enough: CancellationToken::new(),
        })
    }
}

impl Task for Waiting {
    async fn run(&self, host: HostContext) -> Outcome {
        let index = host.index();
        let reporter = Reporter::new(&host, self.remarks);
        // A command that is asked is ended by this, and what it came to is told.
        let stop = host.cancel().child_token();
        let mut work = std::pin::pin!(self.wait(&reporter, &stop));
        let outcome = tokio::select! {
            biased;
            outcome = &mut work => outcome,
            () = self.enough.cancelled() => {
                stop.cancel();
                work.await
            }
            () = passed(self.deadline) => {
                stop.cancel();
                work.await
            }
        };
        match outcome {
            Outcome::Exited(0) => {
                let ready = self.ready.fetch_add(1, Ordering::Relaxed) + 1;
                if self.what.count.is_some_and(|count| ready >= count) {
                    self.enough.cancel();
                }
                outcome
            }
            _ if self.enough.is_cancelled() => {
                Outcome::NotReady(format!("enough others are ready; {}", self.last(index)))
            }
            _ if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                Outcome::NotReady(self.last(index))
            }
            outcome if host.cancel().is_cancelled() => outcome,
            outcome => {
                let reason = outcome.reason().unwrap_or_default();
                let late = self.remarks == Remarks::Hidden && self.start.elapsed() > PATIENCE;
                if late && !self.with(index, |progress| std::mem::replace(&mut progress.is_missed, true)) {
                    host.emit(Event::Note(format!("waits for a connection: {reason}"))).await;
                }
                self.note(index, reason);
                outcome
            }
        }
    }
}

/// When this moment has come; never, if there is none.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Waiting {
    /// Until all checks have held, or the host cannot be asked, or `stop`.
    async fn wait(&self, reporter: &Reporter<'_>, stop: &CancellationToken) -> Outcome {
        let index = reporter.host.index();
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => return Outcome::Skipped(SkipCause::Interrupted),
            connected = reporter.connected(&self.connector, &self.hosts[index].host) => connected,
        };
        let session = match connected {
            Ok(session) => session,
            Err(outcome) => return outcome,
        };
        // From here on it holds no place of those that are connected to.
        reporter.host.emit(Event::Stage(Stage::Command)).await;
        let outcome = match self.questions(index) {
            Ok(questions) => self.ask_all(&questions, &session, reporter, stop).await,
            Err(outcome) => outcome,
        };
        session.disconnect().await;
        outcome
    }

    /// What the host is asked, in order.
    fn questions(&self, index: usize) -> Result<Vec<Question>, Outcome> {
        let host = &self.hosts[index];
        let known = self.places.address(index);
        let reached = match known {
            Some(_) => None,
            None => match self.connector.route(&host.host) {
                Ok(mut route) => route.pop().map(|config| config.host_name),
                Err(error) => {
                    return Err(Outcome::Failed(fleet_core::outcome::HostError::local(error.to_string())));
                }
            },
        };
        let addr = known.or(reached.as_deref()).unwrap_or(host.host.name());
        let (number, _) = self.places.number(index);
        let place = Place { addr, host: host.host.name(), role: self.places.role(index), index: number };
        Ok(self.what.checks.iter().map(|check| check.at(&place)).collect())
    }

    async fn ask_all(
        &self,
        questions: &[Question],
        session: &Session,
        reporter: &Reporter<'_>,
        stop: &CancellationToken,
    ) -> Outcome {
        let index = reporter.host.index();
        let variables = self.places.variables(index);
        let held = self.with(index, |progress| progress.held);
        for (check, question) in self.what.checks.iter().zip(questions).skip(held) {
            let mut pause = FIRST_PAUSE.min(self.what.interval);
            let (mut told, since) = (String::new(), Instant::now());
            self.note(index, format!("{check}: {NO_ANSWER}"));
            loop {
                let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                let limit = left.unwrap_or(COMMAND_LIMIT).min(COMMAND_LIMIT);
                let limits = CommandLimits { timeout: Some(limit), stall: None, ..self.limits };
                let asked = Asked { session, variables: &variables, limits, cancel: stop };
                let answer = tokio::select! {
                    biased;
                    answer = asked.ask(question) => answer,
                    () = stopped(question, stop) => return interrupted(),
                };
                let (why, to) = match answer {
                    Ok(Answer::Yes) => break,
                    Ok(Answer::NotYet(why)) => (why, None),
                    Ok(Answer::NotConnected { to, why }) => (why, Some(to)),
                    Err(outcome) => return outcome,
                };
                // Hosts that differ only in their addresses are shown as one.
                let last = format!("{check}: {why}");
                // What comes soon is no news, unless somebody wants to know all.
                if last != told && (self.remarks == Remarks::Shown || (told.is_empty() && since.elapsed() > PATIENCE)) {
                    let news = match to.filter(|_| self.remarks == Remarks::Shown) {
                        Some(to) => format!("waits for {check}: {to}: {why}"),
                        None => format!("waits for {last}"),
                    };
                    reporter.host.emit(Event::Note(news)).await;
                    told.clone_from(&last);
                }
                self.note(index, last);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return interrupted(),
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(self.what.interval);
            }
            self.with(index, |progress| progress.held += 1);
        }
        Outcome::Exited(0)
    }

    /// What is missing on a host, and what was seen of it last.
    fn last(&self, index: usize) -> String {
        let last = self.with(index, |progress| progress.last.clone());
        if last.is_empty() { "no connection yet".to_owned() } else { last }
    }

    fn note(&self, index: usize, last: String) {
        self.with(index, |progress| progress.last = last);
    }

    fn with<T>(&self, index: usize, work: impl FnOnce(&mut Progress) -> T) -> T {
        work(&mut self.progress[index].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The end of one that was asked, and nothing of which runs on the host.
fn interrupted() -> Outcome {
    Outcome::Stopped { cause: StopCause::Cancelled, stop: Stop::Confirmed, output: LastOutput::Complete }
}

/// When a question need not be waited for any more. One that is a command ends by itself then, on the host too.
async fn stopped(question: &Question, stop: &CancellationToken) {
    match question {
        Question::Tcp { .. } | Question::Http { .. } => stop.cancelled().await,
        Question::File(_) | Question::Command(_) => std::future::pending().await,
    }
}
