//! Hosts as they are named, and how each was.
//!
//! Must not know what is left out again.

use std::mem;
use std::sync::Arc;

use super::{Duplicate, Excluded, SelectError};
use crate::host::Host;
use crate::hostset::{Expression, Term, Universe};
use crate::inventory::{HostFile, Inventory, KnownHost, Meaning, Reading};
use crate::quick_hash::{QuickMap, QuickSet, RandomState};

/// How a host was named.
#[derive(Clone, Debug, Default)]
pub(super) struct Mention {
    /// The group it is meant by.
    pub(super) group: Option<Arc<str>>,
    /// What was typed that means it.
    pub(super) rules: Vec<Arc<str>>,
    /// The places that name it.
    pub(super) origins: Vec<Arc<str>>,
    /// How often `-H` and `-h` name it.
    named: usize,
    /// How often the one group that names it most often does so.
    grouped: usize,
}

/// Hosts as numbers, so that each is looked up once, however often it is met: the known ones are their places in the inventory,
/// others come behind these.
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    pub(super) inventory: &'a Inventory,
    unknown: Vec<Host>,
    numbers: QuickMap<Host, usize>,
}

impl Numbers<'_> {
    pub(super) fn host(&self, number: usize) -> &Host {
        let known = self.inventory.hosts();
        known.get(number).map_or_else(|| &self.unknown[number - known.len()], |known| &known.host)
    }

    /// What is known of it, also where it was typed with another user.
    pub(super) fn known(&self, number: usize) -> Option<&KnownHost> {
        self.inventory.hosts().get(number).or_else(|| self.inventory.get(self.host(number)))
    }

    pub(super) fn of(&mut self, host: &Host) -> usize {
        self.inventory.place(host).unwrap_or_else(|| self.of_unknown(host))
    }

    fn of_unknown(&mut self, host: &Host) -> usize {
        *self.numbers.entry(host.clone()).or_insert_with(|| {
            self.unknown.push(host.clone());
            self.inventory.hosts().len() + self.unknown.len() - 1
        })
    }
}

/// How the hosts were named, and which of them dropped out again.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    /// By the numbers of the hosts, as far as they were named.
    named: Vec<Mention>,
    /// Each with what takes it out, in order.
    dropped: Vec<(usize, Arc<str>)>,
}

impl Mentions {
    /// How a host was named, which is then forgotten.
    pub(super) fn take(&mut self, number: usize) -> Mention {
        self.named.get_mut(number).map(mem::take).unwrap_or_default()
    }

    /// Notes that `reason` takes these out.
    pub(super) fn drop_out(&mut self, hosts: &[usize], reason: &str) {
        let reason: Arc<str> = reason.into();
        self.dropped.extend(hosts.iter().map(|&number| (number, Arc::clone(&reason))));
    }

    /// Those that dropped out and were not brought in by something else.
    pub(super) fn excluded(&self, numbers: &Numbers<'_>, chosen: &QuickSet<usize>) -> Vec<Excluded> {
        let mut excluded: Vec<Excluded> = Vec::new();
        let mut places: QuickMap<usize, usize> =
            QuickMap::with_capacity_and_hasher(self.dropped.len(), RandomState::default());
        for (number, reason) in self.dropped.iter().filter(|(number, _)| !chosen.contains(number)) {
            let place = *places.entry(*number).or_insert_with(|| {
                let rules = self.named.get(*number).map_or_else(Vec::new, |mention| mention.rules.clone());
                excluded.push(Excluded { host: numbers.host(*number).clone(), rules, reasons: Vec::new() });
                excluded.len() - 1
            });
            add_new(&mut excluded[place].reasons, reason);
        }
        excluded
    }

    /// The `chosen` hosts that were named more than once.
    pub(super) fn duplicates(&self, numbers: &Numbers<'_>, chosen: &[usize]) -> Vec<Duplicate> {
        let times = |number: usize| self.named.get(number).map_or(0, |mention| mention.named.max(mention.grouped));
        let repeated = chosen.iter().map(|&number| (number, times(number))).filter(|(_, times)| *times > 1);
        repeated.map(|(number, times)| Duplicate { host: numbers.host(number).clone(), times }).collect()
    }

    fn of(&mut self, number: usize) -> &mut Mention {
        if number >= self.named.len() {
            self.named.resize_with(number + 1, Mention::default);
        }
        &mut self.named[number]
    }
}

