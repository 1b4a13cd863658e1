//! The workload of copies: a large file, and many small ones, to some hosts and back from them.
//!
//! Must not know how servers are started or resources are counted.

mod homes;
mod payload;
mod reads;
mod table;
mod tools;

use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::process::Command;
use std::time::Duration;

use crate::bench::{conditions_of, load_average, print, write_file};
use crate::cli::{KeyExchange, RunArgs};
use crate::copy::homes::{Homes, check_room};
use crate::copy::payload::{Kind, Payload};
use crate::copy::tools::{CopyJob, CopyTool, Direction, InstalledCopyTool};
use crate::error::BenchError;
use crate::measure::{Measured, Sample, measure};
use crate::plot::plot;
use crate::site::SiteFiles;
use crate::table::{Row, RowResult};
use crate::tools::{Programs, find_program};
use crate::workload::HostKind;
use crate::world::World;

/// Runs the copies and prints a table for each.
pub(crate) async fn run(args: &RunArgs, programs: &Programs) -> Result<(), BenchError> {
    let most = args.copy_hosts.iter().copied().max().unwrap_or(1);
    let kinds = [Kind::File { mib: args.copy_mib }, Kind::Tree { files: args.copy_files }];
    let strace =
        if args.count_reads { Some(find_program("strace").ok_or(BenchError::MissingProgram("strace"))?) } else { None };
    let mut world = World::new()?;
    check_room(world.folder(), &kinds, usize::from(most))?;
    let source = world.folder().join("source");
    let payloads: Result<Vec<Payload>, io::Error> = kinds.iter().map(|kind| Payload::write(*kind, &source)).collect();
    let payloads = payloads.map_err(BenchError::file(&source))?;
    let more = Homes::configuration(world.folder(), &args.copy_cipher)?;
    world.start_real(most, &more).await?;
    let addresses = &world.site(HostKind::Real).expect("they have just been started").addresses;
    let homes = Homes::make(world.folder(), addresses, &payloads)?;
    for direction in [Direction::To, Direction::Back] {
        let found = |tool: &CopyTool| InstalledCopyTool::find(*tool, direction, programs);
        let tools: Vec<InstalledCopyTool> = CopyTool::ALL.iter().filter_map(found).collect();
        let conditions = conditions(&tools, direction, programs, args);
        print(&format!("\n{conditions}"))?;
        for payload in &payloads {
            let tools: Vec<&InstalledCopyTool> = tools.iter().filter(|found| found.tool.copies(payload.kind)).collect();
            for hosts in args.copy_hosts.iter().map(|hosts| usize::from(*hosts)) {
                let files = files(&world, hosts)?;
                let copies = Copies { world: &world, homes: &homes, payload, direction, hosts, files, args };
                copies.run(&tools, strace.as_deref(), &conditions).await?;
            }
        }
    }
    Ok(())
}

fn files(world: &World, hosts: usize) -> Result<SiteFiles, BenchError> {
    let site = world.site(HostKind::Real).expect("servers run for all copies");
    site.write(world.folder(), hosts, KeyExchange::Curve25519)
}

/// What a reader must know to judge the figures.
fn conditions(tools: &[InstalledCopyTool], direction: Direction, programs: &Programs, args: &RunArgs) -> String {
    let versions: Vec<String> = tools.iter().filter_map(|tool| tool.version(direction)).collect();
    let is_missing = |tool: &CopyTool| !tools.iter().any(|found| found.tool == *tool);
    let missing: Vec<&str> = CopyTool::ALL.into_iter().filter(is_missing).map(|tool| tool.name(direction)).collect();
    conditions_of(&versions, &missing, &programs.psh)
        + &format!(
            "- cipher: {}; sources and copies on one disk; the source is in no cache when a run to the hosts begins\n\
             - read: from disk as `read_bytes`, in all as `rchar` of `/proc/PID/io`, of the client and all its processes\n",
            args.copy_cipher,
        )
}

/// One workload: the same copy by every tool.
struct Copies<'a> {
    world: &'a World,
    homes: &'a Homes,
    payload: &'a Payload,
    direction: Direction,
    hosts: usize,
    files: SiteFiles,
    args: &'a RunArgs,
}

/// How one run went.
struct Ran {
    measured: Measured,
    right: usize,
}

