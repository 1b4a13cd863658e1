//! `fleet doctor` on real servers and on the sandbox: what it names, what it advises, and that it changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fleet_sandbox::{Fault, Sandbox};
use fleet_tests::accounts::{self, Throwaway};
use fleet_tests::{Dropbear, Finished, Run, Sshd, TestEnv, program};

/// The lines of the report under `title`.
fn section(run: &Finished, title: &str) -> String {
    let text = run.stdout_text();
    let from = text.find(&format!("{title}\n")).map_or(text.len(), |at| at + title.len() + 1);
    text[from..].lines().take_while(|line| line.starts_with(' ')).flat_map(|line| [line, "\n"]).collect()
}

/// Asserts that each of `parts` is in the section.
#[track_caller]
fn expect(run: &Finished, title: &str, parts: &[&str]) {
    let section = section(run, title);
    for part in parts {
        assert!(section.contains(part), "expected \"{part}\" among the {title} of {run}");
    }
}

/// Every file below `folder`, with what would tell a change.
fn listing(folder: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let metadata = fs::symlink_metadata(&entry).expect("an entry");
        let bytes = if metadata.is_file() { fs::read(&entry).expect("a file") } else { Vec::new() };
        if metadata.is_dir() {
            found.extend(listing(&entry));
        }
        found.insert(entry, (metadata.mode(), metadata.mtime(), metadata.mtime_nsec(), bytes));
    }
    found
}

