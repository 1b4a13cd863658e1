//! The processes that descend from this one, also those whose parents have ended.
//!
//! Must not know what they run. Linux only: reads `/proc`.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};
use serde::{Deserialize, Serialize};

use crate::error::BenchError;

/// Between two looks at `/proc`.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How often processes that are to end are looked for and killed, before they are left to their disk or whatever holds them.
const ATTEMPTS: usize = 500;

/// How long servers get to finish their sessions.
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

/// Kills the chosen processes until there are none: a process may start others before its turn comes. Counts attempts, not
/// time, as on a busy machine one look may take longer than any patience.
fn end(choose: impl Fn(&[Process]) -> Vec<i32>) {
    for _ in 0..ATTEMPTS {
        let chosen = choose(&all());
        if chosen.is_empty() {
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
    pub(crate) bytes: u64,
}

/// What the processes below `parent` hold now: what each has for itself, and once what they share. That is the code of
/// their programs; of different programs only the largest counts.
pub(crate) fn memory_below(parent: u32) -> Memory {
    let parent = i32::try_from(parent).unwrap_or(i32::MAX);
    let all = all();
    let below = below(&[parent], &all);
    let copies: HashSet<i32> = all.iter().filter(|process| process.is_copy).map(|process| process.pid).collect();
    let others = || below.iter().filter(|pid| !copies.contains(pid));
    // One that has just ended holds nothing.
    let status = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/status")).ok();
    sum(others().filter_map(status).filter_map(|status| Resident::parse(&status)))
}

fn sum(residents: impl Iterator<Item = Resident>) -> Memory {
    let (mut processes, mut own, mut shared) = (0, 0, 0);
    for resident in residents {
        processes += 1;
        own += resident.own_bytes;
        shared = resident.file_bytes.max(shared);
    }
    Memory { processes, bytes: own + shared }
}

/// What one process has in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resident {
    /// For itself.
    own_bytes: u64,
    /// From files, such as its code: all that run the same program share it.
    file_bytes: u64,
}

impl Resident {
    /// `RssAnon:     1234 kB` and others, see proc(5).
    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kibibytes: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
            Some(kibibytes * 1024)
        };
        Some(Self { own_bytes: bytes("RssAnon")? + bytes("RssShmem")?, file_bytes: bytes("RssFile")? })
    }
}

/// What was read, as `/proc/PID/io` has it: that of a process includes all below it that it has waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Read {
    /// `rchar`: by read(2) and its like, from files, pipes and sockets alike, wherever the bytes came from.
    pub(crate) called_bytes: u64,
    /// `read_bytes`: what had to be fetched from a disk, as it was in no cache.
    pub(crate) disk_bytes: u64,
}

impl Read {
    pub(crate) fn of_this_process() -> Self {
        Self::from_file("/proc/self/io")
    }

    pub(crate) fn of_this_thread() -> Self {
        Self::from_file("/proc/thread-self/io")
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self {
            called_bytes: self.called_bytes.saturating_sub(other.called_bytes),
            disk_bytes: self.disk_bytes.saturating_sub(other.disk_bytes),
        }
    }

    /// Nothing where the kernel does not count.
    fn from_file(path: &str) -> Self {
        std::fs::read_to_string(path).ok().and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Lines such as `rchar: 123`, see proc_pid_io(5).
    fn parse(text: &str) -> Option<Self> {
        let number =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok());
        Some(Self { called_bytes: number("rchar")?, disk_bytes: number("read_bytes")? })
    }
}

fn own_pid() -> i32 {
    getpid().as_raw_pid()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    /// Its parent has just made it of itself, to start another program: until then it holds nothing of its own.
    is_copy: bool,
}

/// `PF_FORKNOEXEC` of Linux's `sched.h`.
const IS_COPY: u64 = 0x40;

/// All processes but zombies, which have ended.
fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter_map(|stat| parse(&stat))
        .collect()
}

