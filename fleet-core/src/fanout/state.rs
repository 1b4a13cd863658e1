//! What follows from what happened: a pure state machine over the hosts of a run.
//!
//! Must not wait, spawn or print.

use super::Signal;
use crate::event::HostIndex;
use crate::outcome::{LastOutput, Outcome, Report, Stop, StopCause};
use crate::render::Completion;

/// Something that happened.
#[derive(Debug)]
pub(super) enum Input {
    /// The run begins.
    Begin,
    /// The task of a host returned.
    Ended(HostIndex, Outcome),
    /// We were told to stop.
    Signal(Signal),
    /// Output can no longer be written.
    RenderFailed,
    /// The run was told to stop, and nobody takes its output.
    Stuck,
}

/// Something to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Start the task of this host.
    Start(HostIndex),
    /// Tell all running tasks to stop their remote work.
    Cancel,
    /// Drop all running tasks.
    Abort,
    /// This host has its outcome.
    Finished(HostIndex, Outcome),
}

/// Which hosts wait, run and are done.
#[derive(Debug)]
pub(super) struct RunState {
    outcomes: Vec<Option<Outcome>>,
    running: Vec<bool>,
    /// Whether the host was sent its command.
    commanded: Vec<bool>,
    running_count: usize,
    next: HostIndex,
    limit: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Cancelling,
    Aborted,
}

impl RunState {
    pub(super) fn new(hosts: usize, limit: usize) -> Self {
        Self {
            outcomes: vec![None; hosts],
            running: vec![false; hosts],
            commanded: vec![false; hosts],
            running_count: 0,
            next: 0,
            limit: limit.max(1),
            phase: Phase::Running,
        }
    }

    /// Takes note of `input` and says what is to be done, in order.
    pub(super) fn step(&mut self, input: Input) -> Vec<Step> {
        match input {
            Input::Begin => self.start_more(),
            Input::Ended(index, outcome) => self.ended(index, outcome),
            Input::Signal(_) | Input::RenderFailed if self.phase == Phase::Running => self.cancel(),
            Input::Signal(Signal::Interrupt | Signal::Terminate) | Input::Stuck => self.abort(),
            Input::RenderFailed => Vec::new(),
        }
    }

    /// Whether every host has its outcome.
    pub(super) fn is_over(&self) -> bool {
        self.running_count == 0 && (self.next == self.outcomes.len() || self.phase != Phase::Running)
    }

    /// Takes note that something may run on the host from now on.
    pub(super) fn command_started(&mut self, index: HostIndex) {
        self.commanded[index] = true;
    }

    /// How many hosts are being worked on.
    pub(super) fn running(&self) -> usize {
        self.running_count
    }

    /// Whether nobody told it to stop.
    pub(super) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    pub(super) fn completion(&self) -> Completion {
        match self.phase {
            Phase::Running => Completion::Complete,
            Phase::Cancelling => Completion::Interrupted,
            Phase::Aborted => Completion::Abandoned,
        }
    }

