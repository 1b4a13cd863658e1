//! The hosts of an answer: which, and what is told of them.

use ec2_doubles::{ACCOUNT, FakeEc2, Instance};
use serde_json::json;

use crate::world::{World, hosts, ids};

#[test]
fn an_instance_is_told_with_all_that_is_known_of_it() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-0abc")
        .named("web-1")
        .with("tag:Role", "web")
        .with("tag:aws:autoscaling:groupName", "workers")
        .with("private-ip-address", "10.0.0.1")
        .with("ip-address", "3.4.5.6")
        .with("ipv6-address", "2001:db8::1")
        .with("private-dns-name", "ip-10-0-0-1.ec2.internal")
        .with("dns-name", "ec2-3-4-5-6.compute.amazonaws.com")
        .with("availability-zone", "eu-west-1a")
        .with("launch-index", "7")
        .with("vpc-id", "vpc-1")
        .with("subnet-id", "subnet-1")
        .in_group("sg-1", "web-sg")
        .in_group("sg-2", "ssh")]);
    let answer = World::of(&ec2).describe(&[]);
    let whole = json!({
        "protocol": 1,
        "hosts": [{
            "id": "i-0abc",
            "name": "web-1",
            "state": "running",
            "addresses": {
                "private": "10.0.0.1",
                "public": "3.4.5.6",
                "ipv6": "2001:db8::1",
                "private_dns": "ip-10-0-0-1.ec2.internal",
                "public_dns": "ec2-3-4-5-6.compute.amazonaws.com",
            },
            "tags": {"Name": "web-1", "Role": "web", "aws:autoscaling:groupName": "workers"},
            "self": false,
            "facts": {
                "region": "eu-west-1",
                "account": ACCOUNT,
                "az": "eu-west-1a",
                "vpc": "vpc-1",
                "subnet": "subnet-1",
                "type": "c5.large",
                "image": "ami-1",
                "sg": ["sg-1", "web-sg", "sg-2", "ssh"],
                "asg": "workers",
                "launched": "2026-01-02T03:04:05Z",
                "launch-index": "7",
            },
        }],
        "warnings": [],
        "environment": ["AWS_*", "HOME"],
    });
    assert_eq!(answer, whole);
}

#[test]
fn an_instance_may_lack_name_addresses_and_tags() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-1")]);
    let answer = World::of(&ec2).describe(&[]);
    let host = &hosts(&answer)[0];
    assert_eq!((&host["addresses"], &host["tags"]), (&json!({}), &json!({})));
    assert_eq!(host.get("name"), None);
}

#[test]
fn two_instances_may_have_one_name() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-2").named("web"), Instance::new("i-1").named("web")]);
    let answer = World::of(&ec2).describe(&["name=web"]);
    assert_eq!(ids(&answer), ["i-1", "i-2"]);
}

#[test]
fn tags_are_told_exactly_as_they_are() {
    let tags = [
        ("with spaces", " a  b "),
        ("a,b=c", "x,y=z;\"'$(id)`\\"),
        ("ünïcode", "日本語 🚀"),
        ("control", "a\tb\nc\u{7f}\u{9b}31m\u{1b}[31m\u{7}"),
        ("markup", "<b>&amp;</b>"),
        ("empty", ""),
    ];
    let ec2 = FakeEc2::start();
    ec2.add([tags.iter().fold(Instance::new("i-1"), |one, (key, value)| one.with(&format!("tag:{key}"), *value))]);
    let answer = World::of(&ec2).describe(&[]);
    for (key, value) in tags {
        assert_eq!(hosts(&answer)[0]["tags"][key], value, "{key}");
    }
}

#[test]
fn filters_with_odd_values_find_what_they_name() {
    for (key, value) in [("a b", "x,y=z"), ("ünïcode", "日本 語"), ("fleet:role", "a+b&c%20"), ("path", r"C:\x")] {
        let ec2 = FakeEc2::start();
        ec2.add([
            Instance::new("i-1").with(&format!("tag:{key}"), value),
            Instance::new("i-2").with("tag:other", value),
        ]);
        let answer = World::of(&ec2).ask(&json!({
            "protocol": 1, "action": "describe", "provider": "ec2",
            "queries": [[{"filter": format!("tag:{key}"), "values": [value.replace('\\', r"\\")]}]],
        }));
        assert_eq!(ids(&answer), ["i-1"], "{key}={value}");
    }
}

