//! Hosts that providers tell of: what they are called, which groups they belong to, where they are reached.
//!
//! Must not know how a provider is asked, nor which of its hosts a command is for.

use std::collections::HashMap;
use std::sync::Arc;

use super::Inventory;
use super::term::{Meaning, Reading, States};
use crate::endpoint::{AddressChoice, Endpoint, UserRule};
use crate::host::Host;
use crate::hostset::Expression;
use crate::provider::protocol::{Fact, Record};

/// How the hosts of providers are reached.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a> {
    /// Which address, the best first.
    pub addresses: &'a [AddressChoice],
    /// The tag that says an address, before all others; it may have a port.
    pub address_tag: &'a str,
    /// The tag that says the port.
    pub port_tag: &'a str,
}

impl Inventory {
    /// Adds the hosts that `provider` tells of. Remarks on those without an address.
    ///
    /// A host is called by its name where no other of the answer has it, else by its id.
    pub fn add_records(&mut self, provider: &str, records: &[Arc<Record>], reach: Reach<'_>) -> Vec<String> {
        if !self.sources.iter().any(|source| source == provider) {
            self.sources.push(provider.to_owned());
        }
        let mut times: HashMap<&str, usize> = HashMap::new();
        for record in records {
            *times.entry(record.name.as_deref().unwrap_or_default()).or_default() += 1;
        }
        let own_network = records.iter().find(|record| record.is_self).and_then(|own| one(own, "vpc"));
        let mut members: Vec<(String, Vec<usize>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut remarks = Vec::new();
        for record in records {
            let unique = record.name.as_deref().filter(|name| times.get(name) == Some(&1));
            let named = unique.and_then(|name| Host::new(name).ok()).or_else(|| Host::new(&record.id).ok());
            let Some(host) = named else { continue };
            let index = self.add_host(&host, provider, &origin(provider, record));
            let endpoint = endpoint(record, reach, own_network);
            if endpoint.address.as_deref() == Some(&record.id) {
                remarks.push(format!("{host} ({}) has no address that is wanted", record.id));
            }
            self.learn_endpoint(index, Some(&endpoint));
            self.hosts[index].record = Some(Arc::clone(record));
            for group in self.groups_of(record) {
                let place = *places.entry(group.clone()).or_insert_with(|| {
                    members.push((group, Vec::new()));
                    members.len() - 1
                });
                members[place].1.push(index);
            }
        }
        for (group, indexes) in members {
            self.add_members(provider, &group, &indexes);
        }
        remarks
    }

    /// Lets the first of `rules` that means a host say who logs in there.
    pub fn apply_user_rules<'a>(&mut self, rules: impl IntoIterator<Item = &'a UserRule>) {
        let mut users: HashMap<Host, &str> = HashMap::new();
        for rule in rules {
            // What is malformed was refused where the settings were read.
            let Ok(expression) = Expression::parse(&rule.pattern, &mut rand::random) else { continue };
            let reading = Reading { meaning: Meaning::Host, states: States::Any, home: None, among: None };
            for term in expression.terms() {
                for meant in self.meant(term, reading).unwrap_or_default() {
                    users.entry(meant.host).or_insert(&rule.user);
                }
            }
        }
        for known in &mut self.hosts {
            if let Some(user) = users.get(&known.host) {
                known.endpoint.get_or_insert_default().user = Some((*user).to_owned());
            }
        }
    }

    /// The groups that a provider's host belongs to: those that its provider says, and the first of the tags for groups.
    fn groups_of(&self, record: &Record) -> Vec<String> {
        let tagged = self.group_tags.iter().find_map(|tag| record.tags.get(tag)).filter(|group| !group.is_empty());
        let mut groups = record.groups.clone();
        groups.extend(tagged.filter(|group| !record.groups.contains(group)).cloned());
        groups
    }
}

/// `ec2 i-0abc (eu-west-1a)`.
fn origin(provider: &str, record: &Record) -> String {
    let place = one(record, "az").or_else(|| one(record, "region"));
    place.map_or_else(|| format!("{provider} {}", record.id), |place| format!("{provider} {} ({place})", record.id))
}

fn one<'a>(record: &'a Record, fact: &str) -> Option<&'a str> {
    match record.facts.get(fact)? {
        Fact::One(value) => Some(value),
        Fact::Many(values) => values.first().map(String::as_str),
    }
}

/// Where the host is reached. Without any address that is its id, which nobody resolves, and never a name that could be
/// another machine's.
fn endpoint(record: &Record, reach: Reach<'_>, own_network: Option<&str>) -> Endpoint {
    let tagged = record.tags.get(reach.address_tag).and_then(|text| text.parse::<Host>().ok());
    let port = record.tags.get(reach.port_tag).and_then(|text| text.parse().ok()).filter(|port| *port != 0);
    let near = own_network.is_some() && one(record, "vpc") == own_network;
    let chosen = || reach.addresses.iter().find_map(|choice| address(record, choice, near));
    let address = tagged.as_ref().map(|host| host.name().to_owned()).or_else(chosen);
    Endpoint {
        address: Some(address.unwrap_or_else(|| record.id.clone())),
        port: tagged.and_then(|host| host.port()).or(port).or(record.port),
        user: record.user.clone(),
        host_key_alias: Some(record.id.clone()),
    }
}

fn address(record: &Record, choice: &AddressChoice, near: bool) -> Option<String> {
    let known = &record.addresses;
    match choice {
        AddressChoice::Private => known.private.clone(),
        AddressChoice::Public => known.public.clone(),
        AddressChoice::Ipv6 => known.ipv6.clone(),
        AddressChoice::Dns => known.public_dns.clone().or_else(|| known.private_dns.clone()),
        AddressChoice::Tag(key) => {
            record.tags.get(key).and_then(|text| Host::new(text).ok()).map(|host| host.name().to_owned())
        }
        AddressChoice::Auto => {
            let private = known.private.clone();
            let first = if near { private.clone() } else { None };
            first
                .or_else(|| known.public.clone())
                .or(private)
                .or_else(|| known.ipv6.clone())
                .or_else(|| known.public_dns.clone())
                .or_else(|| known.private_dns.clone())
        }
    }
}
