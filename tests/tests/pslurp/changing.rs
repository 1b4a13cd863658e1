//! Files that change while they are read, and copies that are cut.

use std::fs;
use std::time::{Duration, Instant};

use fleet_tests::{Signal, TestEnv};

use crate::world::{put, script, set_mtime, told, tree, with_script};

/// Runs the real program.
const REAL_TAR: &str = "exec /usr/bin/tar \"$@\"";

#[test]
fn of_a_file_that_grows_what_was_there_at_first_comes() {
    for grow in ["before", "after"] {
        let env = TestEnv::new();
        let log = put(&env, "log", "0123456789");
        let log = log.display().to_string();
        let grows = format!("echo more >>'{log}'");
        let tar = match grow {
            "before" => format!("case $1 in --version) ;; *) {grows} ;; esac\n{REAL_TAR}"),
            _ => format!("/usr/bin/tar \"$@\"\ncase $1 in --version) ;; *) {grows} ;; esac"),
        };
        let _server = with_script(&env, 1, "tar", &tar);
        fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let run = env.pslurp(["-H", "web01", &log, "out"]).finish().expect_code(0);
        let run = run.expect_stderr("log: it grew while it was read; its first 10 bytes are here");
        assert_eq!(tree(&env.work().join("out/web01")), told(&[("log", "0123456789")]), "{grow}: {run}");
    }
}

#[test]
fn a_file_that_is_changed_or_cut_while_it_is_read_is_named() {
    for change in ["echo 9876543210 >", "printf 0123 >"] {
        let env = TestEnv::new();
        let log = put(&env, "log", "0123456789\n");
        put(&env, "other", "x");
        set_mtime(&log, 1_000_000_000);
        let log = log.display().to_string();
        let tar = format!("case $1 in --version) ;; *) {change}'{log}' ;; esac\n{REAL_TAR}");
        let _server = with_script(&env, 1, "tar", &tar);
        fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let other = env.shared().join("other").display().to_string();
        let run = env.pslurp(["-H", "web01", &log, &other, "out"]).finish().expect_code(1);
        run.expect_stderr("log: it was changed while it was read").expect_stderr("1 file");
        assert_eq!(fs::read_to_string(env.work().join("out/web01/other")).unwrap(), "x");
    }
}

#[test]
fn a_file_that_goes_before_it_is_read_is_named() {
    let env = TestEnv::new();
    let log = put(&env, "logs/log", "1").display().to_string();
    put(&env, "logs/other", "x");
    let _server = with_script(&env, 1, "tar", &format!("rm -f '{log}'\n{REAL_TAR}"));
    let logs = format!("{}/", env.shared().join("logs").display());
    let run = env.pslurp(["-H", "web01", &logs, "out"]).finish().expect_code(1);
    let _ = run.expect_stderr("logs/log: it was listed, but did not come");
    assert_eq!(tree(&env.work().join("out/web01")), told(&[("other", "x")]));
}

#[test]
fn a_copy_that_was_interrupted_goes_on_where_it_was() {
    let env = TestEnv::new();
    let bytes: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    put(&env, "logs/log", &bytes);
    put(&env, "logs/a", "small");
    let begun = env.shared().join("begun");
    let hangs = format!(
        "case $1 in --version) exec /usr/bin/tar --version ;; esac\n\
         /usr/bin/tar \"$@\" | head -c 1000000; echo >'{}'; exec sleep 1000",
        begun.display()
    );
    let _server = with_script(&env, 1, "tar", &hangs);
    let logs = format!("{}/", env.shared().join("logs").display());
    let run = env.pslurp(["-H", "web01", &logs, "out"]).start();
    let deadline = Instant::now() + Duration::from_secs(30);
    let part = || {
        let files = fs::read_dir(env.work().join("out/web01")).into_iter().flatten().flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().starts_with(".fleet-part-"))
            .any(|file| file.metadata().is_ok_and(|meta| meta.len() > 500_000))
    };
    while !begun.exists() || !part() {
        assert!(Instant::now() < deadline, "no beginning of the file here");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.signal(Signal::INT);
    run.finish().expect_code(3).expect_stderr("cancelled");
    script(&env, "tar", REAL_TAR);
    let run = env.pslurp(["-H", "web01", "--json", &logs, "out"]).finish().expect_code(0);
    let text = run.stdout_text();
    let last = text.lines().rfind(|line| line.contains("\"progress\"")).unwrap();
    let event: serde_json::Value = serde_json::from_str(last).unwrap();
    let fetched = event["bytes"].as_u64().unwrap();
    assert!((1_000_000..1_500_000).contains(&fetched), "{fetched} bytes: {run}");
    assert!(fs::read(env.work().join("out/web01/log")).unwrap() == bytes);
    let names: Vec<String> = tree(&env.work().join("out/web01")).into_keys().collect();
    assert_eq!(names, ["a", "log"]);
}