#[test]
fn only_running_instances_are_told_unless_a_state_or_an_id_is_asked_for() {
    let ec2 = FakeEc2::start();
    for state in ["pending", "running", "stopping", "stopped", "shutting-down", "terminated"] {
        ec2.add([Instance::new(format!("i-{state}")).named("web").with("instance-state-name", state)]);
    }
    let world = World::of(&ec2);
    for (queries, expected) in [
        (&[][..], &["i-running"][..]),
        (&["name=web"], &["i-running"]),
        (&["state=stopped|stopping"], &["i-stopped", "i-stopping"]),
        (&["id=i-stopped|i-gone"], &["i-stopped"]),
        (&["state=p*", "name=web"], &["i-pending", "i-running"]),
    ] {
        assert_eq!(ids(&world.describe(queries)), expected, "{queries:?}");
    }
}

#[test]
fn each_conjunction_is_one_call_and_an_instance_of_two_is_told_once() {
    let ec2 = FakeEc2::start();
    ec2.add([
        Instance::new("i-1").with("tag:Role", "web").with("vpc-id", "vpc-1"),
        Instance::new("i-2").with("tag:Role", "web").with("vpc-id", "vpc-2"),
        Instance::new("i-3").with("tag:Role", "db").with("vpc-id", "vpc-1"),
        Instance::new("i-4").with("tag:Role", "db").with("vpc-id", "vpc-2"),
    ]);
    let answer = World::of(&ec2).describe(&["tag:Role=web", "tag:Role=* vpc=vpc-1"]);
    assert_eq!(ids(&answer), ["i-1", "i-2", "i-3"]);
    let mut filters: Vec<_> = ec2.calls().iter().map(|call| call.filters().join(" ")).collect();
    filters.sort();
    let running = "instance-state-name=running";
    assert_eq!(filters, [format!("{running} tag:Role=* vpc-id=vpc-1"), format!("{running} tag:Role=web")]);
}

#[test]
fn native_filters_are_passed_on_and_refused_by_ec2_itself() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-1"), Instance::new("i-2").with("instance-lifecycle", "spot")]);
    let world = World::of(&ec2);
    let ask = |name: &str, value: &str| {
        world.ask(&json!({
            "protocol": 1, "action": "describe", "provider": "ec2",
            "native_filters": [{"name": name, "values": [value]}],
        }))
    };
    assert_eq!(ids(&ask("instance-lifecycle", "spot")), ["i-2"]);
    let refused = ask("bogus", "x");
    assert_eq!(refused["error"]["code"], "bad-request");
    assert_eq!(
        refused["error"]["message"],
        "EC2 in eu-west-1 says InvalidParameterValue: The filter 'bogus' is invalid"
    );
}

#[test]
fn thousands_of_instances_come_page_by_page() {
    for (instances, calls) in [(999, 1), (1_000, 1), (1_001, 2), (2_500, 3), (10_000, 10)] {
        let ec2 = FakeEc2::start();
        ec2.add((0..instances).map(|number| {
            let name = format!("web-{number:05}");
            Instance::new(format!("i-{number:05}")).named(name).with("reservation-id", format!("r-{}", number / 7))
        }));
        let answer = World::of(&ec2).describe(&[]);
        let expected: Vec<_> = (0..instances).map(|number| format!("i-{number:05}")).collect();
        assert_eq!(ids(&answer), expected);
        assert_eq!(ec2.calls().len(), calls);
        assert!(ec2.calls().iter().all(|call| call.parameters["MaxResults"] == "1000"));
    }
}

#[test]
fn an_instance_that_ec2_does_not_show_yet_is_told_as_soon_as_it_is_shown() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-new").hidden_for(1)]);
    let world = World::of(&ec2);
    assert!(ids(&world.describe(&["id=i-new"])).is_empty());
    assert_eq!(ids(&world.describe(&["id=i-new"])), ["i-new"]);
    ec2.change("i-new", "instance-state-name", "terminated");
    assert!(ids(&world.describe(&[])).is_empty());
}
