//! The same questions to the fake and to moto, an emulator by others: the answers must be equal.
//!
//! Left out is where moto is known to differ from EC2: it gives pages by reservations, knows wildcards in tags only,
//! answers unknown filters with a page in HTML, never throttles, and shows an instance as soon as it is launched.

use std::collections::BTreeMap;

use ec2_doubles::{FakeEc2, Instance, Launch, Moto};
use serde_json::Value;

use crate::world::{World, hosts};

fn launches() -> Vec<Launch<'static>> {
    let web = Launch { group: "web", tags: BTreeMap::from([("Role", "web")]), ..Launch::default() };
    vec![
        Launch { name: "web-1", private: "127.7.1.11", public: "127.7.2.11", ..web.clone() },
        Launch { name: "web-2", private: "127.7.1.12", kind: "t3.micro", ..web.clone() },
        Launch { name: "web-3", private: "127.7.1.13", state: "stopped", ..web.clone() },
        Launch { name: "web-4", private: "127.7.1.14", state: "terminated", ..web },
        Launch {
            name: "db, main = é",
            private: "127.7.1.21",
            tags: BTreeMap::from([("Role", "db"), ("fleet:cluster", "one"), ("empty", "")]),
            ..Launch::default()
        },
    ]
}

/// The instances of moto, once more in the fake.
fn same_in_fake(moto: &Moto) -> FakeEc2 {
    let ec2 = FakeEc2::start();
    for (launch, id) in launches().into_iter().zip(moto.instances()) {
        let group = if launch.group.is_empty() { "plain" } else { launch.group };
        let mut instance = Instance::new(id)
            .named(launch.name)
            .with("instance-type", if launch.kind.is_empty() { "c5.large" } else { launch.kind })
            .with("instance-state-name", if launch.state.is_empty() { "running" } else { launch.state })
            .with("image-id", "ami-12345678")
            .with("vpc-id", moto.vpc())
            .with("subnet-id", moto.subnet())
            .with("availability-zone", "eu-west-1a")
            .with("private-ip-address", launch.private)
            .in_group(moto.group(group), group);
        if !launch.public.is_empty() {
            instance = instance.with("ip-address", launch.public);
        }
        ec2.add([launch.tags.iter().fold(instance, |one, (key, value)| one.with(&format!("tag:{key}"), *value))]);
    }
    ec2
}

/// What both know alike of a host: times and names of the emulator's own making are left out.
fn comparable(answer: &Value) -> Vec<String> {
    let hosts = hosts(answer).iter().map(|host| {
        let (addresses, facts) = (&host["addresses"], &host["facts"]);
        let facts =
            ["region", "account", "az", "vpc", "subnet", "type", "image", "sg"].map(|name| facts[name].to_string());
        let addresses = [addresses["private"].to_string(), addresses["public"].to_string()];
        format!("{} {} {} {addresses:?} {} {facts:?}", host["id"], host["name"], host["state"], host["tags"])
    });
    hosts.collect()
}

#[test]
fn the_fake_and_moto_answer_alike() {
    let moto = Moto::start("127.7.1.", &launches());
    let ec2 = same_in_fake(&moto);
    let on_fake = World::of(&ec2);
    let on_moto = World::of(&ec2).without("AWS_ENDPOINT").with("AWS_ENDPOINT_URL_EC2", moto.endpoint());
    let ids = moto.instances();
    for (query, count) in [
        ("", 3),
        ("tag:Role=web", 2),
        ("tag:Role=w?b|db", 3),
        ("tag:Role=nothing", 0),
        ("tag-key=fleet:cluster", 1),
        ("tag:empty=*", 1),
        ("cluster=one", 1),
        ("name=web-*", 2),
        ("state=stopped", 1),
        ("state=stopped|running tag:Role=web", 3),
        (&format!("id={}|i-00000000000000000", ids[2]), 1),
        (&format!("vpc={}", moto.vpc()), 3),
        ("vpc=vpc-0", 0),
        (&format!("subnet={} type=t3.micro", moto.subnet()), 1),
        ("az=eu-west-1a image=ami-12345678", 3),
        ("sg=web", 2),
        (&format!("sg={}", moto.group("plain")), 1),
        (&format!("sg=web|{}", moto.group("plain")), 3),
    ] {
        let queries = if query.is_empty() { vec![] } else { vec![query] };
        let answer = comparable(&on_fake.describe(&queries));
        assert_eq!(answer.len(), count, "{query}");
        assert_eq!(comparable(&on_moto.describe(&queries)), answer, "{query}");
    }
}
