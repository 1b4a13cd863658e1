//! Groups defined by expressions: `web = "web[01-20]"`, `all = ["@web", "db1"]`.
//!
//! Must not know the file they were written in, but for its name.

use std::collections::{HashMap, HashSet};

use super::nearest::nearest;
use super::{Inventory, InventoryError, is_group_name};
use crate::host::Host;
use crate::hostset;

/// A group and what it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDefinition {
    /// The name, without `@`.
    pub name: String,
    /// Host sets whose items may also be `@group`; no expression, no hosts.
    pub expressions: Vec<String>,
    /// Where it is defined: `fleet.toml [groups] web`.
    pub origin: String,
}

/// Adds all groups to an inventory that holds the hosts and groups of the files.
pub(super) fn add(inventory: &mut Inventory, definitions: &[GroupDefinition]) -> Result<(), InventoryError> {
    let mut by_name: HashMap<&str, &GroupDefinition> = HashMap::new();
    for definition in definitions {
        if !is_group_name(&definition.name) {
            let found = format!("the group is called \"{}\"", definition.name);
            return Err(InventoryError::GroupName { origin: definition.origin.clone(), found });
        }
        by_name.entry(&definition.name).or_insert(definition);
    }
    // Looked up while the inventory holds the files only, so that the order of the definitions does not matter.
    let mut resolver = Resolver { inventory, by_name: &by_name, resolved: HashMap::new(), chain: Vec::new() };
    for definition in definitions {
        resolver.resolve(&definition.name)?;
    }
    let mut resolved = resolver.resolved;
    for definition in definitions {
        if let Some(mentions) = resolved.remove(definition.name.as_str()) {
            let indexes: Vec<usize> =
                mentions.iter().map(|host| inventory.add_host(host, &definition.origin)).collect();
            inventory.add_members(&definition.name, &indexes);
        }
    }
    Ok(())
}

struct Resolver<'a, 'i> {
    inventory: &'i Inventory,
    by_name: &'i HashMap<&'a str, &'a GroupDefinition>,
    /// The hosts of each definition met so far, as often as it names them itself.
    resolved: HashMap<&'a str, Vec<Host>>,
    /// The groups that are being resolved, outermost first.
    chain: Vec<&'a str>,
}

impl Resolver<'_, '_> {
    fn resolve(&mut self, name: &str) -> Result<(), InventoryError> {
        let Some(&definition) = self.by_name.get(name) else {
            return Ok(());
        };
        if self.resolved.contains_key(definition.name.as_str()) {
            return Ok(());
        }
        self.chain.push(&definition.name);
        let mut hosts = Vec::new();
        for expression in &definition.expressions {
            let refused = |problem| InventoryError::Definition { origin: definition.origin.clone(), problem };
            for item in hostset::items(expression).map_err(refused)? {
                match item.strip_prefix('@') {
                    Some(group) => self.add_group(definition, group, &mut hosts)?,
                    None => self.add_hosts(definition, item, &mut hosts)?,
                }
            }
        }
        self.chain.pop();
        self.resolved.insert(&definition.name, hosts);
        Ok(())
    }

    fn add_hosts(&self, definition: &GroupDefinition, item: &str, hosts: &mut Vec<Host>) -> Result<(), InventoryError> {
        let origin = || definition.origin.clone();
        let names =
            hostset::expand(item).map_err(|problem| InventoryError::Definition { origin: origin(), problem })?;
        for name in names {
            let host = name.parse().map_err(|problem| InventoryError::Host { origin: origin(), problem })?;
            let host = self.inventory.complete(host);
            hosts.push(host.map_err(|ambiguous| InventoryError::Ambiguous { origin: origin(), ambiguous })?);
        }
        Ok(())
    }

