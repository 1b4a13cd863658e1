//! Forwards to another address (`direct-tcpip`), so that a host serves as a jump host; and never out of the sandbox.
//!
//! Must not know how a channel was accepted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use crate::channel::{Output, Stream};
use crate::fleet::Fleet;
use crate::spool::Spool;

/// The port that a client names when it knows of no other.
const SSH_PORT: u32 = 22;

/// Where `host:port` is, when a sandbox host may connect there: another host of the sandbox, by name or address, or
/// anything on loopback.
pub(crate) fn resolve(fleet: &Fleet, host: &str, port: u32) -> Option<SocketAddr> {
    if let Some(known) = fleet.host(host) {
        let port = if port == SSH_PORT { known.address.port() } else { u16::try_from(port).ok()? };
        return Some(SocketAddr::new(known.address.ip(), port));
    }
    let address = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        literal => literal.parse().ok()?,
    };
    address.is_loopback().then_some(SocketAddr::new(address, u16::try_from(port).ok()?))
}

/// Joins the channel and `target` until both directions have ended or the channel is closed.
pub(crate) async fn join(input: Arc<Spool>, output: Output, target: TcpStream) {
    let (mut from_target, to_target) = target.into_split();
    let outward = async {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(length @ 1..) = from_target.read(&mut buffer).await {
            output.send(Stream::Stdout, bytes::Bytes::copy_from_slice(&buffer[..length])).await;
        }
        output.send_eof().await;
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(outward, inward(&input, to_target)) } => output.close().await,
        () = output.closed() => {}
    }
}

async fn inward(input: &Spool, mut target: OwnedWriteHalf) {
    while let Ok(Some(data)) = input.pop().await {
        if target.write_all(&data).await.is_err() {
            break;
        }
    }
    let _ = target.shutdown().await;
}
