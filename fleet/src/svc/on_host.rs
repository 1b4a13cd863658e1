//! The work on one host: start a service, look after one, stop one or all.
//!
//! Must not know other hosts, flags or terminals.

use std::time::Duration;

use bytes::Bytes;
use fleet_core::event::{Event, Stream, Transferred};
use fleet_core::outcome::{FailureClass, HostError, LastOutput, Outcome, Stage, Stop, StopCause};
use fleet_ssh::remote::{
    Follow, JobShell, LaunchBy, Room, ServiceName, ServiceReport, ServiceStart, ServiceState, ServiceWord, Services,
    StartReport, StopVerdict, WrapError, service_list_command, service_log_command, service_remove_command,
    service_start_command, service_start_input, service_start_refusal, service_state_command, service_stop_command,
};
use fleet_ssh::{OutputSink, Wrapping};
use fleet_tool::on_host::{Answer, OnHost};
use fleet_tool::reporter::Reporter;

use super::words;

/// What is done about services.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// One is started.
    Start(Box<Start>),
    /// It is told whether one runs.
    Status(ServiceName),
    /// All are listed.
    List,
    /// The last `lines` of the log of one are taken.
    Logs { name: ServiceName, lines: u64, follow: Follow },
    /// They are stopped.
    Stop(Services),
    /// One that does not run is forgotten.
    Remove(ServiceName),
}

/// A service to be started, the same on all hosts.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) name: ServiceName,
    /// A line for the user's shell.
    pub(crate) command: Vec<u8>,
    pub(crate) variables: Vec<(String, Vec<u8>)>,
    pub(crate) folder: Option<Vec<u8>>,
    pub(crate) shell: JobShell,
    pub(crate) by: LaunchBy,
    pub(crate) replace: Replace,
    /// How long it has to run to count as started; zero for not being watched.
    pub(crate) settle: Duration,
}

/// What becomes of a service of the same name that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replace {
    /// It stays, and nothing is started.
    No,
    /// It is stopped first.
    Yes,
}

/// The services of a host.
pub(super) struct ServicesOn<'a> {
    pub(super) on_host: OnHost<'a>,
    pub(super) reporter: &'a Reporter<'a>,
    /// What a service is told of the host.
    pub(super) variables: Vec<(String, Vec<u8>)>,
}

