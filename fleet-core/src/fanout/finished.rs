//! What a run came to.
//!
//! Must not know how it went.

use crate::outcome::{ExitStatus, Report};
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
