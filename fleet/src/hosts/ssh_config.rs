//! Hosts as blocks of ssh_config(5), which ssh(1) and all that calls it read.
//!
//! Pure. Must not know where the file goes.

use std::collections::HashSet;

use fleet_core::select::SelectedHost;

use super::listing::{Listing, is_plain_user};

/// A block for each host. Two hosts cannot have one name here: ssh takes the first value that it finds.
pub(super) fn write(hosts: &[SelectedHost]) -> Listing {
    let mut text = String::new();
    let (mut names, mut repeated, mut odd_users) = (HashSet::new(), Vec::new(), Vec::new());
    for selected in hosts {
        if !names.insert(selected.host.name()) {
            repeated.push(&selected.host);
            continue;
        }
        let mut line = |key: &str, value: &str| text += &format!("{key} {value}\n");
        line("Host", selected.host.name());
        // ssh replaces %h and its like in this value only.
        line("    HostName", &selected.address().replace('%', "%%"));
        if let Some(port) = selected.port() {
            line("    Port", &port.to_string());
        }
        match selected.user() {
            Some(user) if is_plain_user(user) => line("    User", user),
            Some(_) => odd_users.push(&selected.host),
            None => {}
        }
        if let Some(alias) = selected.endpoint.as_ref().and_then(|endpoint| endpoint.host_key_alias.as_deref()) {
            line("    HostKeyAlias", alias);
        }
    }
    let mut listing = Listing::from(text.into_bytes());
    listing.remark("left out, as a host before it has the same name", &repeated);
    listing.remark("without their users, who cannot be written in ssh_config", &odd_users);
    listing
}

#[cfg(test)]
mod tests {
    use super::super::listing::testing::{cloud, host};
    use super::*;

    fn shown(hosts: &[SelectedHost]) -> String {
        String::from_utf8(write(hosts).text).unwrap()
    }

    #[test]
    fn a_block_says_what_is_known_of_a_host() {
        let blocks = "Host web1\n    HostName web1\nHost db\n    HostName db\n    Port 2222\n    User me\n\
                      Host web-1\n    HostName 10.0.0.1\n    User ubuntu\n    HostKeyAlias i-1\n\
                      Host fe80::1%eth0\n    HostName fe80::1%%eth0\n";
        let hosts = [host("web1"), host("me@db:2222"), cloud("web-1", "i-1", "10.0.0.1", &[]), host("fe80::1%eth0")];
        assert_eq!(shown(&hosts), blocks);
    }

    #[test]
    fn what_cannot_be_written_is_left_out_and_named() {
        let mut odd = cloud("odd", "i-2", "10.0.0.2", &[]);
        odd.endpoint.as_mut().unwrap().user = Some("a\nHost *\n  ProxyCommand evil".into());
        let listing = write(&[host("web1:1"), host("web1:2"), odd]);
        assert_eq!(
            String::from_utf8(listing.text).unwrap(),
            "Host web1\n    HostName web1\n    Port 1\nHost odd\n    HostName 10.0.0.2\n    HostKeyAlias i-2\n"
        );
        assert_eq!(
            listing.remarks,
            [
                "left out, as a host before it has the same name: web1:2",
                "without their users, who cannot be written in ssh_config: odd",
            ]
        );
    }
}
