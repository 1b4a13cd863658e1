//! Finds the blocks of a signature in the new content, which comes in pieces.
//!
//! A window of one block's length stands somewhere in the content. If its weak sum is that of a block, and then its
//! strong sum too, the window stands on a block and jumps behind it; otherwise it moves on by one byte. The block behind
//! the last one found is tried first, so that an unchanged file is one run although it may have equal blocks. The last
//! block of the old copy, if it is shorter, is looked for at the end of the content alone, as rsync does.
//!
//! Memory: one piece, one block, and about 24 bytes for each block of the old copy. Time: one weak sum of each byte; a strong sum only where the weak one matches. Sums
//! may be made up, so that this is at every byte: then strong sums are given up, and literals are sent instead.
//!
//! Knows neither files nor what becomes of the delta.

use super::index::Index;
use super::weak::Weak;
use super::{Delta, Segment, Signature};
use crate::checksum::{BlockSum, FileHasher};

/// How many bytes strong sums may be made of for each byte that the window has passed. In an honest search nearly every
/// strong sum finds a block, which is one byte for one.
const HASHED_PER_BYTE: u64 = 8;

/// And how many more, however little has been passed.
const HASHED_ANYHOW_BYTES: u64 = 4 << 20;

/// A search that is under way.
pub struct Search<'a> {
    blocks: Blocks<'a>,
    digest: FileHasher,
    /// The content from the window's start on, as far as it has come, and perhaps some before it.
    buffer: Vec<u8>,
    /// The window's start in `buffer`.
    start: usize,
    /// The offset of `buffer` in the content.
    offset: u64,
    /// The sum of the window, if it is known.
    weak: Option<Weak>,
    segments: Vec<Segment>,
    /// Where the content ends that `segments` describe.
    described: u64,
}

impl<'a> Search<'a> {
    /// A search for the blocks of `signature`, whose strong sums are made as `sum` says.
    pub fn new(signature: &'a Signature, sum: BlockSum) -> Self {
        Self::begun(signature, sum, OldCopy::Kept)
    }

    /// The same for a receiver with `--inplace`.
    pub fn in_place(signature: &'a Signature, sum: BlockSum) -> Self {
        Self::begun(signature, sum, OldCopy::Overwritten)
    }

    fn begun(signature: &'a Signature, sum: BlockSum, old_copy: OldCopy) -> Self {
        Self {
            blocks: Blocks { signature, sum, old_copy, index: Index::new(signature), hashed_bytes: 0 },
            digest: FileHasher::new(sum.kind),
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            weak: None,
            segments: Vec::new(),
            described: 0,
        }
    }

    /// Takes the next piece of the content.
    pub fn push(&mut self, piece: &[u8]) {
        self.digest.update(piece);
        if self.blocks.signature.head().count() == 0 {
            self.offset += piece.len() as u64;
            return;
        }
        self.buffer.extend_from_slice(piece);
        self.search();
        self.offset += self.start as u64;
        self.buffer.drain(..self.start);
        self.start = 0;
    }

