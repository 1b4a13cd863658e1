//! What the variables of an Ansible inventory say about the way to hosts.
//!
//! Must not know how they are written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ansible::{ALL, UNGROUPED};
use crate::endpoint::Endpoint;
use crate::host::Host;

/// Connections of Ansible that are SSH; `smart` chooses among them.
const SSH: [&str; 6] = ["ssh", "smart", "paramiko", "paramiko_ssh", "libssh", "network_cli"];
/// Variables about connections that have no effect here.
const WITHOUT_EFFECT: [&str; 9] = [
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_executable",
    "ansible_password",
    "ansible_ssh_password",
    "ansible_ssh_pass",
];

/// Whether a variable would have an effect in Ansible that it has not here.
pub(super) fn is_without_effect(name: &str) -> bool {
    WITHOUT_EFFECT.contains(&name)
}

/// What a variable says: a value, or a template, which only Ansible can evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told<T> {
    Value(T),
    Template(String),
}

impl<T> Told<T> {
    fn read(text: &str, value: fn(&str) -> Result<T, &'static str>) -> Result<Option<Self>, &'static str> {
        match text.contains("{{") || text.contains("{%") {
            true => Ok(Some(Self::Template(text.to_owned()))),
            false => value(text).map(|value| Some(Self::Value(value))),
        }
    }

    fn template(&self) -> Option<&str> {
        match self {
            Self::Value(_) => None,
            Self::Template(text) => Some(text),
        }
    }

    fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Template(_) => None,
        }
    }
}

/// The way to a host, as far as variables say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    address: Option<Told<String>>,
    port: Option<Told<u16>>,
    user: Option<Told<String>>,
    connection: Option<String>,
}

impl Way {
    /// Takes one variable in; most say nothing about the way.
    ///
    /// # Errors
    /// What was expected as its value.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "ansible_host" | "ansible_ssh_host" => self.address = Told::read(value, address)?,
            "ansible_port" | "ansible_ssh_port" => self.port = Told::read(value, port)?,
            "ansible_user" | "ansible_ssh_user" => self.user = Told::read(value, user)?,
            "ansible_connection" => self.connection = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// What this does not say is as `farther` says it.
    fn or(self, farther: Option<&Self>) -> Self {
        let Some(farther) = farther.cloned() else { return self };
        Self {
            address: self.address.or(farther.address),
            port: self.port.or(farther.port),
            user: self.user.or(farther.user),
            connection: self.connection.or(farther.connection),
        }
    }

    /// Why nobody but Ansible can go it: `ansible_connection=docker is not SSH`.
    pub(super) fn obstacle(&self) -> Option<String> {
        let Self { address, port, user, connection } = self;
        // Also `ansible.builtin.ssh`.
        let is_ssh = |connection: &str| connection.rsplit('.').next().is_some_and(|name| SSH.contains(&name));
        if let Some(connection) = connection.as_deref().filter(|connection| !is_ssh(connection)) {
            return Some(format!("ansible_connection={connection} is not SSH"));
        }
        let templates = [
            ("ansible_host", address.as_ref().and_then(Told::template)),
            ("ansible_port", port.as_ref().and_then(Told::template)),
            ("ansible_user", user.as_ref().and_then(Told::template)),
        ];
        let template = templates.into_iter().find_map(|(name, template)| Some((name, template?)));
        template.map(|(name, template)| format!("{name}={template} is a template, which only Ansible evaluates"))
    }

    /// What it says, where there is no obstacle.
    pub(super) fn endpoint(self) -> Option<Endpoint> {
        let Self { address, port, user, connection: _ } = self;
        let endpoint = Endpoint {
            address: address.and_then(Told::value).map(Into::into),
            port: port.and_then(Told::value),
            user: user.and_then(Told::value).map(Into::into),
            host_key_alias: None,
        };
        (endpoint != Endpoint::default()).then_some(endpoint)
    }
}

fn address(value: &str) -> Result<String, &'static str> {
    match value.parse::<Host>() {
        Ok(host) if host.user().is_none() && host.port().is_none() => Ok(host.name().to_owned()),
        _ => Err("a name or an address, without user and port"),
    }
}

fn port(value: &str) -> Result<u16, &'static str> {
    value.parse().ok().filter(|&port| port > 0).ok_or("a number from 1 to 65535")
}

fn user(value: &str) -> Result<String, &'static str> {
    let named = format!("{value}@host").parse::<Host>();
    named.map(|_| value.to_owned()).map_err(|_| "the name of a user")
}

/// The variables of a file.
#[derive(Debug, Default)]
pub(super) struct Variables {
    pub(super) of_hosts: HashMap<Host, Way>,
    pub(super) of_groups: BTreeMap<String, Way>,
}

impl Variables {
    /// The way to `host`: what is said of itself, then of its groups, the nearest first, then of all hosts.
    pub(super) fn way(&self, host: &Host, groups: &[&str], tree: &Tree) -> Way {
        let own = self.of_hosts.get(host).cloned().unwrap_or_default();
        if self.of_groups.is_empty() {
            return own;
        }
        let nearest_first = tree.nearest_first(groups).into_iter().chain([ALL]);
        nearest_first.fold(own, |way, group| way.or(self.of_groups.get(group)))
    }
}

/// Which groups are in which.
#[derive(Debug, Default)]
pub(super) struct Tree<'a> {
    parents: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(children: impl Iterator<Item = (&'a str, &'a [String])>) -> Self {
        let mut tree = Self::default();
        for (parent, children) in children {
            for child in children {
                tree.parents.entry(child).or_default().push(parent);
            }
        }
        tree
    }

    /// `groups` and those they are in, in the order in which Ansible lets their variables count: the more groups there are
    /// around one, the earlier it comes; among equals the last by name. Hosts in no group are in `ungrouped`.
    fn nearest_first<'b>(&'b self, groups: &[&'b str]) -> Vec<&'b str>
    where
        'a: 'b,
    {
        let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
        for group in if groups.is_empty() { &[UNGROUPED] } else { groups } {
            self.depth(group, &mut depths, &mut BTreeSet::new());
        }
        depths.remove(ALL);
        let mut groups: Vec<(usize, &str)> = depths.into_iter().map(|(group, depth)| (depth, group)).collect();
        groups.sort_unstable_by(|a, b| b.cmp(a));
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// How many groups are around `group`, on the longest way. A group within itself is refused elsewhere.
    fn depth<'b>(
        &'b self,
        group: &'b str,
        depths: &mut BTreeMap<&'b str, usize>,
        within: &mut BTreeSet<&'b str>,
    ) -> usize
    where
        'a: 'b,
    {
        if let Some(&depth) = depths.get(group) {
            return depth;
        }
        let mut depth = 0;
        if within.insert(group) {
            for parent in self.parents.get(group).into_iter().flatten() {
                depth = depth.max(1 + self.depth(parent, depths, within));
            }
            within.remove(group);
        }
        depths.insert(group, depth);
        depth
    }
}
