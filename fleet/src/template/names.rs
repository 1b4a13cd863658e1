//! What a template may name: the hosts, the roles, and values of the user's.
//!
//! Contacts no host. Must not know what a template is.

use std::collections::BTreeMap;

use fleet_core::host::Host;
use fleet_core::inventory::{Role, RoleHost};
use fleet_core::provider::protocol::Fact;
use fleet_core::select::SelectedHost;
use fleet_ssh::Connector;
use fleet_tool::cli::{Failure, Prepared};
use fleet_tool::places::HostPlaces;
use minijinja::Value;

/// The names that are ours, in the order of the alphabet.
const OWN: [&str; 4] = ["hosts", "roles", "run", "self"];

/// What is called by a name, in the order of the names.
type Named = BTreeMap<&'static str, Value>;

/// The values of the user's, by their names.
#[derive(Debug)]
pub(super) struct Names(BTreeMap<String, Value>);

/// What stands for the names, for each host.
#[derive(Debug)]
pub(super) struct Context {
    /// The same for all hosts.
    shared: BTreeMap<String, Value>,
    hosts: Vec<Value>,
}

impl Names {
    /// The values that were given.
    ///
    /// # Errors
    /// When one has a name of ours, or two have the same.
    pub(super) fn new(values: Vec<(String, String)>) -> Result<Self, Failure> {
        let mut names = BTreeMap::new();
        for (name, value) in values {
            if OWN.contains(&&*name) {
                return Err(Failure::usage_text(format!(
                    "-D {name}: the name is taken: expected none of {}",
                    OWN.join(", ")
                )));
            }
            if names.insert(name.clone(), Value::from(value)).is_some() {
                return Err(Failure::usage_text(format!("-D {name} is given twice: expected each name once")));
            }
        }
        Ok(Self(names))
    }

    /// What stands for the names on the chosen hosts, which stand at these `places`.
    ///
    /// # Errors
    /// When the configuration of OpenSSH cannot be read for one of them.
    pub(super) fn context(
        &self,
        connector: &Connector,
        prepared: &Prepared,
        places: &HostPlaces,
    ) -> Result<Context, Failure> {
        let hosts = &prepared.selected.hosts;
        let host = |(number, selected)| of_host(number, selected, places, connector);
        let hosts = hosts.iter().enumerate().map(host).collect::<Result<Vec<Value>, Failure>>()?;
        let mut shared = self.0.clone();
        shared.insert("hosts".to_owned(), Value::from(hosts.clone()));
        let roles = prepared.partition.iter().flat_map(|partition| &partition.roles);
        shared.insert("roles".to_owned(), Value::from_pairs(roles.map(|role| (role.name.clone(), of_role(role)))));
        if let Some(partition) = &prepared.partition {
            shared.insert("run".to_owned(), partition.run.clone().into());
        }
        Ok(Context { shared, hosts })
    }
}

impl Context {
    /// How many hosts there are.
    pub(super) fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// What stands for the names on one of them.
    pub(super) fn of(&self, host: usize) -> Value {
        let mut names = self.shared.clone();
        names.insert("self".to_owned(), self.hosts[host].clone());
        Value::from_pairs(names)
    }

    /// All names.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.shared.keys().map(String::as_str).chain(["self"]).collect();
        names.sort_unstable();
        names
    }
}

fn of_host(
    number: usize,
    selected: &SelectedHost,
    places: &HostPlaces,
    connector: &Connector,
) -> Result<Value, Failure> {
    let end = connector.route(&selected.host)?.pop();
    let (reached, user, port) = end.map_or_else(Default::default, |end| (end.host_name, end.user, end.port));
    let addr = places.address(number).map_or(reached, str::to_owned);
    let (index, count) = places.number(number);
    let mut named = Named::from([
        ("host", selected.host.to_string().into()),
        ("name", selected.host.name().into()),
        ("addr", addr.into()),
        ("user", user.into()),
        ("port", port.into()),
        ("index", index.into()),
        ("count", count.into()),
        ("groups", selected.groups.iter().map(Value::from).collect()),
    ]);
    if let Some(group) = &selected.group {
        named.insert("group", group.clone().into());
    }
    if let Some((role, index, size)) = places.in_partition(number) {
        named.extend([("role", role.into()), ("role_index", index.into()), ("role_size", size.into())]);
    }
    let (mut tags, mut facts) = (BTreeMap::new(), BTreeMap::new());
    if let Some(record) = &selected.record {
        named.insert("id", record.id.clone().into());
        named.extend(record.state.iter().map(|state| ("state", state.clone().into())));
        tags.extend(record.tags.iter().map(|(key, value)| (key.to_string(), Value::from(value.clone()))));
        facts.extend(record.facts.iter().map(|(key, fact)| (key.to_string(), of_fact(fact))));
    }
    named.extend([("tags", Value::from_pairs(tags)), ("facts", Value::from_pairs(facts))]);
    Ok(Value::from_pairs(named))
}

fn of_fact(fact: &Fact) -> Value {
    match fact {
        Fact::One(value) => (&**value).into(),
        Fact::Many(values) => values.iter().map(Value::from).collect(),
    }
}

/// Its hosts, in their order.
fn of_role(role: &Role) -> Value {
    let host = |(index, kept): (usize, &RoleHost)| {
        let name = kept.host.parse::<Host>().map_or(kept.host.clone(), |host| host.name().to_owned());
        Value::from_pairs(Named::from([
            ("host", kept.host.clone().into()),
            ("name", name.into()),
            ("addr", kept.address.clone().into()),
            ("index", index.into()),
        ]))
    };
    role.hosts.iter().enumerate().map(host).collect::<Vec<Value>>().into()
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A context of hosts with these names, and a value `threads`.
    pub(crate) fn context(names: &[&str]) -> Context {
        let host = |name: &&str| {
            let facts = Value::from_pairs([("az", "a")]);
            Value::from_pairs(Named::from([("name", (*name).into()), ("facts", facts)]))
        };
        let hosts: Vec<Value> = names.iter().map(host).collect();
        let shared = [("threads".to_owned(), "8".into()), ("hosts".to_owned(), hosts.clone().into())];
        Context { shared: shared.into(), hosts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_ours_and_a_name_twice_are_refused() {
        let value = |name: &str| (name.to_owned(), "x".to_owned());
        for (values, expected) in [
            (vec![value("self")], "-D self: the name is taken: expected none of hosts, roles, run, self"),
            (vec![value("a"), value("b"), value("a")], "-D a is given twice"),
        ] {
            let refused = Names::new(values).unwrap_err().text();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }
}
