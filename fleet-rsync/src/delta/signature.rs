//! The receiver's description of its old copy.
//!
//! On the wire: four `int32` (little endian), which are [`SumHead`], then for each block the weak sum (`u32`, little
//! endian) and the first bytes of the strong sum. The sender echoes the head in its answer. A count of 0 says that
//! there is no old copy, or that none is wanted (`--whole-file`).
//!
//! | field | what | believed if |
//! | --- | --- | --- |
//! | count | blocks of the old copy | 0 or more, and the signature is within the budget |
//! | block length | of all blocks but perhaps the last; grows with the old copy | 1 to 131,072; 0 only without blocks |
//! | strong length | bytes of each strong sum; 2 at first for most sizes, 16 when a file is asked for again | at most 16 |
//! | remainder | length of the last block, 0 if it is as long as the others | less than, or equal to, the block length |
//!
//! Knows nothing of how it is used.

use crate::checksum::{DIGEST_LEN, Digest};
use thiserror::Error;

/// The longest block that any receiver of protocol 30 or later makes.
pub const MAX_BLOCK_LEN: u32 = 1 << 17;

/// Why a signature is not believed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignatureError {
    /// A field of the head that no receiver would send.
    #[error("expected {field} between {min} and {max}, got {value}")]
    Head {
        /// Which one.
        field: &'static str,
        /// The least that is taken.
        min: i32,
        /// The most that is taken.
        max: i32,
        /// What was sent.
        value: i32,
    },
    /// More blocks than there is memory for.
    #[error("expected at most {budget_bytes} bytes of block sums, got a count of {count}")]
    TooLarge {
        /// How many blocks were announced.
        count: u32,
        /// What the caller allows.
        budget_bytes: usize,
    },
    /// Not as many bytes as the head said.
    #[error("expected {expected_bytes} bytes of block sums, got {bytes}")]
    Len {
        /// What the head says.
        expected_bytes: usize,
        /// What there was.
        bytes: usize,
    },
}

/// The head of a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SumHead {
    count: u32,
    block_len: u32,
    strong_len: u32,
    remainder: u32,
}

impl SumHead {
    /// Its length on the wire in bytes.
    pub const LEN: usize = 16;

    /// Reads a head. `budget_bytes` is the most that the sums behind it may take.
    pub fn decode(bytes: [u8; Self::LEN], budget_bytes: usize) -> Result<Self, SignatureError> {
        let (fields, _) = bytes.as_chunks::<4>();
        let field = |i: usize, field, min: u32, max: u32| {
            let value = i32::from_le_bytes(fields[i]);
            match u32::try_from(value) {
                Ok(value) if (min..=max).contains(&value) => Ok(value),
                _ => Err(SignatureError::Head { field, min: min.cast_signed(), max: max.cast_signed(), value }),
            }
        };
        let count = field(0, "a block count", 0, i32::MAX.cast_unsigned())?;
        let block_len = field(1, "a block length", u32::from(count > 0), MAX_BLOCK_LEN)?;
        let strong_len = field(2, "a strong sum's length", u32::from(count > 0), DIGEST_LEN as u32)?;
        let remainder = field(3, "a remainder", 0, block_len)?;
        let head = Self { count, block_len, strong_len, remainder };
        if (count as usize).checked_mul(head.record_len()).is_none_or(|bytes| bytes > budget_bytes) {
            return Err(SignatureError::TooLarge { count, budget_bytes });
        }
        Ok(head)
    }

    /// The head as it is on the wire.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let fields = [self.count, self.block_len, self.strong_len, self.remainder];
        bytes.as_chunks_mut::<4>().0.iter_mut().zip(fields).for_each(|(to, field)| *to = field.to_le_bytes());
        bytes
    }

    /// How many blocks the old copy has.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Length of the sums behind the head in bytes.
    pub fn sums_len(self) -> usize {
        self.count as usize * self.record_len()
    }

    /// Length in bytes of all blocks but perhaps the last.
    pub fn full_block_len(self) -> usize {
        self.block_len as usize
    }

    /// Length in bytes of block `block`.
    pub fn block_len(self, block: u32) -> usize {
        if self.remainder > 0 && block + 1 == self.count { self.remainder as usize } else { self.full_block_len() }
    }

    fn record_len(self) -> usize {
        4 + self.strong_len as usize
    }
}

