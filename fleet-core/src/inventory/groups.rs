//! Groups defined by expressions: `web = "web[01-20]"`, `all = ["@web", "db1"]`, `eu = "tag:Role=web & az:eu-*"`.
//!
//! Must not know the file they were written in, but for its name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::term::{Meaning, Meant, Reading, States, TermError};
use super::wanted::states_of;
use super::{
    FILES, GROUP_NAME, GROUP_NAME_ELSEWHERE, Inventory, InventoryError, SETTINGS, is_group_name,
    is_group_name_elsewhere, rank,
};
use crate::host::Host;
use crate::hostset::{Expression, Term, Universe};

/// A group and what it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDefinition {
    /// The name, without `@`.
    pub name: String,
    /// Expressions over hosts, groups and what providers know; no expression, no hosts.
    pub expressions: Vec<String>,
    /// Where it is defined: `fleet.toml [groups] web`.
    pub origin: String,
}

/// A definition whose expressions are read.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) source: String,
    pub(super) definition: GroupDefinition,
    pub(super) expressions: Vec<Expression>,
}

impl Parsed {
    pub(super) fn read(source: &str, definition: &GroupDefinition) -> Result<Self, InventoryError> {
        let origin = || definition.origin.clone();
        let (is_allowed, expected) = match source {
            FILES | SETTINGS => (is_group_name(&definition.name), GROUP_NAME),
            _ => (is_group_name_elsewhere(&definition.name), GROUP_NAME_ELSEWHERE),
        };
        if !is_allowed {
            let found = format!("the group is called \"{}\"", definition.name);
            return Err(InventoryError::GroupName { origin: origin(), found, expected });
        }
        let read = |text: &String| Expression::parse(text, &mut rand::random);
        let expressions: Result<_, _> = definition.expressions.iter().map(read).collect();
        let expressions = expressions.map_err(|problem| InventoryError::Definition { origin: origin(), problem })?;
        Ok(Self { source: source.to_owned(), definition: definition.clone(), expressions })
    }

    fn name(&self) -> Name<'_> {
        (&self.source, &self.definition.name)
    }

    fn terms(&self) -> impl Iterator<Item = &Term> {
        self.expressions.iter().flat_map(Expression::terms)
    }

    /// Whether it asks for what only providers know, by itself. A group that nobody else has may be one of theirs, if the user
    /// names it.
    fn asks(&self, inventory: &Inventory, defined: &HashSet<&str>) -> bool {
        self.terms().any(|term| match term {
            Term::Tag { .. } | Term::Fact { .. } => true,
            Term::Group { source: Some(source), .. } => !inventory.sources.contains_key(source),
            Term::Group { source: None, name } => {
                self.source == SETTINGS
                    && !name.contains(['*', '?', '['])
                    && !inventory.groups.contains_key(name)
                    && !defined.contains(name.as_str())
            }
            Term::Names(_) | Term::Pattern(_) => false,
        })
    }

    /// Whether it names a group of one of `others`.
    fn names_any_of(&self, others: &[Self]) -> bool {
        self.terms().any(|term| match term {
            Term::Group { source, name } => others.iter().any(|other| {
                other.definition.name == *name && source.as_ref().is_none_or(|source| *source == other.source)
            }),
            _ => false,
        })
    }
}

/// Adds the groups of a source to an inventory that holds the hosts of all sources. Those that ask for what providers know
/// are kept for later.
pub(super) fn add(inventory: &mut Inventory, definitions: &[(String, GroupDefinition)]) -> Result<(), InventoryError> {
    let mut seen = HashSet::new();
    let mut fixed = Vec::new();
    for (source, definition) in definitions {
        let parsed = inventory.tolerated(source, Parsed::read(source, definition))?;
        if seen.insert((source, &definition.name)) {
            fixed.extend(parsed);
        }
    }
    let defined: HashSet<&str> = definitions.iter().map(|(_, definition)| definition.name.as_str()).collect();
    let mut deferred: Vec<Parsed> = fixed.extract_if(.., |parsed| parsed.asks(inventory, &defined)).collect();
    loop {
        let more: Vec<Parsed> = fixed.extract_if(.., |parsed| parsed.names_any_of(&deferred)).collect();
        if more.is_empty() {
            break;
        }
        deferred.extend(more);
    }
    define(inventory, &fixed)?;
    inventory.deferred = deferred;
    Ok(())
}

