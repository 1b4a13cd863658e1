//! What a run tells its hosts of their places in it: number, group, and role in the last partition.
//!
//! For placeholders, and for the environment of commands on hosts. Must not know what is run there.

use std::sync::Arc;

use fleet_core::inventory::{Partition, Role, RolePlace, role_variable};
use fleet_core::record::Places;
use fleet_core::select::SelectedHost;
use fleet_core::size;

use crate::cli::{Failure, Prepared};

/// The addresses of roles that every command is told: for each of thousands of hosts they travel anew, and an SSH server
/// such as Dropbear takes command lines of 9,000 bytes.
const UNASKED_BYTES: usize = 4 << 10;
/// The most that a command is told of those it names. A system takes no word longer than 128 KiB (execve(2), Linux).
const MOST_BYTES: usize = 64 << 10;

/// The places of all hosts of a run.
#[derive(Clone, Debug, Default)]
pub struct HostPlaces {
    hosts: Vec<SelectedHost>,
    former: Option<Places>,
    partition: Option<Arc<Partition>>,
    /// Of each host, in the partition.
    roles: Vec<Option<RolePlace>>,
    /// What every host is told of the partition.
    lists: Vec<(String, Vec<u8>)>,
}

impl Prepared {
    /// The places of the chosen hosts; `former` are those that they had in the run that this one goes on with.
    #[must_use]
    pub fn places(&self, former: Option<&Places>) -> HostPlaces {
        let hosts = self.selected.hosts.clone();
        let of_partition = |partition: &Arc<Partition>| {
            partition.places(hosts.iter().map(|host| (&host.host, host.instance.as_ref())))
        };
        let roles = self.partition.as_ref().map_or_else(|| vec![None; hosts.len()], of_partition);
        HostPlaces { former: former.cloned(), partition: self.partition.clone(), roles, hosts, lists: Vec::new() }
    }

    /// The same for a command with these texts, which is told who is in which role.
    ///
    /// # Errors
    /// When it names roles of so many hosts that their addresses do not go into its environment.
    pub fn places_for<'a>(
        &self,
        former: Option<&Places>,
        command: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<HostPlaces, Failure> {
        let mut places = self.places(former);
        if let Some(partition) = &self.partition {
            places.lists = lists(partition, &command.into_iter().collect::<Vec<_>>())?;
        }
        Ok(places)
    }
}

impl HostPlaces {
    /// The number of a host in the run, from 0, and how many hosts that has.
    #[must_use]
    pub fn number(&self, index: usize) -> (usize, usize) {
        Places::number(self.former.as_ref(), index, self.hosts.len())
    }

    /// The role of a host in the last partition, else its group; may be empty.
    #[must_use]
    pub fn role(&self, index: usize) -> &str {
        match self.in_partition(index) {
            Some((name, ..)) => name,
            None => self.group(index),
        }
    }

    /// The address at which a host of the last partition is reached by others.
    #[must_use]
    pub fn address(&self, index: usize) -> Option<&str> {
        let place = self.roles.get(index).copied().flatten()?;
        Some(&self.partition.as_ref()?.roles.get(place.role)?.hosts.get(place.index)?.address)
    }

    /// What a command on a host finds in its environment of where it runs.
    #[must_use]
    pub fn variables(&self, index: usize) -> Vec<(String, Vec<u8>)> {
        let (number, count) = self.number(index);
        let (number, count) = (number.to_string(), count.to_string());
        let mut variables = vec![
            ("FLEET_HOST", self.hosts[index].host.name().to_owned()),
            ("FLEET_INDEX", number),
            ("FLEET_COUNT", count),
            ("FLEET_GROUP", self.group(index).to_owned()),
        ];
        if let Some((role, place, size)) = self.in_partition(index) {
            variables.extend([
                ("FLEET_ROLE", role.to_owned()),
                ("FLEET_ROLE_INDEX", place.to_string()),
                ("FLEET_ROLE_SIZE", size.to_string()),
            ]);
        }
        let own = variables.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
        own.chain(self.lists.iter().cloned()).collect()
    }

    fn group(&self, index: usize) -> &str {
        self.hosts[index].group.as_deref().unwrap_or_default()
    }

