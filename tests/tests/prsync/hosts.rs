//! Hosts on which something happens meanwhile: each has its own result, and a re-run repairs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use fleet_tests::accounts::require_root;
use fleet_tests::processes::wait_for;
use fleet_tests::{program, run_to_end};

use crate::rsync;
use crate::world::World;

/// A file system of one MiB in place of a host's folder, which goes with this.
struct Disk(PathBuf);

impl Disk {
    fn new(world: &World, host: &str) -> Self {
        require_root("mounting a disk");
        let disk = Self(world.on(host));
        disk.mount("size=1m,mode=777");
        disk
    }

    fn mount(&self, options: &str) {
        run_to_end(Command::new(program("mount")).args(["-t", "tmpfs", "-o", options, "none"]).arg(&self.0));
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        run_to_end(Command::new(program("mount")).args(["-o", &options]).arg(&self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_destination_is_one_hosts_failure() {
    let world = World::new(2);
    let disk = Disk::new(&world, "web01");
    world.dist();
    world.file("dist/large", vec![b'x'; 3_000_000]);
    let failed = world.prsync(["dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("web01 (1)").expect_stderr("No space left on device");
    assert_eq!(world.differences("dist", "web02", "opt"), "");
    disk.remount("size=16m");
    world.synced(["dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web01", "opt"), "");
}

#[test]
fn a_destination_that_is_read_only_is_one_hosts_failure() {
    let world = World::new(2);
    let disk = Disk::new(&world, "web01");
    disk.remount("ro");
    world.dist();
    let failed = world.prsync(["dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("web01 (1)").expect_stderr("Read-only file system");
    assert_eq!(world.differences("dist", "web02", "opt"), "");
    disk.remount("rw");
    world.synced(["dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web01", "opt"), "");
}

#[test]
fn a_server_that_is_killed_in_mid_file_is_one_hosts_failure() {
    let world = World::new(2);
    world.dist();
    world.file("dist/large", vec![b'x'; 3_000_000]);
    let run = world.prsync(["--bwlimit-host=500", "dist/", &world.each("opt")]).start();
    // The generator and the receiver.
    let servers = wait_for(&world.on("web01").join("opt").display().to_string(), 2);
    for server in servers {
        let _ = Command::new(program("kill")).args(["-9", &server.pid.to_string()]).status();
    }
    let failed = run.finish();
    assert_ne!(failed.code, Some(0), "{failed}");
    assert!(failed.stderr_text().contains("web01"), "{failed}");
    assert_eq!(world.differences("dist", "web02", "opt"), "");
    world.synced(["dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web01", "opt"), "");
}

/// Has the hosts run a command between the scan of the sources and all else.
fn with_meanwhile(world: &World, command: &str) -> String {
    fs::set_permissions(world.env.work().join("dist"), PermissionsExt::from_mode(0o777)).unwrap();
    for part in [world.env.path(), &world.env.work()] {
        fs::set_permissions(part, PermissionsExt::from_mode(0o755)).unwrap();
    }
    format!("--rsync-path={command}; {}", rsync().display())
}

#[test]
fn a_file_that_vanishes_is_named_and_the_others_are_brought() {
    let world = World::new(1);
    world.dist();
    let gone = world.file("dist/gone", "soon gone");
    let meanwhile = with_meanwhile(&world, &format!("rm -f '{}'", gone.display()));
    let told = world.prsync([&meanwhile, "dist/", &world.each("opt")]).finish().expect_code(1);
    told.expect_stderr("1 file vanished or changed while it was sent (exit code 24)").expect_stderr("dist/gone");
    // The folder itself has changed when it lost the file, which may have been in another second.
    let scanned = fs::metadata(world.on("web01").join("opt")).unwrap().modified().unwrap();
    fs::File::open(world.env.work().join("dist")).unwrap().set_modified(scanned).unwrap();
    assert_eq!(world.differences("dist", "web01", "opt"), "");
}

#[test]
fn a_file_that_cannot_be_read_any_more_is_named_and_nothing_is_deleted() {
    let world = World::new(1);
    world.dist();
    world.file_on("web01", "opt/surplus", "kept");
    let file = world.file("dist/file", "soon a link to itself");
    let meanwhile = with_meanwhile(&world, &format!("ln -sf file '{}'", file.display()));
    let told = world.prsync([&meanwhile, "--delete-after", "dist/", &world.each("opt")]).finish().expect_code(1);
    told.expect_stderr("1 file could not be sent (exit code 23)").expect_stderr("dist/file");
    assert!(world.tree("web01").contains_key("opt/surplus") && world.tree("web01").contains_key("opt/app.js"));
}

#[test]
fn a_file_that_changes_is_sent_as_it_is_then() {
    let world = World::new(1);
    world.dist();
    let file = world.file("dist/log", "one line\n");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
    let meanwhile = with_meanwhile(&world, &format!("echo more >>'{}'", file.display()));
    world.synced([&meanwhile, "dist/", &world.each("opt")]);
    assert_eq!(fs::read_to_string(world.on("web01").join("opt/log")).unwrap(), "one line\nmore\n");
    world.synced(["dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web01", "opt"), "");
}
