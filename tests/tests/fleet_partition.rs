//! `fleet partition`: roles that are groups for every tool, in this shell and in the next.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fleet_tests::{Finished, Sshd, TestEnv};

/// A world with a provider that answers with what stands in `answer.json`.
fn world(hosts: &str) -> TestEnv {
    let env = TestEnv::new();
    answer(&env, hosts);
    let answer = env.path().join("answer.json").display().to_string();
    let script = env.write("provider.sh", format!("#!/bin/sh\ncat >/dev/null\ncat {answer}\n"));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file of the test");
    let settings = format!("cache_ttl = 0\n[provider.lab]\ncommand = [{:?}]\n", script.display().to_string());
    env.write("work/fleet.toml", settings);
    env
}

fn answer(env: &TestEnv, hosts: &str) {
    env.write("answer.json", format!("{{\"protocol\":1,\"hosts\":[{hosts}]}}"));
}

/// A record of the provider.
fn record(id: u32, name: &str, az: &str) -> String {
    format!(
        r#"{{"id":"i-{id}","name":"{name}","state":"running","addresses":{{"private":"10.0.0.{id}"}},"tags":{{"Role":"workers"}},"facts":{{"az":"{az}","type":"c5.large"}}}}"#
    )
}

fn partition(env: &TestEnv, arguments: &[&str]) -> Finished {
    env.fleet(["partition"]).args(arguments).finish()
}

fn listed(env: &TestEnv, arguments: &[&str]) -> String {
    env.fleet(["hosts", "--no-cache", "--expand"]).args(arguments).finish().expect_code(0).stdout_text().into_owned()
}

/// What lies beside the roles and is none of the cache: nothing, once they are written.
fn kept(env: &TestEnv) -> Vec<String> {
    let folder = env.path().join("home/.local/state/fleet");
    let entries = fs::read_dir(folder)
        .map_or_else(|_| Vec::new(), |entries| entries.map(|entry| entry.expect("an entry")).collect());
    entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name != "runs").collect()
}

#[test]
fn roles_are_groups_at_once_and_run_commands_on_their_hosts() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("w", 4).start();
    let made = partition(&env, &["-H", "w[01-04]", "server=1", "load-gen=rest"]).expect_code(0);
    assert_eq!(made.stdout_text(), "server    1  w01\nload-gen  3  w[02-04]\n");
    // Other hosts do not know the names in ssh_config.
    let variables = partition(&env, &["--show", "--format", "env"]).expect_code(0);
    variables.expect_stdout(&format!("FLEET_HOSTS_SERVER='{}'\n", server.address()));
    for (role, count) in [("server", 1), ("load-gen", 3)] {
        let run = env.psh(["--no-prefix", "-g", role, "echo $FLEET_GROUP"]).finish().expect_code(0);
        assert_eq!(run.stdout_text(), format!("{role}\n").repeat(count), "{run}");
    }
    let run =
        env.psh(["--no-prefix", "-g", "@load-gen!@server", "-x", "w03", "echo $FLEET_HOST"]).finish().expect_code(0);
    assert_eq!(run.sorted_lines(), ["w02", "w04"], "{run}");
}

#[test]
fn the_order_of_the_source_changes_nothing_and_a_second_partition_replaces_the_first() {
    let records: Vec<String> = (1..=6).map(|n| record(n, &format!("w{n}"), ["a", "b"][n as usize % 2])).collect();
    let env = world(&records.join(","));
    let roles = ["--no-cache", "-g", "workers", "server=1", "web[type=c5.*]=50%", "loadgen=rest"];
    let first = partition(&env, &roles).expect_code(0).stdout_text().into_owned();
    assert_eq!(first, "server   1  w1\nweb      2  w[2-3]\nloadgen  3  w[4-6]\n");
    answer(&env, &records.iter().rev().cloned().collect::<Vec<_>>().join(","));
    assert_eq!(partition(&env, &roles).expect_code(0).stdout_text(), first);
    assert_eq!(listed(&env, &["-g", "loadgen"]), "w4\nw5\nw6\n");
    assert_eq!(partition(&env, &["--show"]).expect_code(0).stdout_text(), first);
    partition(&env, &["--no-cache", "-g", "workers", "--by", "az", "web=50%", "db=50%"]).expect_code(0);
    assert_eq!(kept(&env), ["roles.json"]);
    env.fleet(["hosts", "-g", "loadgen"]).finish().expect_code(2).expect_stderr("there is no group \"loadgen\"");
    let zones = env.fleet(["hosts", "--no-cache", "-g", "web", "--format", "{az}"]).finish().expect_code(0);
    let mut zones: Vec<&str> = zones.stdout_text().lines().map(|zone| if zone == "a" { "a" } else { "b" }).collect();
    zones.sort_unstable();
    assert!(zones == ["a", "a", "b"] || zones == ["a", "b", "b"], "{zones:?}");
}

