//! The byte stream under an SSH session, made observable and controllable from outside.
//!
//! russh owns the session loop; what it does not offer is done here, below it: cutting the connection at any
//! moment (a time-out in key exchange would otherwise leave task and socket behind for ever), seeing the server's
//! first line (so that waiting for it has a deadline of its own), knowing when a byte last came, and pausing the
//! reading without blocking the session loop. Must not know SSH beyond the identification line.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How the line begins by which the server identifies itself (RFC 4253 section 4.2).
const IDENTIFICATION: &[u8] = b"SSH-";
/// Other lines may come before it; this much is kept of them for the error message.
const PREAMBLE_LIMIT: usize = 512;

/// Any stream that can carry a session: TCP, a channel through a jump host, a `ProxyCommand`.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for T {}

/// The stream handed to russh.
pub(super) struct Wire {
    inner: Box<dyn ByteStream>,
    control: Arc<WireControl>,
}

/// The other end of a [`Wire`]: what we see and steer. Closing is for ever.
#[derive(Debug)]
pub(super) struct WireControl {
    closed: AtomicBool,
    paused: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    opened: Instant,
    last_read_ms: AtomicU64,
    preamble: Mutex<Preamble>,
    identified: Notify,
}

/// What came before the key exchange.
#[derive(Debug)]
struct Preamble {
    /// The first of it.
    bytes: Vec<u8>,
    /// How much of [`IDENTIFICATION`] the current line has begun with; `None` when it is another line.
    matched: Option<usize>,
    identified: bool,
}

impl Default for Preamble {
    fn default() -> Self {
        Self { bytes: Vec::new(), matched: Some(0), identified: false }
    }
}

impl Preamble {
    /// Follows the lines until the identification has come, however they are cut into `bytes`.
    fn scan(&mut self, bytes: &[u8]) {
        let room = PREAMBLE_LIMIT.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        for &byte in bytes {
            let begun = self.matched.and_then(|count| IDENTIFICATION.get(count));
            self.matched = match (self.matched, begun) {
                (Some(_), None) if byte == b'\n' => {
                    self.identified = true;
                    return;
                }
                (Some(count), None) => Some(count),
                (Some(count), Some(&expected)) if byte == expected => Some(count + 1),
                _ if byte == b'\n' => Some(0),
                _ => None,
            };
        }
    }
}

impl Wire {
    /// Wraps `inner`; the second half stays with the caller.
    pub(super) fn new(inner: Box<dyn ByteStream>) -> (Self, Arc<WireControl>) {
        let control = Arc::new(WireControl {
            closed: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            opened: Instant::now(),
            last_read_ms: AtomicU64::new(0),
            preamble: Mutex::default(),
            identified: Notify::new(),
        });
        (Self { inner, control: Arc::clone(&control) }, control)
    }
}

impl WireControl {
    /// Ends the stream: russh's task sees an error at its next read or write and frees everything.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.reader.wake();
        self.writer.wake();
    }

    /// Stops reading from the network until [`Self::resume`].
    pub(super) fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
    }

    /// Reads again.
    pub(super) fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
        self.reader.wake();
    }

    /// How long nothing has come. Zero while reading is paused: silence is then of our own making.
    pub(super) fn silence(&self) -> Duration {
        if self.paused.load(Ordering::SeqCst) {
            self.touch();
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_read_ms.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(last)
    }

    /// Waits for the server's identification line.
    pub(super) async fn identification(&self) {
        loop {
            let identified = self.identified.notified();
            if self.preamble().identified {
                return;
            }
            identified.await;
        }
    }

    /// Whether the server's identification line has come.
    pub(super) fn is_identified(&self) -> bool {
        self.preamble().identified
    }

    /// The first bytes that came instead of an identification line.
    pub(super) fn preamble_bytes(&self) -> Vec<u8> {
        self.preamble().bytes.clone()
    }

    fn preamble(&self) -> std::sync::MutexGuard<'_, Preamble> {
        self.preamble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_read_ms.store(millis, Ordering::Relaxed);
    }

    fn received(&self, bytes: &[u8]) {
        self.touch();
        let mut preamble = self.preamble();
        if preamble.identified {
            return;
        }
        preamble.scan(bytes);
        if preamble.identified {
            preamble.bytes = Vec::new();
            drop(preamble);
            self.identified.notify_waiters();
        }
    }
}

