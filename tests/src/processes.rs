//! The processes of the machine, as `/proc` shows them: the proof that a remote command runs, or is gone.
//!
//! Must not know how they were started. Programs that the harness itself runs (the tools, `ssh`, and their local
//! children) are left out: their command lines hold the remote command too.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;

/// Set in the environment of every program that the harness runs, so that it is not taken for a remote process.
pub(crate) const CLIENT_MARK: &str = "FLEET_TEST_CLIENT";

/// The kernel sends no event for "a process with this command line": look again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process found by a marker.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its arguments, joined by blanks.
    pub command: String,
}

/// An argument for `sleep` that no other process has: about a day, and unique on this machine.
#[must_use]
pub fn unique_sleep() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("86{}.{}", COUNT.fetch_add(1, Ordering::Relaxed) % 900 + 100, std::process::id())
}

/// The remote processes whose command line holds `marker`.
#[must_use]
pub fn find(marker: &str) -> Vec<Process> {
    all().filter(|process| process.command.contains(marker) && !has_variable(process.pid, CLIENT_MARK)).collect()
}

/// Waits until at least `count` remote processes hold `marker` in their command line, and returns them.
///
/// # Panics
/// When there are fewer after [`PATIENCE`].
pub fn wait_for(marker: &str, count: usize) -> Vec<Process> {
    wait_until(marker, &format!("{count} or more"), |found| found.len() >= count)
}

/// Waits until a remote process has exactly this command line; the shell that will start it has a longer one.
///
/// # Panics
/// When there is none after [`PATIENCE`].
pub fn wait_for_command(line: &str) {
    wait_until(line, "one with nothing else", |found| found.iter().any(|process| process.command == line));
}

/// Waits until a stop signal has stopped the process of this id.
///
/// # Panics
/// When it has not within [`PATIENCE`].
pub fn wait_for_stop(pid: i32) {
    let deadline = Instant::now() + PATIENCE;
    // Behind the name in parentheses is the state, T for stopped (proc_pid_stat(5)).
    while !fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default().contains(") T ") {
        assert!(Instant::now() < deadline, "process {pid} is not stopped");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Asserts that no remote process holds `marker` in its command line, now or within [`PATIENCE`].
///
/// # Panics
/// When one is left; all are killed first.
pub fn assert_gone(marker: &str) {
    wait_until(marker, "none", <[Process]>::is_empty);
}

fn wait_until(marker: &str, wanted: &str, enough: impl Fn(&[Process]) -> bool) -> Vec<Process> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = find(marker);
        if enough(&found) {
            return found;
        }
        if Instant::now() > deadline {
            found.iter().for_each(|process| kill(process.pid));
            panic!("after {PATIENCE:?} the processes with \"{marker}\" are {found:?}, expected {wanted}");
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Kills whatever a login at one of the addresses that start with `network` has left running.
pub(crate) fn kill_logins(network: &str) {
    let at_network = format!(" {network}");
    let of_login = |process: &Process| {
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        let connection = environment.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(b"SSH_CONNECTION="));
        connection.is_some_and(|connection| String::from_utf8_lossy(connection).contains(&at_network))
    };
    all().filter(of_login).for_each(|process| kill(process.pid));
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // An error means that it has gone by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Every process but zombies, kernel threads and us.
fn all() -> impl Iterator<Item = Process> {
    let ours = i32::try_from(std::process::id()).expect("a process id is an i32");
    let pids = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(move |&pid: &i32| pid != ours)
        .map(|pid| Process { pid, command: command_line(pid) })
        .filter(|process| !process.command.is_empty())
}

fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments: Vec<_> = bytes.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    arguments.join(" ").trim_end().to_owned()
}

fn has_variable(pid: i32, name: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let starts_with_name =
        |entry: &[u8]| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
    environment.split(|&byte| byte == 0).any(starts_with_name)
}
