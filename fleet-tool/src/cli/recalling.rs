//! Hosts of a former run as this one reaches them: by the names they had, where they were, or where their providers say
//! that they are now.
//!
//! Must not know which of them are chosen.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Failure;
use super::asking::{self, Need, Question};
use super::cloud_hosts::Told;
use fleet_core::hostset;
use fleet_core::inventory::{FormerHost, Inventory, Recalled, Way};
use fleet_core::provider::protocol::Filter;
use fleet_core::provider::{Description, Provider};
use fleet_core::select::FormerHosts;
use fleet_core::settings::{LayerSource, Origin, Settings};

/// Asks the providers of the hosts of a former run where these are, and returns what they told. A provider that does not
/// say is no error.
pub(super) fn recall(
    program: &str,
    settings: &Settings,
    former: &FormerHosts,
    inventory: &mut Inventory,
) -> Result<Vec<Told>, Failure> {
    inventory.call_as_before(&former.hosts);
    let mut ids: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for instance in former.hosts.iter().filter_map(|host| host.instance.as_ref()) {
        ids.entry(&instance.provider).or_default().push(instance.id.as_ref().to_owned());
    }
    let surroundings = asking::surroundings();
    let mut questions = Vec::new();
    for (name, ids) in ids {
        let Some(about) = settings.provider(name) else { continue };
        match Provider::find(about, &surroundings) {
            Ok(provider) => {
                let queries = vec![vec![Filter { filter: "id".to_owned(), values: ids }]];
                let description = Description { queries, ..Description::default() };
                let provider = provider.keeping(settings.cache_ttl.value);
                questions.push(Question { provider, description, need: Need::Wanted });
            }
            Err(error) => say(program, &format!("going on without {name}: {}", Failure::from(error).text())),
        }
    }
    asking::put(program, settings, questions, inventory)
}

/// Lets the hosts of a former run be reached where they were, once all providers have been asked. Says what is else known.
pub(super) fn reach(program: &str, settings: &Settings, former: &FormerHosts, inventory: &mut Inventory) {
    let way = match &settings.address.origin {
        Origin::Layer(LayerSource::Flags, _) => Way::AsChosen,
        _ => Way::AsBefore,
    };
    let (mut untold, mut otherwise) = (Vec::new(), Vec::new());
    for host in &former.hosts {
        match inventory.reach_as_before(host, way, &former.origin) {
            Some(Recalled::Untold) => untold.push(host),
            Some(Recalled::Otherwise) => otherwise.push(host),
            Some(Recalled::Told) | None => {}
        }
    }
    let origin = &former.origin;
    if !untold.is_empty() {
        say(program, &format!("no provider tells of {}: reached as in {origin}", folded(&untold)));
    }
    if !otherwise.is_empty() {
        let otherwise = folded(&otherwise);
        say(program, &format!("{otherwise}: reached as in {origin}, although known to be elsewhere now"));
    }
}

fn folded(hosts: &[&FormerHost]) -> String {
    let names: Vec<String> = hosts.iter().map(|former| former.host.to_string()).collect();
    hostset::fold(&names)
}

fn say(program: &str, text: &str) {
    let _ = writeln!(io::stderr(), "{program}: {text}");
}
