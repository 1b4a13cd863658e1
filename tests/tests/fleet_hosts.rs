//! `fleet hosts` and `fleet classify`: what they print is read by the programs that it is meant for.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fleet_tests::{Finished, TestEnv, python};

/// What a provider tells: two hosts of one kind, one whose texts try to be more than texts, one that is stopped.
const HOSTS: &str = r#"{"protocol":1,"hosts":[
{"id":"i-1","name":"web-1","state":"running","addresses":{"private":"10.0.0.1","private_dns":"ip-10-0-0-1.internal"},"user":"ubuntu",
 "tags":{"Role":"web","Name":"web-1","answer":"yes","number":"1e3","nothing":"null","colon":": ","line":"a\nb","umlaut":"grün 🦀"},
 "facts":{"type":"c5.large","az":"eu-west-1a","sg":["sg-0123456789abcdef0","front end"]}},
{"id":"i-2","name":"web-2","state":"running","addresses":{"private":"2001:db8::2"},"port":2222,"tags":{"Role":"web"}},
{"id":"i-3","name":"evil\nHost *","state":"running","addresses":{"private_dns":"evil.internal"},
 "tags":{"Role":"{{ lookup('pipe', 'id') }}\n- x: 'y'","note":"\u001b[2J\ttab \"quoted\" 'and' more"}},
{"id":"i-4","name":"off","state":"stopped","tags":{"Role":"batch"}}]}"#;

/// A world with a provider, a host file and a group of `fleet.toml`.
fn world() -> TestEnv {
    let env = TestEnv::new();
    env.write("answer.json", HOSTS);
    let answer = env.path().join("answer.json").display().to_string();
    let script = env.write("provider.sh", format!("#!/bin/sh\ncat >/dev/null\ncat {answer}\n"));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file of the test");
    env.write("work/hosts.txt", "[db]\nme@db[1-3]:22\n[load-gen]\ndb3:22 me\n");
    let settings = format!(
        "hosts = [\"hosts.txt\"]\n[groups]\nfront = \"@lab:web!web-2\"\n[provider.lab]\ncommand = [{:?}]\n",
        script.display().to_string()
    );
    env.write("work/fleet.toml", settings);
    env
}

fn hosts(env: &TestEnv, arguments: &[&str]) -> Finished {
    env.fleet(["hosts"]).args(arguments).finish()
}

#[test]
fn names_are_listed_expanded_folded_and_counted() {
    let env = world();
    for (arguments, expected) in [
        (&[][..], "me@db1:22\nme@db2:22\nme@db3:22\nweb-1\nweb-2\ni-3\n"),
        (&["-g", "web"], "web-1\nweb-2\n"),
        (&["--expand", "n[08-10]", "@web&first"], "n08\nn09\nn10\nweb-1\n"),
        (&["--fold", "n3,n1", "n2", "-x", "n2"], "n[1,3]\n"),
        (&["--fold", "-g", "db"], "me@db[1-3]:22\n"),
        (&["--count", "-g", "state:stopped"], "1\n"),
        (&["--count"], "6\n"),
    ] {
        let listed = hosts(&env, arguments).expect_code(0);
        assert_eq!(listed.stdout_text(), expected, "{arguments:?}");
    }
    hosts(&env, &["-g", "nobody"]).expect_code(2).expect_stderr("there is no group \"nobody\"");
    for contradiction in [["--fold", "--json"], ["--why", "--count"], ["--groups", "-gweb"], ["--long", "--expand"]] {
        hosts(&env, &contradiction).expect_code(2).expect_stderr("cannot be used with");
    }
}

#[test]
fn a_person_gets_a_table_without_anything_that_a_terminal_obeys() {
    let env = world();
    let shown = env.fleet(["hosts"]).on_terminal().finish().expect_code(0).expect_nowhere("\x1b");
    let shown = shown.expect_stdout("NAME").expect_stdout("c5.large  eu-west-1a  lab");
    let long = hosts(&env, &["--long"]).expect_code(0);
    assert_eq!(long.stdout_text(), shown.stdout_text().replace("\r\n", "\n"));
    assert_eq!(long.stdout_text().lines().count(), 7, "{long}");
    let turned = env.fleet(["hosts", "--expand", "-H", "a\u{202e}b"]).on_terminal().finish().expect_code(0);
    turned.expect_stdout("a\\u{202e}b").expect_nowhere("\u{202e}");
}

