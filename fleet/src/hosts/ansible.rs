//! Hosts and groups as an inventory of Ansible in YAML.
//!
//! Ansible treats every text of an inventory as a template, so nothing of what hosts or clouds say gets into one but names,
//! addresses and users, in which no braces can be. Pure. Must not know where the inventory goes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use fleet_core::select::SelectedHost;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::listing::{Listing, is_plain_user};
use crate::yaml;

#[derive(Serialize)]
struct Inventory<'a> {
    all: All<'a>,
}

#[derive(Serialize)]
struct All<'a> {
    hosts: InOrder<'a, Variables<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    children: BTreeMap<String, Group<'a>>,
}

#[derive(Default, Serialize)]
struct Group<'a> {
    hosts: InOrder<'a, Nothing>,
}

/// A map that stays in the order of its making.
#[derive(Default)]
struct InOrder<'a, T>(Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for InOrder<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
        map.end()
    }
}

/// `{}`
#[derive(Default, Serialize)]
struct Nothing {}

#[derive(Default, Serialize)]
struct Variables<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ansible_host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ansible_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ansible_user: Option<&'a str>,
}

/// The inventory: all hosts in their order, and their groups by name.
///
/// # Errors
/// When it cannot be written as YAML.
pub(super) fn write(hosts: &[SelectedHost]) -> io::Result<Listing> {
    let mut all = All { hosts: InOrder::default(), children: BTreeMap::new() };
    let (mut names, mut repeated, mut odd_users) = (HashSet::new(), Vec::new(), Vec::new());
    let mut groups = GroupNames::default();
    for selected in hosts {
        let name = selected.host.name();
        if !names.insert(name) {
            repeated.push(&selected.host);
            continue;
        }
        let user = selected.user().filter(|user| is_plain_user(user));
        if user.is_none() && selected.user().is_some() {
            odd_users.push(&selected.host);
        }
        let address = Some(selected.address()).filter(|address| *address != name);
        let variables = Variables { ansible_host: address, ansible_port: selected.port(), ansible_user: user };
        all.hosts.0.push((name, variables));
        for group in &selected.groups {
            let group = groups.of(group);
            all.children.entry(group).or_default().hosts.0.push((name, Nothing {}));
        }
    }
    let mut listing = Listing::from(yaml::document(&Inventory { all })?.into_bytes());
    listing.remark("left out, as a host before it has the same name", &repeated);
    listing.remark("without their users, who cannot be written in an inventory", &odd_users);
    if !groups.changed.is_empty() {
        listing.remarks.push(format!("groups that Ansible cannot name have others: {}", groups.changed.join(", ")));
    }
    Ok(listing)
}

/// What groups are called in the inventory: different ones differently.
#[derive(Default)]
struct GroupNames {
    chosen: HashMap<String, String>,
    taken: HashSet<String>,
    /// `load-gen = load_gen`
    changed: Vec<String>,
}

impl GroupNames {
    /// The name of a group: a Python identifier in ASCII, as Ansible wants it, that means nothing else to Ansible.
    fn of(&mut self, group: &str) -> String {
        if let Some(name) = self.chosen.get(group) {
            return name.clone();
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut name: String = group.chars().map(|c| if is_word(c) { c } else { '_' }).collect();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            name.insert(0, '_');
        }
        while ["all", "ungrouped"].contains(&name.as_str()) || self.taken.contains(&name) {
            name.push('_');
        }
        if name != group {
            self.changed.push(format!("{group} = {name}"));
        }
        self.taken.insert(name.clone());
        self.chosen.insert(group.to_owned(), name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::testing::{cloud, grouped, host};
    use super::*;

    #[test]
    fn hosts_are_in_order_with_how_they_are_reached_and_groups_by_name() {
        let hosts = [
            grouped("me@web2:2222", &["web", "all", "load-gen"]),
            grouped("web1", &["web"]),
            cloud("1.5", "i-1", "10.0.0.1", &[("Role", "{{ evil }}")]),
            host("yes"),
        ];
        let listing = write(&hosts).unwrap();
        let expected = "\
---
all:
  hosts:
    web2:
      ansible_port: 2222
      ansible_user: 'me'
    web1: {}
    \"1.5\":
      ansible_host: '10.0.0.1'
      ansible_user: 'ubuntu'
    \"yes\": {}
  children:
    all_:
      hosts:
        web2: {}
    load_gen:
      hosts:
        web2: {}
    web:
      hosts:
        web2: {}
        web1: {}
        \"1.5\": {}
";
        assert_eq!(String::from_utf8(listing.text).unwrap(), expected);
        let remark = "groups that Ansible cannot name have others: all = all_, load-gen = load_gen";
        assert_eq!(listing.remarks, [remark]);
    }

    #[test]
    fn different_groups_never_become_one() {
        let mut names = GroupNames::default();
        let given = ["a-b", "a.b", "a-b", "a_b", "2x", "", "x\n- y: 1"].map(|group| names.of(group));
        assert_eq!(given, ["a_b", "a_b_", "a_b", "a_b__", "_2x", "_", "x___y__1"]);
    }

    #[test]
    fn a_user_with_a_template_in_it_and_a_second_host_of_one_name_are_left_out() {
        let mut odd = cloud("odd", "i-2", "10.0.0.2", &[]);
        odd.endpoint.as_mut().unwrap().user = Some("{{ lookup('pipe', 'id') }}".into());
        let listing = write(&[odd, host("odd:22")]).unwrap();
        assert!(!String::from_utf8(listing.text).unwrap().contains("lookup"));
        assert_eq!(
            listing.remarks,
            [
                "left out, as a host before it has the same name: odd:22",
                "without their users, who cannot be written in an inventory: odd",
            ]
        );
    }
}
