//! Hosts as lines of hosts(5): an IP address and a name.
//!
//! Pure. Must not know where the lines go, nor ask anybody for an address.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use fleet_core::select::SelectedHost;

use super::listing::Listing;

/// A line for each host that has both.
pub(super) fn write(hosts: &[SelectedHost]) -> Listing {
    let mut text = String::new();
    let (mut names, mut repeated) = (HashSet::new(), Vec::new());
    let (mut without_address, mut without_name) = (Vec::new(), Vec::new());
    for selected in hosts {
        let (name, address) = (selected.host.name(), selected.address());
        let list = if !is_host_name(name) {
            &mut without_name
        } else if !is_address(address) {
            &mut without_address
        } else if !names.insert(name) {
            &mut repeated
        } else {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{address}\t{name}");
            continue;
        };
        list.push(&selected.host);
    }
    let mut listing = Listing::from(text.into_bytes());
    listing.remark("left out, as no IP address of theirs is known", &without_address);
    listing.remark("left out, as their names are no host names", &without_name);
    listing.remark("left out, as a host before it has the same name", &repeated);
    listing
}

/// With the zone of a link-local one, as `getaddrinfo` takes it.
fn is_address(text: &str) -> bool {
    match text.split_once('%') {
        Some((address, zone)) => address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty(),
        None => text.parse::<IpAddr>().is_ok(),
    }
}

fn is_host_name(name: &str) -> bool {
    !is_address(name) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::super::listing::testing::{cloud, host};
    use super::*;

    #[test]
    fn lines_have_an_address_and_a_name_and_what_has_not_both_is_named() {
        let hosts = [
            cloud("web-1", "i-1", "10.0.0.1", &[]),
            cloud("web-6", "i-6", "2001:db8::6", &[]),
            cloud("link", "i-7", "fe80::1%eth0", &[]),
            cloud("named", "i-2", "named.example.com", &[]),
            host("web1"),
            host("10.0.0.9"),
            cloud("gr\u{fc}n", "i-3", "10.0.0.3", &[]),
            cloud("web-1", "i-4", "10.0.0.4", &[]),
        ];
        let listing = write(&hosts);
        let text = "10.0.0.1\tweb-1\n2001:db8::6\tweb-6\nfe80::1%eth0\tlink\n";
        assert_eq!(String::from_utf8(listing.text).unwrap(), text);
        assert_eq!(
            listing.remarks,
            [
                "left out, as no IP address of theirs is known: named,web1",
                "left out, as their names are no host names: 10.0.0.9,gr\u{fc}n",
                "left out, as a host before it has the same name: web-1",
            ]
        );
    }
}
