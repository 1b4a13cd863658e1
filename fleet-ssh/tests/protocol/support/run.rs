//! Whole runs: a fan-out whose task is a command, and a renderer that keeps everything.

use std::sync::Arc;

use bytes::Bytes;
use fleet_core::event::{Event, HostEvent, HostIndex, Stream};
use fleet_core::fanout::{Fanout, FanoutLimit, Finished, HostContext, Signals, Task};
use fleet_core::host::Host;
use fleet_core::outcome::{Outcome, Report, SkipCause, Stage};
use fleet_core::render::{Ending, RenderError, Renderer};
use fleet_ssh::{ConnectObserver, Connector, OutputSink};
use tokio::sync::watch;

use super::{Job, Transcript, in_time};

/// Runs one command on every host, as `psh` does.
pub(crate) struct RunCommand {
    pub(crate) connector: Arc<Connector>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) job: Job,
}

impl Task for RunCommand {
    async fn run(&self, host: HostContext) -> Outcome {
        let reporter = Reporter(&host);
        let connected = tokio::select! {
            connected = self.connector.connect(&self.hosts[host.index()], &reporter) => connected,
            () = host.cancel().cancelled() => return Outcome::Skipped(SkipCause::Interrupted),
        };
        let session = match connected {
            Ok(session) => session,
            Err(error) => return Outcome::Failed(error),
        };
        host.emit(Event::Stage(Stage::Command)).await;
        let job = Job { cancel: host.cancel().clone(), ..self.job.clone() };
        let outcome = job.run(&session, &reporter).await;
        session.disconnect().await;
        outcome
    }
}

struct Reporter<'a>(&'a HostContext);

impl ConnectObserver for Reporter<'_> {
    async fn stage(&self, stage: Stage) {
        self.0.emit(Event::Stage(stage)).await;
    }

    async fn note(&self, text: String) {
        self.0.emit(Event::Note(text)).await;
    }
}

impl OutputSink for Reporter<'_> {
    async fn output(&self, stream: Stream, bytes: Bytes) {
        self.0.emit(Event::Output { stream, bytes }).await;
    }
}

/// What was shown of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) stages: Vec<Stage>,
    pub(crate) output: Transcript,
}

/// A renderer that keeps everything, by host.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(watch::Sender<Vec<Shown>>);

impl Recorder {
    pub(crate) fn new(hosts: usize) -> Self {
        Self(watch::Sender::new(vec![Shown::default(); hosts]))
    }

    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.0.borrow().clone()
    }

    /// Waits until what is shown of host `index` is as wanted.
    pub(crate) async fn wait_for(&self, index: HostIndex, wanted: impl Fn(&Shown) -> bool) {
        in_time("an event", self.0.subscribe().wait_for(|shown| wanted(&shown[index]))).await.unwrap();
    }
}

impl Renderer for Recorder {
    fn event(&mut self, event: &HostEvent) -> Result<(), RenderError> {
        self.0.send_modify(|shown| match &event.event {
            Event::Stage(stage) => shown[event.index].stages.push(*stage),
            Event::Output { stream, bytes } => shown[event.index].output.add(*stream, bytes),
            _ => {}
        });
        Ok(())
    }

    fn finish(&mut self, _: &Report, _: &Ending) -> Result<(), RenderError> {
        Ok(())
    }
}

/// Runs `task` on its hosts, at most `limit` at once.
pub(crate) async fn fan_out(task: RunCommand, limit: usize, recorder: &Recorder, signals: Signals) -> Finished {
    let fanout = Fanout::new(task.hosts.len(), FanoutLimit::exactly(limit));
    in_time("the run", fanout.run(task, Box::new(recorder.clone()), signals)).await
}
