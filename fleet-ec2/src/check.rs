//! The action `check`: whether credentials and regions work, by the call that everything else needs too.

use futures::future;

use crate::access::{Access, Area};
use crate::failure::Failure;
use crate::protocol::{ACTIONS, Body};

/// The smallest page that EC2 gives.
const PAGE_SIZE: i32 = 5;

/// Asks each region for a few instances: the permission for that, `ec2:DescribeInstances`, is the only one that a look at
/// the hosts needs. The account is known when the credentials tell it, or an instance does.
pub(crate) async fn check(access: &Access) -> Result<Body, Failure> {
    let owners = future::try_join_all(access.regions.iter().map(owner)).await?;
    let account = access.account.clone().or_else(|| owners.into_iter().flatten().next());
    let account = account.map(|account| format!("account {account}"));
    let regions = access.regions.iter().map(|area| area.name.clone());
    Ok(Body::Checked { ok: account.into_iter().chain(regions).collect::<Vec<_>>().join(", "), actions: ACTIONS })
}

/// The account of any instance in a region.
async fn owner(area: &Area) -> Result<Option<String>, Failure> {
    let page = area.client.describe_instances().max_results(PAGE_SIZE).send().await;
    let page = page.map_err(|error| area.call("DescribeInstances").failure(&error))?;
    Ok(page.reservations().iter().find_map(|reservation| reservation.owner_id()).map(str::to_owned))
}
