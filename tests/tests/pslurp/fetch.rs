//! What comes, where it goes, what is said.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use fleet_tests::accounts::{self, Throwaway};
use fleet_tests::{Sshd, TestEnv};
use serde_json::Value;

use crate::world::{put, set_link_mtime, set_mtime, slurp, told, tree, with_script, with_tools, world};

#[test]
fn the_slash_behind_a_folder_says_whether_it_comes_with_its_name() {
    let (env, _server) = world(2);
    put(&env, "app/a", "1");
    put(&env, "app/deep/b", "2");
    fs::create_dir(env.shared().join("app/empty")).unwrap();
    let app = env.shared().join("app").display().to_string();
    let below = [("a", "1"), ("deep", "folder"), ("deep/b", "2"), ("empty", "folder")];
    for (remote, local, top) in [
        (format!("{app}/"), "one", ""),
        (app.clone(), "two", "app/"),
        (format!("{app}/deep/.."), "three", ""),
        (format!("{}/a*", env.shared().display()), "four", "app/"),
    ] {
        slurp(&env, &[&remote, local]).expect_code(0);
        let mut expected = BTreeMap::new();
        for host in ["web01", "web02"] {
            expected.insert(host.to_owned(), "folder".to_owned());
            if !top.is_empty() {
                expected.insert(format!("{host}/app"), "folder".to_owned());
            }
            for (name, told) in below {
                expected.insert(format!("{host}/{top}{name}"), told.to_owned());
            }
        }
        assert_eq!(tree(&env.work().join(local)), expected, "{remote}");
    }
}

#[test]
fn files_of_every_kind_and_name_come_from_every_tar() {
    for tools in [&[][..], &["tar=bsdtar"], &["tar", "find", "stat", "xargs", "head", "tail", "gzip"]] {
        every_kind_and_name(tools);
    }
}

fn every_kind_and_name(tools: &[&str]) {
    let env = TestEnv::new();
    let _server = with_tools(&env, 2, tools);
    let long = "n".repeat(255);
    let deep = format!("{0}/{0}/{0}", "d".repeat(120));
    let odd = OsString::from_vec(b"\xff\n\x1b[2J '\"$`\\*?[x]".to_vec());
    put(&env, "all/-n", "dash");
    put(&env, format!("all/{long}"), "long");
    put(&env, format!("all/{deep}/x"), "deep");
    put(&env, "all/@at", "at");
    put(&env, Path::new("all").join(&odd), "odd");
    put(&env, "all/empty", "");
    symlink("../nowhere", env.shared().join("all/link")).unwrap();
    fs::hard_link(env.shared().join("all/-n"), env.shared().join("all/same")).unwrap();
    let all = env.shared().join("all");
    for flags in [&[][..], &["-C"]] {
        let local = format!("out{}", flags.len());
        let run = slurp(&env, &[flags, &[&format!("{}/", all.display()), &local]].concat()).expect_code(0);
        for host in ["web01", "web02"] {
            assert_eq!(tree(&env.work().join(&local).join(host)), tree(&all), "{run}");
        }
    }
}

#[test]
fn what_is_here_and_the_same_is_not_fetched_again() {
    let (env, _server) = world(2);
    let (one, two) = (put(&env, "logs/one", "1"), put(&env, "logs/two", "2"));
    set_mtime(&one, 1_000_000_000);
    set_mtime(&two, 1_000_000_000);
    let logs = format!("{}/", env.shared().join("logs").display());
    slurp(&env, &[&logs, "out"]).expect_code(0).expect_stderr("2 files, 2 B");
    assert_eq!(env.work().join("out/web01/one").metadata().unwrap().mtime(), 1_000_000_000);
    slurp(&env, &[&logs, "out"]).expect_code(0).expect_stderr("2 files the same already");
    fs::write(&two, "22").unwrap();
    slurp(&env, &[&logs, "out"]).expect_code(0).expect_stderr("1 file, 2 B; 1 the same already");
    // The same length and time, and only the digest tells.
    fs::write(&one, "x").unwrap();
    set_mtime(&one, 1_000_000_000);
    slurp(&env, &[&logs, "out"]).expect_code(0).expect_stderr("2 files the same already");
    slurp(&env, &["--checksum", &logs, "out"]).expect_code(0).expect_stderr("1 file, 1 B; 1 the same already");
    assert_eq!(fs::read_to_string(env.work().join("out/web02/one")).unwrap(), "x");
}

