//! `--engine=rsync`: the rsync of this machine, over our connections.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use fleet_tests::processes::{assert_gone, wait_for};
use rustix::process::Signal;

use crate::restricted_to_rsync;
use crate::world::World;

/// Starts the local rsync for each host.
const LOCAL: &str = "--engine=rsync";

#[test]
fn each_host_gets_all_from_an_rsync_of_its_own() {
    let world = World::new(3);
    world.dist();
    world.file_on("web02", "opt/surplus", "to be deleted");
    let done = world.synced([LOCAL, "--delete", "dist/", &world.each("opt")]);
    for host in ["web01", "web02", "web03"] {
        assert_eq!(world.differences("dist", host, "opt"), "", "{}", done.stderr_text());
    }
    done.expect_stderr("engine=rsync");
}

#[test]
fn flags_that_are_not_ours_are_its_own() {
    let world = World::new(1);
    world.dist();
    world.file("dist/x.o", "left out");
    world.file_on("web01", "opt/app.js", &"application ".repeat(9_000));
    let arguments =
        [LOCAL, "-R", "--inplace", "--no-whole-file", "--exclude=*.o", "--stats", "dist/./", &world.each("opt")];
    let done = world.synced(arguments);
    assert!(done.stdout_text().contains("Matched data"), "{}", done.stdout_text());
    assert!(!world.on("web01").join("opt/x.o").exists());
    let failed = world.prsync([LOCAL, "--no-such-flag", "dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("--no-such-flag: unknown option");
}

#[test]
fn a_dry_run_shows_hosts_with_the_same_changes_once() {
    let world = World::new(3);
    world.dist();
    world.synced(["dist/", &world.each("opt")]);
    for host in ["web01", "web03"] {
        world.file_on(host, "opt/app.js", "changed by somebody");
    }
    let report = world.synced([LOCAL, "-n", "-i", "dist/", &world.each("opt")]);
    let text = report.stdout_text();
    assert!(text.contains("web[01,03]") && text.contains("<f.s"), "{text}");
    assert_eq!(text.matches("app.js").count(), 1, "{text}");
}

#[test]
fn its_exit_code_and_words_are_the_hosts() {
    let world = World::new(2);
    world.dist();
    fs::set_permissions(world.on("web01"), PermissionsExt::from_mode(0o555)).unwrap();
    let failed = world.prsync([LOCAL, "dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("Permission denied");
    assert_eq!(world.differences("dist", "web02", "opt"), "");
    let missing = world.env.prsync(["-H", "web02", "--rsync-path=no-such-rsync", LOCAL, "dist/", &world.each("opt")]);
    missing.finish().expect_code(5).expect_stderr("the host has no rsync");
}

#[test]
fn what_cannot_be_is_refused_before_any_host_is_contacted() {
    let world = World::new(1);
    world.dist();
    fs::create_dir_all(world.env.work().join("empty")).unwrap();
    for (arguments, text) in [
        (&["--atomic", "dist/", "/opt"][..], "--engine=rsync does not have --atomic"),
        (&["--delete", "empty/", "/opt"], "the source is empty"),
        (&["missing/", "/opt"], "cannot read missing/"),
        (&["/", "/"], "would replace / of the hosts"),
    ] {
        world.prsync([&[LOCAL], arguments].concat()).finish().expect_code(2).expect_stderr(text);
    }
    let none = world.prsync([LOCAL, "dist/", "/opt"]).env("PATH", "/nonexistent").finish().expect_code(2);
    none.expect_stderr("there is none in PATH");
    assert_eq!(world.servers[0].connections(), 0);
}

#[test]
fn a_key_that_is_restricted_to_rsync_is_enough_for_it() {
    let world = World::with(1, restricted_to_rsync);
    world.dist();
    world.synced([LOCAL, "dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web01", "opt"), "");
}

#[test]
fn an_interrupt_ends_both_ends() {
    let world = World::new(1);
    world.dist();
    // The host's end never says a word, so that the local one waits for it.
    let silent = world.env.write("shared/silent", "#!/bin/sh\ncat >/dev/null\n");
    fs::set_permissions(&silent, PermissionsExt::from_mode(0o755)).unwrap();
    let program = format!("--rsync-path={}", silent.display());
    let run = world.env.prsync(["-H", "web01", LOCAL, &program, "dist/", &world.each("opt")]).start();
    let target = world.on("web01").join("opt").display().to_string();
    wait_for(&target, 1);
    assert!(!processes(&format!("fleet:{target}")).is_empty(), "the local rsync runs");
    run.signal(Signal::INT);
    assert_eq!(run.finish().code, Some(3));
    assert_gone(&target);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !processes(&target).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", processes(&target));
        std::thread::yield_now();
    }
}

/// All processes with these words in their command lines, those of this machine's end too.
fn processes(words: &str) -> Vec<String> {
    let ids = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let lines = ids.filter_map(|path| fs::read(path.join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| line.contains(words)).collect()
}
