//! Makes deltas and segments of files, and counts what it reads and makes. All of it waits for the disk.
//!
//! Must not know who wants them, nor what is kept.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fleet_rsync::codec::{Codec, Compressor};
use fleet_rsync::delta::{Delta, Search, Segment, Signature};
use fleet_rsync::wire::greeting::Agreed;
use rustix::fs::OFlags;

use super::{FileId, Opened, cut};
use crate::sync::growing::Making;
use crate::sync::whole::Whole;
use crate::sync::{SyncPlan, SyncStats};

/// What is read at once.
const PIECE_BYTES: u64 = 256 << 10;

#[derive(Debug)]
pub(super) struct Maker {
    level: Option<i32>,
    copy_links: bool,
    /// Of all hosts alike: a delta for copies that are overwritten is another one than for those that are not.
    in_place: bool,
    deltas: AtomicU64,
    segments: AtomicU64,
    source_bytes: AtomicU64,
}

impl Maker {
    pub(super) fn new(plan: &SyncPlan) -> Self {
        Self {
            level: plan.level,
            copy_links: plan.copy_links,
            in_place: plan.in_place,
            deltas: AtomicU64::new(0),
            segments: AtomicU64::new(0),
            source_bytes: AtomicU64::new(0),
        }
    }

    /// What it has counted; all else is 0.
    pub(super) fn stats(&self) -> SyncStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SyncStats {
            deltas: count(&self.deltas),
            segments: count(&self.segments),
            source_bytes: count(&self.source_bytes),
            ..SyncStats::default()
        }
    }

    pub(super) fn count_delta(&self) {
        self.deltas.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<Opened> {
        // A fifo that has taken the file's place is opened at once.
        let follow = if self.copy_links { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | follow).bits().cast_signed();
        let handle = File::options().read(true).custom_flags(flags).open(path)?;
        let metadata = handle.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no regular file any more"));
        }
        Ok(Opened { handle: Arc::new(handle), id: FileId::of(&metadata) })
    }

    /// The delta of a small file, and the segments of its literals, by where they begin.
    pub(super) fn small(
        &self,
        opened: &Opened,
        signature: &Signature,
        agreed: &Agreed,
    ) -> io::Result<(Delta, Vec<(u64, Bytes)>)> {
        self.count_delta();
        let mut search = self.begun(signature, agreed);
        let mut content = Vec::new();
        self.pieces(&opened.handle, 0..opened.id.size, |_, piece| {
            search.push(piece);
            content.extend_from_slice(piece);
        })?;
        let delta = search.finish();
        let mut segments = Vec::new();
        for range in literals(&delta, agreed.codec) {
            let (start, end) = (usize_of(range.start)?, usize_of(range.end)?);
            segments.push((range.start, self.compressed(agreed.codec, &content[start..end])?));
        }
        Ok((delta, segments))
    }

    /// The delta of a large file, told while it is made.
    pub(super) fn search(&self, opened: &Opened, signature: &Signature, agreed: &Agreed, making: Making) {
        self.count_delta();
        let mut search = self.begun(signature, agreed);
        let read = self.pieces(&opened.handle, 0..opened.id.size, |_, piece| {
            search.push(piece);
            making.add(search.settled());
        });
        making.end(read.map(|()| search.finish()));
    }

    fn begun<'a>(&self, signature: &'a Signature, agreed: &Agreed) -> Search<'a> {
        let begin = if self.in_place { Search::in_place } else { Search::new };
        begin(signature, agreed.block_sum())
    }

    /// A literal of a large file, as it travels. Of a file that goes whole `whole` makes the digest.
    pub(super) fn segment(
        &self,
        handle: &File,
        whole: Option<&Whole>,
        codec: Codec,
        range: Range<u64>,
    ) -> io::Result<Bytes> {
        let mut content = vec![0; usize_of(range.end - range.start)?];
        handle.read_exact_at(&mut content, range.start)?;
        self.source_bytes.fetch_add(content.len() as u64, Ordering::Relaxed);
        if let Some(whole) = whole {
            whole.take(range.start, &content);
        }
        self.compressed(codec, &content)
    }

    fn compressed(&self, codec: Codec, content: &[u8]) -> io::Result<Bytes> {
        self.segments.fetch_add(1, Ordering::Relaxed);
        let mut compressor = Compressor::new(codec, self.level).map_err(io::Error::other)?;
        compressor.segment(content).map(Bytes::from).map_err(io::Error::other)
    }

    /// Reads a file from the start of `range` to its end, in pieces with their offsets. That `range` ends where the file
    /// did when it was opened is only a hint.
    pub(super) fn pieces(&self, file: &File, range: Range<u64>, mut take: impl FnMut(u64, &[u8])) -> io::Result<()> {
        // One byte more than expected, so that the end is seen where it should be.
        let piece_bytes = PIECE_BYTES.min(range.end.saturating_sub(range.start) + 1);
        let (mut piece, mut at) = (vec![0; usize_of(piece_bytes)?], range.start);
        loop {
            match file.read_at(&mut piece, at) {
                Ok(0) => break,
                Ok(len) => {
                    take(at, &piece[..len]);
                    at += len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.source_bytes.fetch_add(at - range.start, Ordering::Relaxed);
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

fn usize_of(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(io::Error::other)
}
