//! What Puppet is told of a host, in names that it can use.
//!
//! Names as in "Reserved words and acceptable names" of Puppet's language reference. Pure. Must not know how the host was found,
//! nor how the answer is written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use fleet_core::provider::Entries;
use fleet_core::provider::protocol::{Fact, Record};
use serde::Serialize;

/// The tag that says a host's environment. Not `Environment`, which people use for what is no environment of Puppet.
const ENVIRONMENT_TAG: &str = "fleet:environment";

/// What no class can be called.
const RESERVED_CLASSES: &str = "\
    and application attr case class component consumes default define else elsif environment false function if import in \
    inherits node or private produces regexp site true type undef unit unless \
    main settings init \
    any array binary boolean callable catalogentry collection data deferred enum error float hash integer numeric object \
    optional pattern resource runtime scalar semver semverrange sensitive string struct timespan timestamp tuple uri variant";

/// Variables that Puppet sets itself, or reads for something else: `environment` would choose the environment.
const RESERVED_VARIABLES: &str = "\
    agent_specified_environment caller_module_name clientcert clientnoop clientversion environment facts module_name name \
    server_facts serverip serverip6 servername serverversion title trusted";

/// What is known of a host.
#[derive(Debug, Default)]
pub(super) struct Subject<'a> {
    pub(super) roles: Vec<&'a str>,
    pub(super) security_groups: Vec<&'a str>,
    pub(super) tags: Option<&'a Entries<Arc<str>>>,
}

/// The answer: <https://www.puppet.com/docs/puppet/8/nodes_external>.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Classification {
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    classes: Vec<String>,
    parameters: BTreeMap<String, String>,
}

impl Classification {
    /// The answer, and a line for each kind of thing that is not in it as it was.
    pub(super) fn of(subject: &Subject<'_>) -> (Self, Vec<String>) {
        let mut changes = Changes::default();
        let mut classes = Vec::new();
        for &name in subject.roles.iter().chain(&subject.security_groups) {
            match class_name(name) {
                Some(class) if classes.contains(&class) => {}
                Some(class) => {
                    changes.note(name, &class);
                    classes.push(class);
                }
                None => changes.left_out.push(format!("class {name}")),
            }
        }
        let tags = subject.tags.into_iter().flat_map(Entries::iter);
        let parameters = parameters(tags.clone(), &mut changes);
        let environment = tags.clone().find(|(key, _)| &***key == ENVIRONMENT_TAG).map(|(_, value)| value);
        let is_fit = environment.is_some_and(|value| is_environment(value));
        if let Some(value) = environment.filter(|_| !is_fit) {
            changes.left_out.push(format!("environment {value}"));
        }
        let environment = environment.filter(|_| is_fit).map(ToString::to_string);
        (Self { environment, classes, parameters }, changes.remarks())
    }
}

/// The names of a host's security groups; their ids, as EC2 gives them, are none.
pub(super) fn security_groups(record: &Record) -> Vec<&str> {
    let is_id = |name: &str| {
        let number = name.strip_prefix("sg-").unwrap_or_default();
        number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let names: Vec<&str> = match record.facts.get("sg") {
        None => Vec::new(),
        Some(Fact::One(name)) => vec![name],
        Some(Fact::Many(names)) => names.iter().map(AsRef::as_ref).collect(),
    };
    names.into_iter().filter(|name| !is_id(name)).collect()
}

/// What did not stay as it was.
#[derive(Default)]
struct Changes {
    changed: Vec<String>,
    left_out: Vec<String>,
}

impl Changes {
    fn note(&mut self, given: &str, taken: &str) {
        if given != taken {
            self.changed.push(format!("{given} = {taken}"));
        }
    }

    fn remarks(self) -> Vec<String> {
        let line =
            |what: &str, names: Vec<String>| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
        let changed = line("names that Puppet cannot use have others", self.changed);
        let left_out = line("left out, as Puppet cannot use them", self.left_out);
        changed.into_iter().chain(left_out).collect()
    }
}

/// Tags by names of variables. A tag that has such a name comes before those that are given it.
fn parameters<'a>(
    tags: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)>,
    changes: &mut Changes,
) -> BTreeMap<String, String> {
    let (fit, unfit): (Vec<_>, Vec<_>) = tags.partition(|(key, _)| is_variable(key));
    let mut parameters: BTreeMap<String, String> =
        fit.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    for (key, value) in unfit {
        let name = variable_name(key);
        match parameters.entry(name) {
            Entry::Occupied(other) => changes.left_out.push(format!("tag {key} (there is another {})", other.key())),
            Entry::Vacant(place) => {
                changes.note(key, place.key());
                place.insert(value.to_string());
            }
        }
    }
    parameters
}

