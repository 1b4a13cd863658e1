//! The renderer on a thread of its own, so that a terminal that is paused stops the output and nothing else.
//!
//! Signals are still seen and connections still kept alive while a write to the terminal blocks. Must not know what
//! the renderer shows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::floor::Room;
use crate::event::{Event, HostEvent, Wave};
use crate::outcome::Report;
use crate::pace::Change;
use crate::render::{CutCause, Ending, Occasion, Outflow, RenderError, Renderer};

/// Events that may wait for the thread before the loop takes no more from the hosts.
const QUEUE_LIMIT: usize = 256;
/// Events that may wait for something to be shown, or for the next tick, before the thread is woken for them.
const UNHURRIED_LIMIT: usize = QUEUE_LIMIT / 2;

/// A handle to the thread.
#[derive(Debug)]
pub(super) struct RendererThread {
    shared: Arc<Shared>,
    outflow: Outflow,
    told_of_failure: AtomicBool,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Notify,
    failed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    work: VecDeque<Work>,
    /// How many pieces of work were ever begun.
    begun: u64,
    errors: Vec<RenderError>,
    failed: bool,
    /// The thread is gone: what is handed over goes nowhere.
    gone: bool,
    /// The thread sleeps until it is woken.
    asleep: bool,
}

/// Tells of the thread's end, however it comes: nobody must wait for a renderer that panicked.
struct Farewell<'a>(&'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.gone = true;
        queue.work.clear();
        if thread::panicking() {
            queue.failed = true;
            let source = std::io::Error::other("internal error: the renderer panicked");
            queue.errors.push(RenderError::Write { to: "standard output", source });
        }
        drop(queue);
        self.0.emptied.notify_one();
        self.0.failed.notify_one();
    }
}

#[derive(Debug)]
enum Work {
    Event(HostEvent),
    Tick(Duration),
    Notice(String),
    Wave(Wave, Duration),
    Slowest(Occasion, Duration),
    Limit(Change, Duration),
    /// Take the progress line away, then let go of the room.
    MakeRoom(Room),
    Finish {
        report: Report,
        ending: Ending,
        done: oneshot::Sender<()>,
    },
}

impl RendererThread {
    /// Moves `renderer` to a new thread.
    pub(super) fn start(renderer: Box<dyn Renderer>) -> Self {
        let (shared, outflow) = (Arc::new(Shared::default()), renderer.outflow());
        let theirs = Arc::clone(&shared);
        thread::spawn(move || theirs.render(renderer));
        Self { shared, outflow, told_of_failure: AtomicBool::new(false) }
    }

    /// Hands over an event. Never waits: ask [`Self::has_room`] before taking more from the hosts.
    ///
    /// What only the progress line shows waits for its next tick: to wake a thread takes as much as to show ten events.
    pub(super) fn event(&self, event: HostEvent) {
        let unhurried = matches!(event.event, Event::Started | Event::Stage(_));
        let queue = self.shared.append(Work::Event(event));
        if !unhurried || queue.work.len() >= UNHURRIED_LIMIT {
            self.shared.wake(queue);
        }
    }

    /// Says something about the run as a whole.
    pub(super) fn notice(&self, text: String) {
        self.shared.push(Work::Notice(text));
    }

    /// Says that a wave begins, this long after the start.
    pub(super) fn wave(&self, wave: Wave, at: Duration) {
        self.shared.push(Work::Wave(wave, at));
    }

    /// Names the slowest hosts, this long after the start.
    pub(super) fn slowest(&self, occasion: Occasion, at: Duration) {
        self.shared.push(Work::Slowest(occasion, at));
    }

    /// Says that another number of hosts may log in at once, this long after the start.
    pub(super) fn limit(&self, change: Change, at: Duration) {
        self.shared.push(Work::Limit(change, at));
    }

    /// Writes everything handed over before and takes the progress line away, then drops `room`.
    pub(super) fn make_room(&self, room: Room) {
        self.shared.push(Work::MakeRoom(room));
    }

    /// Lets the progress line show the time `elapsed` since the start.
    pub(super) fn tick(&self, elapsed: Duration) {
        let mut queue = self.shared.lock();
        if !matches!(queue.work.back(), Some(Work::Tick(_))) {
            queue.work.push_back(Work::Tick(elapsed));
        }
        self.shared.wake(queue);
    }