/// Adds groups, in whatever order they name each other.
pub(super) fn define(inventory: &mut Inventory, groups: &[Parsed]) -> Result<(), InventoryError> {
    // Looked up while the inventory has none of them, so that their order does not matter.
    let members = members_of(inventory, groups);
    for (Parsed { source, definition, .. }, hosts) in groups.iter().zip(members) {
        let Some(hosts) = inventory.tolerated(source, hosts)? else { continue };
        let (name, origin): (Arc<str>, Arc<str>) = (source.as_str().into(), definition.origin.as_str().into());
        let add = |host| inventory.add_host(host, &name, Arc::clone(&origin));
        let indexes: Vec<usize> = hosts.into_iter().map(add).collect();
        inventory.add_members(source, &definition.name, &indexes);
    }
    Ok(())
}

/// The hosts of each group, or why it has none.
fn members_of(inventory: &Inventory, groups: &[Parsed]) -> Vec<Result<Vec<Host>, InventoryError>> {
    let mut by_name: HashMap<&str, Vec<&Parsed>> = HashMap::new();
    for parsed in groups {
        by_name.entry(&parsed.definition.name).or_default().push(parsed);
    }
    let mut resolver = Resolver { inventory, groups: by_name, resolved: HashMap::new(), chain: Vec::new() };
    let resolve = |parsed| {
        resolver.chain.clear();
        resolver.resolve_group(parsed)
    };
    let resolved: Vec<Result<(), InventoryError>> = groups.iter().map(resolve).collect();
    let mut members = Vec::new();
    for (parsed, resolved) in groups.iter().zip(resolved) {
        members.push(resolved.map(|()| resolver.resolved.remove(&parsed.name()).unwrap_or_default()));
    }
    members
}

/// The source and the name of a group.
type Name<'a> = (&'a str, &'a str);

struct Resolver<'a> {
    inventory: &'a Inventory,
    /// By their names, one of each source.
    groups: HashMap<&'a str, Vec<&'a Parsed>>,
    resolved: HashMap<Name<'a>, Vec<Host>>,
    /// The groups that are being resolved, outermost first.
    chain: Vec<&'a Parsed>,
}

impl<'a> Resolver<'a> {
    fn resolve_group(&mut self, parsed: &'a Parsed) -> Result<(), InventoryError> {
        let name = parsed.name();
        if self.resolved.contains_key(&name) {
            return Ok(());
        }
        if let Some(start) = self.chain.iter().position(|outer| outer.name() == name) {
            let chain = self.chain[start..].iter().chain([&parsed]);
            let chain = chain.map(|parsed| parsed.definition.name.clone()).collect();
            let origin = self.chain.last().map_or(&parsed.definition.origin, |last| &last.definition.origin).clone();
            return Err(InventoryError::Cycle { origin, chain });
        }
        self.chain.push(parsed);
        let mut hosts: Vec<Host> = Vec::new();
        let mut seen = HashSet::new();
        let states = states_of(&parsed.expressions);
        for expression in &parsed.expressions {
            let members = expression.evaluate(&mut Scope { resolver: self, within: parsed, states })?;
            hosts.extend(members.into_iter().filter(|host| seen.insert(host.clone())));
        }
        self.chain.pop();
        self.resolved.insert(name, hosts);
        Ok(())
    }

    /// The definition that a group's name means within `within`: of its own source first.
    ///
    /// # Errors
    /// When several sources have such a group.
    fn defined(&self, within: &Parsed, source: Option<&str>, name: &str) -> Result<Option<&'a Parsed>, TermError> {
        let defined = self.groups.get(name).map_or(&[][..], Vec::as_slice);
        let source = match source {
            Some(source) => Some(source),
            None => {
                let here = defined.iter().map(|parsed| (parsed.source.as_str(), self.inventory.rank(&parsed.source)));
                rank::answering(name, self.inventory.sources_of(name).chain(here), Some(&within.source))?
            }
        };
        Ok(defined.iter().find(|parsed| Some(parsed.source.as_str()) == source).copied())
    }
}

/// A group that is being resolved.
struct Scope<'r, 'a> {
    resolver: &'r mut Resolver<'a>,
    within: &'a Parsed,
    states: States,
}

impl Universe for Scope<'_, '_> {
    type Item = Host;
    type Error = InventoryError;

