//! What the kernel shows: processes that a command left, and files that were never given a name.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::until;

/// A number of seconds for `sleep` that no other command on this machine has: about a day.
#[derive(Debug)]
pub(crate) struct Marker(String);

impl Marker {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1000);
        let (count, pid) = (COUNT.fetch_add(1, Ordering::Relaxed), std::process::id());
        Self(format!("8{count}.{pid}"))
    }

    /// `command` with each `{}` replaced by a `sleep` that carries the marker.
    pub(crate) fn in_command(&self, command: &str) -> String {
        command.replace("{}", &format!("sleep {}", self.0))
    }

    /// The processes that carry the marker in their command line, the shells around the command among them.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let command_line = |pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&line).replace('\0', " "))
        };
        pids.map(command_line).filter(|(_, line)| line.contains(&self.0)).collect()
    }

    /// Waits until `count` sleeps run.
    pub(crate) async fn sleeps(&self, count: usize) {
        let line = format!("sleep {} ", self.0);
        let sleeping = || self.processes().iter().filter(|(_, process)| *process == line).count();
        until("the command sleeps", || sleeping() >= count).await;
    }

    /// Asserts that no process carries the marker.
    pub(crate) fn assert_gone(&self) {
        let left = self.processes();
        assert!(left.is_empty(), "left behind: {left:#?}");
    }

    /// Waits until no process carries the marker.
    pub(crate) async fn gone(&self) {
        until("no process is left", || self.processes().is_empty()).await;
    }
}

impl Drop for Marker {
    /// A test that fails leaves nothing either.
    fn drop(&mut self) {
        for pid in self.processes().into_iter().filter_map(|(pid, _)| Pid::from_raw(pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Bytes in files without a name that this process has open.
pub(crate) fn temporary_file_bytes() -> u64 {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let files = entries.filter_map(|entry| fs::metadata(entry.path()).ok()).filter(fs::Metadata::is_file);
    files.filter(|file| file.nlink() == 0).map(|file| file.blocks() * 512).sum()
}
