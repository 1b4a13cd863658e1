//! The hosts that are known, in order, each with its groups and with the places that name it.
//!
//! Values made from files and definitions that the caller gives. Must not know which hosts a command is for, nor
//! where the files were found.

mod cloud;
mod error;
pub mod file;
mod groups;
mod listing;
mod nearest;
mod pattern;
mod term;
mod wanted;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use cloud::Reach;
pub use error::{Ambiguous, InventoryError};
pub use file::{HostFile, HostLine};
pub use groups::GroupDefinition;
use groups::Parsed;
pub use listing::KnownGroup;
pub(crate) use nearest::did_you_mean;
pub use nearest::nearest;
pub use pattern::{PatternError, Patterns};
pub use term::TermError;
pub(crate) use term::{Meaning, Reading, States, known_groups};
pub use wanted::Wanted;
pub(crate) use wanted::states_of;

use crate::endpoint::Endpoint;
use crate::host::Host;
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
    /// The sources that these places belong to.
    pub sources: Vec<String>,
    /// Where it is reached, if its name does not say it.
    pub endpoint: Option<Endpoint>,
    /// What its provider said of it.
    pub record: Option<Arc<Record>>,
}

impl KnownHost {
    fn new(host: Host) -> Self {
        Self { host, groups: Vec::new(), origins: Vec::new(), sources: Vec::new(), endpoint: None, record: None }
    }
}

/// Hosts and groups that files of another kind name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// What stands before the colon in `@source:group`.
    pub name: String,
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
/// The name of the hosts of the OpenSSH configuration as a source: they are chosen only through it.
pub const SSH_SOURCE: &str = "ssh";

/// A host's place in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The place of the host in [`Inventory::hosts`].
    pub host: usize,
    /// How often the one source that names it most often does so.
    pub times: usize,
}

/// The hosts that one source has in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SourceGroup {
    source: String,
    members: Vec<Member>,
}

/// All known hosts and groups, merged from several sources.
///
/// Hosts are the same when name, user and port are. Groups of one name are united within a source only.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    hosts: Vec<KnownHost>,
    by_host: HashMap<Host, usize>,
    by_name: HashMap<String, Vec<usize>>,
    groups: BTreeMap<String, Vec<SourceGroup>>,
    /// Groups that cannot be told before providers are asked.
    deferred: Vec<Parsed>,
    /// The sources that are read, whether or not they name a host.
    sources: Vec<String>,
    /// Tags whose values are groups.
    group_tags: Vec<String>,
}

/// What a group may be called, in words.
pub(crate) const GROUP_NAME: &str =
    "a group name of letters, digits, \"_\", \".\" and \"-\" that does not start with \"-\"";

pub(crate) fn is_group_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

impl Inventory {
    /// Merges host files, hosts and groups of other sources, and group definitions of settings.
    ///
    /// Hosts come in the order of the sources, then in that of the groups. Where several definitions of one source have
    /// one name, the first counts.
    ///
    /// # Errors
    /// When a definition is malformed, names an unknown group or an ambiguous host, or leads back to itself.
    pub fn merge(files: &[HostFile], others: &[Source], settings: &[GroupDefinition]) -> Result<Self, InventoryError> {
        let mut inventory = Self { sources: vec![FILES.to_owned(), SETTINGS.to_owned()], ..Self::default() };
        inventory.sources.extend(others.iter().map(|source| source.name.clone()));
        for file in files {
            inventory.add_file(file);
        }
        for source in others {
            source.hosts.iter().for_each(|named| inventory.add_named(source, named));
        }
        let of = |source: &str, groups: &[GroupDefinition]| -> Vec<(String, GroupDefinition)> {
            groups.iter().map(|group| (source.to_owned(), group.clone())).collect()
        };
        let mut definitions: Vec<_> = files.iter().flat_map(|file| of(FILES, &file.definitions)).collect();
        definitions.extend(others.iter().flat_map(|source| of(&source.name, &source.groups)));
        definitions.extend(of(SETTINGS, settings));
        groups::add(&mut inventory, &definitions)?;
        Ok(inventory)
    }

    /// The same with these tags as groups, the first that a host has.
    #[must_use]
    pub fn with_group_tags(mut self, tags: Vec<String>) -> Self {
        self.group_tags = tags;
        self
    }

    /// Defines groups that had to wait for providers.
    ///
    /// # Errors
    /// As [`Inventory::merge`].
    pub fn define(&mut self, names: &[(String, String)]) -> Result<(), InventoryError> {
        let is_named = |parsed: &&Parsed| {
            names.iter().any(|(source, name)| *source == parsed.source && *name == parsed.definition.name)
        };
        let wanted: Vec<Parsed> = self.deferred.iter().filter(is_named).cloned().collect();
        groups::define(self, &wanted)
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

    /// The members of the group `name` of a source, or of the only source that has one; `home` comes before others.
    ///
    /// # Errors
    /// When several sources have such a group.
    pub fn members(
        &self,
        source: Option<&str>,
        name: &str,
        home: Option<&str>,
    ) -> Result<Option<&[Member]>, TermError> {
        let Some(groups) = self.groups.get(name) else { return Ok(None) };
        let of = |source: &str| groups.iter().find(|group| group.source == source);
        let found = match (source, groups.as_slice()) {
            (Some(source), _) => of(source),
            (None, [only]) => Some(only),
            (None, several) => match home.and_then(of) {
                Some(own) => Some(own),
                None => {
                    let sources = several.iter().map(|group| group.source.clone()).collect();
                    return Err(TermError::AmbiguousGroup { name: name.to_owned(), sources });
                }
            },
        };
        Ok(found.map(|group| group.members.as_slice()))
    }

    /// The names of all groups, sorted.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.group_names_of(None)
    }

