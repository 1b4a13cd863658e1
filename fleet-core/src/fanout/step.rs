//! What can happen in a run, and what can be done about it.
//!
//! Values only: `state` decides which follows from which, the loop does it.

use super::rollout::{Answer, CanaryReport};
use super::signal::Signal;
use crate::event::{HostIndex, Retry, Wave};
use crate::outcome::{Outcome, Stage};

/// Something that happened.
#[derive(Debug)]
pub(super) enum Input {
    /// The run begins.
    Begin,
    /// A host has entered a stage.
    Stage(HostIndex, Stage),
    /// The task of a host returned.
    Ended(HostIndex, Outcome),
    /// The time of `RunState::wake_at` has come.
    Woken,
    /// The question of [`Step::Ask`] was answered.
    Answered(Answer),
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
    /// Say that this wave begins.
    Wave(Wave),
    /// Start the task of this host; the number of the attempt counts from 1.
    Start(HostIndex, u32),
    /// Tell the task of this host to stop its remote work.
    Stop(HostIndex),
    /// This host will be tried again.
    Retry(HostIndex, Retry),
    /// Ask a person whether to go on.
    Ask(CanaryReport),
    /// Say this about the run as a whole.
    Notice(String),
    /// Tell all running tasks to stop their remote work.
    Cancel,
    /// Drop all running tasks.
    Abort,
    /// This host has its outcome.
    Finished(HostIndex, Outcome),
}
