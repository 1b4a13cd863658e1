//! What is known of a host that may get a role, and the order in which hosts are dealt out.
//!
//! Must not know of roles.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use fleet_core::inventory::Inventory;
use fleet_core::select::SelectedHost;

/// The fact that says which instance of one launch a host is.
const LAUNCH_INDEX: &str = "launch-index";

/// A host that may get a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The host as it is written.
    pub(crate) name: String,
    /// What its provider calls it.
    pub(crate) id: Option<String>,
    /// Its place in its launch.
    pub(crate) launch_index: Option<u64>,
    /// What conditions may be about: the facts of its provider, `tag:KEY`, `name`, `id`, `group`.
    pub(crate) facts: BTreeMap<String, BTreeSet<String>>,
}

impl Candidate {
    /// What is known of a chosen host, but for its role in the last partition: what is dealt out does not depend on that.
    pub(crate) fn of(selected: &SelectedHost, inventory: &Inventory) -> Self {
        let mut facts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut add = |fact: &str, value: &str| {
            facts.entry(fact.to_owned()).or_default().insert(value.to_owned());
        };
        add("name", selected.host.name());
        let groups = selected.groups.iter().filter(|group| !inventory.is_only_role(group, &selected.host));
        groups.for_each(|group| add("group", group));
        if let Some(record) = &selected.record {
            add("id", &record.id);
            record.tags.iter().for_each(|(key, value)| add(&format!("tag:{key}"), value));
            for (fact, values) in record.facts.iter() {
                values.texts().iter().for_each(|value| add(fact, value));
            }
        }
        let one = |fact: &str| facts.get(fact)?.first().cloned();
        let (id, launch_index) = (one("id"), one(LAUNCH_INDEX).and_then(|index| index.parse().ok()));
        Self { name: selected.host.to_string(), id, launch_index, facts }
    }
}

impl Ord for Candidate {
    /// By launch index, then id, then name; those without one come last. `web2` comes before `web10`.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |candidate: &Self| (candidate.launch_index.is_none(), candidate.launch_index, candidate.id.is_none());
        let by_id = || self.id.cmp(&other.id);
        let by_name = || pieces(&self.name).cmp(&pieces(&other.name)).then_with(|| self.name.cmp(&other.name));
        key(self).cmp(&key(other)).then_with(by_id).then_with(by_name)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A name as texts and the numbers behind them; a number is its digits without leading zeros, the shorter first.
fn pieces(name: &str) -> Vec<(&str, usize, &str)> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let behind = &rest[text..];
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let number = behind[..digits].trim_start_matches('0');
        pieces.push((&rest[..text], number.len(), number));
        rest = &behind[digits..];
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_by_launch_index_then_id_then_name() {
        let candidate = |launch_index, id: Option<&str>, name: &str| Candidate {
            name: name.to_owned(),
            id: id.map(str::to_owned),
            launch_index,
            ..Candidate::default()
        };
        let ordered = [
            candidate(Some(0), Some("i-2"), "z"),
            candidate(Some(1), Some("i-1"), "y"),
            candidate(Some(10), Some("i-0"), "x"),
            candidate(None, Some("i-3"), "b"),
            candidate(None, Some("i-4"), "a"),
            candidate(None, None, "web2"),
            candidate(None, None, "web02b"),
            candidate(None, None, "web10"),
            candidate(None, None, "web100"),
        ];
        let mut sorted = ordered.to_vec();
        sorted.reverse();
        sorted.sort();
        assert_eq!(sorted, ordered);
    }
}
