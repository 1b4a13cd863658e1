//! Hosts as they are named, and how each was.
//!
//! Must not know what is left out again.

use std::collections::{HashMap, HashSet};

use super::{Duplicate, Excluded, SelectError};
use crate::host::Host;
use crate::hostset::{Expression, Term, Universe};
use crate::inventory::{HostFile, Inventory, Meaning, Reading};

/// How a host was named.
#[derive(Clone, Debug, Default)]
pub(super) struct Mention {
    /// The group it is meant by.
    pub(super) group: Option<String>,
    /// What was typed that means it.
    pub(super) rules: Vec<String>,
    /// The places that name it.
    pub(super) origins: Vec<String>,
    /// How often `-H` and `-h` name it.
    named: usize,
    /// How often the one group that names it most often does so.
    grouped: usize,
}

/// How the hosts were named, and which of them dropped out again.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    named: HashMap<Host, Mention>,
    /// Each with what takes it out, in order.
    dropped: Vec<(Host, String)>,
}

impl Mentions {
    pub(super) fn get(&self, host: &Host) -> Option<&Mention> {
        self.named.get(host)
    }

    /// Notes that `reason` takes these out.
    pub(super) fn drop_out(&mut self, hosts: &[Host], reason: &str) {
        self.dropped.extend(hosts.iter().map(|host| (host.clone(), reason.to_owned())));
    }

    /// Those that dropped out and were not brought in by something else.
    pub(super) fn excluded(&self, chosen: &[Host]) -> Vec<Excluded> {
        if self.dropped.is_empty() {
            return Vec::new();
        }
        let chosen: HashSet<&Host> = chosen.iter().collect();
        let mut excluded: Vec<Excluded> = Vec::new();
        let mut places: HashMap<&Host, usize> = HashMap::new();
        for (host, reason) in self.dropped.iter().filter(|(host, _)| !chosen.contains(host)) {
            let place = *places.entry(host).or_insert_with(|| {
                let rules = self.get(host).map_or_else(Vec::new, |mention| mention.rules.clone());
                excluded.push(Excluded { host: host.clone(), rules, reasons: Vec::new() });
                excluded.len() - 1
            });
            add_new(&mut excluded[place].reasons, reason.clone());
        }
        excluded
    }

    /// The `chosen` hosts that were named more than once.
    pub(super) fn duplicates(&self, chosen: &[Host]) -> Vec<Duplicate> {
        let times = |host: &Host| self.get(host).map_or(0, |mention| mention.named.max(mention.grouped));
        let repeated = chosen.iter().filter(|host| times(host) > 1);
        repeated.map(|host| Duplicate { host: host.clone(), times: times(host) }).collect()
    }

    fn of(&mut self, host: &Host) -> &mut Mention {
        self.named.entry(host.clone()).or_default()
    }
}

/// The hosts chosen so far.
pub(super) struct Choosing<'a> {
    inventory: &'a Inventory,
    hosts: Vec<Host>,
    mentions: Mentions,
}

impl<'a> Choosing<'a> {
    pub(super) fn new(inventory: &'a Inventory) -> Self {
        Self { inventory, hosts: Vec::new(), mentions: Mentions::default() }
    }

    /// Adds the hosts of an expression of `flag`.
    pub(super) fn add(
        &mut self,
        flag: &'static str,
        expression: &Expression,
        reading: Reading<'_>,
    ) -> Result<(), SelectError> {
        let named = Vec::new();
        let mut naming = Naming { inventory: self.inventory, flag, reading, mentions: &mut self.mentions, named };
        let hosts = expression.evaluate(&mut naming)?;
        let mut named = naming.named;
        let left: HashSet<&Host> = hosts.iter().collect();
        named.retain(|host| !left.contains(host));
        self.mentions.drop_out(&named, &format!("{flag} {expression}"));
        self.hosts.extend(hosts);
        Ok(())
    }

    /// Adds all hosts of a file. One that stands under two headings is named once.
    pub(super) fn add_file(&mut self, file: &HostFile) {
        let mut by_heading: HashMap<(&Host, Option<&str>), usize> = HashMap::new();
        let mut named: HashMap<&Host, usize> = HashMap::new();
        for line in &file.lines {
            self.hosts.push(line.host.clone());
            let mention = self.mentions.of(&line.host);
            mention.group = mention.group.take().or_else(|| line.group.clone());
            add_new(&mut mention.origins, file.origin(line));
            add_new(&mut mention.rules, format!("-h {}", file.path.display()));
            let times = by_heading.entry((&line.host, line.group.as_deref())).or_default();
            *times += 1;
            let most = named.entry(&line.host).or_default();
            *most = (*most).max(*times);
        }
        for (host, times) in named {
            self.mentions.of(host).named += times;
        }
    }

    /// The hosts, each once, in the order of their first mention; and how they were named.
    pub(super) fn into_parts(self) -> (Vec<Host>, Mentions) {
        let mut seen = HashSet::new();
        let hosts = self.hosts.into_iter().filter(|host| seen.insert(host.clone())).collect();
        (hosts, self.mentions)
    }
}

/// One expression that is being evaluated.
struct Naming<'a> {
    inventory: &'a Inventory,
    flag: &'static str,
    reading: Reading<'a>,
    mentions: &'a mut Mentions,
    /// What its terms mean, before operators take some of it out.
    named: Vec<Host>,
}

impl Universe for Naming<'_> {
    type Item = Host;
    type Error = SelectError;

    fn resolve(&mut self, term: &Term) -> Result<Vec<Host>, SelectError> {
        let refused = |problem| SelectError::Term { flag: self.flag, problem: Box::new(problem) };
        let meant = self.inventory.meant(term, self.reading).map_err(refused)?;
        let rule = format!("{} {term}", self.flag);
        let is_typed = self.reading.meaning == Meaning::Host;
        for meant in &meant {
            let mention = self.mentions.of(&meant.host);
            mention.group = mention.group.take().or_else(|| meant.group.clone());
            add_new(&mut mention.rules, rule.clone());
            match is_typed && matches!(term, Term::Names(_)) {
                true => {
                    mention.named += meant.times;
                    add_new(&mut mention.origins, self.flag.to_owned());
                }
                false => mention.grouped = mention.grouped.max(meant.times),
            }
        }
        let hosts: Vec<Host> = meant.into_iter().map(|meant| meant.host).collect();
        self.named.extend_from_slice(&hosts);
        Ok(hosts)
    }
}

fn add_new(texts: &mut Vec<String>, text: String) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}
