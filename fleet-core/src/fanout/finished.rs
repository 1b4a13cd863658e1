//! What is left of a run when it is over.
//!
//! Must not know how it came to that.

use super::rollout::RolloutSettings;
use crate::outcome::{ExitRule, ExitStatus, Report};
use crate::render::{Completion, RenderError};

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

/// The exit status by the run's rule; a quorum counts only once every host has had its turn.
pub(super) fn status(report: &Report, completion: Completion, rule: ExitRule, rollout: &RolloutSettings) -> ExitStatus {
    let quorum = completion == Completion::Complete && rollout.has_quorum(report);
    if quorum { ExitStatus::Success } else { report.exit_status(rule) }
}