/// A folder of programs that shadow those of the host, for `SetEnv` of sshd.
fn shadowing(env: &TestEnv, name: &str, script: &str) -> String {
    let path = env.write(&format!("shared/shadow-{name}/{name}"), format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the test's own file");
    format!("PATH={}:/usr/local/bin:/usr/bin:/bin", path.parent().expect("a folder").display())
}

#[test]
fn a_healthy_fleet_has_no_problem() {
    let env = TestEnv::new();
    let path = shadowing(&env, "rsync", "echo 'rsync  version 3.2.7  protocol version 31'");
    let server = Sshd::new(&env).hosts("web", 3).option("SetEnv", &path).start();
    let run = env.fleet(["doctor", "-H", "web[01-03]"]).finish().expect_code(0);
    assert_eq!(section(&run, "problems"), "", "{run}");
    let reached =
        ["login: works", "commands in a POSIX sh", "clock: right", "sftp: works", "rsync: 3.2.7", "a key is known"];
    expect(&run, "fine", &reached);
    expect(&run, "fine", &["id_ed25519 has no passphrase", "enough for 3 hosts at once", "agent: none"]);
    assert!(run.stdout_text().contains("3 hosts, 3 reached: 0 problems"), "{run}");
    assert_eq!(server.connections(), 3, "one connection a host");
    let quiet = env.fleet(["doctor", "-q", "-H", "web[01-03]"]).finish().expect_code(0);
    assert!(!quiet.stdout_text().contains("login: works"), "{quiet}");
    assert!(quiet.stdout_text().contains("3 hosts, 3 reached: 0 problems"), "{quiet}");
}

#[test]
fn nothing_is_changed_here_or_there() {
    let env = TestEnv::new();
    let account = Throwaway::with_shell("/bin/bash");
    let _known = Sshd::new(&env).named("known").user(account.name()).start();
    let _new = Sshd::new(&env).named("new").user(account.name()).unknown().start();
    let before = (listing(&env.home()), listing(account.home()));
    for policy in ["accept-new", "off", "strict"] {
        let code = if policy == "strict" { 4 } else { 0 };
        let _ = env.fleet(["doctor", "-H", "known,new", "--host-key", policy]).finish().expect_code(code);
    }
    assert_eq!((listing(&env.home()), listing(account.home())), before);
}

#[test]
fn a_host_without_a_known_key_is_named_once_with_what_to_do() {
    let env = TestEnv::new();
    let _new = Sshd::new(&env).named("new").unknown().start();
    let _known = Sshd::new(&env).named("known").start();
    let run = env.fleet(["doctor", "-H", "known,new"]).finish().expect_code(4);
    expect(&run, "problems", &["new: login: key exchange: host key is not known", "--host-key accept-new"]);
    assert_eq!(run.stdout_text().matches("new: ").count(), 1, "{run}");
    let run = env.fleet(["doctor", "-H", "known,new", "--host-key", "accept-new"]).finish().expect_code(0);
    expect(&run, "fine", &["new: no key is known: the first run accepts any and keeps it"]);
}

#[test]
fn hosts_that_fail_are_told_with_their_reasons_and_the_others_examined() {
    let env = TestEnv::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fault = |text: &str| text.parse::<Fault>().expect("a fault");
    let builder = Sandbox::builder(env.path().join("sandbox")).roles("web=5".parse().expect("roles"));
    let builder = builder.fault("web02", fault("refuse")).fault("web03", fault("auth-refused"));
    let builder = builder.fault("web04", fault("refuse-exec")).fault("web05", fault("refuse"));
    let sandbox = runtime.block_on(builder.start()).expect("the sandbox starts");
    let doctor = || env.fleet(["doctor", "-g", "web"]).env("FLEET_CONFIG", sandbox.fleet_toml_path());
    let run = doctor().finish().expect_code(4);
    expect(
        &run,
        "problems",
        &[
            "web[02,05]: login: connect: connection refused\n    check that sshd runs there",
            "web03: login: authentication: permission denied",
            "web04: ",
        ],
    );
    expect(&run, "fine", &["login: web01: works", "clock: web01: right", "sftp: web01"]);
    let run = doctor().arg("--json").finish().expect_code(4);
    let objects: Vec<serde_json::Value> =
        run.stdout_text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let refused = objects.iter().find(|object| object["text"] == "connect: connection refused").expect("a finding");
    assert_eq!(refused["hosts"], serde_json::json!(["web02", "web05"]));
    let summary = objects.last().expect("a summary");
    assert_eq!(
        (&summary["event"], &summary["hosts"], &summary["exit_status"]),
        (&"summary".into(), &5.into(), &4.into())
    );
    runtime.block_on(sandbox.stop());
}

#[test]
fn the_hosts_of_the_last_run_of_another_tool_are_examined() {
    let env = TestEnv::new();
    env.fleet(["doctor", "--failed"]).finish().expect_code(5).expect_stdout("hosts: no run is recorded");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let builder = Sandbox::builder(env.path().join("sandbox")).roles("web=4".parse().expect("roles"));
    let builder = builder.fault("web02", "refuse".parse().expect("a fault"));
    let sandbox = runtime.block_on(builder.start()).expect("the sandbox starts");
    let with_config = |run: Run| run.env("FLEET_CONFIG", sandbox.fleet_toml_path()).finish();
    let psh = |arguments: &[&str]| with_config(env.psh(arguments));
    let doctor = |arguments: &[&str]| with_config(env.fleet([&["doctor"], arguments].concat()));
    let command = "[ $FLEET_HOST != web03 ] || exit 7";
    psh(&["-g", "web", command]).expect_code(4);
    for arguments in [&["--failed"][..], &["--resume", "last"]] {
        let run = doctor(arguments).expect_code(4);
        expect(&run, "problems", &["web02: login: connect: connection refused"]);
        assert!(run.stdout_text().contains("2 hosts, 1 reached: 1 problem"), "{run}");
    }
    let run = doctor(&["--only", "exit=7"]).expect_code(0);
    assert!(run.stdout_text().contains("1 host, 1 reached: 0 problems"), "{run}");
    doctor(&["--failed", "--list"])
        .expect_code(0)
        .expect_stdout("web02")
        .expect_stdout("web03")
        .expect_nowhere("web01");
    psh(&["-H", "web01", "true"]).expect_code(0);
    doctor(&["--failed"]).expect_code(5).expect_stdout("was fine");
    runtime.block_on(sandbox.stop());
}

#[test]
fn start_up_files_that_write_are_named() {
    let env = TestEnv::new();
    let account = Throwaway::with_shell("/bin/bash");
    fs::write(account.home().join(".bashrc"), "echo Welcome aboard\necho complaint >&2\n").expect("a file");
    let _noisy = Sshd::new(&env).named("noisy").user(account.name()).start();
    let _quiet = Sshd::new(&env).named("quiet").start();
    let run = env.fleet(["doctor", "-H", "noisy,quiet"]).finish().expect_code(0);
    let warnings = [
        "noisy: start-up files: they write to standard output at each command (",
        " bytes, \"Welcome aboard\")",
        "noisy: start-up files: they write to standard error at each command (",
        " bytes, \"complaint\")",
        "interactive shells",
    ];
    expect(&run, "warnings", &warnings);
    expect(&run, "fine", &["login: works", "noisy: /bin/bash, commands in a POSIX sh"]);
}

#[test]
fn a_clock_that_is_off_and_a_missing_rsync_are_warned_of() {
    let env = TestEnv::new();
    let date = program("date").display().to_string();
    let path = shadowing(&env, "date", &format!("exec {date} -d '+90 seconds' \"$@\""));
    let (shadow, _) = path.split_once(':').expect("the first folder");
    let path = format!("{shadow}:{}", env.programs_without(&["rsync"]).display());
    let _off = Sshd::new(&env).named("off").option("SetEnv", &path).start();
    let path = shadowing(&env, "rsync", "echo 'rsync  version 3.2.7  protocol version 31'");
    let _right = Sshd::new(&env).named("right").option("SetEnv", &path).start();
    let run = env.fleet(["doctor", "-H", "off,right"]).finish().expect_code(0);
    expect(
        &run,
        "warnings",
        &["off: clock: the clock is off by more than a second (", " ahead (±", "off: rsync: none"],
    );
    expect(&run, "fine", &["right: right", "right: 3.2.7"]);
}

#[test]
fn a_server_without_sftp_is_told_from_one_whose_answer_is_garbled() {
    let env = TestEnv::new();
    // A forced command takes the place of the subsystem too.
    let forced = |sftp: &str| {
        format!("case \"$SSH_ORIGINAL_COMMAND\" in internal-sftp*) {sftp};; *) eval \"$SSH_ORIGINAL_COMMAND\";; esac")
    };
    let _none = Sshd::new(&env).named("none").option("ForceCommand", &forced("exit 1")).start();
    let _garbled = Sshd::new(&env).named("garbled").option("ForceCommand", &forced("echo Welcome")).start();
    let run = env.fleet(["doctor", "-H", "none,garbled"]).finish().expect_code(0);
    expect(&run, "warnings", &["none: sftp: there is no sftp subsystem", "garbled: sftp: something writes into"]);
}

#[test]
fn a_low_limit_of_open_files_is_told_in_hosts() {
    let env = TestEnv::new();
    let command = format!("ulimit -n 100; exec {} doctor -p 64", env.fleet_path());
    let run = env.run(&program("sh"), ["-c", &command]).finish().expect_code(0);
    expect(&run, "warnings", &["open files: enough for 25 hosts at once, not for 64 (soft limit 100, hard limit 100)"]);
}

#[test]
fn options_that_do_nothing_here_are_named() {
    let env = TestEnv::new();
    env.configure("ControlPath ~/.ssh/control\nNoSuchOption yes\nIgnoreUnknown NoSuchOption\n");
    let run = env.fleet(["doctor", "-H", "web01", "--host-key", "off"]).finish().expect_code(4);
    expect(&run, "warnings", &["config:1: ControlPath has no effect"]);
    expect(&run, "problems", &["web01: names: "]);
    assert_eq!(run.stdout_text().matches("web01: names").count(), 1, "{run}");
    run.expect_nowhere("web01: login");
}

#[test]
fn what_is_broken_here_is_a_finding_and_not_the_end() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).named("web").start();
    env.configure("Port banana\n");
    env.write("work/fleet.toml", "hosts = [\"gone.txt\"]\nparallel = 8\n");
    let run = env.fleet(["doctor", "-g", "web"]).env("FLEET_PARALEL", "3").finish().expect_code(5);
    expect(&run, "problems", &["config:1: Port: expected a port", "nothing is contacted", "gone.txt"]);
    expect(&run, "warnings", &["did you mean FLEET_PARALLEL?"]);
    expect(&run, "fine", &["agent: none", "id_ed25519 has no passphrase", "enough for 8 hosts"]);
    env.write("work/fleet.toml", "parallel = \"many\"\n");
    let run = env.fleet(["doctor", "-H", "web"]).finish().expect_code(5);
    expect(&run, "problems", &["settings: ", "fleet.toml", "config:1: Port"]);
    assert_eq!(server.connections(), 0, "by another configuration it would be reached in another way: {run}");
    let _ = env.fleet(["doctor", "--no-such-flag"]).finish().expect_code(2);
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    let env = TestEnv::new();
    let secret = env.generate_key(&env.ssh_folder().join("secret"), "passphrase");
    let loose = env.generate_key(&env.ssh_folder().join("loose"), "");
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o644)).expect("the test's own file");
    let keys: Vec<String> = [&secret, &loose].iter().map(|path| format!("--identity={}", path.display())).collect();
    let run = env.fleet(["doctor"]).args(&keys).env("SSH_AUTH_SOCK", "/nowhere/agent").finish().expect_code(5);
    expect(&run, "problems", &["keys: ", "loose: mode 0644 lets others read it"]);
    expect(&run, "warnings", &["secret needs a passphrase", "/nowhere/agent: no such socket"]);
}

