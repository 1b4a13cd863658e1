//! Whoever keeps account of a run, whether or not anybody reads what is shown of it.
//!
//! Must not know what becomes of the account.

use std::fmt;

use super::rollout::{Answer, CanaryReport, Confirm};
use crate::event::{Event, HostIndex};

/// Sees each start, stage and end of a host as soon as it happens, also while the terminal takes nothing.
///
/// An end may be seen twice: from the host's task, and when the run takes note of it. The later one counts.
pub trait Witness: fmt::Debug + Send + Sync {
    /// Takes note of `event`. Called between the events of thousands of hosts: must not wait.
    fn saw(&self, index: HostIndex, event: &Event);
}

/// Nobody: keeps no account, and answers no question.
#[derive(Debug)]
pub struct Nobody;

impl Witness for Nobody {
    fn saw(&self, _: HostIndex, _: &Event) {}
}

impl Confirm for Nobody {
    fn go_on(&self, _: &CanaryReport) -> Answer {
        Answer::Stop
    }

    fn withdraw(&self) {}
}
