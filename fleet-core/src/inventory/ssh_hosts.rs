//! The hosts that the OpenSSH configuration names.
//!
//! Must not know how that is read: the names are given.

use super::{NamedHost, Rank, SSH_SOURCE, Source};
use crate::host::Host;

impl Source {
    /// The source of the hosts that `Host` lines name, each with its place. What is no host name is left out: such a line
    /// applies to nobody.
    #[must_use]
    pub fn of_ssh(names: impl IntoIterator<Item = (String, String)>) -> Self {
        let named =
            |(name, origin): (String, String)| Some(NamedHost { host: Host::new(&name).ok()?, endpoint: None, origin });
        let hosts = names.into_iter().filter_map(named).collect();
        Self { name: SSH_SOURCE.to_owned(), rank: Rank::Named, hosts, groups: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Inventory, file};
    use super::*;
    use crate::select::{Selected, Selection};

    #[test]
    fn they_are_chosen_only_through_their_source() {
        let named = |name: &str| (name.to_owned(), format!("config:{name}"));
        let source = Source::of_ssh(["web1", "web2", "db1"].map(named));
        let file = file::parse(b"me@web1:22\n", Path::new("hosts")).unwrap();
        let inventory = Inventory::merge(&[file], &[source], &[]).unwrap();
        for (group, hosts) in [
            ("@ssh:*", Some("me@web1:22 web2 db1")),
            ("@ssh:web*", Some("me@web1:22 web2")),
            ("@ssh:db1", Some("db1")),
            ("@ssh:db2", None),
            ("*", Some("me@web1:22")),
            ("@*", Some("me@web1:22")),
            ("db*", None),
            ("db1", None),
        ] {
            let selection = Selection { groups: vec![group.to_owned()], ..Selection::default() };
            let selected = selection.parse().unwrap().select(&inventory).ok();
            let names = |selected: Selected| {
                selected.hosts.iter().map(|selected| selected.host.to_string()).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(selected.map(names).as_deref(), hosts, "{group}");
        }
    }

    #[test]
    fn names_that_no_host_can_have_are_left_out() {
        let names = [("web1", "c:1"), ("-x", "c:2"), ("a;b", "c:3"), ("::1", "c:4")];
        let source = Source::of_ssh(names.map(|(name, origin)| (name.to_owned(), origin.to_owned())));
        let shown: Vec<_> = source.hosts.iter().map(|named| format!("{} {}", named.host, named.origin)).collect();
        assert_eq!(shown, ["web1 c:1", "::1 c:4"]);
        assert_eq!(source.name, "ssh");
    }
}
