//! The one fan-out: runs a `Task` on many hosts, a bounded number at once, and reports on every one.
//!
//! The loop selects over what can happen (an event, a signal, a tick), asks `RunState` what follows, and does it.
//! It knows no SSH, no terminal and no flags; hosts are numbers here.

mod finished;
mod floor;
mod pacing;
mod places;
mod renderer_thread;
mod request;
mod retry;
mod rollout;
mod signal;
mod silence;
mod state;
mod step;
mod straggler;
mod task;
mod witness;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

pub use self::finished::Finished;
pub use self::floor::Floor;
use self::floor::RunFloor;
use self::pacing::Pacing;
pub use self::places::FanoutLimit;
use self::places::Places;
use self::renderer_thread::RendererThread;
pub use self::request::{Request, Requests};
pub use self::retry::RetrySettings;
pub use self::rollout::{Answer, AtEarlyEnd, Canary, CanaryReport, Confirm, Consent, RolloutSettings};
pub use self::signal::{Signal, Signals, is_ignored};
use self::silence::Silence;
use self::state::RunState;
use self::step::{Input, Step};
use self::task::Message;
#[cfg(test)]
pub(crate) use self::task::Scripted;
pub use self::task::{HostContext, Task};
pub use self::witness::{Nobody, Witness};
use crate::event::{Event, HostEvent, HostIndex};
use crate::outcome::{ExitRule, HostError, Outcome};
use crate::pace::Gate;
use crate::render::{Completion, CutCause, Ending, Occasion, Renderer};

/// Events that may wait for the renderer; a slow terminal fills this, and the hosts' output then waits with them.
const EVENT_QUEUE: usize = 256;
/// How often the progress line is drawn anew.
const TICK: Duration = Duration::from_millis(100);
/// How long a cancelled run waits for a terminal or a pipe that takes nothing; for a slow one it waits.
const STUCK_LIMIT: Duration = Duration::from_secs(10);
/// How long the summary may take when the run is left at once.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A run to be done.
pub struct Fanout {
    /// How many hosts there are.
    pub hosts: usize,
    /// How many may be worked on at once.
    pub limit: FanoutLimit,
    /// How many of them may be logging in at once, if that is to be found out.
    pub pace: Option<Arc<Gate>>,
    /// How the exit status follows from the outcomes.
    pub exit_rule: ExitRule,
    /// How carefully it goes on.
    pub rollout: RolloutSettings,
    /// What is left to chance follows from this.
    pub seed: u64,
    /// Asks whether to go on after the canaries.
    pub confirm: Arc<dyn Confirm>,
    /// What a person wants meanwhile.
    pub requests: Requests,
    /// Whose turn it is to write to the terminal.
    pub floor: Floor,
    /// Keeps account of the hosts, without waiting for the renderer.
    pub witness: Arc<dyn Witness>,
}

/// The loop's own state.
struct Loop<T> {
    state: RunState,
    task: Arc<T>,
    running: JoinSet<()>,
    hosts: HashMap<Id, HostIndex>,
    /// What stops the work on one host.
    stops: HashMap<HostIndex, CancellationToken>,
    context: HostContext,
    renderer: RendererThread,
    started: Instant,
    exit_rule: ExitRule,
    rollout: RolloutSettings,
    confirm: Arc<dyn Confirm>,
    /// Brings the answer to the question that is open.
    answer: Option<oneshot::Receiver<Answer>>,
    silence: Silence,
    /// Why output is missing if the run is left at once.
    cut_cause: CutCause,
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout").field("hosts", &self.hosts).field("rollout", &self.rollout).finish_non_exhaustive()
    }
}

impl Fanout {
    /// A run of one wave at a fixed pace, of which nobody keeps account, and who could change it is not there.
    #[must_use]
    pub fn new(hosts: usize, limit: FanoutLimit) -> Self {
        Self {
            hosts,
            limit,
            pace: None,
            exit_rule: ExitRule::WorstClass,
            rollout: RolloutSettings::default(),
            seed: 0,
            confirm: Arc::new(Nobody),
            requests: Requests::new().1,
            floor: Floor::default(),
            witness: Arc::new(Nobody),
        }
    }

