//! An instance of EC2 as a record of the protocol.

use std::collections::BTreeMap;

use aws_sdk_ec2::primitives::DateTimeFormat;
use aws_sdk_ec2::types::Instance;

use crate::protocol::{Addresses, Fact, Host};

/// The record of one instance; none when it has no id, which EC2 never lets happen.
pub(crate) fn host(instance: &Instance, region: &str, account: Option<&str>) -> Option<Host> {
    let id = instance.instance_id()?.to_owned();
    let tags = tags(instance);
    let facts = facts(instance, region, account, &tags);
    let state = instance.state().and_then(|state| state.name()).map(|name| name.as_str().to_owned());
    Some(Host {
        id,
        name: tags.get("Name").and_then(text),
        state,
        addresses: addresses(instance),
        tags,
        is_self: false,
        facts,
    })
}

fn tags(instance: &Instance) -> BTreeMap<String, String> {
    let tags = instance.tags().iter();
    tags.filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))).collect()
}

fn addresses(instance: &Instance) -> Addresses {
    Addresses {
        private: instance.private_ip_address().and_then(text),
        public: instance.public_ip_address().and_then(text),
        ipv6: instance.ipv6_address().and_then(text),
        private_dns: instance.private_dns_name().and_then(text),
        public_dns: instance.public_dns_name().and_then(text),
    }
}

fn facts(
    instance: &Instance,
    region: &str,
    account: Option<&str>,
    tags: &BTreeMap<String, String>,
) -> BTreeMap<&'static str, Fact> {
    let az = instance.placement().and_then(|placement| placement.availability_zone());
    let launched = instance.launch_time().and_then(|time| time.fmt(DateTimeFormat::DateTime).ok());
    let known = [
        ("region", text(region)),
        ("account", account.and_then(text)),
        ("az", az.and_then(text)),
        ("vpc", instance.vpc_id().and_then(text)),
        ("subnet", instance.subnet_id().and_then(text)),
        ("type", instance.instance_type().and_then(|kind| text(kind.as_str()))),
        ("image", instance.image_id().and_then(text)),
        ("asg", tags.get("aws:autoscaling:groupName").and_then(text)),
        ("launched", launched),
        // Its number among those that one request launched.
        ("launch-index", instance.ami_launch_index().map(|index| index.to_string())),
    ];
    let groups = instance.security_groups().iter();
    let groups: Vec<_> =
        groups.flat_map(|group| [group.group_id(), group.group_name()]).flatten().filter_map(text).collect();
    let one = known.into_iter().filter_map(|(name, value)| Some((name, Fact::One(value?))));
    one.chain((!groups.is_empty()).then_some(("sg", Fact::Many(groups)))).collect()
}

/// EC2 writes an empty text where there is nothing.
fn text(text: impl AsRef<str>) -> Option<String> {
    Some(text.as_ref()).filter(|text| !text.is_empty()).map(str::to_owned)
}