/// What a receiver has of a file. Equal ones stand for equal old copies, as far as anybody can see.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    head: SumHead,
    /// As they came: `record_len` bytes each.
    sums: Box<[u8]>,
}

impl Signature {
    /// The signature with this head, and behind it these bytes.
    pub fn new(head: SumHead, sums: Vec<u8>) -> Result<Self, SignatureError> {
        if sums.len() != head.sums_len() {
            return Err(SignatureError::Len { expected_bytes: head.sums_len(), bytes: sums.len() });
        }
        Ok(Self { head, sums: sums.into() })
    }

    /// Its head.
    pub fn head(&self) -> SumHead {
        self.head
    }

    /// Memory that it takes, for caches with a budget.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.sums.len()
    }

    /// The weak sums in the order of the blocks.
    pub(super) fn weak_sums(&self) -> impl Iterator<Item = u32> {
        self.sums.chunks_exact(self.head.record_len()).map(|record| {
            let (weak, _) = record.split_first_chunk().expect("a record begins with the four bytes of a weak sum");
            u32::from_le_bytes(*weak)
        })
    }

    /// Whether `strong` is the strong sum of block `block`, as far as it was sent.
    pub(super) fn has_strong(&self, block: u32, strong: &Digest) -> bool {
        let record = self.head.record_len();
        let start = block as usize * record;
        self.sums[start + 4..start + record] == strong[..record - 4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: [i32; 4]) -> [u8; 16] {
        let bytes: Vec<u8> = fields.into_iter().flat_map(i32::to_le_bytes).collect();
        bytes.try_into().unwrap()
    }

    #[test]
    fn a_head_that_is_believed_is_echoed_as_it_came() {
        for fields in [[0, 0, 0, 0], [0, 700, 2, 0], [3, 700, 2, 5], [2, 1 << 17, 16, 0], [1, 700, 3, 700]] {
            let decoded = SumHead::decode(head(fields), 1000).unwrap();
            assert_eq!(decoded.encode(), head(fields), "{fields:?}");
        }
        let decoded = SumHead::decode(head([3, 700, 2, 5]), 1000).unwrap();
        assert_eq!([0, 1, 2].map(|block| decoded.block_len(block)), [700, 700, 5]);
        assert_eq!(decoded.sums_len(), 18);
    }

    #[test]
    fn a_head_that_no_receiver_would_send_is_refused() {
        let cases = [
            ([-1, 700, 2, 0], "expected a block count between 0 and 2147483647, got -1"),
            ([1, 0, 2, 0], "expected a block length between 1 and 131072, got 0"),
            ([1, 131_073, 2, 0], "expected a block length between 1 and 131072, got 131073"),
            ([0, -5, 2, 0], "expected a block length between 0 and 131072, got -5"),
            ([1, 700, 17, 0], "expected a strong sum's length between 1 and 16, got 17"),
            ([1, 700, 0, 0], "expected a strong sum's length between 1 and 16, got 0"),
            ([1, 700, 2, 701], "expected a remainder between 0 and 700, got 701"),
            ([1, 700, 2, -1], "expected a remainder between 0 and 700, got -1"),
            ([167, 700, 2, 0], "expected at most 1000 bytes of block sums, got a count of 167"),
            ([i32::MAX, 1 << 17, 16, 0], "expected at most 1000 bytes of block sums, got a count of 2147483647"),
        ];
        for (fields, message) in cases {
            assert_eq!(SumHead::decode(head(fields), 1000).unwrap_err().to_string(), message, "{fields:?}");
        }
    }

    #[test]
    fn sums_that_are_cut_short_are_refused() {
        let head = SumHead::decode(head([2, 700, 2, 0]), 1000).unwrap();
        assert!(Signature::new(head, vec![0; 12]).is_ok());
        assert_eq!(Signature::new(head, vec![0; 11]), Err(SignatureError::Len { expected_bytes: 12, bytes: 11 }));
    }
}
