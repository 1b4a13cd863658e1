//! Hosts that providers tell of: what they are called, which groups they belong to, where they are reached.
//!
//! Must not know how a provider is asked, nor which of its hosts a command is for.

use std::collections::HashMap;
use std::sync::Arc;

use super::misses::shown;
use super::term::{Meaning, Reading, States};
use super::{Inventory, Rank};
use crate::endpoint::{AddressChoice, Endpoint, UserRule};
use crate::host::Host;
use crate::hostset::Expression;
use crate::provider::protocol::{Fact, Record};
use crate::quick_hash::{QuickMap, QuickSet, RandomState};

/// States from which no host comes back.
const ENDED: [&str; 2] = ["shutting-down", "terminated"];

/// How many hosts without an address are named.
const NAMED_UNREACHED: usize = 3;

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
    /// A host is called as in the former run, if it was there; else by its name where no other of the answer has it, and by
    /// its id otherwise.
    pub fn add_records(
        &mut self,
        (provider, rank): (&str, Rank),
        records: &[Arc<Record>],
        reach: Reach<'_>,
    ) -> Vec<String> {
        self.sources.entry(provider.to_owned()).or_insert(rank);
        let provider: Arc<str> = provider.into();
        self.reserve(records.len());
        let mut times: QuickMap<&str, usize> =
            QuickMap::with_capacity_and_hasher(records.len(), RandomState::default());
        for record in records {
            *times.entry(record.name.as_deref().unwrap_or_default()).or_default() += 1;
        }
        let former = self.former_names.get(&provider).cloned().unwrap_or_default();
        let taken: QuickSet<&Host> = former.values().collect();
        let own_network = own_network(records);
        let mut members: Vec<(Arc<str>, Vec<usize>)> = Vec::new();
        let mut places: QuickMap<Arc<str>, usize> = QuickMap::default();
        let mut unreached = Vec::new();
        for record in records {
            let shared = |text: &Arc<str>| Host::shared(Arc::clone(text)).ok();
            let unique = record.name.as_ref().filter(|name| times.get(&***name) == Some(&1));
            let named = unique.and_then(shared).filter(|host| !taken.contains(host));
            let called = former.get(&record.id).cloned().or(named).or_else(|| shared(&record.id));
            let Some(host) = called else { continue };
            let endpoint = endpoint(record, reach, own_network);
            if endpoint.address.as_ref() == Some(&record.id) {
                unreached.push(format!("{host} ({})", record.id));
            }
            let index = self.add_host(host, &provider, origin(&provider, record).into());
            self.learn_endpoint(index, Some(endpoint));
            self.hosts[index].record = Some(Arc::clone(record));
            self.hosts[index].provider = Some(Arc::clone(&provider));
            for group in self.groups_of(record) {
                let place = *places.entry(group.clone()).or_insert_with(|| {
                    members.push((group, Vec::new()));
                    members.len() - 1
                });
                members[place].1.push(index);
            }
        }
        for (group, indexes) in members {
            self.add_members(&provider, &group, &indexes);
        }
        let more = unreached.len().saturating_sub(NAMED_UNREACHED);
        unreached.truncate(NAMED_UNREACHED);
        let named = unreached.iter().map(|host| format!("{host} has no address that is wanted"));
        let more = (more > 0).then(|| format!("{more} more have no address that is wanted"));
        named.chain(more).collect()
    }

    /// Lets the first of `rules` that means a host say who logs in there.
    pub fn apply_user_rules<'a>(&mut self, rules: impl IntoIterator<Item = &'a UserRule>) {
        let mut users: QuickMap<Host, &str> = QuickMap::default();
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
                known.endpoint.get_or_insert_default().user = Some((*user).into());
            }
        }
    }

    /// The groups that a provider's host belongs to: those that its provider says, and the first of the tags for groups.
    fn groups_of(&self, record: &Record) -> Vec<Arc<str>> {
        let tagged =
            self.group_tags.iter().find_map(|tag| record.tags.get(tag.as_str())).filter(|group| !group.is_empty());
        let mut groups = record.groups.clone();
        groups.extend(tagged.filter(|group| !record.groups.contains(group)).cloned());
        groups
    }
}

