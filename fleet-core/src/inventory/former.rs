//! Hosts of a former run: they keep their names, and are reached where they were.
//!
//! Must not know which run, nor what became of them there.

use std::sync::Arc;

use crate::endpoint::{Endpoint, Instance};
use crate::host::Host;
use crate::provider::protocol::Record;

use super::Inventory;

/// The name of a former run as a source.
const SOURCE: &str = "run";

/// A host of a former run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerHost {
    /// The host.
    pub host: Host,
    /// The group it was chosen by.
    pub group: Option<String>,
    /// Where it was reached, if its name does not say it.
    pub endpoint: Option<Endpoint>,
    /// What its provider calls it, if it has one.
    pub instance: Option<Instance>,
}

/// Which of the addresses that its provider tells a host of a former run is reached at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The one of the former run, as long as it is one of them.
    AsBefore,
    /// The one that is chosen anew.
    AsChosen,
}

/// Where a host of a former run is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Where its provider says; otherwise where nobody says anything else.
    Told,
    /// Where it was, as its provider tells nothing of it.
    Untold,
    /// Where it was, although a file says something else.
    Otherwise,
}

impl Inventory {
    /// Lets hosts of providers keep their names: to be said before [`add_records`](Self::add_records).
    pub fn call_as_before(&mut self, hosts: &[FormerHost]) {
        for former in hosts {
            if let Some(Instance { provider, id }) = &former.instance {
                let names = self.former_names.entry(provider.clone()).or_default();
                names.insert(id.clone(), former.host.clone());
            }
        }
    }

    /// Lets a host be reached where it was, unless its provider tells that it has moved. The user stays in any case, until
    /// [`apply_user_rules`](Self::apply_user_rules). `None` for a host whose name said it all.
    pub fn reach_as_before(&mut self, former: &FormerHost, way: Way, origin: &str) -> Option<Recalled> {
        let before = former.endpoint.as_ref()?;
        let index = self.add_host(former.host.clone(), &SOURCE.into(), origin.into());
        let known = &mut self.hosts[index];
        let told = known.record.clone().filter(|_| former.instance.is_some() && known.instance() == former.instance);
        let now = known.endpoint.take();
        let is_elsewhere = |now: &Endpoint| (&now.address, now.port) != (&before.address, before.port);
        let (endpoint, recalled) = match (told, now) {
            (Some(record), Some(now)) if way == Way::AsChosen || !has(&record, before) => (now, Recalled::Told),
            (None, _) if former.instance.is_some() => (before.clone(), Recalled::Untold),
            (None, Some(now)) if is_elsewhere(&now) => (before.clone(), Recalled::Otherwise),
            _ => (before.clone(), Recalled::Told),
        };
        known.endpoint = Some(Endpoint { user: before.user.clone().or(endpoint.user), ..endpoint });
        Some(recalled)
    }
}

