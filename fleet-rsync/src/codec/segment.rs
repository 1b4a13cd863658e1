//! Literal data, compressed and framed, with no regard to what goes before or behind it.
//!
//! Knows nothing of blocks and of the order of tokens.

use super::Codec;
use flate2::{Compress, Compression, FlushCompress};
use thiserror::Error;

/// The most literal bytes in one plain token.
const MAX_PLAIN: usize = 32 << 10;

/// The most bytes in one token of compressed data: what 14 bits hold.
const MAX_COMPRESSED: usize = (1 << 14) - 1;

/// How a sync flush ends: an empty stored block, from its length on.
pub(super) const SYNC_END: [u8; 4] = [0, 0, 0xff, 0xff];

/// Why nothing can be compressed.
#[derive(Debug, Error)]
pub enum CodecError {
    /// The library refused, which it does for want of memory alone.
    #[error("cannot compress with zstd")]
    Zstd(#[source] std::io::Error),
}

/// Makes segments of one codec and level. Holds what is worth keeping from one to the next, which is memory only.
pub struct Compressor(Engine);

enum Engine {
    Plain,
    Deflate(Box<Compress>),
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Compressor {
    /// A compressor with this level of `--compress-level`, or the codec's own. A level beyond what the codec has is the
    /// nearest that it has, as in rsync: hosts of one run may have different codecs.
    pub fn new(codec: Codec, level: Option<i32>) -> Result<Self, CodecError> {
        let (lowest, highest) = codec.levels().into_inner();
        let level = level.unwrap_or(codec.default_level()).clamp(lowest, highest);
        Ok(Self(match codec {
            Codec::Plain => Engine::Plain,
            Codec::Zlib | Codec::Zlibx => {
                Engine::Deflate(Box::new(Compress::new(Compression::new(level.unsigned_abs()), false)))
            }
            Codec::Zstd => Engine::Zstd(Box::new(zstd::bulk::Compressor::new(level).map_err(CodecError::Zstd)?)),
        }))
    }

    /// The segment of `content`, which is not empty and at most [`Codec::segment_len`] long: whole tokens, to be sent
    /// behind what [`Tokens::joint`](super::Tokens::joint) says.
    pub fn segment(&mut self, content: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(match &mut self.0 {
            Engine::Plain => plain(content),
            Engine::Deflate(deflate) => framed(&deflated(deflate, content)),
            Engine::Zstd(zstd) => framed(&zstd.compress(content).map_err(CodecError::Zstd)?),
        })
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Engine::Plain => "Compressor(plain)",
            Engine::Deflate(_) => "Compressor(deflate)",
            Engine::Zstd(_) => "Compressor(zstd)",
        })
    }
}

fn plain(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 4 * content.len().div_ceil(MAX_PLAIN));
    for chunk in content.chunks(MAX_PLAIN) {
        let len = i32::try_from(chunk.len()).expect("at most 32 KiB");
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out
}

/// Compressed data in tokens.
fn framed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 2 * data.len().div_ceil(MAX_COMPRESSED));
    for chunk in data.chunks(MAX_COMPRESSED) {
        let [high, low] = u16::try_from(chunk.len()).expect("at most 14 bits").to_be_bytes();
        out.extend_from_slice(&[0x40 | high, low]);
        out.extend_from_slice(chunk);
    }
    out
}

/// Raw deflate from an empty window up to a sync flush, of which the end is left out.
fn deflated(deflate: &mut Compress, content: &[u8]) -> Vec<u8> {
    deflate.reset();
    let mut out = Vec::with_capacity(content.len() / 2 + 1024);
    loop {
        let taken = usize::try_from(deflate.total_in()).expect("no more than the content");
        deflate.compress_vec(&content[taken..], &mut out, FlushCompress::Sync).expect("the stream is never finished");
        // The flush is whole once the output was not too short for it.
        if out.len() < out.capacity() {
            break;
        }
        out.reserve(content.len() / 2 + 1024);
    }
    out.truncate(out.strip_suffix(&SYNC_END).map_or(out.len(), <[u8]>::len));
    out
}
