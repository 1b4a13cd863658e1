//! Digests by which a host can tell that what it has received is what was sent.
//!
//! Several files are verified at once: their digest is that of one after the other, each followed by a mark
//! ([`SEPARATOR`]), so that a byte that moves from one file to the next is noticed too. Both digests are made in one
//! pass: a host without any tool for SHA-256 has POSIX `cksum`.
//!
//! Bytes to numbers: must not know files.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// What stands behind each file of a batch in the bytes that the digest is made of.
pub const SEPARATOR: &[u8] = b"\n\x1efleet-end-of-file\n";

/// What is known of bytes without having them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// SHA-256 (FIPS 180-4).
    pub sha256: [u8; 32],
    /// The first number that `cksum` prints.
    pub cksum: u32,
    /// How many bytes they are: the second one.
    pub len: u64,
}

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut digester = Digester::new();
        digester.update(bytes);
        digester.finish()
    }

    /// SHA-256 as its tools print it: 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Makes a [`Digest`] of bytes that come in pieces.
#[derive(Clone)]
pub struct Digester {
    sha256: Sha256,
    cksum: Cksum,
    len: u64,
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Default for Digester {
    fn default() -> Self {
        Self::new()
    }
}

impl Digester {
    /// Of no bytes yet.
    #[must_use]
    pub fn new() -> Self {
        Self { sha256: Sha256::new(), cksum: Cksum::new(), len: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.cksum.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// The bytes so far were a file of a batch, and it ends here.
    pub fn end_file(&mut self) {
        self.update(SEPARATOR);
    }

    /// The digest of all bytes.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        let len = self.len.to_le_bytes();
        let significant = len.len() - self.len.leading_zeros() as usize / 8;
        self.cksum.update(&len[..significant]);
        Digest { sha256: self.sha256.finalize().into(), cksum: self.cksum.finish(), len: self.len }
    }
}

/// Bytes whose bits are reversed at once.
const REVERSED_BYTES: usize = 4096;

/// The sum of POSIX `cksum` (IEEE Std 1003.1-2017, cksum), without the length that follows the bytes there. It is CRC-32 as gzip
/// has it (RFC 1952, 8), but begins with 0 and goes through each byte from the other end: `crc32fast` knows what processors
/// have for gzip's, which takes half the time of a table, also with all bits reversed before.
#[derive(Clone)]
struct Cksum(crc32fast::Hasher);

impl Cksum {
    fn new() -> Self {
        // It takes the sum of bytes that came before, which is the complement of what it begins with.
        Self(crc32fast::Hasher::new_with_initial(!0))
    }

    fn update(&mut self, bytes: &[u8]) {
        let mut reversed = [0; REVERSED_BYTES];
        for bytes in bytes.chunks(REVERSED_BYTES) {
            let reversed = &mut reversed[..bytes.len()];
            reversed.iter_mut().zip(bytes).for_each(|(reversed, byte)| *reversed = byte.reverse_bits());
            self.0.update(reversed);
        }
    }

    fn finish(self) -> u32 {
        self.0.finalize().reverse_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As sha256sum and cksum of GNU coreutils 9.1 print them.
    #[test]
    fn digests_are_those_that_the_tools_of_hosts_print() {
        let long: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        for (bytes, sha256, cksum) in [
            (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 4_294_967_295),
            (b"123456789", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225", 930_766_865),
            (&long, "db8f1d69251d95e2c88268d3c540533cc5182e0e33065a6f3f322f606a574489", 2_448_995_759),
        ] {
            let digest = Digest::of(bytes);
            assert_eq!((digest.sha256_hex().as_str(), digest.cksum), (sha256, cksum));
            assert_eq!(digest.len, bytes.len() as u64);
            let mut pieces = Digester::new();
            bytes.chunks(777).for_each(|piece| pieces.update(piece));
            assert_eq!(pieces.finish(), digest);
        }
    }

    #[test]
    fn where_files_end_is_part_of_the_digest() {
        let batch = |files: [&[u8]; 2]| {
            let mut digester = Digester::new();
            for file in files {
                digester.update(file);
                digester.end_file();
            }
            digester.finish()
        };
        assert_ne!(batch([b"ab", b"c"]), batch([b"a", b"bc"]));
        assert_eq!(batch([b"ab", b"c"]), Digest::of(&[b"ab", SEPARATOR, b"c", SEPARATOR].concat()));
    }
}
