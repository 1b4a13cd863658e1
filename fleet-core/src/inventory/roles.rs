//! Roles: the groups that the last partition made, as they are kept in a file and as a source of groups.
//!
//! Must not know how hosts came to their roles, nor in which folder the file is.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::groups::Parsed;
use super::{FormerHost, GroupDefinition, Inventory, InventoryError, PARTITION, Rank, Wanted, is_group_name};
use crate::endpoint::Instance;
use crate::host::Host;
use crate::hostset;

/// The version of the file.
const VERSION: u32 = 1;

/// What one partition made: every host is in one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    v: u32,
    /// The run it belongs to, such as `20261122-0324-7f3a`.
    pub run: String,
    /// The roles, in the order they were typed.
    pub roles: Vec<Role>,
}

/// A role and its hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name, which is that of a group.
    pub name: String,
    /// In the order of their numbers within the role.
    pub hosts: Vec<RoleHost>,
}

/// A host in a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleHost {
    /// The host, as [`Host`] is written.
    pub host: String,
    /// Where it was reached then, without user and port.
    pub address: String,
    /// What its provider calls it, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<RoleInstance>,
}

/// A host as its provider knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleInstance {
    /// The name of the provider.
    pub provider: String,
    /// The id that it has there.
    pub id: String,
}

/// Why a partition cannot be kept or found again.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The file is there and cannot be read.
    #[error("cannot read the roles in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is none of ours.
    #[error("{}: {problem}; expected roles as fleet partition writes them", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The file cannot be written or removed; what was there is still there.
    #[error("cannot change the roles in {}", path.display())]
    Change {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Partition {
    /// The partition of a run.
    #[must_use]
    pub fn new(run: String, roles: Vec<Role>) -> Self {
        Self { v: VERSION, run, roles }
    }

    /// What is kept at `path`; `None` when nothing is.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what [`write`](Self::write) writes.
    pub fn read(path: &Path) -> Result<Option<Self>, RolesError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(RolesError::Read { path: path.to_owned(), source }),
        };
        let malformed = |problem: String| RolesError::Malformed { path: path.to_owned(), problem };
        let partition: Self = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        partition.check().map_err(malformed)?;
        Ok(Some(partition))
    }

    fn check(&self) -> Result<(), String> {
        if self.v != VERSION {
            return Err(format!("the version is {}, not {VERSION}", self.v));
        }
        for role in &self.roles {
            if !is_group_name(&role.name) {
                return Err(format!("{:?} is no name of a role", role.name));
            }
            for host in &role.hosts {
                host.host.parse::<Host>().map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Keeps it at `path` in place of any other, whole or not at all, on the disk when this returns.
    ///
    /// # Errors
    /// When the folder cannot be written; what was there is still there.
    pub fn write(&self, path: &Path) -> Result<(), RolesError> {
        self.replace(path).map_err(|source| RolesError::Change { path: path.to_owned(), source })
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut beside = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        beside.write_all(&serde_json::to_vec(self)?)?;
        beside.as_file().sync_all()?;
        beside.persist(path)?;
        File::open(folder)?.sync_all()
    }

    /// Removes what is kept at `path`. Nothing there is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn clear(path: &Path) -> Result<(), RolesError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RolesError::Change { path: path.to_owned(), source: error })
            }
            _ => Ok(()),
        }
    }

    /// The place of each of `hosts` in its role, if it has one. Hosts of providers are known by their ids, others by their
    /// names, with user and port if there are several of a name.
    pub fn places<'a>(
        &self,
        hosts: impl IntoIterator<Item = (&'a Host, Option<&'a Instance>)>,
    ) -> Vec<Option<RolePlace>> {
        let (mut by_id, mut by_host, mut by_name) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (role, members) in self.roles.iter().enumerate() {
            for (index, member) in members.hosts.iter().enumerate() {
                let place = RolePlace { role, index };
                let Ok(host) = member.host.parse::<Host>() else { continue };
                if let Some(instance) = &member.instance {
                    by_id.insert((instance.provider.as_str(), instance.id.as_str()), place);
                    continue;
                }
                by_name.entry(host.name().to_owned()).and_modify(|place| *place = None).or_insert(Some(place));
                by_host.insert(host, place);
            }
        }
        let place = |(host, instance): (&Host, Option<&Instance>)| match instance {
            Some(instance) => by_id.get(&(&*instance.provider, &*instance.id)).copied(),
            None => by_host.get(host).copied().or_else(|| by_name.get(host.name()).copied().flatten()),
        };
        hosts.into_iter().map(place).collect()
    }

    /// Where its groups are defined, in words.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("roles of run {}", self.run)
    }
}

/// The place of a host in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolePlace {
    /// Which of [`Partition::roles`] it is in.
    pub role: usize,
    /// Its number in the role, from 0.
    pub index: usize,
}

