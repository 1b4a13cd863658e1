//! Hosts without rsync, with another one, and what is done by which engine.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};

use fleet_tests::accounts::{self, Throwaway};
use fleet_tests::{Finished, Run, Sshd, TestEnv, program};
use rustix::fs::{AtFlags, CWD, Gid, Timespec, Timestamps, Uid, chownat, utimensat};

use crate::world::{World, ids, own};

/// Hosts `bare01`, ... that have no rsync.
fn bare(hosts: usize) -> World {
    let env = TestEnv::new();
    let path = env.programs_without(&["rsync"]);
    let server = Sshd::new(&env).hosts("bare", hosts).option("SetEnv", &format!("PATH={}", path.display())).start();
    let world = World::of(env, server, "bare01");
    for host in 2..=hosts {
        let folder = world.on(&format!("bare{host:02}"));
        fs::create_dir(&folder).unwrap();
        own(&folder);
    }
    world
}

/// A host without rsync and without GNU's find, with this stat.
fn without_gnu_find(stat: &str) -> World {
    let env = TestEnv::new();
    let path = env.programs_without(&["rsync", "find", "stat"]);
    symlink(program("busybox"), path.join("find")).unwrap();
    fs::write(path.join("stat"), stat).unwrap();
    fs::set_permissions(path.join("stat"), PermissionsExt::from_mode(0o755)).unwrap();
    let server = Sshd::new(&env).named("bare01").option("SetEnv", &format!("PATH={}", path.display())).start();
    World::of(env, server, "bare01")
}

impl World {
    /// `prsync` to all hosts with the rsync that they have, if any.
    fn by_engine(&self, arguments: &[&str]) -> Run {
        self.env.prsync(["-H", &self.servers[0].names().join(",")]).args(arguments)
    }

    fn synced_by_engine(&self, arguments: &[&str]) -> Finished {
        self.by_engine(arguments).finish().expect_code(0)
    }

