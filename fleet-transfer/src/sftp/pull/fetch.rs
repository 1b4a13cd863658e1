//! The contents of files, read with many questions on their way, and given out in order.
//!
//! Must not know what becomes of them.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::super::answer::Refusal;
use super::super::client::{Client, MAX_ASKED, SftpError};
use super::super::files::Handle;
use super::super::packet::Opening;

/// How many pieces are looked through at once for the start of the last lines.
const AHEAD: usize = 8;

/// A file that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is on the host.
    pub path: Vec<u8>,
    /// From where it is read: what is before has come already.
    pub offset: u64,
    /// Its length as it was listed: no more is read.
    pub len: u64,
}

/// How the reading of a file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileEnd {
    /// All of it came.
    Whole,
    /// All of it came, and by now the file is longer.
    Grown {
        /// Its length by now.
        len: u64,
    },
    /// It has become shorter: not all came.
    Shrunk,
    /// The server refuses it, from the start or in the middle.
    Refused(Refusal),
}

/// Takes files one after the other, each as `begin`, any number of `data`, `end`. What it is slow to take is not asked for.
pub trait PullSink: Send {
    /// Why it takes no more, of any file.
    type Error: Send;

    /// A file begins at its offset.
    fn begin(&mut self, file: &Wanted) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The next bytes of it.
    fn data(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// It has ended; no more of it comes.
    fn end(&mut self, file: &Wanted, end: FileEnd) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why not all files were tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError<E> {
    /// The connection is gone, or makes no sense.
    #[error(transparent)]
    Server(SftpError),
    /// The sink takes no more.
    #[error("{0}")]
    Sink(E),
}

/// A file of which the beginning was asked for ahead of its turn.
enum Begun {
    /// It is so short that this is all.
    Short(Bytes, FileEnd),
    Long(Handle),
    Refused(Refusal),
}

/// Reads `wanted` in order. A file that the server refuses is told to the sink, and the others are read.
///
/// # Errors
/// When the connection is gone, or the sink takes no more.
pub async fn fetch<S: PullSink>(
    client: &Client,
    wanted: impl IntoIterator<Item = Wanted, IntoIter: Send> + Send,
    sink: &mut S,
) -> Result<(), FetchError<S::Error>> {
    let begun = wanted.into_iter().map(|file| async {
        let begun = begin(client, &file).await;
        (file, begun)
    });
    let mut begun = stream::iter(begun).buffered(MAX_ASKED);
    while let Some((file, begun)) = begun.next().await {
        let begun = begun.map_err(FetchError::Server)?;
        sink.begin(&file).await.map_err(FetchError::Sink)?;
        let end = match begun {
            Begun::Short(bytes, end) => {
                if !bytes.is_empty() {
                    sink.data(bytes).await.map_err(FetchError::Sink)?;
                }
                end
            }
            Begun::Long(handle) => read_long(client, &file, handle, sink).await?,
            Begun::Refused(refusal) => FileEnd::Refused(refusal),
        };
        sink.end(&file, end).await.map_err(FetchError::Sink)?;
    }
    Ok(())
}

async fn begin(client: &Client, file: &Wanted) -> Result<Begun, SftpError> {
    let handle = match client.open(&file.path, Opening::Read).await {
        Ok(handle) => handle,
        Err(SftpError::Refused(refusal)) => return Ok(Begun::Refused(refusal)),
        Err(error) => return Err(error),
    };
    let left = file.len.saturating_sub(file.offset);
    let Some(len) = u32::try_from(left).ok().filter(|len| *len <= client.piece_len()) else {
        return Ok(Begun::Long(handle));
    };
    let (bytes, end) = match read_piece(client, &handle, file.offset, len).await {
        Ok(bytes) => {
            let is_whole = bytes.len() as u64 == left;
            let end = if is_whole { grown(client, &handle, file).await? } else { FileEnd::Shrunk };
            (bytes, end)
        }
        Err(SftpError::Refused(refusal)) => (Bytes::new(), FileEnd::Refused(refusal)),
        Err(error) => return Err(error),
    };
    close(client, handle).await?;
    Ok(Begun::Short(bytes, end))
}

async fn read_long<S: PullSink>(
    client: &Client,
    file: &Wanted,
    handle: Handle,
    sink: &mut S,
) -> Result<FileEnd, FetchError<S::Error>> {
    let step = client.piece_len();
    let offsets = (0..).map(|number| file.offset + number * u64::from(step)).take_while(|offset| *offset < file.len);
    let handle_of = &handle;
    let reads = offsets.map(|offset| async move {
        let len = u32::try_from(file.len - offset).map_or(step, |left| left.min(step));
        let read = read_piece(client, handle_of, offset, len).await;
        (len, read)
    });
    let mut reads = stream::iter(reads).buffered(MAX_ASKED);
    let mut end = None;
    while let Some((len, read)) = reads.next().await {
        match read {
            Ok(bytes) => {
                if u32::try_from(bytes.len()).is_ok_and(|came| came < len) {
                    end = Some(FileEnd::Shrunk);
                }
                if !bytes.is_empty() {
                    sink.data(bytes).await.map_err(FetchError::Sink)?;
                }
            }
            Err(SftpError::Refused(refusal)) => end = Some(FileEnd::Refused(refusal)),
            Err(error) => return Err(FetchError::Server(error)),
        }
        if end.is_some() {
            break;
        }
    }
    drop(reads);
    let end = match end {
        Some(end) => end,
        None => grown(client, &handle, file).await.map_err(FetchError::Server)?,
    };
    close(client, handle).await.map_err(FetchError::Server)?;
    Ok(end)
}

/// `len` bytes from `offset` on, or fewer at the end of the file: a server may give less than is there.
async fn read_piece(client: &Client, handle: &Handle, offset: u64, len: u32) -> Result<Bytes, SftpError> {
    let Some(first) = (match len {
        0 => None,
        len => client.read(handle, offset, len).await?,
    }) else {
        return Ok(Bytes::new());
    };
    let wanted = usize::try_from(len).unwrap_or(usize::MAX);
    if first.len() == wanted {
        return Ok(first);
    }
    let mut piece = BytesMut::from(first);
    while piece.len() < wanted {
        let left = u32::try_from(wanted - piece.len()).unwrap_or(len);
        match client.read(handle, offset + piece.len() as u64, left).await? {
            Some(more) => piece.extend_from_slice(&more),
            None => break,
        }
    }
    Ok(piece.freeze())
}

/// The end of a file of which all was read.
async fn grown(client: &Client, handle: &Handle, file: &Wanted) -> Result<FileEnd, SftpError> {
    match client.fstat(handle).await {
        Ok(known) => Ok(match known.len {
            Some(len) if len > file.len => FileEnd::Grown { len },
            Some(len) if len < file.len => FileEnd::Shrunk,
            _ => FileEnd::Whole,
        }),
        Err(SftpError::Refused(_)) => Ok(FileEnd::Whole),
        Err(error) => Err(error),
    }
}

/// What was read is not worth less when it cannot be closed.
async fn close(client: &Client, handle: Handle) -> Result<(), SftpError> {
    match client.close(handle).await {
        Err(SftpError::Refused(_)) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Where the last `lines` lines of a file of `len` bytes begin: what follows the last line end is a line too.
///
/// # Errors
/// When the server refuses, or the connection is gone.
pub async fn tail_offset(client: &Client, path: &[u8], len: u64, lines: u64) -> Result<u64, SftpError> {
    let handle = client.open(path, Opening::Read).await?;
    let mut tail = Tail { missing: lines, start: len };
    let step = u64::from(client.piece_len());
    let mut end = len;
    while end > 0 && tail.missing > 0 {
        // Some pieces at once, as each question takes its time.
        let starts = (1..=AHEAD as u64).map(|number| end.saturating_sub(number * step));
        let mut pieces: Vec<(u64, u32)> = Vec::new();
        for start in starts {
            let until = pieces.last().map_or(end, |(later, _)| *later);
            pieces.push((start, u32::try_from(until - start).unwrap_or(u32::MAX)));
        }
        pieces.retain(|(_, len)| *len > 0);
        let handle = &handle;
        let reads = pieces.clone().into_iter().map(|(start, len)| read_piece(client, handle, start, len));
        let read: Vec<Bytes> = stream::iter(reads).buffered(AHEAD).try_collect().await?;
        for ((start, _), bytes) in pieces.iter().zip(read) {
            tail.take(*start, &bytes, len);
        }
        end = pieces.last().map_or(0, |(start, _)| *start);
    }
    close(client, handle).await?;
    Ok(if tail.missing > 0 { 0 } else { tail.start })
}

/// Looks for the start of the last lines from the end on.
struct Tail {
    missing: u64,
    start: u64,
}

impl Tail {
    /// Takes the bytes at `offset` of a file of `len` bytes; what is behind them was taken before.
    fn take(&mut self, offset: u64, bytes: &[u8], len: u64) {
        for (at, byte) in bytes.iter().enumerate().rev() {
            let next = offset + at as u64 + 1;
            // The line end of the last line begins none.
            if self.missing > 0 && *byte == b'\n' && next < len {
                self.missing -= 1;
                self.start = next;
            }
        }
    }
}
