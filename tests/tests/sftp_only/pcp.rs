//! `pcp` to hosts that offer only SFTP, alone and among others.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleet_tests::{PATIENCE, Running, Server, Signal, Sshd, TestEnv, accounts};
use rustix::fs::{Gid, Uid, chown};

use crate::forced::ids;
use crate::host::{noise, tree};

const REMARK: &str = "this host runs no commands: files are copied by SFTP";
/// Hosts `box1`, `box2` with only SFTP, and `web01` with a shell; `shared/HOST` is a folder for each.
struct World {
    env: TestEnv,
    _servers: Vec<Server>,
}

impl World {
    fn new() -> Self {
        let env = TestEnv::new();
        let boxes = Sshd::new(&env).hosts("box", 2).option("ForceCommand", "internal-sftp").start();
        let web = Sshd::new(&env).hosts("web", 1).start();
        let (user, group) = ids(accounts::plain());
        for name in ["box01", "box02", "web01"] {
            let folder = env.shared().join(name);
            fs::create_dir(&folder).unwrap();
            chown(&folder, Some(Uid::from_raw(user)), Some(Gid::from_raw(group))).unwrap();
        }
        fs::create_dir(env.work().join("app")).unwrap();
        fs::write(env.work().join("app/large"), noise(1_500_000)).unwrap();
        fs::write(env.work().join("app/small"), "small").unwrap();
        Self { env, _servers: vec![boxes, web] }
    }

    fn on(&self, host: &str) -> PathBuf {
        self.env.shared().join(host)
    }

    fn pcp(&self, hosts: &str, arguments: &[&str]) -> fleet_tests::Run {
        let each = format!("{}/{{host}}/", self.env.shared().display());
        let run = self.env.pcp(["-H", hosts]).args(arguments.iter().take(arguments.len() - 1));
        run.arg(arguments.last().unwrap().replace("HERE/", &each))
    }
}

#[test]
fn hosts_with_and_without_commands_get_the_same_and_it_is_read_once() {
    let world = World::new();
    let run = world.pcp("box[01-02],web01", &["-v", "app", "HERE/"]).finish().expect_code(0);
    let run = run.expect_stderr("read 1500005 bytes of files, ");
    let text = run.stderr_text();
    let remarks: Vec<&str> = text.lines().filter(|line| line.contains(REMARK)).collect();
    assert!(!remarks.is_empty() && remarks.iter().all(|line| line.starts_with("pcp: box")), "{run}");
    for host in ["box01", "box02", "web01"] {
        assert_eq!(tree(&world.on(host).join("app")), tree(&world.env.work().join("app")), "{host}");
        assert_eq!(fs::read_dir(world.on(host)).unwrap().count(), 1, "{host}");
    }
    world.pcp("box01", &["app", "HERE/"]).finish().expect_code(0).expect_nowhere(REMARK);
}

#[test]
fn flags_mean_the_same_and_refusals_say_the_same() {
    let world = World::new();
    let both = "box01,web01";
    for (arguments, code, expected) in [
        (&["app/small", "HERE/x/"][..], 5, "/x is missing"),
        (&["--mkdirs", "app/small", "HERE/x/"], 0, "1 file, 5 B"),
        (&["-C", "app/large", "HERE/"], 0, "1 file, 1.5 MB"),
        (&["--backup", "app/small", "HERE/large"], 0, "1 file, 5 B"),
        (&["app/small", "HERE/x"], 0, "1 file, 5 B"),
        (&["app/", "HERE/x/small/"], 5, "/x/small is no folder"),
        (&["--checksum", "app", "HERE/"], 0, "2 files, 1.5 MB"),
    ] {
        let run = world.pcp(both, arguments).finish().expect_code(code);
        let run = run.expect_stderr(expected);
        assert!(!run.stderr_text().contains("lost"), "{run}");
    }
    let (box01, web01) = (tree(&world.on("box01")), tree(&world.on("web01")));
    assert_eq!(box01, web01);
    let names: Vec<&str> = box01.keys().map(String::as_str).collect();
    assert_eq!(names, ["app", "app/large", "app/small", "large", "large~", "x", "x/small"]);
}

#[test]
fn what_needs_commands_is_refused_before_anything_is_copied() {
    let world = World::new();
    for (arguments, expected) in [
        (&["--then", "true", "app", "HERE/"][..], "the host runs no commands, so --then cannot follow"),
        (&["--owner", "nobody", "app", "HERE/"], "expected numbers as in 1000:1000"),
    ] {
        world.pcp("box01", arguments).finish().expect_code(5).expect_stderr(expected);
        assert_eq!(tree(&world.on("box01")).len(), 0, "{arguments:?}");
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let world = World::new();
    let both = "box01,web01";
    for (arguments, code, expected) in [
        (&["-n", "app", "HERE/"][..], 0, "box01,web01 (2): would copy 2 files, 1.5 MB: 2 new"),
        (&["-n", "app", "HERE/x/"], 5, "box01/x is missing"),
        (&["-n", "--mkdirs", "app", "HERE/x/"], 0, "box01,web01 (2): would copy 2 files, 1.5 MB: 2 new"),
    ] {
        let run = world.pcp(both, arguments).finish().expect_code(code);
        let _ = run.expect_stderr(expected);
        assert_eq!((tree(&world.on("box01")).len(), tree(&world.on("web01")).len()), (0, 0));
    }
    fs::write(world.on("box01").join("small"), "other").unwrap();
    fs::create_dir(world.on("box01").join("large")).unwrap();
    let before = tree(&world.on("box01"));
    let run = world.pcp("box01", &["-n", "app/small", "HERE/"]).finish().expect_code(0);
    run.expect_stdout("box01: replaced: ").expect_stderr("would copy 1 file, 5 B: 1 replaced");
    let run = world.pcp("box01", &["-n", "app/", "HERE/"]).finish().expect_code(5);
    run.expect_stdout("in the way: ").expect_stderr("in the way: large is there, and cannot be replaced");
    assert_eq!(tree(&world.on("box01")), before);
}

/// A copy that takes long, once it has begun.
fn begun(world: &World) -> Running {
    let run = world.pcp("box01", &["--bwlimit", "100K", "app/large", "HERE/"]).start();
    let deadline = Instant::now() + PATIENCE;
    while tree(&world.on("box01")).len() < 3 {
        assert!(Instant::now() < deadline, "the copy has not begun");
        std::thread::sleep(Duration::from_millis(10));
    }
    run
}

#[test]
fn ctrl_c_leaves_nothing() {
    let world = World::new();
    let run = begun(&world);
    run.signal(Signal::INT);
    run.finish().expect_code(3).expect_stderr("cancelled, stopped");
    assert_eq!(tree(&world.on("box01")).len(), 0);
}

#[test]
fn what_a_killed_pcp_leaves_is_removed_by_the_next() {
    let world = World::new();
    let run = begun(&world);
    run.signal(Signal::KILL);
    drop(run.finish());
    assert_eq!(fs::read_dir(world.on("box01")).unwrap().count(), 1, "nobody is there to remove it");
    world.pcp("box01", &["app/small", "HERE/"]).finish().expect_code(0);
    assert_eq!(tree(&world.on("box01")).into_keys().collect::<Vec<_>>(), ["small"]);
}
