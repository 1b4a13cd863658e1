//! The course of a benchmark: every workload, every round, every tool in turn.
//!
//! Must not know how servers are started or resources are counted.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cli::{RunArgs, WorkloadName};
use crate::copy;
use crate::error::BenchError;
use crate::measure::{Measured, Sample, measure};
use crate::output::Shape;
use crate::plot::plot;
use crate::site::{Site, SiteFiles};
use crate::sync;
use crate::table::{Row, RowResult, table};
use crate::tools::{InstalledTool, Job, Programs, Tool, find_program, version_line};
use crate::workload::{HostKind, Workload, hosts_needed, workloads};
use crate::world::World;

/// Runs the chosen workloads: those of commands, and those of files.
pub(crate) async fn run(args: &RunArgs) -> Result<(), BenchError> {
    let programs = Programs::find(&args.programs)?;
    let is_of_files = |name: &WorkloadName| matches!(name, WorkloadName::Copy | WorkloadName::Sync);
    if args.only.is_empty() || !args.only.iter().all(is_of_files) {
        run_commands(args, &programs).await?;
    }
    if args.only.contains(&WorkloadName::Copy) {
        copy::run(args, &programs).await?;
    }
    if args.only.contains(&WorkloadName::Sync) {
        sync::run(args, &programs).await?;
    }
    Ok(())
}

/// strace(1), where what is read of sources is to be counted.
pub(crate) fn find_strace(args: &RunArgs) -> Result<Option<PathBuf>, BenchError> {
    if !args.count_reads {
        return Ok(None);
    }
    find_program("strace").map(Some).ok_or(BenchError::MissingProgram("strace"))
}

/// Runs the workloads and prints a table for each, with the conditions before.
async fn run_commands(args: &RunArgs, programs: &Programs) -> Result<(), BenchError> {
    let (tools, missing) = find_tools(programs)?;
    let world = start_hosts(args, programs).await?;
    let conditions = conditions(&tools, &missing, &programs.psh);
    print(&conditions)?;
    let addresses = |kind| world.site(kind).map_or(&[][..], |site| &site.addresses);
    for workload in workloads(args, addresses, world.folder())? {
        let before = load_average();
        let rows = rows(&world, &workload, &tools, args).await?;
        let table = table(&rows, Tool::Psh.name(), &workload);
        let (title, rounds) = (&workload.title, args.rounds);
        let after = load_average();
        let text = format!("### {title}\n\nRounds: {rounds}. Load average: {before} before, {after} after.\n\n{table}");
        print(&format!("\n{text}"))?;
        if let Some(folder) = &args.results {
            write_results(folder, &workload, &text, &conditions, &rows)?;
        }
    }
    Ok(())
}

async fn start_hosts(args: &RunArgs, programs: &Programs) -> Result<World, BenchError> {
    let mut world = World::new()?;
    if let real @ 1.. = hosts_needed(args, HostKind::Real) {
        world.start_real(real, "").await?;
    }
    if let simulated @ 1.. = hosts_needed(args, HostKind::Simulated) {
        world.start_simulated(simulated, &programs.fleet).await?;
    }
    Ok(world)
}

/// The table and the plot of a workload, each in a file of its own: so that one can be run again without the others.
fn write_results(
    folder: &Path,
    workload: &Workload,
    text: &str,
    conditions: &str,
    rows: &[Row],
) -> Result<(), BenchError> {
    let (name, title) = (&workload.name, &workload.title);
    write_file(folder, &format!("{name}.md"), &format!("{text}\n![{title}]({name}.svg)\n\n{conditions}"))?;
    write_file(folder, &format!("{name}.svg"), &plot(title, rows, workload.hosts))
}

/// Writes a file of the results.
pub(crate) fn write_file(folder: &Path, name: &str, text: &str) -> Result<(), BenchError> {
    fs::create_dir_all(folder).map_err(BenchError::file(folder))?;
    let path = folder.join(name);
    fs::write(&path, text).map_err(BenchError::file(&path))
}

