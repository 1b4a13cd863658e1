//! The hosts that are known, in order, each with its groups and with the places that name it.
//!
//! Values made from files and definitions that the caller gives. Must not know which hosts a command is for, nor
//! where the files were found.

mod adding;
mod cloud;
mod clustershell;
mod discover;
mod error;
pub mod file;
mod former;
mod genders;
mod groups;
mod listing;
mod misses;
mod nearest;
mod pattern;
mod rank;
mod roles;
mod shell_words;
mod source;
mod ssh_hosts;
mod term;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::iter;
use std::sync::Arc;

pub use cloud::{Reach, endpoints};
pub use discover::{Discovered, FileSource, Places, discover};
pub use error::{Ambiguous, InventoryError};
pub use file::{HostFile, HostLine};
pub use former::{FormerHost, Recalled, Way};
pub use groups::GroupDefinition;
use groups::Parsed;
pub use listing::KnownGroup;
pub use nearest::{did_you_mean, nearest};
pub use pattern::{PatternError, Patterns};
pub use rank::Rank;
pub use roles::{Partition, Role, RoleHost, RoleInstance, RolePlace, RolesError, role_variable};
pub use source::{FILES, GENDERS, NamedHost, OUR_SOURCES, PARTITION, SETTINGS, SSH_SOURCE, Source};
pub use term::TermError;
pub(crate) use term::{Meaning, Reading, States, known_groups};
pub use wanted::Wanted;
pub(crate) use wanted::states_of;

use crate::endpoint::{Endpoint, Instance};
use crate::host::Host;
use crate::provider::protocol::Record;
use crate::quick_hash::QuickMap;

/// A host that a file or a group names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHost {
    /// The host, with the user and port it is known by.
    pub host: Host,
    /// Its groups, in the order they were met.
    pub groups: Vec<Arc<str>>,
    /// The places that name it: `hosts.txt:3`, `fleet.toml [groups] web`.
    pub origins: Vec<Arc<str>>,
    /// The sources that these places belong to.
    pub sources: Vec<Arc<str>>,
    /// The first of the ranks of these sources.
    pub rank: Rank,
    /// Where it is reached, if its name does not say it.
    pub endpoint: Option<Endpoint>,
    /// What its provider said of it.
    pub record: Option<Arc<Record>>,
    /// The provider that said it.
    pub provider: Option<Arc<str>>,
}

impl KnownHost {
    fn new(host: Host, rank: Rank, source: Arc<str>, origin: Arc<str>) -> Self {
        let (groups, origins, sources) = (Vec::new(), vec![origin], vec![source]);
        Self { host, groups, origins, sources, rank, endpoint: None, record: None, provider: None }
    }

    /// What its provider calls it, if it has one.
    #[must_use]
    pub fn instance(&self) -> Option<Instance> {
        let (provider, record) = self.provider.as_ref().zip(self.record.as_ref())?;
        Some(Instance { provider: Arc::clone(provider), id: Arc::clone(&record.id) })
    }
}

/// A host's place in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The place of the host in [`Inventory::hosts`].
    pub host: usize,
    /// How often the one source that names it most often does so.
    pub times: usize,
}

/// The places of the hosts of one name; nearly always there is one.
#[derive(Clone, Debug)]
struct Namesakes {
    first: usize,
    others: Vec<usize>,
}

impl Namesakes {
    fn places(&self) -> impl Iterator<Item = usize> {
        iter::once(self.first).chain(self.others.iter().copied())
    }
}

/// The hosts that one source has in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SourceGroup {
    source: String,
    rank: Rank,
    members: Vec<Member>,
}

