//! How the entries of a manifest become chunks: what is read, kept and sent at once.
//!
//! Many small files share a chunk, a large one has many. Arithmetic only: must not read files.

use std::ops::Range;

use super::Framing;
use crate::manifest::{Entry, EntryKind, Manifest};

/// Where a cut in a large file may be: disks and page caches have pages.
const PAGE_LEN: usize = 4096;

/// A place in all that is sent: before an entry (`offset` 0) or in the content of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor {
    pub(super) entry: usize,
    pub(super) offset: u64,
}

/// An entry, or a part of its content. What stands before the content belongs to the part at offset 0, what stands behind
/// it to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) entry: usize,
    pub(super) offset: u64,
    pub(super) len: usize,
    /// Whether the content ends here.
    pub(super) ends: bool,
}

/// The chunks, by number.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where each begins, and behind the last one the end.
    starts: Vec<Cursor>,
    lens: Vec<usize>,
}

impl Plan {
    pub(super) fn new(manifest: &Manifest, framing: &dyn Framing, chunk_len: usize) -> Self {
        let end = Cursor { entry: manifest.entries.len(), offset: 0 };
        let mut plan = Self { starts: vec![Cursor { entry: 0, offset: 0 }], lens: Vec::new() };
        let mut at = plan.starts[0];
        while at < end {
            let (len, next) = spans(manifest, framing, at..end, chunk_len, |_| {});
            plan.lens.push(len);
            plan.starts.push(next);
            at = next;
        }
        plan
    }

    pub(super) fn count(&self) -> usize {
        self.lens.len()
    }

    /// From where to where it goes.
    pub(super) fn cursors(&self, chunk: usize) -> Range<Cursor> {
        self.starts[chunk]..self.starts[chunk + 1]
    }

    /// The entries of which it has something.
    pub(super) fn entries(&self, chunk: usize) -> Range<usize> {
        let (start, end) = (self.starts[chunk], self.starts[chunk + 1]);
        start.entry..end.entry + usize::from(end.offset > 0)
    }

    /// Its bytes, with what stands before and behind the contents.
    pub(super) fn len(&self, chunk: usize) -> usize {
        self.lens[chunk]
    }

    /// The first chunk that has something of `entry`; the number of chunks when that is behind all entries.
    pub(super) fn first_with(&self, entry: usize) -> usize {
        let start = Cursor { entry, offset: 0 };
        self.starts.partition_point(|cursor| *cursor <= start) - 1
    }
}

/// Tells `each` what comes in `way`, up to about `limit` bytes; returns how many bytes they are and where the rest begins.
/// An entry that fits in `limit` is not cut.
pub(super) fn spans(
    manifest: &Manifest,
    framing: &dyn Framing,
    way: Range<Cursor>,
    limit: usize,
    mut each: impl FnMut(Span),
) -> (usize, Cursor) {
    let mut at = way.start;
    let mut total = 0;
    while at < way.end {
        let entry = &manifest.entries[at.entry];
        let content = content_len(entry);
        let before = if at.offset == 0 { framing.before(entry).len() } else { 0 };
        let stop = if at.entry == way.end.entry { way.end.offset } else { content };
        let left = stop - at.offset;
        let behind = if stop == content { framing.after(content) } else { 0 };
        let room = limit.saturating_sub(total);
        let whole = usize::try_from(left).ok().map(|left| (left, before + left + behind));
        match whole.filter(|(_, len)| *len <= room) {
            Some((left, len)) => {
                each(Span { entry: at.entry, offset: at.offset, len: left, ends: stop == content });
                total += len;
                let next = Cursor { entry: at.entry + 1, offset: 0 };
                at = if stop == content { next } else { Cursor { offset: stop, ..at } };
            }
            None if total > 0 => break,
            None => {
                let len = cut(room.saturating_sub(before), left);
                let ends = at.offset + len as u64 == content;
                each(Span { entry: at.entry, offset: at.offset, len, ends });
                let behind = if ends { framing.after(content) } else { 0 };
                let next = Cursor { entry: at.entry + 1, offset: 0 };
                at = if ends { next } else { Cursor { offset: at.offset + len as u64, ..at } };
                total = before + len + behind;
                break;
            }
        }
    }
    (total, at)
}

/// As much of `left` bytes as fits in `room`, in whole pages, but at least one.
fn cut(room: usize, left: u64) -> usize {
    let pages = (room / PAGE_LEN * PAGE_LEN).max(PAGE_LEN);
    usize::try_from(left).map_or(pages, |left| left.min(pages))
}

