//! `fleet sandbox` as a user runs it: start, status, exec, stop, and what remains when its process dies.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fleet_sandbox::{FolderState, Record, inspect};
use tempfile::TempDir;

/// What is only slow must not look as if it hung.
const PATIENCE: Duration = Duration::from_secs(300);

/// A home folder in which a sandbox is started, and stopped at the end of the test also when it fails.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn dir(&self) -> std::path::PathBuf {
        self.0.path().join(".local/state/fleet-sandbox")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        command.arg("sandbox").args(arguments).env_clear().env("HOME", self.0.path()).env("PATH", "/usr/bin:/bin");
        command
    }

    fn fleet(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("fleet runs")
    }

    fn record(&self) -> Record {
        match inspect(&self.dir()) {
            Ok(FolderState::Running(record)) => record,
            other => panic!("not running: {other:?}"),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.fleet(&["stop"]);
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn kill(record: &Record) {
    let status = Command::new("kill").args(["-KILL", &record.pid.to_string()]).status().expect("kill runs");
    assert!(status.success());
}

fn until_stale(dir: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while inspect(dir).expect("readable") != FolderState::Stale {
        assert!(Instant::now() < deadline, "the lock is still held");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn start_status_exec_and_stop() {
    let home = Home::new();
    let (code, stdout, stderr) = said(&home.fleet(&["start", "-n", "6", "--roles", "server=1,web=2,loadgen=rest"]));
    assert_eq!(
        (code, &stdout[..]),
        (0, &format!("export FLEET_CONFIG={}\n", home.dir().join("fleet.toml").display())[..]),
        "{stderr}"
    );
    assert!(stderr.contains("  loadgen (3): loadgen01 .. loadgen03\n"), "{stderr}");
    let (code, stdout, _) = said(&home.fleet(&["status"]));
    assert_eq!(code, 0);
    assert!(stdout.starts_with("running: 6 hosts in ") && stdout.contains("  web (2): web01 .. web02\n"), "{stdout}");
    let (code, stdout, _) = said(&home.fleet(&["exec", "--", "sh", "-c", "echo $FLEET_CONFIG; exit 9"]));
    assert_eq!((code, stdout.trim_end()), (9, home.dir().join("fleet.toml").to_str().expect("UTF-8")));
    let (code, stdout, stderr) = said(&home.fleet(&["start"]));
    assert_eq!((code, &stdout[..]), (1, ""));
    assert!(stderr.contains("already running") && stderr.contains("hint: "), "{stderr}");
    assert_eq!(home.fleet(&["stop"]).status.code(), Some(0));
    assert!(!home.dir().exists());
    assert_eq!(home.fleet(&["status"]).status.code(), Some(1));
    assert_eq!(home.fleet(&["stop"]).status.code(), Some(0));
    let (code, _, stderr) = said(&home.fleet(&["exec", "--", "true"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("hint: start one"), "{stderr}");
}

#[test]
fn the_remains_of_a_killed_sandbox_are_cleaned() {
    for command in ["status", "start", "stop"] {
        let home = Home::new();
        assert_eq!(home.fleet(&["start", "-n", "2"]).status.code(), Some(0));
        let first = home.record();
        kill(&first);
        until_stale(&home.dir());
        let (_, _, stderr) = said(&home.fleet(&[command]));
        assert!(stderr.contains("removed the remains"), "{command}: {stderr}");
        match command {
            "start" => assert_ne!(home.record().pid, first.pid),
            _ => assert!(!home.dir().exists()),
        }
    }
}

/// What `fleet sandbox start` did that was sent the signal when its hosts were about to be started.
fn start_and_signal(home: &Home, signal: &str) -> Output {
    let start = home.command(&["start", "-n", "60"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let start = start.expect("fleet runs");
    let deadline = Instant::now() + PATIENCE;
    while !home.dir().join("sandbox.log").exists() {
        assert!(Instant::now() < deadline, "nothing is started");
        std::thread::yield_now();
    }
    let sent = Command::new("kill").args([&format!("-{signal}"), &start.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    start.wait_with_output().expect("it ends")
}

#[test]
fn a_start_that_is_interrupted_leaves_nothing() {
    for signal in ["INT", "TERM"] {
        // A start may be faster than its signal, and has done its work then.
        let interrupted = (0..100).map(|_| Home::new()).any(|home| {
            let (code, stdout, stderr) = said(&start_and_signal(&home, signal));
            if code == 0 {
                assert!(matches!(inspect(&home.dir()), Ok(FolderState::Running(_))), "{signal}: {stderr}");
                return false;
            }
            assert_eq!((code, &stdout[..]), (130, ""), "{signal}: {stderr}");
            assert_eq!(inspect(&home.dir()).expect("readable"), FolderState::Absent, "{signal}");
            true
        });
        assert!(interrupted, "{signal} came too late a hundred times");
    }
}

#[test]
fn wrong_hosts_are_usage_errors_and_leave_nothing() {
    for (arguments, expected) in [
        (&["start", "-n", "3", "--roles", "web=5"][..], "the roles take 5 hosts of 3"),
        (&["start", "-n", "0"], "at least one host"),
        (&["start", "--roles", "web=rest"], "needs the number of all hosts"),
        (&["start", "--fault", "web01:explode"], "\"explode\" is not a fault: expected one of refuse,"),
        (&["start", "--fault", "nobody:refuse"], "no host or role \"nobody\""),
    ] {
        let home = Home::new();
        let (code, stdout, stderr) = said(&home.fleet(arguments));
        assert_eq!((code, &stdout[..]), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert!(!home.dir().exists(), "{arguments:?}");
    }
}

#[test]
fn a_folder_with_other_files_is_refused_and_kept() {
    let home = Home::new();
    let thesis = home.0.path().join("thesis.tex");
    std::fs::write(&thesis, "").expect("written");
    let (code, _, stderr) = said(&home.fleet(&["start", "--dir", home.0.path().to_str().expect("UTF-8")]));
    assert_eq!(code, 1);
    assert!(stderr.contains("neither empty nor the folder of a sandbox") && stderr.contains("--dir"), "{stderr}");
    assert_eq!(std::fs::read_dir(home.0.path()).expect("readable").count(), 1);
}

#[test]
fn faults_are_obeyed_by_hosts_and_roles() {
    let home = Home::new();
    assert_eq!(home.fleet(&["start", "--roles", "web=2,db=1", "--fault", "web:refuse"]).status.code(), Some(0));
    let refused: Vec<bool> =
        home.record().hosts.iter().map(|host| std::net::TcpStream::connect(host.address).is_err()).collect();
    assert_eq!(refused, [true, true, false]);
}
