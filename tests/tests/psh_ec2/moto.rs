//! On moto, an emulator of EC2 by others: hosts chosen by what EC2 knows of them, at the addresses that it tells.

use std::collections::BTreeMap;

use ec2_doubles::{Launch, Moto};
use fleet_tests::{Run, TestEnv};

use crate::world::{listed, start};

/// Runs `psh` with credentials for moto.
fn psh(env: &TestEnv, moto: &Moto, arguments: &[&str]) -> Run {
    let run = env.psh(arguments).env("AWS_ENDPOINT_URL_EC2", moto.endpoint()).env("AWS_REGION", "eu-west-1");
    run.env("AWS_ACCESS_KEY_ID", "fake").env("AWS_SECRET_ACCESS_KEY", "fake")
}

#[test]
fn hosts_are_chosen_by_what_ec2_knows_and_reached_where_it_says() {
    let env = TestEnv::new();
    // A subnet keeps its first addresses for itself.
    env.addresses(3);
    let server = start(&env, 6);
    let port = server.port().to_string();
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    let tagged = |role| BTreeMap::from([("Role", role), ("fleet:port", port.as_str())]);
    let loadgen = Launch { group: "workers", tags: tagged("loadgen"), ..Launch::default() };
    let twin = Launch { name: "twin", tags: tagged("db"), ..Launch::default() };
    let launches = [
        Launch { name: "lg-1", private: &addresses[0], public: &addresses[4], ..loadgen.clone() },
        Launch { name: "lg-2", private: &addresses[1], kind: "t3.micro", ..loadgen.clone() },
        Launch { name: "lg-3", private: &addresses[5], state: "stopped", ..loadgen },
        Launch { private: &addresses[2], ..twin.clone() },
        Launch { private: &addresses[3], ..twin },
    ];
    let moto = Moto::start(&env.network(), &launches);
    let ids = moto.instances();
    for id in ids {
        env.trust(&format!("{id} {}\n", server.host_key()));
    }

    let run = psh(&env, &moto, &["-g", "loadgen", "echo hi"]).finish().expect_code(0);
    assert_eq!(run.sorted_lines(), ["lg-1: hi", "lg-2: hi"], "{run}");

    let mut twins = vec![ids[3].as_str(), &ids[4]];
    twins.sort_unstable();
    let vpc = format!("vpc:{}", moto.vpc());
    let third = format!("id:{}", ids[2]);
    for (arguments, hosts) in [
        (&["-g", "tag:Role=loadgen&az:eu-west-1a"][..], &["lg-1", "lg-2"][..]),
        (&["-g", "@ec2:loadgen"], &["lg-1", "lg-2"]),
        (&["-g", "@loadgen&type:t3.*"], &["lg-2"]),
        (&["-g", "lg-*"], &["lg-1", "lg-2"]),
        (&["-g", "sg:workers", "-x", "lg-1"], &["lg-2"]),
        (&["-g", "loadgen", "--filter", "Name=instance-type,Values=t3.micro,t3.small"], &["lg-2"]),
        (&["-g", &format!("{vpc}!@loadgen")], &twins),
        (&["-g", "name:twin"], &twins),
        (&["-g", "tag:Role=loadgen&state:stopped"], &["lg-3"]),
        (&["-g", &third], &["lg-3"]),
    ] {
        let run = psh(&env, &moto, arguments).arg("--list").finish().expect_code(0);
        assert_eq!(listed(&run), hosts, "{arguments:?}: {run}");
    }
    let run = psh(&env, &moto, &["-g", "tag:Role=loadgen&az:eu-west-1b", "true"]).finish().expect_code(2);
    run.expect_stderr("no hosts are selected");

    for (arguments, reached) in [
        (&[][..], [&addresses[4], &addresses[1]]),
        (&["--address", "private"], [&addresses[0], &addresses[1]]),
        (&["--address", "public,private"], [&addresses[4], &addresses[1]]),
    ] {
        let run = psh(&env, &moto, arguments).args(["-g", "loadgen", "echo $SSH_CONNECTION"]).finish().expect_code(0);
        let lines = run.sorted_lines();
        let reached_at: Vec<_> = lines.iter().filter_map(|line| line.split(' ').nth(3)).collect();
        assert_eq!(reached_at, reached, "{arguments:?}: {run}");
    }
}