/// Where each of the hosts is reached that a provider tells of, by id. Those that have ended are none; those without an address
/// are reached nowhere.
#[must_use]
pub fn endpoints(records: &[Arc<Record>], reach: Reach<'_>) -> HashMap<Arc<str>, Option<Endpoint>> {
    let own_network = own_network(records);
    let has_ended = |record: &Record| record.state.as_deref().is_some_and(|state| ENDED.contains(&state));
    let of = |record: &Arc<Record>| {
        let endpoint = endpoint(record, reach, own_network);
        (record.id.clone(), Some(endpoint).filter(|endpoint| endpoint.address.as_ref() != Some(&record.id)))
    };
    records.iter().filter(|record| !has_ended(record)).map(of).collect()
}

fn own_network(records: &[Arc<Record>]) -> Option<&str> {
    records.iter().find(|record| record.is_self).and_then(|own| one(own, "vpc"))
}

/// `ec2 i-0abc (eu-west-1a)`, harmless as facts are not.
fn origin(provider: &str, record: &Record) -> String {
    let place = one(record, "az").or_else(|| one(record, "region"));
    let id = &record.id;
    match place {
        Some(place) => [provider, " ", id, " (", &shown(place), ")"].concat(),
        None => [provider, " ", id].concat(),
    }
}

fn one<'a>(record: &'a Record, fact: &str) -> Option<&'a str> {
    match record.facts.get(fact)? {
        Fact::One(value) => Some(value),
        Fact::Many(values) => values.first().map(AsRef::as_ref),
    }
}

/// Where the host is reached. Without any address that is its id, which nobody resolves, and never a name that could be
/// another machine's.
fn endpoint(record: &Record, reach: Reach<'_>, own_network: Option<&str>) -> Endpoint {
    let tagged = record.tags.get(reach.address_tag).and_then(|text| text.parse::<Host>().ok());
    let port = record.tags.get(reach.port_tag).and_then(|text| text.parse().ok()).filter(|port| *port != 0);
    let near = own_network.is_some() && one(record, "vpc") == own_network;
    let chosen = || reach.addresses.iter().find_map(|choice| address(record, choice, near));
    let address = tagged.as_ref().map(Host::shared_name).or_else(chosen);
    Endpoint {
        address: Some(address.unwrap_or_else(|| record.id.clone())),
        port: tagged.and_then(|host| host.port()).or(port).or(record.port),
        user: record.user.clone(),
        host_key_alias: Some(record.id.clone()),
    }
}

