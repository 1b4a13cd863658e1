//! What is read, sent, asked, said and recorded in a run.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use fleet_tests::accounts::{Throwaway, require_root};
use fleet_tests::{Dropbear, Signal, Sshd, TestEnv, accounts};

use crate::world::{World, expected, ids};

#[test]
fn each_byte_is_read_once_for_all_hosts() {
    let world = World::new(5);
    world.file("tree/large", vec![b'x'; 3_000_000]);
    (0..100).for_each(|number| drop(world.file(format!("tree/{number}"), "small")));
    let run = world.copied(["-v", "tree", &world.each("")]);
    run.expect_stderr("read 3000500 bytes of files").expect_stderr("0 hosts read alone");
    for packed in [&["-C"][..], &["--memory", "1M"]] {
        world.copied(packed.iter().copied().chain(["tree/", &world.each("")]));
    }
    assert_eq!(world.tree("web05"), world.tree("web01"));
    assert_eq!(world.tree("web03").len(), 203);
}

#[test]
fn a_host_that_takes_nothing_does_not_hold_up_the_others() {
    let world = World::new(3);
    world.file("large", vec![b'x'; 12_000_000]);
    let run = world.pcp(["--memory", "1M", "--bwlimit-host", "4M", "large", &world.each("")]).start();
    world.servers[0].wait_for_connections(3);
    let begun = |host: &str| fs::read_dir(world.on(host)).unwrap().next().is_some();
    let is_there = |host: &str| world.on(host).join("large").exists();
    let (hosts, deadline) = (["web01", "web02", "web03"], Instant::now() + Duration::from_secs(60));
    while !hosts.iter().all(|host| begun(host)) {
        assert!(Instant::now() < deadline, "not all copies have begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    world.servers[0].freeze(0);
    while hosts.iter().filter(|host| is_there(host)).count() < 2 {
        assert!(Instant::now() < deadline, "the others wait for one that takes nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(hosts.iter().filter(|host| is_there(host)).count(), 2);
    run.signal(Signal::INT);
    run.wait_for_stderr("once more leaves at once");
    run.signal(Signal::INT);
    run.finish().expect_code(3);
}

#[test]
fn ten_thousand_small_files_arrive() {
    let world = World::new(1);
    for number in 0..10_000 {
        world.file(format!("tree/{:02}/{number}", number % 100), number.to_string());
    }
    world.copied(["tree", &world.each("")]).expect_stderr("web01 (1): 10000 files, 38.9 kB");
    assert_eq!(world.tree("web01").len(), 10_101);
    assert_eq!(fs::read_to_string(world.on("web01").join("tree/99/9999")).unwrap(), "9999");
    world.copied(["--checksum", "tree", &world.each("")]).expect_stderr("web01 (1): 10000 files the same already");
}

#[test]
fn a_command_follows_where_the_copy_has_succeeded() {
    let world = World::new(2);
    world.file("a", "content");
    let then = format!("cat {}/$FLEET_HOST/a; echo \" $FLEET_INDEX of $FLEET_COUNT\"", world.env.shared().display());
    let run = world.copied(["--then", &then, "a", &world.each("")]);
    assert_eq!(run.sorted_lines(), ["web01: content 0 of 2", "web02: content 1 of 2"], "{run}");
    let run = world.pcp(["--then", "exit 7", "a", &world.each("")]).finish().expect_code(5);
    run.expect_stderr("web[01-02] (2): exit code 7 (1 file, 7 B)");
    world.pcp(["--then", "echo never", "a", &world.each("no/such")]).finish().expect_code(5).expect_nowhere("never");
}

#[test]
fn what_is_the_same_already_is_not_sent() {
    let world = World::new(2);
    for name in ["same", "-other", "it's new\n"] {
        world.file(format!("tree/{name}"), name);
    }
    world.link("tree/link", "same");
    world.link("tree/moved", "same");
    let same = world.file_on("web01", "tree/same", "same");
    world.file_on("web01", "tree/-other", "OTHER!");
    std::os::unix::fs::symlink("same", world.on("web01").join("tree/link")).unwrap();
    std::os::unix::fs::symlink("elsewhere", world.on("web01").join("tree/moved")).unwrap();
    fs::set_permissions(&same, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let before = (same.metadata().unwrap().ino(), world.tree("web01"));

    let told = world.copied(["--dry-run", "tree", &world.each("")]);
    told.expect_stdout("web01: replaced: ")
        .expect_stdout("/web01/tree/-other\n")
        .expect_stdout("web02: new: ")
        .expect_stderr("web01 (1): would copy 2 files, 1 symlink, 15 B: 1 new, 2 replaced; 2 the same already")
        .expect_stderr("web02 (1): would copy 3 files, 2 symlinks, 19 B: 5 new")
        .expect_nowhere("web01/tree/same");
    assert_eq!((same.metadata().unwrap().ino(), world.tree("web01")), before);
    assert!(world.tree("web02").is_empty());

    let run = world.copied(["--checksum", "-v", "tree", &world.each("")]);
    run.expect_stderr("web01 (1): 2 files, 1 symlink, 15 B; 1 the same already")
        .expect_stderr("web02 (1): 3 files, 2 symlinks, 19 B");
    assert_eq!(same.metadata().unwrap().ino(), before.0);
    assert_eq!(world.tree("web01"), world.tree("web02"));

    let name = world.each("tree/same");
    world.copied(["--checksum", "tree/same", &name]).expect_stderr("web[01-02] (2): 1 file the same already");
    world.copied(["-n", "tree/same", &name]).expect_stderr("web[01-02] (2): would copy nothing; 1 the same already");
    world.pcp(["-n", "tree/same", &world.each("no/such")]).finish().expect_code(5).expect_stderr("is missing");
    world.copied(["-n", "--mkdirs", "tree/same", &world.each("no/such")]).expect_stderr("1 new");
    world.pcp(["-n", "--mkdirs", "tree", &world.each("tree/same")]).finish().expect_code(5);
}

#[test]
fn a_resumed_copy_goes_on_with_the_hosts_that_have_it_not() {
    let world = World::new(3);
    world.file("tree/a", "content");
    fs::remove_dir(world.on("web02")).unwrap();
    let run = world.pcp(["--mode", "600", "tree/", &world.each("")]).finish().expect_code(5);
    run.expect_stderr("web[01,03] (2): 1 file, 7 B").expect_stderr("web02 (1): command: the folder");
    fs::create_dir(world.on("web02")).unwrap();
    crate::world::own(&world.on("web02"));
    fs::write(world.on("web01").join("a"), "untouched").unwrap();
    let run = world.env.pcp(["--failed"]).finish().expect_code(0);
    run.expect_stderr("1 of 3 hosts").expect_stderr("web02 (1): 1 file, 7 B");
    assert_eq!(world.tree("web02"), expected([("a", "file 600 content")]));
    assert_eq!(fs::read_to_string(world.on("web01").join("a")).unwrap(), "untouched");
}

#[test]
fn events_tell_how_far_a_copy_is_and_what_it_came_to() {
    let world = World::new(1);
    world.file("a", "content");
    let run = world.copied(["--json", "a", &world.each("")]);
    run.expect_stdout("\"event\":\"progress\"")
        .expect_stdout("\"bytes\":7,\"of\":7")
        .expect_stdout("\"event\":\"result\"")
        .expect_stdout("\"text\":\"1 file, 7 B\"");
}

#[test]
fn a_terminal_shows_bytes_rate_and_the_furthest_behind() {
    let world = World::new(2);
    world.file("large", vec![b'x'; 4_000_000]);
    let run = world.pcp(["--bwlimit-host", "200K", "large", &world.each("")]).on_terminal().start();
    run.wait_for_stdout(" of 8.0 MB, ");
    run.wait_for_stdout("kB/s, ");
    run.wait_for_stdout(" left; slowest: web0");
    run.signal(Signal::INT);
    run.finish().expect_code(3);
}

#[test]
fn a_host_that_takes_nothing_for_too_long_is_left_alone() {
    let world = World::new(1);
    world.file("large", vec![b'x'; 30_000_000]);
    let run = world.pcp(["--stall", "2s", "--grace", "1s", "--bwlimit-host", "4M", "large", &world.each("")]).start();
    let (folder, deadline) = (world.on("web01"), Instant::now() + Duration::from_secs(60));
    while fs::read_dir(&folder).unwrap().next().is_none() {
        assert!(Instant::now() < deadline, "the copy has not begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    world.servers[0].freeze(0);
    run.finish().expect_code(3).expect_stderr("took nothing for 2s");
}

#[test]
fn one_session_a_connection_is_enough() {
    let world = World::with(1, |sshd| sshd.option("MaxSessions", "1"));
    world.file("a", "content");
    world.file_on("web01", "a", "content");
    let run = world.copied(["--checksum", "--then", "echo after", "a", &world.each("")]);
    run.expect_stdout("after").expect_stderr("1 file the same already");
    world.copied(["a", &world.each("b")]);
    assert_eq!(fs::read_to_string(world.on("web01").join("b")).unwrap(), "content");
}

#[test]
fn archives_are_copied_as_what_is_in_them() {
    let world = World::new(2);
    world.file("app/bin/run", "run");
    world.link("app/current", "bin");
    let work = world.env.work();
    let tar = |arguments: &[&str]| {
        let mut tar = std::process::Command::new("tar");
        fleet_tests::run_to_end(tar.current_dir(&work).args(arguments));
    };
    tar(&["-cf", "app.tar", "app"]);
    tar(&["-czf", "app.tgz", "-C", "app", "."]);
    tar(&["-cPf", "evil.tar", "--transform", "s,^app,../app,", "app"]);
    let found = |top: &str| world.tree("web02").keys().filter(|name| name.starts_with(top)).count();
    world.copied(["--unpack", "--mkdirs", "app.tar", &world.each("one")]);
    assert_eq!(found("one"), 5);
    world.copied(["--unpack", "--mkdirs", "app.tgz", &world.each("two")]);
    assert_eq!(found("two"), 4);
    for (archive, words) in
        [("evil.tar", "leads out of the folder"), ("app", "not named like one"), ("no.tar", "cannot unpack")]
    {
        world.pcp(["--unpack", archive, &world.each("three")]).finish().expect_code(2).expect_stderr(words);
    }
    assert_eq!(found("three"), 0);
}

#[test]
fn sudo_receives_the_files() {
    require_root("an account with sudo");
    let account = Throwaway::with_shell("/bin/sh");
    account.sudoers("USER ALL=(ALL) NOPASSWD: ALL");
    let world = World::with(1, |sshd| sshd.user(account.name()));
    fs::set_permissions(world.on("web01"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    world.file("a", vec![b'x'; 3_000_000]);
    let destination = world.each("a");
    world.pcp(["a", &destination]).finish().expect_code(5);
    world.copied(["--sudo", "a", &destination]);
    assert_eq!(world.on("web01").join("a").metadata().unwrap().uid(), 0);
    let other = accounts::plain();
    world.copied([&format!("--sudo={other}"), "--then", "id -un", "a", &destination]).expect_stdout(other);
    assert_eq!(world.on("web01").join("a").metadata().unwrap().uid(), ids(other).0);
}

#[test]
fn every_server_and_login_shell_receives_files() {
    let env = TestEnv::new();
    let server = Dropbear::new(&env).start();
    let world = World::of(env, server, "server");
    world.file("tree/large", vec![b'x'; 3_000_000]);
    world.file("tree/small", "small");
    world.copied(["-C", "tree", &world.each("")]);
    assert_eq!(world.tree("server").len(), 3);
    world.copied(["--checksum", "tree", &world.each("")]).expect_stderr("2 files the same already");
    require_root("accounts with other shells");
    for shell in ["/bin/bash", "/usr/bin/zsh", "/usr/bin/fish", "/bin/tcsh", "/usr/bin/mksh"] {
        let account = Throwaway::with_shell(shell);
        let name = shell.rsplit('/').next().unwrap();
        let server = Sshd::new(&world.env).named(name).user(account.name()).start();
        let destination = format!("/home/{}", account.name());
        let to = |options: &[&'static str]| {
            world.env.pcp(["-H", name]).args(options).args(["tree", &destination]).finish().expect_code(0)
        };
        to(&[]).expect_stderr(&format!("{name} (1): 2 files, 3.0 MB"));
        to(&["--checksum"]).expect_stderr("2 files the same already");
        drop(server);
    }
}

#[test]
fn bad_input_contacts_nobody() {
    let world = World::new(1);
    world.file("a", "a");
    world.file("tree/a", "a");
    for (arguments, words) in [
        (&["a"][..], "expected what to copy, and where to"),
        (&[], "expected what to copy, and where to"),
        (&["no-such", "/x"], "no-such"),
        (&["a", "web01:/x"], "names a host"),
        (&["a", ""], "the destination is empty"),
        (&["a", "~root/x"], "the home of another user"),
        (&["a", "/x/{hots}"], "{hots} is not a placeholder"),
        (&["a", "-", "/x"], "the only source"),
        (&["-", "/x/"], "standard input has no name"),
        (&["a", "tree/", "/x"], "would both become a"),
        (&["a/", "/x"], "expected a folder"),
        (&["*.none", "/x"], "nothing matches"),
        (&["--mode", "rwx", "a", "/x"], "permission bits in octal"),
        (&["--owner", "a:b:c", "a", "/x"], "--owner takes"),
        (&["--bwlimit", "fast", "a", "/x"], "--bwlimit"),
        (&["--memory", "1", "a", "/x"], "--memory"),
        (&["--exclude", "web01", "a", "/x"], "web01 is a chosen host"),
        (&["--exclude", "[", "a", "/x"], "in the pattern"),
        (&["--dry-run", "--then", "id", "a", "/x"], "--then"),
        (&["--no-such-flag", "a", "/x"], "--no-such-flag"),
    ] {
        world.pcp(arguments).finish().expect_code(2).expect_stderr(words);
    }
    assert_eq!(world.servers[0].connections(), 0);
    world.env.pcp(["-H", "web01", "--list"]).finish().expect_code(0).expect_stdout("web01");
}

#[test]
fn what_is_perhaps_not_meant_and_what_cannot_be_read_is_said() {
    let world = World::new(1);
    world.file("conf/a", "a");
    fs::create_dir(world.on("web01").join("conf")).unwrap();
    crate::world::own(&world.on("web01").join("conf"));
    let run = world.copied(["conf", &world.each("conf")]);
    run.expect_stderr("write conf/ to copy what is in it into");
    world.link("conf/loop", ".");
    let run = world.pcp(["-L", "conf/", &world.each("")]).finish().expect_code(1);
    run.expect_stderr("conf/loop: left out: this symlink leads back to").expect_stderr("web01 (1): 1 file, 1 B");
}