    pub(super) fn into_report(self) -> Report {
        Report::new(self.outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Skipped)).collect())
    }

    fn start_more(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while self.phase == Phase::Running && self.running_count < self.limit && self.next < self.outcomes.len() {
            self.running[self.next] = true;
            self.running_count += 1;
            steps.push(Step::Start(self.next));
            self.next += 1;
        }
        steps
    }

    fn ended(&mut self, index: HostIndex, outcome: Outcome) -> Vec<Step> {
        if !std::mem::take(&mut self.running[index]) {
            return Vec::new();
        }
        self.running_count -= 1;
        self.outcomes[index] = Some(outcome.clone());
        let mut steps = vec![Step::Finished(index, outcome)];
        steps.extend(self.start_more());
        steps
    }

    fn cancel(&mut self) -> Vec<Step> {
        self.phase = Phase::Cancelling;
        let mut steps = vec![Step::Cancel];
        steps.extend((self.next..self.outcomes.len()).map(|index| Step::Finished(index, Outcome::Skipped)));
        steps
    }

    fn abort(&mut self) -> Vec<Step> {
        self.phase = Phase::Aborted;
        let left_at_once = Outcome::Stopped {
            cause: StopCause::Cancelled,
            stop: Stop::Unconfirmed("we left without waiting for its answer".to_owned()),
            output: LastOutput::Cut,
        };
        let mut steps = vec![Step::Abort];
        for index in 0..self.outcomes.len() {
            if std::mem::take(&mut self.running[index]) {
                let outcome = if self.commanded[index] { left_at_once.clone() } else { Outcome::Skipped };
                self.outcomes[index] = Some(outcome.clone());
                steps.push(Step::Finished(index, outcome));
            }
        }
        self.running_count = 0;
        steps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn starts(steps: &[Step]) -> Vec<HostIndex> {
        steps.iter().filter_map(|step| if let Step::Start(index) = step { Some(*index) } else { None }).collect()
    }

    #[test]
    fn a_free_place_is_taken_by_the_next_host() {
        let mut state = RunState::new(4, 2);
        assert_eq!(starts(&state.step(Input::Begin)), [0, 1]);
        assert_eq!(starts(&state.step(Input::Ended(1, Outcome::Exited(0)))), [2]);
        assert_eq!(starts(&state.step(Input::Ended(0, Outcome::Exited(0)))), [3]);
        assert!(!state.is_over());
        state.step(Input::Ended(2, Outcome::Exited(0)));
        state.step(Input::Ended(3, Outcome::Exited(1)));
        assert!(state.is_over());
        assert_eq!(state.completion(), Completion::Complete);
        assert_eq!(state.into_report().outcomes()[3], Outcome::Exited(1));
    }

    #[test]
    fn the_first_signal_starts_no_more_and_waits_for_the_running() {
        let mut state = RunState::new(3, 1);
        state.step(Input::Begin);
        let steps = state.step(Input::Signal(Signal::Interrupt));
        assert_eq!(steps[0], Step::Cancel);
        assert_eq!(steps[1..], [Step::Finished(1, Outcome::Skipped), Step::Finished(2, Outcome::Skipped)]);
        assert!(!state.is_over());
        assert_eq!(starts(&state.step(Input::Ended(0, Outcome::Exited(0)))), [0; 0]);
        assert!(state.is_over());
        assert_eq!(state.completion(), Completion::Interrupted);
    }

    #[test]
    fn the_second_signal_leaves_at_once_and_says_what_may_still_run() {
        let mut state = RunState::new(3, 3);
        state.step(Input::Begin);
        state.step(Input::Ended(0, Outcome::Exited(0)));
        state.command_started(1);
        state.step(Input::Signal(Signal::Terminate));
        let steps = state.step(Input::Signal(Signal::Interrupt));
        assert_eq!(steps[0], Step::Abort);
        assert!(matches!(steps[1..], [Step::Finished(1, _), Step::Finished(2, Outcome::Skipped)]), "{steps:?}");
        assert!(state.is_over());
        let report = state.into_report();
        assert_eq!(report.outcomes()[0], Outcome::Exited(0));
        assert!(matches!(report.outcomes()[1], Outcome::Stopped { stop: Stop::Unconfirmed(_), .. }));
        assert_eq!(report.outcomes()[2], Outcome::Skipped);
    }

    proptest! {
        #[test]
        fn every_host_ends_once_and_the_limit_holds(hosts in 0usize..40, limit in 0usize..9, picks in proptest::collection::vec(any::<u8>(), 200)) {
            let mut state = RunState::new(hosts, limit);
            let mut running = starts(&state.step(Input::Begin));
            let mut ended = 0;
            for pick in picks {
                prop_assert!(running.len() <= limit.max(1));
                if running.is_empty() {
                    break;
                }
                let index = running.swap_remove(usize::from(pick) % running.len());
                let steps = state.step(Input::Ended(index, Outcome::Exited(0)));
                ended += steps.iter().filter(|step| matches!(step, Step::Finished(..))).count();
                running.extend(starts(&steps));
            }
            prop_assert_eq!(ended, hosts);
            prop_assert!(state.is_over());
        }
    }
}
