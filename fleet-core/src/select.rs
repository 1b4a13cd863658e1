//! Which of the known hosts a command is for: `-H`, `-h`, `-g`, `-x` and `--limit`.
//!
//! Values in, values out. Must not know how flags are parsed, nor where the inventory comes from.

mod choosing;
mod error;
mod excluding;
mod remarks;

use std::collections::HashMap;
use std::sync::Arc;

use self::choosing::{Choosing, Mention, Mentions, Numbers};
pub use self::error::{Empty, SelectError};
use self::excluding::Excluding;
pub use self::excluding::IdleExclude;
use crate::endpoint::{Endpoint, Instance};
use crate::host::Host;
use crate::hostset::Expression;
use crate::inventory::{
    FILES, FormerHost, HostFile, Inventory, KnownHost, Meaning, Reading, States, Wanted, states_of,
};
use crate::provider::protocol::{NativeFilter, Record};
use crate::quick_hash::QuickSet;

/// How many terms of a choice of nobody are explained.
const MISSES: usize = 3;

/// What was asked for, as typed.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// `-H`: expressions whose words are hosts.
    pub hosts: Vec<String>,
    /// `-h`: parsed host files. The inventory is to be merged from them too, in place of those of the settings.
    pub files: Vec<HostFile>,
    /// `-g`: expressions whose words are groups.
    pub groups: Vec<String>,
    /// `-x`: expressions whose words are hosts among the chosen ones.
    pub exclude: Vec<String>,
    /// `--limit`: no more than the first so many.
    pub limit: Option<usize>,
    /// Whether the machine that asks may be among them.
    pub own_machine: OwnMachine,
    /// `--filter`: what providers narrow their hosts by.
    pub filters: Vec<NativeFilter>,
    /// `--filter` where nobody is named: the providers of which all hosts are chosen that pass the filters.
    pub filtered: Vec<String>,
    /// `--failed` and its like: nobody else is chosen, and `-H`, `-h` and `-g` narrow these.
    pub former: Option<FormerHosts>,
}

/// What becomes of the machine that asks, where it is not named by `-H`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnMachine {
    /// It is left out.
    #[default]
    LeftOut,
    /// It is a host as any other (`--include-self`).
    Included,
}

/// Hosts of a former run.
#[derive(Clone, Debug)]
pub struct FormerHosts {
    /// Which run: `run 20261122-0324-7f3a`.
    pub origin: String,
    /// Each host as it was chosen then.
    pub hosts: Vec<FormerHost>,
}

/// A host that the command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedHost {
    /// The host, with the user and port it was typed with or is known by.
    pub host: Host,
    /// The group it was chosen by, else the first it belongs to.
    pub group: Option<Arc<str>>,
    /// All groups it belongs to, in the order they were met.
    pub groups: Vec<Arc<str>>,
    /// The sources that know it: `hosts`, `fleet`, the name of a provider.
    pub sources: Vec<Arc<str>>,
    /// What was typed that means it: `-H web[1-3]`, `-g tag:Role=web`.
    pub rules: Vec<Arc<str>>,
    /// The places that name it: `-H`, `hosts.txt:3`, `fleet.toml [groups] web`.
    pub origins: Vec<Arc<str>>,
    /// Where it is reached, if its name does not say it.
    pub endpoint: Option<Endpoint>,
    /// What its provider said of it.
    pub record: Option<Arc<Record>>,
    /// What its provider calls it, if it has one.
    pub instance: Option<Instance>,
}

impl SelectedHost {
    /// The name or the address to connect to.
    #[must_use]
    pub fn address(&self) -> &str {
        let known = self.endpoint.as_ref().and_then(|endpoint| endpoint.address.as_deref());
        known.unwrap_or(self.host.name())
    }

    /// The port it was named with, else the one it is known by.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.host.port().or(self.endpoint.as_ref().and_then(|endpoint| endpoint.port))
    }

    /// The user it was named with, else the one it is known by.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.host.user().or(self.endpoint.as_ref().and_then(|endpoint| endpoint.user.as_deref()))
    }
}

