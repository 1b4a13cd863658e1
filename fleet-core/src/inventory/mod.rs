//! The hosts that are known, in order, each with its groups and with the places that name it.
//!
//! Values made from files and definitions that the caller gives. Must not know which hosts a command is for, nor
//! where the files were found.

pub mod file;
mod groups;
mod nearest;
mod pattern;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

pub use file::{HostFile, HostLine};
pub use groups::GroupDefinition;
pub(crate) use nearest::did_you_mean;
pub use nearest::nearest;
pub use pattern::{PatternError, Patterns, has_wildcard};

use crate::endpoint::Endpoint;
use crate::host::{Host, HostSyntaxError};
use crate::hostset::HostSetError;
use crate::provider::protocol::Record;

/// A host that a file or a group names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHost {
    /// The host, with the user and port it is known by.
    pub host: Host,
    /// Its groups, in the order they were met.
    pub groups: Vec<String>,
    /// The places that name it: `hosts.txt:3`, `fleet.toml [groups] web`.
    pub origins: Vec<String>,
    /// Where it is reached, if its name does not say it.
    pub endpoint: Option<Endpoint>,
    /// What its provider said of it.
    pub record: Option<Arc<Record>>,
}

/// A host's place in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The place of the host in [`Inventory::hosts`].
    pub host: usize,
    /// How often the one source that names it most often does so.
    pub times: usize,
}

/// All known hosts and groups, merged from several sources.
///
/// Hosts are the same when name, user and port are. Groups of one name are united.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    hosts: Vec<KnownHost>,
    by_host: HashMap<Host, usize>,
    by_name: HashMap<String, Vec<usize>>,
    groups: BTreeMap<String, Vec<Member>>,
}

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// A host file cannot be read.
    #[error("cannot read the host file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of a host file is neither a host, nor a heading, nor a comment.
    #[error("{}:{line}: {found}; expected {expected}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with what stands there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A group's definition is no host set.
    #[error("{origin}: {problem}")]
    Definition {
        /// Where the group is defined.
        origin: String,
        /// What is wrong.
        problem: HostSetError,
    },
    /// A group's definition names something that is no host.
    #[error("{origin}: {problem}; expected [user@]host[:port] or @group")]
    Host {
        /// Where the group is defined.
        origin: String,
        /// What is wrong.
        problem: HostSyntaxError,
    },
    /// A group's name cannot be written in a selection.
    #[error("{origin}: {found}; expected {GROUP_NAME}")]
    GroupName {
        /// Where the group is defined.
        origin: String,
        /// What is wrong.
        found: String,
    },
    /// A group's definition names a group that nobody defines.
    #[error("{origin}: there is no group \"{name}\"")]
    UnknownGroup {
        /// Where the group is defined.
        origin: String,
        /// The name without its `@`.
        name: String,
        /// Known groups with similar names.
        nearest: Vec<String>,
    },
    /// A group's definition leads back to itself.
    #[error("{origin}: the group is part of itself: {}", chain.join(" -> "))]
    Cycle {
        /// Where the group is defined.
        origin: String,
        /// From the group, over the groups it names, back to it.
        chain: Vec<String>,
    },
    /// A group's definition names a host that is known with several users or ports.
    #[error("{origin}: {ambiguous}")]
    Ambiguous {
        /// Where the group is defined.
        origin: String,
        /// The host and its meanings.
        ambiguous: Ambiguous,
    },
}

impl InventoryError {
    /// What to do next, where the error does not say it all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Some("check the path; \"-\" reads the hosts from standard input".to_owned())
            }
            Self::UnknownGroup { nearest, .. } => did_you_mean(nearest),
            Self::Ambiguous { .. } => Some("write the host with its user or port".to_owned()),
            _ => None,
        }
    }
}

/// A host typed without user or port that is known with several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{typed}\" could be {}", .known.iter().map(Host::to_string).collect::<Vec<_>>().join(" or "))]
pub struct Ambiguous {
    /// As typed.
    pub typed: Host,
    /// What it could mean.
    pub known: Vec<Host>,
}

/// What a group may be called, in words.
pub(crate) const GROUP_NAME: &str =
    "a group name of letters, digits, \"_\", \".\" and \"-\" that does not start with \"-\"";

pub(crate) fn is_group_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

impl Inventory {
    /// Merges host files and group definitions.
    ///
    /// Hosts come in the order of the files, then in that of the groups. Where several definitions have one name,
    /// the first counts.
    ///
    /// # Errors
    /// When a definition is malformed, names an unknown group or an ambiguous host, or leads back to itself.
    pub fn merge(files: &[HostFile], definitions: &[GroupDefinition]) -> Result<Self, InventoryError> {
        let mut inventory = Self::default();
        for file in files {
            inventory.add_file(file);
        }
        groups::add(&mut inventory, definitions)?;
        Ok(inventory)
    }

    /// All known hosts.
    #[must_use]
    pub fn hosts(&self) -> &[KnownHost] {
        &self.hosts
    }

    /// The known host that is exactly `host`.
    #[must_use]
    pub fn get(&self, host: &Host) -> Option<&KnownHost> {
        self.by_host.get(host).map(|&index| &self.hosts[index])
    }

