//! What a source of hosts and groups tells, and what sources are called.
//!
//! Must not know how any of them is read.

use super::{GroupDefinition, Rank};
use crate::endpoint::Endpoint;
use crate::host::Host;

/// Hosts and groups that files of another kind name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// What stands before the colon in `@source:group`.
    pub name: String,
    /// Whether it answers where it is not named.
    pub rank: Rank,
    /// Its hosts, besides those that only its groups name.
    pub hosts: Vec<NamedHost>,
    /// Its groups.
    pub groups: Vec<GroupDefinition>,
}

/// A host and the place that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHost {
    /// The host.
    pub host: Host,
    /// Where it is reached, if its name does not say it.
    pub endpoint: Option<Endpoint>,
    /// `ssh_config:12`.
    pub origin: String,
}

/// The name of host files as a source.
pub const FILES: &str = "hosts";
/// The name of the groups of `fleet.toml` as a source.
pub const SETTINGS: &str = "fleet";
/// The name of the last partition's roles as a source.
pub const PARTITION: &str = "partition";
/// The name of the genders file as a source.
pub const GENDERS: &str = "genders";
/// The name of the hosts of the OpenSSH configuration as a source: they are chosen only through it.
pub const SSH_SOURCE: &str = "ssh";
/// Names of sources that no other source can have.
pub const OUR_SOURCES: [&str; 5] = [FILES, SETTINGS, PARTITION, GENDERS, SSH_SOURCE];
