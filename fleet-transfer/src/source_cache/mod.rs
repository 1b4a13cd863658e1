//! One read, many writers: what is sent is read once for all hosts, and kept while some host still needs it.
//!
//! A manifest is cut into chunks of up to 256 KiB: many small files, with what the archive has before and behind them,
//! or a part of a large one. Whoever needs a chunk first reads it for all; the others find it. What is kept has a limit.
//! Where hosts differ in speed, those ahead wait for those behind, but at most a second in all that fits into the limit;
//! then the fewer of the two go on alone: they read what they need for themselves, a small piece at a time. Digests are
//! made, and chunks compressed, by whoever reads them for all.
//!
//! A job that reads for all ends also when the host that began it is gone. Must not know hosts, SSH, or what becomes of the
//! bytes.

mod memory;
mod plan;
mod pool;
mod read;
mod reader;
mod sums;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fleet_ssh::remote::Verify;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::{self, JoinError};

use self::memory::{Memory, Reservation};
use self::plan::{Plan, Span, spans};
use self::pool::Pool;
pub use self::read::SourceError;
pub(crate) use self::read::compress;
use self::read::{Files, most_compressed};
pub use self::reader::{Piece, SourceReader};
use self::sums::Sums;
use super::digest::Digest;
use super::manifest::{Entry, Manifest, Selection};

/// What is read and kept at once.
const CHUNK_LEN: usize = 256 * 1024;
/// What a reader that is alone reads at once: there may be one for each host.
const PIECE_LEN: usize = 64 * 1024;
/// How many reads may go on at once: they block threads, and disks have no more arms than that.
const MAX_READS: usize = 8;

/// What stands around the content of an entry where it is sent.
pub trait Framing: Send + Sync {
    /// The bytes before it.
    fn before(&self, entry: &Entry) -> Vec<u8>;
    /// How many zeros stand behind a content of `len` bytes.
    fn after(&self, len: u64) -> usize;
}

/// Nothing: the contents alone.
#[derive(Clone, Copy, Debug)]
pub struct Unframed;

impl Framing for Unframed {
    fn before(&self, _: &Entry) -> Vec<u8> {
        Vec::new()
    }

    fn after(&self, _: u64) -> usize {
        0
    }
}

/// In what form bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As they are.
    Plain,
    /// Each piece is a gzip member of its own: one behind the other, they are a gzip file.
    Gzip,
}

/// What there is to read, and how.
#[derive(Clone)]
pub struct SourceSettings {
    /// All that some host is sent.
    pub manifest: Arc<Manifest>,
    /// What stands around the contents.
    pub framing: Arc<dyn Framing>,
    /// In what form it is sent.
    pub packing: Packing,
    /// How many bytes may be kept, as far as that is possible: at least two chunks are.
    pub budget_bytes: usize,
    /// The entries whose files are verified together: in order, each entry in one.
    pub groups: Vec<Range<usize>>,
    /// By which digest.
    pub verify: Verify,
}

/// What is read for all hosts. Clones share it.
#[derive(Clone, Debug)]
pub struct SourceCache(Arc<Shared>);

/// A file, or a part of it, in a [`Piece`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its index in the manifest.
    pub entry: usize,
    /// Where in the file the content begins.
    pub offset: u64,
    /// Where in the piece it stands, with what is around it.
    bytes: Range<usize>,
    /// Where in the piece the content stands, as long as the piece is not compressed.
    pub content: Range<usize>,
    /// Why there is none, or zeros in its place.
    failure: Option<Arc<SourceError>>,
}

/// What the cache has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of files that were read.
    pub read_bytes: u64,
    /// Bytes, before compression, that readers were given.
    pub delivered_bytes: u64,
    /// How many readers could not go with the others, and read for themselves.
    pub alone: u64,
    /// The most bytes that were held for all at any time.
    pub peak_bytes: usize,
    /// The most bytes that readers alone held.
    pub peak_alone_bytes: usize,
}

/// The digest of files that are verified together, as `digest` has it: each followed by its separator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDigest {
    /// The files are those of these entries that the host was sent whole.
    pub entries: Range<usize>,
    /// Of these files, in order.
    pub digest: Digest,
}

/// The digest of files that were read for it.
type DigestResult = Result<Digest, Arc<SourceError>>;

/// A chunk that was read for all.
#[derive(Debug)]
struct Chunk {
    plain: Bytes,
    gzip: Option<Bytes>,
    parts: Arc<[Part]>,
}

struct Shared {
    manifest: Arc<Manifest>,
    framing: Arc<dyn Framing>,
    packing: Packing,
    plan: Plan,
    files: Files,
    memory: Arc<Memory>,
    pool: Mutex<Pool>,
    /// Told when a chunk has come, or when nobody sees to it any more.
    arrived: Notify,
    reads: Arc<Semaphore>,
    delivered_bytes: AtomicU64,
    /// Digests of files that nobody else was sent together, by their indices.
    uncommon: tokio::sync::Mutex<HashMap<Vec<usize>, DigestResult>>,
}

/// The right to read a chunk for all; given up when it is dropped.
struct Claim {
    shared: Arc<Shared>,
    chunk: usize,
}

