//! A channel as a byte stream that never holds up its session.
//!
//! An undrained channel stops the whole session loop of russh, and a writer that waits for window never learns that its
//! channel is closed. So each stream has a pump that always empties its channel: who floods us, or is read slowly, stops
//! no other. Must not know what goes through it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use russh::client::Msg;
use russh::{Channel, ChannelMsg};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};

/// What may come beyond what was read. The window of a session behind a jump host is far smaller, and so is every
/// message to an agent: more is an attack.
const QUEUE_LIMIT: usize = 32 << 20;

/// A channel as a byte stream.
pub(super) struct DrainedStream {
    incoming: mpsc::UnboundedReceiver<Bytes>,
    queued: Arc<AtomicUsize>,
    current: Bytes,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    /// `None` once the channel is closed.
    open: Option<oneshot::Receiver<()>>,
}

impl DrainedStream {
    /// Starts the pump that empties `channel`.
    pub(super) fn new(channel: Channel<Msg>) -> Self {
        let (mut reader, writer) = channel.split();
        let (sender, incoming) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&queued);
        let (closed_sender, open) = oneshot::channel();
        let outgoing = Box::pin(writer.make_writer());
        tokio::spawn(async move {
            while let Some(message) = tokio::select! {
                message = reader.wait() => message,
                () = sender.closed() => None,
            } {
                match message {
                    ChannelMsg::Data { data } => {
                        let waiting = counted.fetch_add(data.len(), Ordering::Relaxed) + data.len();
                        if waiting > QUEUE_LIMIT || sender.send(data).is_err() {
                            break;
                        }
                    }
                    ChannelMsg::Eof | ChannelMsg::Close => break,
                    _ => {}
                }
            }
            let _ = closed_sender.send(());
            let _ = writer.close().await;
        });
        Self { incoming, queued, current: Bytes::new(), writer: outgoing, open: Some(open) }
    }

    /// A writer that waits for window never learns that its channel is closed; so that is asked first.
    fn check_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(open) = &mut self.open
            && Pin::new(open).poll(cx).is_pending()
        {
            return Ok(());
        }
        self.open = None;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for DrainedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.current.is_empty() {
            match ready!(self.incoming.poll_recv(cx)) {
                Some(bytes) => self.current = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.current.len().min(buf.remaining());
        buf.put_slice(&self.current[..count]);
        self.current.advance(count);
        self.queued.fetch_sub(count, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for DrainedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
        self.writer.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_open(cx)?;
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.check_open(cx) {
            Ok(()) => self.writer.as_mut().poll_shutdown(cx),
            Err(_) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use fleet_sandbox::Sandbox;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;
    use crate::config::{ConfigSource, ConfigSources, LocalContext, SshConfig};
    use crate::{ConnectObserver, ConnectSettings, Connector, NoPrompt, Session, StageTimeout};
    use fleet_core::endpoint::Endpoints;
    use fleet_core::host::Host;

    /// More than a channel's window and the sockets' buffers, and less than [`QUEUE_LIMIT`].
    const FLOOD_BYTES: usize = 20 << 20;
    const DEADLINE: Duration = Duration::from_secs(60);

    struct Nobody;

    impl ConnectObserver for Nobody {
        async fn stage(&self, _: fleet_core::outcome::Stage) {}
        async fn note(&self, _: String) {}
    }

    pub(crate) async fn session(sandbox: &Sandbox) -> Session {
        let sources = ConfigSources { options: Vec::new(), file: ConfigSource::Path(sandbox.ssh_config_path()) };
        let settings = ConnectSettings {
            endpoints: Endpoints::default(),
            default_user: None,
            config: SshConfig::load(&sources, LocalContext::current().unwrap()).unwrap(),
            stage_timeout: StageTimeout::Chosen(Some(DEADLINE)),
            user: None,
            identities: None,
            host_key: None,
            password: None,
        };
        Connector::new(settings, Arc::new(NoPrompt)).connect(&Host::new("jump").unwrap(), &Nobody).await.unwrap()
    }

    /// A stream through `session` to a server that sends `bytes` and tells when they are sent.
    async fn stream(session: &Session, bytes: Vec<u8>) -> (DrainedStream, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sending = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(&bytes).await.unwrap();
            socket.shutdown().await.unwrap();
            // Closing with unread input would reset the connection.
            let _ = socket.read(&mut [0]).await;
        });
        (DrainedStream::new(session.direct_tcpip("127.0.0.1", port).await.unwrap()), sending)
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_stops_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::builder(folder.path()).host("jump", "jump").start().await.unwrap();
        let session = session(&sandbox).await;
        let (mut flooded, _flooding) = stream(&session, vec![7; FLOOD_BYTES]).await;
        let queued = Arc::clone(&flooded.queued);
        let all_queued = async {
            while queued.load(Ordering::Relaxed) < FLOOD_BYTES {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, all_queued).await.expect("the flood is taken in");
        let (mut other, _sending) = stream(&session, b"fine".to_vec()).await;
        let mut said = String::new();
        timeout(DEADLINE, other.read_to_string(&mut said)).await.expect("the other is heard").unwrap();
        assert_eq!(said, "fine");
        let mut flood = Vec::new();
        timeout(DEADLINE, flooded.read_to_end(&mut flood)).await.expect("the flood ends").unwrap();
        assert!(flood == vec![7; FLOOD_BYTES], "{} bytes", flood.len());
    }
}
