//! Who writes to the terminal: the run, or a question to the person at it.
//!
//! A question waits until the renderer has taken the progress line away, and the run's output waits until the question
//! is answered. Must not know what is asked.

use futures::executor::block_on;
use tokio::sync::watch;

/// The floor of one process; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Floor(watch::Sender<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    run: Run,
    question: Question,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Run {
    #[default]
    Off,
    On,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Question {
    #[default]
    None,
    /// It waits for the run to make room.
    Waiting,
    /// The renderer was told to make room.
    MakingRoom,
    Open,
}

impl Floor {
    /// Takes the floor for a question; blocks until the run, if one is on, has made room. For one question at a time.
    pub fn take(&self) {
        self.0.send_modify(|state| {
            state.question = if state.run == Run::On { Question::Waiting } else { Question::Open };
        });
        // It fails only when no sender is left, and we are one.
        let _ = block_on(self.0.subscribe().wait_for(|state| state.question == Question::Open));
    }

    /// Gives the floor back after the question.
    pub fn give_back(&self) {
        self.0.send_modify(|state| state.question = Question::None);
    }
}

/// A run's side of the floor, until dropped.
#[derive(Debug)]
pub(super) struct RunFloor {
    floor: Floor,
    changes: watch::Receiver<State>,
}

impl RunFloor {
    pub(super) fn new(floor: Floor) -> Self {
        floor.0.send_modify(|state| state.run = Run::On);
        let changes = floor.0.subscribe();
        Self { floor, changes }
    }

    /// Whether a question is open or about to be.
    pub(super) fn is_asked_for(&self) -> bool {
        self.changes.borrow().question != Question::None
    }

    /// Once for each question that waits: what opens it when the renderer has made room.
    pub(super) fn room_wanted(&self) -> Option<Room> {
        let answered = self.floor.0.send_if_modified(|state| {
            let waits = state.question == Question::Waiting;
            if waits {
                state.question = Question::MakingRoom;
            }
            waits
        });
        answered.then(|| Room(self.floor.clone()))
    }

    /// Waits until no question is open, nor about to be.
    pub(super) async fn free(&mut self) {
        let _ = self.changes.wait_for(|state| state.question == Question::None).await;
    }

    /// Waits for the next change. Safe to cancel.
    pub(super) async fn changed(&mut self) {
        // It fails only when no sender is left, and we hold one.
        let _ = self.changes.changed().await;
    }
}

impl Drop for RunFloor {
    fn drop(&mut self) {
        self.floor.0.send_modify(|state| state.run = Run::Off);
    }
}

/// Opens the question when dropped, which also happens when the renderer is gone.
#[derive(Debug)]
pub(super) struct Room(Floor);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            if state.question == Question::MakingRoom {
                state.question = Question::Open;
            }
        });
    }
}