impl SourceCache {
    /// A cache that has read nothing yet.
    #[must_use]
    pub fn new(settings: SourceSettings) -> Self {
        let SourceSettings { manifest, framing, packing, budget_bytes, groups, verify } = settings;
        let plan = Plan::new(&manifest, framing.as_ref(), CHUNK_LEN);
        let largest = (0..plan.count()).map(|chunk| plan.len(chunk)).max().unwrap_or(0);
        let memory = Memory::new(budget_bytes.max(2 * room_for(largest, packing)));
        let sums = Sums::new(&manifest, groups, verify);
        let files = Files::new(Arc::clone(&manifest), Arc::clone(&framing), sums, verify);
        Self(Arc::new(Shared {
            manifest,
            framing,
            packing,
            plan,
            files,
            pool: Mutex::new(Pool::new(Arc::clone(&memory))),
            memory,
            arrived: Notify::new(),
            reads: Arc::new(Semaphore::new(MAX_READS)),
            delivered_bytes: AtomicU64::new(0),
            uncommon: tokio::sync::Mutex::default(),
        }))
    }

    /// A reader of the entries of `selection`. From now on chunks are kept for it and others wait for it: to be made when the
    /// host is ready to receive, and dropped as soon as it needs no more.
    #[must_use]
    pub fn reader(&self, selection: Selection) -> SourceReader {
        SourceReader::new(Arc::clone(&self.0), selection)
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let shared = &self.0;
        let (peak_bytes, peak_alone_bytes) = shared.memory.peaks();
        Counters {
            read_bytes: shared.files.read_bytes.load(Ordering::Relaxed),
            delivered_bytes: shared.delivered_bytes.load(Ordering::Relaxed),
            alone: shared.pool().alone,
            peak_bytes,
            peak_alone_bytes,
        }
    }
}

impl Shared {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room_for_chunk(&self, chunk: usize) -> usize {
        room_for(self.plan.len(chunk), self.packing)
    }

    async fn read_permit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.reads).acquire_owned().await.expect("it is never closed")
    }

    /// Reads a chunk for all, on a thread that may block.
    fn read_for_all(claim: Claim, mut room: Reservation, permit: OwnedSemaphorePermit) -> task::JoinHandle<()> {
        task::spawn_blocking(move || {
            let (shared, number) = (&claim.shared, claim.chunk);
            let mut wanted = Vec::new();
            let way = shared.plan.cursors(number);
            let (len, _) = spans(&shared.manifest, shared.framing.as_ref(), way, usize::MAX, |span| wanted.push(span));
            let read = shared.files.read(&wanted, len);
            let gzip = (shared.packing == Packing::Gzip).then(|| {
                let compressed = compress(&read.plain);
                room.split(most_compressed(len)).fill(compressed)
            });
            let chunk = Chunk { plain: room.fill(read.plain), gzip, parts: read.parts.into() };
            shared.pool().keep(number, Arc::new(chunk));
            drop(permit);
        })
    }

    /// Reads some spans for one reader only.
    async fn read_for_one(self: &Arc<Self>, wanted: Vec<Span>, len: usize) -> Chunk {
        let (shared, permit) = (Arc::clone(self), self.read_permit().await);
        let reading = task::spawn_blocking(move || {
            let _permit = permit;
            let mut room = shared.memory.reserve_beyond(room_for(len, shared.packing));
            let read = shared.files.read(&wanted, len);
            let gzip = (shared.packing == Packing::Gzip && !read.plain.is_empty()).then(|| {
                let compressed = compress(&read.plain);
                room.split(most_compressed(len)).fill(compressed)
            });
            Chunk { plain: room.fill(read.plain), gzip, parts: read.parts.into() }
        });
        joined(reading.await).await
    }

    /// The digest of files that were not sent together to anybody before: they are read again.
    async fn uncommon_digest(self: &Arc<Self>, files: Vec<usize>) -> DigestResult {
        let mut known = self.uncommon.lock().await;
        if let Some(digest) = known.get(&files) {
            return digest.clone();
        }
        let (shared, permit, wanted) = (Arc::clone(self), self.read_permit().await, files.clone());
        let reading = task::spawn_blocking(move || {
            let _permit = permit;
            shared.files.digest(&wanted).map_err(Arc::new)
        });
        let digest = joined(reading.await).await;
        known.insert(files, digest.clone());
        digest
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("files", &self.files).field("memory", &self.memory).finish_non_exhaustive()
    }
}

impl fmt::Debug for SourceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSettings").field("packing", &self.packing).finish_non_exhaustive()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.pool().unclaim(self.chunk);
        self.shared.arrived.notify_waiters();
    }
}

/// The room that `len` bytes take.
fn room_for(len: usize, packing: Packing) -> usize {
    match packing {
        Packing::Plain => len,
        Packing::Gzip => len + most_compressed(len),
    }
}

/// What a job has come to. Its panic is ours; when it is cancelled, the runtime is on its way down, and so are we.
async fn joined<T>(result: Result<T, JoinError>) -> T {
    match result.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panicked)) => panic::resume_unwind(panicked),
        Err(Err(_)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
