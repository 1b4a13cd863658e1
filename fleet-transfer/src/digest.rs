//! Digests by which a host can tell that what it has received is what was sent.
//!
//! Several files are verified at once: their digest is that of one after the other with a mark between them
//! ([`SEPARATOR`]), so that a byte that moves from one file to the next is noticed too.
//!
//! What SSH brings is authenticated, so that only what the host itself loses is to be found: the CRC and the length of POSIX
//! `cksum` are enough for that, and take a tenth of the time of SHA-256. What comes another way is verified by both
//! ([`Verify`]).
//!
//! Bytes to numbers: must not know files.

use std::fmt;

use crc_fast::CrcAlgorithm;
use fleet_ssh::remote::Verify;
use sha2::{Digest as _, Sha256};

/// What stands between two files of a batch in the bytes that the digest is made of.
pub const SEPARATOR: &[u8] = b"\n\x1efleet-end-of-file\n";

/// What is known of bytes without having them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// SHA-256 (FIPS 180-4), where it was asked for.
    pub sha256: Option<[u8; 32]>,
    /// The first number that `cksum` prints.
    pub cksum: u32,
    /// How many bytes they are: the second one.
    pub len: u64,
}

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8], verify: Verify) -> Self {
        let mut digester = Digester::new(verify);
        digester.update(bytes);
        digester.finish()
    }

    /// SHA-256 as its tools print it: 64 lower-case hexadecimal digits. `None` when it was not asked for.
    #[must_use]
    pub fn sha256_hex(&self) -> Option<String> {
        Some(self.sha256?.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Makes a [`Digest`] of bytes that come in pieces.
#[derive(Clone)]
pub struct Digester {
    sha256: Option<Sha256>,
    /// The sum of POSIX `cksum` (IEEE Std 1003.1-2017, cksum), without the length that follows the bytes there.
    cksum: crc_fast::Digest,
    len: u64,
    place: Place,
}

/// Where in a batch the digest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeFirst,
    Later,
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Digester {
    /// Of no bytes yet. The length and the sum of `cksum` are always made.
    #[must_use]
    pub fn new(verify: Verify) -> Self {
        let sha256 = (verify == Verify::Sha256).then(Sha256::new);
        Self { sha256, cksum: crc_fast::Digest::new(CrcAlgorithm::Crc32Cksum), len: 0, place: Place::BeforeFirst }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        self.cksum.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// What comes next is a file of a batch: the first, or the one behind what came so far.
    pub fn start_file(&mut self) {
        if self.place == Place::Later {
            self.update(SEPARATOR);
        }
        self.place = Place::Later;
    }

    /// The digest of all bytes.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        let len = self.len.to_le_bytes();
        let significant = len.len() - self.len.leading_zeros() as usize / 8;
        self.cksum.update(&len[..significant]);
        let cksum = u32::try_from(self.cksum.finalize()).expect("it is a CRC of 32 bits");
        Digest { sha256: self.sha256.map(|sha256| sha256.finalize().into()), cksum, len: self.len }
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
            let digest = Digest::of(bytes, Verify::Sha256);
            assert_eq!((digest.sha256_hex().as_deref(), digest.cksum), (Some(sha256), cksum));
            assert_eq!(digest.len, bytes.len() as u64);
            for (verify, expected) in [(Verify::Sha256, digest), (Verify::Cksum, Digest { sha256: None, ..digest })] {
                let mut pieces = Digester::new(verify);
                bytes.chunks(777).for_each(|piece| pieces.update(piece));
                assert_eq!(pieces.finish(), expected);
            }
        }
    }

    #[test]
    fn where_files_end_is_part_of_the_digest() {
        let batch = |files: &[&[u8]]| {
            let mut digester = Digester::new(Verify::Sha256);
            for file in files {
                digester.start_file();
                digester.update(file);
            }
            digester.finish()
        };
        assert_ne!(batch(&[b"ab", b"c"]), batch(&[b"a", b"bc"]));
        assert_ne!(batch(&[b"", b"a"]), batch(&[b"a"]));
        assert_eq!(batch(&[b"ab", b"c"]), Digest::of(&[b"ab", SEPARATOR, b"c"].concat(), Verify::Sha256));
        assert_eq!(batch(&[b"ab"]), Digest::of(b"ab", Verify::Sha256));
    }
}
