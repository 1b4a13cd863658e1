//! Follows the window of `-p auto`, and says how it changes: not more often than a person reads.
//!
//! Must not know what the window is made of.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::pace::{Change, Gate};

/// The time between two remarks, at least.
const REMARK_PAUSE: Duration = Duration::from_secs(1);

/// How many hosts may log in at once, found out as the run goes.
#[derive(Debug)]
pub struct Pace {
    /// What finds it out.
    pub gate: Arc<Gate>,
    /// Whether a person is told of changes.
    pub remarks: Remarks,
}

/// Whether remarks reach the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remarks {
    /// They do.
    Shown,
    /// They do not.
    Hidden,
}

/// What is left to follow and to say.
#[derive(Debug)]
pub(super) struct Pacing {
    changes: Option<watch::Receiver<Option<Change>>>,
    remarks: Remarks,
    unsaid: Option<Change>,
    said_at: Option<Duration>,
}

impl Pacing {
    pub(super) fn new(pace: Option<&Pace>) -> Self {
        Self {
            changes: pace.map(|pace| pace.gate.changes()),
            remarks: pace.map_or(Remarks::Hidden, |pace| pace.remarks),
            unsaid: None,
            said_at: None,
        }
    }

    /// The next new limit. Safe to cancel.
    pub(super) async fn changed(&mut self) -> usize {
        if let Some(changes) = &mut self.changes
            && changes.changed().await.is_ok()
            && let Some(change) = *changes.borrow_and_update()
        {
            self.unsaid = Some(change);
            return change.limit;
        }
        std::future::pending().await
    }

    /// What is to be said now, if anything.
    pub(super) fn remark(&mut self, now: Duration) -> Option<String> {
        if self.remarks == Remarks::Hidden || self.said_at.is_some_and(|at| now < at + REMARK_PAUSE) {
            return None;
        }
        let Change { limit, reason } = self.unsaid.take()?;
        self.said_at = Some(now);
        Some(format!("fan-out {limit}: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::{Bounds, End};

    #[tokio::test]
    async fn the_latest_change_is_said_once_a_second() {
        let gate = Arc::new(Gate::new(Bounds { least: 1, start: 64, most: 64 }));
        let mut pacing = Pacing::new(Some(&Pace { gate: Arc::clone(&gate), remarks: Remarks::Shown }));
        let shortage = || gate.begin().end(End::OutOfDescriptors);
        let second = Duration::from_secs(1);
        assert_eq!(pacing.remark(second), None);
        shortage();
        assert_eq!(pacing.changed().await, 32);
        let because = "this machine's limit of open files is reached (ulimit -n)";
        assert_eq!(pacing.remark(second), Some(format!("fan-out 32: {because}")));
        shortage();
        pacing.changed().await;
        shortage();
        assert_eq!(pacing.changed().await, 8);
        assert_eq!(pacing.remark(second.mul_f64(1.9)), None);
        assert_eq!(pacing.remark(second * 2), Some(format!("fan-out 8: {because}")));
        assert_eq!(pacing.remark(second * 9), None);
    }
}
