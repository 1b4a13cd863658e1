//! What makes a host file an inventory of Ansible: groups of groups, and variables.
//!
//! Must not know how a line is written.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::HostFile;
use super::line::Unexpected;
use super::variables::{Tree, Variables, Way, is_without_effect};
use crate::host::Host;
use crate::hostset;
use crate::inventory::{FILES, GroupDefinition};

/// The group of every host.
pub(in crate::inventory) const ALL: &str = "all";
/// The group of the hosts that are in no other.
pub(super) const UNGROUPED: &str = "ungrouped";

/// The part of a file that only Ansible has.
#[derive(Debug, Default)]
pub(super) struct Ansible {
    is_there: bool,
    /// The groups that consist of groups, with the lines that say so first.
    children: BTreeMap<String, (usize, Vec<String>)>,
    variables: Variables,
    /// The groups with variables, likewise.
    variable_headings: BTreeMap<String, usize>,
    /// Variables without effect, likewise.
    without_effect: BTreeMap<String, usize>,
}

impl Ansible {
    pub(super) fn begin_children(&mut self, parent: &str, line: usize) {
        self.is_there = true;
        self.children.entry(parent.to_owned()).or_insert_with(|| (line, Vec::new()));
    }

    pub(super) fn add_child(&mut self, parent: &str, child: &str) {
        if let Some((_, children)) = self.children.get_mut(parent) {
            children.push(child.to_owned());
        }
    }

    pub(super) fn begin_variables(&mut self, group: &str, line: usize) {
        self.is_there = true;
        self.variable_headings.entry(group.to_owned()).or_insert(line);
    }

    pub(super) fn set_of_group(&mut self, group: &str, name: &str, value: &str, line: usize) -> Result<(), Unexpected> {
        self.remark(name, line);
        set(self.variables.of_groups.entry(group.to_owned()).or_default(), name, value)
    }

    pub(super) fn set_of_hosts(
        &mut self,
        hosts: &[Host],
        variables: &[(String, String)],
        line: usize,
    ) -> Result<(), Unexpected> {
        for (name, value) in variables {
            self.is_there = true;
            self.remark(name, line);
            for host in hosts {
                set(self.variables.of_hosts.entry(host.clone()).or_default(), name, value)?;
            }
        }
        Ok(())
    }

    fn remark(&mut self, name: &str, line: usize) {
        if is_without_effect(name) {
            self.without_effect.entry(name.to_owned()).or_insert(line);
        }
    }

    /// Adds what all this means to the hosts and groups of `file`; nothing, if it is not Ansible's.
    ///
    /// # Errors
    /// When a group with variables is not there, with the line that names it.
    pub(super) fn apply(self, file: &mut HostFile) -> Result<(), (Unexpected, usize)> {
        if !self.is_there {
            return Ok(());
        }
        self.check_groups(file)?;
        file.is_ansible = true;
        name_ungrouped(file);
        self.apply_variables(file);
        self.define_groups(file);
        for (name, line) in self.without_effect {
            let remark = format!("{}: {name} has no effect here: write it in ssh_config", file.place(line));
            file.remarks.push(remark);
        }
        Ok(())
    }

    fn check_groups(&self, file: &HostFile) -> Result<(), (Unexpected, usize)> {
        let is_known = |name: &String| file.groups.contains(name) || name == ALL || name == UNGROUPED;
        match self.variable_headings.iter().find(|(name, _)| !is_known(name)) {
            None => Ok(()),
            Some((name, &line)) => {
                let found = format!("there are variables of \"{name}\", and no such group");
                Err((Unexpected::new(found, "[group] or [group:children] in the same file"), line))
            }
        }
    }

    /// Tells the way to each host, and leaves out those that only Ansible can go to.
    fn apply_variables(&self, file: &mut HostFile) {
        let mut groups: HashMap<Host, Vec<String>> = HashMap::new();
        for line in &file.lines {
            groups.entry(line.host.clone()).or_default().extend(line.group.clone());
        }
        let tree =
            Tree::new(self.children.iter().map(|(parent, (_, children))| (parent.as_str(), children.as_slice())));
        let way = |(host, groups): (Host, Vec<String>)| {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            let way = self.variables.way(&host, &groups, &tree);
            (host, way)
        };
        let ways: HashMap<Host, Way> = groups.into_iter().map(way).collect();
        let mut left_out: BTreeMap<String, Vec<String>> = BTreeMap::new();
        file.lines.retain_mut(|line| {
            let Some(way) = ways.get(&line.host) else { return true };
            if let Some(obstacle) = way.obstacle() {
                left_out.entry(obstacle).or_default().push(line.host.to_string());
                return false;
            }
            line.endpoint = way.clone().endpoint();
            true
        });
        for (obstacle, hosts) in left_out {
            let (path, hosts) = (file.path.display(), hostset::fold(&hosts));
            file.remarks.push(format!("{path}: {hosts} left out: {obstacle}"));
        }
    }

    /// Defines the groups that consist of groups. What they name directly is said again: a definition stands for all of
    /// the group.
    fn define_groups(&self, file: &mut HostFile) {
        let mut direct: HashMap<&str, Vec<String>> = HashMap::new();
        for line in &file.lines {
            if let Some(group) = line.group.as_deref().filter(|group| self.children.contains_key(*group)) {
                direct.entry(group).or_default().push(format!("\"{}\"", line.host));
            }
        }
        let mut definitions = Vec::new();
        for (name, (line, children)) in self.children.iter().filter(|(name, _)| *name != ALL) {
            let children = children.iter().map(|child| format!("@{FILES}:{child}"));
            let expressions = direct.remove(name.as_str()).into_iter().flatten().chain(children).collect();
            definitions.push(GroupDefinition { name: name.clone(), expressions, origin: file.place(*line) });
        }
        file.definitions = definitions;
    }
}

fn set(way: &mut Way, name: &str, value: &str) -> Result<(), Unexpected> {
    way.set(name, value).map_err(|expected| Unexpected::new(format!("{name} is \"{value}\""), expected))
}

/// Puts the hosts that are in no group, or directly in that of all hosts, into `ungrouped`.
fn name_ungrouped(file: &mut HostFile) {
    let is_grouped = |group: &Option<String>| group.as_ref().is_some_and(|group| group != ALL && group != UNGROUPED);
    let grouped: HashSet<Host> =
        file.lines.iter().filter(|line| is_grouped(&line.group)).map(|line| line.host.clone()).collect();
    for line in file.lines.iter_mut().filter(|line| !is_grouped(&line.group)) {
        line.group = (!grouped.contains(&line.host)).then(|| UNGROUPED.to_owned());
    }
    file.groups.retain(|group| group != ALL);
    file.add_group(UNGROUPED);
}
