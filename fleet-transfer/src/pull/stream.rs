//! What a host sends behind a mark, decompressed, and not more of it than can be right.
//!
//! Bytes to bytes: must not know what they are.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use super::records::RecordError;
use crate::archive::ArchiveError;

/// Compressed bytes that are decompressed at once: a thousandfold of them is kept in memory.
const STEP_BYTES: usize = 1 << 10;

/// Why what a host sends is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The listing.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// A file that was not asked for, or another time.
    #[error("the host sent {path}, which was not asked for")]
    Unasked {
        /// Its name.
        path: String,
    },
    /// More bytes.
    #[error("the host sent more than it had listed")]
    TooMuch,
    /// It cannot be decompressed.
    #[error("what the host sent cannot be decompressed")]
    Compression,
    /// It has ended too early.
    #[error("not all arrived: the host's program ended too early")]
    Cut,
}

/// How contents come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// As they are.
    #[default]
    Plain,
    /// Through gzip.
    Gzip,
}

/// Finds the mark, and decompresses what comes behind it.
#[derive(Debug)]
pub struct Incoming {
    mark: Vec<u8>,
    /// What may be the beginning of the mark.
    before: Vec<u8>,
    found: bool,
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    left: u64,
}

impl Incoming {
    /// For at most `most` bytes, decompressed, behind `mark`.
    #[must_use]
    pub fn new(mark: Vec<u8>, coding: Coding, most: u64) -> Self {
        let decoder = (coding == Coding::Gzip).then(|| MultiGzDecoder::new(Vec::new()));
        Self { mark, before: Vec::new(), found: false, decoder, left: most }
    }

    /// Gives what is behind the mark to `each`.
    ///
    /// # Errors
    /// When it is too much, cannot be decompressed, or `each` fails.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), PullError>,
    ) -> Result<(), PullError> {
        if self.found {
            return self.decode(bytes, &mut each);
        }
        self.before.extend_from_slice(bytes);
        let before = std::mem::take(&mut self.before);
        match before.windows(self.mark.len()).position(|window| window == self.mark) {
            Some(at) => {
                self.found = true;
                self.decode(&before[at + self.mark.len()..], &mut each)
            }
            None => {
                self.before = before[before.len().saturating_sub(self.mark.len())..].to_vec();
                Ok(())
            }
        }
    }

    /// Gives the rest to `each`: nothing more comes.
    ///
    /// # Errors
    /// When the end is missing.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), PullError>) -> Result<(), PullError> {
        if !self.found {
            return Err(PullError::Cut);
        }
        if let Some(mut decoder) = self.decoder.take() {
            decoder.try_finish().map_err(|_| PullError::Cut)?;
            let rest = std::mem::take(decoder.get_mut());
            self.pass(&rest, &mut each)?;
        }
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8]) -> Result<(), PullError>) -> Result<(), PullError> {
        let Some(mut decoder) = self.decoder.take() else { return self.pass(bytes, each) };
        for step in bytes.chunks(STEP_BYTES) {
            decoder.write_all(step).map_err(|_| PullError::Compression)?;
            let decoded = std::mem::take(decoder.get_mut());
            self.pass(&decoded, each)?;
        }
        self.decoder = Some(decoder);
        Ok(())
    }

    fn pass(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8]) -> Result<(), PullError>) -> Result<(), PullError> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(PullError::TooMuch)?;
        each(bytes)
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(sent: &[u8], coding: Coding, most: u64, step: usize) -> Result<Vec<u8>, PullError> {
        let (mut incoming, mut all) = (Incoming::new(b"\x1emark\n".to_vec(), coding, most), Vec::new());
        let mut take = |bytes: &[u8]| {
            all.extend_from_slice(bytes);
            Ok(())
        };
        for piece in sent.chunks(step) {
            incoming.push(piece, &mut take)?;
        }
        incoming.finish(&mut take)?;
        Ok(all)
    }

    #[test]
    fn what_is_behind_the_mark_is_given_on() {
        let plain = b"motd \x1emar \x1emark\nbytes \x1emark\n".to_vec();
        let packed = [b"motd\x1emark\n", &gzip(b"bytes ")[..], &gzip(b"\x1emark\n")].concat();
        for step in [1, 5, 1000] {
            assert_eq!(read(&plain, Coding::Plain, 100, step).unwrap(), b"bytes \x1emark\n");
            assert_eq!(read(&packed, Coding::Gzip, 100, step).unwrap(), b"bytes \x1emark\n");
        }
        assert_eq!(read(b"no mark", Coding::Plain, 100, 3), Err(PullError::Cut));
        assert_eq!(read(&packed[..packed.len() - 4], Coding::Gzip, 100, 3), Err(PullError::Cut));
        assert_eq!(read(&plain, Coding::Gzip, 100, 3), Err(PullError::Compression));
    }

    #[test]
    fn no_more_is_given_on_than_can_be_right() {
        let bomb = [b"\x1emark\n", &gzip(&vec![0; 50 << 20])[..]].concat();
        let mut largest = 0;
        for (most, expected) in [(10 << 20, Err(PullError::TooMuch)), (50 << 20, Ok(()))] {
            let mut incoming = Incoming::new(b"\x1emark\n".to_vec(), Coding::Gzip, most);
            let pushed = incoming.push(&bomb, |bytes| {
                largest = largest.max(bytes.len());
                Ok(())
            });
            assert_eq!(pushed, expected);
        }
        assert!(largest < 4 << 20, "{largest} bytes at once");
        assert_eq!(read(b"\x1emark\n12345", Coding::Plain, 4, 2), Err(PullError::TooMuch));
    }
}
