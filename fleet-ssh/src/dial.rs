//! Opening a TCP connection: names, addresses, attempts.
//!
//! Must not know SSH.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::net::{TcpSocket, TcpStream};

use super::config::AddressFamily;
use super::error;
use super::pacing::Try;
use fleet_core::descriptors::is_out_of_descriptors;
use fleet_core::outcome::{FailureClass, HostError, Stage};

/// How long one address may stay silent before the next is tried beside it (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How long to wait for others to free a file descriptor.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(100);

/// The addresses of `name`, in the order the system prefers, alternating families.
pub(super) async fn resolve(
    name: &str,
    port: u16,
    family: AddressFamily,
    paced: &Try,
) -> Result<Vec<SocketAddr>, HostError> {
    let found: Vec<SocketAddr> = match name.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let looked_up = with_descriptors(paced, || tokio::net::lookup_host((name, port))).await;
            looked_up.map_err(|error| resolve_error(&error))?.collect()
        }
    };
    let wanted: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| match family {
            AddressFamily::Any => true,
            AddressFamily::Inet => address.is_ipv4(),
            AddressFamily::Inet6 => address.is_ipv6(),
        })
        .collect();
    if wanted.is_empty() {
        return Err(HostError::new(Stage::Resolve, FailureClass::Resolve, "no address of the wanted AddressFamily"));
    }
    Ok(alternate(wanted))
}

/// getaddrinfo(3) says in words what it found; std passes them on behind a fixed prefix.
fn resolve_error(error: &io::Error) -> HostError {
    let text = error.to_string();
    let reason = text.rsplit("lookup address information: ").next().unwrap_or(&text);
    HostError::new(Stage::Resolve, FailureClass::Resolve, reason.to_lowercase())
}

/// First an address of the preferred family, then one of the other, and so on (RFC 8305 section 4).
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == six_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    loop {
        let (one, other) = (first.next(), second.next());
        if one.is_none() && other.is_none() {
            return mixed;
        }
        mixed.extend(one.into_iter().chain(other));
    }
}

/// Connects to the first address that answers, starting a further attempt beside those that hang. From the address
/// `bind` only those of its family can be reached.
pub(super) async fn tcp(addresses: &[SocketAddr], bind: Option<IpAddr>, paced: &Try) -> Result<TcpStream, HostError> {
    let within_reach = |address: &&SocketAddr| bind.is_none_or(|ip| ip.is_ipv4() == address.is_ipv4());
    let addresses: Vec<SocketAddr> = addresses.iter().filter(within_reach).copied().collect();
    if addresses.is_empty() {
        let message = "no address of the host is of the family of BindAddress";
        return Err(HostError::new(Stage::Connect, FailureClass::Local, message));
    }
    let mut rest = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    attempts.extend(rest.next().map(|address| connect_one(address, bind, paced)));
    let error = loop {
        let next = async {
            match rest.len() {
                0 => std::future::pending().await,
                _ => tokio::time::sleep(ATTEMPT_DELAY).await,
            }
        };
        tokio::select! {
            Some(result) = attempts.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    attempts.extend(rest.next().map(|address| connect_one(address, bind, paced)));
                    if attempts.is_empty() {
                        break error;
                    }
                }
            },
            () = next => attempts.extend(rest.next().map(|address| connect_one(address, bind, paced))),
        }
    };
    Err(error::from_connect(&error))
}

async fn connect_one(address: SocketAddr, bind: Option<IpAddr>, paced: &Try) -> io::Result<TcpStream> {
    let socket = with_descriptors(paced, async || start(address, bind)).await?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// `attempt` until it is not for want of file descriptors that it fails: the shortage is ours, and passes as other
/// hosts finish.
pub(super) async fn with_descriptors<T, F: Future<Output = io::Result<T>>>(
    paced: &Try,
    mut attempt: impl FnMut() -> F,
) -> io::Result<T> {
    loop {
        match attempt().await {
            Err(error) if is_out_of_descriptors(&error) => {
                paced.lacks_descriptors();
                tokio::time::sleep(DESCRIPTOR_WAIT).await;
            }
            result => return result,
        }
    }
}

fn start(address: SocketAddr, bind: Option<IpAddr>) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(ip) = bind {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_alternate_from_the_preferred_one() {
        let mixed = alternate(["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1", "2.2.2.2:1"].map(address).into());
        assert_eq!(mixed, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"].map(address));
    }

    #[tokio::test]
    async fn a_refusing_address_gives_way_to_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let refusing = SocketAddr::new("127.77.0.1".parse().unwrap(), port);
        let stream = tcp(&[refusing, listener.local_addr().unwrap()], None, &Try::default()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
        assert_eq!(
            tcp(&[refusing], None, &Try::default()).await.unwrap_err().to_string(),
            "connect: connection refused"
        );
    }

    #[tokio::test]
    async fn an_address_of_another_family_than_the_bind_address_is_not_tried() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let four = listener.local_addr().unwrap();
        let six = SocketAddr::new("::1".parse().unwrap(), four.port());
        let from = |text: &str| Some(text.parse().unwrap());
        let stream = tcp(&[six, four], from("127.0.0.9"), &Try::default()).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), address("127.0.0.9:1").ip());
        for (to, bind) in [(four, "::1"), (six, "127.0.0.1")] {
            let error = tcp(&[to], from(bind), &Try::default()).await.unwrap_err();
            assert_eq!(error.to_string(), "connect: no address of the host is of the family of BindAddress");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shortage_of_file_descriptors_is_waited_out() {
        let paced = Try::default();
        let shortage = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
        let mut answers = shortage.into_iter().map(|errno| Err(errno.into())).chain([Ok("started")]);
        let attempt = || std::future::ready(answers.next().unwrap());
        assert_eq!(with_descriptors(&paced, attempt).await.unwrap(), "started");
        assert!(paced.take_shortage());
        let denied =
            with_descriptors(&paced, || std::future::ready(io::Result::<()>::Err(rustix::io::Errno::ACCESS.into())));
        assert_eq!(denied.await.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(!paced.take_shortage());
    }
}