/// The variable that holds the addresses of a role: letters become capitals, what is no letter or digit `_`.
#[must_use]
pub fn role_variable(role: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("FLEET_HOSTS_{}", role.chars().map(letter).collect::<String>())
}

impl Role {
    /// The addresses of its hosts in their order, with a blank between.
    #[must_use]
    pub fn addresses(&self) -> String {
        self.hosts.iter().map(|host| host.address.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The group: hosts of files by their names; of each provider's hosts those that run, as one that has gone may have left
    /// its name or address to a stranger.
    fn definition(&self, origin: &str) -> GroupDefinition {
        let mut providers: Vec<Option<&str>> = Vec::new();
        for provider in self.hosts.iter().map(RoleHost::provider) {
            if !providers.contains(&provider) {
                providers.push(provider);
            }
        }
        let of = |provider: Option<&str>| {
            let hosts = self.hosts.iter().filter(|host| host.provider() == provider);
            let names = hosts.map(|host| host.host.as_str()).collect::<Vec<_>>().join(",");
            provider.map_or(names.clone(), |provider| format!("{names}&@{provider}:*"))
        };
        let expressions = providers.into_iter().map(of).collect();
        GroupDefinition { name: self.name.clone(), expressions, origin: format!("{origin}: {}", self.name) }
    }
}

impl RoleHost {
    fn provider(&self) -> Option<&str> {
        self.instance.as_ref().map(|instance| instance.provider.as_str())
    }

    fn former(&self) -> Option<FormerHost> {
        let RoleInstance { provider, id } = self.instance.as_ref()?;
        let instance = Instance { provider: provider.as_str().into(), id: id.as_str().into() };
        Some(FormerHost { host: self.host.parse().ok()?, group: None, endpoint: None, instance: Some(instance) })
    }
}

impl Inventory {
    /// Takes in the last partition as a source. Its hosts are known from the time that somebody asks for one of its groups:
    /// roles do not change what patterns mean.
    ///
    /// # Errors
    /// When a host of it cannot be written in an expression.
    pub fn add_partition(&mut self, partition: Partition) -> Result<(), InventoryError> {
        self.sources.insert(PARTITION.to_owned(), Rank::Own);
        let origin = partition.origin();
        for role in &partition.roles {
            self.deferred.push(Parsed::read(PARTITION, &role.definition(&origin))?);
        }
        self.partition = Some(Arc::new(partition));
        Ok(())
    }

    /// The last partition, if there is one.
    #[must_use]
    pub fn partition(&self) -> Option<&Arc<Partition>> {
        self.partition.as_ref()
    }

    /// Lets the hosts of roles that are wanted keep their names: to be said before [`add_records`](Self::add_records).
    pub fn call_roles_as_before(&mut self, wanted: &Wanted) {
        let former: Vec<FormerHost> =
            self.roles_of(wanted).iter().flat_map(|role| role.hosts.iter().filter_map(RoleHost::former)).collect();
        self.call_as_before(&former);
    }

    /// Who is no longer there of the roles that were wanted, in words: to be asked when these are defined.
    #[must_use]
    pub fn gone_from_roles(&self, wanted: &Wanted) -> Vec<String> {
        let Some(partition) = &self.partition else { return Vec::new() };
        let mut remarks = Vec::new();
        for role in self.roles_of(wanted) {
            let group = self.groups.get(&role.name).into_iter().flatten().find(|group| group.source == PARTITION);
            let members: HashSet<usize> =
                group.into_iter().flat_map(|group| &group.members).map(|member| member.host).collect();
            let is_there = |host: &&RoleHost| {
                let place = host.former().and_then(|former| self.place(&former.host));
                place.is_some_and(|place| members.contains(&place))
            };
            let gone: Vec<&str> = (role.hosts.iter())
                .filter(|host| host.instance.is_some() && !is_there(host))
                .map(|host| host.host.as_str())
                .collect();
            if !gone.is_empty() {
                let (hosts, run) = (hostset::fold(&gone), &partition.run);
                remarks.push(format!("no longer running, of the role {} of run {run}: {hosts}", role.name));
            }
        }
        remarks
    }

    /// The user's own sources that have a group called as a role: with it, the name alone does not say which is meant.
    #[must_use]
    pub fn namesakes(&self, role: &str) -> Vec<&str> {
        let known = self.sources_of(role).map(|(source, _)| source);
        let deferred = self.deferred.iter().filter(|parsed| parsed.definition.name == role);
        let sources: BTreeSet<&str> = known.chain(deferred.map(|parsed| parsed.source.as_str())).collect();
        let is_own = |source: &&str| *source != PARTITION && self.sources.get(*source) == Some(&Rank::Own);
        sources.into_iter().filter(is_own).collect()
    }

    /// Whether a host that is in `group` is so by its role alone.
    #[must_use]
    pub fn is_only_role(&self, group: &str, host: &Host) -> bool {
        let roles = self.partition.iter().flat_map(|partition| &partition.roles);
        if !roles.into_iter().any(|role| role.name == group) {
            return false;
        }
        let place = self.by_host.get(host).copied();
        let others = self.groups.get(group).into_iter().flatten().filter(|group| group.source != PARTITION);
        !others.into_iter().any(|group| group.members.iter().any(|member| Some(member.host) == place))
    }

    fn roles_of(&self, wanted: &Wanted) -> Vec<Role> {
        let is_wanted =
            |role: &&Role| wanted.groups.iter().any(|(source, name)| source == PARTITION && *name == role.name);
        let roles = self.partition.iter().flat_map(|partition| &partition.roles);
        roles.filter(is_wanted).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Reach, States};
    use super::*;
    use crate::endpoint::AddressChoice;
    use crate::hostset::Expression;
    use crate::provider::protocol::Record;

    fn partition(hosts: &[(&str, Option<&str>)]) -> Partition {
        let host = |(host, id): &(&str, Option<&str>)| RoleHost {
            host: (*host).to_owned(),
            address: (*host).to_owned(),
            instance: id.map(|id| RoleInstance { provider: "lab".to_owned(), id: id.to_owned() }),
        };
        Partition::new("r1".to_owned(), vec![Role { name: "web".to_owned(), hosts: hosts.iter().map(host).collect() }])
    }

    #[test]
    fn a_partition_is_read_as_it_was_written_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet/roles.json");
        assert_eq!(Partition::read(&path).unwrap(), None);
        for hosts in [&[("a", None), ("me@b:22", Some("i-1"))][..], &[("c", None)]] {
            partition(hosts).write(&path).unwrap();
            assert_eq!(Partition::read(&path).unwrap(), Some(partition(hosts)));
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        Partition::clear(&path).unwrap();
        Partition::clear(&path).unwrap();
        assert_eq!(Partition::read(&path).unwrap(), None);
    }

    #[test]
    fn what_is_no_partition_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roles.json");
        for (text, expected) in [
            ("{", "EOF"),
            (r#"{"v":2,"run":"r","roles":[]}"#, "the version is 2, not 1"),
            (r#"{"v":1,"run":"r","roles":[{"name":"a b","hosts":[]}]}"#, "\"a b\" is no name of a role"),
            (r#"{"v":1,"run":"r","roles":[{"name":"a","hosts":[{"host":"x y","address":""}]}]}"#, "host"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Partition::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn hosts_of_every_syntax_stand_in_the_group() {
        let names = ["web1", "me@web2:22", "[::1]:2222", "fe80::1%eth0", "10.0.0.1", "i-0abc"];
        let mut inventory = Inventory::default();
        inventory.add_partition(partition(&names.map(|name| (name, None)))).unwrap();
        assert!(inventory.hosts().is_empty());
        inventory.define(&[(PARTITION.to_owned(), "web".to_owned())]).unwrap();
        let known: Vec<String> = inventory.hosts().iter().map(|known| known.host.to_string()).collect();
        assert_eq!(known, names.map(|name| name.parse::<Host>().unwrap().to_string()));
    }

    #[test]
    fn who_has_gone_is_said_and_whoever_has_the_name_now_is_another() {
        let record = |id: &str, name: &str, state: &str| {
            let (name, state) = (Some(name.into()), Some(state.into()));
            Arc::new(Record { id: id.into(), name, state, ..Record::default() })
        };
        let hosts = [("web-1", Some("i-1")), ("web-2", Some("i-2")), ("web-3", Some("i-3")), ("file1", None)];
        let mut inventory = Inventory::default();
        inventory.add_partition(partition(&hosts)).unwrap();
        let expression = Expression::parse("@web", &mut rand::random).unwrap();
        let wanted = inventory.wanted(&[], &[&expression], States::Running);
        assert!(wanted.of_one.iter().any(|(provider, _)| provider == "lab"), "{wanted:?}");
        inventory.call_roles_as_before(&wanted);
        let records =
            [record("i-9", "web-1", "running"), record("i-2", "web-2", "stopped"), record("i-3", "renamed", "running")];
        let reach = Reach { addresses: &[AddressChoice::Auto], address_tag: "", port_tag: "" };
        inventory.add_records(("lab", Rank::Own), &records, reach);
        inventory.define(&wanted.groups).unwrap();
        let web = inventory.group(None, "web", None).unwrap().unwrap();
        let members: Vec<String> =
            web.members.iter().map(|member| inventory.hosts()[member.host].host.to_string()).collect();
        assert_eq!(members, ["web-3", "file1"]);
        assert_eq!(inventory.gone_from_roles(&wanted), ["no longer running, of the role web of run r1: web-[1-2]"]);
    }
}