    /// Its role in the last partition, its number there from 0, and how many hosts that role has.
    #[must_use]
    pub fn in_partition(&self, index: usize) -> Option<(&str, usize, usize)> {
        let place = self.roles.get(index).copied().flatten()?;
        let role = self.partition.as_ref()?.roles.get(place.role)?;
        Some((&role.name, place.index, role.hosts.len()))
    }
}

/// The run and the roles of a partition; of their addresses all, if there are few, and else those that the command names.
fn lists(partition: &Partition, command: &[&[u8]]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let names: Vec<&str> = partition.roles.iter().map(|role| role.name.as_str()).collect();
    let mut told = vec![
        ("FLEET_RUN".to_owned(), partition.run.clone().into_bytes()),
        ("FLEET_ROLES".to_owned(), names.join(" ").into_bytes()),
    ];
    let bytes_of = |lists: &[(String, Vec<u8>)]| lists.iter().map(|(_, list)| list.len()).sum::<usize>();
    let list = |role: &Role| (role_variable(&role.name), role.addresses().into_bytes());
    let mut lists: Vec<(String, Vec<u8>)> = partition.roles.iter().map(list).collect();
    if bytes_of(&lists) > UNASKED_BYTES {
        lists.retain(|(name, _)| command.iter().any(|text| names_variable(text, name)));
        let bytes = bytes_of(&lists);
        if bytes > MOST_BYTES {
            let variables: Vec<&str> = lists.iter().map(|(name, _)| name.as_str()).collect();
            let (variables, bytes) = (variables.join(", "), size::shown(bytes as u64));
            let text =
                format!("the command names {variables}, whose addresses are {bytes} together: too many for variables");
            return Err(Failure::usage_text(text).hint("fleet template writes them into a file on each host"));
        }
    }
    told.append(&mut lists);
    Ok(told)
}

/// Whether `name` stands in `text`, and is no part of a longer one.
fn names_variable(text: &[u8], name: &str) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.windows(name.len()).enumerate().any(|(at, window)| {
        let neighbours = [at.checked_sub(1).and_then(|before| text.get(before)), text.get(at + name.len())];
        window == name.as_bytes() && !neighbours.into_iter().flatten().any(is_part)
    })
}

#[cfg(test)]
mod tests {
    use fleet_core::inventory::RoleHost;

    use super::*;

    fn role(name: &str, count: usize) -> Role {
        let host =
            |number| RoleHost { host: format!("{name}{number}"), address: "10.11.12.13".to_owned(), instance: None };
        Role { name: name.to_owned(), hosts: (0..count).map(host).collect() }
    }

    fn names(web: usize, load: usize, command: &str) -> Result<String, String> {
        let partition = Partition::new("r1".to_owned(), vec![role("web", web), role("load-gen", load)]);
        let told = lists(&partition, &[command.as_bytes()]).map_err(|failure| {
            let mut text = Vec::new();
            failure.print("psh", &mut text);
            String::from_utf8(text).unwrap()
        })?;
        Ok(told.into_iter().skip(2).map(|(name, _)| name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn few_addresses_are_told_always_and_many_only_to_who_names_them() {
        for (web, load, command, expected) in [
            (1, 1, "uptime", "FLEET_HOSTS_WEB FLEET_HOSTS_LOAD_GEN"),
            (1000, 1, "uptime", ""),
            (1000, 1, "for host in $FLEET_HOSTS_WEB; do", "FLEET_HOSTS_WEB"),
            (1000, 9000, "echo ${FLEET_HOSTS_WEB}", "FLEET_HOSTS_WEB"),
            (1000, 1, "echo $FLEET_HOSTS_WEBS $XFLEET_HOSTS_WEB", ""),
            (1000, 1, "FLEET_HOSTS_LOAD_GEN", "FLEET_HOSTS_LOAD_GEN"),
        ] {
            assert_eq!(names(web, load, command).as_deref(), Ok(expected), "{command}");
        }
        let refused = names(1000, 9000, "echo $FLEET_HOSTS_LOAD_GEN").unwrap_err();
        assert!(refused.contains("names FLEET_HOSTS_LOAD_GEN, whose addresses are"), "{refused}");
    }
}