/// The tools to compare, and those that are not installed.
pub(crate) fn find_tools(programs: &Programs) -> Result<(Vec<InstalledTool>, Vec<Tool>), BenchError> {
    if find_program("ssh").is_none() {
        return Err(BenchError::MissingProgram("ssh"));
    }
    let installed: Vec<InstalledTool> =
        Tool::ALL.iter().filter_map(|tool| InstalledTool::find(*tool, programs)).collect();
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
    let tools: Vec<&InstalledTool> = tools.iter().filter(|tool| tool.tool.is_for(workload.output)).collect();
    let site = world.site(workload.kind).expect("hosts are started for every workload");
    let files = site.write(world.folder(), workload.hosts, workload.key_exchange)?;
    let limit = Duration::from_secs(args.limit_secs);
    let bench = ToolRun { world, workload, site, files: &files, limit };
    let mut results: Vec<RowResult> = tools.iter().map(|_| RowResult::Samples(Vec::new())).collect();
    for round in 0..usize::from(args.rounds) {
        for turn in 0..tools.len() {
            let index = (round + turn) % tools.len();
            let RowResult::Samples(samples) = &mut results[index] else { continue };
            match bench.sample(tools[index]).await? {
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
    site: &'a Site,
    files: &'a SiteFiles,
    limit: Duration,
}

impl ToolRun<'_> {
    /// One run; `None` if it took too long and was stopped.
    async fn sample(&self, tool: &InstalledTool) -> Result<Option<Sample>, BenchError> {
        let Self { world, workload, site, files, limit } = *self;
        let folder = world.folder();
        let job = Job {
            site,
            files,
            key_exchange: workload.key_exchange,
            parallel: workload.parallel,
            command: &workload.command,
            folder,
        };
        Shape::clear(folder);
        let measured = measure(&tool.command(&job), folder, limit).await?;
        world.clear().await;
        let lines = tool.tool.shape().lines(folder);
        let counted = lines.and_then(|lines| workload.expected.count(lines));
        let correct_lines = counted.map_err(BenchError::file(folder))?;
        let sample = match measured {
            Measured::Ended(usage) => Some(Sample { usage, correct: correct_lines }),
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
        let _ = writeln!(stderr, "{}: {name}: {ended}, {correct_lines} of {expected} lines", self.workload.name);
        if correct_lines < expected {
            let said = fs::read(self.world.folder().join("stderr")).unwrap_or_default();
            for line in String::from_utf8_lossy(&said).lines().take(3) {
                let _ = writeln!(stderr, "  {line}");
            }
        }
    }
}

/// What a reader must know to judge the figures.
pub(crate) fn conditions(tools: &[InstalledTool], missing: &[Tool], psh: &Path) -> String {
    let versions: Vec<String> = tools.iter().filter_map(InstalledTool::version).collect();
    let missing: Vec<&str> = missing.iter().map(|tool| tool.name()).collect();
    conditions_of(&versions, &missing, psh)
}

/// The same for any tools. Ours are from the folder of `psh`.
pub(crate) fn conditions_of(versions: &[String], missing: &[&str], psh: &Path) -> String {
    let profile = psh.parent().and_then(Path::file_name).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "- tools: {}\n- not installed: {}\n- ssh and server: {}\n- psh from: target/{}\n- cores, for clients and servers: {cores}\n\
         - memory: of one process its peak; \"in N\": the largest sum seen in N processes, what they share counted once\n",
        versions.join("; "),
        if missing.is_empty() { "none".to_owned() } else { missing.join(", ") },
        version_line(Command::new("ssh").arg("-V"), "OpenSSH"),
        profile.display(),
    )
}

/// The mean number of running processes in the last minute, or `?`.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

pub(crate) fn print(text: &str) -> Result<(), BenchError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(BenchError::Print)
}
