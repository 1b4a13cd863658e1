//! What there is that is like a query or a group that means nobody.
//!
//! Must not know who asked for it.

use std::collections::BTreeMap;
use std::iter;

use super::term::States;
use super::{Inventory, SourceGroup, did_you_mean, nearest};
use crate::hostset::Term;
use crate::provider::protocol::{Fact, Record};
use crate::sanitize::sanitized_line;

/// How many values are listed where none is alike.
const LISTED: usize = 5;
/// How much of a value is shown, in characters.
const SHOWN: usize = 60;

impl Inventory {
    /// Why `term` means none of the hosts that providers tell of, in a line; `None` where it means one, or asks for nothing
    /// that they know.
    pub(crate) fn miss(&self, term: &Term) -> Option<String> {
        let asked = shown(&term.to_string());
        match term {
            Term::Tag { .. } | Term::Fact { .. } if self.has_records() => {
                if !self.answering(term, States::Running).is_empty() {
                    return None;
                }
                match self.answering(term, States::Any).len() {
                    0 => {}
                    count => return Some(asleep(&asked, count)),
                }
                match term {
                    Term::Tag { key, value } => Some(self.tag_miss(key, value.as_deref())),
                    Term::Fact { name: "role", value } => Some(alike(&asked, value, &self.group_sizes())),
                    Term::Fact { name, value } => Some(alike(&asked, value, &self.values(|record| fact(record, name)))),
                    _ => None,
                }
            }
            Term::Names(word) => word.expand().iter().find_map(|name| self.group_miss(None, name)),
            Term::Group { source, name } if name != "*" => self.group_miss(source.as_deref(), name),
            _ => None,
        }
    }

    /// Whether any provider has told of any host.
    pub(super) fn has_records(&self) -> bool {
        self.hosts.iter().any(|known| known.record.is_some())
    }

    /// `name` and how many hosts run in the group; of one that is not made out yet only its name.
    pub(super) fn sized(&self, name: &str) -> String {
        match self.group_sizes().get(name) {
            Some(&count) => format!("{} ({})", shown(name), hosts(count)),
            None => shown(name),
        }
    }

    /// A group of which no host runs.
    fn group_miss(&self, source: Option<&str>, name: &str) -> Option<String> {
        let group = self.group(source, name, None).ok()??;
        let runs = self.members_meant(group, States::Running).next().is_some();
        let all = group.members.len();
        (all > 0 && !runs).then(|| asleep(&format!("@{}", shown(name)), all))
    }

    fn tag_miss(&self, key: &str, value: Option<&str>) -> String {
        let keys = self.values(|record| record.tags.keys().map(AsRef::as_ref).collect());
        let Some(value) = value.filter(|_| keys.contains_key(key)) else {
            return alike(&format!("a tag {}", shown(key)), key, &keys);
        };
        let values = self.values(|record| record.tags.get(key).map(AsRef::as_ref).into_iter().collect());
        alike(&format!("{}={}", shown(key), shown(value)), value, &values)
    }

    fn group_sizes(&self) -> BTreeMap<&str, usize> {
        let size = |group: &SourceGroup| self.members_meant(group, States::Running).count();
        self.groups.iter().map(|(name, groups)| (name.as_str(), groups.iter().map(size).sum())).collect()
    }

    /// The values that `of` finds in the records of hosts that run, and how many have each.
    fn values<'a>(&'a self, of: impl Fn(&'a Record) -> Vec<&'a str>) -> BTreeMap<&'a str, usize> {
        let mut values = BTreeMap::new();
        for (place, known) in self.hosts.iter().enumerate() {
            let Some(record) = known.record.as_deref().filter(|_| self.is_meant(place, States::Running)) else {
                continue;
            };
            for value in of(record) {
                *values.entry(value).or_default() += 1;
            }
        }
        values
    }
}

/// What a record has as a fact that can be asked for.
fn fact<'a>(record: &'a Record, name: &str) -> Vec<&'a str> {
    match name {
        "id" => vec![&record.id],
        "name" => record.name.iter().map(AsRef::as_ref).collect(),
        "state" => record.state.iter().map(AsRef::as_ref).collect(),
        "cluster" => record.tags.get("fleet:cluster").map(AsRef::as_ref).into_iter().collect(),
        name => match record.facts.get(name) {
            Some(Fact::One(value)) => vec![value],
            Some(Fact::Many(values)) => values.iter().map(AsRef::as_ref).collect(),
            None => Vec::new(),
        },
    }
}

/// `no host has Role=lodgen; did you mean loadgen (20 hosts)?`, or the most frequent of what there is.
fn alike(asked: &str, typed: &str, known: &BTreeMap<&str, usize>) -> String {
    let sized = |name: &str| format!("{} ({})", shown(name), hosts(known.get(name).copied().unwrap_or_default()));
    let alike: Vec<String> = nearest(typed, known.keys().copied()).iter().map(|name| sized(name)).collect();
    let missing = format!("no host has {asked}");
    if let Some(question) = did_you_mean(&alike) {
        return format!("{missing}; {question}");
    }
    let mut frequent: Vec<(&str, usize)> = known.iter().map(|(name, count)| (*name, *count)).collect();
    frequent.sort_by_key(|(_, count)| usize::MAX - count);
    let more = frequent.len().checked_sub(LISTED).filter(|more| *more > 0).map(|more| format!("{more} more"));
    let listed = frequent.iter().take(LISTED).map(|(name, _)| sized(name));
    let listed: Vec<String> = listed.chain(more).collect();
    if listed.is_empty() { missing } else { format!("{missing}; there are {}", listed.join(", ")) }
}

fn asleep(asked: &str, count: usize) -> String {
    let (hosts, verb) = (hosts(count), if count == 1 { "does" } else { "do" });
    format!("{hosts} of {asked} {verb} not run; {asked}&state:* means them")
}

fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

/// Text of a provider as a part of a line of ours.
pub(super) fn shown(text: &str) -> String {
    // As nearly all are.
    if text.len() <= SHOWN && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let mut characters = text.chars();
    let start: String = characters.by_ref().take(SHOWN).collect();
    let rest = characters.next().map(|_| "...");
    iter::once(sanitized_line(&start)).chain(rest.map(str::to_owned)).collect()
}