    /// Runs `task` on every host and shows what happens through `renderer`, on a thread of its own.
    pub async fn run<T: Task>(mut self, task: T, renderer: Box<dyn Renderer>, mut signals: Signals) -> Finished {
        let (messages, mut incoming) = mpsc::channel(EVENT_QUEUE);
        let mut run = Loop::new(&self, task, renderer, messages);
        let mut pacing = Pacing::new(self.pace.as_deref());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut floor = RunFloor::new(self.floor);
        run.apply(Input::Begin);
        while !run.state.is_over() {
            // A question that is still open when the run is cancelled is not waited for.
            let is_asked = floor.is_asked_for() || run.answer.is_some();
            let quiet = is_asked && run.state.is_running();
            if let Some(room) = floor.room_wanted() {
                run.renderer.make_room(room);
            }
            let has_room = run.renderer.has_room();
            let accepts = has_room && !quiet;
            let stuck = !has_room && !run.state.is_running();
            let wake_at = run.state.wake_at().map(|at| run.started + at);
            tokio::select! {
                biased;
                signal = signals.next() => {
                    // The question that the signal ends is to leave its line before we say anything.
                    let _ = tokio::time::timeout(LAST_WORDS, floor.free()).await;
                    run.interrupted(Input::Signal(signal), &mut incoming);
                }
                () = run.renderer.failed() => run.apply(Input::RenderFailed),
                Some(joined) = run.running.join_next_with_id() => run.joined(joined),
                answer = answered(&mut run.answer) => run.answered(answer),
                request = self.requests.next() => run.requested(request),
                handshakes = pacing.changed() => run.apply(Input::Handshakes(handshakes)),
                () = run.renderer.room(), if !has_room => {}
                () = run.renderer.stalled(STUCK_LIMIT), if stuck => {
                    run.cut_cause = CutCause::Stuck(STUCK_LIMIT);
                    let _ = tokio::time::timeout(LAST_WORDS, run.take_outcomes(&mut incoming)).await;
                    run.apply(Input::Stuck);
                }
                () = floor.changed() => {}
                () = woken(wake_at) => run.apply(Input::Woken),
                Some((index, message)) = incoming.recv(), if accepts => run.receive(index, message),
                _ = ticks.tick(), if accepts => run.tick(&mut pacing),
            }
        }
        run.finish(signals).await
    }
}

/// Waits for the answer to a question, if one is open. Who asked and is gone without an answer says no.
async fn answered(answer: &mut Option<oneshot::Receiver<Answer>>) -> Answer {
    match answer {
        Some(answer) => answer.await.unwrap_or(Answer::Stop),
        None => std::future::pending().await,
    }
}

