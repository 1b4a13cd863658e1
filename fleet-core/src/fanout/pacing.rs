//! Follows the window of `-p auto`, and says how it changes: not more often than a person reads.
//!
//! Must not know what the window is made of.

use std::time::Duration;

use tokio::sync::watch;

use crate::pace::{Change, Gate};

/// The time between two remarks, at least.
const REMARK_PAUSE: Duration = Duration::from_secs(1);

/// What is left to follow and to say.
#[derive(Debug)]
pub(super) struct Pacing {
    changes: Option<watch::Receiver<Option<Change>>>,
    unsaid: Option<Change>,
    said_at: Option<Duration>,
}

impl Pacing {
    pub(super) fn new(gate: Option<&Gate>) -> Self {
        Self { changes: gate.map(Gate::changes), unsaid: None, said_at: None }
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
    pub(super) fn remark(&mut self, now: Duration) -> Option<Change> {
        if self.said_at.is_some_and(|at| now < at + REMARK_PAUSE) {
            return None;
        }
        let change = self.unsaid.take()?;
        self.said_at = Some(now);
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pace::{Bounds, End, Reason};

    #[tokio::test]
    async fn the_latest_change_is_said_once_a_second() {
        let gate = Arc::new(Gate::new(Bounds { least: 1, start: 64, most: 64 }));
        let mut pacing = Pacing::new(Some(&gate));
        let shortage = || gate.begin().end(End::OutOfDescriptors);
        let second = Duration::from_secs(1);
        assert_eq!(pacing.remark(second), None);
        shortage();
        assert_eq!(pacing.changed().await, 32);
        let reason = Reason::OutOfDescriptors;
        assert_eq!(pacing.remark(second), Some(Change { limit: 32, reason }));
        shortage();
        pacing.changed().await;
        shortage();
        assert_eq!(pacing.changed().await, 8);
        assert_eq!(pacing.remark(second.mul_f64(1.9)), None);
        assert_eq!(pacing.remark(second * 2), Some(Change { limit: 8, reason }));
        assert_eq!(pacing.remark(second * 9), None);
    }
}
