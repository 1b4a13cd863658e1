//! The genders file: `node[1-4] attribute,attribute=value` (genders of LLNL). Its attributes are groups.
//!
//! Must not know other files of groups.

use std::collections::HashMap;
use std::path::Path;

use super::discover::{Discovered, Places};
use super::{
    GENDERS, GROUP_NAME_ELSEWHERE, GroupDefinition, InventoryError, NamedHost, Source, is_group_name_elsewhere,
};
use crate::host::Host;
use crate::hostset;

/// What a line may be, in words.
const LINE: &str = "nodes, then attributes with commas and no blanks between them, as in node[1-4] web,rack=r%n";

/// Reads the file that the user names, else the system's.
pub(super) fn read(places: &Places) -> Result<Discovered, InventoryError> {
    let mut found = Discovered::default();
    let path = places.genders.clone().unwrap_or_else(|| places.system.join("genders"));
    if let Some(text) = found.read(&path)? {
        let (source, remarks) = parse(&text, &path)?;
        found.sources.push(Source { rank: places.rank(&path), ..source });
        found.remarks.extend(remarks);
    }
    Ok(found)
}

/// Parses the content of a genders file; also tells what of it cannot be a group.
///
/// An attribute is the group of all nodes that have it, `attribute=value` that of those that have it with this value, in
/// which `%n` is the node and `%%` a percent sign.
fn parse(text: &str, path: &Path) -> Result<(Source, Vec<String>), InventoryError> {
    let mut groups = Groups::default();
    let mut hosts = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        let refused = |found| InventoryError::Line { path: path.to_owned(), line, found, expected: LINE };
        let mut words = text.split('#').next().unwrap_or_default().split_whitespace();
        let Some(set) = words.next() else { continue };
        let attributes = words.next();
        if let Some(word) = words.next() {
            return Err(refused(format!("\"{word}\" stands behind a blank")));
        }
        let nodes = hostset::expand(set).map_err(|error| refused(error.to_string()))?;
        for node in &nodes {
            let host = node.parse::<Host>().map_err(|error| refused(error.to_string()))?;
            hosts.push(NamedHost { host, endpoint: None, origin: format!("{}:{line}", path.display()) });
        }
        for attribute in attributes.into_iter().flat_map(|attributes| attributes.split(',')) {
            let (name, value) = match attribute.split_once('=') {
                None => (attribute, None),
                Some((name, value)) => (name, Some(value)),
            };
            if name.is_empty() || value.is_some_and(str::is_empty) {
                return Err(refused(format!("\"{attribute}\" lacks a name or a value")));
            }
            groups.add(name, set);
            match value {
                None => {}
                Some(value) if value.contains("%n") => {
                    nodes.iter().for_each(|node| groups.add(&format!("{name}={}", substituted(value, node)), node));
                }
                Some(value) => groups.add(&format!("{name}={}", substituted(value, "")), set),
            }
        }
    }
    let (groups, remarks) = groups.finish(path);
    Ok((Source { name: GENDERS.to_owned(), hosts, groups, ..Source::default() }, remarks))
}

/// `value` with `%n` as `node` and `%%` as a percent sign.
fn substituted(value: &str, node: &str) -> String {
    value.split("%%").map(|part| part.replace("%n", node)).collect::<Vec<_>>().join("%")
}

/// The nodes of each group as node sets, in the order of first mention.
#[derive(Default)]
struct Groups {
    places: HashMap<String, usize>,
    groups: Vec<(String, Vec<String>)>,
}

impl Groups {
    fn add(&mut self, name: &str, set: &str) {
        let place = match self.places.get(name) {
            Some(&place) => place,
            None => {
                self.places.insert(name.to_owned(), self.groups.len());
                self.groups.push((name.to_owned(), Vec::new()));
                self.groups.len() - 1
            }
        };
        self.groups[place].1.push(set.to_owned());
    }

    /// The groups, and remarks on names that no group can have.
    fn finish(self, path: &Path) -> (Vec<GroupDefinition>, Vec<String>) {
        let path = path.display();
        let (groups, others): (Vec<_>, Vec<_>) =
            self.groups.into_iter().partition(|(name, _)| is_group_name_elsewhere(name));
        let define = |(name, expressions)| GroupDefinition { name, expressions, origin: path.to_string() };
        let remark =
            |(name, _)| format!("{path}: the attribute \"{name}\" is left out; expected {GROUP_NAME_ELSEWHERE}");
        (groups.into_iter().map(define).collect(), others.into_iter().map(remark).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(Source, Vec<String>), InventoryError> {
        parse(text, Path::new("genders"))
    }

    #[test]
    fn attributes_and_their_values_are_groups_of_nodes() {
        let text = "# all\nlogin,node[1-2]\tall,eth=e%n # x\n\n  node[2-3] cpu=4,pct=5%%n\nbare\n";
        let (source, remarks) = parsed(text).unwrap();
        let group = |group: &GroupDefinition| format!("{} {}", group.name, group.expressions.join(" "));
        assert_eq!(
            source.groups.iter().map(group).collect::<Vec<_>>(),
            [
                "all login,node[1-2]",
                "eth login,node[1-2]",
                "eth=elogin login",
                "eth=enode1 node1",
                "eth=enode2 node2",
                "cpu node[2-3]",
                "cpu=4 node[2-3]",
                "pct node[2-3]"
            ]
        );
        let host = |named: &NamedHost| format!("{} {}", named.host, named.origin);
        assert_eq!(
            source.hosts.iter().map(host).collect::<Vec<_>>().join(", "),
            "login genders:2, node1 genders:2, node2 genders:2, node2 genders:4, node3 genders:4, bare genders:5"
        );
        assert_eq!(
            remarks,
            [format!("genders: the attribute \"pct=5%n\" is left out; expected {GROUP_NAME_ELSEWHERE}")]
        );
    }

    #[test]
    fn a_broken_line_is_named_with_what_was_found_and_expected() {
        for (text, message) in [
            ("a x\nn1 a b", "genders:2: \"b\" stands behind a blank; expected nodes, then attributes"),
            ("n1 a,,b", "\"\" lacks a name or a value"),
            ("n1 a,", "\"\" lacks"),
            ("n1 =1", "\"=1\" lacks"),
            ("n1 a=", "\"a=\" lacks"),
            ("n[1- a", "brackets in \"n[1-"),
            ("n[3-1] a", "goes down"),
            ("n;1 a", "';' cannot be part of a host name"),
            ("n1:x a", "the port \"x\""),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_attribute_that_cannot_be_written_is_left_out_and_said() {
        let (source, remarks) = parsed("n1 a,b=1:2+3/x,c=(y)\n").unwrap();
        let names: Vec<_> = source.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "b=1:2+3/x", "c"]);
        assert_eq!(remarks.len(), 1);
        assert!(
            remarks[0].starts_with("genders: the attribute \"c=(y)\" is left out; expected a group name"),
            "{remarks:?}"
        );
    }
}
