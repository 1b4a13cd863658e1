//! The course of a benchmark: every workload, every round, every tool in turn.
//!
//! Must not know how servers are started or resources are counted.

use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cli::RunArgs;
use crate::error::BenchError;
use crate::measure::{Measured, Sample, measure};
use crate::table::{Row, RowResult, table};
use crate::tools::{InstalledTool, Job, Tool, find_program, version_line};
use crate::workload::{Workload, hosts_needed, workloads};
use crate::world::World;

/// Runs the workloads and prints a table for each, with the conditions before.
pub(crate) async fn run(args: &RunArgs) -> Result<(), BenchError> {
    let psh = psh_path(args)?;
    let (tools, missing) = find_tools(&psh)?;
    let world = World::start(hosts_needed(args)).await?;
    print(&conditions(&tools, &missing, &psh))?;
    for workload in workloads(args, world.addresses(), world.folder())? {
        let before = load_average();
        let rows = rows(&world, &workload, &tools, args).await?;
        let title = &workload.title;
        let table = table(&rows, Tool::Psh.name(), workload.hosts, workload.expected.lines());
        let rounds = workload.rounds;
        print(&format!(
            "\n### {title}\n\n{rounds} rounds, load average {before} before, {} after.\n\n{table}",
            load_average()
        ))?;
    }
    Ok(())
}

fn psh_path(args: &RunArgs) -> Result<PathBuf, BenchError> {
    let beside_us = || Ok(std::env::current_exe().map_err(BenchError::Runtime)?.with_file_name("psh"));
    let path = args.psh.clone().map_or_else(beside_us, Ok)?;
    // The tools run in a folder of their own.
    fs::canonicalize(&path).map_err(|_| BenchError::NoPsh(path))
}

/// The tools to compare, and those that are not installed.
fn find_tools(psh: &Path) -> Result<(Vec<InstalledTool>, Vec<Tool>), BenchError> {
    if find_program("ssh").is_none() {
        return Err(BenchError::MissingProgram("ssh"));
    }
    let installed: Vec<InstalledTool> = Tool::ALL.iter().filter_map(|tool| InstalledTool::find(*tool, psh)).collect();
    let is_missing = |tool: &Tool| !installed.iter().any(|found| found.tool == *tool);
    let missing = Tool::ALL.into_iter().filter(is_missing).collect();
    Ok((installed, missing))
}

/// All tools, alternating. Each round starts with another one, so that none always follows the same.
async fn rows(
    world: &World,
    workload: &Workload,
    tools: &[InstalledTool],
    args: &RunArgs,
) -> Result<Vec<Row>, BenchError> {
    let bench = ToolRun { world, workload, parallel: args.parallel, limit: Duration::from_secs(args.limit_secs) };
    let mut results: Vec<RowResult> = tools.iter().map(|_| RowResult::Samples(Vec::new())).collect();
    for round in 0..usize::from(workload.rounds) {
        for turn in 0..tools.len() {
            let index = (round + turn) % tools.len();
            let RowResult::Samples(samples) = &mut results[index] else { continue };
            match bench.sample(&tools[index]).await? {
                Some(sample) => samples.push(sample),
                None => results[index] = RowResult::Stopped { limit_secs: args.limit_secs },
            }
        }
    }
    Ok(tools.iter().zip(results).map(|(tool, result)| Row { tool: tool.tool.name(), result }).collect())
}

/// What every run of a workload has in common.
struct ToolRun<'a> {
    world: &'a World,
    workload: &'a Workload,
    parallel: u16,
    limit: Duration,
}

impl ToolRun<'_> {
    /// One run; `None` if it took too long and was stopped.
    async fn sample(&self, tool: &InstalledTool) -> Result<Option<Sample>, BenchError> {
        let Self { world, workload, .. } = self;
        let job = Job {
            ssh_config: &world.write_ssh_config(workload.key_exchange)?,
            host_file: &world.write_host_file(workload.hosts)?,
            user: world.user(),
            parallel: self.parallel,
            command: &workload.command,
        };
        let folder = world.folder();
        let measured = measure(&tool.command(&job, folder), folder, self.limit).await?;
        world.clear().await;
        let stdout = folder.join("stdout");
        let opened = File::open(&stdout).map_err(BenchError::file(&stdout))?;
        let counted = workload.expected.count(BufReader::new(opened));
        let correct_lines = counted.map_err(BenchError::file(&stdout))?;
        let sample = match measured {
            Measured::Ended(usage) => Some(Sample { usage, correct_lines }),
            Measured::TooLong => None,
        };
        self.tell(tool, sample.as_ref(), correct_lines);
        Ok(sample)
    }

    /// Says on standard error how a run went, and where lines are missing what the tool said.
    fn tell(&self, tool: &InstalledTool, sample: Option<&Sample>, correct_lines: usize) {
        let name = tool.tool.name();
        let expected = self.workload.expected.lines();
        let ended = sample.map_or_else(
            || format!("stopped after {:?}", self.limit),
            |sample| format!("CPU {:.2} s, wall {:.2} s", sample.usage.cpu_secs, sample.usage.wall_secs),
        );
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "{name}: {ended}, {correct_lines} of {expected} lines");
        if correct_lines < expected {
            let said = fs::read(self.world.folder().join("stderr")).unwrap_or_default();
            for line in String::from_utf8_lossy(&said).lines().take(3) {
                let _ = writeln!(stderr, "  {line}");
            }
        }
    }
}

/// What a reader must know to judge the figures.
fn conditions(tools: &[InstalledTool], missing: &[Tool], psh: &Path) -> String {
    let versions: Vec<String> = tools.iter().map(InstalledTool::version).collect();
    let missing: Vec<&str> = missing.iter().map(|tool| tool.name()).collect();
    let profile = psh.parent().and_then(Path::file_name).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "- tools: {}\n- not installed: {}\n- ssh and server: {}\n- psh from: target/{}\n- cores, for clients and servers: {cores}\n",
        versions.join("; "),
        if missing.is_empty() { "none".to_owned() } else { missing.join(", ") },
        version_line(Command::new("ssh").arg("-V"), "OpenSSH"),
        profile.display(),
    )
}

/// The mean number of running processes in the last minute, or `?`.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

fn print(text: &str) -> Result<(), BenchError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(BenchError::Print)
}
