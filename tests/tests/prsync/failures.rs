//! What goes wrong, in words; a host that fails keeps no other from its files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fleet_tests::Sshd;
use fleet_tests::processes::wait_for;

use crate::world::World;

#[test]
fn a_host_without_rsync_says_so() {
    let world = World::new(1);
    world.dist();
    let program = "--rsync-path=no-such-rsync";
    let failed = world.env.prsync(["-H", "web01", program, "--engine=native", "dist/", &world.each("opt")]);
    failed.finish().expect_code(5).expect_stderr("the host has no rsync");
}

#[test]
fn the_noise_of_a_login_shell_is_shown() {
    let world = World::with(1, |sshd: Sshd<'_>| {
        sshd.option("ForceCommand", "echo Welcome to this host; exec $SSH_ORIGINAL_COMMAND")
    });
    world.dist();
    let failed = world.prsync(["dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("the host says: Welcome to this host");
}

#[test]
fn a_destination_that_cannot_be_written_is_one_hosts_failure() {
    let world = World::new(2);
    world.dist();
    fs::set_permissions(world.on("web01"), PermissionsExt::from_mode(0o555)).unwrap();
    let failed = world.prsync(["dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("Permission denied");
    assert_eq!(world.differences("dist", "web02", "opt"), "");
}

#[test]
fn what_is_hardly_meant_is_refused_before_any_host_is_contacted() {
    let world = World::new(1);
    fs::create_dir_all(world.env.work().join("empty")).unwrap();
    for (arguments, text) in [
        (&["--delete", "empty/", "/opt"][..], "the source is empty"),
        (&["/", "/"], "would replace / of the hosts"),
        (&["missing/", "/opt"], "cannot read"),
        (&["--exclude=[", "dist/", "web01:/opt"], "names a host"),
        (&["dist/"], "expected what to bring"),
    ] {
        world.prsync(arguments).finish().expect_code(2).expect_stderr(text);
    }
    assert_eq!(world.servers[0].connections(), 0);
}

#[test]
fn a_file_that_cannot_be_sent_fails_the_host_and_deletes_nothing() {
    let world = World::new(1);
    world.dist();
    world.file_on("web01", "opt/surplus", "kept");
    // A folder that is a symlink to itself cannot be looked into, whoever we are.
    world.link("dist/loop", "loop");
    let failed = world.prsync(["-L", "--delete", "dist/", &world.each("opt")]).finish();
    let failed = failed.expect_stderr("nothing is deleted");
    assert_ne!(failed.code, Some(0));
    assert!(world.tree("web01").contains_key("opt/surplus"));
    assert!(world.tree("web01").contains_key("opt/app.js"));
}

#[test]
fn more_than_may_be_deleted_is_deleted_nowhere() {
    let world = World::new(2);
    world.dist();
    for name in ["a", "b", "c"] {
        world.file_on("web01", &format!("opt/{name}"), "surplus");
    }
    let failed = world.prsync(["--delete", "--max-delete=50%", "dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("would delete 3 of 4 at the destination, more than --max-delete 50%");
    assert_eq!(world.tree("web01").len(), 4, "nothing is brought, either");
    assert_eq!(world.differences("dist", "web02", "opt"), "");
    world.synced(["--delete", "--max-delete=80%", "dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web01", "opt"), "");
}

#[test]
fn what_is_not_supported_is_named_before_any_host_is_contacted() {
    let world = World::new(1);
    world.dist();
    for (flag, name, hint) in [
        ("-A", "--acls", "--engine=rsync"),
        ("-X", "--xattrs", "--engine=rsync"),
        ("--no-implied-dirs", "--no-implied-dirs", "--engine=rsync"),
        ("--remove-source-files", "--remove-source-files", "other hosts may still need them"),
        ("-essh", "--rsh", "--ssh-config"),
        ("--info=progress2", "--info", "--json"),
    ] {
        let text = format!("{name} is not supported");
        world.prsync([flag, "dist/", "/opt"]).finish().expect_code(2).expect_stderr(&text).expect_stderr(hint);
    }
    for words in [&["-aHAX"][..], &["-aH"]] {
        let meant = world.prsync(words.iter().copied().chain(["dist/", "/opt"])).finish().expect_code(2);
        meant.expect_stderr("--hard-links is what -H is to rsync");
    }
    world.prsync(["--max-delete=101%", "--delete", "dist/", "/opt"]).finish().expect_code(2);
    assert_eq!(world.servers[0].connections(), 0);
}

#[test]
fn a_connection_that_is_cut_while_a_file_is_sent_fails_the_host_and_a_re_run_repairs() {
    let world = World::new(1);
    world.dist();
    let large = world.file("dist/large", vec![b'x'; 3_000_000]);
    let run = world.prsync(["--bwlimit=300", "dist/", &world.each("opt")]).start();
    // Its server, which alone has the host's own path among its words.
    wait_for(&world.on("web01").join("opt").display().to_string(), 1);
    world.servers[0].cut(0);
    assert_ne!(run.finish().code, Some(0));
    assert!(large.exists());
    world.synced(["dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web01", "opt"), "");
}
