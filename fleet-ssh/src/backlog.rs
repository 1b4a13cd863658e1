//! What hosts may send that nobody has taken yet, and where it waits.
//!
//! Must not know what it is.

use std::sync::Arc;

use super::connector::Connector;
use super::parameters::WINDOW_BYTES;
use super::spool::SpoolBudget;

/// Two packets of data as servers send them: one may come while the other is taken.
const LEAST_WINDOW_BYTES: u32 = 64 << 10;

/// How much of it there may be, for all hosts of a run.
#[derive(Debug)]
pub(super) struct Backlog {
    /// On the way, of each channel.
    pub(super) window_bytes: u32,
    /// Here.
    pub(super) spool_budget: Arc<SpoolBudget>,
}

/// As much as is good for the speed, and the disk takes what the memory does not.
impl Default for Backlog {
    fn default() -> Self {
        Self { window_bytes: WINDOW_BYTES, spool_budget: Arc::default() }
    }
}

impl Connector {
    pub(super) fn backlog(&self) -> &Backlog {
        self.backlog.get_or_init(Backlog::default)
    }

    /// A host whose output is not taken is held back when about `bytes` of it wait, instead of being written to the disk
    /// here. `bytes` is at least two packets, and at most what is usual. Only before the first connection, and once.
    pub fn hold_back(&self, bytes: u64) {
        let window_bytes = u32::try_from(bytes).unwrap_or(WINDOW_BYTES).clamp(LEAST_WINDOW_BYTES, WINDOW_BYTES);
        let spool_budget = Arc::new(SpoolBudget::in_memory(window_bytes as usize));
        let _ = self.backlog.set(Backlog { window_bytes, spool_budget });
    }
}
