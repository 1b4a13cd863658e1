//! A queue between an SSH channel, which must always be drained, and a consumer that may be slow.
//!
//! An undrained channel stops the whole session loop of russh: keep-alives, other channels and every host behind a
//! jump host. So what the consumer does not take goes to an unlinked temporary file, up to a budget shared by the
//! run; only past that is the network no longer read. Must not know what the items mean.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::wire::WireControl;
use crate::event::Stream;

/// Bytes of a host kept in memory before the rest goes to disk.
const MEMORY_LIMIT: usize = 256 * 1024;
/// Bytes that all hosts of a run may have on disk together.
const DISK_LIMIT: u64 = 4 << 30;
/// Stream and length of a chunk on disk.
const HEADER_BYTES: usize = 5;

/// What all spools of a run have on disk, and may have.
#[derive(Debug)]
pub(super) struct SpoolBudget {
    disk_bytes: AtomicU64,
    limit: u64,
}

impl Default for SpoolBudget {
    fn default() -> Self {
        Self { disk_bytes: AtomicU64::new(0), limit: DISK_LIMIT }
    }
}

/// One host's queue. Push from the session, pop from the consumer.
#[derive(Debug)]
pub(super) struct Spool {
    queue: Mutex<Queue>,
    budget: Arc<SpoolBudget>,
    wire: Arc<WireControl>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    memory: VecDeque<(Stream, Bytes)>,
    memory_bytes: usize,
    file: Option<File>,
    read_offset: u64,
    write_offset: u64,
    paused: bool,
    excess: Excess,
}

/// What happens when there is no room on disk either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Excess {
    /// The network is no longer read.
    #[default]
    Waits,
    /// It will be thrown away, with all that comes after it.
    Lost,
    /// Some was thrown away.
    Losing,
}

impl Spool {
    pub(super) fn new(budget: Arc<SpoolBudget>, wire: Arc<WireControl>) -> Self {
        Self { queue: Mutex::default(), budget, wire, changed: Notify::new() }
    }

    /// Adds a chunk; never waits for the consumer.
    ///
    /// # Errors
    /// When the temporary file cannot be made or written.
    pub(super) fn push(&self, stream: Stream, bytes: Bytes) -> io::Result<()> {
        let mut queue = self.lock();
        if queue.excess == Excess::Losing {
            return Ok(());
        }
        let in_memory = queue.on_disk() == 0 && queue.memory_bytes + bytes.len() <= MEMORY_LIMIT;
        if in_memory || (queue.memory.is_empty() && queue.on_disk() == 0) {
            queue.memory_bytes += bytes.len();
            queue.memory.push_back((stream, bytes));
        } else {
            let added = queue.write(stream, &bytes)?;
            let total = self.budget.disk_bytes.fetch_add(added, Ordering::SeqCst) + added;
            match queue.excess {
                _ if total <= self.budget.limit => {}
                Excess::Waits => {
                    queue.paused = true;
                    self.wire.pause();
                }
                Excess::Lost | Excess::Losing => queue.excess = Excess::Losing,
            }
        }
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the oldest chunk, if there is one.
    ///
    /// # Errors
    /// When the temporary file cannot be read back.
    pub(super) fn try_pop(&self) -> io::Result<Option<(Stream, Bytes)>> {
        let mut queue = self.lock();
        if let Some((stream, bytes)) = queue.memory.pop_front() {
            queue.memory_bytes -= bytes.len();
            return Ok(Some((stream, bytes)));
        }
        if queue.on_disk() == 0 {
            return Ok(None);
        }
        let (chunk, freed) = queue.read()?;
        let total = self.budget.disk_bytes.fetch_sub(freed, Ordering::SeqCst) - freed;
        if queue.paused && (total <= self.budget.limit / 2 || queue.on_disk() == 0) {
            queue.paused = false;
            self.wire.resume();
        }
        Ok(Some(chunk))
    }

    /// From now on never stops the network: output that nobody takes must not keep us from stopping the command.
    pub(super) fn let_excess_go(&self) {
        let mut queue = self.lock();
        if queue.excess == Excess::Waits {
            queue.excess = Excess::Lost;
        }
        if std::mem::take(&mut queue.paused) {
            self.wire.resume();
        }
    }

    /// Waits until something was pushed since the last look.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn on_disk(&self) -> u64 {
        self.write_offset - self.read_offset
    }

