//! One client's connection: the faults before SSH begins, then the SSH session.
//!
//! Must not know what happens inside the session.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::server::{Config, run_stream};
use russh::{Limits, MethodKind, MethodSet, Preferred, SshId, cipher};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::channel::{SESSION_QUEUE, TINY_PACKET_BYTES};
use crate::fault::{Fault, FaultSet};
use crate::fleet::Fleet;
use crate::handler::Connection;
use crate::host::Host;
use crate::stream::{ClientStream, delayed};

const IDENTIFICATION: &str = "SSH-2.0-fleet_sandbox";
/// What a web server says to an SSH client.
const GARBAGE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>\x00\xff\xfe</html>\r\n";
const TINY_WINDOW_BYTES: u32 = 4 << 10;
/// As in OpenSSH.
const REKEY_INTERVAL: Duration = Duration::from_secs(3600);

/// Serves `socket` until its client or the fleet ends it.
pub(crate) async fn serve(host: Arc<Host>, fleet: Arc<Fleet>, socket: TcpStream, client: SocketAddr) {
    let faults = host.faults();
    let dropped = faults.find(|fault| match fault {
        Fault::DropPreauth(connections) => Some(*connections),
        _ => None,
    });
    if dropped.is_some_and(|most| host.dropped_connections.fetch_add(1, Ordering::Relaxed) < most) {
        return;
    }
    let _ = socket.set_nodelay(true);
    let cut = fleet.stop.child_token();
    let latency = faults.find(|fault| match fault {
        Fault::Latency(delay) => Some(*delay),
        _ => None,
    });
    host.counters.open_connections.add(1);
    let serving = async {
        match latency {
            Some(delay) => {
                let line = delayed(socket, delay, cut.clone());
                serve_stream(&host, &fleet, &faults, client, &cut, line).await;
            }
            None => serve_stream(&host, &fleet, &faults, client, &cut, socket).await,
        }
    };
    serving.await;
    host.counters.open_connections.subtract(1);
    cut.cancel();
}

async fn serve_stream<S>(
    host: &Arc<Host>,
    fleet: &Arc<Fleet>,
    faults: &FaultSet,
    client: SocketAddr,
    cut: &CancellationToken,
    stream: S,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = ClientStream::new(stream, host.clone(), cut.clone());
    let begun = cut.run_until_cancelled(misbehave_before_ssh(&mut stream, faults)).await;
    if begun.flatten().is_none() {
        return;
    }
    let (handle_sender, handle) = oneshot::channel();
    let connection = Connection::new(host.clone(), fleet.clone(), faults.clone(), client, cut.clone(), handle);
    match run_stream(Arc::new(config(host, fleet, faults)), stream, connection).await {
        Ok(session) => {
            let _ = handle_sender.send(session.handle());
            if let Err(error) = session.await {
                tracing::debug!(host = host.name, %error, "the session ended");
            }
        }
        Err(error) => tracing::debug!(host = host.name, %error, "no session"),
    }
}

/// `None`: the connection is over.
async fn misbehave_before_ssh<S>(stream: &mut ClientStream<S>, faults: &FaultSet) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let identification = format!("{IDENTIFICATION}\r\n");
    if let Some(delay) = faults.find(|fault| match fault {
        Fault::SlowBanner(delay) => Some(*delay),
        _ => None,
    }) {
        sleep(delay).await;
    }
    let (said, stays) = if faults.has(Fault::Silent) {
        (&b""[..], true)
    } else if faults.has(Fault::GarbageBanner) {
        (GARBAGE, false)
    } else if faults.has(Fault::CloseAfterBanner) {
        (identification.as_bytes(), false)
    } else if faults.has(Fault::HangKex) {
        (identification.as_bytes(), true)
    } else {
        return Some(());
    };
    let _ = stream.write_all(said).await;
    let _ = stream.flush().await;
    if !stays {
        let _ = stream.shutdown().await;
    }
    // Also after a shutdown: closing with unread input would reset the connection, and lose what was said.
    let mut ignored = [0; 1024];
    while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
    None
}

fn config(host: &Host, fleet: &Fleet, faults: &FaultSet) -> Config {
    let key = if faults.has(Fault::WrongHostKey) { &fleet.wrong_host_key } else { &host.key };
    let mut config = Config {
        server_id: SshId::Standard(Cow::Borrowed(IDENTIFICATION)),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        keys: vec![key.clone()],
        auth_rejection_time: Duration::ZERO,
        inactivity_timeout: None,
        event_buffer_size: SESSION_QUEUE,
        preferred: Preferred { cipher: CIPHERS.into(), ..Preferred::default() },
        ..Config::default()
    };
    if faults.has(Fault::TinyWindow) {
        config.window_size = TINY_WINDOW_BYTES;
        config.maximum_packet_size = TINY_PACKET_BYTES;
    }
    if let Some(bytes) = faults.find(|fault| match fault {
        Fault::Rekey(bytes) => usize::try_from(*bytes).ok(),
        _ => None,
    }) {
        let most = Limits::default().rekey_write_limit;
        config.limits = Limits::new(bytes.min(most), bytes.min(most), REKEY_INTERVAL);
    }
    config
}

/// All that OpenSSH prefers and the library knows.
const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
];
