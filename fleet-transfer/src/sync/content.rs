//! Deltas, digests and segments of files: computed once for all hosts, on threads that may wait for the disk.
//!
//! A file is known by what `fstat` says of it when it is opened, so that nothing is used again once it has changed. A
//! small file is read once: its delta and its segments are made of the same bytes. So is a large one of which a host has
//! nothing: its digest is made on the way. Of other large ones hosts send the delta while it is made, and literals are read
//! when somebody needs them. Must not know hosts, nor lists.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use bytes::Bytes;
use fleet_rsync::checksum::{BlockSum, ChecksumKind, Digest, FileHasher};
use fleet_rsync::codec::{Codec, Compressor};
use fleet_rsync::delta::{Delta, Search, Segment, Signature};
use fleet_rsync::wire::greeting::Agreed;
use rustix::fs::OFlags;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::cache::{Cache, Origin, Weigh};
use super::growing::{Growing, Making};
use super::whole::Whole;
use super::{SyncPlan, SyncStats};

/// What is read at once.
const PIECE_BYTES: usize = 256 << 10;

/// Files up to this are read once.
const SMALL_BYTES: u64 = 8 << 20;

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
pub(super) struct Opened {
    file: Arc<File>,
    pub(super) id: FileId,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Delta(FileId, BlockSum, Arc<Signature>),
    Segment(FileId, Codec, Range<u64>),
}

#[derive(Clone, Debug)]
enum Value {
    Delta(Described),
    Segment(Bytes),
}

/// What a host lacks of a file.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) delta: Arc<Growing>,
    /// The digest, where the delta has none: it is made of what is sent.
    whole: Option<Arc<Whole>>,
}

impl From<Delta> for Described {
    fn from(delta: Delta) -> Self {
        Self { delta: Arc::new(Growing::whole(delta)), whole: None }
    }
}

/// What nobody expects the map to take beside what is in it.
const SLOT_BYTES: usize = 256;

impl Weigh for Key {
    fn weight(&self) -> usize {
        match self {
            Self::Delta(_, _, signature) => SLOT_BYTES + signature.memory_bytes(),
            Self::Segment(..) => SLOT_BYTES,
        }
    }
}

impl Weigh for Value {
    fn weight(&self) -> usize {
        match self {
            Self::Delta(described) => described.delta.memory_bytes(),
            Self::Segment(bytes) => bytes.len(),
        }
    }
}

impl Key {
    fn file(&self) -> FileId {
        match self {
            Self::Delta(file, ..) | Self::Segment(file, ..) => *file,
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

/// Makes things of files, and counts.
#[derive(Clone, Debug)]
struct Maker {
    level: Option<i32>,
    copy_links: bool,
    /// Of all hosts alike: a delta for copies that are overwritten is another one than for those that are not.
    in_place: bool,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    deltas: AtomicU64,
    segments: AtomicU64,
    source_bytes: AtomicU64,
}

impl Contents {
    pub(super) fn new(plan: &SyncPlan) -> Self {
        let counts = Arc::default();
        Self {
            cache: Cache::new(plan.memory_bytes),
            cores: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))),
            maker: Maker { level: plan.level, copy_links: plan.copy_links, in_place: plan.in_place, counts },
            deltas_reused: AtomicU64::new(0),
            segments_reused: AtomicU64::new(0),
        }
    }

    /// Opens a source file as it is now.
    pub(super) async fn open(&self, path: impl AsRef<Path> + Send + 'static) -> io::Result<Opened> {
        let maker = self.maker.clone();
        self.work(move || maker.open(path.as_ref())).await
    }

