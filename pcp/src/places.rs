//! What is known of each host before it is contacted, for placeholders and variables.
//!
//! Must not know where it is put.

use fleet_core::record::Places;
use fleet_core::select::SelectedHost;
use fleet_ssh::Connector;
use fleet_tool::cli::Failure;
use fleet_transfer::destination::Place;

/// The end of the way to a host.
#[derive(Debug, Default)]
pub(crate) struct End {
    addr: String,
    user: String,
    port: u16,
}

/// Where each host is reached, and by whom.
///
/// # Errors
/// When the configuration of OpenSSH cannot be read for one of them.
pub(crate) fn ends(connector: &Connector, hosts: &[SelectedHost]) -> Result<Vec<End>, Failure> {
    let end = |host: &SelectedHost| {
        let mut route = connector.route(&host.host)?;
        let end = route.pop();
        Ok(end.map_or_else(End::default, |end| End { addr: end.host_name, user: end.user, port: end.port }))
    };
    hosts.iter().map(end).collect()
}

/// The places of all hosts, in their order; `ends` is empty where nobody wants to know them, and `former` are those of the run that this one goes on with.
pub(crate) fn of_hosts<'a>(hosts: &'a [SelectedHost], ends: &'a [End], former: Option<&Places>) -> Vec<Place<'a>> {
    let place = |(at, host): (usize, &'a SelectedHost)| {
        let (index, count) = numbers(at, hosts.len(), former);
        let group = host.group.as_deref().unwrap_or_default();
        let (addr, user, port) = ends.get(at).map_or(("", "", 0), |end| (&*end.addr, &*end.user, end.port));
        Place { host: host.host.name(), addr, group, index, count, user, port }
    };
    hosts.iter().enumerate().map(place).collect()
}

/// The number of a host and how many there are, as it is told.
pub(crate) fn numbers(index: usize, count: usize, former: Option<&Places>) -> (usize, usize) {
    match former {
        Some(places) => (places.indices.get(index).copied().unwrap_or(index), places.count),
        None => (index, count),
    }
}

/// What a command on a host finds in its environment of where it runs, as with `psh`.
pub(crate) fn variables(host: &SelectedHost, (index, count): (usize, usize)) -> Vec<(String, Vec<u8>)> {
    let (index, count) = (index.to_string(), count.to_string());
    let variables = [
        ("FLEET_HOST", host.host.name()),
        ("FLEET_INDEX", &index),
        ("FLEET_COUNT", &count),
        ("FLEET_GROUP", host.group.as_deref().unwrap_or_default()),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into()
}