impl Work {
    /// What of it a host's shell reads.
    pub(super) fn texts(&self) -> Vec<&[u8]> {
        match self {
            Self::Start(start) => {
                let values = start.variables.iter().map(|(_, value)| value.as_slice());
                values.chain([start.command.as_slice()]).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Finds out what no host can be sent.
    pub(super) fn check(&self) -> Result<(), WrapError> {
        match self {
            Self::Start(start) => start.input(Room::Free).map(drop),
            _ => Ok(()),
        }
    }
}

impl Start {
    fn input(&self, room: Room) -> Result<Vec<u8>, WrapError> {
        let Self { name, command, variables, folder, shell, by, replace: _, settle } = self;
        let (shell, by, settle, folder) = (*shell, *by, *settle, folder.as_deref());
        service_start_input(&ServiceStart { name, command, shell, variables, folder, by, room, settle })
    }
}

impl ServicesOn<'_> {
    /// Does the work; what is told goes to the run.
    pub(super) async fn work(&self, work: &Work) -> Outcome {
        let done = match work {
            Work::Start(start) => self.start(start).await,
            Work::Status(name) => self.status(name).await,
            Work::List => self.list().await,
            Work::Logs { name, lines, follow } => self.logs(name, *lines, *follow).await,
            Work::Stop(services) => self.stop(services).await,
            Work::Remove(name) => self.remove(name).await,
        };
        match done {
            Ok(()) => Outcome::Exited(0),
            Err(outcome) => outcome,
        }
    }

    /// `Err` is an end before the work was done, here and in the others.
    async fn start(&self, start: &Start) -> Result<(), Outcome> {
        let one = Services::One(start.name.clone());
        let mut report = self.launch(start, Room::Free).await?;
        if report.service.word == ServiceWord::Present {
            if report.service.state == ServiceState::Running && start.replace == Replace::No {
                self.say(Stream::Stderr, words::service(&report.service)).await;
                return Err(not_so(
                    "it runs already",
                    "--replace stops it and starts it anew; fleet svc stop stops it",
                ));
            }
            // Also of one that has ended something may run.
            self.end(&one).await?;
            report = self.launch(start, Room::Ended).await?;
        }
        let service = report.service;
        if service.state == ServiceState::Running || start.settle.is_zero() {
            self.tell(format!("{} started, by={}", service.name, service.by)).await;
            return Ok(());
        }
        self.reporter.output(Stream::Stderr, report.last_words.into()).await;
        self.end(&one).await?;
        let message = format!("it has ended within {}: {}", words::time(start.settle), words::state(&service.state));
        let hint = match service.state {
            ServiceState::Exited(0) => {
                "a service stays in the foreground: tell the program not to go to the background (as nginx -g 'daemon off;')"
            }
            _ => "its last lines are above; fleet svc logs NAME shows more",
        };
        Err(not_so(message, hint))
    }

    async fn launch(&self, start: &Start, room: Room) -> Result<StartReport, Outcome> {
        let input = start.input(room).map_err(|error| Outcome::Failed(HostError::local(error.to_string())))?;
        let env = self.variables.clone();
        let heard = Heard::new(self.reporter);
        let outcome = self.on_host.run_with_input(service_start_command(), env, input.into(), &heard).await;
        let said = heard.answer.bytes();
        match (outcome, StartReport::find(&said)) {
            (Outcome::Exited(0), Some(report)) => Ok(report),
            (Outcome::Exited(0), None) => Err(silent()),
            (outcome @ Outcome::Exited(_), _) => Err(match service_start_refusal(&said) {
                Some(reason) => Outcome::Failed(HostError::new(Stage::Command, FailureClass::Service, reason)),
                None => outcome,
            }),
            (outcome, _) => Err(outcome),
        }
    }

    async fn status(&self, name: &ServiceName) -> Result<(), Outcome> {
        let service = self.known(name).await?;
        self.say(Stream::Stdout, words::service(&service)).await;
        match service.state {
            ServiceState::Running => Ok(()),
            state => Err(not_so(
                format!("it does not run: {}", words::state(&state)),
                "fleet svc logs NAME shows what it has said",
            )),
        }
    }

    async fn list(&self) -> Result<(), Outcome> {
        for service in self.ask(service_list_command(), Wrapping::Shell).await? {
            self.say(Stream::Stdout, words::listed(&service)).await;
        }
        Ok(())
    }

    async fn logs(&self, name: &ServiceName, lines: u64, follow: Follow) -> Result<(), Outcome> {
        self.known(name).await?;
        match self.on_host.run(service_log_command(name, lines, follow), Wrapping::Shell, self.reporter).await {
            Outcome::Exited(0) => Ok(()),
            outcome => Err(outcome),
        }
    }

    async fn stop(&self, services: &Services) -> Result<(), Outcome> {
        let stopped = self.end(services).await?;
        self.tell(match &stopped[..] {
            [] => "nothing ran".to_owned(),
            names => format!("stopped {}", names.join(", ")),
        })
        .await;
        Ok(())
    }

    /// Stops them, and returns the names of those of which something ran.
    async fn end(&self, services: &Services) -> Result<Vec<String>, Outcome> {
        let ended = self.ask(service_stop_command(services, self.on_host.limits.grace), self.beside()).await?;
        if let Services::One(_) = services {
            existing(ended.first())?;
        }
        confirmed(&ended)?;
        let ran = ended.into_iter().filter(|service| service.word == ServiceWord::Gone);
        Ok(ran.map(|service| service.name).collect())
    }

    async fn remove(&self, name: &ServiceName) -> Result<(), Outcome> {
        let removed = self.ask(service_remove_command(name, self.on_host.limits.grace), self.beside()).await?;
        match existing(removed.first())?.word {
            ServiceWord::Present => Err(not_so("it runs", "fleet svc stop NAME stops it")),
            _ => confirmed(&removed),
        }
    }

    async fn known(&self, name: &ServiceName) -> Result<ServiceReport, Outcome> {
        let told = self.ask(service_state_command(name), Wrapping::Shell).await?;
        existing(told.first()).cloned()
    }

    async fn ask(&self, command: Vec<u8>, wrapping: Wrapping) -> Result<Vec<ServiceReport>, Outcome> {
        let heard = Heard::new(self.reporter);
        match self.on_host.run(command, wrapping, &heard).await {
            Outcome::Exited(0) => Ok(ServiceReport::find_all(&heard.answer.bytes())),
            outcome => Err(outcome),
        }
    }

    /// Nothing has to watch over what stops something, but sudo runs nothing else than what is wrapped.
    fn beside(&self) -> Wrapping {
        if self.on_host.sudo.is_some() { Wrapping::Shell } else { Wrapping::Raw }
    }

    async fn say(&self, stream: Stream, line: Vec<u8>) {
        self.reporter.output(stream, line.into()).await;
    }

    /// Tells what it came to, once for all hosts with the same.
    async fn tell(&self, text: String) {
        self.reporter.host.emit(Event::Result(text)).await;
    }
}

/// The one service that was asked for.
fn existing(service: Option<&ServiceReport>) -> Result<&ServiceReport, Outcome> {
    match service {
        None => Err(silent()),
        Some(service) if service.state == ServiceState::None => Err(not_so(
            "no such service",
            "fleet svc ls lists those of a host; each user has their own, and --sudo shows those of the other one",
        )),
        Some(service) => Ok(service),
    }
}

/// Fails unless nothing of these services is left.
fn confirmed(ended: &[ServiceReport]) -> Result<(), Outcome> {
    let left = ended.iter().find_map(|service| match &service.word {
        ServiceWord::Left(pids) if pids.is_empty() => {
            Some(Stop::Unconfirmed(format!("systemd still has the unit fleet-{}", service.name)))
        }
        ServiceWord::Left(pids) => Some(StopVerdict::Left(pids.clone()).into()),
        ServiceWord::Unknown => Some(StopVerdict::Unknown.into()),
        _ => None,
    });
    match left {
        Some(stop) => Err(Outcome::Stopped { cause: StopCause::Cancelled, stop, output: LastOutput::Complete }),
        None => Ok(()),
    }
}

fn not_so(message: impl Into<String>, hint: &str) -> Outcome {
    Outcome::Failed(HostError::new(Stage::Command, FailureClass::Service, message).with_hint(hint))
}

fn silent() -> Outcome {
    let message = "no word about the service from the host";
    Outcome::Failed(HostError::new(Stage::Command, FailureClass::Channel, message))
}

/// What our own commands say: to us on standard output, to the user on standard error.
struct Heard<'a> {
    answer: Answer,
    reporter: &'a Reporter<'a>,
}

impl<'a> Heard<'a> {
    fn new(reporter: &'a Reporter<'a>) -> Self {
        Self { answer: Answer::default(), reporter }
    }
}

impl OutputSink for Heard<'_> {
    fn announced(&self) {
        self.reporter.announced();
    }

    async fn started(&self) {
        self.reporter.started().await;
    }

    async fn output(&self, stream: Stream, bytes: Bytes) {
        match stream {
            Stream::Stdout => self.answer.output(stream, bytes).await,
            Stream::Stderr => self.reporter.output(stream, bytes).await,
        }
    }

    async fn progress(&self, _: Transferred) {}

    async fn note(&self, text: String) {
        OutputSink::note(self.reporter, text).await;
    }
}