/// The first fields of `/proc/PID/stat`, see proc(5): `pid (name) state parent group session tty tty-group flags`; the name
/// may contain anything.
fn parse(stat: &str) -> Option<Process> {
    let (pid, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    (state != "Z").then_some(Process { pid: pid.parse().ok()?, parent, is_copy: flags & IS_COPY != 0 })
}

/// The processes below `ancestors`, without these.
fn below(ancestors: &[i32], all: &[Process]) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let mut found: Vec<i32> = Vec::new();
    let mut parents = ancestors.to_vec();
    while let Some(parent) = parents.pop() {
        let below = children.remove(&parent).unwrap_or_default();
        found.extend(&below);
        parents.extend(below);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;

    use super::*;

    #[test]
    fn stat_is_read_whatever_the_name_and_zombies_are_left_out() {
        let process = |is_copy| Process { pid: 12, parent: 3, is_copy };
        let cases = [
            ("12 (sshd) S 3 12 12 0 -1 4194560 9", Some(process(false))),
            ("12 (sh) S 3 12 12 0 -1 4194368 9", Some(process(true))),
            ("12 (a) Z 9 (b)) R 3 12 12 0 -1 0 9", Some(process(false))),
            ("12 (sshd) Z 3 12 12 0 -1 0 9", None),
            ("12 (sshd) S 3 12", None),
            ("12 (sshd", None),
            ("", None),
        ];
        for (stat, process) in cases {
            assert_eq!(parse(stat), process, "{stat:?}");
        }
    }

    #[test]
    fn bytes_from_the_disk_are_told_from_those_of_all_calls() {
        let text = "rchar: 4292\nwchar: 7\nsyscr: 13\nread_bytes: 4096\nwrite_bytes: 1\n";
        let read = Read { called_bytes: 4292, disk_bytes: 4096 };
        assert_eq!(Read::parse(text), Some(read));
        assert_eq!(Read::parse("rchar: 1\n"), None);
        assert_eq!(
            read.without(Read { called_bytes: 92, disk_bytes: 5000 }),
            Read { called_bytes: 4200, disk_bytes: 0 }
        );
    }

    #[test]
    fn what_processes_share_is_counted_once() {
        let status = |anonymous, file| {
            format!("Name:\tssh\nVmHWM:\t 9000 kB\nRssAnon:\t {anonymous} kB\nRssFile:\t {file} kB\nRssShmem:\t 1 kB\n")
        };
        let of = |texts: &[String]| sum(texts.iter().filter_map(|text| Resident::parse(text)));
        let three = [status(100, 4000), status(200, 5000), "Name:\tkthread\n".to_owned(), status(300, 4000)];
        assert_eq!(of(&three), Memory { processes: 3, bytes: (101 + 201 + 301 + 5000) * 1024 });
        assert_eq!(of(&[]), Memory::default());
    }

    #[test]
    fn memory_is_that_of_all_below_and_of_no_other() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "sleep 600 & echo; wait"])
            .stdout(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut line).unwrap();
        let group = Pid::from_child(&shell);
        // The shell has said that it has made the copy, which then becomes sleep.
        let deadline = Instant::now() + PATIENCE;
        let both = loop {
            let seen = memory_below(shell.id());
            if seen.processes > 0 || Instant::now() > deadline {
                break (seen, memory_below(std::process::id()));
            }
        };
        rustix::process::kill_process_group(group, Signal::KILL).unwrap();
        shell.wait().unwrap();
        let (sleep, all) = both;
        assert!((1 << 12..1 << 24).contains(&sleep.bytes), "{sleep:?}");
        assert!(all.processes >= 2 && all.bytes > sleep.bytes, "{sleep:?} {all:?}");
    }

    #[test]
    fn all_generations_below_are_found_and_no_others() {
        let all = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 5)].map(|(pid, parent)| Process { pid, parent, is_copy: false });
        let mut found = below(&[2], &all);
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
        assert!(below(&[6], &all).is_empty());
    }
}
