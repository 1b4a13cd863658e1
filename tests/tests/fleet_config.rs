//! `fleet config`, `fleet init`, and a default choice of hosts, as a person meets them.

use std::fs;

use fleet_tests::{Finished, Sshd, TestEnv};
use serde_json::{Value, json};

/// The lines of `fleet config` that begin with `key`, their columns one space apart.
fn rows(run: &Finished, key: &str) -> Vec<String> {
    let rows = run.stdout_text();
    let rows = rows.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.first() == Some(&key)).map(|row| row.join(" ")).collect()
}

#[test]
fn config_shows_every_value_with_the_place_that_says_it() {
    let env = TestEnv::new();
    let near = env.write("work/fleet.toml", "parallel = 7\n[groups]\nweb = 'tag:Role=web & az:a'\n");
    let own =
        env.write("home/.config/fleet/fleet.toml", "parallel = 8\ngrace = '9s'\n[provider.lab]\ntoken = 'xyzzy'\n");
    fs::create_dir(env.work().join("below")).unwrap();
    let run = env.fleet(["config"]).current_dir(&env.work().join("below")).env("FLEET_STALL", "90").finish();
    let run = run.expect_code(0).expect_nowhere("xyzzy");
    let (near, own) = (near.display().to_string(), own.display().to_string());
    for (key, row) in [
        ("parallel", format!("parallel 7 {near}")),
        ("grace", format!("grace \"9s\" {own}")),
        ("stall", "stall \"90s\" FLEET_STALL".to_owned()),
        ("timeout", "timeout \"none\" default".to_owned()),
        ("user", "user - default".to_owned()),
        ("groups.web", format!("groups.web \"tag:Role=web & az:a\" {near}")),
        (near.as_str(), format!("{near} read")),
        (own.as_str(), format!("{own} read")),
    ] {
        assert_eq!(rows(&run, key), [row], "{run}");
    }
    assert!(run.stderr.is_empty(), "{run}");
    let origins: Vec<usize> =
        run.stdout_text().lines().filter_map(|line| line.strip_suffix(" default")).map(str::len).collect();
    assert!(origins.len() > 5 && origins.iter().all(|column| *column == origins[0]), "not aligned: {run}");
}

#[test]
fn config_as_json_is_one_object_of_files_and_settings() {
    let env = TestEnv::new();
    let own = env.write("home/.config/fleet/fleet.toml", "[[user]]\nmatch = 'tag:os=x'\nuser = 'me'\n");
    let run = env.fleet(["config", "--json"]).finish().expect_code(0);
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["v"], 1);
    let missing = json!({"path": env.work().join("fleet.toml"), "state": "missing-upward"});
    assert_eq!(report["files"][0], missing);
    assert_eq!(report["files"][1], json!({"path": own, "state": "read"}));
    assert_eq!(report["files"][2]["path"], "/etc/fleet/fleet.toml");
    let setting = |key: &str| report["settings"].as_array().unwrap().iter().find(|set| set["key"] == key).unwrap();
    let rule = json!({"match": "tag:os=x", "user": "me"});
    assert_eq!(setting("user"), &json!({"key": "user", "value": rule, "origin": own}));
    assert_eq!(setting("address"), &json!({"key": "address", "value": ["auto"], "origin": "default"}));
    assert_eq!(setting("default"), &json!({"key": "default", "value": null, "origin": "default"}));
}

#[test]
fn config_names_what_is_broken_and_mistyped() {
    let env = TestEnv::new();
    for (text, message, hint) in [
        ("defualt = '@web'", ":1: unknown key \"defualt\"", "hint: did you mean default?"),
        ("[[user]]\nmatc = 'x'", ":2: unknown key \"matc\" in [[user]]", "hint: did you mean match?"),
        ("[groups]\nweb = 3", ":2: web: found 3; expected a host set", ""),
        ("[provider.lab]\ntimeout = 'soon'", ":2: provider.lab.timeout: found 'soon'; expected a duration", ""),
    ] {
        let path = env.write("work/fleet.toml", text);
        let run = env.fleet(["config"]).finish().expect_code(2);
        let stderr = run.stderr_text();
        assert!(stderr.contains(&format!("{}{message}", path.display())) && stderr.contains(hint), "{run}");
        assert!(run.stdout.is_empty(), "{run}");
    }
    env.write("work/fleet.toml", "");
    let run = env.fleet(["config"]).env("FLEET_DEFALT", "@web").finish().expect_code(0);
    assert!(run.stderr_text().contains("did you mean FLEET_DEFAULT?"), "{run}");
}

#[test]
fn init_writes_a_file_that_sets_nothing_and_never_overwrites() {
    let env = TestEnv::new();
    let run = env.fleet(["init"]).finish().expect_code(0);
    let written = fs::read_to_string(env.work().join("fleet.toml")).unwrap();
    assert!(run.stdout.is_empty() && run.stderr_text().contains("wrote fleet.toml"), "{run}");
    let printed = env.fleet(["init", "--stdout"]).finish().expect_code(0);
    assert_eq!(printed.stdout_text(), written);
    let config = env.fleet(["config"]).finish().expect_code(0);
    let file = env.work().join("fleet.toml").display().to_string();
    assert_eq!(rows(&config, &file), [format!("{file} read")]);
    assert_eq!(config.stdout_text().matches(&file).count(), 1, "it sets something: {config}");
    for again in [&["init"][..], &["init", "."], &["init", "fleet.toml"]] {
        let run = env.fleet(again).finish().expect_code(2);
        assert!(run.stderr_text().contains("is there already"), "{run}");
    }
    assert_eq!(fs::read_to_string(env.work().join("fleet.toml")).unwrap(), written);
    let run = env.fleet(["init", "no/such/fleet.toml"]).finish().expect_code(2);
    assert!(run.stderr_text().contains("mkdir -p"), "{run}");
}