    fn resolve(&mut self, term: &Term) -> Result<Vec<Host>, InventoryError> {
        if let Term::Group { source, name } = term
            && let Some(group) =
                self.resolver.defined(self.within, source.as_deref(), name).map_err(|problem| self.refused(problem))?
        {
            self.resolver.resolve_group(group)?;
            return Ok(self.resolver.resolved.get(&group.name()).cloned().unwrap_or_default());
        }
        let reading =
            Reading { meaning: Meaning::Host, states: self.states, home: Some(&self.within.source), among: None };
        let meant = self.resolver.inventory.meant(term, reading).map_err(|problem| self.refused(problem))?;
        Ok(meant.into_iter().map(|Meant { host, .. }| host).collect())
    }
}

impl Scope<'_, '_> {
    fn refused(&self, problem: TermError) -> InventoryError {
        let problem = problem.with_groups(self.resolver.groups.keys().copied());
        InventoryError::Term { origin: self.within.definition.origin.clone(), problem: Box::new(problem) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::SETTINGS;
    use super::*;

    /// Merges the host file `hosts` and the definitions `name = expression`, one to a line, and names the groups.
    fn merged(hosts: &str, definitions: &str) -> Result<Inventory, InventoryError> {
        let file = super::super::file::parse(hosts.as_bytes(), Path::new("hosts")).unwrap();
        let define = |line: &str| {
            let (name, expression) = line.split_once(" = ").unwrap();
            let origin = format!("fleet.toml [groups] {name}");
            GroupDefinition { name: name.to_owned(), expressions: vec![expression.to_owned()], origin }
        };
        let mut inventory = Inventory::merge(&[file], &[], &definitions.lines().map(define).collect::<Vec<_>>())?;
        inventory.define(&inventory.wanted_by_groups().groups)?;
        Ok(inventory)
    }

    fn members(inventory: &Inventory, group: &str) -> String {
        let members = inventory.group(Some(SETTINGS), group, None).unwrap().unwrap().members.iter();
        members.map(|member| inventory.hosts()[member.host].host.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_group_names_hosts_ranges_and_other_groups() {
        for (hosts, definitions, group, expected) in [
            ("", "web = web[1-2],db1", "web", "web1 web2 db1"),
            ("", "all = @web,@db\nweb = web[1-2]\ndb = db1 web2", "all", "web1 web2 db1"),
            ("[web]\nweb1", "all = @web web2", "all", "web1 web2"),
            ("[web]\nweb1", "web = web2", "web", "web2"),
            ("[web]\nweb1", "web = web2\nall = @web", "all", "web2"),
            ("[web]\nweb1", "web = @hosts:web,web2", "web", "web1 web2"),
            ("[web]\nweb[1-4]", "canary = @web&first\nrest = @web!@canary", "rest", "web2 web3 web4"),
            ("web1\nweb2\ndb1", "web = web*", "web", "web1 web2"),
            ("root@web1:22", "web = web[1-2]", "web", "root@web1:22 web2"),
            ("", "a = root@web1\nb = web1", "b", "web1"),
            ("", "a = x\na = y", "a", "x"),
        ] {
            assert_eq!(members(&merged(hosts, definitions).unwrap(), group), expected, "{definitions}");
        }
    }

    #[test]
    fn a_host_knows_the_groups_that_define_it() {
        let inventory = merged("web1", "web = web1\nall = @web").unwrap();
        let web1 = inventory.get(&"web1".parse().unwrap()).unwrap();
        assert_eq!(web1.groups, ["web", "all"].map(Arc::from));
        assert_eq!(web1.origins, ["hosts:1", "fleet.toml [groups] web", "fleet.toml [groups] all"].map(Arc::from));
    }

    #[test]
    fn a_broken_definition_is_named_with_its_origin() {
        for (hosts, definitions, message) in [
            ("", "web = @wbe\nwebs = a", "fleet.toml [groups] web: there is no group \"wbe\""),
            ("", "a = @b\nb = @c\nc = @b", "fleet.toml [groups] c: the group is part of itself: b -> c -> b"),
            ("[a]\nx", "a = @a", "fleet.toml [groups] a: the group is part of itself: a -> a"),
            ("", "web = web[3-1]", "fleet.toml [groups] web: the range \"3-1\""),
            ("", "web = a;b", "fleet.toml [groups] web: ';' cannot be part of a host name (in \"a;b\")"),
            ("l:1\nl:2", "web = l", "fleet.toml [groups] web: \"l\" could be l:1 or l:2"),
            ("", "a b = x", "fleet.toml [groups] a b: the group is called \"a b\"; expected a group name"),
        ] {
            assert_eq!(merged(hosts, definitions).unwrap_err().to_string().find(message), Some(0), "{definitions}");
        }
        let error = merged("[webs]", "web = @wbe").unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean web or webs? known groups: web, webs");
    }
}
