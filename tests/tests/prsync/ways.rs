//! Ways in which hosts are reached, one after the other, and in which it is told.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fleet_tests::accounts::{Throwaway, require_root};
use fleet_tests::{Sshd, TestEnv};

use crate::world::World;

/// The script that comes with rsync for keys that are restricted to a folder.
fn rrsync() -> &'static str {
    let known = ["/usr/bin/rrsync", "/usr/share/doc/rsync/scripts/rrsync"];
    known.into_iter().find(|path| Path::new(path).exists()).expect("rrsync is installed with rsync")
}

#[test]
fn a_key_with_rrsync_is_enough_and_leads_nowhere_else() {
    let env = TestEnv::new();
    let restricted = format!("{} {}", rrsync(), env.shared().display());
    let server = Sshd::new(&env).hosts("web", 1).option("ForceCommand", &restricted).start();
    let world = World::of(env, server, "web01");
    world.dist();
    world.file_on("web01", "opt/surplus", "goes");
    let flags = ["--rsync-path=rsync", "--delete", "-zuSbmi", "--inplace", "--max-delete=90%"];
    world.synced(flags.iter().chain(&["dist/", "{host}/opt"]));
    let tree = world.tree("web01");
    assert!(tree.contains_key("opt/app.js") && tree.contains_key("opt/lib") && !tree.contains_key("opt/surplus"));
    let refused = world.prsync(["--rsync-path=rsync", "dist/", "../../opt"]).finish().expect_code(5);
    assert!(refused.stderr_text().contains("rrsync") || refused.stderr_text().contains("'..'"), "{refused}");
}

#[test]
fn sudo_receives_the_tree() {
    require_root("an account with sudo");
    let account = Throwaway::with_shell("/bin/sh");
    account.sudoers("USER ALL=(ALL) NOPASSWD: ALL");
    let world = World::with(1, |sshd| sshd.user(account.name()));
    fs::set_permissions(world.on("web01"), PermissionsExt::from_mode(0o700)).unwrap();
    world.dist();
    world.prsync(["dist/", &world.each("opt")]).finish().expect_code(5);
    world.synced(["--sudo", "--chown=:root", "dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web01", "opt"), "");
    assert_eq!(world.on("web01").join("opt/app.js").metadata().unwrap().gid(), 0);
}

#[test]
fn hosts_have_their_turns_and_a_canary_that_fails_keeps_the_others_as_they_are() {
    let world = World::new(3);
    world.dist();
    world.synced(["--batch=1", "dist/", &world.each("opt")]).expect_stderr("3");
    assert_eq!(world.differences("dist", "web03", "opt"), "");
    fs::set_permissions(world.on("web01"), PermissionsExt::from_mode(0o555)).unwrap();
    let before = world.servers[0].connections();
    let failed = world.prsync(["--canary=1", "--yes", "dist/", &world.each("new")]).finish().expect_code(3);
    failed.expect_stderr("a canary is not fine");
    assert_eq!(world.servers[0].connections(), before + 1);
    assert!(!world.on("web02").join("new").exists());
}

#[test]
fn what_changed_is_told_as_json() {
    let world = World::new(2);
    world.dist();
    let run = world.synced(["--json", "-i", "dist/", &world.each("opt")]);
    let text = run.stdout_text().into_owned();
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["event"] == "result" && event["host"] == "web02"), "{text}");
    assert!(text.contains("<f+++++++++ app.js"), "{text}");
}
