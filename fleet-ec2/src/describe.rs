//! The action `describe`: every region and every conjunction at once, page by page, merged by id.

use std::collections::BTreeMap;

use aws_config::imds;
use aws_sdk_ec2::types;
use futures::{StreamExt as _, stream};

use crate::access::{Access, Area};
use crate::failure::{Code, Failure};
use crate::filter::Conjunction;
use crate::host;
use crate::machine::Machine;
use crate::protocol::{Body, Host};

/// What EC2 gives of one call at most.
const PAGE_SIZE: i32 = 1000;

/// How many calls run at once: EC2 lets about a hundred go in one burst, for all programs of an account.
const CALLS_MAX: usize = 20;

/// What decides about account, region and endpoint; HOME is where profiles are.
const ENVIRONMENT: [&str; 2] = ["AWS_*", "HOME"];

/// Tells of the instances that any of the conjunctions asks for.
pub(crate) async fn describe(access: &Access, conjunctions: &[Conjunction]) -> Result<Body, Failure> {
    let calls = access.regions.iter().flat_map(|area| conjunctions.iter().map(move |call| (area, call)));
    let calls = stream::iter(calls).map(|(area, call)| async move { (area, instances(area, call).await) });
    let (answers, own_id) =
        futures::join!(calls.buffer_unordered(CALLS_MAX).collect::<Vec<_>>(), own_instance(access.machine));
    let refused = refused_regions(access, &answers)?;
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    for (area, answer) in answers {
        if !refused.contains_key(area.name.as_str()) {
            hosts.extend(answer?.into_iter().map(|host| (host.id.clone(), host)));
        }
    }
    if let Some(host) = own_id.and_then(|id| hosts.get_mut(&id)) {
        host.is_self = true;
    }
    let warnings = refused.into_iter().map(|(region, why)| format!("the hosts of {region} are left out: {why}"));
    let hosts = hosts.into_values().collect();
    Ok(Body::Hosts { warnings: warnings.collect(), hosts, environment: ENVIRONMENT })
}

/// The regions that the user may not see, as long as there are others; policies often allow only some. Any other failure
/// of a region would make its hosts vanish by chance, and so fails the whole.
fn refused_regions<'a>(
    access: &Access,
    answers: &[(&'a Area, Result<Vec<Host>, Failure>)],
) -> Result<BTreeMap<&'a str, String>, Failure> {
    let mut refused = BTreeMap::new();
    let mut first = None;
    for (area, answer) in answers {
        match answer {
            Err(failure) if failure.code != Code::Unauthorized => return Err(failure.clone()),
            Err(failure) => {
                refused.insert(area.name.as_str(), failure.message.clone());
                first.get_or_insert(failure);
            }
            Ok(_) => {}
        }
    }
    match first {
        Some(failure) if refused.len() == access.regions.len() => Err(failure.clone()),
        _ => Ok(refused),
    }
}

/// The instances of one region that one conjunction asks for.
async fn instances(area: &Area, conjunction: &Conjunction) -> Result<Vec<Host>, Failure> {
    let filters = conjunction
        .iter()
        .map(|filter| types::Filter::builder().name(&filter.name).set_values(Some(filter.values.clone())).build());
    let pages = area.client.describe_instances().set_filters(Some(filters.collect()));
    let mut pages = pages.into_paginator().page_size(PAGE_SIZE).send();
    let mut hosts = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| area.call("DescribeInstances").failure(&error))?;
        for reservation in page.reservations() {
            let account = reservation.owner_id();
            hosts.extend(reservation.instances().iter().filter_map(|one| host::host(one, &area.name, account)));
        }
    }
    Ok(hosts)
}

/// The id of the instance that this program runs on. Without it nothing is marked, as on any other machine.
async fn own_instance(machine: Machine) -> Option<String> {
    match machine {
        Machine::Elsewhere => None,
        Machine::Ec2 => {
            let id = imds::Client::builder().max_attempts(2).build().get("/latest/meta-data/instance-id").await;
            id.ok().map(|id| id.as_ref().trim().to_owned())
        }
    }
}
