//! The sums that prove equality: strong sums of blocks, and the digest of a whole file.
//!
//! | kind | strong sum of a block | digest of a file |
//! | --- | --- | --- |
//! | `xxh128` | XXH3-128 with the seed of the run, low half first, each half little endian | the same with seed 0 |
//! | `md5`, seed order fixed (compat flag 0x20) | MD5 of the seed (4 bytes, little endian), then the block | MD5 |
//! | `md5`, older servers | MD5 of the block, then the seed | MD5 |
//!
//! Strong sums travel cut to the length that the receiver chose, digests whole. Source of the format: observed between
//! rsync 3.0.0 and 3.5.0.
//!
//! Knows neither what the sums are of, nor who asked for them.

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128_with_seed};

/// Length of every digest in bytes: both kinds have 128 bits.
pub const DIGEST_LEN: usize = 16;

/// A sum in full length.
pub type Digest = [u8; DIGEST_LEN];

/// An algorithm that both sides may agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumKind {
    /// XXH3 with 128 bits: fast, not cryptographic. Its blocks are safe only with a seed that nobody could guess.
    Xxh128,
    /// MD5, which every server knows.
    Md5,
}

impl ChecksumKind {
    /// What is offered, strongest first: all versions agree on one of it only in this order.
    pub const OFFERED: [Self; 2] = [Self::Xxh128, Self::Md5];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xxh128 => "xxh128",
            Self::Md5 => "md5",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::OFFERED.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// The digest of a whole content.
    pub fn digest(self, content: &[u8]) -> Digest {
        let mut hasher = FileHasher::new(self);
        hasher.update(content);
        hasher.finish()
    }
}

/// Where the seed stands in the MD5 of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeedOrder {
    /// Before the block: servers that set the compat flag 0x20.
    First,
    /// Behind the block: 3.0.x, and 3.1.0 before the flag.
    Last,
}

/// How strong sums of blocks are made in one run with one class of servers: what has to be equal, beside the
/// signature itself, for two hosts to have the same delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockSum {
    /// The algorithm.
    pub kind: ChecksumKind,
    /// The seed of the run, as in `--checksum-seed`. Positive: others are extended differently by different versions.
    pub seed: u32,
    /// Of no meaning for `xxh128`.
    pub order: SeedOrder,
}

impl BlockSum {
    /// The strong sum of `block`, in full length.
    pub fn strong(&self, block: &[u8]) -> Digest {
        match (self.kind, self.order) {
            (ChecksumKind::Xxh128, _) => xxh3_128_with_seed(block, u64::from(self.seed)).to_le_bytes(),
            (ChecksumKind::Md5, SeedOrder::First) => md5_of(&[&self.seed.to_le_bytes(), block]),
            (ChecksumKind::Md5, SeedOrder::Last) => md5_of(&[block, &self.seed.to_le_bytes()]),
        }
    }
}

fn md5_of(parts: &[&[u8]]) -> Digest {
    let mut context = md5::Context::new();
    for part in parts {
        context.consume(part);
    }
    context.finalize().0
}

/// The digest of a file that is read piece by piece. Never seeded.
pub struct FileHasher(Hasher);

enum Hasher {
    Xxh128(Box<Xxh3Default>),
    Md5(Box<md5::Context>),
}

impl FileHasher {
    /// A hasher that has seen nothing yet.
    pub fn new(kind: ChecksumKind) -> Self {
        Self(match kind {
            ChecksumKind::Xxh128 => Hasher::Xxh128(Box::default()),
            ChecksumKind::Md5 => Hasher::Md5(Box::new(md5::Context::new())),
        })
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            Hasher::Xxh128(hasher) => hasher.update(piece),
            Hasher::Md5(hasher) => hasher.consume(piece),
        }
    }

    /// The digest of all pieces.
    pub fn finish(self) -> Digest {
        match self.0 {
            Hasher::Xxh128(hasher) => hasher.digest128().to_le_bytes(),
            Hasher::Md5(hasher) => hasher.finalize().0,
        }
    }
}

impl std::fmt::Debug for FileHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileHasher")
    }
}

/// A digest that is certainly not `digest`: what ends a file that could not be read to its end, so that the receiver
/// throws away what it has.
pub fn spoilt(mut digest: Digest) -> Digest {
    digest[0] ^= 0xff;
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digest: Digest) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn digests_are_those_of_the_reference_programs() {
        // `md5sum`, and `xxhsum -H2` with its bytes reversed, as it prints the canonical (big endian) form.
        let cases = [
            (ChecksumKind::Md5, "", "d41d8cd98f00b204e9800998ecf8427e"),
            (ChecksumKind::Md5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
            (ChecksumKind::Xxh128, "", "7f498d4624c30160d8984701d306aa99"),
            (ChecksumKind::Xxh128, "abc", "50392f89945faf7885613a73b65ab006"),
        ];
        for (kind, content, expected) in cases {
            assert_eq!(hex(kind.digest(content.as_bytes())), expected, "{kind:?} of {content:?}");
        }
    }

    #[test]
    fn pieces_do_not_change_a_digest() {
        let content: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        for kind in ChecksumKind::OFFERED {
            let mut hasher = FileHasher::new(kind);
            content.chunks(777).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish(), kind.digest(&content));
            assert_ne!(spoilt(kind.digest(&content)), kind.digest(&content));
        }
    }

    #[test]
    fn the_seed_stands_where_the_class_says() {
        let sum = |kind, order| BlockSum { kind, seed: 42, order }.strong(b"block");
        assert_eq!(sum(ChecksumKind::Md5, SeedOrder::First), ChecksumKind::Md5.digest(b"\x2a\0\0\0block"));
        assert_eq!(sum(ChecksumKind::Md5, SeedOrder::Last), ChecksumKind::Md5.digest(b"block\x2a\0\0\0"));
        assert_eq!(sum(ChecksumKind::Xxh128, SeedOrder::First), sum(ChecksumKind::Xxh128, SeedOrder::Last));
        assert_ne!(sum(ChecksumKind::Xxh128, SeedOrder::First), ChecksumKind::Xxh128.digest(b"block"));
    }
}
