//! The processes that descend from this one, also those whose parents have ended.
//!
//! Must not know what they run. Linux only: reads `/proc`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};

use crate::error::BenchError;

/// Between two looks at `/proc`.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long processes get to end after SIGKILL, and servers to finish their sessions.
const PATIENCE: Duration = Duration::from_secs(10);

/// While this exists, orphans below this process become its children; when it is dropped, every process below ends.
#[derive(Debug)]
pub(crate) struct Descendants(());

impl Descendants {
    /// Adopts the orphans of the processes that will be started.
    pub(crate) fn adopt() -> Result<Self, BenchError> {
        set_child_subreaper(Some(getpid())).map_err(|error| BenchError::Runtime(error.into()))?;
        Ok(Self(()))
    }

    /// Ends all of them but `spared` and those below.
    pub(crate) fn end_except(&self, spared: &[i32]) {
        end(|all| {
            let kept: HashSet<i32> = below(spared, all).into_iter().chain(spared.iter().copied()).collect();
            below(&[own_pid()], all).into_iter().filter(|pid| !kept.contains(pid)).collect()
        });
    }

    /// Waits until there is no process below `parents`; after some seconds, ends those that there are.
    pub(crate) async fn settle(&self, parents: &[i32]) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if below(parents, &all()).is_empty() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        end(|all| below(parents, all));
    }
}

impl Drop for Descendants {
    fn drop(&mut self) {
        self.end_except(&[]);
        let _ = set_child_subreaper(None);
    }
}

/// Kills the chosen processes until there are none: a process may start others before its turn comes.
fn end(choose: impl Fn(&[Process]) -> Vec<i32>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let chosen = choose(&all());
        if chosen.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in chosen.into_iter().filter_map(Pid::from_raw) {
            // One that has just ended is what we want.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// What some processes hold at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    pub(crate) processes: usize,
    /// What several of them share, such as a program's code, is counted once in all (`Pss` of proc(5)).
    pub(crate) bytes: u64,
}

/// What the processes below `parent` hold now.
pub(crate) fn memory_below(parent: u32) -> Memory {
    let parent = i32::try_from(parent).unwrap_or(i32::MAX);
    let below = below(&[parent], &all());
    // One that has just ended holds nothing.
    let rollup = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let bytes = below.iter().filter_map(rollup).filter_map(|text| proportional_bytes(&text)).sum();
    Memory { processes: below.len(), bytes }
}

/// `Pss:      1234 kB`, see proc(5).
fn proportional_bytes(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn own_pid() -> i32 {
    getpid().as_raw_pid()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
}

/// All processes but zombies, which have ended.
fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter_map(|stat| parse(&stat))
        .collect()
}

/// The first fields of `/proc/PID/stat`, see proc(5): `pid (name) state parent`; the name may contain anything.
fn parse(stat: &str) -> Option<Process> {
    let (pid, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then_some(Process { pid: pid.parse().ok()?, parent })
}

/// The processes below `ancestors`, without these.
fn below(ancestors: &[i32], all: &[Process]) -> Vec<i32> {
    let mut found: Vec<i32> = Vec::new();
    let mut parents = ancestors.to_vec();
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            found.push(process.pid);
            parents.push(process.pid);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_name_and_zombies_are_left_out() {
        let cases = [
            ("12 (sshd) S 3 12 12 0", Some(Process { pid: 12, parent: 3 })),
            ("12 (a) Z 9 (b)) R 3 12", Some(Process { pid: 12, parent: 3 })),
            ("12 (sshd) Z 3 12 12 0", None),
            ("12 (sshd", None),
            ("", None),
        ];
        for (stat, process) in cases {
            assert_eq!(parse(stat), process, "{stat:?}");
        }
    }

    #[test]
    fn shared_memory_is_counted_in_parts() {
        let rollup = "00400000-7fff [rollup]\nRss:     9000 kB\nPss:            1500 kB\nPss_Dirty:  1 kB\n";
        assert_eq!(proportional_bytes(rollup), Some(1500 * 1024));
        assert_eq!(proportional_bytes("Rss: 1 kB\n"), None);
    }

    #[test]
    fn all_generations_below_are_found_and_no_others() {
        let all = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 5)].map(|(pid, parent)| Process { pid, parent });
        let mut found = below(&[2], &all);
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
        assert!(below(&[6], &all).is_empty());
    }
}