    /// The names of the groups of a source, or of all sources; sorted.
    pub fn group_names_of<'a>(&'a self, source: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let is_of = move |group: &SourceGroup| source.is_none_or(|source| source == group.source);
        self.groups.iter().filter(move |(_, groups)| groups.iter().any(is_of)).map(|(name, _)| name.as_str())
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
            self.source_group(FILES, group);
        }
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for line in &file.lines {
            let index = self.add_host(&line.host, FILES, &file.origin(line));
            self.learn_endpoint(index, line.endpoint.as_ref());
            if let Some(group) = &line.group {
                members.entry(group).or_default().push(index);
            }
        }
        for (group, indexes) in members {
            self.add_members(FILES, group, &indexes);
        }
    }

    fn add_named(&mut self, source: &Source, named: &NamedHost) {
        let index = self.add_host(&named.host, &source.name, &named.origin);
        self.learn_endpoint(index, named.endpoint.as_ref());
    }

    /// What is said first of a host counts.
    fn learn_endpoint(&mut self, index: usize, endpoint: Option<&Endpoint>) {
        let known = &mut self.hosts[index].endpoint;
        if known.is_none() {
            *known = endpoint.cloned();
        }
    }

    /// The index of `host`, which is added when it is new.
    fn add_host(&mut self, host: &Host, source: &str, origin: &str) -> usize {
        let index = *self.by_host.entry(host.clone()).or_insert_with(|| {
            self.by_name.entry(host.name().to_owned()).or_default().push(self.hosts.len());
            self.hosts.push(KnownHost::new(host.clone()));
            self.hosts.len() - 1
        });
        let known = &mut self.hosts[index];
        for (known, new) in [(&mut known.origins, origin), (&mut known.sources, source)] {
            if !known.iter().any(|known| known == new) {
                known.push(new.to_owned());
            }
        }
        index
    }

    fn source_group(&mut self, source: &str, group: &str) -> &mut Vec<Member> {
        let groups = self.groups.entry(group.to_owned()).or_default();
        let place = groups.iter().position(|group| group.source == source).unwrap_or_else(|| {
            groups.push(SourceGroup { source: source.to_owned(), members: Vec::new() });
            groups.len() - 1
        });
        &mut groups[place].members
    }

    /// Adds what is said of a source's group at one place: indexes of hosts, as often as they are named there.
    fn add_members(&mut self, source: &str, group: &str, indexes: &[usize]) {
        let mut times: HashMap<usize, usize> = HashMap::new();
        for &index in indexes {
            *times.entry(index).or_default() += 1;
        }
        let members = self.source_group(source, group);
        for member in &mut *members {
            if let Some(times) = times.remove(&member.host) {
                member.times = member.times.max(times);
            }
        }
        let mut new = Vec::new();
        for &host in indexes {
            if let Some(times) = times.remove(&host) {
                members.push(Member { host, times });
                new.push(host);
            }
        }
        for host in new {
            let groups = &mut self.hosts[host].groups;
            if !groups.iter().any(|known| known == group) {
                groups.push(group.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn inventory(text: &str) -> Inventory {
        Inventory::merge(&[file::parse(text.as_bytes(), Path::new("hosts")).unwrap()], &[], &[]).unwrap()
    }

    #[test]
    fn hosts_are_merged_in_order_with_groups_and_origins() {
        let first = file::parse(b"db1\n[web]\nweb1\nweb2\n[canary]\nweb1\n", Path::new("a")).unwrap();
        let second = file::parse(b"web1\n[web]\nweb3\nroot@web1\n", Path::new("b")).unwrap();
        let merged = Inventory::merge(&[first.clone(), second, first], &[], &[]).unwrap();
        let shown: Vec<String> = merged
            .hosts()
            .iter()
            .map(|known| format!("{} ({}) {}", known.host, known.groups.join(" "), known.origins.join(" ")))
            .collect();
        assert_eq!(
            shown,
            ["db1 () a:1", "web1 (canary web) a:3 a:6 b:1", "web2 (web) a:4", "web3 (web) b:3", "root@web1 (web) b:4"]
        );
        let web = merged.members(None, "web", None).unwrap().unwrap();
        assert_eq!(
            web.iter().map(|member| (member.host, member.times)).collect::<Vec<_>>(),
            [(1, 1), (2, 1), (3, 1), (4, 1)]
        );
    }

    #[test]
    fn a_group_counts_how_often_one_source_names_a_host() {
        let known = inventory("[web]\nweb1\nweb[1-2]\n[empty]\n");
        assert_eq!(
            known.members(None, "web", None).unwrap().unwrap(),
            [Member { host: 0, times: 2 }, Member { host: 1, times: 1 }]
        );
        assert_eq!(known.members(None, "empty", None).unwrap().unwrap(), []);
        assert_eq!(known.members(None, "other", None).unwrap(), None);
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