/// A host that was named and is not chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// The host.
    pub host: Host,
    /// What was typed that means it, as in [`SelectedHost::rules`].
    pub rules: Vec<Arc<str>>,
    /// What takes it out again: `-x web[1-3]`, `-H @web!web2`, `--limit 3`, or `include_self = false`.
    pub reasons: Vec<Arc<str>>,
}

/// A host that was named more than once, and will run once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The host.
    pub host: Host,
    /// How often it was named.
    pub times: usize,
}

/// The hosts that the command is for: at least one, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// In the order typed: first `-H`, then `-h`, then `-g`; without them those of `--filter`.
    pub hosts: Vec<SelectedHost>,
    /// Those named more than once by `-H` and `-h`, or within one group. Being in two of the chosen groups is no
    /// duplicate.
    pub duplicates: Vec<Duplicate>,
    /// Excludes without effect: often a name mistyped.
    pub idle_excludes: Vec<IdleExclude>,
    /// Random slices with the seeds drawn for them: what to type for the same hosts again.
    pub drawn: Vec<String>,
    /// The machine that asks, if it was left out.
    pub left_out: Option<Host>,
    /// Where the other known hosts are reached, as they may be jump hosts.
    pub others: Vec<(Host, Endpoint)>,
    /// Those that were named and are not chosen, in the order in which they dropped out.
    pub excluded: Vec<Excluded>,
}

/// What was asked for, understood.
#[derive(Clone, Debug)]
pub struct ParsedSelection {
    typed: Selection,
    hosts: Vec<Expression>,
    groups: Vec<Expression>,
    exclude: Vec<Expression>,
    filtered: Vec<Expression>,
}

impl Selection {
    /// Reads the expressions.
    ///
    /// # Errors
    /// When one of them is malformed.
    pub fn parse(self) -> Result<ParsedSelection, SelectError> {
        if self.limit == Some(0) {
            return Err(SelectError::ZeroLimit);
        }
        if let Some(value) = self.exclude.iter().find(|value| value.trim_start().starts_with('-')) {
            return Err(SelectError::SshArguments { value: value.clone() });
        }
        let read = |flag: &'static str, texts: &[String]| -> Result<Vec<Expression>, SelectError> {
            let read = |text: &String| {
                let refused = |problem| SelectError::Expression { flag, problem };
                Expression::parse(text, &mut rand::random).map_err(refused)
            };
            texts.iter().map(read).collect()
        };
        Ok(ParsedSelection {
            hosts: read("-H", &self.hosts)?,
            groups: read("-g", &self.groups)?,
            exclude: read("-x", &self.exclude)?,
            filtered: read("--filter", &self.filtered.iter().map(|name| format!("@{name}:*")).collect::<Vec<_>>())?,
            typed: self,
        })
    }
}

impl ParsedSelection {
    /// What providers must be asked before [`select`](Self::select).
    #[must_use]
    pub fn wanted(&self, inventory: &Inventory) -> Wanted {
        let by_host: Vec<&Expression> = self.hosts.iter().chain(&self.exclude).collect();
        let by_group: Vec<&Expression> = self.groups.iter().chain(&self.filtered).collect();
        let mut wanted = inventory.wanted(&by_host, &by_group, self.states(&[]));
        wanted.needs_provider |= !self.typed.filters.is_empty() && self.typed.former.is_none();
        wanted
    }

    /// Which states the hosts of `expressions` may have: a filter that speaks of states is the provider's own affair.
    fn states(&self, expressions: &[Expression]) -> States {
        match self.typed.filters.iter().any(|filter| filter.name.contains("state")) {
            true => States::Any,
            false => states_of(expressions),
        }
    }