#[test]
fn the_default_choice_counts_and_is_named() {
    let env = world();
    let listed = env.fleet(["hosts"]).env("FLEET_DEFAULT", "@front").finish().expect_code(0);
    assert_eq!(listed.expect_stderr("no hosts named: taking default = \"@front\"").stdout_text(), "web-1\n");
}

#[test]
fn json_has_every_text_as_it_is() {
    let env = world();
    let listed = hosts(&env, &["--json", "id:i-3,name:web-1", "-x", "web-1", "--why"]).expect_code(0);
    let objects: Vec<serde_json::Value> =
        listed.stdout_text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects.len(), 2, "{listed}");
    assert_eq!(objects[0]["tags"]["note"], "\u{1b}[2J\ttab \"quoted\" 'and' more");
    assert_eq!((&objects[0]["id"], &objects[0]["address"]), (&"i-3".into(), &"evil.internal".into()));
    assert_eq!((&objects[1]["event"], &objects[1]["reasons"][0]), (&"excluded".into(), &"-x web-1".into()));
    let same = hosts(&env, &["--format", "json", "-H", "web-1"]).expect_code(0);
    assert_eq!(same.stdout, hosts(&env, &["--json", "-H", "web-1"]).stdout);
}

#[test]
fn a_template_makes_one_line_for_each_host() {
    let env = world();
    let listed = hosts(&env, &["--format", "{name}|{addr}|{port}|{tag.note}|{az}", "@lab:*"]).expect_code(0);
    assert_eq!(
        listed.stdout_text(),
        "web-1|10.0.0.1|||eu-west-1a\nweb-2|2001:db8::2|2222||\n\
         i-3|evil.internal||\\x1b[2J\\ttab \"quoted\" 'and' more|\n"
    );
    hosts(&env, &["--format", "{tag.Nope}"]).expect_code(0).expect_stderr("no chosen host has the tag Nope");
    hosts(&env, &["--format", "{nmae}"]).expect_code(2).expect_stderr("expected one of {host}, {name}");
    hosts(&env, &["--format", "yaml"]).expect_code(2).expect_stderr("expected json, ssh-config, ansible, hosts or");
}

#[test]
fn every_host_is_explained_and_so_is_everyone_left_out() {
    let env = world();
    let why = hosts(&env, &["--why", "-g", "web", "-H", "db1,db2", "-x", "db2", "--limit", "2"]).expect_code(0);
    let rows: Vec<Vec<String>> = (why.stdout_text().lines())
        .map(|line| line.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let known_from = format!("-H; {}:2", env.work().join("hosts.txt").display());
    for row in [
        &["me@db1:22", "-H db1", &known_from][..],
        &["web-1", "-g web", "lab i-1 (eu-west-1a)"],
        &["me@db2:22", "-H db2", "-x db2"],
        &["web-2", "-g web", "--limit 2"],
    ] {
        assert!(rows.iter().any(|cells| cells[..] == *row), "{row:?}: {why}");
    }
}

#[test]
fn all_groups_are_listed_with_their_sources_and_sizes() {
    let env = world();
    let groups = hosts(&env, &["--groups"]).expect_code(0).stdout_text().into_owned();
    for line in ["db\thosts\t3\n", "load-gen\thosts\t1\n", "front\tfleet\t1\n", "web\tlab\t2\n"] {
        assert!(groups.contains(line), "{line:?} in {groups}");
    }
    assert!(!groups.contains("batch"), "{groups}");
    hosts(&env, &["--groups", "--long"]).expect_code(0).expect_stdout("me@db[1-3]:22").expect_nowhere("\x1b");
    hosts(&env, &["--groups", "--json"])
        .expect_code(0)
        .expect_stdout("\"name\":\"front\",\"source\":\"fleet\",\"count\":1");
}

#[test]
fn ssh_reads_what_is_written_for_it() {
    let env = world();
    let config = hosts(&env, &["--format", "ssh-config"]).expect_code(0);
    let path = env.write("fleet.conf", &config.stdout).display().to_string();
    for (host, expected) in [
        ("web-1", &["hostname 10.0.0.1\n", "user ubuntu\n", "hostkeyalias i-1\n", "port 22\n"][..]),
        ("web-2", &["hostname 2001:db8::2\n", "hostkeyalias i-2\n", "port 2222\n"]),
        ("i-3", &["hostname evil.internal\n", "hostkeyalias i-3\n"]),
        ("db2", &["hostname db2\n", "user me\n", "port 22\n"]),
        ("stranger", &["hostname stranger\n"]),
    ] {
        let read = env.ssh(["-G", "-F", &path, host]).finish().expect_code(0);
        for line in expected {
            assert!(read.stdout_text().contains(line), "{line:?} of {host}: {read}");
        }
        assert_eq!(read.stdout_text().contains("hostkeyalias"), expected.iter().any(|line| line.contains("alias")));
    }
}

/// What a YAML document is to a reader of YAML 1.1, as JSON.
fn read_yaml(env: &TestEnv, document: &[u8]) -> serde_json::Value {
    let program = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin.buffer), sys.stdout)";
    let read = env.run(&python(), ["-c", program]).stdin(document).finish().expect_code(0);
    serde_json::from_slice(&read.stdout).expect("JSON")
}

