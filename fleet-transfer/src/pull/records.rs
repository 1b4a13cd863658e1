//! Records that a host's program prints between marks, whatever else is printed around them.
//!
//! A record ends in `//` and a line end, which no path holds. Bytes to bytes: must not know what a record says.

use std::ops::ControlFlow;

/// What ends a record.
const RECORD_END: &[u8] = b"//\n";

/// The longest record: a path as long as systems have them, and some numbers.
const LONGEST_RECORD: usize = 8 << 10;

/// Why the answer of a host's program cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A record has no end.
    #[error("a record of the listing is longer than any path")]
    TooLong,
    /// It is not what was asked for.
    #[error("the listing of the host is damaged")]
    Damaged,
    /// There is more than is taken.
    #[error("the listing has more than {most} names")]
    TooMany {
        /// How many are taken.
        most: usize,
    },
}

/// Takes records out of bytes that come in pieces.
#[derive(Debug)]
pub struct RecordReader {
    start: Vec<u8>,
    end: Vec<u8>,
    buffer: Vec<u8>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    Inside,
    Behind,
}

impl RecordReader {
    /// For records behind any number of `start` and before `end`.
    #[must_use]
    pub fn new(start: Vec<u8>, end: Vec<u8>) -> Self {
        Self { start, end, buffer: Vec::new(), place: Place::Outside }
    }

    /// Whether the end has come.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.place == Place::Behind
    }

    /// Gives each record that is complete with `bytes` to `each`, without its end.
    ///
    /// # Errors
    /// When one is too long, or `each` fails.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        if self.place == Place::Behind {
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[..];
        while self.step(&mut rest, &mut each)?.is_continue() {}
        self.buffer = rest.to_vec();
        Ok(())
    }

    /// Takes a mark or a record from the front of `rest`; breaks when more has to come first.
    fn step(
        &mut self,
        rest: &mut &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), RecordError>,
    ) -> Result<ControlFlow<()>, RecordError> {
        match self.place {
            Place::Behind => {
                *rest = &[];
                return Ok(ControlFlow::Break(()));
            }
            Place::Outside => {
                let Some(at) = rest.iter().position(|&b| b == self.start[0]) else {
                    *rest = &[];
                    return Ok(ControlFlow::Break(()));
                };
                *rest = &rest[at..];
                if let Some(step) = self.mark(rest) {
                    return Ok(step);
                }
                *rest = &rest[1..];
            }
            Place::Inside => {
                if let Some(step) = self.mark(rest) {
                    return Ok(step);
                }
                let end = (2..rest.len().min(LONGEST_RECORD))
                    .find(|&at| rest[at] == b'\n' && rest[at - 2..].starts_with(RECORD_END));
                let Some(end) = end else {
                    if rest.len() >= LONGEST_RECORD {
                        return Err(RecordError::TooLong);
                    }
                    return Ok(ControlFlow::Break(()));
                };
                each(&rest[..end - 2])?;
                *rest = &rest[end + 1..];
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Takes a mark from the front, if there is one or the beginning of one.
    fn mark(&mut self, rest: &mut &[u8]) -> Option<ControlFlow<()>> {
        for (mark, place) in [(&self.start, Place::Inside), (&self.end, Place::Behind)] {
            if let Some(behind) = rest.strip_prefix(&mark[..]) {
                *rest = behind;
                self.place = place;
                return Some(ControlFlow::Continue(()));
            }
            if mark.starts_with(rest) {
                return Some(ControlFlow::Break(()));
            }
        }
        None
    }
}

/// The first word of a record, and what stands behind the blank after it.
pub(super) fn split_word(record: &[u8]) -> Result<(&[u8], &[u8]), RecordError> {
    let blank = record.iter().position(|&b| b == b' ').ok_or(RecordError::Damaged)?;
    Ok((&record[..blank], &record[blank + 1..]))
}

/// A number of the record, in digits; not larger than a length can be.
pub(super) fn decimal(word: &[u8]) -> Result<u64, RecordError> {
    let digits = word.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(word).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.filter(|&number: &u64| number <= i64::MAX as u64).ok_or(RecordError::Damaged)
}

/// A number that may be negative.
pub(super) fn signed(word: &[u8]) -> Result<i64, RecordError> {
    match word.strip_prefix(b"-") {
        Some(digits) => Ok(-decimal(digits)?.cast_signed()),
        None => Ok(decimal(word)?.cast_signed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &[u8] = b"\x1efleet ab list\n";
    const END: &[u8] = b"\x1efleet ab end\n";

    fn read(bytes: &[u8], step: usize) -> Result<(Vec<Vec<u8>>, bool), RecordError> {
        let mut reader = RecordReader::new(START.to_vec(), END.to_vec());
        let mut records = Vec::new();
        for piece in bytes.chunks(step) {
            reader.push(piece, |record| {
                records.push(record.to_vec());
                Ok(())
            })?;
        }
        Ok((records, reader.has_ended()))
    }

    #[test]
    fn records_are_found_among_noise_wherever_the_bytes_are_split() {
        let bytes = [
            b"motd\x1e//\n\x1efleet",
            START,
            b"a//\nline\nend//\n/x ///\n",
            START,
            b"\x1e\xff/\n/\n//\n//\n",
            END,
            b"more//\n",
        ]
        .concat();
        let expected: [&[u8]; 5] = [b"a", b"line\nend", b"/x /", b"\x1e\xff/\n/\n", b""];
        for step in [1, 2, 3, 7, 1000] {
            let (records, ended) = read(&bytes, step).unwrap();
            assert_eq!((records, ended), (expected.map(<[u8]>::to_vec).to_vec(), true), "in steps of {step}");
        }
        let (records, ended) = read(&[START, b"a//\nb//"].concat(), 3).unwrap();
        assert_eq!((records.len(), ended), (1, false));
    }

    #[test]
    fn a_record_without_end_is_not_kept() {
        let long = [START, &vec![b'x'; LONGEST_RECORD + 1]].concat();
        assert_eq!(read(&long, 100), Err(RecordError::TooLong));
    }
}
