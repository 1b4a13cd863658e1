//! A line to a host that can be frozen or cut, as networks do. The sandbox itself always answers or closes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Open,
    Frozen,
    Cut,
}

/// Carries connections to one address, until dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    line: watch::Sender<Line>,
    sent_by_client_bytes: Arc<AtomicU64>,
}

impl Relay {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = watch::Sender::new(Line::Open);
        let sent_by_client_bytes = Arc::new(AtomicU64::new(0));
        let (state, count) = (line.subscribe(), Arc::clone(&sent_by_client_bytes));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (client_read, client_write) = client.into_split();
                let (host_read, host_write) = TcpStream::connect(target).await.unwrap().into_split();
                tokio::spawn(carry(client_read, host_write, state.clone(), Arc::clone(&count)));
                tokio::spawn(carry(host_read, client_write, state.clone(), Arc::default()));
            }
        });
        Self { address, line, sent_by_client_bytes }
    }

    /// The options that lead a connection through here instead of to the host itself.
    pub(crate) fn options(&self) -> [String; 2] {
        [format!("HostName={}", self.address.ip()), format!("Port={}", self.address.port())]
    }

    /// No byte comes through any more, and nobody is told.
    pub(crate) fn freeze(&self) {
        self.line.send_replace(Line::Frozen);
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    /// Carries what comes from now on.
    pub(crate) fn mend(&self) {
        self.line.send_replace(Line::Open);
    }

    /// What clients have sent so far.
    pub(crate) fn sent_by_client_bytes(&self) -> u64 {
        self.sent_by_client_bytes.load(Ordering::SeqCst)
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    count: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 32 << 10];
    loop {
        let flows = line.wait_for(|line| *line != Line::Frozen).await.is_ok_and(|line| *line == Line::Open);
        if !flows {
            return;
        }
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(length @ 1..) => {
                    count.fetch_add(length as u64, Ordering::SeqCst);
                    if to.write_all(&buffer[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            changed = line.changed() => if changed.is_err() {
                return;
            }
        }
    }
}
