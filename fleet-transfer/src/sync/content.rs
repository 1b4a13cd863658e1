//! Deltas, digests and segments of files: computed once for all hosts, on threads that may wait for the disk.
//!
//! A file is known by what `fstat` says of it when it is opened, so that nothing is used again once it has changed. A
//! small file is read once, and what hosts lack of it is all made then. So is a large one of which a host has nothing: its
//! digest is made on the way. Of other large ones hosts send the delta while it is made, and literals are read when
//! somebody needs them. Must not know hosts, nor lists.

mod maker;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use bytes::Bytes;
use fleet_rsync::checksum::{BlockSum, ChecksumKind, Digest, FileHasher};
use fleet_rsync::codec::Codec;
use fleet_rsync::delta::{Delta, Signature};
use fleet_rsync::wire::greeting::Agreed;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::cache::{Cache, Origin, Weigh};
use super::growing::Growing;
use super::whole::Whole;
use super::{SyncPlan, SyncStats};
use maker::Maker;

/// Files up to this are read once, whatever hosts have of them.
const SMALL_BYTES: u64 = 8 << 20;

/// A file of which a host wants the content.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    /// What the host has of it.
    pub(super) signature: Arc<Signature>,
    /// Whether it arrived wrong before: nothing that is kept of it is used then.
    pub(super) is_again: bool,
}

/// What a host lacks of a file.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) file: FileId,
    pub(super) delta: Arc<Growing>,
    literals: Literals,
}

/// The literals of a delta as they travel.
#[derive(Clone, Debug)]
enum Literals {
    /// All segments, by where each begins in the file.
    Made(Arc<[(u64, Bytes)]>),
    /// They are read when somebody needs them.
    Read(Arc<File>, Option<Arc<Whole>>),
}

/// What a file is while nobody changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A source file that is open.
#[derive(Clone, Debug)]
struct Opened {
    handle: Arc<File>,
    id: FileId,
}

/// What became of a file that was looked at.
enum Looked {
    /// It is small: all is known of it.
    Small(Described),
    Large(Opened),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Small(FileId, BlockSum, Codec, Arc<Signature>),
    Large(FileId, BlockSum, Arc<Signature>),
    Segment(FileId, Codec, Range<u64>),
}

#[derive(Clone, Debug)]
enum Value {
    /// The delta of a small file, and its literals.
    Small(Arc<Growing>, Arc<[(u64, Bytes)]>),
    /// The delta of a large one, and the digest where the delta has none: it is made of what is sent.
    Large(Arc<Growing>, Option<Arc<Whole>>),
    Segment(Bytes),
}

/// What nobody expects the map to take beside what is in it.
const SLOT_BYTES: usize = 256;

impl Weigh for Key {
    fn weight(&self) -> usize {
        match self {
            Self::Small(_, _, _, signature) | Self::Large(_, _, signature) => SLOT_BYTES + signature.memory_bytes(),
            Self::Segment(..) => SLOT_BYTES,
        }
    }
}

impl Weigh for Value {
    fn weight(&self) -> usize {
        match self {
            Self::Small(delta, parts) => {
                let part_bytes = |part: &(u64, Bytes)| size_of_val(part) + part.1.len();
                delta.memory_bytes() + parts.iter().map(part_bytes).sum::<usize>()
            }
            Self::Large(delta, _) => delta.memory_bytes(),
            Self::Segment(bytes) => bytes.len(),
        }
    }
}

impl Key {
    fn file(&self) -> FileId {
        match self {
            Self::Small(file, ..) | Self::Large(file, ..) | Self::Segment(file, ..) => *file,
        }
    }
}

/// Contents of all source files, as far as somebody wants them.
#[derive(Debug)]
pub(super) struct Contents {
    cache: Cache<Key, Value>,
    /// As much work at once as there are cores.
    cores: Arc<Semaphore>,
    maker: Maker,
    deltas_reused: AtomicU64,
    segments_reused: AtomicU64,
}