impl Copies<'_> {
    async fn run(
        &self,
        tools: &[&InstalledCopyTool],
        strace: Option<&std::path::Path>,
        conditions: &str,
    ) -> Result<(), BenchError> {
        let before = load_average();
        let rows = self.rows(tools).await?;
        let after = load_average();
        let mut reads = Vec::new();
        if let Some(strace) = strace.filter(|_| self.direction == Direction::To) {
            for tool in tools {
                reads.push(self.count_reads(tool, strace).await?);
            }
        }
        let table = table::table(&rows, CopyTool::Ours.name(self.direction), &reads, self.payload.kind, self.hosts);
        let (title, rounds) = (self.title(), self.args.rounds);
        let text = format!("### {title}\n\nRounds: {rounds}. Load average: {before} before, {after} after.\n\n{table}");
        print(&format!("\n{text}"))?;
        if let Some(folder) = &self.args.results {
            let name = self.name();
            write_file(folder, &format!("{name}.md"), &format!("{text}\n![{title}]({name}.svg)\n\n{conditions}"))?;
            write_file(folder, &format!("{name}.svg"), &plot(&title, &rows, self.hosts))?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        let direction = if self.direction == Direction::To { "to" } else { "back" };
        format!("copy-{}-{direction}-{}", self.payload.kind.name(), self.hosts)
    }

    fn title(&self) -> String {
        let direction = if self.direction == Direction::To { "to" } else { "back from" };
        format!("{} {direction} {} hosts, all at once", self.payload.kind.title(), self.hosts)
    }

    /// All tools, alternating. Each round starts with another one, so that none always follows the same.
    async fn rows(&self, tools: &[&InstalledCopyTool]) -> Result<Vec<Row>, BenchError> {
        let mut results: Vec<RowResult> = tools.iter().map(|_| RowResult::Samples(Vec::new())).collect();
        for round in 0..usize::from(self.args.rounds) {
            for turn in 0..tools.len() {
                let index = (round + turn) % tools.len();
                let RowResult::Samples(samples) = &mut results[index] else { continue };
                let Ran { measured, right } = self.copy(&tools[index].command(&self.job())).await?;
                self.tell(tools[index], &measured, right);
                match measured {
                    Measured::Ended(usage) => samples.push(Sample { usage, correct: right }),
                    Measured::TooLong => results[index] = RowResult::Stopped { limit_secs: self.args.limit_secs },
                }
            }
        }
        let row =
            |(tool, result): (&&InstalledCopyTool, RowResult)| Row { tool: tool.tool.name(self.direction), result };
        Ok(tools.iter().zip(results).map(row).collect())
    }

    fn job(&self) -> CopyJob<'_> {
        let site = self.world.site(HostKind::Real).expect("servers run for all copies");
        CopyJob {
            site,
            files: &self.files,
            direction: self.direction,
            source: &self.payload.path,
            back: self.homes.back(),
            folder: self.world.folder(),
        }
    }

    /// One run. Nothing that it has copied is left.
    async fn copy(&self, command: &Command) -> Result<Ran, BenchError> {
        if self.direction == Direction::To {
            self.payload.forget().map_err(BenchError::file(&self.payload.path))?;
        }
        let measured = measure(command, self.world.folder(), Duration::from_secs(self.args.limit_secs)).await?;
        self.world.clear().await;
        let right = self.homes.count_right(self.payload, self.direction, self.hosts);
        self.homes.clear()?;
        Ok(Ran { measured, right })
    }

    /// The bytes that a tool reads of the source; `None` if it took too long.
    async fn count_reads(&self, tool: &InstalledCopyTool, strace: &std::path::Path) -> Result<Option<u64>, BenchError> {
        let log = self.world.folder().join("reads");
        let command = reads::traced(strace, &tool.command(&self.job()), &log);
        let Measured::Ended(_) = self.copy(&command).await?.measured else { return Ok(None) };
        let counted = File::open(&log).and_then(|file| reads::bytes_read(BufReader::new(file), &self.payload.path));
        // It may be large.
        fs::remove_file(&log).and(counted).map(Some).map_err(BenchError::file(&log))
    }

    /// Says on standard error how a run went, and where files are missing what the tool said.
    fn tell(&self, tool: &InstalledCopyTool, measured: &Measured, right: usize) {
        let expected = self.payload.kind.files() * self.hosts;
        let ended = match measured {
            Measured::Ended(usage) => format!("CPU {:.2} s, wall {:.2} s", usage.cpu_secs, usage.wall_secs),
            Measured::TooLong => format!("stopped after {} s", self.args.limit_secs),
        };
        let mut stderr = io::stderr().lock();
        let name = tool.tool.name(self.direction);
        let _ = writeln!(stderr, "{}: {name}: {ended}, {right} of {expected} files", self.name());
        if right < expected {
            let said = fs::read(self.world.folder().join("stderr")).unwrap_or_default();
            for line in String::from_utf8_lossy(&said).lines().take(3) {
                let _ = writeln!(stderr, "  {line}");
            }
        }
    }
}
