//! The outputs of many hosts, each different one kept once.
//!
//! An output is known by its SHA-256 digest: two that have the same one are equal, as nobody can make two that are not.
//! Must not know what is shown, nor when.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sha2::{Digest as _, Sha256};

use super::RenderError;
use super::held::StreamKey;
use super::spill::{Spill, SpillReader};

/// The SHA-256 digest (FIPS 180-4) of an output.
pub(super) type Digest = [u8; 32];

/// The outputs of running hosts, and the different ones of those that are done.
pub(super) struct Contents {
    running: HashMap<StreamKey, Sha256>,
    /// Who sent each output first: its copy is the one that is kept.
    owners: HashMap<Digest, StreamKey>,
    /// Where only digests are asked for, there is none.
    kept: Option<Spill>,
}

impl Contents {
    /// Keeps at most about `limit_bytes` in memory, the rest in a temporary file.
    pub(super) fn new(hosts: usize, limit_bytes: usize) -> Self {
        Self { kept: Some(Spill::new(hosts, limit_bytes)), ..Self::of_digests() }
    }

    /// Keeps nothing but digests.
    pub(super) fn of_digests() -> Self {
        Self { running: HashMap::new(), owners: HashMap::new(), kept: None }
    }

    /// Adds to the output of a running host.
    pub(super) fn append(&mut self, key: StreamKey, bytes: &[u8]) -> Result<(), RenderError> {
        self.running.entry(key).or_default().update(bytes);
        self.kept.as_mut().map_or(Ok(()), |kept| kept.append(key, bytes))
    }

    /// Drops what a running host has sent so far.
    pub(super) fn forget(&mut self, key: StreamKey) {
        self.running.remove(&key);
        if let Some(kept) = &mut self.kept {
            kept.discard(key);
        }
    }

    /// Ends an output; what is equal to another is kept no longer.
    pub(super) fn end(&mut self, key: StreamKey) -> Digest {
        let digest = self.running.remove(&key).unwrap_or_default().finalize().into();
        match self.owners.entry(digest) {
            Entry::Vacant(owner) => {
                owner.insert(key);
            }
            Entry::Occupied(_) => {
                if let Some(kept) = &mut self.kept {
                    kept.discard(key);
                }
            }
        }
        digest
    }

    /// How many bytes an output has.
    pub(super) fn bytes(&self, digest: &Digest) -> u64 {
        self.find(digest).map_or(0, |(kept, key)| kept.bytes(key))
    }

    /// Reads an output that has ended.
    pub(super) fn reader(&self, digest: &Digest) -> Option<SpillReader<'_>> {
        self.find(digest).map(|(kept, key)| kept.reader(key))
    }

    fn find(&self, digest: &Digest) -> Option<(&Spill, StreamKey)> {
        self.kept.as_ref().zip(self.owners.get(digest).copied())
    }

    /// All that is kept, in memory and on disk.
    #[cfg(test)]
    fn kept_bytes(&self, hosts: usize) -> u64 {
        use crate::event::Stream::{Stderr, Stdout};
        let keys = (0..hosts).flat_map(|host| [(host, Stdout), (host, Stderr)]);
        self.kept.as_ref().map_or(0, |kept| keys.map(|key| kept.bytes(key)).sum())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::event::Stream;

    fn read(contents: &Contents, digest: &Digest) -> Vec<u8> {
        let mut bytes = Vec::new();
        contents.reader(digest).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn equal_outputs_are_kept_once_however_they_came() {
        let mut contents = Contents::new(100, 10_000);
        let output = b"0123456789".repeat(1000);
        let digests: Vec<Digest> = (0..100)
            .map(|host| {
                for chunk in output.chunks(host + 1) {
                    contents.append((host, Stream::Stdout), chunk).unwrap();
                }
                contents.end((host, Stream::Stdout))
            })
            .collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]));
        assert_eq!(contents.kept_bytes(100), output.len() as u64);
        assert_eq!(read(&contents, &digests[0]), output);
    }

    #[test]
    fn an_output_equal_to_the_other_stream_of_another_host_is_kept_once_too() {
        let mut contents = Contents::new(2, 1000);
        for key in [(0, Stream::Stdout), (1, Stream::Stderr)] {
            contents.append(key, b"same").unwrap();
        }
        assert_eq!(contents.end((0, Stream::Stdout)), contents.end((1, Stream::Stderr)));
        assert_eq!(contents.kept_bytes(2), 4);
    }

    #[test]
    fn different_outputs_stay_apart_in_memory_and_on_disk() {
        let mut contents = Contents::new(200, 1000);
        let output = |host: usize| format!("{host} ").repeat(50).into_bytes();
        let digests: Vec<Digest> = (0..200)
            .map(|host| {
                contents.append((host, Stream::Stdout), &output(host)).unwrap();
                contents.end((host, Stream::Stdout))
            })
            .collect();
        for (host, digest) in digests.iter().enumerate() {
            assert_eq!(read(&contents, digest), output(host));
            assert_eq!(contents.bytes(digest), output(host).len() as u64);
        }
    }

    #[test]
    fn nothing_is_an_output_too() {
        let mut contents = Contents::new(1, 1000);
        let digest = contents.end((0, Stream::Stdout));
        assert_eq!((contents.bytes(&digest), read(&contents, &digest)), (0, Vec::new()));
    }

    #[test]
    fn digests_alone_keep_no_output() {
        let mut contents = Contents::of_digests();
        contents.append((0, Stream::Stdout), b"x").unwrap();
        let digest = contents.end((0, Stream::Stdout));
        assert!(contents.reader(&digest).is_none());
        assert_eq!(digest[..4], [0x2d, 0x71, 0x16, 0x42]);
    }
}