    /// What a host with this signature lacks of the file. Where the file is small, what it lacks is then there, too; where
    /// it is large, the delta may still be growing.
    pub(super) async fn delta(
        &self,
        opened: &Opened,
        signature: &Arc<Signature>,
        agreed: &Agreed,
    ) -> io::Result<Described> {
        let key = Key::Delta(opened.id, agreed.block_sum(), Arc::clone(signature));
        let compute = async || {
            let (maker, file, signature, agreed) = (self.maker.clone(), opened.clone(), Arc::clone(signature), *agreed);
            if opened.id.size > SMALL_BYTES && signature.head().count() > 0 {
                let (delta, making) = Growing::begun();
                self.begin(move || maker.search(&file, &signature, &agreed, making)).await?;
                return Ok(Value::Delta(Described { delta, whole: None }));
            }
            let made = self.work(move || maker.delta(&file, &signature, &agreed)).await?;
            for (range, bytes) in made.segments {
                let key = Key::Segment(opened.id, agreed.codec.segments_of(), range);
                self.cache.put(&key, Value::Segment(bytes));
            }
            Ok::<_, io::Error>(Value::Delta(made.described))
        };
        let (Value::Delta(described), origin) = self.cache.get(&key, compute).await? else {
            unreachable!("a delta's key has a delta");
        };
        if origin == Origin::Reused {
            self.deltas_reused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(described)
    }

    /// The digest of what a host has when it has been sent all that it lacks.
    pub(super) async fn digest_of(&self, opened: &Opened, described: &Described) -> io::Result<Digest> {
        let Some(whole) = described.whole.clone() else {
            let end = described.delta.end().ok_or_else(|| io::Error::other("its delta has no end yet"))?;
            return Ok(end.digest);
        };
        let (maker, opened) = (self.maker.clone(), opened.clone());
        // Parts that others had are no longer read.
        let rest = move || match whole.wanted() {
            Some(start) if start < opened.id.size => {
                maker.pieces(&opened, start, |at, piece| whole.take(at, piece))?;
                Ok(whole.finish())
            }
            _ => Ok(whole.finish()),
        };
        self.work(rest).await
    }

    /// A range of the file as it travels, at most [`Codec::segment_len`] long.
    pub(super) async fn segment(
        &self,
        opened: &Opened,
        described: &Described,
        codec: Codec,
        range: Range<u64>,
    ) -> io::Result<Bytes> {
        let key = Key::Segment(opened.id, codec.segments_of(), range.clone());
        let compute = async || {
            let (maker, opened, whole) = (self.maker.clone(), opened.clone(), described.whole.clone());
            self.work(move || maker.segment(&opened, whole.as_deref(), codec, range)).await.map(Value::Segment)
        };
        let (Value::Segment(bytes), origin) = self.cache.get(&key, compute).await? else {
            unreachable!("a segment's key has a segment");
        };
        if origin == Origin::Reused {
            self.segments_reused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    /// Counts what a delta takes, which has grown since it was asked for.
    pub(super) fn weigh_again(&self, opened: &Opened, signature: &Arc<Signature>, agreed: &Agreed) {
        if opened.id.size > SMALL_BYTES {
            self.cache.weigh_again(&Key::Delta(opened.id, agreed.block_sum(), Arc::clone(signature)));
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
        self.maker.pieces(&opened, 0, |_, piece| hasher.update(piece))?;
        Ok(hasher.finish())
    }

    pub(super) fn stats(&self) -> SyncStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.maker.counts;
        SyncStats {
            lists: 0,
            deltas: count(&counts.deltas),
            deltas_reused: count(&self.deltas_reused),
            segments: count(&counts.segments),
            segments_reused: count(&self.segments_reused),
            source_bytes: count(&counts.source_bytes),
            peak_bytes: self.cache.peak_bytes() as u64,
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

/// A delta, and the segments that were made of the same bytes.
struct Made {
    described: Described,
    segments: Vec<(Range<u64>, Bytes)>,
}

impl Maker {
    fn open(&self, path: &Path) -> io::Result<Opened> {
        // A fifo that has taken the file's place is opened at once.
        let follow = if self.copy_links { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | follow).bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no regular file any more"));
        }
        let id = FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        Ok(Opened { file: Arc::new(file), id })
    }

    fn delta(&self, opened: &Opened, signature: &Signature, agreed: &Agreed) -> io::Result<Made> {
        self.counts.deltas.fetch_add(1, Ordering::Relaxed);
        let is_small = opened.id.size <= SMALL_BYTES;
        if !is_small && signature.head().count() == 0 {
            let described = Described::from(Delta::whole(opened.id.size, Digest::default()));
            let whole = Some(Arc::new(Whole::new(agreed.digest)));
            return Ok(Made { described: Described { whole, ..described }, segments: Vec::new() });
        }
        let mut search = self.begun(signature, agreed);
        let mut content = Vec::new();
        self.pieces(opened, 0, |_, piece| {
            search.push(piece);
            if is_small {
                content.extend_from_slice(piece);
            }
        })?;
        let delta = search.finish();
        let mut segments = Vec::new();
        // It may have grown meanwhile, and is small no more: then `content` is all the same what the delta is of.
        for range in literals(&delta, agreed.codec).filter(|_| is_small) {
            let (start, end) = (usize_of(range.start)?, usize_of(range.end)?);
            segments.push((range, self.compressed(agreed.codec, &content[start..end])?));
        }
        Ok(Made { described: delta.into(), segments })
    }

    /// The delta of a large file, told while it is made.
    fn search(&self, opened: &Opened, signature: &Signature, agreed: &Agreed, making: Making) {
        self.counts.deltas.fetch_add(1, Ordering::Relaxed);
        let mut search = self.begun(signature, agreed);
        let read = self.pieces(opened, 0, |_, piece| {
            search.push(piece);
            making.add(search.settled());
        });
        making.end(read.map(|()| search.finish()));
    }

    fn begun<'a>(&self, signature: &'a Signature, agreed: &Agreed) -> Search<'a> {
        let begin = if self.in_place { Search::in_place } else { Search::new };
        begin(signature, agreed.block_sum())
    }

    fn segment(&self, opened: &Opened, whole: Option<&Whole>, codec: Codec, range: Range<u64>) -> io::Result<Bytes> {
        let mut content = vec![0; usize_of(range.end - range.start)?];
        opened.file.read_exact_at(&mut content, range.start)?;
        self.counts.source_bytes.fetch_add(content.len() as u64, Ordering::Relaxed);
        if let Some(whole) = whole {
            whole.take(range.start, &content);
        }
        self.compressed(codec, &content)
    }

    fn compressed(&self, codec: Codec, content: &[u8]) -> io::Result<Bytes> {
        self.counts.segments.fetch_add(1, Ordering::Relaxed);
        let mut compressor = Compressor::new(codec, self.level).map_err(io::Error::other)?;
        compressor.segment(content).map(Bytes::from).map_err(io::Error::other)
    }

    /// Reads the file from `start` to its end, in pieces with their offsets.
    fn pieces(&self, opened: &Opened, start: u64, mut take: impl FnMut(u64, &[u8])) -> io::Result<()> {
        let (mut piece, mut at) = (vec![0; PIECE_BYTES], start);
        loop {
            match opened.file.read_at(&mut piece, at) {
                Ok(0) => break,
                Ok(len) => {
                    take(at, &piece[..len]);
                    at += len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.counts.source_bytes.fetch_add(at - start, Ordering::Relaxed);
        Ok(())
    }
}

/// The ranges of a delta's literals, cut to segments.
fn literals(delta: &Delta, codec: Codec) -> impl Iterator<Item = Range<u64>> {
    delta.segments.iter().flat_map(move |segment| match segment {
        Segment::Literal(range) => cut(range, codec),
        Segment::Blocks(_) => cut(&(0..0), codec),
    })
}

/// `range` in segments.
pub(super) fn cut(range: &Range<u64>, codec: Codec) -> impl Iterator<Item = Range<u64>> + use<> {
    let (start, end, step) = (range.start, range.end, codec.segment_len());
    (start..end).step_by(step).map(move |at| at..end.min(at + step as u64))
}

fn usize_of(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(io::Error::other)
}