pub(super) fn content_len(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File { len } => len,
        EntryKind::Folder | EntryKind::Symlink { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 100 bytes before each content, and zeros up to a multiple of 512.
    #[derive(Debug)]
    struct Blocks;

    impl Framing for Blocks {
        fn before(&self, _: &Entry) -> Vec<u8> {
            vec![b'h'; 100]
        }

        fn after(&self, len: u64) -> usize {
            usize::try_from(len.next_multiple_of(512) - len).unwrap()
        }
    }

    fn manifest(lens: &[u64]) -> Manifest {
        let entry = |len: &u64| Entry {
            path: "x".into(),
            source: "x".into(),
            kind: EntryKind::File { len: *len },
            mode: 0,
            mtime: 0,
            uid: 0,
            gid: 0,
        };
        Manifest { entries: lens.iter().map(entry).collect(), problems: Vec::new() }
    }

    fn shown(plan: &Plan, manifest: &Manifest) -> Vec<Vec<(usize, u64, usize)>> {
        let one = |chunk| {
            let mut found = Vec::new();
            let (len, _) = spans(manifest, &Blocks, plan.cursors(chunk), usize::MAX, |span| {
                found.push((span.entry, span.offset, span.len));
            });
            assert_eq!(len, plan.len(chunk));
            found
        };
        (0..plan.count()).map(one).collect()
    }

    #[test]
    fn small_files_share_a_chunk_and_large_ones_have_many() {
        for (lens, expected) in [
            (vec![], vec![]),
            (vec![0, 10], vec![vec![(0, 0, 0), (1, 0, 10)]]),
            (vec![5000, 5000], vec![vec![(0, 0, 5000)], vec![(1, 0, 5000)]]),
            (
                vec![1, 20_000, 1],
                vec![vec![(0, 0, 1)], vec![(1, 0, 8192)], vec![(1, 8192, 8192)], vec![(1, 16384, 3616), (2, 0, 1)]],
            ),
            (vec![16_384], vec![vec![(0, 0, 8192)], vec![(0, 8192, 8192)]]),
        ] {
            let manifest = manifest(&lens);
            let plan = Plan::new(&manifest, &Blocks, 9000);
            assert_eq!(shown(&plan, &manifest), expected, "{lens:?}");
        }
    }

    proptest! {
        #[test]
        fn chunks_cover_all_bytes_once_and_in_order(
            lens in prop::collection::vec(prop_oneof![0..2000u64, 0..100_000u64], 0..20),
            limit in 5000..40_000usize,
        ) {
            let manifest = manifest(&lens);
            let plan = Plan::new(&manifest, &Blocks, limit);
            let mut at = (0, 0);
            for (chunk, spans) in shown(&plan, &manifest).into_iter().enumerate() {
                prop_assert!(plan.len(chunk) <= limit);
                for (entry, offset, len) in &spans {
                    while at.1 == lens.get(at.0).copied().unwrap_or(0) && (at.0, at.1) != (*entry, *offset) {
                        at = (at.0 + 1, 0);
                    }
                    prop_assert_eq!((*entry, *offset), at);
                    at.1 += *len as u64;
                }
                let entries = plan.entries(chunk);
                prop_assert_eq!((entries.start, entries.end - 1), (spans[0].0, spans.last().unwrap().0));
            }
            prop_assert_eq!(at.0 + 1 >= lens.len(), true);
            for entry in 0..lens.len() {
                let first = plan.first_with(entry);
                prop_assert!(plan.entries(first).contains(&entry));
                prop_assert!(first == 0 || !plan.entries(first - 1).contains(&entry));
            }
            prop_assert_eq!(plan.first_with(lens.len()), plan.count());
        }

        #[test]
        fn a_chunk_in_smaller_steps_is_the_same_bytes(len in 0..100_000u64, step in 5000..20_000usize) {
            let manifest = manifest(&[7, len, 9]);
            let plan = Plan::new(&manifest, &Blocks, 32_768);
            for chunk in 0..plan.count() {
                let way = plan.cursors(chunk);
                let (mut at, mut total) = (way.start, 0);
                while at < way.end {
                    let (len, next) = spans(&manifest, &Blocks, at..way.end, step, |_| {});
                    prop_assert!(next > at && len <= step);
                    (at, total) = (next, total + len);
                }
                prop_assert_eq!((at, total), (way.end, plan.len(chunk)));
            }
        }
    }
}
