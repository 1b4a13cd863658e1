//! What is held in memory of each output of each host, and how much that is together.
//!
//! Must not know what is held, nor what for.

use crate::event::{HostIndex, Stream};

/// One output of one host.
pub(super) type StreamKey = (HostIndex, Stream);

/// Bytes that grow at their end.
pub(super) trait Buffer: Default {
    /// Adds to the end.
    fn append(&mut self, bytes: &[u8]);

    /// What counts against a limit.
    fn held_bytes(&self) -> usize;
}

/// Counts the bytes. The memory may be twice that.
impl Buffer for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn held_bytes(&self) -> usize {
        self.len()
    }
}

/// A buffer for each stream.
#[derive(Debug)]
pub(super) struct Held<B> {
    streams: Vec<B>,
    /// The sum over all streams.
    pub(super) total_bytes: usize,
    /// How many bytes were ever copied to here: work that has to be linear in the bytes received.
    #[cfg(test)]
    pub(super) copied_bytes: usize,
    /// How many streams were looked at for the one that holds most.
    #[cfg(test)]
    pub(super) searched_streams: std::cell::Cell<usize>,
}

impl<B: Buffer> Held<B> {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            streams: std::iter::repeat_with(B::default).take(hosts * 2).collect(),
            total_bytes: 0,
            #[cfg(test)]
            copied_bytes: 0,
            #[cfg(test)]
            searched_streams: std::cell::Cell::new(0),
        }
    }

    pub(super) fn get(&self, key: StreamKey) -> &B {
        &self.streams[slot(key)]
    }

    pub(super) fn append(&mut self, key: StreamKey, bytes: &[u8]) {
        #[cfg(test)]
        {
            self.copied_bytes += bytes.len();
        }
        let stream = &mut self.streams[slot(key)];
        let before = stream.held_bytes();
        stream.append(bytes);
        self.total_bytes += stream.held_bytes() - before;
    }

    /// Takes what is held and its memory with it.
    pub(super) fn take(&mut self, key: StreamKey) -> B {
        let taken = std::mem::take(&mut self.streams[slot(key)]);
        self.total_bytes -= taken.held_bytes();
        taken
    }

    /// The stream that holds most. The search looks at every stream, which is paid for by the many bytes it frees: at
    /// least the limit divided by the number of streams.
    pub(super) fn largest(&self) -> StreamKey {
        #[cfg(test)]
        self.searched_streams.set(self.searched_streams.get() + self.streams.len());
        let held = self.streams.iter().map(Buffer::held_bytes).enumerate();
        let largest = held.max_by_key(|(_, bytes)| *bytes).map_or(0, |(slot, _)| slot);
        (largest / 2, if largest % 2 == 0 { Stream::Stdout } else { Stream::Stderr })
    }
}

fn slot((host, stream): StreamKey) -> usize {
    host * 2 + usize::from(stream == Stream::Stderr)
}
