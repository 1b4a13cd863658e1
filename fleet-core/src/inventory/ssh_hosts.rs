//! The hosts that the OpenSSH configuration names.
//!
//! Must not know how that is read: the names are given.

use super::{NamedHost, SSH_SOURCE, Source};
use crate::host::Host;

impl Source {
    /// The source of the hosts that `Host` lines name, each with its place. What is no host name is left out: such a line
    /// applies to nobody.
    #[must_use]
    pub fn of_ssh(names: impl IntoIterator<Item = (String, String)>) -> Self {
        let named =
            |(name, origin): (String, String)| Some(NamedHost { host: Host::new(&name).ok()?, endpoint: None, origin });
        Self { name: SSH_SOURCE.to_owned(), hosts: names.into_iter().filter_map(named).collect(), groups: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_host_can_have_are_left_out() {
        let names = [("web1", "c:1"), ("-x", "c:2"), ("a;b", "c:3"), ("::1", "c:4")];
        let source = Source::of_ssh(names.map(|(name, origin)| (name.to_owned(), origin.to_owned())));
        let shown: Vec<_> = source.hosts.iter().map(|named| format!("{} {}", named.host, named.origin)).collect();
        assert_eq!(shown, ["web1 c:1", "::1 c:4"]);
        assert_eq!(source.name, "ssh");
    }
}
