//! A queue between an SSH channel, which must always be drained, and a consumer that may be slow.
//!
//! An undrained channel stops the whole session loop of russh: keep-alives, other channels and every host behind a
//! jump host. So what the consumer does not take goes to an unlinked temporary file, up to a budget shared by the
//! run; only past that, or where no file can be opened, is the network no longer read. Must not know what the items mean.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::wire::WireControl;
use fleet_core::descriptors::is_out_of_descriptors;
use fleet_core::event::Stream;

/// Bytes of a host kept in memory before the rest goes to disk.
const MEMORY_LIMIT: usize = 256 * 1024;
/// How long a consumer gets to take something, before what comes goes to disk: one that is at work needs much less.
const PATIENCE: Duration = Duration::from_millis(10);
/// Bytes that the files of all hosts of a run may hold together.
const DISK_LIMIT: u64 = 1 << 30;
/// When a file has this many bytes the next one is begun: what was read is given back to the disk file by file.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Stream and length of a chunk on disk.
const HEADER_BYTES: usize = 5;

/// What all spools of a run have on disk, and may have.
#[derive(Debug)]
pub(super) struct SpoolBudget {
    /// What the files hold: what was read from a file counts until the file is gone.
    disk_bytes: AtomicU64,
    limit: u64,
    /// What a host's queue keeps in memory before the rest goes to disk.
    memory_bytes: usize,
    segment_bytes: u64,
    open_file: fn() -> io::Result<File>,
}

impl SpoolBudget {
    /// Nothing goes to disk: at `memory_bytes` of a host, or [`MEMORY_LIMIT`] if that is less, its network is no longer read.
    pub(super) fn in_memory(memory_bytes: usize) -> Self {
        Self { limit: 0, memory_bytes: memory_bytes.min(MEMORY_LIMIT), ..Self::default() }
    }
}

impl Default for SpoolBudget {
    fn default() -> Self {
        Self {
            disk_bytes: AtomicU64::new(0),
            limit: DISK_LIMIT,
            memory_bytes: MEMORY_LIMIT,
            segment_bytes: SEGMENT_BYTES,
            open_file: tempfile::tempfile,
        }
    }
}

/// One host's queue. Push from the session, pop from the consumer.
#[derive(Debug)]
pub(super) struct Spool {
    queue: Mutex<Queue>,
    budget: Arc<SpoolBudget>,
    wire: Arc<WireControl>,
    changed: Notify,
    taken: Notify,
}

/// What waits: first what is in memory, then the segments.
#[derive(Debug, Default)]
struct Queue {
    memory: VecDeque<(Stream, Bytes)>,
    memory_bytes: usize,
    segments: VecDeque<Segment>,
    paused: bool,
    excess: Excess,
}

/// A temporary file: written at its end until it is large, read from its start.
#[derive(Debug)]
struct Segment {
    file: File,
    read_offset: u64,
    write_offset: u64,
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

/// Whether more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Left,
    Exhausted,
}

impl Spool {
    pub(super) fn new(budget: Arc<SpoolBudget>, wire: Arc<WireControl>) -> Self {
        Self { queue: Mutex::default(), budget, wire, changed: Notify::new(), taken: Notify::new() }
    }

