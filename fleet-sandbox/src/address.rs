//! Where hosts listen: on Linux each on its own 127.x.y.z and all on one port, elsewhere all on 127.0.0.1 and each on its
//! own port. Never anywhere but on loopback.
//!
//! Must not know who listens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use rand::RngExt as _;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How often other addresses are tried when some are taken.
const ATTEMPTS: usize = 32;
/// Hosts in one 127.x.y network: no address ends in 0 or 255.
const HOSTS_PER_NETWORK: usize = 254;
const NETWORKS: usize = 256;
/// The second octets used: 127.0 and its neighbours are left to others.
const SECOND_OCTETS: std::ops::RangeInclusive<u8> = 64..=254;

/// Listens for `hosts` hosts.
///
/// # Errors
/// When there are more hosts than addresses or open files, or the addresses of all attempts are taken.
pub(crate) fn listen_all(hosts: usize) -> io::Result<Vec<TcpListener>> {
    if !cfg!(target_os = "linux") {
        return (0..hosts).map(|_| listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).collect();
    }
    let networks = hosts.div_ceil(HOSTS_PER_NETWORK);
    if networks > NETWORKS {
        let most = HOSTS_PER_NETWORK * NETWORKS;
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a sandbox has at most {most} hosts")));
    }
    let mut last_error = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let mut random = rand::rng();
        let second = random.random_range(SECOND_OCTETS);
        let first_network = random.random_range(0..=NETWORKS - networks);
        match listen_from(second, first_network, hosts) {
            Ok(listeners) => return Ok(listeners),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last_error = error,
            Err(error) => return Err(error),
        }
    }
    Err(last_error)
}

/// Listens on `address`.
///
/// # Errors
/// When it is taken, or not on loopback.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{address} is not a loopback address")));
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts no more connections from now on. Closing alone would not do: a process that is just being started holds a copy
/// of every descriptor until it becomes its program.
pub(crate) fn stop_listening(listener: TcpListener) {
    // Where a listener cannot be shut down, closing it is all there is.
    let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
}

/// The first host chooses the port.
fn listen_from(second: u8, first_network: usize, hosts: usize) -> io::Result<Vec<TcpListener>> {
    let mut port = 0;
    let mut listeners = Vec::with_capacity(hosts);
    for index in 0..hosts {
        let listener = listen(SocketAddr::from((address(second, first_network, index), port)))?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(listeners)
}

fn address(second: u8, first_network: usize, index: usize) -> Ipv4Addr {
    let octet = |number: usize| u8::try_from(number).expect("listen_all keeps networks and hosts below 256");
    Ipv4Addr::new(127, second, octet(first_network + index / HOSTS_PER_NETWORK), octet(index % HOSTS_PER_NETWORK + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_distinct_and_never_end_in_0_or_255() {
        let all: std::collections::BTreeSet<_> = (0..600).map(|index| address(70, 3, index)).collect();
        assert_eq!(all.len(), 600);
        assert!(all.iter().all(|address| (1..=254).contains(&address.octets()[3])));
        assert_eq!(address(70, 3, 254), Ipv4Addr::new(127, 70, 4, 1));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_copy_of_the_descriptor_keeps_nobody_listening() {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let (address, _copy) = (listener.local_addr().unwrap(), rustix::io::dup(&listener).unwrap());
        stop_listening(listener);
        let error = tokio::net::TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(listen(address).is_ok());
    }

    #[tokio::test]
    async fn only_loopback_is_listened_on() {
        for address in ["0.0.0.0:0", "192.0.2.1:0"] {
            let error = listen(address.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{address}");
        }
    }
}