async fn woken(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl<T: Task> Loop<T> {
    fn new(
        fanout: &Fanout,
        task: T,
        renderer: Box<dyn Renderer>,
        messages: mpsc::Sender<(HostIndex, Message)>,
    ) -> Self {
        let places = Places::new(fanout.limit, fanout.pace.as_ref().map(|gate| gate.limit()));
        Self {
            state: RunState::new(fanout.hosts, places, fanout.rollout.clone(), fanout.seed),
            task: Arc::new(task),
            running: JoinSet::new(),
            hosts: HashMap::new(),
            stops: HashMap::new(),
            context: HostContext {
                index: 0,
                attempt: 1,
                messages,
                witness: Arc::clone(&fanout.witness),
                cancel: CancellationToken::new(),
            },
            renderer: RendererThread::start(renderer),
            started: Instant::now(),
            exit_rule: fanout.exit_rule,
            rollout: fanout.rollout.clone(),
            confirm: Arc::clone(&fanout.confirm),
            answer: None,
            silence: Silence::new(),
            cut_cause: CutCause::Signal,
        }
    }

    fn apply(&mut self, input: Input) {
        for step in self.state.step(input, self.started.elapsed()) {
            match step {
                Step::Wave(wave) => self.renderer.wave(wave, self.started.elapsed()),
                Step::Start(index, attempt) => self.start(index, attempt),
                Step::Stop(index) => {
                    if let Some(stop) = self.stops.get(&index) {
                        stop.cancel();
                    }
                }
                Step::Retry(index, retry) => self.show(index, Event::Retry(retry)),
                Step::Ask(canaries) => self.ask(canaries),
                Step::Notice(text) => self.renderer.notice(text),
                Step::Cancel => self.context.cancel.cancel(),
                Step::Abort => self.running.abort_all(),
                Step::Finished(index, outcome) => {
                    let event = Event::Finished(outcome);
                    self.context.witness.saw(index, &event);
                    self.show(index, event);
                }
            }
        }
    }

    fn start(&mut self, index: HostIndex, attempt: u32) {
        self.context.witness.saw(index, &Event::Started);
        if attempt == 1 {
            self.show(index, Event::Started);
        }
        let task = Arc::clone(&self.task);
        let cancel = self.context.cancel.child_token();
        self.stops.insert(index, cancel.clone());
        let context = HostContext { index, attempt, cancel, ..self.context.clone() };
        // The outcome comes behind the host's events, and no flood from others keeps it from being seen.
        let (messages, witness) = (context.messages.clone(), Arc::clone(&context.witness));
        let handle = self.running.spawn(async move {
            let outcome = task.run(context).await;
            witness.saw(index, &Event::Finished(outcome.clone()));
            let _ = messages.send((index, Message::Ended(outcome))).await;
        });
        self.hosts.insert(handle.id(), index);
    }

    /// Asks beside the loop, which makes room when the question takes the floor.
    fn ask(&mut self, canaries: CanaryReport) {
        let (sender, receiver) = oneshot::channel();
        let confirm = Arc::clone(&self.confirm);
        tokio::task::spawn_blocking(move || sender.send(confirm.go_on(&canaries)));
        self.answer = Some(receiver);
    }

    fn answered(&mut self, answer: Answer) {
        self.answer = None;
        self.silence.heard(self.started.elapsed());
        self.apply(Input::Answered(answer));
    }

    fn receive(&mut self, index: HostIndex, message: Message) {
        self.silence.heard(self.started.elapsed());
        match message {
            Message::Event(event) => {
                if let Event::Stage(stage) = event {
                    self.apply(Input::Stage(index, stage));
                }
                self.show(index, event);
            }
            Message::Ended(outcome) => self.ended(index, outcome),
        }
    }

    fn ended(&mut self, index: HostIndex, outcome: Outcome) {
        self.stops.remove(&index);
        self.apply(Input::Ended(index, outcome));
    }

    /// A task that ends in order has sent its outcome; what is left to see here is one that panicked.
    fn joined(&mut self, joined: Result<(Id, ()), tokio::task::JoinError>) {
        let id = joined.as_ref().map_or_else(tokio::task::JoinError::id, |(id, ())| *id);
        let index = self.hosts.remove(&id);
        if let (Err(error), Some(index)) = (joined, index)
            && error.is_panic()
        {
            self.ended(index, Outcome::Failed(HostError::local("internal error: the task panicked")));
        }
    }

    fn requested(&mut self, request: Request) {
        match request {
            Request::Slowest => self.renderer.slowest(Occasion::Asked, self.started.elapsed()),
            Request::More => self.apply(Input::More),
            Request::Fewer => self.apply(Input::Fewer),
        }
    }

    fn tick(&mut self, pacing: &mut Pacing) {
        let now = self.started.elapsed();
        if let Some(change) = pacing.remark(now) {
            self.renderer.limit(change, now);
        }
        if self.state.running() > 0
            && let Some(silent) = self.silence.remark(now)
        {
            self.renderer.slowest(Occasion::Silence(silent), now);
        }
        self.renderer.tick(now);
    }

    /// A signal. The second one leaves at once, but not without the outcomes that are there already.
    fn interrupted(&mut self, input: Input, incoming: &mut mpsc::Receiver<(HostIndex, Message)>) {
        if self.answer.take().is_some() {
            self.confirm.withdraw();
        } else if self.state.is_running() {
            let text = format!("stopping what runs on {} hosts; once more leaves at once", self.state.running());
            self.renderer.notice(text);
        } else {
            while let Ok((index, message)) = incoming.try_recv() {
                self.receive(index, message);
            }
        }
        self.apply(input);
    }

    /// Takes what the tasks send until all have ended; their output has nowhere to go and is dropped.
    async fn take_outcomes(&mut self, incoming: &mut mpsc::Receiver<(HostIndex, Message)>) {
        while !self.state.is_over() {
            let Some((index, message)) = incoming.recv().await else { return };
            if let Message::Ended(outcome) = message {
                self.ended(index, outcome);
            }
        }
    }

    fn show(&mut self, index: HostIndex, event: Event) {
        self.renderer.event(HostEvent { index, at: self.started.elapsed(), event });
    }

    async fn finish(mut self, mut signals: Signals) -> Finished {
        let completion = self.state.completion();
        self.running.shutdown().await;
        let report = self.state.into_report();
        let status = finished::status(&report, completion, self.exit_rule, &self.rollout);
        let ending = Ending { elapsed: self.started.elapsed(), status, completion };
        let renderer = &self.renderer;
        let impatience = async {
            let cause = tokio::select! {
                _ = signals.next(), if completion != Completion::Abandoned => CutCause::Signal,
                () = renderer.stalled(STUCK_LIMIT), if completion == Completion::Interrupted => {
                    CutCause::Stuck(STUCK_LIMIT)
                }
                () = std::future::ready(()), if completion == Completion::Abandoned => self.cut_cause,
            };
            tokio::time::sleep(LAST_WORDS).await;
            cause
        };
        let render_errors = tokio::select! {
            errors = renderer.finish(report.clone(), ending) => errors,
            cause = impatience => renderer.cut(cause),
        };
        Finished { report, status, completion, render_errors }
    }
}

#[cfg(test)]
mod tests;
