//! What a host has of a file already, and what it lacks.
//!
//! The receiver cuts its old copy into blocks and sends a [`Signature`]: a weak and a strong sum of each. [`Search`]
//! finds those blocks in the new content, at any offset, and gives a [`Delta`]: ranges of the new content to be sent as
//! they are, and runs of blocks that the receiver takes from its copy.
//!
//! A delta holds no content, so it is small and the same for every codec, and two hosts whose signatures are equal have
//! the same one, given the same [`BlockSum`](crate::checksum::BlockSum): with the seed fixed for a run, equal old files
//! have equal signatures. So it is computed once for all of them; `Signature` is its own key for a map (the whole of it
//! is compared: nobody can take another's delta by a collision).
//!
//! With `--inplace` the receiver overwrites its old copy while it reads it, so that it has less and less of it:
//! [`Search::in_place`] takes only blocks that the new content has not reached. Its deltas are others than those of
//! [`Search::new`] from the same signature.
//!
//! Knows neither files nor tokens: contents come in pieces, and what becomes of a delta is told in [`codec`](crate::codec).

mod index;
mod search;
mod signature;
mod weak;

pub use search::Search;
pub use signature::{MAX_BLOCK_LEN, Signature, SignatureError, SumHead};

use crate::checksum::Digest;
use std::ops::Range;

/// A part of the new content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Bytes of the new content, by their offsets, that the receiver lacks. Never empty; two never touch.
    Literal(Range<u64>),
    /// Blocks of the old copy, by their numbers, one behind the other. Never empty.
    Blocks(Range<u32>),
}

/// How to make the new content from the old copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The parts of the new content in their order.
    pub segments: Vec<Segment>,
    /// Length of the new content in bytes, as it was read.
    pub len: u64,
    /// The digest of the new content, as it was read.
    pub digest: Digest,
}

impl Delta {
    /// The delta for a receiver that has nothing of use.
    pub fn whole(len: u64, digest: Digest) -> Self {
        let segments = if len == 0 { Vec::new() } else { vec![Segment::Literal(0..len)] };
        Self { segments, len, digest }
    }

    /// How many bytes of the new content have to be sent.
    pub fn literal_bytes(&self) -> u64 {
        let literal = |segment: &Segment| match segment {
            Segment::Literal(range) => range.end - range.start,
            Segment::Blocks(_) => 0,
        };
        self.segments.iter().map(literal).sum()
    }

    /// Memory that it takes, for caches with a budget.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.segments.capacity() * size_of::<Segment>()
    }
}

#[cfg(test)]
mod tests;