    /// Chooses hosts: those of `-H`, then all of `-h` unless there is a `-g`, then those of `-g`; without those of
    /// `-x`; the first `--limit`.
    ///
    /// # Errors
    /// When something asked for is unknown, and when no host is left.
    pub fn select(&self, inventory: &Inventory) -> Result<Selected, SelectError> {
        let (mut chosen, mut mentions, numbers) = self.choose(inventory)?;
        let left_out = self.leave_out_own_machine(&numbers, &mut chosen);
        mentions.drop_out(left_out.as_slice(), "include_self = false");
        let asked = chosen.len();
        let idle_excludes = self.exclude(&numbers, &mut chosen, &mut mentions)?;
        if chosen.is_empty() {
            return Err(self.empty(inventory, asked));
        }
        if let Some(limit) = self.typed.limit.filter(|limit| *limit < chosen.len()) {
            mentions.drop_out(&chosen.split_off(limit), &format!("--limit {limit}"));
        }
        let all = self.hosts.iter().chain(&self.groups).chain(&self.exclude);
        let former: HashMap<&Host, &FormerHost> =
            self.typed.former.iter().flat_map(|former| &former.hosts).map(|former| (&former.host, former)).collect();
        let chosen_numbers: QuickSet<usize> = chosen.iter().copied().collect();
        let others = inventory.hosts().iter().enumerate().filter(|(place, _)| !chosen_numbers.contains(place));
        let others = others.filter_map(|(_, known)| Some((known.host.clone(), known.endpoint.clone()?))).collect();
        let (duplicates, excluded) =
            (mentions.duplicates(&numbers, &chosen), mentions.excluded(&numbers, &chosen_numbers));
        let select = |number| self.selected(&numbers, number, mentions.take(number), &former);
        Ok(Selected {
            others,
            duplicates,
            excluded,
            hosts: chosen.into_iter().map(select).collect(),
            idle_excludes,
            drawn: all.flat_map(Expression::drawn).map(ToString::to_string).collect(),
            left_out: left_out.map(|number| numbers.host(number).clone()),
        })
    }

