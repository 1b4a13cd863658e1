//! Whole or not at all: whatever ends a copy early leaves what was there, and no litter.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fleet_tests::{PATIENCE, Running, Signal, Sshd, TestEnv, accounts, program, run_to_end};
use rustix::process::{Pid, kill_process};

use crate::world::{World, expected};

/// A file that is large for `SLOWLY`, and how such a one is sent.
const LARGE_BYTES: usize = 4_000_000;
const SLOWLY: [&str; 2] = ["--bwlimit-host", "200K"];

/// Waits until something is so.
fn wait<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The folder in which a copy is received, once something is in it.
fn staging(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let staging = entries.into_iter().find(|path| path.display().to_string().contains("/.fleet-copy-"))?;
    let received = staging.join("d/large").metadata().is_ok_and(|meta| meta.len() > 0);
    received.then_some(staging)
}

/// A copy of a large file over an old one that has begun on the first host.
fn begun(world: &World, options: &[&str]) -> (Running, PathBuf) {
    world.file("large", vec![b'x'; LARGE_BYTES]);
    world.file_on("web01", "large", "old");
    let run = world.pcp(SLOWLY.iter().chain(options).copied().chain(["large", &world.each("")])).start();
    let staging = wait("the copy has begun", || staging(&world.on("web01")));
    (run, staging)
}

fn assert_untouched(world: &World) {
    assert_eq!(world.tree("web01"), expected([("large", "file 644 old")]));
}

#[test]
fn ctrl_c_leaves_what_was_there_and_nothing_else() {
    let world = World::new(1);
    let (run, _) = begun(&world, &[]);
    run.signal(Signal::INT);
    run.finish().expect_code(3).expect_stderr("cancelled, stopped");
    assert_untouched(&world);
}

#[test]
fn when_pcp_is_killed_the_host_cleans_up() {
    let world = World::new(1);
    let (run, staging) = begun(&world, &[]);
    run.signal(Signal::KILL);
    wait("the host has cleaned up", || (!staging.exists()).then_some(()));
    assert_untouched(&world);
}

#[test]
fn what_a_killed_shell_leaves_is_removed_by_the_next_copy() {
    let world = World::new(1);
    let (run, staging) = begun(&world, &[]);
    // .fleet-copy-TOKEN-PID-BIRTH@NODE
    let name = staging.file_name().unwrap().to_str().unwrap();
    let pid: i32 = name.split('-').nth(3).unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let run = run.finish();
    assert!(matches!(run.code, Some(3..=5)), "{run}");
    assert!(staging.exists());
    assert_eq!(fs::read_to_string(world.on("web01").join("large")).unwrap(), "old");
    world.file("small", "new");
    world.copied(["small", &world.each("")]);
    assert_eq!(world.tree("web01"), expected([("large", "file 644 old"), ("small", "file 644 new")]));
}

#[test]
fn a_timeout_and_a_lost_connection_leave_what_was_there() {
    let world = World::new(1);
    let (run, _) = begun(&world, &["-t", "3s"]);
    run.finish().expect_code(3).expect_stderr("stopped");
    assert_untouched(&world);
    let (run, staging) = begun(&world, &[]);
    world.servers[0].cut(1);
    run.finish().expect_code(4);
    wait("the host has cleaned up", || (!staging.exists()).then_some(()));
    assert_untouched(&world);
}

