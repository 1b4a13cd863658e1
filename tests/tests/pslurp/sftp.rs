//! Hosts that run no commands and offer only SFTP.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use fleet_tests::{Server, Sshd, TestEnv};

use crate::world::{put, set_mtime, slurp, told, tree};

fn world() -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 2).option("ForceCommand", "internal-sftp").start();
    (env, server)
}

#[test]
fn files_come_by_sftp_where_there_is_nothing_else() {
    let (env, _server) = world();
    let large: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    put(&env, "app/a\n b", "1");
    put(&env, "app/deep/large", &large);
    put(&env, "app/empty", "");
    fs::create_dir(env.shared().join("app/folder")).unwrap();
    symlink("../nowhere", env.shared().join("app/link")).unwrap();
    let app = env.shared().join("app");
    for (remote, local, below) in [
        (format!("{}/", app.display()), "one", ""),
        (app.display().to_string(), "two", "app"),
        (format!("{}/a*p", env.shared().display()), "three", "app"),
        (format!("{}/a*/", env.shared().display()), "four", ""),
        (format!("{}/deep/..", app.display()), "dots", ""),
    ] {
        let run = slurp(&env, &["-v", &remote, local]).expect_code(0).expect_stderr("files are copied by SFTP");
        for host in ["web01", "web02"] {
            assert_eq!(tree(&env.work().join(local).join(host).join(below)), tree(&app), "{remote}: {run}");
        }
    }
    slurp(&env, &[&format!("{}/", app.display()), "one"]).expect_code(0).expect_stderr("4 files the same already");
    let deep = app.join("deep").display().to_string();
    slurp(&env, &["--parents", &deep, "five"]).expect_code(0);
    let here = env.work().join("five/web01").join(deep.trim_start_matches('/')).join("large");
    assert!(fs::read(&here).unwrap() == large);
    assert_eq!(here.metadata().unwrap().mtime(), app.join("deep/large").metadata().unwrap().mtime());
}

#[test]
fn what_would_be_fetched_is_listed() {
    let (env, _server) = world();
    put(&env, "logs/a", "12");
    put(&env, "logs/deep/b", "345");
    let logs = format!("{}/", env.shared().join("logs").display());
    let run = slurp(&env, &["-n", &logs, "dry"]).expect_code(0).expect_stderr("2 files, 5 B");
    for host in ["web01", "web02"] {
        for name in ["a", "deep/b"] {
            let line = format!("{host}: {logs}{name}");
            assert_eq!(run.stdout_text().lines().filter(|told| *told == line).count(), 1, "{line}: {run}");
        }
    }
    assert!(!env.work().join("dry").exists());
}

#[test]
fn an_sftp_server_that_waits_for_its_own_protocol_is_found_out() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 2).option("ForceCommand", "/usr/lib/openssh/sftp-server").start();
    let file = put(&env, "file", "1").display().to_string();
    slurp(&env, &["-v", &file, "out"]).expect_code(0).expect_stderr("files are copied by SFTP");
    assert_eq!(tree(&env.work().join("out/web02")), told(&[("file", "1")]));
}

#[test]
fn what_is_not_wanted_stays_and_what_cannot_be_read_is_named() {
    let (env, _server) = world();
    let old = put(&env, "logs/old", "1");
    put(&env, "logs/new", "1\n2\n3");
    let secret = put(&env, "logs/secret", "x");
    put(&env, "logs/shut/in", "x");
    set_mtime(&old, 1_000_000_000);
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(env.shared().join("logs/shut"), Permissions::from_mode(0o000)).unwrap();
    let logs = format!("{}/", env.shared().join("logs").display());
    let none = env.shared().join("none").display().to_string();
    let run = slurp(&env, &["--tail", "2", "--since", "1h", &logs, &none, "out"]).expect_code(1);
    let run = run.expect_stderr("none: there is no such file").expect_stderr("1 file, 3 B");
    let _ = run.expect_stderr("logs/shut: it may not be read").expect_stderr("logs/secret");
    fs::set_permissions(env.shared().join("logs/shut"), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(tree(&env.work().join("out/web01")), told(&[("new", "2\\n3"), ("shut", "folder")]));
}

#[test]
fn what_needs_a_command_is_refused() {
    let (env, _server) = world();
    let file = put(&env, "file", "1").display().to_string();
    for flag in ["--delete-after", "-L"] {
        let run = slurp(&env, &[flag, &file, "out"]).expect_code(5);
        let _ = run.expect_stderr(&format!("the host runs no commands, and {flag} needs one"));
    }
    assert!(!env.work().join("out").exists());
}
