//! Bytes in chunks, so that much of them takes little more memory than it has to.
//!
//! One buffer that grows is up to twice as large as what is in it, and there twice while it moves. Must not know whose
//! bytes they are.

use super::held::Buffer;

/// The size of a whole chunk.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// Bytes that grow at their end.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// Each of [`CHUNK_BYTES`].
    whole: Vec<Vec<u8>>,
    /// Shorter, and never larger than that: most outputs are a few lines.
    last: Vec<u8>,
}

/// Counts the memory, not the bytes in it.
impl Buffer for Chunks {
    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (fitting, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.last.len()));
            make_room(&mut self.last, fitting.len());
            self.last.extend_from_slice(fitting);
            if self.last.len() == CHUNK_BYTES {
                self.whole.push(std::mem::take(&mut self.last));
            }
            bytes = rest;
        }
    }

    fn held_bytes(&self) -> usize {
        self.whole.len() * CHUNK_BYTES + self.last.capacity()
    }
}

impl Chunks {
    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.whole.len() * CHUNK_BYTES + self.last.len()
    }

    /// The part with this number, from 0; only the last part may be empty.
    pub(super) fn part(&self, number: usize) -> Option<&[u8]> {
        let last = (number == self.whole.len()).then_some(&self.last);
        self.whole.get(number).or(last).map(Vec::as_slice)
    }

    /// All parts in order, each with its memory.
    pub(super) fn into_parts(self) -> impl Iterator<Item = Vec<u8>> {
        self.whole.into_iter().chain([self.last])
    }
}

/// Doubles the memory where that does not suffice, as `Vec` does, but not beyond a chunk.
fn make_room(chunk: &mut Vec<u8>, bytes: usize) {
    let needed = chunk.len() + bytes;
    if needed > chunk.capacity() {
        let wanted = (2 * chunk.capacity()).clamp(needed, CHUNK_BYTES);
        chunk.reserve_exact(wanted - chunk.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_little_more_than_the_bytes_however_they_come() {
        for size in [1, 1000, 32 << 10, 200_000, 1 << 20] {
            let mut chunks = Chunks::default();
            let piece = vec![b'x'; size];
            while chunks.len() < 4 << 20 {
                chunks.append(&piece);
                let bytes = chunks.len();
                let held: usize = chunks.whole.iter().map(Vec::capacity).sum::<usize>() + chunks.last.capacity();
                assert_eq!(chunks.held_bytes(), held, "pieces of {size}");
                assert!(held <= (2 * bytes).min(bytes + CHUNK_BYTES), "{held} for {bytes} in pieces of {size}");
            }
        }
    }

    #[test]
    fn the_parts_are_the_bytes_in_order() {
        let bytes: Vec<u8> = (0..CHUNK_BYTES * 2 + 9).map(|at| (at % 251) as u8).collect();
        for size in [9, 70_000, CHUNK_BYTES, bytes.len()] {
            let mut chunks = Chunks::default();
            bytes.chunks(size).for_each(|piece| chunks.append(piece));
            let parts: Vec<_> = (0..4).map_while(|number| chunks.part(number)).collect();
            assert_eq!(parts.concat(), bytes, "pieces of {size}");
            assert_eq!(chunks.into_parts().map(|part| part.len()).collect::<Vec<_>>(), [CHUNK_BYTES, CHUNK_BYTES, 9]);
        }
    }
}