    /// Adds the hosts of another group that are not there yet: a union repeats nothing.
    fn add_group(
        &mut self,
        definition: &GroupDefinition,
        group: &str,
        hosts: &mut Vec<Host>,
    ) -> Result<(), InventoryError> {
        if let Some(start) = self.chain.iter().position(|&outer| outer == group) {
            let chain = self.chain[start..].iter().chain([&group]).map(|&name| name.to_owned()).collect();
            return Err(InventoryError::Cycle { origin: definition.origin.clone(), chain });
        }
        self.resolve(group)?;
        let of_files = self.inventory.group(group);
        let defined = self.resolved.get(group);
        if of_files.is_none() && defined.is_none() {
            let known = self.by_name.keys().copied().chain(self.inventory.group_names());
            let nearest = nearest(group, known);
            return Err(InventoryError::UnknownGroup {
                origin: definition.origin.clone(),
                name: group.to_owned(),
                nearest,
            });
        }
        let of_files = of_files.into_iter().flatten().map(|member| &self.inventory.hosts[member.host].host);
        let mut seen: HashSet<Host> = hosts.iter().cloned().collect();
        for host in of_files.chain(defined.into_iter().flatten()) {
            if seen.insert(host.clone()) {
                hosts.push(host.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Merges the host file `hosts` and the definitions `name = expression`, one to a line, and names the groups.
    fn merged(hosts: &str, definitions: &str) -> Result<Inventory, InventoryError> {
        let file = super::super::file::parse(hosts.as_bytes(), Path::new("hosts")).unwrap();
        let define = |line: &str| {
            let (name, expression) = line.split_once(" = ").unwrap();
            let origin = format!("fleet.toml [groups] {name}");
            GroupDefinition { name: name.to_owned(), expressions: vec![expression.to_owned()], origin }
        };
        Inventory::merge(&[file], &definitions.lines().map(define).collect::<Vec<_>>())
    }

    fn members(inventory: &Inventory, group: &str) -> String {
        let members = inventory.group(group).unwrap().iter();
        members.map(|member| inventory.hosts()[member.host].host.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_group_names_hosts_ranges_and_other_groups() {
        for (hosts, definitions, group, expected) in [
            ("", "web = web[1-2],db1", "web", "web1 web2 db1"),
            ("", "all = @web,@db\nweb = web[1-2]\ndb = db1 web2", "all", "web1 web2 db1"),
            ("[web]\nweb1", "all = @web web2", "all", "web1 web2"),
            ("[web]\nweb1", "web = web2", "web", "web1 web2"),
            ("[web]\nweb1", "web = web2\nall = @web", "all", "web1 web2"),
            ("root@web1:22", "web = web[1-2]", "web", "root@web1:22 web2"),
            ("", "a = root@web1\nb = web1", "b", "web1"),
            ("", "a = x\na = y", "a", "x"),
        ] {
            assert_eq!(members(&merged(hosts, definitions).unwrap(), group), expected, "{definitions}");
        }
    }

    #[test]
    fn a_host_knows_the_groups_that_define_it() {
        let inventory = merged("web1", "web = web1\nall = @web").unwrap();
        let web1 = inventory.get(&"web1".parse().unwrap()).unwrap();
        assert_eq!(web1.groups, ["web", "all"]);
        assert_eq!(web1.origins, ["hosts:1", "fleet.toml [groups] web", "fleet.toml [groups] all"]);
    }

    #[test]
    fn a_broken_definition_is_named_with_its_origin() {
        for (hosts, definitions, message) in [
            ("", "web = @wbe\nwebs = a", "fleet.toml [groups] web: there is no group \"wbe\""),
            ("", "a = @b\nb = @c\nc = @b", "fleet.toml [groups] c: the group is part of itself: b -> c -> b"),
            ("[a]\nx", "a = @a", "fleet.toml [groups] a: the group is part of itself: a -> a"),
            ("", "web = web[3-1]", "fleet.toml [groups] web: the range \"3-1\""),
            ("", "web = a;b", "fleet.toml [groups] web: ';' cannot be part of a host name (in \"a;b\"); expected"),
            ("l:1\nl:2", "web = l", "fleet.toml [groups] web: \"l\" could be l:1 or l:2"),
            ("", "a b = x", "fleet.toml [groups] a b: the group is called \"a b\"; expected a group name"),
        ] {
            assert_eq!(merged(hosts, definitions).unwrap_err().to_string().find(message), Some(0), "{definitions}");
        }
        let error = merged("[webs]", "web = @wbe").unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean web or webs?");
    }
}
