//! One input, read once, for any number of hosts that take it at their own pace.
//!
//! What was read stays in an unlinked temporary file until the run ends: hosts whose turn comes late start at the
//! first byte, a slow one holds nobody up, and memory stays small. Nothing is given back before the end: as long as one
//! host waits for its turn or connects, every byte is still wanted, and disk space that could be freed after that is not
//! worth its bookkeeping. Must not know hosts or SSH.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tokio::sync::watch;

/// Bytes per read, from the input and by each host.
const CHUNK_BYTES: usize = 128 * 1024;

/// How far the input has been read.
#[derive(Clone, Debug, Default)]
struct Progress {
    bytes: u64,
    ended: bool,
    failure: Option<String>,
}

/// An input that is being read.
#[derive(Clone, Debug)]
pub struct Broadcast {
    file: Arc<File>,
    progress: watch::Receiver<Progress>,
}

/// One host's place in the input.
#[derive(Debug)]
pub struct BroadcastReader {
    file: Arc<File>,
    progress: watch::Receiver<Progress>,
    offset: u64,
}

impl Broadcast {
    /// Starts reading `input` on a thread of its own.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn start(input: impl Read + Send + 'static) -> io::Result<Self> {
        let file = Arc::new(tempfile::tempfile()?);
        let (sender, progress) = watch::channel(Progress::default());
        let writing = Arc::clone(&file);
        thread::spawn(move || {
            let failure = copy(input, &writing, &sender).err().map(|error| error.to_string());
            sender.send_modify(|progress| {
                progress.ended = true;
                progress.failure = failure;
            });
        });
        Ok(Self { file, progress })
    }

    /// A reader at the first byte.
    #[must_use]
    pub fn reader(&self) -> BroadcastReader {
        BroadcastReader { file: Arc::clone(&self.file), progress: self.progress.clone(), offset: 0 }
    }
}

impl BroadcastReader {
    /// The next bytes; `None` at the end of the input.
    ///
    /// # Errors
    /// When the input could not be read to its end, or the temporary file cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let available = loop {
            let Progress { bytes, ended, failure } = self.progress.borrow_and_update().clone();
            if bytes > self.offset {
                break bytes - self.offset;
            }
            if let Some(failure) = failure {
                return Err(io::Error::other(failure));
            }
            if ended || self.progress.changed().await.is_err() {
                return Ok(None);
            }
        };
        let count = usize::try_from(available).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut chunk = vec![0; count];
        self.file.read_exact_at(&mut chunk, self.offset)?;
        self.offset += count as u64;
        Ok(Some(chunk.into()))
    }
}

fn copy(mut input: impl Read, file: &File, progress: &watch::Sender<Progress>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    loop {
        let count = match input.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        file.write_all_at(&chunk[..count], offset)?;
        offset += count as u64;
        progress.send_modify(|progress| progress.bytes = offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(mut reader: BroadcastReader) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        bytes
    }

    #[tokio::test]
    async fn every_reader_gets_every_byte_also_one_that_comes_late() {
        let input: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let broadcast = Broadcast::start(io::Cursor::new(input.clone())).unwrap();
        let early = tokio::spawn(all(broadcast.reader()));
        assert_eq!(early.await.unwrap(), input);
        assert_eq!(all(broadcast.reader()).await, input);
    }

    #[tokio::test]
    async fn an_input_that_fails_is_no_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("cable cut"))
            }
        }
        let broadcast = Broadcast::start(io::Cursor::new(b"half").chain(Broken)).unwrap();
        let mut reader = broadcast.reader();
        assert_eq!(reader.next().await.unwrap().unwrap(), "half");
        assert_eq!(reader.next().await.unwrap_err().to_string(), "cable cut");
    }
}
