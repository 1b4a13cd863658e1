//! What goes out: small things put together, large ones shared, in frames once the greeting is over.
//!
//! Must not know what any of it means.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::mux::{LONGEST_DATA, data_head, frames};

/// Data of fewer bytes is copied rather than framed on its own.
const SMALL_BYTES: usize = 4 << 10;

/// Data that is sent when there is this much of it.
const FULL_BYTES: usize = 32 << 10;

/// Bytes on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Data that is in no frame yet.
    small: Vec<u8>,
    /// Frames, or bytes of the greeting.
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
}

impl Outbox {
    /// Appends bytes that are not data: a message that is a frame already, or a part of the greeting.
    pub(super) fn raw(&mut self, bytes: Bytes) {
        self.frame_small();
        self.push(bytes);
    }

    /// Appends data, which is written by `write`.
    pub(super) fn data(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.small);
        if self.small.len() >= FULL_BYTES {
            self.frame_small();
        }
    }

    /// Appends data that may be shared with others.
    pub(super) fn shared(&mut self, bytes: Bytes) {
        if bytes.len() < SMALL_BYTES {
            self.data(|small| small.extend_from_slice(&bytes));
        } else {
            self.frame_small();
            frames(bytes).for_each(|part| self.push(part));
        }
    }

    /// The next bytes to be written to the connection.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            self.frame_small();
        }
        let bytes = self.ready.pop_front()?;
        self.ready_bytes -= bytes.len();
        Some(bytes)
    }

    /// How many bytes wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.ready_bytes + self.small.len()
    }

    fn frame_small(&mut self) {
        let data = std::mem::take(&mut self.small);
        for part in data.chunks(LONGEST_DATA) {
            self.push([&data_head(part.len()), part].concat().into());
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.ready_bytes += bytes.len();
        self.ready.push_back(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_data_is_put_together_and_large_data_is_not_copied() {
        let large = Bytes::from(vec![b'x'; SMALL_BYTES]);
        let mut out = Outbox::default();
        out.raw(Bytes::from_static(b"greeting"));
        out.data(|data| data.push(b'a'));
        out.shared(Bytes::from_static(b"b"));
        out.shared(large.clone());
        out.data(|data| data.push(b'c'));
        out.raw(Bytes::from_static(b"message"));
        out.data(|data| data.push(b'd'));
        let sum = out.waiting_bytes();
        let parts: Vec<Bytes> = std::iter::from_fn(|| out.take()).collect();
        let head = [0, 0x10, 0, 7];
        let expected: [&[u8]; 7] =
            [b"greeting", b"\x02\0\0\x07ab", &head, &large, b"\x01\0\0\x07c", b"message", b"\x01\0\0\x07d"];
        assert_eq!(parts, expected);
        assert_eq!(parts[3].as_ptr(), large.as_ptr());
        assert_eq!((out.waiting_bytes(), sum), (0, parts.concat().len() - 4));
    }
}
