//! What the terms of an expression mean among the known hosts.
//!
//! Must not know which flag or file an expression was written in.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::misses::shown;
use super::pattern::wildcard;
use super::{
    Ambiguous, FILES, Inventory, KnownHost, Member, PatternError, Patterns, Rank, SourceGroup, did_you_mean, nearest,
};
use crate::host::{Host, HostSyntaxError};
use crate::hostset::{Term, Word};
use crate::provider::{self, protocol::Filter};

/// How many group names a hint lists, if there are no more; otherwise so many of them.
const LISTED_GROUPS: usize = 20;
const LISTED_OF_MANY: usize = 8;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum States {
    /// Those that run.
    #[default]
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
    #[error("there is no group \"{name}\"{}{}", of.as_ref().map_or(String::new(), |of| format!(" in {of}")), untagged(name, tags))]
    UnknownGroup {
        /// The name.
        name: String,
        /// The source that was named with it.
        of: Option<String>,
        /// The tags of hosts that were looked at for it.
        tags: Vec<String>,
        /// Known groups with similar names, and how many hosts these have.
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
    #[error("no known host{} matches \"{pattern}\"", .among.as_ref().map_or(String::new(), |source| format!(" of {source}")))]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// How many hosts it was tried on.
        tried: usize,
        /// The source whose hosts these are, if it was named.
        among: Option<String>,
    },
}

impl TermError {
    /// The same where these groups are known too.
    pub(super) fn with_groups<'a>(self, more: impl Iterator<Item = &'a str>) -> Self {
        match self {
            Self::UnknownGroup { name, of: None, tags, known, .. } => {
                let known: BTreeSet<String> = known.into_iter().chain(more.map(str::to_owned)).collect();
                let nearest = nearest(&name, known.iter().map(String::as_str));
                Self::UnknownGroup { name, of: None, tags, nearest, known: known.into_iter().collect() }
            }
            other => other,
        }
    }

    /// What to do next, where the error does not say it all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::AmbiguousHost(_) => Some("write the host with its user or port".to_owned()),
            Self::UnknownGroup { name, of: None, .. } if name.contains(':') => Some(
                "\",\" unites groups, \"!\" and \"&\" are Ansible's \":!\" and \":&\", @SOURCE:GROUP names a source"
                    .to_owned(),
            ),
            Self::UnknownGroup { nearest, known, .. } => {
                let known = known_groups(known);
                Some(did_you_mean(nearest).map_or(known.clone(), |question| format!("{question} {known}")))
            }
            Self::AmbiguousGroup { name, sources } => {
                let qualified: Vec<String> = sources.iter().map(|source| format!("@{source}:{name}")).collect();
                Some(format!("write {}", qualified.join(" or ")))
            }
            Self::NoMatch { tried: 0, among: None, .. } => Some(
                "no hosts are known: name a host file by -h, or in fleet.toml; hosts of ssh_config are @ssh:PATTERN"
                    .to_owned(),
            ),
            Self::NoMatch { tried, among, .. } => Some(match among {
                None => {
                    format!("{tried} hosts are known; -g '*' --list shows them")
                }
                Some(source) => format!("{tried} hosts are known to {source}; -g '@{source}:*' --list shows them"),
            }),
            Self::Host(_) | Self::Pattern(_) => None,
        }
    }
}

/// The names of groups, in words.
pub(crate) fn known_groups(groups: &[String]) -> String {
    let listed = |count: usize| groups[..count].iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    match groups.len() {
        0 => "no groups are known".to_owned(),
        count if count > LISTED_GROUPS => {
            let (listed, more) = (listed(LISTED_OF_MANY), count - LISTED_OF_MANY);
            format!("known groups: {listed} and {more} more; fleet hosts --groups lists them")
        }
        count => format!("known groups: {}", listed(count)),
    }
}

/// The tags that no host has the group by.
fn untagged(name: &str, tags: &[String]) -> String {
    let tags: Vec<String> = tags.iter().map(|tag| format!("{tag}={name}")).collect();
    if tags.is_empty() { String::new() } else { format!(", and no host has {}", tags.join(" or ")) }
}