/// All known hosts and groups, merged from several sources.
///
/// Hosts are the same when name, user and port are. Groups of one name are united within a source only.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    hosts: Vec<KnownHost>,
    by_host: QuickMap<Host, usize>,
    by_name: QuickMap<Arc<str>, Namesakes>,
    groups: BTreeMap<String, Vec<SourceGroup>>,
    /// Groups that cannot be told before providers are asked.
    deferred: Vec<Parsed>,
    /// The sources that are read, whether or not they name a host.
    sources: BTreeMap<String, Rank>,
    /// Tags whose values are groups.
    group_tags: Vec<String>,
    /// What was left out of files of other tools, and why.
    remarks: Vec<String>,
    /// The last partition, whose roles are groups.
    partition: Option<Arc<Partition>>,
    /// What hosts of providers were called in a former run, by provider and id.
    former_names: HashMap<Arc<str>, HashMap<Arc<str>, Host>>,
}

/// What a group may be called, in words.
pub(crate) const GROUP_NAME: &str =
    "a group name of letters, digits, \"_\", \".\" and \"-\" that does not start with \"-\"";

pub(crate) fn is_group_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

/// What a group of another tool may be called, in words.
const GROUP_NAME_ELSEWHERE: &str = "a group name of letters, digits, \"_\", \".\", \"-\", \"=\", \"+\", \"/\" and \":\" that does not start with \"-\"";

