//! The processes that run on a simulated host: numbers to find them by, and a way to end them.
//!
//! Must not know what they do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::Sig;
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;

/// The number of a host's first process; 1 is the system's own.
const FIRST_PID: u32 = 2;

/// All processes of one host. No number is used twice.
#[derive(Debug)]
pub(super) struct Processes {
    next: AtomicU32,
    running: Mutex<HashMap<u32, Arc<Process>>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Process {
    pub(super) pid: u32,
    signal: SetOnce<Sig>,
    ended: CancellationToken,
}

/// Keeps a process in the table; its end takes it out.
#[derive(Debug)]
pub(super) struct Entry {
    processes: Arc<Processes>,
    pub(super) process: Arc<Process>,
}

impl Default for Processes {
    fn default() -> Self {
        Self { next: AtomicU32::new(FIRST_PID), running: Mutex::default() }
    }
}

impl Processes {
    /// A number for a process that nobody has to find.
    pub(super) fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Enters a new process.
    pub(super) fn enter(self: &Arc<Self>) -> Entry {
        let process = Arc::new(Process { pid: self.number(), signal: SetOnce::new(), ended: CancellationToken::new() });
        self.lock().insert(process.pid, Arc::clone(&process));
        Entry { processes: Arc::clone(self), process }
    }

    /// The process of this number, while it runs.
    pub(super) fn find(&self, pid: u32) -> Option<Arc<Process>> {
        self.lock().get(&pid).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Process>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    /// Ends the process by a signal: it has no handlers.
    pub(crate) fn signal(&self, signal: Sig) {
        // The first one has ended it.
        let _ = self.signal.set(signal);
    }

    /// Waits for the signal that ends it.
    pub(super) async fn signalled(&self) -> Sig {
        self.signal.wait().await.clone()
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.processes.lock().remove(&self.process.pid);
        self.process.ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_found_until_it_ends_and_the_first_signal_counts() {
        let processes = Arc::new(Processes::default());
        let (one, other) = (processes.enter(), processes.enter());
        let found = processes.find(one.process.pid).unwrap();
        found.signal(Sig::TERM);
        found.signal(Sig::KILL);
        assert!(matches!(one.process.signalled().await, Sig::TERM));
        drop(one);
        found.ended().await;
        assert!(processes.find(found.pid).is_none());
        assert!(processes.find(other.process.pid).is_some());
    }
}
