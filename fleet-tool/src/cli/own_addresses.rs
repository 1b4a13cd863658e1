//! The addresses of this machine, by which it is known among the hosts that providers tell of.
//!
//! Must not know who told of a host.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use fleet_core::provider::protocol::Record;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};

/// The addresses of this machine, but for loopback ones, which are everybody's.
pub(super) struct OwnAddresses {
    /// Of IPv4, which are written in one way only, as texts: so thousands of addresses need not be read to be compared.
    v4: Vec<String>,
    v6: Vec<Ipv6Addr>,
}

impl OwnAddresses {
    /// Those of the network interfaces.
    pub(super) fn of_interfaces() -> Self {
        let address = |interface: InterfaceAddress| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        };
        let addresses = getifaddrs().into_iter().flatten().filter_map(address);
        Self::of(addresses.filter(|address| !address.is_loopback()))
    }

    /// The same host, known to be this machine where it has an address of it.
    pub(super) fn mark(&self, record: Arc<Record>) -> Arc<Record> {
        let addresses = [&record.addresses.private, &record.addresses.public, &record.addresses.ipv6];
        let is_own = |text: &Arc<str>| self.contains(text);
        match record.is_self || !addresses.into_iter().flatten().any(is_own) {
            true => record,
            false => Arc::new(Record { is_self: true, ..Record::clone(&record) }),
        }
    }

    fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut own = Self { v4: Vec::new(), v6: Vec::new() };
        for address in addresses {
            match address {
                IpAddr::V4(address) => own.v4.push(address.to_string()),
                IpAddr::V6(address) => own.v6.push(address),
            }
        }
        own
    }

    fn contains(&self, text: &str) -> bool {
        match text.contains(':') {
            true => text.parse().is_ok_and(|address| self.v6.contains(&address)),
            false => self.v4.iter().any(|address| address == text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_an_address_of_this_machine_is_this_machine() {
        let own = OwnAddresses::of(["10.0.0.1", "2001:db8::1"].map(|text| text.parse().unwrap()));
        for (addresses, is_self) in [
            (r#"{"private":"10.0.0.1"}"#, true),
            (r#"{"private":"10.0.0.2","ipv6":"2001:db8::1"}"#, true),
            (r#"{"ipv6":"2001:DB8:0::1"}"#, true),
            (r#"{"private":"10.0.0.2","public_dns":"a.example.com"}"#, false),
            ("{}", false),
        ] {
            let record: Record = serde_json::from_str(&format!(r#"{{"id":"i-1","addresses":{addresses}}}"#)).unwrap();
            assert_eq!(own.mark(Arc::new(record)).is_self, is_self, "{addresses}");
        }
        assert!(!OwnAddresses::of_interfaces().contains("127.0.0.1"));
        assert!(!OwnAddresses::of_interfaces().contains("::1"));
    }
}
