//! How the parts of a file travel: token streams, plain or compressed.
//!
//! A reply is a row of tokens: literal data, runs of blocks of the receiver's old copy, and an end. There are two forms.
//!
//! Plain: an `int32` (little endian). Above 0 it is a number of literal bytes that follow, at most 32,768; below 0 it is
//! `-(block + 1)`; 0 is the end.
//!
//! Compressed, the same for all three codecs:
//!
//! | first byte | then | what |
//! | --- | --- | --- |
//! | `0x00` | | end |
//! | `0x40` to `0x7f` | low byte of the length, data | compressed data; the length's high six bits are in the first byte |
//! | `0x80` to `0xbf` | | one block: the low six bits on from the last block that was named (at first from 0) |
//! | `0xc0` to `0xff` | how many more (2 bytes, little endian) | a run of blocks that begins there |
//! | `0x20` | block (4 bytes, little endian) | one block |
//! | `0x21` | block, how many more | a run of blocks |
//!
//! | codec | compressed data |
//! | --- | --- |
//! | `zlib` | raw deflate. A literal run ends at a sync flush, whose last four bytes `00 00 ff ff` are left out. The receiver also feeds the blocks it takes from its copy into the window |
//! | `zlibx` | the same, but for the window |
//! | `zstd` | one stream through all files of a session, flushed at the end of each literal run |
//!
//! # What is shared
//! rsync's own sender compresses each literal with what went before it as its dictionary, so that no byte of it could be
//! used twice. Here each literal is cut into segments of [`Codec::segment_len`], and each is compressed from an empty
//! window: a raw deflate stream that ends at a sync flush (without its last four bytes: they are put between two segments
//! of a run, see [`Tokens::joint`]), or a zstd frame of its own. That is valid for every receiver, since data that does not
//! refer to what went before does not care what that was; for the same reason the segments of `zlib` and `zlibx` are the
//! same. It costs less than 1 % of the size. So a segment is a function of (content, codec, level), made once for all
//! receivers; what differs for each of them are a few bytes between segments.
//!
//! Knows neither files nor deltas, nor frames of the connection.

mod segment;
mod tokens;

pub use segment::{CodecError, Compressor};
pub use tokens::Tokens;

use std::ops::RangeInclusive;

/// How literal data travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// As it is: without `-z`.
    Plain,
    /// Zstandard: 3.2.0 and later.
    Zstd,
    /// Deflate, whose receiver keeps literal data alone in its window: 3.1.1 and later.
    Zlibx,
    /// Deflate, whose receiver keeps all data in its window. What `-z` means where nothing is negotiated.
    Zlib,
}

impl Codec {
    /// What is offered with `-z`, strongest first: all versions agree on one of it only in this order.
    pub const OFFERED: [Self; 2] = [Self::Zstd, Self::Zlibx];

    /// Its name on the wire and in `--compress-choice`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Zstd => "zstd",
            Self::Zlibx => "zlibx",
            Self::Zlib => "zlib",
        }
    }

    /// The codec of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Plain, Self::Zstd, Self::Zlibx, Self::Zlib].into_iter().find(|codec| codec.name().as_bytes() == name)
    }

    /// How much content is one segment: so much that little is lost by a new window.
    pub fn segment_len(self) -> usize {
        match self {
            Self::Plain => 256 << 10,
            Self::Zlibx | Self::Zlib => 1 << 20,
            Self::Zstd => 4 << 20,
        }
    }

    /// The values of `--compress-level` that mean something.
    pub fn levels(self) -> RangeInclusive<i32> {
        match self {
            Self::Plain => 0..=0,
            Self::Zlibx | Self::Zlib => 1..=9,
            Self::Zstd => -131_072..=22,
        }
    }

    /// The level without `--compress-level`.
    pub fn default_level(self) -> i32 {
        match self {
            Self::Plain => 0,
            Self::Zlibx | Self::Zlib => 6,
            Self::Zstd => 3,
        }
    }

    /// The codec whose segments this one has: a key for caches.
    pub fn segments_of(self) -> Self {
        if self == Self::Zlib { Self::Zlibx } else { self }
    }
}

#[cfg(test)]
mod tests;
