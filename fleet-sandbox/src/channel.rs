//! The sending side of a channel: window, end and faults of a command's output.
//!
//! Must not know where the output comes from.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use crate::fault::{Fault, FaultSet};

/// The type of extended data that is standard error (RFC 4254, section 5.2).
const EXTENDED_DATA_STDERR: u32 = 1;
/// A read of a command's output; also the usual largest packet of a client.
const CHUNK_BYTES: usize = 32 << 10;
/// A read when the output ends at a certain byte, so that it is never split into packets again.
const COUNTED_CHUNK_BYTES: usize = 8 << 10;
/// Messages that a session takes from its queue before it writes.
const SESSION_BATCH: usize = 64;
/// Messages that wait for a session.
pub(crate) const SESSION_QUEUE: usize = 10;
pub(crate) const TINY_PACKET_BYTES: u32 = 1 << 10;

/// Where a piece of output belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub(crate) enum Exit {
    Code(u32),
    Signal { name: Sig, is_core_dumped: bool },
}

/// Sends what a command says to its client, never more than the client's window allows.
pub(crate) struct Output {
    channel: ChannelWriteHalf<Msg>,
    session: Handle,
    closed: CancellationToken,
    cut: CancellationToken,
    faults: FaultSet,
    /// Bytes that may still be sent before `StallOutput` or `CloseOutput`.
    left_bytes: AtomicU64,
}

impl Output {
    pub(crate) fn new(
        channel: ChannelWriteHalf<Msg>,
        session: Handle,
        closed: CancellationToken,
        cut: CancellationToken,
        faults: FaultSet,
    ) -> Self {
        let limit = faults.find(|fault| match fault {
            Fault::StallOutput(bytes) | Fault::CloseOutput(bytes) => Some(*bytes),
            _ => None,
        });
        let left_bytes = AtomicU64::new(limit.unwrap_or(u64::MAX));
        Self { channel, session, closed, cut, faults, left_bytes }
    }

    /// Resolves when the client has closed the channel or is gone.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Reads `from` to its end and sends it. With [`Fault::DataAfterExitStatus`] the last piece is not sent but returned.
    pub(crate) async fn copy(&self, mut from: impl AsyncRead + Unpin, stream: Stream) -> Bytes {
        let mut buffer = vec![0; self.chunk_bytes()];
        let mut held = Bytes::new();
        let mut has_failed = false;
        loop {
            match from.read(&mut buffer).await {
                Ok(0) => break,
                Ok(length) => self.say(stream, Bytes::copy_from_slice(&buffer[..length]), &mut held).await,
                // The master side of a pty ends with an error, not with 0. Linux looks for bytes first and then whether the
                // other side is closed: what was written between the two looks is there at the next read.
                Err(_) if !has_failed => has_failed = true,
                Err(_) => break,
            }
        }
        held
    }

    /// Sends a piece of a command's output. With [`Fault::DataAfterExitStatus`] standard output is one piece behind: the
    /// last stays in `held`.
    pub(crate) async fn say(&self, stream: Stream, mut piece: Bytes, held: &mut Bytes) {
        if stream == Stream::Stdout && self.faults.has(Fault::DataAfterExitStatus) {
            std::mem::swap(&mut piece, held);
        }
        if !piece.is_empty() {
            self.send(stream, piece).await;
        }
    }

    /// Sends `data`, and does not return when it cannot: whoever sends is dropped when the channel closes.
    pub(crate) async fn send(&self, stream: Stream, mut data: Bytes) {
        let left = self.left_bytes.load(Ordering::Relaxed);
        let ends_here = data.len() as u64 >= left;
        if ends_here {
            data.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if left != u64::MAX {
            self.left_bytes.fetch_sub(data.len() as u64, Ordering::Relaxed);
        }
        let sent = match stream {
            Stream::Stdout => self.channel.data_bytes(data).await,
            Stream::Stderr => self.channel.extended_data_bytes(EXTENDED_DATA_STDERR, data).await,
        };
        if ends_here && self.faults.find(|fault| matches!(fault, Fault::CloseOutput(_)).then_some(())).is_some() {
            self.flush().await;
            self.cut.cancel();
        }
        if ends_here || sent.is_err() {
            pending::<()>().await;
        }
    }

    /// Returns when all that was sent is written to the socket. The library has nothing to ask for that: its session
    /// takes at most 64 messages from its queue before it writes, so that many that say nothing are sent behind it.
    async fn flush(&self) {
        for _ in 0..2 * SESSION_BATCH + SESSION_QUEUE {
            // Answers no request, since every request is answered at once.
            let _ = self.session.channel_success(self.channel.id()).await;
        }
    }

    /// Says how the command ended, sends what `copy` held, ends the output and closes the channel, as the faults allow.
    pub(crate) async fn finish(&self, exit: Exit, held: Bytes) {
        if !self.faults.has(Fault::NoExitStatus) {
            self.send_exit(exit).await;
        }
        if !held.is_empty() {
            self.send(Stream::Stdout, held).await;
        }
        self.send_eof().await;
        self.close().await;
    }

    /// Ends the output; the channel stays open for input.
    pub(crate) async fn send_eof(&self) {
        if !self.faults.has(Fault::NoEof) {
            let _ = self.channel.eof().await;
        }
    }

    /// Closes the channel, both ways.
    pub(crate) async fn close(&self) {
        if !self.faults.has(Fault::NoClose) {
            let _ = self.channel.close().await;
        }
    }

    async fn send_exit(&self, exit: Exit) {
        match exit {
            Exit::Code(code) => {
                let _ = self.channel.exit_status(code).await;
            }
            Exit::Signal { name, is_core_dumped } => {
                let id = self.channel.id();
                let message = String::new();
                let _ = self.session.exit_signal_request(id, name, is_core_dumped, message, String::new()).await;
            }
        }
    }

    fn chunk_bytes(&self) -> usize {
        if self.faults.has(Fault::TinyWindow) {
            TINY_PACKET_BYTES as usize
        } else if self.left_bytes.load(Ordering::Relaxed) == u64::MAX {
            CHUNK_BYTES
        } else {
            COUNTED_CHUNK_BYTES
        }
    }
}