/// Whether a host still has the address: as one of its own, or by a tag.
fn has(record: &Record, before: &Endpoint) -> bool {
    let known = &record.addresses;
    let own = [&known.private, &known.public, &known.ipv6, &known.private_dns, &known.public_dns];
    let Some(address) = &before.address else { return false };
    let tagged = |tag: &Arc<str>| tag.parse::<Host>().is_ok_and(|host| host.name() == &**address);
    own.into_iter().flatten().any(|own| own == address) || record.tags.values().any(tagged)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Rank;
    use super::super::{NamedHost, Reach, Source};
    use super::*;
    use crate::endpoint::AddressChoice;

    const REACH: Reach<'_> = Reach { addresses: &[AddressChoice::Auto], address_tag: "at", port_tag: "port" };

    fn former(name: &str, id: Option<&str>, address: &str) -> FormerHost {
        FormerHost {
            host: name.parse().unwrap(),
            group: None,
            endpoint: Some(Endpoint { address: Some(address.into()), user: Some("me".into()), ..Endpoint::default() }),
            instance: id.map(|id| Instance { provider: "ec2".into(), id: id.into() }),
        }
    }

    fn records(text: &str) -> Vec<Arc<Record>> {
        serde_json::from_str::<Vec<Record>>(text).unwrap().into_iter().map(Arc::new).collect()
    }

    #[test]
    fn a_host_keeps_its_name_and_nobody_else_gets_it() {
        let mut inventory = Inventory::default();
        inventory.call_as_before(&[former("web", Some("i-1"), "10.0.0.1")]);
        inventory.add_records(
            ("ec2", Rank::Own),
            &records(r#"[{"id":"i-1","name":"renamed"},{"id":"i-2","name":"web"}]"#),
            REACH,
        );
        inventory.add_records(("lab", Rank::Own), &records(r#"[{"id":"i-1","name":"other"}]"#), REACH);
        let names: Vec<_> = inventory.hosts().iter().map(|known| known.host.to_string()).collect();
        assert_eq!(names, ["web", "i-2", "other"]);
        assert_eq!(inventory.hosts()[0].instance(), former("web", Some("i-1"), "").instance);
    }

    #[test]
    fn a_host_is_reached_where_it_was_unless_it_has_moved() {
        let told = r#"[{"id":"i-1","addresses":{"private":"10.0.0.1","public":"3.0.0.1"},"tags":{"at":"10.9.9.9:2"}}]"#;
        for (told, id, before, way, address, recalled) in [
            (told, Some("i-1"), "10.0.0.1", Way::AsBefore, "10.0.0.1", Recalled::Told),
            (told, Some("i-1"), "10.9.9.9", Way::AsBefore, "10.9.9.9", Recalled::Told),
            (told, Some("i-1"), "10.0.0.1", Way::AsChosen, "10.9.9.9", Recalled::Told),
            (told, Some("i-1"), "10.7.7.7", Way::AsBefore, "10.9.9.9", Recalled::Told),
            (told, Some("i-2"), "10.7.7.7", Way::AsChosen, "10.7.7.7", Recalled::Untold),
            ("[]", Some("i-1"), "10.7.7.7", Way::AsBefore, "10.7.7.7", Recalled::Untold),
            ("[]", None, "10.7.7.7", Way::AsChosen, "10.7.7.7", Recalled::Told),
        ] {
            let mut inventory = Inventory::default();
            let former = former("web", id, before);
            inventory.call_as_before(std::slice::from_ref(&former));
            inventory.add_records(("ec2", Rank::Own), &records(told), REACH);
            assert_eq!(inventory.reach_as_before(&former, way, "run x"), Some(recalled), "{before} {way:?}");
            let endpoint = inventory.get(&former.host).unwrap().endpoint.clone().unwrap();
            assert_eq!(
                (endpoint.address.as_deref(), endpoint.user.as_deref()),
                (Some(address), Some("me")),
                "{before}"
            );
        }
    }

    #[test]
    fn what_a_file_says_now_is_not_where_the_host_was() {
        let endpoint = Some(Endpoint { address: Some("10.0.0.2".into()), ..Endpoint::default() });
        let named = NamedHost { host: "web".parse().unwrap(), endpoint, origin: "inventory:1".to_owned() };
        let file = Source { rank: Rank::Own, name: "inventory".to_owned(), hosts: vec![named], groups: Vec::new() };
        let mut inventory = Inventory::merge(&[], &[file], &[]).unwrap();
        let (elsewhere, same) = (former("web", None, "10.0.0.1"), former("web", None, "10.0.0.2"));
        assert_eq!(inventory.reach_as_before(&same, Way::AsBefore, "run x"), Some(Recalled::Told));
        assert_eq!(inventory.reach_as_before(&elsewhere, Way::AsBefore, "run x"), Some(Recalled::Otherwise));
        let by_name = FormerHost { endpoint: None, ..elsewhere };
        assert_eq!(inventory.reach_as_before(&by_name, Way::AsBefore, "run x"), None);
    }
}
