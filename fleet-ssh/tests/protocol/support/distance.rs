//! A line to a far host, on which nothing arrives before everybody waits: so that what is sent in answer to one message
//! travels together, and what both sides send meanwhile crosses. It counts how often the client has sent something.
//!
//! For a runtime with one thread: while that is busy with client and host, it cannot take them for waiting.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;

/// Turns of all other tasks without a byte from any, after which all of them wait.
const QUIET_TURNS: u32 = 1000;
/// And at least so long, for what is done on other threads and in the kernel.
const QUIET_TIME: Duration = Duration::from_millis(20);

/// Carries connections to one address.
#[derive(Debug)]
pub(crate) struct Distance {
    address: SocketAddr,
    flights: Arc<AtomicUsize>,
}

impl Distance {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let flights = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&flights);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, Arc::clone(&counted)));
            }
        });
        Self { address, flights }
    }

    /// The options that lead a connection through here instead of to the host itself.
    pub(crate) fn options(&self) -> [String; 2] {
        [format!("HostName={}", self.address.ip()), format!("Port={}", self.address.port())]
    }

    /// How often the client has sent something and then waited.
    pub(crate) fn flights(&self) -> usize {
        self.flights.load(Ordering::SeqCst)
    }
}

/// The host hears of the connection when the client's first bytes arrive: the end of TCP's handshake travels with them.
async fn carry(mut client: TcpStream, target: SocketAddr, flights: Arc<AtomicUsize>) {
    let Some([mut from_client]) = sent_until_all_wait([&client]).await else { return };
    let mut from_host = Vec::new();
    let mut host = TcpStream::connect(target).await.unwrap();
    loop {
        flights.fetch_add(usize::from(!from_client.is_empty()), Ordering::SeqCst);
        if host.write_all(&from_client).await.is_err() || client.write_all(&from_host).await.is_err() {
            return;
        }
        tokio::select! {
            _ = client.readable() => {}
            _ = host.readable() => {}
        }
        let Some(sent) = sent_until_all_wait([&client, &host]).await else { return };
        [from_client, from_host] = sent;
    }
}

/// What each side sends until neither does anything any more; `None` at the end of one.
async fn sent_until_all_wait<const SIDES: usize>(sides: [&TcpStream; SIDES]) -> Option<[Vec<u8>; SIDES]> {
    let mut sent = [const { Vec::new() }; SIDES];
    let (mut quiet_turns, mut quiet_since) = (0, Instant::now());
    while quiet_turns < QUIET_TURNS || quiet_since.elapsed() < QUIET_TIME {
        quiet_turns += 1;
        for (side, sent) in sides.into_iter().zip(&mut sent) {
            match side.try_read_buf(sent) {
                Ok(0) => return None,
                Ok(_) => (quiet_turns, quiet_since) = (0, Instant::now()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        yield_now().await;
    }
    Some(sent)
}
