//! What the terms of an expression mean among the known hosts.
//!
//! Must not know which flag or file an expression was written in.

use std::collections::BTreeSet;

use globset::Glob;

use super::{Ambiguous, Inventory, PatternError, Patterns, did_you_mean, nearest};
use crate::host::{Host, HostSyntaxError};
use crate::hostset::{Term, Word};
use crate::provider::{self, protocol::Filter};

/// How many group names a hint lists.
const LISTED_GROUPS: usize = 20;
/// The states of a host that there is, whether or not it runs.
pub(crate) const STATES: [&str; 4] = ["pending", "running", "stopping", "stopped"];

/// What a word without mark means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A host.
    Host,
    /// A group.
    Group,
}

/// Which hosts of a provider are meant where an expression does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum States {
    /// Those that run.
    Running,
    /// All: the expression speaks of states.
    Any,
}

/// How terms are to be understood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    /// What a word without mark means.
    pub(crate) meaning: Meaning,
    /// Which hosts of providers are meant.
    pub(crate) states: States,
    /// The source whose groups come before those of others.
    pub(crate) home: Option<&'a str>,
    /// The source whose hosts patterns are tried on; otherwise those of all.
    pub(crate) among: Option<&'a str>,
}

/// Why a term means nothing.
#[derive(Debug, thiserror::Error)]
pub enum TermError {
    /// Something is no host.
    #[error(transparent)]
    Host(#[from] HostSyntaxError),
    /// A host is known with several users or ports.
    #[error(transparent)]
    AmbiguousHost(#[from] Ambiguous),
    /// A pattern is malformed.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Nobody defines the group.
    #[error("there is no group \"{name}\"{}", .of.as_ref().map_or(String::new(), |source| format!(" in {source}")))]
    UnknownGroup {
        /// The name.
        name: String,
        /// The source that was named with it.
        of: Option<String>,
        /// Known groups with similar names.
        nearest: Vec<String>,
        /// All known groups.
        known: Vec<String>,
    },
    /// Several sources define the group.
    #[error("the group \"{name}\" is defined in {}", sources.join(" and in "))]
    AmbiguousGroup {
        /// The name.
        name: String,
        /// The sources.
        sources: Vec<String>,
    },
    /// A pattern matches no known host.
    #[error("no known host matches \"{pattern}\"")]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// How many hosts it was tried on.
        tried: usize,
    },
}

impl TermError {
    /// The same where these groups are known too.
    pub(super) fn with_groups<'a>(self, more: impl Iterator<Item = &'a str>) -> Self {
        match self {
            Self::UnknownGroup { name, of: None, known, .. } => {
                let known: BTreeSet<String> = known.into_iter().chain(more.map(str::to_owned)).collect();
                let nearest = nearest(&name, known.iter().map(String::as_str));
                Self::UnknownGroup { name, of: None, nearest, known: known.into_iter().collect() }
            }
            other => other,
        }
    }

    /// What to do next, where the error does not say it all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::AmbiguousHost(_) => Some("write the host with its user or port".to_owned()),
            Self::UnknownGroup { nearest, known, .. } => {
                let known = known_groups(known);
                Some(did_you_mean(nearest).map_or(known.clone(), |question| format!("{question} {known}")))
            }
            Self::AmbiguousGroup { name, sources } => {
                let qualified: Vec<String> = sources.iter().map(|source| format!("@{source}:{name}")).collect();
                Some(format!("write {}", qualified.join(" or ")))
            }
            Self::NoMatch { tried: 0, .. } => {
                Some("no hosts are known: name a host file by -h, or in fleet.toml".to_owned())
            }
            Self::NoMatch { tried, .. } => Some(format!("{tried} hosts are known; -g '*' --list shows them")),
            Self::Host(_) | Self::Pattern(_) => None,
        }
    }
}

/// The names of groups, in words.
pub(crate) fn known_groups(groups: &[String]) -> String {
    let listed = groups[..groups.len().min(LISTED_GROUPS)].join(", ");
    match groups.len() {
        0 => "no groups are known".to_owned(),
        count if count > LISTED_GROUPS => format!("known groups: {listed} and {} more", count - LISTED_GROUPS),
        _ => format!("known groups: {listed}"),
    }
}

/// A host that a term means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meant {
    pub(crate) host: Host,
    /// The group it is meant as a member of.
    pub(crate) group: Option<String>,
    /// How often the term names it.
    pub(crate) times: usize,
}

impl Inventory {
    /// The hosts that `term` means, each once, in order.
    pub(crate) fn meant(&self, term: &Term, reading: Reading<'_>) -> Result<Vec<Meant>, TermError> {
        match term {
            Term::Names(word) if reading.meaning == Meaning::Host => self.named(word),
            Term::Names(word) => self.named_groups(word, reading),
            Term::Pattern(word) => self.matching(word, reading),
            Term::Group { source, name } if name == "*" => {
                Ok(self.all_of(source.as_deref().or(reading.among), reading.states))
            }
            Term::Group { source, name } => self.in_group(source.as_deref(), name, reading),
            Term::Tag { .. } | Term::Fact { .. } => Ok(self.answering(term, reading.states)),
        }
    }

