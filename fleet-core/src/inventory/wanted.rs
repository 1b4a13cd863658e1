//! What providers must be asked before expressions can be evaluated.
//!
//! Must not know how they are asked.

use super::groups::Parsed;
use super::term::{Meaning, Reading, STATES, States};
use super::{Inventory, Patterns, Rank, SSH_SOURCE};
use crate::host::Host;
use crate::hostset::{Expression, Term, Word};
use crate::provider::protocol::{Filter, Query};

/// What is to be asked, and of whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Queries for every provider that may be asked.
    pub of_all: Vec<Query>,
    /// Queries for one provider.
    pub of_one: Vec<(String, Query)>,
    /// The last of the ranks at which all that is asked of all is known already; `None` where something is not. What is known
    /// is asked only of providers that are set up, in case that a name means something else there; and where the user's own
    /// sources know it, a provider's failure is no error.
    pub known: Option<Rank>,
    /// Whether the hosts of the OpenSSH configuration are asked for.
    pub ssh: bool,
    /// Whether something is asked for that only a provider can know.
    pub needs_provider: bool,
    /// The groups, by source and name, that are defined by what is asked.
    pub groups: Vec<(String, String)>,
    /// Which hosts are meant where an expression does not say.
    states: States,
}

impl Wanted {
    /// All hosts of all providers, also those that do not run.
    #[must_use]
    pub fn everything() -> Self {
        Self { of_all: vec![with_states(Vec::new(), States::Any)], states: States::Any, ..Self::default() }
    }

    /// Whether nobody needs to be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of_all.is_empty() && self.of_one.is_empty()
    }

    /// Takes in at which rank something is known that is asked of all.
    fn is_known_at(&mut self, rank: Option<Rank>) {
        self.known = self.known.zip(rank).map(|(known, rank)| known.max(rank));
    }
}

/// Which states the hosts of `expressions` may have.
pub(crate) fn states_of<'a>(expressions: impl IntoIterator<Item = &'a Expression>) -> States {
    let speaks = |term: &Term| matches!(term, Term::Fact { name: "state" | "id", .. });
    match expressions.into_iter().flat_map(Expression::terms).any(speaks) {
        true => States::Any,
        false => States::Running,
    }
}

impl Inventory {
    /// What must be asked before these expressions can be evaluated, at least for hosts in these states; words without mark
    /// mean a host in `hosts`, a group in `groups`.
    pub(crate) fn wanted(&self, hosts: &[&Expression], groups: &[&Expression], states: States) -> Wanted {
        let mut wanted = Wanted { known: Some(Rank::Own), states, ..Wanted::default() };
        for expression in hosts {
            self.want(expression, Bare::Host, &mut wanted, 0);
        }
        for expression in groups {
            self.want(expression, Bare::Group, &mut wanted, 0);
        }
        wanted.of_all.dedup();
        wanted
    }

    /// What must be asked before all groups are known: for all hosts that run; for those in other states too, where
    /// the definition of a group speaks of states.
    #[must_use]
    pub fn wanted_by_groups(&self) -> Wanted {
        let states = states_of(self.deferred.iter().flat_map(|parsed| &parsed.expressions));
        let name = |parsed: &Parsed| (parsed.source.clone(), parsed.definition.name.clone());
        Wanted {
            of_all: vec![with_states(Vec::new(), states)],
            groups: self.deferred.iter().map(name).collect(),
            ..Wanted::default()
        }
    }

    /// What must be asked before every host is known, in whatever state.
    #[must_use]
    pub fn wanted_by_hosts(&self) -> Wanted {
        Wanted { of_all: vec![with_states(Vec::new(), States::Any)], ..Wanted::default() }
    }

    fn want(&self, expression: &Expression, bare: Bare, wanted: &mut Wanted, depth: usize) {
        let states = if wanted.states == States::Any { States::Any } else { states_of([expression]) };
        for term in expression.sought() {
            match term {
                Term::Names(_) if bare == Bare::Host => {}
                Term::Names(word) => {
                    for name in self.unknown_or_all(word) {
                        self.want_group(None, &name, states, wanted, depth);
                    }
                }
                Term::Pattern(word) => {
                    wanted.is_known_at(self.rank_of_pattern(word));
                    wanted.of_all.push(with_states(pattern_query(word), states));
                }
                Term::Group { source, name } => {
                    self.want_group(source.as_deref(), name, states, wanted, depth);
                }
                Term::Tag { .. } | Term::Fact { .. } => {
                    wanted.is_known_at(None);
                    wanted.needs_provider = true;
                    wanted.of_all.extend(self.queries_of(term, states));
                }
            }
        }
    }

    /// The groups that a word names, but for a word with ranges that is a pattern over known hosts.
    fn unknown_or_all(&self, word: &Word) -> Vec<String> {
        let is_pattern = word.to_string().contains('[') && self.rank_of_pattern(word).is_some();
        if is_pattern { Vec::new() } else { word.expand() }
    }

    /// The rank of the hosts that a pattern means.
    fn rank_of_pattern(&self, word: &Word) -> Option<Rank> {
        let patterns = Patterns::parse([word.to_string().as_str()]).ok()?;
        self.rank_of_hosts(|host| patterns.matches(host))
    }

    /// The rank of the known hosts for which `is_wanted` holds.
    fn rank_of_hosts(&self, is_wanted: impl Fn(&Host) -> bool) -> Option<Rank> {
        let reading = Reading { meaning: Meaning::Host, states: States::Any, home: None, among: None };
        self.known(reading, is_wanted).first().map(|&place| self.hosts[place].rank)
    }