    /// Lets something on a host be of another time.
    fn age(&self, host: &str, name: &str) {
        let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, self.on(host).join(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

#[test]
fn a_host_without_rsync_gets_all_by_tar_and_nothing_the_second_time() {
    let world = bare(1);
    world.dist();
    fs::set_permissions(world.file("dist/run.sh", "#!/bin/sh\n"), PermissionsExt::from_mode(0o4751)).unwrap();
    fs::set_permissions(world.env.work().join("dist/lib"), PermissionsExt::from_mode(0o2750)).unwrap();
    let done = world.synced_by_engine(&["--stats", "dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "bare01", "opt"), "", "{}", done.stderr_text());
    done.expect_stderr("engine=tar: 1 host").expect_stderr("4 files sent, 120 kB; engine=tar");
    world.synced_by_engine(&["dist/", &world.each("opt")]).expect_stderr("the same already; engine=tar");
    let noted = world.synced_by_engine(&["-v", "dist/", &world.each("opt")]);
    noted.expect_stderr("no rsync: engine=tar");
    let json = world.synced_by_engine(&["--json", "dist/", &world.each("opt")]);
    assert!(json.stdout_text().contains("engine=tar"), "{}", json.stdout_text());
}

#[test]
fn what_differs_is_repaired_and_surplus_is_deleted_but_for_what_is_protected() {
    let world = bare(1);
    world.dist();
    world.file("dist/mode", "mode");
    world.file("dist/kind", "kind");
    world.file("dist/closed/inner", "closed");
    world.synced_by_engine(&["dist/", &world.each("opt")]);
    let there = |name: &str| world.on("bare01").join("opt").join(name);
    world.file_on("bare01", "opt/app.js", "changed by somebody");
    world.age("bare01", "opt/app.js");
    fs::set_permissions(there("mode"), PermissionsExt::from_mode(0o600)).unwrap();
    fs::remove_file(there("kind")).unwrap();
    world.file_on("bare01", "opt/kind/folder", "in the way");
    fs::remove_file(there("current")).unwrap();
    symlink("nowhere", there("current")).unwrap();
    world.age("bare01", "opt/current");
    world.age("bare01", "opt/lib");
    world.file_on("bare01", "opt/old/-f", "surplus");
    world.file_on("bare01", "opt/old/it's\nodd", "surplus");
    world.file_on("bare01", "opt/log/today.log", "kept");
    world.file_on("bare01", "opt/log/other", "surplus");
    let arguments = ["--delete", "--exclude=*.log", "dist/", &world.each("opt")];
    let seen = world.synced_by_engine(&[&["-n", "-i"], &arguments[..]].concat());
    let text = seen.stdout_text();
    for line in [
        "*deleting   old/-f",
        "*deleting   old/it's\\#012odd",
        "*deleting   old/",
        "*deleting   log/other",
        "<f.st...... app.js",
        ".f...p..... mode",
        "<f+++++++++ kind",
        "cLc.t...... current -> app.js",
        ".d..t...... lib/",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(there("old/-f").exists(), "a dry run changes nothing");
    let done = world.synced_by_engine(&arguments);
    assert!(there("log/today.log").exists() && !there("log/other").exists(), "{}", done.stderr_text());
    fs::remove_dir_all(there("log")).unwrap();
    assert_eq!(world.differences("dist", "bare01", "opt").replace(".d..t...... ./\n", ""), "");
}

#[test]
fn the_lines_of_a_dry_run_are_those_of_rsync_and_shown_with_other_hosts() {
    let mut world = World::with(1, |sshd| {
        sshd.option("SetEnv", &format!("PATH={}:/usr/bin:/bin", crate::rsync().parent().unwrap().display()))
    });
    let path = world.env.programs_without(&["rsync"]);
    world
        .servers
        .push(Sshd::new(&world.env).named("bare01").option("SetEnv", &format!("PATH={}", path.display())).start());
    let folder = world.on("bare01");
    fs::create_dir(&folder).unwrap();
    own(&folder);
    world.dist();
    let compared = |engine: &str| {
        let arguments = ["-H", "web01,bare01", engine, "-n", "-i", "--delete", "dist/", &world.each("opt")];
        world.env.prsync(arguments).finish().expect_code(0)
    };
    for host in ["web01", "bare01"] {
        world.file_on(host, "opt/app.js", "changed by somebody");
        world.file_on(host, "opt/surplus/a", "a");
        world.file_on(host, "opt/surplus/b", "b");
        world.age(host, "opt");
        world.age(host, "opt/app.js");
    }
    let report = compared("--engine=auto");
    let text = report.stdout_text();
    assert_eq!(text.matches("app.js").count(), 2, "the file, and the symlink to it, once for both: {text}");
    assert!(text.contains("*deleting   surplus/b\n"), "{text}");
    assert_eq!(compared("--engine=tar").stdout_text(), text);
}

#[test]
fn hosts_that_need_the_same_are_sent_one_stream() {
    let world = bare(4);
    world.file("dist/large", "x".repeat(300_000));
    world.synced_by_engine(&["dist/", &world.each("opt")]);
    world.file("dist/large", "y".repeat(600_000));
    let done = world.synced_by_engine(&["--stats", "dist/", &world.each("opt")]);
    done.expect_stderr("1 file sent, 600 kB").expect_stderr("engine=tar: 4 hosts; source bytes read: 600000;");
    for host in ["bare01", "bare02", "bare03", "bare04"] {
        assert_eq!(world.differences("dist", host, "opt"), "");
    }
}

#[test]
fn openrsync_is_no_rsync_and_another_failure_is_none_of_the_kind() {
    let env = TestEnv::new();
    // As it ends on an option that it does not know.
    let script = "#!/bin/sh\necho \"openrsync: unrecognized option '--checksum-seed=1'\" >&2\n\
                  echo 'usage: openrsync [-x]' >&2\nexit 1\n";
    let program = env.write("shared/shadow/rsync", script);
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:/usr/bin:/bin", program.parent().unwrap().display());
    let server = Sshd::new(&env).named("mac").option("SetEnv", &path).start();
    let world = World::of(env, server, "mac");
    world.dist();
    let done = world.synced_by_engine(&["-v", "dist/", &world.each("opt")]);
    done.expect_stderr("no rsync but openrsync: engine=tar");
    assert_eq!(world.differences("dist", "mac", "opt"), "");
    let failed = world.by_engine(&["--engine=native", "dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("does not know what we ask for (exit code 1)");
    let broken = "--rsync-path=sh -c 'echo rsync: out of memory >&2; exit 22' sh";
    let failed = world.by_engine(&[broken, "dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("out of memory");
    // What would have been done as somebody else is not done as oneself.
    let failed = world.by_engine(&["--rsync-path=env no-such-rsync", "dist/", &world.each("opt")]).finish();
    failed.expect_code(5).expect_stderr("the host has no rsync");
}

#[test]
fn hosts_with_the_find_and_stat_of_busybox_or_bsd_are_synced_too() {
    let busybox = format!("#!/bin/sh\nexec {} stat \"$@\"\n", program("busybox").display());
    // What BSD's prints for the format that it is asked for.
    let bsd = format!(
        "#!/bin/sh\n[ \"$1\" = -f ] || exit 1\nshift 2\nexec {} -c '%f %s %Y %u %g' \"$@\"\n",
        program("stat").display()
    );
    for stat in [busybox, bsd] {
        let world = without_gnu_find(&stat);
        world.dist();
        world.file("dist/li\nne", "of a name");
        symlink("two\nlines\n", world.env.work().join("dist/link")).unwrap();
        world.file_on("bare01", "opt/surplus/deep", "to be deleted");
        ["opt", "opt/surplus"].iter().for_each(|name| own(&world.on("bare01").join(name)));
        let done = world.synced_by_engine(&["--delete", "-i", "dist/", &world.each("opt")]);
        assert_eq!(world.differences("dist", "bare01", "opt"), "", "{}", done.stderr_text());
        world
            .synced_by_engine(&["--delete", "dist/", &world.each("opt")])
            .expect_stderr("the same already; engine=tar");
    }
    let world = without_gnu_find("#!/bin/sh\nexit 1\n");
    world.dist();
    let failed = world.by_engine(&["dist/", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("rsync has to be installed");
}

#[test]
fn what_tar_does_not_keep_is_refused_where_there_is_no_rsync() {
    let world = bare(1);
    world.dist();
    fs::hard_link(world.env.work().join("dist/app.js"), world.env.work().join("dist/same.js")).unwrap();
    for (flag, name) in [
        ("--hard-links", "--hard-links"),
        ("--checksum", "--checksum"),
        ("--link-dest=../x", "--link-dest"),
        ("--update", "-u"),
        ("--partial-dir=.part", "--partial-dir"),
    ] {
        let failed = world.by_engine(&[flag, "dist/", &world.each("opt")]).finish().expect_code(5);
        failed.expect_stderr(&format!("needs rsync on the host: {name}"));
    }
    assert!(!world.on("bare01").join("opt").exists());
    let failed = world.by_engine(&["dist/app.js", &world.each("opt")]).finish().expect_code(5);
    failed.expect_stderr("expected a folder at the destination");
    let failed = world.by_engine(&["dist/", &world.each("x/y")]).finish().expect_code(5);
    failed.expect_stderr("--mkpath makes it");
    world.synced_by_engine(&["--mkpath", "dist/", &world.each("x/y")]);
    assert_eq!(world.differences("dist", "bare01", "x/y"), "");
}

#[test]
fn too_much_is_deleted_nowhere_and_an_unread_source_deletes_nothing() {
    let world = bare(1);
    world.dist();
    world.synced_by_engine(&["dist/", &world.each("opt")]);
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        world.file_on("bare01", &format!("opt/{name}"), "surplus");
    }
    for most in ["--max-delete=50%", "--max-delete=6"] {
        let failed = world.by_engine(&["--delete", most, "dist/", &world.each("opt")]).finish().expect_code(5);
        failed.expect_stderr("would delete 7");
    }
    assert!(world.on("bare01").join("opt/a").exists());
    // A folder that is a symlink to itself cannot be looked into, whoever we are.
    world.link("dist/loop", "loop");
    let failed = world.by_engine(&["-L", "--delete", "dist/", &world.each("opt")]).finish();
    failed.expect_stderr("nothing is deleted");
    assert!(world.on("bare01").join("opt/a").exists());
}

#[test]
fn a_release_is_brought_whole_by_tar() {
    let world = bare(1);
    world.dist();
    world.synced_by_engine(&["--atomic", "dist/", &world.each("app")]);
    world.file("dist/new", "new");
    world.synced_by_engine(&["--atomic", "dist/", &world.each("app")]);
    let used = fs::read_link(world.on("bare01").join("app/current")).unwrap();
    assert_eq!(world.differences("dist", "bare01", &format!("app/{}", used.display())), "");
}

#[test]
fn groups_that_the_receiver_has_are_kept() {
    let world = bare(1);
    world.dist();
    world.synced_by_engine(&["-z", "dist/", &world.each("opt")]);
    let own = fs::metadata(world.on("bare01")).unwrap();
    let app = fs::metadata(world.on("bare01").join("opt/app.js")).unwrap();
    assert_eq!((app.uid(), app.gid()), (own.uid(), own.gid()), "only root gives files away");
}

#[test]
fn root_gives_owners_by_their_names() {
    accounts::require_root("an account with sudo");
    let account = Throwaway::with_shell("/bin/sh");
    account.sudoers("USER ALL=(ALL) NOPASSWD: ALL");
    let env = TestEnv::new();
    let server = Sshd::new(&env).named("bare01").user(account.name()).start();
    let world = World::of(env, server, "bare01");
    world.dist();
    world.file("dist/setuid", "setuid");
    let of = |name: &str| world.env.work().join("dist").join(name);
    let (uid, gid) = ids("daemon");
    for name in ["app.js", "lib", "current", "setuid"] {
        chownat(CWD, of(name), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    fs::set_permissions(of("setuid"), PermissionsExt::from_mode(0o4755)).unwrap();
    let arguments = ["--engine=tar", "--sudo", "dist/", &world.each("opt")];
    world.synced_by_engine(&arguments);
    let same = || {
        for name in ["app.js", "lib", "current", "setuid", "lib/empty", ""] {
            let there = fs::symlink_metadata(world.on("bare01").join("opt").join(name)).unwrap();
            let here = fs::symlink_metadata(of(name)).unwrap();
            assert_eq!((there.uid(), there.gid(), there.mode()), (here.uid(), here.gid(), here.mode()), "{name}");
        }
    };
    same();
    own(&world.on("bare01").join("opt/setuid"));
    own(&world.on("bare01").join("opt/lib"));
    let told = world.synced_by_engine(&[&["-n", "-i"], &arguments[..]].concat());
    let text = told.stdout_text();
    assert!(text.contains(".f...pog... setuid") && text.contains(".d....og... lib/"), "{text}");
    world.synced_by_engine(&arguments);
    same();
}
