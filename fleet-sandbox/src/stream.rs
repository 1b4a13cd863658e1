//! The socket as the SSH server sees it: counted, cut off at will, and slow when its host is far away.
//!
//! Must not know SSH.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::host::Host;

/// How much a slow connection may hold under way in each direction.
const UNDER_WAY_BYTES: usize = 1 << 20;
const CHUNKS_UNDER_WAY: usize = 256;

/// A client's connection. Reads and writes fail once it is cut.
pub(crate) struct ClientStream<S> {
    inner: S,
    host: Arc<Host>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> ClientStream<S> {
    pub(crate) fn new(inner: S, host: Arc<Host>, cut: CancellationToken) -> Self {
        Self { inner, host, cut: Box::pin(cut.cancelled_owned()) }
    }

    fn check_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_cut(cx)?;
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.host.counters.received_bytes.add((buf.filled().len() - before) as u64);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.check_cut(cx)?;
        let polled = Pin::new(&mut self.inner).poll_write(cx, data);
        if let Poll::Ready(Ok(written)) = polled {
            self.host.counters.sent_bytes.add(written as u64);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The far end of a line on which every byte takes `delay`, in each direction, until `cut`. The delay costs no bandwidth.
pub(crate) fn delayed(socket: TcpStream, delay: Duration, cut: CancellationToken) -> DuplexStream {
    let (near, far) = tokio::io::duplex(UNDER_WAY_BYTES);
    let (socket_read, socket_write) = socket.into_split();
    let (near_read, near_write) = tokio::io::split(near);
    tokio::spawn(cut.clone().run_until_cancelled_owned(carry(socket_read, near_write, delay)));
    tokio::spawn(cut.run_until_cancelled_owned(carry(near_read, socket_write, delay)));
    far
}

async fn carry<R, W>(mut from: R, mut to: W, delay: Duration)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (sender, mut receiver) = mpsc::channel::<(Instant, Bytes)>(CHUNKS_UNDER_WAY);
    let reading = async move {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let chunk = Bytes::copy_from_slice(&buffer[..length]);
            if sender.send((Instant::now() + delay, chunk)).await.is_err() {
                break;
            }
        }
    };
    let writing = async move {
        while let Some((due, chunk)) = receiver.recv().await {
            sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}