#[test]
fn nothing_is_kept_of_a_dry_run_or_of_what_is_refused() {
    let env = world(&[record(1, "w1", "a"), record(2, "w2", "a")].join(","));
    let base = ["--no-cache", "-g", "workers"];
    partition(&env, &[&base[..], &["--dry-run", "web=2"]].concat()).expect_code(0).expect_stdout("web  2  w[1-2]");
    for (roles, expected) in [
        (&["web=2", "db=1"][..], "too few hosts for web=2, db=1: expected at least 3, got 2, so 1 is missing"),
        (&["web=60%", "db=50%"], "the percentages of web, db add up to 110%"),
        (&["web[rack=1]=1"], "no chosen host has the fact \"rack\""),
        (&["web[type=m5.*]=1"], "too few hosts with type=m5.* for web: expected at least 1, got 0"),
        (&["web"], "\"web\" is not a role"),
        (&["--by", "zone", "web=1"], "no chosen host has the fact \"zone\""),
        (&["-g", "nobody", "web=1"], "there is no group \"nobody\""),
    ] {
        partition(&env, &[&base[..], roles].concat()).expect_code(2).expect_stderr(expected);
    }
    partition(&env, &["--no-cache", "web=1"]).expect_code(2).expect_stderr("no hosts are selected");
    partition(&env, &[]).expect_code(2).expect_stderr("ROLE=SHARE");
    partition(&env, &["--show"]).expect_code(2).expect_stderr("there is no partition");
    assert!(kept(&env).is_empty(), "{:?}", kept(&env));
    let one = partition(&env, &[&base[..], &["web=1"]].concat()).expect_code(0);
    one.expect_stderr("without a role: w2");
    partition(&env, &[&base[..], &["web=9"]].concat()).expect_code(2);
    assert_eq!(listed(&env, &["-g", "web"]), "w1\n");
}

#[test]
fn a_host_that_has_gone_is_said_and_its_name_is_nobody_elses() {
    let env = world(&[record(1, "w1", "a"), record(2, "w2", "a")].join(","));
    partition(&env, &["--no-cache", "-g", "workers", "web=2"]).expect_code(0);
    answer(&env, &[record(9, "w1", "a"), record(2, "w2", "a")].join(","));
    let hosts = env.fleet(["hosts", "--no-cache", "--format", "{id}", "-g", "web"]).finish().expect_code(0);
    let hosts = hosts.expect_stderr("no longer running, of the role web of run").expect_stderr(": w1");
    assert_eq!(hosts.stdout_text(), "i-2\n");
    let other = env.fleet(["hosts", "--no-cache", "--format", "{id}", "-H", "name:w1"]).finish().expect_code(0);
    assert_eq!(other.expect_nowhere("no longer running").stdout_text(), "i-9\n");
}

#[test]
fn roles_are_shown_to_people_and_programs_until_they_are_cleared() {
    let env = world(&[record(1, "w1", "a"), record(2, "w2", "a")].join(","));
    partition(&env, &["--no-cache", "-g", "workers", "web=1", "load-gen=rest"]).expect_code(0);
    let variables = partition(&env, &["--show", "--format", "env"]).expect_code(0);
    variables.expect_stdout("FLEET_ROLES='web load-gen'").expect_stdout("FLEET_HOSTS_LOAD_GEN='10.0.0.2'");
    let json = partition(&env, &["--show", "--format", "json"]).expect_code(0);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["roles"][0]["hosts"][0]["instance"]["id"], "i-1");
    let file = partition(&env, &["--show", "--format", "hosts"]).expect_code(0);
    assert_eq!(file.stdout_text(), "[web]\nw1\n[load-gen]\nw2\n");
    let run = json["run"].as_str().expect("a run");
    let config = env.fleet(["config"]).finish().expect_code(0).expect_stdout("roles.load-gen");
    config.expect_stdout(&format!("roles.json (run {run})"));
    let groups = env.fleet(["hosts", "--no-cache", "--groups"]).finish().expect_code(0);
    groups.expect_stdout("load-gen\tpartition\t1\n");
    let why = env.fleet(["hosts", "--no-cache", "--why", "-g", "web"]).finish().expect_code(0);
    why.expect_stdout(&format!("roles of run {run}: web"));
    partition(&env, &["--clear"]).expect_code(0);
    partition(&env, &["--clear"]).expect_code(0);
    env.fleet(["hosts", "-g", "load-gen"]).finish().expect_code(2).expect_stderr("there is no group \"load-gen\"");
    env.write("home/.local/state/fleet/roles.json", "{");
    env.fleet(["hosts", "x"]).finish().expect_code(2).expect_stderr("fleet partition --clear removes the file");
    partition(&env, &["--clear"]).expect_code(0);
    env.fleet(["hosts", "x"]).finish().expect_code(0);
}