/// Whether it can be written behind `@source:`.
fn is_group_name_elsewhere(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.chars().all(|c| c.is_alphanumeric() || "_.-=+/:".contains(c))
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
        let sources = [FILES, SETTINGS].map(|source| (source.to_owned(), Rank::Own));
        let mut inventory = Self { sources: sources.into(), ..Self::default() };
        inventory.sources.extend(others.iter().map(|source| (source.name.clone(), source.rank)));
        files.iter().for_each(|file| inventory.add_file(file));
        if files.iter().any(|file| file.is_ansible) {
            let all: Vec<usize> = (0..inventory.hosts.len()).collect();
            inventory.add_members(FILES, file::ALL, &all);
        }
        others.iter().for_each(|source| inventory.add_hosts(source));
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

    /// The sources that were read or asked, by name.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// All known hosts.
    #[must_use]
    pub fn hosts(&self) -> &[KnownHost] {
        &self.hosts
    }

    /// The place of exactly `host` in [`hosts`](Self::hosts).
    pub(crate) fn place(&self, host: &Host) -> Option<usize> {
        self.by_host.get(host).copied()
    }

    /// The known host that is exactly `host`, else the only one that is the same machine: of its name, and with no other port.
    #[must_use]
    pub fn get(&self, host: &Host) -> Option<&KnownHost> {
        let exact = self.by_host.get(host).map(|&index| &self.hosts[index]);
        exact.or_else(|| {
            let named = self.by_name.get(host.name())?.places().map(|index| &self.hosts[index]);
            let mut fitting = named.filter(|known| known.host.port().is_none_or(|port| Some(port) == host.port()));
            let found = fitting.next();
            found.filter(|_| fitting.next().is_none())
        })
    }

    /// Adds a source of hosts without groups.
    pub fn add_source(&mut self, source: &Source) {
        self.sources.insert(source.name.clone(), source.rank);
        self.add_hosts(source);
    }

    /// The group `name` of a source, or of the source that answers for it; `home` comes before others.
    ///
    /// # Errors
    /// When several sources of one rank have such a group.
    fn group(&self, source: Option<&str>, name: &str, home: Option<&str>) -> Result<Option<&SourceGroup>, TermError> {
        let Some(groups) = self.groups.get(name) else { return Ok(None) };
        let source = match source {
            Some(source) => Some(source),
            None => rank::answering(name, self.sources_of(name), home)?,
        };
        Ok(groups.iter().find(|group| Some(group.source.as_str()) == source))
    }

    /// The sources that have a group called so.
    fn sources_of(&self, name: &str) -> impl Iterator<Item = (&str, Rank)> {
        self.groups.get(name).into_iter().flatten().map(|group| (group.source.as_str(), group.rank))
    }

    /// The names of all groups, sorted.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.group_names_of(None)
    }

    /// The names of the groups of a source, or of all sources; sorted. Those that wait for providers are among them.
    pub fn group_names_of<'a>(&'a self, source: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let is_of = move |of: &str| source.is_none_or(|source| source == of);
        let is_known = move |(_, groups): &(_, &Vec<SourceGroup>)| groups.iter().any(|group| is_of(&group.source));
        let known = self.groups.iter().filter(is_known).map(|(name, _)| name.as_str());
        let deferred = self.deferred.iter().filter(move |parsed| is_of(&parsed.source));
        let names: BTreeSet<&str> = known.chain(deferred.map(|parsed| parsed.definition.name.as_str())).collect();
        names.into_iter()
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
        for index in self.by_name.get(host.name()).into_iter().flat_map(Namesakes::places) {
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
        let source: Arc<str> = FILES.into();
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for line in &file.lines {
            let index = self.add_host(line.host.clone(), &source, file.origin(line).into());
            self.learn_endpoint(index, line.endpoint.clone());
            if let Some(group) = &line.group {
                members.entry(group).or_default().push(index);
            }
        }
        for (group, indexes) in members {
            self.add_members(FILES, group, &indexes);
        }
    }

    fn add_hosts(&mut self, source: &Source) {
        let name: Arc<str> = source.name.as_str().into();
        for named in &source.hosts {
            // What host files say of its user and port counts here too.
            let host = self.complete(named.host.clone()).unwrap_or_else(|_| named.host.clone());
            let index = self.add_host(host, &name, named.origin.as_str().into());
            self.learn_endpoint(index, named.endpoint.clone());
        }
    }

    /// The same with remarks on what was left out before.
    #[must_use]
    pub fn with_remarks(mut self, mut remarks: Vec<String>) -> Self {
        remarks.append(&mut self.remarks);
        Self { remarks, ..self }
    }

    /// What was left out of files of other tools, and why.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What is wrong with the user's own sources is an error; with those of the machine, a remark.
    fn tolerated<T>(&mut self, source: &str, result: Result<T, InventoryError>) -> Result<Option<T>, InventoryError> {
        match result {
            Err(problem) if self.rank(source) == Rank::System => {
                self.remarks.push(format!("{problem}; the group is left out"));
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    fn rank(&self, source: &str) -> Rank {
        self.sources.get(source).copied().unwrap_or_default()
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
        let web = &merged.group(None, "web", None).unwrap().unwrap().members;
        assert_eq!(
            web.iter().map(|member| (member.host, member.times)).collect::<Vec<_>>(),
            [(1, 1), (2, 1), (3, 1), (4, 1)]
        );
    }

    #[test]
    fn a_group_counts_how_often_one_source_names_a_host() {
        let known = inventory("[web]\nweb1\nweb[1-2]\n[empty]\n");
        assert_eq!(
            known.group(None, "web", None).unwrap().unwrap().members,
            [Member { host: 0, times: 2 }, Member { host: 1, times: 1 }]
        );
        assert_eq!(known.group(None, "empty", None).unwrap().unwrap().members, []);
        assert_eq!(known.group(None, "other", None).unwrap(), None);
        assert_eq!(known.group_names().collect::<Vec<_>>(), ["empty", "web"]);
    }

    #[test]
    fn a_host_with_another_user_is_the_same_machine_and_one_with_another_port_is_not() {
        let known = inventory("root@web1:22\nweb2\nl:1\nl:2\nm\nme@m\n");
        for (typed, found) in [
            ("web2", "web2"),
            ("me@web2:22", "web2"),
            ("me@web1:22", "root@web1:22"),
            ("me@web1", ""),
            ("web1:23", ""),
            ("me@l:2", "l:2"),
            ("l", ""),
            ("me@m", "me@m"),
            ("you@m", ""),
            ("new", ""),
        ] {
            let host = known.get(&typed.parse().unwrap()).map_or(String::new(), |known| known.host.to_string());
            assert_eq!(host, found, "{typed}");
        }
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
