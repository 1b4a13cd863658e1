//! The name under which a host's keys are kept.
//!
//! Must not know files and keys.

use std::net::IpAddr;

/// The port whose keys are kept under the bare name.
const DEFAULT_PORT: u16 = 22;

/// What ssh(1) asks `known_hosts` for when it connects to a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KnownName {
    bare: String,
    /// `[name]:port`, for a port other than 22.
    with_port: Option<String>,
}

impl KnownName {
    /// The name for a connection to `host` (the `HostName` of ssh_config(5), not an alias of ours) on `port`.
    ///
    /// Letters become lower case and an address is written in its usual form, as ssh(1) does before it looks.
    #[must_use]
    pub fn of_host(host: &str, port: u16) -> Self {
        let bare = match host.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => host.to_ascii_lowercase(),
        };
        let with_port = (port != DEFAULT_PORT).then(|| format!("[{bare}]:{port}"));
        Self { bare, with_port }
    }

    /// The name given by `HostKeyAlias`: taken as it is, whatever the port.
    #[must_use]
    pub fn alias(alias: &str) -> Self {
        Self { bare: alias.to_ascii_lowercase(), with_port: None }
    }

    /// The names to look for, the one that decides first: ssh(1) takes a key known for the bare name when nothing is
    /// known for the name with port.
    pub(super) fn lookups(&self) -> impl Iterator<Item = &str> {
        self.with_port.as_deref().into_iter().chain([self.bare.as_str()])
    }

    /// The name under which a key is added.
    pub(super) fn written(&self) -> &str {
        self.with_port.as_deref().unwrap_or(&self.bare)
    }

    /// The name that a host certificate must be for.
    pub(super) fn principal(&self) -> &str {
        &self.bare
    }

    /// Whether a line with this name would be for this name only, and be a line.
    pub(super) fn is_writable(&self) -> bool {
        let special = |c: char| c.is_whitespace() || c.is_control() || ",!*?#|@'\"\\".contains(c);
        let brackets = |c: char| self.with_port.is_some() && "[]".contains(c);
        !self.bare.is_empty() && !self.bare.contains(|c| special(c) || brackets(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_as_ssh_does() {
        for (name, lookups) in [
            (KnownName::of_host("Web.Lab", 22), vec!["web.lab"]),
            (KnownName::of_host("web", 2222), vec!["[web]:2222", "web"]),
            (KnownName::of_host("2001:DB8:0::1", 22), vec!["2001:db8::1"]),
            (KnownName::of_host("::1", 2222), vec!["[::1]:2222", "::1"]),
            (KnownName::alias("Cluster"), vec!["cluster"]),
            (KnownName::alias("[web]:2222"), vec!["[web]:2222"]),
        ] {
            assert_eq!(name.lookups().collect::<Vec<_>>(), lookups);
            assert_eq!(name.written(), lookups[0]);
        }
    }

    #[test]
    fn a_name_that_would_be_a_pattern_is_not_written() {
        for (name, expected) in [
            (KnownName::of_host("web", 22), true),
            (KnownName::of_host("fe80::1%eth0", 2222), true),
            (KnownName::alias("[web]:2222"), true),
            (KnownName::of_host("[web", 2222), false),
            (KnownName::alias(""), false),
            (KnownName::alias("*"), false),
            (KnownName::alias("a,b"), false),
            (KnownName::alias("!a"), false),
            (KnownName::alias("a b"), false),
            (KnownName::alias("a\nb"), false),
            (KnownName::alias("|1|"), false),
            (KnownName::alias("#a"), false),
        ] {
            assert_eq!(name.is_writable(), expected, "{name:?}");
        }
    }
}