#[test]
fn a_role_called_as_a_group_of_ones_own_is_ambiguous_and_can_be_named_with_its_source() {
    let env = TestEnv::new();
    env.write("work/hosts.txt", "[web]\na\n[workers]\nb\nc\n");
    env.write("work/fleet.toml", "hosts = [\"hosts.txt\"]\n");
    let made = partition(&env, &["-g", "workers", "web=1", "db=1"]).expect_code(0);
    assert_eq!(
        made.stderr_text(),
        "fleet: web is a group of hosts, too: from now on write @partition:web or @hosts:web\n"
    );
    // What is dealt out does not depend on the roles before.
    let anew = ["--dry-run", "-h", "hosts.txt", "-g", "@hosts:web", "-g", "workers", "one[group=web]=1", "rest=rest"];
    assert_eq!(partition(&env, &anew).expect_code(0).stdout_text(), "one   1  a\nrest  2  b,c\n");
    env.fleet(["hosts", "-g", "web"]).finish().expect_code(2).expect_stderr("write @hosts:web or @partition:web");
    assert_eq!(listed(&env, &["-g", "@partition:web"]), "b\n");
    assert_eq!(listed(&env, &["-g", "db"]), "c\n");
    assert_eq!(listed(&env, &["-g", "*"]), "a\nb\nc\n");
}

/// Four hosts of which `w01` is the server, and the others have the role `load-gen`.
fn dealt(env: &TestEnv) {
    partition(env, &["-H", "w[01-04]", "server=1", "load-gen=rest"]).expect_code(0);
}

/// Prints what a command is told of the partition.
const TOLD: &str =
    "echo \"$FLEET_ROLE $FLEET_ROLE_INDEX/$FLEET_ROLE_SIZE $FLEET_ROLES|$FLEET_HOSTS_SERVER|$FLEET_HOSTS_LOAD_GEN\"";

#[test]
fn commands_are_told_their_role_and_who_is_in_which() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("w", 4).start();
    // Without a partition nothing is told.
    let none = env.psh(["--no-prefix", "-H", "w03", TOLD]).finish().expect_code(0);
    assert_eq!(none.stdout_text(), " / ||\n");
    dealt(&env);
    let shown = partition(&env, &["--show", "--format", "json"]).expect_code(0);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let addresses: Vec<String> = shown["roles"]
        .as_array()
        .expect("roles")
        .iter()
        .flat_map(|role| role["hosts"].as_array().expect("hosts").clone())
        .map(|host| host["address"].as_str().expect("an address").to_owned())
        .collect();
    let lists = format!("server load-gen|{}|{}\n", addresses[0], addresses[1..].join(" "));
    let script = env.write("work/told.sh", format!("{TOLD}\n")).display().to_string();
    for how in [&[TOLD][..], &["--script", &script], &["--pty", TOLD], &["--template", "echo {role} $FLEET_ROLE_INDEX"]]
    {
        let run = env.psh(["--no-prefix", "-H", "w03"]).args(how).finish().expect_code(0);
        let text = run.stdout_text().replace('\r', "");
        match how {
            ["--template", _] => assert_eq!(text, "load-gen 1\n"),
            _ => assert_eq!(text, format!("load-gen 1/3 {lists}"), "{how:?}"),
        }
    }
    // The role is that of the partition, whatever the hosts are chosen by.
    let run = env.psh(["--no-prefix", "-g", "server", TOLD]).finish().expect_code(0);
    assert_eq!(run.stdout_text(), format!("server 0/1 {lists}"));
}

#[test]
fn copies_go_to_places_named_for_roles_and_what_follows_them_is_told_too() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("w", 4).start();
    dealt(&env);
    env.write("work/file", "content");
    env.write("work/tree/file", "content");
    // All hosts of this server have one home.
    let then = format!("{TOLD} >then-$FLEET_HOST");
    env.pcp(["-H", "w[01-04]", "--mkdirs", "--then", &then, "file", "in/{role}/"]).finish().expect_code(0);
    env.prsync(["-H", "w[01-04]", "--mkpath", "--then", &then, "tree/", "synced/{role}"]).finish().expect_code(0);
    env.pslurp(["-H", "w[01-04]", "in", "then-*", "home/{role}/{host}"]).finish().expect_code(0);
    for (role, host, place) in [("server", "w01", "0/1"), ("load-gen", "w04", "2/3")] {
        let home = env.work().join("home").join(role).join(host);
        assert!(home.join("in").join(role).join("file").is_file(), "{}", home.display());
        let told = fs::read_to_string(home.join(format!("then-{host}"))).expect("what the command was told");
        assert!(told.starts_with(&format!("{role} {place} server load-gen|")), "{told}");
    }
    let synced = env.psh(["--no-prefix", "-H", "w04", "cat synced/load-gen/file"]).finish().expect_code(0);
    assert_eq!(synced.stdout_text(), "content");
}

#[test]
fn addresses_of_very_many_hosts_are_told_only_to_who_names_them() {
    let env = TestEnv::new();
    let names: String = (0..9000).map(|number| format!("some-longer-name-{number}\n")).collect();
    env.write("work/many.txt", names);
    partition(&env, &["-h", "many.txt", "first=1", "rest=rest"]).expect_code(0);
    let refused = env.psh(["-H", "127.0.0.1:1", "echo $FLEET_HOSTS_REST"]).finish().expect_code(2);
    refused.expect_stderr("FLEET_HOSTS_REST").expect_stderr("fleet template");
    // This one is only told the short list, and so gets as far as the host.
    env.psh(["-H", "127.0.0.1:1", "echo $FLEET_HOSTS_FIRST"]).finish().expect_code(4);
}