    fn want_group(&self, source: Option<&str>, name: &str, states: States, wanted: &mut Wanted, depth: usize) {
        let defined = self.want_definitions(source, name, wanted, depth);
        match source {
            Some(SSH_SOURCE) => wanted.ssh = true,
            Some(source) if defined.is_some() || self.sources.contains_key(source) => {}
            Some(provider) => {
                let queries = self.queries_of_group(name, states);
                wanted.of_one.extend(queries.into_iter().map(|query| (provider.to_owned(), query)));
            }
            None => {
                let known = match name {
                    "*" => self.rank_of_hosts(|_| true),
                    name => self.sources_of(name).map(|(_, rank)| rank).chain(defined).min(),
                };
                wanted.is_known_at(known);
                wanted.of_all.extend(self.queries_of_group(name, states));
            }
        }
    }

    /// Wants what the groups of this name are defined by that waited for providers. Returns the first of the ranks of their
    /// sources.
    fn want_definitions(&self, source: Option<&str>, name: &str, wanted: &mut Wanted, depth: usize) -> Option<Rank> {
        const DEEPEST: usize = 64;
        let is_meant =
            |parsed: &&Parsed| parsed.definition.name == name && source.is_none_or(|source| source == parsed.source);
        let mut rank = None;
        for parsed in self.deferred.iter().filter(is_meant) {
            rank = rank.into_iter().chain([self.rank(&parsed.source)]).min();
            let group = (parsed.source.clone(), parsed.definition.name.clone());
            if wanted.groups.contains(&group) {
                continue;
            }
            wanted.groups.push(group);
            if depth < DEEPEST {
                self.want_definition(parsed, wanted, depth + 1);
            }
        }
        rank
    }

    fn want_definition(&self, parsed: &Parsed, wanted: &mut Wanted, depth: usize) {
        for expression in &parsed.expressions {
            self.want(expression, Bare::Host, wanted, depth);
        }
    }

    /// The queries for the hosts of a group, or of all.
    fn queries_of_group(&self, name: &str, states: States) -> Vec<Query> {
        if name == "*" { vec![with_states(Vec::new(), states)] } else { self.group_queries(name, states) }
    }

    /// The queries of which any may match for `term` to mean a host.
    pub(super) fn queries_of(&self, term: &Term, states: States) -> Vec<Query> {
        let one = |filter: String, value: &str| {
            vec![with_states(vec![Filter { filter, values: vec![value.to_owned()] }], states)]
        };
        match term {
            Term::Tag { key, value: Some(value) } => one(format!("tag:{key}"), value),
            Term::Tag { key, value: None } => one("tag-key".to_owned(), key),
            Term::Fact { name: "role", value } => self.group_queries(value, states),
            Term::Fact { name, value } => one((*name).to_owned(), value),
            Term::Names(_) | Term::Pattern(_) | Term::Group { .. } => Vec::new(),
        }
    }

    /// The queries for the hosts that have `name` as a group: by a tag, or because their provider says so.
    fn group_queries(&self, name: &str, states: States) -> Vec<Query> {
        let tags = self.group_tags.iter().map(|tag| format!("tag:{tag}"));
        let filters = tags.chain(std::iter::once("group".to_owned()));
        let query = |filter| with_states(vec![Filter { filter, values: vec![name.to_owned()] }], states);
        filters.map(query).collect()
    }
}

/// What a word without mark means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bare {
    Host,
    Group,
}

/// Hosts by their names, where a provider's wildcards can say so; otherwise all.
fn pattern_query(word: &Word) -> Query {
    let written = word.to_string();
    let simple = !written.contains(['[', '{', '\\', '\'', '"', '@', ':']);
    if simple && written != "*" {
        vec![Filter { filter: "name".to_owned(), values: vec![written] }]
    } else {
        Vec::new()
    }
}

fn with_states(mut query: Query, states: States) -> Query {
    let says = query.iter().any(|filter| filter.filter == "state" || filter.filter == "id");
    if states == States::Any && !says {
        query.push(Filter { filter: "state".to_owned(), values: STATES.map(str::to_owned).to_vec() });
    }
    query
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{GroupDefinition, NamedHost, Source, file};
    use super::*;

    #[test]
    fn what_is_asked_is_known_at_the_last_of_the_ranks_that_know_its_parts() {
        let group = |name: &str, nodes: &str| GroupDefinition {
            name: name.to_owned(),
            expressions: vec![nodes.to_owned()],
            origin: "local.cfg".to_owned(),
        };
        let named = NamedHost { host: "s1".parse().unwrap(), endpoint: None, origin: "genders:1".to_owned() };
        let local = Source {
            name: "local".to_owned(),
            rank: Rank::System,
            hosts: vec![named],
            groups: vec![group("web", "w9"), group("gpu", "g1")],
        };
        let hosts = file::parse(b"h1\n[web]\nw1\n", Path::new("hosts")).unwrap();
        let inventory = Inventory::merge(&[hosts], &[local], &[group("asked", "az:a")]).unwrap();
        for (text, known) in [
            ("web", Some(Rank::Own)),
            ("gpu", Some(Rank::System)),
            ("web,gpu", Some(Rank::System)),
            ("gpu,web", Some(Rank::System)),
            ("web,other", None),
            ("other,gpu", None),
            ("@local:gpu", Some(Rank::Own)),
            ("h*", Some(Rank::Own)),
            ("s*", Some(Rank::System)),
            ("x*", None),
            ("@*", Some(Rank::Own)),
            ("@ssh:x", Some(Rank::Own)),
        ] {
            let expression = Expression::parse(text, &mut || 0).unwrap();
            let wanted = inventory.wanted(&[], &[&expression], States::default());
            assert_eq!((wanted.known, wanted.ssh), (known, text.contains("ssh")), "{text}");
        }
    }
}
