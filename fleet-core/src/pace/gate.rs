//! A window at work: it measures attempts, lets those wait that are too many, and tells of every change.
//!
//! Must not decide what the limit is (that is `window`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::window::Window;
use super::{Bounds, Change, End};

/// A window that many tasks share.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    /// Has as many permits as the limit says, or will have: those held above a lowered limit go as they come back.
    places: Arc<Semaphore>,
    changes: watch::Sender<Option<Change>>,
}

#[derive(Debug)]
struct State {
    window: Window,
    in_progress: usize,
    /// Permits that exist, those that are held among them.
    places: usize,
}

/// An attempt in progress. How it ended is told once; one that is dropped before was given up.
#[derive(Debug)]
pub struct Attempt {
    gate: Arc<Gate>,
    begun: Instant,
    met_after: OnceLock<Duration>,
    place: Option<OwnedSemaphorePermit>,
    told: AtomicBool,
}

impl Gate {
    /// A gate whose limit moves within `bounds`.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let window = Window::new(bounds);
        let places = window.limit();
        Self {
            state: Mutex::new(State { window, in_progress: 0, places }),
            places: Arc::new(Semaphore::new(places)),
            changes: watch::Sender::new(None),
        }
    }

    /// How many may go on at once now.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.lock().window.limit()
    }

    /// The latest change of the limit, and those to come.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Option<Change>> {
        self.changes.subscribe()
    }

    /// Begins an attempt once there is room for it; first come, first served.
    pub async fn enter(self: &Arc<Self>) -> Attempt {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let mut attempt = self.begin();
        attempt.place = place;
        attempt
    }

    /// Begins an attempt at once: whoever begins them keeps to the limit.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Attempt {
        self.lock().in_progress += 1;
        Attempt {
            gate: Arc::clone(self),
            begun: Instant::now(),
            met_after: OnceLock::new(),
            place: None,
            told: AtomicBool::new(false),
        }
    }

    fn note(&self, end: End) {
        let mut state = self.lock();
        let in_progress = state.in_progress;
        let Some(change) = state.window.note(end, in_progress) else { return };
        if change.limit > state.places {
            self.places.add_permits(change.limit - state.places);
            state.places = change.limit;
        } else {
            state.places -= self.places.forget_permits(state.places - change.limit);
        }
        drop(state);
        self.changes.send_replace(Some(change));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The other side has shown how fast it is; what follows is not counted in the time that it took.
    pub fn met(&self) {
        self.met_after.get_or_init(|| self.begun.elapsed());
    }

    /// It went well.
    pub fn done(&self) {
        self.end(End::Done(*self.met_after.get_or_init(|| self.begun.elapsed())));
    }

    /// It ended like this. What is told after the first time is not listened to.
    pub fn end(&self, end: End) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.gate.note(end);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end(End::Unrelated);
        let mut state = self.gate.lock();
        state.in_progress -= 1;
        if let Some(place) = self.place.take()
            && state.places > state.window.limit()
        {
            place.forget();
            state.places -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn enter(gate: &Arc<Gate>) -> Option<Attempt> {
        gate.enter().now_or_never()
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_find_no_room_wait_for_one_who_leaves() {
        let gate = Arc::new(Gate::new(Bounds { least: 1, start: 2, most: 2 }));
        let (first, _second) = (enter(&gate).unwrap(), enter(&gate).unwrap());
        assert!(enter(&gate).is_none());
        drop(first);
        assert!(enter(&gate).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_room_follows_the_limit_up_and_down() {
        let gate = Arc::new(Gate::new(Bounds { least: 1, start: 8, most: 1024 }));
        let mut changes = gate.changes();
        let mut inside: Vec<_> = std::iter::from_fn(|| enter(&gate)).collect();
        assert_eq!(inside.len(), 8);
        inside.iter().for_each(Attempt::done);
        assert_eq!(changes.borrow_and_update().unwrap().limit, 16);
        inside.clear();
        inside.extend(std::iter::from_fn(|| enter(&gate)));
        assert_eq!(inside.len(), 16);
        inside[0].end(End::OutOfDescriptors);
        inside[0].end(End::OutOfDescriptors);
        assert_eq!(changes.borrow_and_update().unwrap().limit, 8);
        inside.truncate(8);
        assert!(enter(&gate).is_none());
        inside.truncate(4);
        inside.extend(std::iter::from_fn(|| enter(&gate)));
        assert_eq!(inside.len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_stops_waiting_takes_no_room() {
        let gate = Arc::new(Gate::new(Bounds { least: 1, start: 1, most: 1 }));
        let inside = enter(&gate);
        assert!(gate.enter().now_or_never().is_none());
        drop(inside);
        assert!(enter(&gate).is_some());
        assert_eq!(gate.lock().in_progress, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_taken_from_the_entry_to_the_meeting() {
        let gate = Arc::new(Gate::new(Bounds { least: 1, start: 8, most: 1024 }));
        let inside: Vec<_> = std::iter::from_fn(|| enter(&gate)).collect();
        tokio::time::advance(std::time::Duration::from_millis(70)).await;
        inside[..5].iter().for_each(Attempt::met);
        tokio::time::advance(std::time::Duration::from_secs(9)).await;
        inside.iter().for_each(Attempt::done);
        let change = gate.changes().borrow().unwrap();
        assert_eq!(format!("{} {}", change.limit, change.reason), "16 handshakes take 70ms");
    }
}