    /// The numbers of the hosts, how these were named, and what the numbers mean.
    fn choose<'a>(&self, inventory: &'a Inventory) -> Result<(Vec<usize>, Mentions, Numbers<'a>), SelectError> {
        let mut choosing = Choosing::new(inventory);
        let reading = Reading { meaning: Meaning::Host, states: self.states(&self.hosts), home: None, among: None };
        for expression in &self.hosts {
            choosing.add("-H", expression, reading)?;
        }
        if self.groups.is_empty() {
            self.typed.files.iter().for_each(|file| choosing.add_file(file));
        }
        let among = (!self.typed.files.is_empty()).then_some(FILES);
        let states = self.states(&self.groups);
        let reading = Reading { meaning: Meaning::Group, states, home: among, among };
        for expression in &self.groups {
            choosing.add("-g", expression, reading)?;
        }
        for expression in &self.filtered {
            choosing.add("--filter", expression, reading)?;
        }
        let (chosen, mentions, mut numbers) = choosing.into_parts();
        Ok(match &self.typed.former {
            Some(former) => (self.narrowed(former, &chosen, &mut numbers), mentions, numbers),
            None => (chosen, mentions, numbers),
        })
    }

    /// The hosts of a former run, and where hosts are named those of them only.
    fn narrowed(&self, former: &FormerHosts, chosen: &[usize], numbers: &mut Numbers<'_>) -> Vec<usize> {
        let typed = &self.typed;
        let all = typed.hosts.is_empty() && typed.files.is_empty() && typed.groups.is_empty();
        let chosen: QuickSet<&usize> = chosen.iter().collect();
        let meant = former.hosts.iter().map(|former| numbers.of(&former.host));
        meant.filter(|number| all || chosen.contains(number)).collect()
    }

    /// Takes out the machine that asks, unless it is named by `-H` or wanted.
    fn leave_out_own_machine(&self, numbers: &Numbers<'_>, chosen: &mut Vec<usize>) -> Option<usize> {
        if self.typed.own_machine == OwnMachine::Included || !self.hosts.is_empty() {
            return None;
        }
        let is_own = |&number: &usize| {
            let record = numbers.known(number).and_then(|known| known.record.as_ref());
            record.is_some_and(|record| record.is_self)
        };
        let place = chosen.iter().position(is_own)?;
        Some(chosen.remove(place))
    }

    /// Takes out what `-x` names, and tells which values of it name nobody.
    fn exclude(
        &self,
        numbers: &Numbers<'_>,
        chosen: &mut Vec<usize>,
        mentions: &mut Mentions,
    ) -> Result<Vec<IdleExclude>, SelectError> {
        let inventory = numbers.inventory;
        let among: Vec<Host> = match self.exclude.is_empty() {
            true => Vec::new(),
            false => chosen.iter().map(|&number| numbers.host(number).clone()).collect(),
        };
        let mut idle = Vec::new();
        let mut excluded: QuickSet<usize> = QuickSet::default();
        for (expression, value) in self.exclude.iter().zip(&self.typed.exclude) {
            let named: QuickSet<Host> =
                expression.evaluate(&mut Excluding { inventory, chosen: &among })?.into_iter().collect();
            let taken: Vec<usize> =
                chosen.iter().copied().filter(|&number| named.contains(numbers.host(number))).collect();
            mentions.drop_out(&taken, &format!("-x {value}"));
            if taken.is_empty() {
                let is_group = inventory.group_names().any(|name| name == value);
                idle.push(IdleExclude { value: value.clone(), group: is_group.then(|| format!("@{value}")) });
            }
            excluded.extend(taken);
        }
        chosen.retain(|number| !excluded.contains(number));
        Ok(idle)
    }

    fn selected(
        &self,
        numbers: &Numbers<'_>,
        number: usize,
        mention: Mention,
        former: &HashMap<&Host, &FormerHost>,
    ) -> SelectedHost {
        let (host, known) = (numbers.host(number), numbers.known(number));
        let before = former.get(host);
        let (mut origins, mut group) = match &self.typed.former {
            None => (mention.origins, mention.group),
            Some(former) => {
                let group = before.and_then(|before| before.group.as_deref().map(Arc::from));
                (vec![former.origin.as_str().into()], group)
            }
        };
        if let Some(known) = known {
            group = group.or_else(|| known.groups.first().cloned());
            let own = origins.len();
            origins.reserve_exact(known.origins.len());
            for origin in &known.origins {
                if !origins[..own].contains(origin) {
                    origins.push(Arc::clone(origin));
                }
            }
        }
        SelectedHost {
            group,
            groups: known.map_or_else(Vec::new, |known| known.groups.clone()),
            sources: known.map_or_else(Vec::new, |known| known.sources.clone()),
            rules: mention.rules,
            origins,
            endpoint: known.and_then(|known| known.endpoint.clone()),
            record: known.and_then(|known| known.record.clone()),
            instance: known.and_then(KnownHost::instance).or_else(|| before.and_then(|before| before.instance.clone())),
            host: host.clone(),
        }
    }

    fn empty(&self, inventory: &Inventory, excluded: usize) -> SelectError {
        let typed = &self.typed;
        let mut asked: Vec<String> = typed.former.iter().map(|former| former.origin.clone()).collect();
        asked.extend(typed.hosts.iter().map(|set| format!("-H {set}")));
        asked.extend(typed.files.iter().map(|file| format!("-h {}", file.path.display())));
        asked.extend(typed.groups.iter().map(|group| format!("-g {group}")));
        asked.extend(typed.filters.iter().map(|filter| format!("--filter {filter}")));
        let groups = inventory.group_names().map(str::to_owned).collect();
        let terms = self.groups.iter().chain(&self.hosts).flat_map(Expression::terms).filter(|_| excluded == 0);
        let misses = terms.filter_map(|term| inventory.miss(term)).take(MISSES).collect();
        SelectError::Empty(Empty { asked, excluded, known: inventory.hosts().len(), groups, misses })
    }
}

#[cfg(test)]
mod tests;
