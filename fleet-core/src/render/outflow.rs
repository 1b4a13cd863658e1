//! What has got out: tells a slow reader from one that takes nothing.
//!
//! Must not know what was written, nor where to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The bytes that standard output and standard error have taken so far; clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Outflow(Arc<Flow>);

#[derive(Debug, Default)]
struct Flow {
    taken_bytes: AtomicU64,
    closed: AtomicBool,
}

impl Outflow {
    /// How many bytes were taken.
    #[must_use]
    pub fn taken_bytes(&self) -> u64 {
        self.0.taken_bytes.load(Ordering::Relaxed)
    }

    /// So many more were taken.
    pub fn add(&self, bytes: usize) {
        self.0.taken_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// From now on nothing is to be written.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is to be written any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }
}
