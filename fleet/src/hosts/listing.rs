//! A list as it is written, and what there is to say about it.
//!
//! Must not know its format.

use fleet_core::host::Host;
use fleet_core::hostset;

/// A list, ready to be written.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// All of it, lines with their ends.
    pub(super) text: Vec<u8>,
    /// What it does not have, and why.
    pub(super) remarks: Vec<String>,
}

impl From<Vec<u8>> for Listing {
    fn from(text: Vec<u8>) -> Self {
        Self { text, remarks: Vec::new() }
    }
}

impl Listing {
    /// Says `what` of these hosts, if there are any: `what: web[1-3]`.
    pub(super) fn remark(&mut self, what: &str, hosts: &[&Host]) {
        if !hosts.is_empty() {
            let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            self.remarks.push(format!("{what}: {}", hostset::fold(&names)));
        }
    }
}

/// A user's name that is a word of its own to whoever reads it: nothing quotes, expands or ends there.
pub(super) fn is_plain_user(user: &str) -> bool {
    let is_one = format!("{user}@host").parse::<Host>().is_ok_and(|host| host.user() == Some(user));
    is_one && !user.starts_with('-') && !user.contains(['%', '#', '=', '@', '!', '*', '?'])
}

#[cfg(test)]
pub(super) mod testing {
    use std::sync::Arc;

    use fleet_core::endpoint::Endpoint;
    use fleet_core::provider::protocol::{Fact, Record};
    use fleet_core::select::SelectedHost;

    /// A host of a host file, written `[user@]name[:port]`.
    pub(in crate::hosts) fn host(text: &str) -> SelectedHost {
        SelectedHost {
            instance: None,
            host: text.parse().unwrap(),
            group: None,
            groups: Vec::new(),
            sources: vec!["hosts".into()],
            rules: Vec::new(),
            origins: vec!["hosts.txt:1".into()],
            endpoint: None,
            record: None,
        }
    }

    /// The same in groups.
    pub(in crate::hosts) fn grouped(text: &str, groups: &[&str]) -> SelectedHost {
        let groups: Vec<Arc<str>> = groups.iter().map(|&group| group.into()).collect();
        SelectedHost { group: groups.first().cloned(), groups, ..host(text) }
    }

    /// A host of a provider, by its id, its address and its tags.
    pub(in crate::hosts) fn cloud(name: &str, id: &str, address: &str, tags: &[(&str, &str)]) -> SelectedHost {
        let text = |text: &&str| Arc::from(*text);
        let record = Record {
            id: id.into(),
            state: Some("running".into()),
            tags: tags.iter().map(|(key, value)| (text(key), text(value))).collect(),
            facts: [
                ("type".into(), Fact::One("c5.large".into())),
                ("sg".into(), Fact::Many(vec!["sg-1".into(), "web sg".into()])),
            ]
            .into(),
            ..Record::default()
        };
        let endpoint = Endpoint {
            address: Some(address.into()),
            port: None,
            user: Some("ubuntu".into()),
            host_key_alias: Some(id.into()),
        };
        SelectedHost {
            sources: vec!["ec2".into()],
            origins: vec![format!("ec2 {id}").into()],
            endpoint: Some(endpoint),
            record: Some(Arc::new(record)),
            ..grouped(name, &["web"])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_would_be_more_than_a_word_is_not_plain() {
        for user in ["ubuntu", "svc_1", "a.b-c", "ünï", "DOM+me"] {
            assert!(is_plain_user(user), "{user}");
        }
        for user in ["", "a b", "a\nb", "-x", "%u", "a#b", "a=b", "{{ x }}", "a\"b", "a\\b", "$x", "a@b", "a\u{1b}"] {
            assert!(!is_plain_user(user), "{user:?}");
        }
    }

    #[test]
    fn hosts_of_a_remark_are_folded_and_none_is_no_remark() {
        let mut listing = Listing::default();
        listing.remark("nothing", &[]);
        let hosts = ["web2", "web1"].map(|name| Host::new(name).unwrap());
        listing.remark("left out", &hosts.iter().collect::<Vec<_>>());
        assert_eq!(listing.remarks, ["left out: web[1-2]"]);
    }
}