#[test]
fn a_full_disk_is_seen_before_and_says_how_much_is_missing() {
    accounts::require_root("mounting a disk");
    let world = World::new(2);
    let disk = world.on("web01");
    run_to_end(Command::new(program("mount")).args(["-t", "tmpfs", "-o", "size=1m,mode=777", "none"]).arg(&disk));
    let _unmount = Unmount(disk.clone());
    world.file("large", vec![b'x'; LARGE_BYTES]);
    let run = world.pcp(["large", &world.each("")]).finish().expect_code(5);
    run.expect_stderr("web01 (1): command: not enough room: 4.0 MB needed, 1.0 MB free, 3.0 MB missing")
        .expect_stderr("web02 (1): 1 file, 4.0 MB");
    assert!(world.tree("web01").is_empty());
    assert_eq!(fs::read(world.on("web02").join("large")).unwrap().len(), LARGE_BYTES);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named_and_the_others_are_copied() {
    let world = World::new(2);
    world.file("small", "new");
    world.file_on("web01", "small", "old");
    let source = world.file("large", vec![b'x'; LARGE_BYTES]);
    world.file_on("web01", "large", "old");
    let run = world.pcp(SLOWLY.iter().copied().chain(["large", "small", &world.each("")])).start();
    wait("the copy has begun", || staging(&world.on("web01")));
    File::options().append(true).open(&source).unwrap().set_len(LARGE_BYTES as u64 + 1).unwrap();
    run.finish()
        .expect_code(5)
        .expect_stderr("web[01-02] (2): command: large changed while it was read; 1 other is in place");
    assert_eq!(world.tree("web01"), expected([("large", "file 644 old"), ("small", "file 644 new")]));
    assert_eq!(world.tree("web02"), expected([("small", "file 644 new")]));
    world.file("large", "at rest");
    let again = world.env.pcp(["--resume", "last"]).finish().expect_code(0);
    again.expect_stderr("web[01-02] (2): 1 file, 7 B; 1 the same already");
    assert!(world.tree("web02").contains_key("large"));
}

#[test]
fn what_is_in_the_way_or_missing_is_said_and_nothing_is_changed() {
    let world = World::new(1);
    world.file("tree/a", "new");
    world.file("tree/b/c", "new");
    world.file_on("web01", "a", "old");
    world.file_on("web01", "b", "a file");
    let before = world.tree("web01");
    let closed = world.on("web01").join("closed");
    fs::create_dir(&closed).unwrap();
    for (source, destination, words, hint) in [
        ("tree/", "", "in the way: b is no folder on the host, and a folder would take its place", None),
        ("tree", "no/such", "the folder", Some("--mkdirs makes the folders that are missing")),
        ("tree", "a", "in the way", None),
        ("tree", "closed", "not allowed", Some("--sudo copies as root")),
    ] {
        let run = world.pcp([source, &world.each(destination)]).finish().expect_code(5).expect_stderr(words);
        hint.into_iter().for_each(|hint| assert!(run.stderr_text().contains(hint), "{run}"));
    }
    fs::remove_dir(&closed).unwrap();
    assert_eq!(world.tree("web01"), before);
}

#[test]
fn a_backup_of_what_is_replaced_is_kept() {
    let world = World::new(1);
    world.file("a", "new");
    world.file("b", "new");
    world.file_on("web01", "a", "old");
    world.copied(["--backup", "a", "b", &world.each("")]);
    let found = expected([("a", "file 644 new"), ("a~", "file 644 old"), ("b", "file 644 new")]);
    assert_eq!(world.tree("web01"), found);
}

#[test]
fn a_server_that_runs_something_else_has_not_copied() {
    for (command, words) in [("/bin/true", "said nothing"), ("echo no shell for you", "no shell for you")] {
        let world = World::with(1, |sshd| sshd.option("ForceCommand", command));
        world.file("a", "new");
        world
            .pcp(["a", &world.each("")])
            .finish()
            .expect_code(5)
            .expect_stderr("did not run our program")
            .expect_stderr(words);
        assert!(world.tree("web01").is_empty());
    }
}

#[test]
fn a_host_without_cksum_verifies_by_sha256() {
    let env = TestEnv::new();
    let path = env.programs_without(&["cksum"]);
    let server = Sshd::new(&env).named("web01").option("SetEnv", &format!("PATH={}", path.display())).start();
    let world = World::of(env, server, "web01");
    world.file("tree/file", "new");
    world.file("tree/other", "new too");
    let run = world.copied(["-v", "tree/", &world.each("")]).expect_stderr("the host has no cksum");
    run.expect_stderr("web01 (1): 2 files, 10 B");
    assert_eq!(world.tree("web01"), expected([("file", "file 644 new"), ("other", "file 644 new too")]));
}
