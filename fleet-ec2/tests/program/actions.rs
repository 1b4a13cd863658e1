//! The actions beside `describe`.

use ec2_doubles::{ACCOUNT, FakeEc2, Fault, Instance};
use serde_json::{Value, json};

use crate::world::{World, failure};

fn console(world: &World, settings: &Value, ids: &[&str]) -> Value {
    world.ask(&json!({"protocol": 1, "action": "console", "provider": "ec2", "settings": settings, "ids": ids}))
}

#[test]
fn consoles_are_told_in_the_order_asked_for_and_unknown_instances_are_warned_of() {
    let ec2 = FakeEc2::start();
    let keys = "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA root@é\n-----END SSH HOST KEY KEYS-----\n";
    ec2.add([
        Instance::new("i-nitro").saying(keys),
        Instance::new("i-xen").with("hypervisor", "xen").saying("booted"),
        Instance::new("i-mute"),
    ]);
    let answer = console(&World::of(&ec2), &json!({}), &["i-xen", "i-gone", "i-nitro", "i-mute"]);
    let expected = json!({
        "protocol": 1,
        "consoles": [
            {"id": "i-xen", "text": "booted"},
            {"id": "i-nitro", "text": keys},
            {"id": "i-mute", "text": ""},
        ],
        "warnings": ["there is no instance \"i-gone\" in eu-west-1"],
    });
    assert_eq!(answer, expected);
    let xen: Vec<_> = ec2.calls().into_iter().filter(|call| call.parameters["InstanceId"] == "i-xen").collect();
    assert_eq!(xen.len(), 2, "the latest output first, then that of the boot");
}

#[test]
fn an_instance_is_looked_for_in_every_region() {
    let ec2 = FakeEc2::start();
    ec2.add_in("us-east-1", [Instance::new("i-us").saying("hello")]);
    ec2.enable("eu-west-3");
    ec2.fail_in("eu-west-3", Fault::Unauthorized);
    let world = World::of(&ec2);
    let regions = json!({"regions": ["eu-west-1", "eu-west-3", "us-east-1"]});
    assert_eq!(console(&world, &regions, &["i-us"])["consoles"], json!([{"id": "i-us", "text": "hello"}]));
    let answer = console(&world, &regions, &["i-gone"]);
    let (code, message, _) = failure(&answer);
    assert_eq!(code, "unauthorized");
    assert!(message.starts_with("no permission for ec2:GetConsoleOutput in eu-west-3"), "{message}");
}

#[test]
fn a_check_names_the_account_and_the_regions() {
    let ec2 = FakeEc2::start();
    ec2.enable("us-east-1");
    let world = World::of(&ec2);
    let check = |settings: Value| {
        world.ask(&json!({"protocol": 1, "action": "check", "provider": "ec2", "settings": settings}))
    };
    assert_eq!(check(json!({}))["ok"], "eu-west-1");
    assert_eq!(check(json!({}))["actions"], json!(["describe", "console", "check", "upload", "discard"]));
    ec2.add([Instance::new("i-1")]);
    assert_eq!(check(json!({}))["ok"], format!("account {ACCOUNT}, eu-west-1"));
    let both = check(json!({"regions": ["us-east-1", "eu-west-1"]}));
    assert_eq!(both["ok"], format!("account {ACCOUNT}, us-east-1, eu-west-1"));
    assert!(ec2.calls().iter().all(|call| call.action == "DescribeInstances"));
    ec2.fail_in("us-east-1", Fault::Unauthorized);
    assert_eq!(failure(&check(json!({"regions": ["eu-west-1", "us-east-1"]}))).0, "unauthorized");
}
