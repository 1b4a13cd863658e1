//! Where hosts of EC2 are looked for, how they are grouped, reached and logged in to: fleet.toml and flags.

use ec2_doubles::Instance;
use fleet_tests::accounts;

use crate::world::{World, listed};

#[test]
fn regions_of_the_settings_are_asked_unless_a_flag_names_others() {
    let world = World::new();
    for (id, region) in [("i-1", "eu-west-1"), ("i-2", "us-east-1"), ("i-3", "eu-north-1")] {
        world.ec2.add_in(region, [Instance::new(id).with("tag:Role", "loadgen")]);
    }
    world.env.write("work/fleet.toml", "[provider.ec2]\nregions = [\"us-east-1\", \"eu-north-1\"]\n");
    for (arguments, hosts) in [
        (&[][..], &["i-2", "i-3"][..]),
        (&["--region", "eu-west-1,us-east-1"], &["i-1", "i-2"]),
        (&["--region", "all"], &["i-1", "i-2", "i-3"]),
    ] {
        let run = world.psh(&["--list", "-g", "loadgen"]).args(arguments).finish().expect_code(0);
        assert_eq!(listed(&run), hosts, "{arguments:?}: {run}");
    }
}

#[test]
fn credentials_are_those_of_the_profile_that_the_settings_or_a_flag_name() {
    let world = World::new();
    world.ec2.add([Instance::new("i-1").with("tag:Role", "loadgen")]);
    let profile = |name: &str, key: &str| format!("[{name}]\naws_access_key_id = {key}\naws_secret_access_key = x\n");
    let credentials = [profile("ops", "AKIAOPS"), profile("dev", "AKIADEV")].concat();
    world.env.write("home/.aws/credentials", credentials);
    world.env.write("work/fleet.toml", "[provider.ec2]\nprofile = \"ops\"\n");
    for (arguments, key) in [(&[][..], "AKIAOPS"), (&["--profile", "dev"], "AKIADEV")] {
        world.psh(&["--list", "-g", "tag:Role=loadgen"]).args(arguments).finish().expect_code(0);
        assert_eq!(world.ec2.calls().last().map(|call| call.access_key.clone()), Some(key.to_owned()));
    }
    let run = world.psh(&["--list", "-g", "loadgen", "--profile", "prod"]).finish().expect_code(2);
    run.expect_stderr("hint: there is no profile prod in ~/.aws/config; there are: ");
}

#[test]
fn groups_are_values_of_the_tags_that_the_settings_name_and_queries() {
    let world = World::new();
    world.ec2.add([
        Instance::new("i-1").with("tag:Team", "web").with("tag:Role", "old").with("availability-zone", "eu-west-1a"),
        Instance::new("i-2").with("tag:Role", "web").with("availability-zone", "eu-west-1b"),
    ]);
    let settings =
        "group_tags = [\"Team\"]\ndefault = \"@near\"\n[provider.ec2]\n[groups]\nnear = \"tag:Role & az:*a\"\n";
    world.env.write("work/fleet.toml", settings);
    for (group, hosts) in
        [(Some("web"), "i-1"), (Some("role:web"), "i-1"), (Some("tag:Role=web"), "i-2"), (None, "i-1")]
    {
        let arguments = group.map_or_else(Vec::new, |group| vec!["-g", group]);
        let run = world.psh(&["--list"]).args(arguments).finish().expect_code(0);
        assert_eq!(listed(&run), [hosts], "{group:?}: {run}");
    }
    let asked: Vec<_> = world.ec2.calls().iter().flat_map(ec2_doubles::Call::filters).collect();
    assert!(!asked.iter().any(|filter| filter == "tag:fleet:role=web"), "{asked:?}");
}

#[test]
fn users_come_from_rules_and_flags_and_the_rest_from_ssh_config() {
    let world = World::with_hosts(2);
    let plain = accounts::plain();
    world.ec2.add([world.instance("i-1", 0).with("tag:os", "ubuntu"), world.instance("i-2", 1).with("tag:os", "al2")]);
    world.env.write("home/.ssh/config", "User nobody-here\n");
    let rules = format!("[provider.ec2]\n[[user]]\nmatch = \"tag:os=ubuntu\"\nuser = \"{plain}\"\n");
    world.env.write("work/fleet.toml", rules);
    let run = world.psh(&["-g", "loadgen", "id -un"]).finish().expect_code(4);
    assert_eq!(run.sorted_lines(), [format!("i-1: {plain}")], "{run}");
    let run = world.psh(&["-g", "loadgen", "--user", plain, "id -un"]).finish().expect_code(0);
    assert_eq!(run.sorted_lines(), [format!("i-1: {plain}"), format!("i-2: {plain}")], "{run}");
}

#[test]
fn tags_say_address_and_port_under_the_names_that_the_settings_give_them() {
    let world = World::with_hosts(2);
    let (address, port) = (world.server.addresses()[1], world.server.port());
    let elsewhere = |instance: Instance| instance.with("private-ip-address", "192.0.2.1");
    world.ec2.add([
        elsewhere(world.instance("i-1", 0)).with("tag:fleet:address", format!("{address}:{port}")),
        elsewhere(world.instance("i-2", 0)).with("tag:Via", address.to_string()),
    ]);
    let shown = |arguments: &[&str]| {
        let run = world.psh(arguments).args(["-g", "loadgen", "echo $SSH_CONNECTION"]).finish().expect_code(0);
        run.sorted_lines().iter().filter_map(|line| line.split(' ').nth(3).map(str::to_owned)).collect::<Vec<_>>()
    };
    let expected = [address.to_string(), address.to_string()];
    assert_eq!(shown(&["--address", "tag:Via,auto"]), expected);
    world.ec2.change("i-1", "tag:Port", &port.to_string());
    world.ec2.change("i-1", "tag:At", &address.to_string());
    world.ec2.change("i-1", "tag:fleet:address", "192.0.2.2:1");
    world.env.write("work/fleet.toml", "address_tag = \"At\"\nport_tag = \"Port\"\n[provider.ec2]\n");
    world.ec2.change("i-2", "tag:At", &format!("{address}:{port}"));
    assert_eq!(shown(&["--refresh"]), expected);
}
