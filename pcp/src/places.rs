//! What is known of each host before it is contacted, for placeholders.
//!
//! Must not know where it is put.

use fleet_core::select::SelectedHost;
use fleet_ssh::Connector;
use fleet_tool::cli::Failure;
use fleet_tool::places::HostPlaces;
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

/// The places of all hosts, in their order; `ends` is empty where nobody wants to know them.
pub(crate) fn of_hosts<'a>(hosts: &'a [SelectedHost], ends: &'a [End], places: &'a HostPlaces) -> Vec<Place<'a>> {
    let place = |(at, host): (usize, &'a SelectedHost)| {
        let (index, count) = places.number(at);
        let (group, role) = (host.group.as_deref().unwrap_or_default(), places.role(at));
        let (addr, user, port) = ends.get(at).map_or(("", "", 0), |end| (&*end.addr, &*end.user, end.port));
        Place { host: host.host.name(), addr, group, role, index, count, user, port }
    };
    hosts.iter().enumerate().map(place).collect()
}
