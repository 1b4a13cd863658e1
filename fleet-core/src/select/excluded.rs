//! What `-x` leaves out.
//!
//! Must not know which hosts were chosen.

use std::collections::HashSet;

use super::{SelectError, known_group};
use crate::host::Host;
use crate::hostset;
use crate::inventory::{Inventory, Patterns};

/// A value of `-x` that leaves out nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleExclude {
    /// As typed.
    pub value: String,
    /// How the group of this name would be excluded, if there is one.
    pub group: Option<String>,
}

/// What `-x` names.
pub(super) struct Excluded<'a> {
    hosts: HashSet<&'a Host>,
    patterns: Patterns,
}

impl<'a> Excluded<'a> {
    pub(super) fn parse(values: &[String], inventory: &'a Inventory) -> Result<Self, SelectError> {
        let refused = |problem| SelectError::Pattern { flag: "-x", problem };
        let mut hosts = HashSet::new();
        let mut patterns = Vec::new();
        for value in values {
            if value.trim_start().starts_with('-') {
                return Err(SelectError::SshArguments { value: value.clone() });
            }
            for item in hostset::items(value).map_err(|problem| refused(problem.into()))? {
                match item.strip_prefix('@') {
                    Some(group) => {
                        let members = known_group(inventory, group, "-x")?;
                        hosts.extend(members.iter().map(|member| &inventory.hosts()[member.host].host));
                    }
                    None => patterns.push(item),
                }
            }
        }
        let patterns = Patterns::parse(patterns).map_err(refused)?;
        Ok(Self { hosts, patterns })
    }

    pub(super) fn contains(&self, host: &Host) -> bool {
        self.hosts.contains(host) || self.patterns.matches(host)
    }
}