/// The hosts chosen so far.
pub(super) struct Choosing<'a> {
    numbers: Numbers<'a>,
    hosts: Vec<usize>,
    mentions: Mentions,
}

impl<'a> Choosing<'a> {
    pub(super) fn new(inventory: &'a Inventory) -> Self {
        let numbers = Numbers { inventory, unknown: Vec::new(), numbers: QuickMap::default() };
        Self { numbers, hosts: Vec::new(), mentions: Mentions::default() }
    }

    /// Adds the hosts of an expression of `flag`.
    pub(super) fn add(
        &mut self,
        flag: &'static str,
        expression: &Expression,
        reading: Reading<'_>,
    ) -> Result<(), SelectError> {
        let named = Vec::new();
        let mut naming = Naming { numbers: &mut self.numbers, flag, reading, mentions: &mut self.mentions, named };
        let hosts = expression.evaluate(&mut naming)?;
        let mut named = naming.named;
        // What is left was named: where it is as much, that is all of it.
        if named.len() > hosts.len() {
            let left: QuickSet<usize> = hosts.iter().copied().collect();
            named.retain(|number| !left.contains(number));
            self.mentions.drop_out(&named, &format!("{flag} {expression}"));
        }
        self.hosts.extend(hosts);
        Ok(())
    }

    /// Adds all hosts of a file. One that stands under two headings is named once.
    pub(super) fn add_file(&mut self, file: &HostFile) {
        let mut by_heading: QuickMap<(usize, Option<&str>), usize> = QuickMap::default();
        let mut named: QuickMap<usize, usize> = QuickMap::default();
        let rule: Arc<str> = format!("-h {}", file.path.display()).into();
        for line in &file.lines {
            let number = self.numbers.of(&line.host);
            self.hosts.push(number);
            let mention = self.mentions.of(number);
            mention.group = mention.group.take().or_else(|| line.group.as_deref().map(Arc::from));
            add_new(&mut mention.origins, &file.origin(line).into());
            add_new(&mut mention.rules, &rule);
            let times = by_heading.entry((number, line.group.as_deref())).or_default();
            *times += 1;
            let most = named.entry(number).or_default();
            *most = (*most).max(*times);
        }
        for (number, times) in named {
            self.mentions.of(number).named += times;
        }
    }

    /// The hosts, each once, in the order of their first mention; and how they were named.
    pub(super) fn into_parts(mut self) -> (Vec<usize>, Mentions, Numbers<'a>) {
        let mut seen = QuickSet::with_capacity_and_hasher(self.hosts.len(), RandomState::default());
        self.hosts.retain(|&number| seen.insert(number));
        (self.hosts, self.mentions, self.numbers)
    }
}

/// One expression that is being evaluated.
struct Naming<'n, 'a> {
    numbers: &'n mut Numbers<'a>,
    flag: &'static str,
    reading: Reading<'n>,
    mentions: &'n mut Mentions,
    /// What its terms mean, before operators take some of it out.
    named: Vec<usize>,
}

impl Universe for Naming<'_, '_> {
    /// The number of a host.
    type Item = usize;
    type Error = SelectError;

    fn resolve(&mut self, term: &Term) -> Result<Vec<usize>, SelectError> {
        let refused = |problem| SelectError::Term { flag: self.flag, problem: Box::new(problem) };
        let meant = self.numbers.inventory.meant(term, self.reading).map_err(refused)?;
        let (rule, flag): (Arc<str>, Arc<str>) = (format!("{} {term}", self.flag).into(), self.flag.into());
        let is_typed = self.reading.meaning == Meaning::Host;
        let mut hosts = Vec::with_capacity(meant.len());
        for meant in meant {
            let number = meant.place.unwrap_or_else(|| self.numbers.of_unknown(&meant.host));
            hosts.push(number);
            let mention = self.mentions.of(number);
            mention.group = mention.group.take().or(meant.group);
            add_new(&mut mention.rules, &rule);
            match is_typed && matches!(term, Term::Names(_)) {
                true => {
                    mention.named += meant.times;
                    add_new(&mut mention.origins, &flag);
                }
                false => mention.grouped = mention.grouped.max(meant.times),
            }
        }
        self.named.extend_from_slice(&hosts);
        Ok(hosts)
    }
}

fn add_new(texts: &mut Vec<Arc<str>>, text: &Arc<str>) {
    if !texts.contains(text) {
        texts.push(Arc::clone(text));
    }
}
