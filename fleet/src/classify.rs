//! `fleet classify`: an External Node Classifier of Puppet, over all hosts that are known.
//!
//! Whatever goes wrong, nothing is printed on standard output: Puppet would take half an answer for the whole. Must not know how
//! hosts come to be known.

mod puppet;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use fleet_core::inventory::{Inventory, KnownHost, nearest};
use fleet_core::render::sanitized_line;
use fleet_tool::cli::Failure;

use self::puppet::{Classification, Subject};
use crate::cli::ClassifyArgs;
use crate::yaml;

const PROGRAM: &str = "fleet";

/// Why a name means no single host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum FindError {
    #[error("nobody knows a host with the name, id or DNS name {name:?}")]
    Unknown { name: String, nearest: Vec<String> },
    #[error("{name:?} could be {}", .hosts.join(" or "))]
    Ambiguous { name: String, hosts: Vec<String> },
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        let hint = match &error {
            FindError::Ambiguous { .. } => Some("ask for its id".to_owned()),
            FindError::Unknown { nearest, .. } if nearest.is_empty() => None,
            FindError::Unknown { nearest, .. } => Some(format!("did you mean {}?", nearest.join(" or "))),
        };
        let failure = Self::ours(&error);
        hint.into_iter().fold(failure, Self::hint)
    }
}

/// Runs `fleet classify` and tells of its failure.
pub(crate) fn run(args: &ClassifyArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let failure = match classify(args, stderr) {
        Ok(text) => match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => Failure::ours(&error),
        },
        Err(failure) => failure,
    };
    failure.print(PROGRAM, stderr);
    ExitCode::from(failure.status().code())
}

fn classify(args: &ClassifyArgs, stderr: &mut dyn Write) -> Result<String, Failure> {
    let inventory = args.sources.known_hosts(PROGRAM)?;
    let known = find(inventory.hosts(), &args.host)?;
    let (classification, remarks) = Classification::of(&subject(&inventory, known));
    let text = yaml::document(&classification).map_err(|error: io::Error| Failure::ours(&error))?;
    for remark in remarks {
        let _ = writeln!(stderr, "{PROGRAM}: {}", sanitized_line(&remark));
    }
    Ok(text)
}

fn subject<'a>(inventory: &'a Inventory, known: &'a KnownHost) -> Subject<'a> {
    let record = known.record.as_deref();
    Subject {
        roles: inventory.roles(&known.host).collect(),
        security_groups: record.map(puppet::security_groups).unwrap_or_default(),
        tags: record.map(|record| &record.tags),
    }
}

/// The one host that is called `name`: by its own name or id, else in the DNS, where upper and lower case are the same.
fn find<'a>(hosts: &'a [KnownHost], name: &str) -> Result<&'a KnownHost, FindError> {
    let by_name: Vec<&KnownHost> = hosts.iter().filter(|known| names(known).any(|known| known == name)).collect();
    let in_dns = name.trim_end_matches('.');
    let is_in_dns = |known: &&KnownHost| dns_names(known).any(|known| known.eq_ignore_ascii_case(in_dns));
    let found = if by_name.is_empty() { hosts.iter().filter(is_in_dns).collect() } else { by_name };
    let name = name.to_owned();
    match *found.as_slice() {
        [only] => Ok(only),
        [] => {
            let all: BTreeSet<&str> = hosts.iter().flat_map(|known| names(known).chain(dns_names(known))).collect();
            Err(FindError::Unknown { nearest: nearest(&name, all), name })
        }
        _ => Err(FindError::Ambiguous { name, hosts: found.iter().map(|known| known.host.to_string()).collect() }),
    }
}

fn names(known: &KnownHost) -> impl Iterator<Item = &str> {
    let record = known.record.as_deref();
    let id = record.map(|record| &*record.id);
    let name = record.and_then(|record| record.name.as_deref());
    [Some(known.host.name()), id, name].into_iter().flatten()
}

fn dns_names(known: &KnownHost) -> impl Iterator<Item = &str> {
    let addresses = known.record.as_deref().map(|record| &record.addresses);
    let private = addresses.and_then(|addresses| addresses.private_dns.as_deref());
    let public = addresses.and_then(|addresses| addresses.public_dns.as_deref());
    let endpoint = known.endpoint.as_ref().and_then(|endpoint| endpoint.address.as_deref());
    let all = [Some(known.host.name()), private, public, endpoint];
    all.into_iter().flatten().map(|name| name.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use fleet_core::endpoint::AddressChoice;
    use fleet_core::inventory::{Rank, Reach, file};
    use fleet_core::provider::protocol::{Addresses, Record};

    use super::*;

    fn inventory() -> Inventory {
        let file =
            file::parse(b"[db]\nme@db1:22\nDB2.example.com\n[twice]\nx:1\nx:2\n", Path::new("hosts.txt")).unwrap();
        let mut inventory = Inventory::merge(&[file], &[], &[]).unwrap();
        let record = |id: &str, name: &str, dns: &str| {
            let addresses = Addresses { private_dns: Some(dns.into()), ..Addresses::default() };
            Arc::new(Record { id: id.into(), name: Some(name.into()), addresses, ..Record::default() })
        };
        let records = [
            record("i-1", "web-1", "ip-10-0-0-1.internal."),
            record("i-2", "same", "a.internal"),
            record("i-3", "same", "b.internal"),
        ];
        let reach = Reach { addresses: &[AddressChoice::Auto], address_tag: "", port_tag: "" };
        inventory.add_records(("ec2", Rank::Own), &records, reach);
        inventory
    }

    #[test]
    fn a_host_is_found_by_its_name_its_id_and_its_name_in_the_dns() {
        let inventory = inventory();
        for (name, expected) in [
            ("web-1", "web-1"),
            ("i-1", "web-1"),
            ("ip-10-0-0-1.internal", "web-1"),
            ("IP-10-0-0-1.Internal.", "web-1"),
            ("a.internal", "i-2"),
            ("WEB-1", "web-1"),
            ("i-3", "i-3"),
            ("db1", "me@db1:22"),
            ("db2.example.com", "DB2.example.com"),
        ] {
            let found = find(inventory.hosts(), name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(found.host.to_string(), expected, "{name}");
        }
    }

    #[test]
    fn a_name_of_none_or_of_several_is_refused() {
        let inventory = inventory();
        for (name, expected) in [
            ("same", "\"same\" could be i-2 or i-3"),
            ("x", "\"x\" could be x:1 or x:2"),
            ("web-2", "nobody knows a host with the name, id or DNS name \"web-2\""),
            ("", "nobody knows a host with the name, id or DNS name \"\""),
        ] {
            assert_eq!(find(inventory.hosts(), name).unwrap_err().to_string(), expected);
        }
        let failure = Failure::from(find(inventory.hosts(), "web-2").unwrap_err());
        assert_eq!((failure.status().code(), failure.advice()), (1, Some("did you mean web-1?")));
    }
}