#[test]
fn an_inventory_for_ansible_has_hosts_and_groups_and_nothing_that_it_would_run() {
    let env = world();
    let written = hosts(&env, &["--format", "ansible"]).expect_code(0).expect_stderr("load-gen = load_gen");
    assert!(!written.stdout_text().contains("lookup('pipe', 'id')"), "{written}");
    let inventory = read_yaml(&env, &written.stdout);
    let all = &inventory["all"];
    let web_1 = serde_json::json!({"ansible_host": "10.0.0.1", "ansible_user": "ubuntu"});
    assert_eq!(all["hosts"]["web-1"], web_1);
    assert_eq!(all["hosts"]["db3"], serde_json::json!({"ansible_user": "me", "ansible_port": 22}));
    assert_eq!(all["children"]["web"]["hosts"], serde_json::json!({"web-1": {}, "web-2": {}}));
    assert_eq!(all["children"]["load_gen"]["hosts"], serde_json::json!({"db3": {}}));
}

#[test]
fn lines_for_etc_hosts_have_only_ip_addresses() {
    let env = world();
    let written = hosts(&env, &["--format", "hosts"]).expect_code(0);
    let written = written.expect_stderr("left out, as no IP address of theirs is known: i-3,me@db[1-3]:22");
    assert_eq!(written.stdout_text(), "10.0.0.1\tweb-1\n2001:db8::2\tweb-2\n");
}

#[test]
fn puppet_is_told_classes_and_parameters_by_any_name_of_the_host() {
    let env = world();
    for name in ["web-1", "i-1", "ip-10-0-0-1.internal"] {
        let told = env.fleet(["classify", name]).finish().expect_code(0).expect_stderr("front end = front_end");
        assert!(told.stdout.starts_with(b"---\n"), "{told}");
        let read = read_yaml(&env, &told.stdout);
        assert_eq!(read["classes"], serde_json::json!(["web", "front_end"]), "{name}");
        let parameters = serde_json::json!({
            "role": "web", "tag_name": "web-1", "answer": "yes", "number": "1e3", "nothing": "null", "colon": ": ",
            "line": "a\nb", "umlaut": "grün 🦀",
        });
        assert_eq!(read["parameters"], parameters, "{name}");
    }
    let file_host = env.fleet(["classify", "db3"]).finish().expect_code(0);
    let expected = serde_json::json!({"classes": ["db", "load_gen"], "parameters": {}});
    assert_eq!(read_yaml(&env, &file_host.stdout), expected);
    let stopped = env.fleet(["classify", "off"]).finish().expect_code(0);
    assert_eq!(read_yaml(&env, &stopped.stdout)["classes"], serde_json::json!(["batch"]));
}

#[test]
fn puppet_is_told_nothing_of_a_host_that_nobody_knows_or_when_a_provider_fails() {
    let env = world();
    let unknown = env.fleet(["classify", "web-11"]).finish().expect_code(1);
    let unknown = unknown.expect_stderr("nobody knows a host with the name, id or DNS name \"web-11\"");
    assert_eq!(unknown.stdout_text(), "");
    env.write("answer.json", r#"{"protocol":1,"error":{"code":"expired","message":"log in again"}}"#);
    let failed = env.fleet(["classify", "--no-cache", "db1"]).finish().expect_code(2).expect_stderr("log in again");
    assert_eq!(failed.stdout_text(), "");
}