#[test]
fn a_symlink_that_is_here_and_the_same_is_not_fetched_again() {
    let (env, _server) = world(2);
    put(&env, "logs/one", "1");
    let link = env.shared().join("logs/link");
    symlink("one", &link).unwrap();
    set_link_mtime(&link, 1_000_000_000);
    let logs = format!("{}/", env.shared().join("logs").display());
    let here = env.work().join("out/web01/link");
    slurp(&env, &[&logs, "out"]).expect_code(0).expect_stderr("1 file, 1 symlink, 1 B");
    let before = here.symlink_metadata().unwrap().ino();
    slurp(&env, &[&logs, "out"]).expect_code(0).expect_stderr("2 files the same already");
    assert_eq!(here.symlink_metadata().unwrap().ino(), before);
    fs::remove_file(&link).unwrap();
    symlink("two", &link).unwrap();
    slurp(&env, &[&logs, "out"]).expect_code(0).expect_stderr("1 symlink; 1 the same already");
    assert_eq!(fs::read_link(&here).unwrap(), Path::new("two"));
}

#[test]
fn what_comes_keeps_to_the_limits() {
    let (env, _server) = world(2);
    let file = put(&env, "file", vec![b'x'; 500_000]).display().to_string();
    for (number, limit) in [["--bwlimit", "400K"], ["--bwlimit-host", "200K"]].iter().enumerate() {
        let begun = Instant::now();
        slurp(&env, &[&limit[..], &[&file, &format!("out{number}")]].concat()).expect_code(0);
        // A tenth of a second's worth comes at once.
        assert!(begun.elapsed() > Duration::from_secs(2), "{limit:?}: {:?}", begun.elapsed());
        assert_eq!(fs::read(env.work().join(format!("out{number}/web02/file"))).unwrap().len(), 500_000);
    }
    slurp(&env, &["--bwlimit", "fast", &file, "out"]).expect_code(2).expect_stderr("--bwlimit: found \"fast\"");
}

#[test]
fn a_host_tells_nothing_of_what_is_too_old_whatever_its_find_can() {
    for options in ["none", "-mmin", "-mmin|-mtime"] {
        let env = TestEnv::new();
        let find = format!("case $3 in {options}) exit 1 ;; esac\nexec /usr/bin/find \"$@\"");
        let _server = with_script(&env, 2, "find", &find);
        (0..5).for_each(|number| set_mtime(&put(&env, format!("logs/{number}"), "old"), 1_000_000_000));
        put(&env, "logs/new", "new");
        let logs = format!("{}/", env.shared().join("logs").display());
        let run = slurp(&env, &["--since", "1h", "--max-files", "4", &logs, "out"]);
        if options == "-mmin|-mtime" {
            run.expect_code(5).expect_stderr("the listing has more than 4 names");
            slurp(&env, &["--since", "1h", &logs, "out"]).expect_code(0);
        } else {
            run.expect_code(0).expect_stderr("1 file, 3 B");
        }
        assert_eq!(tree(&env.work().join("out/web01")), told(&[("new", "new")]), "{options}");
    }
}

