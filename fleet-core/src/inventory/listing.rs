//! All groups that there are, for whoever lists them.
//!
//! Must not know how a list is shown.

use super::term::States;
use super::{Inventory, SETTINGS, SourceGroup};
use crate::host::Host;

/// A group and the source that defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownGroup {
    /// What stands before the colon in `@source:group`.
    pub source: String,
    /// The name, without `@`.
    pub name: String,
    /// Its hosts, in order; of a provider's group, the ones that run.
    pub hosts: Vec<Host>,
}

impl Inventory {
    /// Every group of every source, by name, then in the order in which the sources were read.
    #[must_use]
    pub fn known_groups(&self) -> Vec<KnownGroup> {
        let mut known = Vec::new();
        for (name, groups) in &self.groups {
            known.extend(groups.iter().map(|group| {
                let meant = self.members_meant(group, States::Running);
                let hosts = meant.map(|member| self.hosts[member.host].host.clone()).collect();
                KnownGroup { source: group.source.clone(), name: name.clone(), hosts }
            }));
        }
        known
    }

    /// The groups that say what a known host is for: all but those of the settings, which are views of a fleet. By name.
    pub fn roles<'a>(&'a self, host: &Host) -> impl Iterator<Item = &'a str> {
        let place = self.by_host.get(host).copied();
        let has = move |group: &SourceGroup| {
            group.source != SETTINGS && group.members.iter().any(|member| Some(member.host) == place)
        };
        self.groups.iter().filter(move |(_, groups)| groups.iter().any(has)).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::inventory::{GroupDefinition, Rank, Reach, file};
    use crate::provider::protocol::{Filter, Record};

    fn inventory(definition: &str) -> Inventory {
        let hosts = file::parse(b"[web]\nweb[1-2]\n[none]\n", Path::new("hosts")).unwrap();
        let definition = GroupDefinition {
            name: "asked".to_owned(),
            expressions: vec![definition.to_owned()],
            origin: "fleet.toml [groups] asked".to_owned(),
        };
        Inventory::merge(&[hosts], &[], &[definition]).unwrap()
    }

    fn told(inventory: &Inventory) -> String {
        let hosts = |hosts: &[Host]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let told = |group: &KnownGroup| format!("{}:{}={}", group.source, group.name, hosts(&group.hosts));
        inventory.known_groups().iter().map(told).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn groups_of_all_sources_are_known_once_providers_are_asked_and_count_who_runs() {
        let mut inventory = inventory("tag:a");
        assert_eq!(told(&inventory), "hosts:none= hosts:web=web1,web2");
        let wanted = inventory.wanted_by_groups();
        assert_eq!(wanted.of_all, [Vec::<Filter>::new()], "all that run");
        let record = |id: &str, state: &str| {
            let (id, state, groups) = (id.into(), Some(state.into()), vec!["web".into()]);
            let tags = [("a".into(), "".into())].into();
            Arc::new(Record { id, state, groups, tags, ..Record::default() })
        };
        let reach = Reach { addresses: &[], address_tag: "", port_tag: "" };
        inventory.add_records(("lab", Rank::Own), &[record("i-1", "running"), record("i-2", "stopped")], reach);
        inventory.define(&wanted.groups).unwrap();
        assert_eq!(told(&inventory), "fleet:asked=i-1 hosts:none= hosts:web=web1,web2 lab:web=i-1");
    }

    #[test]
    fn the_roles_of_a_host_are_its_groups_but_for_those_of_the_settings() {
        let inventory = inventory("web1,new");
        let roles = |name: &str| inventory.roles(&Host::new(name).unwrap()).collect::<Vec<_>>();
        for (name, expected) in [("web1", &["web"][..]), ("new", &[]), ("unknown", &[])] {
            assert_eq!(roles(name), expected, "{name}");
        }
    }

    #[test]
    fn other_states_are_asked_for_where_a_group_speaks_of_them_and_for_all_hosts() {
        let states = |queries: &[Vec<Filter>]| queries.concat().iter().map(|filter| filter.values.len()).sum::<usize>();
        assert_eq!(states(&inventory("tag:a").wanted_by_groups().of_all), 0);
        assert_eq!(states(&inventory("tag:a & state:stopped").wanted_by_groups().of_all), 4);
        assert_eq!(states(&inventory("tag:a").wanted_by_hosts().of_all), 4);
    }
}
