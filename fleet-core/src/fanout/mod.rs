//! The one fan-out: runs a `Task` on many hosts, a bounded number at once, and reports on every one.
//!
//! The loop selects over what can happen (an event, a signal, a tick), asks `RunState` what follows, and does it.
//! It knows no SSH, no terminal and no flags; hosts are numbers here.

mod renderer_thread;
mod signal;
mod state;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::renderer_thread::RendererThread;
pub use self::signal::{Signal, Signals};
use self::state::{Input, RunState, Step};
use crate::event::{Event, HostEvent, HostIndex};
use crate::outcome::{ExitRule, ExitStatus, HostError, Outcome, Report};
use crate::render::{Completion, Ending, RenderError, Renderer};

/// Events that may wait for the renderer; a slow terminal fills this, and the hosts' output then waits with them.
const EVENT_QUEUE: usize = 256;
/// How often the progress line is drawn anew.
const TICK: Duration = Duration::from_millis(100);
/// How long the summary may take when the run is left at once.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The work on one host.
pub trait Task: Send + Sync + 'static {
    /// Does it. Whatever happens on the host is an outcome; the future is dropped when the run is aborted.
    fn run(&self, host: HostContext) -> impl Future<Output = Outcome> + Send;
}

/// What a task is given: which host it is, where to report, and when to stop.
#[derive(Clone, Debug)]
pub struct HostContext {
    index: HostIndex,
    events: mpsc::Sender<(HostIndex, Event)>,
    cancel: CancellationToken,
}

impl HostContext {
    /// The host's place in the run.
    #[must_use]
    pub fn index(&self) -> HostIndex {
        self.index
    }

    /// Reports an event; waits while the renderer is behind.
    pub async fn emit(&self, event: Event) {
        let _ = self.events.send((self.index, event)).await;
    }

    /// Cancelled when the run is to end: stop the remote work, then return.
    #[must_use]
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }
}

/// The outcome of a whole run.
#[derive(Debug)]
pub struct Finished {
    /// One outcome for each host.
    pub report: Report,
    /// The exit status by the run's rule.
    pub status: ExitStatus,
    /// How it came to its end.
    pub completion: Completion,
    /// What could not be written.
    pub render_errors: Vec<RenderError>,
}

/// A run to be done.
#[derive(Debug)]
pub struct Fanout {
    /// How many hosts there are.
    pub hosts: usize,
    /// How many may be worked on at once; at least 1.
    pub limit: usize,
    /// How the exit status follows from the outcomes.
    pub exit_rule: ExitRule,
    /// Holds output back while a question is on the terminal.
    pub quiet: tokio::sync::watch::Receiver<bool>,
}

/// The loop's own state.
struct Loop<T> {
    state: RunState,
    task: Arc<T>,
    running: JoinSet<Outcome>,
    hosts: HashMap<Id, HostIndex>,
    context: HostContext,
    renderer: RendererThread,
    started: Instant,
    exit_rule: ExitRule,
}

impl Fanout {
    /// Runs `task` on every host and shows what happens through `renderer`, on a thread of its own.
    pub async fn run<T: Task>(mut self, task: T, renderer: Box<dyn Renderer>, mut signals: Signals) -> Finished {
        let (events, mut incoming) = mpsc::channel(EVENT_QUEUE);
        let context = HostContext { index: 0, events, cancel: CancellationToken::new() };
        let mut run = Loop {
            state: RunState::new(self.hosts, self.limit),
            task: Arc::new(task),
            running: JoinSet::new(),
            hosts: HashMap::new(),
            context,
            renderer: RendererThread::start(renderer),
            started: Instant::now(),
            exit_rule: self.exit_rule,
        };
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        run.apply(Input::Begin);
        while !run.state.is_over() {
            // A question that is still open when the run is cancelled is not waited for.
            let quiet = *self.quiet.borrow_and_update() && run.state.is_running();
            let accepts = run.renderer.has_room() && !quiet;
            tokio::select! {
                biased;
                signal = signals.next() => run.apply(Input::Signal(signal)),
                () = run.renderer.failed() => run.apply(Input::RenderFailed),
                () = run.renderer.room(), if !run.renderer.has_room() => {}
                _ = self.quiet.changed(), if quiet => {}
                Some((index, event)) = incoming.recv(), if accepts => run.show(index, event),
                Some(ended) = run.running.join_next_with_id(), if accepts && incoming.is_empty() => run.ended(ended),
                _ = ticks.tick(), if accepts => run.renderer.tick(run.started.elapsed()),
            }
        }
        run.finish().await
    }
}

impl<T: Task> Loop<T> {
    fn apply(&mut self, input: Input) {
        for step in self.state.step(input) {
            match step {
                Step::Start(index) => self.start(index),
                Step::Cancel => self.context.cancel.cancel(),
                Step::Abort => self.running.abort_all(),
                Step::Finished(index, outcome) => self.show(index, Event::Finished(outcome)),
            }
        }
    }

    fn start(&mut self, index: HostIndex) {
        self.show(index, Event::Started);
        let task = Arc::clone(&self.task);
        let context = HostContext { index, ..self.context.clone() };
        let handle = self.running.spawn(async move { task.run(context).await });
        self.hosts.insert(handle.id(), index);
    }

    fn ended(&mut self, ended: Result<(Id, Outcome), tokio::task::JoinError>) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let words = if error.is_panic() { "internal error: the task panicked" } else { "aborted" };
                (error.id(), Outcome::Failed(HostError::local(words)))
            }
        };
        if let Some(index) = self.hosts.remove(&id) {
            self.apply(Input::Ended(index, outcome));
        }
    }

    fn show(&mut self, index: HostIndex, event: Event) {
        self.renderer.event(HostEvent { index, at: self.started.elapsed(), event });
    }

    async fn finish(mut self) -> Finished {
        let completion = self.state.completion();
        self.running.shutdown().await;
        let report = self.state.into_report();
        let status = report.exit_status(self.exit_rule);
        let ending = Ending { elapsed: self.started.elapsed(), status, completion };
        let showing = self.renderer.finish(report.clone(), ending);
        let render_errors = match completion {
            // After the second signal the terminal may be what hangs: it is given a moment, no more.
            Completion::Abandoned => tokio::time::timeout(LAST_WORDS, showing).await.unwrap_or_default(),
            _ => showing.await,
        };
        Finished { report, status, completion, render_errors }
    }
}

#[cfg(test)]
mod tests;
