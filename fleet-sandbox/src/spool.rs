//! What a client sent on a channel and its reader has not taken yet. Never blocks the writer, and holds little memory:
//! the excess waits in a file without a name.
//!
//! The server library grants the client new window as soon as data arrives, and runs all channels of a connection in
//! one loop: a queue that blocked would freeze the connection, and one in memory would grow with the client's input.
//!
//! Must not know what the bytes are.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes kept in memory before the file is used.
const MEMORY_BYTES: usize = 4 << 20;
/// How much is taken from the file at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// A queue of bytes with one writer and one reader.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    memory: VecDeque<Bytes>,
    memory_bytes: usize,
    overflow: Option<Overflow>,
    is_closed: bool,
}

/// Bytes later than all in memory, in a file: those from `start` to `end` are not read yet.
#[derive(Debug)]
struct Overflow {
    file: File,
    start: u64,
    end: u64,
}

impl Spool {
    /// Appends `data`.
    ///
    /// # Errors
    /// When the overflow file cannot be written.
    pub(crate) fn push(&self, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if state.is_closed || data.is_empty() {
            return Ok(());
        }
        if state.overflow.is_none() && state.memory_bytes + data.len() <= MEMORY_BYTES {
            state.memory.push_back(Bytes::copy_from_slice(data));
            state.memory_bytes += data.len();
        } else {
            let overflow = match &mut state.overflow {
                Some(overflow) => overflow,
                empty => empty.insert(Overflow { file: tempfile::tempfile()?, start: 0, end: 0 }),
            };
            overflow.file.write_all_at(data, overflow.end)?;
            overflow.end += data.len() as u64;
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// No more will come.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// The next bytes, or `None` after the last.
    ///
    /// # Errors
    /// When the overflow file cannot be read.
    pub(crate) async fn pop(&self) -> io::Result<Option<Bytes>> {
        loop {
            let changed = self.changed.notified();
            if let Some(answer) = self.try_pop()? {
                return Ok(answer);
            }
            changed.await;
        }
    }

    /// `None`: nothing yet. `Some(None)`: nothing ever.
    fn try_pop(&self) -> io::Result<Option<Option<Bytes>>> {
        let mut state = self.lock();
        if let Some(data) = state.memory.pop_front() {
            state.memory_bytes -= data.len();
            return Ok(Some(Some(data)));
        }
        if let Some(overflow) = &mut state.overflow {
            let data = overflow.read()?;
            if overflow.start == overflow.end {
                state.overflow = None;
            }
            return Ok(Some(Some(data)));
        }
        Ok(state.is_closed.then_some(None))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Overflow {
    fn read(&mut self) -> io::Result<Bytes> {
        let left = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        let mut buffer = vec![0; left.min(CHUNK_BYTES)];
        self.file.read_exact_at(&mut buffer, self.start)?;
        self.start += buffer.len() as u64;
        Ok(buffer.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn drain(spool: &Spool) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(data) = spool.pop().await.unwrap() {
            all.extend_from_slice(&data);
        }
        all
    }

    #[tokio::test]
    async fn bytes_come_out_in_order_also_through_the_file() {
        let spool = Spool::default();
        let input: Vec<u8> = (0..3 * MEMORY_BYTES).map(|i| (i / 1000) as u8).collect();
        for chunk in input.chunks(30_001) {
            spool.push(chunk).unwrap();
        }
        assert!(spool.lock().memory_bytes <= MEMORY_BYTES);
        assert!(spool.lock().overflow.is_some());
        spool.close();
        assert!(drain(&spool).await == input);
    }

    #[tokio::test]
    async fn memory_is_used_again_when_the_file_is_drained() {
        let spool = Spool::default();
        spool.push(&vec![1; MEMORY_BYTES]).unwrap();
        spool.push(&[2]).unwrap();
        assert_eq!(spool.pop().await.unwrap().unwrap().len(), MEMORY_BYTES);
        assert_eq!(spool.pop().await.unwrap().unwrap(), [2][..]);
        assert!(spool.lock().overflow.is_none());
        spool.push(&[3]).unwrap();
        assert_eq!(spool.lock().memory_bytes, 1);
    }

    #[tokio::test]
    async fn a_reader_waits_for_the_writer_and_ends_with_it() {
        let spool = std::sync::Arc::new(Spool::default());
        let reader = tokio::spawn({
            let spool = spool.clone();
            async move { drain(&spool).await }
        });
        spool.push(b"late").unwrap();
        tokio::task::yield_now().await;
        spool.close();
        spool.push(b"too late").unwrap();
        assert_eq!(reader.await.unwrap(), b"late");
    }
}