fn address(record: &Record, choice: &AddressChoice, near: bool) -> Option<Arc<str>> {
    let known = &record.addresses;
    match choice {
        AddressChoice::Private => known.private.clone(),
        AddressChoice::Public => known.public.clone(),
        AddressChoice::Ipv6 => known.ipv6.clone(),
        AddressChoice::Dns => known.public_dns.clone().or_else(|| known.private_dns.clone()),
        AddressChoice::Tag(key) => record.tags.get(key.as_str()).filter(|text| Host::new(text).is_ok()).cloned(),
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{GroupDefinition, file};
    use super::*;
    use crate::provider::protocol::NativeFilter;
    use crate::select::{Selected, Selection};

    fn records() -> Vec<Arc<Record>> {
        let text = r#"[
            {"id":"i-1","name":"web-1","tags":{"Role":"web","os":"ubuntu"},"addresses":{"private":"10.0.0.1","public":"3.0.0.1"},"facts":{"az":"a","vpc":"v"}},
            {"id":"i-2","name":"web-2","tags":{"Role":"web"},"addresses":{"private":"10.0.0.2"},"facts":{"az":"b"}},
            {"id":"i-3","name":"twin","tags":{"fleet:role":"db","Role":"old"},"addresses":{"private":"10.0.0.3"}},
            {"id":"i-4","name":"twin","tags":{"fleet:address":"bastion:2200","fleet:port":"99"}},
            {"id":"i-5","name":"a b; rm","state":"stopped","tags":{"Role":"web"},"port":2222,"user":"admin"},
            {"id":"i-6","name":"me","self":true,"tags":{"Role":"web"},"addresses":{"private":"10.0.0.6"},"facts":{"vpc":"v"}}
        ]"#;
        let records: Vec<Record> = serde_json::from_str(text).unwrap();
        records.into_iter().map(Arc::new).collect()
    }

    const REACH: Reach<'_> =
        Reach { addresses: &[AddressChoice::Auto], address_tag: "fleet:address", port_tag: "fleet:port" };

    fn inventory(hosts: &str, groups: &[(&str, &str)]) -> Inventory {
        let file = file::parse(hosts.as_bytes(), Path::new("hosts")).unwrap();
        let define = |(name, expression): &(&str, &str)| GroupDefinition {
            name: (*name).to_owned(),
            expressions: vec![(*expression).to_owned()],
            origin: format!("fleet.toml [groups] {name}"),
        };
        let groups: Vec<_> = groups.iter().map(define).collect();
        let inventory = Inventory::merge(&[file], &[], &groups).unwrap();
        inventory.with_group_tags(vec!["fleet:role".to_owned(), "Role".to_owned()])
    }

    /// What `-g` chooses once a provider has told of all its hosts.
    fn chosen(inventory: Inventory, group: &str) -> Result<Selected, String> {
        chosen_by(inventory, Selection { groups: vec![group.to_owned()], ..Selection::default() })
    }

    fn chosen_by(mut inventory: Inventory, selection: Selection) -> Result<Selected, String> {
        let selection = selection.parse().unwrap();
        let wanted = selection.wanted(&inventory);
        inventory.add_records(("ec2", Rank::Own), &records(), REACH);
        inventory.define(&wanted.groups).unwrap();
        selection.select(&inventory).map_err(|error| format!("{error} ({})", error.hint().unwrap_or_default()))
    }

    fn names(selected: &Selected) -> String {
        selected.hosts.iter().map(|selected| selected.host.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn hosts_of_providers_are_chosen_by_group_query_and_name() {
        for (group, expected) in [
            ("web", "web-1 web-2"),
            ("db", "i-3"),
            ("@ec2:web", "web-1 web-2"),
            ("role:web", "web-1 web-2"),
            ("tag:Role=web", "web-1 web-2"),
            ("tag:Role=web&state:stopped", "i-5"),
            ("@web&state:stopped", "i-5"),
            ("tag:Role=w*!az:b", "web-1"),
            ("tag:Role=old", "i-3"),
            ("tag:os", "web-1"),
            ("name:twin", "i-3 i-4"),
            ("id:i-5", "i-5"),
            ("web-*", "web-1 web-2"),
            ("@ec2:*", "web-1 web-2 i-3 i-4"),
            ("*", "here web-1 web-2 i-3 i-4"),
            ("ubuntus", "web-1"),
            ("both", "web-1 here"),
            ("front", "web-1 web-2 here"),
            ("asleep", "i-5"),
            ("asleep,web", "i-5 web-1 web-2"),
        ] {
            let known = inventory(
                "here",
                &[
                    ("ubuntus", "tag:os=ubuntu"),
                    ("both", "@ubuntus,here"),
                    ("front", "@web,here"),
                    ("asleep", "tag:Role=web&state:stopped"),
                    ("broken", "@nobody"),
                ],
            );
            assert_eq!(chosen(known, group).map(|selected| names(&selected)), Ok(expected.to_owned()), "{group}");
        }
    }

    #[test]
    fn what_chosen_hosts_have_in_common_is_there_once() {
        let records = hostile(100);
        let mut inventory = inventory("", &[]);
        inventory.add_records(("ec2", Rank::Own), &records, REACH);
        let selection = Selection { groups: vec!["@ec2:*".to_owned()], ..Selection::default() };
        let selected = selection.parse().unwrap().select(&inventory).unwrap();
        let different = |of: fn(&crate::select::SelectedHost) -> &Arc<str>| {
            selected.hosts.iter().map(|host| of(host).as_ptr()).collect::<std::collections::HashSet<_>>().len()
        };
        assert_eq!((different(|host| &host.rules[0]), different(|host| &host.sources[0])), (1, 1));
        for host in &selected.hosts {
            let (record, alias) =
                (host.record.as_ref().unwrap(), host.endpoint.as_ref().unwrap().host_key_alias.as_ref());
            assert!(
                Arc::ptr_eq(&record.id, alias.unwrap()) && Arc::ptr_eq(&record.id, &host.instance.as_ref().unwrap().id)
            );
        }
    }

    #[test]
    fn a_filter_alone_chooses_all_hosts_of_its_provider_and_one_about_states_those_that_do_not_run_too() {
        let filter = |name: &str| NativeFilter { name: name.to_owned(), values: vec!["a,b".to_owned()] };
        for (filtered, group, name, exclude, expected) in [
            (true, None, "instance-lifecycle", None, "web-1 web-2 i-3 i-4"),
            (true, None, "instance-state-name", None, "web-1 web-2 i-3 i-4 i-5"),
            (true, None, "instance-lifecycle", Some("tag:Role=web"), "i-3 i-4"),
            (false, Some("web"), "instance-state-name", None, "web-1 web-2 i-5"),
        ] {
            let selection = Selection {
                filters: vec![filter(name)],
                filtered: filtered.then(|| "ec2".to_owned()).into_iter().collect(),
                groups: group.map(str::to_owned).into_iter().collect(),
                exclude: exclude.map(str::to_owned).into_iter().collect(),
                ..Selection::default()
            };
            let wanted = selection.clone().parse().unwrap().wanted(&inventory("here", &[]));
            assert!(wanted.needs_provider && !wanted.is_empty(), "{name}");
            let selected = chosen_by(inventory("here", &[]), selection).unwrap();
            assert_eq!(names(&selected), expected, "{name} {group:?} {exclude:?}");
        }
        let nobody =
            Selection { filters: vec![filter("x")], filtered: vec!["other".to_owned()], ..Selection::default() };
        let error = chosen_by(inventory("", &[]), nobody).unwrap_err();
        assert!(error.starts_with("no hosts are selected: --filter Name=x,Values=\"a,b\" names none"), "{error}");
        let named = Selection { filters: vec![filter("x")], hosts: vec!["a".to_owned()], ..Selection::default() };
        let wanted = named.parse().unwrap().wanted(&inventory("", &[]));
        assert!(wanted.needs_provider && wanted.is_empty(), "nobody is asked, which is an error");
    }

    #[test]
    fn a_backslash_takes_the_meaning_of_wildcards_away() {
        for (value, expected) in
            [(r"a\*b", "i-1"), ("a*b", "i-1 i-2 i-3"), (r"a\?b", ""), (r"a\\b", "i-3"), (r"'a\*b'", "i-1")]
        {
            let tagged = ["a*b", "axb", r"a\b"].into_iter().zip(1..).map(|(tag, number)| {
                let tags = [("K".into(), tag.into())].into();
                Arc::new(Record { id: format!("i-{number}").into(), tags, ..Record::default() })
            });
            let mut inventory = inventory("", &[]);
            inventory.add_records(("ec2", Rank::Own), &tagged.collect::<Vec<_>>(), REACH);
            let selection = Selection { groups: vec![format!("tag:K={value}")], ..Selection::default() };
            let selected = selection.parse().unwrap().select(&inventory);
            assert_eq!(selected.map(|selected| names(&selected)).unwrap_or_default(), expected, "{value}");
        }
    }

    #[test]
    fn what_means_nobody_is_explained_by_what_there_is() {
        for (group, expected) in [
            (
                "wbe",
                "-g: there is no group \"wbe\", and no host has fleet:role=wbe or Role=wbe \
                 (did you mean web (3 hosts)? known groups: db, later, web)",
            ),
            ("@ec2:wbe", "did you mean web (3 hosts)? known groups: db, web)"),
            ("laetr", "did you mean later? known groups: db, later, web)"),
            ("tag:Role=wbe", "-g tag:Role=wbe names none (no host has Role=wbe; did you mean web (3 hosts)?)"),
            ("tag:Rloe=web", "no host has a tag Rloe; did you mean Role (4 hosts)?)"),
            ("tag:Rloe", "no host has a tag Rloe; did you mean Role (4 hosts)?)"),
            ("tag:os=x", "(no host has os=x; there are ubuntu (1 host))"),
            ("role:wbe", "(no host has role:wbe; did you mean web (3 hosts)?)"),
            ("az:aa", "(no host has az:aa; did you mean a (1 host)?)"),
            ("vpc:vpc-1", "(no host has vpc:vpc-1; there are v (2 hosts))"),
            ("name:web-*1*1", "did you mean web-1 (1 host) or web-2 (1 host)?)"),
            ("tag:Role=web&name:'a b*'", "(1 host of name:\"a b*\" does not run; name:\"a b*\"&state:* means them)"),
            (
                "tag:Role=x,tag:Role=y",
                "(no host has Role=x; there are web (3 hosts), old (1 host); no host has Role=y; ",
            ),
        ] {
            let error = chosen(inventory("", &[("later", "az:zz")]), group).unwrap_err();
            assert!(error.contains(expected), "{group}: {error}");
        }
    }

    #[test]
    fn a_group_of_which_no_host_runs_is_said_to_sleep() {
        let mut inventory = inventory("", &[]);
        let text = r#"[{"id":"i-1","state":"stopped","tags":{"Role":"web"}},{"id":"i-2","state":"stopped","tags":{"Role":"web"}}]"#;
        let records: Vec<Record> = serde_json::from_str(text).unwrap();
        inventory.add_records(("ec2", Rank::Own), &records.into_iter().map(Arc::new).collect::<Vec<_>>(), REACH);
        let selection = Selection { groups: vec!["web".to_owned()], ..Selection::default() }.parse().unwrap();
        let hint = selection.select(&inventory).unwrap_err().hint().unwrap();
        assert_eq!(hint, "2 hosts of @web do not run; @web&state:* means them");
    }

    #[test]
    fn what_a_hint_takes_from_providers_is_harmless_short_and_little() {
        let mut inventory = inventory("", &[]);
        let record = |number: u32| {
            let value: Arc<str> = format!("{number} \u{1b}[2J\n{}", "x".repeat(5000)).into();
            let tags = [("K".into(), value.clone()), (value.clone(), "".into()), ("Role".into(), value)];
            Arc::new(Record { id: format!("i-{number}").into(), tags: tags.into(), ..Record::default() })
        };
        inventory.add_records(("ec2", Rank::Own), &(0..100).map(record).collect::<Vec<_>>(), REACH);
        for group in ["tag:K=1", "tag:J", "nobody", "role:x", "tag:K=y,tag:K=z,tag:K=a,tag:K=b,tag:K=c"] {
            let selection = Selection { groups: vec![group.to_owned()], ..Selection::default() }.parse().unwrap();
            let error = selection.select(&inventory).unwrap_err();
            let text = format!("{error} {}", error.hint().unwrap());
            assert!(!text.contains(char::is_control) && text.len() < 2500, "{group}: {text}");
        }
    }

    #[test]
    fn a_group_of_two_sources_has_to_be_qualified() {
        let known = || inventory("[web]\nhere", &[]);
        let error = chosen(known(), "web").unwrap_err();
        let expected = "-g: the group \"web\" is defined in hosts and in ec2 (write @hosts:web or @ec2:web)";
        assert_eq!(error, expected);
        assert_eq!(names(&chosen(known(), "@hosts:web").unwrap()), "here");
        assert_eq!(names(&chosen(known(), "@ec2:web").unwrap()), "web-1 web-2");
    }

    #[test]
    fn the_machine_that_asks_is_left_out_and_named() {
        let selected = chosen(inventory("", &[]), "web").unwrap();
        assert_eq!(selected.left_out.map(|host| host.to_string()).as_deref(), Some("me"));
    }

    /// Records as somebody may make them who wants to harm: whatever a text may hold, in turn in each of them.
    fn hostile(count: usize) -> Vec<Arc<Record>> {
        const TEXTS: [&str; 10] = [
            "a b",
            "a,b",
            "a=b",
            "\u{fc}\u{4e2d}",
            "\u{1b}[2J",
            "x\n* ssh-ed25519 AAAA",
            "$(reboot)",
            "-oProxyCommand=x",
            "@web",
            "twin",
        ];
        let record = |number: usize| {
            let text = TEXTS[number % TEXTS.len()];
            let mut record = Record { id: format!("i-{number}").into(), ..Record::default() };
            if !number.is_multiple_of(7) {
                record.name = Some(text.into());
                record.addresses.private =
                    Some(format!("10.{}.{}.{}", number >> 16, (number >> 8) & 255, number & 255).into());
            }
            if !number.is_multiple_of(3) {
                let tags = [("Role", text), (text, text), ("fleet:address", text), ("fleet:port", text), ("n", "ok")];
                record.tags = tags.map(|(key, value)| (key.into(), value.into())).into();
                record.facts = [("az".into(), Fact::One(text.into()))].into();
            }
            Arc::new(record)
        };
        (0..count).map(record).collect()
    }

    #[test]
    fn thousands_of_records_with_any_texts_are_told_apart_and_do_no_harm() {
        for count in [2500, 10_000] {
            let mut inventory = inventory("", &[]);
            let remarks = inventory.add_records(("ec2", Rank::Own), &hostile(count), REACH);
            assert_eq!(remarks.len(), NAMED_UNREACHED + 1);
            assert_eq!(inventory.hosts().len(), count);
            let chosen = |group: &str| {
                let selection = Selection { groups: vec![group.to_owned()], ..Selection::default() };
                selection.parse().unwrap().select(&inventory).unwrap()
            };
            let selected = chosen("@ec2:*");
            assert_eq!(selected.hosts.len(), count);
            for host in &selected.hosts {
                let Endpoint { address, host_key_alias, .. } = host.endpoint.clone().unwrap();
                for name in [Some(host.host.shared_name()), address, host_key_alias.clone()] {
                    assert!(Host::new(&name.unwrap()).is_ok(), "{host:?}");
                }
                assert_eq!(host_key_alias, host.instance.clone().map(|instance| instance.id));
                let shown = [host.origins.concat(), host.rules.concat(), host.host.to_string(), remarks.concat()];
                assert!(!shown.concat().contains(char::is_control), "{host:?}");
            }
            let with = |text: &str| {
                let has = |record: &&Arc<Record>| record.tags.get("Role").is_some_and(|role| **role == *text);
                hostile(count).iter().filter(has).count()
            };
            for (group, text) in [
                ("tag:Role='a b'", "a b"),
                ("tag:Role=\"a,b\"", "a,b"),
                ("tag:Role=a=b", "a=b"),
                ("tag:Role=\u{fc}\u{4e2d}", "\u{fc}\u{4e2d}"),
                ("tag:Role='\u{1b}[2J'", "\u{1b}[2J"),
                ("tag:Role='$(reboot)'", "$(reboot)"),
            ] {
                assert_eq!(chosen(group).hosts.len(), with(text), "{group:?}");
            }
        }
    }

    #[test]
    fn where_a_host_is_reached_follows_tags_then_choices() {
        let endpoints = |choices: &[AddressChoice]| {
            let mut inventory = inventory("", &[]);
            let remarks = inventory.add_records(("ec2", Rank::Own), &records(), Reach { addresses: choices, ..REACH });
            let rule = UserRule { pattern: "tag:os=ubuntu".to_owned(), user: "ubuntu".to_owned() };
            inventory.apply_user_rules([&rule]);
            let shown = inventory.hosts().iter().map(|known| {
                let Endpoint { address, port, user, host_key_alias } = known.endpoint.clone().unwrap();
                let (user, port) = (user.unwrap_or_default(), port.unwrap_or_default());
                format!("{}={user}@{}:{port}/{}", known.host, address.unwrap(), host_key_alias.unwrap())
            });
            (shown.collect::<Vec<_>>().join(" "), remarks)
        };
        let (shown, remarks) = endpoints(&[AddressChoice::Auto]);
        assert_eq!(
            shown,
            "web-1=ubuntu@10.0.0.1:0/i-1 web-2=@10.0.0.2:0/i-2 i-3=@10.0.0.3:0/i-3 i-4=@bastion:2200/i-4 \
             i-5=admin@i-5:2222/i-5 me=@10.0.0.6:0/i-6"
        );
        assert_eq!(remarks, ["i-5 (i-5) has no address that is wanted"]);
        let (shown, remarks) = endpoints(&[AddressChoice::Public, AddressChoice::Tag("os".to_owned())]);
        assert!(shown.starts_with("web-1=ubuntu@3.0.0.1:0/i-1 web-2=@i-2:0/i-2 "), "{shown}");
        assert_eq!(remarks.len(), 4);
    }

    #[test]
    fn providers_are_asked_for_what_may_bring_in_hosts() {
        let filter = |filter: &str, value: &str| format!("{filter}={value}");
        let role =
            |name: &str| [filter("tag:fleet:role", name), filter("tag:Role", name), filter("group", name)].join(" | ");
        for (group, asked, is_known, needed) in [
            ("web", role("web"), false, false),
            ("static", role("static"), true, false),
            ("@hosts:static", String::new(), true, false),
            ("tag:Role=web", "tag:Role=web".to_owned(), false, true),
            ("@hosts:static&tag:Role=web", String::new(), true, false),
            ("id:i-1", "id=i-1".to_owned(), false, true),
            ("deferred", ["az=a".to_owned(), role("deferred")].join(" | "), false, true),
            ("here*", "name=here*".to_owned(), true, false),
            ("sg:x&state:stopped", "sg=x state=pending,running,stopping,stopped".to_owned(), false, true),
        ] {
            let inventory = inventory("here\n[static]\nhere2", &[("deferred", "az:a")]);
            let selection = Selection { groups: vec![group.to_owned()], ..Selection::default() }.parse().unwrap();
            let wanted = selection.wanted(&inventory);
            let queries: Vec<String> = wanted
                .of_all
                .iter()
                .map(|query| {
                    let filters = query.iter().map(|filter| format!("{}={}", filter.filter, filter.values.join(",")));
                    filters.collect::<Vec<_>>().join(" ")
                })
                .collect();
            assert_eq!(queries.join(" | "), asked, "{group}");
            assert_eq!((wanted.known.is_some(), wanted.needs_provider), (is_known, needed), "{group}");
        }
    }
}