    fn write(&mut self, stream: Stream, bytes: &Bytes) -> io::Result<u64> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut header = [0; HEADER_BYTES];
        header[0] = u8::from(stream == Stream::Stderr);
        header[1..].copy_from_slice(&length.to_be_bytes());
        file.write_all_at(&header, self.write_offset)?;
        file.write_all_at(bytes, self.write_offset + HEADER_BYTES as u64)?;
        let added = (HEADER_BYTES + bytes.len()) as u64;
        self.write_offset += added;
        Ok(added)
    }

    fn read(&mut self) -> io::Result<((Stream, Bytes), u64)> {
        let file = self.file.as_ref().expect("bytes on disk mean that there is a file");
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, self.read_offset)?;
        let stream = if header[0] == 0 { Stream::Stdout } else { Stream::Stderr };
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, self.read_offset + HEADER_BYTES as u64)?;
        let freed = (HEADER_BYTES + length) as u64;
        self.read_offset += freed;
        if self.on_disk() == 0 {
            self.file = None;
            self.read_offset = 0;
            self.write_offset = 0;
        }
        Ok(((stream, Bytes::from(bytes)), freed))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let left = self.lock().on_disk();
        self.budget.disk_bytes.fetch_sub(left, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::ssh::wire::Wire;

    fn spool() -> (Spool, Arc<SpoolBudget>) {
        let (_, control) = Wire::new(Box::new(tokio::io::duplex(1).0));
        let budget = Arc::new(SpoolBudget::default());
        (Spool::new(Arc::clone(&budget), control), budget)
    }

    #[tokio::test]
    async fn what_does_not_fit_in_memory_comes_back_from_disk_in_order() {
        let (spool, budget) = spool();
        let chunks: Vec<(Stream, Bytes)> = (0..64u8)
            .map(|n| {
                let stream = if n % 3 == 0 { Stream::Stderr } else { Stream::Stdout };
                (stream, Bytes::from(vec![n; 32 * 1024]))
            })
            .collect();
        for (stream, bytes) in &chunks {
            spool.push(*stream, bytes.clone()).unwrap();
        }
        assert!(budget.disk_bytes.load(Ordering::SeqCst) > 1 << 20, "most of it is on disk");
        let mut popped = Vec::new();
        while let Some(chunk) = spool.try_pop().unwrap() {
            popped.push(chunk);
        }
        assert_eq!(popped, chunks);
        assert_eq!(budget.disk_bytes.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_full_disk_budget_pauses_the_network_until_output_is_taken_or_may_be_lost() {
        let (mut far, near) = tokio::io::duplex(64);
        let (mut wire, control) = Wire::new(Box::new(near));
        let budget = Arc::new(SpoolBudget { limit: 1 << 20, ..SpoolBudget::default() });
        let spool = Spool::new(Arc::clone(&budget), control);
        let fill = || (0..64).for_each(|_| spool.push(Stream::Stdout, Bytes::from(vec![0; 32 * 1024])).unwrap());
        let mut byte = [0];
        fill();
        far.write_all(b"x").await.unwrap();
        assert!(futures::poll!(Box::pin(wire.read_exact(&mut byte))).is_pending());
        while spool.try_pop().unwrap().is_some() {}
        wire.read_exact(&mut byte).await.unwrap();
        fill();
        far.write_all(b"x").await.unwrap();
        assert!(futures::poll!(Box::pin(wire.read_exact(&mut byte))).is_pending());
        spool.let_excess_go();
        wire.read_exact(&mut byte).await.unwrap();
        let kept = budget.disk_bytes.load(Ordering::SeqCst);
        fill();
        fill();
        assert!(budget.disk_bytes.load(Ordering::SeqCst) < kept + (64 << 10), "the rest is thrown away");
        far.write_all(b"x").await.unwrap();
        wire.read_exact(&mut byte).await.unwrap();
    }

    #[tokio::test]
    async fn a_dropped_spool_gives_its_share_back() {
        let (spool, budget) = spool();
        for _ in 0..32 {
            spool.push(Stream::Stdout, Bytes::from(vec![0; 32 * 1024])).unwrap();
        }
        drop(spool);
        assert_eq!(budget.disk_bytes.load(Ordering::SeqCst), 0);
    }
}