impl Contents {
    pub(super) fn new(plan: &SyncPlan) -> Self {
        Self {
            cache: Cache::new(plan.memory_bytes),
            cores: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))),
            maker: Maker::new(plan),
            deltas_reused: AtomicU64::new(0),
            segments_reused: AtomicU64::new(0),
        }
    }

    /// What a host lacks of some files as they are now, or why one cannot be read: in one piece of work, as handing over
    /// costs more than a small file does. The delta of a large one may still be growing then.
    pub(super) async fn describe(
        self: &Arc<Self>,
        wanted: Vec<Wanted>,
        agreed: Agreed,
    ) -> io::Result<Vec<io::Result<Described>>> {
        let (contents, handle, files) = (Arc::clone(self), Handle::current(), wanted.clone());
        let look = move || {
            let look = |file| handle.block_on(contents.look(file, &agreed));
            files.iter().map(look).collect::<Vec<_>>()
        };
        let looked = self.begin(look).await?.await.map_err(io::Error::other)?;
        let mut described = Vec::with_capacity(wanted.len());
        for (looked, wanted) in looked.into_iter().zip(&wanted) {
            described.push(match looked {
                Ok(Looked::Large(opened)) => self.large(opened, &wanted.signature, &agreed).await,
                Ok(Looked::Small(described)) => Ok(described),
                Err(error) => Err(error),
            });
        }
        Ok(described)
    }

    /// Opens a file, and makes all of what is lacked of a small one, unless another host has it or is at it. Waits for
    /// the disk, and for nothing else but such hosts, which do not wait for others in turn.
    async fn look(&self, wanted: &Wanted, agreed: &Agreed) -> io::Result<Looked> {
        let opened = self.maker.open(&wanted.path)?;
        if wanted.is_again {
            self.forget(opened.id);
        }
        if opened.id.size > SMALL_BYTES {
            return Ok(Looked::Large(opened));
        }
        let signature = &wanted.signature;
        let key = Key::Small(opened.id, agreed.block_sum(), agreed.codec.segments_of(), Arc::clone(signature));
        let compute = async || {
            let (delta, parts) = self.maker.small(&opened, signature, agreed)?;
            Ok::<_, io::Error>(Value::Small(Arc::new(Growing::whole(delta)), parts.into()))
        };
        let (value, origin) = self.cache.get(&key, compute).await?;
        count_reused(&self.deltas_reused, origin);
        let Value::Small(delta, parts) = value else { unreachable!("the key of a small file has one") };
        if origin == Origin::Reused {
            self.segments_reused.fetch_add(parts.len() as u64, Ordering::Relaxed);
        }
        Ok(Looked::Small(Described { file: opened.id, delta, literals: Literals::Made(parts) }))
    }

    async fn large(
        self: &Arc<Self>,
        opened: Opened,
        signature: &Arc<Signature>,
        agreed: &Agreed,
    ) -> io::Result<Described> {
        let key = Key::Large(opened.id, agreed.block_sum(), Arc::clone(signature));
        let compute = async || {
            if signature.head().count() == 0 {
                self.maker.count_delta();
                let delta = Growing::whole(Delta::whole(opened.id.size, Digest::default()));
                return Ok(Value::Large(Arc::new(delta), Some(Arc::new(Whole::new(agreed.digest)))));
            }
            let (delta, making) = Growing::begun();
            let (contents, opened, signature, agreed) =
                (Arc::clone(self), opened.clone(), Arc::clone(signature), *agreed);
            self.begin(move || contents.maker.search(&opened, &signature, &agreed, making)).await?;
            Ok::<_, io::Error>(Value::Large(delta, None))
        };
        let (value, origin) = self.cache.get(&key, compute).await?;
        count_reused(&self.deltas_reused, origin);
        let Value::Large(delta, whole) = value else { unreachable!("the key of a large file has one") };
        Ok(Described { file: opened.id, delta, literals: Literals::Read(opened.handle, whole) })
    }

    /// The digest of what a host has when it has been sent all that it lacks.
    pub(super) async fn digest_of(self: &Arc<Self>, described: &Described) -> io::Result<Digest> {
        let Literals::Read(handle, Some(whole)) = &described.literals else {
            let end = described.delta.end().ok_or_else(|| io::Error::other("its delta has no end yet"))?;
            return Ok(end.digest);
        };
        let (contents, handle, whole) = (Arc::clone(self), Arc::clone(handle), Arc::clone(whole));
        let size = described.file.size;
        // Parts that others had are no longer read.
        let rest = move || match whole.wanted() {
            Some(start) if start < size => {
                contents.maker.pieces(&handle, start..size, |at, piece| whole.take(at, piece))?;
                Ok(whole.finish())
            }
            _ => Ok(whole.finish()),
        };
        self.work(rest).await
    }

    /// A range of the file as it travels, at most [`Codec::segment_len`] long.
    pub(super) async fn segment(
        self: &Arc<Self>,
        described: &Described,
        codec: Codec,
        range: Range<u64>,
    ) -> io::Result<Bytes> {
        let (handle, whole) = match &described.literals {
            Literals::Read(handle, whole) => (handle, whole),
            Literals::Made(parts) => {
                let at = parts.binary_search_by_key(&range.start, |(start, _)| *start);
                return at.map(|at| parts[at].1.clone()).map_err(|_| io::Error::other("a literal was not made"));
            }
        };
        let key = Key::Segment(described.file, codec.segments_of(), range.clone());
        let compute = async || {
            let (contents, handle, whole) = (Arc::clone(self), Arc::clone(handle), whole.clone());
            let make = move || contents.maker.segment(&handle, whole.as_deref(), codec, range);
            self.work(make).await.map(Value::Segment)
        };
        let (value, origin) = self.cache.get(&key, compute).await?;
        count_reused(&self.segments_reused, origin);
        let Value::Segment(bytes) = value else { unreachable!("the key of a segment has one") };
        Ok(bytes)
    }

    /// Counts what a delta takes, which has grown since it was asked for.
    pub(super) fn weigh_again(&self, described: &Described, signature: &Arc<Signature>, agreed: &Agreed) {
        if matches!(described.literals, Literals::Read(..)) {
            self.cache.weigh_again(&Key::Large(described.file, agreed.block_sum(), Arc::clone(signature)));
        }
    }

    /// Forgets all of a file: a host has got something wrong of it.
    pub(super) fn forget(&self, file: FileId) {
        self.cache.forget(|key| key.file() == file);
    }

    /// The digest of a whole file, for lists with `-c`. Waits for the disk.
    pub(super) fn digest(&self, path: &Path, kind: ChecksumKind) -> io::Result<Digest> {
        let opened = self.maker.open(path)?;
        let mut hasher = FileHasher::new(kind);
        self.maker.pieces(&opened.handle, 0..opened.id.size, |_, piece| hasher.update(piece))?;
        Ok(hasher.finish())
    }

    pub(super) fn stats(&self) -> SyncStats {
        SyncStats {
            deltas_reused: self.deltas_reused.load(Ordering::Relaxed),
            segments_reused: self.segments_reused.load(Ordering::Relaxed),
            peak_bytes: self.cache.peak_bytes() as u64,
            ..self.maker.stats()
        }
    }

    /// Does `job` on a thread that may wait, when a core is free.
    async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        self.begin(job).await?.await.map_err(io::Error::other)?
    }

    /// The same without waiting for its end.
    async fn begin<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
        let permit = Arc::clone(&self.cores).acquire_owned().await.map_err(io::Error::other)?;
        Ok(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            job()
        }))
    }
}

fn count_reused(counter: &AtomicU64, origin: Origin) {
    if origin == Origin::Reused {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// `range` in segments.
pub(super) fn cut(range: &Range<u64>, codec: Codec) -> impl Iterator<Item = Range<u64>> + use<> {
    let (start, end, step) = (range.start, range.end, codec.segment_len());
    (start..end).step_by(step).map(move |at| at..end.min(at + step as u64))
}

impl FileId {
    fn of(metadata: &impl MetadataExt) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