    /// The segments that no further piece changes, each once: a sender need not wait for the end.
    pub fn settled(&mut self) -> impl Iterator<Item = Segment> + '_ {
        self.segments.drain(..self.segments.len().saturating_sub(1))
    }

    /// How many bytes strong sums were made of.
    #[cfg(test)]
    pub(super) fn hashed_bytes(&self) -> u64 {
        self.blocks.hashed_bytes
    }

    /// The delta of the content that has come, without the segments that [`settled`](Self::settled) has given.
    pub fn finish(mut self) -> Delta {
        self.last_block();
        let len = self.offset + self.buffer.len() as u64;
        if self.described < len {
            self.segments.push(Segment::Literal(self.described..len));
        }
        self.segments.shrink_to_fit();
        Delta { segments: self.segments, len, digest: self.digest.finish() }
    }

    /// Moves the window as far as the buffer allows.
    fn search(&mut self) {
        let len = self.blocks.signature.head().full_block_len();
        let mut wanted = self.wanted();
        while let Some(window) = self.buffer.get(self.start..self.start + len) {
            let weak = self.weak.take().unwrap_or_else(|| Weak::of(window));
            let (mut weak, moved) = self.blocks.index.skip(weak, &self.buffer[self.start..], len);
            self.start += moved;
            let window = &self.buffer[self.start..self.start + len];
            let passed = self.offset + self.start as u64;
            if let Some(block) = self.blocks.find(weak.value(), window, wanted, passed) {
                self.found(block, len);
                wanted = block + 1;
                continue;
            }
            let next = self.buffer.get(self.start + len);
            if let Some(&into) = next {
                weak.roll(len, window[0], into);
                self.start += 1;
            }
            self.weak = Some(weak);
            if next.is_none() {
                return;
            }
        }
    }

    /// The block that would prolong the last run.
    fn wanted(&self) -> u32 {
        match self.segments.last() {
            Some(Segment::Blocks(run)) => run.end,
            _ => 0,
        }
    }

    /// The window, `len` bytes long, is block `block`: describes what lies before it, and it.
    fn found(&mut self, block: u32, len: usize) {
        let at = self.offset + self.start as u64;
        if self.described < at {
            self.segments.push(Segment::Literal(self.described..at));
        }
        match self.segments.last_mut() {
            Some(Segment::Blocks(run)) if run.end == block => run.end += 1,
            _ => self.segments.push(Segment::Blocks(block..block + 1)),
        }
        self.start += len;
        self.described = at + len as u64;
        self.weak = None;
    }

    /// Looks for the short last block where the content ends.
    fn last_block(&mut self) {
        let head = self.blocks.signature.head();
        let Some(last) = head.count().checked_sub(1) else { return };
        let len = head.block_len(last);
        let Some(start) = self.buffer.len().checked_sub(len).filter(|_| len < head.full_block_len()) else { return };
        let window = &self.buffer[start..];
        if self.blocks.is_there(last, self.offset + start as u64)
            && self.blocks.index.weak(last) == Some(Weak::of(window).value())
            && self.blocks.signature.has_strong(last, &self.blocks.sum.strong(window))
        {
            self.start = start;
            self.found(last, len);
        }
    }
}

/// What becomes of the old copy while the new one is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OldCopy {
    Kept,
    Overwritten,
}

/// What is looked for.
struct Blocks<'a> {
    signature: &'a Signature,
    sum: BlockSum,
    old_copy: OldCopy,
    index: Index,
    /// How many bytes strong sums were made of.
    hashed_bytes: u64,
}

impl Blocks<'_> {
    /// The block that `window` is, `wanted` rather than any other. So many bytes were passed before it.
    #[inline]
    fn find(&mut self, weak: u32, window: &[u8], wanted: u32, passed: u64) -> Option<u32> {
        let wanted = (self.index.weak(wanted) == Some(weak)).then_some(wanted);
        let fits =
            |&block: &u32| self.signature.head().block_len(block) == window.len() && self.is_there(block, passed);
        let mut candidates = wanted.into_iter().chain(self.index.candidates(weak)).filter(fits);
        let first = candidates.next()?;
        if self.hashed_bytes > HASHED_ANYHOW_BYTES + passed.saturating_mul(HASHED_PER_BYTE) {
            return None;
        }
        let strong = self.sum.strong(window);
        let found = std::iter::once(first).chain(candidates).find(|&block| self.signature.has_strong(block, &strong));
        self.hashed_bytes += window.len() as u64;
        found
    }

    /// Whether the receiver still has block `block` when it has made so many bytes.
    fn is_there(&self, block: u32, made: u64) -> bool {
        let start = u64::from(block) * self.signature.head().full_block_len() as u64;
        self.old_copy == OldCopy::Kept || start >= made
    }
}

impl std::fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("offset", &self.offset).finish_non_exhaustive()
    }
}
