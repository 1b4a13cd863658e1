//! Hosts and groups that are only listed, as JSON: one object a line, as `docs/json.md` says.
//!
//! Must not know how they were chosen.

use std::sync::Arc;

use serde::Serialize;

use super::json::{VERSION, to_line};
use crate::event::HostIndex;
use crate::hostset;
use crate::inventory::KnownGroup;
use crate::provider::Entries;
use crate::provider::protocol::Fact;
use crate::select::{Excluded, SelectedHost};

#[derive(Serialize)]
struct ListedLine<'a> {
    v: u32,
    event: &'static str,
    host: String,
    index: HostIndex,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [Arc<str>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sources: &'a [Arc<str>],
    origins: &'a [Arc<str>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rules: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a Entries<Arc<str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<&'a Entries<Fact>>,
}

#[derive(Serialize)]
struct ExcludedLine<'a> {
    v: u32,
    event: &'static str,
    host: String,
    name: &'a str,
    rules: &'a [Arc<str>],
    reasons: &'a [Arc<str>],
}

#[derive(Serialize)]
struct GroupLine<'a> {
    v: u32,
    event: &'static str,
    name: &'a str,
    source: &'a str,
    count: usize,
    hosts: &'a [String],
    folded: String,
}

/// The chosen hosts, one object a line: `--list --json`, `fleet hosts --json`.
#[must_use]
pub fn listed(hosts: &[SelectedHost]) -> Vec<u8> {
    let line = |(index, selected): (HostIndex, &SelectedHost)| {
        let record = selected.record.as_deref();
        to_line(&ListedLine {
            v: VERSION,
            event: "listed",
            host: selected.host.to_string(),
            index,
            name: selected.host.name(),
            user: selected.user(),
            port: selected.port(),
            address: selected.endpoint.as_ref().and_then(|endpoint| endpoint.address.as_deref()),
            id: record.map(|record| &*record.id),
            state: record.and_then(|record| record.state.as_deref()),
            group: selected.group.as_deref(),
            groups: &selected.groups,
            sources: &selected.sources,
            origins: &selected.origins,
            rules: &selected.rules,
            tags: record.map(|record| &record.tags).filter(|tags| !tags.is_empty()),
            facts: record.map(|record| &record.facts).filter(|facts| !facts.is_empty()),
        })
    };
    hosts.iter().enumerate().flat_map(line).collect()
}

/// Hosts that were named and are not chosen, likewise.
#[must_use]
pub fn excluded(hosts: &[Excluded]) -> Vec<u8> {
    let line = |Excluded { host, rules, reasons }: &Excluded| {
        let name = host.name();
        to_line(&ExcludedLine { v: VERSION, event: "excluded", host: host.to_string(), name, rules, reasons })
    };
    hosts.iter().flat_map(line).collect()
}

/// Groups with their members, likewise.
#[must_use]
pub fn known_groups(groups: &[KnownGroup]) -> Vec<u8> {
    let line = |KnownGroup { source, name, hosts }: &KnownGroup| {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let (count, folded) = (hosts.len(), hostset::fold(&hosts));
        to_line(&GroupLine { v: VERSION, event: "known-group", name, source, count, hosts: &hosts, folded })
    };
    groups.iter().flat_map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::endpoint::Endpoint;
    use crate::host::Host;
    use crate::provider::protocol::Record;

    fn texts(texts: &[&str]) -> Vec<Arc<str>> {
        texts.iter().map(|&text| text.into()).collect()
    }

    fn selected(host: Host) -> SelectedHost {
        SelectedHost {
            host,
            group: None,
            groups: Vec::new(),
            sources: Vec::new(),
            rules: Vec::new(),
            origins: texts(&["-H"]),
            endpoint: None,
            record: None,
            instance: None,
        }
    }

    fn assert_documented(lines: &str) {
        let documented = include_str!("../../../docs/json.md");
        for line in lines.lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            for field in object.as_object().unwrap().keys() {
                assert!(documented.contains(&format!("`{field}`")), "{field} is not in docs/json.md");
            }
            let event = object["event"].as_str().unwrap();
            assert!(documented.contains(&format!("### `{event}`")), "{event} is not in docs/json.md");
        }
    }

    #[test]
    fn a_list_has_an_object_for_each_host() {
        let record = Record {
            id: "i-1".into(),
            state: Some("running".into()),
            tags: [("Role".into(), "a\n\u{1b}".into())].into(),
            facts: [("sg".into(), Fact::Many(texts(&["sg-1"])))].into(),
            ..Record::default()
        };
        let hosts = [
            SelectedHost {
                group: Some("web".into()),
                groups: texts(&["web", "all"]),
                sources: texts(&["hosts"]),
                origins: texts(&["-H", "hosts.txt:3"]),
                rules: texts(&["-H web[1-2]"]),
                ..selected("me@web1:2222".parse().unwrap())
            },
            selected(Host::new("fe80::1").unwrap()),
            SelectedHost {
                endpoint: Some(Endpoint {
                    address: Some("10.0.0.1".into()),
                    port: Some(22),
                    user: Some("ubuntu".into()),
                    host_key_alias: Some("i-1".into()),
                }),
                record: Some(Arc::new(record)),
                ..selected(Host::new("i-1").unwrap())
            },
        ];
        let text = String::from_utf8(listed(&hosts)).unwrap();
        insta::assert_snapshot!(text, @r#"
        {"v":1,"event":"listed","host":"me@web1:2222","index":0,"name":"web1","user":"me","port":2222,"group":"web","groups":["web","all"],"sources":["hosts"],"origins":["-H","hosts.txt:3"],"rules":["-H web[1-2]"]}
        {"v":1,"event":"listed","host":"fe80::1","index":1,"name":"fe80::1","origins":["-H"]}
        {"v":1,"event":"listed","host":"i-1","index":2,"name":"i-1","user":"ubuntu","port":22,"address":"10.0.0.1","id":"i-1","state":"running","origins":["-H"],"tags":{"Role":"a\n\u001b"},"facts":{"sg":["sg-1"]}}
        "#);
        assert_documented(&text);
    }

    #[test]
    fn excluded_hosts_and_groups_have_an_object_each() {
        let host = |name: &str| Host::new(name).unwrap();
        let (rules, reasons) = (texts(&["-g web"]), texts(&["-x web1"]));
        let mut text = String::from_utf8(excluded(&[Excluded { host: host("web1"), rules, reasons }])).unwrap();
        let group = |name: &str, hosts| KnownGroup { source: "hosts".to_owned(), name: name.to_owned(), hosts };
        let groups = [group("web", vec![host("web2"), host("web1")]), group("none", vec![])];
        text += &String::from_utf8(known_groups(&groups)).unwrap();
        insta::assert_snapshot!(text, @r#"
        {"v":1,"event":"excluded","host":"web1","name":"web1","rules":["-g web"],"reasons":["-x web1"]}
        {"v":1,"event":"known-group","name":"web","source":"hosts","count":2,"hosts":["web2","web1"],"folded":"web[1-2]"}
        {"v":1,"event":"known-group","name":"none","source":"hosts","count":0,"hosts":[],"folded":""}
        "#);
        assert_documented(&text);
    }
}
