//! Keeps the output of many running hosts: in memory up to a limit, beyond it in one temporary file.
//!
//! One file for all hosts, so that thousands of hosts cost one file descriptor; places in it are used again when a host
//! is done. Must not know what is shown, nor when.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::RenderError;
use super::assemble::{HeldBytes, StreamKey};
use crate::event::{HostIndex, Stream};

/// The size of a place in the file; also what is read back at once.
const PLACE_BYTES: usize = 256 << 10;

/// The output of all running hosts.
pub(super) struct Spill {
    memory: HeldBytes,
    limit_bytes: usize,
    file: Option<File>,
    /// What each stream has in the file, in order.
    written: Vec<[Vec<Written>; 2]>,
    free: Vec<u64>,
    places: u64,
}

/// A used place of the file.
struct Written {
    place: u64,
    bytes: usize,
}

impl Spill {
    /// Keeps at most about `limit_bytes` in memory.
    pub(super) fn new(hosts: usize, limit_bytes: usize) -> Self {
        Self {
            memory: HeldBytes::new(hosts),
            limit_bytes,
            file: None,
            written: (0..hosts).map(|_| [Vec::new(), Vec::new()]).collect(),
            free: Vec::new(),
            places: 0,
        }
    }

    /// Adds to what is kept of a stream.
    pub(super) fn append(&mut self, key: StreamKey, bytes: &[u8]) -> Result<(), RenderError> {
        self.memory.append(key, bytes);
        while self.memory.total_bytes > self.limit_bytes {
            let largest = self.memory.largest();
            self.write_out(largest).map_err(|source| RenderError::Spill { folder: std::env::temp_dir(), source })?;
        }
        Ok(())
    }

    /// Whether anything is kept of a stream.
    pub(super) fn is_empty(&self, key: StreamKey) -> bool {
        self.memory.get(key).is_empty() && self.written_by(key).is_empty()
    }

    /// Hands over what is kept of a stream, in order and in parts of bounded size, and forgets it.
    pub(super) fn take(
        &mut self,
        key: StreamKey,
        show: &mut dyn FnMut(&[u8]) -> Result<(), RenderError>,
    ) -> Result<(), RenderError> {
        let written = std::mem::take(self.written_mut(key));
        let mut part = Vec::new();
        for Written { place, bytes } in written {
            if let Some(file) = &self.file {
                part.resize(bytes, 0);
                file.read_exact_at(&mut part, place * PLACE_BYTES as u64)
                    .map_err(|source| RenderError::Spill { folder: std::env::temp_dir(), source })?;
                show(&part)?;
            }
            self.free.push(place);
        }
        self.memory.take(key).chunks(PLACE_BYTES).try_for_each(show)
    }

    /// How many places the file has: what the disk has to hold at most.
    #[cfg(test)]
    fn places(&self) -> u64 {
        self.places
    }

    fn write_out(&mut self, key: StreamKey) -> io::Result<()> {
        let bytes = self.memory.take(key);
        for part in bytes.chunks(PLACE_BYTES) {
            let place = self.free.pop().unwrap_or_else(|| {
                self.places += 1;
                self.places - 1
            });
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            file.write_all_at(part, place * PLACE_BYTES as u64)?;
            self.written_mut(key).push(Written { place, bytes: part.len() });
        }
        Ok(())
    }

    fn written_by(&self, (host, stream): (HostIndex, Stream)) -> &[Written] {
        &self.written[host][usize::from(stream == Stream::Stderr)]
    }

    fn written_mut(&mut self, (host, stream): (HostIndex, Stream)) -> &mut Vec<Written> {
        &mut self.written[host][usize::from(stream == Stream::Stderr)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(spill: &mut Spill, key: StreamKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut show = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        };
        spill.take(key, &mut show).unwrap();
        bytes
    }

    #[test]
    fn nothing_goes_to_disk_below_the_limit() {
        let mut spill = Spill::new(1, 10);
        spill.append((0, Stream::Stdout), b"0123456789").unwrap();
        assert!(spill.file.is_none());
        spill.append((0, Stream::Stdout), b"x").unwrap();
        assert_eq!((spill.places(), spill.memory.total_bytes), (1, 0));
    }

    #[test]
    fn places_in_the_file_are_used_again() {
        let mut spill = Spill::new(2, 1000);
        let bytes = vec![b'x'; 3 * PLACE_BYTES + 5];
        for round in 0..10 {
            let key = (round % 2, Stream::Stdout);
            spill.append(key, &bytes).unwrap();
            assert_eq!(taken(&mut spill, key), bytes);
            assert!(spill.is_empty(key));
        }
        assert_eq!(spill.places(), 4);
    }

    #[test]
    fn every_byte_is_copied_to_memory_once_and_written_once_however_small_the_limit() {
        for limit_bytes in [0, 100_000, 10 << 20] {
            let mut spill = Spill::new(50, limit_bytes);
            for chunk in 0..1000 {
                spill.append((chunk % 50, Stream::Stdout), &[b'x'; 1000]).unwrap();
            }
            let written =
                |spill: &Spill| spill.written.iter().flatten().flatten().map(|written| written.bytes).sum::<usize>();
            assert_eq!(spill.memory.copied_bytes, 1_000_000, "{limit_bytes}");
            assert_eq!(written(&spill) + spill.memory.total_bytes, 1_000_000, "{limit_bytes}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn every_stream_gets_back_its_own_bytes_in_order(
            writes in proptest::collection::vec((0usize..3, any::<bool>(), 0usize..400_000), 0..12),
            limit in 0usize..600_000,
        ) {
            let mut spill = Spill::new(3, limit);
            let mut expected = vec![Vec::new(); 6];
            for (number, (host, err, len)) in (0u8..).zip(writes) {
                let stream = if err { Stream::Stderr } else { Stream::Stdout };
                let bytes: Vec<u8> = (0..len).map(|at| number ^ (at % 251) as u8).collect();
                spill.append((host, stream), &bytes).unwrap();
                prop_assert!(spill.memory.total_bytes <= limit);
                expected[host * 2 + usize::from(err)].extend_from_slice(&bytes);
            }
            for (slot, expected) in expected.iter().enumerate() {
                let stream = if slot % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
                prop_assert!(&taken(&mut spill, (slot / 2, stream)) == expected, "slot {}", slot);
            }
        }
    }
}