    /// Lets the consumer take something first, should `bytes` be the first to go to disk. Whoever pushes is often faster for as
    /// long as nobody else gets a turn, and a file costs more than that.
    pub(super) async fn make_way(&self, bytes: &Bytes) {
        let deadline = Instant::now() + PATIENCE;
        while self.lock().begins_a_file(bytes, &self.budget) {
            if timeout_at(deadline, self.taken.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Adds a chunk; never waits for the consumer.
    ///
    /// # Errors
    /// When the temporary file cannot be made or written. A shortage of file descriptors is none: the network waits.
    pub(super) fn push(&self, stream: Stream, bytes: Bytes) -> io::Result<()> {
        let mut queue = self.lock();
        if queue.excess == Excess::Losing {
            return Ok(());
        }
        let room = queue.add(stream, bytes, &self.budget)?;
        match queue.excess {
            _ if room == Room::Left => {}
            Excess::Waits => {
                queue.paused = true;
                self.wire.pause();
            }
            Excess::Lost | Excess::Losing => queue.excess = Excess::Losing,
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
        let chunk = queue.take(&self.budget)?;
        self.taken.notify_one();
        if queue.paused && queue.room_again(&self.budget) == Room::Left {
            queue.paused = false;
            self.wire.resume();
        }
        Ok(chunk)
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

    /// Whether something was thrown away.
    pub(super) fn has_lost_some(&self) -> bool {
        self.lock().excess == Excess::Losing
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
    fn add(&mut self, stream: Stream, bytes: Bytes, budget: &SpoolBudget) -> io::Result<Room> {
        if self.segments.is_empty() && self.fits(&bytes, budget) {
            self.keep(stream, bytes);
            return Ok(Room::Left);
        }
        if budget.limit == 0 {
            // What comes yet was read before, or fits into the channel's window.
            self.keep(stream, bytes);
            return Ok(Room::Exhausted);
        }
        let segment = match self.last_segment(budget) {
            Ok(segment) => segment,
            Err(error) if is_out_of_descriptors(&error) => {
                self.keep(stream, bytes);
                return Ok(Room::Exhausted);
            }
            Err(error) => return Err(error),
        };
        let added = segment.write(stream, &bytes)?;
        let total = budget.disk_bytes.fetch_add(added, Ordering::SeqCst) + added;
        Ok(if total <= budget.limit { Room::Left } else { Room::Exhausted })
    }

    fn fits(&self, bytes: &Bytes, budget: &SpoolBudget) -> bool {
        self.memory.is_empty() || self.memory_bytes + bytes.len() <= budget.memory_bytes
    }

    fn begins_a_file(&self, bytes: &Bytes, budget: &SpoolBudget) -> bool {
        budget.limit > 0 && self.segments.is_empty() && !self.fits(bytes, budget)
    }

    fn keep(&mut self, stream: Stream, bytes: Bytes) {
        self.memory_bytes += bytes.len();
        self.memory.push_back((stream, bytes));
    }

    /// The segment to write to. Where no further file can be opened, the one that is there grows on.
    fn last_segment(&mut self, budget: &SpoolBudget) -> io::Result<&mut Segment> {
        if self.segments.back().is_none_or(|last| last.write_offset >= budget.segment_bytes) {
            match (budget.open_file)() {
                Ok(file) => self.segments.push_back(Segment { file, read_offset: 0, write_offset: 0 }),
                Err(error) if self.segments.is_empty() || !is_out_of_descriptors(&error) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(self.segments.back_mut().expect("one was added where there was none"))
    }

    fn take(&mut self, budget: &SpoolBudget) -> io::Result<Option<(Stream, Bytes)>> {
        if let Some((stream, bytes)) = self.memory.pop_front() {
            self.memory_bytes -= bytes.len();
            return Ok(Some((stream, bytes)));
        }
        // A segment is empty when the first write to it failed, which the one who pushed knows.
        let Some(first) = self.segments.front_mut().filter(|segment| !segment.is_empty()) else { return Ok(None) };
        let chunk = first.read()?;
        if first.is_empty() {
            budget.disk_bytes.fetch_sub(first.write_offset, Ordering::SeqCst);
            self.segments.pop_front();
        }
        Ok(Some(chunk))
    }

    /// Whether the network may be read again: not at once, lest it stop and start with every chunk.
    fn room_again(&self, budget: &SpoolBudget) -> Room {
        let left = match self.segments.is_empty() {
            true => self.memory_bytes <= budget.memory_bytes / 2,
            false => budget.disk_bytes.load(Ordering::SeqCst) <= budget.limit / 2,
        };
        if left { Room::Left } else { Room::Exhausted }
    }
}

impl Segment {
    /// Whether all that was written was read.
    fn is_empty(&self) -> bool {
        self.read_offset == self.write_offset
    }

    /// Appends a chunk; returns by how much the file grew.
    fn write(&mut self, stream: Stream, bytes: &Bytes) -> io::Result<u64> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut header = [0; HEADER_BYTES];
        header[0] = u8::from(stream == Stream::Stderr);
        header[1..].copy_from_slice(&length.to_be_bytes());
        self.file.write_all_at(&header, self.write_offset)?;
        self.file.write_all_at(bytes, self.write_offset + HEADER_BYTES as u64)?;
        let added = (HEADER_BYTES + bytes.len()) as u64;
        self.write_offset += added;
        Ok(added)
    }

    fn read(&mut self) -> io::Result<(Stream, Bytes)> {
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut header, self.read_offset)?;
        let stream = if header[0] == 0 { Stream::Stdout } else { Stream::Stderr };
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, self.read_offset + HEADER_BYTES as u64)?;
        self.read_offset += (HEADER_BYTES + length) as u64;
        Ok((stream, Bytes::from(bytes)))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let left = self.lock().segments.iter().map(|segment| segment.write_offset).sum();
        self.budget.disk_bytes.fetch_sub(left, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::wire::Wire;

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

    #[tokio::test(start_paused = true)]
    async fn who_takes_output_gets_a_turn_before_it_goes_to_disk() {
        let chunk = || Bytes::from(vec![0; 32 * 1024]);
        for (takes, expected) in [(true, Duration::ZERO), (false, PATIENCE)] {
            let (spool, budget) = spool();
            let start = Instant::now();
            let consumer = async {
                for _ in 0..64 {
                    if takes {
                        spool.changed().await;
                        while spool.try_pop().unwrap().is_some() {}
                    }
                }
            };
            let pushing = async {
                for _ in 0..64 {
                    spool.make_way(&chunk()).await;
                    spool.push(Stream::Stdout, chunk()).unwrap();
                }
            };
            tokio::select! {
                biased;
                () = pushing => {}
                () = async { consumer.await; std::future::pending().await } => {}
            }
            assert_eq!(budget.disk_bytes.load(Ordering::SeqCst) > 0, !takes);
            assert_eq!(start.elapsed().as_millis(), expected.as_millis(), "once, not with each chunk");
        }
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
        assert!(!spool.has_lost_some());
        let kept = budget.disk_bytes.load(Ordering::SeqCst);
        fill();
        fill();
        assert!(budget.disk_bytes.load(Ordering::SeqCst) < kept + (64 << 10), "the rest is thrown away");
        assert!(spool.has_lost_some());
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

    #[tokio::test]
    async fn files_stay_bounded_behind_a_consumer_that_never_catches_up() {
        let (_, control) = Wire::new(Box::new(tokio::io::duplex(1).0));
        let budget = Arc::new(SpoolBudget { segment_bytes: 1 << 20, ..SpoolBudget::default() });
        let spool = Spool::new(Arc::clone(&budget), control);
        let chunk = |n: u32| Bytes::from(vec![n.to_le_bytes(); 8 * 1024].concat());
        let mut taken = 0..;
        for n in 0..1024 {
            spool.push(Stream::Stdout, chunk(n)).unwrap();
            if n >= 64 {
                assert_eq!(spool.try_pop().unwrap(), Some((Stream::Stdout, chunk(taken.next().unwrap()))));
            }
            let held: u64 = spool.lock().segments.iter().map(|segment| segment.file.metadata().unwrap().len()).sum();
            assert_eq!(held, budget.disk_bytes.load(Ordering::SeqCst));
            assert!(held <= (4 << 20), "2 MiB wait, and {held} bytes are on disk after {n} chunks");
        }
        drop(spool);
        assert_eq!(budget.disk_bytes.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn what_was_kept_is_there_although_a_file_cannot_be_written() {
        let budget = SpoolBudget { open_file: || File::open("/dev/null"), ..SpoolBudget::default() };
        let mut queue = Queue::default();
        let kept = Bytes::from(vec![1; MEMORY_LIMIT]);
        queue.add(Stream::Stderr, kept.clone(), &budget).unwrap();
        queue.add(Stream::Stderr, kept.clone(), &budget).unwrap_err();
        assert_eq!(queue.take(&budget).unwrap(), Some((Stream::Stderr, kept)));
        assert_eq!(queue.take(&budget).unwrap(), None);
    }

    fn no_descriptor() -> io::Result<File> {
        Err(rustix::io::Errno::MFILE.into())
    }

    #[tokio::test]
    async fn without_a_file_descriptor_the_network_waits_and_nothing_is_lost() {
        let (mut far, near) = tokio::io::duplex(64);
        let (mut wire, control) = Wire::new(Box::new(near));
        let budget = Arc::new(SpoolBudget { open_file: no_descriptor, ..SpoolBudget::default() });
        let spool = Spool::new(budget, control);
        let chunks: Vec<Bytes> = (0..16u8).map(|n| Bytes::from(vec![n; 32 * 1024])).collect();
        for bytes in &chunks {
            spool.push(Stream::Stdout, bytes.clone()).unwrap();
        }
        let mut byte = [0];
        far.write_all(b"x").await.unwrap();
        assert!(futures::poll!(Box::pin(wire.read_exact(&mut byte))).is_pending());
        for bytes in &chunks {
            assert_eq!(spool.try_pop().unwrap(), Some((Stream::Stdout, bytes.clone())));
        }
        wire.read_exact(&mut byte).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_to_wait_in_memory_makes_no_file_and_the_network_waits() {
        let (mut far, near) = tokio::io::duplex(64);
        let (mut wire, control) = Wire::new(Box::new(near));
        let open_file = || panic!("nothing goes to disk");
        let spool = Spool::new(Arc::new(SpoolBudget { open_file, ..SpoolBudget::in_memory(64 << 10) }), control);
        let chunk = |n: u8| Bytes::from(vec![n; 32 * 1024]);
        let mut byte = [0];
        let mut pushed = 0..;
        for room in [true, true, false, false] {
            spool.push(Stream::Stdout, chunk(pushed.next().unwrap())).unwrap();
            far.write_all(b"x").await.unwrap();
            assert_eq!(futures::poll!(Box::pin(wire.read_exact(&mut byte))).is_ready(), room, "{pushed:?}");
        }
        for n in 0..4 {
            assert_eq!(spool.try_pop().unwrap(), Some((Stream::Stdout, chunk(n))));
        }
        wire.read_exact(&mut byte).await.unwrap();
        assert!(!spool.has_lost_some());
    }

    #[test]
    fn without_a_further_file_descriptor_the_file_that_is_open_grows() {
        let budget = SpoolBudget { segment_bytes: 64 << 10, ..SpoolBudget::default() };
        let mut queue = Queue::default();
        let chunk = |n: u8| Bytes::from(vec![n; 32 * 1024]);
        for n in 0..12 {
            assert_eq!(queue.add(Stream::Stdout, chunk(n), &budget).unwrap(), Room::Left);
        }
        let files = queue.segments.len();
        let budget = SpoolBudget { open_file: no_descriptor, ..budget };
        for n in 12..24 {
            assert_eq!(queue.add(Stream::Stdout, chunk(n), &budget).unwrap(), Room::Left);
        }
        assert_eq!(queue.segments.len(), files);
        for n in 0..24 {
            assert_eq!(queue.take(&budget).unwrap(), Some((Stream::Stdout, chunk(n))));
        }
    }
}