fn closed_error() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed by us")
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.control.reader.register(cx.waker());
        if self.control.closed.load(Ordering::SeqCst) {
            return Poll::Ready(Err(closed_error()));
        }
        if self.control.paused.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.control.received(&buf.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.control.writer.register(cx.waker());
        if self.control.closed.load(Ordering::SeqCst) {
            return Poll::Ready(Err(closed_error()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.control.writer.register(cx.waker());
        if self.control.closed.load(Ordering::SeqCst) {
            return Poll::Ready(Err(closed_error()));
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.control.writer.register(cx.waker());
        if self.control.closed.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(()));
        }
        // russh tells nobody why the session ended when this fails, as it does on a connection that was reset.
        Pin::new(&mut self.inner).poll_shutdown(cx).map(|_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn identification_is_seen_through_a_preamble_split_anywhere() {
        let (mut far, near) = tokio::io::duplex(64);
        let (mut wire, control) = Wire::new(Box::new(near));
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            wire.read_to_end(&mut all).await.map(|_| all)
        });
        for piece in ["Welcome\r\nSS", "H-2.0-x", "\r\nrest"] {
            far.write_all(piece.as_bytes()).await.unwrap();
        }
        control.identification().await;
        drop(far);
        assert_eq!(reading.await.unwrap().unwrap(), b"Welcome\r\nSSH-2.0-x\r\nrest");
    }

    #[tokio::test]
    async fn closing_ends_a_pending_read() {
        let (_far, near) = tokio::io::duplex(64);
        let (mut wire, control) = Wire::new(Box::new(near));
        let reading = tokio::spawn(async move { wire.read_u8().await });
        tokio::task::yield_now().await;
        control.close();
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[test]
    fn only_a_whole_line_that_begins_so_is_the_identification() {
        let long = "x".repeat(2 * PREAMBLE_LIMIT);
        for (text, identified) in [
            ("SSH-2.0-x\r\n", true),
            ("\nSSH-\n", true),
            (&format!("{long}\r\n{long}\nSSH-2.0-x\n"), true),
            ("SS\nSSH-2.0-x\n", true),
            ("SSH-2.0-x", false),
            ("SSSH-2.0-x\n", false),
            ("a SSH-2.0-x\n", false),
            ("SSH\n-2.0\n", false),
            (&long, false),
        ] {
            let (mut whole, mut pieces) = (Preamble::default(), Preamble::default());
            whole.scan(text.as_bytes());
            text.as_bytes().chunks(1).for_each(|byte| pieces.scan(byte));
            assert_eq!((whole.identified, pieces.identified), (identified, identified), "{text:?}");
            assert!(whole.bytes.len() <= PREAMBLE_LIMIT && whole.bytes == pieces.bytes, "{text:?}");
        }
    }

    /// A connection that was reset.
    struct Reset;

    impl AsyncRead for Reset {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }

    impl AsyncWrite for Reset {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
        }
    }

    #[tokio::test]
    async fn shutting_down_never_fails() {
        let (mut wire, _control) = Wire::new(Box::new(Reset));
        wire.shutdown().await.unwrap();
    }

    /// A connection whose good-bye is never taken.
    struct Stuck;

    impl AsyncRead for Stuck {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Stuck {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn closing_ends_a_pending_shutdown() {
        let (mut wire, control) = Wire::new(Box::new(Stuck));
        let ending = tokio::spawn(async move { wire.shutdown().await });
        tokio::task::yield_now().await;
        control.close();
        ending.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn closing_ends_a_pending_write() {
        let (_far, near) = tokio::io::duplex(4);
        let (mut wire, control) = Wire::new(Box::new(near));
        let writing = tokio::spawn(async move { wire.write_all(&[0; 64]).await });
        tokio::task::yield_now().await;
        control.close();
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_paused_wire_reads_nothing_and_resumes() {
        let (mut far, near) = tokio::io::duplex(64);
        let (mut wire, control) = Wire::new(Box::new(near));
        control.pause();
        far.write_all(b"x").await.unwrap();
        let mut byte = [0];
        assert!(futures::poll!(Box::pin(wire.read_exact(&mut byte))).is_pending());
        assert_eq!(control.silence(), Duration::ZERO);
        control.resume();
        wire.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"x");
    }
}
