//! The maps of sparse files: where in the file the bytes belong that the archive has of it.
//!
//! Two forms: that of GNU tar's own format, in its headers, and that of pax format 1.0, in front of the content (its manual,
//! "Storing Sparse Files"). Must not know the rest of the archive.

use super::BLOCK_LEN;
use super::pax::decimal;
use super::read::{ArchiveError, number};

/// More parts than this no file is taken to have: the map is kept in memory.
const MOST_SEGMENTS: usize = 1 << 20;

/// Parts in the header itself, and in each block behind it; the bytes of each.
const IN_HEADER: usize = 4;
const IN_BLOCK: usize = 21;
const PART_LEN: usize = 24;

/// A part of a file that is not a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) at: u64,
    pub(super) len: u64,
}

/// The parts of a file, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Map(Vec<Segment>);

/// Whether another block of the map follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    Follows,
    None,
}

impl Map {
    /// The map of a file without holes.
    pub(super) fn dense(len: u64) -> Self {
        Self(vec![Segment { at: 0, len }])
    }

    pub(super) fn get(&self, index: usize) -> Option<Segment> {
        self.0.get(index).copied()
    }

    /// Bytes that the archive has of the file.
    pub(super) fn stored(&self) -> u64 {
        self.0.iter().map(|segment| segment.len).sum()
    }

    /// Adds a part, which lies behind the others and in a file of `len` bytes.
    fn push(&mut self, at: u64, len: u64, file_len: u64) -> Result<(), ArchiveError> {
        let begin = self.0.last().map_or(0, |last| last.at + last.len);
        let end = at.checked_add(len).ok_or(ArchiveError::Sparse)?;
        if at < begin || end > file_len || self.0.len() == MOST_SEGMENTS {
            return Err(ArchiveError::Sparse);
        }
        if len > 0 {
            self.0.push(Segment { at, len });
        }
        Ok(())
    }

    /// Reads the parts in a header of GNU tar's type `S`, whose file has `len` bytes.
    pub(super) fn of_header(block: &[u8; BLOCK_LEN], len: u64) -> Result<(Self, More), ArchiveError> {
        let mut map = Self::default();
        map.read_parts(&block[386..386 + IN_HEADER * PART_LEN], len)?;
        Ok((map, more(block[482])))
    }

    /// Reads the parts in a block behind such a header.
    pub(super) fn read_block(&mut self, block: &[u8; BLOCK_LEN], len: u64) -> Result<More, ArchiveError> {
        self.read_parts(&block[..IN_BLOCK * PART_LEN], len)?;
        Ok(more(block[IN_BLOCK * PART_LEN]))
    }

    fn read_parts(&mut self, parts: &[u8], file_len: u64) -> Result<(), ArchiveError> {
        for part in parts.chunks_exact(PART_LEN) {
            // The first that is empty ends them.
            if part[0] == 0 {
                break;
            }
            self.push(number(&part[..12])?, number(&part[12..])?, file_len)?;
        }
        Ok(())
    }
}

fn more(flag: u8) -> More {
    if flag == 0 || flag == b'0' { More::None } else { More::Follows }
}

/// Reads a map of pax format 1.0: lines with the count of parts, then offset and length of each, padded to a block.
#[derive(Debug)]
pub(super) struct MapReader {
    map: Map,
    file_len: u64,
    /// Bytes of a number that are there.
    digits: Vec<u8>,
    /// Numbers that are still to come; `None` before their count is known.
    missing: Option<u64>,
    /// An offset whose length is still to come.
    at: Option<u64>,
    blocks: u64,
}

impl MapReader {
    pub(super) fn new(file_len: u64) -> Self {
        Self { map: Map::default(), file_len, digits: Vec::new(), missing: None, at: None, blocks: 0 }
    }

    /// Takes the next block; gives the map, and the bytes that it took, when that was the last.
    pub(super) fn read_block(&mut self, block: &[u8; BLOCK_LEN]) -> Result<Option<(Map, u64)>, ArchiveError> {
        self.blocks += 1;
        for &byte in block {
            if self.missing == Some(0) {
                break;
            }
            if byte != b'\n' {
                if self.digits.len() > 19 {
                    return Err(ArchiveError::Sparse);
                }
                self.digits.push(byte);
                continue;
            }
            let read = decimal(&std::mem::take(&mut self.digits)).map_err(|_| ArchiveError::Sparse)?;
            self.take(read)?;
        }
        if self.missing != Some(0) {
            return Ok(None);
        }
        Ok(Some((std::mem::take(&mut self.map), self.blocks * BLOCK_LEN as u64)))
    }

    fn take(&mut self, number: u64) -> Result<(), ArchiveError> {
        match (self.missing, self.at.take()) {
            (None, _) => self.missing = Some(number.checked_mul(2).ok_or(ArchiveError::Sparse)?),
            (Some(missing), None) => {
                self.at = Some(number);
                self.missing = Some(missing - 1);
            }
            (Some(missing), Some(at)) => {
                self.map.push(at, number, self.file_len)?;
                self.missing = Some(missing - 1);
            }
        }
        Ok(())
    }
}