    /// The members of the group `name`, each once, in order.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&[Member]> {
        self.groups.get(name).map(Vec::as_slice)
    }

    /// The names of all groups, sorted.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// `host` with the user and port it is known by, where it was typed without.
    ///
    /// # Errors
    /// When the name is known with several users or ports, and what was typed is none of them.
    pub fn complete(&self, host: Host) -> Result<Host, Ambiguous> {
        if self.by_host.contains_key(&host) {
            return Ok(host);
        }
        let mut known: Vec<Host> = Vec::new();
        for &index in self.by_name.get(host.name()).into_iter().flatten() {
            let candidate = &self.hosts[index].host;
            if host.port().is_some() && candidate.port() != host.port() {
                continue;
            }
            let user = host.user().or(candidate.user()).map(str::to_owned);
            let completed = candidate.clone().with_user(user);
            if !known.contains(&completed) {
                known.push(completed);
            }
        }
        match known.len() {
            0 => Ok(host),
            1 => Ok(known.remove(0)),
            _ => Err(Ambiguous { typed: host, known }),
        }
    }

    fn add_file(&mut self, file: &HostFile) {
        for group in &file.groups {
            self.groups.entry(group.clone()).or_default();
        }
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for line in &file.lines {
            let index = self.add_host(&line.host, &file.origin(line));
            if let Some(group) = &line.group {
                members.entry(group).or_default().push(index);
            }
        }
        for (group, indexes) in members {
            self.add_members(group, &indexes);
        }
    }

    /// The index of `host`, which is added when it is new.
    fn add_host(&mut self, host: &Host, origin: &str) -> usize {
        let index = *self.by_host.entry(host.clone()).or_insert_with(|| {
            self.by_name.entry(host.name().to_owned()).or_default().push(self.hosts.len());
            self.hosts.push(KnownHost {
                host: host.clone(),
                groups: Vec::new(),
                origins: Vec::new(),
                endpoint: None,
                record: None,
            });
            self.hosts.len() - 1
        });
        let origins = &mut self.hosts[index].origins;
        if !origins.iter().any(|known| known == origin) {
            origins.push(origin.to_owned());
        }
        index
    }

    /// Adds what one source says of a group: indexes of hosts, as often as it names them.
    fn add_members(&mut self, group: &str, indexes: &[usize]) {
        let mut times: HashMap<usize, usize> = HashMap::new();
        for &index in indexes {
            *times.entry(index).or_default() += 1;
        }
        let members = self.groups.entry(group.to_owned()).or_default();
        for member in &mut *members {
            if let Some(times) = times.remove(&member.host) {
                member.times = member.times.max(times);
            }
        }
        for &host in indexes {
            if let Some(times) = times.remove(&host) {
                members.push(Member { host, times });
                self.hosts[host].groups.push(group.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn inventory(text: &str) -> Inventory {
        Inventory::merge(&[file::parse(text.as_bytes(), Path::new("hosts")).unwrap()], &[]).unwrap()
    }

    #[test]
    fn hosts_are_merged_in_order_with_groups_and_origins() {
        let first = file::parse(b"db1\n[web]\nweb1\nweb2\n[canary]\nweb1\n", Path::new("a")).unwrap();
        let second = file::parse(b"web1\n[web]\nweb3\nroot@web1\n", Path::new("b")).unwrap();
        let merged = Inventory::merge(&[first.clone(), second, first], &[]).unwrap();
        let shown: Vec<String> = merged
            .hosts()
            .iter()
            .map(|known| format!("{} ({}) {}", known.host, known.groups.join(" "), known.origins.join(" ")))
            .collect();
        assert_eq!(
            shown,
            ["db1 () a:1", "web1 (canary web) a:3 a:6 b:1", "web2 (web) a:4", "web3 (web) b:3", "root@web1 (web) b:4"]
        );
        let web = merged.group("web").unwrap();
        assert_eq!(
            web.iter().map(|member| (member.host, member.times)).collect::<Vec<_>>(),
            [(1, 1), (2, 1), (3, 1), (4, 1)]
        );
    }

    #[test]
    fn a_group_counts_how_often_one_source_names_a_host() {
        let known = inventory("[web]\nweb1\nweb[1-2]\n[empty]\n");
        assert_eq!(known.group("web").unwrap(), [Member { host: 0, times: 2 }, Member { host: 1, times: 1 }]);
        assert_eq!(known.group("empty").unwrap(), []);
        assert_eq!(known.group("other"), None);
        assert_eq!(known.group_names().collect::<Vec<_>>(), ["empty", "web"]);
    }

    #[test]
    fn what_was_not_typed_is_taken_from_the_known_host() {
        let known = inventory("root@web1:2222\nweb2\nroot@web2\nl:2201\nl:2202\n");
        for (typed, completed) in [
            ("web1", Ok("root@web1:2222")),
            ("me@web1", Ok("me@web1:2222")),
            ("web1:22", Ok("web1:22")),
            ("web1:2222", Ok("root@web1:2222")),
            ("web2", Ok("web2")),
            ("me@web2", Ok("me@web2")),
            ("l:2202", Ok("l:2202")),
            ("l", Err("\"l\" could be l:2201 or l:2202")),
            ("new", Ok("new")),
        ] {
            let got = known.complete(typed.parse().unwrap()).map(|host| host.to_string()).map_err(|e| e.to_string());
            assert_eq!(got, completed.map(str::to_owned).map_err(str::to_owned), "{typed}");
        }
    }
}
