//! Keeps the output of many running hosts: in memory up to a limit, beyond it in one temporary file.
//!
//! One file for all hosts, so that thousands of hosts cost one file descriptor; places in it are used again when a host
//! is done. Must not know what is shown, nor when.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;

use super::RenderError;
use super::chunks::{CHUNK_BYTES, Chunks};
use super::held::{Held, StreamKey};
use crate::event::{HostIndex, Stream};

/// The size of a place in the file, for one chunk; also what is read back at once.
const PLACE_BYTES: usize = CHUNK_BYTES;

/// The output of all running hosts.
pub(super) struct Spill {
    memory: Held<Chunks>,
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
    /// Takes at most `limit_bytes` of memory.
    pub(super) fn new(hosts: usize, limit_bytes: usize) -> Self {
        Self {
            memory: Held::new(hosts),
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
            self.write_out(largest).map_err(failed)?;
        }
        Ok(())
    }

    /// How many bytes are kept of a stream.
    pub(super) fn bytes(&self, key: StreamKey) -> u64 {
        let written = self.written_by(key).iter().map(|written| written.bytes);
        (written.sum::<usize>() + self.memory.get(key).len()) as u64
    }

    /// Reads what is kept of a stream, from its start and in parts of bounded size.
    pub(super) fn reader(&self, key: StreamKey) -> SpillReader<'_> {
        SpillReader {
            file: self.file.as_ref(),
            written: self.written_by(key).iter(),
            part: Vec::new(),
            taken: 0,
            memory: self.memory.get(key),
            number: 0,
            memory_part: &[],
        }
    }

    /// Forgets what is kept of a stream.
    pub(super) fn discard(&mut self, key: StreamKey) {
        let written = std::mem::take(self.written_mut(key));
        self.free.extend(written.iter().map(|written| written.place));
        drop(self.memory.take(key));
    }

    /// How many places the file has: what the disk has to hold at most.
    #[cfg(test)]
    fn places(&self) -> u64 {
        self.places
    }

    fn write_out(&mut self, key: StreamKey) -> io::Result<()> {
        for part in self.memory.take(key).into_parts().filter(|part| !part.is_empty()) {
            let place = self.free.pop().unwrap_or_else(|| {
                self.places += 1;
                self.places - 1
            });
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            file.write_all_at(&part, place * PLACE_BYTES as u64)?;
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

/// The temporary file cannot be written or read.
pub(super) fn failed(source: io::Error) -> RenderError {
    RenderError::Spill { folder: std::env::temp_dir(), source }
}

/// What is kept of one stream: first what is in the file, then what is in memory.
pub(super) struct SpillReader<'a> {
    file: Option<&'a File>,
    written: std::slice::Iter<'a, Written>,
    /// What was read from the file last.
    part: Vec<u8>,
    /// How much of `part` was consumed.
    taken: usize,
    memory: &'a Chunks,
    /// The part of `memory` that is next.
    number: usize,
    /// What is left of the one before it.
    memory_part: &'a [u8],
}

impl BufRead for SpillReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.part.len()
            && let (Some(file), Some(written)) = (self.file, self.written.next())
        {
            self.part.resize(written.bytes, 0);
            self.taken = 0;
            file.read_exact_at(&mut self.part, written.place * PLACE_BYTES as u64)?;
        }
        if self.taken < self.part.len() {
            return Ok(&self.part[self.taken..]);
        }
        if self.memory_part.is_empty()
            && let Some(part) = self.memory.part(self.number)
        {
            self.memory_part = part;
            self.number += 1;
        }
        Ok(self.memory_part)
    }

    fn consume(&mut self, bytes: usize) {
        if self.taken < self.part.len() {
            self.taken += bytes;
        } else {
            self.memory_part = &self.memory_part[bytes..];
        }
    }
}

impl Read for SpillReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(spill: &mut Spill, key: StreamKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        spill.reader(key).read_to_end(&mut bytes).unwrap();
        assert_eq!(spill.bytes(key), bytes.len() as u64);
        spill.discard(key);
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
            assert_eq!(spill.bytes(key), 0);
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
            let kept: u64 = (0..50).map(|host| spill.bytes((host, Stream::Stdout))).sum();
            assert_eq!((spill.memory.copied_bytes, kept), (1_000_000, 1_000_000), "{limit_bytes}");
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
