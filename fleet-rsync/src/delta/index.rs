//! The blocks of a signature, found by their weak sums.
//!
//! A hash table of chains in two arrays of numbers, and before it a filter, small enough for the processor's cache: nearly
//! all windows of new content are of no block, and end there. A chain is looked along for at most [`MAX_CHAIN`] blocks: an old copy
//! full of blocks with one weak sum and different contents would otherwise make the search quadratic.
//!
//! Knows nothing of contents.

use super::signature::Signature;
use super::weak::Weak;

/// How many blocks of a chain are looked at. What is lost is a match, never correctness.
const MAX_CHAIN: usize = 1024;

/// How many bits of the filter there are for each block: so one window in a hundred passes it by chance.
const FILTER_BITS: u32 = 64;

/// No block: there are fewer than 2^31.
const NONE: u32 = u32::MAX;

pub(super) struct Index {
    /// A set bit for each weak sum that a block has, and for others that share it.
    filter: Box<[u64]>,
    filter_shift: u32,
    /// For each slot the first block of its chain.
    heads: Box<[u32]>,
    /// For each block its weak sum, and the next of its chain.
    blocks: Box<[(u32, u32)]>,
    shift: u32,
}

impl Index {
    /// An index of all blocks of `signature`, the lowest numbers first in each chain.
    pub(super) fn new(signature: &Signature) -> Self {
        let count = signature.head().count().clamp(8, 1 << 27);
        let shift = 32 - (count * 2).next_power_of_two().trailing_zeros();
        let filter_bits = u64::from(count) * u64::from(FILTER_BITS);
        let filter_shift = 32 - filter_bits.next_power_of_two().trailing_zeros().min(31);
        let mut filter = vec![0; 1 << (32 - filter_shift - 6)].into_boxed_slice();
        let mut heads = vec![NONE; 1 << (32 - shift)].into_boxed_slice();
        let mut blocks: Box<[(u32, u32)]> = signature.weak_sums().map(|weak| (weak, NONE)).collect();
        for (block, entry) in blocks.iter_mut().enumerate().rev() {
            let slot = slot(entry.0, shift);
            entry.1 = heads[slot];
            heads[slot] = u32::try_from(block).expect("fewer blocks than 2^31");
            let (word, bit) = place(entry.0, filter_shift);
            filter[word] |= bit;
        }
        Self { filter, filter_shift, heads, blocks, shift }
    }

    /// Moves a window of `len` bytes, whose sum is `sum`, from the begin of `bytes` on, until it may be a block or is at
    /// their end. Gives its sum there, and how far it has moved.
    #[inline]
    pub(super) fn skip(&self, mut sum: Weak, bytes: &[u8], len: usize) -> (Weak, usize) {
        let mut moved = 0;
        for (&out, &into) in bytes.iter().zip(&bytes[len..]) {
            let (word, bit) = place(sum.value(), self.filter_shift);
            if self.filter[word] & bit != 0 {
                break;
            }
            sum.roll(len, out, into);
            moved += 1;
        }
        (sum, moved)
    }

    /// The weak sum of block `block`, if there is such a block.
    pub(super) fn weak(&self, block: u32) -> Option<u32> {
        self.blocks.get(block as usize).map(|entry| entry.0)
    }

    /// The blocks whose weak sum is `weak`.
    #[inline]
    pub(super) fn candidates(&self, weak: u32) -> impl Iterator<Item = u32> {
        let mut next = self.heads[slot(weak, self.shift)];
        let chain = std::iter::from_fn(move || {
            let block = next;
            let entry = self.blocks.get(block as usize)?;
            next = entry.1;
            Some((block, entry.0))
        });
        chain.take(MAX_CHAIN).filter(move |&(_, of_block)| of_block == weak).map(|(block, _)| block)
    }
}

/// Where the bit of a weak sum is in a filter.
#[inline]
fn place(weak: u32, shift: u32) -> (usize, u64) {
    let at = slot(weak, shift);
    (at / 64, 1 << (at % 64))
}

/// Multiplicative hashing: the low half of a weak sum alone is nearly the same for all text.
#[inline]
fn slot(weak: u32, shift: u32) -> usize {
    (weak.wrapping_mul(0x9e37_79b1) >> shift) as usize
}
