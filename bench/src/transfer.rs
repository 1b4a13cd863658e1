//! Workloads that bring bytes to hosts or back: every round, every tool in turn, with what arrived counted and removed.
//!
//! Must not know what is brought, nor by which tools.

use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::bench::{load_average, print, write_file};
use crate::cli::RunArgs;
use crate::error::BenchError;
use crate::measure::{Measured, Sample, measure};
use crate::plot::plot;
use crate::reads;
use crate::table::{Row, RowResult};
use crate::transfer_table::{Amount, table};
use crate::world::World;

/// The same transfer by any of its tools.
pub(crate) trait Transfer {
    type Tool;

    /// Of the files with its results.
    fn name(&self) -> String;

    /// As in the headings.
    fn title(&self) -> String;

    /// As in the tables.
    fn tool_name(&self, tool: &Self::Tool) -> &'static str;

    /// The name of the tool that the others are compared with.
    fn ours(&self) -> &'static str;

    fn command(&self, tool: &Self::Tool) -> Command;

    /// What there is to bring.
    fn amount(&self) -> Amount;

    /// The file or folder that is read, if it is on this side.
    fn source(&self) -> Option<&Path>;

    /// Makes everything as it is to be when a tool starts.
    fn prepare(&self) -> Result<(), BenchError>;

    /// How many files are where and what they should be.
    fn count_right(&self) -> usize;

    /// Removes what has arrived.
    fn clear(&self) -> Result<(), BenchError>;
}

/// The hosts, as in the headings.
pub(crate) fn all_at_once(hosts: usize) -> String {
    if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts, all at once") }
}

/// How one run went.
struct Ran {
    measured: Measured,
    right: usize,
}

/// One workload, and where it is run.
pub(crate) struct Runs<'a, T> {
    pub(crate) transfer: &'a T,
    pub(crate) world: &'a World,
    pub(crate) args: &'a RunArgs,
    /// Counts what is read of the source, if that is wanted.
    pub(crate) strace: Option<&'a Path>,
}

impl<T: Transfer> Runs<'_, T> {
    /// Prints its table, under the `conditions` where it is also written to a file.
    pub(crate) async fn run(&self, tools: &[&T::Tool], conditions: &str) -> Result<(), BenchError> {
        let before = load_average();
        let rows = self.rows(tools).await?;
        let after = load_average();
        let mut reads = Vec::new();
        if let (Some(strace), Some(source)) = (self.strace, self.transfer.source()) {
            for tool in tools {
                reads.push(self.count_reads(tool, strace, source).await?);
            }
        }
        let amount = self.transfer.amount();
        let table = table(&rows, self.transfer.ours(), &reads, &amount);
        let (title, rounds) = (self.transfer.title(), self.args.rounds);
        let text = format!("### {title}\n\nRounds: {rounds}. Load average: {before} before, {after} after.\n\n{table}");
        print(&format!("\n{text}"))?;
        if let Some(folder) = &self.args.results {
            let name = self.transfer.name();
            write_file(folder, &format!("{name}.md"), &format!("{text}\n![{title}]({name}.svg)\n\n{conditions}"))?;
            write_file(folder, &format!("{name}.svg"), &plot(&title, &rows, amount.hosts))?;
        }
        Ok(())
    }

    /// All tools, alternating. Each round starts with another one, so that none always follows the same.
    async fn rows(&self, tools: &[&T::Tool]) -> Result<Vec<Row>, BenchError> {
        let mut results: Vec<RowResult> = tools.iter().map(|_| RowResult::Samples(Vec::new())).collect();
        for round in 0..usize::from(self.args.rounds) {
            for turn in 0..tools.len() {
                let index = (round + turn) % tools.len();
                let RowResult::Samples(samples) = &mut results[index] else { continue };
                let Ran { measured, right } = self.once(&self.transfer.command(tools[index])).await?;
                self.tell(tools[index], &measured, right);
                match measured {
                    Measured::Ended(usage) => samples.push(Sample { usage, correct: right }),
                    Measured::TooLong => results[index] = RowResult::Stopped { limit_secs: self.args.limit_secs },
                }
            }
        }
        let row = |(tool, result): (&&T::Tool, RowResult)| Row { tool: self.transfer.tool_name(tool), result };
        Ok(tools.iter().zip(results).map(row).collect())
    }

    /// One run. Nothing that it has brought is left.
    async fn once(&self, command: &Command) -> Result<Ran, BenchError> {
        self.transfer.prepare()?;
        let measured = measure(command, self.world.folder(), Duration::from_secs(self.args.limit_secs)).await?;
        self.world.clear().await;
        let right = self.transfer.count_right();
        self.transfer.clear()?;
        Ok(Ran { measured, right })
    }

    /// The bytes that a tool reads of the source; `None` if it took too long.
    async fn count_reads(&self, tool: &T::Tool, strace: &Path, source: &Path) -> Result<Option<u64>, BenchError> {
        let log = self.world.folder().join("reads");
        let command = reads::traced(strace, &self.transfer.command(tool), &log);
        let Measured::Ended(_) = self.once(&command).await?.measured else { return Ok(None) };
        let counted = File::open(&log).and_then(|file| reads::bytes_read(BufReader::new(file), source));
        // It may be large.
        fs::remove_file(&log).and(counted).map(Some).map_err(BenchError::file(&log))
    }

    /// Says on standard error how a run went, and where files are missing what the tool said.
    fn tell(&self, tool: &T::Tool, measured: &Measured, right: usize) {
        let expected = self.transfer.amount().right_files();
        let ended = match measured {
            Measured::Ended(usage) => format!("CPU {:.2} s, wall {:.2} s", usage.cpu_secs, usage.wall_secs),
            Measured::TooLong => format!("stopped after {} s", self.args.limit_secs),
        };
        let mut stderr = io::stderr().lock();
        let (name, tool) = (self.transfer.name(), self.transfer.tool_name(tool));
        let _ = writeln!(stderr, "{name}: {tool}: {ended}, {right} of {expected} files");
        if right < expected {
            let said = fs::read(self.world.folder().join("stderr")).unwrap_or_default();
            for line in String::from_utf8_lossy(&said).lines().take(3) {
                let _ = writeln!(stderr, "  {line}");
            }
        }
    }
}
