//! Runs a program in a process of its own between, which knows the resources of that program and all below it.
//!
//! `getrusage(RUSAGE_CHILDREN)` counts every child that was ever waited for, and the largest of them: only a parent
//! with a single child learns that child's figures. Must not know what the program is.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::cli::MeasureArgs;
use crate::error::BenchError;
use crate::processes::{Memory, Read, memory_below};

/// Between two looks at the memory of a program with several processes: short beside the life of an `ssh`. A look costs CPU
/// that the program does not get, so that after a long one the pause is [`REST`] times as long.
const LOOK: Duration = Duration::from_millis(20);
const REST: u32 = 4;

/// What a program and all its descendants used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_secs: f64,
    pub(crate) wall_secs: f64,
    /// The most that was held at a time: by a single process as the kernel knows it, by several as seen.
    pub(crate) peak_memory_bytes: u64,
    /// The most processes that were seen at a time; at least one.
    pub(crate) processes: usize,
    pub(crate) read: Read,
}

/// One run of a tool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) usage: Usage,
    /// Lines of the output of a command, or files of a copy on all hosts.
    pub(crate) correct: usize,
}

/// The process between: runs the program to its end and writes what it used.
pub(crate) fn report(args: &MeasureArgs) -> Result<(), BenchError> {
    let (program, arguments) = args.command.split_first().expect("clap requires a program");
    let spawn_error = |source| BenchError::Spawn { program: program.display().to_string(), source };
    let start = Instant::now();
    let mut child = Command::new(program).args(arguments).spawn().map_err(spawn_error)?;
    let (ended, end) = mpsc::channel();
    let looker = std::thread::spawn(move || (most_memory(&end), Read::of_this_thread()));
    // The exit status is no part of the result: peers differ in what they return when all is well.
    let status = child.wait();
    let wall = start.elapsed();
    drop(ended);
    let (seen, looking) = looker.join().unwrap_or_default();
    status.map_err(BenchError::Runtime)?;
    let read = Read::of_this_process().without(looking).without(Read::of_this_thread());
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| BenchError::Runtime(error.into()))?;
    let micros = [used.user_time(), used.system_time()].map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    // In kibibytes, see getrusage(2).
    let largest = used.max_rss().unsigned_abs() * 1024;
    let usage = Usage {
        cpu_secs: micros.iter().sum::<i64>() as f64 / 1e6,
        wall_secs: wall.as_secs_f64(),
        peak_memory_bytes: if seen.processes > 1 { seen.bytes.max(largest) } else { largest },
        processes: seen.processes.max(1),
        read,
    };
    let text = serde_json::to_string(&usage).expect("numbers can be written as JSON");
    fs::write(&args.report, text).map_err(BenchError::file(&args.report))
}

/// The most processes and the most memory that were ever seen below this process, until `end` is dropped.
fn most_memory(end: &mpsc::Receiver<()>) -> Memory {
    let mut most = Memory::default();
    let mut pause = LOOK;
    while end.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let start = Instant::now();
        let now = memory_below(std::process::id());
        pause = LOOK.max(start.elapsed() * REST);
        most = Memory { processes: most.processes.max(now.processes), bytes: most.bytes.max(now.bytes) };
    }
    most
}

/// How a measured run ended.
#[derive(Debug)]
pub(crate) enum Measured {
    Ended(Usage),
    /// It takes longer than the limit and is still running.
    TooLong,
}

/// Runs `tool` through a process between, with its output in files of `folder` called `stdout` and `stderr`.
pub(crate) async fn measure(tool: &Command, folder: &Path, limit: Duration) -> Result<Measured, BenchError> {
    let program = tool.get_program().display().to_string();
    let report = folder.join("usage");
    let own_path = std::env::current_exe().map_err(BenchError::Runtime)?;
    let create = |name: &str| File::create(folder.join(name)).map_err(BenchError::file(folder.join(name)));
    let mut between = tokio::process::Command::new(own_path);
    between.arg("measure").arg("--report").arg(&report).arg("--");
    between.arg(tool.get_program()).args(tool.get_args()).env_clear().current_dir(folder);
    between.envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
    between.stdin(Stdio::null()).stdout(create("stdout")?).stderr(create("stderr")?);
    // Ctrl-C is for us: we end them all.
    between.process_group(0);
    let mut child = between.spawn().map_err(|source| BenchError::Spawn { program: program.clone(), source })?;
    let Ok(ended) = tokio::time::timeout(limit, child.wait()).await else { return Ok(Measured::TooLong) };
    let status = ended.map_err(BenchError::Runtime)?;
    if !status.success() {
        let stderr = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
        return Err(BenchError::Failed { program, status, stderr });
    }
    let text = fs::read_to_string(&report).map_err(BenchError::file(&report))?;
    let usage = serde_json::from_str(&text).map_err(|source| BenchError::Usage { program, text, source })?;
    Ok(Measured::Ended(usage))
}