/// `Web Server` is `web_server`, `profile::web-1` is `profile::web_1`; where a part has no letter at its beginning, and what is
/// a word with a meaning, is no class.
fn class_name(name: &str) -> Option<String> {
    let parts: Vec<String> = name.split("::").map(snake_case).collect();
    let begins_well = |part: &String| part.starts_with(|c: char| c.is_ascii_lowercase());
    let class = parts.join("::");
    (parts.iter().all(begins_well) && !is_among(RESERVED_CLASSES, &class)).then_some(class)
}

fn variable_name(key: &str) -> String {
    let name = snake_case(key);
    if is_variable(&name) { name } else { format!("tag_{name}") }
}

/// A name of a variable at top scope that is free.
fn is_variable(name: &str) -> bool {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    name.starts_with(|c: char| c.is_ascii_lowercase()) && is_word && !is_among(RESERVED_VARIABLES, name)
}

fn is_environment(name: &str) -> bool {
    let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    !name.is_empty() && is_word && !["main", "master", "agent", "user"].contains(&name)
}

fn is_among(words: &str, name: &str) -> bool {
    words.split_whitespace().any(|word| word == name)
}

fn snake_case(text: &str) -> String {
    let lower = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    text.chars().map(lower).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn tags(tags: &[(&str, &str)]) -> Entries<Arc<str>> {
        tags.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn classes_are_roles_and_security_groups_with_names_that_puppet_can_use() {
        for (name, class) in [
            ("web", Some("web")),
            ("Web Server", Some("web_server")),
            ("profile::web-1", Some("profile::web_1")),
            ("a::", None),
            ("a:::b", None),
            ("a.b/c", Some("a_b_c")),
            ("2tier", None),
            ("_x", None),
            ("-", None),
            ("", None),
            ("\u{fc}ber", None),
            ("default", None),
            ("Integer", None),
            ("main", None),
            ("x\n- evil", Some("x___evil")),
        ] {
            assert_eq!(class_name(name).as_deref(), class, "{name}");
        }
    }

    #[test]
    fn an_answer_says_what_it_has_changed_and_left_out() {
        let tags = tags(&[
            ("role", "own"),
            ("Role", "web"),
            ("Name", "web-1"),
            ("fleet:environment", "staging"),
            ("Environment", "prod"),
            ("2nd", "x"),
            ("costCenter", "7"),
            ("_x", ""),
        ]);
        let subject =
            Subject { roles: vec!["web", "db-1", "2x"], security_groups: vec!["web", "default"], tags: Some(&tags) };
        let (answer, remarks) = Classification::of(&subject);
        let expected = "\
---
environment: 'staging'
classes:
- 'web'
- 'db_1'
parameters:
  costCenter: '7'
  fleet_environment: 'staging'
  role: 'own'
  tag_2nd: 'x'
  tag__x: ''
  tag_environment: 'prod'
  tag_name: 'web-1'
";
        assert_eq!(yaml::document(&answer).unwrap(), expected);
        assert_eq!(
            remarks,
            [
                "names that Puppet cannot use have others: db-1 = db_1, 2nd = tag_2nd, Environment = tag_environment, \
                 Name = tag_name, _x = tag__x, fleet:environment = fleet_environment",
                "left out, as Puppet cannot use them: class 2x, class default, tag Role (there is another role)",
            ]
        );
    }

    #[test]
    fn a_host_of_which_nothing_is_known_has_an_empty_answer() {
        let (answer, remarks) = Classification::of(&Subject::default());
        assert_eq!(
            (yaml::document(&answer).unwrap().as_str(), remarks.len()),
            ("---\nclasses: []\nparameters: {}\n", 0)
        );
    }

    #[test]
    fn an_environment_that_puppet_cannot_have_is_left_out() {
        for (value, expected) in
            [("staging_2", Some("staging_2")), ("Prod", None), ("", None), ("main", None), ("a/b", None)]
        {
            let tags = tags(&[("fleet:environment", value)]);
            let (answer, remarks) = Classification::of(&Subject { tags: Some(&tags), ..Subject::default() });
            assert_eq!(answer.environment.as_deref(), expected);
            assert_eq!(remarks.len(), 1 + usize::from(expected.is_none()), "{remarks:?}");
        }
    }

    #[test]
    fn ids_of_security_groups_are_no_names() {
        let facts = |fact: Fact| Record { facts: [("sg".into(), fact)].into(), ..Record::default() };
        let many = ["sg-0123456789abcdef0", "web-sg", "sg-1", "sg-frontends"].map(Arc::from).to_vec();
        assert_eq!(security_groups(&facts(Fact::Many(many))), ["web-sg", "sg-1", "sg-frontends"]);
        assert_eq!(security_groups(&facts(Fact::One("web".into()))), ["web"]);
        assert!(security_groups(&Record::default()).is_empty());
    }
}
