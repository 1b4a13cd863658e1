//! What providers must be asked before expressions can be evaluated.
//!
//! Must not know how they are asked.

use super::Inventory;
use super::groups::Parsed;
use super::term::{STATES, States};
use crate::hostset::{Expression, Term, Word};
use crate::provider::protocol::{Filter, Query};

/// What is to be asked, and of whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Queries for every provider that may be asked.
    pub of_all: Vec<Query>,
    /// Queries for one provider.
    pub of_one: Vec<(String, Query)>,
    /// Whether somebody else knows all that is asked of all: then only providers that are set up are asked, in case that
    /// a name means something else there, and their failures are no errors.
    pub is_known: bool,
    /// Whether something is asked for that only a provider can know.
    pub needs_provider: bool,
    /// The groups, by source and name, that are defined by what is asked.
    pub groups: Vec<(String, String)>,
}

impl Wanted {
    /// Whether nobody needs to be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of_all.is_empty() && self.of_one.is_empty()
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
    /// What must be asked before these expressions can be evaluated; words without mark mean `meaning`.
    pub(crate) fn wanted(&self, hosts: &[&Expression], groups: &[&Expression]) -> Wanted {
        let mut wanted = Wanted { is_known: true, ..Wanted::default() };
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
        let states = states_of([expression]);
        for term in expression.sought() {
            match term {
                Term::Names(_) if bare == Bare::Host => {}
                Term::Names(word) => {
                    for name in self.unknown_or_all(word) {
                        self.want_group(None, &name, states, wanted, depth);
                    }
                }
                Term::Pattern(word) => {
                    wanted.is_known &= self.meant_by_pattern(word);
                    wanted.of_all.push(with_states(pattern_query(word), states));
                }
                Term::Group { source, name } => {
                    self.want_group(source.as_deref(), name, states, wanted, depth);
                }
                Term::Tag { .. } | Term::Fact { .. } => {
                    wanted.is_known = false;
                    wanted.needs_provider = true;
                    wanted.of_all.extend(self.queries_of(term, states));
                }
            }
        }
    }

    /// The groups that a word names, but for a word with ranges that is a pattern over known hosts.
    fn unknown_or_all(&self, word: &Word) -> Vec<String> {
        let is_pattern = word.to_string().contains('[') && self.meant_by_pattern(word);
        if is_pattern { Vec::new() } else { word.expand() }
    }

    fn meant_by_pattern(&self, word: &Word) -> bool {
        self.meant(
            &Term::Pattern(word.clone()),
            super::term::Reading { meaning: super::term::Meaning::Host, states: States::Any, home: None, among: None },
        )
        .is_ok()
    }

    fn want_group(&self, source: Option<&str>, name: &str, states: States, wanted: &mut Wanted, depth: usize) {
        const DEEPEST: usize = 64;
        let is_static = source.is_some_and(|source| self.sources.iter().any(|known| known == source));
        let deferred = self
            .deferred
            .iter()
            .filter(|parsed| parsed.definition.name == name && source.is_none_or(|source| source == parsed.source));
        let mut is_deferred = false;
        for parsed in deferred {
            is_deferred = true;
            let group = (parsed.source.clone(), parsed.definition.name.clone());
            if wanted.groups.contains(&group) {
                continue;
            }
            wanted.groups.push(group);
            if depth < DEEPEST {
                self.want_definition(parsed, wanted, depth + 1);
            }
        }
        if is_static || is_deferred && source.is_some() {
            return;
        }
        let queries =
            if name == "*" { vec![with_states(Vec::new(), states)] } else { self.group_queries(name, states) };
        match source {
            Some(provider) => wanted.of_one.extend(queries.into_iter().map(|query| (provider.to_owned(), query))),
            None => {
                let known = match name {
                    "*" => !self.hosts.is_empty(),
                    name => is_deferred || self.groups.contains_key(name),
                };
                wanted.is_known &= known;
                wanted.of_all.extend(queries);
            }
        }
    }

    fn want_definition(&self, parsed: &Parsed, wanted: &mut Wanted, depth: usize) {
        for expression in &parsed.expressions {
            self.want(expression, Bare::Host, wanted, depth);
        }
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