#[test]
fn what_init_writes_is_understood_once_every_setting_is_uncommented() {
    let env = TestEnv::new();
    let written = env.fleet(["init", "--stdout"]).finish().expect_code(0).stdout_text().into_owned();
    let uncommented: Vec<&str> = written
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            _ => line,
        })
        .collect();
    let path = env.write("work/fleet.toml", uncommented.join("\n")).display().to_string();
    let run = env.fleet(["config", "--json"]).finish().expect_code(0);
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let not_set: Vec<&Value> =
        report["settings"].as_array().unwrap().iter().filter(|set| set["origin"] != path.as_str()).collect();
    assert_eq!(not_set, Vec::<&Value>::new());
}

#[test]
fn a_default_choice_is_taken_and_named_only_where_no_hosts_are_named() {
    let env = TestEnv::new();
    let groups = "[groups]\nfront = 'web[01-03]'\nback = 'db1'\n";
    let file = env.write("work/fleet.toml", format!("default = '@front'\n{groups}")).display().to_string();
    env.write("work/hosts", "lb1\n");
    let by_file = format!("psh: no hosts named: taking default = \"@front\" ({file})\n");
    let by_variable = "psh: no hosts named: taking default = \"@back\" (FLEET_DEFAULT)\n";
    for (flags, variable, hosts, said) in [
        (&[][..], "", "web01 web02 web03", by_file.as_str()),
        (&["-x", "web02"], "", "web01 web03", &by_file),
        (&["--limit", "1"], "", "web01", &by_file),
        (&[], "@back", "db1", by_variable),
        (&["-H", "x"], "@back", "x", ""),
        (&["-g", "back"], "", "db1", ""),
        (&["-h", "hosts"], "", "lb1", ""),
    ] {
        let run = env.psh(["--list"]).args(flags).env("FLEET_DEFAULT", variable).finish().expect_code(0);
        let listed: Vec<String> =
            run.stdout_text().lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
        assert_eq!(listed.join(" "), hosts, "{run}");
        assert_eq!(run.stderr_text(), said, "{run}");
    }
    let wrong = env.psh(["--list"]).env("FLEET_DEFAULT", "@frnt").finish().expect_code(2);
    assert!(wrong.stderr_text().contains("taking default = \"@frnt\" (FLEET_DEFAULT)"), "{wrong}");
    assert!(wrong.stderr_text().contains("did you mean front (3 hosts)?"), "{wrong}");
    env.write("home/.config/fleet/fleet.toml", "default = '@back'\n");
    env.write("work/fleet.toml", format!("default = ''\n{groups}"));
    let none = env.psh(["--list"]).finish().expect_code(2);
    assert!(none.stderr_text().contains("no hosts are selected") && !none.stderr_text().contains("default"), "{none}");
}

#[test]
fn hosts_of_a_former_run_come_before_the_default_choice() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 3).start();
    env.write("work/fleet.toml", "default = 'web[01-03]'\n[groups]\nall = 'web[01-03]'\n");
    env.write("work/fleet.toml", "default = '@all'\n[groups]\nall = 'web[01-03]'\n");
    let run = env.psh(["test \"$FLEET_HOST\" != web02"]).finish().expect_code(5);
    assert!(run.stderr_text().contains("taking default"), "{run}");
    for flags in [&["--failed"][..], &["--resume", "last"]] {
        let run = env.psh(flags).args(["--no-record", "echo again"]).finish().expect_code(0);
        assert!(run.stdout_text().contains("again") && !run.stderr_text().contains("taking default"), "{run}");
    }
    assert_eq!(server.connections(), 5, "three hosts, and one of them twice again");
    let doctor = env.fleet(["doctor"]).finish();
    assert!(!doctor.stderr_text().contains("taking default"), "{doctor}");
    assert_eq!(server.connections(), 5, "without hosts, doctor looks at this machine only");
}

#[test]
fn flags_about_providers_are_read_or_refused_before_anyone_is_contacted() {
    let env = TestEnv::new();
    let flags = "--address tag:ip,public --region a,b --region c --profile p --refresh --cache-ttl 5m --include-self";
    env.psh(["--list", "-H", "web01"]).args(flags.split_whitespace()).finish().expect_code(0);
    for (flags, words) in [
        (&["--address", "nowhere"][..], "expected auto, private, public"),
        (&["--filter", "spot"], "expected Name=NAME,Values=VALUE"),
        (&["--cache-ttl", "soon"], "no duration"),
        (&["--refresh", "--no-cache"], "cannot be used with"),
    ] {
        let run = env.psh(["--list", "-H", "web01"]).args(flags).finish().expect_code(2);
        assert!(run.stderr_text().contains(words), "{run}");
    }
}