#[test]
fn a_file_of_which_the_beginning_is_here_is_continued() {
    let (env, _server) = world(2);
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    let log = put(&env, "log", &bytes[..500_000]);
    let log = log.display().to_string();
    slurp(&env, &[&log, "out"]).expect_code(0).expect_stderr("1 file, 500 kB");
    fs::write(&log, &bytes).unwrap();
    slurp(&env, &[&log, "out"]).expect_code(0).expect_stderr("1 file, 300 kB");
    assert!(fs::read(env.work().join("out/web01/log")).unwrap() == bytes);
    // Another beginning: all of it comes.
    fs::write(&log, [b"x", &bytes[..]].concat()).unwrap();
    slurp(&env, &[&log, "out"]).expect_code(0).expect_stderr("1 file, 800 kB");
    assert!(fs::read(env.work().join("out/web01/log")).unwrap()[1..] == bytes);
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_comes() {
    let (env, _server) = world(2);
    let secret = put(&env, "logs/secret", "1");
    put(&env, "logs/shut/in", "2");
    put(&env, "logs/open", "3");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(env.shared().join("logs/shut"), Permissions::from_mode(0o000)).unwrap();
    let missing = env.shared().join("none*").display().to_string();
    let logs = format!("{}/", env.shared().join("logs").display());
    let run = slurp(&env, &[&logs, &missing, "out"]).expect_code(1);
    let run = run.expect_stderr("logs/secret: it may not be read").expect_stderr("logs/shut: it may not be read");
    let _ = run.expect_stderr("none*: there is no such file");
    fs::set_permissions(env.shared().join("logs/shut"), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(tree(&env.work().join("out/web01")), told(&[("open", "3"), ("shut", "folder")]));
}

#[test]
fn two_files_never_become_one() {
    let (env, _server) = world(2);
    put(&env, "a/log", "1");
    put(&env, "b/log", "2");
    let pattern = format!("{}/*/log", env.shared().display());
    let run = slurp(&env, &[&pattern, "out"]).expect_code(5);
    let _ = run.expect_stderr("a/log and ").expect_stderr("would both be log here").expect_stderr("--parents");
    assert_eq!(tree(&env.work().join("out/web01")), told(&[]));
    slurp(&env, &["--parents", &pattern, "out"]).expect_code(0);
    let below = env.work().join("out/web01").join(env.shared().strip_prefix("/").unwrap());
    assert_eq!(tree(&below), told(&[("a", "folder"), ("a/log", "1"), ("b", "folder"), ("b/log", "2")]));
    slurp(&env, &[&pattern, "all/{count}"]).expect_code(2).expect_stderr("would both go into all/2");
}

#[test]
fn only_what_is_wanted_comes() {
    let (env, _server) = world(1);
    let old = put(&env, "logs/old", "1");
    put(&env, "logs/new", "1\n2\n3");
    put(&env, "logs/large", vec![b'x'; 3000]);
    put(&env, "logs/tmp/x", "x");
    set_mtime(&old, 1_000_000_000);
    let logs = format!("{}/", env.shared().join("logs").display());
    let large = "x".repeat(3000);
    let new = ("new", "1\\n2\\n3");
    let others = [("tmp", "folder"), ("tmp/x", "x")];
    for (number, (flags, expected)) in [
        (&["--since", "1h"][..], &[new, ("large", &large), others[0], others[1]][..]),
        (&["--since", "2001-09-09", "--exclude", "tmp/"], &[("old", "1"), new, ("large", &large)]),
        (&["--max-size", "2K"], &[("old", "1"), new, others[0], others[1]]),
        (&["--include", "/new", "--exclude", "*"], &[new]),
        (&["--tail", "2", "--exclude", "l*"], &[("old", "1"), ("new", "2\\n3"), others[0], others[1]]),
    ]
    .into_iter()
    .enumerate()
    {
        let local = format!("out{number}");
        let run = env.pslurp([&["-H", "web01"], flags, &[&logs, &local]].concat()).finish().expect_code(0);
        assert_eq!(tree(&env.work().join(local).join("web01")), told(expected), "{run}");
    }
    let run = env.pslurp(["-H", "web01", "--max-total", "1K", &logs, "none"]).finish().expect_code(5);
    let _ = run.expect_stderr("the files have 3.0 kB, and --max-total allows 1.0 kB");
    assert_eq!(tree(&env.work().join("none")), told(&[("web01", "folder")]));
    let run = env.pslurp(["-H", "web01", "-n", &logs, "dry"]).finish().expect_code(0);
    let _ = run.expect_stdout("logs/tmp/x\n").expect_stderr("4 files, 3.0 kB");
    assert!(!env.work().join("dry").exists());
}

#[test]
fn lines_of_all_hosts_become_one_file() {
    let (env, _server) = world(2);
    put(&env, "logs/one", "a\nb");
    put(&env, "logs/two", "c\n");
    let logs = format!("{}/", env.shared().join("logs").display());
    for _ in 0..2 {
        slurp(&env, &["--merge", "-p", "1", &logs, "out"]).expect_code(0);
        let expected = [("one", "web01: a\\nweb01: b\\nweb02: a\\nweb02: b\\n"), ("two", "web01: c\\nweb02: c\\n")];
        assert_eq!(tree(&env.work().join("out")), told(&expected));
    }
}

#[test]
fn files_are_removed_only_when_they_are_here() {
    let (env, _server) = world(1);
    let (one, two) = (put(&env, "logs/one", "1"), put(&env, "logs/two", "2"));
    let secret = put(&env, "logs/secret", "3");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    let logs = format!("{}/", env.shared().join("logs").display());
    let run = env.pslurp(["-H", "web01", "--delete-after", &logs, "out"]).finish().expect_code(1);
    let _ = run.expect_stderr("2 files, 2 B; 2 removed there");
    assert_eq!((one.exists(), two.exists(), secret.exists()), (false, false, true));
    assert_eq!(tree(&env.work().join("out/web01")), told(&[("one", "1"), ("two", "2")]));
    // What is here is not what is there, though it looks so.
    let three = put(&env, "logs/three", "3");
    set_mtime(&three, 1_000_000_000);
    let here = env.write("work/out/web01/three", "x");
    set_mtime(&here, 1_000_000_000);
    let three_path = three.display().to_string();
    let run = env.pslurp(["-H", "web01", "--delete-after", &three_path, "out"]).finish().expect_code(1);
    let _ = run.expect_stderr("three: not removed, as it was changed after it was copied");
    assert!(three.exists());
}

#[test]
fn holes_stay_holes() {
    for tools in [&[][..], &["tar=bsdtar"]] {
        holes(tools);
    }
}

fn holes(tools: &[&str]) {
    let env = TestEnv::new();
    let _server = with_tools(&env, 1, tools);
    let path = put(&env, "sparse", "");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(6 << 30).unwrap();
    for at in [0, 5 << 30, (6 << 30) - 1] {
        file.write_all_at(b"x", at).unwrap();
    }
    let run = env.pslurp(["-H", "web01", &path.display().to_string(), "out"]).finish().expect_code(0);
    let copy = File::open(env.work().join("out/web01/sparse")).unwrap();
    let meta = copy.metadata().unwrap();
    assert_eq!(meta.len(), 6 << 30, "{run}");
    assert!(meta.blocks() < 1000, "{} blocks", meta.blocks());
    for at in [0, 5 << 30, (6 << 30) - 1] {
        let mut byte = [0];
        copy.read_exact_at(&mut byte, at).unwrap();
        assert_eq!(byte, *b"x");
    }
}

#[test]
fn a_former_run_is_done_again_where_it_failed() {
    let (env, _server) = world(2);
    let secret = put(&env, "logs/secret", "1");
    put(&env, "logs/open", "2");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    let logs = format!("{}/", env.shared().join("logs").display());
    slurp(&env, &[&logs, "out"]).expect_code(1);
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let run = env.pslurp(["--failed"]).finish().expect_code(0);
    let _ = run.expect_stderr("1 file, 1 B; 1 the same already");
    assert_eq!(tree(&env.work().join("out/web02")), told(&[("open", "2"), ("secret", "1")]));
}

#[test]
fn a_run_that_is_named_goes_on_with_the_hosts_and_files_that_are_missing() {
    let (env, _server) = world(2);
    let secret = put(&env, "logs/secret", "1");
    put(&env, "logs/open", "2");
    put(&env, "logs/large", vec![b'x'; 5000]);
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    let logs = format!("{}/", env.shared().join("logs").display());
    let open = env.shared().join("logs/open").display().to_string();
    let newest = || {
        let runs = fs::read_dir(env.home().join(".local/state/fleet/runs")).unwrap();
        let journals = runs.map(|run| run.unwrap().path()).filter(|path| path.extension() == Some("jsonl".as_ref()));
        let newest = journals.max_by_key(|path| path.metadata().unwrap().modified().unwrap()).unwrap();
        newest.file_stem().unwrap().to_str().unwrap().to_owned()
    };
    slurp(&env, &["--max-size", "1K", &logs, "out"]).expect_code(1);
    let failed = newest();
    slurp(&env, &[&open, "other"]).expect_code(0);
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let run = env.pslurp(["--resume", &failed]).finish().expect_code(0);
    let _ = run.expect_stderr("large: left out").expect_stderr("web[01-02] (2): 1 file, 1 B; 1 the same already");
    assert_eq!(tree(&env.work().join("out/web02")), told(&[("open", "2"), ("secret", "1")]));
    assert_eq!(tree(&env.work().join("other/web02")), told(&[("open", "2")]));
    let run = env.pslurp(["--resume", &newest()]).finish().expect_code(2);
    let _ = run.expect_stderr("all 2 hosts of run ");
}

#[test]
fn bad_words_are_refused_before_any_host_is_contacted() {
    let env = TestEnv::new();
    for (arguments, expected) in [
        (&["/var/log"][..], "expected what to fetch from the hosts, and where to here"),
        (&["~root/x", "out"], "names the home of another user"),
        (&["", "out"], "a path on the hosts is empty"),
        (&["x", ""], "the place here is empty"),
        (&["x", "out/{hots}"], "{hots} is not a placeholder"),
        (&["--since", "yesterday", "x", "out"], "--since: found \"yesterday\""),
        (&["--max-size", "big", "x", "out"], "--max-size: found \"big\""),
        (&["--merge", "x", "out/{host}"], "--merge makes one file of all hosts"),
        (&["--tail", "1", "--delete-after", "x", "out"], "cannot be used with"),
    ] {
        let run = env.pslurp([&["-H", "nowhere.invalid"], arguments].concat()).finish();
        run.expect_code(2).expect_stderr(expected);
    }
}

#[test]
fn a_hundred_thousand_files_come() {
    let (env, _server) = world(1);
    put(&env, "many/00/x", "x");
    for folder in 0..100 {
        let folder = env.shared().join(format!("many/{folder:02}"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..1000 {
            fs::write(folder.join(format!("{file}")), "some bytes").unwrap();
        }
    }
    let many = env.shared().join("many").display().to_string();
    let patience = std::time::Duration::from_secs(300);
    let run = env.pslurp(["-H", "web01", &many, "out"]).patience(patience).finish().expect_code(0);
    run.expect_stderr("100001 files, 1.0 MB").expect_nowhere("already");
    let run = env.pslurp(["-H", "web01", &many, "out"]).patience(patience).finish().expect_code(0);
    let _ = run.expect_stderr("100001 files the same already");
}

#[test]
fn json_tells_how_far_it_is_and_what_it_came_to() {
    let (env, _server) = world(2);
    let file = put(&env, "file", vec![b'x'; 1000]).display().to_string();
    let run = slurp(&env, &["--json", &file, "out"]).expect_code(0);
    let events: Vec<Value> = run.stdout_text().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for host in ["web01", "web02"] {
        let of = |kind: &str| {
            events.iter().filter(|event| event["event"] == kind && event["host"] == host).collect::<Vec<_>>()
        };
        let last = *of("progress").last().unwrap();
        assert_eq!((&last["bytes"], &last["of"]), (&1000.into(), &1000.into()), "{run}");
        assert_eq!(of("result")[0]["text"], "1 file, 1.0 kB", "{run}");
    }
}

#[test]
fn sudo_reads_what_the_user_may_not() {
    accounts::require_root("an account with sudo");
    let account = Throwaway::with_shell("/bin/bash");
    account.sudoers("USER ALL=(ALL) NOPASSWD: ALL");
    // What its shell says to everybody is no part of what it sends.
    fs::write(account.home().join(".bashrc"), "echo hello //\necho hello // >&2\n").unwrap();
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 2).user(account.name()).start();
    let secret = put(&env, "logs/secret", "1");
    put(&env, "logs/deep/x", "2");
    for path in [&secret, &env.shared().join("logs/deep")] {
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }
    let logs = format!("{}/", env.shared().join("logs").display());
    for (flags, code) in [(&["-C"][..], 1), (&["--sudo"], 0)] {
        let run = slurp(&env, &[flags, &[&logs, "out"]].concat()).expect_code(code);
        let here = tree(&env.work().join("out/web02"));
        assert_eq!(here.get("secret").map(String::as_str), (code == 0).then_some("1"), "{run}");
    }
    let expected = [("deep", "folder"), ("deep/x", "2"), ("secret", "1")];
    assert_eq!(tree(&env.work().join("out/web01")), told(&expected));
    let run = env.pslurp(["-H", "web01", "--sudo", "--delete-after", &logs, "out"]).finish().expect_code(0);
    let _ = run.expect_stderr("2 files the same already; 2 removed there");
    assert!(!secret.exists());
}

#[test]
fn what_symlinks_lead_to_comes_when_asked_for() {
    let (env, _server) = world(1);
    put(&env, "logs/today/x", "1");
    put(&env, "elsewhere", "2");
    symlink("today", env.shared().join("logs/current")).unwrap();
    symlink("../elsewhere", env.shared().join("logs/file")).unwrap();
    symlink("nowhere", env.shared().join("logs/dangling")).unwrap();
    let logs = env.shared().join("logs");
    let inside = format!("{}/", logs.display());
    let run = env.pslurp(["-H", "web01", "-L", &inside, "out"]).finish().expect_code(0);
    let expected = [("current", "folder"), ("current/x", "1"), ("file", "2"), ("today", "folder"), ("today/x", "1")];
    assert_eq!(tree(&env.work().join("out/web01")), told(&expected), "{run}");
    // The symlink itself, and with a slash what is in the folder that it leads to.
    let current = logs.join("current").display().to_string();
    env.pslurp(["-H", "web01", &current, "one"]).finish().expect_code(0);
    env.pslurp(["-H", "web01", &format!("{current}/"), "two"]).finish().expect_code(0);
    assert_eq!(tree(&env.work().join("one/web01")), told(&[("current", "-> today")]));
    assert_eq!(tree(&env.work().join("two/web01")), told(&[("x", "1")]));
}