/// A host that a term means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meant {
    pub(crate) host: Host,
    /// The place of exactly this host in [`Inventory::hosts`], if it is known.
    pub(crate) place: Option<usize>,
    /// The group it is meant as a member of.
    pub(crate) group: Option<Arc<str>>,
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
                let among = source.as_deref().or(reading.among);
                let all = self.known(Reading { among, ..reading }, |_| true);
                Ok(all.into_iter().map(|place| self.meant_at(place, None)).collect())
            }
            Term::Group { source, name } => self.in_group(source.as_deref(), name, reading),
            Term::Tag { .. } | Term::Fact { .. } => Ok(self.answering(term, reading.states)),
        }
    }

    /// The known host at `place`, by its own name or as one of a group.
    fn meant_at(&self, place: usize, group: Option<&Arc<str>>) -> Meant {
        Meant { host: self.hosts[place].host.clone(), place: Some(place), group: group.cloned(), times: 1 }
    }

    fn named(&self, word: &Word) -> Result<Vec<Meant>, TermError> {
        let mut meant: Vec<Meant> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for name in word.expand() {
            let host = self.complete(name.parse::<Host>()?)?;
            let place = *places.entry(host.clone()).or_insert_with(|| {
                let place = self.by_host.get(&host).copied();
                meant.push(Meant { host, place, group: None, times: 0 });
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
        self.matching_name(&word.to_string(), reading)
    }

    fn matching_name(&self, written: &str, reading: Reading<'_>) -> Result<Vec<Meant>, TermError> {
        let patterns = Patterns::parse([written])?;
        let meant = self.known(reading, |host| patterns.matches(host));
        match meant.is_empty() {
            true => {
                let (pattern, among) =
                    (written.to_owned(), reading.among.filter(|source| *source != FILES).map(str::to_owned));
                Err(TermError::NoMatch { pattern, tried: self.known(reading, |_| true).len(), among })
            }
            false => Ok(meant.into_iter().map(|place| self.meant_at(place, None)).collect()),
        }
    }

    /// The places of the hosts for which `is_wanted` holds: of the source that is read among, or of all that count without being named,
    /// and then those of the first rank that has any.
    pub(super) fn known(&self, reading: Reading<'_>, is_wanted: impl Fn(&Host) -> bool) -> Vec<usize> {
        let counts = |known: &KnownHost| match reading.among {
            Some(source) => known.sources.iter().any(|known| **known == *source),
            None => known.rank != Rank::Named,
        };
        let wanted = |place: &usize| {
            let known = &self.hosts[*place];
            counts(known) && self.is_meant(*place, reading.states) && is_wanted(&known.host)
        };
        let mut known: Vec<usize> = (0..self.hosts.len()).filter(wanted).collect();
        if reading.among.is_none() {
            let first = known.iter().map(|&place| self.hosts[place].rank).min();
            known.retain(|&place| Some(self.hosts[place].rank) == first);
        }
        known
    }

    /// Whether a host is in a state that is meant; those of files always are.
    pub(super) fn is_meant(&self, place: usize, states: States) -> bool {
        let record = self.hosts[place].record.as_ref();
        states == States::Any || record.is_none_or(|record| provider::matches(record, &[]))
    }

    /// The members of a group that are meant. Where a provider says who is in it, those that are in a state that is meant; whoever
    /// defines a group otherwise has chosen among states.
    pub(super) fn members_meant<'a>(
        &'a self,
        group: &'a SourceGroup,
        states: States,
    ) -> impl Iterator<Item = &'a Member> {
        group.members.iter().filter(move |member| {
            let is_told = self.hosts[member.host].provider.as_deref() == Some(group.source.as_str());
            !is_told || self.is_meant(member.host, states)
        })
    }

    fn in_group(&self, source: Option<&str>, name: &str, reading: Reading<'_>) -> Result<Vec<Meant>, TermError> {
        let is_pattern = name.contains(['*', '?', '[']);
        let names: Vec<&str> = if is_pattern { self.groups_like(source, name)? } else { vec![name] };
        let mut meant = Vec::new();
        let mut found = false;
        for name in names {
            if let Some(group) = self.group(source, name, reading.home)? {
                found = true;
                let name: Arc<str> = name.into();
                let members = self.members_meant(group, reading.states);
                meant.extend(
                    members.map(|member| Meant { times: member.times, ..self.meant_at(member.host, Some(&name)) }),
                );
            }
        }
        if let (false, Some(super::SSH_SOURCE)) = (found, source) {
            return self.matching_name(name, Reading { among: source, ..reading });
        }
        if found {
            return Ok(meant);
        }
        let known: BTreeSet<String> = self.group_names_of(source).map(str::to_owned).collect();
        let known: Vec<String> = known.into_iter().collect();
        let nearest = nearest(name, known.iter().map(String::as_str));
        Err(TermError::UnknownGroup {
            name: name.to_owned(),
            of: source.map(str::to_owned),
            tags: if self.has_records() { self.group_tags.clone() } else { Vec::new() },
            nearest: nearest.iter().map(|name| self.sized(name)).collect(),
            known,
        })
    }

    /// The names of groups that match: those of a source, or of the first rank that has any.
    fn groups_like<'a>(&'a self, source: Option<&'a str>, pattern: &str) -> Result<Vec<&'a str>, TermError> {
        let wildcard = wildcard(pattern)?;
        let names = self.group_names_of(source).filter(|name| wildcard.matches(name));
        let mut ranked: Vec<(Option<Rank>, &str)> =
            names.map(|name| (self.sources_of(name).map(|(_, rank)| rank).min(), name)).collect();
        if source.is_none() {
            let first = ranked.iter().map(|(rank, _)| *rank).min();
            ranked.retain(|(rank, _)| Some(*rank) == first);
        }
        Ok(ranked.into_iter().map(|(_, name)| name).collect())
    }

    /// The hosts of providers that a query asks for.
    pub(super) fn answering(&self, term: &Term, states: States) -> Vec<Meant> {
        let queries: Vec<Vec<Filter>> = self.queries_of(term, states);
        let asked = |place: &usize| {
            self.hosts[*place].record.as_ref().is_some_and(|record| provider::matches(record, &queries))
        };
        let group = match term {
            Term::Fact { name: "role", value } if !value.contains(['*', '?', '\\']) => Some(Arc::from(value.as_str())),
            _ => None,
        };
        (0..self.hosts.len()).filter(asked).map(|place| self.meant_at(place, group.as_ref())).collect()
    }
}
