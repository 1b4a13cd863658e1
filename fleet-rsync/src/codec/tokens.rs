//! The tokens of one file: what stands between and behind its segments.
//!
//! Knows nothing of contents.

use super::Codec;
use super::segment::SYNC_END;
use std::ops::Range;

/// The longest run of blocks in one token: the first, and as many more as 16 bits count.
const MAX_RUN: u32 = 1 << 16;

/// The furthest that a block can be named by its distance.
const MAX_DISTANCE: u32 = 0x3f;

const END: u8 = 0x00;
const BLOCK: u8 = 0x20;
const RUN: u8 = 0x21;
const NEAR_BLOCK: u8 = 0x80;
const NEAR_RUN: u8 = 0xc0;

/// Writes the tokens of one file, from its first to its end.
#[derive(Clone, Debug)]
pub struct Tokens {
    codec: Codec,
    /// The last block that was named.
    last_block: u32,
    /// Whether the last token was literal data.
    in_literal: bool,
}

impl Tokens {
    /// The tokens of a file of which nothing has been written.
    pub fn new(codec: Codec) -> Self {
        Self { codec, last_block: 0, in_literal: false }
    }

    /// What goes out before the next segment of literal data. The segment itself then goes out as it is: shared bytes
    /// need not be copied here.
    #[must_use = "the bytes go out before the segment"]
    pub fn joint(&mut self) -> &'static [u8] {
        /// A token of compressed data: the end of a sync flush.
        const JOINT: [u8; 6] = [0x40, 4, SYNC_END[0], SYNC_END[1], SYNC_END[2], SYNC_END[3]];
        match self.codec {
            Codec::Zlib | Codec::Zlibx if std::mem::replace(&mut self.in_literal, true) => &JOINT,
            _ => &[],
        }
    }

    /// Appends a run of blocks.
    pub fn blocks(&mut self, run: Range<u32>, out: &mut Vec<u8>) {
        self.in_literal = false;
        if self.codec == Codec::Plain {
            run.for_each(|block| out.extend_from_slice(&(-i64::from(block) - 1).to_le_bytes()[..4]));
            return;
        }
        let mut first = run.start;
        while first < run.end {
            let more = (run.end - first).min(MAX_RUN) - 1;
            self.some_blocks(first, u16::try_from(more).expect("runs are cut to what 16 bits count"), out);
            first += more + 1;
        }
    }

    /// Appends block `first` and as many `more`.
    fn some_blocks(&mut self, first: u32, more: u16, out: &mut Vec<u8>) {
        match first.checked_sub(self.last_block).and_then(|distance| u8::try_from(distance).ok()) {
            Some(distance) if u32::from(distance) <= MAX_DISTANCE => {
                out.push(if more == 0 { NEAR_BLOCK } else { NEAR_RUN } | distance);
            }
            _ => {
                out.push(if more == 0 { BLOCK } else { RUN });
                out.extend_from_slice(&first.to_le_bytes());
            }
        }
        if more > 0 {
            out.extend_from_slice(&more.to_le_bytes());
        }
        self.last_block = first + u32::from(more);
    }

    /// Appends the end of the file. Its digest follows, which is no token.
    pub fn end(self, out: &mut Vec<u8>) {
        match self.codec {
            Codec::Plain => out.extend_from_slice(&0i32.to_le_bytes()),
            Codec::Zlib | Codec::Zlibx | Codec::Zstd => out.push(END),
        }
    }
}