    /// Whether the thread keeps up.
    pub(super) fn has_room(&self) -> bool {
        self.shared.lock().work.len() < QUEUE_LIMIT
    }

    /// Waits until the thread has worked off its queue.
    pub(super) async fn room(&self) {
        self.shared.emptied.notified().await;
    }

    /// Waits until output can no longer be written at all; for ever once that was said. A host's file that cannot be
    /// written is no such failure: the others go on.
    pub(super) async fn failed(&self) {
        if self.told_of_failure.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        loop {
            let told = self.shared.failed.notified();
            if self.shared.lock().failed {
                self.told_of_failure.store(true, Ordering::Relaxed);
                return;
            }
            told.await;
        }
    }

    /// Waits until the thread has got nowhere for `limit`: has begun no work, and nobody has taken a byte of its output.
    pub(super) async fn stalled(&self, limit: Duration) {
        let progress = || (self.shared.lock().begun, self.outflow.taken_bytes());
        loop {
            let before = progress();
            tokio::time::sleep(limit).await;
            if progress() == before {
                return;
            }
        }
    }

    /// Shows the end and waits until all is written. Returns everything that could not be written during the run.
    pub(super) async fn finish(&self, report: Report, ending: Ending) -> Vec<RenderError> {
        let (done, written) = oneshot::channel();
        self.shared.push(Work::Finish { report, ending, done });
        let _ = written.await;
        self.take_errors()
    }

    /// Gives up what is not yet written. Returns everything that could not be written during the run, this included.
    pub(super) fn cut(&self, cause: CutCause) -> Vec<RenderError> {
        let mut errors = self.take_errors();
        self.outflow.close();
        errors.push(RenderError::Cut(cause));
        errors
    }

    fn take_errors(&self) -> Vec<RenderError> {
        std::mem::take(&mut self.shared.lock().errors)
    }
}

impl Shared {
    fn render(&self, mut renderer: Box<dyn Renderer>) {
        let _farewell = Farewell(self);
        loop {
            let (work, more) = self.take();
            let result = match work {
                Work::Event(event) => renderer.event(&event),
                Work::Tick(elapsed) => renderer.tick(elapsed),
                Work::Notice(text) => renderer.notice(&text),
                Work::Wave(wave, at) => renderer.wave(&wave, at),
                Work::Slowest(occasion, at) => renderer.slowest(occasion, at),
                Work::Limit(change, at) => renderer.limit(change, at),
                Work::MakeRoom(room) => {
                    self.note(renderer.make_room());
                    drop(room);
                    continue;
                }
                Work::Finish { report, ending, done } => {
                    // Whoever closed the pipe wants to hear no more.
                    if !self.lock().errors.iter().any(|error| matches!(error, RenderError::BrokenPipe { .. })) {
                        self.note(renderer.finish(&report, &ending));
                    }
                    let _ = done.send(());
                    return;
                }
            };
            self.note(result);
            if !more {
                self.note(renderer.flush());
            }
        }
    }

    fn note(&self, result: Result<(), RenderError>) {
        let Err(error) = result else { return };
        let mut queue = self.lock();
        if !matches!(error, RenderError::File { .. }) {
            queue.failed = true;
            self.failed.notify_one();
        }
        queue.errors.push(error);
    }

    /// The next piece of work, and whether more is waiting behind it.
    fn take(&self) -> (Work, bool) {
        let mut queue = self.lock();
        loop {
            if let Some(work) = queue.work.pop_front() {
                queue.begun += 1;
                let more = !queue.work.is_empty();
                if !more {
                    self.emptied.notify_one();
                }
                return (work, more);
            }
            queue.asleep = true;
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.asleep = false;
        }
    }

    fn push(&self, work: Work) {
        self.wake(self.append(work));
    }

    fn append(&self, work: Work) -> MutexGuard<'_, Queue> {
        let mut queue = self.lock();
        if !queue.gone {
            queue.work.push_back(work);
        }
        queue
    }

    /// Lets the thread go on if it sleeps. Woken under the lock, it would at once wait for that.
    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let asleep = std::mem::take(&mut queue.asleep);
        drop(queue);
        if asleep {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
