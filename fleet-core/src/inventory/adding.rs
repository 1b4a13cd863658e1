//! How hosts and groups become known: one at a time, with who says so.
//!
//! Must not know what a source looks like.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::{Inventory, KnownHost, Member, Namesakes, SourceGroup};
use crate::endpoint::Endpoint;
use crate::host::Host;
use crate::quick_hash::QuickMap;

impl Inventory {
    /// What is said first of a host counts.
    pub(super) fn learn_endpoint(&mut self, index: usize, endpoint: Option<Endpoint>) {
        let known = &mut self.hosts[index].endpoint;
        if known.is_none() {
            *known = endpoint;
        }
    }

    /// The index of `host`, which is added when it is new.
    pub(super) fn add_host(&mut self, host: Host, source: &Arc<str>, origin: Arc<str>) -> usize {
        let rank = self.rank(source);
        match self.by_host.entry(host) {
            Entry::Occupied(place) => {
                let known = &mut self.hosts[*place.get()];
                known.rank = known.rank.min(rank);
                for (known, new) in [(&mut known.origins, origin), (&mut known.sources, Arc::clone(source))] {
                    if !known.contains(&new) {
                        known.push(new);
                    }
                }
                *place.get()
            }
            Entry::Vacant(place) => {
                let index = self.hosts.len();
                let (host, one) = (place.key().clone(), Namesakes { first: index, others: Vec::new() });
                let namesakes = self.by_name.entry(host.shared_name());
                namesakes.and_modify(|namesakes| namesakes.others.push(index)).or_insert(one);
                self.hosts.push(KnownHost::new(host, rank, Arc::clone(source), origin));
                *place.insert(index)
            }
        }
    }

    /// Makes room for so many more hosts.
    pub(super) fn reserve(&mut self, hosts: usize) {
        self.hosts.reserve(hosts);
        self.by_host.reserve(hosts);
        self.by_name.reserve(hosts);
    }

    pub(super) fn source_group(&mut self, source: &str, group: &str) -> &mut Vec<Member> {
        let rank = self.rank(source);
        let groups = self.groups.entry(group.to_owned()).or_default();
        let place = groups.iter().position(|group| group.source == source).unwrap_or_else(|| {
            groups.push(SourceGroup { source: source.to_owned(), rank, members: Vec::new() });
            groups.len() - 1
        });
        &mut groups[place].members
    }

    /// Adds what is said of a source's group at one place: indexes of hosts, as often as they are named there.
    pub(super) fn add_members(&mut self, source: &str, group: &str, indexes: &[usize]) {
        let members = self.source_group(source, group);
        let new = if members.is_empty() && indexes.is_sorted_by(|a, b| a < b) {
            // Each is named once, as providers do it: nothing needs to be counted.
            members.extend(indexes.iter().map(|&host| Member { host, times: 1 }));
            indexes.to_vec()
        } else {
            merge_members(members, indexes)
        };
        let group: Arc<str> = group.into();
        for host in new {
            let groups = &mut self.hosts[host].groups;
            if !groups.contains(&group) {
                groups.push(Arc::clone(&group));
            }
        }
    }
}

/// Adds hosts to the members of a group, as often as they are named at one place. Returns those that are new.
fn merge_members(members: &mut Vec<Member>, indexes: &[usize]) -> Vec<usize> {
    let mut times: QuickMap<usize, usize> = QuickMap::default();
    for &index in indexes {
        *times.entry(index).or_default() += 1;
    }
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
    new
}