#[test]
fn jump_hosts_are_told_with_those_behind_them_and_their_limit() {
    let env = TestEnv::new();
    let jump = Sshd::new(&env).named("jump").start();
    let _targets = Sshd::new(&env).hosts("web", 3).start();
    env.configure("Host web*\n  ProxyJump jump\n");
    let run = env.fleet(["doctor", "-H", "web[01-03]"]).finish().expect_code(0);
    expect(&run, "fine", &["jump: one connection for 3 hosts behind it, MaxStartups "]);
    assert_eq!(jump.connections(), 2, "one for those behind it, one to look at it");
}

#[test]
fn names_of_one_server_are_counted_against_its_limit() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).named("web").start();
    let names: Vec<String> = (1..=12).map(|number| format!("alias{number}")).collect();
    for name in &names {
        env.enter_host(name, server.address(), server.port(), accounts::plain());
    }
    let hosts = names.join(",");
    let run = env.fleet(["doctor", "-p", "12", "-H", &hosts]).finish().expect_code(0);
    expect(&run, "warnings", &["alias[1-12]: connections: these are one server, which 12 logins at once"]);
    let run = env.fleet(["doctor", "-p", "4", "-H", &hosts]).finish().expect_code(0);
    expect(&run, "fine", &["connections: few enough at once"]);
}

#[test]
fn dropbear_is_examined_too() {
    let env = TestEnv::new();
    let _server = Dropbear::new(&env).named("small").start();
    let run = env.fleet(["doctor", "-H", "small"]).finish().expect_code(0);
    expect(&run, "fine", &["login: small: works", "clock: small: right", "shell: small: "]);
    assert!(run.stdout_text().contains("small: sftp: ") || run.stdout_text().contains("sftp: small: "), "{run}");
}