    fn named(&self, word: &Word) -> Result<Vec<Meant>, TermError> {
        let mut meant: Vec<Meant> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for name in word.expand() {
            let host = self.complete(name.parse::<Host>()?)?;
            let place = *places.entry(host.clone()).or_insert_with(|| {
                meant.push(Meant { host, group: None, times: 0 });
                meant.len() - 1
            });
            meant[place].times += 1;
        }
        Ok(meant)
    }

    /// The hosts of the groups called so; a word with ranges that names no groups is a pattern over hosts.
    fn named_groups(&self, word: &Word, reading: Reading<'_>) -> Result<Vec<Meant>, TermError> {
        let names = word.expand();
        let are_groups = names.iter().all(|name| self.groups.contains_key(name));
        if !are_groups && word.to_string().contains('[') {
            return self.matching(word, reading);
        }
        let mut meant = Vec::new();
        for name in names {
            meant.extend(self.in_group(None, &name, reading)?);
        }
        Ok(meant)
    }

    fn matching(&self, word: &Word, reading: Reading<'_>) -> Result<Vec<Meant>, TermError> {
        let written = word.to_string();
        let patterns = Patterns::parse([written.as_str()])?;
        let candidates = self.all_of(reading.among, reading.states);
        let tried = candidates.len();
        let meant: Vec<Meant> = candidates.into_iter().filter(|meant| patterns.matches(&meant.host)).collect();
        match meant.is_empty() {
            true => Err(TermError::NoMatch { pattern: written, tried }),
            false => Ok(meant),
        }
    }

    /// All hosts of a source, or of all sources that count without being named.
    fn all_of(&self, source: Option<&str>, states: States) -> Vec<Meant> {
        let counts = |known: &super::KnownHost| match source {
            Some(source) => known.sources.iter().any(|known| known == source),
            None => known.sources.iter().any(|known| known != super::SSH_SOURCE),
        };
        let meant = |(_, known): (_, &super::KnownHost)| Meant { host: known.host.clone(), group: None, times: 1 };
        let known = self.hosts.iter().enumerate();
        known.filter(|(place, known)| counts(known) && self.is_meant(*place, states)).map(meant).collect()
    }

    /// Whether a host is in a state that is meant; those of files always are.
    pub(super) fn is_meant(&self, place: usize, states: States) -> bool {
        let record = self.hosts[place].record.as_ref();
        states == States::Any || record.is_none_or(|record| provider::matches(record, &[]))
    }

    fn in_group(&self, source: Option<&str>, name: &str, reading: Reading<'_>) -> Result<Vec<Meant>, TermError> {
        let is_pattern = name.contains(['*', '?', '[']);
        let names: Vec<&str> = if is_pattern { self.groups_like(name)? } else { vec![name] };
        let mut meant = Vec::new();
        let mut found = false;
        for name in names {
            if let Some(members) = self.members(source, name, reading.home)? {
                found = true;
                meant.extend(members.iter().filter(|member| self.is_meant(member.host, reading.states)).map(
                    |member| {
                        let host = self.hosts[member.host].host.clone();
                        Meant { host, group: Some(name.to_owned()), times: member.times }
                    },
                ));
            }
        }
        if found {
            return Ok(meant);
        }
        let known: BTreeSet<String> = self.group_names_of(source).map(str::to_owned).collect();
        let known: Vec<String> = known.into_iter().collect();
        Err(TermError::UnknownGroup {
            name: name.to_owned(),
            of: source.map(str::to_owned),
            nearest: nearest(name, known.iter().map(String::as_str)),
            known,
        })
    }

    fn groups_like(&self, pattern: &str) -> Result<Vec<&str>, TermError> {
        let glob = Glob::new(pattern).map_err(|error| {
            TermError::Pattern(PatternError::Glob { pattern: pattern.to_owned(), problem: error.kind().to_string() })
        })?;
        let matcher = glob.compile_matcher();
        Ok(self.groups.keys().map(String::as_str).filter(|name| matcher.is_match(name)).collect())
    }

    /// The hosts of providers that a query asks for.
    fn answering(&self, term: &Term, states: States) -> Vec<Meant> {
        let queries: Vec<Vec<Filter>> = self.queries_of(term, states);
        let asked =
            |known: &&super::KnownHost| known.record.as_ref().is_some_and(|record| provider::matches(record, &queries));
        let group = match term {
            Term::Fact { name: "role", value } if !value.contains(['*', '?']) => Some(value.clone()),
            _ => None,
        };
        let meant = |known: &super::KnownHost| Meant { host: known.host.clone(), group: group.clone(), times: 1 };
        self.hosts.iter().filter(asked).map(meant).collect()
    }
}
